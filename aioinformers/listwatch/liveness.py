"""Whether the server still talks to a reflector, and whether the reflector still lets others run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, TypeVar

from aioinformers.errors import ConnectionFailedError

__all__ = ["CHECK_PERIOD", "Liveness"]

T = TypeVar("T")

CHECK_PERIOD: Final = 15.0
"""Seconds after which a silent stream is looked at, whatever its limit: its client may have been closed."""


class Liveness:
    """Reads for a reflector, and notes when the server was last heard of.

    Args:
        is_closed: Tells whether the client has been closed, so that nothing will arrive any more.
        time_slice: Seconds of decoding after a read, until others must run.

    Attributes:
        waiting_since: Loop time since which nothing is done but to wait for the server; None if that is not so.
    """

    def __init__(self, is_closed: Callable[[], bool], time_slice: float) -> None:
        self._last_read: float | None = None
        self._arrived: Callable[[], float | None] = lambda: None
        self._is_closed = is_closed
        self._time_slice = time_slice
        self.waiting_since: float | None = None
        self._slice_end = 0.0

    @property
    def last_activity(self) -> float | None:
        """Loop time of the last byte from the server, also of one that no read has returned; None before the first."""
        read, arrived = self._last_read, self._arrived()
        return read if arrived is None or (read is not None and read > arrived) else arrived

    @contextlib.contextmanager
    def expecting(self) -> Iterator[None]:
        """Wait for the server's answer in this block, from its beginning until :meth:`touch`."""
        self.waiting_since = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self.waiting_since = None

    def touch(self) -> None:
        """Note that the server has just been heard of."""
        self._last_read = asyncio.get_running_loop().time()
        self.waiting_since = None

    @property
    def waits_for(self) -> float:
        """Seconds since :attr:`waiting_since`; 0 if the server is not waited for."""
        since = self.waiting_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    async def read(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what a read of the server's answer returns; a new time slice begins.

        Cancellation has the effect that it has on ``read`` itself.
        """
        time = asyncio.get_running_loop().time
        self.waiting_since = time()
        try:
            data = await read()
        finally:
            self.waiting_since = None
        self._last_read = now = time()
        self._slice_end = now + self._time_slice
        return data

    async def pause(self) -> None:
        """Let others run once decoding has used up its time slice: neither a read nor a put needs to wait.

        Cancellation has no effect but to end the pause.
        """
        time = asyncio.get_running_loop().time
        if time() > self._slice_end:
            await asyncio.sleep(0)
            self._slice_end = time() + self._time_slice

    @contextlib.asynccontextmanager
    async def limit_silence(
        self, limit: Callable[[], float], what: str, arrived: Callable[[], float | None] = lambda: None
    ) -> AsyncIterator[None]:
        """Fail if the server is silent for too long inside the block. Costs a timer per limit, nothing per read.

        Cancellation passes through; no timer outlives the block.

        Args:
            limit: Returns the seconds of silence that are allowed at the moment.
            what: What is silent, for the error.
            arrived: Returns the loop time at which bytes came that no read could return yet; None if none did.

        Raises:
            ConnectionFailedError: If nothing has arrived for ``limit()`` seconds, or if the client has been closed.
        """
        loop = asyncio.get_running_loop()
        self.touch()
        self._arrived = arrived
        timer: asyncio.TimerHandle

        def check() -> None:
            nonlocal timer
            now, since = loop.time(), self.waiting_since
            # While the reflector waits for room in the queue, the server is not the silent one.
            since = now if since is None else max(since, arrived() or since)
            end = since + limit()
            if now >= end or self._is_closed():
                block.reschedule(now)
            else:
                timer = loop.call_at(min(end, now + CHECK_PERIOD), check)

        timer = loop.call_later(min(limit(), CHECK_PERIOD), check)
        try:
            async with asyncio.timeout(None) as block:
                yield
        except TimeoutError as error:
            if self._is_closed():
                raise ConnectionFailedError(
                    "the API client has been closed: keep it open while informers run"
                ) from error
            raise ConnectionFailedError(f"{what} was silent for {limit():g} s") from error
        finally:
            timer.cancel()
            self._last_read, self._arrived = self.last_activity, lambda: None
