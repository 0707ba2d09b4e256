"""Handles HTTP requests: maps each verb to the storage, and keeps watches open."""

from __future__ import annotations

import asyncio
import gzip
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aioinformers.checks import require_number, shown
from aioinformers.testing.apiserver import discovery
from aioinformers.testing.apiserver.documents import decode, encode
from aioinformers.testing.apiserver.exchange import Exchange
from aioinformers.testing.apiserver.listing import list_objects
from aioinformers.testing.apiserver.refusals import check_formats
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.routing import Target
from aioinformers.testing.apiserver.scaling import scale_bytes
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.testing.apiserver.table import LaggedBehindError
from aioinformers.testing.apiserver.watching import Watch, WatchOptions, error_line, open_watch
from aioinformers.testing.apiserver.writing import check_subresource, write

__all__ = ["ApiHandler", "ServerOptions"]

_GZIP_FROM = 128 * 1024  # kube-apiserver compresses larger answers only
_WRITES = ("create", "update", "patch", "delete", "deletecollection")
_FLAGS = (
    "watch_cache", "watch_list", "compress_watch_list", "shard_selector", "aggregated_discovery", "garbage_collection",
)  # fmt: skip
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Options of the server's behaviour, which :class:`~aioinformers.testing.FakeAPIServer` documents."""

    watch_cache: bool = True
    watch_list: bool = True
    compress_watch_list: bool = True
    shard_selector: bool = False
    aggregated_discovery: bool = True
    garbage_collection: bool = True
    bookmark_interval: float = 60.0
    watch_timeout: float = 1800.0

    def __post_init__(self) -> None:
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, not {shown(getattr(self, name))}")
        for name in ("bookmark_interval", "watch_timeout"):
            require_number(name, getattr(self, name))
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0 seconds, not {getattr(self, name)}")


class ApiHandler:
    """Answers requests.

    Args:
        storage: The objects to serve.
        options: Options of the behaviour.

    Attributes:
        options: Options of the behaviour; may be replaced at any time.
    """

    def __init__(self, storage: Storage, options: ServerOptions) -> None:
        self._storage = storage
        self.options: ServerOptions = options
        self._open_watches: dict[Callable[[], None], None] = {}

    def close_watches(self) -> int:
        """End every open watch as a server does at its shutdown, and return their number."""
        closers = tuple(self._open_watches)
        for close in closers:
            close()
        return len(closers)

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        try:
            if exchange.info.target is None or not exchange.info.resource:
                await self._discover(exchange)
            else:
                await self._resource(exchange, exchange.info.target)
        except StatusError as error:
            retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            await exchange.answer(error.code, encode(error.body()) + b"\n", headers=retry)

    async def _discover(self, exchange: Exchange) -> None:
        path, target = exchange.info.path.strip("/"), exchange.info.target
        document: Mapping[str, Any] | None = None
        content_type = "application/json"
        if target is not None:
            document = discovery.api_resources(self._storage.resources, target.gvr.group, target.gvr.version)
        elif path in ("api", "apis") and self._aggregates(exchange):
            document = discovery.aggregated(self._storage.resources, path)
            content_type = discovery.AGGREGATED_TYPE
        elif path == "api":
            document = discovery.api_versions()
        elif path == "apis":
            document = discovery.api_groups(self._storage.resources)
        elif path.startswith("apis/"):
            document = discovery.api_group(self._storage.resources, path.removeprefix("apis/"))
        elif path == "version":
            document = discovery.VERSION
        elif path in ("readyz", "livez", "healthz"):
            await exchange.answer(200, b"ok", content_type="text/plain; charset=utf-8")
            return
        if document is None:
            await _answer_page_not_found(exchange)
        else:
            await exchange.answer(200, encode(document) + b"\n", content_type=content_type)

    def _aggregates(self, exchange: Exchange) -> bool:
        """Tell whether to answer with the aggregated document; servers before 1.26 ignore requests for it."""
        accept = exchange.info.headers.get("accept", "")
        return self.options.aggregated_discovery and discovery.wants_aggregated(accept)

    async def _resource(self, exchange: Exchange, target: Target) -> None:
        resource = self._storage.resources.get(target.gvr)
        if resource is None:
            if target.gvr.group and target.gvr.group not in self._storage.resources.groups():
                await _answer_page_not_found(exchange)
                return
            raise StatusError.no_resource()
        if not _exists(resource, target):
            raise StatusError.no_resource()
        check_formats(exchange.info.headers)
        check_subresource(resource, target)
        match exchange.info.verb:
            case "list":
                await self._list(exchange, resource, target)
            case "watch":
                await self._watch(exchange, resource, target)
            case "get":
                read = self._storage.get if target.subresource else self._storage.read
                body = read(resource, target.namespace, target.name).body
                is_scale = target.subresource == "scale"
                await exchange.answer(200, scale_bytes(resource, decode(body)) if is_scale else body + b"\n")
            case verb if verb in _WRITES:
                body, sharded = await exchange.read(), self.options.shard_selector
                answer = write(self._storage, resource, target, exchange.info, body, shard_selector=sharded)
                await exchange.answer(answer.status, answer.body)
            case _:
                raise StatusError.method_not_allowed()

    async def _list(self, exchange: Exchange, resource: Resource, target: Target) -> None:
        query, sharded = exchange.info.query, self.options.shard_selector
        selection = Selection.parse(resource, target.namespace, query, shard_selector=sharded)
        listing = list_objects(self._storage, resource, selection, query, watch_cache=self.options.watch_cache)
        size = sum(len(item.body) for item in listing.items)
        if size <= _GZIP_FROM:
            await exchange.answer(200, b"".join(listing.pieces()))
            return
        if not _accepts_gzip(exchange):
            await exchange.begin(200, _JSON)
            for piece in listing.pieces():
                await exchange.write(piece)
            return
        await exchange.begin(200, {**_JSON, "Content-Encoding": "gzip"})
        compressor = zlib.compressobj(level=1, wbits=31)
        for piece in listing.pieces():
            await exchange.write(compressor.compress(piece))
        await exchange.write(compressor.flush())

    async def _watch(self, exchange: Exchange, resource: Resource, target: Target) -> None:
        query, sharded = exchange.info.query, self.options.shard_selector
        selection = Selection.parse(resource, target.namespace, query, shard_selector=sharded)
        options = WatchOptions.parse(query, watch_list=self.options.watch_list)
        # From version 1.37 on, streams that mark the end of the initial objects are compressed: one gzip member per
        # flush.
        compress = self.options.compress_watch_list and options.marked and _accepts_gzip(exchange)
        await exchange.begin(200, {**_JSON, **({"Content-Encoding": "gzip"} if compress else {})})

        async def send(lines: bytes) -> None:
            await exchange.write(gzip.compress(lines, 1) if compress else lines)

        try:
            watch = open_watch(self._storage, resource, selection, options)
        except StatusError as error:
            await send(error_line(error))
            return
        stream = _WatchStream(watch, options, self.options)
        stop_listening = watch.listen(stream.wake)
        self._open_watches[stream.close] = None
        try:
            while lines := await stream.next():
                await send(lines)
        finally:
            del self._open_watches[stream.close]
            stop_listening()


