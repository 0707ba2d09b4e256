"""Snapshots of counts, backlogs and health, as users read them. Pure."""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from aioinformers.types import ObjectKey, Scope

__all__ = [
    "BusyKey", "BusyRun", "CompactStatistics", "ConsumerStatistics", "ControllerState", "ControllerStatistics",
    "Durations",
    "ElectionState", "ElectionStatistics", "FactoryHealth", "FailingKey", "Histogram", "InformerHealth",
    "InformerStatistics", "QueueStatistics", "RequestStatistics", "ScopeHealth", "ScopeStatistics", "ShardMode",
    "Transition", "reason_of", "weakest",
]  # fmt: skip


ShardMode: TypeAlias = Literal["server", "namespace", "client"]
"""Who keeps the objects of other shards away from an informer.

``"server"``: the API server sends nothing else. ``"namespace"``: nothing is asked for but the namespaces of the shard.
``"client"``: the server sends all objects, and the informer drops others before they are decoded.
"""

_WEAKEST_FIRST: Final[tuple[ShardMode, ...]] = get_args(ShardMode)[::-1]


@dataclass(frozen=True, slots=True)
class Durations:
    """How long some things have lasted, in few classes.

    Attributes:
        bounds: The upper bounds of the classes, in seconds; a last class has none.
        counts: How many were in each class.
        total: The seconds of all of them.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class Histogram:
    """Counts durations in few classes.

    Args:
        bounds: Seconds: the upper bounds of the classes, ascending.
    """

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def note(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    def durations(self) -> Durations:
        """Return what has been counted; other threads may ask."""
        return Durations(self._bounds, tuple(self._counts), self._total)


@dataclass(frozen=True, slots=True)
class BusyKey:
    """An object whose event is inside a handler.

    Attributes:
        key: The object.
        seconds: How long it has been there.
    """

    key: ObjectKey
    seconds: float


@dataclass(frozen=True, slots=True)
class ConsumerStatistics:
    """A snapshot of one consumer's backlog and history.

    Attributes:
        queued: Events that wait for delivery.
        handled: Events delivered without an error.
        failed: Events whose handler raised, timed out or cancelled itself.
        filtered: Records that the filter kept from the consumer.
        coalesced: Events absorbed by merging.
        undelivered: Events that were dropped when the consumer was closed.
        high_water: The longest backlog there has been.
        busy_keys: Objects inside handlers, the longest first.
        ignored: Updates that changed nothing which matters to the consumer, as its ``ignore`` and ``only`` say.
        limit: How many events may wait before those of one object are merged; None for any number.
        concurrency: How many objects may be inside the handler at a time.
        latencies: Seconds from the arrival of events that watches brought until the handler had done with them; None
            if nobody has had that measured.
    """

    queued: int
    handled: int
    failed: int
    filtered: int
    coalesced: int
    undelivered: int
    high_water: int
    busy_keys: tuple[BusyKey, ...] = ()
    ignored: int = 0
    limit: int | None = None
    concurrency: int = 1
    latencies: Durations | None = None


@dataclass(frozen=True, slots=True)
class CompactStatistics:
    """A snapshot of what packing has done in an informer with ``compact=True``.

    Attributes:
        objects: Objects packed since the start, each version of one counted.
        raw_bytes: Their size before, all in all.
        packed_bytes: Their size after.
        dictionaries: Dictionaries in use.
    """

    objects: int
    raw_bytes: int
    packed_bytes: int
    dictionaries: int

    @property
    def ratio(self) -> float:
        """How many times smaller objects have become; 1 before any was packed."""
        return self.raw_bytes / self.packed_bytes if self.packed_bytes else 1.0


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """A snapshot of a work queue.

    Attributes:
        queued: Keys that wait for their turn, by the name of their priority.
        waiting: Keys that wait for a time: a delay, or after a failure.
        running: Keys that are worked on.
        added: Additions since the start, merged ones included.
        done: Runs that succeeded.
        failed: Runs that failed.
        lost: Runs that were still to come when the queue was closed.
        oldest: Seconds that the first of the queued keys has waited for its turn, by the name of their priority; of
            those that have any.
        waits: How long keys have waited for their turn: they were due, and did not run.
        runs: How long runs have lasted.
    """

    queued: Mapping[str, int]
    waiting: int
    running: int
    added: int
    done: int
    failed: int
    lost: int
    oldest: Mapping[str, float]
    waits: Durations
    runs: Durations


@dataclass(frozen=True, slots=True)
class BusyRun:
    """An object that is being reconciled.

    Attributes:
        key: The object.
        seconds: How long it has been.
        awaits: The calls that it is in, the innermost last.
    """

    key: ObjectKey
    seconds: float
    awaits: str


@dataclass(frozen=True, slots=True)
class FailingKey:
    """An object whose last reconciliation has failed.

    Attributes:
        key: The object.
        error: What was raised.
        failures: How often it has failed in a row.
        next_try: Seconds until the next one, unless something lets it run before; 0 if it is its turn, or it runs.
    """

    key: ObjectKey
    error: str
    failures: int
    next_try: float = 0.0


class ControllerState(enum.Enum):
    """What a controller does."""

    SYNCING = "waiting for its caches"
    """Its caches have not synced."""
    FOLLOWING = "following"
    """Another candidate leads; its caches are kept fresh."""
    CATCHING_UP = "catching up"
    """It leads, and waits until its caches show what was written before."""
    RECONCILING = "reconciling"
    """It works."""
    ENDED = "ended"
    """It has ended."""


@dataclass(frozen=True, slots=True)
class ControllerStatistics:
    """A snapshot of a controller.

    Attributes:
        name: The controller.
        has_begun: Its caches have synced, so that it reconciles.
        succeeded: Runs that succeeded.
        failed: Runs that failed.
        timed_out: Those of them that were cancelled because they took too long.
        stale: Runs that began although the cache did not show yet what had been written before.
        waiting_for_writes: Keys that wait until it does.
        busy: Runs under way, the longest first.
        queue: Its queue.
        has_crashed: A bug has ended it.
        state: What it does now.
        bug: The name of the error that has ended it, whose traceback is in the log; empty if none has.
    """

    name: str
    has_begun: bool
    succeeded: int
    failed: int
    timed_out: int
    stale: int
    waiting_for_writes: int
    busy: tuple[BusyRun, ...]
    queue: QueueStatistics
    has_crashed: bool = False
    state: ControllerState = ControllerState.RECONCILING
    bug: str = ""


@dataclass(frozen=True, slots=True)
class RequestStatistics:
    """A snapshot of the requests that one API client has made for informers, controllers and elections.

    Attributes:
        host: The API server.
        answers: How many answers there were, by method and status; ``"<error>"`` where none has come.
        retries: How many requests were repeated at once, by method and the status that was the reason.
        durations: How long the beginning of an answer took, by method.
    """

    host: str
    answers: Mapping[tuple[str, str], int]
    retries: Mapping[tuple[str, str], int]
    durations: Mapping[str, Durations]


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of what a scope's reflector does.

    Attributes:
        at: When, as the loop's time; :attr:`ScopeStatistics.at` is now.
        state: What it did from then on.
        reason: The last failure before it, if it had not been made good; empty without one.
    """

    at: float
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ScopeStatistics:
    """A snapshot of how one scope of an informer is followed.

    Attributes:
        at: The loop's time now.
        state: What is done now.
        since: The loop's time since which it is.
        version: The last resourceVersion that was read.
        attempts: Attempts to list or watch, by how they ended: ``ok``, ``expired``, ``unreachable``, ``refused``,
            ``busy``, ``failed``, ``unreadable`` or ``interrupted``.
        relists: Lists after the first, by what made them necessary: ``expired``, ``no version``, ``event lost``,
            ``watch failed`` or ``closed at once``. A list that failed and is tried again is no further one.
        watches: How long the watches that have ended had lasted.
        timeline: The last fifty changes of what is done, the latest last.
    """

    at: float
    state: str
    since: float
    version: str
    attempts: Mapping[str, int]
    relists: Mapping[str, int]
    watches: Durations
    timeline: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class InformerStatistics:
    """A snapshot of one informer.

    Attributes:
        objects: Objects in the cache.
        added: Additions applied since the start.
        updated: Updates applied since the start.
        deleted: Deletions applied since the start.
        lists: Lists committed, initial streams included.
        failures: Failed attempts to list or watch.
        rejected: Per key of an object that could not be read: why. The cache keeps its last good version.
        unreadable: Lines and items that not even a key could be read from.
        queued_batches: Batches between the reflectors and the dispatcher.
        consumers: Per consumer, by name.
        compact: What packing has done; None without ``compact=True``.
        scopes: How each scope is followed.
        applying: Seconds that it took to apply a batch of events to the cache; None if nobody has had that measured.
        released: Objects that are not followed any more, since the start: with their namespaces, they have left.
    """

    objects: int
    added: int
    updated: int
    deleted: int
    lists: int
    failures: int
    rejected: Mapping[str, str]
    unreadable: int
    queued_batches: int
    consumers: Mapping[str, ConsumerStatistics]
    compact: CompactStatistics | None = None
    scopes: Mapping[Scope, ScopeStatistics] = field(default_factory=dict)
    applying: Durations | None = None
    released: int = 0


