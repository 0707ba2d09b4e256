"""What to do after which outcome, and when: one pure step function. No clock, no socket, no loop.

A reflector is always in one :class:`State`. Each attempt ends in an :class:`Outcome`; :func:`advance` turns it into the
next :class:`Plan`. Everything that decides about listing, watching, falling back and backing off stands here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

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

__all__ = ["Outcome", "Plan", "State", "advance", "first_plan"]


class State(enum.Enum):
    """What a reflector is doing."""

    LISTING = "listing"
    """A paged LIST is under way."""
    STREAMING = "streaming"
    """A watch brings the initial objects (``sendInitialEvents``); it goes on as WATCHING."""
    OPENING = "opening the watch"
    """A watch has been asked for and not been answered yet."""
    WATCHING = "watching"
    """The cache follows the server's change stream."""
    CHECKING = "checking"
    """Asks whether the server still reaches the last version, as a watch from it has shown nothing at all."""
    WAITING = "waiting"
    """The next attempt waits for its delay."""
    STOPPED = "stopped"
    """The reflector has ended."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The next attempt.

    Attributes:
        state: What to attempt: LISTING, STREAMING, WATCHING or CHECKING.
        version: The last resourceVersion seen: where to watch from, or what a list must not be older than. Empty
            before the first list, and for good where lists have none: then no watch can be resumed.
        delay: Seconds to wait first.
        failures: Consecutive failures; reset only by health.
        unwatched: Completed lists since a watch was last healthy: health of the one is none of the other, and where
            watching fails for good (it may be forbidden), listing all objects again must not become a habit.
        is_consistent: The list must ask for the most recent state, as the server refused ``version``.
        is_paged: This server pages even a list from its watch cache, so ask for pages with any version.
        streams_again_at: When a server that failed to stream initial objects may be asked again.
    """

    state: State
    version: str = ""
    delay: float = 0.0
    failures: int = 0
    unwatched: int = 0
    is_consistent: bool = False
    is_paged: bool = False
    streams_again_at: float = 0.0

    @property
    def list_version(self) -> str:
        """The ``resourceVersion`` of a list: any state at first, then never back in time, unless refused."""
        return "" if self.is_consistent else self.version or "0"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        error: What went wrong; None for a list that is done and for a watch that the server closed cleanly.
        version: The last resourceVersion that the attempt saw.
        has_list: A whole list has been handed to the dispatcher.
        is_paged: The list came in pages although it was asked from the watch cache.
        delivered: Events and bookmarks of the watch, without initial objects.
        lived: Seconds that the watch, or the stream, was open.
    """

    error: Exception | None = None
    version: str = ""
    has_list: bool = False
    is_paged: bool = False
    delivered: int = 0
    lived: float = 0.0


def first_plan(settings: Settings, streams_again_at: float, now: float) -> Plan:
    """Return the plan of a reflector that has just started."""
    plan = Plan(State.LISTING, streams_again_at=streams_again_at)
    return _list_again(plan, settings, now)


def advance(plan: Plan, outcome: Outcome, settings: Settings, now: float, random: float) -> Plan:
    """Return the plan that follows an outcome.

    Args:
        plan: The plan of the attempt that has ended.
        outcome: How it ended.
        settings: Delays and bounds.
        now: The loop's time.
        random: A number in [0, 1), for the jitter.
    """
    has_moved = outcome.has_list or outcome.version not in ("", plan.version)
    version = outcome.version if outcome.has_list else outcome.version or plan.version
    plan = replace(plan, version=version, delay=0.0)
    if outcome.has_list:
        plan = replace(
            plan,
            failures=min(plan.failures, plan.unwatched),
            unwatched=plan.unwatched + 1,
            is_consistent=False,
            is_paged=outcome.is_paged,
        )
        if plan.state is State.LISTING and outcome.error is None:
            return replace(plan, state=State.WATCHING)
    if outcome.has_list or plan.state is State.WATCHING:
        return _after_watch(plan, outcome, has_moved, settings, now, random)
    if plan.state is State.CHECKING:
        return _after_check(plan, outcome, settings, now, random)
    return _after_failed_list(plan, outcome, settings, now, random)


def _after_watch(plan: Plan, outcome: Outcome, has_moved: bool, settings: Settings, now: float, random: float) -> Plan:
    error, lived = outcome.error, outcome.lived
    is_refused = _is_version_refused(error)
    # Delivering is no health where it repeats what is known, where something was lost, or where a list must follow.
    is_followed_by_list = not plan.version or is_refused or isinstance(error, ResponseError)
    is_useful = outcome.delivered > 0 and has_moved and not is_followed_by_list
    is_healthy = is_useful or lived >= settings.watch_healthy_after
    if is_healthy:
        plan = replace(plan, failures=0, unwatched=0)
    # A server that closes at once without a word may be refusing the version without saying so.
    is_silent_refusal = error is None and lived < 1.0 and not outcome.delivered
    if is_followed_by_list or is_silent_refusal or not _is_resumable(error):
        following = _list_again(plan, settings, now)
    elif lived and not outcome.delivered:
        # To a version from its future (etcd was restored) a server says nothing at all, for as long as it is asked.
        following = replace(plan, state=State.CHECKING)
    else:
        following = replace(plan, state=State.WATCHING)
    if error is None and is_healthy:
        return following  # the server's timeout: go on at once
    if not is_refused:
        return _backed_off(following, error, settings, random)
    # A refusal is an answer: the outage before it is over. Only lists that no healthy watch followed hold up the next.
    if not plan.unwatched:
        return following
    return _backed_off(following, error, settings, random, min(plan.failures, plan.unwatched))


def _after_check(plan: Plan, outcome: Outcome, settings: Settings, now: float, random: float) -> Plan:
    error = outcome.error
    if error is None:
        return replace(plan, state=State.WATCHING)
    if _is_version_refused(error):
        return replace(_list_again(plan, settings, now), is_consistent=True)
    again = plan if _is_resumable(error) else _list_again(plan, settings, now)
    return _backed_off(again, error, settings, random)


def _after_failed_list(plan: Plan, outcome: Outcome, settings: Settings, now: float, random: float) -> Plan:
    error = outcome.error
    if _is_version_refused(error) and not plan.is_consistent:
        return replace(plan, is_consistent=True)  # at once: what is known to be refused need not be waited for
    if plan.state is State.STREAMING and not _is_passing(error):
        if isinstance(error, UnauthorizedError | ForbiddenError | ResourceNotFoundError):
            return replace(plan, state=State.LISTING)  # says nothing about streaming; the list may be allowed
        # The server cannot stream initial objects, or something between us cannot: do without for a while.
        return replace(plan, state=State.LISTING, streams_again_at=now + settings.watch_list_memory)
    return _backed_off(_list_again(plan, settings, now), error, settings, random)


def _list_again(plan: Plan, settings: Settings, now: float) -> Plan:
    streams = settings.watch_list and now >= plan.streams_again_at
    return replace(plan, state=State.STREAMING if streams else State.LISTING)


def _backed_off(
    plan: Plan, error: Exception | None, settings: Settings, random: float, steps: int | None = None
) -> Plan:
    """Return a plan with its delay, grown by so many steps: by default one per failure."""
    try:
        grown = settings.backoff_initial * float(settings.backoff_factor) ** (plan.failures if steps is None else steps)
    except OverflowError:
        grown = settings.backoff_max
    base = min(grown, settings.backoff_max)
    delay = base * (1.0 + settings.backoff_jitter * random)
    if isinstance(error, ApiStatusError) and error.retry_after:
        delay = max(delay, min(error.retry_after, settings.retry_after_max))
    return replace(plan, delay=delay, failures=plan.failures + 1)


def _is_version_refused(error: Exception | None) -> bool:
    if isinstance(error, GoneError):
        return True
    return isinstance(error, ApiStatusError) and "ResourceVersionTooLarge" in error.causes


def _is_resumable(error: Exception | None) -> bool:
    """Tell whether the end of a watch says nothing against going on where it was."""
    return error is None or isinstance(error, ConnectionFailedError | ServerBusyError)


def _is_passing(error: Exception | None) -> bool:
    """Tell whether an error says nothing about the server's abilities."""
    return isinstance(error, ServerBusyError) or (isinstance(error, ConnectionFailedError) and error.is_refused)
