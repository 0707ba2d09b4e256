"""The rest of a program that is a controller: signals, logs and the exit status."""

from __future__ import annotations

import asyncio
import contextvars
import logging as logs
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, NoReturn

from aioinformers.checks import gives_awaitable, name_of, require_arguments, require_callable, require_seconds, shown
from aioinformers.coordination.watchdog import hard_fence_by_default

__all__ = ["run"]

logger: logs.Logger = logs.getLogger("aioinformers.controllers")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
SAME: Final = 0.2
"""Seconds within which a second signal is the first one again: who sends one to a process and to its group, as
``timeout`` and some shells do, sends it twice."""
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def run(
    main: Callable[[], Coroutine[Any, Any, None]],
    *,
    status: str | None = None,
    logging: bool = True,
    grace: float | None = 25.0,
) -> NoReturn:
    """Run a program until a signal ends it, and exit.

    The first SIGTERM or SIGINT cancels ``main``, whose ``async with`` blocks end then, whatever it is waiting for. A
    second one, a moment later, ends the process at once, even where the event loop is blocked, and so does the end of
    the grace. An election inside fences hard: a process that cannot stop what it may not do any more is ended
    (:class:`~aioinformers.coordination.LeaderElection`).

    Args:
        main: An async function without arguments.
        status: ``host:port`` at which the program answers probes and shows what it does, such as ``0.0.0.0:8080``; see
            :func:`~aioinformers.integrations.serving.serve_status`. By default nowhere.
        logging: Write logs of INFO and above to stderr, if nobody has said where they go.
        grace: Seconds from the first signal to the end of the process; None waits without limit.

    Raises:
        SystemExit: Always: 0 after a signal or the end of ``main``, 1 after an exception.
        TypeError: If ``main`` is no such function.
        ValueError: If ``status`` is no ``host:port``.
    """
    require_callable(main, "main")
    if not gives_awaitable(main):
        raise TypeError(
            f"main is awaited: declare {name_of(main)} with `async def`, and give the function, not its call"
        )
    require_arguments(main, "main")
    require_seconds("grace", grace)
    place = None if status is None else _place_of(status)
    if logging and not logs.getLogger().handlers:
        logs.basicConfig(level=logs.INFO, format=FORMAT)
    context = contextvars.copy_context()
    context.run(hard_fence_by_default.set, True)
    ending = _Ending(grace)
    before = {number: signal.signal(number, ending.on_signal) for number in SIGNALS}
    try:
        with asyncio.Runner() as runner:
            code = runner.run(ending.carry_out(main if place is None else _shown(main, *place)), context=context)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    sys.exit(code)


def _place_of(status: Any) -> tuple[str, int]:
    """Return host and port of an address."""
    host, separator, port = status.rpartition(":") if isinstance(status, str) else ("", "", "")
    if not separator or not port.isdecimal() or int(port) > 65535 or ("]" not in host and ":" in host):
        raise ValueError(f"status is host:port, such as '0.0.0.0:8080', not {shown(status)}")
    return host.strip("[]") or "0.0.0.0", int(port)


def _shown(
    main: Callable[[], Coroutine[Any, Any, None]], host: str, port: int
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return a program that can be seen while it runs."""

    async def seen() -> None:
        from aioinformers.integrations.serving import serve_status  # only programs that are to be seen pay for it

        async with serve_status(host=host, port=port):
            await main()

    return seen


class _Ending:
    """Ends a program, when a signal asks for it."""

    def __init__(self, grace: float | None) -> None:
        self._grace = grace
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signal: int | None = None
        self._begun = 0.0

    async def carry_out(self, main: Callable[[], Coroutine[Any, Any, None]]) -> int:
        """Run the program, and return its exit status."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(main(), name="main")
        if self._signal is not None:
            self._task.cancel()
        await asyncio.wait([self._task])
        if self._task.cancelled():
            if self._signal is None:
                logger.error("main was cancelled, although nobody has asked for the end")
            return int(self._signal is None)
        error = self._task.exception()
        if error is None:
            return 0
        logger.critical("main has failed: %s", error, exc_info=error)
        return 1

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Begin the end, or make it now. Python calls this between two instructions of whatever runs."""
        if self._signal is not None:
            if time.monotonic() - self._begun < SAME:
                return
            os._exit(128 + number)
        self._signal, self._begun = number, time.monotonic()
        if self._grace is not None:
            timer = threading.Timer(self._grace, os._exit, [128 + number])
            timer.daemon = True
            timer.start()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        logger.info("%s: the program ends", signal.Signals(self._signal or 0).name)
        if self._task is not None:
            self._task.cancel()
