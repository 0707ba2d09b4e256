"""Counts requests and their answers, for all who make them with one API client. Pure."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any, Final

from aioinformers.statistics import Histogram, RequestStatistics

__all__ = ["NO_ANSWER", "RequestLog", "log_of"]

NO_ANSWER: Final = "<error>"
"""Stands where no status has come, as in client-go's metrics."""
ANSWER_BOUNDS: Final = (0.005, 0.025, 0.1, 0.5, 2.0, 8.0, 30.0)
"""Seconds until the beginning of an answer: upper bounds of the classes."""


class RequestLog:
    """Counts requests; it is told once for each, never for an event."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str]] = Counter()
        self._retries: Counter[tuple[str, str]] = Counter()
        self._durations: dict[str, Histogram] = {}

    def note(self, method: str, status: int | None, seconds: float) -> None:
        """Count a request that has been answered, or has failed.

        Args:
            method: Such as ``GET``.
            status: The status of the answer; None without one.
            seconds: How long that took.
        """
        self._answers[method, NO_ANSWER if status is None else str(status)] += 1
        if (histogram := self._durations.get(method)) is None:
            histogram = self._durations[method] = Histogram(ANSWER_BOUNDS)
        histogram.note(seconds)

    def note_retry(self, method: str, status: int) -> None:
        """Count a request that is repeated at once because of an answer."""
        self._retries[method, str(status)] += 1

    def statistics(self, host: str) -> RequestStatistics:
        """Return figures of now; other threads may ask.

        Args:
            host: The API server.
        """
        durations = {method: each.durations() for method, each in list(self._durations.items())}
        return RequestStatistics(host, dict(self._answers), dict(self._retries), durations)


_logs: weakref.WeakKeyDictionary[Any, RequestLog] = weakref.WeakKeyDictionary()


def log_of(api_client: Any) -> RequestLog:
    """Return the one log of an API client, whoever makes requests with it."""
    if (log := _logs.get(api_client)) is None:
        log = _logs[api_client] = RequestLog()
    return log
