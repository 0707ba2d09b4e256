"""Changes of what an informer reads of each object, before it runs and while it does."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from aioinformers import Cause, Event, SharedInformer, Updated
from aioinformers.errors import InformerClosedError, InvalidPathError
from aioinformers.informer import pipeline_of
from aioinformers.testing import FakeAPIServer
from tests.kit import factory_on, pod

pytestmark = pytest.mark.virtual_time


class Spec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""


class Pod(msgspec.Struct, frozen=True):
    spec: Spec = Spec()


class Seen:
    """Notes each event's type and key."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def __call__(self, event: Event[Any]) -> None:
        self.events.append(f"{type(event).__name__} {event.key.name}")


def touch(server: FakeAPIServer, name: str, phase: str) -> None:
    server.patch("pods", name, {"status": {"phase": phase}})


def facts_of(informer: SharedInformer[Any]) -> list[int]:
    return [len(entry.facts) for entry in pipeline_of(informer).store.entries()]


@pytest.mark.parametrize("object_type", [dict, Pod])
async def test_what_changes_in_ignored_fields_alone_is_no_event(object_type: type[Any]) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods = factory.core.v1.pods(object_type=object_type)
        quiet, all_, images, events = Seen(), Seen(), Seen(), Seen()
        registration = pods.add_event_handler(quiet, ignore=("status",))
        pods.add_event_handler(all_)
        other = pods.add_event_handler(images, only="spec.containers[].image", concurrency=4)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        async with pods.stream(ignore="status") as stream:
            for phase in ("Pending", "Running", "Failed"):
                touch(server, "a", phase)
                await asyncio.sleep(0.1)
            server.patch("pods", "a", {"metadata": {"labels": {"app": "x"}}})
            await asyncio.sleep(0.1)
            while stream.statistics().queued:
                events.events.append(type(await anext(stream)).__name__)
        assert quiet.events == ["Added a", "Updated a"]
        assert all_.events == ["Added a", *["Updated a"] * 4]
        assert images.events == ["Added a"]
        assert events.events == ["Added", "Updated"]
        assert (registration.statistics().ignored, other.statistics().ignored) == (3, 4)
        assert registration.statistics().filtered == 0
        assert pods.last_sync_resource_version == server.resource_version, "the cache has moved all the same"


async def test_g8_nobody_who_is_gone_leaves_facts_behind() -> None:
    """Streams that come and go, handlers that are refused, streams that are never entered."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for number in range(50):
            server.create("pods", pod(f"p{number}"))
        pods = factory.core.v1.pods()
        kept = pods.add_event_handler(Seen(), ignore="status")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for number in range(30):
            async with pods.stream(only=f"metadata.labels['{number}']"):
                touch(server, "p1", str(number))
                await asyncio.sleep(0.1)
        with pytest.raises(TypeError):
            pods.add_event_handler(print, only="spec.nodeName")  # type: ignore[arg-type]
        pods.stream(only="spec.hostname")
        same = pods.add_event_handler(Seen(), ignore=["status"])
        layout = pipeline_of(pods).store.layout
        assert len(layout.facts) == 1
        await kept.aclose()
        assert len(pipeline_of(pods).store.layout.facts) == 1, "another one asks for the same"
        await same.aclose()
        assert pipeline_of(pods).store.layout.is_plain
        touch(server, "p1", "last")
        await asyncio.sleep(0.1)
        entry = pipeline_of(pods).store.get("default/p1")
        assert entry is not None
        assert entry.facts == ()


async def test_nobody_who_does_not_ask_has_facts() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods = factory.core.v1.pods()
        pods.add_event_handler(Seen())
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert facts_of(pods) == [0]
        assert pipeline_of(pods).store.layout.is_plain


@pytest.mark.parametrize("compact", [False, True])
async def test_asked_for_later_it_is_read_of_what_is_kept(*, compact: bool) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for number in range(300):
            server.create("pods", pod(f"p{number}"))
        pods = factory.core.v1.pods(compact=compact)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        first, second = Seen(), Seen()
        registration = pods.add_event_handler(first, ignore="status")
        pods.add_event_handler(second, ignore=["status", "metadata.labels"])
        await registration.wait_synced(timeout=5)
        await asyncio.sleep(1)
        assert set(facts_of(pods)) == {0}, "they are read when they are wanted"
        for phase in ("Running", "Failed"):
            touch(server, "p7", phase)
        server.patch("pods", "p7", {"metadata": {"labels": {"a": "b"}}})
        await asyncio.sleep(1)
        assert first.events[300:] == ["Updated p7"]
        assert second.events[300:] == []


async def test_a_resync_comes_whatever_has_changed() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods, seen = factory.core.v1.pods(), Seen()
        pods.add_event_handler(seen, ignore="status", resync_period=60)
        await factory.start()
        await asyncio.sleep(61)
        assert seen.events == ["Added a", "Updated a"]


async def test_a_resync_comes_also_behind_an_update_that_does_not_matter() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        server.create("pods", pod("b"))
        pods, resyncs, gate = factory.core.v1.pods(), list[str](), asyncio.Event()
        gate.set()

        async def slow(event: Event[Any]) -> None:
            await gate.wait()
            if event.cause is Cause.RESYNC:
                resyncs.append(event.key.name)

        pods.add_event_handler(slow, ignore="status", resync_period=60)
        await factory.start()
        await asyncio.sleep(59)
        gate.clear()
        server.patch("pods", "b", {"metadata": {"labels": {"a": "b"}}})
        touch(server, "a", "Running")
        await asyncio.sleep(3)
        gate.set()
        await asyncio.sleep(1)
        assert "a" in resyncs


async def test_filters_judge_first() -> None:
    """What begins or ceases to pass is an addition or deletion, even if its change is in an ignored field."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods, seen = factory.core.v1.pods(object_type=dict), Seen()
        registration = pods.add_event_handler(
            seen, ignore="status", filter=lambda obj: obj.get("status", {}).get("phase") == "Running"
        )
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for phase in ("Running", "Failed", "Succeeded", "Running"):
            touch(server, "a", phase)
            await asyncio.sleep(0.1)
        assert seen.events == ["Added a", "Deleted a", "Added a"]
        assert registration.statistics().filtered == 2


