"""A handler's place at an informer: until when it is synced, and how it is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioinformers import Event, InformerClosedError
from aioinformers.testing import FakeAPIServer
from tests.kit import Recorder, configmap, factory_on, pod

pytestmark = pytest.mark.virtual_time


async def test_registration_closes_after_what_is_queued_has_been_handled() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(20):
            server.create("pods", pod(f"p{i}"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        done: list[str] = []

        async def handler(event: Event[Any]) -> None:
            await asyncio.sleep(0.5)
            done.append(event.key.name)

        async with pods.add_event_handler(handler):
            pass
        assert len(done) == 20

        registration = pods.add_event_handler(handler)
        await asyncio.sleep(0.7)
        await registration.aclose(grace=0)
        assert len(done) == 21, "the call under way was cancelled"
        assert registration.statistics().undelivered == 19
        with pytest.raises(InformerClosedError):
            await registration.wait_synced()


async def test_removal_ends_calls_at_any_time_and_concerns_nobody_else() -> None:
    """Before the start, twice, while a call runs, of another informer's handler, and after the end."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods, nodes = factory.core.v1.pods(), factory.core.v1.nodes()
        never, stays, foreign, started, ended = Recorder(), Recorder(), Recorder(), list[str](), list[str]()
        gate = asyncio.Event()

        async def slow(event: Event[Any]) -> None:
            started.append(event.key.name)
            await gate.wait()
            ended.append(event.key.name)

        early = pods.add_event_handler(never)
        pods.remove_event_handler(early)
        await asyncio.wait_for(early.aclose(), 0.1)
        kept, elsewhere, hanging = (
            pods.add_event_handler(stays), nodes.add_event_handler(foreign), pods.add_event_handler(slow)
        )  # fmt: skip
        assert len(pods.statistics().consumers) == 2
        with pytest.raises(ValueError, match=r"Recorder at nodes.v1: .* is not a registration of pods.v1"):
            pods.remove_event_handler(elsewhere)  # type: ignore[arg-type]  # which a type checker sees
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)
        pods.remove_event_handler(hanging)
        pods.remove_event_handler(hanging)
        assert len(pods.statistics().consumers) == 1
        waiting = asyncio.create_task(hanging.aclose())
        server.create("pods", pod("b"))
        server.create("nodes", {"metadata": {"name": "n"}})
        await asyncio.sleep(1)
        assert not waiting.done(), "a call is under way"
        gate.set()
        await asyncio.wait_for(waiting, 1)

        assert (started, ended) == (["a"], ["a"])
        assert stays.kinds() == ["Added a", "Added b"]
        assert foreign.kinds() == ["Added n"]
        assert never.events == []
        await factory.shutdown()
        pods.remove_event_handler(kept)
        await kept.aclose()


async def test_registration_has_synced_once_what_was_there_has_been_handled() -> None:
    """Not when it has been delivered, nor when the cache has synced; what goes meanwhile is waited for, too."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for name in ("a", "b", "c"):
            server.create("configmaps", configmap(name))
        configmaps, empty = factory.for_resource("configmaps.v1."), factory.for_resource("secrets.v1.")
        gate, recorder = asyncio.Event(), Recorder()

        async def slow(event: Event[Any]) -> None:
            await gate.wait()
            await recorder(event)
            await asyncio.sleep(1)

        registration = configmaps.add_event_handler(slow)
        merged = configmaps.add_event_handler(slow, limit=1)
        nothing = empty.add_event_handler(Recorder())
        assert not any(each.has_synced for each in (configmaps, registration, merged, empty, nothing))
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await nothing.wait_synced()
        server.delete("configmaps", "c", namespace="default")
        server.create("configmaps", configmap("later"))
        await asyncio.sleep(100)
        assert configmaps.has_synced
        assert not registration.has_synced
        assert not merged.has_synced

        gate.set()
        await asyncio.sleep(2.5)
        assert not registration.has_synced, "the third one is still in its handler"
        await asyncio.sleep(1)
        assert registration.has_synced
        assert merged.has_synced
        assert registration.statistics().queued > 0, "what came later is no part of it"


async def test_registration_closed_from_its_own_handler_returns_at_once() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(5):
            server.create("pods", pod(f"p{i}"))
        pods = factory.core.v1.pods()
        done: list[str] = []

        async def once(event: Event[Any]) -> None:
            done.append(event.key.name)
            await registration.aclose()

        registration = pods.add_event_handler(once)
        await factory.start()
        await asyncio.sleep(1)
        assert done == ["p0"]


async def test_same_function_registered_twice_is_two_registrations() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        calls: list[str] = []

        async def handler(event: Event[Any]) -> None:
            calls.append(event.key.name)

        first = pods.add_event_handler(handler)
        pods.add_event_handler(handler)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.create("pods", pod("a"))
        await asyncio.sleep(1)
        pods.remove_event_handler(first)
        server.create("pods", pod("b"))
        await asyncio.sleep(1)

        assert calls == ["a", "a", "b"]


async def test_a_registration_says_where_it_is_and_how_far() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        server.create("pods", pod("b"))
        pods = factory.core.v1.pods()

        async def slow(event: Event[Any]) -> None:
            await asyncio.sleep(5)

        registration = pods.add_event_handler(slow, name="mine")
        assert registration.name == "mine"
        assert repr(registration) == "<Registration mine at pods.v1: 0 queued, 0 handled, 0 failed>"
        await factory.start()
        await asyncio.sleep(7)
        assert repr(registration) == "<Registration mine at pods.v1: 0 queued, 1 handled, 0 failed>"
        await registration.aclose(grace=0)
        assert repr(registration) == "<Registration mine at pods.v1: closed, 1 handled, 0 failed>"


async def test_a_wait_for_the_initial_events_says_what_is_left() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        server.create("pods", pod("b"))
        pods = factory.core.v1.pods()

        async def slow(event: Event[Any]) -> None:
            await asyncio.sleep(5)

        registration = pods.add_event_handler(slow, name="mine")
        await factory.start()
        with pytest.raises(TimeoutError, match=r"1 events are queued, default/a has been inside it for 2.0 s"):
            await registration.wait_synced(timeout=2)
        await registration.wait_synced(timeout=20)


@pytest.mark.parametrize(("grace", "handled", "undelivered", "seconds"), [(0, 0, 4, 0), (5, 2, 2, 5), (None, 4, 0, 8)])
async def test_closing_gives_the_queue_its_grace_and_no_more(
    grace: float | None, handled: int, undelivered: int, seconds: float
) -> None:
    """0 drops and counts, None waits without limit; a call under way at the end is cancelled."""
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(4):
            server.create("pods", pod(f"p{i}"))
        pods = factory.core.v1.pods()

        async def slow(event: Event[Any]) -> None:
            await asyncio.sleep(2)

        registration = pods.add_event_handler(slow)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(0.1)
        begin = loop.time()
        await registration.aclose(grace=grace)
        seen = registration.statistics()
        assert (seen.handled, seen.undelivered) == (handled, undelivered)
        assert loop.time() - begin == pytest.approx(seconds, abs=0.2)
        await registration.aclose()  # once more is harmless