class _WatchStream:
    """One open watch: waits for changes, sends bookmarks at intervals, and ends at the deadline."""

    def __init__(self, watch: Watch, options: WatchOptions, settings: ServerOptions) -> None:
        self._watch = watch
        self._interval = settings.bookmark_interval
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + (options.timeout or settings.watch_timeout)
        self._bookmark_at = self._next_bookmark() if options.bookmarks else math.inf
        self._woken = asyncio.Event()
        self._closing = False

    def wake(self) -> None:
        """Let :meth:`next` look for changes."""
        self._woken.set()

    def close(self) -> None:
        """End the stream."""
        self._closing = True
        self._woken.set()

    async def next(self) -> bytes:
        """Wait for the next lines and return them; empty at the end of the stream."""
        while not self._closing and self._loop.time() < self._deadline:
            try:
                if lines := self._watch.read():
                    return lines
            except LaggedBehindError:  # the real server also ends the watch of a client that reads too slowly
                return b""
            if self._watch.ended:
                return b""
            if self._loop.time() >= self._bookmark_at:
                self._bookmark_at = self._next_bookmark()
                if bookmark := self._watch.bookmark():
                    return bookmark
                continue
            self._woken.clear()
            try:
                async with asyncio.timeout_at(min(self._deadline, self._bookmark_at)):
                    await self._woken.wait()
            except TimeoutError:
                pass
        return b""

    def _next_bookmark(self) -> float:
        """Return the time of the next bookmark: at intervals, and 2 s before the end, as kube-apiserver does."""
        now = self._loop.time()
        regular, before_end = now + self._interval, self._deadline - 2.0
        return before_end if now < before_end < regular else regular


def _exists(resource: Resource, target: Target) -> bool:
    """Tell whether a path with or without a namespace is valid for a resource that is, or is not, namespaced."""
    if not resource.namespaced:
        return not target.namespace
    return bool(target.namespace or not target.name)


async def _answer_page_not_found(exchange: Exchange) -> None:
    await exchange.answer(404, b"404 page not found\n", content_type="text/plain; charset=utf-8")


def _accepts_gzip(exchange: Exchange) -> bool:
    return exchange.fault.rewrite is None and "gzip" in exchange.info.headers.get("accept-encoding", "")
