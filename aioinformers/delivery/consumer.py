"""Delivers records as events to handler coroutines.

Guarantees here: order per key and never two at once for one key (G3), a handler breaks nothing but itself (G7),
every delivered object is the receiver's own (G13). No task, future or exception per event.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, TypeVar

from aioinformers.delivery.events import EVENT_TYPES, Event
from aioinformers.delivery.handlers import EventHandler, HandlerSet
from aioinformers.delivery.listener import ConsumerOptions, Listener, ListenerHost
from aioinformers.delivery.mailbox import KeyedMailbox, Record
from aioinformers.loops import Deadline, loop_clock
from aioinformers.statistics import Histogram
from aioinformers.tally import place_of, so_often
from aioinformers.types import END_OF_PROCESS

__all__ = ["CANCEL_WAIT", "Consumer", "current_consumer"]

CANCEL_WAIT = 0.9
"""Seconds that cancelled handlers get to end; teardown as a whole stays within a second of its grace (G10)."""

LATENCY_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: upper bounds of the latencies of handlers that are told apart."""

T = TypeVar("T")

_INSIDE: contextvars.ContextVar[Consumer[Any] | None] = contextvars.ContextVar("aioinformers.inside", default=None)
"""The consumer whose handler this code runs in, or was started from."""

logger: logging.Logger = logging.getLogger("aioinformers.consumer")


