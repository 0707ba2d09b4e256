"""The embedded server on its socket: time, switches, faults and life; its API is in the conformance suite."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from aioinformers.testing import Ending, FakeAPIServer, Fault, RequestInfo, StatusError, run_virtual
from aioinformers.types import GroupVersionResource
from tests.conformance.rest import Rest
from tests.conformance.test_objects import failure

PODS = "/api/v1/pods"
Scenario = Callable[[FakeAPIServer, aiohttp.ClientSession], Coroutine[Any, Any, None]]


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(), headers={"Accept-Encoding": "identity"})


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with session() as client:
        yield client


def in_virtual_time(scenario: Scenario, **options: Any) -> None:
    async def main() -> None:
        async with FakeAPIServer(**options) as server, session() as client:
            await scenario(server, client)

    run_virtual(main())


def now() -> float:
    return asyncio.get_running_loop().time()


async def timeline(response: aiohttp.ClientResponse) -> list[tuple[float, str]]:
    """When which line came, and when the end."""
    lines = [(now(), json.loads(line)["type"]) async for line in response.content]
    return [*lines, (now(), "END")]


async def read(http: aiohttp.ClientSession, url: str, into: bytearray | None = None) -> bytes:
    """Watch to the end; what came before an error is in ``into``."""
    body = bytearray() if into is None else into
    async with http.get(url, params={"watch": "1"}) as response:
        async for chunk in response.content.iter_any():
            body += chunk
    return bytes(body)


async def wait_for_watch(server: FakeAPIServer, *, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while sum(request.verb == "watch" for request in server.requests) < count:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)


# -- time -------------------------------------------------------------------------------------------


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


def test_times_of_requests() -> None:
    """RequestInfo has the loop's time."""

    async def scenario(server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
        for _ in range(3):
            async with http.get(server.url + PODS):
                await asyncio.sleep(5)
        assert [request.time for request in server.requests] == [0.0, 5.0, 10.0]

    in_virtual_time(scenario)


# -- switches ---------------------------------------------------------------------------------------


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


# -- Python helpers ---------------------------------------------------------------------------------


async def test_helpers(fake_server: FakeAPIServer) -> None:
    """create, get, list, update, patch, delete by any name of a resource."""
    made = fake_server.create("po", {"metadata": {"name": "a", "labels": {"x": "1"}}, "status": {"phase": "Running"}})
    fake_server.create("pods", {"metadata": {"name": "b"}}, namespace="other")

    assert made["kind"] == "Pod"
    assert fake_server.get("pods.v1.", "a") == made
    assert [pod["metadata"]["name"] for pod in fake_server.list("pods")] == ["a", "b"]
    assert len(fake_server.list("pods", namespace="other")) == 1
    assert fake_server.list("pods", label_selector="x=1") == [made]
    made["spec"] = {"nodeName": "n"}
    updated = fake_server.update("pods", made)
    assert updated["metadata"]["resourceVersion"] == fake_server.resource_version
    assert fake_server.patch("pods", "a", {"spec": None})["metadata"]["generation"] == 3
    fake_server.delete("pods", "b", namespace="other")
    with pytest.raises(StatusError, match='pods "b" not found'):
        fake_server.get("pods", "b", namespace="other")
    with pytest.raises(LookupError):
        fake_server.list("nonsense")
    fake_server.create("nodes", {"metadata": {"name": "n"}})
    fake_server.delete("nodes", "n")


async def test_add_resource(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """A resource without a definition: built-in or custom in its bytes."""
    gvr = GroupVersionResource("example.com", "v1", "widgets")
    fake_server.add_resource(gvr, "Widget", namespaced=False, short_names=["wd"])
    fake_server.add_resource("gadgets.v1.example.com", "Gadget", custom=False)
    fake_server.create("wd", {"metadata": {"name": "x"}})
    fake_server.create("gadgets", {"metadata": {"name": "x"}})

    async with http.get(f"{fake_server.url}/apis/example.com/v1/widgets/x") as response:
        assert (await response.read()).startswith(b'{"apiVersion":"example.com/v1","kind":"Widget"')
    async with http.get(f"{fake_server.url}/apis/example.com/v1/namespaces/default/gadgets/x") as response:
        assert (await response.read()).startswith(b'{"kind":"Gadget","apiVersion":"example.com/v1"')


async def test_the_stock_client(fake_server: FakeAPIServer) -> None:
    """kubernetes_asyncio reads, writes and watches here as anywhere."""
    from kubernetes_asyncio import client, watch

    async with fake_server.api_client() as api:
        core = client.CoreV1Api(api)
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="x"), data={"k": "v"})
        await core.create_namespaced_config_map("default", body)
        listed = await core.list_config_map_for_all_namespaces()
        assert [item.data for item in listed.items] == [{"k": "v"}]
        await core.patch_namespaced_config_map("x", "default", {"data": {"k": "w"}})
        await core.delete_namespaced_config_map("x", "default")
        version = listed.metadata.resource_version
        seen = []
        async with watch.Watch() as stream:
            async for event in stream.stream(
                core.list_config_map_for_all_namespaces, resource_version=version, timeout_seconds=1
            ):
                seen.append(event["type"])
                if event["type"] == "DELETED":
                    break
    assert seen == ["MODIFIED", "DELETED"]


# -- faults -----------------------------------------------------------------------------------------


