"""The tasks of an informer, without one: who may end them, who starts them again, and what is said of it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest

from aioinformers.loops import Grace
from aioinformers.supervisor import Supervisor

pytestmark = pytest.mark.virtual_time


class Stage:
    """A task that waits, and counts how often it was started."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.starts = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.start()

    @property
    def task(self) -> asyncio.Task[None]:
        return self.tasks[-1]

    def start(self) -> None:
        self.starts += 1
        self.tasks.append(self.supervisor.start(self.run(), "stage", self.start))

    async def run(self) -> None:
        await asyncio.sleep(3600)


def bugs_of() -> tuple[Supervisor, list[tuple[str, BaseException]]]:
    bugs: list[tuple[str, BaseException]] = []
    return Supervisor("pods", lambda name, error: bugs.append((name, error))), bugs


async def test_g9_what_a_stranger_cancels_is_started_again_a_turn_later_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor, bugs = bugs_of()
    supervising = asyncio.create_task(supervisor.supervise())
    stage = Stage(supervisor)
    for count in (2, 3):
        await asyncio.sleep(1)
        assert stage.task.get_name() == "stage of pods"
        stage.task.cancel()
        await asyncio.sleep(1)
        assert stage.starts == count
        assert not stage.task.done()
    assert caplog.text.count("pods: its stage was cancelled from outside; it is started again") == 2
    await supervisor.end([stage.task], Grace())
    assert (stage.starts, stage.task.cancelled()) == (3, True)
    supervisor.stop()
    await supervising
    assert bugs == []


async def test_g10_nothing_is_started_again_when_the_supervisor_is_cancelled_in_the_same_turn() -> None:
    """As all tasks are at the end of a loop."""
    supervisor, _ = bugs_of()
    supervising = asyncio.create_task(supervisor.supervise())
    stages = [Stage(supervisor) for _ in range(3)]
    await asyncio.sleep(1)
    for task in (stages[0].task, supervising, stages[1].task, stages[2].task):
        task.cancel()
    await asyncio.sleep(1)
    assert supervising.cancelled()
    assert [stage.starts for stage in stages] == [1, 1, 1]


async def test_nothing_is_started_again_after_the_stop() -> None:
    supervisor, _ = bugs_of()
    supervising = asyncio.create_task(supervisor.supervise())
    stage = Stage(supervisor)
    await asyncio.sleep(1)
    supervisor.stop()
    stage.task.cancel()
    await asyncio.sleep(1)
    assert (stage.starts, supervising.done()) == (1, True)


async def test_a_task_that_raises_is_a_bug_with_its_name() -> None:
    supervisor, bugs = bugs_of()

    async def raising() -> None:
        raise ZeroDivisionError

    task = supervisor.start(raising(), "stage", lambda: None)
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert [(name, type(error)) for name, error in bugs] == [("stage", ZeroDivisionError)]


async def test_a_task_that_refuses_is_named_and_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    supervisor, _ = bugs_of()

    async def stubborn() -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                continue

    task = supervisor.start(stubborn(), "stage", lambda: None)
    await asyncio.sleep(1)
    begin = asyncio.get_running_loop().time()
    await supervisor.end([task], Grace())
    assert asyncio.get_running_loop().time() - begin == pytest.approx(0.9)
    assert "pods: refuses to be cancelled, left behind: stage of pods" in caplog.text
    await asyncio.wait([task])


async def test_a_grace_is_shortened_by_whoever_is_in_a_hurry_and_ended_by_a_cancellation() -> None:
    loop = asyncio.get_running_loop()
    never: asyncio.Future[None] = loop.create_future()

    async def wait(grace: Grace) -> float:
        begin = loop.time()
        assert not await grace.wait([never])
        return loop.time() - begin

    grace = Grace()
    grace.give(None, loop.time())
    waiting = asyncio.create_task(wait(grace))
    await asyncio.sleep(1)
    grace.give(100, loop.time())
    await asyncio.sleep(1)
    grace.give(3, loop.time())
    assert await waiting == pytest.approx(5)

    grace = Grace()
    waiting = asyncio.create_task(wait(grace))
    await asyncio.sleep(2)
    waiting.cancel()
    assert await waiting == pytest.approx(2)
    assert grace.cancelled is not None
    assert grace.is_none


@pytest.mark.parametrize("rest", [[deque([1] * 2000)], [{n: n for n in range(2000)}], [(1, 2)], [[1] * 10]])
async def test_g12_what_is_let_go_is_let_go_in_slices_and_what_others_hold_is_left_alone(rest: list[Any]) -> None:
    supervisor, bugs = bugs_of()
    part = rest[0]
    supervisor.let_go(rest)
    turns = 0
    while any(task.get_name() == "letting go of pods" for task in asyncio.all_tasks()):
        await asyncio.sleep(0)
        turns += 1
    assert rest == []
    assert not part if isinstance(part, deque | dict) else part
    assert (turns > 4) is (isinstance(part, deque | dict))
    assert bugs == []
