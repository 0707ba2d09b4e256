"""Scopes come, go, become one, and lose what is not theirs: the dispatcher's work on whole partitions, in slices."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from aioinformers.cache.indexer import Partition, Store
from aioinformers.cache.scopes import Scopes
from aioinformers.cache.siblings import Displaced, remove_older
from aioinformers.cache.slices import LOOK, Slices
from aioinformers.cache.staging import initial_state, released_state
from aioinformers.delivery.mailbox import DELETED, Record
from aioinformers.queue import Disown, Rescope, Unite, Unmute
from aioinformers.types import Cause, Scope, lowest_version

__all__ = ["Rescoping", "Writer", "parts_of"]


class Writer(Protocol):
    """What it needs of the dispatcher, whose work this is."""

    async def drop(self, scope: Scope) -> None:
        """Let go of a list that did not reach its end, if there is one."""

    async def merge(self) -> None:
        """Merge the segments of a list that some mailbox had no room for."""

    def remove(self, displaced: list[Displaced], cause: Cause) -> list[Record]:
        """Remove objects whose successors have come; return what consumers have to be told of it."""

    def tell(self, segments: list[Sequence[Record]], initial: int, *, was_synced: bool) -> None:
        """Hand out what has become of the store's partitions."""

    def tell_of(self, scope: Scope, records: list[Record]) -> None:
        """Hand out some changes of a scope."""

    def note_whole(self, scope: Scope, partition: Partition) -> None:
        """Let what is stored of a scope for the next process begin anew."""

    def count(self, *, added: int = 0, deleted: int = 0, released: int = 0) -> None:
        """Count changes."""


class Rescoping:
    """Carries out what asks for other scopes. Each method may be begun again from its first line.

    Args:
        store: The store.
        scopes: Its scopes.
        writer: The dispatcher.
        slices: Its slices of time.
    """

    def __init__(self, store: Store[Any], scopes: Scopes, writer: Writer, slices: Slices) -> None:
        self._store = store
        self._scopes = scopes
        self._writer = writer
        self._slices = slices
        self._reached: dict[Scope, str] = {}  # what scopes had reached when they were united last

    async def rescope(self, item: Rescope) -> None:
        """Let scopes come and go."""
        for scope in item.removed:
            await self._writer.drop(scope)
        was_synced = self._store.is_synced
        shown, hidden = self._scopes.change(item)
        segments = [segment for partition in shown for segment in released_state(partition)] if item.is_told else []
        self._writer.count(released=sum(map(len, segments)))
        self._writer.tell(segments, 0, was_synced=was_synced)
        _resolve(item.done, None)
        await self._writer.merge()
        await self._slices.pause()
        await self._slices.release([part for partition in shown + hidden for part in parts_of(partition)])

    async def unmute(self, item: Unmute) -> None:
        """Show a scope that has been muted; one whose first list is not whole yet is shown with that."""
        partition = self._scopes.unmute(item.scope)
        if partition is not None:
            displaced: list[Displaced] = []
            await self._slices.take(remove_older(partition, self._scopes.siblings(item.scope), displaced))
            was_synced, initial = self._store.is_synced, len(partition.objects)
            self._scopes.install(item.scope, partition)
            self._writer.count(added=initial)
            first, shown = self._writer.remove(displaced, Cause.SHARD), initial_state(partition, Cause.SHARD)
            self._writer.tell([first, *shown] if first else shown, initial, was_synced=was_synced)
            self._writer.note_whole(item.scope, partition)
        _resolve(item.done, None)
        await self._writer.merge()

    async def unite(self, item: Unite) -> None:
        """Make one scope of several."""
        for scope in item.scopes:
            await self._writer.drop(scope)
        partitions = self._store.partitions
        parts = {scope: partitions[scope] for scope in item.scopes if scope in partitions}
        if parts and item.into not in partitions:
            await self._slices.take(self._store.united(parts, item.into))
            self._reached = {scope: partition.version for scope, partition in parts.items()}
            united = self._store.partitions[item.into]
            united.version = lowest_version(self._reached.values())
            self._writer.note_whole(item.into, united)
        _resolve(item.done, self._reached)
        await self._slices.pause()
        await self._slices.release([part for partition in parts.values() for part in parts_of(partition)])

    async def disown(self, item: Disown) -> None:
        """Remove what is not owned, some objects after the other; of a hidden scope nobody was told anything."""
        is_shown = item.scope in self._store.partitions
        partition = self._store.partition(item.scope)
        if partition is None:
            return  # it has gone
        keys = list(partition.objects)
        for at in range(0, len(keys), LOOK):
            records = []
            for key in keys[at : at + LOOK]:
                entry = partition.objects.get(key)  # none: this is done again, as it was cancelled
                if entry is not None and not item.owns(key, entry.uid):
                    partition.remove(key)
                    records.append(Record(DELETED, key, entry, entry, Cause.SHARD, known=False))
            if records and is_shown:
                self._writer.count(deleted=len(records))
                self._writer.tell_of(item.scope, records)
            if self._slices.is_over(asyncio.get_running_loop().time()):
                await self._slices.pause()


def _resolve(done: asyncio.Future[Any], result: Any) -> None:
    if not done.done():
        done.set_result(result)


def parts_of(partition: Partition) -> list[Any]:
    """Return what a partition refers to. What other threads still read of it is left as it is."""
    return [*(keys for index in partition.indexes for keys in index.values()), *partition.objects.values()]
