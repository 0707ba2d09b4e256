"""G10, G21: whoever is told of terms, the end of a candidate in order, and the fence."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import nullcontext, suppress
from typing import Any

import pytest

from aioinformers.coordination import ElectionState, LeaderElection, Term
from aioinformers.coordination.candidate import clock_of
from aioinformers.coordination.watchdog import Watchdog
from aioinformers.errors import InformerClosedError, InformerCrashedError, NotLeadingError
from aioinformers.testing import Ending, FakeAPIServer, Fault
from tests.coordination.candidates import (
    LEASE,
    LEASES,
    Clock,
    Judge,
    candidate,
    led,
    led_by_a,
    moment_of,
    now,
    spec_of,
)

pytestmark = pytest.mark.virtual_time


# -- being told ---------------------------------------------------------------------------------------------------


async def test_functions_are_told_of_terms_and_leaders() -> None:
    told: list[Any] = []
    async with FakeAPIServer() as server, server.api_client() as api:
        a = LeaderElection(api, LEASE, namespace="default", identity="a")

        @a.on_started
        async def started(term: Term) -> None:
            told.append(("started", term.token.number))
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                told.append(("cancelled", term.token.number))
                raise

        @a.on_stopped
        async def stopped(reason: str) -> None:
            told.append(("stopped", reason))

        @a.on_new_leader
        async def new_leader(identity: str) -> None:
            told.append(("leader", identity))

        async with a:
            await asyncio.sleep(5)
            server.patch(LEASES, LEASE, {"spec": {"holderIdentity": "b"}}, namespace="default")
            await asyncio.sleep(30)
        assert [each for each in told if each[0] == "leader"] == [("leader", name) for name in "aba"]
        assert [each for each in told if each[0] == "stopped"] == [
            ("stopped", "b holds it now"),
            ("stopped", "it has been given back"),
        ]
        assert [each for each in told if each[0] in ("started", "cancelled")] == [
            (what, number) for number in range(2) for what in ("started", "cancelled")
        ]


class Odd(BaseException):
    """What no handler should raise."""


async def test_g7_a_function_that_raises_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:

        async def broken(argument: object) -> None:
            raise errors.pop(0) if errors else ZeroDivisionError

        errors: list[BaseException] = [asyncio.CancelledError(), Odd(), asyncio.CancelledError(), Odd()]
        for register in (a.on_started, a.on_stopped, a.on_new_leader):
            register(broken)
        await a.wait_leading()
        await asyncio.sleep(20)
        server.patch(LEASES, LEASE, {"spec": {"holderIdentity": "b"}}, namespace="default")
        await moment_of(lambda: a.statistics().terms == 2)
        assert caplog.text.count("broken raised") >= 5
        assert a.statistics().state is ElectionState.LEADING


async def test_a_function_that_comes_later_runs_in_the_term_that_there_is() -> None:
    async with led() as (_server, a, _judge):
        runs: list[Term] = []

        @a.on_started
        async def late(term: Term) -> None:
            runs.append(term)

        await asyncio.sleep(0.1)
        assert len(runs) == 1


async def test_g8_a_slow_function_keeps_no_more_than_so_many_calls(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:

        @a.on_new_leader
        async def slow(identity: str) -> None:
            await asyncio.sleep(10_000)

        await a.wait_leading()
        for number in range(70):
            server.patch(LEASES, LEASE, {"spec": {"holderIdentity": f"b{number}"}}, namespace="default")
            await asyncio.sleep(4)
        assert "too slow: a call is dropped" in caplog.text


# -- the end ------------------------------------------------------------------------------------------------------


async def test_g21_the_lease_is_given_back_after_the_last_block() -> None:
    """Those that run may end within the grace, guarded all the while."""
    async with FakeAPIServer() as server, led_by_a(server) as (a, b):
        order: list[str] = []

        async def work() -> None:
            async with a.leading():
                await asyncio.sleep(5)
                a.check()
                order.append(spec_of(server)["holderIdentity"])

        task = asyncio.create_task(work())
        await asyncio.sleep(0.1)
        begin = now()
        await a.aclose()
        assert now() - begin == pytest.approx(4.9)
        await task
        assert order == ["a"]
        await b.wait_leading(timeout=0.2)


async def test_g10_blocks_that_outlast_the_grace_are_cancelled_and_the_lease_given_back() -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        await a.wait_leading()

        async def work() -> None:
            async with a.leading():
                await asyncio.sleep(1000)

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        begin = now()
        await a.aclose(grace=3)
        assert now() - begin == 3
        with pytest.raises(NotLeadingError, match="the election has ended"):
            await task
        assert spec_of(server)["holderIdentity"] == ""


async def test_g21_a_block_that_refuses_to_end_keeps_the_lease_from_being_given_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        await a.wait_leading()
        end = asyncio.Event()

        async def refuse() -> None:
            async with a.leading():
                while not end.is_set():
                    with suppress(asyncio.CancelledError):
                        await end.wait()

        task = asyncio.create_task(refuse(), name="stubborn")
        await asyncio.sleep(1)
        begin = now()
        await a.aclose(grace=0)
        assert now() - begin <= 4
        assert "refuses to end; left behind: stubborn" in caplog.text
        assert spec_of(server)["holderIdentity"] == "a"
        end.set()
        await task


async def test_a_candidate_that_leaves_finishes_its_term_and_wants_no_other() -> None:
    async with FakeAPIServer() as server, led_by_a(server) as (a, b):
        term = await a.wait_leading()
        async with a.leading():
            a.leave()
            await asyncio.sleep(30)
            assert term.check() > 0
            assert not b.is_leading
        await asyncio.sleep(0.1)
        assert b.is_leading
        assert term.reason == "it has been given back"
        with pytest.raises(InformerClosedError, match="election default/op has ended, or is about to"):
            await a.wait_leading()


async def test_the_end_of_a_candidate_ends_the_waits_for_it() -> None:
    async with FakeAPIServer() as server, led_by_a(server) as (_a, b):
        waiting = asyncio.create_task(b.wait_leading())
        await asyncio.sleep(1)
        await b.aclose()
        with pytest.raises(InformerClosedError, match="election default/op has ended"):
            await waiting
        await b.aclose()


async def test_g10_a_loop_around_blocks_ends_with_the_election() -> None:
    """It would not give the event loop back otherwise."""
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        blocks: list[float] = []

        async def lead() -> None:
            while True:
                with suppress(NotLeadingError):
                    async with a.leading():
                        blocks.append(now())
                        await asyncio.sleep(1000)

        task = asyncio.create_task(lead())
        await asyncio.sleep(5)
        server.patch(LEASES, LEASE, {"spec": {"holderIdentity": ""}}, namespace="default")
        await asyncio.sleep(5)
        await a.aclose(grace=0)
        with pytest.raises(InformerClosedError):
            await task
        assert len(blocks) == 2


async def test_g10_two_that_close_wait_for_the_same_end_and_the_later_may_shorten_it() -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        await a.wait_leading()

        async def work() -> None:
            with suppress(NotLeadingError):
                async with a.leading():
                    await asyncio.sleep(1000)

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        closing = asyncio.create_task(a.aclose(grace=100))
        await asyncio.sleep(1)
        begin = now()
        await a.aclose(grace=2)
        assert now() - begin == 2
        await closing
        await task


async def test_g10_a_stranger_that_cancels_its_tasks_does_not_hurry_the_end() -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        await a.wait_leading()

        async def work() -> None:
            async with a.leading():
                await asyncio.sleep(5)

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        closing = asyncio.create_task(a.aclose())
        await asyncio.sleep(1)
        for each in asyncio.all_tasks():
            if each.get_name() == "campaign of election default/op":
                each.cancel()
        await closing
        await task
        assert now() == pytest.approx(5, abs=0.1)
        assert spec_of(server)["holderIdentity"] == ""


async def test_g10_a_close_that_is_cancelled_gives_the_lease_back_all_the_same() -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        await a.wait_leading()

        async def work() -> None:
            with suppress(NotLeadingError):
                async with a.leading():
                    await asyncio.sleep(1000)

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        closing = asyncio.create_task(a.aclose(grace=None))
        await asyncio.sleep(5)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        assert spec_of(server)["holderIdentity"] == ""
        await task


async def test_g10_a_function_that_is_told_may_close_the_election() -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        ended: list[float] = []

        @a.on_stopped
        async def close(reason: str) -> None:
            begin = now()
            await a.aclose()
            ended.append(now() - begin)

        await a.wait_leading()
        server.patch(LEASES, LEASE, {"spec": {"holderIdentity": "b"}}, namespace="default")
        await moment_of(lambda: ended)
        assert ended[0] <= 1
        assert a.statistics().state is ElectionState.CLOSED


async def test_g10_an_end_while_the_server_is_away_takes_no_longer_than_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with led() as (_server, a, judge):
        judge.fault = Fault(delay=1000)
        begin = now()
        await a.aclose()
        assert now() - begin <= 1
        assert "the Lease could not be given back, others wait for its end" in caplog.text


async def test_g10_an_end_in_the_middle_of_an_acquisition_gives_back_what_it_may_have_got() -> None:
    async with FakeAPIServer() as server:
        judge = Judge(server, "a")
        judge.fault, judge.meant = Fault(ending=Ending.STALL, after=None), lambda r: r.verb == "create"
        async with candidate(server, "a"):
            await asyncio.sleep(1)
            assert spec_of(server)["holderIdentity"] == "a"
        assert spec_of(server)["holderIdentity"] == ""


async def test_g10_a_release_that_meets_an_own_renewal_is_tried_again() -> None:
    """A renewal that was given up may have been carried out."""
    async with led() as (server, a, judge):
        judge.fault = Fault(ending=Ending.CLOSE, after=None)
        await moment_of(lambda: a.statistics().failures == 1)
        judge.fault = None
        await a.aclose()
        assert spec_of(server)["holderIdentity"] == ""


async def test_g9_a_stranger_that_cancels_its_tasks_only_costs_a_moment(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        term = await a.wait_leading()
        for _ in range(5):
            for task in asyncio.all_tasks():
                if task.get_name() in ("campaign of election default/op", "callbacks of election default/op"):
                    task.cancel()
            await asyncio.sleep(3)
        assert not term.is_over
        assert "its campaign was cancelled from outside; it is started again" in caplog.text
        assert a.statistics().renewals >= 4


async def test_g9_a_supervisor_that_a_stranger_cancels_ends_the_election_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody would start its tasks again from then on."""
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        term = await a.wait_leading()
        waiting = asyncio.create_task(asyncio.sleep(1))
        for task in asyncio.all_tasks():
            if task.get_name() == "supervisor of election default/op":
                task.cancel()
        await waiting
        assert term.reason == "a bug has ended the election"
        assert "its supervisor was cancelled from outside, which ends it" in caplog.text
        with pytest.raises(InformerCrashedError):
            await a.wait_leading()
        assert spec_of(server)["holderIdentity"] == ""


