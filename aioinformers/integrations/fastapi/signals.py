"""Hears of SIGTERM and SIGINT beside the server that runs an app, and changes nothing of what the server does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

__all__ = ["relayed"]

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
"""What ends servers."""


class _Relay:
    """A signal's handler: tells the app, then calls the handler that was there before."""

    def __init__(self, tell: Callable[[], None], before: Callable[[int, FrameType | None], Any]) -> None:
        self._tell: Callable[[], None] | None = tell
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        if self._tell is not None:
            self._tell()
        return self._before(number, frame)

    def end(self) -> None:
        """Be nothing but the handler that was there before: whoever has replaced this one may still call it."""
        self._tell = None

    @property
    def before(self) -> Callable[[int, FrameType | None], Any]:
        """The handler that was there before, apps left out that have ended since."""
        before = self._before
        return before.before if isinstance(before, _Relay) and before.has_ended else before

    @property
    def has_ended(self) -> bool:
        """Whether its app has ended."""
        return self._tell is None


@contextmanager
def relayed(tell: Callable[[], None]) -> Iterator[bool]:
    """Tell of each SIGTERM and SIGINT inside the block, before the handlers that were there are called.

    Only handlers that can be called are wrapped, of a server or of asyncio: a signal that would end the process at
    once, or is ignored, still does so. They are put back at the end, unless somebody has replaced them meanwhile.
    Python allows that in the main thread alone: in others nothing is done.

    Args:
        tell: Called inside a signal handler, in the main thread; must not raise.

    Returns:
        Whether a SIGTERM will be told of.
    """
    relays: dict[signal.Signals, _Relay] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if callable(before):
                    relays[number] = _Relay(tell, before)
                    signal.signal(number, relays[number])
        yield signal.SIGTERM in relays
    finally:
        for number, relay in relays.items():
            relay.end()
            if signal.getsignal(number) is relay:
                signal.signal(number, relay.before)
