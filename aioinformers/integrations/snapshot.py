"""What a program with informers is doing at one moment, as frozen values. Every face is rendered from them.

A snapshot takes some milliseconds for a hundred informers, may be made in any thread, and leaves no trace: who is not
looked at pays nothing (G25).
"""

from __future__ import annotations

import enum
import functools
import math
import os
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aioinformers.cache.indexer import Store
from aioinformers.controllers.controller import Controller
from aioinformers.coordination.election import LeaderElection
from aioinformers.factory import SharedInformerFactory, number_of
from aioinformers.informer import SharedInformer, pipeline_of
from aioinformers.integrations.advice import (
    CRASHED,
    ENDED,
    FORBIDDEN,
    FULL,
    LOST,
    RAISING,
    REFUSED,
    REJECTED,
    SILENT,
    STUCK,
    UNDONE,
    Advice,
    advice_on,
)
from aioinformers.integrations.observation import lag_of
from aioinformers.listwatch.history import MOST_TRANSITIONS
from aioinformers.pipeline import Phase
from aioinformers.statistics import (
    ConsumerStatistics,
    ControllerStatistics,
    ElectionState,
    ElectionStatistics,
    FailingKey,
    InformerHealth,
    InformerStatistics,
    RequestStatistics,
    Transition,
)
from aioinformers.version import __version__

__all__ = [
    "ControllerView",
    "FactoryView",
    "InformerView",
    "Problem",
    "Snapshot",
    "Strain",
    "Verdict",
    "by_advice",
    "snapshot",
    "strain_of",
]

SILENCE: Final = 60.0
"""Seconds without a byte beyond the longest time of a watch, before whose end a server may say nothing at all."""


SIZE_LASTS: Final = 15.0
"""Seconds for which the average size of a store's objects is taken to be the same."""
LONG: Final = 30.0
"""Seconds that an event may be inside a handler before it is a problem; the log warns then, too."""
FAILURES: Final = 3
"""Failures without any success from which on nothing is done, and not only something odd."""
SLOW: Final = 5.0
"""Seconds that an event may be inside a handler before it is remarkable."""


class Verdict(enum.Enum):
    """What is to be said of a program, or of an informer, in a word."""

    LIVE = "LIVE"
    """Every informer follows the server; what is done with it may fail all the same, as the remark says then."""
    NOT_STARTED = "NOT STARTED"
    """No factory has been started, or none has an informer."""
    SYNCING = "SYNCING"
    """Some have not got the whole state yet."""
    STALE = "STALE"
    """The server has said nothing for so long that what is cached may be old, although nothing has failed."""
    DEGRADED = "DEGRADED"
    """The last attempt to follow some has failed, so that what is cached may be old; or some have ended before their
    factory, with their loop."""
    FAILED = "FAILED"
    """A bug has ended an informer or a controller."""
    STOPPING = "STOPPING"
    """A factory is being shut down, or has been."""


class Strain(enum.Enum):
    """How a handler copes with its events."""

    NONE = ""
    """Nothing remarkable."""
    SLOW = "slow"
    """An event has been inside it for seconds."""
    BEHIND = "behind"
    """More than half of what may wait does."""
    STUCK = "stuck"
    """An event has been inside it for half a minute."""
    FULL = "full"
    """As many events wait as may, or more: further ones of one object are merged."""


