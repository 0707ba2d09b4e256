"""Changes what an informer reads of each object: its indexes, and whatever else is asked for later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from aioinformers.cache.indexer import Store
from aioinformers.objects.facts import Fact
from aioinformers.objects.layout import Layout
from aioinformers.queue import Reindex

__all__ = ["Indexing"]

T = TypeVar("T")


class Indexing(Generic[T]):
    """The layout of one informer, as it was asked for so far.

    Args:
        store: The informer's store.
        put: Puts a change into the informer's queue.

    Attributes:
        layout: The layout once all changes that are under way are done.
    """

    def __init__(self, store: Store[T], put: Callable[[Reindex], None]) -> None:
        self.layout: Layout[T] = store.layout
        self._store = store
        self._put = put
        self._changes: list[asyncio.Future[None]] = []

    def change_empty(self, layout: Layout[T]) -> None:
        """Change the layout before the start, when nothing is stored."""
        self.layout = layout
        for _ in self._store.rebuilt(layout, {}):
            raise AssertionError("nothing can be stored before the start")

    def change(self, change: Callable[[Layout[T]], Layout[T]], names: set[str]) -> asyncio.Future[None]:
        """Change the layout of a running informer; readers are not blocked, reads of these indexes raise until then.

        Args:
            change: Makes the new layout of the one that holds when its turn comes.
            names: The indexes that are not to be read before it is done.

        Returns:
            Done once the change is; fails with the informer's end.
        """
        self.layout = change(self.layout)
        self._store.building |= names
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(done: asyncio.Future[None]) -> None:
            self._store.building -= names
            if not done.cancelled():
                done.exception()  # whoever does not await the change is not interested in its failure

        done.add_done_callback(settle)
        self._changes.append(done)
        done.add_done_callback(self._changes.remove)
        self._put(Reindex(change, done))
        return done

    def add_fact(self, fact: Fact, name: str, *, is_running: bool) -> int:
        """Read a fact of each object; see ``Pipeline.add_fact``."""
        changed = self.layout.with_fact(fact)
        if changed is self.layout:
            return changed.facts.index(fact)
        if not is_running:
            self.change_empty(changed)
        elif self.layout.object_type.keeps_bytes:
            _ = self.change(lambda layout: layout.with_fact(fact), set())
        else:
            raise ValueError(
                f"{name} keeps objects, not the JSON that {fact!r} is about: register who asks for it before the start"
            )
        return changed.facts.index(fact)

    def close(self, error: Exception) -> None:
        """End all changes that are not done."""
        for change in list(self._changes):
            if not change.done():
                change.set_exception(error)
