"""A list of one scope on its way in, and what it changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from aioinformers.cache.indexer import Partition
from aioinformers.cache.siblings import Displaced
from aioinformers.delivery.mailbox import ADDED, DELETED, UPDATED, InitialState, Record, ReleasedState
from aioinformers.objects.deltas import DELETE, UPSERT, Delta
from aioinformers.objects.layout import Entry
from aioinformers.types import Cause

__all__ = ["Staging", "initial_state", "released_state"]

SEGMENT = 1024
"""Records per segment of a list: long enough to be cheap to hand to many mailboxes, short enough to be freed soon."""


class Staging:
    """A partition that is filled beside the store, and then compared with the one that it is to replace.

    Attributes:
        partition: What the list has brought so far.
        unreadable: Items that could not even be told what they are about.
        segments: What consumers have to be told; empty before the end of the list.
        displaced: Objects of other ranges that have successors in this list.
        counts: How many of these records are ADDED, UPDATED and DELETED.
    """

    def __init__(self, index_count: int) -> None:
        self.partition: Partition = Partition(index_count)
        self.unreadable: int = 0
        self.segments: list[Sequence[Record]] = []
        self.displaced: list[Displaced] = []
        self.counts: list[int] = [0, 0, 0]
        self._segment: list[Record] = []

    def put(self, deltas: Iterable[Delta], live: Mapping[str, Entry]) -> list[tuple[str, str]]:
        """Add some of the list's objects; return those that could not be read, by key, and why.

        Args:
            deltas: The objects; of a stream of initial objects also what happened to them meanwhile.
            live: What the store holds of the scope.
        """
        staged = self.partition
        rejected = staged.rejected
        refused: list[tuple[str, str]] = []
        for operation, key, entry in deltas:
            if operation == UPSERT:
                old = live.get(key)
                if old is not None and old.is_same_version(entry):
                    entry = old  # the new bytes are dropped
                staged.put(key, entry)
                rejected.pop(key, None)
            elif operation == DELETE:
                staged.remove(key)
                rejected.pop(key, None)
            else:
                rejected[key] = entry
                refused.append((key, entry))
                if key in live and key not in staged.objects:
                    staged.put(key, live[key])  # a known key keeps its last good version (G11)
        return refused

    def begin(self, cause: Cause = Cause.LIST) -> None:
        """Take all objects as new: nothing has been told of the scope before."""
        self.segments = initial_state(self.partition, cause)
        self.counts[ADDED] = len(self.partition.objects)

    def compare(self, old: Partition) -> Iterator[None]:
        """Find what a further list changes, deletions first, a step per object; from the beginning each time."""
        cause = Cause.RELIST
        self.segments, self._segment, self.counts = [], [], [0, 0, 0]
        before, after = old.objects, self.partition.objects
        for key, entry in before.items():
            now = after.get(key)
            if now is None or now.uid != entry.uid:
                self._add(Record(DELETED, key, entry, entry, cause, known=False))
            yield
        for key, entry in after.items():
            was = before.get(key)
            if was is None or was.uid != entry.uid:
                self._add(Record(ADDED, key, entry, None, cause))
            elif was is not entry and not was.is_same_version(entry):
                self._add(Record(UPDATED, key, entry, was, cause))
            yield

    def _add(self, record: Record) -> None:
        if not len(self._segment) % SEGMENT:
            self._segment = []
            self.segments.append(self._segment)
        self._segment.append(record)
        self.counts[record.type] += 1


def initial_state(partition: Partition, cause: Cause = Cause.LIST) -> list[Sequence[Record]]:
    """Return what a consumer that knows nothing has to be told; a record is made when it is taken."""
    return _segments(InitialState, partition, cause)


def released_state(partition: Partition) -> list[Sequence[Record]]:
    """Return what consumers have to be told of a partition that goes; a record is made when it is taken."""
    return _segments(ReleasedState, partition, Cause.SHARD)


def _segments(state: type[InitialState], partition: Partition, cause: Cause) -> list[Sequence[Record]]:
    keys, entries = list(partition.objects), list(partition.objects.values())
    return [state(keys[at : at + SEGMENT], entries[at : at + SEGMENT], cause) for at in range(0, len(keys), SEGMENT)]
