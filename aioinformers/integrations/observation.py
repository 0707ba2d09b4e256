"""Has measured, while somebody looks, what nobody pays for otherwise: latencies of events, and the lag of the loop."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Final

from aioinformers.factory import SharedInformerFactory
from aioinformers.informer import pipeline_of

__all__ = ["Observation", "Observers", "lag_of"]

PERIOD: Final = 1.0
"""Seconds between two looks at the loop's lag."""
REMEMBERED: Final = 60
"""How many of them are remembered."""


class Observation:
    """Somebody who looks at a factory, until it is closed, or let go of. May be used in any thread.

    It does not keep the factory alive, and ends with it.

    Args:
        factory: The factory.
    """

    def __init__(self, factory: SharedInformerFactory) -> None:
        self._factory = weakref.ref(factory)
        self._measurement = factory.measure()
        self._lags: deque[float] = deque(maxlen=REMEMBERED)
        self._is_ticking = self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        _observations.setdefault(factory, weakref.WeakSet()).add(self)
        weakref.finalize(self, self._measurement.close).atexit = False
        self.look()

    def look(self) -> None:
        """Begin to look at the loop's lag as soon as there is a loop; to be called at each look."""
        factory = self._factory()
        if self._is_ticking or self._is_closed or factory is None or factory.is_closed:
            return
        loop = loop_of(factory)
        if loop is None:
            return
        self._is_ticking, self._loop = True, loop
        with contextlib.suppress(RuntimeError):  # the loop has been closed, and nothing of it can be late
            loop.call_soon_threadsafe(_begin, weakref.ref(self), loop)

    @property
    def lag(self) -> float | None:
        """The longest time in the last minute that the loop was late by, in seconds; None before it is known."""
        lags = self._lags.copy()  # at once: other threads may ask
        return max(lags) if lags else None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to look at any more."""
        factory = self._factory()
        return self._is_closed or factory is None or factory.is_closed

    def wait(self, due: float) -> None:
        """Look at the lag again at some time of the loop, in which this is called."""
        assert self._loop is not None, "it has begun"
        self._timer = self._loop.call_at(due, _tick, weakref.ref(self), self._loop, due)

    def note(self, late: float) -> None:
        """Note by how many seconds the loop was late."""
        self._lags.append(max(0.0, late))

    def close(self) -> None:
        """Look no more; idempotent."""
        self._is_closed = True
        self._measurement.close()
        timer, loop, self._timer = self._timer, self._loop, None
        if timer is not None and loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed, and calls nothing any more
                loop.call_soon_threadsafe(timer.cancel)


def _begin(observation: weakref.ref[Observation], loop: asyncio.AbstractEventLoop) -> None:
    looking = observation()
    if looking is not None and not looking.is_over:
        looking.wait(loop.time() + PERIOD)


def _tick(observation: weakref.ref[Observation], loop: asyncio.AbstractEventLoop, due: float) -> None:
    """Note how late this call is, and look again, unless nobody is there any more who would."""
    looking = observation()
    if looking is not None and not looking.is_over:
        now = loop.time()
        looking.note(now - due)
        looking.wait(now + PERIOD)


class Observers:
    """Observes each factory from the first look at it on."""

    def __init__(self) -> None:
        self._looking: weakref.WeakKeyDictionary[SharedInformerFactory, Observation] = weakref.WeakKeyDictionary()

    def look(self, factories: Iterable[SharedInformerFactory]) -> None:
        """Look at factories."""
        for factory in factories:
            if (observation := self._looking.get(factory)) is None:
                self._looking[factory] = Observation(factory)
            else:
                observation.look()

    def close(self) -> None:
        """Look no more."""
        for observation in list(self._looking.values()):
            observation.close()
        self._looking.clear()


_observations: weakref.WeakKeyDictionary[SharedInformerFactory, weakref.WeakSet[Observation]] = (
    weakref.WeakKeyDictionary()
)


def lag_of(factory: SharedInformerFactory) -> float | None:
    """Return the longest lag of a factory's loop in the last minute, in seconds; None if nobody looks at it."""
    known = [lag for each in list(_observations.get(factory, ())) if not each.is_over and (lag := each.lag) is not None]
    return max(known) if known else None


def loop_of(factory: SharedInformerFactory) -> asyncio.AbstractEventLoop | None:
    """Return the loop that a factory's informers run in; None before they do."""
    return next((loop for each in factory if (loop := pipeline_of(each).loop) is not None), None)
