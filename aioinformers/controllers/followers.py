"""Which of a controller's caches show what it has written, and whether they do yet (G20)."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence

from aioinformers.controllers.memory import Seen, Write
from aioinformers.controllers.sources import Cache

__all__ = ["Followers"]


class Followers:
    """The caches of a controller; several may follow one resource.

    Args:
        caches: They; of one informer and of one resource the last one counts.

    Attributes:
        by_resource: One for each resource.
    """

    def __init__(self, caches: Sequence[Cache]) -> None:
        self.by_resource: dict[str, Cache] = {cache.resource: cache for cache in caches}
        self._all = tuple({cache.informer: cache for cache in caches}.values())

    def expect(self, write: Write, labels: Mapping[str, str]) -> Iterator[Write]:
        """Return a write once for each cache that is going to show it, or that the object leaves by it.

        Args:
            write: The write.
            labels: The object's labels.
        """
        for number, cache in enumerate(self._all):
            if cache.resource != write.resource or (not write.version and not cache.has_ties):
                continue  # where there are no ties, a deletion may be no more than begun, which cannot be told
            existed = cache.entry(write.key) is not None
            if existed or cache.shows(write.key, write.uid, labels):
                yield write._replace(existed=existed, cache=number)

    def seen(self, write: Write) -> Seen | None:
        """Return what the cache that a write is for holds of its object."""
        cache = self._all[write.cache]
        entry = cache.entry(write.key)
        if entry is not None:
            return Seen(entry.uid, entry.version, cache.ties(entry).is_ending)
        if write.version and cache.has_reached(write.key, write.uid, write.version):
            return Seen("", write.version, is_ending=True)  # it has come and gone
        return None

    async def wait_shown(self, write: Write) -> None:
        """Wait until the cache shows a write. Cancellation changes nothing."""
        dispatcher = self._all[write.cache].pipeline.dispatcher
        await dispatcher.wait_for(str(write.key), functools.partial(self._is_shown, write))

    def _is_shown(self, write: Write) -> bool:
        return write.is_shown_by(self.seen(write))
