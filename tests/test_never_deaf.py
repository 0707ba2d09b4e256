"""G9: whatever falls silent is noticed within a stated bound, and the informer says so."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

import pytest

from aioinformers import Settings, WatchFailure
from aioinformers.testing import Ending, FakeAPIServer, Fault, RequestInfo, drop_bookmarks
from tests.kit import LISTS, QUICK, configmap, factory_on, synced

pytestmark = pytest.mark.virtual_time

SILENT = Fault(ending=Ending.STALL, after=0)
HANGING = Fault(ending=Ending.STALL, after=None)


class Watchman:
    """Notes when an informer notices that something is wrong."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, str]] = []

    def __call__(self, failure: WatchFailure) -> None:
        self.seen.append((asyncio.get_running_loop().time(), str(failure.error)))

    def first(self, words: str) -> float:
        return next(time for time, said in self.seen if words in said)


def once(kind: str, fault: Fault) -> Callable[[RequestInfo], Fault | None]:
    """Let the first request of a kind fail: list, stream or watch."""
    left = [fault]

    def interceptor(request: RequestInfo) -> Fault | None:
        found = "stream" if "sendInitialEvents" in request.query else request.verb
        return left.pop() if found == kind and left else None

    return interceptor


async def test_g9_watch_that_has_shown_a_bookmark_is_noticed_75_seconds_after_its_last_byte() -> None:
    loop, watchman, last = asyncio.get_running_loop(), Watchman(), list[float]()

    def mute(data: bytes) -> bytes:
        """Let nothing through after the second bookmark."""
        if len(last) == 2:
            return b""
        if b'"type":"BOOKMARK"' in data and b"initial-events-end" not in data:
            last.append(loop.time())
        return data

    async with FakeAPIServer() as server, factory_on(server, on_watch_error=watchman) as factory:
        server.intercept(once("stream", Fault(rewrite=mute)))
        configmaps = await synced(factory)
        server.create("configmaps", configmap("c"))  # without news there are no bookmarks
        await asyncio.sleep(400)
        assert watchman.first("the watch was silent for 75 s") == pytest.approx(last[1] + 75, abs=0.01)
        assert configmaps.is_watching


@pytest.mark.parametrize("fault", [SILENT, Fault(ending=Ending.STALL, after=40)], ids=["no byte", "half a line"])
async def test_g9_watch_without_bookmarks_is_noticed_half_a_minute_after_its_time(fault: Fault) -> None:
    watchman = Watchman()
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS, on_watch_error=watchman) as factory:
        server.intercept(once("watch", fault))
        configmaps = await synced(factory)
        await asyncio.sleep(1)
        server.create("configmaps", configmap("c"))
        (watch,) = (request for request in server.requests if request.verb == "watch")
        await asyncio.sleep(700)
        bound = int(watch.query["timeoutSeconds"]) + 30
        assert watchman.first(f"the watch was silent for {bound} s") <= watch.time + bound + 1.1
        assert len(configmaps.lister) == 1


@pytest.mark.parametrize(
    ("fault", "seconds", "says"),
    [
        (HANGING, 15, "no answer within 15 s"),
        (SILENT, 15, "the stream of initial objects was silent for 15 s"),
        (Fault(rewrite=drop_bookmarks), 60, "the stream of initial objects was silent for 60 s"),
        (Fault(ending=Ending.STALL, after=300), 15, "the stream of initial objects was silent for"),
    ],
    ids=["no headers", "no byte", "no end", "half a line"],
)
async def test_g9_stream_of_initial_objects_that_never_ends_is_replaced_by_a_list(
    fault: Fault, seconds: float, says: str
) -> None:
    watchman = Watchman()
    async with FakeAPIServer() as server, factory_on(server, on_watch_error=watchman) as factory:
        for number in range(3):
            server.create("configmaps", configmap(f"c{number}"))
        server.intercept(once("stream", fault))
        configmaps = await synced(factory)
        noticed = watchman.first(says)
        assert seconds <= noticed <= 60.1
        assert asyncio.get_running_loop().time() == pytest.approx(noticed, abs=0.2), "the list follows at once"
        assert len(configmaps.lister) == 3


