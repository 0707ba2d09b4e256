"""Decoders that leave out the objects of other shards, before anything is made of them. Pure.

They cost those who want all objects nothing: these are given the other decoders. What is left out still moves the
version of its batch, and is counted in ``Batch.foreign``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aioinformers.listwatch.listing import ListDecoder, ListHead
from aioinformers.listwatch.wire import ObjectDecoder, WatchDecoder
from aioinformers.objects.deltas import DELETE, Batch, Delta
from aioinformers.objects.layout import Layout
from aioinformers.objects.paths import Reading
from aioinformers.objects.ranges import Judge

__all__ = ["ScreeningListDecoder", "ScreeningWatchDecoder"]

_FOREIGN: Final[Delta] = (DELETE, "", None)
"""Stands for what is left out, until its batch is taken."""


class _Screening(ObjectDecoder):
    """Leaves out what is not owned.

    Attributes:
        owns: Tells what is; None once nothing else is expected.
    """

    owns: Judge | None = None

    def delta(self, operation: int, raw: bytes, reading: Reading) -> Delta:
        if self.owns is not None and not self.owns(reading[0], reading[1]):
            return _FOREIGN
        return super().delta(operation, raw, reading)

    def tolerant_delta(self, operation: int, raw: bytes, reading: Reading, *, is_deep: bool) -> Delta:
        if self.owns is not None and not self.owns(reading[0], reading[1]):
            return _FOREIGN
        return super().tolerant_delta(operation, raw, reading, is_deep=is_deep)

    def refusal(self, operation: int, key: str, reason: str) -> Delta:
        if self.owns is not None and not self.owns(key, None):
            return _FOREIGN
        return super().refusal(operation, key, reason)

    def _take_batch(self) -> Batch:
        batch = super()._take_batch()
        deltas = batch.deltas
        batch.deltas = [delta for delta in deltas if delta is not _FOREIGN]
        batch.foreign = len(deltas) - len(batch.deltas)
        return batch


class ScreeningListDecoder(_Screening, ListDecoder):
    """Decodes one page of a LIST, and leaves out what is not owned, unless the server says that it has done so.

    That counts if it is said before the first item.

    Args:
        layout: How objects become entries.
        max_item: An item beyond this many bytes is refused.
        owns: Tells which objects are owned.
        selector: What the server repeats if it has filtered.
        on_head: Told of the head of the whole page.
    """

    def __init__(
        self, layout: Layout[Any], max_item: int, owns: Judge, selector: str, on_head: Callable[[ListHead], None]
    ) -> None:
        super().__init__(layout, max_item)
        self.owns = owns
        self._selector = selector
        self._on_head = on_head

    def _believe(self, head: ListHead) -> None:
        super()._believe(head)
        if head.metadata.shard == self._selector:
            self.owns = None

    def finish(self) -> ListHead:
        """Return the list without its items, as of any list, and tell of it."""
        head = super().finish()
        self._on_head(head)
        return head


class ScreeningWatchDecoder(_Screening, WatchDecoder):
    """Decodes the lines of a watch stream, and leaves out what is not owned.

    Args:
        layout: How objects become entries.
        max_line: A line beyond this many bytes is refused.
        owns: Tells which objects are owned.
    """

    def __init__(self, layout: Layout[Any], max_line: int, owns: Judge) -> None:
        super().__init__(layout, max_line)
        self.owns: Judge | None = owns
        # Both are ways to make an entry without asking whose it is.
        self._is_plain = False
        self._arrival = None

    def for_layout(self, layout: Layout[Any]) -> WatchDecoder:
        """Return a decoder for another layout, which leaves out the same."""
        assert self.owns is not None
        return ScreeningWatchDecoder(layout, self._max_line, self.owns)
