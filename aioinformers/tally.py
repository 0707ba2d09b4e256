"""What happens again and again, told of the first time and then at each doubling, so that it fills no log. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

__all__ = ["Tally", "place_of", "so_often"]


def place_of(error: BaseException) -> Hashable:
    """Return what tells one error from another: its type, and the line that raised it."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return (type(error),)
    return type(error), traceback.tb_frame.f_code.co_filename, traceback.tb_lineno


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
