"""What a consumer has yet to be given: exact up to a limit, then merged per key. Pure.

The dispatcher hands every mailbox the same list of records by reference; nothing is made per consumer until its
backlog overflows. Whatever is merged, replaying the records gives the store's state (G8).
"""

from __future__ import annotations

import operator
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, overload

import msgspec

from aioinformers.objects.layout import Entry
from aioinformers.types import Cause

__all__ = [
    "ADDED", "DELETED", "RELEASED", "UPDATED", "InitialState", "KeyedMailbox", "Mailbox", "Observer", "Record",
    "ReleasedState", "merge",
]  # fmt: skip

ADDED, UPDATED, DELETED, RELEASED = range(4)

SEGMENT = 1024
"""Records of an overflow that are taken, or looked at, without a pause."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One change of one object, shared by all consumers that have not merged it.

    Attributes:
        type: ADDED, UPDATED, DELETED or RELEASED: the informer does not follow it any more.
        key: Internal key.
        entry: The new state; of what is gone or let go of the final or last known one.
        base: What the consumer was last given before; None for ADDED.
        cause: What made the change.
        arrived: Loop time at which a watch brought it, the earliest of what was merged; 0 of anything else.
        initial: ADDED: it was there when the consumer joined.
        known: DELETED: the server reported it.
    """

    type: int
    key: str
    entry: Entry
    base: Entry | None
    cause: Cause
    arrived: float = 0.0
    initial: bool = False
    known: bool = True


Pending: TypeAlias = tuple[Record, ...]
"""One record of a key, or two: that it is gone or let go of, and the addition after it."""


def merge(pending: Pending, incoming: Record) -> Pending:
    """Merge a record into the undelivered ones of its key; an empty result means that nothing is left to tell."""
    if not pending:
        return (incoming,)
    tail, before = pending[-1], pending[:-1]
    arrived = tail.arrived or incoming.arrived
    if incoming.cause is Cause.RESYNC and tail.type < DELETED:
        return pending  # whatever is pending brings the current state anyway
    match tail.type, incoming.type:
        case 0, 1:
            return (*before, Record(ADDED, tail.key, incoming.entry, None, tail.cause, arrived, tail.initial))
        case 0, (2 | 3):
            return before
        case 1, 1:
            return (*before, Record(UPDATED, tail.key, incoming.entry, tail.base, incoming.cause, arrived))
        case 1, 2:
            last, cause = incoming.entry, incoming.cause
            return (*before, Record(DELETED, tail.key, last, tail.base, cause, arrived, known=incoming.known))
        case 1, 3:
            return (*before, Record(RELEASED, tail.key, incoming.entry, tail.base, incoming.cause, arrived))
        case ((2 | 3), 0):
            return (tail, incoming)
    raise AssertionError(f"a store cannot produce {incoming.type} after {tail.type} for one key")


class InitialState(Sequence[Record]):
    """A slice of the store as one initial addition per object; the records are made when they are taken.

    Args:
        keys: The objects' keys.
        entries: The objects.
        cause: Why they are told of.

    Attributes:
        keys: The objects' keys.
        cause: Why they are told of.
        takers: Mailboxes that are still to take it: as long as there are some, the records are kept for them.
    """

    def __init__(self, keys: Sequence[str], entries: Sequence[Entry], cause: Cause = Cause.LIST) -> None:
        self.keys: Sequence[str] = keys
        self.cause: Cause = cause
        self.takers: int = 0
        self._entries = entries
        self._cause = cause
        self._records: list[Record] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Record]:
        records = self._records
        if records is None:
            records = self._make(zip(self.keys, self._entries, strict=True))
        self.takers -= 1
        self._records = records if self.takers > 0 else None
        return iter(records)

    def _make(self, items: Iterable[tuple[str, Entry]]) -> list[Record]:
        cause = self.cause
        return [Record(ADDED, key, entry, None, cause, initial=True) for key, entry in items]

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return type(self)(self.keys[index], self._entries[index], self.cause)
        return list(self)[index]


class ReleasedState(InitialState):
    """A slice of what the informer follows no more, as one release per object."""

    def _make(self, items: Iterable[tuple[str, Entry]]) -> list[Record]:
        cause = self.cause
        return [Record(RELEASED, key, entry, entry, cause) for key, entry in items]


