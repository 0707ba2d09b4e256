"""A ten-minute outage to the instant, and what an outage must not do."""

from __future__ import annotations

import asyncio
import dataclasses
import random

import pytest

from aioinformers import Settings, WatchFailure
from aioinformers.testing import FakeAPIServer
from tests.kit import LISTS, QUICK, Recorder, cached, configmap, factory_on, stored

pytestmark = pytest.mark.virtual_time

NAMES = ("configmaps", "secrets", "services")
DOUBLING = [0.8, 1.6, 3.2, 6.4, 12.8, 25.6]


@pytest.mark.parametrize("watch_list", [True, False], ids=["streaming", "listing"])
async def test_g9_ten_minute_outage_to_the_instant(watch_list: bool) -> None:
    """Delays grow, stay at the cap and never start over; afterwards each informer lists once."""
    loop = asyncio.get_running_loop()
    failures: list[tuple[float, WatchFailure]] = []

    def note(failure: WatchFailure) -> None:
        failures.append((loop.time(), failure))

    settings = dataclasses.replace(QUICK, watch_list=watch_list)
    async with FakeAPIServer() as server, factory_on(server, settings=settings, on_watch_error=note) as factory:
        server.create("configmaps", configmap("before"))
        informers = [factory.for_resource(f"{name}.v1.") for name in NAMES]
        recorder = Recorder()
        informers[0].add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        await asyncio.sleep(100 - loop.time())
        await server.stop()
        asked = len(server.requests)
        server.create("configmaps", configmap("during"))
        server.delete("configmaps", "before")
        server.expire()
        await asyncio.sleep(700 - loop.time())

        assert len(server.requests) == asked
        expected, now = [], 100.0
        for delay in [*DOUBLING, *[30.0] * 40]:
            now = round(now + delay, 9)
            expected.append(now)
        first = [time for time, failure in failures if failure.resource.resource == "configmaps"]
        # The stream breaks, the next try is refused: the delays follow from the first of these.
        assert [round(time, 6) for time in first] == [100.0, *(time for time in expected if time < 700)]
        mine = [failure for _, failure in failures if failure.resource.resource == "configmaps"]
        assert [failure.next_delay for failure in mine] == [*DOUBLING, *[30.0] * (len(mine) - 6)]
        assert [failure.attempt for failure in mine] == list(range(1, len(mine) + 1))
        for informer in informers:
            assert "cannot connect" in informer.health().reason
            assert informer.has_synced

        await server.start()
        await asyncio.sleep(30)
        lists = [r for r in server.requests[asked:] if "sendInitialEvents" in r.query or r.verb == "list"]
        lists = [r for r in lists if r.query.get("limit") != "1"]  # nothing had happened: the version is checked first
        assert sorted(r.path for r in lists) == [f"/api/v1/{name}" for name in sorted(NAMES)]
        # The first try after the outage is refused, and the list follows within that instant.
        back = next(time for time in expected if time > 700)
        assert [round(r.time, 6) for r in lists if r.resource == "configmaps"] == [back]
        assert cached(informers[0]) == stored(server, "configmaps")
        assert recorder.kinds() == ["Added before", "Deleted before", "Added during"]
        assert all(informer.health().reason == "" for informer in informers)


class MostJitter(random.Random):
    """Jitter that always lengthens a delay as far as it can."""

    def random(self) -> float:
        return 1.0 - 1e-12


@pytest.mark.parametrize("quiet", [5, 70], ids=["before any health", "after a healthy watch"])
@pytest.mark.parametrize("watch_list", [True, False], ids=["streaming", "listing"])
async def test_g9_recovery_takes_one_delay_at_its_longest_and_a_round_of_requests(
    watch_list: bool, quiet: float
) -> None:
    """Whenever the server comes back, and although it has forgotten all old versions: 30 s, doubled by jitter."""
    loop = asyncio.get_running_loop()
    settings = Settings(watch_list=watch_list)
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        factory._source.random = MostJitter()
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        await asyncio.sleep(quiet)
        for outage in (400, 417, 433, 455):
            await server.stop()
            server.create("configmaps", configmap(f"during-{outage}"))
            server.expire()
            await asyncio.sleep(outage)
            await server.start()
            back = loop.time()
            while cached(configmaps) != stored(server, "configmaps"):
                await asyncio.sleep(0.1)
                assert loop.time() - back < 60 + 3.5
            await asyncio.sleep(70)
            assert not configmaps.health().reason


async def test_g9_server_that_refuses_every_watch_is_listed_at_once_and_then_ever_more_rarely() -> None:
    """A 410 for each watch: what was just listed is no use to the server, so lists must not become a habit."""
    status = {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired"}
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        server.create("configmaps", configmap("c"))
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        await asyncio.sleep(100)
        asked = len(server.requests)
        server.fail("watch configmaps", 410, times=None, body=status)
        server.create("configmaps", configmap("d"))
        await asyncio.sleep(0)
        server.close_watches()
        await asyncio.sleep(200)
        times = [round(r.time - 100, 2) for r in server.requests[asked:] if r.verb == "list"]
        expected = [0.0]
        for delay in [*DOUBLING, *[30.0] * 5]:
            expected.append(round(expected[-1] + delay, 2))
        assert times == [time for time in expected if time < 200]
        assert "410" in configmaps.health().reason


async def test_g9_outage_that_forgets_nothing_costs_no_list() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        informers = [factory.for_resource(f"{name}.v1.") for name in NAMES]
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        for name in ("configmaps", "secrets", "services"):
            server.create(name, {"metadata": {"name": "n", "namespace": "default"}})
        await asyncio.sleep(5)
        await server.stop()
        server.create("configmaps", configmap("during"))
        await asyncio.sleep(600)
        await server.start()
        await asyncio.sleep(31)
        assert [informer.statistics().lists for informer in informers] == [1, 1, 1]
        assert not [r for r in server.requests if r.verb == "list"]
        assert cached(informers[0]) == stored(server, "configmaps")


async def test_g1_etcd_restored_from_a_backup_is_noticed_without_an_event() -> None:
    """A watch from a version of the future is told nothing: its end asks for one object, and that is refused."""
    settings = dataclasses.replace(QUICK, watch_timeout_min=300, watch_timeout_max=300)
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        server.create("configmaps", configmap("old"))
        backup = server.backup()
        configmaps = factory.for_resource("configmaps.v1.")
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        for number in range(50):
            server.create("configmaps", configmap(f"lost-{number}"))
        await asyncio.sleep(2)
        server.restore(backup)
        asked = len(server.requests)
        await asyncio.sleep(290)
        assert len(configmaps.lister) == 51, "nothing has said so yet"
        await asyncio.sleep(15)
        assert cached(configmaps) == stored(server, "configmaps")
        assert {kind.split()[0] for kind in recorder.kinds()[51:]} == {"Deleted"}
        assert recorder.problems == []
        verbs = [(r.verb, r.query.get("limit", ""), "sendInitialEvents" in r.query) for r in server.requests[asked:]]
        assert verbs == [("watch", "", False), ("list", "1", False), ("watch", "", True)]


async def test_quiet_resource_costs_one_small_request_per_watch() -> None:
    settings = dataclasses.replace(QUICK, watch_timeout_min=300, watch_timeout_max=300)
    async with FakeAPIServer(bookmark_interval=10_000) as server, factory_on(server, settings=settings) as factory:
        server.intercept(lambda request: None)
        for number in range(20):
            server.create("configmaps", configmap(f"c{number}"))
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        await asyncio.sleep(3000)
        assert configmaps.statistics().lists == 1
        assert len(server.requests) <= 2 * 11
        assert configmaps.health().reason == ""
