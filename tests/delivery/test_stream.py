"""Events as an ``async for``."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers import Added, Deleted, Updated
from aioinformers.testing import FakeAPIServer
from tests.kit import Recorder, collected_warnings, configmap, factory_on, pod, stored

pytestmark = pytest.mark.virtual_time


async def test_stream_gives_every_event_and_ends_with_the_informer() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a", v="1"))
        configmaps = factory.for_resource("configmaps.v1.")
        seen: list[str] = []

        async def follow() -> None:
            async with configmaps.stream() as events:
                async for event in events:
                    match event:
                        case Added(object=obj):
                            seen.append(f"+{obj['metadata']['name']}")
                        case Updated(old=before, object=obj):
                            seen.append(f"{before['data']['v']}>{obj['data']['v']}")
                        case Deleted(object=obj, final_state_known=known):
                            seen.append(f"-{obj['metadata']['name']} {known}")
            seen.append("end")

        task = asyncio.create_task(follow())
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.patch("configmaps", "a", {"data": {"v": "2"}}, namespace="default")
        server.delete("configmaps", "a", namespace="default")
        await asyncio.sleep(1)
        await factory.shutdown()
        await task

        assert seen == ["+a", "1>2", "-a True", "end"]


async def test_stream_is_synced_once_its_initial_events_have_been_handled() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        async with pods.stream() as events:
            assert not events.has_synced
            assert (await anext(events)).key.name == "a"
            assert not events.has_synced, "handled is when the next one is asked for"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 1)
            assert events.has_synced
            await events.wait_synced()
            server.create("pods", pod("b"))
            assert (await anext(events)).key.name == "b", "a cancelled wait took nothing"


async def test_a_second_iterator_of_one_stream_is_refused() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        async with pods.stream() as events:
            first = asyncio.create_task(anext(events))
            await asyncio.sleep(0.1)
            with pytest.raises(RuntimeError, match="already"):
                await anext(events)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first


async def test_slow_stream_is_merged_and_replays_to_the_store() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        server.create("configmaps", configmap("c"))
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        recorder = Recorder()
        async with configmaps.stream(limit=5) as events:
            for i in range(100):
                server.patch("configmaps", "c", {"data": {"v": str(i)}}, namespace="default")
            await asyncio.sleep(1)
            assert events.statistics().coalesced > 80
            for _ in range(events.statistics().queued):
                await recorder(await anext(events))

        assert recorder.problems == []
        assert recorder.state == stored(server, "configmaps")


async def test_a_stream_is_opened_by_its_block_once() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        stream = pods.stream(name="mine")
        assert repr(stream) == "<Stream of pods.v1, not opened>"
        assert pods.statistics().consumers == {}
        assert not stream.has_synced
        with pytest.raises(RuntimeError, match=r"not opened.*async with"):
            await anext(stream)
        async with stream as events:
            assert events is stream
            assert repr(stream) == "<Stream mine of pods.v1: 0 queued, 0 handled>"
            assert list(pods.statistics().consumers) == ["mine"]
            with pytest.raises(RuntimeError, match="opened before"):
                await stream.__aenter__()
        assert repr(stream) == "<Stream mine of pods.v1: closed, 0 handled>"
        assert pods.statistics().consumers == {}
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_a_wait_for_a_streams_initial_events_says_what_is_left() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        server.create("pods", pod("b"))
        pods = factory.core.v1.pods()
        async with pods.stream(name="mine") as events:
            with pytest.raises(TimeoutError, match=r"mine of pods\.v1 .*: the informer has not synced: not started"):
                await events.wait_synced(timeout=1)
            await factory.start()
            await factory.wait_for_cache_sync(timeout=5)
            await anext(events)
            with pytest.raises(TimeoutError, match=r"1 events are queued, default/a has been inside it for 3.0 s"):
                await events.wait_synced(timeout=3)


async def test_a_stream_that_is_dropped_while_it_is_open_is_named_by_a_warning() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        stream = await pods.stream(name="mine").__aenter__()
        with collected_warnings() as told:
            del stream
        assert len(told) == 1
        assert told[0].startswith("<Stream mine of pods.v1: 0 queued, 0 handled> was dropped while it is open")


async def test_a_resync_of_a_stream_ends_with_the_stream_or_the_informer() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods = factory.core.v1.pods(resync_period=10)
        await factory.start()
        async with pods.stream(resync_period=None) as events:
            assert [type(await anext(events)).__name__ for _ in range(3)] == ["Added", "Updated", "Updated"]
        async with pods.stream(resync_period=2) as events:
            await factory.shutdown()
            assert [type(event).__name__ async for event in events] == ["Added"]
