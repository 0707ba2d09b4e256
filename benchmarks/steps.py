"""How long an event loop is kept by what runs on it: the CPU time of each of its turns."""

from __future__ import annotations

import asyncio
import gc
import selectors
import time
from array import array
from typing import Any


class Turns(selectors.DefaultSelector):
    """A selector that notes how much CPU time the loop's thread uses between two calls.

    That is one turn of the loop: every callback that was ready, of every task, and so no less than the longest step
    among them. What other processes do on the machine makes a turn longer, but not its CPU time::

        turns = Turns()
        with asyncio.Runner(loop_factory=turns.loop) as runner: ...
    """

    def __init__(self) -> None:
        super().__init__()
        self._seconds = array("d")
        self._resumed = time.thread_time()
        self._collections = _collections()

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return a new event loop that turns on this selector."""
        return asyncio.SelectorEventLoop(self)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for I/O, as the loop does between two turns."""
        self._seconds.append(time.thread_time() - self._resumed)
        ready = super().select(timeout)
        self._resumed = time.thread_time()
        return ready

    def start(self) -> None:
        """Forget the turns so far; the turn under way counts from here."""
        self._seconds = array("d")
        self._collections = _collections()
        self._resumed = time.thread_time()

    def report(self) -> dict[str, Any]:
        """Return the turns since ``start``: how many, the longest ones in ms, and full collections of garbage."""
        turns = sorted([*self._seconds, time.thread_time() - self._resumed])
        return {
            "turns": len(turns),
            "p99_ms": turns[len(turns) * 99 // 100] * 1e3,
            "p999_ms": turns[len(turns) * 999 // 1000] * 1e3,
            "max_ms": turns[-1] * 1e3,
            "collections": _collections() - self._collections,
        }


def _collections() -> int:
    """Return how often the garbage collector has looked at all objects."""
    return int(gc.get_stats()[-1]["collections"])
