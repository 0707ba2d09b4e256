"""A handler that keeps what it is told, for tests that look at it or wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from aioinformers.checks import name_of, require_number, require_plain
from aioinformers.delivery.events import Added, Deleted, Event, Updated
from aioinformers.loops import Deadline

__all__ = ["EventRecorder"]

T = TypeVar("T")
R = TypeVar("R")

SHOWN = 10
"""Events that ``repr`` and errors name, the latest ones."""


class EventRecorder(Generic[T]):
    """A handler that keeps every event, in order.

    For example::

        recorder = EventRecorder[client.V1Pod]()
        pods.add_event_handler(recorder)
        ...
        await recorder.wait_for(lambda events: len(events) == 2, timeout=5)
        assert [event.key.name for event in recorder.added] == ["web-0", "web-1"]

    It may be the handler of several informers of one event loop.

    Attributes:
        events: All events since the beginning or the last :meth:`clear`.
    """

    def __init__(self) -> None:
        self.events: list[Event[T]] = []
        self._waiting: set[asyncio.Event] = set()

    async def __call__(self, event: Event[T]) -> None:
        """Keep an event; this is what informers call."""
        self.events.append(event)
        for news in self._waiting:
            news.set()

    @property
    def added(self) -> list[Added[T]]:
        """The additions among the events, in order."""
        return [event for event in self.events if isinstance(event, Added)]

    @property
    def updated(self) -> list[Updated[T]]:
        """The updates among the events, in order."""
        return [event for event in self.events if isinstance(event, Updated)]

    @property
    def deleted(self) -> list[Deleted[T]]:
        """The deletions among the events, in order."""
        return [event for event in self.events if isinstance(event, Deleted)]

    def clear(self) -> None:
        """Forget the events so far; whoever waits goes on to wait for later ones."""
        self.events.clear()

    async def wait_for(self, condition: Callable[[Sequence[Event[T]]], R], *, timeout: float | None = 10.0) -> R:
        """Wait until a condition on the events holds; it is asked now and after every further event.

        Cancellation: has no effect on the recorder.

        Args:
            condition: A plain function of the list of events, such as ``lambda events: len(events) >= 2``.
            timeout: Seconds; None waits without limit.

        Returns:
            The condition's answer, the first that counts as true.

        Raises:
            TimeoutError: If the condition does not hold in time; says what was recorded.
            TypeError: If the condition is no plain function of one argument, or the timeout no number.
            ValueError: If the timeout is negative.
        """
        require_plain(condition, "the condition", "the list of events")
        if timeout is not None:
            require_number("timeout", timeout)
            if timeout < 0:
                raise ValueError(f"timeout is so many seconds, or None for no limit, not {timeout}")

        def words() -> str:
            return f"{name_of(condition)} did not hold within {timeout:g} s: {self!r}"

        news = asyncio.Event()
        self._waiting.add(news)
        try:
            async with Deadline(timeout, words):
                while not (answer := condition(self.events)):
                    await news.wait()
                    news.clear()
                return answer
        finally:
            self._waiting.discard(news)

    def __repr__(self) -> str:
        count, latest = len(self.events), self.events[-SHOWN:]
        names = ", ".join(f"{type(event).__name__} {event.key}" for event in latest)
        before = f"…, {names}" if count > SHOWN else names
        return f"<EventRecorder: {count} event{'' if count == 1 else 's'}{': ' if names else ''}{before}>"
