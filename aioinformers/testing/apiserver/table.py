"""One resource's objects and the bounded log of what happened to them."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["ADDED", "DELETED", "MODIFIED", "Change", "LaggedBehindError", "Stored", "Table"]

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"

_version_of = attrgetter("version")


class Stored(msgspec.Struct, frozen=True, gc=False):
    """One version of an object.

    Attributes:
        key: ``namespace/name``, or the name of a cluster-scoped object.
        namespace: Its namespace or ``""``.
        name: Its name.
        uid: Its uid.
        version: Its resourceVersion.
        body: The whole object, encoded as a WATCH sends it.
        labels: Its labels.
        fields: Further fields that a field selector may ask for.
    """

    key: str
    namespace: str
    name: str
    uid: str
    version: int
    body: bytes
    labels: Mapping[str, str]
    fields: Mapping[str, str]


class Change(msgspec.Struct, frozen=True, gc=False):
    """One entry of the log.

    Attributes:
        type: ``ADDED``, ``MODIFIED`` or ``DELETED``.
        version: The resourceVersion that it made.
        item: The object after it; for a deletion its final state, in the deletion's version.
        previous: The object before it.
    """

    type: str
    version: int
    item: Stored
    previous: Stored | None


class LaggedBehindError(Exception):
    """A watch has not read for so long that the log has dropped what it needs next."""


class Table:
    """Objects of one resource, with the log that watches and reads of the past are served from.

    The log keeps ``log_size`` changes. ``floor`` is the newest version that it has forgotten: a watch
    may start at the floor or later, a list may be read at the floor or later. ``reached`` is the newest
    version that it is known to be at: like a watch cache, it knows that from its own changes, and from
    reads that asked for the most recent state.
    """

    def __init__(self, resource: Resource, *, log_size: int, floor: int) -> None:
        self.resource = resource
        self.items: dict[str, Stored] = {}
        self.floor: int = floor
        self.reached: int = floor
        self.closed: bool = False
        self._log: list[Change] = []
        self._log_size = log_size
        self._dropped = 0  # changes forgotten so far: the log's position 0 is change number _dropped
        self._order: list[Stored] | None = None
        self._listeners: dict[Callable[[], None], None] = {}

    def ordered(self) -> list[Stored]:
        """Return all objects by key, as lists and initial events are ordered. Not to be changed."""
        if self._order is None:
            self._order = [self.items[key] for key in sorted(self.items)]
        return self._order

    def apply(self, change: Change) -> None:
        """Make a change and tell everyone who listens."""
        if change.type == DELETED:
            del self.items[change.item.key]
        else:
            self.items[change.item.key] = change.item
        self._order = None
        self.reached = change.version
        self._log.append(change)
        if len(self._log) > self._log_size:
            self._forget(len(self._log) - self._log_size)
        self._notify()

    def reach(self, version: int) -> None:
        """Take note that nothing has happened up to a version but what the log has."""
        self.reached = max(self.reached, version)

    def at(self, version: int) -> list[Stored]:
        """Return the objects, by key, as they were at a version.

        Raises:
            StatusError: 410, if the log does not reach back so far.
        """
        newer = self._log[self._index_after(version, "The resourceVersion for the provided list is too old.") :]
        if not newer:
            return self.ordered()
        past = dict(self.items)
        for change in reversed(newer):
            if change.previous is None:
                del past[change.item.key]
            else:
                past[change.item.key] = change.previous
        return [past[key] for key in sorted(past)]

    def position_after(self, version: int) -> int:
        """Return the position of the first change after a version, where a watch from it starts.

        Raises:
            StatusError: 410, if the log does not reach back so far.
        """
        too_old = f"too old resource version: {version} ({self.floor + 1})"
        return self._dropped + self._index_after(version, too_old)

    def end(self) -> int:
        """Return the position of the next change."""
        return self._dropped + len(self._log)

    def read(self, position: int, limit: int) -> Sequence[Change]:
        """Return up to ``limit`` changes from a position on.

        Raises:
            LaggedBehindError: If some of them have been forgotten.
        """
        if position < self._dropped:
            raise LaggedBehindError
        start = position - self._dropped
        return self._log[start : start + limit]

    def expire(self, version: int) -> None:
        """Forget every change up to a version, included."""
        if version > self.floor:
            self._forget(bisect.bisect_right(self._log, version, key=_version_of))
            self.floor = version

    def reset(self, items: Mapping[str, Stored], version: int) -> None:
        """Hold other objects, as of a version, and no history before it."""
        self.items = dict(items)
        self.floor = self.reached = version
        self._dropped += len(self._log)
        self._log.clear()
        self._order = None

    def close(self) -> None:
        """End every watch: the resource is no longer served."""
        self.closed = True
        self._notify()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after every change; returns what ends it."""
        self._listeners[callback] = None
        return lambda: self._listeners.pop(callback, None)

    def _index_after(self, version: int, too_old: str) -> int:
        if version < self.floor:
            raise StatusError.expired(too_old)
        return bisect.bisect_right(self._log, version, key=_version_of)

    def _forget(self, count: int) -> None:
        if count:
            self.floor = max(self.floor, self._log[count - 1].version)
            self._dropped += count
            del self._log[:count]

    def _notify(self) -> None:
        for callback in tuple(self._listeners):
            callback()
