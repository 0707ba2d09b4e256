"""Tasks that wait until the store holds what they look for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

__all__ = ["Waits"]


class Waits:
    """Everybody who waits for a change of an object, or for a resourceVersion.

    Waking only makes them look again, at the loop's next turn. Whoever wakes asks first whether anybody waits at all:
    that costs nothing, and mostly nobody does.

    Attributes:
        for_keys: Waits for a change of an object, by its key.
        for_versions: Waits for a resourceVersion of any scope.
    """

    def __init__(self) -> None:
        self.for_keys: dict[str, list[asyncio.Future[None]]] = {}
        self.for_versions: list[asyncio.Future[None]] = []
        self._end: Exception | None = None

    async def wait_for_key(self, key: str, is_met: Callable[[], bool]) -> None:
        """Wait until a condition on one key holds; it is evaluated now and after each change of the key.

        Cancellation leaves nothing behind.

        Raises:
            InformerClosedError: If the informer ends first.
            InformerCrashedError: If a bug ends it first.
        """
        while not is_met():
            future = self._new()
            waits = self.for_keys.setdefault(key, [])
            waits.append(future)
            try:
                await future
            finally:
                if future in waits:
                    waits.remove(future)
                if not waits and self.for_keys.get(key) is waits:
                    del self.for_keys[key]

    async def wait_for_version(self, is_reached: Callable[[], bool]) -> None:
        """Wait until a condition on resourceVersions holds; it is evaluated now and after each batch.

        Cancellation leaves nothing behind.

        Raises:
            InformerClosedError: If the informer ends first.
            InformerCrashedError: If a bug ends it first.
        """
        while not is_reached():
            future = self._new()
            self.for_versions.append(future)
            try:
                await future
            finally:
                if future in self.for_versions:
                    self.for_versions.remove(future)

    def _new(self) -> asyncio.Future[None]:
        if self._end is not None:
            raise self._end.with_traceback(None)  # or whoever asks again and again makes it longer and longer
        return asyncio.get_running_loop().create_future()

    def wake_keys(self, keys: Iterable[str]) -> None:
        """Let those look again who wait for a change of these keys."""
        for key in keys:
            _resolve(self.for_keys.pop(key, ()))

    def wake_versions(self) -> None:
        """Let those look again who wait for a resourceVersion."""
        waits, self.for_versions = self.for_versions, []
        _resolve(waits)

    def close(self, error: Exception) -> None:
        """End all waits with an error, and those that are still to come; none outlives what it waits for."""
        self._end = error
        waits = [*self.for_versions, *(future for futures in self.for_keys.values() for future in futures)]
        for future in waits:
            if not future.done():
                future.set_exception(error)


def _resolve(waits: Iterable[asyncio.Future[None]]) -> None:
    for future in waits:
        if not future.done():  # it is, if its task has just been cancelled
            future.set_result(None)
