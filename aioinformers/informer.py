"""The public face of one resource: a shared informer."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, Unpack

from aioinformers.cache.lister import Indexer, Lister, ShardReader, StoreReader
from aioinformers.checks import require_plain, require_seconds, shown, truth_of
from aioinformers.delivery.handlers import Handler
from aioinformers.delivery.listener import ConsumerOptions
from aioinformers.delivery.registration import Registration
from aioinformers.delivery.stream import Stream
from aioinformers.errors import InformerClosedError, UnknownIndexError
from aioinformers.loops import Deadline, finishes_before
from aioinformers.objects.layout import NAMESPACE_INDEX, IndexDefinition
from aioinformers.objects.paths import join_key
from aioinformers.options import HandlerOptions, StreamOptions, Until, check_options, require_until
from aioinformers.pipeline import Phase, Pipeline
from aioinformers.statistics import InformerHealth, InformerStatistics, reason_of, weakest
from aioinformers.types import GroupVersionResource, ObjectKey, Scope, version_order

__all__ = ["IndexChange", "SharedInformer", "pipeline_of"]

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

    def __init__(self, pipeline: Pipeline[T]) -> None:
        self._pipeline = pipeline
        spec = pipeline.spec
        reads = (pipeline.store, pipeline.name, spec.resource, pipeline.require_readable)
        self._reader = StoreReader(*reads) if spec.shard is None else ShardReader(*reads, spec.shard)
        self._runner: asyncio.Task[None] | None = None
        self._waits = 0

    def __repr__(self) -> str:
        return f"<SharedInformer {self.name} {self._pipeline.phase.value}, {len(self._pipeline.store)} objects>"

    def __del__(self) -> None:
        if self._runner is not None and self._pipeline.phase is Phase.RUNNING:
            text = f"{self!r} was dropped while it runs: leave its `async with` block, or await its aclose()"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)

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
    def resync_period(self) -> float:
        """Seconds after which handlers that do not say otherwise are given every object again; 0 for never."""
        return self._pipeline.resync_period

    @property
    def is_optional(self) -> bool:
        """Whether its factory's readiness does not wait for it."""
        return self._pipeline.is_optional

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

    def add_event_handler(self, handler: Handler[T], **options: Unpack[HandlerOptions[T]]) -> Registration[T]:
        """Register a handler: it first gets every cached object as ``Added(initial=True)``, then each change.

        Sync, at any time before the end; nothing of the handler runs inside this call. Handlers run in a copy of the
        current :mod:`contextvars` context.

        Args:
            handler: A coroutine function of one event, or an object with any of ``async on_add(obj)``,
                ``on_update(old, new)``, ``on_delete(obj)``, ``on_released(obj)``.
            options: See :class:`HandlerOptions`.

        Returns:
            The handler's place here; it need not be kept.

        Raises:
            TypeError: If the handler is neither form, or both, or an option is unknown.
            ValueError: If an option is out of range.
            InformerClosedError: If the informer is closed.
            RuntimeError: If called from another event loop than the informer's.
        """
        check_options(HandlerOptions, options, "add_event_handler()")
        consumer_options: ConsumerOptions[T] = ConsumerOptions(**options)
        self._pipeline.require_loop()
        return self._pipeline.roster.register(handler, consumer_options.with_default_resync(self.resync_period))

    def remove_event_handler(self, handler: Registration[T] | Handler[T]) -> None:
        """Remove a handler: no further call begins, one under way ends by itself, what is queued is dropped.

        To let the queue drain first, await ``registration.aclose()``.

        Args:
            handler: A registration, which may be closed already; or a handler as it was given to
                :meth:`add_event_handler`, all of whose registrations end.

        Raises:
            ValueError: If it is not registered here.
        """
        self._pipeline.roster.remove(handler)

    def on_add(self, function: F) -> F:
        """Decorate ``async def function(obj)`` to be called for each addition; see :attr:`default_registration`."""
        return self._decorate("on_add", function)

    def on_update(self, function: F) -> F:
        """Decorate ``async def function(old, new)`` to be called for each update."""
        return self._decorate("on_update", function)

    def on_delete(self, function: F) -> F:
        """Decorate ``async def function(obj)`` to be called for each deletion."""
        return self._decorate("on_delete", function)

    def on_released(self, function: F) -> F:
        """Decorate ``async def function(obj)`` to be called for each object that the informer follows no more."""
        return self._decorate("on_released", function)

    @property
    def default_registration(self) -> Registration[T] | None:
        """The one registration that all decorated functions feed; None before it has joined."""
        return self._pipeline.roster.default

    def _decorate(self, method: str, function: F) -> F:
        pipeline = self._pipeline
        pipeline.require_loop()
        if pipeline.roster.decorate(method, function) and pipeline.loop is not None:
            pipeline.loop.call_soon(pipeline.roster.join_decorated, pipeline.resync_period)
        return function

    def stream(self, **options: Unpack[StreamOptions[T]]) -> Stream[T]:
        """Return the informer's events, for ``async with informer.stream() as events: async for event in events: ...``.

        A stream is a consumer like any handler: it starts with every cached object, has the same bounded backlog, and
        ends when the informer does. Asking for the next event says that the one before has been handled.

        Args:
            options: See :class:`StreamOptions`.

        Raises:
            TypeError: If an option is unknown.
            ValueError: If an option is out of range.
            RuntimeError: If called from another event loop than the informer's.
        """
        check_options(StreamOptions, options, "stream()")
        until = options.get("until")
        if until is not None:
            require_until(until)
        options.setdefault("resync_period", 0.0)
        given: dict[str, Any] = {name: value for name, value in options.items() if name != "until"}
        consumer_options: ConsumerOptions[T] = ConsumerOptions(**given)
        self._pipeline.require_loop()
        if (fields := consumer_options.fields) is not None:
            self._pipeline.indexing.layout.with_fact(fields)  # what cannot be is refused here, not when it is entered
        options_ = consumer_options.with_default_resync(self.resync_period)
        return self._pipeline.roster.stream(options_, None if until is None else until.wait)

    # -- namespaces -------------------------------------------------------------------------------------------

    async def set_namespaces(self, namespaces: str | Sequence[str], *, timeout: float | None = None) -> None:
        """Follow these namespaces from now on, and no others.

        What is followed already stays untouched: nothing is listed again. A namespace that comes is shown, and its
        objects are told as ``Added(initial=True)``, once its first list is whole: no read has to wait for it. A
        namespace that goes leaves the cache at once; its objects have not been deleted, so that only ``on_released``
        hears of them. Several calls are carried out one after the other.

        Only informers of one's own have it, as :func:`aioinformers.new_informer` makes them, also in a factory that
        has adopted them with ``add``.

        Args:
            namespaces: One namespace or several.
            timeout: Seconds to wait for the namespaces that come; None waits without limit.

        Cancellation: of the wait alone; the namespaces change nevertheless.

        Raises:
            RuntimeError: If the informer is shared by all who ask its factory for it.
            ValueError: If a namespace cannot be, the kind has none, or the informer follows all namespaces.
            TimeoutError: If the time is up: the namespaces are followed all the same, and it says what they wait for.
            InformerClosedError: If the informer ends first.
        """
        require_seconds("timeout", timeout)
        with self._waiting():
            await self._pipeline.set_namespaces(namespaces, timeout)

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
        changed = self._pipeline.indexing.layout.with_indexers(indexers)  # raises before anything is queued
        names = {name for name in indexers if name not in store.layout.names}
        if self._pipeline.phase is Phase.NEW:
            self._pipeline.indexing.change_empty(changed)
            return IndexChange(None)
        if self._pipeline.phase is not Phase.RUNNING:
            raise InformerClosedError(f"{self.name} is closed")
        if not store.layout.object_type.keeps_bytes and any(isinstance(indexers[name], str) for name in names):
            raise ValueError(
                f"{self.name} keeps objects, not their JSON: add path indexes before the start, or use callables"
            )
        if not names:
            return IndexChange(None)
        return IndexChange(self._pipeline.indexing.change(lambda layout: layout.with_indexers(indexers), names))

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
            self._pipeline.indexing.change_empty(store.layout.without_index(name))
            return IndexChange(None)
        return IndexChange(self._pipeline.indexing.change(lambda layout: layout.without_index(name), {name}))

    # -- state ------------------------------------------------------------------------------------------------

    @property
    def has_synced(self) -> bool:
        """Whether the cache holds a whole state of the server."""
        return self._pipeline.phase is Phase.RUNNING and self._pipeline.store.is_synced

    async def wait_synced(self, *, timeout: float | None = None) -> None:
        """Wait until the cache holds a whole state of the server. Cancellation changes nothing.

        Args:
            timeout: Seconds; None waits without limit.

        Raises:
            TimeoutError: If the time is up; says what the informer waits for.
            InformerClosedError: If the informer ends first.
            InformerCrashedError: If a bug ends it first.
        """
        with self._waiting():
            await self._pipeline.wait_synced(timeout)

    @property
    def resource_versions(self) -> dict[Scope, str]:
        """The resourceVersion that has been applied, per scope."""
        return {scope: partition.version for scope, partition in self._pipeline.store.partitions.items()}

    @property
    def last_sync_resource_version(self) -> str:
        """The resourceVersion that has been applied; of several scopes the newest."""
        return max(self.resource_versions.values(), key=version_order, default="")

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
            TypeError: If it is not a text.
            ValueError: If it is not a decimal number, or the informer does not follow the namespace, or no more.
            TimeoutError: If the time is up.
            InformerClosedError: If the informer ends first.
        """
        self._pipeline.require_loop()
        if not isinstance(resource_version, str):
            raise TypeError(f"a resourceVersion is a text, as a write returned it, not {shown(resource_version)}")
        if not resource_version.isdecimal():
            raise ValueError(f"{resource_version!r} is no resourceVersion that can be compared")
        scopes = set(self._pipeline.store.partitions)
        if namespace is not None:
            scopes = {scope for scope in scopes if scope.namespace in ("", namespace)}
            if not scopes:
                raise ValueError(f"{self.name} does not follow namespace {namespace!r}")
        wanted = version_order(resource_version)

        def is_reached(versions: Mapping[Scope, str]) -> bool:
            if scopes.isdisjoint(versions):
                raise ValueError(f"{self.name} does not follow namespace {namespace!r} any more")
            return all(
                version.isdecimal() and version_order(version) >= wanted
                for scope, version in versions.items()
                if scope in scopes
            )

        def words() -> str:
            versions = self.resource_versions.items()
            reached = ", ".join(f"{version or 'none'}{scope.place}" for scope, version in versions)
            return self._late(f"resourceVersion {resource_version} was not reached, but {reached},", timeout)

        with self._waiting():
            async with Deadline(timeout, words):
                await self._pipeline.dispatcher.wait_for_version(is_reached)

    def _late(self, what: str, timeout: float | None) -> str:
        reason = self._pipeline.reason()
        return f"{self.name}: {what} within {timeout:g} s" + (f": {reason}" if reason else "")

    async def wait_for(
        self,
        key: ObjectKey | tuple[str, str] | str,
        condition: Callable[[T | None], bool],
        *,
        timeout: float | None = None,
        until: Until | None = None,
    ) -> T | None:
        """Wait until a condition on one object holds; it is asked now and after each change of the object.

        Args:
            key: The object: an ``ObjectKey``, ``(namespace, name)`` or ``"namespace/name"``.
            condition: Called with the object, or None while there is none.
            timeout: Seconds.
            until: The wait is given up when this event is set, such as when a server stops.

        Returns:
            The object for which it held; None if it held although there is none.

        Raises:
            TypeError: If the condition is an async function, or cannot be called with the object.
            ValueError: If the informer has followed the object's namespace and does so no more.
            NotOwnedError: If another shard has the object's namespace.
            TimeoutError: If the time is up, or ``until`` has been set.
            InformerClosedError: If the informer ends first.
        """
        self._pipeline.require_loop()
        require_plain(condition, "condition", "the object or None")
        if until is not None:
            require_until(until)
        text = key if isinstance(key, str) else join_key(*key)
        namespace = text.rpartition("/")[0]
        self._reader.require_owned(namespace, text)
        store, show = self._pipeline.store, self._pipeline.store.layout.object_type.show
        is_followed = store.follows(namespace)
        last: T | None = None

        def is_met() -> bool:
            nonlocal last
            if is_followed and not store.follows(namespace):
                raise ValueError(f"{self.name} does not follow namespace {namespace!r} any more")
            entry = store.get(text)
            last = None if entry is None else show(entry)
            return store.has_synced(namespace) and truth_of(condition(last), "condition")

        def words() -> str:
            state = "did not come into the cache" if last is None else "did not meet the condition"
            return self._late(f"{text} {state}", timeout)

        with self._waiting():
            async with Deadline(timeout, words):
                waiting = self._pipeline.dispatcher.wait_for(text, is_met)
                if until is None:
                    await waiting
                elif not await finishes_before(waiting, until.wait()):
                    raise TimeoutError(f"{self.name}: the wait for {text} was given up, as its `until` event was set")
        return last

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
        return len(self._pipeline.roster) > 0 or self._waits > 0

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
        since = self._pipeline.following.last_activity
        return self.is_running and since is not None and self._pipeline.now() - since <= max_age

    @property
    def last_activity(self) -> float | None:
        """Loop time (``loop.time()``) at which the most silent scope last heard from the server."""
        return self._pipeline.following.last_activity

    @property
    def last_error(self) -> Exception | None:
        """The error of the last attempt to list or watch, until one is healthy again."""
        return self._pipeline.following.last_error

    def health(self) -> InformerHealth:
        """Return whether it does its work, and if not, why."""
        pipeline = self._pipeline
        scopes = pipeline.scope_health()
        silences = [each.silent_for for each in scopes if each.silent_for is not None]
        return InformerHealth(
            name=pipeline.name,
            has_synced=False not in [each.has_synced or each.is_coming for each in scopes],
            is_watching=False not in [each.is_watching or each.is_coming for each in scopes],
            has_crashed=pipeline.phase is Phase.FAILED,
            silent_for=max(silences, default=None) if len(silences) == len(scopes) else None,
            rejected=pipeline.dispatcher.count_rejected(),
            reason=reason_of(scopes),
            scopes=scopes,
            is_degraded=True in [each.is_degraded for each in scopes],
            warnings=pipeline.following.notices,
            restarts=pipeline.tasks.restarts_since(pipeline.now() - 60.0),
            shard="" if pipeline.spec.shard is None else str(pipeline.spec.shard),
            shard_mode=None if pipeline.spec.shard is None else weakest(scopes) if scopes else "namespace",
            warm="" if pipeline.warming is None else pipeline.warming.remark,
            stale_for=None if pipeline.warming is None else pipeline.warming.stale_for,
        )

    def statistics(self) -> InformerStatistics:
        """Return a snapshot of counts and backlogs."""
        return self._pipeline.statistics()

    # -- life -------------------------------------------------------------------------------------------------

    async def wait_closed(self) -> None:
        """Wait until the informer is closed. Cancellation changes nothing.

        Raises:
            InformerCrashedError: If a bug ended it.
        """
        await self._pipeline.wait_closed()

    async def run(self) -> None:
        """Run a standalone informer until cancelled; then it ends without any grace for its handlers.

        Raises:
            RuntimeError: If a factory owns it.
            InformerClosedError: If it has run before.
            InformerCrashedError: If a bug ended it.
        """
        self._require_standalone("run")
        await self._pipeline.run()

    async def __aenter__(self) -> Self:
        """Start a standalone informer in the background."""
        self._require_standalone("async with")
        self._runner = asyncio.create_task(self._pipeline.run(), name=f"informer {self.name}")
        try:
            await asyncio.sleep(0)
        except BaseException:  # nobody leaves a block that was not entered
            await self.aclose(grace=0)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self, *, grace: float | None = 10.0) -> None:
        """End a standalone informer that ``async with`` started, or that :meth:`run` runs elsewhere.

        Args:
            grace: Seconds for handlers to finish what is queued; 0 drops it, None waits without limit.

        Cancellation: the informer ends nevertheless.

        Raises:
            RuntimeError: If a factory owns it.
        """
        self._require_standalone("aclose")
        require_seconds("grace", grace)
        if self._pipeline.phase is Phase.NEW:
            return
        self._pipeline.stop(grace)
        if not self._pipeline.is_calling():
            with contextlib.suppress(Exception):  # what ended it is told by wait_closed() and by the log
                await self._pipeline.wait_closed()
            if self._runner is not None:
                await asyncio.wait([self._runner])
                if not self._runner.cancelled():  # by a stranger: it is closed all the same
                    self._runner.exception()

    def _require_standalone(self, what: str) -> None:
        if self._pipeline.owner:
            raise RuntimeError(f"{self.name} belongs to a factory: use `await factory.release(informer)`, not {what}")


def pipeline_of(informer: SharedInformer[T]) -> Pipeline[T]:
    """Return the machinery behind an informer: for factories, which run it; no user needs it."""
    return informer._pipeline


class IndexChange:
    """A change of indexes: awaited on a running informer, already done before the start.

    Cancellation of whoever awaits it changes nothing: the indexes are changed nevertheless.
    """

    def __init__(self, done: asyncio.Future[None] | None) -> None:
        self._done = done

    def __await__(self) -> Generator[Any, None, None]:
        if self._done is not None:
            yield from asyncio.shield(self._done).__await__()
