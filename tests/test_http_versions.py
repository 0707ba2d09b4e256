"""Lists and watches over HTTP/1.0: no chunk framing, so the end of a connection is the end of a body."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory
from aioinformers.discovery import discover
from aioinformers.errors import ApiStatusError
from aioinformers.settings import Settings
from aioinformers.source import Source
from aioinformers.testing import ChaosProxy, Ending, FakeAPIServer, Fault, RequestInfo
from tests.cluster import QUICK, Recorder, cached, configmap, factory_on, stored
from tests.fixtures_servers import APIServer
from tests.test_clients import aio_client

OLD = replace(QUICK, http_version="1.0")
LISTS = replace(OLD, watch_list=False)
CLIENTS = ["kubernetes_asyncio", "kubernetes.aio"]


def is_1_0(request: RequestInfo) -> bool:
    """Tell by the header that only HTTP/1.0 needs."""
    return request.headers.get("connection") == "keep-alive"


def asked(server: FakeAPIServer) -> Iterator[tuple[str, bool]]:
    """Yield the lists and watches so far, and whether they came in HTTP/1.0."""
    return ((request.verb, is_1_0(request)) for request in server.requests if request.verb in ("list", "watch"))


def encode(obj: Any) -> bytes:
    """Return an object as servers send it."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("which", CLIENTS)
@pytest.mark.parametrize("watch_list", [True, False])
async def test_informers_follow_over_http_1_0(api_server: APIServer, which: str, watch_list: bool) -> None:
    """With either client, on either server, with TLS and without."""
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    async with (
        api_server.api_client() as writer,
        api_server.api_client() if which == "kubernetes_asyncio" else aio_client(api_server) as api,
    ):
        core: Any = client.CoreV1Api(writer)
        await core.create_namespace({"metadata": {"name": namespace}})
        settings = Settings(http_version="1.0", watch_list=watch_list, page_size=2, compression=True)
        for i in range(5):
            await core.create_namespaced_config_map(
                namespace, {"metadata": {"name": f"c{i}"}, "data": {"v": "x" * 9000}}
            )
        async with SharedInformerFactory(api, namespace=namespace, settings=settings) as factory:
            configmaps, recorder = factory.core.v1.configmaps(), Recorder()
            configmaps.add_event_handler(recorder)
            await factory.wait_for_cache_sync(timeout=20)
            await core.patch_namespaced_config_map("c1", namespace, {"data": {"v": "2"}})
            await core.delete_namespaced_config_map("c2", namespace)
            await configmaps.wait_for((namespace, "c2"), lambda obj: obj is None, timeout=10)
            changed = configmaps.lister.get("c1", namespace=namespace)
            assert changed is not None
            assert changed.data == {"v": "2"}
            assert recorder.problems == []
            assert configmaps.last_error is None


@pytest.mark.virtual_time
@pytest.mark.parametrize("settings", [OLD, LISTS, replace(LISTS, compression=True)])
async def test_lists_and_watches_are_asked_in_http_1_0(settings: Settings) -> None:
    """And nothing is left of them when the factory has been shut down (G10)."""
    async with FakeAPIServer() as server, server.api_client() as api:
        for i in range(50):
            server.create("configmaps", configmap(f"c{i}", v="x" * 5000))
        factory = SharedInformerFactory(api, settings=settings)
        configmaps = factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.delete("configmaps", "c7", namespace="default")
        await configmaps.wait_for(("default", "c7"), lambda obj: obj is None, timeout=5)
        assert cached(configmaps) == stored(server, "configmaps")
        verbs = dict(asked(server))
        assert verbs == ({"watch": True} if settings.watch_list else {"list": True, "watch": True})

        await factory.shutdown()
        await asyncio.sleep(1)
        assert server.connections == 0
        core: Any = client.CoreV1Api(api)
        assert len((await core.list_config_map_for_all_namespaces()).items) == 49  # the client is still theirs to use
        assert list(asked(server))[-1] == ("list", False)


@pytest.mark.virtual_time
async def test_small_requests_stay_in_http_1_1() -> None:
    """They would only lose the connection."""
    async with FakeAPIServer() as server, server.api_client() as api:
        await discover(Source(api, OLD))
        assert server.requests
        assert not any(is_1_0(request) for request in server.requests)


@pytest.mark.virtual_time
async def test_middleware_of_the_session_still_sees_each_request() -> None:
    """The session is the client's own, with all it has been given."""
    seen = []

    async def note(request: Any, handler: Any) -> Any:
        seen.append(request.url.path)
        return await handler(request)

    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        factory.api_client.rest_client.pool_manager._middlewares = (note,)
        factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert seen[0] == "/api/v1/configmaps"
        assert all(is_old for _, is_old in asked(server))


