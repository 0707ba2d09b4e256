"""What a Lease says, and what may be done by it at a moment. Pure.

The record is that of client-go's ``LeaseLock``, so that its candidates and ours may follow each other. Times in it are
wall time and for readers alone. What is decided here is decided on the clock of whoever decides:

- A holder counts from the moment at which it *sent* the renewal that was accepted last, for ``renew_deadline``.
- Anybody else counts from the moment at which it *saw* the record change, for the ``lease_duration`` in the record.

The second begins no earlier than the first and lasts longer, so that they do not meet while clocks run at about the
same rate: ``renew_deadline / (1 - r) < lease_duration / (1 + r)``, for 10 and 15 s up to r = 20 %.
"""

from __future__ import annotations

import enum
import logging
import math
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from aioinformers.errors import ResponseError

__all__ = [
    "REQUEST_TIME", "SUSPENSION", "Held", "Lease", "LeaseClock", "LeaseRecord", "Sighting", "Timing", "Verdict",
    "acquirable_at", "is_over", "micro_time", "new_lease", "seconds_left", "sighted", "verdict",
]  # fmt: skip

logger: logging.Logger = logging.getLogger("aioinformers.election")

SUSPENSION: Final = 1.0
"""Seconds by which wall time may run ahead of the clock: beyond, the machine is taken to have been suspended."""

REQUEST_TIME: Final = 5.0
"""Seconds that a request gets at most."""

_FENCE: Final = 0.8
"""Part of the lease duration after which nothing of a term may go on."""


class LeaseClock(NamedTuple):
    """The two times that leases are about.

    Attributes:
        now: Seconds that only grow, and count those for which the machine was suspended.
        wall: Seconds since 1970, as they are written into Leases.
    """

    now: Callable[[], float]
    wall: Callable[[], float]

    @classmethod
    def system(cls) -> LeaseClock:
        """Return the machine's own; where it does not count suspension, that is said once."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return cls(lambda: time.clock_gettime(time.CLOCK_BOOTTIME), time.time)
        if sys.platform == "darwin":  # what Python takes for monotonic stands still there while the machine sleeps
            return cls(lambda: time.clock_gettime(time.CLOCK_MONOTONIC), time.time)
        _say_once()
        return cls(time.monotonic, time.time)


_said: Final[list[str]] = []


def _say_once() -> None:
    if not _said:
        _said.append(sys.platform)
        logger.warning("the clock of %s may stand still while the machine is suspended: wall time tells then", *_said)


class Timing(NamedTuple):
    """The durations of an election, in seconds.

    Attributes:
        lease_duration: For how long others leave a Lease alone that is not renewed.
        renew_deadline: For how long its holder acts upon the last renewal.
        retry_period: Between two renewals, or two attempts.
    """

    lease_duration: float
    renew_deadline: float
    retry_period: float

    @property
    def request_time(self) -> float:
        """What a request of a candidate may take."""
        return min(REQUEST_TIME, self.renew_deadline)


def micro_time(wall: float) -> str:
    """Return seconds since 1970 as Kubernetes writes them into Leases: UTC, with six digits of a second."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


# -- the record ---------------------------------------------------------------------------------------------------


class _Spec(msgspec.Struct, gc=False):
    holderIdentity: str | None = None  # noqa: N815
    leaseDurationSeconds: int | None = None  # noqa: N815
    acquireTime: str | None = None  # noqa: N815
    renewTime: str | None = None  # noqa: N815
    leaseTransitions: int | None = None  # noqa: N815


class _Metadata(msgspec.Struct, gc=False):
    name: str = ""
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815


