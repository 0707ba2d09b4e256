"""Turns among lists: how many there are, whose turn it is, and who loses it while nothing happens. No server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from aioinformers.transport.turns import PATIENCE, Turn, Turns

pytestmark = pytest.mark.virtual_time


def turn_of(turns: Turns, name: str = "pods", group: str = "", waits_for: Callable[[], float] = lambda: 0.0) -> Turn:
    return Turn(turns, group, name, waits_for)


@asynccontextmanager
async def wanting(turns: Turns, *wanted: tuple[str, str]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Want turns, by group and name, each for ever."""

    async def want(group: str, name: str) -> None:
        async with turn_of(turns, name, group):
            await asyncio.sleep(1e9)

    tasks = [asyncio.create_task(want(*each)) for each in wanted]
    await asyncio.sleep(0)
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)


# -- how many, and whose ------------------------------------------------------------------------------------------


async def test_so_many_have_a_turn_and_the_others_follow_in_their_order() -> None:
    turns = Turns(3)
    async with wanting(turns, ("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")) as tasks:
        assert turns.holders == ["1", "2", "3"]
        await ended(tasks[1])
        assert turns.holders == ["1", "3", "4"]
        await ended(tasks[0])
        assert turns.holders == ["3", "4", "5"]
    assert turns.holders == []


@pytest.mark.parametrize(("limit", "of_one_group"), [(1, 1), (2, 1), (3, 2), (4, 3)])
async def test_g9_no_group_takes_the_last_turn(limit: int, of_one_group: int) -> None:
    """However many it wants: its server may hang. Of a single turn nothing can be kept back."""
    turns = Turns(limit)
    async with wanting(turns, *[("hanging", str(number)) for number in range(9)], ("", "pods")) as tasks:
        assert len([name for name in turns.holders if name != "pods"]) == of_one_group
        assert ("pods" in turns.holders) is (limit > 1)
        await ended(tasks[0])
        assert len(turns.holders) == limit


async def test_a_turn_that_comes_free_goes_to_the_group_that_has_the_fewest() -> None:
    turns = Turns(3)
    async with wanting(turns, ("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3"), ("b", "b2"), ("c", "c1")) as tasks:
        assert turns.holders == ["a1", "a2", "b1"]
        await ended(tasks[0])
        assert turns.holders == ["a2", "b1", "c1"]
        await ended(tasks[2])
        assert turns.holders == ["a2", "c1", "b2"]


async def test_groups_that_have_alike_take_turns() -> None:
    turns, order = Turns(1), list[str]()
    want = [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("b", "b2")]
    async with wanting(turns, *want) as tasks:
        names = {name: task for (_, name), task in zip(want, tasks, strict=True)}
        while turns.holders:
            order += turns.holders
            await ended(names[order[-1]])
        assert order == ["a1", "a2", "b1", "a3", "b2"]


# -- giving back --------------------------------------------------------------------------------------------------


async def test_a_turn_is_given_back_once() -> None:
    """Early or at the end, whatever ends the block."""
    turns = Turns(1)
    async with turn_of(turns) as turn:
        assert turn.is_held
        turn.give_back()
        assert not turn.is_held
        turn.give_back()
        async with turn_of(turns, "other"):
            assert turns.holders == ["other"], "giving back twice makes no second turn"
            turn.give_back()
            assert turns.holders == ["other"]
    assert turns.holders == []
    with pytest.raises(ValueError, match="broken"):
        async with turn_of(turns):
            raise ValueError("broken")
    assert turns.holders == []


async def test_waiting_for_a_turn_may_be_cancelled() -> None:
    """Also in the same moment in which the turn comes: the next one has it then."""
    for is_given_first in (True, False):
        turns = Turns(1)
        holder = turn_of(turns, "holder")
        await holder.take()
        async with wanting(turns, ("", "waiter"), ("", "next")) as (waiter, _):
            if is_given_first:
                holder.give_back()
                waiter.cancel()
            else:
                waiter.cancel()
                holder.give_back()
            await asyncio.wait([waiter])
            await asyncio.sleep(0)
            assert waiter.cancelled()
            assert turns.holders == ["next"]


# -- waiting for a server -----------------------------------------------------------------------------------------


async def test_g9_who_only_waits_for_its_server_lets_others_go_first() -> None:
    """And takes the turn again, before those that have not even asked, once there is an answer."""
    loop, turns = asyncio.get_running_loop(), Turns(1)
    turn = turn_of(turns, "slow", waits_for=loop.time)  # since the beginning of all time
    async with turn, wanting(turns, ("", "one"), ("", "two")) as tasks:
        assert turns.holders == ["slow"]
        await asyncio.sleep(PATIENCE)
        assert turns.holders == ["one"]
        assert not turn.is_held
        again = asyncio.create_task(turn.take())
        await asyncio.sleep(0)
        await ended(tasks[0])
        await again
        assert turns.holders == ["slow"]
        await asyncio.sleep(PATIENCE)
        assert turns.holders == ["two"], "it is looked at again"
    assert turns.holders == []


async def test_who_works_keeps_its_turn_for_as_long_as_it_takes() -> None:
    turns = Turns(1)
    async with turn_of(turns, "busy", waits_for=lambda: 0.9 * PATIENCE), wanting(turns, ("", "other")):
        await asyncio.sleep(1000 * PATIENCE)
        assert turns.holders == ["busy"]
    async with turn_of(turns) as turn:
        await turn.take()
        assert turns.holders == ["pods"], "who has it need not wait"


async def test_nothing_looks_at_a_turn_that_has_been_given_back() -> None:
    turns, looks = Turns(1), list[float]()

    def waits_for() -> float:
        looks.append(asyncio.get_running_loop().time())
        return 0.0

    async with turn_of(turns, waits_for=waits_for):
        await asyncio.sleep(2.5 * PATIENCE)
    await asyncio.sleep(100)
    assert looks == [PATIENCE, 2 * PATIENCE]
