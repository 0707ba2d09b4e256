"""One term of leadership: for how long it may be acted upon, the blocks that it guards, and their end."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final

from aioinformers.coordination.fence import Token
from aioinformers.coordination.lease import Held, LeaseClock, Verdict, seconds_left, verdict
from aioinformers.errors import NotLeadingError

__all__ = ["TIME_IS_OVER", "Guard", "Tenure", "Term"]

TIME_IS_OVER: Final = "the Lease has not been renewed in time"


class Tenure:
    """The engine's side of a term.

    Args:
        name: The election, as ``namespace/name`` of its Lease.
        token: The number of the term.
        clock: The clock by which it is held.
        held: How it is held.

    Attributes:
        name: The same.
        token: The same.
        held: How it is held, by the last renewal; whoever renews the Lease replaces it.
        reason: Why it is over; empty while it goes on.
        blocks: What it guards and has not ended.
        settled: Set when it is over and all blocks have ended.
    """

    def __init__(self, name: str, token: Token, clock: LeaseClock, held: Held) -> None:
        self.name = name
        self.token = token
        self.held = held
        self.reason: str = ""
        self.blocks: dict[Guard, None] = {}
        self.settled: asyncio.Event = asyncio.Event()
        self._clock = clock
        self._attention = asyncio.Event()

    @property
    def seconds_left(self) -> float:
        """For how long it may be acted upon; 0 if it is over. May be asked from any thread."""
        return 0.0 if self.reason else seconds_left(self.held, self._clock.now(), self._clock.wall())

    def check(self) -> float:
        """Return the same, if there is any time left.

        Raises:
            NotLeadingError: If there is none.
        """
        if left := self.seconds_left:
            return left
        raise self.error()

    def error(self) -> NotLeadingError:
        """Return the error of whoever needs a term that goes on."""
        return NotLeadingError(self.name, self.reason or TIME_IS_OVER)

    def look(self) -> Verdict:
        """Return what is to be said of it now. May be asked from any thread."""
        is_running = not self.reason or bool(self.blocks)
        return verdict(self.held, self._clock.now(), self._clock.wall(), is_running=is_running)

    def end(self, reason: str) -> bool:
        """End it, and cancel what it guards.

        Args:
            reason: Why.

        Returns:
            Whether it was not over before.
        """
        if self.reason:
            return False
        self.reason = reason
        for block in tuple(self.blocks):
            block.interrupt()
        self._look_around()
        return True

    def admit(self, block: Guard) -> None:
        """Guard a block from now on.

        Raises:
            NotLeadingError: If it is over.
        """
        self.check()
        self.blocks[block] = None

    def dismiss(self, block: Guard) -> None:
        """Note that a block has ended."""
        del self.blocks[block]
        self._look_around()

    async def changes(self) -> None:
        """Wait until it is over, or its last block has ended, or :meth:`notify`; cancellation changes nothing."""
        await self._attention.wait()
        self._attention.clear()

    def notify(self) -> None:
        """End the wait in :meth:`changes`."""
        self._attention.set()

    def _look_around(self) -> None:
        if self.reason and not self.blocks:
            self.settled.set()
        if self.reason or not self.blocks:
            self._attention.set()


class Guard:
    """A block that may only run within a term: ``async with`` cancels it when the term is over.

    The block ends with a :class:`~aioinformers.errors.NotLeadingError` then. Cancellation by anybody else passes
    through. It is entered once.

    Raises:
        NotLeadingError: If the term is over, before the block or in it.
    """

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._is_interrupted = False
        self._soon: asyncio.Handle | None = None

    @property
    def task(self) -> asyncio.Task[Any]:
        """The task that the block runs in."""
        assert self._task is not None, "asked of blocks that have been entered"
        return self._task

    async def __aenter__(self) -> Term:
        if self._task is not None:
            raise RuntimeError("a guard is for one block: ask for another with term.guard()")
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a guarded block needs a task to run in")
        self._tenure.admit(self)
        self._task, self._cancelling = task, task.cancelling()
        return Term(self._tenure)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tenure.dismiss(self)
        if self._soon is not None:
            self._soon.cancel()
        if not self._is_interrupted:
            return
        is_last = self.task.uncancel() <= self._cancelling
        if is_last and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._tenure.error() from error

    def interrupt(self) -> None:
        """Cancel the block, once."""
        if self._is_interrupted or self._soon is not None:
            return
        if self._task is asyncio.current_task():
            # A task that cancels itself is cancelled at its next await, which may be behind the block.
            self._soon = asyncio.get_running_loop().call_soon(self._cancel)
        else:
            self._cancel()

    def _cancel(self) -> None:
        self._is_interrupted = True
        self.task.cancel(f"not the leader of {self._tenure.name} any more")


class Term:
    """A term of leadership, as ``election.leading()`` gives it.

    It is over when the Lease was not renewed in time, when somebody else holds it, and when the election ends; another
    one may follow.
    """

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure

    def __repr__(self) -> str:
        tenure = self._tenure
        left = tenure.seconds_left
        state = f"{left:.1f} s left" if left else tenure.error().reason
        return f"<Term {tenure.token.number} of {tenure.name}: {state}>"

    @property
    def token(self) -> Token:
        """The number of the term: greater than those of all terms before, whoever had them."""
        return self._tenure.token

    @property
    def is_over(self) -> bool:
        """Whether it may not be acted upon any more. May be asked from any thread."""
        return not self._tenure.seconds_left

    @property
    def seconds_left(self) -> float:
        """For how long it may be acted upon, unless it is renewed; 0 if it is over. May be asked from any thread."""
        return self._tenure.seconds_left

    @property
    def reason(self) -> str:
        """Why it is over; empty while it goes on."""
        return "" if self._tenure.seconds_left else self._tenure.error().reason

    def check(self) -> float:
        """Return the seconds for which it may be acted upon, to bound what is sent now. May be asked from any thread.

        Raises:
            NotLeadingError: If it is over.
        """
        return self._tenure.check()

    def guard(self) -> Guard:
        """Return an async context manager for I/O of one's own: its block is cancelled when the term is over."""
        return Guard(self._tenure)
