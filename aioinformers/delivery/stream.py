"""Events as an ``async for``: a consumer without a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Self, TypeVar

from aioinformers.delivery.consumer import MIN_RESYNC, Consumer, ConsumerHost, ConsumerOptions
from aioinformers.delivery.events import Event
from aioinformers.delivery.mailbox import Record

__all__ = ["Stream"]

T = TypeVar("T")


class Stream(Consumer[T]):
    """Events as an ``async for``; made by ``async with informer.stream() as events``."""

    def __init__(self, host: ConsumerHost, options: ConsumerOptions[T]) -> None:
        super().__init__(host, options, options.name or "stream")
        self._waiter: asyncio.Future[None] | None = None
        self._records: Iterator[Record] = iter(())
        self._delivered: Record | None = None
        self._until = 0.0
        self._is_iterating = False
        self._is_ended = False
        self._resync: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the resync, if one was asked for."""
        if self.options.resync_period:
            period = max(self.options.resync_period, MIN_RESYNC)
            self._resync = self._host.spawn(self._run_resync(period), f"resync {self.name}", None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event[T]:
        """Return the next event; asking for it says that the one before has been handled.

        Cancellation takes nothing out of the stream.

        Raises:
            RuntimeError: If another task is waiting for an event of this stream.
        """
        if self._is_iterating:
            raise RuntimeError("this stream is being iterated already: open another one")
        self._is_iterating = True
        try:
            self._settle()
            return await self._next_event()
        finally:
            self._is_iterating = False

    async def _next_event(self) -> Event[T]:
        loop = asyncio.get_running_loop()
        if loop.time() > self._until:
            await asyncio.sleep(0)
            self._until = self._host.pace.until(loop.time())
        while True:
            for record in self._records:
                judged = record if self.options.filter is None else self._judge(record)
                if judged is None:
                    self._filtered += 1
                    self.mailbox.settle(record)
                    continue
                self._delivered = record
                self._busy[record.key] = loop.time()
                return self._events.make(judged)
            records = None if self._is_closed else self.mailbox.take()
            if records is not None:
                self._records = records
                continue
            if self._is_ended or self._is_closed:
                raise StopAsyncIteration
            await self._wait_for_records()

    async def _wait_for_records(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self.mailbox.is_idle = True
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _settle(self) -> None:
        if self._delivered is not None:
            self._busy.clear()
            self._handled += 1
            self.mailbox.settle(self._delivered)
            self._delivered = None

    def end(self) -> None:
        """Let the iteration end once what is queued has been taken."""
        self._is_ended = True
        super().end()
        self._wake()

    def request_stop(self) -> None:
        """End the stream at once."""
        super().request_stop()
        self._records = iter(())
        if self._resync is not None:
            self._resync.cancel()
        self._wake()
