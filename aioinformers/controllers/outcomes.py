"""Why a key is reconciled, and what comes of it. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from aioinformers.checks import require_number
from aioinformers.types import Cause, ObjectKey

__all__ = ["Requeue", "Terminal", "Trigger", "Why"]


class Why(enum.Enum):
    """What a trigger is. Members may be added later: match those you know, and ignore others."""

    OBJECT = "object"
    """The object itself has changed, is new, or is gone."""
    OWN_WRITE = "own write"
    """The object, or one that belongs to it, has changed by a write of this controller."""
    CHILD = "child"
    """An object that belongs to it (:meth:`Controller.owns`) has changed by a write of somebody else."""
    WATCHED = "watched"
    """An object has changed that leads to it (:meth:`Controller.watches`)."""
    PERIOD = "period"
    """The period given as ``every=`` is over."""
    REQUEST = "request"
    """Somebody has called :meth:`Controller.trigger`."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why a key is reconciled: one of at most eight that a run is told.

    Attributes:
        kind: What it is.
        key: The object that has changed; the reconciled one itself where there is no other.
        cause: What made the event; None where there is none.
        resource: Of the object that has changed, as ``plural.version.group``; empty where there is none.
    """

    kind: Why
    key: ObjectKey
    cause: Cause | None = None
    resource: str = ""

    def __str__(self) -> str:
        what = f"{self.kind.value} {self.resource} {self.key}".replace("  ", " ")
        return what if self.cause in (None, Cause.WATCH) else f"{what} ({self.cause.value})"


@dataclass(frozen=True, slots=True)
class Requeue:
    """What a reconcile function returns to be called again, if nothing calls it before.

    Args:
        after: Seconds.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is negative, infinite, or not a number.
    """

    after: float

    def __post_init__(self) -> None:
        require_number("Requeue(after=)", self.after)
        if self.after < 0:
            raise ValueError(f"Requeue(after=) must not be negative, not {self.after!r}")
        if self.after == float("inf"):
            raise ValueError("Requeue(after=) must be finite: return None to wait for the next change")


class Terminal(Exception):  # noqa: N818  it is an outcome
    """Raised by a reconcile function where repeating it does not help: it is called again when the object changes.

    Args:
        reason: Why, for logs and :meth:`Controller.failing`.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