def strain_of(handler: ConsumerStatistics) -> Strain:
    """Tell how a handler copes."""
    longest = max((each.seconds for each in handler.busy_keys), default=0.0)
    if handler.limit is not None and handler.queued >= handler.limit:
        return Strain.FULL
    if longest >= LONG:
        return Strain.STUCK
    if handler.limit is not None and 2 * handler.queued > handler.limit:
        return Strain.BEHIND
    return Strain.SLOW if longest >= SLOW else Strain.NONE


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that somebody should know of.

    Attributes:
        where: The informer, handler, controller or election.
        what: What is wrong.
        advice: What to do about it.
        is_severe: What is cached is missing or may be old, or something has ended or gets nothing done; otherwise it is
            only slow or odd.
    """

    where: str
    what: str
    advice: Advice
    is_severe: bool


def by_advice(problems: Iterable[Problem]) -> dict[Advice, list[Problem]]:
    """Return problems by what is to be done about them, so that it is said once."""
    grouped: dict[Advice, list[Problem]] = {}
    for problem in problems:
        grouped.setdefault(problem.advice, []).append(problem)
    return grouped


@dataclass(frozen=True, slots=True)
class InformerView:
    """An informer.

    Attributes:
        name: Its name.
        group: API group of its resource; empty for the core group.
        version: The version.
        resource: The plural name.
        is_optional: Nobody waits for it.
        is_compact: Its objects are packed.
        is_stale: It has heard nothing for longer than a watch lasts, although none has failed.
        stored_bytes: Bytes of the stored objects' JSON, estimated by some of them.
        health: Its health.
        statistics: Its figures.
        verdict: What is to be said of it in a word.
        indexes: How many values each of its indexes has; one that two scopes have counts twice.
        advice: What to do about its last failure; None if it was made good.
    """

    name: str
    group: str
    version: str
    resource: str
    is_optional: bool
    is_compact: bool
    is_stale: bool
    stored_bytes: int
    health: InformerHealth
    statistics: InformerStatistics
    verdict: Verdict = Verdict.LIVE
    indexes: Mapping[str, int] = field(default_factory=dict)
    advice: Advice | None = None

    @property
    def lasts(self) -> float | None:
        """For how many seconds its verdict has been so, or at least so; None if that is not known."""
        spans = self._spans()
        return (min if self.verdict is Verdict.LIVE else max)(spans)[0] if spans else None

    @property
    def lasts_longer(self) -> bool:
        """Whether it may have been so for longer than its timelines reach."""
        spans = self._spans()
        return bool(spans) and (min if self.verdict is Verdict.LIVE else max)(spans)[1]

    def _spans(self) -> list[tuple[float, bool]]:
        scopes = list(self.statistics.scopes.values())
        return [_span(each.at, each.timeline, self.verdict) for each in scopes if each.timeline]


def _span(now: float, timeline: tuple[Transition, ...], verdict: Verdict) -> tuple[float, bool]:
    """Return for how long a scope has been as it is, and whether its timeline does not reach further back."""
    first = len(timeline) - 1
    if verdict is Verdict.SYNCING:
        first = 0
    while first > 0:
        before = timeline[first - 1]
        if (before.reason or before.state in _LISTS) if verdict is Verdict.LIVE else not before.reason:
            break
        first -= 1
    return now - timeline[first].at, first == 0 and len(timeline) >= MOST_TRANSITIONS


_LISTS: Final = frozenset({"listing", "streaming", "waiting for its turn to list"})


@dataclass(frozen=True, slots=True)
class FactoryView:
    """A factory.

    Attributes:
        name: Its name.
        host: The API server that it follows, without credentials.
        is_started: It has been started, and not been shut down.
        is_closed: It is being shut down, or has been.
        loop_lag: The longest time in the last minute that its loop was late by, in seconds; None if nobody looks at it.
        number: What tells it from all others of the process, whatever their names.
        informers: Its informers, those with a problem first.
    """

    name: str
    host: str
    is_started: bool
    is_closed: bool
    loop_lag: float | None
    number: int
    informers: tuple[InformerView, ...]


@dataclass(frozen=True, slots=True)
class ControllerView:
    """A controller.

    Attributes:
        name: Its name.
        concurrency: How many calls may run at a time.
        statistics: Its figures; None before it is started.
        failing: What failed last, for each object whose last call did.
    """

    name: str
    concurrency: int
    statistics: ControllerStatistics | None
    failing: tuple[FailingKey, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A program at one moment.

    Attributes:
        at: Seconds since the epoch.
        pid: The process.
        package: Version of aioinformers.
        verdict: What is to be said of it in a word.
        remark: The rest of that: ``7 of 9``, ``41 s``, ``with 1 severe problem`` of a program that is live, but gets
            something not done; empty without one.
        reason: What is wrong, by informer and controller; empty if nothing is.
        factories: Its factories.
        controllers: Its controllers.
        elections: Its candidates for leadership.
        requests: What its API clients have asked for on their behalf.
        uptime: Seconds since the process began.
        problems: What somebody should know of, what is severe first.
        shows_keys: Whether names of objects are shown.
    """

    at: float
    pid: int
    package: str
    verdict: Verdict
    remark: str
    reason: str
    factories: tuple[FactoryView, ...]
    controllers: tuple[ControllerView, ...]
    elections: tuple[ElectionStatistics, ...]
    requests: tuple[RequestStatistics, ...]
    uptime: float = 0.0
    problems: tuple[Problem, ...] = ()
    shows_keys: bool = True

    @property
    def informers(self) -> tuple[InformerView, ...]:
        """The informers of all factories."""
        return tuple(informer for factory in self.factories for informer in factory.informers)


