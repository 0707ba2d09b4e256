"""What to do after which outcome, and when: one pure step function. No clock, no socket, no loop.

A reflector is always in one :class:`State`. Each attempt ends in an :class:`Outcome`; :func:`advance` turns it into the
next :class:`Plan`. Every decision about listing, watching, falling back and backing off is made here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from aioinformers.errors import (
    ApiStatusError,
    ConnectionFailedError,
    ForbiddenError,
    GoneError,
    ResourceNotFoundError,
    ResponseError,
    ServerBusyError,
    UnauthorizedError,
)
from aioinformers.settings import Settings
from aioinformers.types import version_order

__all__ = [
    "TRANSITIONS",
    "Outcome",
    "Plan",
    "State",
    "WatchEnd",
    "advance",
    "end_of_watch",
    "first_plan",
    "is_version_refused",
    "resumed_plan",
]

AT_ONCE: Final = 1.0
"""Seconds: a watch that a server closes sooner than this, and without an event, may have been refused."""


MOST_PROBES: Final = 3
"""Short watches in a row that may end without having reached the goal."""


class State(enum.Enum):
    """What a reflector is doing."""

    WAITING = "waiting"
    """The next attempt waits for its delay; every reflector begins here."""
    ABSENT = "waiting for the kind to be served"
    """As WAITING, but the server has said for certain that the kind is gone, so that nothing is cached any more."""
    QUEUED = "waiting for its turn to list"
    """Other lists of this client have their turn; few run at once."""
    LISTING = "listing"
    """A LIST is under way, page by page."""
    STREAMING = "streaming"
    """A watch brings the initial objects (``sendInitialEvents``); the same watch goes on as WATCHING."""
    OPENING = "opening the watch"
    """A watch has been asked for, and the server has not answered yet."""
    WATCHING = "watching"
    """The cache follows the server's stream of changes."""
    CHECKING = "checking"
    """A watch showed nothing at all; one small request asks whether the server still reaches the last version."""
    STOPPED = "stopped"
    """The reflector has ended."""


_STOP: Final = {State.STOPPED: "the informer stops, or something else has cancelled the reflector's task"}

TRANSITIONS: Final[Mapping[State, Mapping[State, str]]] = {
    State.WAITING: {
        State.QUEUED: "the informer starts, or the delay is over",
        State.OPENING: "the delay is over",
        State.CHECKING: "the delay is over",
        State.ABSENT: "the server has said again, and for certain, that the kind is gone",
        **_STOP,
    },
    State.ABSENT: {
        State.QUEUED: "the delay is over",
        **_STOP,
    },
    State.QUEUED: {
        State.LISTING: "its turn has come",
        State.STREAMING: "its turn has come",
        State.QUEUED: "the time of the stream is over: a list is made instead",
        State.WAITING: "the time of the list is over",
        State.ABSENT: "the time of the list is over, and the kind is still gone",
        **_STOP,
    },
    State.LISTING: {
        State.QUEUED: "the server refused the version, or was so slow that others were let go first",
        State.OPENING: "the list is complete",
        State.WAITING: "the list failed",
        State.ABSENT: "the list failed, and the kind is still gone",
        **_STOP,
    },
    State.STREAMING: {
        State.QUEUED: "the server refused the version or the stream, or was so slow that others were let go first",
        State.WATCHING: "the end of the initial objects was marked",
        State.WAITING: "the stream failed",
        State.ABSENT: "the stream failed, and the kind is still gone",
        **_STOP,
    },
    State.OPENING: {
        State.WATCHING: "the server answered",
        State.QUEUED: "the server refused the version, for the first time since a healthy watch",
        State.WAITING: "the watch could not be opened",
        **_STOP,
    },
    State.WATCHING: {
        State.OPENING: "a healthy watch ended",
        State.CHECKING: "a healthy watch ended that had shown nothing",
        State.QUEUED: "the server refused the version, for the first time since a healthy watch, or there is none",
        State.WAITING: "the watch broke, ended before it was healthy, or was refused again",
        **_STOP,
    },
    State.CHECKING: {
        State.OPENING: "the server reaches the version",
        State.QUEUED: "the server refused the version",
        State.WAITING: "the check failed",
        **_STOP,
    },
    State.STOPPED: {
        State.WAITING: "it is started again, as the informer goes on",
        State.ABSENT: "it is started again, and the kind was gone",
    },
}
"""Every change of state that can happen: from where, to where, on what."""


