"""Who is told of changes, by whatever way: a mailbox, a filter, counts, resync and readiness."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from aioinformers.checks import require_arguments, require_callable, require_number, require_plain, shown, truth_of
from aioinformers.delivery.events import Event, EventFactory
from aioinformers.delivery.mailbox import ADDED, DELETED, UPDATED, KeyedMailbox, Mailbox, Record
from aioinformers.errors import InformerClosedError
from aioinformers.loops import Deadline
from aioinformers.objects.facts import Fact, FieldSet
from aioinformers.objects.layout import Entry
from aioinformers.statistics import BusyKey, ConsumerStatistics, Histogram
from aioinformers.tally import Tally, place_of, so_often
from aioinformers.types import END_OF_PROCESS, Cause, ObjectKey

__all__ = ["ConsumerOptions", "Listener", "ListenerHost", "Pace"]

MIN_RESYNC = 1.0
"""Seconds between two resyncs at the least: a shorter period would leave time for nothing else."""

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.consumer")


class Pace:
    """Shares one time slice among all busy workers, so that a hundred handlers hold the loop no longer than one."""

    __slots__ = ("busy", "time_slice")

    def __init__(self, time_slice: float) -> None:
        self.time_slice: float = time_slice
        self.busy: int = 0

    def until(self, now: float) -> float:
        """Return when a worker that starts now must let others run."""
        return now + self.time_slice / max(self.busy, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerOptions(Generic[T]):
    """How one consumer wants its events; see ``SharedInformer.add_event_handler``."""

    concurrency: int = 1
    resync_period: float | None = None
    limit: int | None = 1024
    filter: Callable[[T], bool] | None = None
    on_error: Callable[[Exception, Event[T]], Awaitable[None] | None] | None = None
    handler_timeout: float | None = None
    name: str | None = None
    ignore: str | Iterable[str] | None = None
    only: str | Iterable[str] | None = None
    fact: Fact | None = None

    @property
    def fields(self) -> FieldSet | None:
        """The fields whose changes matter; None if all do."""
        only, ignore = _paths("only", self.only), _paths("ignore", self.ignore)
        if self.only is not None and not only:
            raise ValueError("only=() would tell of no change at all: leave it out, or name fields")
        return FieldSet(only, ignore) if only or ignore else None

    def __post_init__(self) -> None:
        require_number("concurrency", self.concurrency, whole=True)
        if self.concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {self.concurrency}")
        if self.limit is not None:
            require_number("limit", self.limit, whole=True)
            if self.limit < 1:
                raise ValueError(f"limit must be at least 1, or None for no limit, not {self.limit}")
        if self.resync_period is not None:
            require_number("resync_period", self.resync_period)
            if self.resync_period < 0:
                raise ValueError(f"resync_period must not be negative, not {self.resync_period}")
        if self.handler_timeout is not None:
            require_number("handler_timeout", self.handler_timeout)
            if self.handler_timeout <= 0:
                raise ValueError(f"handler_timeout must be positive, not {self.handler_timeout}")
        if self.filter is not None:
            require_plain(self.filter, "filter", "the object")
        if self.on_error is not None:
            require_callable(self.on_error, "on_error")
            require_arguments(self.on_error, "on_error", "the exception", "the event")
        if not isinstance(self.name, str | None):
            raise TypeError(f"name must be a text, not {shown(self.name)}")

    def with_fact(self, fact: Fact) -> ConsumerOptions[T]:
        """Return the same options, with the fact that stands for :attr:`fields` at this informer."""
        return replace(self, fact=fact)

    def with_default_resync(self, period: float) -> ConsumerOptions[T]:
        """Return the same options, with an informer's resync period where none was asked for."""
        return self if self.resync_period is not None else replace(self, resync_period=period)

    def mailbox(self) -> Mailbox:
        """Return a new mailbox of the right kind."""
        return KeyedMailbox(self.limit) if self.concurrency > 1 else Mailbox(self.limit)


def _paths(option: str, paths: Any) -> tuple[str, ...]:
    given = () if paths is None else (paths,) if isinstance(paths, str) else paths
    made = tuple(given) if isinstance(given, Iterable) and not isinstance(given, Mapping | bytes) else (None,)
    if not all(isinstance(path, str) for path in made):
        raise TypeError(f"{option} takes paths, such as ('status', 'metadata.annotations'), not {shown(given)}")
    return made


