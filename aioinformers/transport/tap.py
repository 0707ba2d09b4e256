"""Takes a watch off its connection before aiohttp does, where that is safe."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aioinformers.transport.chunks import Block, ChunkCutter

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Tap"]

HIGH_WATER: Final = 256 * 1024
"""Bytes that are held before the transport is told to wait; it reads as many at once."""
MAX_IN_VAIN: Final = 16
"""Reads without a line after which the rest of the stream is left to aiohttp: something on the way cuts it anew."""


class Tap(asyncio.Protocol):
    """A protocol between a connection and aiohttp's, which keeps from it the chunks that are lines of a watch.

    To cut chunks one must know where one begins. aiohttp tells by how it counts: a newline that it takes for a byte of
    the body, followed by a line end that it does not, is the end of a chunk. From there on lines are cut here. Whatever
    is not one goes to aiohttp, which never notices what it has missed: the end of the body, chunks of another form, a
    broken connection. Only public parts of asyncio and aiohttp are used, and if they ever behave otherwise, no chunk's
    end is found and everything is aiohttp's.

    Attributes:
        is_open: Whether more may come this way; if not, the rest is read from the response.
    """

    def __init__(self, transport: asyncio.Transport, handler: asyncio.Protocol, content: aiohttp.StreamReader) -> None:
        self.is_open: bool = True
        self._transport, self._handler, self._content = transport, handler, content
        self._cutter: ChunkCutter | None = None
        self._received: list[bytes | list[Block]] = []
        self._held = 0
        self._in_vain = 0
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    def of(cls, response: aiohttp.ClientResponse) -> Tap | None:
        """Tap the connection of a response whose body comes in chunks as it is; return None for any other."""
        connection, headers = response.connection, response.headers
        is_plain = headers.get("Transfer-Encoding", "").lower() == "chunked" and "Content-Encoding" not in headers
        if connection is None or connection.transport is None or connection.protocol is None or not is_plain:
            return None
        tap = cls(connection.transport, connection.protocol, response.content)
        connection.transport.set_protocol(tap)
        tap._collect()
        return tap

    def take(self) -> bytes | list[Block] | None:
        """Return what has come first, lines or bytes of which nothing is known; None if there is nothing."""
        if not self._received:
            return None
        first = self._received.pop(0)
        if not self._received:
            if self._held > HIGH_WATER and self.is_open:
                self._transport.resume_reading()
            self._held = 0
        return first

    async def wait(self) -> None:
        """Wait until there is something to take, or nothing more will come this way."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # -- what the transport calls ----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Cut lines, or pass on what is none."""
        if self._cutter is None:
            self._pass_on(data)
        else:
            self._cut(data)
        self._wake()

    def eof_received(self) -> bool | None:
        """Let aiohttp decide."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """Let aiohttp know."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Let aiohttp know."""
        self._handler.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Let aiohttp say what that means for the response."""
        self.is_open = False
        self._handler.connection_lost(error)
        self._wake()

    # -- what becomes of the data ----------------------------------------------------------------------------

    def _cut(self, data: bytes) -> None:
        assert self._cutter is not None
        blocks = self._cutter.feed(data)
        if blocks:
            self._in_vain = 0
            self._hold(blocks, len(data))
        if self._cutter.odd:
            odd, self._cutter = self._cutter.odd, None
            self._pass_on(odd)

    def _pass_on(self, data: bytes) -> None:
        """Give aiohttp the data, up to the last end of a chunk if there is one."""
        self._in_vain += 1
        if self._in_vain > MAX_IN_VAIN:
            self._give(data)
            self._leave()
            return
        at = data.rfind(b"\n\r\n")
        if at < 0:
            self._give(data)
            return
        self._give(data[:at])
        is_body, is_framing = self._give(b"\n") == 1, self._give(b"\r\n") == 0
        rest = data[at + 3 :]
        if is_body and is_framing and self.is_open:
            self._cutter = ChunkCutter()
            self._cut(rest)
        else:
            self._give(rest)

    def _give(self, data: bytes) -> int:
        """Give aiohttp some data and return how many bytes of the body it found in it."""
        before = self._content.total_bytes
        self._handler.data_received(data)
        self._collect()
        return self._content.total_bytes - before

    def _collect(self) -> None:
        """Take from aiohttp what it has read; leave once it has seen the end."""
        content = self._content
        while content.exception() is None and (data := content.read_nowait()):
            self._hold(data, len(data))
        if content.exception() is not None or content.is_eof():
            self._leave()

    def _leave(self) -> None:
        if self.is_open:
            self.is_open = False
            self._transport.set_protocol(self._handler)
            self._transport.resume_reading()

    def _hold(self, received: bytes | list[Block], size: int) -> None:
        self._received.append(received)
        self._held += size
        if self._held > HIGH_WATER:
            self._transport.pause_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done() and (self._received or not self.is_open):
            self._waiter.set_result(None)
