"""Events as an ``async for``: a consumer whose reader asks for the next one."""

from __future__ import annotations

import asyncio
import functools
import logging
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, Self, TypeVar

from aioinformers.delivery.events import Event
from aioinformers.delivery.listener import ConsumerOptions, Listener, ListenerHost
from aioinformers.delivery.mailbox import RELEASED, Record
from aioinformers.statistics import ConsumerStatistics
from aioinformers.types import END_OF_PROCESS

__all__ = ["Stream", "StreamConsumer"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.consumer")


class StreamConsumer(Listener[T]):
    """Gives one event at a time to whoever asks; the engine's side of a :class:`Stream`."""

    def __init__(self, host: ListenerHost, options: ConsumerOptions[T], name: str) -> None:
        super().__init__(host, options, name)
        self._waiter: asyncio.Future[None] | None = None
        self._records: Iterator[Record] = iter(())
        self._delivered: Record | None = None
        self._until = 0.0
        self._is_iterating = False
        self._ending: asyncio.Task[None] | None = None

    def end_when(self, is_over: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """End the stream as soon as what is called here returns; what is queued then is dropped and counted."""
        again = functools.partial(self.end_when, is_over)
        if not self.is_closed:
            self._ending = self._host.spawn(self._end_after(is_over), f"end of {self.name}", again)

    async def _end_after(self, is_over: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        try:
            await is_over()
        except (asyncio.CancelledError, *END_OF_PROCESS):
            raise
        except BaseException as error:  # such as of an event that belongs to another loop
            logger.error("%s: until of %s raised, and ends it", self._host.name, self.name, exc_info=error)
        self.stop()

    def _stop_ending(self) -> None:
        if self._ending is not None:
            self._host.dismiss(self._ending)

    def dismiss(self) -> set[asyncio.Task[None]]:
        """Cancel what runs for this consumer; return what has not ended yet."""
        self._stop_ending()
        ending = set() if self._ending is None or self._ending.done() else {self._ending}
        return super().dismiss() | ending

    async def next(self) -> Event[T]:
        """Return the next event; see ``Stream.__anext__``."""
        if self._is_iterating:
            raise RuntimeError(f"{self.name} is being iterated already: open another stream")
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
                judged = self._judge(record) if self._judges else record
                if judged is None or judged.type == RELEASED:
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
        super().end()
        self._stop_ending()
        self._wake()

    def stop(self) -> None:
        """End the stream at once."""
        super().stop()
        self._stop_ending()
        self._records = iter(())
        self._wake()


class Stream(Generic[T]):
    """An informer's events: ``async with informer.stream() as events: async for event in events: ...``.

    It is a consumer like any handler: it starts with every cached object, has the same bounded backlog, and ends when
    the informer does. Asking for the next event says that the one before has been handled.
    """

    def __init__(self, informer: str, begin: Callable[[], StreamConsumer[T]]) -> None:
        self._informer = informer
        self._begin = begin
        self._begun: StreamConsumer[T] | None = None

    def __repr__(self) -> str:
        if self._begun is None:
            return f"<Stream of {self._informer}, not opened>"
        seen = self.statistics()
        state = "closed" if self._begun.is_closed else f"{seen.queued} queued"
        return f"<Stream {self.name} of {self._informer}: {state}, {seen.handled} handled>"

    def __del__(self) -> None:
        if self._begun is not None and not self._begun.is_closed:
            text = f"{self!r} was dropped while it is open: leave its `async with` block"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)

    async def __aenter__(self) -> Self:
        """Join the informer.

        Raises:
            InformerClosedError: If it is closed.
            RuntimeError: If the stream has been opened before.
        """
        if self._begun is not None:
            raise RuntimeError(f"{self!r} has been opened before: ask the informer for another one")
        self._begun = self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the stream; what is queued is dropped and counted."""
        self._consumer.stop()

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Event[T]]:
        """Return the next event; asking for it says that the one before has been handled.

        Cancellation takes nothing out of the stream.

        Raises:
            RuntimeError: If another task is waiting for an event of this stream, or it has not been opened.
        """
        return self._consumer.next()

    @property
    def _consumer(self) -> StreamConsumer[T]:
        if self._begun is None:
            raise RuntimeError(f"{self!r}: write `async with informer.stream() as events:`")
        return self._begun

    @property
    def name(self) -> str:
        """Its name in statistics; unique at its informer."""
        return self._consumer.name

    @property
    def has_synced(self) -> bool:
        """Whether the events of the initial state have been handled."""
        return self._begun is not None and self._begun.has_synced

    async def wait_synced(self, *, timeout: float | None = None) -> None:
        """Wait until the events of the initial state have been *handled*: by another task, which iterates.

        Cancellation changes nothing.

        Args:
            timeout: Seconds; None waits without limit.

        Raises:
            TimeoutError: If the time is up; says what is still queued, or what the informer waits for.
            InformerClosedError: If the stream or its informer ends first.
        """
        await self._consumer.wait_synced(timeout)

    def statistics(self) -> ConsumerStatistics:
        """Return a snapshot of the counts."""
        return self._consumer.statistics()
