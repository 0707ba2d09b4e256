"""The runs under way, how long they may take, and what they wait for: one timer for all of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from aioinformers.types import ObjectKey

__all__ = ["Run", "Runs", "place_of"]

logger: logging.Logger = logging.getLogger("aioinformers.controllers")


class Run:
    """A run under way.

    Attributes:
        key: What is reconciled.
        task: The task in which it runs.
        began: The loop's time at which it began.
        is_late: It has been cancelled because it took too long.
        is_slow: It has been told of because it takes long.
    """

    __slots__ = ("began", "is_late", "is_slow", "key", "task")

    def __init__(self, key: ObjectKey, task: asyncio.Task[Any], began: float) -> None:
        self.key: ObjectKey = key
        self.task: asyncio.Task[Any] = task
        self.began: float = began
        self.is_late: bool = False
        self.is_slow: bool = False


class Runs:
    """The runs under way, in the order in which they began.

    Args:
        name: The controller, for logs.
        timeout: Seconds after which a run is cancelled; None for never.
        slow_after: Seconds after which it is told of what it waits for; None for never.
    """

    def __init__(self, name: str, timeout: float | None, slow_after: float | None) -> None:
        self._name = name
        self._timeout = timeout
        self._slow_after = slow_after
        self._runs: dict[Run, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def under_way(self) -> list[Run]:
        """The runs, the longest first."""
        return list(self._runs)

    def begin(self, key: ObjectKey) -> Run:
        """Note that the current task begins a run."""
        task = asyncio.current_task()
        assert task is not None, "runs are in tasks"
        loop = asyncio.get_running_loop()
        run = Run(key, task, loop.time())
        self._runs[run] = None
        if self._timer is None:
            self._set_timer(loop)
        return run

    def end(self, run: Run) -> None:
        """Note that a run has ended; the cancellation that it was late for is not its task's."""
        self._runs.pop(run, None)
        if run.is_late:
            run.task.uncancel()

    def deadline(self, run: Run) -> float | None:
        """Return the loop's time until which a run may take; None for no limit."""
        return None if self._timeout is None else run.began + self._timeout

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        due = [
            run.began + seconds
            for run in self._runs
            for seconds, is_told in ((self._timeout, run.is_late), (self._slow_after, run.is_slow))
            if seconds is not None and not is_told
        ]
        self._timer = loop.call_at(min(due), self._look, loop) if due else None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for run in self.under_way:
            if self._slow_after is not None and not run.is_slow and now >= run.began + self._slow_after:
                run.is_slow = True
                logger.warning(
                    "%s: %s takes long (%.0f s): %s", self._name, run.key, now - run.began, place_of(run.task)
                )
            if self._timeout is not None and not run.is_late and now >= run.began + self._timeout:
                run.is_late = True
                run.task.cancel(f"{self._name}: {run.key} was not reconciled within {self._timeout:g} s")
        self._set_timer(loop)


def place_of(task: asyncio.Task[Any]) -> str:
    """Return where a task waits, as the lines from the outermost call to the innermost."""
    places = []
    awaited = cast("Any", task.get_coro())
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})")
        awaited = getattr(awaited, "cr_await", None)
    return " > ".join(places[-4:]) or "it has ended"
