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
from aioinformers.testing.apiserver.documents import encode
from aioinformers.testing.apiserver.exchange import Exchange
from aioinformers.testing.apiserver.listing import Listing, list_objects
from aioinformers.testing.apiserver.refusals import (
    check_dry_run,
    check_formats,
    decode_object,
    read_patch,
    unknown_subresource,
)
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.routing import Target
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Part, Storage
from aioinformers.testing.apiserver.table import LaggedBehindError, Stored
from aioinformers.testing.apiserver.watching import Watch, WatchOptions, error_line, open_watch

__all__ = ["ApiHandler", "ServerOptions"]

_GZIP_FROM = 128 * 1024  # kube-apiserver compresses larger answers only
_WRITES = ("create", "update", "patch", "delete", "deletecollection")
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Options of the server's behaviour, which :class:`~aioinformers.testing.FakeAPIServer` documents."""

    watch_cache: bool = True
    watch_list: bool = True
    compress_watch_list: bool = True
    aggregated_discovery: bool = True
    bookmark_interval: float = 60.0
    watch_timeout: float = 1800.0

    def __post_init__(self) -> None:
        for name in ("watch_cache", "watch_list", "compress_watch_list", "aggregated_discovery"):
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
        if exchange.info.verb in _WRITES:
            check_dry_run(exchange.info.query)
        if target.subresource:
            await self._status(exchange, resource, target)
            return
        match exchange.info.verb:
            case "list":
                await self._list(exchange, resource, target)
            case "watch":
                await self._watch(exchange, resource, target)
            case "get":
                item = self._storage.read(resource, target.namespace, target.name)
                await _answer_item(exchange, 200, item)
            case "create" if not target.name and (target.namespace or not resource.namespaced):
                obj = await _read_object(exchange, resource)
                item = self._storage.create(resource, obj, namespace=target.namespace, part=Part.MAIN)
                await _answer_item(exchange, 201, item)
            case "update" | "patch" if target.name:
                await self._write(exchange, resource, target, Part.MAIN)
            case "delete":
                await self._delete(exchange, resource, target)
            case "deletecollection" if target.namespace or not resource.namespaced:
                await self._delete_collection(exchange, resource, target)
            case _:
                raise StatusError.method_not_allowed()

    async def _status(self, exchange: Exchange, resource: Resource, target: Target) -> None:
        if target.subresource != "status" or not resource.status:
            raise unknown_subresource(resource, target.subresource)
        match exchange.info.verb:
            case "get":
                item = self._storage.get(resource, target.namespace, target.name)
                await _answer_item(exchange, 200, item)
            case "update" | "patch":
                await self._write(exchange, resource, target, Part.STATUS)
            case _:
                raise StatusError.method_not_allowed()

    async def _write(self, exchange: Exchange, resource: Resource, target: Target, part: Part) -> None:
        if exchange.info.verb == "patch":
            content_type = exchange.info.headers.get("content-type", "")
            patch = read_patch(resource, content_type, await exchange.read())
            item = self._storage.patch(resource, target.name, patch, namespace=target.namespace, part=part)
        else:
            obj = await _read_object(exchange, resource)
            item = self._storage.update(resource, target.name, obj, namespace=target.namespace, part=part)
        await _answer_item(exchange, 200, item)

    async def _delete(self, exchange: Exchange, resource: Resource, target: Target) -> None:
        conditions = (await _read_options(exchange)).get("preconditions") or {}
        item, gone = self._storage.delete(
            resource,
            target.name,
            namespace=target.namespace,
            uid=conditions.get("uid"),
            version=conditions.get("resourceVersion"),
        )
        if not gone:
            await _answer_item(exchange, 200, item)
            return
        group = {"group": resource.gvr.group} if resource.gvr.group else {}
        details = {"name": item.name, **group, "kind": resource.gvr.resource, "uid": item.uid}
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        await exchange.answer(200, encode(success) + b"\n")

    async def _delete_collection(self, exchange: Exchange, resource: Resource, target: Target) -> None:
        await _read_options(exchange)
        selection = Selection.parse(resource, target.namespace, exchange.info.query)
        items = selection.filter(self._storage.table(resource).ordered())
        for item in items:
            self._storage.delete(resource, item.name, namespace=item.namespace)
        listing = Listing(resource=resource, version=self._storage.version, items=items)
        await exchange.answer(200, b"".join(listing.pieces()))

    async def _list(self, exchange: Exchange, resource: Resource, target: Target) -> None:
        query = exchange.info.query
        selection = Selection.parse(resource, target.namespace, query)
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
        query = exchange.info.query
        selection = Selection.parse(resource, target.namespace, query)
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


async def _answer_item(exchange: Exchange, status: int, item: Stored) -> None:
    await exchange.answer(status, item.body + b"\n")


async def _read_object(exchange: Exchange, resource: Resource) -> dict[str, Any]:
    obj = decode_object(await exchange.read())
    if resource.custom and not ("kind" in obj and "apiVersion" in obj):
        raise StatusError.bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): Object 'Kind' is missing"
        )
    return obj


async def _read_options(exchange: Exchange) -> dict[str, Any]:
    """Return the options in the body of a deletion."""
    body = await exchange.read()
    options = decode_object(body) if body else {}
    check_dry_run(exchange.info.query, options)
    return options


def _accepts_gzip(exchange: Exchange) -> bool:
    return exchange.fault.rewrite is None and "gzip" in exchange.info.headers.get("accept-encoding", "")
