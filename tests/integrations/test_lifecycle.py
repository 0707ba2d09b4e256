"""What an app shares with its requests, and how it is told to stop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aioinformers.integrations.lifecycle import KEY, AppState, state_of


async def test_it_is_found_in_the_scope_of_requests() -> None:
    state = AppState()
    assert state_of({"state": {KEY: state}}) is state
    assert state_of({"state": {KEY: "something else"}}) is None
    assert state_of({"state": {}}) is None
    assert state_of({"state": None}) is None
    assert state_of({}) is None


async def test_it_is_told_to_stop_by_any_thread() -> None:
    state = AppState()
    thread = threading.Thread(target=state.stop_soon)
    thread.start()
    await asyncio.wait_for(state.stopping.wait(), 60)
    thread.join()
    state.stop()
    assert state.stopping.is_set()


def test_a_closed_loop_has_nothing_left_to_stop() -> None:
    async def make() -> AppState:
        return AppState()

    state = asyncio.run(make())
    state.stop_soon()
    assert not state.stopping.is_set()


async def test_work_ends_when_the_app_is_told_to_stop() -> None:
    state = AppState()
    ended: list[str] = []

    async def work() -> str:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")
        return "never"

    asyncio.get_running_loop().call_later(0.01, state.stop)
    assert await state.unless_stopping(work()) is None
    assert await state.unless_stopping(work()) is None, "it has been told already"
    assert ended == ["cancelled", "cancelled"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_work_that_is_done_or_fails_is_passed_on() -> None:
    state = AppState()

    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    async def failing() -> None:
        raise TimeoutError("its own")

    assert await state.unless_stopping(work()) == "done"
    with pytest.raises(TimeoutError, match="its own"):
        await state.unless_stopping(failing())
    state.stop()
    assert await state.unless_stopping(asyncio.sleep(0, "at once")) in ("at once", None)


async def test_a_cancellation_from_outside_passes_through() -> None:
    state = AppState()
    task = asyncio.create_task(state.unless_stopping(asyncio.sleep(3600)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    state.stop()
