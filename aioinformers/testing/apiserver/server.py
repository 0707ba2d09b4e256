"""The embedded API server: a real HTTP server on a loopback port, in the test's own event loop."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from aioinformers.testing.apiserver.documents import decode
from aioinformers.testing.apiserver.exchange import Exchange, Fault, reset
from aioinformers.testing.apiserver.handlers import ApiHandler, ServerOptions
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource
from aioinformers.testing.apiserver.routing import RequestInfo, parse_target
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.storage import Backup, Storage
from aioinformers.types import GroupVersionResource

if TYPE_CHECKING:
    from kubernetes_asyncio import client

__all__ = ["FakeAPIServer", "Interceptor"]

Interceptor = Callable[[RequestInfo], "Fault | Awaitable[Fault | None] | None"]
"""Decides on the fault of a request; ``None`` leaves it to the next interceptor."""

_HOST = "127.0.0.1"
_KEPT_REQUESTS = 10_000
_MAX_BODY = 64 * 1024 * 1024


class FakeAPIServer:
    """An API server in this process, for tests and demonstrations.

    It follows kube-apiserver 1.37 in what clients can observe of reads, writes and watches; one
    conformance suite runs against both. It has no authentication, admission, validation by schema,
    defaulting, controllers or garbage collection, and namespaces need not be created first.
    All its time is the running loop's, so a :class:`~aioinformers.testing.VirtualTimeLoop` drives it::

        async with FakeAPIServer() as server, server.api_client() as api:
            server.create("pods", {"metadata": {"name": "web-1"}})
            factory = SharedInformerFactory(api)

    The methods that are plain functions need no HTTP and tell every watch at once.

    Args:
        resources: What is served; see also :meth:`add_resource`. A CustomResourceDefinition that is
            created adds its resource.
        log_size: Changes kept per resource. A watch from an older version gets 410.
        watch_cache: Whether ``resourceVersion=0`` is answered from a cache, which ignores ``limit``.
        watch_list: Whether ``sendInitialEvents`` is known; older servers answer it with 422.
        compress_watch_list: Whether streams of initial objects may be gzip, one member per flush.
        aggregated_discovery: Whether one document may say all that is served; servers before 1.26 have many.
        bookmark_interval: Seconds between bookmarks; one more comes 2 s before the end of a watch. As on
            kube-apiserver, none comes before there are news of the resource since the watch began.
        watch_timeout: Seconds after which a watch without ``timeoutSeconds`` ends.
        port: TCP port on 127.0.0.1; 0 takes a free one.
        now: Clock of ``creationTimestamp``.
        rng: Source of uids and generated names; a seeded one makes runs repeatable.
    """

    def __init__(
        self,
        *,
        resources: Iterable[Resource] = DEFAULT_RESOURCES,
        log_size: int = 10_000,
        watch_cache: bool = True,
        watch_list: bool = True,
        compress_watch_list: bool = True,
        aggregated_discovery: bool = True,
        bookmark_interval: float = 60.0,
        watch_timeout: float = 1800.0,
        port: int = 0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self.storage: Storage = Storage(resources, log_size=log_size, now=now, rng=rng)
        self.requests: list[RequestInfo] = []
        """The latest requests, oldest first: 5,000 at least, 10,000 at most."""
        self.faults: list[Interceptor] = []
        """What :meth:`intercept` and :meth:`fail` have added; the first to answer decides."""
        self._handler = ApiHandler(
            self.storage,
            ServerOptions(
                watch_cache=watch_cache,
                watch_list=watch_list,
                compress_watch_list=compress_watch_list,
                aggregated_discovery=aggregated_discovery,
                bookmark_interval=bookmark_interval,
                watch_timeout=watch_timeout,
            ),
        )
        self._port = port
        self._stopping = asyncio.Event()
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None

    # -- life --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. A stopped server may be started again: same port, same objects."""
        if self._runner is not None:
            raise RuntimeError("the server is running already")
        self._stopping = asyncio.Event()
        self._server = web.Server(
            self._serve, request_factory=_make_request, handler_cancellation=True, access_log=None
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End every watch and every connection; later requests are refused. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._stopping.set()
        self._handler.close_watches()
        await runner.cleanup()

    @property
    def url(self) -> str:
        """Where it listens: ``http://127.0.0.1:PORT``."""
        if not self._port:
            raise RuntimeError("the server has not started: use `async with FakeAPIServer() as server`")
        return f"http://{_HOST}:{self._port}"

    def configuration(self) -> client.Configuration:
        """Return a configuration of kubernetes_asyncio that points here."""
        from kubernetes_asyncio import client

        return client.Configuration(host=self.url)

    def api_client(self) -> client.ApiClient:
        """Return a configured client, to be closed by the caller or used with ``async with``."""
        from kubernetes_asyncio import client

        return client.ApiClient(self.configuration())

    def upgrade(self, **options: Any) -> None:
        """Serve otherwise from the next request on, as after an upgrade or downgrade; watches end.

        Args:
            **options: Arguments of the constructor that say how is served, such as ``watch_list=True``.
        """
        self._handler.options = dataclasses.replace(self._handler.options, **options)
        self._handler.close_watches()

    # -- objects -----------------------------------------------------------------------------------

    @property
    def resource_version(self) -> str:
        """The server's current resourceVersion."""
        return str(self.storage.version)

    def add_resource(
        self,
        gvr: GroupVersionResource | str,
        kind: str,
        *,
        namespaced: bool = True,
        short_names: Iterable[str] = (),
        status: bool = False,
        custom: bool = True,
    ) -> Resource:
        """Serve a further resource.

        Args:
            gvr: Its name.
            kind: Kind of its objects.
            namespaced: Whether its objects live in namespaces.
            short_names: As kubectl knows them.
            status: Whether it has a ``/status`` subresource.
            custom: Whether it is written as custom resources are (key-sorted).
        """
        name = GroupVersionResource.parse(gvr) if isinstance(gvr, str) else gvr
        resource = Resource(
            gvr=name,
            kind=kind,
            namespaced=namespaced,
            short_names=tuple(short_names),
            status=status,
            generation=custom,
            custom=custom,
        )
        self.storage.add_resource(resource)
        return resource

    def create(
        self, what: GroupVersionResource | str, obj: Mapping[str, Any], *, namespace: str | None = None
    ) -> dict[str, Any]:
        """Create an object, its status included, and return it as stored.

        Args:
            what: The resource: GVR, ``plural.version.group``, plural or short name.
            obj: The object; kind and apiVersion may be left out.
            namespace: Its namespace, if its metadata has none; by default ``default``.

        Raises:
            StatusError: What the server would answer.
            LookupError: If no such resource is served.
        """
        resource = self.storage.resources.resolve(what)
        return _decoded(self.storage.create(resource, obj, namespace=namespace or "").body)

    def update(
        self, what: GroupVersionResource | str, obj: Mapping[str, Any], *, namespace: str | None = None
    ) -> dict[str, Any]:
        """Replace an object, its status included; see :meth:`create`."""
        resource = self.storage.resources.resolve(what)
        name = obj["metadata"]["name"]
        return _decoded(self.storage.update(resource, name, obj, namespace=namespace or "").body)

    def patch(
        self,
        what: GroupVersionResource | str,
        name: str,
        patch: Mapping[str, Any],
        *,
        namespace: str | None = None,
    ) -> dict[str, Any]:
        """Apply a JSON merge patch to an object, its status included; see :meth:`create`."""
        resource = self.storage.resources.resolve(what)
        scope = _scope(resource, namespace)
        return _decoded(self.storage.patch(resource, name, patch, namespace=scope).body)

    def delete(self, what: GroupVersionResource | str, name: str, *, namespace: str | None = None) -> None:
        """Delete an object, or mark it for deletion if it has finalizers; see :meth:`create`."""
        resource = self.storage.resources.resolve(what)
        self.storage.delete(resource, name, namespace=_scope(resource, namespace))

    def get(self, what: GroupVersionResource | str, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        """Return an object; see :meth:`create`."""
        resource = self.storage.resources.resolve(what)
        return _decoded(self.storage.get(resource, _scope(resource, namespace), name).body)

    def list(
        self,
        what: GroupVersionResource | str,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return objects, ordered by key; ``namespace=None`` is all namespaces; see :meth:`create`."""
        resource = self.storage.resources.resolve(what)
        selection = Selection.parse(resource, namespace or "", {"labelSelector": label_selector or ""})
        return [_decoded(item.body) for item in selection.filter(self.storage.table(resource).ordered())]

    def expire(self, what: GroupVersionResource | str | None = None, *, version: str | None = None) -> None:
        """Forget history, as a compaction does: reads of the past and old continue tokens get 410.

        Args:
            what: The resource; by default all.
            version: The newest version to forget; by default the current one.
        """
        resource = None if what is None else self.storage.resources.resolve(what)
        self.storage.expire(None if version is None else int(version), resource=resource)

    def backup(self) -> Backup:
        """Return a copy of all objects and of the resourceVersion, for :meth:`restore`."""
        return self.storage.backup()

    def restore(self, backup: Backup) -> None:
        """Go back to an earlier state as etcd restored from a backup does: resourceVersions fall.

        Watches end, and the past is forgotten. A later watch from a version that only the lost history
        had is told nothing, no event, no error and no bookmark, until the version has been reached again.
        """
        self.storage.restore(backup)
        self._handler.close_watches()

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return 0 if self._server is None else len(self._server.connections)

    # -- faults ------------------------------------------------------------------------------------

    def intercept(self, interceptor: Interceptor) -> Callable[[], None]:
        """Ask a function about the fault of every request from now on.

        Args:
            interceptor: Plain or coroutine function of the :class:`RequestInfo`; ``None`` for no fault.

        Returns:
            A function that takes it away again.
        """
        self.faults.append(interceptor)

        def remove() -> None:
            if interceptor in self.faults:
                self.faults.remove(interceptor)

        return remove

    def fail(
        self,
        match: str | Callable[[RequestInfo], bool],
        status: int = 503,
        *,
        times: int | None = 1,
        body: bytes | str | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
    ) -> Callable[[], None]:
        """Answer matching requests with a failure.

        Args:
            match: ``"VERB RESOURCE"``, either may be ``*`` (``"watch pods"``, ``"list *"``), or a
                predicate.
            status: HTTP status of the answer.
            times: How often; ``None`` until it is taken away.
            body: Its body; by default a ``Status``.
            headers: Its headers.
            delay: Seconds before it comes.

        Returns:
            A function that takes it away again.
        """
        matches = _matcher(match) if isinstance(match, str) else match
        fault = Fault(status=status, body=body, headers=dict(headers or {}), delay=delay)
        left = times

        def interceptor(request: RequestInfo) -> Fault | None:
            nonlocal left
            if not matches(request):
                return None
            if left is not None:
                left -= 1
                if left <= 0:
                    remove()
            return fault

        remove = self.intercept(interceptor)
        return remove

    def close_watches(self) -> int:
        """End every open watch cleanly, as a server that shuts down; returns how many there were."""
        return self._handler.close_watches()

    def reset_connections(self) -> int:
        """Reset every open connection; returns how many there were."""
        connections = [] if self._server is None else self._server.connections
        transports = [each.transport for each in connections if each.transport is not None]
        for transport in transports:
            reset(transport)
        return len(transports)

    # -- requests ----------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        info = RequestInfo(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            time=asyncio.get_running_loop().time(),
            target=parse_target(request.path),
        )
        self._remember(info)
        exchange = Exchange(request, info, self._stopping)
        return await exchange.run(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        exchange.fault = fault = await self._fault_of(exchange.info)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.status is None:
            await self._handler.handle(exchange)
        else:
            await exchange.answer(fault.status, fault.encoded_body(), headers=fault.headers)

    async def _fault_of(self, info: RequestInfo) -> Fault:
        for interceptor in tuple(self.faults):
            fault = interceptor(info)
            if inspect.isawaitable(fault):
                fault = await fault
            if fault is not None:
                return fault
        return Fault()

    def _remember(self, info: RequestInfo) -> None:
        self.requests.append(info)
        if len(self.requests) > _KEPT_REQUESTS:
            del self.requests[: _KEPT_REQUESTS // 2]


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    # aiohttp's own limit for bodies is 1 MiB, less than etcd's for objects.
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY)


def _decoded(body: bytes) -> dict[str, Any]:
    obj: dict[str, Any] = decode(body)
    return obj


def _scope(resource: Resource, namespace: str | None) -> str:
    return (namespace or "default") if resource.namespaced else ""


def _matcher(text: str) -> Callable[[RequestInfo], bool]:
    verb, _, resource = text.partition(" ")
    if not resource or " " in resource:
        raise ValueError(f"{text!r} is not of the form 'VERB RESOURCE', such as 'watch pods' or 'list *'")
    return lambda request: verb in ("*", request.verb) and resource in ("*", request.resource)