async def test_g9_stream_of_initial_objects_that_only_trickles_is_given_up_after_the_time_of_a_list() -> None:
    """Also where the server does not end it: a byte now and then is no end."""
    watchman, settings = Watchman(), dataclasses.replace(QUICK, list_timeout=100.0)
    loop = asyncio.get_running_loop()
    async with (
        FakeAPIServer() as server,
        factory_on(server, settings=settings, on_watch_error=watchman) as factory,
    ):
        server.create("configmaps", configmap("busy"))
        server.intercept(once("stream", Fault(rewrite=drop_bookmarks)))
        for number in range(40):
            loop.call_later(5 * number, server.patch, "configmaps", "busy", {"data": {"n": str(number)}})
        configmaps = await synced(factory)
        assert watchman.first("not marked within 100 s") == pytest.approx(100, abs=0.1)
        assert configmaps.has_synced


@pytest.mark.parametrize(
    ("fault", "says"),
    [(HANGING, "no answer within 30 s"), (SILENT, "the list was silent for 30 s")],
    ids=["no headers", "no byte"],
)
async def test_g9_silent_list_is_noticed_after_half_a_minute(fault: Fault, says: str) -> None:
    watchman = Watchman()
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS, on_watch_error=watchman) as factory:
        server.intercept(once("list", fault))
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await asyncio.sleep(29)
        assert not configmaps.has_synced
        assert "listing" in configmaps.health().reason
        await factory.wait_for_cache_sync(timeout=10)
        assert watchman.first(says) == pytest.approx(30, abs=0.1)


async def test_g9_list_that_trickles_for_ever_is_given_up() -> None:
    watchman, settings = Watchman(), dataclasses.replace(LISTS, list_timeout=60.0, page_size=1)
    async with (
        FakeAPIServer(watch_cache=False) as server,
        factory_on(server, settings=settings, on_watch_error=watchman) as factory,
    ):
        for number in range(9):
            server.create("configmaps", configmap(f"c{number}"))
        slow = server.intercept(lambda request: Fault(delay=20) if request.verb == "list" else None)
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await asyncio.sleep(61)
        assert watchman.first("the list was not done within 60 s") == pytest.approx(60, abs=0.1)
        assert "not done within 60 s" in configmaps.health().reason
        slow()
        await factory.wait_for_cache_sync(timeout=40)


async def test_g9_being_live_is_another_thing_than_being_synced() -> None:
    """``is_live``, ``last_activity`` and ``health()`` follow the server's bytes, not the cache."""
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        assert configmaps.last_activity is None
        assert not configmaps.is_live(1_000_000)
        assert configmaps.health().reason == "not started"
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        server.create("configmaps", configmap("c"))  # without news there are no bookmarks
        await asyncio.sleep(0.1)
        begin = configmaps.last_activity
        assert begin is not None
        await asyncio.sleep(50)
        assert configmaps.last_activity == begin
        assert configmaps.is_live(51)
        assert not configmaps.is_live(49)
        await asyncio.sleep(15)  # a bookmark has come
        assert configmaps.is_live(6)
        assert loop.time() - (configmaps.health().silent_for or 0) == pytest.approx(configmaps.last_activity)

        await server.stop()
        await asyncio.sleep(300)
        health = configmaps.health()
        assert (health.has_synced, configmaps.is_live(200)) == (True, False)
        assert health.silent_for is not None
        assert health.silent_for > 290
        assert "cannot connect" in health.reason
        assert "cannot connect" in str(configmaps.last_error)
        await server.start()
        await asyncio.sleep(31)
        assert configmaps.is_live(31)
        assert (configmaps.health().reason, configmaps.last_error) == ("", None)


async def test_g9_most_silent_scope_decides() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.", namespace=["default", "other"])
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        await asyncio.sleep(30)
        server.create("configmaps", configmap("c", "other"))
        await asyncio.sleep(1)
        assert not configmaps.is_live(20), "default has not been heard of"
        server.create("configmaps", configmap("c", "default"))
        await asyncio.sleep(1)
        assert configmaps.is_live(20)


