"""Bodies that are cut, wherever and however: nothing is lost, and half a list is none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory
from aioinformers.testing import ChaosProxy, Ending, FakeAPIServer, Fault, RequestInfo
from tests.kit import LISTS, QUICK, Recorder, cached, configmap, factory_on, stored


def asked(server: FakeAPIServer) -> list[str]:
    """Return the lists and watches so far."""
    return [request.verb for request in server.requests if request.verb in ("list", "watch")]


def encode(obj: Any) -> bytes:
    """Return an object as servers send it."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.virtual_time
async def test_middleware_of_the_session_sees_each_request() -> None:
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
        assert set(seen) == {"/api/v1/configmaps"}


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
        before = asked(server)
        assert [len(line) for line in change("ä" * 40)] == [len(line) for line in lines]
        await asyncio.sleep(5)
        remove()
        await asyncio.sleep(60)
        assert cached(configmaps) == stored(server, "configmaps")
        assert recorder.problems == []
        assert len(asked(server)) > len(before)
        assert asked(server).count("list") == before.count("list") == 1


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
        async with client.ApiClient(configuration) as api, SharedInformerFactory(api, settings=QUICK) as factory:
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
            assert asked(server).count("list") == 1 + len(cuts) + 1
