"""Waits for an object or a resourceVersion: woken, cancelled, ended."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from aioinformers import InformerCrashedError
from aioinformers.cache.waits import Waits

pytestmark = pytest.mark.virtual_time


class Asked:
    """A condition that counts how often it was asked."""

    def __init__(self) -> None:
        self.times = 0
        self.is_met = False

    def __call__(self) -> bool:
        """Answer."""
        self.times += 1
        return self.is_met


async def test_a_wait_looks_now_and_after_each_change_of_its_key_alone() -> None:
    waits, asked = Waits(), Asked()
    task = asyncio.create_task(waits.wait_for_key("a", asked))
    await asyncio.sleep(1)
    assert asked.times == 1
    waits.wake_keys(["b", "c"])
    waits.wake_versions()
    await asyncio.sleep(1)
    assert asked.times == 1
    waits.wake_keys(["b", "a", "a"])
    await asyncio.sleep(1)
    assert asked.times == 2
    asked.is_met = True
    waits.wake_keys(["a"])
    await task
    assert asked.times == 3
    assert waits.for_keys == {}


async def test_what_holds_already_is_not_waited_for() -> None:
    """Not even after the end."""
    waits = Waits()
    waits.close(ValueError("ended"))
    await waits.wait_for_key("a", lambda: True)
    await waits.wait_for_version(lambda: True)


async def test_a_wait_for_a_version_looks_after_each_batch() -> None:
    waits, asked = Waits(), Asked()
    task = asyncio.create_task(waits.wait_for_version(asked))
    for times in range(1, 4):
        await asyncio.sleep(1)
        assert asked.times == times
        waits.wake_keys(["a"])
        waits.wake_versions()
    await asyncio.sleep(1)
    asked.is_met = True
    waits.wake_versions()
    await task
    assert waits.for_versions == []


@pytest.mark.parametrize("woken", [False, True], ids=["asleep", "woken in the same turn"])
async def test_a_cancelled_wait_leaves_nothing_behind(woken: bool) -> None:
    """And the others on its key wait on."""
    waits, others = Waits(), Asked()
    cancelled = [
        asyncio.create_task(waits.wait_for_key("a", lambda: False)),
        asyncio.create_task(waits.wait_for_key("b", lambda: False)),
        asyncio.create_task(waits.wait_for_version(lambda: False)),
    ]
    other = asyncio.create_task(waits.wait_for_key("a", others))
    await asyncio.sleep(1)
    if woken:
        waits.wake_keys(["a", "b"])
        waits.wake_versions()
    for task in cancelled:
        task.cancel()
    if not woken:  # the other way round: who is being cancelled is woken in vain
        waits.wake_keys(["b"])
        waits.wake_versions()
    await asyncio.wait(cancelled)
    assert all(task.cancelled() for task in cancelled)
    assert list(waits.for_keys) == ["a"]
    assert waits.for_versions == []
    others.is_met = True
    waits.wake_keys(["a"])
    await other
    assert waits.for_keys == {}


async def test_the_end_ends_all_waits_and_those_to_come_with_the_same_error() -> None:
    """Who asks after a crash is told of the crash, too."""
    waits = Waits()
    tasks = [
        asyncio.create_task(waits.wait_for_key("a", lambda: False)),
        asyncio.create_task(waits.wait_for_version(lambda: False)),
    ]
    await asyncio.sleep(1)
    tasks.append(asyncio.create_task(waits.wait_for_key("a", lambda: False)))
    tasks[1].cancel()
    waits.close(InformerCrashedError("pods ended by a bug"))
    for task in (tasks[0], tasks[2]):
        with pytest.raises(InformerCrashedError, match="by a bug"):
            await task
    await asyncio.wait(tasks)
    assert tasks[1].cancelled()
    assert (waits.for_keys, waits.for_versions) == ({}, [])
    with pytest.raises(InformerCrashedError, match="by a bug"):
        await waits.wait_for_version(lambda: False)


async def test_the_error_of_the_end_does_not_grow_with_those_who_ask() -> None:
    """A program that tries again and again would keep every frame that it has ever asked from."""
    waits = Waits()
    waits.close(InformerCrashedError("pods ended by a bug"))
    lengths = []
    for _ in range(3):
        with pytest.raises(InformerCrashedError) as caught:
            await waits.wait_for_key("a", lambda: False)
        lengths.append(len(list(traceback.walk_tb(caught.value.__traceback__))))
    assert lengths[0] == lengths[1] == lengths[2]
