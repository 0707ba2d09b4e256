"""Runs that take long are told of, those that take too long are cancelled, by one timer."""

from __future__ import annotations

import asyncio
import logging

import pytest

from aioinformers import ObjectKey
from aioinformers.controllers.deadlines import Runs, place_of

pytestmark = pytest.mark.virtual_time

KEY = ObjectKey("default", "a")


async def working(runs: Runs, seconds: float) -> tuple[str, float]:
    loop = asyncio.get_running_loop()
    run = runs.begin(KEY)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        return "cancelled", loop.time()
    finally:
        runs.end(run)
    return "done", loop.time()


async def test_each_run_has_its_own_time() -> None:
    runs = Runs("sites", timeout=10, slow_after=None)
    tasks = []
    for seconds in (5, 20, 8, 30):
        tasks.append(asyncio.create_task(working(runs, seconds)))
        await asyncio.sleep(1)
    found = await asyncio.gather(*tasks)
    assert found == [("done", 5), ("cancelled", 11), ("done", 10), ("cancelled", 13)]
    assert not any(task.cancelling() for task in tasks)
    assert len(runs) == 0


async def test_what_takes_long_is_told_once_with_the_place(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs("sites", timeout=None, slow_after=30)
    assert await working(runs, 100) == ("done", 100)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage().startswith("sites: default/a takes long (30 s): ")
    assert " > working (" in f" > {record.getMessage()}"
    assert f"{__file__}:" in record.getMessage()


async def test_the_longest_come_first_and_nothing_is_left() -> None:
    runs = Runs("sites", timeout=10, slow_after=None)
    tasks = [asyncio.create_task(working(runs, 3)) for _ in range(3)]
    await asyncio.sleep(1)
    assert [run.began for run in runs.under_way] == [0, 0, 0]
    assert runs.deadline(runs.under_way[0]) == 10
    await asyncio.gather(*tasks)
    assert runs.under_way == []
    runs.close()


async def test_a_task_that_has_ended_has_no_place() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    assert place_of(task) == "it has ended"
