"""G21: leader election as users see it, on the embedded server in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from aioinformers.coordination import ElectionState, Fence, LeaderElection
from aioinformers.errors import NotLeadingError
from aioinformers.testing import FakeAPIServer, Fault
from aioinformers.types import ObjectKey
from tests.coordination.candidates import (
    LEASE,
    LEASES,
    led,
    led_by_a,
    moment_of,
    now,
    spec_of,
)
from tests.kit import collected_warnings

pytestmark = pytest.mark.virtual_time

KEY = ObjectKey("default", "x")


# -- blocks and checks --------------------------------------------------------------------------------------------


async def test_g21_a_check_says_for_how_long_it_holds() -> None:
    async with led() as (_server, a, judge):
        judge.fault = Fault(delay=1000)
        left = a.check()
        assert 9.9 < left <= 10
        await asyncio.sleep(4)
        assert a.check() == pytest.approx(left - 4)
        assert a.deadline == pytest.approx(now() + left - 4)
        assert a.is_active(KEY, "u")
        await asyncio.sleep(left - 4)
        assert not a.is_active(KEY, "u")
        assert a.deadline == 0
        for call in (a.check, a.token):
            with pytest.raises(NotLeadingError, match="not the leader of default/op: the Lease has not been renewed"):
                call()


async def test_a_block_waits_for_leadership_and_is_cancelled_with_it() -> None:
    async with FakeAPIServer() as server, led_by_a(server) as (a, b):
        led_by_b: list[float] = []

        async def work() -> None:
            with suppress(NotLeadingError):
                async with b.leading() as term:
                    assert term.seconds_left > 0
                    led_by_b.append(now())
                    try:
                        await asyncio.sleep(1000)
                    finally:
                        led_by_b.append(now())

        task = asyncio.create_task(work())
        await asyncio.sleep(20)
        assert not led_by_b
        await a.aclose()
        await asyncio.sleep(20)
        assert led_by_b == [20.0]
        server.patch(LEASES, LEASE, {"spec": {"holderIdentity": "c"}}, namespace="default")
        await task
        assert 40 < led_by_b[1] < 43


async def test_a_block_that_ends_is_left_and_leadership_goes_on() -> None:
    async with led() as (_server, a, _judge):
        term = await a.wait_leading()
        for _ in range(3):
            async with a.leading():
                assert a.statistics().running == 1
                await asyncio.sleep(1)
        assert a.statistics().running == 0
        assert not term.is_over
        with pytest.raises(ZeroDivisionError):
            async with a.leading():
                raise ZeroDivisionError


async def test_a_cancellation_by_somebody_else_is_one() -> None:
    async with led() as (_server, a, _judge):

        async def work() -> None:
            async with a.leading():
                await asyncio.sleep(1000)

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert a.is_leading


async def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    async with FakeAPIServer() as server, led_by_a(server) as (_a, b):

        async def work() -> None:
            async with b.leading():
                raise AssertionError

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert b.statistics().running == 0


async def test_g21_a_candidate_whose_blocks_have_not_ended_is_none() -> None:
    """Two terms in one process would be two leaders for whatever the block does."""
    async with led() as (server, a, judge):
        holding, over = asyncio.Event(), asyncio.Event()

        async def refuse() -> None:
            async with a.leading():
                while not holding.is_set():
                    with suppress(asyncio.CancelledError):
                        await holding.wait()
                over.set()

        task = asyncio.create_task(refuse())
        await asyncio.sleep(1)
        judge.fault = Fault(delay=1000)
        await moment_of(lambda: not a.is_leading)
        judge.fault = None
        await asyncio.sleep(30)
        assert not a.is_leading
        assert a.statistics().state is ElectionState.ENDING
        assert a.statistics().running == 1
        holding.set()
        await task
        await a.wait_leading(timeout=1)
        assert spec_of(server)["holderIdentity"] == "a"


async def test_a_wait_says_in_time_who_leads_and_why() -> None:
    async with FakeAPIServer() as server, led_by_a(server) as (_a, b):
        with pytest.raises(TimeoutError, match="b was not the leader of default/op within 5 s: a is"):
            await b.wait_leading(timeout=5)
        server.fail("* leases.v1.coordination.k8s.io", 403, times=None)
        server.close_watches()
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError, match=r"403.*get, create, update and watch on leases in default"):
            await b.wait_leading(timeout=5)


async def test_a_fence_is_what_others_see_of_an_election() -> None:
    def fenced(fence: Fence) -> float:
        assert fence.is_active(KEY, "u")
        return fence.check(KEY, "u")

    async with led() as (_server, a, _judge):
        assert fenced(a) > 0
        a.leave()
        assert not a.is_active(KEY, "u")


# -- what is refused ----------------------------------------------------------------------------------------------


async def test_an_election_runs_once() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        election = LeaderElection(api, LEASE, namespace="default")
        for call in (election.leave, lambda: asyncio.ensure_future(election.wait_leading())):
            with pytest.raises(RuntimeError, match="has not begun"):
                await asyncio.gather(*filter(None, [call()]))
        with pytest.raises(NotLeadingError, match="the election has not begun"):
            election.check()
        assert election.statistics().state is ElectionState.STARTING
        assert "starting" in repr(election)
        async with election:
            with pytest.raises(RuntimeError, match="election default/op runs once: make another LeaderElection"):
                async with election:
                    pass
        with pytest.raises(RuntimeError, match="runs once"):
            async with election:
                pass
        never = LeaderElection(api, LEASE, namespace="default")
        await never.aclose()
        with pytest.raises(RuntimeError, match="runs once"):
            async with never:
                pass
        assert never.statistics().state is ElectionState.CLOSED


async def test_a_client_that_is_closed_is_named() -> None:
    async with FakeAPIServer() as server:
        api = server.api_client()
        await api.close()
        with pytest.raises(RuntimeError, match="the API client has been closed"):
            async with LeaderElection(api, LEASE, namespace="default"):
                pass


async def test_g21_a_client_that_is_closed_too_early_costs_the_term() -> None:
    async with FakeAPIServer() as server:
        api = server.api_client()
        async with LeaderElection(api, LEASE, namespace="default") as election:
            await election.wait_leading()
            await api.close()
            await moment_of(lambda: not election.is_leading)
            assert "the API client has been closed" in election.statistics().reason


async def test_it_is_not_closed_in_a_block_that_it_would_wait_for() -> None:
    async with led() as (_server, a, _judge):
        async with a.leading():
            with pytest.raises(RuntimeError, match="leave the block first"):
                await a.aclose()
        block = a.leading()
        async with block:
            with pytest.raises(RuntimeError, match=r"ask for another with election\.leading"):
                async with block:
                    pass


async def test_another_loop_is_refused() -> None:
    async with led() as (_server, a, _judge):

        def elsewhere() -> None:
            assert a.is_leading  # reads are safe
            assert a.check() > 0
            with pytest.raises(RuntimeError, match="bound to the event loop"):
                asyncio.run(a.wait_leading())

        await asyncio.to_thread(elsewhere)


async def test_g10_an_election_that_is_dropped_while_it_runs_says_so() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        with collected_warnings() as texts:
            election = LeaderElection(api, LEASE, namespace="default", identity="a")
            await election.__aenter__()
            await election.wait_leading()
            candidate = election._candidate
            del election
        (text,) = texts
        assert text.startswith("<LeaderElection default/op as a: leading, held by a> was dropped while it runs")
        assert candidate is not None
        await candidate.aclose(0)
