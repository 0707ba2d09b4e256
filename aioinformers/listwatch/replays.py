"""What a watch of several ranges tells again, as some of them had been followed further than it begins. Pure.

Ranges that were followed by a watch each are followed by one from the lowest of their versions on. What it tells of the
others up to the versions that these had reached has been told. So has what became of an object, if another one of its
name is stored that is younger: by uid, they may be of different ranges. For that time alone, versions are compared by
order: all are of one server's history, as no list comes in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aioinformers.objects.deltas import REJECT, Batch
from aioinformers.objects.layout import Entry
from aioinformers.objects.ranges import Field, Range, hash_field
from aioinformers.types import version_order

__all__ = ["Replays"]


class Replays:
    """Takes out of batches what has been told before.

    Args:
        by: The field by whose hash objects belong to ranges.
        reached: The resourceVersion that each range had reached, all of them decimal.
        stored_version: Gives the version of the stored object of a key; empty if there is none.

    Attributes:
        is_over: Nothing is told again any more.
    """

    def __init__(self, by: Field, reached: Mapping[Range, str], stored_version: Callable[[str], str]) -> None:
        self._by = by
        self._reached = [(begin, end, version_order(version)) for (begin, end), version in reached.items()]
        self._highest = max(version for _, _, version in self._reached)
        self._stored_version = stored_version
        self.is_over: bool = False

    def before(self, screen: Callable[[Batch], None] | None, on_end: Callable[[], None]) -> Callable[[Batch], None]:
        """Return what looks at each batch: another screen first, then this one, which says when it is over."""

        def both(batch: Batch) -> None:
            if screen is not None:
                screen(batch)
            self.screen(batch)
            if self.is_over:
                on_end()

        return both

    def screen(self, batch: Batch) -> None:
        """Take out of a batch, in place, what has been told before.

        What cannot be read does not say when it was: it is counted as lost, so that a list follows.
        """
        if self.is_over:
            return
        kept = []
        for delta in batch.deltas:
            operation, key, entry = delta
            if operation == REJECT or not isinstance(entry, Entry):
                batch.lost += 1
            elif version_order(entry.version) > max(self._reached_by(key, entry), self._stored(key)):
                kept.append(delta)
        batch.deltas = kept
        self.is_over = version_order(batch.version) >= self._highest

    def _stored(self, key: str) -> tuple[int, str]:
        return version_order(self._stored_version(key))

    def _reached_by(self, key: str, entry: Entry) -> tuple[int, str]:
        hashed = hash_field(entry.uid if self._by == "uid" else key.rpartition("/")[0])
        return next((version for begin, end, version in self._reached if begin <= hashed < end), (0, ""))
