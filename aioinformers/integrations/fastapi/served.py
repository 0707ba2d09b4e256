"""An informer as requests see it: what they wait for ends when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, Unpack

from aioinformers.delivery.stream import Stream
from aioinformers.informer import SharedInformer, pipeline_of
from aioinformers.integrations.lifecycle import ServerStoppingError
from aioinformers.loops import finishes_before
from aioinformers.options import StreamOptions, Until
from aioinformers.types import ObjectKey

__all__ = ["ServedInformer"]

T = TypeVar("T")
R = TypeVar("R")


class ServedInformer(SharedInformer[T]):
    """A shared informer whose waits and streams end when its server stops; in all else the informer itself.

    Waits raise :class:`ServerStoppingError` then, a ``TimeoutError``; streams just end.

    Args:
        shared: The informer.
        stopping: Set when the server is to stop.
    """

    def __init__(self, shared: SharedInformer[T], stopping: asyncio.Event) -> None:
        super().__init__(pipeline_of(shared))
        self._shared = shared
        self._stopping = stopping

    async def wait_synced(self, *, timeout: float | None = None) -> None:
        """See :meth:`SharedInformer.wait_synced`."""
        await self._unless_stopping(self._shared.wait_synced(timeout=timeout))

    async def wait_for_resource_version(
        self, resource_version: str, *, namespace: str | None = None, timeout: float | None = None
    ) -> None:
        """See :meth:`SharedInformer.wait_for_resource_version`."""
        waiting = self._shared.wait_for_resource_version(resource_version, namespace=namespace, timeout=timeout)
        await self._unless_stopping(waiting)

    async def wait_for(
        self,
        key: ObjectKey | tuple[str, str] | str,
        condition: Callable[[T | None], bool],
        *,
        timeout: float | None = None,
        until: Until | None = None,
    ) -> T | None:
        """See :meth:`SharedInformer.wait_for`."""
        return await self._unless_stopping(self._shared.wait_for(key, condition, timeout=timeout, until=until))

    def stream(self, **options: Unpack[StreamOptions[T]]) -> Stream[T]:
        """See :meth:`SharedInformer.stream`; ``until`` is the end of the server if nothing else is given."""
        options.setdefault("until", self._stopping)
        return self._shared.stream(**options)

    @property
    def is_in_use(self) -> bool:
        """Whether a registration, stream or wait is open."""
        return self._shared.is_in_use

    async def _unless_stopping(self, waiting: Coroutine[Any, Any, R]) -> R:
        found: list[R] = []

        async def wait() -> None:
            found.append(await waiting)

        if not await finishes_before(wait(), self._stopping.wait()):
            raise ServerStoppingError
        return found[0]
