"""Everybody who is told of one informer's changes: who joins and leaves, who is slow, and how they end."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Generic, Protocol, TypeVar

from aioinformers.checks import name_of
from aioinformers.delivery.consumer import CANCEL_WAIT, Consumer, current_consumer
from aioinformers.delivery.events import EventFactory
from aioinformers.delivery.handlers import HandlerSet, handler_set
from aioinformers.delivery.listener import ConsumerOptions, Listener, Pace
from aioinformers.delivery.mailbox import Mailbox
from aioinformers.delivery.registration import Registration
from aioinformers.delivery.stream import Stream, StreamConsumer
from aioinformers.errors import InformerClosedError
from aioinformers.loops import Grace
from aioinformers.objects.facts import Fact
from aioinformers.objects.layout import Entry
from aioinformers.statistics import ConsumerStatistics
from aioinformers.supervisor import Supervisor

__all__ = ["Facts", "Feed", "Roster"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.consumer")


class Feed(Protocol):
    """What consumers need of the cache."""

    def join(self, mailbox: Mailbox) -> None:
        """Put the stored objects, and then every change, into a mailbox."""

    def leave(self, mailbox: Mailbox) -> None:
        """Put nothing more into a mailbox."""

    def is_synced(self) -> bool:
        """Tell whether every scope's first list has been committed."""

    def slices(self) -> Iterator[list[tuple[str, Entry]]]:
        """Yield the stored objects in slices, each current when it is yielded."""


class Owner(Protocol):
    """What consumers need to know of their informer."""

    def now(self) -> float:
        """Return the time of the informer's loop."""

    def reason(self) -> str:
        """Say what the informer waits for; empty if nothing is wrong."""


class Facts(Protocol):
    """Reads of each object what consumers need to know of it."""

    def add_fact(self, fact: Fact) -> Fact:
        """Read something more of each object, for one who asks; return the fact that stands for it."""

    def drop_fact(self, fact: Fact) -> None:
        """Note that one who has asked for a fact asks no more."""

    def fact_of(self, fact: Fact, entry: Entry) -> Any:
        """Return the value of a fact of an entry; None if it cannot be told any more."""


