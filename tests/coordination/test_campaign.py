"""G21: a candidate's way through the terms, on the embedded server in virtual time."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import kubernetes.aio.client as aio
import pytest
from kubernetes_asyncio import client

import aioinformers
from aioinformers.coordination import ElectionState, LeaderElection, LeaseClock, Term
from aioinformers.errors import NotLeadingError
from aioinformers.testing import Ending, FakeAPIServer, Fault
from tests.coordination.candidates import (
    LEASE,
    LEASES,
    Clock,
    Judge,
    LateNetwork,
    candidate,
    is_of,
    led,
    led_by_a,
    moment_of,
    now,
    spec_of,
    verbs_of,
)
from tests.kit.gate import Authority, Gate
from tests.transport.kubeconfigs import encoded, kubeconfig, replace

pytestmark = pytest.mark.virtual_time


# -- acquire, renew, release --------------------------------------------------------------------------------------


async def test_a_lease_that_is_not_there_is_made() -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        term = await a.wait_leading(timeout=5)
        assert a.is_leading
        assert a.holder == "a"
        assert spec_of(server) == {
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "acquireTime": "2000-01-01T00:00:00.000000Z",
            "renewTime": "2000-01-01T00:00:00.000000Z",
            "leaseTransitions": 0,
        }
        lease = server.get(LEASES, LEASE)
        assert term.token == a.token() == (lease["metadata"]["uid"], 0)
        assert str(term.token) == f"{lease['metadata']['uid']}/0"
        assert verbs_of(server, "a") == ["get", "create"]


async def test_a_lease_that_has_been_given_back_is_acquired_at_once() -> None:
    async with FakeAPIServer() as server:
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 6, "strategy": "kept"}
        server.create(LEASES, {"metadata": {"name": LEASE, "labels": {"a": "b"}}, "spec": spec})
        async with candidate(server, "a") as a:
            term = await a.wait_leading(timeout=0.1)
            assert term.token.number == spec_of(server)["leaseTransitions"] == 7
            assert spec_of(server)["strategy"] == "kept"
            assert server.get(LEASES, LEASE)["metadata"]["labels"] == {"a": "b"}


async def test_a_leader_renews_with_puts_at_the_version_that_it_has_seen() -> None:
    """Every two seconds, up to a fifth later. No other requests are made, and acquireTime stays."""
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        await a.wait_leading()
        await asyncio.sleep(60)
        times = [request.time for request in server.requests if request.verb == "update"]
        gaps = [after - before for before, after in zip([0.0, *times], times, strict=False)]
        assert all(2.0 <= gap <= 2.4 for gap in gaps)
        assert set(verbs_of(server, "a")[2:]) == {"update"}
        spec = spec_of(server)
        assert spec["acquireTime"] == "2000-01-01T00:00:00.000000Z"
        assert spec["renewTime"] > "2000-01-01T00:00:57"
        assert spec["leaseTransitions"] == 0
        assert a.statistics().renewals == len(times) >= 25


async def test_durations_are_written_in_whole_seconds_never_too_short() -> None:
    times: dict[str, Any] = {"lease_duration": 2.5, "renew_deadline": 1.5, "retry_period": 0.4}
    async with FakeAPIServer() as server, candidate(server, "a", **times) as a:
        await a.wait_leading()
        assert spec_of(server)["leaseDurationSeconds"] == 3


async def test_the_end_gives_the_lease_back_as_client_go_does() -> None:
    async with FakeAPIServer() as server:
        async with candidate(server, "a") as a:
            await a.wait_leading()
            await asyncio.sleep(30)
        assert spec_of(server) == {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": "2000-01-01T00:00:30.000000Z",
            "renewTime": "2000-01-01T00:00:30.000000Z",
            "leaseTransitions": 0,
        }
        assert not a.is_leading
        assert a.statistics().state is ElectionState.CLOSED
        assert a.statistics().lost == 0


async def test_a_candidate_that_does_not_lead_gives_nothing_back() -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        await a.wait_leading()
        async with candidate(server, "b") as b:
            await asyncio.sleep(5)
            assert not b.is_leading
            assert b.holder == "a"
            assert b.statistics().state is ElectionState.FOLLOWING
            assert b.statistics().reason == ""
            for each in (a, b):  # both see its renewals
                since = each.statistics().since_renewal
                assert since is not None
                assert since < 2.5
        assert spec_of(server)["holderIdentity"] == "a"
        assert set(verbs_of(server, "b")) == {"get", "watch"}


@pytest.mark.parametrize("count", [2, 5])
async def test_g21_a_graceful_failover_takes_hardly_any_time(count: int) -> None:
    """Candidates watch the Lease: no period and no backoff passes."""
    async with FakeAPIServer() as server, AsyncExitStack() as stack:
        a = await stack.enter_async_context(candidate(server, "a"))
        await a.wait_leading()
        others = [await stack.enter_async_context(candidate(server, f"b{i}")) for i in range(count - 1)]
        await asyncio.sleep(30)
        await a.aclose()
        assert await moment_of(lambda: any(b.is_leading for b in others)) <= 0.2
        await asyncio.sleep(1)
        (leader,) = [b for b in others if b.is_leading]
        assert spec_of(server)["leaseTransitions"] == 1
        assert {b.holder for b in others} == {leader.identity}


async def test_g21_a_hard_failover_takes_the_lease_duration() -> None:
    """From the last renewal that was seen; and no longer, as the clock runs meanwhile."""
    async with FakeAPIServer() as server, led_by_a(server) as (a, b):
        judge = Judge(server, "a")
        await asyncio.sleep(31)
        judge.fault = Fault(ending=Ending.STALL, after=0, status=503)
        last = max(request.time for request in server.requests if is_of(request, "a") and request.verb == "update")
        await moment_of(lambda: b.is_leading)
        assert now() - last == pytest.approx(15.0, abs=0.1)
        assert not a.is_leading


async def test_a_term_is_the_greater_the_later_it_is() -> None:
    async with FakeAPIServer() as server:
        tokens = []
        for identity in ("a", "b", "a"):
            async with candidate(server, identity) as one:
                tokens.append((await one.wait_leading()).token)
        assert tokens == sorted(tokens)
        assert [token.number for token in tokens] == [0, 1, 2]


@pytest.mark.parametrize("which", ["kubernetes_asyncio", "kubernetes.aio"])
async def test_either_client_will_do_and_a_full_pool_holds_nothing_up(which: str) -> None:
    async with FakeAPIServer() as server:
        known = server.configuration()
        known.connection_pool_maxsize = 1
        other = aio.Configuration(host=known.host, connection_pool_maxsize=1)
        opened: Any = client.ApiClient(known) if which == "kubernetes_asyncio" else aio.ApiClient(other)
        async with opened as api:
            full = asyncio.create_task(api.rest_client.request("GET", f"{known.host}/api/v1/pods?watch=true"))
            await asyncio.sleep(0.1)
            async with LeaderElection(api, LEASE, namespace="default") as election:
                await election.wait_leading(timeout=1)
                await asyncio.sleep(60)
                assert election.statistics().lost == 0
            full.cancel()
            await asyncio.wait([full])
            if not full.cancelled():  # kubernetes.aio has given the open response
                full.result().response.close()
        await asyncio.sleep(1)
        assert server.connections == 0


async def test_credentials_that_are_refused_are_renewed() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        good = ["Bearer one"]

        async def refresh(configuration: client.Configuration) -> None:
            refreshed.append(now())
            if len(refreshed) % 2 == 0:
                configuration.api_key = {"BearerToken": good[0]}

        refreshed: list[float] = []
        api.configuration.api_key, api.configuration.refresh_api_key_hook = {"BearerToken": "Bearer one"}, refresh
        server.intercept(lambda r: None if r.headers.get("authorization") == good[0] else Fault(status=401))
        async with LeaderElection(api, LEASE, namespace="default") as election:
            await election.wait_leading(timeout=1)
            for number in range(5):
                good[0] = f"Bearer {number}"
                await asyncio.sleep(10)
            assert election.statistics().lost == 0


# -- loss ---------------------------------------------------------------------------------------------------------


UNANSWERED = {
    "refused": Fault(ending=Ending.RESET, after=None, status=503),
    "silent": Fault(delay=1000),
    "slow": Fault(delay=6),
    "busy": Fault(status=503),
    "broken": Fault(status=500),
    "throttled": Fault(status=429, headers={"Retry-After": "3600"}),
    "unauthorized": Fault(status=401),
    "forbidden": Fault(status=403),
    "not found": Fault(status=404),
    "conflict": Fault(status=409),
    "no answer": Fault(status=200, body=b"{}"),
    "half an answer": Fault(status=200, body=b"{}" * 50, ending=Ending.STALL, after=7),
}


@pytest.mark.parametrize("name", UNANSWERED)
async def test_g21_a_term_ends_at_its_deadline_whatever_the_server_does(name: str) -> None:
    """Ten seconds after the last renewal was sent: not a retry later, and also with a request under way."""
    async with led() as (_server, a, judge):
        judge.fault = UNANSWERED[name]
        sent, term = a.deadline - 10, await a.wait_leading()

        async def work() -> None:
            async with a.leading():
                await asyncio.sleep(1000)

        with pytest.raises(NotLeadingError, match="the Lease has not been renewed in time"):
            await work()
        assert now() == pytest.approx(sent + 10.0, abs=0.001)
        assert term.is_over
        assert not a.is_leading
        with pytest.raises(NotLeadingError):
            a.check()
        assert a.statistics().lost == 1
        judge.fault = None
        again = await a.wait_leading(timeout=60)
        assert again.token > term.token


@pytest.mark.parametrize("name", ["silent", "busy", "forbidden"])
async def test_a_server_that_is_back_in_time_costs_nothing(name: str) -> None:
    async with led() as (_server, a, judge):
        judge.fault = UNANSWERED[name]
        await asyncio.sleep(6.5)  # the next renewal goes unanswered for all of its 5 s, until 7 s at the earliest
        assert a.is_leading
        judge.fault = None
        await asyncio.sleep(30)
        assert a.statistics().failures
        assert a.statistics().reason == ""
        assert a.statistics().lost == 0


async def test_g21_an_answer_that_comes_too_late_revives_nothing() -> None:
    async with led(renew_deadline=4.0, retry_period=3.0) as (_server, a, judge):
        judge.fault = Fault(delay=2)
        await moment_of(lambda: not a.is_leading)
        assert a.statistics().lost == 1


async def test_g21_a_renewal_counts_from_its_sending() -> None:
    """Not from its answer: others count from when the server had it."""
    async with led() as (_server, a, judge):
        judge.fault = Fault(delay=1.5)
        begin = now()
        await moment_of(lambda: a.statistics().renewals >= 5)
        assert a.is_leading
        assert now() - begin > 4
        assert a.statistics().seconds_left <= 8.5


async def test_a_lease_that_somebody_else_has_taken_is_lost_at_once() -> None:
    async with led() as (server, a, _judge):
        server.patch(LEASES, LEASE, {"spec": {"holderIdentity": "b", "leaseDurationSeconds": 15}}, namespace="default")
        with pytest.raises(NotLeadingError, match="b holds it now"):
            async with a.leading():
                await asyncio.sleep(1000)
        assert a.holder == "b"
        await moment_of(lambda: a.is_leading)
        assert spec_of(server)["holderIdentity"] == "a"


async def test_a_lease_that_was_emptied_by_hand_is_lost_and_acquired_again() -> None:
    async with led() as (server, a, _judge):
        term = await a.wait_leading()
        server.patch(LEASES, LEASE, {"spec": {"holderIdentity": ""}}, namespace="default")
        await moment_of(lambda: term.is_over)
        assert term.reason == "nobody holds it now"
        assert (await a.wait_leading(timeout=1)).token > term.token


async def test_a_lease_that_was_changed_by_hand_and_is_still_ones_own_is_kept() -> None:
    """A label makes the next renewal a conflict."""
    async with led() as (server, a, _judge):
        term = await a.wait_leading()
        for number in range(5):
            server.patch(LEASES, LEASE, {"metadata": {"labels": {"n": str(number)}}}, namespace="default")
            await asyncio.sleep(3)
        assert not term.is_over
        assert a.statistics().lost == 0
        assert server.get(LEASES, LEASE)["metadata"]["labels"] == {"n": "4"}


async def test_g9_a_conflict_that_nobody_has_made_is_no_storm() -> None:
    async with led() as (server, a, judge):
        judge.fault, judge.meant = Fault(status=409), lambda r: r.verb == "update"
        before = len(server.requests)
        await asyncio.sleep(7)
        assert a.is_leading
        assert "409" in a.statistics().reason
        assert len(server.requests) - before <= 20
        judge.fault = None
        await asyncio.sleep(20)
        assert a.statistics().lost == 0


async def test_a_lease_that_is_deleted_is_lost_and_made_again() -> None:
    async with led() as (server, a, _judge):
        term = await a.wait_leading()
        server.delete(LEASES, LEASE, namespace="default")
        await moment_of(lambda: term.is_over)
        assert term.reason == "the Lease has been deleted"
        again = await a.wait_leading(timeout=1)
        assert again.token.uid != term.token.uid


async def test_g21_whoever_has_seen_a_leader_gives_it_its_time_although_the_lease_is_deleted() -> None:
    async with led() as (server, a, judge), candidate(server, "b") as b:
        await asyncio.sleep(5)
        judge.fault = Fault(delay=1000)
        server.delete(LEASES, LEASE, namespace="default")
        begin = now()
        await asyncio.sleep(3)
        assert "the Lease has been deleted, and a, who held it, is given its time" in b.statistics().reason
        await moment_of(lambda: b.is_leading)
        assert now() - begin == pytest.approx(15, abs=3)
        assert not a.is_leading


async def test_g21_a_suspension_that_the_clock_counts_ends_the_term() -> None:
    """At once for whoever asks, and for blocks as soon as the loop runs again."""
    async with FakeAPIServer() as server:
        clock = Clock(shift=500.0)
        async with candidate(server, "a", clock=clock.times) as a:
            term = await a.wait_leading()

            async def work() -> None:
                async with a.leading():
                    await asyncio.sleep(100)

            task = asyncio.create_task(work())
            await asyncio.sleep(0.3)
            clock.shift += 30
            clock.wall_shift += 30
            begin = now()
            assert not a.is_leading
            with pytest.raises(NotLeadingError, match="not been renewed in time"):
                term.check()
            with pytest.raises(NotLeadingError):
                await task
            assert now() - begin <= 0.5
            assert (await a.wait_leading(timeout=1)).token > term.token


async def test_g21_a_suspension_that_only_the_wall_clock_counts_ends_the_term() -> None:
    """As that of a virtual machine; and a clock that is set forward, which cannot be told from it."""
    async with FakeAPIServer() as server:
        clock = Clock()
        async with candidate(server, "a", clock=clock.times) as a:
            term = await a.wait_leading()
            clock.wall_shift += 1.5
            assert not a.is_leading
            await moment_of(lambda: a.is_leading, 1)
            assert term.is_over
            assert a.statistics().lost == 1
            clock.wall_shift += 0.9
            await asyncio.sleep(30)
            assert a.statistics().lost == 1


async def test_a_wall_clock_that_is_set_back_changes_nothing() -> None:
    async with FakeAPIServer() as server:
        clock = Clock()
        async with led_by_a(server, of_a={"clock": clock.times}) as (a, b):
            await asyncio.sleep(3)
            clock.wall_shift -= 86_400
            await asyncio.sleep(60)
            assert a.statistics().lost == 0
            assert not b.is_leading
            assert spec_of(server)["renewTime"].startswith("2001-09-08")


async def test_a_candidate_with_another_wall_clock_and_time_zone_waits_as_long() -> None:
    async with FakeAPIServer() as server:
        clock = Clock(wall_shift=1e8, shift=-12_345)
        async with led_by_a(server, of_b={"clock": clock.times}) as (a, b):
            await asyncio.sleep(100)
            assert not b.is_leading
            assert a.statistics().lost == 0


async def test_g21_a_renewal_that_was_given_up_and_lands_later_harms_nobody() -> None:
    """It is a PUT at a version: it lands on its own Lease or not at all."""
    async with (
        FakeAPIServer() as server,
        LateNetwork(server) as network,
        led_by_a(server, of_a={"host": network.url}) as (a, b),
    ):
        await asyncio.sleep(10)
        network.delay = lambda: 40.0
        await moment_of(lambda: b.is_leading)
        assert not a.is_leading
        term = await b.wait_leading()
        await asyncio.sleep(60)
        assert not term.is_over
        assert spec_of(server)["holderIdentity"] == "b"


async def test_g21_an_answer_that_names_somebody_else_is_believed() -> None:
    """Whatever has changed what was written: a webhook, a proxy."""

    def somebody(body: bytes) -> bytes:
        return body.replace(b'"holderIdentity":"a"', b'"holderIdentity":"b"')

    async with led() as (_server, a, judge):
        term = await a.wait_leading()
        judge.fault = Fault(rewrite=somebody)
        await moment_of(lambda: term.is_over, 5)
        assert term.reason == "b holds it now"
        await asyncio.sleep(30)
        assert not a.is_leading
    async with FakeAPIServer() as server:
        judge = Judge(server, "a")
        judge.fault = Fault(rewrite=somebody)
        judge.meant = lambda r: r.verb == "create"
        async with candidate(server, "a") as a:
            await asyncio.sleep(0.5)
            assert a.statistics().state is ElectionState.REFUSED
            assert a.statistics().reason == "the Lease was acquired, and its holder is 'b'"


async def test_a_watch_that_says_nothing_for_long_is_not_trusted() -> None:
    """A leader with long durations may have gone meanwhile."""
    times = {"lease_duration": 600.0, "renew_deadline": 400.0, "retry_period": 100.0}
    async with FakeAPIServer() as server:
        judge = Judge(server, "b")
        judge.fault, judge.meant = Fault(ending=Ending.STALL, after=0), lambda r: r.verb == "watch"
        async with led_by_a(server, of_a=times, of_b=times) as (a, b):
            await asyncio.sleep(1)
            await a.aclose()
            assert await moment_of(lambda: b.is_leading) <= 76


async def test_an_acquisition_whose_answer_was_lost_is_ones_own() -> None:
    async with FakeAPIServer() as server:
        judge = Judge(server, "a")
        judge.fault, judge.meant = Fault(ending=Ending.CLOSE, after=None), lambda r: r.verb == "create"
        async with candidate(server, "a") as a:
            await a.wait_leading(timeout=5)
            assert spec_of(server)["holderIdentity"] == "a"
            assert now() < 5


async def test_g21_a_second_process_with_ones_identity_waits_like_anybody_else() -> None:
    async with FakeAPIServer() as server, candidate(server, "same") as a:
        await a.wait_leading()
        async with candidate(server, "same") as other:
            await asyncio.sleep(60)
            assert not other.is_leading
            assert a.statistics().lost == 0


# -- visible states -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (401, ElectionState.REFUSED, "401"),
        (403, ElectionState.REFUSED, "the client needs the verbs get, create, update and watch on leases in default"),
        (404, ElectionState.REFUSED, "404"),
        (409, ElectionState.REFUSED, "409"),
        (422, ElectionState.REFUSED, "422"),
        (429, ElectionState.UNREACHABLE, "429"),
        (500, ElectionState.UNREACHABLE, "500"),
        (503, ElectionState.UNREACHABLE, "503"),
    ],
)
async def test_what_the_server_refuses_is_a_state_with_a_reason_and_is_tried_again(
    status: int, state: ElectionState, words: str
) -> None:
    async with FakeAPIServer() as server:
        server.fail("create leases.v1.coordination.k8s.io", status, times=30)
        async with candidate(server, "a") as a:
            await asyncio.sleep(100)
            seen = a.statistics()
            assert (seen.state, seen.is_leading) == (state, False)
            assert words in seen.reason
            attempts = verbs_of(server, "a").count("create")
            assert attempts <= {401: 20, 429: 25, 500: 25, 503: 25}.get(status, 10)
            await a.wait_leading(timeout=1000)
            assert a.statistics().reason == ""


async def test_a_namespace_that_is_not_there_is_named() -> None:
    status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": 'namespaces "default" not found'}
    async with FakeAPIServer() as server:
        server.fail("create leases.v1.coordination.k8s.io", 404, times=3, body=status)
        async with candidate(server, "a") as a:
            await asyncio.sleep(1)
            assert a.statistics().state is ElectionState.REFUSED
            assert 'namespaces "default" not found (is there a namespace default?)' in a.statistics().reason
            await a.wait_leading(timeout=40)


async def test_a_server_that_is_away_is_a_state_and_its_return_is_noticed_soon() -> None:
    async with FakeAPIServer() as server, candidate(server, "a") as a:
        await a.wait_leading()
        async with candidate(server, "b") as b:
            judge = Judge(server, "b")
            judge.fault = Fault(ending=Ending.RESET, after=None, status=503)
            server.close_watches()
            await asyncio.sleep(300)
            assert b.statistics().state is ElectionState.UNREACHABLE
            await a.aclose()
            judge.fault = None
            assert await moment_of(lambda: b.is_leading) <= 6.1


async def test_without_the_right_to_watch_it_looks_every_period() -> None:
    async with FakeAPIServer() as server:
        server.fail("watch leases.v1.coordination.k8s.io", 403, times=None)
        async with led_by_a(server) as (a, b):
            await asyncio.sleep(60)
            assert "the Lease cannot be watched: 403" in b.statistics().reason
            assert verbs_of(server, "b").count("watch") <= 7
            assert b.holder == "a"
            await a.aclose()
            assert await moment_of(lambda: b.is_leading) <= 2.4


async def test_a_watch_that_ends_at_once_every_time_is_no_storm() -> None:
    async with FakeAPIServer() as server:
        server.intercept(lambda r: Fault(ending=Ending.END, after=0) if r.verb == "watch" else None)
        async with led_by_a(server) as (_a, b):
            await asyncio.sleep(60)
            assert len(verbs_of(server, "b")) < 60
            assert not b.is_leading


async def test_a_watch_that_lives_long_and_ends_is_opened_again_at_once() -> None:
    async with FakeAPIServer() as server, led_by_a(server) as (_a, b):
        for _ in range(5):
            await asyncio.sleep(20)
            server.close_watches()
        await asyncio.sleep(0.1)
        assert b.statistics().failures == 0
        assert verbs_of(server, "b") == ["get", "watch"] * 6


async def test_g21_a_deaf_watch_delays_and_deceives_nobody() -> None:
    """The takeover that it leads to is a PUT at the version that was seen: it fails while somebody renews."""
    async with FakeAPIServer() as server, led_by_a(server) as (a, b):
        deaf = Fault(ending=Ending.STALL, after=0)
        server.intercept(lambda r: deaf if r.verb == "watch" and is_of(r, "b") else None)
        server.close_watches()
        await asyncio.sleep(100)
        assert a.is_leading
        assert a.statistics().lost == 0
        assert not b.is_leading


# -- many of them, and whatever happens ---------------------------------------------------------------------------

FAULTS: list[Fault | None] = [
    Fault(ending=Ending.STALL, after=None),
    Fault(ending=Ending.CLOSE, after=None),
    Fault(ending=Ending.RESET, after=20),
    *(Fault(delay=seconds) for seconds in (3, 7, 1000)),
    *(Fault(status=status) for status in (403, 409, 429, 503)),
    Fault(status=500, delay=2),
    Fault(status=200, body=b"{}"),
    *[None] * 4,
]


@pytest.mark.parametrize("seed", range(10))
async def test_g21_whatever_happens_no_two_lead_by_their_own_clocks(seed: int) -> None:
    """Three candidates whose clocks differ by a tenth, faults at random, late deliveries, suspensions, restarts."""
    rng = random.Random(seed)
    async with FakeAPIServer() as server, AsyncExitStack() as stack:
        running: dict[str, LeaderElection] = {}
        clocks = {name: Clock(rate=rng.uniform(0.91, 1.09), shift=rng.uniform(-1e4, 1e4)) for name in "abc"}
        networks = {name: await stack.enter_async_context(LateNetwork(server)) for name in "abc"}
        judges = {name: Judge(server, name) for name in "abc"}
        gains: list[str] = []
        problems: list[str] = []

        def watch(name: str, election: LeaderElection) -> None:
            @election.on_started
            async def alone(term: Term) -> None:
                gains.append(name)
                others = [other for other in running.values() if other is not election and other.is_leading]
                if others:
                    problems.append(f"{name} leads beside {others} at {now()}")
                await asyncio.sleep(1e6)

        async def live(name: str) -> None:
            while True:
                async with candidate(server, name, host=networks[name].url, clock=clocks[name].times) as election:
                    running[name] = election
                    watch(name, election)
                    await asyncio.sleep(rng.uniform(20, 150))

        tasks = [asyncio.create_task(live(name), name=f"life of {name}") for name in "abc"]
        while now() < 400:
            await asyncio.sleep(rng.uniform(0.1, 8))
            assert sum(election.is_leading for election in running.values()) <= 1
            name = rng.choice("abc")
            judges[name].fault = rng.choice(FAULTS)
            late = rng.choice([0.0, 0.0, 0.0, 1.0, 6.0, 20.0])
            networks[name].delay = lambda late=late: late  # type: ignore[misc]
            match rng.randrange(8):
                case 0:
                    server.close_watches()
                case 1:
                    server.reset_connections()
                case 2:
                    clocks[rng.choice("abc")].wall_shift += rng.choice([-30.0, 0.5, 30.0])
        for name in "abc":
            judges[name].fault = None
            networks[name].delay = lambda: 0.0
        await moment_of(lambda: any(election.is_leading for election in running.values()), 120)
        assert gains
        assert not problems
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_g21_times_of_a_lease_are_those_of_the_clock_that_is_given() -> None:
    async with FakeAPIServer() as server:
        clock = LeaseClock(asyncio.get_running_loop().time, lambda: 86_400.5)
        async with candidate(server, "a", clock=clock) as a:
            await a.wait_leading()
            assert spec_of(server)["renewTime"] == "1970-01-02T00:00:00.500000Z"


async def test_g9_certificates_and_tokens_that_change_cost_no_term(tmp_path: Path) -> None:
    """Those of a client that renews itself: its connections apart are renewed with it."""
    authority = Authority()
    path = tmp_path / "config"

    def become(name: str, gate: Gate) -> None:
        certificate, key = authority.issue(name)
        replace(tmp_path / "me.crt", certificate)
        replace(tmp_path / "me.key", key)
        user = {"client-certificate": "me.crt", "client-key": "me.key"}
        more: dict[str, Any] = {"certificate-authority-data": encoded(authority.pem)}
        kubeconfig(path, gate.url, user, **more)

    async with FakeAPIServer() as server, Gate(server.url, authority, tmp_path) as gate:
        become("first", gate)
        async with aioinformers.connect(path) as api, LeaderElection(api, LEASE, namespace="default") as election:
            await election.wait_leading(timeout=5)
            for name in ("second", "third"):
                await asyncio.sleep(20)
                become(name, gate)
            await asyncio.sleep(20)
            assert election.statistics().lost == 0
            assert election.statistics().terms == 1
        clients = [passage.client for passage in gate.passages]
        assert list(dict.fromkeys(clients)) == ["first", "second", "third"]
        assert gate.passages[-1].method == "PUT"
    await asyncio.sleep(1)
