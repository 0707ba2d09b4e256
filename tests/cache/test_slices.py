"""Work in slices of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from aioinformers.cache.slices import Slices


async def test_others_run_between_slices_and_every_step_is_taken() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def steps() -> Iterator[None]:
        for _ in range(400):
            taken.append(turns)
            time.sleep(0.0001)
            yield

    taken: list[int] = []
    task = asyncio.create_task(other())
    await Slices(0.002).take(steps(), every=1)
    task.cancel()
    assert len(taken) == 400
    assert len(set(taken)) > 2, "others have run in between"


async def test_what_is_let_go_of_is_let_go_of_whole() -> None:
    references: list[object] = [object() for _ in range(1000)]
    slices = Slices(0.0)
    await slices.release(references)
    assert references == []


async def test_a_slice_is_over_after_its_time() -> None:
    slices = Slices(5.0)
    now = asyncio.get_running_loop().time()
    assert slices.is_over(now)
    slices.begin()
    assert not slices.is_over(now + 4)
    assert slices.is_over(asyncio.get_running_loop().time() + 5.1)
