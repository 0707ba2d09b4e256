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

from aioinformers.checks import (
    name_of,
    require_arguments,
    require_callable,
    require_number,
    require_plain,
    shown,
    suggestion,
    truth_of,
)
from aioinformers.naming import resource_of
from aioinformers.testing.apiserver.documents import decode, document_of
from aioinformers.testing.apiserver.exchange import Exchange, Fault, reset
from aioinformers.testing.apiserver.garbage import collect
from aioinformers.testing.apiserver.handlers import ApiHandler, ServerOptions
from aioinformers.testing.apiserver.matching import matcher
from aioinformers.testing.apiserver.options import DeleteOptions, Propagation
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, ResourceName, ScalePaths
from aioinformers.testing.apiserver.routing import RequestInfo, parse_target
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.storage import Backup, Storage
from aioinformers.types import GroupVersionResource

if TYPE_CHECKING:
    from kubernetes_asyncio import client

__all__ = ["FakeAPIServer", "Interceptor"]

Interceptor = Callable[[RequestInfo], "Fault | Awaitable[Fault | None] | None"]
"""Returns the fault for a request, or None to leave the decision to the next interceptor."""

_HOST = "127.0.0.1"
_KEPT_REQUESTS = 10_000
_MAX_BODY = 64 * 1024 * 1024


