"""An informer's events as server-sent events: a response that ends by itself when its server stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AsyncExitStack
from typing import Any, Final, Generic, TypedDict, TypeVar, Unpack

import msgspec
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from starlette.background import BackgroundTask

from aioinformers.checks import require_number, require_plain, shown
from aioinformers.delivery.events import Added, Deleted, Event
from aioinformers.delivery.stream import Stream
from aioinformers.informer import SharedInformer
from aioinformers.integrations.fastapi.refusals import REFUSED, STOPPING, Refusal, refusal_of, unsynced
from aioinformers.integrations.lifecycle import state_of
from aioinformers.options import check_options

__all__ = ["EventOptions", "EventStream", "document_of", "events_of"]

T = TypeVar("T")

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

logger: logging.Logger = logging.getLogger("aioinformers.fastapi")

HELD: Final = 64 * 1024
"""Bytes that wait for a reader; beyond, events wait in the stream, which merges them per object."""

END: Final = 1.0
"""Seconds for a reader to take the last bytes once the stream has ended."""

_COMMENT: Final = b":\n\n"
"""Says nothing, and so that the other end is still there."""

_FIELDS: Final = {
    "name": "name", "namespace": "namespace", "uid": "uid", "resourceVersion": "resource_version",
    "generation": "generation", "creationTimestamp": "creation_timestamp", "deletionTimestamp": "deletion_timestamp",
    "labels": "labels",
}  # fmt: skip
"""What is told of an object's metadata. Not its annotations: ``kubectl apply`` leaves whole Secrets in them."""


class EventOptions(TypedDict, Generic[T], total=False):
    """Which events a client is sent; all of it may be left out.

    Attributes:
        filter: Objects for which it is false do not exist for this client: an update that makes it true comes as an
            addition, one that makes it false as a deletion.
        ignore: Fields whose changes are not sent, as JSON paths: ``("status",)``.
        only: The only fields whose changes are sent: ``("spec.template", "metadata.labels")``.
    """

    filter: Callable[[T], bool] | None
    ignore: str | Iterable[str] | None
    only: str | Iterable[str] | None


def events_of(
    informer: SharedInformer[T],
    data: Callable[[Event[T]], Any] | None = None,
    *,
    heartbeat: float = 15.0,
    **options: Unpack[EventOptions[T]],
) -> EventStream:
    """Return a response that sends an informer's events to a browser's ``EventSource``, until one of both ends it.

    A client is first sent every cached object as ``added`` with ``initial``, then each change: it begins with nothing
    whenever it connects (``source.onopen``). Before the cache has synced it is sent nothing but heartbeats. The stream
    ends when the client leaves, when the informer ends, and as soon as the server is to stop: then it does not delay
    that, and the client connects again, to another replica.

    Who reads slowly is sent less, not later: what waits for a client is at most 64 KiB, then 1,024 events, then one
    merged change per object. No client slows down another one, or the cache.

    Args:
        informer: The informer.
        data: Returns what is sent of an event, anything that FastAPI can make JSON of; None sends nothing. By default
            ``{"type": "added" | "updated" | "deleted", "key": "namespace/name", "metadata": {…}}``, with the names, the
            versions, the times and the labels of the object alone. Sync, called in the event loop.
        heartbeat: Seconds without an event after which a comment is sent, so that no proxy takes the connection to be
            dead.
        options: See :class:`EventOptions`.

    Raises:
        TypeError: If an option is unknown, or ``data`` cannot be called with an event, or has to be awaited.
        ValueError: If ``heartbeat`` is not positive, or an option is out of range.
    """
    if not isinstance(informer, SharedInformer):
        raise TypeError(f"events_of() takes an informer, such as informer_of() gives, not {shown(informer)}")
    check_options(EventOptions, options, "events_of()", ("heartbeat",))
    if data is not None:
        require_plain(data, "data", "the event")
    require_number("heartbeat", heartbeat)
    if not heartbeat > 0:
        raise ValueError(f"heartbeat is a number of seconds above 0, not {heartbeat!r}")
    informer.stream(**options)  # never opened: what it refuses is refused here
    return EventStream(informer, document_of if data is None else data, heartbeat, options)


def document_of(event: Event[Any]) -> dict[str, Any]:
    """Return what is sent of an event by default: its type, the object's key, and of its metadata what is harmless."""
    document: dict[str, Any] = {"type": type(event).__name__.lower(), "key": str(event.key)}
    if isinstance(event, Added) and event.initial:
        document["initial"] = True
    if isinstance(event, Deleted) and not event.final_state_known:
        document["finalStateKnown"] = False
    whole = event.object
    metadata = whole.get("metadata") if isinstance(whole, dict) else getattr(whole, "metadata", None)
    if isinstance(metadata, Mapping):
        found = {name: metadata.get(name) for name in _FIELDS}
    else:
        found = {name: getattr(metadata, attribute, None) for name, attribute in _FIELDS.items()}
    document["metadata"] = {name: value for name, value in found.items() if value}
    return document