@dataclass(frozen=True, slots=True)
class ScopeHealth:
    """Whether one scope of an informer is followed, such as one of its namespaces.

    Attributes:
        scope: The scope.
        has_synced: Whether the cache holds a whole state of it, so that its namespace can be read.
        is_watching: Whether its change stream is followed right now.
        silent_for: Seconds since the server was last heard of; None before that.
        is_degraded: It has synced, but the last attempt to follow it failed: what the cache holds may be out of date.
        reason: What it waits for and why; empty if nothing is wrong.
        is_coming: It was added while the informer ran, and is hidden from all reads until its first list is whole.
        shard_mode: Who keeps the objects of other shards away; None without a shard, and before the first list.
    """

    scope: Scope
    has_synced: bool
    is_watching: bool
    silent_for: float | None
    reason: str
    is_degraded: bool = False
    is_coming: bool = False
    shard_mode: ShardMode | None = None


def reason_of(scopes: Iterable[ScopeHealth]) -> str:
    """Return the reasons of scopes, one that all have once."""
    return "; ".join(dict.fromkeys([each.reason for each in scopes if each.reason]))


def weakest(scopes: Iterable[ScopeHealth]) -> ShardMode | None:
    """Return the weakest way in which scopes are kept to a shard; None as long as that of one of them is not known."""
    modes = {each.shard_mode for each in scopes}
    return None if None in modes else next((mode for mode in _WEAKEST_FIRST if mode in modes), None)


