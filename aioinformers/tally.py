"""What happens again and again, told of the first time and then at each doubling, so that it fills no log. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

__all__ = ["Tally", "so_often"]

MOST: Final = 256
"""Causes that are told apart; further ones are counted as one."""


class Tally:
    """Counts, cause by cause."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, int] = {}

    def note(self, cause: Hashable) -> int:
        """Count a cause once more; return how often it has been if that is to be told now, otherwise 0."""
        if cause not in self._counts and len(self._counts) >= MOST:
            cause = None
        self._counts[cause] = count = self._counts.get(cause, 0) + 1
        return count if count & (count - 1) == 0 else 0


def so_often(count: int) -> str:
    """Return how often something has been, for the end of a log line; empty the first time."""
    return "" if count == 1 else f" ({count:,} times by now; told of again at {2 * count:,})"
