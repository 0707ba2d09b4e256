"""One run at a time, in time, gently: what is fetched again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from aioinformers.errors import CredentialsError
from aioinformers.transport.renewal import LONGEST_PAUSE, Renewal

pytestmark = pytest.mark.virtual_time


class Program:
    """What is run: gives numbers, takes a while, fails on request."""

    def __init__(self, *, life: float | None = 100.0, takes: float = 1.0) -> None:
        self.life = life
        self.takes = takes
        self.runs: list[float] = []
        self.failure: BaseException | None = None
        self.running = 0
        self.overlap = 0

    async def __call__(self) -> int:
        self.running += 1
        self.overlap = max(self.overlap, self.running)
        self.runs.append(now())
        try:
            await asyncio.sleep(self.takes)
            if self.failure is not None:
                raise self.failure
            return len(self.runs)
        finally:
            self.running -= 1

    def renewal(self) -> Renewal[int]:
        return Renewal(self, lambda _: self.life)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_g16_however_many_ask_at_once_there_is_one_run() -> None:
    program = Program()
    renewal = program.renewal()
    assert await asyncio.gather(*(renewal.ensure() for _ in range(50))) == [1] * 50
    assert (len(program.runs), program.overlap) == (1, 1)


async def test_g10_whoever_is_cancelled_ends_the_run_for_nobody_else() -> None:
    program = Program()
    renewal = program.renewal()
    waiters = [asyncio.create_task(renewal.ensure()) for _ in range(3)]
    await asyncio.sleep(0.5)
    waiters[0].cancel()
    await asyncio.wait(waiters)
    assert waiters[0].cancelled()
    assert [waiter.result() for waiter in waiters[1:]] == [1, 1]
    assert len(program.runs) == 1


async def test_g10_a_run_goes_on_although_all_who_wait_for_it_are_cancelled() -> None:
    program = Program(takes=20)
    renewal = program.renewal()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(renewal.ensure(), 15)
    assert await renewal.ensure() == 1  # the next request profits of it
    assert now() == 20


async def test_a_new_one_is_fetched_before_the_old_one_expires_and_nobody_waits() -> None:
    program = Program(life=100)
    renewal = program.renewal()
    assert await renewal.ensure() == 1  # good until 101
    waited, seen = 0.0, []
    while now() < 300:
        before = now()
        seen.append(await renewal.ensure())
        waited += now() - before
        await asyncio.sleep(1)
    assert waited == 0
    assert sorted(set(seen)) == [1, 2, 3, 4]
    assert program.runs == [0, 81, 162, 243]


async def test_one_that_was_not_asked_for_in_time_is_waited_for() -> None:
    program = Program(life=3, takes=0.25)
    renewal = program.renewal()
    for number in range(1, 5):
        assert await renewal.ensure() == number
        await asyncio.sleep(10)
    assert renewal.value == 4


async def test_one_that_lives_long_is_renewed_a_minute_before_its_end() -> None:
    program = Program(life=3600, takes=0)
    renewal = program.renewal()
    await renewal.ensure()
    await asyncio.sleep(3539)
    assert await renewal.ensure() == 1
    assert len(program.runs) == 1
    await asyncio.sleep(1)
    await renewal.ensure()
    await asyncio.sleep(0)
    assert program.runs == [0, 3540]


@pytest.mark.parametrize("life", [-5.0, 0.0, 0.01])
async def test_one_that_comes_expired_is_used_for_a_second(life: float) -> None:
    """Clocks differ; a program must not be run for every request."""
    program = Program(life=life, takes=0)
    renewal = program.renewal()
    for _ in range(100):
        await renewal.ensure()
        await asyncio.sleep(0.1)
    assert 9 <= len(program.runs) <= 11


async def test_one_without_an_end_is_kept_until_it_is_refused() -> None:
    program = Program(life=None)
    renewal = program.renewal()
    await renewal.ensure()
    await asyncio.sleep(100_000)
    assert await renewal.ensure() == 1
    renewal.refuse()
    before = now()
    assert await renewal.ensure() == 2
    assert now() - before == program.takes  # at once


async def test_g9_what_is_refused_as_soon_as_it_is_there_is_fetched_more_and_more_slowly() -> None:
    program = Program(life=None, takes=0)
    renewal = program.renewal()
    while now() < 100:
        await renewal.ensure()
        renewal.refuse()
        await asyncio.sleep(0.1)
    between = [late - early for early, late in zip(program.runs, program.runs[1:], strict=False)]
    assert between[:4] == pytest.approx([1, 2, 4, 8], abs=0.2)
    assert max(between) <= LONGEST_PAUSE + 0.2
    await asyncio.sleep(20)
    renewal.refuse()  # refused, but after a life
    assert await renewal.ensure() == len(program.runs)


async def test_one_that_is_refused_while_the_next_is_on_its_way_is_not_given_again() -> None:
    program = Program(life=10, takes=5)
    renewal = program.renewal()
    await renewal.ensure()
    await asyncio.sleep(8)
    assert await renewal.ensure() == 1  # a run begins behind the scenes
    renewal.refuse()
    assert await renewal.ensure() == 2
    assert len(program.runs) == 2


async def test_g9_a_run_that_fails_is_a_failed_request_until_the_pause_is_over() -> None:
    program = Program(takes=0)
    renewal = program.renewal()
    program.failure = CredentialsError("the exec plug-in 'x' ended with exit code 1")
    errors = []
    while now() < 60:
        with pytest.raises(CredentialsError, match="ended with exit code 1") as caught:
            await renewal.ensure()
        errors.append(caught.value)
        await asyncio.sleep(0.1)
    assert len(set(map(id, errors))) == len(errors)  # one that is raised again and again would grow
    assert all(error.is_refused for error in errors)
    assert len(program.runs) < 12
    program.failure = None
    await asyncio.sleep(LONGEST_PAUSE)
    assert await renewal.ensure() == len(program.runs)
    assert renewal.problem == ""


async def test_g16_what_an_unknown_exception_says_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    program = Program(takes=0)
    program.failure = OSError("secret")
    renewal = program.renewal()
    with pytest.raises(CredentialsError) as caught:
        await renewal.ensure()
    assert str(caught.value) == "the credentials could not be renewed (OSError)"
    assert "secret" not in caplog.text


async def test_while_the_old_one_is_good_a_run_that_fails_costs_no_request(caplog: pytest.LogCaptureFixture) -> None:
    program = Program(life=100, takes=0)
    renewal = program.renewal()
    await renewal.ensure()
    program.failure = CredentialsError("no network")
    while now() < 99:
        assert await renewal.ensure() == 1
        await asyncio.sleep(1)
    assert caplog.messages == ["no network: the old credentials are used while they last"]
    assert caplog.records[0].levelno == logging.WARNING
    await asyncio.sleep(2)
    with pytest.raises(CredentialsError, match="no network"):
        await renewal.ensure()


async def test_an_old_one_that_has_been_refused_is_given_again_if_there_is_no_other() -> None:
    """The server may have been wrong for a moment."""
    program = Program(life=None, takes=0)
    renewal = program.renewal()
    await renewal.ensure()
    await asyncio.sleep(5)
    renewal.refuse()
    program.failure = CredentialsError("no network")
    assert await renewal.ensure() == 1
    assert renewal.problem == "no network"


@pytest.mark.parametrize("cancel", [lambda renewal: None, lambda renewal: renewal.refuse()])
async def test_g10_closing_ends_the_run_and_all_who_wait(cancel: Callable[[Renewal[Any]], None]) -> None:
    program = Program(takes=1000)
    renewal = program.renewal()
    waiter = asyncio.create_task(renewal.ensure())
    await asyncio.sleep(1)
    cancel(renewal)
    await renewal.aclose()
    with pytest.raises(CredentialsError, match="the client has been closed"):
        await waiter
    with pytest.raises(CredentialsError, match="the client has been closed"):
        await renewal.ensure()
    await renewal.aclose()
    assert (len(program.runs), program.running, now()) == (1, 0, 1)


async def test_g9_a_run_that_lets_a_cancellation_of_its_own_out_is_a_failed_request() -> None:
    program = Program(takes=0)
    renewal = program.renewal()
    program.failure = asyncio.CancelledError()
    with pytest.raises(CredentialsError, match="the renewal was cancelled"):
        await renewal.ensure()
    program.failure = None
    assert await renewal.ensure() == 2
