"""What asyncio leaves to its users: timeouts with words, and the right loop."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers.loops import Deadline, loop_clock, require_loop

ADVICE = "call it there"


@pytest.mark.virtual_time
async def test_a_deadline_says_what_was_waited_for_when_the_time_is_up() -> None:
    """Asked for then, not before: what is waited for may have changed."""
    waited = ["first"]

    async def wait() -> None:
        async with Deadline(5, lambda: f"waited for {', '.join(waited)}"):
            waited.append("second")
            await asyncio.sleep(60)

    begin = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError, match=r"^waited for first, second$") as caught:
        await wait()
    assert asyncio.get_running_loop().time() - begin == 5
    assert isinstance(caught.value.__cause__, TimeoutError)


@pytest.mark.virtual_time
@pytest.mark.parametrize("seconds", [5, None])
async def test_a_deadline_that_is_met_or_that_there_is_not_changes_nothing(seconds: float | None) -> None:
    async with Deadline(seconds, pytest.fail):
        await asyncio.sleep(4 if seconds else 10_000)


@pytest.mark.virtual_time
async def test_a_timeout_of_the_block_itself_passes_with_its_own_words() -> None:
    with pytest.raises(TimeoutError, match="the server's"):
        async with Deadline(5, pytest.fail):
            raise TimeoutError("the server's")


@pytest.mark.virtual_time
async def test_a_cancellation_from_outside_is_none_of_the_deadlines_business() -> None:
    async def wait() -> None:
        async with Deadline(5, pytest.fail):
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_loop_of_the_start_is_the_right_one() -> None:
    require_loop(asyncio.get_running_loop(), "pods", advice=ADVICE)
    require_loop(None, "pods", advice=ADVICE)


def test_before_the_start_any_will_do_even_none() -> None:
    require_loop(None, "pods", advice=ADVICE)


@pytest.mark.parametrize("is_in_a_loop", [True, False])
def test_another_loop_or_none_is_refused_with_advice(is_in_a_loop: bool) -> None:
    first = asyncio.new_event_loop()

    async def use() -> None:
        require_loop(first, "pods", advice=ADVICE)

    try:
        with pytest.raises(RuntimeError, match="pods is bound to the event loop that started it: call it there"):
            asyncio.run(use()) if is_in_a_loop else require_loop(first, "pods", advice=ADVICE)
    finally:
        first.close()


async def test_another_thread_is_refused_though_the_loop_runs() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(RuntimeError, match="bound to the event loop"):
        await asyncio.to_thread(require_loop, loop, "pods", advice=ADVICE)


async def test_the_clock_of_a_loop_is_its_time() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert before <= loop_clock(loop)() <= loop.time()


def test_a_loop_with_a_time_of_its_own_is_asked() -> None:
    class Late(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return 1e9

    loop = Late()
    assert loop_clock(loop)() == 1e9
    loop.close()
