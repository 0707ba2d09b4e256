"""What asyncio leaves to its users: a timeout with words, and the check that the running loop is the right one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["Deadline", "require_loop"]


class Deadline:
    """``async with Deadline(timeout, words):`` ends the block with a ``TimeoutError`` that says what was waited for.

    Cancellation: passes through; a ``TimeoutError`` that the block raises itself does, too.

    Args:
        timeout: Seconds; None waits without limit.
        words: Gives the message, asked for when the time is up.
    """

    def __init__(self, timeout: float | None, words: Callable[[], str]) -> None:
        self._timer = asyncio.timeout(timeout)
        self._words = words

    async def __aenter__(self) -> Self:
        await self._timer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._timer.__aexit__(kind, error, traceback)
        except TimeoutError as expired:
            raise TimeoutError(self._words()) from expired


def require_loop(loop: asyncio.AbstractEventLoop | None, name: str, *, advice: str) -> None:
    """Refuse use from another event loop or thread than the one that something runs in.

    Args:
        loop: The loop it runs in; None before the start, when any will do.
        name: What is used.
        advice: What to do instead.

    Raises:
        RuntimeError: If the running loop is another one, or none is running.
    """
    if loop is None:
        return
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is not loop:
        raise RuntimeError(f"{name} is bound to the event loop that started it: {advice}")
