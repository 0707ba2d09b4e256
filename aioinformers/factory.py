"""Shares informers by their arguments, and starts, syncs and stops them together."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import warnings
import weakref
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Self, TypeAlias, TypeVar, Unpack, overload

from aioinformers.building import Defaults, InformerRequest, build_informer, request_of
from aioinformers.checks import require_plain, require_seconds
from aioinformers.delivery.handlers import Handler
from aioinformers.delivery.registration import Registration
from aioinformers.discovery import ApiResource, Discovery
from aioinformers.errors import CacheSyncError, InformerClosedError, InformerError
from aioinformers.informer import SharedInformer, pipeline_of
from aioinformers.loops import Deadline, require_loop
from aioinformers.naming import resource_of
from aioinformers.objects.shard import Shard
from aioinformers.options import (
    HandlerOptions,
    InformerOptions,
    Namespaces,
    Transforms,
    Tweak,
    check_options,
    period_of,
    scopes_of,
    settings_of,
    shard_of,
    transforms_of,
)
from aioinformers.pipeline import Phase, Pipeline
from aioinformers.resources import Groups, Kind, kind_of_model
from aioinformers.settings import Settings
from aioinformers.statistics import FactoryHealth
from aioinformers.transport.source import Source, load_model
from aioinformers.types import GroupVersionResource, WatchFailure
from aioinformers.warm.cache import WarmCache

__all__ = ["Measurement", "SharedInformerFactory", "number_of", "started_factories"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

What: TypeAlias = "SharedInformer[Any] | GroupVersionResource | str | type[Any]"

logger: logging.Logger = logging.getLogger("aioinformers.factory")

MANY_INFORMERS = 8
PROGRESS_PERIOD = 10.0


class SharedInformerFactory(Groups):
    """Makes, shares, starts, syncs and stops the informers of one client.

    Group accessors are attributes: ``factory.apps.v1.deployments()``. Same arguments, same informer. Informers asked
    for after :meth:`start` start by themselves. ``async with factory:`` enters started and leaves shut down.

    Args:
        api_client: A ``kubernetes_asyncio.client.ApiClient``; it stays the caller's to close, after the factory.
        namespace: The namespace or namespaces of all informers that do not say otherwise; None for all.
        default_resync: Seconds after which handlers are given every object again; 0 for never.
        custom_resync: The same for single resources, by model class, :class:`GroupVersionResource` or its text.
        tweak_list_options: Called once per informer with its :class:`ListOptions`, to narrow its requests.
        transform: Changes every object on arrival, unless an informer has its own.
        name: Shown in logs and task names.
        settings: Deadlines, sizes and delays.
        on_watch_error: Observes each failed attempt to list or watch; called synchronously.
        on_warning: Told of each text that the server sends as a ``Warning`` header, such as that a version is
            deprecated, once; called synchronously. It is logged and stands in ``health()``, too.
        shard: Only the objects of one of several shards, for all informers that do not say otherwise: another process
            follows the others. An ``aioinformers.sharding.Shard``; None for all objects.
        warm: Where all informers store their state, so that the next process need not list all objects again; None for
            nowhere.

    Raises:
        TypeError: If ``api_client`` is not an API client, ``shard`` is no shard, or ``warm`` is no :class:`WarmCache`.
        ValueError: If ``namespace`` or ``custom_resync`` cannot be.
    """

    def __init__(
        self,
        api_client: Any,
        *,
        namespace: Namespaces = None,
        default_resync: float = 0.0,
        custom_resync: Mapping[type[Any] | GroupVersionResource | str, float] | None = None,
        tweak_list_options: Tweak | None = None,
        transform: Transforms = None,
        name: str | None = None,
        settings: Settings | None = None,
        on_watch_error: Callable[[WatchFailure], None] | None = None,
        on_warning: Callable[[str], None] | None = None,
        shard: Shard | None = None,
        warm: WarmCache | None = None,
    ) -> None:
        if on_watch_error is not None:
            require_plain(on_watch_error, "on_watch_error", "the failure")
        if on_warning is not None:
            require_plain(on_warning, "on_warning", "the text")
        super().__init__(self._informer_of)
        self.namespace = namespace
        self.name: str = name or "factory"
        self._source = Source(api_client, settings_of(settings), on_warning)
        self._discovery = Discovery(self._source)
        self._defaults = Defaults(
            scopes=scopes_of(namespace),
            transforms=transforms_of(transform),
            resync_period=period_of(default_resync),
            resync_periods={resource_of(what): period_of(p) for what, p in (custom_resync or {}).items()},
            tweak=tweak_list_options,
            shard=shard_of(shard),
            warm=warm,
        )
        self._on_watch_error = on_watch_error
        self._informers: dict[Hashable, SharedInformer[Any]] = {}
        self._pipelines: dict[SharedInformer[Any], Pipeline[Any]] = {}
        self._tasks: dict[SharedInformer[Any], asyncio.Task[None]] = {}
        self._ending: dict[Pipeline[Any], asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._measurements: int = 0
        self._number: int = next(_numbers)

    def __del__(self) -> None:
        pipelines: dict[Any, Pipeline[Any]] = vars(self).get("_pipelines", {})  # none if __init__ raised
        if any(pipeline.phase is Phase.RUNNING for pipeline in pipelines.values()):
            text = f"{self!r} was dropped while it runs: leave its `async with` block, or await its shutdown()"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "started" if self.is_started else "new"
        return f"<SharedInformerFactory {self.name} {state}, {len(self._informers)} informers>"

    @property
    def api_client(self) -> Any:
        """The client that requests go through."""
        return self._source.client.api_client

    @property
    def is_started(self) -> bool:
        """Whether it has been started and not shut down."""
        return self._loop is not None and not self._is_closed

    @property
    def is_closed(self) -> bool:
        """Whether it is being shut down, or has been."""
        return self._is_closed

    # -- informers --------------------------------------------------------------------------------------------

    @overload
    def for_resource(
        self, resource: GroupVersionResource | str, *, object_type: None = None, **options: Unpack[InformerOptions]
    ) -> SharedInformer[dict[str, Any]]: ...
    @overload
    def for_resource(
        self,
        resource: GroupVersionResource | str,
        *,
        object_type: type[dict[Any, Any]],
        **options: Unpack[InformerOptions],
    ) -> SharedInformer[dict[str, Any]]: ...
    @overload
    def for_resource(
        self, resource: GroupVersionResource | str, *, object_type: type[T], **options: Unpack[InformerOptions]
    ) -> SharedInformer[T]: ...
    def for_resource(
        self, resource: GroupVersionResource | str, *, object_type: Any = None, **options: Unpack[InformerOptions]
    ) -> SharedInformer[Any]:
        """Return the informer of any resource, built in or custom, with dict objects by default.

        Args:
            resource: A :class:`GroupVersionResource` or ``"deployments.v1.apps"``; only parsed, nothing is looked up.
            object_type: What users see: dict, a model class, a Struct or dataclass.
            options: See :class:`InformerOptions`.

        Raises:
            TypeError: If an option is unknown, or ``resource`` is something else.
            ValueError: If it names no resource, or as for the accessors.
        """
        check_options(InformerOptions, options, "for_resource()", ("object_type",))
        if isinstance(resource, type):
            raise TypeError(
                f"for_resource() takes a resource: for a model class write informer_for({resource.__name__})"
            )
        gvr = resource_of(resource)
        return self._informer(request_of(gvr, object_type or dict, options, self._defaults))

    def informer_for(self, model: type[T], **options: Unpack[InformerOptions]) -> SharedInformer[T]:
        """Return the informer of a kubernetes_asyncio model class.

        Args:
            model: The class; objects are shown as its instances.
            options: See :class:`InformerOptions`.

        Raises:
            TypeError: If an option is unknown.
            ValueError: If no built-in kind has this model, or as for the accessors.
        """
        check_options(InformerOptions, options, "informer_for()")
        return self._informer(request_of(kind_of_model(model).resource, model, options, self._defaults))

    def _informer_of(self, kind: Kind, object_type: Any, options: InformerOptions) -> SharedInformer[Any]:
        """Return the informer of a built-in kind, for its accessor."""
        default = load_model(kind.model) if kind.model else dict
        return self._informer(request_of(kind.resource, object_type or default, options, self._defaults))

    def _informer(self, request: InformerRequest) -> SharedInformer[Any]:
        self._require_open()
        identity = request.identity
        informer = self._informers.get(identity)
        if informer is not None:
            request.share(informer, self._pipelines[informer])
            return informer
        self._require_loop()  # before anything is kept that could not be started
        named = request.renamed(self._unique(request.spec.name))
        informer, pipeline = build_informer(named, self._source, self._discovery, self._on_watch_error, owner=self.name)
        self._keep(identity, informer, pipeline)
        self._warn_of_many(informer.resource)
        return informer

    def _keep(self, identity: Hashable, informer: SharedInformer[Any], pipeline: Pipeline[Any]) -> None:
        self._informers[identity] = informer
        self._pipelines[informer] = pipeline
        if self._measurements:
            pipeline.measure(is_on=True)
        if self.is_started:
            self._start(informer)

    def _unique(self, name: str) -> str:
        """Return a name that no informer has: two lambdas have one name, two transforms need not be equal for it."""
        taken = {informer.name for informer in self}
        numbers = itertools.count(2)
        unique = name
        while unique in taken:
            unique = f"{name} ({next(numbers)})"
        return unique

    def _warn_of_many(self, resource: GroupVersionResource) -> None:
        if sum(informer.resource == resource for informer in self._informers.values()) == MANY_INFORMERS + 1:
            logger.warning(
                "%s: more than %d informers of %s: each has a cache and a connection of its own; use one with "
                "indexes, or handlers with filters", self.name, MANY_INFORMERS, resource,
            )  # fmt: skip

    def add(self, informer: SharedInformer[T]) -> SharedInformer[T]:
        """Adopt a standalone informer: it starts and ends with the others.

        Raises:
            RuntimeError: If it has been started, or another factory owns it.
            InformerClosedError: If the factory has been shut down.
        """
        self._require_open()
        self._require_loop()
        pipeline = pipeline_of(informer)
        if pipeline.owner:
            raise RuntimeError(f"{informer.name} belongs to a factory already: to {pipeline.owner}")
        if pipeline.phase is not Phase.NEW:
            raise RuntimeError(f"{informer.name} has been started: a factory can adopt only new informers")
        pipeline.owner = self.name
        self._keep(informer, informer, pipeline)
        return informer

    def __iter__(self) -> Iterator[SharedInformer[Any]]:
        return iter(list(self._informers.values()))

    def __len__(self) -> int:
        return len(self._informers)

    def __bool__(self) -> bool:
        return True

    # -- handlers ---------------------------------------------------------------------------------------------

    def _what(self, what: What) -> SharedInformer[Any]:
        if isinstance(what, SharedInformer):
            if what not in self._pipelines:
                raise ValueError(f"{what.name} is not an informer of this factory: add() it first")
            return what
        return self.informer_for(what) if isinstance(what, type) else self.for_resource(what)

    def add_event_handler(
        self, what: What, handler: Handler[Any], **options: Unpack[HandlerOptions[Any]]
    ) -> Registration[Any]:
        """Register a handler for a model class, a resource or an informer; see ``SharedInformer.add_event_handler``."""
        return self._what(what).add_event_handler(handler, **options)

    def on_add(self, what: What) -> Callable[[F], F]:
        """Decorate ``async def function(obj)`` to be called for additions of a model class, resource or informer."""
        return self._what(what).on_add

    def on_update(self, what: What) -> Callable[[F], F]:
        """Decorate ``async def function(old, new)`` to be called for each update."""
        return self._what(what).on_update

    def on_delete(self, what: What) -> Callable[[F], F]:
        """Decorate ``async def function(obj)`` to be called for each deletion."""
        return self._what(what).on_delete

    def on_released(self, what: What) -> Callable[[F], F]:
        """Decorate ``async def function(obj)`` to be called for each object that is not followed any more."""
        return self._what(what).on_released

    # -- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start all informers, those asked for later included; idempotent.

        Returns when their tasks run, not when caches are synced: see :meth:`wait_for_cache_sync`.

        Raises:
            InformerClosedError: If the factory has been shut down.
            RuntimeError: If it was started in another event loop.
        """
        self._require_open()
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
            _started.add(self)
        self._require_loop()
        for informer in self:
            if informer not in self._tasks:
                self._start(informer)
        await asyncio.sleep(0)

    def _start(self, informer: SharedInformer[Any]) -> None:
        self._require_loop()
        assert self._loop is not None
        pipeline = self._pipelines[informer]
        self._tasks[informer] = self._loop.create_task(_run(pipeline), name=f"{self.name}: {informer.name}")

    async def wait_for_cache_sync(self, timeout: float | None = None) -> None:
        """Wait until every informer that is not optional has synced; logs every 10 s what is still awaited.

        Args:
            timeout: Seconds; None waits for ever, but a crashed informer fails at once.

        Raises:
            CacheSyncError: If the time is up or an informer cannot sync any more; names each and why.
            RuntimeError: If the factory has not been started.
            InformerClosedError: If it has been shut down.
        """
        self._require_started()
        require_seconds("timeout", timeout)
        assert self._loop is not None
        waits = {self._sync_task(informer): informer for informer in self if not informer.is_optional}
        deadline = None if timeout is None else self._loop.time() + timeout
        is_late, report_at = False, self._loop.time() + PROGRESS_PERIOD
        try:
            while pending := {task for task in waits if not task.done()}:
                now = self._loop.time()
                if deadline is not None and now >= deadline:
                    is_late = True
                    break
                if now >= report_at:
                    report_at += PROGRESS_PERIOD
                    self._report_unsynced(waits[task] for task in pending)
                left = report_at - now if deadline is None else min(report_at, deadline) - now
                done, _ = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_EXCEPTION)
                waits |= {self._sync_task(waits[task]): waits[task] for task in done if task.cancelled()}
                if any(self._cannot_sync(waits[task], task) for task in done):
                    break
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        awaited = {informer for informer in waits.values() if informer in self._pipelines}  # not those released since
        if unsynced := {i.name: i.health().reason or "starting" for i in awaited if not i.has_synced}:
            raise CacheSyncError(unsynced, timeout if is_late else None)

    async def wait_live(self, *, timeout: float | None = None) -> None:
        """Wait until every informer that is not optional has synced and follows the server's changes right now.

        After an outage: until what is read is current again. Cancellation changes nothing.

        Args:
            timeout: Seconds; None waits without limit.

        Raises:
            TimeoutError: If the time is up; names each informer that is late, and why.
            InformerCrashedError: If a bug has ended one.
            InformerClosedError: If the factory has been shut down, or is meanwhile.
            RuntimeError: If it has not been started.
        """
        self._require_started()

        def late() -> list[Pipeline[Any]]:
            return [each for each in self._pipelines.values() if not (each.is_optional or each.is_live)]

        def words() -> str:
            reasons = "; ".join(f"{each.name}: {each.reason() or 'starting'}" for each in late())
            return f"{self.name} is not live within {timeout:g} s: {reasons}"

        async with Deadline(timeout, words):
            while waiting := late():
                awaited = [each for each in self._pipelines.values() if not each.is_optional]
                # Of those that are live only the end matters: a crash is told at once.
                waits = [each.wait_live() if each in waiting else each.wait_closed() for each in awaited]
                tasks = {
                    asyncio.create_task(wait, name=f"live {each.name}"): each
                    for each, wait in zip(awaited, waits, strict=True)
                }
                try:
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        if tasks[task] in self._pipelines.values():  # otherwise it has been released
                            await task
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    def _require_started(self) -> None:
        self._require_open()
        if self._loop is None:
            raise RuntimeError(f"{self.name} has not been started: `await factory.start()` first")
        self._require_loop()

    def _report_unsynced(self, informers: Iterable[SharedInformer[Any]]) -> None:
        for informer in informers:
            logger.info("%s: waiting for %s: %s", self.name, informer.name, informer.health().reason)

    @staticmethod
    def _sync_task(informer: SharedInformer[Any]) -> asyncio.Task[None]:
        return asyncio.create_task(informer.wait_synced(), name=f"sync {informer.name}")

    def _cannot_sync(self, informer: SharedInformer[Any], wait: asyncio.Task[None]) -> bool:
        """Tell whether the end of a wait says that the informer will never sync, though nobody has released it."""
        return not wait.cancelled() and wait.exception() is not None and informer in self._pipelines

    async def release(self, informer: SharedInformer[Any], *, force: bool = False) -> bool:
        """End one informer if nobody uses it: no registration, stream or wait is open.

        Args:
            informer: One of this factory's.
            force: End it whoever uses it.

        Returns:
            Whether it has been ended.

        Raises:
            ValueError: If it is not this factory's.
        """
        self._require_loop()
        identity = next((key for key, value in self._informers.items() if value is informer), None)
        if identity is None:
            raise ValueError(f"{informer.name} is not an informer of this factory")
        if informer.is_in_use and not force:
            return False
        del self._informers[identity]
        pipeline, task = self._pipelines.pop(informer), self._tasks.pop(informer, None)
        if task is not None:  # a shutdown that comes meanwhile waits for it, too
            self._ending[pipeline] = task
            task.add_done_callback(lambda _: self._ending.pop(pipeline, None))
        await self._end({pipeline: task}, 0.0)
        return True

    async def shutdown(self, grace: float | None = 10.0) -> None:
        """End all informers; idempotent, and final.

        Handlers get ``grace`` seconds for what is queued, then they are cancelled; what could not be delivered is
        counted and logged. Returns at most a second after the grace. Called again meanwhile, the shorter grace holds.
        Called from inside a handler, or from a task that it has started, it does not wait for that handler's informer.

        Args:
            grace: Seconds for what is queued; 0 drops it, None waits without limit.

        Cancellation: the informers end nevertheless.
        """
        self._require_loop()
        require_seconds("grace", grace)
        self._is_closed = True
        running = {pipeline: self._tasks.get(informer) for informer, pipeline in self._pipelines.items()}
        try:
            await self._end({**running, **self._ending}, grace)
        finally:
            _started.discard(self)  # what has ended is no part of what the program does

    @staticmethod
    async def _end(pipelines: Mapping[Pipeline[Any], asyncio.Task[None] | None], grace: float | None) -> None:
        waits = []
        for pipeline, task in pipelines.items():
            pipeline.stop(grace)
            if task is not None and not pipeline.is_calling():
                waits.append(task)
        if waits:
            await asyncio.wait(waits)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:  # nobody leaves a block that was not entered
            await self.shutdown(grace=0)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()

    # -- the server -------------------------------------------------------------------------------------------

    async def resolve(self, name: str) -> GroupVersionResource:
        """Ask the server what a name means: plural, singular, kind, short name (``deploy``) or ``plural.group``.

        Raises:
            ResourceNotFoundError: If it serves nothing of that name; says what comes near.
            ApiStatusError: If the server refuses to say.
            ConnectionFailedError: If the server cannot be reached.
        """
        return (await self._discovery.resolve(name)).resource

    async def discover(self) -> list[ApiResource]:
        """Ask the server for every resource that can be listed and watched.

        Raises:
            ApiStatusError: If the server refuses to say.
            ConnectionFailedError: If the server cannot be reached.
        """
        return await self._discovery.discover()

    def health(self) -> FactoryHealth:
        """Return whether all informers do their work: readiness and liveness probes answer from it."""
        informers = tuple(informer.health() for informer in self)
        awaited = {informer.name for informer in self if not informer.is_optional}
        unready = {
            each.name: each.reason or "starting"
            for each in informers
            if each.has_crashed or (each.name in awaited and not each.has_synced)
        }
        is_ready = not unready and self.is_started
        degraded = {each.name: each.reason for each in informers if each.is_degraded}
        reason = "; ".join(f"{name}: {why}" for name, why in (degraded | unready).items())
        if not self.is_started:
            reason = "shut down" if self._is_closed else "not started"
        return FactoryHealth(is_ready, informers, reason, bool(degraded))

    def measure(self) -> Measurement:
        """Count from now on how long batches and events take, until what is returned is closed; any thread may ask.

        ``statistics()`` of an informer shows ``applying``, and ``latencies`` for each handler. A fraction of a
        microsecond per event, and nothing while nobody has it measured.
        """
        self._note_measurement(1)
        return Measurement(self)

    def _note_measurement(self, change: int) -> None:
        self._measurements += change
        for pipeline in list(self._pipelines.values()):
            pipeline.measure(is_on=self._measurements > 0)

    def _require_open(self) -> None:
        if self._is_closed:
            raise InformerClosedError(f"{self.name} has been shut down: make a new factory")

    def _require_loop(self) -> None:
        require_loop(self._loop, self.name, advice="use it there")


