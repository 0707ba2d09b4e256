"""The queue that a reconcile loop stands on: each key once, one run at a time, repeated until it succeeds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from aioinformers.checks import (
    gives_awaitable,
    name_of,
    require_arguments,
    require_callable,
    require_number,
    require_plain,
    require_seconds,
    shown,
)
from aioinformers.controllers.schedule import MAX_WAIT, Entry, Phase, Priority, Schedule, default_backoff
from aioinformers.errors import QueueClosedError
from aioinformers.loops import require_loop
from aioinformers.statistics import QueueStatistics
from aioinformers.tally import so_often
from aioinformers.types import END_OF_PROCESS

__all__ = ["Item", "WorkQueue"]

K = TypeVar("K", bound=Hashable)

logger: logging.Logger = logging.getLogger("aioinformers.controllers")

NEVER: Final = float("inf")
TURN: Final = 0.002
"""Seconds for which keys are taken one after the other before others on the loop have their turn."""
KEYS: Final = 256
"""As many keys at most: where time is virtual, no time passes."""
END_WAIT: Final = 0.9
"""Seconds that runs get to end once they are cancelled at the queue's end."""


class WorkQueue(Generic[K]):
    """Keys to work on: each is here once, and is worked on by one at a time.

    Any number of additions while a key waits is one run; any number during a run is exactly one run more. Nothing is
    lost, unless :meth:`aclose` ends before everything has been worked on, which says how much. A run that fails is
    repeated after 0.1 s, doubled with each failure up to 300 s, at random between nothing and that, for ever; success
    forgets the failures. Keys of a higher priority come first, but a key that has waited for ``max_wait`` comes before
    all that are younger.

    The queue belongs to the loop in which it is used first.

    Args:
        name: What logs and errors call it.
        backoff: Returns the seconds to wait after so many failures in a row, instead of the above. Where it raises, or
            returns no such number, that is logged, and the above holds.
        max_wait: Seconds.
        rate: Runs that may begin within any second, over all keys; None for no limit.

    Raises:
        TypeError: If an argument is of another type; ``backoff`` is a plain function.
        ValueError: If a number is not positive.
    """

    def __init__(
        self,
        name: str = "queue",
        *,
        backoff: Callable[[int], float] | None = None,
        max_wait: float = MAX_WAIT,
        rate: float | None = None,
    ) -> None:
        if backoff is not None:
            require_plain(backoff, "backoff", "the number of failures")
        if not isinstance(name, str):
            raise TypeError(f"a queue's name is a text, not {shown(name)}")
        _require_positive("max_wait", max_wait)
        if rate is not None:
            _require_positive("rate", rate)
        self.name: str = name
        self._random = random.Random()
        self._backoff = backoff
        self._schedule: Schedule[K] = Schedule(self._seconds, max_wait, rate)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._turn_end, self._taken, self._is_turn_over = 0.0, 0, False
        self._workers: set[asyncio.Task[None]] = set()
        self._inside: set[asyncio.Task[Any] | None] = set()
        self._idle: asyncio.Future[None] | None = None
        self._is_closing = self._is_closed = self._is_inside = self._drops = False
        self._deadline = NEVER
        self._added = self._done = self._failed = self._lost = 0

    def __repr__(self) -> str:
        schedule = self._schedule
        return f"<WorkQueue {self.name}: {sum(schedule.queued)} queued, {schedule.running} running>"

    def __len__(self) -> int:
        """Return how many keys are queued, wait for a time, or are being worked on."""
        return len(self._schedule)

    def __iter__(self) -> Iterator[K]:
        """Go through the keys of now, in no particular order."""
        return (entry.key for entry in self._schedule)

    def __contains__(self, key: object) -> bool:
        return any(entry.key == key for entry in self._schedule)

    def _seconds(self, failures: int) -> float:
        """Return how long to wait after so many failures; a key is never lost because a user's function fails."""
        if self._backoff is not None:
            try:
                seconds = self._backoff(failures)
                require_number("what backoff returns", seconds)
                if not 0 <= seconds < NEVER:
                    raise ValueError(f"backoff returned {seconds!r}, which is no number of seconds")
            except Exception as error:
                if failures & (failures - 1) == 0:
                    logger.error(
                        "%s: backoff failed after %d failures: the usual one holds", self.name, failures, exc_info=error
                    )
            else:
                return float(seconds)
        return default_backoff(failures, self._random.random)

    def _now(self) -> float:
        """Return the loop's time; the first call binds the queue to its loop."""
        loop = self._loop
        try:
            is_here = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_here = False
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        elif not is_here:
            require_loop(loop, self.name, advice="loop.call_soon_threadsafe(queue.add, key)")
        return loop.time()

    # -- adding -----------------------------------------------------------------------------------------------

    def add(
        self,
        key: K,
        *,
        priority: Priority = Priority.NORMAL,
        after: float = 0.0,
        cause: Any = None,
        resets: bool = True,
    ) -> None:
        """Let a key be worked on. Never blocks.

        Args:
            key: The key; anything hashable.
            priority: Of two, the higher one counts.
            after: Seconds until then; of two times the earlier one counts.
            cause: Why; the first eight are shown to the run.
            resets: There is something new to work on, so that earlier failures do not count. Otherwise the wait after
                a failure is only cut short, once, and not before a second of it is over.

        Raises:
            QueueClosedError: If the queue is being closed.
            RuntimeError: In another loop or thread than the queue's.
            TypeError: If a time is no number, or the priority is none.
        """
        now = self._now()
        if self._is_closing:
            raise QueueClosedError(f"{self.name} is closed: nothing can be added")
        if after != 0:
            _require_after(after)
        if priority.__class__ is not Priority:
            raise TypeError(f"priority must be a Priority, such as Priority.NORMAL, not {shown(priority)}")
        if not isinstance(resets, bool):
            raise TypeError(f"resets must be True or False, not {shown(resets)}")
        self._schedule.add(key, now, priority=priority, after=after, cause=cause, resets=resets)
        self._added += 1
        if self._waiting:
            self._wake(now)

    # -- working ----------------------------------------------------------------------------------------------

    def item(self) -> Item[K]:
        """Wait for the next key, and work on it: ``async with queue.item() as item:``.

        At the end of the block the key is done. An exception in the block is a failure of the key, which will be
        repeated, and leaves the block; a cancellation gives the key back, as if it had not been taken.

        Raises:
            QueueClosedError: From ``async with``, if the queue is closed, and nothing is left to be worked on.
        """
        return Item(self)

    async def run(self, function: Callable[[Item[K]], Awaitable[object]], *, concurrency: int = 1) -> None:
        """Call a function for each key, until the queue has been closed; what it raises is logged, and repeated.

        Args:
            function: What to await for each key.
            concurrency: How many keys are worked on at the same time.

        Raises:
            TypeError: If the function is none, or does not give something to await.

        Cancellation: the calls under way are cancelled, and their keys given back.
        """
        require_callable(function, "a queue's function")
        if not gives_awaitable(function):
            raise TypeError(f"a queue's function is awaited: declare {name_of(function)} with `async def`")
        require_arguments(function, "a queue's function", "the item")
        require_number("concurrency", concurrency, whole=True)
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        async with asyncio.TaskGroup() as group:
            workers: set[asyncio.Task[None]] = set()
            while True:
                while len(workers) < concurrency and not self._is_closed:
                    worker = group.create_task(self._work(function), name=f"{self.name} worker")
                    worker.add_done_callback(self._workers.discard)
                    workers.add(worker)
                    self._workers.add(worker)
                if not workers:
                    return
                done, workers = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
                if not self._is_closed and any(each.cancelled() or each.exception() is None for each in done):
                    logger.error("%s: a call or a stranger has cancelled its task; another goes on", self.name)

    async def _work(self, function: Callable[[Item[K]], Awaitable[object]]) -> None:
        task = asyncio.current_task()
        assert task is not None
        while not task.cancelling():  # whatever the function has made of it, its worker ends
            item = self.item()
            try:
                async with item:
                    await function(item)
            except END_OF_PROCESS:
                raise
            except BaseException as error:
                if not item.is_taken:
                    if isinstance(error, QueueClosedError):
                        return
                    raise
                if _is_asked_to_end(error):
                    raise
                count = max(1, item.attempt)
                if count & (count - 1) == 0:  # the first time, and at each doubling
                    logger.warning("%s: %s failed%s", self.name, shown(item.key), so_often(count), exc_info=error)

    def _take_now(self) -> Entry[K] | None:
        """Return the next key; None if there is none, or it is the turn of others on the loop."""
        now = self._now()
        self._taken += 1
        if self._taken > KEYS or now > self._turn_end:
            return None
        entry = self._schedule.take(now)
        if entry is not None and self._waiting:
            self._wake(now)
        return entry

    async def _pause(self) -> None:
        """Let others on the loop have their turn, however many keys there are; nothing is held meanwhile.

        All who take keys share one slice of each turn.
        """
        while self._taken > KEYS or self._now() > self._turn_end:
            if not self._is_turn_over:
                self._is_turn_over = True
                asyncio.get_running_loop().call_soon(self._begin_turn)
            await asyncio.sleep(0)

    def _begin_turn(self) -> None:
        self._is_turn_over, self._taken = False, 0
        self._turn_end = self._now() + TURN

    async def _take(self) -> Entry[K]:
        """Wait for the next key. Cancelled, it has taken none."""
        await self._pause()
        while True:
            now = self._now()
            entry = self._schedule.take(now)
            if entry is not None:
                self._wake(now)
                return entry
            if self._is_closed:
                raise QueueClosedError(f"{self.name} is closed, and nothing is left to be worked on")
            self._set_timer()
            assert self._loop is not None
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except BaseException:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(waiter)
                if not waiter.cancelled():
                    self._wake(self._now())  # it was this one's turn: now it is another one's
                raise

    def _wake(self, now: float) -> None:
        """Wake one who waits, if there is something to take; whoever takes it wakes the next."""
        schedule, waiting = self._schedule, self._waiting
        while waiting and waiting[0].done():
            del waiting[0]
        if waiting and any(schedule.queued):
            waiting.popleft().set_result(None)
        elif waiting:
            self._set_timer()

    def _set_timer(self) -> None:
        """Wake somebody when the next key is due."""
        assert self._loop is not None
        due = self._schedule.next_time()
        if self._timer is not None:
            if due is not None and self._timer_at <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer, self._timer_at = self._loop.call_at(due, self._on_time), due

    def _on_time(self) -> None:
        self._timer = None
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _ended(self, now: float) -> None:
        """Do what is to be done when a run has ended."""
        if self._is_closed:
            if late := self._schedule.clear():
                self._lost += late
                logger.warning("%s: closed, a run that was cut off is lost", self.name)
        elif self._is_closing:
            if self._drops:
                self._lost += self._schedule.clear()  # what has just ended, and wants to be repeated
            self._look_for_end()
        self._wake(now)

    # -- the end ----------------------------------------------------------------------------------------------

    def statistics(self) -> QueueStatistics:
        """Return figures of now; any thread may ask."""
        schedule, now = self._schedule, 0.0 if self._loop is None else self._loop.time()
        oldest = zip(Priority, schedule.oldest(now), strict=True)
        return QueueStatistics(
            queued={each.name.lower(): schedule.queued[each] for each in Priority},
            waiting=schedule.waiting,
            running=schedule.running,
            added=self._added,
            done=self._done,
            failed=self._failed,
            lost=self._lost,
            oldest={each.name.lower(): seconds for each, seconds in oldest if seconds is not None},
            waits=schedule.waits.durations(),
            runs=schedule.runs.durations(),
        )

    def due_in(self, key: K) -> float | None:
        """Return the seconds until a key is worked on, if nothing lets it before; any thread may ask.

        Args:
            key: The key.

        Returns:
            0 if it is its turn, or it is worked on; None if it is not here.
        """
        entry = self._schedule.get(key)
        if entry is None or self._loop is None:
            return None
        return max(0.0, entry.due - self._loop.time()) if entry.phase is Phase.WAITING else 0.0

    async def aclose(self, *, grace: float | None = 10.0, drop: bool = False) -> int:
        """Take no more keys, and wait until what is queued and running has been worked on.

        A key that waits for a time beyond the grace is not waited for. What :meth:`run` still runs after the grace is
        cancelled. Called again, it returns at once; called from inside a run, it does not wait for that one.

        Args:
            grace: Seconds for that; None waits without limit, also for what waits for a time.
            drop: Let go of what is queued at once, and wait for what is worked on alone; it is lost by intent then, and
                not logged.

        Returns:
            How many runs to come are lost; they are logged, too.

        Cancellation: is the end of the grace.
        """
        require_seconds("grace", grace)
        now = self._now()
        if self._is_closing:
            return 0
        self._is_closing = True
        assert self._loop is not None
        self._drops = drop
        if drop:
            self._lost += self._schedule.clear()
        self._deadline = NEVER if grace is None else now + grace
        self._is_inside = asyncio.current_task() in self._inside
        self._idle = self._loop.create_future()
        self._look_for_end()
        try:
            async with asyncio.timeout_at(None if grace is None else self._deadline):
                await self._idle
        except TimeoutError:
            pass
        finally:
            lost = self._close()
        late = [worker for worker in self._workers if worker in self._inside and worker is not asyncio.current_task()]
        if late:
            before = self._lost
            for worker in late:
                worker.cancel()
            await asyncio.wait(late, timeout=END_WAIT)
            lost += self._lost - before
        return lost

    def _look_for_end(self) -> None:
        schedule = self._schedule
        running = schedule.running - self._is_inside
        if self._idle is None or self._idle.done() or running > 0 or any(schedule.queued):
            return
        due = schedule.next_time()
        if due is None or due > self._deadline:
            self._idle.set_result(None)

    def _close(self) -> int:
        self._is_closed = True
        lost = self._schedule.clear()
        self._lost += lost
        if lost:
            logger.warning("%s: closed, %d runs to come are lost", self.name, lost)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()
        return lost


