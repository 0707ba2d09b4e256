"""Two objects of one name, of ranges with a watch each: the younger one is shown, and both are told of in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.delivery.mailbox import ADDED, DELETED, RELEASED, UPDATED, Mailbox
from aioinformers.objects.deltas import DELETE, UPSERT, Batch
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.queue import (
    QueueItem,
    ReplaceBatch,
    ReplaceBegin,
    ReplaceEnd,
    WatchBatch,
)
from aioinformers.types import Scope

LAYOUT: Layout[Any] = Layout(object_type_of(dict))
LOW, HIGH = Scope("", ((0, 1),)), Scope("", ((1, 2),))
BOTH = Scope("", ((0, 1), (1, 2)))
KEY = "shop/web-0"


def entry(uid: str, version: int) -> Entry:
    return Entry(b"{}", uid, str(version), ("shop",))


FIRST = [
    WatchBatch(LOW, Batch([(UPSERT, KEY, entry("first", 3))], "3", LAYOUT)),
    WatchBatch(LOW, Batch([(UPSERT, KEY, entry("first", 4))], "4", LAYOUT)),
    WatchBatch(LOW, Batch([(DELETE, KEY, entry("first", 5))], "5", LAYOUT)),
]
SECOND = [
    WatchBatch(HIGH, Batch([(UPSERT, KEY, entry("second", 6))], "6", LAYOUT)),
    WatchBatch(HIGH, Batch([(UPSERT, KEY, entry("second", 7))], "7", LAYOUT)),
]
INTERLEAVINGS = sorted({
    tuple(order) for order in permutations("LLLHH")
})  # fmt: skip


class Scene:
    """A dispatcher of two ranges, and what it tells."""

    def __init__(self) -> None:
        self.store: Store[Any] = Store(LAYOUT, [LOW, HIGH])
        self.queue: asyncio.Queue[QueueItem] = asyncio.Queue()
        self.dispatcher: Dispatcher[Any] = Dispatcher(self.store, self.queue, 1.0, lambda: None)
        self.mailbox = Mailbox(None)
        self.dispatcher.join(self.mailbox)

    async def run(self, items: Sequence[QueueItem]) -> None:
        task = asyncio.create_task(self.dispatcher.run())
        for item in items:
            self.queue.put_nowait(item)
        await asyncio.wait_for(self.queue.join(), 5)
        task.cancel()
        await asyncio.wait([task])

    def told(self) -> list[tuple[int, str, str]]:
        records = []
        while (some := self.mailbox.take()) is not None:
            records += [(record.type, record.entry.uid, record.entry.version) for record in some]
        return records


def replayed(told: list[tuple[int, str, str]]) -> str:
    """Return the uid that a consumer holds in the end (G5)."""
    held = ""
    for kind, uid, _ in told:
        assert held in ("", uid), "another one has come, and nobody told of the end of the first"
        assert bool(held) is (kind != ADDED)
        held = "" if kind in (DELETED, RELEASED) else uid
    return held


@pytest.mark.parametrize("order", INTERLEAVINGS, ids="".join)
async def test_the_younger_one_is_shown_in_whatever_order_the_watches_tell(order: tuple[str, ...]) -> None:
    scene = Scene()
    first, second = iter(FIRST), iter(SECOND)
    await scene.run([next(first if each == "L" else second) for each in order])
    shown = [partition.objects[KEY].uid for partition in scene.store.partitions.values() if KEY in partition.objects]
    assert shown == ["second"]
    told = scene.told()
    assert replayed(told) == "second"
    assert (UPDATED, "second", "7") in told


def listed(scope: Scope, what: Entry, version: str) -> list[QueueItem]:
    return [
        ReplaceBegin(scope, asyncio.get_running_loop().create_future()),
        ReplaceBatch(scope, Batch([(UPSERT, KEY, what)], "", LAYOUT)),
        ReplaceEnd(scope, version),
    ]


@pytest.mark.parametrize("is_younger_first", [False, True])
async def test_so_it_is_with_lists(is_younger_first: bool) -> None:
    scene = Scene()
    lists = [listed(LOW, entry("first", 4), "4"), listed(HIGH, entry("second", 7), "7")]
    await scene.run([item for each in (reversed(lists) if is_younger_first else lists) for item in each])
    assert scene.store.get(KEY) is not None
    assert len(scene.store) == 1
    assert replayed(scene.told()) == "second"