class EventStream(Response):
    """A response of server-sent events; made by :func:`events_of`. A return type that FastAPI understands."""

    media_type = "text/event-stream"

    def __init__(
        self,
        informer: SharedInformer[Any],
        data: Callable[[Event[Any]], Any],
        heartbeat: float,
        options: EventOptions[Any],
    ) -> None:
        self.status_code: int = 200
        self.background: BackgroundTask | None = None
        # Proxies are told not to keep events until there are many of them.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._informer = informer
        self._data = data
        self._heartbeat = heartbeat
        self._options = options
        self._has_failed = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Send events until the client leaves, the informer ends or the server is to stop.

        Cancellation: the stream ends; nothing is left behind.

        Raises:
            RuntimeError: If the app has no lifespan with informers: its streams would keep servers from stopping.
        """
        state = state_of(scope)
        if state is None:
            raise RuntimeError(
                "events_of() needs an app with FastAPI(lifespan=informers(build)), which tells when the server stops: "
                "an open stream would keep it from stopping; mounted apps have the lifespan of the outermost one"
            )
        if is_stopping := state.stopping.is_set():
            await _refuse(STOPPING, scope, receive, send)
            return
        async with AsyncExitStack() as stack:
            stream = self._informer.stream(until=state.stopping, name="server-sent events", **self._options)
            try:
                events = await stack.enter_async_context(stream)
            except REFUSED as error:
                has_crashed = self._informer.health().has_crashed
                refusal = unsynced(self._informer) if has_crashed else refusal_of(error, is_stopping=is_stopping)
                await _refuse(refusal, scope, receive, send)
                return
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._pass_on(events, state.stopping, receive, send)

    async def _pass_on(self, events: Stream[Any], stopping: asyncio.Event, receive: _Receive, send: _Send) -> None:
        held = _Held()
        reading = asyncio.create_task(self._read(events, held), name="read server-sent events")
        writing = asyncio.create_task(self._write(held, send), name="write server-sent events")
        leaving = asyncio.create_task(_left(receive), name="client of server-sent events")
        ending = asyncio.create_task(stopping.wait(), name="end of server-sent events")  # reading may wait for room
        tasks: set[asyncio.Task[Any]] = {reading, writing, leaving, ending}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done() and not leaving.done():  # the stream has ended: the rest need not be waited for long
                await asyncio.wait({writing, leaving}, timeout=END, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # raises what it has raised
        except OSError:  # what servers raise once the client has left
            logger.debug("%s: a client of its events has left", self._informer.name)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, events: Stream[Any], held: _Held) -> None:
        async for event in events:
            if (data := self._encoded(event)) is not None:
                await held.put(b"data: " + data + b"\n\n")
        held.close()

    def _encoded(self, event: Event[Any]) -> bytes | None:
        """Return an event's JSON; None if it is not to be sent, or the function of the user's raised."""
        try:
            document = self._data(event)
            if document is None:
                return None
            _require_no_model(document)
            return msgspec.json.encode(document, enc_hook=jsonable_encoder)  # without line breaks: they end a field
        except Exception:
            if not self._has_failed:  # once is enough: it is probably every event
                logger.exception("%s: data of events_of() failed for %s", self._informer.name, event.key)
            self._has_failed = True
            return None

    async def _write(self, held: _Held, send: _Send) -> None:
        body: bytes | None = _COMMENT  # at once: proxies and clients see that there is an answer
        while body is not None:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            try:
                async with asyncio.timeout(self._heartbeat):
                    body = await held.take()
            except TimeoutError:
                body = _COMMENT
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Held:
    """What waits for a reader: one task puts, another takes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._is_closed = False
        self._changed = asyncio.Event()

    async def put(self, part: bytes) -> None:
        """Add something, once there is room. Cancellation: it is not added."""
        while self._size >= HELD:
            await self._change()
        self._parts.append(part)
        self._size += len(part)
        self._changed.set()

    def close(self) -> None:
        """Say that nothing more will come."""
        self._is_closed = True
        self._changed.set()

    async def take(self) -> bytes | None:
        """Return all there is, once there is something; None at the end. Cancellation takes nothing."""
        while not self._parts:
            if self._is_closed:
                return None
            await self._change()
        taken = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._changed.set()
        return taken

    async def _change(self) -> None:
        # Never do both sides wait: one waits while nothing is held, the other while much is.
        self._changed.clear()
        await self._changed.wait()


async def _left(receive: _Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(refusal: Refusal, scope: Any, receive: Any, send: Any) -> None:
    response = JSONResponse({"detail": refusal.detail}, refusal.status, refusal.headers)
    await response(scope, receive, send)


def _require_no_model(value: Any) -> None:
    """Refuse objects as they are in the cache: nobody wants to send them whole, and few are as JSON wants them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            _require_no_model(each)
    elif hasattr(type(value), "openapi_types"):
        raise TypeError(f"data returns a whole {type(value).__name__}: return the fields that clients need, by name")