async def test_created_again_it_is_another_object() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods, seen = factory.core.v1.pods(), Seen()
        pods.add_event_handler(seen, only="spec.nodeName")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.delete("pods", "a")
        server.create("pods", pod("a"))
        await asyncio.sleep(1)
        assert seen.events == ["Added a", "Deleted a", "Added a"]


async def test_merged_updates_are_judged_from_the_first_to_the_last() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods, gate, updates = factory.core.v1.pods(object_type=dict), asyncio.Event(), list[tuple[str, str]]()

        async def slow(event: Event[dict[str, Any]]) -> None:
            if isinstance(event, Updated):
                updates.append((event.old["metadata"]["labels"]["n"], event.object["metadata"]["labels"]["n"]))
            await gate.wait()

        registration = pods.add_event_handler(slow, ignore="status", limit=1)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.patch("pods", "a", {"metadata": {"labels": {"n": "0"}}})
        await asyncio.sleep(0.1)
        for number in ("1", "2", "0"):
            server.patch("pods", "a", {"metadata": {"labels": {"n": number}}})
            touch(server, "a", number)
            await asyncio.sleep(0.1)
        gate.set()
        await asyncio.sleep(0.1)
        assert len(updates) <= 1
        assert registration.statistics().ignored + registration.statistics().coalesced >= 5


async def test_what_cannot_be_read_is_refused_when_it_is_asked_for() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods, decoded = factory.core.v1.pods(), factory.core.v1.pods(object_type=Pod)
        with pytest.raises(InvalidPathError, match=r"Pod has no field 'stauts': did you mean status\?"):
            pods.add_event_handler(Seen(), ignore="stauts")
        with pytest.raises(InvalidPathError, match="no parts"):
            pods.stream(only=["spec.nodeName.x"])
        for odd in (5, ["status", 5], {"status": 1}, b"status"):
            with pytest.raises(TypeError, match=r"ignore takes paths, such as \('status', "):
                pods.add_event_handler(Seen(), ignore=odd)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="no change at all"):
            pods.stream(only=())
        pods.stream(only={"status"}, ignore=frozenset({"status.conditions"}))
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        with pytest.raises(ValueError, match="register who asks for it before the start"):
            decoded.add_event_handler(Seen(), ignore="status")
        await factory.shutdown()
        with pytest.raises(InformerClosedError):
            pods.add_event_handler(Seen(), ignore="status")