_BEGINNINGS: Final = {
    State.LISTING: State.QUEUED,
    State.STREAMING: State.QUEUED,
    State.WATCHING: State.OPENING,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The next attempt.

    Attributes:
        state: What to attempt: LISTING, STREAMING, WATCHING or CHECKING.
        version: The last resourceVersion seen: where to watch from, or what a list must not be older than. Empty
            before the first list, and always where lists have no version: then no watch can be resumed.
        delay: Seconds to wait first.
        failures: Consecutive failures, by which delays grow; only health resets it.
        unwatched: Complete lists since the last healthy watch. A list that succeeds does not show that watching works:
            where it never does (it may be forbidden), listing all objects again must become rarer too.
        is_consistent: The list must ask for the most recent state, as the server refused ``version``.
        is_paged: This server pages even a list from its watch cache, so ask for pages with any version.
        streams_again_at: When a server that failed to stream initial objects may be asked again.
        is_gone: The server has said for certain that it does not serve the kind any more; only a list proves it wrong.
        goal: Until this resourceVersion is reached, watches are short ones, *probes*, at whose end the server sends a
            bookmark: an ordinary one may be silent for a minute. Empty where nothing depends on that.
        probes: Short watches so far.
    """

    state: State
    version: str = ""
    delay: float = 0.0
    failures: int = 0
    unwatched: int = 0
    is_consistent: bool = False
    is_paged: bool = False
    streams_again_at: float = 0.0
    is_gone: bool = False
    goal: str = ""
    probes: int = 0

    @property
    def begins_in(self) -> State:
        """The state in which the attempt begins: lists wait for their turn, a watch for its answer."""
        return _BEGINNINGS.get(self.state, self.state)

    @property
    def waits_in(self) -> State:
        """The state in which the delay passes."""
        return State.ABSENT if self.is_gone else State.WAITING

    @property
    def list_version(self) -> str:
        """The ``resourceVersion`` of a list: any state at first, then never back in time, unless refused."""
        return "" if self.is_consistent else self.version or "0"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        error: What went wrong; None for a complete list and for a watch that the server closed cleanly.
        version: The last resourceVersion that has been seen.
        has_list: A whole list has been handed to the dispatcher.
        is_paged: The list came in pages although it was asked from the watch cache.
        delivered: Events and bookmarks of the watch, without initial objects.
        lived: Seconds that the watch, or the stream, was open.
        is_interrupted: It was not the server or the network that ended it, so that its error says nothing about them.
    """

    error: Exception | None = None
    version: str = ""
    has_list: bool = False
    is_paged: bool = False
    delivered: int = 0
    lived: float = 0.0
    is_interrupted: bool = False


class WatchEnd(enum.Enum):
    """How a watch ended, as far as it matters to what comes next."""

    VERSION_REFUSED = enum.auto()
    """The server no longer has the version, or does not have it yet."""
    NO_VERSION = enum.auto()
    """There is no version that another watch could begin at."""
    EVENT_LOST = enum.auto()
    """Something could not be read, and it may have been an event of any object."""
    FAILED = enum.auto()
    """The server answered with an error that may last, such as 403 or 500."""
    CLOSED_AT_ONCE = enum.auto()
    """Closed at once and without an event: a server may refuse a version in this way."""
    SILENT = enum.auto()
    """Closed or broken after a while, and nothing was shown, not even a bookmark."""
    RESUMABLE = enum.auto()
    """Closed or broken, or the server is busy: the next watch can go on from the last version."""


def end_of_watch(version: str, outcome: Outcome) -> WatchEnd:
    """Return how a watch ended; of several cases that apply, the first counts.

    Args:
        version: Where the next watch could begin.
        outcome: How the attempt ended.
    """
    error = outcome.error
    if is_version_refused(error):
        return WatchEnd.VERSION_REFUSED
    if not version:
        return WatchEnd.NO_VERSION
    if isinstance(error, ResponseError):
        return WatchEnd.EVENT_LOST
    if not _is_resumable(error):
        return WatchEnd.FAILED
    if error is None and outcome.lived < AT_ONCE and not outcome.delivered:
        return WatchEnd.CLOSED_AT_ONCE
    if outcome.lived and not outcome.delivered:
        return WatchEnd.SILENT
    return WatchEnd.RESUMABLE


def first_plan(settings: Settings, streams_again_at: float, now: float) -> Plan:
    """Return the plan of a reflector that has just started."""
    plan = Plan(State.LISTING, streams_again_at=streams_again_at)
    return _list_again(plan, settings, now)


def resumed_plan(version: str, goal: str, streams_again_at: float) -> Plan:
    """Return the first plan of a reflector whose objects an earlier process has stored.

    Args:
        version: The resourceVersion that they had.
        goal: The one that the server has now.
        streams_again_at: See :class:`Plan`.
    """
    goal = goal if version_order(version) < version_order(goal) else ""
    return Plan(State.WATCHING, version=version, goal=goal, streams_again_at=streams_again_at)


def advance(plan: Plan, outcome: Outcome, settings: Settings, now: float, random: float) -> Plan:
    """Return the plan that follows an outcome.

    Args:
        plan: The plan of the attempt that has ended.
        outcome: How it ended.
        settings: Delays and bounds.
        now: The loop's time.
        random: A number in [0, 1), for the jitter.
    """
    following = _advance(plan, outcome, settings, now, random)
    if not following.goal:
        return following
    if following.state in {State.LISTING, State.STREAMING}:  # nothing older than the goal will do
        return replace(following, goal="", is_consistent=True)
    is_reached = version_order(following.version) >= version_order(following.goal)
    return replace(following, goal="") if is_reached else following


def _advance(plan: Plan, outcome: Outcome, settings: Settings, now: float, random: float) -> Plan:
    is_further = outcome.has_list or outcome.version not in ("", plan.version)
    version = outcome.version if outcome.has_list else outcome.version or plan.version
    plan = replace(plan, version=version, delay=0.0)
    if outcome.has_list:
        plan = replace(
            plan,
            failures=min(plan.failures, plan.unwatched),
            unwatched=plan.unwatched + 1,
            is_consistent=False,
            is_paged=outcome.is_paged,
            is_gone=False,
        )
        if plan.state is State.LISTING and outcome.error is None:
            return replace(plan, state=State.WATCHING)
    if outcome.has_list or plan.state is State.WATCHING:  # a stream that brought its list went on as a watch
        return _after_watch(plan, outcome, is_further, settings, now, random)
    if plan.state is State.CHECKING:
        return _after_check(plan, outcome, settings, now, random)
    return _after_failed_list(plan, outcome, settings, now, random)


def _after_watch(plan: Plan, outcome: Outcome, is_further: bool, settings: Settings, now: float, random: float) -> Plan:
    end = end_of_watch(plan.version, outcome)
    # Events do not show health if they repeat what is known, if one was lost, or if a list must follow anyway.
    is_lossless = end not in (WatchEnd.VERSION_REFUSED, WatchEnd.NO_VERSION, WatchEnd.EVENT_LOST)
    is_useful = outcome.delivered > 0 and is_further and is_lossless
    is_healthy = is_useful or outcome.lived >= settings.watch_healthy_after
    if is_healthy:
        plan = replace(plan, failures=0, unwatched=0)
    if plan.goal and outcome.error is None and end in {WatchEnd.RESUMABLE, WatchEnd.SILENT}:
        plan = replace(plan, state=State.WATCHING, probes=plan.probes + 1)
        return plan if plan.probes < MOST_PROBES else _list_again(plan, settings, now)
    match end:
        case WatchEnd.VERSION_REFUSED:
            return _after_refusal(plan, outcome, settings, now, random)
        case WatchEnd.NO_VERSION | WatchEnd.EVENT_LOST | WatchEnd.FAILED | WatchEnd.CLOSED_AT_ONCE:
            following = _list_again(plan, settings, now)
        case WatchEnd.SILENT:
            # A server says nothing at all, for as long as it is asked, about a version from its future: etcd may have
            # been restored from a backup.
            following = replace(plan, state=State.CHECKING)
        case WatchEnd.RESUMABLE:
            following = replace(plan, state=State.WATCHING)
        case _:
            assert_never(end)
    if outcome.error is None and is_healthy:
        return following  # at once: the watch ended by its own timeout
    return _backed_off(following, outcome.error, settings, random)


def _after_refusal(plan: Plan, outcome: Outcome, settings: Settings, now: float, random: float) -> Plan:
    """Return the plan after a refused version: the server answers, so that an outage before it is over.

    Only lists that no healthy watch followed delay the next one.
    """
    following = _list_again(plan, settings, now)
    if not plan.unwatched:
        return following
    return _backed_off(following, outcome.error, settings, random, steps=min(plan.failures, plan.unwatched))


def _after_check(plan: Plan, outcome: Outcome, settings: Settings, now: float, random: float) -> Plan:
    error = outcome.error
    if error is None:
        return replace(plan, state=State.WATCHING)
    if is_version_refused(error):
        return replace(_list_again(plan, settings, now), is_consistent=True)
    again = plan if _is_resumable(error) else _list_again(plan, settings, now)
    return _backed_off(again, error, settings, random)


def _after_failed_list(plan: Plan, outcome: Outcome, settings: Settings, now: float, random: float) -> Plan:
    error = outcome.error
    if is_version_refused(error) and not plan.is_consistent:
        return replace(plan, is_consistent=True)  # at once: to wait would not make the version known
    if plan.state is State.STREAMING and not (outcome.is_interrupted or _is_passing(error)):
        if isinstance(error, UnauthorizedError | ForbiddenError | ResourceNotFoundError):
            return replace(plan, state=State.LISTING)  # says nothing about streaming; a list may be allowed
        # The server, or something between it and this client, cannot stream initial objects: list for a while.
        return replace(plan, state=State.LISTING, streams_again_at=now + settings.watch_list_memory)
    return _backed_off(_list_again(plan, settings, now), error, settings, random)


def _list_again(plan: Plan, settings: Settings, now: float) -> Plan:
    is_streamed = settings.watch_list and now >= plan.streams_again_at
    return replace(plan, state=State.STREAMING if is_streamed else State.LISTING)


def _backed_off(
    plan: Plan, error: Exception | None, settings: Settings, random: float, steps: int | None = None
) -> Plan:
    """Return a plan with one more failure and its delay, which has grown by ``steps``: by default one per failure."""
    steps = plan.failures if steps is None else steps
    try:
        grown = settings.backoff_initial * float(settings.backoff_factor) ** steps
    except OverflowError:
        grown = settings.backoff_max
    base = min(grown, settings.backoff_max)
    delay = base * (1.0 + settings.backoff_jitter * random)
    if isinstance(error, ApiStatusError) and error.retry_after:
        delay = max(delay, min(error.retry_after, settings.retry_after_max))
    return replace(plan, delay=delay, failures=plan.failures + 1)


def is_version_refused(error: Exception | None) -> bool:
    """Tell whether a server has said that it does not have a resourceVersion any more, or not yet."""
    if isinstance(error, GoneError):
        return True
    return isinstance(error, ApiStatusError) and "ResourceVersionTooLarge" in error.causes


def _is_resumable(error: Exception | None) -> bool:
    """Tell whether the end of a watch allows the next one to go on from the same version."""
    return error is None or isinstance(error, ConnectionFailedError | ServerBusyError)


def _is_passing(error: Exception | None) -> bool:
    """Tell whether an error passes, and says nothing about what the server is able to do."""
    return isinstance(error, ServerBusyError) or (isinstance(error, ConnectionFailedError) and error.is_refused)
