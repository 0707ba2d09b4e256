"""Who keeps the objects of other shards away: the server, as long as it is believed, or this process. Pure.

A server that knows nothing of shards passes their selector over. What it says is verified first, and then trusted, for
each connection, as behind one address there may be several servers that differ: a LIST says in its head by what it was
filtered, and of a WATCH, which says nothing, some events are looked at. One that is foreign ends the trust.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from aioinformers.errors import ResponseError
from aioinformers.listwatch.kinds import refuse_strangers
from aioinformers.listwatch.listing import ListDecoder, ListHead
from aioinformers.listwatch.screening import ScreeningListDecoder, ScreeningWatchDecoder
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import Batch
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.ranges import HASHES, Judge, Share, hash_field
from aioinformers.objects.shard import Shard
from aioinformers.statistics import ShardMode
from aioinformers.types import Scope

__all__ = ["FIRST", "LEAST", "ONE_IN", "Decoders", "Ownership", "screen_of", "skew"]

FIRST: Final = 32
"""Objects of a watch, each of another key, of which the first event is looked at."""
ONE_IN: Final = 64
"""After them, one of so many events is."""
LEAST: Final = 100
"""Objects from which on it matters whether they are evenly divided."""


class Decoders:
    """The decoders of who wants all objects."""

    def list_decoder(self, layout: Layout[Any], max_item: int, *, is_first: bool) -> ListDecoder:
        """Return the decoder of a page, which may be a list's first one."""
        return ListDecoder(layout, max_item)

    def watch_decoder(self, layout: Layout[Any], max_line: int) -> WatchDecoder:
        """Return the decoder of a watch that begins."""
        return WatchDecoder(layout, max_line)