class Measurement:
    """Has a factory's events measured until it is closed; see :meth:`SharedInformerFactory.measure`.

    It does not keep the factory alive.
    """

    def __init__(self, factory: SharedInformerFactory) -> None:
        self._factory = weakref.ref(factory)
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let events be measured no more, unless another one is open; idempotent."""
        factory, was_closed, self._is_closed = self._factory(), self._is_closed, True
        if factory is not None and not was_closed:
            factory._note_measurement(-1)


def started_factories() -> list[SharedInformerFactory]:
    """Return the factories of this process that have been started and not ended, for what shows a whole program."""
    return sorted(_started, key=lambda factory: factory.name)


def number_of(factory: SharedInformerFactory) -> int:
    """Return what tells a factory from all others of the process, whatever their names; of a later one it is higher."""
    return factory._number


_started: weakref.WeakSet[SharedInformerFactory] = weakref.WeakSet()
_numbers = itertools.count(1)


async def _run(pipeline: Pipeline[Any]) -> None:
    """Run a factory's informer; a crash is told by the log and the informer's waits, never raised here.

    Cancellation: the informer ends without a grace. It is not the factory's way to end one: if it was not the end of
    the loop, and so the loop goes on, that is said.
    """
    try:
        with contextlib.suppress(InformerError):
            await pipeline.run()
    except asyncio.CancelledError:
        asyncio.get_running_loop().call_later(1.0, _tell_of_cancellation, pipeline.name)
        raise


def _tell_of_cancellation(name: str) -> None:
    logger.error(
        "%s: its task was cancelled from outside: the informer is closed; shutdown() is the way to end it", name
    )