async def test_fail(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """So many matching requests get the failure, then all is well; others never notice."""
    fake_server.fail("list pods", 429, times=2, headers={"Retry-After": "7"}, body={"kind": "Status"})
    statuses = []
    for path in ("nodes", "pods", "pods", "pods"):
        async with http.get(f"{fake_server.url}/api/v1/{path}") as response:
            statuses.append((path, response.status, response.headers.get("Retry-After")))

    assert statuses == [("nodes", 200, None), ("pods", 429, "7"), ("pods", 429, "7"), ("pods", 200, None)]
    assert fake_server.faults == []


async def test_fail_until_taken_away(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """times=None lasts; the returned function ends it, also twice; the default body is a Status."""
    heal = fake_server.fail(lambda request: request.path == PODS, times=None)
    for _ in range(3):
        async with http.get(fake_server.url + PODS) as response:
            status = await response.json()
            assert (response.status, status["kind"], status["code"]) == (503, "Status", 503)
    heal()
    heal()
    async with http.get(fake_server.url + PODS) as response:
        assert response.status == 200


def test_fail_needs_verb_and_resource() -> None:
    """A pattern that would never match is refused."""
    with pytest.raises(ValueError, match="VERB RESOURCE"):
        FakeAPIServer().fail("/api/v1/pods")


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


async def test_interceptors(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """Plain or coroutine functions; the first to answer decides; they see what is meant."""
    seen: list[tuple[str, str]] = []

    async def second(request: RequestInfo) -> Fault | None:
        await asyncio.sleep(0)
        return Fault(status=418)

    def first(request: RequestInfo) -> Fault | None:
        seen.append((request.verb, request.resource))
        return Fault(status=404) if request.verb == "watch" else None

    removers = [fake_server.intercept(first), fake_server.intercept(second)]
    for query, status in (({"watch": "1"}, 404), ({}, 418)):
        async with http.get(fake_server.url + PODS, params=query) as response:
            assert response.status == status
    for remove in removers:
        remove()
    async with http.get(fake_server.url + "/version") as response:
        assert response.status == 200
    assert seen == [("watch", "pods"), ("list", "pods")]


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


async def test_close_watches(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """A clean end for every open watch; later ones are served."""
    reads = [asyncio.create_task(read(http, fake_server.url + PODS)) for _ in range(2)]
    await wait_for_watch(fake_server, count=2)

    assert fake_server.close_watches() == 2
    assert await asyncio.gather(*reads) == [b"", b""]
    assert fake_server.close_watches() == 0


async def test_reset_connections(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """A reset for every connection, and nothing of the watch is left on the server."""
    reading = asyncio.create_task(read(http, fake_server.url + PODS))
    await wait_for_watch(fake_server)

    assert fake_server.reset_connections() == 1
    with pytest.raises(aiohttp.ClientError):
        await reading
    await asyncio.sleep(0.01)
    assert fake_server.close_watches() == 0


async def test_a_client_that_leaves(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """Its watch ends with it."""
    reading = asyncio.create_task(read(http, fake_server.url + PODS))
    await wait_for_watch(fake_server)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await asyncio.sleep(0.01)

    assert fake_server.close_watches() == 0


# -- life -------------------------------------------------------------------------------------------


async def test_stop_and_start(http: aiohttp.ClientSession) -> None:
    """stop() ends watches and refuses connections; start() goes on with the same port and objects."""
    server = FakeAPIServer()
    with pytest.raises(RuntimeError, match="has not started"):
        _ = server.url
    await server.start()
    with pytest.raises(RuntimeError, match="running already"):
        await server.start()
    url = server.url
    server.create("pods", {"metadata": {"name": "x"}})
    reading = asyncio.create_task(read(http, url + PODS))
    await wait_for_watch(server)
    await server.stop()
    await server.stop()
    assert b'"x"' in await reading
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(url + PODS)
    async with server:
        assert server.url == url
        async with http.get(url + PODS) as response:
            assert len((await response.json())["items"]) == 1


async def test_big_objects(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """Several MiB in and out."""
    obj = {"metadata": {"name": "x"}, "data": {"k": "v" * (5 << 20)}}
    url = f"{fake_server.url}/api/v1/namespaces/default/configmaps"
    async with http.post(url, data=io.BytesIO(json.dumps(obj).encode())) as response:
        assert response.status == 201
    async with http.get(url) as response:
        assert len((await response.json())["items"][0]["data"]["k"]) == 5 << 20


async def test_only_recent_requests_are_kept(
    fake_server: FakeAPIServer, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of requests is bounded."""
    monkeypatch.setattr("aioinformers.testing.apiserver.server._KEPT_REQUESTS", 10)
    for number in range(25):
        async with http.get(f"{fake_server.url}/api/v1/pods?n={number}"):
            pass

    assert 5 <= len(fake_server.requests) <= 10
    assert fake_server.requests[-1].query == {"n": "24"}


async def test_credentials_are_not_shown(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """The repr of a request has no headers."""
    async with http.get(fake_server.url + PODS, headers={"Authorization": "Bearer secret"}):
        pass

    (request,) = fake_server.requests
    assert request.headers["authorization"] == "Bearer secret"
    assert "secret" not in repr(request)


def test_importing_it_does_not_import_the_client() -> None:
    """Its models take half a second and 48 MB."""
    code = "import sys, aioinformers.testing; print('kubernetes_asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