class Mailbox:
    """Records on their way to one consumer, in store order until they overflow.

    ``exact`` holds up to ``limit`` records as they came. Beyond it they go to ``overflow``, one or two per key at
    the key's first position, until the consumer has taken all of ``exact``: then ``overflow`` becomes ``exact``.
    The segments of a list are taken whole while there is room: the store holds their objects anyway. Without room
    they wait, for whoever put them to have them merged one at a time: there may be a hundred thousand records.

    Attributes:
        pending: Records that the consumer has not settled, those inside handlers included.
        initial_pending: Of these, the ones that belong to its initial state.
        coalesced: Records that were absorbed by merging.
        high_water: The largest ``pending`` there ever was.
        is_idle: The consumer found nothing to take and waits for ``wake``.
        wake: Called when something has been put while the consumer was idle.
        initial_done: Called when ``initial_pending`` falls to zero.
    """

    def __init__(self, limit: int | None = 1024) -> None:
        self.limit: int = sys.maxsize if limit is None else limit
        self.pending: int = 0
        self.initial_pending: int = 0
        self.coalesced: int = 0
        self.high_water: int = 0
        self.is_idle: bool = False
        self.wake: Callable[[], None] = lambda: None
        self.initial_done: Callable[[], None] = lambda: None
        self._exact: deque[Sequence[Record]] = deque()
        self._merged: deque[Pending] = deque()  # what the overflow was when it became exact; before all of exact
        self._overflow: dict[str, Pending] = {}
        self._unmerged: deque[Sequence[Record]] = deque()
        self._taken: Sequence[Record] = ()
        self._cursor: Iterator[Record] = iter(())

    def put(self, segment: Sequence[Record]) -> None:
        """Add the records of one batch, in store order; the segment must not change afterwards: others hold it too."""
        count = len(segment)
        if self._unmerged:
            self._unmerged.append(segment)
            self.pending += count
        elif not self._overflow and count <= self.limit - self.pending:
            self._exact.append(segment)
            self.pending += count
        else:
            self._put_over_limit(segment)
        self._after_put()

    def put_list(self, segments: Sequence[Sequence[Record]], initial: int) -> None:
        """Add the records of a list at once; ``merge_next`` is to be called until nothing is left to merge.

        Args:
            segments: Its records in order.
            initial: How many of them belong to the consumer's initial state.
        """
        self.initial_pending += initial
        has_room = not (self._overflow or self._unmerged) and self.pending < self.limit
        (self._exact if has_room else self._unmerged).extend(segments)
        for segment in segments:
            if isinstance(segment, InitialState):
                segment.takers += 1
        self.pending += sum(map(len, segments))
        self._after_put()

    def merge_next(self) -> bool:
        """Merge one segment of a list that there was no room for; return whether there was one."""
        if not self._unmerged:
            return False
        segment = self._unmerged.popleft()
        self.pending -= len(segment)
        self._put_over_limit(segment)
        self._after_put()
        return True

    def _after_put(self) -> None:
        if self.pending > self.high_water:
            self.high_water = self.pending
        if self.is_idle and self.pending:
            self.is_idle = False
            self.wake()

    def _put_over_limit(self, segment: Sequence[Record]) -> None:
        room = self.limit - self.pending
        if not self._overflow and room > 0:
            exact, segment = segment[:room], segment[room:]
            self._exact.append(exact)
            self.pending += len(exact)
        for record in segment:
            self.pending += 1
            before = self._overflow.get(record.key, ())
            after = merge(before, record)
            if after:
                self._overflow[record.key] = after
            else:
                del self._overflow[record.key]
            self._account(before, record, after)

    def _account(self, before: Pending, record: Record, after: Pending) -> None:
        """Count what merging a pending record has absorbed: absorbed records count as handled."""
        absorbed = len(before) + 1 - len(after)
        if not absorbed:
            return
        self.pending -= absorbed
        self.coalesced += absorbed
        if initial := sum(r.initial for r in before) + record.initial - sum(r.initial for r in after):
            self.initial_pending -= initial
            if not self.initial_pending:
                self.initial_done()

    def take(self) -> Iterator[Record] | None:
        """Return the next records to deliver, or None if there are none; the taken ones stay pending until settled."""
        if not (self._merged or self._exact):
            if self._overflow:
                self._merged = deque(self._overflow.values())
                self._overflow = {}
            elif self._unmerged:
                self._exact.append(self._unmerged.popleft())
            else:
                return None
        if self._merged:
            count = min(len(self._merged), SEGMENT)
            self._taken = [record for _ in range(count) for record in self._merged.popleft()]
        else:
            self._taken = self._exact.popleft()
        self._cursor = iter(self._taken)
        return self._cursor

    @property
    def rest(self) -> Iterator[Record]:
        """What is left of the records that were taken last: a worker that ends leaves them to the next one."""
        return self._cursor

    def settle(self, record: Record) -> None:
        """Count one record as dealt with."""
        self.pending -= 1
        if record.initial:
            self.initial_pending -= 1
            if not self.initial_pending:
                self.initial_done()

    def pending_keys(self) -> Iterator[set[str]]:
        """Yield the keys that have an undelivered record now, some at a time, so that others may run in between."""
        left = operator.length_hint(self._cursor)
        segments = [self._taken[len(self._taken) - left :], *self._exact, *self._unmerged]
        overflow, merged = list(self._overflow), list(self._merged)
        for segment in segments:
            yield set(segment.keys) if isinstance(segment, InitialState) else {record.key for record in segment}
        for at in range(0, len(overflow), SEGMENT):
            yield set(overflow[at : at + SEGMENT])
        for at in range(0, len(merged), SEGMENT):
            yield {pending[0].key for pending in merged[at : at + SEGMENT]}

    def clear(self) -> list[Any]:
        """Drop everything that has not been taken; return what it was, for whoever lets go of it in slices."""
        dropped = sum(map(len, (*self._merged, *self._exact, *self._overflow.values(), *self._unmerged)))
        rest = [self._merged, *self._exact, self._overflow, *self._unmerged]
        self._merged = deque()
        self._exact = deque()
        self._overflow = {}
        self._unmerged = deque()
        self._drop(dropped)
        return rest

    def _drop(self, count: int) -> None:
        self.pending -= count


