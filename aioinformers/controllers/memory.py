"""What a controller has written, and whether its caches know it yet: it must not act on an older state (G20). Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

from aioinformers.types import ObjectKey, version_order

__all__ = ["LONGEST", "Seen", "Write", "WriteMemory"]

K = TypeVar("K", bound=Hashable)

LONGEST: Final = 10.0
"""Seconds after a write for which a key waits until the cache shows it; then it runs with what there is."""
MOST_OWN: Final = 4096
"""Own versions that are remembered, to tell own changes from those of others."""


class Seen(NamedTuple):
    """What a cache holds under a key.

    Attributes:
        uid: The object's uid.
        version: Its resourceVersion.
        is_ending: It has a deletionTimestamp.
    """

    uid: str
    version: str
    is_ending: bool


class Write(NamedTuple):
    """A write whose effect a cache is to show.

    Attributes:
        resource: What was written, as ``plural.version.group``.
        key: The object's key.
        uid: Its uid; empty if it is not known.
        version: The resourceVersion that the write gave it; empty for a deletion.
        at: The time of the write.
        existed: The cache had an object of this name then: if it has none later, that has been deleted.
        is_end: The write has ended the object, as it has removed the last finalizer. Servers answer with the version
            that the object had before (``deleteWithoutFinalizers`` in apiserver's registry), which a cache that still
            shows the finalizer holds already.
        cache: The number of the cache that is to show it; several may follow one resource.
    """

    resource: str
    key: ObjectKey
    uid: str
    version: str
    at: float
    existed: bool = False
    is_end: bool = False
    cache: int = 0

    def is_shown_by(self, seen: Seen | None) -> bool:
        """Tell whether a cache that holds this has got that far.

        A deletion is done when the object is gone, another one, or about to go; so is any write of an object that
        somebody has deleted meanwhile.
        """
        if self.is_end:
            return seen is None or seen.uid != self.uid
        if not self.version:
            return seen is None or (bool(self.uid) and seen.uid != self.uid) or seen.is_ending
        if seen is None:
            return self.existed
        if not (seen.version.isdecimal() and self.version.isdecimal()):
            return True  # nothing can be compared
        return version_order(seen.version) >= version_order(self.version)


class WriteMemory(Generic[K]):
    """The writes of a controller that its caches may not show yet, by the key whose run has made them."""

    def __init__(self) -> None:
        self._writes: dict[K, dict[tuple[str, ObjectKey, int], Write]] = {}
        self._own: dict[tuple[str, ObjectKey, str], None] = {}

    def note(self, key: K, write: Write) -> None:
        """Remember a write of a run; of two of one object the later one counts, for each cache."""
        self._writes.setdefault(key, {})[write.resource, write.key, write.cache] = write
        is_deletion = write.is_end or not write.version
        if mark := write.uid if is_deletion else write.version:
            self._own[write.resource, write.key, mark] = None
            if len(self._own) > MOST_OWN:
                del self._own[next(iter(self._own))]

    def is_own(self, resource: str, key: ObjectKey, mark: str) -> bool:
        """Tell whether the controller has made a change.

        Args:
            resource: The resource of what was changed.
            key: Its key.
            mark: The version that the change gave it; of a deletion, its uid.
        """
        return (resource, key, mark) in self._own

    def pending(self, key: K, now: float, seen: Callable[[Write], Seen | None]) -> list[Write]:
        """Return the writes of a key that its caches do not show yet; forget those that they show.

        Args:
            key: The key.
            now: The time.
            seen: Returns what the cache holds of the object of a write.
        """
        writes = self._writes.get(key)
        if writes is None:
            return []
        for place, write in list(writes.items()):
            if write.is_shown_by(seen(write)):
                del writes[place]
        if not writes:
            del self._writes[key]
            return []
        return list(writes.values())

    def forget(self, key: K, writes: Iterable[Write]) -> None:
        """Wait for some writes no longer."""
        known = self._writes.get(key, {})
        for write in writes:
            known.pop((write.resource, write.key, write.cache), None)
        if not known:
            self._writes.pop(key, None)
