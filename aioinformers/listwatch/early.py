"""Takes lone events in the turn of the loop in which they arrive. Pure."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable

from aioinformers.objects.deltas import Batch
from aioinformers.transport.chunks import Block

__all__ = ["EarlyEvents"]


class EarlyEvents:
    """What a reflector that waits for its watch lets the transport do: nobody waits for the reflector's turn then.

    Args:
        is_possible: Tells whether all that is needed for it can be done at once.
        feed: Decodes lines.
        put: Hands a batch on, to where it is taken at once.
    """

    def __init__(
        self,
        is_possible: Callable[[], bool],
        feed: Callable[[list[Block]], Iterable[Batch]],
        put: Callable[[Batch], None],
    ) -> None:
        self._is_possible, self._feed, self._put = is_possible, feed, put
        self._context = contextvars.copy_context()  # the reflector's, for users' functions
        self._failure: BaseException | None = None

    def take(self, blocks: list[Block]) -> bool:
        """Take lines, or return False and leave them to the reflector; never raises, as that would be the transport's.

        After a failure they are left, too, although some have been taken: :meth:`check` raises before they are read.
        """
        if self._failure is not None or not self._is_possible():
            return False
        try:
            self._context.run(self._take, blocks)
        except BaseException as error:
            self._failure = error
        return self._failure is None

    def _take(self, blocks: list[Block]) -> None:
        for batch in self._feed(blocks):
            self._put(batch)

    def check(self) -> None:
        """Raise what has failed, once the reflector has its turn."""
        if self._failure is not None:
            failure, self._failure = self._failure, None  # no reference from its traceback to itself
            raise failure