class Observer(Mailbox):
    """Stands among the mailboxes, and shows somebody what is put into them. Nothing waits here.

    Args:
        told: Called with the records of each batch of events, and with each segment of a list, in the loop's thread; it
            returns at once, whatever their number, and never raises.
    """

    def __init__(self, told: Callable[[Sequence[Record]], None]) -> None:
        super().__init__(None)
        self._told = told

    def put(self, segment: Sequence[Record]) -> None:
        """Show the records of one batch."""
        self._told(segment)

    def put_list(self, segments: Sequence[Sequence[Record]], initial: int) -> None:
        """Show the segments of a list."""
        for segment in segments:
            self._told(segment)


class KeyedMailbox(Mailbox):
    """A mailbox for several workers: a key is with one worker at a time, and a busy key blocks only itself.

    Records of a busy key are parked in its lane and merged there once ``limit`` are parked in all.
    """

    def __init__(self, limit: int | None = 1024) -> None:
        super().__init__(limit)
        self._lanes: dict[str, deque[Record]] = {}
        self._parked = 0
        self._abandoned: deque[str] = deque()

    def next(self) -> Record | None:
        """Return the next record whose key is free, and make the key busy."""
        lanes = self._lanes
        while self._abandoned:
            parked = self.release(self._abandoned.popleft())
            if parked is not None:
                return parked
        while True:
            for record in self._cursor:
                if record.key not in lanes:
                    lanes[record.key] = _NO_LANE
                    return record
                self._park(record)
            if self.take() is None:
                return None

    def release(self, key: str) -> Record | None:
        """Return the next record of a key that a worker has done with, or make the key free."""
        lane = self._lanes[key]
        if lane:
            self._parked -= 1
            return lane.popleft()
        del self._lanes[key]
        return None

    def abandon(self, key: str) -> None:
        """Give up a key, as its worker ends: what is parked in its lane is the next to be taken."""
        if self._lanes[key]:
            self._abandoned.append(key)
        else:
            del self._lanes[key]

    def _park(self, record: Record) -> None:
        lane = self._lanes[record.key]
        if lane is _NO_LANE:
            lane = self._lanes[record.key] = deque()
        if self._parked < self.limit or not lane:
            lane.append(record)
            self._parked += 1
            return
        before: Pending = (lane.pop(),)
        after = merge(before, record)
        lane.extend(after)
        self._parked += len(after) - len(before)
        self._account(before, record, after)

    @property
    def busy_keys(self) -> list[str]:
        """The keys that workers hold."""
        return list(self._lanes)

    def pending_keys(self) -> Iterator[set[str]]:
        """Yield the keys that have an undelivered record now, some at a time, so that others may run in between."""
        yield {key for key, lane in self._lanes.items() if lane}
        yield from super().pending_keys()

    def clear(self) -> list[Any]:
        """Drop everything that no worker holds; return what it was, for whoever lets go of it in slices."""
        left = operator.length_hint(self._cursor)
        self._drop(left + self._parked)
        rest: list[Any] = [self._taken, *(lane.copy() for lane in self._lanes.values())]
        self._cursor, self._taken = iter(()), ()
        for lane in self._lanes.values():
            lane.clear()
        self._parked = 0
        return [*rest, *super().clear()]


_NO_LANE: deque[Record] = deque(maxlen=0)
