"""Changes what an informer reads of each object: its indexes, and whatever else is asked for later."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from aioinformers.cache.indexer import Store
from aioinformers.objects.facts import Fact
from aioinformers.objects.layout import Entry, Layout
from aioinformers.queue import Reindex

__all__ = ["Indexing"]

T = TypeVar("T")


class Indexing(Generic[T]):
    """The layout of one informer, as it was asked for so far.

    Args:
        name: The informer's name.
        store: Its store.
        put: Puts a change into its queue.
        is_running: Tells whether it has been started.

    Attributes:
        layout: The layout once all changes that are under way are done.
    """

    def __init__(
        self, name: str, store: Store[T], put: Callable[[Reindex], None], is_running: Callable[[], bool]
    ) -> None:
        self.layout: Layout[T] = store.layout
        self._name = name
        self._is_running = is_running
        self._store = store
        self._put = put
        self._changes: list[asyncio.Future[None]] = []
        self._uses: Counter[Fact] = Counter()

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

    def add_fact(self, fact: Fact) -> Fact:
        """Read something more of each object from now on, for one who asks; of what is stored, when it is wanted.

        Returns:
            The fact that stands for it in ``Entry.facts``: equal ones are one.

        Raises:
            InvalidPathError: If no object has the fields that it names.
            ValueError: If a running informer keeps no bytes that it could be read of.
        """
        changed = self.layout.with_fact(fact)
        if changed is not self.layout and self._is_running() and not self.layout.object_type.keeps_bytes:
            raise ValueError(
                f"{self._name} keeps objects, not the JSON that {fact!r} is about: register who asks for it before "
                f"the start"
            )
        known = next(each for each in changed.facts if each == fact)
        self._change_facts(lambda layout: layout.with_fact(known))
        self._uses[known] += 1
        return known

    def drop_fact(self, fact: Fact) -> None:
        """Note that somebody who has asked for a fact asks no more; without anybody else it is read no more."""
        self._uses[fact] -= 1
        if not self._uses[fact]:
            del self._uses[fact]
            self._change_facts(lambda layout: layout.without_fact(fact))

    def fact_of(self, fact: Fact, entry: Entry) -> Any:
        """Return the value of a fact of an entry; None if it cannot be told any more."""
        return self._store.layout.fact_of(fact, entry)

    def _change_facts(self, change: Callable[[Layout[T]], Layout[T]]) -> None:
        """Change the facts of both layouts at once: nothing that is stored has to be made anew."""
        self.layout = change(self.layout)
        self._store.follow(change(self._store.layout))

    def close(self, error: Exception) -> None:
        """End all changes that are not done."""
        for change in list(self._changes):
            if not change.done():
                change.set_exception(error)
