"""Reads one request and writes its answer, with the fault that a test has injected."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import math
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from aiohttp import HttpVersion11, web

from aioinformers.checks import require_number, require_plain, shown, suggestion
from aioinformers.testing.apiserver.documents import encode, plain
from aioinformers.testing.apiserver.routing import RequestInfo
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["Ending", "Exchange", "Fault", "drop_bookmarks", "reset"]


_logger = logging.getLogger("aioinformers.testing")

_STATUSES = range(200, 1000)
"""What can be answered: 1xx would be followed by another answer."""


class Ending(enum.Enum):
    """How an answer ends early."""

    STALL = "stall"
    """Nothing more is sent, and the connection stays open."""
    END = "end"
    """The body ends early, in valid HTTP."""
    CLOSE = "close"
    """The connection is closed before the end of the body."""
    RESET = "reset"
    """The connection is reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault of one answer: a delay, another status, other bytes, or an early end.

    Attributes:
        delay: Seconds before the answer begins.
        status: HTTP status of the answer; None for a normal answer.
        body: Body of the answer with this status: bytes, a text, or a document as a dict, list or model; by default a
            ``Status``.
        headers: Further headers of the answer, whatever its status.
        rewrite: Function that replaces each piece of a body: some whole lines of a watch, a list of up to 128 KiB, or a
            part of a larger list. The answer is not compressed.
        ending: How the answer ends early; None for a complete answer.
        after: Bytes of the body that are sent before ``ending``; None to hold back even the headers.

    Raises:
        TypeError: If a value is of another type: a status as a text, an async ``rewrite``.
        ValueError: If a value cannot be: a negative delay; a body without a status; ``ending`` is ``Ending.END`` and
            ``after`` is None.
    """

    delay: float = 0.0
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    rewrite: Callable[[bytes], bytes] | None = None
    ending: Ending | None = None
    after: int | None = 0

    def __post_init__(self) -> None:
        require_number("Fault(delay=)", self.delay)
        if not 0 <= self.delay < math.inf:
            stall = "; Ending.STALL with after=None never answers" if self.delay == math.inf else ""
            raise ValueError(f"Fault(delay=) is so many seconds, not {self.delay}{stall}")
        if self.status is not None:
            require_number("Fault(status=)", self.status, whole=True)
            if not _STATUSES[0] <= self.status <= _STATUSES[-1]:
                raise ValueError(f"Fault(status=) is a status of HTTP such as 503, not {self.status}")
        if self.body is not None and self.status is None:
            raise ValueError("Fault(body=) is sent with a status of its own: give Fault(status=), or use rewrite")
        if isinstance(self.body, int | float):
            raise TypeError(f"Fault(body=) is a document, a text or bytes, not {shown(self.body)}")
        if self.body is not None and not isinstance(self.body, bytes | str):
            plain(self.body, "Fault(body=)")
        _check_headers(self.headers)
        if self.rewrite is not None:
            require_plain(self.rewrite, "Fault(rewrite=)", "the bytes of a body")
        self._check_ending()

    def _check_ending(self) -> None:
        if self.ending is not None and not isinstance(self.ending, Ending):
            meant = suggestion(f"Ending.{self.ending}", [f"Ending.{each.name}" for each in Ending])
            raise TypeError(f"Fault(ending=) must be an Ending, not {shown(self.ending)}: {meant}")
        if self.after is not None:
            require_number("Fault(after=)", self.after, whole=True)
            if self.after < 0:
                raise ValueError(f"Fault(after=) is a number of bytes, not {self.after}")
        if self.ending is Ending.END and self.after is None:
            raise ValueError("Fault: Ending.END ends a body early; `after` must be a number of bytes")

    def encoded_body(self) -> bytes:
        """Return the bytes of the answer's body."""
        match self.body:
            case None:
                message = "injected by the test"
                return encode(StatusError(self.status or 500, "", message).body()) + b"\n"
            case bytes():
                return self.body
            case str():
                return self.body.encode()
            case _:
                return encode(plain(self.body)) + b"\n"


def _check_headers(headers: Any) -> None:
    if not isinstance(headers, Mapping):
        raise TypeError(f"Fault(headers=) must be a mapping such as {{'Retry-After': '7'}}, not {shown(headers)}")
    for part in (each for header in headers.items() for each in header):
        if not isinstance(part, str):
            raise TypeError(f"Fault(headers=) has names and values that are texts, not {shown(part)}")
        if any(letter in part for letter in "\r\n\0"):
            raise ValueError(f"Fault(headers=): a header is one line, not {shown(part)}")


def drop_bookmarks(lines: bytes) -> bytes:
    """Drop bookmarks from the lines of a watch, also the one after the initial objects: for ``Fault.rewrite``."""
    return b"".join(line for line in lines.splitlines(keepends=True) if not line.startswith(b'{"type":"BOOKMARK"'))


class _EndedEarlyError(Exception):
    """The fault has ended the answer; the rest of the handler's answer is dropped."""


class Exchange:
    """A request and its answer; all bytes of all answers are sent here.

    Args:
        request: aiohttp's request.
        info: The request as tests see it.
        stopping: Set when the server stops, to end stalled answers.

    Attributes:
        info: The request as tests see it.
        fault: The fault of the answer.
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
        """Send a complete answer.

        Args:
            status: HTTP status.
            body: The body.
            content_type: Value of the ``Content-Type`` header.
            headers: Further headers.
        """
        body = self._rewritten(body)
        length = {"Content-Length": str(len(body))}
        await self.begin(status, {"Content-Type": content_type, **(headers or {}), **length})
        await self._send(body)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the headers of a streamed answer; without a ``Content-Length``, its body is chunked."""
        if self.fault.ending and self.fault.after is None:
            await self._end(self.fault.ending)
        self._response = web.StreamResponse(status=status, headers={**headers, **self.fault.headers})
        if self._request.version < HttpVersion11 and "Content-Length" not in headers:
            self._response.force_close()  # the end of the connection marks the end of the body
        await self._response.prepare(self._request)
        if self.fault.ending and self.fault.after == 0:
            await self._end(self.fault.ending)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body, and wait until the socket accepts more.

        Raises:
            ConnectionError: If the client has closed the connection.
        """
        await self._send(self._rewritten(data))

    def _rewritten(self, data: bytes) -> bytes:
        if self.fault.rewrite is None:
            return data
        rewritten = self.fault.rewrite(data)
        if not isinstance(rewritten, bytes):
            raise TypeError(f"Fault(rewrite=) must return bytes, not {shown(rewritten)}")
        return rewritten

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
        """Await the coroutine that sends the answer, complete the answer and return it."""
        try:
            await answer
        except (_EndedEarlyError, ConnectionError):
            pass
        except Exception as error:
            if self._response is not None:
                raise
            _logger.exception("%s %s could not be answered", self.info.method, self.info.path)
            status = StatusError(500, "InternalError", f"the embedded server failed: {type(error).__name__}: {error}")
            return web.Response(status=500, body=encode(status.body()) + b"\n", content_type="application/json")
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
    """Abort a connection so that the peer receives a reset instead of an end of file; also one of uvloop's."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Transports of uvloop have this method, and not the types of asyncio.
    cast("asyncio.WriteTransport", transport).abort()