class FakeAPIServer:
    """An API server in this process, for tests and demonstrations.

    Its reads, writes and watches behave as those of kube-apiserver 1.37; the same conformance tests run against both.
    It has no authentication, admission, schema validation, defaulting or controllers, except for the garbage collector,
    and namespaces need not be created first. It uses only the running loop's time, so it also works with a
    :class:`~aioinformers.testing.VirtualTimeLoop`::

        async with FakeAPIServer() as server, server.api_client() as api:
            server.create("pods", {"metadata": {"name": "web-1"}})
            factory = SharedInformerFactory(api)

    Methods that are not coroutines work without HTTP, and wake open watches at once.

    Args:
        resources: The resources to serve; see also :meth:`add_resource`. Creating a CustomResourceDefinition adds its
            resource.
        log_size: Changes kept per resource. A watch from an older version gets 410.
        watch_cache: Whether ``resourceVersion=0`` is answered from a cache, which ignores ``limit``.
        watch_list: Whether ``sendInitialEvents`` is supported; older servers answer it with 422.
        compress_watch_list: Whether streams of initial objects may be compressed with gzip, one member per flush.
        shard_selector: Whether ``shardSelector`` limits lists and watches to shards (KEP-5866), as on kube-apiserver
            with the feature gate ``ShardedListAndWatch``; without it, servers answer with all objects.
        aggregated_discovery: Whether clients may request all resources in one discovery document; servers before 1.26
            have only one document per group and version.
        garbage_collection: Whether objects are deleted once the last owner that their ``ownerReferences`` name has been
            deleted, and deletions with the policies ``Foreground`` and ``Orphan`` come to their end.
        bookmark_interval: Seconds between bookmarks; one more is sent 2 s before the end of a watch. As on
            kube-apiserver, there are none before the resource has changed since the beginning of the watch.
        watch_timeout: Seconds after which a watch without ``timeoutSeconds`` ends.
        port: TCP port on 127.0.0.1; 0 for a free one.
        now: Clock for ``creationTimestamp``.
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
        shard_selector: bool = False,
        aggregated_discovery: bool = True,
        garbage_collection: bool = True,
        bookmark_interval: float = 60.0,
        watch_timeout: float = 1800.0,
        port: int = 0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self.storage: Storage = Storage(resources, log_size=log_size, now=now, rng=rng)
        self.requests: list[RequestInfo] = []
        """The latest requests, oldest first: at least 5,000 and at most 10,000 of them."""
        self.faults: list[Interceptor] = []
        """The interceptors of :meth:`intercept` and :meth:`fail`; the first that returns a fault decides."""
        self._handler = ApiHandler(
            self.storage,
            ServerOptions(
                watch_cache=watch_cache,
                watch_list=watch_list,
                compress_watch_list=compress_watch_list,
                shard_selector=shard_selector,
                aggregated_discovery=aggregated_discovery,
                garbage_collection=garbage_collection,
                bookmark_interval=bookmark_interval,
                watch_timeout=watch_timeout,
            ),
        )
        require_number("port", port, whole=True)
        if not 0 <= port < 1 << 16:
            raise ValueError(f"port is a port of TCP, or 0 for a free one, not {port}")
        self._port = port
        self._stopping = asyncio.Event()
        self._garbage = asyncio.Event()
        self._collector: asyncio.Task[None] | None = None
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None

    # -- lifecycle ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start listening. A stopped server can be started again, with the same port and objects.

        Raises:
            RuntimeError: If the server is running.
        """
        if self._runner is not None:
            raise RuntimeError("the server is running already")
        self._stopping = asyncio.Event()
        self._garbage = asyncio.Event()
        self._garbage.set()  # there may be some from the time before
        self.storage.dependents.on_work = self._garbage.set
        self._server = web.Server(
            self._serve, request_factory=_make_request, handler_cancellation=True, access_log=None
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._collector = asyncio.create_task(self._collect(), name="aioinformers garbage collector of a FakeAPIServer")

    async def stop(self) -> None:
        """End all watches and connections and stop listening; does nothing if the server is not running."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._stopping.set()
        self._handler.close_watches()
        collector, self._collector = self._collector, None
        if collector is not None:
            collector.cancel()
        await runner.cleanup()
        if collector is not None:
            await asyncio.wait([collector])

    @property
    def url(self) -> str:
        """The server's URL: ``http://127.0.0.1:PORT``.

        Raises:
            RuntimeError: If the server has never been started.
        """
        if not self._port:
            raise RuntimeError("the server has not started: use `async with FakeAPIServer() as server`")
        return f"http://{_HOST}:{self._port}"

    def configuration(self) -> client.Configuration:
        """Return a configuration of kubernetes_asyncio for this server."""
        from kubernetes_asyncio import client

        return client.Configuration(host=self.url)

    def api_client(self) -> client.ApiClient:
        """Return a client of kubernetes_asyncio for this server, to be closed by the caller or with ``async with``."""
        from kubernetes_asyncio import client

        return client.ApiClient(self.configuration())

    def upgrade(self, **options: Any) -> None:
        """Change the server's behaviour and end all watches, as an upgrade or downgrade does.

        Args:
            **options: Arguments of the constructor from ``watch_cache`` to ``watch_timeout``, such as
                ``watch_list=True``.

        Raises:
            TypeError: If an argument is unknown or of another type.
            ValueError: If a value cannot be.
        """
        known = [each.name for each in dataclasses.fields(ServerOptions)]
        for name in options:
            if name not in known:
                raise TypeError(f"upgrade() takes no argument {name!r}: {suggestion(name, known)}")
        self._handler.options = dataclasses.replace(self._handler.options, **options)
        self._garbage.set()
        self._handler.close_watches()

    # -- objects -----------------------------------------------------------------------------------

    @property
    def resource_version(self) -> str:
        """The server's current resourceVersion."""
        return str(self.storage.version)

    def add_resource(
        self,
        gvr: GroupVersionResource | str | type,
        kind: str,
        *,
        namespaced: bool = True,
        short_names: Iterable[str] = (),
        status: bool = False,
        custom: bool = True,
        scale: ScalePaths | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> Resource:
        """Serve a further resource.

        Args:
            gvr: The resource, as GVR or ``plural.version.group``, or the model class of a built-in kind.
            kind: Kind of its objects.
            namespaced: Whether its objects are in namespaces.
            short_names: Short names, as in kubectl.
            status: Whether it has a ``/status`` subresource.
            custom: Whether it behaves as a custom resource, whose objects are encoded with sorted keys.
            scale: What its ``/scale`` subresource shows, if it is to have one.
            schema: The OpenAPI schema of a custom resource's objects, as in a CustomResourceDefinition. Server-side
                apply merges lists and maps by its ``x-kubernetes-list-type`` and so on; without it, lists are atomic.

        Raises:
            TypeError: If an argument is of another type.
            ValueError: If it is served already, or the text names no resource.
        """
        if isinstance(short_names, str):
            raise TypeError(f"short names are several: write [{short_names!r}]")
        resource = Resource(
            gvr=resource_of(gvr),
            kind=kind,
            namespaced=namespaced,
            short_names=tuple(short_names),
            status=status,
            generation=custom,
            custom=custom,
            scale=scale,
            schema=schema,
        )
        self.storage.add_resource(resource)
        return resource

    def create(self, what: ResourceName, obj: Any, *, namespace: str | None = None) -> dict[str, Any]:
        """Create an object with its status, and return it as stored.

        Args:
            what: The resource: plural, singular, short name or kind, each alone or with its group
                (``Deployment.apps``) or version and group (``deployments.v1.apps``); a GVR; a model class.
            obj: The object, a dict or a model's: kubernetes_asyncio, pydantic, msgspec. kind and apiVersion may be
                missing.
            namespace: Its namespace, if its metadata has none; by default ``default``.

        Raises:
            StatusError: The failure that the server would answer with.
            LookupError: If the resource is not served, or the name is ambiguous.
            TypeError: If an argument is of another type, or the model of another kind.
            ValueError: If a namespace is given for a kind that is in none.
        """
        resource, space = self._find(what, namespace)
        return _decoded(self.storage.create(resource, document_of(resource, obj), namespace=space).body)

    def update(self, what: ResourceName, obj: Any, *, namespace: str | None = None) -> dict[str, Any]:
        """Replace an object with its status; arguments and errors as for :meth:`create`."""
        resource, space = self._find(what, namespace)
        document = document_of(resource, obj)
        name = (document.get("metadata") or {}).get("name")
        if not name:
            raise ValueError(f"the {resource.kind} to be replaced needs its name: {{'metadata': {{'name': …}}}}")
        return _decoded(self.storage.update(resource, name, document, namespace=space).body)

    def patch(
        self,
        what: ResourceName,
        name: str,
        patch: Any,
        *,
        namespace: str | None = None,
    ) -> dict[str, Any]:
        """Apply a JSON merge patch to an object with its status; arguments and errors as for :meth:`create`."""
        resource, space = self._find_named(what, name, namespace)
        document = document_of(resource, patch)
        return _decoded(self.storage.patch(resource, name, document, namespace=space).body)

    def delete(self, what: ResourceName, name: str, *, namespace: str | None = None) -> None:
        """Delete an object, or mark it for deletion if it has finalizers; arguments as for :meth:`create`."""
        resource, space = self._find_named(what, name, namespace)
        options = DeleteOptions(propagation=Propagation.BACKGROUND)
        self.storage.delete(resource, name, namespace=space, options=options)

    def get(self, what: ResourceName, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        """Return an object; arguments and errors as for :meth:`create`."""
        resource, space = self._find_named(what, name, namespace)
        return _decoded(self.storage.get(resource, space, name).body)

    def list(
        self,
        what: ResourceName,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return objects sorted by key.

        Args:
            what: The resource, as for :meth:`create`.
            namespace: The namespace; None for all.
            label_selector: A selector of labels; None for all objects.
            field_selector: A selector of fields that the kind supports; None for all objects.

        Raises:
            StatusError: 400 if a selector is invalid.
            LookupError: If the resource is not served, or the name is ambiguous.
            TypeError: If an argument is of another type.
            ValueError: If a namespace is given for a kind that is in none.
        """
        resource, space = self._find(what, namespace)
        selectors = {"labelSelector": label_selector or "", "fieldSelector": field_selector or ""}
        selection = Selection.parse(resource, space, selectors)
        return [_decoded(item.body) for item in selection.filter(self.storage.table(resource).ordered())]

    def _find(self, what: ResourceName, namespace: str | None) -> tuple[Resource, str]:
        """Return the resource and the namespace that were given, or ``""``; refuse what cannot be."""
        resource = self.storage.resources.resolve(what)
        if namespace is not None and not isinstance(namespace, str):
            raise TypeError(f"namespace must be a text or None, not {shown(namespace)}")
        if namespace and not resource.namespaced:
            raise ValueError(f"{resource.group_resource} are in no namespace: leave out namespace={namespace!r}")
        return resource, namespace or ""

    def _find_named(self, what: ResourceName, name: str, namespace: str | None) -> tuple[Resource, str]:
        """Do the same for one object, whose namespace is ``default`` unless given."""
        resource, space = self._find(what, namespace)
        if not isinstance(name, str):
            raise TypeError(f"the name of a {resource.kind} must be a text, not {shown(name)}")
        if "/" in name:
            given, _, rest = name.partition("/")
            raise ValueError(f"{name!r} is no name: give {rest!r} and namespace={given!r}")
        return resource, space or ("default" if resource.namespaced else "")

    def expire(self, what: ResourceName | None = None, *, version: str | None = None) -> None:
        """Forget history, as a compaction does: reads of the past and old continue tokens get 410.

        Args:
            what: The resource; all resources by default.
            version: The newest version to forget; the current one by default.
        """
        resource = None if what is None else self.storage.resources.resolve(what)
        self.storage.expire(None if version is None else int(version), resource=resource)

    def backup(self) -> Backup:
        """Return a copy of all objects and of the resourceVersion, for :meth:`restore`."""
        return self.storage.backup()

    def restore(self, backup: Backup) -> None:
        """Go back to an earlier state, as after a restored backup of etcd: the resourceVersion decreases.

        Watches end, and the history is forgotten. A later watch from a version of the lost history gets no event, no
        error and no bookmark until that version has been reached again.
        """
        self.storage.restore(backup)
        self._handler.close_watches()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return 0 if self._server is None else len(self._server.connections)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do for the garbage collector, which works a moment after each deletion."""
        return not self.storage.dependents or not self._handler.options.garbage_collection

    async def _collect(self) -> None:
        """Collect garbage until cancelled, which lands between two collections."""
        while True:
            await self._garbage.wait()
            self._garbage.clear()
            if self._handler.options.garbage_collection:
                collect(self.storage)

    # -- faults ------------------------------------------------------------------------------------

    def intercept(self, interceptor: Interceptor) -> Callable[[], None]:
        """Call a function for every request from now on, to decide on its fault.

        Args:
            interceptor: A plain or coroutine function that takes a :class:`RequestInfo` and returns a :class:`Fault`,
                or None for no fault.

        Returns:
            A function that removes the interceptor.

        Raises:
            TypeError: If it is no function of one argument.
        """
        require_callable(interceptor, "interceptor")
        require_arguments(interceptor, "interceptor", "the request")
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
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
    ) -> Callable[[], None]:
        """Answer matching requests with a failure.

        Args:
            match: ``"VERB RESOURCE"``, where either may be ``*`` (``"watch pods"``, ``"list *"``,
                ``"patch pods/status"``), or a plain function that tells whether a :class:`RequestInfo` is meant. The
                resource is named as for :meth:`create`; one that is not served yet by its ``plural.version.group``.
            status: HTTP status of the answers.
            times: How many requests fail; None for all until the failure is removed.
            body: Body of the answers, as of :class:`Fault`; by default a ``Status``.
            headers: Headers of the answers.
            delay: Seconds before each answer.

        Returns:
            A function that removes the failure.

        Raises:
            TypeError: If an argument is of another type.
            ValueError: If there is no such verb or resource, or a value cannot be.
        """
        if isinstance(match, str):
            matches = matcher(match, self.storage.resources)
        else:
            require_plain(match, "match", "the request")
            matches = match
        if times is not None:
            require_number("times", times, whole=True)
            if times < 1:
                raise ValueError(f"times is how many requests fail, at least 1, not {times}")
        require_number("status", status, whole=True)
        fault = Fault(status=status, body=body, headers={} if headers is None else headers, delay=delay)
        left = times

        def interceptor(request: RequestInfo) -> Fault | None:
            nonlocal left
            if not truth_of(matches(request), "match"):
                return None
            if left is not None:
                left -= 1
                if left <= 0:
                    remove()
            return fault

        remove = self.intercept(interceptor)
        return remove

    def close_watches(self) -> int:
        """End every open watch cleanly, as a server does at its shutdown, and return their number."""
        return self._handler.close_watches()

    def reset_connections(self) -> int:
        """Reset every open connection and return their number."""
        connections = [] if self._server is None else self._server.connections
        transports = [connection.transport for connection in connections if connection.transport is not None]
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
            if isinstance(fault, Fault):
                return fault
            if fault is not None:
                name = name_of(interceptor)
                raise TypeError(f"the interceptor {name} must return a Fault or None, not {shown(fault)}")
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
    # aiohttp's default limit for bodies is 1 MiB, less than etcd's limit for objects.
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY)


def _decoded(body: bytes) -> dict[str, Any]:
    obj: dict[str, Any] = decode(body)
    return obj
