"""Which key is worked on next: priorities, ageing, delays and backoff. Pure: the time is what it is told.

A key is here once, whatever is added: it is queued, runs, or waits for a time. The queues of the priorities are first
come, first served. A key that gets a higher priority stays in the lower queue, too, so that the head of each queue is
the oldest that is in it; where it is served first, what is left of it in others is stale, and skipped.
"""

from __future__ import annotations

import enum
import heapq
import random as random_module
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final, Generic, TypeVar

import msgspec

from aioinformers.statistics import Histogram

__all__ = ["EARLIEST", "MAX_WAIT", "MOST_CAUSES", "Entry", "Phase", "Priority", "Schedule", "default_backoff"]

K = TypeVar("K", bound=Hashable)

MAX_WAIT: Final = 60.0
"""Seconds after which a key is served before all that are younger, whatever its priority."""
EARLIEST: Final = 1.0
"""Seconds after a failure until which only what resets it, or is urgent, runs a key again."""
MOST_CAUSES: Final = 8
"""Causes that are kept for one run."""
WAIT_BOUNDS: Final = (0.005, 0.05, 0.5, 5.0, 60.0)
"""Seconds: upper bounds of the waits of keys that are told apart."""
RUN_BOUNDS: Final = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
"""Seconds: upper bounds of the durations of runs that are told apart."""
STALE_LOOKS: Final = 64
"""Places of a queue that are looked at for the first one that is not stale, by who only wants to know."""
SPARE: Final = 64
"""Stale places that a queue may have beside as many as there are others."""
_BACKOFF_FIRST, _BACKOFF_MOST = 0.1, 300.0


class Priority(enum.IntEnum):
    """How urgent a key is: a higher one is served first."""

    BACKGROUND = 0
    """First lists, resyncs, handovers of shards: nobody waits for it."""
    NORMAL = 1
    """A change."""
    URGENT = 2
    """Somebody has asked for it."""


class Phase(enum.IntEnum):
    """What a key does."""

    QUEUED = 0
    RUNNING = 1
    WAITING = 2


def default_backoff(failures: int, random: Callable[[], float] = random_module.random) -> float:
    """Return the seconds to wait after so many failures in a row: up to 0.1 s, doubled each time until it is 300 s.

    Any time up to that, so that keys that failed together are not repeated together (full jitter).

    Args:
        failures: How many, at least 1.
        random: Returns a number from 0 to 1.
    """
    return random() * min(_BACKOFF_MOST, _BACKOFF_FIRST * 2.0 ** min(failures - 1, 32))


class Again(msgspec.Struct, gc=False, eq=False):
    """What was added to a key while it ran."""

    priority: Priority
    due: float
    resets: bool
    causes: Any = None


class _Causes(list[Any]):
    """Several causes; a list that somebody gives is one."""


class Entry(msgspec.Struct, Generic[K], gc=False, eq=False):
    """A key, and all that is known of it.

    Attributes:
        key: The key.
        priority: Of the run to come, or under way.
        phase: What it does.
        since: The time from which it waits for its turn: it is due, and does not run. While it runs, since when.
        attempt: How many runs in a row have failed, without those that came early.
        causes: Why it is to run, or runs: None, one cause, or several.
        due: The time until which it waits, if it does.
        wait_began: The time of the failure after which it waits; None if it does not wait because of one.
        retry_at: The time until which it was to wait then.
        is_early: It has been run, or is to be run, before that.
        again: What was added while it ran.
    """

    key: K
    priority: Priority
    phase: Phase = Phase.WAITING
    since: float = 0.0
    attempt: int = 0
    causes: Any = None
    due: float = 0.0
    wait_began: float | None = None
    retry_at: float = 0.0
    is_early: bool = False
    again: Again | None = None
    _places: int = 0  # the queues in which it is to be served, as bits
    _ticket: int = 0  # of its place among those that wait

    @property
    def all_causes(self) -> list[Any]:
        """Why it is to run, or runs."""
        causes = self.causes
        return [] if causes is None else list(causes) if causes.__class__ is _Causes else [causes]


