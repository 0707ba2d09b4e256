"""Finds a controller that runs in circles: each of its runs writes something, and that is why it runs again. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

__all__ = ["PAUSE", "Detector", "changed_fields"]

K = TypeVar("K", bound=Hashable)
S = TypeVar("S")

RUNS: Final = 5
"""Runs within :data:`WINDOW` that were caused by nothing but own writes, which make a circle."""
WINDOW: Final = 60.0
"""Seconds."""
PAUSE: Final = 10.0
"""Seconds between two runs of a key that runs in circles."""
MOST_KEYS: Final = 10_000
"""Keys that are looked at; the one that has not run for the longest time makes room for another."""

_OF_THE_SERVER: Final = frozenset({"resourceVersion", "managedFields", "generation"})


class Detector(Generic[K, S]):
    """Counts the runs of each key that own writes alone have caused."""

    def __init__(self) -> None:
        self._runs: dict[K, deque[float]] = {}
        self._told: set[K] = set()
        self._states: dict[K, S] = {}

    def note(self, key: K, now: float, state: Callable[[], S] | None) -> S | None:
        """Note the beginning of a run.

        Args:
            key: The key.
            now: The time.
            state: Returns what there is now of what was written, if nothing but writes of this controller has caused
                the run; None otherwise. It is asked one run before a circle may be found.

        Returns:
            The state at the run before, if the key has just been found to run in circles; otherwise None.
        """
        if state is None:
            self._forget(key)
            return None
        runs = self._runs.pop(key, None) or deque(maxlen=RUNS)
        runs.append(now)
        self._runs[key] = runs  # at the end: it is the last that has run
        if len(self._runs) > MOST_KEYS:
            self._forget(next(iter(self._runs)))
        if key in self._told:
            return None
        if len(runs) == RUNS and now - runs[0] <= WINDOW and key in self._states:
            self._told.add(key)
            return self._states.pop(key)
        if len(runs) >= RUNS - 1:
            self._states[key] = state()
        return None

    def _forget(self, key: K) -> None:
        if self._runs.pop(key, None) is not None:
            self._told.discard(key)
            self._states.pop(key, None)

    def pause(self, key: K, now: float) -> float:
        """Return the seconds that the next run of a key has to wait if own writes cause it."""
        runs = self._runs.get(key)
        if runs is None or len(runs) < RUNS or now - runs[0] > WINDOW + PAUSE * RUNS:
            return 0.0
        return max(0.0, runs[-1] + PAUSE - now) if key in self._told else 0.0


def changed_fields(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of what differs between two documents, without what a server counts by itself.

    Args:
        before: One.
        after: The other.
        path: Where they stand, for what is yielded.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            if not (path == "metadata" and name in _OF_THE_SERVER):
                is_plain = name.replace("_", "").isalnum()
                below = (f"{path}.{name}" if path else name) if is_plain else f"{path}['{name}']"
                yield from changed_fields(before.get(name), after.get(name), below)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from changed_fields(old, new, f"{path}[{number}]")
    elif before != after:
        yield path