class Item(Generic[K]):
    """A key that is being worked on, within ``async with queue.item() as item:``.

    Attributes:
        is_taken: There is a key.
    """

    __slots__ = ("_after", "_entry", "_is_failed", "_is_postponed", "_queue", "_task", "is_taken")

    def __init__(self, queue: WorkQueue[K]) -> None:
        self._queue = queue
        self._entry: Entry[K] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_failed = self._is_postponed = False
        self._after: float | None = None
        self.is_taken: bool = False

    def __repr__(self) -> str:
        return f"<Item {shown(self.key)} of {self._queue.name}>" if self.is_taken else f"<Item of {self._queue.name}>"

    @property
    def _taken(self) -> Entry[K]:
        if self._entry is None:
            raise RuntimeError(f"{self!r}: write `async with queue.item() as item:`")
        return self._entry

    @property
    def key(self) -> K:
        """The key."""
        return self._taken.key

    @property
    def attempt(self) -> int:
        """How many runs before this one have failed in a row."""
        return self._taken.attempt

    @property
    def priority(self) -> Priority:
        """Its priority."""
        return self._taken.priority

    @property
    def causes(self) -> list[Any]:
        """Why it runs, at most eight causes."""
        return self._taken.all_causes

    def retry(self, after: float | None = None) -> None:
        """Let this run count as failed, although the block ends without an exception.

        Args:
            after: Seconds until the next one, instead of what the backoff says.
        """
        if after is not None:
            _require_after(after)
        self._is_failed, self._is_postponed, self._after = True, False, after

    def requeue(self, after: float) -> None:
        """Let the key be worked on again, if nothing else lets it before.

        Args:
            after: Seconds after the end of this run.
        """
        _require_after(after)
        self._is_failed, self._is_postponed, self._after = False, False, after

    def postpone(self, after: float) -> None:
        """Let this run count as none: the key keeps its failures and causes, and runs later.

        Args:
            after: Seconds until then, unless something lets it run before.
        """
        _require_after(after)
        self._is_failed, self._is_postponed, self._after = False, True, after

    async def __aenter__(self) -> Self:
        if self.is_taken:
            raise RuntimeError(f"{self!r} has been taken before: call queue.item() for each")
        queue = self._queue
        self._entry = queue._take_now() or await queue._take()
        self.is_taken = True
        self._task = asyncio.current_task(queue._loop)
        queue._inside.add(self._task)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        entry, queue = self._taken, self._queue
        queue._inside.discard(self._task)
        assert queue._loop is not None
        schedule, now = queue._schedule, queue._loop.time()
        if error is None and self._is_postponed:
            schedule.given_back(entry, now, after=self._after or 0.0)
        elif error is None and not self._is_failed:
            queue._done += 1
            schedule.done(entry, now, after=self._after)
        elif error is not None and _is_asked_to_end(error):
            schedule.given_back(entry, now)
        else:
            queue._failed += 1
            schedule.failed(entry, now, after=self._after if self._is_failed else None)
        if queue._is_closing or queue._waiting:
            queue._ended(now)


def _is_asked_to_end(error: BaseException) -> bool:
    """Tell whether an exception is no failure of what has raised it, but the end of its task or of the process."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0  # or a call has let out what nobody has asked for
    return isinstance(error, (GeneratorExit, *END_OF_PROCESS))


def _require_positive(what: str, value: Any) -> None:
    require_number(what, value)
    if not 0 < value < NEVER:
        raise ValueError(f"{what} must be positive and finite, not {value!r}")


def _require_after(after: Any) -> None:
    """Refuse what is no number of seconds from now on."""
    require_seconds("after", after, is_wanted=True)
    if not 0 <= after < NEVER:
        raise ValueError(f"after must be a finite number of seconds from now on, not {after!r}")