async def test_g21_where_no_thread_can_be_started_that_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Watchdog) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("aioinformers.coordination.candidate._has_its_own_time", lambda _: False)
    monkeypatch.setattr(Watchdog, "start_thread", refuse)
    async with FakeAPIServer() as server:
        clock = clock_of(asyncio.get_running_loop())
        assert abs(clock.wall() - time.time()) < 5
        async with candidate(server, "a", clock=Clock().times) as a:
            await a.wait_leading(timeout=5)
            assert "nothing watches over the event loop: can't start new thread" in caplog.text


async def test_g9_a_bug_of_ours_ends_the_term_and_is_loud(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        term = await a.wait_leading()
        monkeypatch.setattr("aioinformers.coordination.campaign.micro_time", lambda _: 1 / 0)
        with pytest.raises(NotLeadingError, match="a bug has ended the election"):
            async with a.leading():
                await asyncio.sleep(100)
        monkeypatch.undo()
        assert term.is_over
        assert any(record.levelno == logging.CRITICAL for record in caplog.records)
        with pytest.raises(InformerCrashedError) as caught:
            await a.wait_leading()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert a.statistics().reason == "a bug ended it: ZeroDivisionError"


# -- the fence ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hard_fence", [False, True])
async def test_g21_a_block_that_refuses_to_end_is_found_before_others_may_lead(
    hard_fence: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """At 0.8 lease durations; in virtual time the process does not end, and the block of the election raises."""
    async with FakeAPIServer() as server:
        end, task = asyncio.Event(), None
        would_end = pytest.raises(RuntimeError, match="hard_fence would have ended the process")
        with would_end if hard_fence else nullcontext():
            async with candidate(server, "a", hard_fence=hard_fence) as a:
                await a.wait_leading()

                async def refuse() -> None:
                    async with a.leading():
                        while not end.is_set():
                            with suppress(asyncio.CancelledError):
                                await end.wait()

                task = asyncio.create_task(refuse(), name="stubborn")
                await asyncio.sleep(3)
                Judge(server, "a").fault = Fault(delay=1000)
                sent = a.deadline - 10
                try:
                    await asyncio.sleep(sent + 11.9 - now())
                    assert "refuses to end" not in caplog.text
                    await asyncio.sleep(1)
                finally:
                    assert now() - sent == pytest.approx(12.9 if not hard_fence else 12.25, abs=0.26)
                    end.set()
        assert "what it guards refuses to end" in caplog.text
        assert "stubborn at" in caplog.text
        assert "in test_g21_a_block_that_refuses" in caplog.text
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        assert task is not None
        await task
