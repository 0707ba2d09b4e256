"""When no call may begin any more, and that calls go on otherwise: the end, a term's end, tasks that are cancelled."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers.controllers import Controller, Request, Requeue
from aioinformers.coordination import LeaderElection, LeaseClock
from aioinformers.testing import FakeAPIServer, Fault, RequestInfo
from tests.controllers.worlds import Document, now, world
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("outcome", ["requeue", "failure"])
async def test_a_call_that_ends_in_the_grace_is_the_last_one(outcome: str) -> None:
    async with world("a") as (_, factory, configmaps):
        controller, times = Controller(configmaps, backoff=lambda _failures: 0.5), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue:
            times.append(now())
            await asyncio.sleep(1)
            if outcome == "failure":
                raise ValueError
            return Requeue(after=1)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(0.5)
        assert (times, now()) == ([0], 1)
        assert controller.statistics().queue.lost == 0


async def test_g19_an_end_before_the_barrier_is_passed_begins_no_call_and_gives_the_lease_back() -> None:
    async with world("a") as (server, factory, configmaps), server.api_client() as api:
        controller, keys = Controller(configmaps), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            keys.append(str(request.key))

        def slow(asked: RequestInfo) -> Fault | None:
            return Fault(delay=3) if asked.query.get("limit") == "1" else None

        await factory.start()
        await factory.wait_for_cache_sync()
        server.intercept(slow)
        async with controller.running(election=LeaderElection(api, "e", namespace="default")):
            await asyncio.sleep(1)
        assert (keys, now()) == ([], 1)
        assert server.get("leases", "e", namespace="default")["spec"]["holderIdentity"] == ""


async def test_g19_who_waits_at_the_barrier_says_for_what(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a") as (server, factory, configmaps), server.api_client() as api:
        controller = Controller(configmaps)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        await factory.start()
        await factory.wait_for_cache_sync()
        server.intercept(lambda asked: Fault(status=403) if asked.verb == "list" else None)
        async with controller.running(election=LeaderElection(api, "e", namespace="default")):
            await asyncio.sleep(11)
            assert controller.statistics().succeeded == 0
        assert "configmaps: waits for configmaps.v1 [as dict] (403: " in caplog.text


async def test_g21_no_call_begins_when_the_term_is_over_although_its_end_is_not_seen_yet() -> None:
    """As after a call that has blocked the loop until then."""
    async with FakeAPIServer() as server, factory_on(server) as factory, server.api_client() as api:
        for name in "abc":
            server.create("configmaps", configmap(name))
        late = 0.0
        clock = LeaseClock(lambda: now() + late, lambda: now() + late)
        election = LeaderElection(api, "e", namespace="default", clock=clock)
        controller, calls = Controller(factory.for_resource("configmaps.v1."), concurrency=1), list[tuple[str, bool]]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            nonlocal late
            calls.append((request.key.name, election.is_leading))
            late += 60 if len(calls) == 1 else 0

        await factory.start()
        async with controller.running(election=election):
            await asyncio.sleep(60)
        assert calls == [("a", True), ("b", True), ("c", True)]
        assert election.statistics().lost == 1


@pytest.mark.parametrize("is_swallowed", [True, False])
async def test_g18_a_call_that_cancels_its_own_task_ends_no_worker(
    is_swallowed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with world("a", "b", "c") as (server, factory, configmaps):
        controller, calls = Controller(configmaps, concurrency=2, backoff=lambda _failures: 2.0), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            calls.append(now())
            if request.object.get("data", {}).get("v") == "2":
                return
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                if not is_swallowed:
                    raise

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            assert calls == [0, 0, 0]
            for name in "abc":
                server.patch("configmaps", name, {"data": {"v": "2"}}, namespace="default")
            await asyncio.sleep(4)
            assert calls == [0, 0, 0, 1, 1, 1]
            assert controller.failing() == {}
            assert repr(controller) == "<Controller configmaps, running>"
        assert "a call or a stranger has cancelled its task; another goes on" in caplog.text


async def test_g18_a_worker_that_a_stranger_cancels_is_replaced() -> None:
    async with world("a") as (_, factory, configmaps):
        controller, calls = Controller(configmaps, concurrency=1), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            calls.append(now())

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            (worker,) = [task for task in asyncio.all_tasks() if task.get_name() == "configmaps 0"]
            worker.cancel()
            await asyncio.sleep(1)
            controller.trigger("default/a")
            await asyncio.sleep(1)
        assert calls == [0, 2]


async def test_a_call_that_refuses_to_end_is_named_and_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a") as (_, factory, configmaps):
        controller, may_end = Controller(configmaps), asyncio.Event()

        @controller.reconcile
        async def refuse(request: Request[Document]) -> None:
            while not may_end.is_set():
                try:
                    await may_end.wait()
                except asyncio.CancelledError:
                    continue

        await factory.start()
        async with controller.running(grace=2):
            await asyncio.sleep(1)
        assert now() < 10
        assert "configmaps: calls refuse to end, and are left behind: default/a (" in caplog.text
        may_end.set()
        await controller.wait_closed()
