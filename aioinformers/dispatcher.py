"""Applies deltas to the store and hands the resulting records to the mailboxes: the store's only writer.

A watch batch is applied, store and fan-out, in one plain ``def``: nobody can run in between, so that whoever
joins needs no lock (G2, G4). A list is staged beside the store in short slices and committed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from aioinformers.errors import InformerClosedError
from aioinformers.indexer import Partition, Store
from aioinformers.mailbox import ADDED, DELETED, UPDATED, InitialState, Mailbox, Record
from aioinformers.objects import Entry, Layout
from aioinformers.types import Cause
from aioinformers.wire import DELETE, UPSERT, Batch

__all__ = [
    "Dispatcher", "QueueItem", "Reindex", "ReplaceAbort", "ReplaceBegin", "ReplaceChunk", "ReplaceEnd", "WatchBatch",
]  # fmt: skip

T = TypeVar("T")

SEGMENT = 4096
"""Records per segment of a list: long enough to be cheap to hand to many mailboxes, short enough to be freed soon."""


class WatchBatch(msgspec.Struct, frozen=True, gc=False):
    """Events of a scope's watch."""

    scope: str
    batch: Batch


class ReplaceBegin(msgspec.Struct, frozen=True, gc=False):
    """A list of a scope begins.

    Attributes:
        scope: The scope.
        begun: Resolved when it has its turn: everything before it has been applied.
    """

    scope: str
    begun: asyncio.Future[None]


class ReplaceChunk(msgspec.Struct, frozen=True, gc=False):
    """Some of the list's objects; from a stream of initial objects also changes and deletions."""

    scope: str
    batch: Batch


class ReplaceEnd(msgspec.Struct, frozen=True, gc=False):
    """The list is whole: what it did not name is gone."""

    scope: str
    version: str
    kind: str = ""
    api_version: str = ""


class ReplaceAbort(msgspec.Struct, frozen=True, gc=False):
    """The list failed; what was staged is dropped."""

    scope: str


class Reindex(msgspec.Struct, frozen=True, gc=False):
    """Rebuild the indexes for another layout, then resolve the future."""

    change: Callable[[Layout[Any]], Layout[Any]]
    done: asyncio.Future[None]


QueueItem: TypeAlias = WatchBatch | ReplaceBegin | ReplaceChunk | ReplaceEnd | ReplaceAbort | Reindex


@dataclass(slots=True)
class _Staging:
    """A list of one scope on its way in."""

    partition: Partition
    layout: Layout[Any]
    rejected: dict[str, str] = field(default_factory=dict)
    unreadable: int = 0


@dataclass(slots=True)
class DispatchCounts:
    """What has gone through the dispatcher."""

    added: int = 0
    updated: int = 0
    deleted: int = 0
    lists: int = 0
    unreadable: int = 0


