"""Keeps a finalizer on what is reconciled, until it has been cleaned up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from aioinformers.controllers.finalizers import Steps, adding, removing
from aioinformers.controllers.outcomes import Requeue
from aioinformers.controllers.request import Request
from aioinformers.controllers.ties import Ties
from aioinformers.errors import ApiStatusError
from aioinformers.types import ObjectKey

__all__ = ["CONFLICT_PAUSE", "Cleanup"]

T = TypeVar("T")

CONFLICT_PAUSE: Final = 0.5
"""Seconds after which a finalizer is tried again that somebody else has got in the way of."""


class Cleanup(Generic[T]):
    """Adds a finalizer before the first run of an object, and removes it once that has been cleaned up.

    Args:
        finalizer: The finalizer.
        call: Cleans an object up; done when it returns None.
    """

    def __init__(self, finalizer: str, call: Callable[[Request[T]], Awaitable[Requeue | None]]) -> None:
        self.finalizer: str = finalizer
        self._call = call
        self._cleaned: dict[ObjectKey, str] = {}  # to the uid, until the cache shows that it is gone

    async def add(self, request: Request[T], ties: Ties) -> bool:
        """Add the finalizer; return whether that was done: somebody may be in the way, or the object gone by now."""
        return await _patch(request, adding(ties.finalizers, self.finalizer, request.uid), if_gone=False)

    async def run(self, request: Request[T], ties: Ties) -> Requeue | None:
        """Clean up, once for each object, and remove the finalizer.

        Returns:
            When to come again, if it is not done.
        """
        if self._cleaned.get(request.key) != request.uid:
            if (outcome := await self._call(request)) is not None:
                return outcome
            self._cleaned[request.key] = request.uid
        steps = removing(ties.finalizers, self.finalizer, request.uid)
        return None if steps is None or await _patch(request, steps, if_gone=True) else Requeue(CONFLICT_PAUSE)

    def forget(self, key: ObjectKey) -> None:
        """An object is gone."""
        self._cleaned.pop(key, None)


async def _patch(request: Request[T], steps: Steps, *, if_gone: bool) -> bool:
    """Send a change of the finalizers; return whether it was made, and not in the way of somebody else's.

    Args:
        request: Of the object.
        steps: The change.
        if_gone: What is returned if the object is gone.
    """
    try:
        await request.patch(steps)
    except ApiStatusError as error:
        if error.status == 404:
            return if_gone
        if error.status not in (409, 422):
            raise
        return False
    return True
