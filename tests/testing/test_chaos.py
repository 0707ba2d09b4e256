"""The byte-level saboteur, in front of the embedded server."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from aioinformers import Settings, SharedInformerFactory
from aioinformers.testing import FakeAPIServer
from aioinformers.testing.chaos import ChaosProxy
from tests.kit import QUICK, Recorder, cached, configmap, stored

pytestmark = pytest.mark.virtual_time


async def test_informers_work_through_pieces_of_any_size() -> None:
    async with FakeAPIServer() as server, ChaosProxy(server.url, rng=random.Random(1)) as proxy:
        proxy.split = 97
        for i in range(30):
            server.create("configmaps", configmap(f"c{i}", text="ümläut € 漢字 " * 5))
        async with server.api_client() as api:
            api.configuration.host = proxy.url
            async with SharedInformerFactory(api, settings=QUICK) as factory:
                configmaps = factory.for_resource("configmaps.v1.")
                await factory.wait_for_cache_sync(timeout=30)
                server.patch("configmaps", "c3", {"data": {"text": "🚀"}}, namespace="default")
                await asyncio.sleep(1)
                assert cached(configmaps) == stored(server, "configmaps")
                assert configmaps.lister.get("c3", namespace="default")["data"]["text"] == "🚀"


async def test_frozen_connection_is_noticed_and_replaced() -> None:
    settings = Settings(backoff_jitter=0.0, watch_timeout_min=100, watch_timeout_max=100)
    async with FakeAPIServer() as server, ChaosProxy(server.url) as proxy, server.api_client() as api:
        api.configuration.host = proxy.url
        async with SharedInformerFactory(api, settings=settings) as factory:
            configmaps = factory.for_resource("configmaps.v1.")
            recorder = Recorder()
            configmaps.add_event_handler(recorder)
            await factory.wait_for_cache_sync(timeout=30)
            await asyncio.sleep(65)  # a bookmark has come
            proxy.freeze()
            server.create("configmaps", configmap("late"))
            await asyncio.sleep(76)
            assert not configmaps.is_live(70)
            assert "silent" in str(configmaps.last_error)
            proxy.thaw()
            await asyncio.sleep(60)
            assert cached(configmaps) == stored(server, "configmaps")
            assert recorder.problems == []


@pytest.mark.parametrize("clean", [True, False])
async def test_cut_connections_are_made_again(clean: bool) -> None:
    async with FakeAPIServer() as server, ChaosProxy(server.url) as proxy, server.api_client() as api:
        api.configuration.host = proxy.url
        async with SharedInformerFactory(api, settings=QUICK) as factory:
            configmaps = factory.for_resource("configmaps.v1.")
            await factory.wait_for_cache_sync(timeout=30)
            await asyncio.sleep(2)
            proxy.refuse = True
            assert proxy.cut(clean=clean) == 1
            server.create("configmaps", configmap("late"))
            await asyncio.sleep(100)
            assert len(configmaps.lister) == 0
            assert proxy.accepted < 20  # aiohttp tries a reset GET once more by itself
            proxy.refuse = False
            await asyncio.sleep(40)
            assert cached(configmaps) == stored(server, "configmaps")


async def test_delay_and_rate_hold_data_back() -> None:
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server, ChaosProxy(server.url) as proxy, server.api_client() as api:
        api.configuration.host = proxy.url
        proxy.delay, proxy.rate = 0.5, 1000.0
        server.create("configmaps", configmap("c", text="x" * 5000))
        async with SharedInformerFactory(api, settings=QUICK) as factory:
            before = loop.time()
            factory.for_resource("configmaps.v1.")
            await factory.wait_for_cache_sync(timeout=30)
            assert loop.time() - before > 6


@pytest.mark.parametrize(
    ("upstream", "error", "words"),
    [
        ("localhost", ValueError, "not the URL"),
        (None, TypeError, r"the URL of a server, such as server\.url, not None"),
    ],
)
async def test_upstream_must_be_a_url(upstream: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ChaosProxy(upstream)


@pytest.mark.parametrize(
    ("name", "value", "error", "words"),
    [
        ("delay", "1", TypeError, "delay must be a number, not '1'"),
        ("delay", -1, ValueError, "delay must be 0 or more, not -1"),
        ("delay", None, TypeError, "delay must be a number, not None"),
        ("rate", 0, ValueError, "rate must be more than 0, or None, not 0"),
        ("split", 1.5, TypeError, r"split must be a whole number, not 1\.5"),
        ("refuse", 1, TypeError, "refuse must be True or False, not 1"),
        ("dealy", 1, AttributeError, "no attribute 'dealy': did you mean 'delay'"),
    ],
)
async def test_what_an_attribute_cannot_be_is_refused(
    name: str, value: Any, error: type[Exception], words: str
) -> None:
    proxy = ChaosProxy("http://127.0.0.1:1")
    with pytest.raises(error, match=words):
        setattr(proxy, name, value)
    proxy.delay, proxy.rate, proxy.split, proxy.refuse = 0, None, None, True
