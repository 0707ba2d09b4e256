"""An event loop with virtual time: its clock jumps to the next timer instead of waiting for it.

With the pytest plug-in, tests choose it with the mark ``aioinformers_virtual_time``. Anywhere else, :func:`run_virtual`
is ``asyncio.run`` in virtual time.
"""

from __future__ import annotations

import asyncio
import math
import os
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, ClassVar, TypeVar, TypeVarTuple, cast

__all__ = ["VirtualTimeLoop", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SETTLE = 0.001  # real seconds for the kernel to deliver data through the loopback interface
_RESOLUTION = 1e-9
_ASYNCIO = os.path.dirname(asyncio.__file__)
_DIGITS = 9


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose :meth:`time` stands still while anything happens, and jumps when nothing does.

    The clock starts at 0.0. When no callback is ready, no socket has data and no function runs in an executor, it
    jumps exactly to the next timer, to the nanosecond: ``await asyncio.sleep(10)`` ends at +10.0. An hour of waiting
    takes no longer than the callbacks in it.

    Sockets work as usual. Before each jump, the kernel gets a real millisecond to deliver data, which is enough for
    peers in the same loop. The loop is not suitable for peers elsewhere, because time would jump while their answers
    are on the way. Sockets that are ready at the same time are handled by file number, so that runs without threads
    are repeatable.

    Where no timer is left and nothing is ready, only something outside of the loop can go on: a thread, another
    process, a signal. If nothing does within :attr:`patience`, the loop ends with a RuntimeError that names the tasks
    that wait: nobody is going to wake them.

    Attributes:
        patience: Real seconds for something outside of the loop to come; None to wait for ever.
    """

    patience: ClassVar[float | None] = 5.0

    def __init__(self) -> None:
        self._now = 0.0
        self._threads = 0
        super().__init__(_PatientSelector(self))
        # asyncio runs timers that are due within this time; on some systems it is 15 ms by default.
        self._clock_resolution = _RESOLUTION

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a function in a thread; virtual time stands still until it has returned.

        Args:
            executor: The executor; None for the default one.
            func: The function.
            *args: Its arguments.
        """
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_is_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait in real time for the executor's threads; the timeout is ignored."""
        self._threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._threads -= 1

    def _thread_is_done(self, _: object) -> None:
        self._threads -= 1

    def _waits_for_threads(self) -> bool:
        return self._threads > 0

    def _has_timer(self) -> bool:
        """Tell whether a timer is going to fire; one that never does is none."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return bool(timers) and timers[0].when() < math.inf

    def _deadlock(self) -> RuntimeError:
        waiting = ", ".join(sorted(map(_place, asyncio.all_tasks(self)))) or "the loop"
        return RuntimeError(
            f"virtual time cannot go on: there is no timer, nothing has happened for {self.patience:g} s of real time, "
            f"and so nobody is going to wake {waiting}. Set what is waited for, or give the wait a timeout. Where "
            "threads or processes outside of this loop are to do so, set VirtualTimeLoop.patience = None"
        )

    def _jump(self) -> None:
        """Move the clock to the next timer."""
        when: float = self._scheduled[0].when()  # type: ignore[attr-defined]
        # Sums of decimal fractions are inexact in binary, so the clock is rounded to whole nanoseconds, but never to an
        # earlier time than the timer's: the timer would not be due, and be scheduled again for ever.
        self._now = max(self._now, when, round(when, _DIGITS))


class _PatientSelector(selectors.DefaultSelector):
    """A selector that moves the loop's clock instead of sleeping."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the files that are ready; if none is ready within a moment, advance the clock."""
        if timeout is not None and timeout <= 0:
            return self._select_in_order(0)
        if self._loop._waits_for_threads():
            return self._select_in_order(None)
        if timeout is None or not self._loop._has_timer():
            return self._wait_for_the_world()
        only_own_pipe = len(self.get_map()) <= 1
        events = self._select_in_order(0 if only_own_pipe else _SETTLE)
        if not events:
            self._loop._jump()
        return events

    def _wait_for_the_world(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait in real time: without timers only a socket, a signal or a thread can go on."""
        events = self._select_in_order(self._loop.patience)
        if not events:
            raise self._loop._deadlock()
        return events

    def _select_in_order(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the ready files in the order of their numbers: the kernel's order depends on real time."""
        return sorted(super().select(timeout), key=lambda ready: ready[0].fd)


def run_virtual(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """Run a coroutine in virtual time and return its result, as ``asyncio.run`` does in real time.

    Args:
        main: The coroutine.
        debug: Whether to use asyncio's debug mode; None for the default of the environment.

    Raises:
        RuntimeError: If nothing is left that could wake the tasks that wait; see :class:`VirtualTimeLoop`.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop, debug=debug) as runner:
        return runner.run(main)


def _place(task: asyncio.Task[Any]) -> str:
    """Return a task's name, and the line where it waits: the deepest that is not asyncio's."""
    place, awaited = "", cast("Any", task.get_coro())
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        file = frame.f_code.co_filename
        if not (place and file.startswith(_ASYNCIO)):
            place = f" at {file}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        awaited = getattr(awaited, "cr_await", None)
    return f"{task.get_name()}{place}"