@dataclass(frozen=True, slots=True)
class InformerHealth:
    """Whether one informer does its work.

    Attributes:
        name: The informer's name.
        has_synced: Whether the cache holds a whole state of the server.
        is_watching: Whether every scope follows the change stream right now.
        has_crashed: Whether a bug ended it.
        silent_for: Seconds since the most silent scope last heard from the server; None before that.
        rejected: How many objects could not be read.
        reason: What it waits for and why; empty if nothing is wrong.
        scopes: Each scope's health, such as each namespace's.
        is_degraded: It has synced, but of a scope the last attempt to follow it failed, or a bug has ended it: what the
            cache holds may be out of date, and ``reason`` says why.
        warnings: What the server said beside its answers, such as that this version is deprecated.
        restarts: How many of its tasks somebody else has cancelled within the last minute, so that they were started
            again; of many, five.
        shard: The shard whose objects it follows, in words; empty for all objects.
        shard_mode: Who keeps the objects of other shards away: ``"server"``, ``"namespace"`` or ``"client"``, of
            several scopes the weakest; None without a shard, and before the first list.
        warm: Whether it has started from what an earlier process had stored, and if not, why; empty without
            ``warm``.
        stale_for: Seconds since what listers answer from was stored, while it is not known to be current
            (``WarmCache(serve_stale=True)``); None if they answer from what the server has.
    """

    name: str
    has_synced: bool
    is_watching: bool
    has_crashed: bool
    silent_for: float | None
    rejected: int
    reason: str
    scopes: tuple[ScopeHealth, ...] = ()
    is_degraded: bool = False
    warnings: tuple[str, ...] = ()
    restarts: int = 0
    shard: str = ""
    shard_mode: ShardMode | None = None
    warm: str = ""
    stale_for: float | None = None


@dataclass(frozen=True, slots=True)
class FactoryHealth:
    """Whether all informers of a factory do their work.

    Attributes:
        is_ready: Every informer that is not optional has synced, and none at all has crashed.
        informers: Each informer's health.
        reason: Why it is not ready, or degraded, by informer; empty if all is well.
        is_degraded: An informer, optional or not, is: reads are answered, but may be out of date.
    """

    is_ready: bool
    informers: tuple[InformerHealth, ...]
    reason: str = ""
    is_degraded: bool = False


class ElectionState(enum.Enum):
    """What a candidate for leadership does."""

    STARTING = "starting"
    """It has not seen the Lease yet."""
    FOLLOWING = "following"
    """Somebody else holds the Lease; it is watched."""
    LEADING = "leading"
    """It holds the Lease, and renews it."""
    ENDING = "ending"
    """Its term is over; blocks that were guarded by it have not ended yet, and until then it is no candidate."""
    REFUSED = "refused"
    """The server refuses its requests; it tries again."""
    UNREACHABLE = "unreachable"
    """The server cannot be reached, or does not answer in time; it tries again."""
    CLOSED = "closed"
    """It has ended."""


@dataclass(frozen=True, slots=True)
class ElectionStatistics:
    """A snapshot of one candidate for leadership.

    Attributes:
        name: The election, as ``namespace/name`` of its Lease.
        identity: Who the candidate is.
        state: What it does.
        reason: Why; empty if nothing is wrong.
        holder: Whoever holds the Lease as far as is known; empty for nobody.
        is_leading: Whether this candidate may act right now.
        seconds_left: For how long it may, unless it renews the Lease; 0 if it may not.
        terms: How often it has become the leader.
        lost: How many of these terms it has lost, other than by its own end.
        renewals: Renewals that the server has accepted.
        failures: Requests that have failed.
        running: Blocks that are guarded by its term and have not ended.
        since_renewal: Seconds since the Lease was last seen to be renewed, by whoever holds it; None before it has been
            seen.
    """

    name: str
    identity: str
    state: ElectionState
    reason: str
    holder: str
    is_leading: bool
    seconds_left: float
    terms: int
    lost: int
    renewals: int
    failures: int
    running: int
    since_renewal: float | None = None