def snapshot(
    factory: SharedInformerFactory | Iterable[SharedInformerFactory],
    controllers: Iterable[Controller[Any]] = (),
    elections: Iterable[LeaderElection] = (),
) -> Snapshot:
    """Return what a program is doing now; may be called in any thread.

    Args:
        factory: Its factory, or several.
        controllers: Its controllers.
        elections: Its candidates for leadership.
    """
    given = (factory,) if isinstance(factory, SharedInformerFactory) else tuple(factory)
    factories = _told_apart(tuple(_factory_view(each) for each in sorted(given, key=number_of)))
    controlled = tuple(_controller_view(each) for each in controllers)
    candidates = tuple(each.statistics() for each in elections)
    verdict, remark = _verdict(factories, controlled)
    problems = [*_problems_of_informers(factories), *_further_problems(controlled, candidates)]
    problems.sort(key=lambda problem: not problem.is_severe)
    if verdict is Verdict.LIVE and (severe := sum(problem.is_severe for problem in problems)):
        remark = "with 1 severe problem" if severe == 1 else f"with {severe:,} severe problems"
    at = time.time()
    return Snapshot(
        at=at, pid=os.getpid(), package=__version__, verdict=verdict, remark=remark,
        reason=_reason(factories, controlled), factories=factories, controllers=controlled, elections=candidates,
        requests=_requests(given), uptime=max(at - _began(), 0.0), problems=tuple(problems),
    )  # fmt: skip


def _requests(factories: tuple[SharedInformerFactory, ...]) -> tuple[RequestStatistics, ...]:
    logs = {pipeline_of(each).source.requests: factory for factory in factories for each in factory}
    return tuple(log.statistics(_host(factory)) for log, factory in logs.items())


def _host(factory: SharedInformerFactory) -> str:
    """Return the API server of a factory, without credentials."""
    host = str(getattr(factory.api_client.configuration, "host", "") or "")
    return urlsplit(host).netloc.rpartition("@")[2]


_IMPORTED: Final = time.time()


@functools.cache
def _begin_of(pid: int) -> float:
    """Return when a process began, in seconds since the epoch; where that cannot be told, when this was imported."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
    except (OSError, ValueError, IndexError, AttributeError):  # no Linux
        return _IMPORTED


def _began() -> float:
    return _begin_of(os.getpid())


def _told_apart(factories: tuple[FactoryView, ...]) -> tuple[FactoryView, ...]:
    """Give factories of one name other ones: what is counted of one would be that of the other."""
    taken: Counter[str] = Counter(factory.name for factory in factories)
    if all(count == 1 for count in taken.values()):
        return factories
    named, seen = [], set[str]()
    for factory in factories:
        is_second = factory.name in seen
        seen.add(factory.name)
        named.append(replace(factory, name=f"{factory.name} #{factory.number}") if is_second else factory)
    return tuple(named)


def _factory_view(factory: SharedInformerFactory) -> FactoryView:
    views = sorted((_informer_view(each, factory) for each in factory), key=_problems_first)
    return FactoryView(
        factory.name,
        _host(factory),
        factory.is_started,
        factory.is_closed,
        lag_of(factory),
        number_of(factory),
        tuple(views),
    )


def _problems_first(view: InformerView) -> tuple[bool, bool, bool]:
    verdict = view.verdict
    return verdict is not Verdict.FAILED, verdict is not Verdict.DEGRADED, view.health.has_synced


def _informer_view(informer: SharedInformer[Any], factory: SharedInformerFactory) -> InformerView:
    resource, pipeline = informer.resource, pipeline_of(informer)
    health, statistics, store = informer.health(), pipeline.statistics(), pipeline.store
    longest = pipeline.source.settings.watch_timeout_max + SILENCE
    is_stale = not health.is_degraded and health.silent_for is not None and health.silent_for > longest
    error = pipeline.following.last_error if health.reason else None
    verdict = _verdict_on(pipeline.phase, health, is_stale=is_stale)
    has_ended = verdict is Verdict.STOPPING and not factory.is_closed  # in this order: another thread may shut it down
    if has_ended:
        advice: Advice | None = ENDED
    else:
        advice = None if error is None else advice_on(error, has_synced=health.has_synced)
    return InformerView(
        name=health.name, group=resource.group, version=resource.version, resource=resource.resource,
        is_optional=pipeline.is_optional, is_compact=statistics.compact is not None, is_stale=is_stale,
        stored_bytes=_bytes_of(store, statistics.objects), health=health, statistics=statistics,
        verdict=Verdict.DEGRADED if has_ended else verdict, indexes=_indexes(store),
        advice=advice,
    )  # fmt: skip


_looked_at: weakref.WeakKeyDictionary[Store[Any], tuple[float, int, int]] = weakref.WeakKeyDictionary()
"""When a store's objects were last looked at for their size, how many there were, and their bytes."""


