"""One name, two objects: by uid, an object and its successor of the same name may be of ranges with a watch each.

One watch may tell of the successor before the other one tells of the end of its predecessor, or long after. Only one of
them is shown: the younger one, whose coming says that the other is gone. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from aioinformers.cache.indexer import Partition
from aioinformers.objects.deltas import UPSERT, Delta
from aioinformers.objects.layout import Entry
from aioinformers.types import version_order

__all__ = ["Displaced", "displacing", "remove_older"]

Displaced = tuple[Partition, str]
"""The partition of an object whose successor has come, and its key."""


def displacing(deltas: Iterable[Delta], others: Sequence[Partition]) -> tuple[list[Delta], list[Displaced]]:
    """Look for other objects of the same names.

    Args:
        deltas: What one watch tells.
        others: What is shown of the other ranges.

    Returns:
        The deltas but for those of objects whose successors are shown, and what is shown and has a successor now.
    """
    kept: list[Delta] = []
    displaced: dict[str, Partition] = {}
    for delta in deltas:
        operation, key, entry = delta
        if operation == UPSERT:
            holder = _holder(key, others)
            if holder is not None:
                if not _is_younger(entry, holder.objects[key]):
                    continue
                displaced[key] = holder
        kept.append(delta)
    return kept, [(holder, key) for key, holder in displaced.items()]


def remove_older(listed: Partition, others: Sequence[Partition], displaced: list[Displaced]) -> Iterator[None]:
    """Remove from a list the objects whose successors are shown, a step per object.

    Args:
        listed: What a list has brought.
        others: What is shown of the other ranges.
        displaced: Takes those that are shown and have successors in the list.
    """
    displaced.clear()
    for key, entry in list(listed.objects.items()):
        holder = _holder(key, others)
        if holder is not None:
            if _is_younger(entry, holder.objects[key]):
                displaced.append((holder, key))
            else:
                listed.remove(key)
        yield


def _holder(key: str, others: Sequence[Partition]) -> Partition | None:
    return next((other for other in others if key in other.objects), None)


def _is_younger(entry: Entry, held: Entry) -> bool:
    return version_order(entry.version) > version_order(held.version)
