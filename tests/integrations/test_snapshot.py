"""What a program does, in a word and in all its parts."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec
import pytest

from aioinformers import Scope, Settings, SharedInformerFactory
from aioinformers.controllers import Controller, Request
from aioinformers.coordination import LeaderElection
from aioinformers.informer import pipeline_of
from aioinformers.integrations.snapshot import (
    Snapshot,
    Strain,
    Verdict,
    _problems_of_informers,
    snapshot,
    strain_of,
)
from aioinformers.statistics import BusyKey
from aioinformers.testing import Ending, FakeAPIServer, Fault
from aioinformers.types import ObjectKey
from tests.integrations.views import handler, informer
from tests.integrations.views import seen as program
from tests.kit import configmap

pytestmark = pytest.mark.virtual_time


NAME = "configmaps.v1 [as Sized]"


class Data(msgspec.Struct, frozen=True):
    size: Literal["1"]


class Sized(msgspec.Struct, frozen=True):
    data: Data


def word(seen: Snapshot) -> str:
    return f"{seen.verdict.value} {seen.remark}".strip()


async def test_a_programs_life_in_words() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        server.create("configmaps", configmap("a"))
        factory = SharedInformerFactory(api)
        assert word(snapshot(factory)) == "NOT STARTED no informers"
        configmaps = factory.core.v1.configmaps()
        assert word(snapshot(factory)) == "NOT STARTED"
        async with factory:
            server.fail("watch nodes", 503, times=None)
            server.fail("list nodes", 503, times=None)
            factory.core.v1.nodes()
            assert word(snapshot(factory)) == "SYNCING 0 of 2"
            await configmaps.wait_synced(timeout=5)
            seen = snapshot(factory)
            assert word(seen) == "SYNCING 1 of 2"
            assert seen.reason.startswith("nodes.v1: ")
            assert [each.name for each in seen.informers] == ["nodes.v1", "configmaps.v1"], "problems first"
            assert 100 < seen.informers[1].stored_bytes < 1000
        assert word(snapshot(factory)) == "STOPPING"


async def test_an_api_server_that_is_away_is_said_within_seconds() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert word(snapshot(factory)) == "LIVE"
        back = server.intercept(lambda _: Fault(status=503))
        server.reset_connections()
        await asyncio.sleep(15)
        seen = snapshot(factory)
        assert word(seen) == "DEGRADED"
        assert "configmaps.v1: " in seen.reason
        assert "503" in seen.reason
        back()
        await asyncio.sleep(60)
        assert word(snapshot(factory)) == "LIVE"


async def test_informers_whose_loop_has_ended_without_a_shutdown_are_degraded_and_say_why() -> None:
    async with FakeAPIServer() as server:

        async def forgets() -> SharedInformerFactory:
            async with server.api_client() as api:
                factory = SharedInformerFactory(api)
                factory.core.v1.configmaps()
                await factory.start()
                await factory.wait_for_cache_sync(timeout=5)
                assert word(snapshot(factory)) == "LIVE"
                return factory

        factory = await asyncio.to_thread(lambda: asyncio.run(forgets()))
        seen = snapshot(factory)
        (view,), (problem,) = seen.informers, seen.problems
        assert (word(seen), view.verdict, seen.reason) == ("DEGRADED", Verdict.DEGRADED, "configmaps.v1: closed")
        assert (problem.where, problem.what, problem.is_severe) == ("configmaps.v1", "has ended: closed", True)
        assert "event loop has ended" in problem.advice.text


async def test_silence_beyond_the_time_of_a_watch_is_stale() -> None:
    """Of a quiet resource a server may say nothing until the watch ends, which is nothing to worry about."""
    async with FakeAPIServer(bookmark_interval=10_000) as server, server.api_client() as api:
        settings = Settings(watch_timeout_min=100, watch_timeout_max=200)
        async with SharedInformerFactory(api, settings=settings) as factory:
            configmaps = factory.core.v1.configmaps()
            await factory.start()
            await factory.wait_for_cache_sync(timeout=5)
            await asyncio.sleep(90)
            assert word(snapshot(factory)) == "LIVE"
            pipeline_of(configmaps).following.reflectors[Scope()]._liveness._last_read = (
                asyncio.get_running_loop().time() - 261
            )
            assert word(snapshot(factory)) == "STALE 261 s"


async def test_a_bug_is_the_first_thing_to_be_said(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        configmaps = factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        def bug(item: object) -> bool:
            raise AssertionError("injected")

        pipeline_of(configmaps).dispatcher.offer = bug  # type: ignore[method-assign]
        server.create("configmaps", configmap("a"))
        await asyncio.sleep(1)
        seen = snapshot(factory)
        assert word(seen) == "FAILED"
        assert "injected" in seen.reason


async def test_tasks_that_others_cancel_are_counted_for_a_minute() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for _ in range(2):
            for task in asyncio.all_tasks():
                if "reflector" in task.get_name():
                    task.cancel()
            await asyncio.sleep(1)
        assert snapshot(factory).informers[0].health.restarts == 2
        await asyncio.sleep(61)
        assert snapshot(factory).informers[0].health.restarts == 0


async def test_what_is_wrong_comes_with_what_to_do_and_where_to_read_on() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        server.fail("* secrets", 403, times=None)
        factory.core.v1.secrets(optional=True)
        widgets = factory.core.v1.configmaps(object_type=Sized)
        server.create("configmaps", configmap("a", size="no number"))
        held = asyncio.Event()

        async def handle(event: object) -> None:
            await held.wait()

        widgets.add_event_handler(handle, name="hangs", limit=2)
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)  # until what nobody waits for has been refused, too
        seen = snapshot(factory)
        assert word(seen) == "LIVE"
        views = {each.name: each for each in seen.informers}
        assert views["secrets.v1"].verdict is Verdict.SYNCING
        problems = {each.where: each for each in seen.problems}
        assert "Grant list and watch" in problems["secrets.v1"].advice.text
        assert problems[NAME].what == "1 object cannot be read"
        for number in range(4):
            server.create("configmaps", configmap(f"b-{number}", size="1"))
        await asyncio.sleep(5)
        problems = {each.where: each for each in snapshot(factory).problems}
        assert problems[f"{NAME}: hangs"].advice.page == "handlers.md#backlog"
        held.set()
        await asyncio.sleep(1)
        held.clear()
        server.create("configmaps", configmap("c", size="1"))
        await asyncio.sleep(31)
        problems = {each.where: each for each in snapshot(factory).problems}
        assert problems[f"{NAME}: hangs"].what == "one event has been inside it for 31 s"
        assert not any(each.is_severe for each in problems.values())
        server.fail("* configmaps", 503, times=None)
        server.reset_connections()
        await asyncio.sleep(5)
        first = snapshot(factory).problems[0]
        assert (first.where, first.is_severe) == (NAME, True)
        assert [each.name for each in snapshot(factory).informers] == [NAME, "secrets.v1"]
        held.set()


async def test_a_controller_whose_objects_fail_is_a_problem_and_red_while_nothing_succeeds() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        broken = {"a", "b", "c"}

        async def reconcile(request: Request[Any]) -> None:
            if request.key.name in broken:
                raise ValueError("injected")

        for name in broken:
            server.create("configmaps", configmap(name))
        sites = Controller(factory.core.v1.configmaps(), name="sites", reconcile=reconcile)
        async with sites.running():
            await asyncio.sleep(0.05)
            seen = snapshot(factory, [sites])
            (problem,) = seen.problems
            assert word(seen) == "LIVE with 1 severe problem"
            assert (problem.where, problem.is_severe) == ("controller sites", True)
            assert problem.what.startswith("3 objects fail, and none of ")
            assert "injected" not in problem.what
            broken -= {"a", "b"}
            await asyncio.sleep(10)
            seen = snapshot(factory, [sites])
            (problem,) = seen.problems
            assert (word(seen), problem.what, problem.is_severe) == ("LIVE", "1 object fails", False)
            broken.clear()
            server.update("configmaps", configmap("c", data="new"))
            await asyncio.sleep(10)
            assert snapshot(factory, [sites]).problems == ()


@pytest.mark.parametrize(
    ("handled", "failed", "found"),
    [
        (0, 0, []),
        (0, 1, [("1 of its 1 events have failed", False)]),
        (0, 3, [("all of its 3 events have failed", True)]),
        (4, 5, [("5 of its 9 events have failed", False)]),
        (6, 5, []),
    ],
)
def test_a_handler_that_fails_is_a_problem_unless_most_succeed(
    handled: int, failed: int, found: list[tuple[str, bool]]
) -> None:
    shown = program(informer(notify=handler(handled=handled, failed=failed)))
    problems = list(_problems_of_informers(shown.factories))
    assert [(each.what, each.is_severe) for each in problems] == found
    assert all(each.where == "pods.v1: notify" for each in problems)


async def test_an_election_that_is_refused_is_red_and_asks_for_a_role() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for status, words in ((403, "may not get, create, update and watch the Lease"), (401, "its credentials")):
            back = server.fail("* leases", status, times=None)
            async with LeaderElection(api, "sites", namespace="ops") as election:
                await asyncio.sleep(5)
                seen = snapshot(factory, elections=[election])
            (problem,) = seen.problems
            assert word(seen) == "LIVE with 1 severe problem"
            assert (problem.where, problem.is_severe) == ("election ops/sites", True)
            assert words in problem.advice.text
            back()


async def test_nobody_is_told_of_a_last_state_that_there_is_not() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        server.create("configmaps", configmap("a"))
        factory.core.v1.configmaps()
        back = server.intercept(lambda _: Fault(ending=Ending.RESET))
        await factory.start()
        await asyncio.sleep(5)
        (problem,) = snapshot(factory).problems
        assert problem.advice.text.startswith("It has not got the whole state yet")
        back()
        await factory.wait_for_cache_sync(timeout=60)
        server.intercept(lambda _: Fault(ending=Ending.RESET))
        server.reset_connections()
        await asyncio.sleep(15)
        (problem,) = snapshot(factory).problems
        assert problem.advice.text.startswith("Reads are answered from the last state")


async def test_how_long_an_informer_has_been_so_is_told_across_watches() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        factory.core.v1.configmaps(indexers={"size": "data.size"})
        server.create("configmaps", configmap("a", size="1"))
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(50)
        server.create("configmaps", configmap("b", size="1"))
        await asyncio.sleep(1)
        server.close_watches()
        await asyncio.sleep(50)
        (view,) = snapshot(factory).informers
        assert view.verdict is Verdict.LIVE
        assert view.lasts == pytest.approx(101, abs=2)
        assert dict(view.indexes) == {"namespace": 1, "size": 1}
        back = server.intercept(lambda _: Fault(status=503))
        server.reset_connections()
        await asyncio.sleep(20)
        (view,) = snapshot(factory).informers
        assert view.verdict is Verdict.DEGRADED
        assert view.lasts == pytest.approx(20, abs=2)
        assert not view.lasts_longer
        await asyncio.sleep(3600)
        (view,) = snapshot(factory).informers
        assert view.lasts_longer, "its timeline has an end"
        back()
        await asyncio.sleep(60)
        (view,) = snapshot(factory).informers
        assert view.verdict is Verdict.LIVE
        assert view.lasts is not None
        assert view.lasts < 61
    (view,) = snapshot(factory).informers
    assert view.verdict is Verdict.STOPPING


async def test_the_size_of_a_cache_follows_its_number_of_objects() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        factory.core.v1.configmaps()
        await factory.wait_for_cache_sync(timeout=5)
        assert snapshot(factory).informers[0].stored_bytes == 0
        for number in range(10):
            server.create("configmaps", configmap(f"a-{number}", data="x" * 1000))
        await asyncio.sleep(1)
        ten = snapshot(factory).informers[0].stored_bytes
        assert 10_000 < ten < 20_000
        for number in range(5):
            server.create("configmaps", configmap(f"b-{number}", data="x" * 1000))
        await asyncio.sleep(1)
        assert snapshot(factory).informers[0].stored_bytes == ten * 15 // 10, "without looking at them"


@pytest.mark.parametrize(
    ("given", "strain"),
    [
        ({}, Strain.NONE),
        ({"queued": 512}, Strain.NONE),
        ({"queued": 513}, Strain.BEHIND),
        ({"queued": 1024}, Strain.FULL),
        ({"queued": 9999, "limit": None}, Strain.NONE),
        ({"busy_keys": (BusyKey(ObjectKey("", "a"), 4.9),)}, Strain.NONE),
        ({"busy_keys": (BusyKey(ObjectKey("", "a"), 5.0),)}, Strain.SLOW),
        ({"busy_keys": (BusyKey(ObjectKey("", "a"), 30.0),), "queued": 513}, Strain.STUCK),
    ],
)
async def test_how_a_handler_copes(given: dict[str, Any], strain: Strain) -> None:
    assert strain_of(handler(**given)) is strain


async def test_since_when_the_process_runs_is_known() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        assert 0 < snapshot(SharedInformerFactory(api)).uptime < 100_000


async def test_factories_of_one_name_are_told_apart() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        one, two = SharedInformerFactory(api), SharedInformerFactory(api)
        shown = snapshot([two, one])
        first, second = (each.number for each in shown.factories)
        assert first < second
        assert [each.name for each in shown.factories] == ["factory", f"factory #{second}"]
