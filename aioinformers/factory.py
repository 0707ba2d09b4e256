"""Shares informers by their arguments, and starts, syncs and stops them together."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeAlias, TypeVar, overload

from aioinformers import discovery
from aioinformers.consumer import Registration
from aioinformers.discovery import ApiResource
from aioinformers.errors import CacheSyncError, InformerClosedError
from aioinformers.informer import SharedInformer
from aioinformers.object_types import object_type_of
from aioinformers.objects import Indexer, Layout
from aioinformers.pipeline import InformerSpec, Pipeline
from aioinformers.resources import Groups, Kind, kind_of_model, kind_of_resource
from aioinformers.selectors import parse_field_selector, parse_label_selector
from aioinformers.settings import Settings
from aioinformers.source import Source, load_model
from aioinformers.types import (
    ALL_NAMESPACES,
    AllNamespaces,
    FactoryHealth,
    GroupVersionResource,
    ListOptions,
    WatchFailure,
)

__all__ = ["SharedInformerFactory", "new_informer"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

Namespaces: TypeAlias = str | Sequence[str] | AllNamespaces | None
Transforms: TypeAlias = Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None
Tweak: TypeAlias = Callable[[ListOptions], None]
What: TypeAlias = "SharedInformer[Any] | GroupVersionResource | str | type[Any]"

logger: logging.Logger = logging.getLogger("aioinformers.factory")

MANY_INFORMERS = 8
PROGRESS_PERIOD = 10.0
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


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

    Raises:
        TypeError: If ``api_client`` is no API client.
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
    ) -> None:
        super().__init__(self)
        self.namespace = namespace
        self.name: str = name or "factory"
        self._settings = settings or Settings()
        self._source = Source(api_client, self._settings)
        self._scopes = _scopes(namespace)
        self._default_resync = _period(default_resync)
        self._custom_resync = {_resource_of(what): _period(p) for what, p in (custom_resync or {}).items()}
        self._tweak = tweak_list_options
        self._transforms = _transforms(transform)
        self._on_watch_error = on_watch_error
        self._informers: dict[Any, SharedInformer[Any]] = {}
        self._tasks: dict[SharedInformer[Any], asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

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

    # -- informers --------------------------------------------------------------------------------------------

    @overload
    def for_resource(
        self, resource: GroupVersionResource | str, *, object_type: None = None, **options: Any
    ) -> SharedInformer[dict[str, Any]]: ...
    @overload
    def for_resource(
        self, resource: GroupVersionResource | str, *, object_type: type[T], **options: Any
    ) -> SharedInformer[T]: ...
    def for_resource(
        self, resource: GroupVersionResource | str, *, object_type: Any = None, **options: Any
    ) -> SharedInformer[Any]:
        """Return the informer of any resource, built in or custom, with dict objects by default.

        Args:
            resource: A :class:`GroupVersionResource` or ``"deployments.v1.apps"``; only parsed, nothing is looked up.
            object_type: What users see: dict, a model class, a Struct or dataclass.
            options: As for the accessors, such as :class:`aioinformers.resources.Accessor`.

        Raises:
            ValueError: If the text names no resource, or as for the accessors.
        """
        gvr = GroupVersionResource.parse(resource) if isinstance(resource, str) else resource
        kind = kind_of_resource(gvr)
        if kind is None:
            return self._informer(gvr, None, object_type or dict, **options)
        return self.informer_of(kind, object_type or dict, **options)

    def informer_for(self, model: type[T], **options: Any) -> SharedInformer[T]:
        """Return the informer of a kubernetes_asyncio model class.

        Raises:
            ValueError: If no built-in kind has this model, or as for the accessors.
        """
        return self.informer_of(kind_of_model(model), model, **options)

    def informer_of(self, kind: Kind, object_type: Any, **options: Any) -> SharedInformer[Any]:
        """Return the informer of a built-in kind; its accessor calls this."""
        default = load_model(kind.model) if kind.model else dict
        return self._informer(kind.resource, kind.is_namespaced, object_type or default, **options)

    def _informer(
        self,
        resource: GroupVersionResource,
        is_namespaced: bool | None,
        object_type: Any,
        *,
        namespace: Namespaces = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        resync_period: float | None = None,
        indexers: Mapping[str, Indexer] | None = None,
        transform: Transforms = None,
        shared_objects: bool = False,
        optional: bool = False,
    ) -> SharedInformer[Any]:
        self._require_open()
        spec = _spec(resource, is_namespaced, namespace, self._scopes, label_selector, field_selector, self._tweak)
        transforms = _transforms(transform) or self._transforms
        kind = object_type_of(object_type, shared=shared_objects)
        query = tuple(sorted(spec.query.items()))
        identity = (resource, spec.scopes, query, kind.python_type, type(kind), transforms)
        informer = self._informers.get(identity)
        if informer is None:
            resync = self._resync(resource) if resync_period is None else _period(resync_period)
            informer = _build(
                spec, kind, transforms, self._source, self._on_watch_error, resync, optional, is_owned=True
            )
            _ = informer.add_indexers(indexers or {})
            self._informers[identity] = informer
            self._warn_of_many(resource)
            if self.is_started:
                self._start(informer)
            return informer
        if resync_period is not None and resync_period != informer.resync_period:
            raise ValueError(
                f"{informer.name} is shared and has resync_period={informer.resync_period:g}: give handlers "
                f"their own with add_event_handler(..., resync_period=...)"
            )
        if indexers:
            _ = informer.add_indexers(indexers)
        return informer

    def _resync(self, resource: GroupVersionResource) -> float:
        return self._custom_resync.get(resource, self._default_resync)

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
        informer.adopt()
        self._informers[object()] = informer
        if self.is_started:
            self._start(informer)
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
            if what not in self._informers.values():
                raise ValueError(f"{what.name} is not an informer of this factory: add() it first")
            return what
        if isinstance(what, GroupVersionResource | str):
            return self.for_resource(what)
        return self.informer_for(what)

    def add_event_handler(self, what: What, handler: Any, **options: Any) -> Registration[Any]:
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
        self._require_loop()
        for informer in self:
            if informer not in self._tasks:
                self._start(informer)
        await asyncio.sleep(0)

    def _start(self, informer: SharedInformer[Any]) -> None:
        self._require_loop()
        assert self._loop is not None
        task = self._loop.create_task(informer.run_owned(), name=f"{self.name}: {informer.name}")
        self._tasks[informer] = task

    async def wait_for_cache_sync(self, timeout: float | None = None) -> None:
        """Wait until every informer that is not optional has synced; logs every 10 s what is still awaited.

        Args:
            timeout: Seconds; None waits for ever, but a crashed informer fails at once.

        Raises:
            CacheSyncError: If the time is up or an informer cannot sync any more; names each and why.
            RuntimeError: If the factory has not been started.
            InformerClosedError: If it has been shut down.
        """
        self._require_open()
        if self._loop is None:
            raise RuntimeError(f"{self.name} has not been started: `await factory.start()` first")
        self._require_loop()
        waits = {asyncio.create_task(i.wait_synced(), name=f"sync {i.name}"): i for i in self if not i.is_optional}
        deadline = None if timeout is None else self._loop.time() + timeout
        is_late = False
        try:
            pending = set(waits)
            while pending:
                left = PROGRESS_PERIOD if deadline is None else min(PROGRESS_PERIOD, deadline - self._loop.time())
                if left <= 0:
                    is_late = True
                    break
                done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_EXCEPTION)
                if any(task.exception() is not None for task in done):
                    break
                for task in pending:
                    if left == PROGRESS_PERIOD:
                        logger.info("%s: waiting for %s: %s", self.name, waits[task].name, waits[task].health().reason)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if unsynced := {i.name: i.health().reason or "starting" for i in waits.values() if not i.has_synced}:
            raise CacheSyncError(unsynced, timeout if is_late else None)

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
        await self._end({informer: self._tasks.pop(informer, None)}, 0.0)
        return True

    async def shutdown(self, grace: float = 10.0) -> None:
        """End all informers; idempotent, and final.

        Handlers get ``grace`` seconds for what is queued, then they are cancelled; what could not be delivered is
        counted and logged. Returns at most a second after the grace. Called from inside a handler it does not wait for
        that handler's informer.

        Cancellation: the informers end nevertheless.
        """
        self._require_loop()
        self._is_closed = True
        tasks: dict[SharedInformer[Any], asyncio.Task[None] | None] = {i: self._tasks.get(i) for i in self}
        await self._end(tasks, grace)

    async def _end(self, tasks: Mapping[SharedInformer[Any], asyncio.Task[None] | None], grace: float) -> None:
        waits = []
        for informer, task in tasks.items():
            informer.end(grace)
            if task is not None and not informer.is_own_task(asyncio.current_task()):
                waits.append(task)
        if waits:
            await asyncio.wait(waits)

    async def __aenter__(self) -> Self:
        await self.start()
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
        return (await discovery.resolve(self._source, name)).resource

    async def discover(self) -> list[ApiResource]:
        """Ask the server for every resource that can be listed and watched.

        Raises:
            ApiStatusError: If the server refuses to say.
            ConnectionFailedError: If the server cannot be reached.
        """
        return await discovery.discover(self._source)

    def health(self) -> FactoryHealth:
        """Return whether all informers do their work: readiness and liveness probes answer from it."""
        ready = all(informer.has_synced for informer in self if not informer.is_optional)
        return FactoryHealth(self.is_started and ready, tuple(informer.health() for informer in self))

    def _require_open(self) -> None:
        if self._is_closed:
            raise InformerClosedError(f"{self.name} has been shut down: make a new factory")

    def _require_loop(self) -> None:
        if self._loop is None:
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not self._loop:
            raise RuntimeError(f"{self.name} is bound to the event loop that started it: use it there")


@overload
def new_informer(
    api_client: Any,
    what: type[T],
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: None = None,
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[T]: ...
@overload
def new_informer(
    api_client: Any,
    what: GroupVersionResource | str,
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: None = None,
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[dict[str, Any]]: ...
@overload
def new_informer(
    api_client: Any,
    what: type[Any] | GroupVersionResource | str,
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: type[dict[Any, Any]],
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[dict[str, Any]]: ...
@overload
def new_informer(
    api_client: Any,
    what: type[Any] | GroupVersionResource | str,
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: type[T],
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[T]: ...
def new_informer(
    api_client: Any,
    what: type[Any] | GroupVersionResource | str,
    *,
    namespace: Namespaces = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    object_type: Any = None,
    resync_period: float = 0.0,
    indexers: Mapping[str, Indexer] | None = None,
    tweak_list_options: Tweak | None = None,
    transform: Transforms = None,
    shared_objects: bool = False,
    settings: Settings | None = None,
    on_watch_error: Callable[[WatchFailure], None] | None = None,
) -> SharedInformer[Any]:
    """Make an informer that needs no factory: ``async with informer:``, ``await informer.run()`` or ``factory.add``.

    Args:
        api_client: A ``kubernetes_asyncio.client.ApiClient``; it stays the caller's to close.
        what: A model class, a :class:`GroupVersionResource` or its text.
        namespace: One namespace or several; None for all.
        label_selector: Only objects whose labels match; judged by the server.
        field_selector: Only objects whose fields match; judged by the server.
        object_type: What users see; the model class given, or dict.
        resync_period: Seconds; the default of its handlers; 0 for never.
        indexers: Its indexes.
        tweak_list_options: Called once with its :class:`ListOptions`.
        transform: Changes each object on arrival.
        shared_objects: Give everybody the same decoded object, read-only by contract.
        settings: Deadlines, sizes and delays.
        on_watch_error: Observes each failed attempt to list or watch.

    Raises:
        TypeError: If ``api_client`` is no API client.
        ValueError: If ``what`` names no resource, or an option cannot be.
    """
    resource = _resource_of(what)
    known = kind_of_resource(resource)
    is_namespaced = None if known is None else known.is_namespaced
    spec = _spec(resource, is_namespaced, namespace, ("",), label_selector, field_selector, tweak_list_options)
    python_type = object_type or (what if isinstance(what, type) else dict)
    kind = object_type_of(python_type, shared=shared_objects)
    source = Source(api_client, settings or Settings())
    informer = _build(
        spec, kind, _transforms(transform), source, on_watch_error, _period(resync_period), False, is_owned=False
    )
    _ = informer.add_indexers(indexers or {})
    return informer


def _build(
    spec: InformerSpec,
    kind: Any,
    transforms: tuple[Callable[[Any], Any], ...],
    source: Source,
    on_watch_error: Callable[[WatchFailure], None] | None,
    resync_period: float,
    is_optional: bool,
    *,
    is_owned: bool,
) -> SharedInformer[Any]:
    def on_index_error(name: str, key: str, error: Exception) -> None:
        logger.error("%s: index %s raised for %s; filed under nothing", spec.name, name, key, exc_info=error)

    layout: Layout[Any] = Layout(kind, transforms, None, on_index_error)
    pipeline = Pipeline(spec, layout, source.settings, on_watch_error)
    return SharedInformer(pipeline, source, resync_period=resync_period, is_optional=is_optional, is_owned=is_owned)


def _spec(
    resource: GroupVersionResource,
    is_namespaced: bool | None,
    namespace: Namespaces,
    inherited: tuple[str, ...],
    label_selector: str | None,
    field_selector: str | None,
    tweak: Tweak | None,
) -> InformerSpec:
    scopes = inherited if namespace is None else _scopes(namespace)
    if is_namespaced is False and scopes != ("",):
        if namespace is not None:
            raise ValueError(f"{resource} is cluster-scoped: it cannot be limited to namespaces")
        scopes = ("",)
    options = ListOptions(
        label_selector=str(parse_label_selector(label_selector)) if label_selector else None,
        field_selector=str(parse_field_selector(field_selector)) if field_selector else None,
    )
    if tweak is not None:
        tweak(options)
    query = options.query()
    limits = [*(scope for scope in scopes if scope), *(f"{k}={v}" for k, v in query.items())]
    name = f"{resource} [{', '.join(limits)}]" if limits else str(resource)
    return InformerSpec(name, resource, scopes, query, is_namespaced is None, namespace is None)


def _scopes(namespace: Namespaces) -> tuple[str, ...]:
    """Return one scope per namespace, sorted; ``("",)`` for all namespaces."""
    if namespace is None or namespace is ALL_NAMESPACES:
        return ("",)
    names = (namespace,) if isinstance(namespace, str) else tuple(namespace)
    if not names:
        raise ValueError("namespace=[] selects nothing: give names, or ALL_NAMESPACES")
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a namespace: for all of them leave it out or use ALL_NAMESPACES")
    return tuple(sorted(set(names)))


def _transforms(transform: Transforms) -> tuple[Callable[[Any], Any], ...]:
    found = () if transform is None else (transform,) if callable(transform) else tuple(transform)
    for one in found:
        if not callable(one):
            raise TypeError(f"a transform must be callable, not {one!r}")
    return found


def _period(seconds: float) -> float:
    if seconds < 0:
        raise ValueError(f"a resync period must not be negative, not {seconds!r}")
    return max(seconds, 1.0) if seconds else 0.0


def _resource_of(what: type[Any] | GroupVersionResource | str) -> GroupVersionResource:
    if isinstance(what, GroupVersionResource):
        return what
    return GroupVersionResource.parse(what) if isinstance(what, str) else kind_of_model(what).resource