class _Lease(msgspec.Struct, gc=False):
    metadata: _Metadata
    kind: str = "Lease"
    spec: _Spec | None = None


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """Who holds a Lease, as its ``spec`` says.

    Attributes:
        holder: The identity of the holder; empty if it has been released, or nobody ever held it.
        duration: Seconds without a change after which others may take it; 0 if it does not say.
        acquired: When the holder became the holder, as it wrote it.
        renewed: When it last said that it still is, as it wrote it.
        transitions: How many terms have begun since the Lease was made.
    """

    holder: str = ""
    duration: int = 0
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0

    def spec(self) -> dict[str, Any]:
        """Return the fields of a Lease's ``spec``."""
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.duration,
            "acquireTime": self.acquired,
            "renewTime": self.renewed,
            "leaseTransitions": self.transitions,
        }


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as the server has it.

    Attributes:
        record: Who holds it.
        uid: Its uid.
        version: Its resourceVersion.
        document: All of it.
    """

    record: LeaseRecord
    uid: str
    version: str
    document: dict[str, Any] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, body: bytes) -> Lease:
        """Read a Lease.

        Raises:
            ResponseError: If it is none.
        """
        try:
            document: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
            found = msgspec.convert(document, _Lease)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ResponseError("the answer is no Lease") from None
        if found.kind != "Lease" or not found.metadata.resourceVersion:
            raise ResponseError(f"the answer is a {found.kind} instead of a Lease that the server has")
        spec = found.spec or _Spec()
        record = LeaseRecord(
            spec.holderIdentity or "", spec.leaseDurationSeconds or 0, spec.acquireTime or "", spec.renewTime or "",
            spec.leaseTransitions or 0,
        )  # fmt: skip
        return cls(record, found.metadata.uid, found.metadata.resourceVersion, document)

    def replaced(self, record: LeaseRecord) -> bytes:
        """Return the body of the PUT that changes the record: all else stays, its uid and resourceVersion, too."""
        spec = {**(self.document.get("spec") or {}), **record.spec()}
        return msgspec.json.encode({**self.document, "apiVersion": _API, "kind": "Lease", "spec": spec})


_API: Final = "coordination.k8s.io/v1"


def new_lease(namespace: str, name: str, record: LeaseRecord) -> bytes:
    """Return the body of the POST that makes a Lease."""
    metadata = {"name": name, "namespace": namespace}
    return msgspec.json.encode({"apiVersion": _API, "kind": "Lease", "metadata": metadata, "spec": record.spec()})


# -- whoever does not hold it -------------------------------------------------------------------------------------


class Sighting(NamedTuple):
    """What somebody has seen of a Lease.

    Attributes:
        lease: The Lease; None if there is none.
        since: The moment, on the clock of who saw it, from which its record has been seen like this.
        record: Who holds it; of one that is gone, who held it last.
    """

    lease: Lease | None
    since: float
    record: LeaseRecord


def sighted(before: Sighting | None, lease: Lease | None, now: float) -> Sighting:
    """Return what is known once a Lease has been looked at.

    A Lease that is gone may have been renewed until just before: its last holder is given its time from now on.

    Args:
        before: What was known; None for nothing.
        lease: What was found; None for none.
        now: When.
    """
    if lease is None:
        if before is not None and before.lease is None:
            return before
        return Sighting(None, now, before.record if before else LeaseRecord())
    is_same = before is not None and before.lease is not None and before.lease.uid == lease.uid
    if before is not None and is_same and before.record == lease.record:
        return Sighting(lease, before.since, lease.record)  # somebody may have put a label on it
    return Sighting(lease, now, lease.record)


def acquirable_at(seen: Sighting, identity: str, acquired: Collection[str], duration: float) -> float:
    """Return the moment from which a Lease may be acquired, on the clock of who saw it.

    Args:
        seen: What is known of it.
        identity: Who asks.
        acquired: The times of acquisition that the asker has written: a record with its identity and none of these is
            somebody's who has the same identity.
        duration: Seconds for a record that says none.
    """
    record = seen.record
    if not record.holder or (record.holder == identity and record.acquired in acquired):
        return -math.inf
    return seen.since + (record.duration if record.duration > 0 else duration)


# -- whoever holds it ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """That a Lease is held, by the renewal that was accepted last.

    Attributes:
        sent: The clock's time at which that was sent.
        wall: The wall time then.
        renew_deadline: Seconds for which it may be acted upon.
        lease_duration: Seconds for which others leave it alone.
    """

    sent: float
    wall: float
    renew_deadline: float
    lease_duration: float

    @property
    def until(self) -> float:
        """The moment from which nothing may be begun."""
        return self.sent + self.renew_deadline

    @property
    def fence(self) -> float:
        """The moment from which nothing may go on."""
        spare = self.lease_duration - self.renew_deadline
        return self.sent + max(_FENCE * self.lease_duration, self.renew_deadline + spare / 4)


def seconds_left(held: Held, now: float, wall: float) -> float:
    """Return for how long a Lease may still be acted upon; 0 if that is over.

    A machine whose clock does not count that it was suspended shows it by its wall time, which has run ahead.
    """
    if (wall - held.wall) - (now - held.sent) > SUSPENSION:
        return 0.0
    return max(0.0, held.until - now)


def is_over(held: Held, now: float, wall: float) -> bool:
    """Tell whether a Lease may not be acted upon any more."""
    return seconds_left(held, now, wall) <= 0


class Verdict(enum.Enum):
    """What a look from outside says of a term."""

    FINE = "fine"
    """It goes on, or nothing of it does."""
    OVER = "over"
    """Its time is over, and whoever sees to its end may not know yet."""
    OVERDUE = "overdue"
    """Something of it goes on for so long that others may hold the Lease any moment."""


def verdict(held: Held, now: float, wall: float, *, is_running: bool) -> Verdict:
    """Return what is to be said of a term at a moment.

    Args:
        held: How it was held last.
        now: The clock's time.
        wall: The wall time.
        is_running: Whether anything of it goes on.
    """
    if not is_running or not is_over(held, now, wall):
        return Verdict.FINE
    return Verdict.OVERDUE if now >= held.fence else Verdict.OVER
