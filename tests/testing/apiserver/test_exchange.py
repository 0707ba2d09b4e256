"""Faults that the embedded server can be told: late, other bytes, no bookmarks, endings, a backup restored."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiohttp
import msgspec
import pytest
import uvloop
from kubernetes_asyncio import client

from aioinformers.testing import ChaosProxy, Ending, FakeAPIServer, Fault, drop_bookmarks
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


# -- values of faults ---------------------------------------------------------------------------------


async def anything(body: bytes) -> bytes:
    return body


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"status": "503"}, TypeError, r"Fault\(status=\) must be a whole number, not '503'"),
        ({"status": 503.0}, TypeError, "must be a whole number"),
        ({"status": True}, TypeError, "must be a whole number"),
        ({"status": 100}, ValueError, "is a status of HTTP such as 503, not 100"),
        ({"status": 5030}, ValueError, "is a status of HTTP such as 503, not 5030"),
        ({"delay": -1}, ValueError, r"Fault\(delay=\) is so many seconds, not -1"),
        ({"delay": "1"}, TypeError, r"Fault\(delay=\) must be a number, not '1'"),
        ({"delay": float("nan")}, ValueError, "must be a number that a float can hold, not nan"),
        ({"delay": float("inf")}, ValueError, r"Ending\.STALL with after=None never answers"),
        ({"after": -1, "ending": Ending.RESET}, ValueError, r"Fault\(after=\) is a number of bytes, not -1"),
        ({"after": "10", "ending": Ending.RESET}, TypeError, r"Fault\(after=\) must be a whole number"),
        ({"ending": "reset"}, TypeError, r"must be an Ending, not 'reset': did you mean 'Ending\.RESET'"),
        ({"ending": "STALLED"}, TypeError, r"did you mean 'Ending\.STALL'"),
        ({"ending": True}, TypeError, "must be an Ending, not True"),
        ({"ending": Ending.END, "after": None}, ValueError, r"Ending\.END ends a body early"),
        ({"rewrite": b"x"}, TypeError, r"Fault\(rewrite=\) must be a function, not b'x'"),
        ({"rewrite": anything}, TypeError, r"Fault\(rewrite=\) is called without await"),
        ({"rewrite": lambda: b""}, TypeError, "is called with the bytes of a body"),
        ({"headers": [("a", "b")]}, TypeError, r"Fault\(headers=\) must be a mapping such as"),
        ({"headers": {"Retry-After": 7}}, TypeError, "names and values that are texts, not 7"),
        ({"headers": {"a": "b\r\nc: d"}}, ValueError, "a header is one line"),
        ({"body": b"x"}, ValueError, r"Fault\(body=\) is sent with a status of its own"),
        ({"status": 500, "body": 7}, TypeError, r"Fault\(body=\) is a document, a text or bytes, not 7"),
        ({"status": 500, "body": {"a": b""}}, TypeError, r"Fault\(body=\)\['a'\] must be a dict"),
    ],
)
def test_a_fault_that_would_not_happen_is_refused(values: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Fault(**values)


async def test_a_body_may_be_a_model() -> None:
    async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
        server.fail("list configmaps", 410, body=client.V1Status(code=410, reason="Expired", api_version="v1"))
        async with session.get(f"{server.url}{PATH}") as response:
            assert await response.json() == {"apiVersion": "v1", "code": 410, "reason": "Expired"}


@pytest.mark.parametrize(
    ("interceptor", "words"),
    [
        (lambda request: True, "must return a Fault or None, not True"),
        (lambda request: 1 / 0, "ZeroDivisionError: division by zero"),
        (
            lambda request: Fault(rewrite=lambda body: cast("bytes", None)),
            "Fault(rewrite=) must return bytes, not None",
        ),
    ],
)
async def test_a_fault_of_the_test_itself_is_told(
    interceptor: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
        server.intercept(interceptor)
        async with session.get(f"{server.url}{PATH}") as response:
            assert response.status == 500
            assert words in (await response.json())["message"]
    assert f"GET {PATH} could not be answered" in caplog.text


# -- other loops --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [Ending.RESET, Ending.CLOSE, None])
def test_connections_end_under_uvloop_too(ending: Ending | None) -> None:
    """None: all of them, by the server's method."""

    async def main() -> None:
        async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
            server.create("pods", {"metadata": {"name": "p"}})
            if ending is not None:
                server.intercept(lambda request: Fault(ending=ending, after=10))
            async with session.get(f"{server.url}{PODS}", params={"watch": "1"}) as response:
                if ending is None:
                    assert await response.content.readany()
                    assert server.reset_connections() == 1
                with pytest.raises(aiohttp.ClientPayloadError) as caught:
                    await response.read()
            assert ("Connection reset by peer" in str(caught.value)) is (ending is not Ending.CLOSE)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), 10))


@pytest.mark.parametrize("clean", [True, False])
def test_proxies_cut_under_uvloop_too(clean: bool) -> None:
    async def main() -> None:
        async with (
            FakeAPIServer() as server,
            ChaosProxy(server.url) as proxy,
            aiohttp.ClientSession() as session,
            session.get(f"{proxy.url}{PODS}", params={"watch": "1"}) as response,
        ):
            assert proxy.cut(clean=clean) == 1
            with pytest.raises(aiohttp.ClientError):
                await response.read()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), 10))