class Dispatcher(Generic[T]):
    """Owns the writing side of one informer's store.

    Args:
        store: The informer's store.
        queue: Where the reflectors put their batches.
        time_slice: Seconds of work after which other tasks may run.
        on_synced: Called once, when every scope's first list has been committed.
    """

    def __init__(
        self, store: Store[T], queue: asyncio.Queue[QueueItem], time_slice: float, on_synced: Callable[[], None]
    ) -> None:
        self.store = store
        self.queue = queue
        self.counts: DispatchCounts = DispatchCounts()
        self.rejected: dict[str, str] = {}
        self._time_slice = time_slice
        self._on_synced = on_synced
        self._mailboxes: dict[Mailbox, None] = {}  # a dict: registration order, removal in O(1)
        self._staging: dict[str, _Staging] = {}
        self._key_waits: dict[str, list[asyncio.Future[None]]] = {}
        self._version_waits: list[asyncio.Future[None]] = []
        self._is_closed = False
        self._slice_end = 0.0

    def join(self, mailbox: Mailbox) -> None:
        """Add a consumer; it first gets every stored object as an initial addition (G4).

        Plain ``def``: between the snapshot and the joining nothing can change.
        """
        if items := self.store.items():
            segments = [InitialState(items[at : at + SEGMENT]) for at in range(0, len(items), SEGMENT)]
            mailbox.put_list(segments, len(items))
        self._mailboxes[mailbox] = None

    def leave(self, mailbox: Mailbox) -> None:
        """Remove a consumer; nothing more is put into its mailbox."""
        self._mailboxes.pop(mailbox, None)

    async def run(self) -> None:
        """Apply queue items until cancelled. Cancellation lands between batches: a batch is applied whole."""
        time = asyncio.get_running_loop().time
        while True:
            if self.queue.empty():
                item = await self.queue.get()
                self._slice_end = time() + self._time_slice
            else:
                item = self.queue.get_nowait()
            if type(item) is WatchBatch:
                self.apply(item.scope, item.batch)
            else:
                await self._handle(item)
            self.queue.task_done()
            if time() > self._slice_end:
                await self._yield()

    async def _yield(self) -> None:
        await asyncio.sleep(0)
        self._slice_end = asyncio.get_running_loop().time() + self._time_slice

    async def _handle(self, item: QueueItem) -> None:
        match item:
            case ReplaceBegin(scope=scope, begun=begun):
                layout = self.store.layout
                self._staging[scope] = _Staging(Partition(len(layout.names)), layout)
                if not begun.done():
                    begun.set_result(None)
            case ReplaceChunk(scope=scope, batch=batch):
                self._stage(scope, batch)
            case ReplaceEnd():
                if item.kind:
                    self.store.layout.object_type.learn_kind(item.kind, item.api_version)
                await self._replace(item)
            case ReplaceAbort(scope=scope):
                self._staging.pop(scope, None)
            case Reindex():
                await self._reindex(item)
            case _:
                raise AssertionError(f"unknown queue item {item!r}")

    # -- watch ------------------------------------------------------------------------------------------------

    def apply(self, scope: str, batch: Batch) -> None:
        """Apply one watch batch to the store and hand its records to all mailboxes. Never blocks."""
        partition = self.store.partitions[scope]
        records: list[Record] = []
        add = records.append
        put = partition.put
        for operation, key, entry in self._current(batch):
            if operation == UPSERT:
                old = put(key, entry)
                if old is None:
                    add(Record(ADDED, key, entry, None, Cause.WATCH))
                elif old.uid != entry.uid:  # re-created unseen
                    add(Record(DELETED, key, old, old, Cause.WATCH, known=False))
                    add(Record(ADDED, key, entry, None, Cause.WATCH))
                elif old.version != entry.version or not old.is_same_version(entry):
                    add(Record(UPDATED, key, entry, old, Cause.WATCH))
                if self.rejected:
                    self.rejected.pop(key, None)
            elif operation == DELETE:
                old = partition.remove(key)
                if old is not None:
                    add(Record(DELETED, key, old if entry is None else entry, old, Cause.WATCH))
                self.rejected.pop(key, None)
            else:
                self.rejected[key] = entry
        if batch.version:
            partition.version = batch.version
        self.counts.unreadable += batch.unreadable
        if records:
            self._count(records)
            for mailbox in self._mailboxes:
                mailbox.put(records)
            if self._key_waits:
                self._wake_key_waits(records)
        if self._version_waits:
            self._wake_version_waits()

    def _current(self, batch: Batch) -> Iterable[Any]:
        """Return the deltas of a batch with index values for the store's layout."""
        layout = self.store.layout
        if batch.layout is layout:
            return batch.deltas
        return [
            (op, key, layout.reindexed(key, entry, batch.layout) if type(entry) is Entry and entry.index else entry)
            for op, key, entry in batch.deltas
        ]

    def _count(self, records: Iterable[Record]) -> None:
        counts = self.counts
        for record in records:
            if record.kind == UPDATED:
                counts.updated += 1
            elif record.kind == ADDED:
                counts.added += 1
            else:
                counts.deleted += 1

    # -- lists ------------------------------------------------------------------------------------------------

    def _stage(self, scope: str, batch: Batch) -> None:
        staging = self._staging[scope]
        live = self.store.partitions[scope].objects  # only this scope's reflector changes it, and it is listing
        staged = staging.partition
        for operation, key, entry in self._current(batch):
            if operation == UPSERT:
                old = live.get(key)
                if old is not None and old.is_same_version(entry):
                    entry = old  # the new bytes are dropped
                staged.put(key, entry)
                staging.rejected.pop(key, None)
            elif operation == DELETE:
                staged.remove(key)
                staging.rejected.pop(key, None)
            else:
                staging.rejected[key] = entry
                if key in live and key not in staged.objects:
                    staged.put(key, live[key])  # a known key keeps its last good version (G11)
        staging.unreadable += batch.unreadable

    async def _replace(self, item: ReplaceEnd) -> None:
        staging = self._staging.pop(item.scope)
        old = self.store.partitions[item.scope]
        records: list[Record] = []
        time = asyncio.get_running_loop().time
        for steps, record in enumerate(_difference(old, staging.partition)):
            if record is not None:
                records.append(record)
            if not steps % 64 and time() > self._slice_end:
                await self._yield()
        self._commit(item, staging, records)

    def _commit(self, item: ReplaceEnd, staging: _Staging, records: list[Record]) -> None:
        """Swap the staged objects in and hand out the differences. Plain ``def``: seen whole or not at all."""
        was_synced = self.store.is_synced
        old = self.store.partitions[item.scope]
        new = staging.partition
        new.version, new.is_synced = item.version, True
        self.store.partitions[item.scope] = new
        if self.rejected:
            for key in old.objects:
                self.rejected.pop(key, None)
        self.rejected |= staging.rejected
        self.counts.lists += 1
        self.counts.unreadable += staging.unreadable
        self._count(records)
        segments = [records[at : at + SEGMENT] for at in range(0, len(records), SEGMENT)]
        initial = 0 if old.is_synced else len(records)
        for mailbox in self._mailboxes:
            mailbox.put_list(segments, initial)
        if self._key_waits:
            self._wake_key_waits(records)
        self._wake_version_waits()
        if not was_synced and self.store.is_synced:
            self._on_synced()

    # -- indexes ----------------------------------------------------------------------------------------------

    async def _reindex(self, item: Reindex) -> None:
        if item.done.cancelled():
            return
        try:
            layout = item.change(self.store.layout)
            time = asyncio.get_running_loop().time
            staged = {scope: staging.partition for scope, staging in self._staging.items()}
            for steps, _ in enumerate(self.store.rebuilt(layout, staged)):
                if not steps % 64 and time() > self._slice_end:
                    await self._yield()
            for scope, partition in staged.items():
                self._staging[scope].partition = partition
        except (ValueError, TypeError) as error:
            item.done.set_exception(error)
        else:
            if not item.done.done():
                item.done.set_result(None)

    # -- waits ------------------------------------------------------------------------------------------------

    async def wait_for(self, key: str, is_met: Callable[[], bool]) -> None:
        """Wait until a condition on one key holds; it is evaluated now and after each change of the key.

        Cancellation leaves nothing behind.

        Raises:
            InformerClosedError: If the informer ends first.
        """
        while not is_met():
            future = self._new_wait()
            waits = self._key_waits.setdefault(key, [])
            waits.append(future)
            try:
                await future
            finally:
                if future in waits:
                    waits.remove(future)
                if not waits and self._key_waits.get(key) is waits:
                    del self._key_waits[key]

    async def wait_for_version(self, is_reached: Callable[[Mapping[str, str]], bool]) -> None:
        """Wait until a condition on the applied resourceVersions holds. Cancellation leaves nothing behind.

        Raises:
            InformerClosedError: If the informer ends first.
        """
        while not is_reached({scope: partition.version for scope, partition in self.store.partitions.items()}):
            future = self._new_wait()
            self._version_waits.append(future)
            try:
                await future
            finally:
                if future in self._version_waits:
                    self._version_waits.remove(future)

    def _new_wait(self) -> asyncio.Future[None]:
        if self._is_closed:
            raise InformerClosedError("the informer has ended: nothing more will change")
        return asyncio.get_running_loop().create_future()

    def _wake_key_waits(self, records: Iterable[Record]) -> None:
        for record in records:
            for future in self._key_waits.pop(record.key, ()):
                if not future.done():
                    future.set_result(None)

    def _wake_version_waits(self) -> None:
        waits, self._version_waits = self._version_waits, []
        for future in waits:
            if not future.done():
                future.set_result(None)

    def close(self, error: Exception) -> None:
        """End all waits with an error; no wait outlives what it waits for."""
        self._is_closed = True
        waits = [*self._version_waits, *(future for waits in self._key_waits.values() for future in waits)]
        while not self.queue.empty():
            item = self.queue.get_nowait()
            if isinstance(item, Reindex):
                waits.append(item.done)
        for future in waits:
            if not future.done():
                future.set_exception(error)


def _difference(old: Partition, new: Partition) -> Iterator[Record | None]:
    """Yield what a list changed, deletions first; None for each object that it did not."""
    cause = Cause.RELIST if old.is_synced else Cause.LIST
    before, after = old.objects, new.objects
    for key, entry in before.items():
        now = after.get(key)
        gone = now is None or now.uid != entry.uid
        yield Record(DELETED, key, entry, entry, cause, known=False) if gone else None
    for key, entry in after.items():
        was = before.get(key)
        if was is None or was.uid != entry.uid:
            yield Record(ADDED, key, entry, None, cause, initial=not old.is_synced)
        elif was is entry or was.is_same_version(entry):
            yield None
        else:
            yield Record(UPDATED, key, entry, was, cause)
