"""Whether the server still talks to a reflector, and whether the reflector still lets others run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
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
        last_activity: Loop time of the last byte from the server; None before the first.
    """

    def __init__(self, is_closed: Callable[[], bool], time_slice: float) -> None:
        self.last_activity: float | None = None
        self._is_closed = is_closed
        self._time_slice = time_slice
        self._is_reading = False
        self._slice_end = 0.0

    def touch(self) -> None:
        """Note that the server has just been heard of."""
        self.last_activity = asyncio.get_running_loop().time()

    async def read(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what a read of the server's answer returns; a new time slice begins.

        Cancellation has the effect that it has on ``read`` itself.
        """
        self._is_reading = True
        try:
            data = await read()
        finally:
            self._is_reading = False
        self.touch()
        self._slice_end = asyncio.get_running_loop().time() + self._time_slice
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
    async def limit_silence(self, limit: Callable[[], float], what: str) -> AsyncIterator[None]:
        """Fail if the server is silent for too long inside the block. Costs a timer per limit, nothing per read.

        Cancellation passes through; no timer outlives the block.

        Args:
            limit: Returns the seconds of silence that are allowed at the moment.
            what: What is silent, for the error.

        Raises:
            ConnectionFailedError: If nothing has arrived for ``limit()`` seconds, or if the client has been closed.
        """
        loop = asyncio.get_running_loop()
        self.touch()
        timer: asyncio.TimerHandle

        def check() -> None:
            nonlocal timer
            now, last = loop.time(), self.last_activity
            # While the reflector waits for room in the queue, the server is not the silent one.
            since = last if self._is_reading and last is not None else now
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
