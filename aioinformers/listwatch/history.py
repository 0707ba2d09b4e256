"""What a reflector has done: how its attempts ended, why it listed again, how long its watches lasted. Pure."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from aioinformers.errors import (
    ApiStatusError,
    ConnectionFailedError,
    ForbiddenError,
    ResponseError,
    ServerBusyError,
    UnauthorizedError,
)
from aioinformers.listwatch.recovery import Outcome, Plan, State, WatchEnd, end_of_watch, is_version_refused
from aioinformers.statistics import Histogram, ScopeStatistics, Transition

__all__ = ["MOST_TRANSITIONS", "History", "outcome_of", "relist_reason"]

MOST_TRANSITIONS: Final = 50
"""Changes of state that are remembered."""
WATCH_BOUNDS: Final = (1.0, 10.0, 60.0, 300.0, 600.0, 3600.0)
"""Seconds: upper bounds of the durations of watches that are told apart; servers end them after 5 to 10 minutes."""

_LISTS: Final = (State.LISTING, State.STREAMING)
_REASONS: Final = {
    WatchEnd.VERSION_REFUSED: "expired",
    WatchEnd.NO_VERSION: "no version",
    WatchEnd.EVENT_LOST: "event lost",
    WatchEnd.FAILED: "watch failed",
    WatchEnd.CLOSED_AT_ONCE: "closed at once",
}


class History:
    """Remembers what a reflector has done; it is told once for each attempt and change of state, never for an event."""

    def __init__(self) -> None:
        self._transitions: deque[Transition] = deque(maxlen=MOST_TRANSITIONS)
        self._outcomes: Counter[str] = Counter()
        self._relists: Counter[str] = Counter()
        self._watches = Histogram(WATCH_BOUNDS)

    def enter(self, now: float, state: State, error: Exception | None = None) -> None:
        """Note a change of state.

        Args:
            now: The loop's time.
            state: The new state.
            error: The last failure, if it has not been made good.
        """
        self._transitions.append(Transition(now, state.value, "" if error is None else str(error)))

    def conclude(self, plan: Plan, outcome: Outcome, following: Plan) -> None:
        """Note the end of an attempt.

        Args:
            plan: What was attempted.
            outcome: How it ended.
            following: What is attempted next.
        """
        self._outcomes[outcome_of(outcome)] += 1
        if outcome.lived and plan.state in (State.WATCHING, State.STREAMING):
            self._watches.note(outcome.lived)
        if reason := relist_reason(plan, outcome, following):
            self._relists[reason] += 1

    def statistics(self, now: float, state: State, version: str) -> ScopeStatistics:
        """Return all of it; other threads may ask.

        Args:
            now: The loop's time.
            state: What the reflector does now.
            version: The last resourceVersion that it has read.
        """
        timeline = tuple(self._transitions.copy())
        return ScopeStatistics(
            at=now,
            state=state.value,
            since=timeline[-1].at if timeline else now,
            version=version,
            attempts=dict(self._outcomes),
            relists=dict(self._relists),
            watches=self._watches.durations(),
            timeline=timeline,
        )


def outcome_of(outcome: Outcome) -> str:
    """Return how an attempt ended, in a word or two."""
    error = outcome.error
    if error is None:
        return "ok"
    if outcome.is_interrupted:
        return "interrupted"
    if is_version_refused(error):
        return "expired"
    match error:
        case ConnectionFailedError():
            return "unreachable"
        case UnauthorizedError() | ForbiddenError():
            return "refused"
        case ServerBusyError():
            return "busy"
        case ApiStatusError():
            return "failed"
        case ResponseError():
            return "unreadable"
    return "failed"


def relist_reason(plan: Plan, outcome: Outcome, following: Plan) -> str:
    """Return why all objects are listed again after an attempt; empty if they are not.

    A list that failed and is tried again is no further one.

    Args:
        plan: What was attempted.
        outcome: How it ended.
        following: What is attempted next.
    """
    if following.state not in _LISTS or (plan.state in _LISTS and not outcome.has_list):
        return ""
    if plan.state is State.CHECKING:
        return "expired" if is_version_refused(outcome.error) else "watch failed"
    return _REASONS.get(end_of_watch(following.version, outcome), "watch failed")