class Roster(Generic[T]):
    """Keeps the consumers of one informer, and is the host of each of them.

    Args:
        name: The informer's name.
        events: Makes the informer's events.
        feed: The cache.
        owner: The informer's pipeline.
        facts: Reads what consumers need to know of each object.
        tasks: Starts the informer's tasks.
        time_slice: Seconds that all workers share before others run.

    Attributes:
        pace: The slice that all workers share.
    """

    def __init__(
        self,
        name: str,
        events: EventFactory[T],
        feed: Feed,
        owner: Owner,
        facts: Facts,
        tasks: Supervisor,
        time_slice: float,
    ) -> None:
        self.name = name
        self.events = events
        self.pace: Pace = Pace(time_slice)
        self._feed = feed
        self._owner = owner
        self._facts = facts
        self._tasks = tasks
        self._consumers: dict[Listener[T], Registration[T] | None] = {}  # in the order in which they joined
        self._registrations: dict[Registration[T], Consumer[T]] = {}
        self._given: dict[Registration[T], Any] = {}  # the handlers, as they were handed over
        self._leaving: set[Listener[T]] = set()
        self._decorated: HandlerSet[T] | None = None
        self._default: Registration[T] | None = None
        self._is_started = False
        self._is_closed = False
        self._is_measured = False

    def __len__(self) -> int:
        return len(self._consumers)

    # -- joining and leaving ----------------------------------------------------------------------------------

    def register(self, handler: Any, options: ConsumerOptions[T]) -> Registration[T]:
        """Add a handler; see ``SharedInformer.add_event_handler``."""
        handlers = handler if isinstance(handler, HandlerSet) else handler_set(handler)
        self._require_open(name_of(handler))
        options = self._with_fact(options)
        consumer = Consumer(self, handlers, options, self._unique(options.name or name_of(handler)))
        registration = Registration(consumer, self.name)
        self._add(consumer, registration)
        self._registrations[registration] = consumer
        self._given[registration] = handler
        return registration

    def stream(
        self, options: ConsumerOptions[T], is_over: Callable[[], Coroutine[Any, Any, Any]] | None = None
    ) -> Stream[T]:
        """Return a stream, which joins when it is entered; see ``SharedInformer.stream``.

        Args:
            options: How it wants its events.
            is_over: What returns when it is to end; None if the informer's end alone is that.
        """

        def begin() -> StreamConsumer[T]:
            self._require_open("a stream")
            consumer = StreamConsumer(self, self._with_fact(options), self._unique(options.name or "stream"))
            self._add(consumer, None)
            if is_over is not None:
                consumer.end_when(is_over)
            return consumer

        return Stream(self.name, begin)

    def _require_open(self, name: str) -> None:
        if self._is_closed:
            raise InformerClosedError(f"{self.name} is closed: {name} was not added")

    def _with_fact(self, options: ConsumerOptions[T]) -> ConsumerOptions[T]:
        """Return the options of a new consumer, for whom what it needs of each object is read from now on."""
        fields = options.fields
        return options if fields is None else options.with_fact(self._facts.add_fact(fields))

    def fact_of(self, fact: Fact, entry: Entry) -> Any:
        """Return the value of a fact of an entry; None if it cannot be told any more."""
        return self._facts.fact_of(fact, entry)

    def _add(self, consumer: Listener[T], registration: Registration[T] | None) -> None:
        self._consumers[consumer] = registration
        self.events.share(is_shared=len(self._consumers) > 1)
        if self._is_measured:
            consumer.measure(is_on=True)
        if self._is_started:
            self._admit(consumer)

    def _admit(self, consumer: Listener[T]) -> None:
        self._feed.join(consumer.mailbox)
        consumer.start()
        consumer.check_synced()

    def _unique(self, name: str) -> str:
        taken = {consumer.name for consumer in self._consumers}
        numbers = itertools.count(2)
        unique = name
        while unique in taken:
            unique = f"{name} ({next(numbers)})"
        return unique

    def remove(self, handler: Any) -> None:
        """Let no further call of a handler begin; see ``SharedInformer.remove_event_handler``."""
        if isinstance(handler, Registration):
            if handler not in self._registrations and not handler.is_closed:
                raise ValueError(f"{handler!r} is not a registration of {self.name}")
            found = [handler] if handler in self._registrations else []
        else:
            found = [registration for registration, given in self._given.items() if _is_same(given, handler)]
            if not found:
                decorated = self._decorated is not None and self._decorated.has(handler)
                advice = "remove default_registration" if decorated else "give the registration, or the handler itself"
                raise ValueError(f"{name_of(handler)} is not registered at {self.name}: {advice}")
        for registration in found:
            self._registrations[registration].stop()

    def forget(self, consumer: Listener[T]) -> None:
        """Put nothing more into a consumer's mailbox."""
        if consumer not in self._consumers:
            return
        registration = self._consumers.pop(consumer)
        self.events.share(is_shared=len(self._consumers) > 1)
        if (fact := consumer.options.fact) is not None:
            self._facts.drop_fact(fact)
        if registration is not None:
            del self._registrations[registration], self._given[registration]
        self._feed.leave(consumer.mailbox)
        self._leaving = {each for each in self._leaving if each.is_busy} | {consumer}

    # -- decorated functions ----------------------------------------------------------------------------------

    def decorate(self, method: str, function: Callable[..., Awaitable[Any]]) -> bool:
        """Take a function for ``on_add``, ``on_update``, ``on_delete`` or ``on_released``; they feed one registration.

        Returns:
            Whether it is the first one: they are to join at the start, or a turn of the loop later.

        Raises:
            TypeError: If it is not a coroutine function.
            RuntimeError: If the others have joined already.
            InformerClosedError: If the informer is closed.
        """
        if self._default is not None:
            raise RuntimeError(
                f"{self.name}: decorated handlers have joined already: decorate before the start, or use "
                f"add_event_handler"
            )
        if self._is_closed:
            raise InformerClosedError(f"{self.name} is closed")
        handlers = self._decorated or HandlerSet()
        handlers.add_method(method, function)
        is_first, self._decorated = self._decorated is None, handlers
        return is_first

    def join_decorated(self, resync_period: float) -> None:
        """Register the decorated functions, once, if there are any."""
        if self._decorated is None or self._default is not None or self._is_closed:
            return
        options: ConsumerOptions[T] = ConsumerOptions(resync_period=resync_period, name="decorated handlers")
        self._default = self.register(self._decorated, options)

    @property
    def default(self) -> Registration[T] | None:
        """The one registration that all decorated functions feed; None before it has joined."""
        return self._default

    # -- what consumers ask for -------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the time of the informer's loop."""
        return self._owner.now()

    def reason(self) -> str:
        """Say what the informer waits for; empty if nothing is wrong."""
        return self._owner.reason()

    def is_synced(self) -> bool:
        """Tell whether the informer has synced."""
        return self._feed.is_synced()

    def slices(self) -> Iterator[list[tuple[str, Entry]]]:
        """Yield the stored objects in slices, each current when it is yielded."""
        return self._feed.slices()

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, None],
        name: str,
        again: Callable[[], None],
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[None]:
        """Start a task that the informer owns; ``again`` is called a turn after a stranger has cancelled it."""
        return self._tasks.start(coroutine, name, again, context)

    def dismiss(self, task: asyncio.Task[None]) -> None:
        """Cancel such a task: the only cancellation that is to end it."""
        self._tasks.dismiss(task)

    def let_go(self, rest: list[Any]) -> None:
        """Let go of what may be a hundred thousand records, without holding the loop up."""
        self._tasks.let_go(rest)

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Admit everybody who has been waiting; who comes later is admitted at once."""
        self._is_started = True
        for consumer in list(self._consumers):
            self._admit(consumer)

    def measure(self, *, is_on: bool) -> None:
        """Count from now on how long events take until they are handled, for each handler, or do so no more."""
        self._is_measured = is_on
        for consumer in list(self._consumers):
            consumer.measure(is_on=is_on)

    def check_synced(self) -> None:
        """Let everybody note that the informer has synced."""
        for consumer in self._consumers:
            consumer.check_synced()

    def is_calling(self) -> bool:
        """Tell whether this code runs inside a handler of this informer: it must never wait for the informer's end."""
        consumer = current_consumer()
        return consumer is not None and consumer.host is self

    def statistics(self) -> dict[str, ConsumerStatistics]:
        """Return a snapshot of each consumer, by name."""
        return {consumer.name: consumer.statistics() for consumer in list(self._consumers)}

    def close(self) -> None:
        """Refuse newcomers."""
        self._is_closed = True

    async def end(self, grace: Grace) -> None:
        """Let handlers work off what is queued within the grace, cancel the rest, end the streams. Never raises."""
        members = list(self._consumers)
        consumers = [*members, *self._leaving]  # a call of those that were removed may be under way
        for consumer in members:
            self._feed.leave(consumer.mailbox)
        if not grace.is_none:
            await grace.wait(drained for consumer in consumers if (drained := consumer.drained()) is not None)
        tasks = {consumer: consumer.dismiss() for consumer in consumers}
        if not await grace.wait((task for each in tasks.values() for task in each), at_most=CANCEL_WAIT):
            for consumer, each in tasks.items():
                if not all(task.done() for task in each):
                    consumer.tell_of_refusal()
        for consumer in members:
            if lost := consumer.statistics().undelivered:
                logger.warning("%s: %d events were not delivered to %s", self.name, lost, consumer.name)
        self.end_waits()

    def end_waits(self) -> None:
        """Tell everybody that nothing more comes."""
        for consumer in list(self._consumers):
            consumer.end()

    async def watch(self, limit: float) -> None:
        """Name handlers that hold a key for more than ``limit`` seconds, once per call; until cancelled."""
        warned: set[tuple[Any, ...]] = set()
        while True:
            await asyncio.sleep(limit / 2)
            slow = {
                (consumer, busy.key, round(self.now() - busy.seconds, 3)): busy.seconds
                for consumer in self._consumers
                if consumer.warns_when_slow()
                for busy in consumer.statistics().busy_keys
                if busy.seconds >= limit
            }
            for consumer, key, since in slow.keys() - warned:
                seconds = slow[consumer, key, since]
                logger.warning(
                    "%s: handler %s has been busy with %s for %.0f s", self.name, consumer.name, key, seconds
                )
            warned = set(slow)


def _is_same(given: Any, handler: Any) -> bool:
    """Tell whether two are one handler: one object, or one method of it, which is a new object at each access."""
    return given is handler or (inspect.ismethod(given) and inspect.ismethod(handler) and given == handler)
