"""The public face of one resource: a shared informer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Generic, Self, TypeVar

from aioinformers.cache.lister import Indexer, Lister, StoreReader
from aioinformers.delivery.consumer import ConsumerOptions, Registration
from aioinformers.delivery.events import Event
from aioinformers.delivery.handlers import Handler, HandlerSet, handler_set
from aioinformers.delivery.stream import Stream
from aioinformers.errors import InformerClosedError, InformerError, UnknownIndexError
from aioinformers.objects.layout import NAMESPACE_INDEX
from aioinformers.objects.layout import Indexer as IndexDefinition
from aioinformers.objects.paths import join_key
from aioinformers.pipeline import Phase, Pipeline
from aioinformers.statistics import InformerHealth, InformerStatistics
from aioinformers.transport.source import Source
from aioinformers.types import GroupVersionResource, ObjectKey, Scope, version_order

__all__ = ["SharedInformer"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class SharedInformer(Generic[T]):
    """A shared, always fresh, indexed copy of one resource, with handlers on every change.

    What it promises, whatever the server and the network do (numbers as in ``docs/guarantees.md``): once faults
    stop, the cache equals the server (G1); a consumer that sees an event finds that state or a newer one in the
    cache (G2); it gets events in store order, per key always (G3); one that joins later gets every object as an
    initial addition, then each change, none missed, none twice (G4); no deletion is lost (G5); nothing a reader does to
    an object changes what the next one gets (G13).

    Made by a factory (``factory.core.v1.pods()``) or by :func:`aioinformers.new_informer`, never directly.
    """

    def __init__(
        self,
        pipeline: Pipeline[T],
        source: Source,
        *,
        resync_period: float = 0.0,
        is_optional: bool = False,
        is_owned: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self.resync_period = resync_period
        self.is_optional = is_optional
        self._is_owned = is_owned
        self._reader = StoreReader(pipeline.store, pipeline.spec.resource, pipeline.require_readable)
        self._decorated: HandlerSet[T] | None = None
        self._default_registration: Registration[T] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._waits = 0

    def __repr__(self) -> str:
        return f"<SharedInformer {self.name} {self._pipeline.phase.value}>"

    # -- what it is -------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The resource, with what narrows it: shown in logs, errors and task names."""
        return self._pipeline.name

    @property
    def resource(self) -> GroupVersionResource:
        """The resource."""
        return self._pipeline.spec.resource

    @property
    def is_compact(self) -> bool:
        """Whether its cache keeps objects packed."""
        return self._pipeline.packer is not None

    @property
    def lister(self) -> Lister[T]:
        """Reads by name and selector."""
        return Lister(self._reader)

    @property
    def indexer(self) -> Indexer[T]:
        """Reads by key and index."""
        return Indexer(self._reader)

    # -- handlers ---------------------------------------------------------------------------------------------

    def add_event_handler(
        self,
        handler: Handler[T],
        *,
        concurrency: int = 1,
        resync_period: float | None = None,
        limit: int = 1024,
        overflow: str = "coalesce",
        filter: Callable[[T], bool] | None = None,  # noqa: A002
        on_error: Callable[[Exception, Event[T]], Awaitable[None] | None] | None = None,
        handler_timeout: float | None = None,
        name: str | None = None,
    ) -> Registration[T]:
        """Register a handler: it first gets every cached object as ``Added(initial=True)``, then each change.

        Sync, at any time before the end; nothing of the handler runs inside this call. Handlers run in a copy of the
        current :mod:`contextvars` context.

        Args:
            handler: A coroutine function of one event, or an object with any of ``async on_add(obj)``,
                ``on_update(old, new)``, ``on_delete(obj)``.
            concurrency: How many events may be handled at once; never two of one object, always in order per object.
            resync_period: Seconds after which every object is given again as an update without a change; 0 for never,
                None for the informer's default; at least 1.
            limit: Events kept exactly as they came; a longer backlog is merged per object.
            overflow: ``"coalesce"`` to merge beyond the limit, ``"unbounded"`` to keep everything.
            filter: Objects for which it is false do not exist for this handler: an update that makes it true comes as
                an addition, one that makes it false as a deletion.
            on_error: Called (and awaited, if it gives an awaitable) with the exception and event of a failed call.
            handler_timeout: Seconds after which a call is cancelled and counts as failed.
            name: Shown in logs and statistics; the handler's own name by default.

        Raises:
            TypeError: If the handler is neither form, or both.
            ValueError: If an option is out of range.
            InformerClosedError: If the informer has ended.
            RuntimeError: If called from another event loop than the informer's.
        """
        options: ConsumerOptions[T] = ConsumerOptions(
            concurrency=concurrency,
            resync_period=self.resync_period if resync_period is None else resync_period,
            limit=limit,
            overflow=overflow,
            filter=filter,
            on_error=on_error,
            handler_timeout=handler_timeout,
            name=name,
        )
        handlers = handler_set(handler)
        self._pipeline.require_loop()
        return self._pipeline.register(handler if name is None else handlers, options)

    def remove_event_handler(self, registration: Registration[T]) -> None:
        """Remove a handler: no further call begins, one under way ends by itself, what is queued is dropped.

        Twice is harmless, and so is a registration of another informer. To let the queue drain first, await
        ``registration.aclose()``.
        """
        if registration in self._pipeline.consumers:
            registration.request_stop()

    def on_add(self, function: F) -> F:
        """Decorate ``async def function(obj)`` to be called for each addition; see :attr:`default_registration`."""
        return self._decorate("on_add", function)

    def on_update(self, function: F) -> F:
        """Decorate ``async def function(old, new)`` to be called for each update."""
        return self._decorate("on_update", function)

    def on_delete(self, function: F) -> F:
        """Decorate ``async def function(obj)`` to be called for each deletion."""
        return self._decorate("on_delete", function)

    @property
    def default_registration(self) -> Registration[T] | None:
        """The one registration that all decorated functions feed; None before it has joined."""
        return self._default_registration

    def _decorate(self, method: str, function: F) -> F:
        self._pipeline.require_loop()
        if self._default_registration is not None:
            raise RuntimeError(
                f"{self.name}: decorated handlers have joined already: decorate before the start, or use "
                f"add_event_handler"
            )
        if self._pipeline.phase not in (Phase.NEW, Phase.RUNNING):
            raise InformerClosedError(f"{self.name} has ended")
        if self._decorated is None:
            self._decorated = HandlerSet()
            if self._pipeline.loop is not None:
                self._pipeline.loop.call_soon(self.join_decorated)
        self._decorated.add_method(method, function)
        return function

    def join_decorated(self) -> None:
        """Register the decorated functions; called by the start, or a loop turn after a late decoration."""
        if self._decorated is None or self._default_registration is not None:
            return
        if self._pipeline.phase not in (Phase.NEW, Phase.RUNNING):
            return
        options: ConsumerOptions[T] = ConsumerOptions(resync_period=self.resync_period, name="decorated handlers")
        self._default_registration = self._pipeline.register(self._decorated, options)

    @asynccontextmanager
    async def stream(
        self,
        *,
        resync_period: float | None = 0.0,
        limit: int = 1024,
        overflow: str = "coalesce",
        filter: Callable[[T], bool] | None = None,  # noqa: A002
        name: str | None = None,
    ) -> AsyncIterator[Stream[T]]:
        """Open the informer's events as ``async with informer.stream() as events: async for event in events: ...``.

        A stream is a consumer like any handler: it starts with every cached object, has the same bounded backlog, and
        ends when the informer does. Asking for the next event says that the one before has been handled.

        Args:
            resync_period: As for ``add_event_handler``; 0, never, by default.
            limit: As for ``add_event_handler``.
            overflow: As for ``add_event_handler``.
            filter: As for ``add_event_handler``.
            name: Shown in statistics.

        Raises:
            InformerClosedError: If the informer has ended.
        """
        self._pipeline.require_loop()
        options: ConsumerOptions[T] = ConsumerOptions(
            resync_period=self.resync_period if resync_period is None else resync_period,
            limit=limit,
            overflow=overflow,
            filter=filter,
            name=name or "stream",
        )
        opened = self._pipeline.open_stream(options)
        try:
            yield opened
        finally:
            opened.request_stop()

    # -- indexes ----------------------------------------------------------------------------------------------

    def add_indexers(self, indexers: Mapping[str, IndexDefinition]) -> IndexChange:
        """Add indexes: done at once before the start; of a running informer, await the result.

        Args:
            indexers: By name, a path in JSON names (``"spec.nodeName"``, ``"spec.containers[].image"``) or a
                callable that gives the values of an object. The same name and definition again changes nothing.

        Returns:
            An awaitable. Until it is done, reads of the new indexes raise; other reads go on.

        Raises:
            IndexConflictError: If a name is taken by another definition.
            InvalidPathError: If a path cannot be parsed.
            ValueError: If a path is added to a running informer whose object type drops the JSON bytes.
        """
        self._pipeline.require_loop()
        store = self._pipeline.store
        changed = store.layout.with_indexers(indexers)  # raises before anything is queued
        names = {name for name in indexers if name not in store.layout.names}
        if self._pipeline.phase is Phase.NEW:
            for _ in store.rebuilt(changed, {}):
                raise AssertionError("nothing can be stored before the start")
            return IndexChange(None)
        if self._pipeline.phase is not Phase.RUNNING:
            raise InformerClosedError(f"{self.name} has ended")
        if not store.layout.object_type.keeps_bytes and any(isinstance(indexers[name], str) for name in names):
            raise ValueError(
                f"{self.name} keeps objects, not their JSON: add path indexes before the start, or use callables"
            )
        if not names:
            return IndexChange(None)
        return IndexChange(self._pipeline.reindex(lambda layout: layout.with_indexers(indexers), names))

    def remove_indexer(self, name: str) -> IndexChange:
        """Remove an index: done at once before the start; of a running informer, await the result.

        Raises:
            UnknownIndexError: If there is no such index.
            ValueError: For the namespace index, which is always there.
        """
        self._pipeline.require_loop()
        store = self._pipeline.store
        if name == NAMESPACE_INDEX:
            raise ValueError("the namespace index is always there")
        if name not in store.layout.names:
            raise UnknownIndexError(name, store.layout.names)
        if self._pipeline.phase is Phase.NEW:
            for _ in store.rebuilt(store.layout.without_index(name), {}):
                raise AssertionError("nothing can be stored before the start")
            return IndexChange(None)
        return IndexChange(self._pipeline.reindex(lambda layout: layout.without_index(name), {name}))

    # -- state ------------------------------------------------------------------------------------------------

    @property
    def has_synced(self) -> bool:
        """Whether the cache holds a whole state of the server."""
        return self._pipeline.phase is Phase.RUNNING and self._pipeline.store.is_synced

    async def wait_synced(self) -> None:
        """Wait until the cache holds a whole state of the server. Cancellation changes nothing.

        Raises:
            InformerClosedError: If the informer ends first.
            InformerCrashedError: If a bug ends it first.
        """
        await self._pipeline.wait_synced()

    @property
    def resource_versions(self) -> dict[Scope, str]:
        """The resourceVersion that has been applied, per scope."""
        return {scope: partition.version for scope, partition in self._pipeline.store.partitions.items()}

    @property
    def last_sync_resource_version(self) -> str:
        """The resourceVersion that has been applied; of several scopes the newest."""
        return max(self.resource_versions.values(), key=version_order)

    async def wait_for_resource_version(
        self, resource_version: str, *, namespace: str | None = None, timeout: float | None = None
    ) -> None:
        """Wait until the cache has reached a resourceVersion, also by bookmarks only: read your own writes (G15).

        It promises the cache, not that handlers are done. With selectors, a write that does not match shows only at the
        next bookmark (about a minute, never promised): prefer :meth:`wait_for`. Comparable by KEP-5504.

        Args:
            resource_version: Of an object of this resource, as a write returned it.
            namespace: Only this namespace's scope has to reach it; all scopes otherwise.
            timeout: Seconds.

        Raises:
            ValueError: If it is no decimal number, or no scope of the informer covers the namespace.
            TimeoutError: If the time is up.
            InformerClosedError: If the informer ends first.
        """
        self._pipeline.require_loop()
        if not resource_version.isdecimal():
            raise ValueError(f"{resource_version!r} is no resourceVersion that can be compared")
        scopes = set(self._pipeline.store.partitions)
        if namespace is not None:
            scopes = {scope for scope in scopes if scope.namespace in ("", namespace)}
            if not scopes:
                raise ValueError(f"{self.name} does not follow namespace {namespace!r}")
        wanted = version_order(resource_version)

        def is_reached(versions: Mapping[Scope, str]) -> bool:
            return all(
                version.isdecimal() and version_order(version) >= wanted
                for scope, version in versions.items()
                if scope in scopes
            )

        with self._waiting():
            async with asyncio.timeout(timeout):
                await self._pipeline.dispatcher.wait_for_version(is_reached)

    async def wait_for(
        self,
        key: ObjectKey | tuple[str, str] | str,
        condition: Callable[[T | None], bool],
        *,
        timeout: float | None = None,
    ) -> T | None:
        """Wait until a condition on one object holds; it is asked now and after each change of the object.

        Args:
            key: The object: an ``ObjectKey``, ``(namespace, name)`` or ``"namespace/name"``.
            condition: Called with the object, or None while there is none.
            timeout: Seconds.

        Returns:
            The object for which it held.

        Raises:
            TimeoutError: If the time is up.
            InformerClosedError: If the informer ends first.
        """
        self._pipeline.require_loop()
        text = key if isinstance(key, str) else join_key(*key)
        store, decode = self._pipeline.store, self._pipeline.store.layout.object_type.decode
        found: list[T | None] = []

        def is_met() -> bool:
            entry = store.get(text)
            obj = None if entry is None else decode(entry.body)
            found[:] = [obj]
            return store.is_synced and condition(obj)

        with self._waiting():
            async with asyncio.timeout(timeout):
                if not store.is_synced:
                    await self.wait_synced()
                await self._pipeline.dispatcher.wait_for(text, is_met)
        return found[0]

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1

    @property
    def is_in_use(self) -> bool:
        """Whether a registration, stream or wait is open."""
        return bool(self._pipeline.consumers) or self._waits > 0

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._pipeline.phase is Phase.RUNNING

    @property
    def is_watching(self) -> bool:
        """Whether every scope follows the server's change stream right now."""
        return self._pipeline.is_watching

    def is_live(self, max_age: float) -> bool:
        """Tell whether every scope has heard from the server within ``max_age`` seconds; synced is another thing."""
        since = self._pipeline.last_activity
        return since is not None and self._pipeline.loop is not None and self._pipeline.loop.time() - since <= max_age

    @property
    def last_activity(self) -> float | None:
        """Loop time (``loop.time()``) at which the most silent scope last heard from the server."""
        return self._pipeline.last_activity

    @property
    def last_error(self) -> Exception | None:
        """The error of the last attempt to list or watch, until one is healthy again."""
        errors = (reflector.last_error for reflector in self._pipeline.reflectors)
        return self._pipeline.scope_error or next((error for error in errors if error is not None), None)

    def health(self) -> InformerHealth:
        """Return whether it does its work, and if not, why."""
        since, loop = self._pipeline.last_activity, self._pipeline.loop
        return InformerHealth(
            name=self.name,
            has_synced=self.has_synced,
            is_watching=self.is_watching,
            last_activity=None if since is None or loop is None else loop.time() - since,
            rejected=len(self._pipeline.dispatcher.rejected),
            reason=self._pipeline.reason(),
        )

    def statistics(self) -> InformerStatistics:
        """Return a snapshot of counts and backlogs."""
        return self._pipeline.statistics()

    # -- life -------------------------------------------------------------------------------------------------

    async def stopped(self) -> None:
        """Wait until the informer has ended.

        Raises:
            InformerCrashedError: If a bug ended it.
        """
        await self._pipeline.ended()

    async def run(self) -> None:
        """Run a standalone informer until cancelled; then it ends without any grace for its handlers.

        Raises:
            RuntimeError: If a factory owns it.
            InformerClosedError: If it has run before.
            InformerCrashedError: If a bug ended it.
        """
        self._require_standalone("run")
        self.join_decorated()
        await self._pipeline.run(self._source)

    async def __aenter__(self) -> Self:
        """Start a standalone informer in the background."""
        self._require_standalone("async with")
        self._runner = asyncio.create_task(self.run(), name=f"informer {self.name}")
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self, *, grace: float = 10.0) -> None:
        """End a standalone informer that ``async with`` started, or that :meth:`run` runs elsewhere.

        Args:
            grace: Seconds for handlers to finish what is queued.

        Cancellation: the informer ends nevertheless.

        Raises:
            RuntimeError: If a factory owns it.
        """
        self._require_standalone("aclose")
        if self._pipeline.phase is Phase.NEW:
            return
        self._pipeline.stop(grace)
        if not self._pipeline.is_own_task(asyncio.current_task()):
            with contextlib.suppress(Exception):  # what ended it is told by stopped() and by the log
                await self._pipeline.ended()
            if self._runner is not None:
                await asyncio.wait([self._runner])
                self._runner.exception()

    def adopt(self) -> None:
        """Hand a standalone informer over to a factory, which calls this.

        Raises:
            RuntimeError: If it has been started, or a factory owns it.
        """
        self._require_standalone("add")
        if self._pipeline.phase is not Phase.NEW:
            raise RuntimeError(f"{self.name} has been started: a factory can adopt only new informers")
        self._is_owned = True

    async def run_owned(self) -> None:
        """Run as a factory's informer; a crash is told by the log and the informer's waits, never raised here."""
        self.join_decorated()
        with contextlib.suppress(InformerError):
            await self._pipeline.run(self._source)

    def end(self, grace: float) -> None:
        """Let :meth:`run_owned` end."""
        self._pipeline.stop(grace)

    def is_own_task(self, task: asyncio.Task[Any] | None) -> bool:
        """Tell whether a task delivers this informer's events: it must never wait for the informer's end."""
        return self._pipeline.is_own_task(task)

    def _require_standalone(self, what: str) -> None:
        if self._is_owned:
            raise RuntimeError(f"{self.name} belongs to a factory: use `await factory.release(informer)`, not {what}")


class IndexChange:
    """A change of indexes: awaited on a running informer, already done before the start."""

    def __init__(self, work: Coroutine[Any, Any, None] | None) -> None:
        self._task = None if work is None else asyncio.ensure_future(work)

    def __await__(self) -> Generator[Any, None, None]:
        if self._task is not None:
            yield from self._task.__await__()