def places(line: bytes) -> list[int]:
    """Return where to cut a line: at its begin, in its type, in its object, before its end and after it."""
    return [0, 1, 9, len(line) // 2, len(line) - 3, len(line) - 2, len(line) - 1, len(line)]


@pytest.mark.virtual_time
@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.END])
@pytest.mark.parametrize("place", range(8))
async def test_a_watch_cut_in_a_line_goes_on_without_loss(ending: Ending, place: int) -> None:
    """What was cut is dropped, and asked for again from the version of the last whole line."""
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        configmaps, recorder = factory.core.v1.configmaps(), Recorder()
        configmaps.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)
        for i in range(3):
            server.create("configmaps", configmap(f"c{i}"))

        def change(value: str) -> list[bytes]:
            changes = [
                server.patch("configmaps", f"c{i}", {"data": {"v": value}}, namespace="default") for i in range(3)
            ]
            return [b'{"type":"MODIFIED","object":%b}\n' % encode(obj) for obj in changes]

        for value in "abcd":  # until versions have as many digits as they will have
            change(value)
        lines = change("ü" * 40)
        await asyncio.sleep(1)
        after = len(lines[0]) + places(lines[1])[place]
        remove = server.intercept(
            lambda request: Fault(ending=ending, after=after) if request.verb == "watch" else None
        )
        server.close_watches()
        await asyncio.sleep(5)
        before = list(asked(server))
        assert [len(line) for line in change("ä" * 40)] == [len(line) for line in lines]
        await asyncio.sleep(5)
        remove()
        await asyncio.sleep(60)
        assert cached(configmaps) == stored(server, "configmaps")
        assert recorder.problems == []
        assert len(list(asked(server))) > len(before)
        assert [verb for verb, _ in asked(server)].count("list") == before.count(("list", True)) == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("clean", [True, False])
async def test_connections_cut_by_the_network_lose_nothing(clean: bool) -> None:
    """In watches and in streams of initial objects, wherever the cuts fall."""
    async with FakeAPIServer() as server, ChaosProxy(server.url) as proxy:
        for i in range(30):
            server.create("configmaps", configmap(f"c{i}", v="x" * 3000))
        configuration = server.configuration()
        configuration.host = proxy.url
        proxy.rate = 20_000
        async with client.ApiClient(configuration) as api, SharedInformerFactory(api, settings=OLD) as factory:
            configmaps, recorder = factory.core.v1.configmaps(), Recorder()
            configmaps.add_event_handler(recorder)
            for i in range(60):
                await asyncio.sleep(0.7)
                server.patch("configmaps", f"c{i % 30}", {"data": {"v": str(i) * 2000}}, namespace="default")
                if i % 7 == 3:
                    proxy.cut(clean=clean)
            proxy.rate = None
            await factory.wait_for_cache_sync(timeout=300)
            await asyncio.sleep(300)
            assert cached(configmaps) == stored(server, "configmaps")
            assert recorder.problems == []


@pytest.mark.virtual_time
@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.END])
async def test_a_list_that_was_cut_does_not_count(ending: Ending) -> None:
    """Wherever the cut is: only a whole JSON document is a list."""
    async with FakeAPIServer() as server:
        for i in range(50):  # too many for a Content-Length: only the JSON tells that something is missing
            server.create("configmaps", configmap(f"c{i}", v="x" * 5000))
        async with server.api_client() as api:
            core: Any = client.CoreV1Api(api)
            whole = await core.list_config_map_for_all_namespaces(_preload_content=False)
            size = len((await whole.read()).rstrip())
            assert "Content-Length" not in whole.headers
        cuts = [0, 1, 30, size // 3, size // 2, size - 3, size - 2, size - 1]
        left = list(cuts)

        def cut(request: RequestInfo) -> Fault | None:
            if request.verb != "list" or not left:
                return None
            return Fault(ending=ending, after=left.pop(0))

        server.intercept(cut)
        async with factory_on(server, settings=LISTS) as factory:
            configmaps = factory.core.v1.configmaps()
            await factory.start()
            await asyncio.sleep(0.5)
            assert not configmaps.has_synced
            assert configmaps.last_error is not None
            await factory.wait_for_cache_sync(timeout=600)
            assert cached(configmaps) == stored(server, "configmaps")
            assert [verb for verb, _ in asked(server)].count("list") == 1 + len(cuts) + 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("status", [400, 426, 505])
async def test_refused_http_1_0_is_followed_by_http_1_1_for_good(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Asked again at once, without a failure; and the other informers of the factory do not try."""
    async with FakeAPIServer() as server, factory_on(server, settings=OLD) as factory:
        server.fail(is_1_0, status, times=None, body=b"upgrade, please")
        with caplog.at_level(logging.WARNING, "aioinformers.source"):
            configmaps = factory.core.v1.configmaps()
            await factory.start()
            await factory.wait_for_cache_sync(timeout=0.5)
            pods = factory.core.v1.pods()
            await factory.wait_for_cache_sync(timeout=0.5)
        assert [is_old for _, is_old in asked(server)] == [True, False, False]
        assert configmaps.last_error is pods.last_error is None
        (said,) = [record.getMessage() for record in caplog.records if record.name == "aioinformers.source"]
        assert str(status) in said


@pytest.mark.virtual_time
async def test_a_request_that_is_bad_in_any_version_says_nothing_about_http_1_0() -> None:
    """400 is for much else: the version is blamed only if the other one helps."""
    async with FakeAPIServer() as server, server.api_client() as api:
        source = Source(api, OLD)
        with pytest.raises(ApiStatusError, match="400"):
            async with source.open("/api/v1/pods", {"fieldSelector": "spec.nonsense=1"}, header_timeout=5):
                pass
        assert list(asked(server)) == [("list", True), ("list", False)]
        async with source.open("/api/v1/pods", {}, header_timeout=5) as body:
            assert b"PodList" in await body.read()
        assert list(asked(server))[-1] == ("list", True)


@pytest.mark.virtual_time
async def test_a_client_that_is_closed_is_named() -> None:
    """As over HTTP/1.1."""
    async with FakeAPIServer() as server, server.api_client() as api:
        factory = SharedInformerFactory(api, settings=OLD)
        configmaps = factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await api.close()
        await asyncio.sleep(60)
        assert "client has been closed" in str(configmaps.last_error)
        await factory.shutdown()
        assert server.connections == 0