@pytest.mark.parametrize("has_news", [True, False], ids=["bookmarks alone", "nothing at all"])
async def test_g9_quiet_server_is_never_suspected(has_news: bool) -> None:
    """For half an hour nothing but bookmarks, or not even these, and watches that end when they were asked to.

    Bookmarks come for news of other namespaces; who hears of none at all is heard of when its watch ends.
    """
    watchman = Watchman()
    async with FakeAPIServer() as server, factory_on(server, on_watch_error=watchman, namespace="default") as factory:
        configmaps = await synced(factory)
        seen = configmaps.last_activity
        for second in range(1800):
            if has_news and second % 10 == 0:
                server.create("configmaps", configmap(f"c{second}", "elsewhere"))
            await asyncio.sleep(1)
            assert configmaps.is_live(75 if has_news else 601)
        assert watchman.seen == []
        assert configmaps.last_activity != seen
        assert configmaps.statistics().lists == 1


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_g9_reason_of_an_optional_informer_names_what_it_waits_for(status: int) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.intercept(lambda request: Fault(status=status))
        configmaps = factory.for_resource("configmaps.v1.", optional=True)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=1)
        for _ in range(120):
            await asyncio.sleep(1)
            assert str(status) in configmaps.health().reason
        server.faults.clear()
        await asyncio.sleep(61)
        assert configmaps.health().reason == ""


# -- servers of API groups that hang ------------------------------------------------------------------------------

HANGS = {
    "before the headers": HANGING,
    "after the headers": SILENT,
    "in the middle": Fault(ending=Ending.STALL, after=120),
}


@pytest.mark.parametrize("settings", [QUICK, LISTS], ids=["streaming", "listing"])
@pytest.mark.parametrize("hang", HANGS)
async def test_g9_hanging_api_group_delays_nobody_else(hang: str, settings: Settings) -> None:
    """Twenty of its kinds are wanted first. Others have their first sync at once, and it says what it waits for."""
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        hanging = []
        for number in range(20):
            resource = f"w{number:02}s.v1.hang.example.com"
            server.add_resource(resource, "W")
            server.create(resource, {"metadata": {"name": "w"}})
            hanging.append(factory.for_resource(resource, optional=True))
        server.intercept(lambda request: HANGS[hang] if "hang.example.com" in request.path else None)
        maps, pods = factory.for_resource("configmaps.v1."), factory.core.v1.pods()
        await factory.start()
        await maps.wait_synced(timeout=5)
        await pods.wait_synced(timeout=5)
        assert loop.time() < 0.1
        reasons = [informer.health().reason for informer in hanging]
        doing = "streaming" if settings.watch_list else "listing"
        queued = "waiting for its turn to list, behind w00s.v1.hang.example.com, w01s.v1.hang.example.com, "
        assert reasons[:4] == [doing] * 3 + [f"{queued}w02s.v1.hang.example.com"]
        await asyncio.sleep(3.5)
        assert hanging[0].health().reason.startswith(f"{doing}, nothing from the server for ")
        await asyncio.sleep(6.5)
        assert all(doing in informer.health().reason for informer in hanging), "each of them has asked"
        for kind in ("secrets.v1.", "services.v1.", "deployments.v1.apps", "jobs.v1.batch", "nodes.v1."):
            begin = loop.time()
            await factory.for_resource(kind).wait_synced(timeout=5)
            assert loop.time() - begin < 1.1
        server.faults.clear()
        server.reset_connections()
        await asyncio.sleep(61)
        assert {each.reason for each in factory.health().informers} == {""}


async def test_g9_many_hanging_groups_delay_others_by_a_second() -> None:
    """However many there are: each group gets a turn in turn, and loses it when its server does not answer."""
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.intercept(lambda request: HANGING if "hang.example.com" in request.path else None)
        for group in range(6):
            for number in range(5):
                resource = f"w{number}s.v1.g{group}.hang.example.com"
                server.add_resource(resource, "W")
                factory.for_resource(resource, optional=True)
        pods = factory.core.v1.pods()
        await factory.start()
        await pods.wait_synced(timeout=10)
        assert loop.time() <= 2.1


async def test_g9_lists_are_staggered_and_few_are_under_way_where_the_server_answers() -> None:
    """Also when many informers start at once, or come back together after an outage."""
    under_way = most = 0
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:

        async def slow(request: RequestInfo) -> None:
            nonlocal under_way, most
            if request.verb == "list" and request.query.get("limit") != "1":  # which only checks a version
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0.5)
                under_way -= 1

        server.intercept(slow)
        for number in range(12):
            for group in ("a", "b", "c"):
                server.add_resource(f"w{number}s.v1.{group}.example.com", "W")
                factory.for_resource(f"w{number}s.v1.{group}.example.com")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        assert most == 4
        server.expire()
        server.reset_connections()
        await asyncio.sleep(61)
        assert most == 4
        assert {each.reason for each in factory.health().informers} == {""}
