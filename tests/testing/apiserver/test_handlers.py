"""Each verb of the HTTP API on its socket; what it answers, the conformance suite compares with a real server."""

from __future__ import annotations

import asyncio
import gzip

import aiohttp

from aioinformers.sharding import hash_field, shard_selector
from aioinformers.testing import FakeAPIServer
from tests.conformance.rest import Rest
from tests.conformance.test_objects import failure
from tests.testing.apiserver.requests import (
    PODS,
    in_virtual_time,
    read,
    some_turns,
    timeline,
    wait_for_watch,
)


def test_bookmarks_and_the_end_in_virtual_time() -> None:
    """Bookmarks every minute and 2 s before the end, each at its exact instant."""

    async def scenario(server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
        server.create("pods", {"metadata": {"name": "a"}})
        query = {"watch": "1", "resourceVersion": "1", "timeoutSeconds": "150", "allowWatchBookmarks": "true"}
        async with http.get(server.url + PODS, params=query) as response:
            assert await timeline(response) == [
                (0.0, "ADDED"), (60.0, "BOOKMARK"), (120.0, "BOOKMARK"), (148.0, "BOOKMARK"), (150.0, "END"),
            ]  # fmt: skip

    in_virtual_time(scenario)


def test_a_bookmark_needs_news_of_the_resource_since_the_watch_began() -> None:
    """Of the resource, not of what the watch selects; or a read of the most recent state, which makes it known."""

    async def scenario(server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        query = {"watch": "1", "resourceVersion": "1", "timeoutSeconds": "400", "allowWatchBookmarks": "true"}
        url = f"{server.url}/api/v1/namespaces/watched/pods"
        loop.call_later(70, server.create, "nodes", {"metadata": {"name": "n"}})
        loop.call_later(190, server.create, "pods", {"metadata": {"name": "a", "namespace": "elsewhere"}})
        async with http.get(url, params=query) as response:
            assert await timeline(response) == [
                (240.0, "BOOKMARK"), (300.0, "BOOKMARK"), (360.0, "BOOKMARK"), (398.0, "BOOKMARK"), (400.0, "END"),
            ]  # fmt: skip
        query |= {"resourceVersion": server.resource_version, "timeoutSeconds": "130"}
        server.create("nodes", {"metadata": {"name": "m"}})
        for version, bookmarks in (("0", 0), ("", 3)):
            async with http.get(url, params=query) as response:
                await (await http.get(url, params={"resourceVersion": version})).read()
                assert len(await timeline(response)) == bookmarks + 1

    in_virtual_time(scenario)


def test_the_server_ends_watches_that_set_no_time() -> None:
    """After watch_timeout; bookmark_interval is a switch too."""

    async def scenario(server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
        server.create("pods", {"metadata": {"name": "a"}})
        query = {"watch": "1", "resourceVersion": "1", "allowWatchBookmarks": "true"}
        async with http.get(server.url + PODS, params=query) as response:
            assert await timeline(response) == [
                (0.0, "ADDED"), (7.0, "BOOKMARK"), (8.0, "BOOKMARK"), (10.0, "END"),
            ]  # fmt: skip

    in_virtual_time(scenario, watch_timeout=10.0, bookmark_interval=7.0)


def test_changes_arrive_in_the_instant_they_are_made() -> None:
    """A write by Python code wakes every watch."""

    async def scenario(server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
        query = {"watch": "1", "resourceVersion": "1", "timeoutSeconds": "30"}
        async with http.get(server.url + PODS, params=query) as response:
            following = asyncio.create_task(timeline(response))
            for name in ("a", "b"):
                await asyncio.sleep(10)
                server.create("pods", {"metadata": {"name": name}})
            assert await following == [(10.0, "ADDED"), (20.0, "ADDED"), (30.0, "END")]

    in_virtual_time(scenario)


async def test_an_old_server(http: aiohttp.ClientSession) -> None:
    """watch_list=False refuses sendInitialEvents; watch_cache=False pages everything."""
    async with FakeAPIServer(watch_list=False, watch_cache=False) as server:
        for name in ("a", "b"):
            server.create("pods", {"metadata": {"name": name}})
        query = {"watch": "1", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        async with http.get(server.url + PODS, params=query) as response:
            assert response.status == 422
        async with http.get(server.url + PODS, params={"limit": "1", "resourceVersion": "0"}) as response:
            assert len((await response.json())["items"]) == 1


async def test_one_gzip_member_per_flush(fake_server: FakeAPIServer) -> None:
    """A compressed stream can be read up to what has been sent."""
    query = {
        "watch": "1",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "30",
    }
    async with (
        aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "gzip"}) as http,
        http.get(fake_server.url + PODS, params=query) as response,
    ):
        assert b"initial-events-end" in gzip.decompress(await response.content.readany())
        fake_server.create("pods", {"metadata": {"name": "x"}})
        assert b'"name":"x"' in gzip.decompress(await response.content.readany())


async def test_a_slow_reader_is_cut(http: aiohttp.ClientSession) -> None:
    """A watch that has fallen out of the log ends instead of missing something."""
    async with FakeAPIServer(log_size=10) as server:
        query = {"watch": "1", "resourceVersion": "1", "timeoutSeconds": "30"}
        async with http.get(server.url + PODS, params=query) as response:
            for number in range(11):
                server.create("pods", {"metadata": {"name": f"p{number}"}})
            assert await response.read() == b""


async def test_expired_versions(fake_server: FakeAPIServer) -> None:
    """410 in the stream of a watch; 410 for exact lists and old tokens, the latter with a fresh one."""
    async with Rest.connect(fake_server) as rest:
        path = rest.path("configmaps")
        first = await rest.configmap("a")
        await rest.configmap("b")
        page = await rest.get(path, limit="1")
        latest = await rest.configmap("c")
        fake_server.expire("configmaps")

        (event,) = await rest.watch(path, timeout=10, resourceVersion=first.version)
        assert (event.type, event.object["code"], event.object["reason"]) == ("ERROR", 410, "Expired")
        assert await rest.watch(path, resourceVersion=latest.version) == []
        exact = {"resourceVersion": first.version, "resourceVersionMatch": "Exact"}
        assert failure(await rest.get(path, exact))[:2] == (410, "Expired")
        again = await rest.get(path, {"continue": page.json["metadata"]["continue"]})
        assert failure(again)[:2] == (410, "Expired")
        rest_of_it = await rest.get(path, {"continue": again.json["metadata"]["continue"]})
        assert [item["metadata"]["name"] for item in rest_of_it.json["items"]] == ["b", "c"]
        assert len((await rest.get(path, resourceVersion=first.version)).json["items"]) == 3


async def test_close_watches(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """A clean end for every open watch; later ones are served."""
    reads = [asyncio.create_task(read(http, fake_server.url + PODS)) for _ in range(2)]
    await wait_for_watch(fake_server, count=2)

    assert fake_server.close_watches() == 2
    assert await asyncio.gather(*reads) == [b"", b""]
    assert fake_server.close_watches() == 0


async def test_a_client_that_leaves(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """Its watch ends with it."""
    reading = asyncio.create_task(read(http, fake_server.url + PODS))
    await wait_for_watch(fake_server)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await some_turns()

    assert fake_server.close_watches() == 0


async def test_shards_come_and_go_with_an_upgrade(http: aiohttp.ClientSession) -> None:
    """Open watches end with it, so that none goes on with more or less than was asked for."""
    async with FakeAPIServer() as server:
        uids = [server.create("pods", {"metadata": {"name": name}})["metadata"]["uid"] for name in "ab"]
        selector = shard_selector([(hash_field(uids[1]), hash_field(uids[1]) + 1)])

        async def listed() -> tuple[list[str], object]:
            async with http.get(server.url + PODS, params={"shardSelector": selector}) as response:
                answer = await response.json()
                return [each["metadata"]["name"] for each in answer["items"]], answer["metadata"].get("shardInfo")

        async def watched(*, on: bool) -> int:
            query = {"shardSelector": selector, "watch": "1", "resourceVersion": "0"}
            async with http.get(server.url + PODS, params=query) as response:
                await response.content.readline()
                server.upgrade(shard_selector=on)
                return 1 + len((await response.read()).splitlines())

        assert await listed() == (["a", "b"], None)
        assert await watched(on=True) == 2
        assert await listed() == (["b"], {"selector": selector})
        assert await watched(on=False) == 1
        assert await listed() == (["a", "b"], None)
