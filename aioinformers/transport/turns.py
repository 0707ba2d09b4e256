"""Turns among the lists of one client: few are read at once, and a server that hangs holds up nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

__all__ = ["PATIENCE", "Turn", "Turns"]

PATIENCE: Final = 1.0
"""Seconds that whoever has a turn may wait for its server; then others go first until the server answers."""


class Turns:
    """So many turns for all lists of one client, because lists under way take memory.

    One API group has all but one of them at most, for a group may have a server of its own that hangs. A turn that
    comes free goes to the group that has the fewest, and within a group to whoever has waited longest.

    Args:
        limit: How many there are.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._limit_of_group = max(1, limit - 1)
        self._holders: dict[Turn, None] = {}
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[tuple[Turn, asyncio.Future[None]]]] = {}

    @property
    def holders(self) -> list[str]:
        """The names of those that have a turn, in the order in which they got it."""
        return [turn.name for turn in list(self._holders)]

    async def take(self, turn: Turn, *, is_back: bool) -> None:
        """Wait until a turn is free, and take it. Cancellation takes none.

        Args:
            turn: Who wants it.
            is_back: Whether it had one and let others go first: its server has answered, and is not to wait long.
        """
        if self._is_free(turn.group):
            self._hold(turn)
            return
        waiter = turn, asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(turn.group, deque())
        if is_back:
            queue.appendleft(waiter)
        else:
            queue.append(waiter)
        try:
            await waiter[1]
        except BaseException:
            with contextlib.suppress(ValueError):
                queue.remove(waiter)
            self.give_back(turn)  # it may have come in the same moment
            raise

    def give_back(self, turn: Turn) -> None:
        """Let the next one have the turn, if this one has it."""
        if turn not in self._holders:
            return
        del self._holders[turn]
        self._held[turn.group] -= 1
        while (group := self._next_group()) is not None:
            queue = self._waiting.pop(group)
            following, future = queue.popleft()
            if queue:
                self._waiting[group] = queue  # behind those of other groups
            if not future.done():
                self._hold(following)
                future.set_result(None)

    def has(self, turn: Turn) -> bool:
        """Tell whether somebody has a turn now."""
        return turn in self._holders

    def _hold(self, turn: Turn) -> None:
        self._holders[turn] = None
        self._held[turn.group] += 1

    def _is_free(self, group: str) -> bool:
        return len(self._holders) < self._limit and self._held[group] < self._limit_of_group

    def _next_group(self) -> str | None:
        """Return the group whose turn it is; None if no turn is free for those that wait."""
        free = [group for group, queue in self._waiting.items() if queue and self._is_free(group)]
        return min(free, key=self._held.__getitem__, default=None)


class Turn:
    """One list's turn, waited for by ``async with``, and given back at the end of the block, whatever ends it.

    Whoever has it is looked at now and then: one that does nothing but wait for its server loses it, so that others
    need not wait, and takes it again when the server has answered.

    Args:
        turns: The turns.
        group: The API group that is asked; others may have other servers.
        name: Who wants it, for those that wait.
        waits_for: Returns the seconds for which it has been waiting for its server.
    """

    def __init__(self, turns: Turns, group: str, name: str, waits_for: Callable[[], float]) -> None:
        self.group = group
        self.name = name
        self._turns = turns
        self._waits_for = waits_for
        self._was_held = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_held(self) -> bool:
        """Whether it has a turn now."""
        return self._turns.has(self)

    async def __aenter__(self) -> Self:
        await self.take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.give_back()

    async def take(self) -> None:
        """Wait for the turn, unless it is held. Cancellation takes none."""
        if not self.is_held:
            await self._turns.take(self, is_back=self._was_held)
            self._was_held = True
            self._look_later()

    def give_back(self) -> None:
        """Let others have the turn; twice is as good as once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._turns.give_back(self)

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._look)

    def _look(self) -> None:
        if self._waits_for() >= 0.99 * PATIENCE:  # sums of times are not exact
            self.give_back()
        else:
            self._look_later()