class Schedule(Generic[K]):
    """The keys to work on.

    Args:
        backoff: Returns the seconds to wait after so many failures in a row.
        max_wait: Seconds after which a key is served before all younger ones.
        rate: Runs that may begin within any second, over all keys; None for no limit.

    Attributes:
        queued: How many keys are queued, by priority.
        running: How many run.
        waiting: How many wait for a time.
        waits: Counts how long keys have waited for their turn.
        runs: Counts how long runs have lasted.
    """

    def __init__(
        self,
        backoff: Callable[[int], float] = default_backoff,
        max_wait: float = MAX_WAIT,
        rate: float | None = None,
    ) -> None:
        self._backoff = backoff
        self._max_wait = max_wait
        starts = 0 if rate is None else max(1, int(rate))
        self._window = 0.0 if rate is None else starts / rate
        self._starts: deque[float] = deque(maxlen=starts)
        self._entries: dict[K, Entry[K]] = {}
        self._queues: list[deque[Entry[K]]] = [deque() for _ in Priority]
        self._stale: list[dict[K, int]] = [{} for _ in Priority]
        self._stale_places = [0 for _ in Priority]
        self._times: list[tuple[float, int, Entry[K]]] = []
        self._tickets = 0
        self.queued: list[int] = [0 for _ in Priority]
        self.running: int = 0
        self.waiting: int = 0
        self.waits: Histogram = Histogram(WAIT_BOUNDS)
        self.runs: Histogram = Histogram(RUN_BOUNDS)

    def __len__(self) -> int:
        """Return how many keys there are: queued, waiting and running."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry[K]]:
        """Go through the keys of now."""
        return iter(list(self._entries.values()))

    def get(self, key: K) -> Entry[K] | None:
        """Return what is known of a key; None if nothing is."""
        return self._entries.get(key)

    # -- adding -----------------------------------------------------------------------------------------------

    def add(
        self,
        key: K,
        now: float,
        *,
        priority: Priority = Priority.NORMAL,
        after: float = 0.0,
        cause: Any = None,
        resets: bool = True,
    ) -> None:
        """Let a key be worked on. All that is added while it waits for its turn is one run, and so is all during a run.

        Args:
            key: The key.
            now: The time.
            priority: Of two the higher one counts.
            after: Seconds to wait; of two times the earlier one counts.
            cause: Why; some are kept for the run.
            resets: Whether there is something new to work on now: failures so far do not count then. Otherwise the wait
                after a failure is cut short once, and goes on if that does not help.
        """
        resets = resets and after <= 0
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(key, priority, causes=cause)
            self._let_run(entry, now, now + after)
        elif entry.phase is Phase.RUNNING:
            again = entry.again
            if again is None:
                entry.again = Again(priority, now + after, resets, cause)
            else:
                again.priority, again.due = max(again.priority, priority), min(again.due, now + after)
                again.resets = again.resets or resets
                again.causes = _merged(again.causes, cause)
        else:
            entry.causes = _merged(entry.causes, cause)
            if priority > entry.priority:
                self._raise(entry, priority)
            if entry.phase is Phase.WAITING:
                self._cut_short(entry, now, now + after, priority, resets=resets)

    def _raise(self, entry: Entry[K], priority: Priority) -> None:
        if entry.phase is Phase.QUEUED:
            self.queued[entry.priority] -= 1
            self.queued[priority] += 1
        entry.priority = priority
        if entry.phase is Phase.QUEUED:
            self._line_up(entry)

    def _cut_short(self, entry: Entry[K], now: float, due: float, priority: Priority, *, resets: bool) -> None:
        """Let a key that waits be due earlier, as far as that is allowed."""
        if entry.wait_began is not None:
            if resets:
                entry.attempt, entry.wait_began, entry.is_early = 0, None, False
            elif priority is Priority.URGENT:
                entry.is_early = True
            elif entry.is_early:
                return
            else:
                due = max(due, entry.wait_began + EARLIEST)
                entry.is_early = due < entry.due
        if due < entry.due:
            self.waiting -= 1
            self._let_run(entry, now, due)

    # -- taking -----------------------------------------------------------------------------------------------

    def take(self, now: float) -> Entry[K] | None:
        """Return the key to work on next, which runs from now on; None if there is none at this time."""
        if self._times:
            self._line_up_due(now)
        if self._window and self._next_start() > now:
            return None
        place, entry = -1, None
        oldest_place, oldest = -1, None
        for each in (2, 1, 0):
            queue = self._queues[each]
            if not queue:
                continue
            head = self._head(each) if self._stale[each] else queue[0]
            if head is None:
                continue
            if entry is None:
                place, entry = each, head
            if oldest is None or head.since < oldest.since:
                oldest_place, oldest = each, head
        if entry is None or oldest is None:
            return None
        if oldest.since < now - self._max_wait:
            place, entry = oldest_place, oldest
        self._queues[place].popleft()
        if entry._places != 1 << place:
            for other in range(len(self._queues)):
                if other != place and entry._places >> other & 1:
                    self._stale[other][entry.key] = self._stale[other].get(entry.key, 0) + 1
                    self._stale_places[other] += 1
        entry._places = 0
        self.queued[entry.priority] -= 1
        self.running += 1
        entry.phase = Phase.RUNNING
        self.waits.note(now - entry.since)
        entry.since = now
        if self._window:
            self._starts.append(now)
        return entry

    def oldest(self, now: float) -> list[float | None]:
        """Return how long the first key of each queue has waited, by priority; None of an empty one. In any thread."""
        return [self._waited(place, now) if self.queued[place] else None for place in range(len(self._queues))]

    def _waited(self, place: int, now: float) -> float | None:
        queue = self._queues[place]
        for at in range(STALE_LOOKS):
            try:
                entry = queue[at]
            except IndexError:
                return None
            if entry.phase is Phase.QUEUED and entry.priority == place:
                return max(0.0, now - entry.since)
        return None

    def next_time(self) -> float | None:
        """Return the time at which something may be taken that cannot be taken now; None if there is none."""
        times = self._times
        while times and times[0][2]._ticket != times[0][1]:
            heapq.heappop(times)
        found = [times[0][0]] if times else []
        if self._window and any(self.queued):
            found.append(self._next_start())
        return min(found) if found else None

    def _next_start(self) -> float:
        """Return the time from which a run may begin."""
        starts = self._starts
        return starts[0] + self._window if len(starts) == starts.maxlen else float("-inf")

    def _head(self, place: int) -> Entry[K] | None:
        """Return the first of a queue that is to be served there."""
        queue, stale = self._queues[place], self._stale[place]
        while queue:
            entry = queue[0]
            if not stale or (left := stale.get(entry.key)) is None:
                return entry
            queue.popleft()
            self._stale_places[place] -= 1
            if left == 1:
                del stale[entry.key]
            else:
                stale[entry.key] = left - 1
        return None

    # -- ending a run -----------------------------------------------------------------------------------------

    def done(self, entry: Entry[K], now: float, *, after: float | None = None) -> None:
        """End a run that has succeeded.

        Args:
            entry: The key that ran.
            now: The time.
            after: Seconds until it is to run again, unless it does so before.
        """
        self.running -= 1
        self.runs.note(now - entry.since)
        again, entry.again = entry.again, None
        if again is None and after is None:
            del self._entries[entry.key]
            entry._ticket = 0
            return
        entry.attempt, entry.wait_began, entry.is_early, entry.causes = 0, None, False, None
        entry.priority = Priority.NORMAL
        due = now + (after or 0.0)
        if again is not None:
            entry.priority, entry.causes = again.priority, again.causes
            due = again.due if after is None else min(due, again.due)
        self._let_run(entry, now, due)

    def failed(self, entry: Entry[K], now: float, *, after: float | None = None) -> None:
        """End a run that has failed, and is to be repeated.

        Args:
            entry: The key that ran.
            now: The time.
            after: Seconds until then, instead of what the backoff says.
        """
        is_over = not (entry.is_early and entry.retry_at > now and after is None)  # else the wait goes on
        seconds = after if after is not None else self._backoff(entry.attempt + 1) if is_over else 0.0
        self.running -= 1
        self.runs.note(now - entry.since)
        again, entry.again = entry.again, None
        if is_over:
            entry.attempt += 1
            entry.wait_began, entry.is_early, entry.retry_at = now, False, now + seconds
        entry.causes = None if again is None else again.causes
        if again is not None and again.resets:
            entry.attempt, entry.wait_began, entry.is_early = 0, None, False
        self._let_run(entry, now, entry.retry_at)
        if again is not None:
            if again.priority > entry.priority:
                self._raise(entry, again.priority)
            if entry.phase is Phase.WAITING:
                self._cut_short(entry, now, max(now, again.due), again.priority, resets=again.resets)

    def given_back(self, entry: Entry[K], now: float, *, after: float = 0.0) -> None:
        """End a run that was cut off, or could not begin, as if it had not begun; its key is queued again.

        Args:
            entry: The key that ran.
            now: The time.
            after: Seconds until then, unless something is added before.
        """
        self.running -= 1
        again, entry.again = entry.again, None
        if again is not None:
            entry.causes = _merged(entry.causes, again.causes)
            entry.priority = max(entry.priority, again.priority)
            if again.resets:
                entry.attempt = 0
            after = min(after, max(0.0, again.due - now))
        if after:
            entry.wait_began, entry.is_early = None, False  # from here on anything may let it run
        self._let_run(entry, now, now + after)

    def clear(self) -> int:
        """Forget all but the runs under way; return how many runs to come are lost."""
        running = {key: entry for key, entry in self._entries.items() if entry.phase is Phase.RUNNING}
        lost = len(self._entries) - len(running) + sum(entry.again is not None for entry in running.values())
        for entry in running.values():
            entry.again = None
        self._entries = running
        for queue, stale in zip(self._queues, self._stale, strict=True):
            queue.clear()
            stale.clear()
        self._times.clear()
        self._stale_places = [0 for _ in Priority]
        self.queued = [0 for _ in Priority]
        self.waiting = 0
        return lost

    # -- places -----------------------------------------------------------------------------------------------

    def _let_run(self, entry: Entry[K], now: float, due: float) -> None:
        """Queue a key that neither is queued nor runs, or let it wait until it is due."""
        if due <= now:
            if self._times:
                self._line_up_due(now)  # those that were due before come before
            self._queue(entry, now)
            return
        self._tickets += 1
        entry.phase, entry.due, entry._ticket = Phase.WAITING, due, self._tickets
        self.waiting += 1
        times = self._times
        heapq.heappush(times, (due, self._tickets, entry))
        if len(times) > 2 * self.waiting + SPARE:
            self._times = [each for each in times if each[2]._ticket == each[1]]
            heapq.heapify(self._times)

    def _queue(self, entry: Entry[K], since: float) -> None:
        entry.phase, entry.since, entry._ticket = Phase.QUEUED, since, 0
        self.queued[entry.priority] += 1
        self._line_up(entry)

    def _line_up(self, entry: Entry[K]) -> None:
        place = entry.priority
        entry._places |= 1 << place
        queue, stale = self._queues[place], self._stale[place]
        queue.append(entry)
        if stale and 2 * self._stale_places[place] > len(queue) + SPARE:
            kept: deque[Entry[K]] = deque()
            for each in queue:
                if left := stale.get(each.key, 0):
                    stale[each.key] = left - 1
                else:
                    kept.append(each)
            self._queues[place] = kept
            self._stale_places[place] = 0
            stale.clear()

    def _line_up_due(self, now: float) -> None:
        """Queue what has become due, in the order in which it did."""
        times = self._times
        while times and times[0][0] <= now:
            due, ticket, entry = heapq.heappop(times)
            if entry._ticket == ticket:
                self.waiting -= 1
                self._queue(entry, due)


def _merged(causes: Any, cause: Any) -> Any:
    """Return causes with more of them, each once, and not too many; the oldest are kept."""
    if cause is None:
        return causes
    if causes is None:
        return cause
    found = _Causes(causes) if causes.__class__ is _Causes else _Causes([causes])
    for one in cause if cause.__class__ is _Causes else [cause]:
        if len(found) < MOST_CAUSES and not any(_is_same(one, other) for other in found):
            found.append(one)
    return found


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether two causes are one; they are the user's, and may not be comparable."""
    try:
        return one is other or bool(one == other)
    except Exception:
        return False
