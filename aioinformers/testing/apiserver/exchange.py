"""One request and its answer on the socket, with the faults that a test wants to see there."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiohttp import HttpVersion11, web

from aioinformers.testing.apiserver.documents import encode
from aioinformers.testing.apiserver.routing import RequestInfo
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["Ending", "Exchange", "Fault", "drop_bookmarks", "reset"]


class Ending(enum.Enum):
    """How an answer ends before its time."""

    STALL = "stall"
    """Nothing more comes, the connection stays open."""
    END = "end"
    """The body ends, well-formed as far as HTTP is concerned."""
    CLOSE = "close"
    """The connection is closed without the end of the body."""
    RESET = "reset"
    """The connection is reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one answer: late, then another status, other bytes, or an early ending.

    Attributes:
        delay: Seconds before anything is answered.
        status: Answer this instead of the truth.
        body: Body of that answer; by default a ``Status``.
        headers: Headers of that answer.
        rewrite: Gives what is sent instead of each piece of a body: some whole lines of a watch, a list of up to
            128 KiB, a part of a larger one. Such an answer is never compressed.
        ending: End the answer early.
        after: Bytes of the body that still pass before ``ending``; ``None`` holds back even the headers.
    """

    delay: float = 0.0
    status: int | None = None
    body: bytes | str | Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    rewrite: Callable[[bytes], bytes] | None = None
    ending: Ending | None = None
    after: int | None = 0

    def __post_init__(self) -> None:
        if self.ending is Ending.END and self.after is None:
            raise ValueError("Fault: only a body can end well; `after` must be a number of bytes")

    def encoded_body(self) -> bytes:
        """Return the body of the answer."""
        match self.body:
            case None:
                message = "injected by the test"
                return encode(StatusError(self.status or 500, "", message).body()) + b"\n"
            case bytes():
                return self.body
            case str():
                return self.body.encode()
            case _:
                return encode(self.body) + b"\n"


def drop_bookmarks(lines: bytes) -> bytes:
    """Leave bookmarks out of the lines of a watch, also the one that ends the initial objects: a ``Fault.rewrite``."""
    return b"".join(line for line in lines.splitlines(keepends=True) if not line.startswith(b'{"type":"BOOKMARK"'))


class _EndedEarlyError(Exception):
    """The answer has ended as its fault says; what the handler still has to say is dropped."""


class Exchange:
    """A request and the answer to it; every byte of every answer passes here.

    Args:
        request: aiohttp's request.
        info: The same, as tests see it.
        stopping: Set when the server stops; wakes whatever hangs.
    """

    def __init__(self, request: web.BaseRequest, info: RequestInfo, stopping: asyncio.Event) -> None:
        self.info = info
        self.fault: Fault = Fault()
        self._request = request
        self._stopping = stopping
        self._response: web.StreamResponse | None = None
        self._written = 0

    async def read(self) -> bytes:
        """Return the body of the request."""
        return await self._request.read()

    async def answer(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole answer."""
        body = self._rewritten(body)
        length = {"Content-Length": str(len(body))}
        await self.begin(status, {"Content-Type": content_type, **(headers or {}), **length})
        await self._send(body)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the headers of a streamed answer; without a Content-Length it is chunked."""
        if self.fault.ending and self.fault.after is None:
            await self._end(self.fault.ending)
        self._response = web.StreamResponse(status=status, headers=dict(headers))
        if self._request.version < HttpVersion11 and "Content-Length" not in headers:
            self._response.force_close()  # the connection's end is the body's end
        await self._response.prepare(self._request)
        if self.fault.ending and self.fault.after == 0:
            await self._end(self.fault.ending)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; returns when the socket takes more.

        Raises:
            ConnectionError: If the client has gone.
        """
        await self._send(self._rewritten(data))

    def _rewritten(self, data: bytes) -> bytes:
        return data if self.fault.rewrite is None else self.fault.rewrite(data)

    async def _send(self, data: bytes) -> None:
        assert self._response is not None, "begin() comes before write()"
        ending, after = self.fault.ending, self.fault.after or 0
        if ending and self._written + len(data) >= after:
            data = data[: after - self._written]
        if data:
            self._written += len(data)
            await self._response.write(data)
        if ending and self._written >= after:
            await self._end(ending)

    async def run(self, answer: Awaitable[None]) -> web.StreamResponse:
        """Await the coroutine that answers, and finish the answer."""
        with contextlib.suppress(_EndedEarlyError, ConnectionError):
            await answer
        if self._response is None:
            return web.Response(status=500)
        with contextlib.suppress(ConnectionError):
            await self._response.write_eof()
        return self._response

    async def _end(self, ending: Ending) -> NoReturn:
        transport = self._request.transport
        match ending:
            case Ending.CLOSE if transport is not None:
                transport.close()
            case Ending.RESET if transport is not None:
                reset(transport)
            case Ending.END:
                raise _EndedEarlyError
        # aiohttp cancels the handler when the connection is lost: nothing more can be written.
        await self._stopping.wait()
        if transport is not None:
            transport.abort()
        raise _EndedEarlyError


def reset(transport: asyncio.BaseTransport) -> None:
    """Abort a connection in such a way that the peer sees a reset, not an end of file."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert isinstance(transport, asyncio.WriteTransport)
    transport.abort()
