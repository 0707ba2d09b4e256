"""What lies between the reflectors and the dispatcher: the items, and the queue of one that packs."""

from __future__ import annotations

import asyncio
import gc

import pytest
from kubernetes_asyncio import client

from aioinformers import Settings, new_informer
from aioinformers.objects.deltas import Batch
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.queue import (
    PackingQueue,
    QueueItem,
    Reindex,
    ReplaceAbort,
    ReplaceBatch,
    ReplaceBegin,
    ReplaceEnd,
    WatchBatch,
)
from aioinformers.types import EVERYTHING

BATCH = Batch([], "", Layout(object_type_of(dict), (), {}))


async def test_an_item_is_told_by_its_class_and_cannot_be_changed() -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    items: list[QueueItem] = [
        WatchBatch(EVERYTHING, BATCH), ReplaceBegin(EVERYTHING, done), ReplaceBatch(EVERYTHING, BATCH),
        ReplaceEnd(EVERYTHING, "7"), ReplaceAbort(EVERYTHING), Reindex(lambda layout: layout, done),
    ]  # fmt: skip
    assert len({type(item) for item in items}) == 6
    for item in items:
        with pytest.raises(AttributeError):
            setattr(item, item.__struct_fields__[0], None)
        assert gc.is_tracked(item) is isinstance(item, Reindex)


async def test_a_packing_queue_lets_nobody_put_part_of_a_list_before_the_last_one_has_been_packed() -> None:
    queue = PackingQueue()
    put = asyncio.create_task(queue.put(ReplaceBatch(EVERYTHING, BATCH)))
    await queue.get()
    await asyncio.sleep(0)
    assert not put.done()
    queue.task_done()
    await put


@pytest.mark.parametrize("item", [WatchBatch(EVERYTHING, BATCH), ReplaceEnd(EVERYTHING, "7"), ReplaceAbort(EVERYTHING)])
async def test_a_packing_queue_waits_for_room_alone_with_everything_else(item: QueueItem) -> None:
    queue = PackingQueue(1)
    await queue.put(item)
    assert queue.get_nowait() is item


async def test_a_cancelled_put_of_part_of_a_list_leaves_it_in_the_queue() -> None:
    """As with any queue: it is there, or it is not, and here it was waited for afterwards."""
    queue = PackingQueue()
    put = asyncio.create_task(queue.put(ReplaceBatch(EVERYTHING, BATCH)))
    await asyncio.sleep(0)
    put.cancel()
    await asyncio.wait([put])
    assert queue.qsize() == 1


async def test_a_compact_informer_has_room_for_one_batch_and_any_other_for_as_many_as_its_settings_say() -> None:
    """What waits is not packed yet."""
    async with client.ApiClient(client.Configuration(host="http://127.0.0.1:1")) as api:
        packed = new_informer(api, "pods.v1.", compact=True, settings=Settings(queue_size=8))
        plain = new_informer(api, "pods.v1.", settings=Settings(queue_size=8))
        assert type(packed._pipeline._queue) is PackingQueue
        assert (packed._pipeline._queue.maxsize, plain._pipeline._queue.maxsize) == (1, 8)
