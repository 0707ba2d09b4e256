"""The door between our tasks and code that is not ours: the client, its hooks, aiohttp."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from aioinformers.errors import InformerError
from aioinformers.types import END_OF_PROCESS

__all__ = ["PATIENCE", "asked", "failure_of", "is_made_up"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.source")

PATIENCE: Final = 1.0
"""Seconds that foreign code has to end once it is cancelled."""


async def asked(
    coroutine: Coroutine[Any, Any, T],
    name: str,
    explain: Callable[[BaseException], InformerError],
    undo: Callable[[T], object] = lambda _: None,
) -> T:
    """Return what foreign code returns; whatever it raises becomes a failure.

    It runs in a task of its own, so that it can confuse nobody's cancellation: a ``CancelledError`` that it makes up is
    a failure of its own, one that it swallows or turns into another exception is still the end of the caller, and what
    it does to the count of cancellations of its task dies with that.

    Cancellation ends the foreign code first. If that takes longer than :data:`PATIENCE`, it is named at ERROR and left
    behind; what it returns then is undone.

    Args:
        coroutine: The foreign code.
        name: What it does, for the name of its task.
        explain: Makes a failure of what it raises, in words of ours.
        undo: Gives back what it returned to nobody.

    Raises:
        InformerError: The failure, chained to nothing but what ``explain`` chains it to.
    """
    task = asyncio.create_task(coroutine, name=name)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        await _end(task, undo)
        raise
    if task.cancelled():
        raise explain(asyncio.CancelledError())
    error = task.exception()
    if error is None:
        return task.result()
    raise error if isinstance(error, InformerError) else explain(error)


async def _end(task: asyncio.Task[T], undo: Callable[[T], object]) -> None:
    """Cancel a task and wait for its end. Cancellation: it is not waited for any longer."""

    def settle(_: asyncio.Task[T]) -> None:
        # To ask for its exception keeps asyncio from logging what foreign code says.
        if not task.cancelled() and task.exception() is None:
            undo(task.result())

    task.add_done_callback(settle)
    task.cancel()
    done, _ = await asyncio.wait((task,), timeout=PATIENCE)
    if not done:
        logger.error("%s: the API client's code does not end although it was cancelled; left behind", task.get_name())


def failure_of(error: BaseException, explain: Callable[[BaseException], InformerError]) -> BaseException:
    """Return what to raise instead of an exception that foreign code has raised in a task of ours.

    It is to be raised behind the ``except`` block: within, Python would chain the foreign exception to it.

    Args:
        error: The exception.
        explain: Makes a failure of it, unless it is the end of the program or of this task, or ours already.
    """
    if isinstance(error, InformerError | KeyboardInterrupt | SystemExit | GeneratorExit):
        return error
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is None or task.cancelling():
            return error  # otherwise nobody has cancelled this task: foreign code has made it up
    return explain(error)


def is_made_up(error: BaseException) -> bool:
    """Tell whether an exception looks like the end of this task and is none: nobody has asked for that."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return not isinstance(error, (Exception, GeneratorExit, *END_OF_PROCESS))
