"""What asyncio leaves to its users: timeouts with words, orderly ends, and the check that a loop is the right one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from time import monotonic
from types import TracebackType
from typing import Any, Self

from aioinformers.checks import require_seconds

__all__ = ["Deadline", "Grace", "finishes_before", "loop_clock", "require_loop"]


class Deadline:
    """``async with Deadline(timeout, words):`` ends the block with a ``TimeoutError`` that says what was waited for.

    Cancellation: passes through; a ``TimeoutError`` that the block raises itself does, too.

    Args:
        timeout: Seconds; None waits without limit.
        words: Gives the message, asked for when the time is up.

    Raises:
        TypeError: If the timeout is no number; so users need not have it checked before.
        ValueError: If it is NaN.
    """

    def __init__(self, timeout: float | None, words: Callable[[], str]) -> None:
        require_seconds("timeout", timeout)
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


def loop_clock(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return what tells a loop's time: half the price where it is what asyncio's own loops ask themselves."""
    return monotonic if type(loop).time is asyncio.BaseEventLoop.time else loop.time


async def finishes_before(work: Coroutine[Any, Any, None], is_over: Coroutine[Any, Any, Any]) -> bool:
    """Await something unless something else ends first, which is cancelled then; so is the rest of ``work``.

    Cancellation: cancels both.

    Args:
        work: What to await; what it raises is raised.
        is_over: What may end it.

    Returns:
        Whether it was done first, or at the same time.
    """
    tasks = working, ending = asyncio.ensure_future(work), asyncio.ensure_future(is_over)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
            return True
        await ending  # to raise what it raises
        return False
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Grace:
    """How long an orderly end may take. Whoever asks for the end again may shorten it, and a cancellation ends it.

    Attributes:
        deadline: The loop's time at which it is over; None for never.
        cancelled: The cancellation that has come meanwhile, for whoever waits to raise at the end.
    """

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.cancelled: asyncio.CancelledError | None = None
        self._changed: asyncio.Future[None] | None = None

    def give(self, seconds: float | None, now: float) -> None:
        """Give so many seconds from now, unless fewer are left already; None is without limit."""
        if seconds is not None:
            self.deadline = now + seconds if self.deadline is None else min(self.deadline, now + seconds)
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    @property
    def is_none(self) -> bool:
        """Whether there is no time at all, not even for what is queued."""
        return self.deadline is not None and self.deadline <= asyncio.get_running_loop().time()

    async def wait(self, futures: Iterable[asyncio.Future[Any]], *, at_most: float | None = None) -> bool:
        """Wait until all futures are done, or the time is over; never raises.

        Cancellation: is kept in ``cancelled``, and the grace is over; the wait goes on as long as it may then.

        Args:
            futures: What to wait for; they are not cancelled.
            at_most: Seconds, whatever the grace is; by default the grace decides.

        Returns:
            Whether all are done.
        """
        loop = asyncio.get_running_loop()
        limit = None if at_most is None else loop.time() + at_most
        pending = {future for future in futures if not future.done()}
        while pending:
            deadline = self.deadline if at_most is None else limit
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                break
            self._changed = loop.create_future()
            try:
                await asyncio.wait({*pending, self._changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError as error:
                self.cancelled = error
                self.give(0, loop.time())
            pending = {future for future in pending if not future.done()}
        self._changed = None
        return not pending


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
