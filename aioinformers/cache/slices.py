"""Work in slices: what takes long lets others run, again and again (G12)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["LOOK", "Slices"]

LOOK: Final = 64
"""Steps of a fraction of a microsecond each between two looks at the clock."""

RELEASED: Final = 64
"""References that are let go of between two looks at the clock."""


class Slices:
    """Lets other tasks run whenever a slice of time is over.

    Args:
        seconds: How long a slice is.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = 0.0

    def begin(self) -> None:
        """Begin a slice: others have just run."""
        self._end = asyncio.get_running_loop().time() + self._seconds

    def is_over(self, now: float) -> bool:
        """Tell whether the present slice is over, at some time of the loop."""
        return now > self._end

    async def pause(self) -> None:
        """Let others run."""
        await asyncio.sleep(0)
        self.begin()

    async def take(self, steps: Iterable[object], every: int = LOOK) -> None:
        """Take steps, and let other tasks run whenever the slice is over.

        Args:
            steps: The steps.
            every: How many of them are taken between two looks at the clock.
        """
        time = asyncio.get_running_loop().time
        for count, _ in enumerate(steps):
            if not count % every and time() > self._end:
                await self.pause()

    async def release(self, references: list[Any]) -> None:
        """Let go of objects: to free a hundred thousand at once takes longer than a slice."""
        time = asyncio.get_running_loop().time
        while references:
            del references[-RELEASED:]
            if time() > self._end:
                await self.pause()
