"""Applies deltas to the store and hands the resulting records to the mailboxes: the store's only writer.

A watch batch is applied, store and fan-out, in one plain ``def``: nobody can run in between, so that whoever
joins needs no lock (G2, G4). A list is staged beside the store in short slices and committed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import get_ident
from time import perf_counter
from typing import Generic, Protocol, TypeVar

from aioinformers.cache.indexer import Partition, Store
from aioinformers.cache.packing import Packing
from aioinformers.cache.rescoping import Rescoping, parts_of
from aioinformers.cache.scopes import Scopes
from aioinformers.cache.siblings import Displaced, displacing, remove_older
from aioinformers.cache.slices import Slices
from aioinformers.cache.staging import Staging, initial_state
from aioinformers.cache.waits import Waits
from aioinformers.delivery.mailbox import ADDED, DELETED, UPDATED, Mailbox, Observer, Record
from aioinformers.objects.deltas import DELETE, UPSERT, Batch, Delta
from aioinformers.objects.layout import Entry
from aioinformers.queue import (
    Disown,
    QueueItem,
    Reindex,
    ReplaceAbort,
    ReplaceBatch,
    ReplaceBegin,
    ReplaceEnd,
    Rescope,
    Unite,
    Unmute,
    WatchBatch,
)
from aioinformers.statistics import Histogram
from aioinformers.types import Cause, Scope, version_order

__all__ = ["Dispatcher", "Journal"]

T = TypeVar("T")

SLICE = 512
"""Objects per slice of the store, for a resync."""

APPLYING_BOUNDS = (0.0001, 0.001, 0.01, 0.1)
"""Seconds: upper bounds of the times for a batch that are told apart."""


@dataclass(slots=True)
class DispatchCounts:
    """What has gone through the dispatcher."""

    added: int = 0
    updated: int = 0
    deleted: int = 0
    released: int = 0
    lists: int = 0
    unreadable: int = 0


class Journal(Protocol):
    """Notes which objects have changed, to store them. It returns at once, whatever their number, and never raises."""

    def note(self, scope: Scope, records: Sequence[Record]) -> None:
        """Note some changes."""

    def note_list(self, scope: Scope, segments: Sequence[Sequence[Record]], *, is_first: bool) -> None:
        """Note a list's changes; a first list is all there is."""


