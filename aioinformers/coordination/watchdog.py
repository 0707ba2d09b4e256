"""Finds what goes on beyond a term, from where a blocked event loop cannot hold it up: a thread without I/O.

What it decides is :func:`~aioinformers.coordination.lease.verdict`, a pure function. What is said is said by another
thread, which may be held up by whatever holds the logs up.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final, cast

from aioinformers.coordination.lease import Verdict
from aioinformers.coordination.tenure import Tenure

__all__ = ["EXIT_STATUS", "Watchdog", "hard_fence_by_default"]

logger: logging.Logger = logging.getLogger("aioinformers.election")

EXIT_STATUS: Final = 70
"""Exit status of a process that is ended because it could not be stopped otherwise; EX_SOFTWARE of ``sysexits.h``."""

hard_fence_by_default: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("hard_fence", default=False)
"""Whether elections that do not say so end a process that cannot be stopped otherwise."""

_ASYNCIO: Final = os.path.dirname(asyncio.__file__)
_SAYING: Final = 0.5
"""Seconds that may pass until a stack is logged, before the process is ended; fewer where others may lead before."""
_AGAIN: Final = 0.2
"""Seconds until a second look, for a loop that has just gone on after a suspension of the machine."""


class Watchdog:
    """Watches one term until it and all that it guards have ended.

    Args:
        tenure: The term.
        period: Seconds between two looks.
        on_over: Called in the loop when the time of the term is over: it may not know after a suspension.
        hard_fence: Whether to end the process when something of the term goes on for too long.
        end: What ends the process.
    """

    def __init__(
        self,
        tenure: Tenure,
        period: float,
        on_over: Callable[[], None],
        *,
        hard_fence: bool,
        end: Callable[[], object] = lambda: os._exit(EXIT_STATUS),
    ) -> None:
        self._tenure = tenure
        self._period = period
        self._on_over = on_over
        self._hard_fence = hard_fence
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._is_overdue = False
        self._has_said = False
        self._timer: asyncio.TimerHandle | None = None

    def start_thread(self) -> None:
        """Watch from a thread.

        Raises:
            RuntimeError: If no thread can be started.
        """
        threading.Thread(target=self._run, name=f"watchdog of election {self._tenure.name}", daemon=True).start()

    def start_timer(self) -> None:
        """Watch from the loop itself, whose time is not the machine's; it finds no blocked loop."""
        self._timer = self._loop.call_later(self._period, self._tick)

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    def _run(self) -> None:
        wait = self._period
        while not self._stopped.wait(wait):
            wait = self._look(self._poke, self._say_elsewhere)

    def _tick(self) -> None:
        wait = self._look(self._on_over, self._say)
        if not self._stopped.is_set():
            self._timer = self._loop.call_later(wait, self._tick)

    def _look(self, poke: Callable[[], None], say: Callable[[], None]) -> float:
        """Look at the term, and return the seconds until the next look."""
        seen = self._tenure.look()
        if seen is Verdict.FINE:
            return self._period
        poke()
        if seen is Verdict.OVER or self._stopped.is_set():
            return self._period
        if not self._hard_fence and not self._is_overdue:
            self._is_overdue = True  # after a suspension the loop ends the term by itself, a moment later
            return _AGAIN
        if not self._has_said:
            self._has_said = True
            say()
        if self._hard_fence:
            self._end()
        return self._period

    def _poke(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._on_over)
        except RuntimeError:  # the loop is closed: nothing of the term goes on
            self._stopped.set()

    def _say_elsewhere(self) -> None:
        saying = threading.Thread(target=self._say, name=f"last words of election {self._tenure.name}", daemon=True)
        try:
            saying.start()
        except RuntimeError:  # no further thread can be started: nothing is said then
            return
        held = self._tenure.held
        spare = held.sent + held.lease_duration - held.fence
        saying.join(min(_SAYING, spare / 2))

    def _say(self) -> None:
        """Log what still goes on: the stack of a loop that is blocked, or the blocks that refuse to end."""
        tenure = self._tenure
        consequence = "the process ends" if self._hard_fence else "somebody else may be the leader by now"
        if tenure.reason:
            tasks = "; ".join(sorted({_place_of(block.task) for block in tuple(tenure.blocks)}))
            logger.critical(
                "election %s: the term is over (%s), and what it guards refuses to end: %s: %s",
                tenure.name, tenure.reason, consequence, tasks,
            )  # fmt: skip
            return
        logger.critical(
            "election %s: the term is over, and the event loop is blocked: %s. It is here:\n%s",
            tenure.name, consequence, _stack_of(self._loop_thread),
        )  # fmt: skip


def _stack_of(thread: int) -> str:
    frame: Any = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)) if frame is not None else "(the thread has ended)"


def _place_of(task: asyncio.Task[Any]) -> str:
    """Return a task's name, and the line where it waits: the deepest that is not asyncio's."""
    place, awaited = "", cast("Any", task.get_coro())
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        file = frame.f_code.co_filename
        if not (place and file.startswith(_ASYNCIO)):
            place = f" at {file}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        awaited = getattr(awaited, "cr_await", None)
    return f"{task.get_name()}{place}"
