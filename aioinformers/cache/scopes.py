"""Which scopes are followed, and which of them are shown already. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aioinformers.cache.indexer import Partition, Store
from aioinformers.objects.deltas import DELETE, UPSERT, Delta
from aioinformers.queue import Rescope
from aioinformers.types import Scope

__all__ = ["Scopes"]


class Scopes:
    """Lets the scopes of a store come and go; nobody but its dispatcher calls this.

    Every method is a plain ``def``: what it does is seen whole or not at all.

    Args:
        store: The store.
    """

    def __init__(self, store: Store[Any]) -> None:
        self._store = store
        self._muted: frozenset[Scope] = frozenset()

    def change(self, item: Rescope) -> tuple[list[Partition], list[Partition]]:
        """Let scopes come, hidden, and others go.

        Returns:
            The partitions that have gone: those that were shown, and those that were not.
        """
        store, partitions = self._store, dict(self._store.partitions)
        shown = [partition for scope in item.removed if (partition := partitions.pop(scope, None)) is not None]
        hidden = [partition for scope in item.removed if (partition := store.hidden.pop(scope, None)) is not None]
        self._muted = (self._muted - item.removed) | item.muted
        for scope in item.added:
            if store.partition(scope) is None:
                store.hidden[scope] = Partition(len(store.layout.names))
        store.partitions = partitions
        store.is_open = store.is_readable()
        return shown, hidden

    def unmute(self, scope: Scope) -> Partition | None:
        """Let a scope be shown from now on; return its partition, if that can be shown at once."""
        self._muted -= {scope}
        partition = self._store.hidden.get(scope)
        return partition if partition is not None and partition.is_synced else None

    def install(self, scope: Scope, partition: Partition) -> bool:
        """Put the partition of a whole list in its place, shown unless it is muted; tell whether it is shown."""
        store = self._store
        if scope in self._muted:
            store.hidden[scope] = partition
            return False
        if store.hidden.pop(scope, None) is None:
            store.partitions[scope] = partition
        else:
            store.partitions = {**store.partitions, scope: partition}
        store.is_open = store.is_readable()
        return True

    def siblings(self, scope: Scope) -> list[Partition]:
        """Return what is shown of the other ranges of a scope's objects; nothing if it has no ranges."""
        if not scope.ranges:
            return []
        partitions = self._store.partitions.items()
        return [partition for other, partition in partitions if other != scope and other.namespace == scope.namespace]

    def apply_unseen(self, scope: Scope, deltas: Iterable[Delta], version: str) -> Partition | None:
        """Apply events of a scope that is not shown; return its partition, None of one that has gone."""
        partition = self._store.hidden.get(scope)
        if partition is None:
            return None
        for operation, key, entry in deltas:
            partition.rejected.pop(key, None)
            if operation == UPSERT:
                partition.put(key, entry)
            elif operation == DELETE:
                partition.remove(key)
            else:
                partition.rejected[key] = entry
        partition.version = version or partition.version
        return partition