class Dispatcher(Generic[T]):
    """Owns the writing side of one informer's store.

    Args:
        store: The informer's store.
        queue: Where the reflectors put their batches.
        time_slice: Seconds of work after which other tasks may run.
        on_synced: Called once, when every scope's first list has been committed.
        on_rejected: Told of each object that could not be read: its key, and why.

    Attributes:
        store: The store.
        queue: The queue.
        counts: What has gone through it.
        applying: Counts the seconds that batches take; None if nobody has had that measured.
        journal: Is told what changes; None if nothing is stored.
        serves_stale: Whether what an earlier process has stored may be read before it is known to be current.
    """

    def __init__(
        self,
        store: Store[T],
        queue: asyncio.Queue[QueueItem],
        time_slice: float,
        on_synced: Callable[[], None],
        on_rejected: Callable[[str, str], None] = lambda _key, _reason: None,
    ) -> None:
        self.store = store
        self.queue = queue
        self.counts: DispatchCounts = DispatchCounts()
        self.applying: Histogram | None = None
        self.journal: Journal | None = None
        self.serves_stale: bool = False
        self._stored: set[Scope] = set()  # scopes that have the objects of an earlier process, and have not synced
        self._goals: dict[Scope, str] = {}  # the versions that make them synced
        self._is_measured = False
        self._slices = Slices(time_slice)
        self._on_synced = on_synced
        self._on_rejected = on_rejected
        self._mailboxes: dict[Mailbox, None] = {}  # a dict: registration order, removal in O(1)
        self._staging: dict[Scope, Staging] = {}
        self._scopes = Scopes(store)
        self._rescoping = Rescoping(store, self._scopes, self, self._slices)
        self._waits = Waits()
        self._is_waiting = False
        self._item: QueueItem | None = None
        self._staged: Batch | None = None  # of a ReplaceBatch: it is not to be staged twice
        packer = store.layout.object_type.packer
        self._packing: Packing | None = None if packer is None else Packing(packer)

    @property
    def rejected(self) -> dict[str, str]:
        """Objects that could not be read, and why."""
        reasons: dict[str, str] = {}
        for partition in list(self.store.partitions.values()):
            reasons |= partition.rejected  # at once: other threads may ask
        return reasons

    def count_rejected(self) -> int:
        """Return how many objects could not be read; other threads may ask."""
        return sum([len(partition.rejected) for partition in list(self.store.partitions.values())])

    def join(self, mailbox: Mailbox) -> None:
        """Add a consumer; it first gets every stored object as an initial addition (G4).

        Plain ``def``: between the snapshot and the joining nothing can change.
        """
        segments = [segment for partition in self.store.partitions.values() for segment in initial_state(partition)]
        if segments:
            mailbox.put_list(segments, len(self.store))
        self._mailboxes[mailbox] = None

    def look_at_sync(self) -> None:
        """Note that there is nothing to wait for, if no scope is followed."""
        self.store.is_open = self.store.is_synced
        if self.store.is_synced:
            self._on_synced()

    def measure(self, *, is_on: bool) -> None:
        """Count from now on how long it takes to apply batches of events, or do so no more."""
        if is_on and self.applying is None:
            self.applying = Histogram(APPLYING_BOUNDS)
        self._is_measured = is_on

    def attach(self, observer: Observer) -> None:
        """Let somebody see what is told to consumers from now on; :meth:`leave` ends that."""
        self._mailboxes[observer] = None

    def leave(self, mailbox: Mailbox) -> None:
        """Remove a consumer; nothing more is put into its mailbox."""
        self._mailboxes.pop(mailbox, None)

    def is_synced(self) -> bool:
        """Tell whether every scope's first list has been committed."""
        return self.store.is_synced

    def slices(self) -> Iterator[list[tuple[str, Entry]]]:
        """Yield the stored objects in slices, each current when it is yielded."""
        store = self.store
        keys = store.all_keys()
        for at in range(0, len(keys), SLICE):
            entries = ((key, store.get(key)) for key in keys[at : at + SLICE])
            yield [(key, entry) for key, entry in entries if entry is not None]

    async def run(self) -> None:
        """Apply queue items until cancelled; run again, go on where that was.

        Cancellation lands between batches, or in the middle of a list or of a change of indexes: what had been seen by
        readers and consumers stays, and a further run does the rest.
        """
        time = asyncio.get_running_loop().time
        packing = self._packing
        self.store.writer = get_ident()
        await self._finish_item()
        while True:
            if self.queue.empty():
                if packing is not None and packing.waiting:
                    await self._slices.pause()
                    await self._pack()
                    continue
                self._is_waiting = True
                try:
                    item = await self.queue.get()
                finally:
                    self._is_waiting = False
                self._slices.begin()
            else:
                item = self.queue.get_nowait()
            if type(item) is WatchBatch:
                self.apply(item)
                self.queue.task_done()
            else:
                self._item = item
                await self._finish_item()
            if self._slices.is_over(time()):
                await self._slices.pause()
                await self._pack()

    @property
    def takes_offers(self) -> bool:
        """Whether :meth:`offer` would take a batch now, and those that follow it before anybody else runs."""
        return self._is_waiting and self._packing is None and self.queue.empty()

    def offer(self, item: WatchBatch) -> bool:
        """Apply a batch here and now if the dispatcher has nothing else to do; else it has to be queued.

        It saves a lone event one of the loop's turns. Plain ``def``, and only while ``run`` waits at an empty queue:
        nothing is overtaken, and what ``run`` does in several slices is done. Packing is for ``run`` alone.
        """
        if not self.takes_offers:
            return False
        self.apply(item)
        return True

    async def _finish_item(self) -> None:
        """Deal with the item that has been taken and not been dealt with, in a run before this one perhaps."""
        if self._item is not None:
            await self._handle(self._item)
            self._item = self._staged = None
            self.queue.task_done()

    async def _handle(self, item: QueueItem) -> None:
        """Deal with what may take several slices. Nothing else writes meanwhile; consumers may join and leave.

        Each case may be begun again from its first line, wherever it was cancelled.
        """
        await self.merge()
        await self._pack()
        match item:
            case ReplaceBegin(scope=scope, begun=begun):
                await self.drop(scope)
                if self.store.partition(scope) is not None:
                    self._staging[scope] = Staging(len(self.store.layout.names))
                _resolve(begun)
            case ReplaceBatch(scope=scope, batch=batch):
                if self._staged is not batch:
                    self._stage(scope, batch)
                    self._staged = batch
                await self._pack()  # nobody is told of these objects yet, and there may be a hundred thousand
            case ReplaceEnd():
                if item.kind:
                    self.store.layout.object_type.learn_kind(item.kind, item.api_version)
                await self._replace(item)
            case ReplaceAbort(scope=scope):
                await self.drop(scope)
            case Disown():
                await self._rescoping.disown(item)
            case Reindex():
                await self._reindex(item)
            case Rescope():
                self._stored -= item.removed
                for scope in item.removed:
                    self._goals.pop(scope, None)
                await self._rescoping.rescope(item)
            case Unite():
                await self._rescoping.unite(item)
            case Unmute():
                await self._rescoping.unmute(item)
            case _:
                raise AssertionError(f"unknown queue item {item!r}")

    # -- watch ------------------------------------------------------------------------------------------------

    def apply(self, item: WatchBatch) -> None:
        """Apply one watch batch to the store and hand its records to all mailboxes. Never blocks."""
        if not self._is_measured:
            self._apply(item)
            return
        assert self.applying is not None, "measure() has made it"
        begin = perf_counter()
        self._apply(item)
        self.applying.note(perf_counter() - begin)

    def _apply(self, item: WatchBatch) -> None:
        batch = item.batch
        deltas = self._current(batch)
        partition = self.store.partitions.get(item.scope)
        if partition is None:
            partition = self._scopes.apply_unseen(item.scope, deltas, batch.version)
            if self._packing is not None and partition is not None:
                self._packing.waiting.append((partition, deltas))
            return
        if item.scope.ranges and (others := self._scopes.siblings(item.scope)):
            deltas, displaced = displacing(deltas, others)
            records = self.remove(displaced, Cause.WATCH) + self._put(partition, deltas, item.arrived)
        else:
            records = self._put(partition, deltas, item.arrived)
        if batch.version:
            partition.version = batch.version
        self.counts.unreadable += batch.unreadable
        waits = self._waits
        if records:
            for mailbox in self._mailboxes:
                mailbox.put(records)
            if waits.for_keys:
                waits.wake_keys(record.key for record in records)
        if waits.for_versions:
            waits.wake_versions()
        if self._packing is not None:
            self._packing.waiting.append((partition, deltas))
        if self.journal is not None and records:
            self.journal.note(item.scope, records)
        if self._goals:
            self._look_at_goal(item.scope)

    def _put(self, partition: Partition, deltas: Iterable[Delta], arrived: float) -> list[Record]:
        """Apply deltas that arrived at some time; return what consumers have to be told of them, in order."""
        records: list[Record] = []
        add, put, rejected, counts = records.append, partition.put, partition.rejected, self.counts
        watch = Cause.WATCH  # looked up once: a member of an enum is not found as fast as other attributes
        for operation, key, entry in deltas:
            if operation == UPSERT:
                old = put(key, entry)
                if old is None:
                    counts.added += 1
                    add(Record(ADDED, key, entry, None, watch, arrived))
                elif old.uid != entry.uid:  # deleted and created again unseen
                    counts.deleted += 1
                    counts.added += 1
                    add(Record(DELETED, key, old, old, watch, arrived, known=False))
                    add(Record(ADDED, key, entry, None, watch, arrived))
                elif old.version != entry.version or not old.is_same_version(entry):
                    counts.updated += 1
                    add(Record(UPDATED, key, entry, old, watch, arrived))
                if rejected:
                    rejected.pop(key, None)
            elif operation == DELETE:
                old = partition.remove(key)
                if old is not None:
                    counts.deleted += 1
                    add(Record(DELETED, key, old if entry is None else entry, old, watch, arrived))
                rejected.pop(key, None)
            else:
                rejected[key] = entry
                self._on_rejected(key, entry)
        return records

    def _current(self, batch: Batch) -> Iterable[Delta]:
        """Return the deltas of a batch with index values for the store's layout."""
        layout = self.store.layout
        if batch.layout is layout:
            return batch.deltas
        return [
            (op, key, layout.reindexed(key, entry, batch.layout) if type(entry) is Entry and entry.index else entry)
            for op, key, entry in batch.deltas
        ]

    # -- lists ------------------------------------------------------------------------------------------------

    def _stage(self, scope: Scope, batch: Batch) -> None:
        staging = self._staging.get(scope)
        if staging is None:
            return  # it has gone
        deltas = self._current(batch)
        # Only this scope's reflector changes the partition, and it is listing.
        live = self.store.partition(scope)
        for key, reason in staging.put(deltas, {} if live is None else live.objects):
            self._on_rejected(key, reason)
        staging.unreadable += batch.unreadable
        if self._packing is not None:
            self._packing.waiting.append((staging.partition, deltas))

    async def _replace(self, item: ReplaceEnd) -> None:
        if (staging := self._staging.get(item.scope)) is None:
            return  # it has been committed already
        old = self.store.partition(item.scope)
        if old is None:
            return  # it has gone
        if item.is_stored and old.is_synced:
            await self.drop(item.scope)  # it is older than what is there
            return
        if item.scope.ranges and (others := self._scopes.siblings(item.scope)):
            await self._slices.take(remove_older(staging.partition, others, staging.displaced))
        if old.is_synced or item.scope in self._stored:
            await self._slices.take(staging.compare(old))
        else:
            staging.begin(Cause.WARM if item.is_stored else Cause.LIST)
        self._commit(item, staging)
        await self.merge()
        await self._slices.pause()
        rest = [*parts_of(old), *staging.segments]
        del old, staging
        await self._slices.release(rest)

    async def merge(self) -> None:
        """Merge the segments of a list that some mailbox had no room for."""
        for mailbox in list(self._mailboxes):  # who joins or leaves meanwhile has nothing to merge
            while mailbox.merge_next():
                await self._slices.pause()

    def _commit(self, item: ReplaceEnd, staging: Staging) -> None:
        """Swap the staged objects in and hand out the differences. Plain ``def``: seen whole or not at all."""
        scope, store, counts = item.scope, self.store, self.counts
        was_synced, old = store.is_synced, store.partition(scope)
        del self._staging[scope]
        new = staging.partition
        is_first = not (scope in self._stored or (old is not None and old.is_synced))
        if item.is_stored:
            self._stored.add(scope)
            new.is_stale = self.serves_stale
        else:
            self._stored.discard(scope)
            self._goals.pop(scope, None)
            new.is_synced = True
        new.version = item.version
        counts.lists += 1
        if not self._scopes.install(scope, new):
            return
        counts.unreadable += staging.unreadable
        counts.added += staging.counts[ADDED]
        counts.updated += staging.counts[UPDATED]
        counts.deleted += staging.counts[DELETED]
        first = self.remove(staging.displaced, Cause.RELIST)
        segments = [first, *staging.segments] if first else staging.segments
        if self.journal is not None and not item.is_stored:
            self.journal.note_list(scope, staging.segments, is_first=is_first)
        self.tell(segments, staging.counts[ADDED] if is_first else 0, was_synced=was_synced)
        if self._goals:
            self._look_at_goal(scope)

    def tell(self, segments: list[Sequence[Record]], initial: int, *, was_synced: bool) -> None:
        """Hand out what has become of the store's partitions."""
        for mailbox in self._mailboxes:
            mailbox.put_list(segments, initial)
        self._waits.wake_keys(list(self._waits.for_keys))  # they look for themselves whether it was their key
        self._waits.wake_versions()
        if not was_synced and self.store.is_synced:
            self._on_synced()

    # -- what was stored --------------------------------------------------------------------------------------

    def aim(self, scope: Scope, goal: str) -> None:
        """Let a scope whose objects were stored, or are about to come, be synced once it has reached a version.

        Args:
            scope: The scope.
            goal: The resourceVersion, a number.
        """
        partition = self.store.partition(scope)
        if partition is not None and not partition.is_synced:
            self._goals[scope] = goal
            self._look_at_goal(scope)

    def _look_at_goal(self, scope: Scope) -> None:
        """Take a scope that was stored as synced if it is as new as the server was when it was asked."""
        goal, partition = self._goals.get(scope, ""), self.store.partition(scope)
        if (
            partition is None
            or not (goal and scope in self._stored)
            or version_order(partition.version) < version_order(goal)
        ):
            return
        del self._goals[scope]
        self._stored.discard(scope)
        partition.is_synced, partition.is_stale = True, False
        self.store.is_open = self.store.is_readable()
        self._waits.wake_keys(list(self._waits.for_keys))
        if self.store.is_synced:
            self._on_synced()

    async def drop(self, scope: Scope) -> None:
        """Let go of a list that did not reach its end, if there is one."""
        if (staging := self._staging.pop(scope, None)) is None:
            return
        rest = parts_of(staging.partition)
        del staging
        await self._slices.release(rest)

    # -- for whole partitions ---------------------------------------------------------------------------------

    def count(self, *, added: int = 0, deleted: int = 0, released: int = 0) -> None:
        """Count changes."""
        self.counts.added += added
        self.counts.deleted += deleted
        self.counts.released += released

    def remove(self, displaced: list[Displaced], cause: Cause) -> list[Record]:
        """Remove objects whose successors have come; return what consumers have to be told of it."""
        removed = [(key, partition.remove(key)) for partition, key in displaced]
        records = [Record(DELETED, key, old, old, cause, known=False) for key, old in removed if old is not None]
        self.count(deleted=len(records))
        return records

    def tell_of(self, scope: Scope, records: list[Record]) -> None:
        """Hand out some changes of a scope."""
        for mailbox in self._mailboxes:
            mailbox.put(records)
        self._waits.wake_keys(record.key for record in records)
        if self.journal is not None:
            self.journal.note(scope, records)

    def note_whole(self, scope: Scope, partition: Partition) -> None:
        """Let what is stored of a scope for the next process begin anew."""
        if self.journal is not None:
            self.journal.note_list(scope, initial_state(partition), is_first=True)

    # -- compact ----------------------------------------------------------------------------------------------

    async def _pack(self) -> None:
        """Pack what the last batches brought.

        Other tasks run between a watch batch and this, so that handlers that are not behind get objects made of the
        bytes as they came. Cancellation: the rest stays as it is.
        """
        packing = self._packing
        if packing is None or not packing.waiting:
            return
        has_backlog = any(mailbox.pending for mailbox in self._mailboxes)
        await self._slices.take(packing.steps(has_backlog), every=1)
        if packing.packer.is_crowded:
            staged = [staging.partition for staging in self._staging.values()]
            hidden = self.store.hidden.values()
            await self._slices.take(packing.renewal([*self.store.partitions.values(), *hidden, *staged]))

    # -- indexes ----------------------------------------------------------------------------------------------

    async def _reindex(self, item: Reindex) -> None:
        if item.done.cancelled():
            return
        staged = {scope: staging.partition for scope, staging in self._staging.items()}
        replaced = [*self.store.partitions.values(), *staged.values(), *self.store.hidden.values()]
        try:
            layout = item.change(self.store.layout)
            await self._slices.take(self.store.rebuilt(layout, staged))
        except (ValueError, TypeError) as error:
            if not item.done.done():
                item.done.set_exception(error)
            return
        for scope, partition in staged.items():
            self._staging[scope].partition = partition
        await self._slices.pause()
        rest = [part for partition in replaced for part in parts_of(partition)]
        del replaced
        await self._slices.release(rest)
        _resolve(item.done)

    # -- waits ------------------------------------------------------------------------------------------------

    async def wait_for(self, key: str, is_met: Callable[[], bool]) -> None:
        """Wait until a condition on one key holds; see :meth:`Waits.wait_for_key`."""
        await self._waits.wait_for_key(key, is_met)

    async def wait_for_version(self, is_reached: Callable[[Mapping[Scope, str]], bool]) -> None:
        """Wait until a condition on the applied resourceVersions holds; see :meth:`Waits.wait_for_version`."""
        store = self.store  # its partitions are others once it has been indexed anew
        await self._waits.wait_for_version(
            lambda: is_reached({scope: partition.version for scope, partition in store.partitions.items()})
        )

    def close(self, error: Exception) -> None:
        """End all waits with an error; no wait outlives what it waits for, no object that somebody keeps the store."""
        self._waits.close(error)
        self.store.layout.object_type.levels.clear()
        self.store.is_open = False
        while not self.queue.empty():
            item = self.queue.get_nowait()
            if isinstance(item, Reindex | Rescope | Unite | Unmute) and not item.done.done():
                item.done.set_exception(error)


def _resolve(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