class ListenerHost(Protocol):
    """What a consumer needs of those who keep it."""

    @property
    def pace(self) -> Pace:
        """The slice that all workers share."""

    @property
    def name(self) -> str:
        """The informer's name."""

    @property
    def events(self) -> EventFactory[Any]:
        """What makes events of records."""

    def now(self) -> float:
        """Return the time of the informer's loop."""

    def is_synced(self) -> bool:
        """Tell whether the informer has synced."""

    def reason(self) -> str:
        """Say what the informer waits for; empty if nothing is wrong."""

    def slices(self) -> Iterator[list[tuple[str, Entry]]]:
        """Yield the stored objects in slices, each current when it is yielded."""

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, None],
        name: str,
        again: Callable[[], None],
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[None]:
        """Start a task that the informer owns; ``again`` is called a turn after a stranger has cancelled it."""

    def dismiss(self, task: asyncio.Task[None]) -> None:
        """Cancel such a task: the only cancellation that is to end it."""

    def let_go(self, rest: list[Any]) -> None:
        """Let go of what may be a hundred thousand records, without holding the loop up."""

    def forget(self, consumer: Any) -> None:
        """Put nothing more into a consumer's mailbox."""

    def fact_of(self, fact: Fact, entry: Entry) -> Any:
        """Return the value of a fact of an entry; None if it cannot be told any more."""


