"""What an ASGI app with informers shares with whoever answers its requests: the factory, and the word that it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from aioinformers.factory import SharedInformerFactory
from aioinformers.informer import SharedInformer

__all__ = ["KEY", "AppState", "ServerStoppingError", "state_of"]

R = TypeVar("R")

KEY: Final = "aioinformers"
"""Where it is in the state of an app's lifespan: in ``scope["state"]`` of each request, to mounted apps, too."""


class ServerStoppingError(TimeoutError):
    """The server stops, so that a wait was given up before its time."""

    def __str__(self) -> str:
        return "the server is stopping: the wait was given up"


class AppState:
    """An app while it runs. Made in the event loop that serves it.

    Attributes:
        factory: Its factory; None if it was told to stop before there was one.
        stopping: Set as soon as it is to stop: what never ends by itself ends then.
        informers: Those that its routes have asked for, by what asked.
    """

    def __init__(self) -> None:
        self.factory: SharedInformerFactory | None = None
        self.stopping: asyncio.Event = asyncio.Event()
        self.informers: dict[Hashable, SharedInformer[Any]] = {}
        self._loop = asyncio.get_running_loop()
        self._at_stop: set[Callable[[], None]] = set()

    def stop(self) -> None:
        """Say that the app is to stop; called in its loop, idempotent."""
        if not self.stopping.is_set():
            self.stopping.set()
            for call in list(self._at_stop):
                call()

    def stop_soon(self) -> None:
        """Say it from any thread, or inside a signal handler."""
        with suppress(RuntimeError):  # the loop is closed: there is nothing left to stop
            self._loop.call_soon_threadsafe(self.stop)

    async def unless_stopping(self, work: Awaitable[R]) -> R | None:
        """Await something in this task; cancel it if the app is to stop meanwhile.

        Cancellation: cancels it.

        Returns:
            What it gave; None if it was cancelled because the app stops.
        """
        limit = asyncio.timeout(None)

        def end() -> None:
            limit.reschedule(self._loop.time())

        try:
            async with limit:
                self._at_stop.add(end)
                try:
                    if self.stopping.is_set():
                        end()
                    return await work
                finally:
                    self._at_stop.discard(end)
        except TimeoutError:
            if not limit.expired():
                raise
            return None


def state_of(scope: Mapping[str, Any]) -> AppState | None:
    """Return the state of the app that a request belongs to; None if it has no lifespan with informers."""
    found = (scope.get("state") or {}).get(KEY)
    return found if isinstance(found, AppState) else None
