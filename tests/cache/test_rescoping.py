"""Scopes come, go and become one while a dispatcher works, and what is not theirs is removed."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers.delivery.mailbox import ADDED, DELETED, RELEASED
from aioinformers.objects.deltas import UPSERT, Batch
from aioinformers.queue import Disown, ReplaceBatch, Rescope, Unite, Unmute, WatchBatch
from aioinformers.types import Cause, Scope
from tests.cache.test_siblings import FIRST, HIGH, KEY, LAYOUT, LOW, SECOND, Scene, entry, listed

BOTH = Scope("", ((0, 1), (1, 2)))


async def test_what_was_muted_displaces_its_predecessor_when_it_is_shown() -> None:
    scene = Scene()
    loop = asyncio.get_running_loop()
    away = Rescope(frozenset(), frozenset({HIGH}), loop.create_future())
    muted = Rescope(frozenset({HIGH}), frozenset(), loop.create_future(), muted=frozenset({HIGH}))
    await scene.run([away, muted, FIRST[0], *listed(HIGH, entry("second", 6), "6"), SECOND[1]])
    assert scene.told() == [(ADDED, "first", "3")]
    assert list(scene.store.partitions) == [LOW]
    shown = loop.create_future()
    await scene.run([Unmute(HIGH, shown)])
    assert shown.done()
    assert scene.told() == [(DELETED, "first", "3"), (ADDED, "second", "7")]
    assert len(scene.store) == 1


async def test_scopes_become_one_at_the_lowest_of_their_versions() -> None:
    scene = Scene()
    other = WatchBatch(LOW, Batch([(UPSERT, "shop/other", entry("other", 8))], "8", LAYOUT))
    await scene.run([*listed(LOW, entry("first", 3), "3"), *listed(HIGH, entry("second", 6), "6"), other])
    done = asyncio.get_running_loop().create_future()
    scene.told()
    await scene.run([Unite((LOW, HIGH), BOTH, done)])
    assert done.result() == {LOW: "8", HIGH: "6"}
    (partition,) = scene.store.partitions.values()
    assert (partition.version, partition.is_synced) == ("6", True)
    assert sorted(partition.objects) == ["shop/other", KEY]
    assert sorted(partition.indexes[0]["shop"]) == ["shop/other", KEY]
    assert scene.told() == [], "nothing has changed for anybody"


async def test_what_goes_is_released_and_its_cause_is_told() -> None:
    scene = Scene()
    await scene.run(listed(LOW, entry("first", 3), "3"))
    scene.told()
    await scene.run([Rescope(frozenset(), frozenset({LOW}), asyncio.get_running_loop().create_future())])
    taken = scene.mailbox.take()
    assert taken is not None
    (record,) = taken
    assert (record.type, record.key, record.cause) == (RELEASED, KEY, Cause.SHARD)


async def test_what_is_not_owned_is_removed_and_told_as_gone() -> None:
    scene = Scene()
    others = [(UPSERT, f"shop/{number}", entry(f"uid-{number}", 4)) for number in range(200)]
    more = [ReplaceBatch(LOW, Batch(others, "", LAYOUT))]
    begin, own, end = listed(LOW, entry("first", 3), "4")
    await scene.run([begin, own, *more, end])
    scene.told()
    await scene.run([Disown(LOW, lambda key, _: key == KEY)])
    told = scene.told()
    assert {kind for kind, _, _ in told} == {DELETED}
    assert len(told) == 200
    assert list(scene.store.partitions[LOW].objects) == [KEY]
    await scene.run([Disown(HIGH, lambda *_: False), Disown(Scope("gone"), lambda *_: False)])
    assert scene.told() == []


@pytest.mark.parametrize("turns", range(0, 12, 2))
async def test_a_dispatcher_that_is_cancelled_meanwhile_does_the_rest_when_it_runs_again(turns: int) -> None:
    scene = Scene()
    await scene.run([*listed(LOW, entry("first", 3), "3"), *listed(HIGH, entry("second", 6), "6")])
    done = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(scene.dispatcher.run())
    scene.queue.put_nowait(Unite((LOW, HIGH), BOTH, done))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await scene.run([])
    assert done.result() == {LOW: "3", HIGH: "6"}
    assert list(scene.store.partitions) == [BOTH]


async def test_nobody_is_told_of_what_a_hidden_scope_does_not_own() -> None:
    scene = Scene()
    loop = asyncio.get_running_loop()
    away = Rescope(frozenset(), frozenset({HIGH}), loop.create_future())
    muted = Rescope(frozenset({HIGH}), frozenset(), loop.create_future(), muted=frozenset({HIGH}))
    await scene.run([away, muted, *listed(HIGH, entry("second", 6), "6"), Disown(HIGH, lambda *_: False)])
    assert scene.told() == []
    assert not scene.store.hidden[HIGH].objects


async def test_lists_that_were_under_way_are_let_go_of_when_scopes_become_one() -> None:
    scene = Scene()
    await scene.run([*listed(LOW, entry("first", 3), "3"), *listed(HIGH, entry("second", 6), "6")])
    done = asyncio.get_running_loop().create_future()
    await scene.run([*listed(LOW, entry("third", 9), "9")[:-1], Unite((LOW, HIGH), BOTH, done)])
    assert done.done()
    assert not scene.dispatcher._staging
