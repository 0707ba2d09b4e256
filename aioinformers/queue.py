"""What reflectors put and the dispatcher takes: the items of the queue between them, and its two forms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from aioinformers.objects.deltas import Batch
from aioinformers.objects.layout import Layout
from aioinformers.objects.ranges import Judge
from aioinformers.types import Scope

__all__ = [
    "Disown",
    "PackingQueue",
    "QueueItem",
    "Reindex",
    "ReplaceAbort",
    "ReplaceBatch",
    "ReplaceBegin",
    "ReplaceEnd",
    "Rescope",
    "Unite",
    "Unmute",
    "WatchBatch",
]  # fmt: skip


class WatchBatch(msgspec.Struct, frozen=True, gc=False):
    """Events of a scope's watch.

    Attributes:
        scope: The scope.
        batch: The events.
        arrived: Loop time at which the server was last heard of when they were read.
    """

    scope: Scope
    batch: Batch
    arrived: float = 0.0


class ReplaceBegin(msgspec.Struct, frozen=True, gc=False):
    """A list of a scope begins.

    Attributes:
        scope: The scope.
        begun: Resolved when it has its turn: everything before it has been applied.
    """

    scope: Scope
    begun: asyncio.Future[None]


class ReplaceBatch(msgspec.Struct, frozen=True, gc=False):
    """Some of the list's objects; from a stream of initial objects also changes and deletions."""

    scope: Scope
    batch: Batch


class ReplaceEnd(msgspec.Struct, frozen=True, gc=False):
    """The list is whole: what it did not name is gone.

    Attributes:
        scope: The scope.
        version: Its resourceVersion.
        kind: What its objects are, if it says so.
        api_version: The same.
        is_stored: It is none of the server's, but what an earlier process has stored: the scope has not synced yet.
    """

    scope: Scope
    version: str
    kind: str = ""
    api_version: str = ""
    is_stored: bool = False


class ReplaceAbort(msgspec.Struct, frozen=True, gc=False):
    """The list failed; what was staged is dropped."""

    scope: Scope


class Disown(msgspec.Struct, frozen=True, gc=False):
    """A server has sent objects of others: remove what is not owned of a scope."""

    scope: Scope
    owns: Judge


class Reindex(msgspec.Struct, frozen=True):  # an error of the future refers back to it: for the garbage collector
    """Rebuild the indexes for another layout, then resolve the future."""

    change: Callable[[Layout[Any]], Layout[Any]]
    done: asyncio.Future[None]


class Rescope(msgspec.Struct, frozen=True):  # as above
    """Let scopes come and go, then resolve the future. No reflector follows what goes any more.

    Attributes:
        added: Scopes that are shown once their first list is whole.
        removed: Scopes that go, shown or not.
        is_told: Whether consumers are told of what goes, as released.
        muted: Those of the added ones that are not shown before :class:`Unmute` asks for it.
        done: Resolved when it is done.
    """

    added: frozenset[Scope]
    removed: frozenset[Scope]
    done: asyncio.Future[None]
    is_told: bool = True
    muted: frozenset[Scope] = frozenset()


class Unite(msgspec.Struct, frozen=True):  # as above
    """Make one scope of several, whose objects it holds from now on. No reflector follows these any more.

    Attributes:
        scopes: The scopes; those that are not shown are left as they are.
        into: The scope that they become.
        done: Resolved with the version that each of them had reached; that of the new one is the lowest.
    """

    scopes: tuple[Scope, ...]
    into: Scope
    done: asyncio.Future[dict[Scope, str]]


class Unmute(msgspec.Struct, frozen=True):  # as above
    """Show a scope that has been followed muted, then resolve the future."""

    scope: Scope
    done: asyncio.Future[None]


QueueItem: TypeAlias = (
    WatchBatch | ReplaceBegin | ReplaceBatch | ReplaceEnd | ReplaceAbort | Disown | Reindex | Rescope | Unite | Unmute
)


class PackingQueue(asyncio.Queue[QueueItem]):
    """The queue before a dispatcher that packs: a few batches that are not packed yet take as much as a small store."""

    async def put(self, item: QueueItem) -> None:
        """Put an item; part of a list is waited for until it has been packed."""
        await super().put(item)
        if type(item) is ReplaceBatch:
            await self.join()