def _bytes_of(store: Store[Any], count: int) -> int:
    """Return about how many bytes a store's objects have: they are looked at every now and then, their number always.

    To look at some of each store would take longer than all the rest of a snapshot.
    """
    now = time.monotonic()
    then, counted, total = _looked_at.get(store, (-math.inf, 0, 0))
    if now - then < SIZE_LASTS and counted and count <= 2 * counted:
        return total * count // counted
    total = store.estimate_bytes()
    _looked_at[store] = now, count, total
    return total


def _indexes(store: Store[Any]) -> dict[str, int]:
    counts = [list(map(len, each.indexes)) for each in store.partitions.values()]
    if len(counts) == 1:  # where there is one scope, as mostly
        return dict(zip(store.layout.names, counts[0], strict=False))  # they may be rebuilt meanwhile
    return dict(zip(store.layout.names, map(sum, zip(*counts, strict=False)), strict=False))


def _verdict_on(phase: Phase, health: InformerHealth, *, is_stale: bool) -> Verdict:
    if phase is Phase.FAILED:
        return Verdict.FAILED
    if phase is not Phase.RUNNING:
        return Verdict.NOT_STARTED if phase is Phase.NEW else Verdict.STOPPING
    if health.is_degraded:
        return Verdict.DEGRADED
    if not health.has_synced:
        return Verdict.SYNCING
    return Verdict.STALE if is_stale else Verdict.LIVE


def _controller_view(controller: Controller[Any]) -> ControllerView:
    if not controller.has_started:
        return ControllerView(controller.name, controller.concurrency, None, ())
    failing = tuple(controller.failing().values())
    return ControllerView(controller.name, controller.concurrency, controller.statistics(), failing)


def _verdict(factories: tuple[FactoryView, ...], controllers: tuple[ControllerView, ...]) -> tuple[Verdict, str]:
    informers = [informer for factory in factories for informer in factory.informers]
    healths = [informer.health for informer in informers]
    if any(factory.is_closed for factory in factories):
        return Verdict.STOPPING, ""
    if any(health.has_crashed for health in healths) or any(
        each.statistics is not None and each.statistics.has_crashed for each in controllers
    ):
        return Verdict.FAILED, ""
    if not informers or not any(factory.is_started for factory in factories):
        return Verdict.NOT_STARTED, "" if informers else "no informers"
    if any(informer.verdict is Verdict.DEGRADED for informer in informers):
        return Verdict.DEGRADED, ""
    awaited = [informer.health for informer in informers if not informer.is_optional]
    if (synced := sum(health.has_synced for health in awaited)) < len(awaited):
        return Verdict.SYNCING, f"{synced} of {len(awaited)}"
    silences = [informer.health.silent_for or 0.0 for informer in informers if informer.is_stale]
    if silences:
        return Verdict.STALE, f"{max(silences):.0f} s"
    return Verdict.LIVE, ""


