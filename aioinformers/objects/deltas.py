"""What a decoder makes of bytes and the store takes: changes of single objects, in batches. Pure."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from aioinformers.objects.layout import Layout

__all__ = ["BATCH_BYTES", "BATCH_EVENTS", "DELETE", "REJECT", "UPSERT", "Batch", "Delta"]

UPSERT, DELETE, REJECT = range(3)


Delta: TypeAlias = tuple[int, str, Any]
"""Operation, key, and the entry; for REJECT the reason instead; a DELETE whose object is unreadable has None."""


BATCH_EVENTS = 128


BATCH_BYTES = 512 * 1024


class Batch(msgspec.Struct, gc=False):
    """Deltas in the server's order, to be applied as one.

    Attributes:
        deltas: What changed.
        version: The resourceVersion after them; empty if they do not tell.
        layout: The layout that the entries follow.
        ends_initial: Whether the mark that ends a stream's initial objects came; it closes the batch.
        unreadable: Lines or items that not even a key could be read from.
        lost: Those among them that may have been events of the cache's objects: only a list can tell.
        bookmarks: Bookmarks among the lines.
    """

    deltas: list[Delta]
    version: str
    layout: Layout[Any]
    ends_initial: bool = False
    unreadable: int = 0
    bookmarks: int = 0
    lost: int = 0
