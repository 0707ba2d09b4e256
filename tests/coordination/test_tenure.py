"""G21: what a term guards is cancelled with it, and by nothing else of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from aioinformers.coordination.fence import Token
from aioinformers.coordination.lease import Held, LeaseClock, Verdict
from aioinformers.coordination.tenure import Guard, Tenure, Term
from aioinformers.errors import NotLeadingError

pytestmark = pytest.mark.virtual_time


def tenure() -> Tenure:
    """Return a term that has just begun."""
    loop = asyncio.get_running_loop()
    clock = LeaseClock(loop.time, loop.time)
    return Tenure("ops/web", Token("u", 3), clock, Held(loop.time(), loop.time(), 10.0, 15.0))


async def test_g21_a_block_ends_with_the_term_and_says_why() -> None:
    held = tenure()
    asyncio.get_running_loop().call_later(3, held.end, "b holds it now")

    async def work() -> None:
        async with Guard(held) as term:
            assert term.seconds_left == 10
            await asyncio.sleep(100)

    with pytest.raises(NotLeadingError, match="not the leader of ops/web: b holds it now") as caught:
        await work()
    assert (caught.value.election, caught.value.reason) == ("ops/web", "b holds it now")
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert asyncio.get_running_loop().time() == 3
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert held.settled.is_set()


async def test_a_block_is_not_entered_once_the_term_is_over() -> None:
    held = tenure()
    await asyncio.sleep(10)
    for _ in range(2):
        with pytest.raises(NotLeadingError, match="the Lease has not been renewed in time"):
            async with Guard(held):
                raise AssertionError
        held.end("the Lease has not been renewed in time")


async def test_a_guard_is_for_one_block() -> None:
    held = tenure()
    guard = Guard(held)
    async with guard:
        pass
    with pytest.raises(RuntimeError, match=r"ask for another with term\.guard\(\)"):
        async with guard:
            pass


async def test_g10_a_cancellation_by_a_stranger_at_the_same_time_stays_one() -> None:
    held = tenure()

    async def work() -> None:
        async with Guard(held):
            await asyncio.sleep(100)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    held.end("over")
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_g10_a_stranger_first_and_the_end_of_the_term_then_is_the_strangers() -> None:
    held = tenure()

    async def work() -> None:
        async with Guard(held):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(2)
                raise

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(1)
    held.end("over")
    await asyncio.wait([task])
    assert task.cancelled()


async def test_what_a_block_raises_at_its_end_passes_through() -> None:
    held = tenure()

    async def work() -> None:
        async with Guard(held):
            try:
                await asyncio.sleep(100)
            finally:
                raise ZeroDivisionError

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    held.end("over")
    with pytest.raises(ZeroDivisionError):
        await task


async def test_a_block_that_swallows_the_end_goes_on_and_is_known() -> None:
    held = tenure()

    async def work() -> str:
        async with Guard(held):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(100)
            await asyncio.sleep(5)
        await asyncio.sleep(1)
        return "done"

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    held.end("over")
    await asyncio.sleep(1)
    assert len(held.blocks) == 1
    assert not held.settled.is_set()
    assert await task == "done"
    assert held.settled.is_set()


async def test_g10_a_block_that_ends_the_term_itself_is_cancelled_in_the_block_and_not_behind_it() -> None:
    held = tenure()

    async def and_waits() -> None:
        async with Guard(held):
            held.end("over")
            await asyncio.sleep(100)

    with pytest.raises(NotLeadingError):
        await and_waits()
    held = tenure()

    async def and_leaves() -> str:
        async with Guard(held):
            held.end("over")
        await asyncio.sleep(1)
        return "done"

    assert await asyncio.create_task(and_leaves()) == "done"


async def test_blocks_may_stand_in_each_other_and_beside_each_other() -> None:
    held = tenure()

    async def inner() -> None:
        async with Guard(held) as term, term.guard():
            await asyncio.sleep(100)

    tasks = [asyncio.create_task(inner()) for _ in range(3)]
    await asyncio.sleep(1)
    assert len(held.blocks) == 6
    held.end("over")
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [NotLeadingError] * 3
    assert not held.blocks


async def test_a_timeout_around_or_in_a_block_is_one() -> None:
    held = tenure()

    async def around() -> None:
        async with asyncio.timeout(2), Guard(held):
            await asyncio.sleep(100)

    async def within() -> None:
        async with Guard(held), asyncio.timeout(2):
            await asyncio.sleep(100)

    for work in (around, within):
        with pytest.raises(TimeoutError):
            await work()


async def test_g21_what_a_term_says_of_itself() -> None:
    held = tenure()
    term = Term(held)
    assert repr(term) == "<Term 3 of ops/web: 10.0 s left>"
    assert (term.token, term.is_over, term.reason, term.seconds_left) == (("u", 3), False, "", 10.0)
    assert held.look() is Verdict.FINE
    await asyncio.sleep(4)
    assert term.check() == 6
    await asyncio.sleep(6)
    assert term.is_over
    assert term.reason == "the Lease has not been renewed in time"
    assert held.look() is Verdict.OVER
    with pytest.raises(NotLeadingError):
        term.check()
    await asyncio.sleep(2)
    assert held.look() is Verdict.OVERDUE
    assert held.end("b holds it now")
    assert not held.end("twice")
    assert (term.reason, held.look()) == ("b holds it now", Verdict.FINE)
    assert repr(term) == "<Term 3 of ops/web: b holds it now>"


async def test_whoever_renews_is_woken_by_the_last_block_and_by_the_end() -> None:
    held = tenure()
    woken: list[float] = []

    async def renew() -> None:
        while not held.reason:
            await held.changes()
            woken.append(asyncio.get_running_loop().time())

    task = asyncio.create_task(renew())
    async with Guard(held):
        async with Guard(held):
            await asyncio.sleep(1)
        await asyncio.sleep(1)
    await asyncio.sleep(1)
    held.notify()
    await asyncio.sleep(1)
    held.end("over")
    await task
    assert woken == [2.0, 3.0, 4.0]
