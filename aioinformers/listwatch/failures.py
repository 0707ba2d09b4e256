"""What is said of failed attempts: to the log, to ``on_watch_error`` and to those who ask."""

from __future__ import annotations

import logging
from collections.abc import Callable

from aioinformers.errors import ConnectionFailedError
from aioinformers.listwatch.attempt import Target, use_of
from aioinformers.listwatch.recovery import Outcome, Plan
from aioinformers.types import WatchFailure

__all__ = ["Failures"]

logger: logging.Logger = logging.getLogger("aioinformers.reflector")


class Failures:
    """Counts the failed attempts of one target, and tells of them.

    Args:
        target: What is followed.
        on_failure: Told about each failed attempt, before its delay.

    Attributes:
        last_error: The error of the last attempt, until an attempt is healthy again.
    """

    def __init__(self, target: Target, on_failure: Callable[[WatchFailure], None]) -> None:
        self.last_error: Exception | None = None
        self._target = target
        self._on_failure = on_failure
        self._count = 0  # in a row, as users count them: those of a plan only measure its delay

    def note(self, plan: Plan, outcome: Outcome) -> None:
        """Tell users about a failure, given the plan that follows its outcome."""
        if not plan.failures or (outcome.has_list and plan.unwatched <= 1) or outcome.delivered:
            self._count = 0
        error = outcome.error
        if error is None and plan.delay:  # a clean end, but the watch did no good
            error = ConnectionFailedError(f"the server closed the watch after {outcome.lived:.1f} s {use_of(outcome)}")
        if error is None:
            if not plan.failures:
                self.last_error = None
            return
        self.last_error = error
        self._count += 1
        failure = WatchFailure(self._target.resource, self._target.scope, error, self._count, plan.delay)
        # The first failures and then each doubling: a long outage must not fill the log.
        level = logging.WARNING if self._count & (self._count - 1) == 0 else logging.DEBUG
        logger.log(level, "%s: %s; next try in %.1f s (failure %d)", self._target, error, plan.delay, self._count)
        self._on_failure(failure)