def _reason(factories: tuple[FactoryView, ...], controllers: tuple[ControllerView, ...]) -> str:
    reasons = [
        f"{informer.name}: {informer.health.reason}"
        for factory in factories
        for informer in factory.informers
        if informer.health.reason and (informer.verdict is Verdict.DEGRADED or not informer.health.has_synced)
    ]
    reasons += [
        f"controller {each.name}: ended by a bug: {each.statistics.bug}"
        for each in controllers
        if each.statistics is not None and each.statistics.has_crashed
    ]
    return "; ".join(reasons)


def _problems_of_informers(factories: tuple[FactoryView, ...]) -> Iterator[Problem]:
    for informer in (each for factory in factories for each in factory.informers):
        name, health, advice = informer.name, informer.health, informer.advice
        match informer.verdict:
            case Verdict.FAILED:
                yield Problem(name, health.reason, CRASHED, is_severe=True)
            case Verdict.DEGRADED:
                what = f"has ended: {health.reason}" if advice is ENDED else health.reason
                yield Problem(name, what, advice or advice_on(None), is_severe=True)
            case Verdict.SYNCING if advice is not None:
                yield Problem(name, health.reason, advice, is_severe=not informer.is_optional)
            case Verdict.STALE:
                yield Problem(name, f"nothing heard for {health.silent_for or 0.0:.0f} s", SILENT, is_severe=True)
        if count := len(informer.statistics.rejected):
            objects = "1 object" if count == 1 else f"{count:,} objects"
            yield Problem(name, f"{objects} cannot be read", REJECTED, is_severe=False)
        for handler, each in informer.statistics.consumers.items():
            match strain_of(each) if each.queued or each.busy_keys else Strain.NONE:
                case Strain.FULL:
                    what = f"{each.queued:,} events wait: beyond {each.limit:,}, those of one object are merged"
                    yield Problem(f"{name}: {handler}", what, FULL, is_severe=False)
                case Strain.STUCK:
                    what = f"one event has been inside it for {each.busy_keys[0].seconds:.0f} s"
                    yield Problem(f"{name}: {handler}", what, STUCK, is_severe=False)
            if each.failed:
                yield from _raising(f"{name}: {handler}", each)


def _further_problems(
    controllers: tuple[ControllerView, ...], elections: tuple[ElectionStatistics, ...]
) -> Iterator[Problem]:
    for controller in controllers:
        if controller.statistics is not None and controller.statistics.has_crashed:
            yield Problem(
                f"controller {controller.name}", f"ended by a bug: {controller.statistics.bug}", CRASHED, is_severe=True
            )
        elif controller.failing:
            yield _failing(controller)
    for election in elections:
        what = f"{election.state.value}: {election.reason}" if election.reason else election.state.value
        match election.state:
            case ElectionState.REFUSED:
                advice = FORBIDDEN if election.reason.startswith("403") else REFUSED
                yield Problem(f"election {election.name}", what, advice, is_severe=True)
            case ElectionState.UNREACHABLE:
                yield Problem(f"election {election.name}", what, LOST, is_severe=False)


def _failing(controller: ControllerView) -> Problem:
    """Say how many objects fail, and not which, nor of what: names and errors may be secret."""
    count, statistics = len(controller.failing), controller.statistics
    assert statistics is not None, "it has been started"
    what = "1 object fails" if count == 1 else f"{count:,} objects fail"
    has_none = statistics.succeeded == 0 and statistics.failed >= FAILURES
    if has_none:
        what += f", and none of {statistics.failed:,} calls has succeeded"
    return Problem(f"controller {controller.name}", what, UNDONE, is_severe=has_none)


def _raising(where: str, handler: ConsumerStatistics) -> Iterator[Problem]:
    if not handler.handled and handler.failed >= FAILURES:
        yield Problem(where, f"all of its {handler.failed:,} events have failed", RAISING, is_severe=True)
    elif handler.failed and handler.failed >= handler.handled:
        what = f"{handler.failed:,} of its {handler.failed + handler.handled:,} events have failed"
        yield Problem(where, what, RAISING, is_severe=False)
