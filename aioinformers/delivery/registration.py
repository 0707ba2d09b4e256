"""A handler's place at an informer, as users hold it."""

from __future__ import annotations

from typing import Generic, Self, TypeVar

from aioinformers.delivery.consumer import Consumer
from aioinformers.statistics import ConsumerStatistics

__all__ = ["Registration"]

T = TypeVar("T")


class Registration(Generic[T]):
    """A handler's place at an informer, as ``add_event_handler`` returns it.

    ``async with registration:`` closes it at the end of the block, once what is queued has been handled. It need not be
    kept: the handler stays registered without it.
    """

    def __init__(self, consumer: Consumer[T], informer: str) -> None:
        self._consumer = consumer
        self._informer = informer

    def __repr__(self) -> str:
        seen = self.statistics()
        state = "closed" if self._consumer.is_closed else f"{seen.queued} queued"
        return f"<Registration {self.name} at {self._informer}: {state}, {seen.handled} handled, {seen.failed} failed>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def name(self) -> str:
        """The handler's name in logs and statistics; unique at its informer."""
        return self._consumer.name

    @property
    def is_closed(self) -> bool:
        """Whether no event comes any more: it was removed or closed, or its informer has ended."""
        return self._consumer.is_closed

    @property
    def has_synced(self) -> bool:
        """Whether the events of the initial state have been handled."""
        return self._consumer.has_synced

    async def wait_synced(self, *, timeout: float | None = None) -> None:
        """Wait until the events of the initial state have been *handled*, not only delivered.

        Cancellation changes nothing.

        Args:
            timeout: Seconds; None waits without limit.

        Raises:
            TimeoutError: If the time is up; says what is still queued, or what the informer waits for.
            InformerClosedError: If the registration or its informer ends first.
            RuntimeError: If called inside this handler, which would wait for itself.
        """
        await self._consumer.wait_synced(timeout)

    def statistics(self) -> ConsumerStatistics:
        """Return a snapshot of the counts and the objects inside the handler."""
        return self._consumer.statistics()

    async def aclose(self, *, grace: float | None = 10.0) -> None:
        """End this registration: no new events come, those that are queued are handled within the grace.

        Then the rest is dropped and counted as ``undelivered``, and calls under way are cancelled. Called from its own
        handler it drops the rest and returns at once; that call ends by itself.

        Args:
            grace: Seconds for what is queued; 0 drops it, None waits without limit.

        Cancellation: the registration is closed nevertheless; the rest of the queue is dropped, and a call under way
        ends by itself.
        """
        await self._consumer.aclose(grace)