class Consumer(Listener[T]):
    """Awaits a handler, in as many workers as its concurrency allows; the engine's side of a ``Registration``."""

    def __init__(self, host: ListenerHost, handlers: HandlerSet[T], options: ConsumerOptions[T], name: str) -> None:
        super().__init__(host, options, name)
        timeout = options.handler_timeout
        self._calls: list[EventHandler[T] | None] = [
            call if call is None or timeout is None else _timed(call, timeout) for call in handlers.by_type
        ]
        self._unfiltered: list[EventHandler[T] | None] = [None if self._judges else call for call in self._calls]
        self._note: Callable[[float], None] | None = None  # counts latencies, while somebody has them measured
        self._context = contextvars.copy_context()
        self._context.run(_INSIDE.set, self)
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._in_hand: list[Record] = []  # what workers had taken, but not begun, when a stranger cancelled them
        self._untold: list[tuple[Exception, Event[T], BaseException]] = []  # failures that the next worker tells of
        self._is_started = False
        self._is_dismissed = False
        self._drained: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Start delivering, a first worker at once if something is queued already."""
        super().start()
        self._is_started = True
        self._wake()

    def measure(self, *, is_on: bool) -> None:
        """Count from now on how long events take from their arrival until they are handled, or do so no more."""
        if is_on and self._latencies is None:
            self._latencies = Histogram(LATENCY_BOUNDS)
        self._note = self._latencies.note if is_on and self._latencies is not None else None

    def warns_when_slow(self) -> bool:
        """Tell that its handler should not hold a key for long."""
        return True

    @property
    def host(self) -> ListenerHost:
        """Who keeps it."""
        return self._host

    # -- workers ----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Let one more worker look into the mailbox, a new one if all are busy and more are allowed."""
        if self._idle:
            future = self._idle.pop()
            if not future.done():
                future.set_result(None)
        else:
            self._hire()
        self.mailbox.is_idle = bool(self._idle) or len(self._workers) < self.options.concurrency

    def _hire(self) -> None:
        """Start a worker, a first one, a further one, or one in the place of another; not more than there may be."""
        if self._is_closed or len(self._workers) >= self.options.concurrency:
            return
        work = self._run_keyed() if self.options.concurrency > 1 else self._run_serial()
        # A copy each: an eager task cannot enter the context that the task which wakes it is in.
        task = self._host.spawn(work, f"handler {self.name}", self._hire, self._context.copy())
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    async def _wait_for_work(self) -> None:
        if self._drained is not None and not self.mailbox.pending and not self._drained.done():
            self._drained.set_result(None)
        pace = self._host.pace
        future = asyncio.get_running_loop().create_future()
        self._idle.append(future)
        self.mailbox.is_idle = True
        pace.busy -= 1
        try:
            await future
        finally:
            pace.busy += 1
            if future in self._idle:
                self._idle.remove(future)

    async def _begin_work(self) -> None:
        """Begin the life of a worker: after the turn that started it, and with what an earlier one left untold."""
        await asyncio.sleep(0)  # an eager task must not run the user's code inside whatever woke it
        while self._untold:
            failure, event, error = self._untold.pop()
            self._log(event, error)
            await self._tell(failure, event)

    async def _breathe(self, record: Record) -> None:
        """Let others run before a record that has been taken; a cancellation leaves it to the next worker."""
        try:
            await asyncio.sleep(0)
        except BaseException:
            self._in_hand.append(record)
            raise

    async def _run_serial(self) -> None:
        """Deliver all records in store order."""
        pace, mailbox, events, calls = self._host.pace, self.mailbox, self._events, self._unfiltered
        time = loop_clock(asyncio.get_running_loop())
        await self._begin_work()
        task = asyncio.current_task()
        assert task is not None, "workers are tasks"
        cancelling = task.cancelling
        pace.busy += 1
        try:
            until = pace.until(time())
            left, self._in_hand = self._in_hand, []
            records: Iterator[Record] | None = chain(left, mailbox.rest) if left else mailbox.rest
            while not self._is_closed:
                if records is None:
                    await self._wait_for_work()
                    until = pace.until(time())
                    records = mailbox.take()
                    continue
                note = self._note
                for record in records:
                    if (now := time()) > until:
                        await self._breathe(record)
                        until = pace.until(now := time())
                    if self._is_closed:
                        return
                    if (call := calls[record.type]) is None:
                        await self._deliver(record, now)
                        continue
                    # What _deliver does, but no function is called for an event beside its handler.
                    event = EVENT_TYPES[record.type](record, events)
                    self._since, self._current = now, record  # in this order: see _inside()
                    try:
                        await call(event)
                        if cancelling():  # it was during the call, and nobody let that be known
                            raise asyncio.CancelledError
                        self._handled += 1
                    except BaseException as error:
                        await self._fail(event, error)
                    finally:
                        self._current = None
                        mailbox.pending -= 1
                        if note is not None and record.arrived:
                            note(time() - record.arrived)
                        if record.initial:
                            mailbox.initial_pending -= 1
                            if not mailbox.initial_pending:
                                mailbox.initial_done()
                records = mailbox.take()
        finally:
            pace.busy -= 1

    async def _run_keyed(self) -> None:
        """Deliver records of free keys; the next worker is woken while there is more to take."""
        assert isinstance(self.mailbox, KeyedMailbox)
        pace, mailbox, time = self._host.pace, self.mailbox, loop_clock(asyncio.get_running_loop())
        await self._begin_work()
        pace.busy += 1
        try:
            until = pace.until(time())
            while not self._is_closed:
                record = self._in_hand.pop() if self._in_hand else mailbox.next()
                if record is None:
                    await self._wait_for_work()
                    until = pace.until(time())
                    continue
                if mailbox.is_idle and mailbox.pending > len(self._busy) + 1:
                    self._wake()
                while record is not None and not self._is_closed:
                    now = time()
                    if now > until:
                        await self._breathe(record)
                        if self._is_closed:
                            return
                        now = time()
                        until = pace.until(now)
                    try:
                        await self._deliver(record, now)
                    except BaseException:
                        mailbox.abandon(record.key)
                        raise
                    record = mailbox.release(record.key)
        finally:
            pace.busy -= 1

    async def _deliver(self, record: Record, now: float) -> None:
        """Give one record to its handler; whatever the handler does stays here (G7)."""
        judged = self._judge(record) if self._judges else record
        call = None if judged is None else self._calls[judged.type]
        if judged is None or call is None:
            self.mailbox.settle(record)
            return
        event = self._events.make(judged)
        self._busy[record.key] = now
        try:
            await call(event)
            if _cancellations():
                raise asyncio.CancelledError
            self._handled += 1
        except BaseException as error:
            await self._fail(event, error)
        finally:
            del self._busy[record.key]
            self.mailbox.settle(record)
            if self._note is not None and record.arrived:
                self._note(self._host.now() - record.arrived)

    async def _fail(self, event: Event[T], error: BaseException) -> None:
        """Deal with what a handler raised (G7); only what is to end this worker goes on.

        A cancellation that the consumer's end has not ordered is a stranger's: the call has failed. If it hit the
        worker's task, and not only something that the handler awaited, the task must not go on as if nothing had been
        (it may be the end of the loop): it ends, its informer starts another one, and that one tells ``on_error``.
        """
        if isinstance(error, END_OF_PROCESS):
            raise error
        if not isinstance(error, asyncio.CancelledError):
            failure = error if isinstance(error, Exception) else RuntimeError(f"the handler raised {error!r}")
            await self._report(failure, event, error)
            return
        cancellations = _cancellations()
        if self._is_dismissed and cancellations < 2:  # with more, a stranger was first
            self._undelivered += 1
            raise error
        if not cancellations:
            await self._report(RuntimeError("the handler let a CancelledError of its own escape"), event, error)
            return
        failure = RuntimeError("the handler's task was cancelled while it ran, by itself or by a stranger")
        self._failed += 1
        self._untold.append((failure, event, error))
        raise error

    async def _report(self, error: Exception, event: Event[T], cause: BaseException) -> None:
        self._failed += 1
        self._log(event, cause)
        await self._tell(error, event)

    def _log(self, event: Event[T], cause: BaseException) -> None:
        count = self._tally.note(("handler", place_of(cause)))
        if not count:
            return
        is_told = self.options.on_error is not None  # then the traceback is its to show
        what = f": {type(cause).__name__}" if is_told else ""
        logger.error(
            "%s: handler %s failed on %r%s%s", self._host.name, self.name, event, what, so_often(count),
            exc_info=None if is_told else cause,
        )  # fmt: skip

    async def _tell(self, error: Exception, event: Event[T]) -> None:
        """Give a failure to ``on_error``; what that raises is logged."""
        if self.options.on_error is None:
            return
        try:
            result = self.options.on_error(error, event)
            if inspect.isawaitable(result):
                async with asyncio.timeout(self.options.handler_timeout):
                    await result
        except END_OF_PROCESS:
            raise
        except BaseException as raised:
            if isinstance(raised, asyncio.CancelledError) and _cancellations():
                raise
            if count := self._tally.note(("on_error", place_of(raised))):
                logger.exception("%s: on_error of handler %s raised%s", self._host.name, self.name, so_often(count))
        if _cancellations():
            logger.error("%s: on_error of handler %s cancelled the task that it ran in", self._host.name, self.name)
            raise asyncio.CancelledError

    # -- end --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Let no further call begin; what is queued is dropped and counted. A call under way ends by itself."""
        super().stop()
        for record in self._in_hand:
            self.mailbox.settle(record)
        self._in_hand = []
        for future in (self._drained, *self._idle):
            if future is not None and not future.done():
                future.set_result(None)

    def drained(self) -> asyncio.Future[None] | None:
        """Return what is done once everything queued has been handled, or dropped."""
        self._stop_resync()  # it would tell of changes since, which this consumer was not given
        if not self.mailbox.pending or not self._is_started or self._is_closed:
            return None
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()
        return self._drained

    def dismiss(self) -> set[asyncio.Task[None]]:
        """Let no further call begin and cancel the ones under way; return the tasks that have not ended yet."""
        self.stop()
        self._is_dismissed = True
        for task in self._workers:
            self._host.dismiss(task)
        return super().dismiss() | self._workers

    def tell_of_refusal(self) -> None:
        """Name a handler that refuses to be cancelled. It is left behind: it is the user's code."""
        busy = ", ".join(str(item.key) for item in self.statistics().busy_keys)
        logger.error("%s: handler %s refuses to be cancelled; left behind at %s", self._host.name, self.name, busy)

    async def wait_synced(self, timeout: float | None) -> None:
        """Wait until the events of the initial state have been handled; see ``Registration.wait_synced``."""
        if asyncio.current_task() in self._workers and not self._synced.is_set():
            raise RuntimeError(f"{self.name} of {self._host.name} waits inside its own handler for that to be done")
        await super().wait_synced(timeout)

    async def aclose(self, grace: float | None) -> None:
        """End this consumer alone; see ``Registration.aclose``."""
        if asyncio.current_task() in self._workers or current_consumer() is self:
            self.stop()
            return
        loop = asyncio.get_running_loop()
        deadline = None if grace is None else loop.time() + grace
        self._host.forget(self)
        try:
            if grace != 0 and (drained := self.drained()) is not None:
                await asyncio.wait([drained], timeout=grace)
        finally:
            self.stop()
        if self._workers and grace != 0:  # if it was stopped before, a call may be under way
            await asyncio.wait(self._workers, timeout=None if deadline is None else deadline - loop.time())
        if tasks := self.dismiss():
            _, refusing = await asyncio.wait(tasks, timeout=CANCEL_WAIT)
            if refusing:
                self.tell_of_refusal()


def current_consumer() -> Consumer[Any] | None:
    """Return the consumer whose handler this code runs in, also in a task that the handler has started; else None.

    A task that goes on after its handler has returned is not inside it any more.
    """
    consumer = _INSIDE.get()
    return consumer if consumer is not None and consumer.is_busy else None


def _cancellations() -> int:
    """Return how often the current task has been cancelled."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _timed(handler: EventHandler[T], seconds: float) -> EventHandler[T]:
    """Return a handler whose calls are cancelled after so many seconds."""

    async def timed(event: Event[T]) -> None:
        async with Deadline(seconds, lambda: f"the handler has not handled {event!r} within {seconds:g} s"):
            await handler(event)

    return timed
