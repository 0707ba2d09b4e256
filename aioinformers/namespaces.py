"""Which namespaces are a shard's own, as they come and go.

Where the API server does not filter, a shard by namespace need not read everything: as long as it has few namespaces,
each is followed by a watch of its own (KEP-5866 has no part in that). For this the namespaces themselves are followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

import msgspec

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.delivery.mailbox import Observer
from aioinformers.errors import (
    ConnectionFailedError,
    InformerError,
    ServerBusyError,
)
from aioinformers.listwatch.attempt import Target
from aioinformers.listwatch.reflector import Reflector
from aioinformers.objects.layout import Layout
from aioinformers.objects.metadata import Metadata
from aioinformers.objects.object_types import object_type_of
from aioinformers.objects.ranges import Share
from aioinformers.queue import QueueItem
from aioinformers.transport.source import Source
from aioinformers.types import EVERYTHING, GroupVersionResource, WatchFailure

__all__ = ["MOST", "OwnedNamespaces", "Stages", "is_passing", "says_filtered"]

MOST: Final = 64
"""Namespaces that are followed by a watch each; of more, everything is read."""

NAMESPACES: Final = GroupVersionResource("", "v1", "namespaces")


class Stages(Protocol):
    """Runs its tasks."""

    def start_stage(self, run: Callable[[], Coroutine[Any, Any, None]], role: str) -> asyncio.Task[None]:
        """Start a task that the informer owns; a stranger who cancels it has it started again."""

    def stop_stage(self, task: asyncio.Task[None]) -> None:
        """Cancel such a task for good."""


class OwnedNamespaces:
    """Follows the namespaces of a cluster, for the sake of those that a shard owns.

    Args:
        share: What the shard owns.
        source: Makes the requests.
        stages: Runs its tasks.
        on_change: Called when namespaces have come or gone, in the loop; returns at once.
        on_failure: Told of each failed attempt to follow them, once they are known.
    """

    def __init__(
        self,
        share: Share,
        source: Source,
        stages: Stages,
        on_change: Callable[[], None],
        on_failure: Callable[[WatchFailure], None] = lambda _: None,
    ) -> None:
        self._share = share
        self._source = source
        self._stages = stages
        self._tell_failure = on_failure
        layout: Layout[Metadata] = Layout(object_type_of(Metadata))
        self._store: Store[Metadata] = Store(layout, (EVERYTHING,))
        queue: asyncio.Queue[QueueItem] = asyncio.Queue(source.settings.queue_size)
        self._known = asyncio.Event()
        self._refusal: InformerError | None = None
        self._dispatcher: Dispatcher[Metadata] = Dispatcher(
            self._store, queue, source.settings.time_slice, self._known.set
        )
        self._dispatcher.attach(Observer(lambda _: on_change()))
        self._reflector = Reflector(
            Target(NAMESPACES, EVERYTHING, {}, lambda kind, _: kind != "NamespaceList"),
            source,
            queue,
            lambda: layout,
            self._on_failure,
            lambda key, uid, version: self._store.has_version(EVERYTHING, key, uid, version),
            self._dispatcher.offer,
            lambda: self._dispatcher.takes_offers,
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The namespaces that there are and that the shard owns, sorted."""
        return tuple(sorted(key for key in self._store.all_keys() if self._share.owns_namespace(key)))

    @property
    def all_names(self) -> list[str]:
        """All namespaces that there are."""
        return self._store.all_keys()

    @property
    def last_error(self) -> Exception | None:
        """The error of the last attempt to follow them, until one is healthy again."""
        return self._reflector.last_error

    async def start(self) -> InformerError | None:
        """Begin to follow the namespaces; return once they are known, or why they cannot be.

        It waits as long as the server cannot be reached. Cancelled and begun again, it goes on.
        """
        runs: list[tuple[Callable[[], Awaitable[None]], str]] = [
            (self._dispatcher.run, "dispatcher of namespaces"),
            (self._reflector.run, "reflector of namespaces"),
        ]
        self._tasks = self._tasks or [self._stages.start_stage(run, role) for run, role in runs]  # type: ignore[arg-type]
        await self._known.wait()
        if not self._store.is_synced:
            self.stop()
            return self._refusal
        return None

    def stop(self) -> None:
        """Follow them no more."""
        for task in self._tasks:
            self._stages.stop_stage(task)
        self._tasks.clear()

    def _on_failure(self, failure: WatchFailure) -> None:
        if self._store.is_synced:
            self._tell_failure(failure)
        elif isinstance(failure.error, InformerError) and not is_passing(failure.error):
            self._refusal = failure.error
            self._known.set()


def is_passing(error: InformerError) -> bool:
    """Tell whether an error says nothing about what is allowed: the server is away, or too busy."""
    return isinstance(error, ConnectionFailedError | ServerBusyError)


class _Metadata(msgspec.Struct, rename={"shard_info": "shardInfo"}):
    shard_info: dict[str, Any] | None = None


class _List(msgspec.Struct):
    metadata: _Metadata | None = None


_decode = msgspec.json.Decoder(_List).decode


async def says_filtered(source: Source, target: Target, accept: str, selector: str) -> bool:
    """Ask a server whether it filters by shard, by a list of one object. Cancellation changes nothing.

    Raises:
        InformerError: If it does not answer, or refuses.
    """
    query = {**target.query, "limit": "1", "resourceVersion": "0"}
    try:
        found = _decode(await source.read_json(target.path, query, accept=accept))
    except msgspec.MsgspecError:
        return False
    info = None if found.metadata is None else found.metadata.shard_info
    return info is not None and info.get("selector") == selector
