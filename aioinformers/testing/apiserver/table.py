"""The objects of one resource, and a bounded log of their changes."""

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
        fields: Further fields that field selectors support.
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
        version: The resourceVersion of the change.
        item: The object after the change; for a deletion its final state, in the deletion's version.
        previous: The object before the change; None for an addition.
    """

    type: str
    version: int
    item: Stored
    previous: Stored | None


class LaggedBehindError(Exception):
    """The log has dropped changes that a slow watch has not read yet."""


class Table:
    """The objects of one resource, with a log for watches and for reads of the past.

    Args:
        resource: The resource.
        log_size: Number of changes that the log keeps.
        floor: The first value of ``floor`` and ``reached``.

    Attributes:
        resource: The resource.
        items: The objects by key.
        floor: The newest version that the log has forgotten; watches and lists can begin at it or later.
        reached: The newest version that the table is known to have reached: like a watch cache, it learns that from its
            own changes, and from reads of the most recent state.
        closed: Whether the resource is no longer served.
    """

    def __init__(self, resource: Resource, *, log_size: int, floor: int) -> None:
        self.resource: Resource = resource
        self.items: dict[str, Stored] = {}
        self.floor: int = floor
        self.reached: int = floor
        self.closed: bool = False
        self._log: list[Change] = []
        self._log_size = log_size
        self._dropped = 0  # number of forgotten changes, and so the position of the log's first one
        self._order: list[Stored] | None = None
        self._listeners: dict[Callable[[], None], None] = {}

    def ordered(self) -> list[Stored]:
        """Return all objects sorted by key, the order of lists and initial events; the result must not be changed."""
        if self._order is None:
            self._order = [self.items[key] for key in sorted(self.items)]
        return self._order

    def apply(self, change: Change) -> None:
        """Apply a change and call the listeners."""
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
        """Record that the log contains all changes up to a version."""
        self.reached = max(self.reached, version)

    def at(self, version: int) -> list[Stored]:
        """Return the objects of a version, sorted by key.

        Raises:
            StatusError: 410 if the log does not reach back to it.
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
        """Return the position of the first change after a version, where a watch from this version begins.

        Raises:
            StatusError: 410 if the log does not reach back to it.
        """
        too_old = f"too old resource version: {version} ({self.floor + 1})"
        return self._dropped + self._index_after(version, too_old)

    def end(self) -> int:
        """Return the position of the next change."""
        return self._dropped + len(self._log)

    def read(self, position: int, limit: int) -> Sequence[Change]:
        """Return up to ``limit`` changes, from a position on.

        Raises:
            LaggedBehindError: If the log has forgotten some of them.
        """
        if position < self._dropped:
            raise LaggedBehindError
        start = position - self._dropped
        return self._log[start : start + limit]

    def expire(self, version: int) -> None:
        """Forget all changes up to and including a version."""
        if version > self.floor:
            self._forget(bisect.bisect_right(self._log, version, key=_version_of))
            self.floor = version

    def reset(self, items: Mapping[str, Stored], version: int) -> None:
        """Replace all objects by those of a version, and forget the history before it."""
        self.items = dict(items)
        self.floor = self.reached = version
        self._dropped += len(self._log)
        self._log.clear()
        self._order = None

    def redefine(self, resource: Resource) -> None:
        """Serve the objects as those of a resource with other properties, which has the same name and version."""
        self.resource = resource

    def close(self) -> None:
        """End every watch: the resource is no longer served."""
        self.closed = True
        self._notify()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call a function after every change; return a function that ends this."""
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
