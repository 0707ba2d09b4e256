"""Batches of changes to single objects, which decoders make and the store applies. Pure."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from aioinformers.objects.layout import Layout

__all__ = ["BATCH_BYTES", "BATCH_EVENTS", "DELETE", "REJECT", "UPSERT", "Batch", "Delta"]

UPSERT, DELETE, REJECT = range(3)
"""Operations: store an object, delete it, or report it as unreadable."""

Delta: TypeAlias = tuple[int, str, Any]
"""Operation, key, and the entry: for REJECT the reason instead, for a DELETE whose object is unreadable None."""

BATCH_EVENTS = 128
"""Largest number of events in a batch."""

BATCH_BYTES = 512 * 1024
"""Size of the events' bytes from which a batch is full."""


class Batch(msgspec.Struct, gc=False):
    """Deltas in the server's order, to be applied as one.

    Attributes:
        deltas: The changes.
        version: The resourceVersion after them; empty if they do not contain one.
        layout: The layout of the entries.
        ends_initial: Whether the batch ends with the mark of the end of a stream's initial objects.
        unreadable: Number of lines or items without a readable key.
        bookmarks: Number of bookmarks among the lines.
        lost: How many of the unreadable lines may have been events of objects in the cache: a list has to repair that.
        foreign: How many objects, or events of them, were left out as they are of another process's shard.
    """

    deltas: list[Delta]
    version: str
    layout: Layout[Any]
    ends_initial: bool = False
    unreadable: int = 0
    bookmarks: int = 0
    lost: int = 0
    foreign: int = 0
