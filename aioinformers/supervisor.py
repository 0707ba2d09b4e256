"""The tasks of one informer: who may end them, who starts them again, and what is said of it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from aioinformers.loops import Grace
from aioinformers.types import END_OF_PROCESS

__all__ = ["RefusedError", "StageError", "Supervisor"]

logger: logging.Logger = logging.getLogger("aioinformers.pipeline")

END_WAIT = 0.9
"""Seconds that a cancelled stage gets to end: only a hook of the user's may keep it from that."""
MOST_RESTARTS = 5
"""Restarts that are remembered."""
RELEASED = 512
"""References that are let go of in one step."""


class RefusedError(Exception):
    """What the user asked for cannot be, which only the server could tell: the end of the informer, not a bug."""


class StageError(Exception):
    """A bug of a stage that showed in another stage's task; its cause is the bug.

    Args:
        stage: The stage that has the bug.
    """

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


class Supervisor:
    """Starts the tasks of an informer, and starts again what strangers have cancelled (G9).

    Only :meth:`dismiss` ends a task. Counting cancellations would not tell whose they were.

    Args:
        name: The informer's name.
        on_bug: Told of a task that raised: which one, and what.
    """

    def __init__(self, name: str, on_bug: Callable[[str, BaseException], None]) -> None:
        self._name = name
        self._on_bug = on_bug
        self._dismissed: set[asyncio.Task[None]] = set()
        self._fallen: list[tuple[str, Callable[[], None]]] = []
        self._letting_go: set[asyncio.Task[None]] = set()
        self._attention = asyncio.Event()
        self._is_stopping = False
        self._restarts: deque[float] = deque(maxlen=MOST_RESTARTS)

    def restarts_since(self, time: float) -> int:
        """Return how often a task was started again after some loop time; of very often, :data:`MOST_RESTARTS`."""
        return sum([at >= time for at in list(self._restarts)]) if self._restarts else 0

    async def supervise(self) -> None:
        """Start again what strangers have cancelled, until :meth:`stop`.

        That happens here, a turn of the loop later, and not where a task ends: when the loop itself ends, all tasks are
        cancelled in one turn, this one among them, and nothing is started any more.
        """
        while not self._is_stopping:
            await self._attention.wait()
            self._attention.clear()
            fallen, self._fallen = self._fallen, []
            for task_name, again in fallen:
                if not self._is_stopping:
                    self._restarts.append(asyncio.get_running_loop().time())
                    logger.error("%s: its %s was cancelled from outside; it is started again", self._name, task_name)
                    again()

    def stop(self) -> None:
        """Let :meth:`supervise` end: from here on nothing is started again."""
        self._is_stopping = True
        self._attention.set()

    def start(
        self,
        coroutine: Coroutine[Any, Any, None],
        name: str,
        again: Callable[[], None],
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[None]:
        """Start a task in the running loop.

        Args:
            coroutine: What it does.
            name: What it is, for logs.
            again: Starts it again, if somebody has cancelled it other than by :meth:`dismiss`.
            context: The context it runs in.
        """
        loop = asyncio.get_running_loop()
        task = loop.create_task(coroutine, name=f"{name} of {self._name}", context=context)
        task.add_done_callback(functools.partial(self._on_done, name, again))
        return task

    def dismiss(self, task: asyncio.Task[None]) -> None:
        """Cancel a task: the only cancellation that is to end it."""
        if not task.done():
            self._dismissed.add(task)
            task.cancel()

    def _on_done(self, name: str, again: Callable[[], None], task: asyncio.Task[None]) -> None:
        is_dismissed = task in self._dismissed
        self._dismissed.discard(task)
        error = None if task.cancelled() else task.exception()
        if (task.cancelled() and not is_dismissed) or isinstance(error, END_OF_PROCESS):
            self._fallen.append((name, again))
            self._attention.set()
        elif error is not None:
            self._on_bug(name, error)

    async def end(self, tasks: Iterable[asyncio.Task[None]], grace: Grace) -> None:
        """Dismiss tasks, and wait for their end; a hook of the user's that refuses is named and left behind."""
        ending = [task for task in tasks if not task.done()]
        for task in ending:
            self.dismiss(task)
        if not await grace.wait(ending, at_most=END_WAIT):
            names = ", ".join(task.get_name() for task in ending if not task.done())
            logger.error("%s: refuses to be cancelled, left behind: %s", self._name, names)

    def let_go(self, rest: list[Any]) -> None:
        """Let go of what may be a hundred thousand records, without holding the loop up."""
        if any(rest) and not self._is_stopping:
            task = self.start(_let_go(rest), "letting go", lambda: None)
            self._letting_go.add(task)
            task.add_done_callback(self._letting_go.discard)

    async def end_letting_go(self, grace: Grace) -> None:
        """Let go of the rest at once."""
        await self.end(self._letting_go, grace)


async def _let_go(rest: list[Any]) -> None:
    while rest:
        part = rest.pop()  # others may hold the segments of lists: only what is the mailbox's own is taken apart
        take = part.popitem if isinstance(part, dict) else part.pop if isinstance(part, deque) else None
        while take is not None and part:
            for _ in range(min(len(part), RELEASED)):
                take()
            await asyncio.sleep(0)
        await asyncio.sleep(0)