class Ownership(Decoders):
    """What of a scope is owned, and how far the server is trusted to send nothing else.

    Args:
        shard: The shard.
        scope: The scope.

    Attributes:
        share: What is owned.
        owns: Tells it of an object.
        mode: Who keeps the others away, as the last list has shown; None before the first.
        is_betrayed: A watch that was trusted has told of an object that is not owned: others may have been stored
            before. Whoever removes them sets it back.
        namespaces: How many objects each namespace has, as the first list has shown; empty unless all were seen.
    """

    def __init__(self, shard: Shard, scope: Scope) -> None:
        self.share: Share = Share(shard.by, scope.ranges)
        self.owns: Judge = self.share.judge()
        self.mode: ShardMode | None = None
        self.is_betrayed: bool = False
        self.namespaces: Counter[str] = Counter()
        self._selector = self.share.selector
        self._prefix = f"{scope.namespace}/" if scope.namespace else ""
        self._are_counted = shard.by == "namespace" and not scope.namespace
        self._are_filtered = True  # all pages of the present list
        self._is_suspected = False
        self._seen = [0, 0]  # events of a watch that is not trusted: foreign ones, and others
        self._is_trusted = False
        self._keys: set[str] = set()
        self._skipped = 0  # events before the next one that is looked at

    # -- lists ------------------------------------------------------------------------------------------------

    def list_decoder(self, layout: Layout[Any], max_item: int, *, is_first: bool) -> ListDecoder:
        """Return the decoder of a page, and take note of what that says of its shard.

        Args:
            layout: How objects become entries.
            max_item: An item beyond this many bytes is refused.
            is_first: Whether it is a list's first page.
        """
        self._is_trusted = False
        self._are_filtered = self._are_filtered or is_first
        owns = self._count if self._are_counted and self.mode is None else self.owns
        if is_first:
            self.namespaces = Counter() if self.mode is None else self.namespaces
        return ScreeningListDecoder(layout, max_item, owns, self._selector, self._note_page)

    def _note_page(self, head: ListHead) -> None:
        self._are_filtered = self._are_filtered and head.metadata.shard == self._selector
        if not head.metadata.next:
            self.mode = "server" if self._are_filtered else "client"

    def _count(self, key: str, uid: str | None) -> bool:
        self.namespaces[key.rpartition("/")[0]] += 1
        return self.owns(key, uid)

    # -- watches ----------------------------------------------------------------------------------------------

    def watch_decoder(self, layout: Layout[Any], max_line: int) -> WatchDecoder:
        """Return the decoder of a watch that begins: one that looks at each event, unless the server is trusted.

        After a watch that has told of what is not owned, the server is trusted again once another has told of events,
        and all were owned.
        """
        foreign, owned = self._seen
        self._is_suspected = self._is_suspected and (foreign > 0 or not owned)
        self._is_trusted = self.mode == "server" and not self._is_suspected
        self._seen = [0, 0]
        self._keys.clear()
        self._skipped = 0
        if self._is_trusted:
            return WatchDecoder(layout, max_line)
        return ScreeningWatchDecoder(layout, max_line, self._note)

    def _note(self, key: str, uid: str | None) -> bool:
        is_owned = self.owns(key, uid)
        self._seen[is_owned] += 1
        return is_owned

    def check(self, batch: Batch) -> None:
        """Look at what has been read, before it is stored.

        Raises:
            ResponseError: If the server was trusted, and has sent what is not owned; see :attr:`is_betrayed`.
        """
        if self._prefix:
            refuse_strangers(batch, self._prefix)
        if self._is_trusted and not self._is_true(batch):
            self._is_trusted, self._is_suspected, self.is_betrayed = False, True, True
            raise ResponseError(
                "the watch tells of objects of other shards, although a list had been filtered: the servers behind "
                "this address differ, or have been started anew"
            )

    def _is_true(self, batch: Batch) -> bool:
        """Tell whether those events are owned that are to be looked at."""
        deltas, keys, at = batch.deltas, self._keys, 0
        while len(keys) < FIRST and at < len(deltas):
            _, key, entry = deltas[at]
            at += 1
            if key in keys:
                continue
            keys.add(key)
            if not self.owns(key, _uid_of(entry)):
                return False
        at += self._skipped
        while at < len(deltas):
            _, key, entry = deltas[at]
            if not self.owns(key, _uid_of(entry)):
                return False
            at += ONE_IN
        if len(keys) >= FIRST:
            self._skipped = at - len(deltas)
        return True


def _uid_of(entry: Any) -> str | None:
    """Return the uid of a delta's object; None if that could not be read."""
    return entry.uid if isinstance(entry, Entry) else None


def screen_of(ownership: Ownership | None, namespace: str) -> Callable[[Batch], None] | None:
    """Return what has to look at each batch of a scope; None if there is nothing to look for.

    Args:
        ownership: What of the scope is owned; None if all is.
        namespace: Its namespace; empty for all.
    """
    if ownership is not None:
        return ownership.check
    if not namespace:
        return None
    prefix = f"{namespace}/"
    return lambda batch: refuse_strangers(batch, prefix)


def skew(namespaces: Counter[str], of: int, what: str = "objects", least: int = LEAST) -> str:
    """Say how unevenly equal shards divide namespaces; an empty text if it does not matter.

    Args:
        namespaces: How many objects each namespace has.
        of: How many shards there are.
        what: What is counted.
        least: So many of them, at least, have to be there for it to matter.
    """
    total = namespaces.total()
    if of < 2 or total < least:
        return ""
    counts: Counter[int] = Counter()
    for namespace, count in namespaces.items():
        counts[hash_field(namespace) * of // HASHES] += count
    fullest, most = max(counts.items(), key=lambda item: item[1])
    if most * of <= 2 * total and most < total:
        return ""
    return (
        f"shard {fullest} of 0 to {of - 1} has {most} of {total} {what}, where each would have {total // of} if "
        f"namespaces were evenly divided, and {of - len(counts)} shards have none: names that differ only in their "
        f'last letters have hashes close to each other. Divide by="uid", or among fewer shards'
    )
