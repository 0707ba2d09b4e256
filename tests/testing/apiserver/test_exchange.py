"""Faults that the embedded server can be told: late, other bytes, no bookmarks, endings, a backup restored."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
import pytest

from aioinformers.testing import Ending, FakeAPIServer, Fault, drop_bookmarks
from tests.kit import configmap
from tests.testing.apiserver.requests import (
    PODS,
    in_virtual_time,
    now,
    read,
)

pytestmark = pytest.mark.virtual_time

PATH = "/api/v1/configmaps"


async def lines(server: FakeAPIServer, query: str, seconds: float) -> list[dict[str, object]]:
    """Return the events of a watch that is ended after some seconds."""
    found: list[dict[str, object]] = []
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}{PATH}?watch=true&{query}") as response:
        try:
            async with asyncio.timeout(seconds):
                while line := await response.content.readline():
                    found.append(msgspec.json.decode(line))
        except TimeoutError:
            pass
    return found


async def test_body_is_rewritten_and_its_length_stays_true() -> None:
    async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
        server.intercept(lambda request: Fault(rewrite=lambda body: body.replace(b'"items":[]', b'"items":null')))
        async with session.get(f"{server.url}{PATH}") as response:
            assert (await response.json())["items"] is None


async def test_status_and_rewrite_go_together() -> None:
    async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
        server.intercept(lambda request: Fault(status=503, body="busy", rewrite=bytes.upper))
        async with session.get(f"{server.url}{PATH}") as response:
            assert (response.status, await response.text()) == (503, "BUSY")


async def test_bookmarks_are_dropped_and_nothing_else() -> None:
    async with FakeAPIServer(bookmark_interval=5) as server:
        server.create("configmaps", configmap("c"))
        server.intercept(lambda request: Fault(rewrite=drop_bookmarks))
        query = "allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        assert [event["type"] for event in await lines(server, query, 20)] == ["ADDED"]


async def test_restored_backup_lets_versions_fall_and_tells_watches_of_the_future_nothing() -> None:
    async with FakeAPIServer(bookmark_interval=5) as server:
        server.create("configmaps", configmap("kept"))
        backup = server.backup()
        for number in range(10):
            server.create("configmaps", configmap(f"lost-{number}"))
        server.patch("configmaps", "kept", {"data": {"x": "1"}})
        future = server.resource_version
        server.restore(backup)
        assert [obj["metadata"]["name"] for obj in server.list("configmaps")] == ["kept"]
        assert "data" not in server.get("configmaps", "kept") or server.get("configmaps", "kept")["data"] == {}
        assert int(server.resource_version) < int(future)
        server.create("configmaps", configmap("new"))
        assert await lines(server, f"resourceVersion={future}&allowWatchBookmarks=true", 30) == []
        for number in range(int(future) - int(server.resource_version) + 1):
            server.create("configmaps", configmap(f"more-{number}"))
        assert len(await lines(server, f"resourceVersion={future}", 1)) == 1


async def test_restored_backup_refuses_versions_before_it_and_of_the_future() -> None:
    async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
        server.create("configmaps", configmap("a"))
        before = server.resource_version
        server.create("configmaps", configmap("b"))
        backup = server.backup()
        server.create("configmaps", configmap("c"))
        future = server.resource_version
        server.restore(backup)
        (event,) = await lines(server, f"resourceVersion={before}", 1)
        assert event["type"] == "ERROR"
        query = f"limit=1&resourceVersion={future}&resourceVersionMatch=NotOlderThan"
        async with session.get(f"{server.url}{PATH}?{query}") as response:
            assert response.status == 504


async def test_watches_that_were_open_end_when_a_backup_is_restored() -> None:
    async with FakeAPIServer() as server:
        backup = server.backup()
        asyncio.get_running_loop().call_later(3, server.restore, backup)
        begin = asyncio.get_running_loop().time()
        await lines(server, f"resourceVersion={server.resource_version}", 100)
        assert asyncio.get_running_loop().time() == pytest.approx(begin + 3, abs=0.1)


async def test_upgraded_server_can_what_it_could_not() -> None:
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with FakeAPIServer(watch_list=False) as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}{PATH}?watch=true&{query}") as response:
            assert response.status == 422
        server.upgrade(watch_list=True)
        assert [event["type"] for event in await lines(server, query, 1)] == ["BOOKMARK"]
        with pytest.raises(TypeError):
            server.upgrade(watch_lists=True)


async def test_open_connections_are_counted() -> None:
    async with FakeAPIServer() as server:
        assert server.connections == 0
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}{PATH}"):
            assert server.connections == 1
        await asyncio.sleep(1)
        assert server.connections == 0


async def test_bodies_that_are_no_json(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """A proxy's HTML, or raw bytes."""
    fake_server.fail("* *", 502, body="<html>")
    fake_server.fail("* *", 502, body=b"\xff")
    for expected in (b"<html>", b"\xff"):
        async with http.get(fake_server.url + PODS) as response:
            assert await response.read() == expected


def test_delays() -> None:
    """A delay is of the loop's time, before failures and before true answers."""

    async def scenario(server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
        server.fail("list pods", 503, delay=20.0)
        async with http.get(server.url + PODS) as response:
            assert (response.status, now()) == (503, 20.0)
        server.intercept(lambda request: Fault(delay=10.0))
        async with http.get(server.url + PODS) as response:
            assert (response.status, now()) == (200, 30.0)

    in_virtual_time(scenario)


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
@pytest.mark.parametrize("after", [None, 0, 30])
async def test_broken_connections(
    fake_server: FakeAPIServer, http: aiohttp.ClientSession, ending: Ending, after: int | None
) -> None:
    """Before the headers, after them, or in the middle of a line."""
    fake_server.create("pods", {"metadata": {"name": "x"}})
    fake_server.intercept(lambda request: Fault(ending=ending, after=after))
    body = bytearray()

    with pytest.raises(aiohttp.ClientError):
        await read(http, fake_server.url + PODS, into=body)
    assert len(body) == (after or 0)


async def test_a_body_that_ends_in_the_middle_of_a_line(
    fake_server: FakeAPIServer, http: aiohttp.ClientSession
) -> None:
    """END is well-formed HTTP: only the content shows that something is missing."""
    fake_server.create("pods", {"metadata": {"name": "x"}})
    fake_server.intercept(lambda request: Fault(ending=Ending.END, after=30))

    async with http.get(fake_server.url + PODS, params={"watch": "1"}) as response:
        assert len(await response.read()) == 30
    with pytest.raises(ValueError, match="after"):
        Fault(ending=Ending.END, after=None)


@pytest.mark.parametrize("after", [None, 0, 30])
def test_stalls(after: int | None) -> None:
    """Nothing more comes, for as long as the client waits, and the server can still stop."""

    async def scenario(server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
        server.create("pods", {"metadata": {"name": "x"}})
        server.intercept(lambda request: Fault(ending=Ending.STALL, after=after))
        body = bytearray()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(http, server.url + PODS, into=body), 600)
        assert (len(body), now()) == (after or 0, 600.0)
        pending = asyncio.create_task(read(http, server.url + PODS))
        await asyncio.sleep(1)
        await server.stop()
        assert now() < 602
        await asyncio.gather(pending, return_exceptions=True)

    in_virtual_time(scenario)
