"""Reads the lines of a watch from its connection before aiohttp parses them, where that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from aioinformers.transport.chunks import Block, ChunkCutter

if TYPE_CHECKING:
    import aiohttp

__all__ = ["EARLY_BYTES", "Early", "Tap"]

HIGH_WATER: Final = 256 * 1024
"""Bytes that are held before the transport stops reading; asyncio reads up to this many at once."""
EARLY_BYTES: Final = 16 * 1024
"""Bytes that may be taken early: more than that is a flood, which the reader's task takes in its time slices."""
MAX_FAILED_CUTS: Final = 16
"""Reads in a row without a line after which aiohttp gets the rest: a proxy sends chunks of its own."""

Early: TypeAlias = Callable[[list[Block]], bool]
"""Takes lines in the turn of the loop in which they arrive, or returns False and leaves them all; it never raises."""


class Tap(asyncio.Protocol):
    """A protocol in front of aiohttp's that takes the chunks which are lines of a watch and forwards everything else.

    Cutting needs the position where a chunk begins. aiohttp's byte counter shows it: a newline that it counts as a byte
    of the body, followed by a line end that it does not count, ends a chunk. From there on this class cuts lines. All
    other bytes go to aiohttp, which does not notice the missing chunks: the end of the body, chunks of another form, a
    broken connection. Only public parts of asyncio and aiohttp are used; if their behaviour changes, no end of a chunk
    is recognised, and aiohttp reads the whole body.

    Attributes:
        is_open: Whether more data may arrive here; if not, the rest is read from the response.
        arrived: Loop time at which data came that no :meth:`take` returns; None if none did.
        early: Is given small reads first while :meth:`wait` waits, which spares the loop a turn; None if nobody is.
    """

    def __init__(self, transport: asyncio.Transport, handler: asyncio.Protocol, content: aiohttp.StreamReader) -> None:
        self.is_open: bool = True
        self.arrived: float | None = None
        self.early: Early | None = None
        self._transport, self._handler, self._content = transport, handler, content
        self._cutter: ChunkCutter | None = None
        self._received: list[bytes | list[Block]] = []
        self._held = 0
        self._failed_cuts = 0
        self._is_passing = False
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    def of(cls, response: aiohttp.ClientResponse) -> Tap | None:
        """Tap the connection of a response whose body is chunked and not compressed; return None for any other."""
        connection, headers = response.connection, response.headers
        is_plain = headers.get("Transfer-Encoding", "").lower() == "chunked" and "Content-Encoding" not in headers
        if connection is None or connection.transport is None or connection.protocol is None or not is_plain:
            return None
        tap = cls(connection.transport, connection.protocol, response.content)
        connection.transport.set_protocol(tap)
        tap._collect()
        return tap

    def take(self) -> bytes | list[Block] | None:
        """Return the oldest data that is held: whole lines, or bytes that are not cut; None if nothing is held."""
        if not self._received:
            return None
        first = self._received.pop(0)
        if not self._received:
            if self._held > HIGH_WATER and self.is_open:
                self._transport.resume_reading()
            self._held = 0
        return first

    async def wait(self) -> None:
        """Wait until :meth:`take` has data or :attr:`is_open` is false; cancellation loses no data."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Cut data into lines, or pass it on to aiohttp."""
        if self._is_passing:
            self._pass(data)
            return
        if self._cutter is None:
            self._pass_on(data)
        else:
            self._cut(data)
        if self._received and self.early is not None and len(data) <= EARLY_BYTES:
            self._take_early(self.early)
        if not self._received:
            self.arrived = asyncio.get_running_loop().time()
        self._wake()

    def eof_received(self) -> bool | None:
        """Forward the end of the stream to aiohttp and return its decision about the transport."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """Forward the call to aiohttp."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Forward the call to aiohttp."""
        self._handler.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Forward the loss to aiohttp, which ends or fails the response."""
        self.is_open = False
        self._handler.connection_lost(error)
        if self._is_passing and self._content.exception() is None and not self._content.is_eof():
            # After a chunk that is none, aiohttp closes the connection and tells nobody.
            import aiohttp

            self._content.set_exception(aiohttp.ServerDisconnectedError())
        self._wake()

    # -- cutting and forwarding ------------------------------------------------------------------------------

    def _cut(self, data: bytes) -> None:
        assert self._cutter is not None
        blocks = self._cutter.feed(data)
        if blocks:
            self._failed_cuts = 0
            self._hold(blocks, len(data))
        if self._cutter.unparsed:
            unparsed, self._cutter = self._cutter.unparsed, None
            self._pass_on(unparsed)

    def _pass_on(self, data: bytes) -> None:
        """Give data to aiohttp; if the end of a chunk is in it, cut what follows the last one."""
        self._failed_cuts += 1
        if self._failed_cuts > MAX_FAILED_CUTS:
            self.is_open, self._is_passing = False, True
            self._transport.resume_reading()
            self._pass(data)
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

    def _pass(self, data: bytes) -> None:
        """Give all that comes to aiohttp, and look after its end alone: nobody else would notice one of them."""
        self._handler.data_received(data)
        if self._content.is_eof():
            self._transport.set_protocol(self._handler)

    def _give(self, data: bytes) -> int:
        """Give data to aiohttp and return how many bytes of it aiohttp counts as body."""
        before = self._content.total_bytes
        self._handler.data_received(data)
        self._collect()
        return self._content.total_bytes - before

    def _collect(self) -> None:
        """Hold what aiohttp has decoded; leave the connection to aiohttp once the body has ended or failed."""
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

    def _take_early(self, early: Early) -> None:
        """Offer what has just arrived, if somebody waits for it and nothing else."""
        first = self._received[0]
        is_awaited = self._waiter is not None and not self._waiter.done()
        if is_awaited and len(self._received) == 1 and isinstance(first, list) and early(first):
            self._received.clear()
            self._held = 0

    def _hold(self, received: bytes | list[Block], size: int) -> None:
        self._received.append(received)
        self._held += size
        if self._held > HIGH_WATER:
            self._transport.pause_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done() and (self._received or not self.is_open):
            self._waiter.set_result(None)