class Listener(ABC, Generic[T]):
    """What handlers and streams have in common: a mailbox, a filter, counts, resync and readiness.

    This is the engine's side; users hold a ``Registration`` or a ``Stream``.
    """

    def __init__(self, host: ListenerHost, options: ConsumerOptions[T], name: str) -> None:
        self.options = options
        self.name = name
        self.mailbox: Mailbox = options.mailbox()
        self.mailbox.wake = self._wake
        self.mailbox.initial_done = self.check_synced
        self._host = host
        self._events: EventFactory[T] = host.events
        self._handled = 0
        self._failed = 0
        self._filtered = 0
        self._ignored = 0
        self._undelivered = 0
        self._busy: dict[str, float] = {}
        self._current: Record | None = None  # with the serial worker: an attribute is cheaper than a key in `_busy`
        self._since = 0.0
        self._tally = Tally()
        self._latencies: Histogram | None = None
        self._synced = asyncio.Event()
        self._resync: asyncio.Task[None] | None = None
        self._judges = options.filter is not None or options.fact is not None
        self._is_closed = False
        self._is_ended = False
        self._end: Exception | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing more comes, as it was removed or its informer is closed."""
        return self._is_closed or self._is_ended

    # -- readiness --------------------------------------------------------------------------------------------

    @property
    def has_synced(self) -> bool:
        """Whether the events of the initial state have been handled."""
        return self._synced.is_set() and self._end is None

    def check_synced(self) -> None:
        """Note that the initial state has been handled, if it has."""
        if not self.mailbox.initial_pending and self._host.is_synced():
            self._synced.set()

    async def wait_synced(self, timeout: float | None) -> None:
        """Wait until the events of the initial state have been *handled*; see ``Registration.wait_synced``."""
        async with Deadline(timeout, lambda: self._unsynced(timeout)):
            await self._synced.wait()
        if self._end is not None:
            raise self._end.with_traceback(None)  # or whoever asks again and again makes it longer and longer

    def _unsynced(self, timeout: float | None) -> str:
        """Say why the initial state has not been handled yet."""
        late = f"{self.name} of {self._host.name} has not handled the initial state within {timeout:g} s"
        if not self._host.is_synced():
            return f"{late}: the informer has not synced: {self._host.reason()}"
        seen = self.statistics()
        busy = "".join(f", {each.key} has been inside it for {each.seconds:.1f} s" for each in seen.busy_keys[:3])
        return f"{late}: {seen.queued} events are queued{busy}"

    def _finish(self, error: Exception) -> None:
        """End all waits."""
        if not self._synced.is_set():
            self._end = error
            self._synced.set()

    # -- delivery ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start delivering; the informer runs and owns the tasks."""
        self._start_resync()

    @abstractmethod
    def _wake(self) -> None:
        """Deliver what has been put into the mailbox."""

    def measure(self, *, is_on: bool) -> None:
        """Count how long events take until they are handled, or do so no more; what readers take is not counted."""

    def warns_when_slow(self) -> bool:
        """Tell whether a key that is held for long is worth a warning."""
        return False

    def _judge(self, record: Record) -> Record | None:
        """Return what a record is for this consumer; None if it is to hear nothing of it, which is counted."""
        judged = record if self.options.filter is None else self._filtered_form(record)
        if judged is None:
            self._filtered += 1
        elif judged.type == UPDATED and self._is_ignored(judged):
            self._ignored += 1
            return None
        return judged

    def _is_ignored(self, record: Record) -> bool:
        """Tell whether nothing has changed that matters to this consumer; a resync is for those who want it anyway."""
        fact, base = self.options.fact, record.base
        if fact is None or base is None or record.cause is Cause.RESYNC:
            return False
        before, after = base.facts, record.entry.facts
        if len(before) == len(after) == 2 and before[0] is after[0] is fact:  # nearly always
            return bool(before[1] == after[1])
        known = self._host.fact_of(fact, base)
        return known is not None and known == self._host.fact_of(fact, record.entry)

    def _filtered_form(self, record: Record) -> Record | None:
        """Apply the filter to what the consumer was last given and to what it is now (fail to pass is an addition)."""
        matches = self._passes
        if record.type == ADDED:
            return record if matches(record.entry) else None
        if record.type >= DELETED:
            return record if matches(record.base) else None
        before, after = matches(record.base), matches(record.entry)
        if before and after:
            return record
        if after:
            return Record(ADDED, record.key, record.entry, None, record.cause, record.arrived)
        if before:
            assert record.base is not None, "an update has a base"
            # as it was when it passed
            return Record(DELETED, record.key, record.base, record.base, record.cause, record.arrived)
        return None

    def _passes(self, entry: Entry | None) -> bool:
        assert entry is not None, "an update or deletion has a base"
        assert self.options.filter is not None
        try:
            passes: Any = self.options.filter(self._events.decode(entry))
            return passes if passes is True or passes is False else truth_of(passes, "filter")
        except END_OF_PROCESS:
            raise
        except BaseException as error:  # a CancelledError here is none of the loop's: nothing is awaited
            if count := self._tally.note(("filter", place_of(error))):
                logger.exception(
                    "%s: the filter of %s raised; taken as false%s", self._host.name, self.name, so_often(count)
                )
            return False

    def end(self) -> None:
        """Note that the informer is closed: nothing more will come."""
        self._is_ended = True
        self._stop_resync()
        self._finish(InformerClosedError(f"{self._host.name} is closed"))

    @property
    def is_busy(self) -> bool:
        """Whether an event is being handled."""
        return bool(self._inside())

    def _inside(self) -> Mapping[str, float]:
        """Return the keys that are being handled, and since when. Other threads may ask: see ``cache/indexer.py``."""
        current, since = self._current, self._since
        if current is None:
            return self._busy.copy()
        return {current.key: since} if self._current is current else {}  # that one is done

    def statistics(self) -> ConsumerStatistics:
        """Return a snapshot of the counts and the objects inside handlers."""
        busy: list[BusyKey] = []
        if inside := self._inside():
            now = self._host.now()
            busy = [BusyKey(ObjectKey.parse(key), now - since) for key, since in inside.items()]
            busy.sort(key=lambda item: -item.seconds)
        return ConsumerStatistics(
            queued=max(self.mailbox.pending - len(inside), 0),
            handled=self._handled,
            failed=self._failed,
            filtered=self._filtered,
            coalesced=self.mailbox.coalesced,
            undelivered=self._undelivered,
            high_water=self.mailbox.high_water,
            ignored=self._ignored,
            busy_keys=tuple(busy),
            limit=self.options.limit,
            concurrency=self.options.concurrency,
            latencies=None if self._latencies is None else self._latencies.durations(),
        )

    def stop(self) -> None:
        """Let no further delivery begin; what is queued is dropped and counted. A delivery under way goes on."""
        if self._is_closed:
            return
        self._is_closed = True
        self._stop_resync()
        self._host.forget(self)
        self._undelivered += max(self.mailbox.pending - len(self._inside()), 0)
        self._host.let_go(self.mailbox.clear())
        self._finish(InformerClosedError(f"{self.name} was removed from {self._host.name}"))

    def drained(self) -> asyncio.Future[None] | None:
        """Return what is done once everything queued has been handled; None if that is so, or its reader's affair."""
        return None

    def dismiss(self) -> set[asyncio.Task[None]]:
        """Cancel what runs for this consumer; return what has not ended yet."""
        self._stop_resync()
        return set() if self._resync is None or self._resync.done() else {self._resync}

    def tell_of_refusal(self) -> None:
        """Note that something of this consumer refuses to end."""

    def _stop_resync(self) -> None:
        if self._resync is not None:
            self._host.dismiss(self._resync)

    def _start_resync(self) -> None:
        """Start the resync, if there is one and the consumer goes on."""
        if self.options.resync_period and not self.is_closed:
            period = max(self.options.resync_period, MIN_RESYNC)
            self._resync = self._host.spawn(self._run_resync(period), f"resync {self.name}", self._start_resync)

    async def _run_resync(self, period: float) -> None:
        """Put a resync of all objects into the mailbox every ``period`` seconds, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + period
        while True:
            await asyncio.sleep(due - loop.time())
            due += period  # from the period before, not from now: neither a relist nor a slow loop re-arms it
            await self._resync_once()  # of the scopes that have synced: nothing else is stored

    async def _resync_once(self) -> None:
        skip: set[str] = set()  # whatever is pending brings the current state anyway
        for keys in self.mailbox.pending_keys() if self.options.fact is None else ():  # it may be ignored
            skip |= keys
            await asyncio.sleep(0)
        for entries in self._host.slices():
            inside = self._inside()
            records = [
                Record(UPDATED, key, entry, entry, Cause.RESYNC)
                for key, entry in entries
                if key not in skip and key not in inside
            ]
            if records:
                self.mailbox.put(records)
            await asyncio.sleep(0)
