"""One informer from its making to its end: what it says of itself, and what it takes at which time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import Cause, Event, InformerClosedError, Updated, new_informer
from aioinformers.testing import FakeAPIServer
from tests.kit import QUICK, Recorder, configmap, factory_on, pod

pytestmark = pytest.mark.virtual_time


async def test_an_informer_runs_once() -> None:
    """And says before, meanwhile and afterwards what it is doing."""
    async with FakeAPIServer() as server, server.api_client() as api:
        pods = new_informer(api, client.V1Pod, settings=QUICK)
        assert (pods.is_running, pods.has_synced, pods.is_watching) == (False, False, False)
        assert pods.health().reason == "not started"
        async with pods:
            await pods.wait_synced()
            await asyncio.sleep(1)
            assert (pods.is_running, pods.has_synced, pods.is_watching) == (True, True, True)
            with pytest.raises(InformerClosedError, match="started before"):
                await pods.run()
            assert pods.is_running
        await pods.wait_closed()
        assert (pods.is_running, pods.has_synced, pods.is_watching) == (False, False, False)
        assert pods.health().reason == "stopped"
        with pytest.raises(InformerClosedError, match="started before"):
            await pods.run()


async def test_each_handler_is_resynced_by_its_own_clock_whenever_it_came() -> None:
    """A short period of one changes nothing for the others; below a second it is a second, and 0 is never."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        pods = factory.core.v1.pods(resync_period=200)
        early: dict[float | None, Recorder] = {None: Recorder(), 0: Recorder(), 60: Recorder(), 5: Recorder()}
        for period, recorder in early.items():
            pods.add_event_handler(recorder, resync_period=period)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(30)
        late: dict[float, Recorder] = {0.01: Recorder(), 7: Recorder(), 0: Recorder()}
        for period, recorder in late.items():
            pods.add_event_handler(recorder, resync_period=period)
        await asyncio.sleep(100.5)

        def resyncs(recorders: dict[Any, Recorder]) -> dict[Any, int]:
            return {period: Counter(each.causes())[Cause.RESYNC] for period, each in recorders.items()}

        assert resyncs(early) == {None: 0, 0: 0, 60: 2, 5: 26}
        assert resyncs(late) == {0.01: 100, 7: 14, 0: 0}
        await asyncio.sleep(70)
        assert resyncs(early)[None] == 1


@pytest.mark.parametrize("watch_list", [True, False], ids=["stream", "list"])
async def test_handlers_and_readers_see_what_the_transform_made_in_every_kind_of_event(watch_list: bool) -> None:
    """It is called once for each version; a resync and a list of what has not changed call it not at all."""
    calls: Counter[tuple[str, str]] = Counter()

    def stamp(obj: dict[str, Any]) -> dict[str, Any]:
        meta = obj["metadata"]
        calls[meta["name"], meta["resourceVersion"]] += 1
        return {"metadata": meta, "stamp": obj["data"]["v"]}

    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server, transform=stamp) as factory:
        for name in ("a", "gone", "seen"):
            server.create("configmaps", configmap(name, v="1"))
        configmaps = factory.for_resource("configmaps.v1.")
        told: list[tuple[str, str, Any, Any]] = []

        async def handler(event: Event[dict[str, Any]]) -> None:
            old = event.old.get("stamp") if isinstance(event, Updated) else None
            assert "data" not in event.object
            told.append((type(event).__name__, event.key.name, old, event.object["stamp"]))

        registration = configmaps.add_event_handler(handler)
        await factory.start()
        await registration.wait_synced()
        server.patch("configmaps", "a", {"data": {"v": "2"}}, namespace="default")
        server.create("configmaps", configmap("b", v="1"))
        server.delete("configmaps", "seen", namespace="default")
        await asyncio.sleep(2)
        server.close_watches()
        server.patch("configmaps", "a", {"data": {"v": "3"}}, namespace="default")
        server.delete("configmaps", "gone", namespace="default")
        server.expire()
        await asyncio.sleep(60)
        resynced = Recorder()
        configmaps.add_event_handler(resynced, resync_period=1)
        await asyncio.sleep(5.5)

        assert told == [
            *[("Added", name, None, "1") for name in ("a", "gone", "seen")],
            ("Updated", "a", "1", "2"),
            ("Added", "b", None, "1"),
            ("Deleted", "seen", None, "1"),
            ("Deleted", "gone", None, "1"),
            ("Updated", "a", "2", "3"),
        ]
        assert {obj["metadata"]["name"]: obj["stamp"] for obj in configmaps.lister} == {"a": "3", "b": "1"}
        assert [event.object["stamp"] for event in resynced.events] == ["3", "1"] * 6
        assert len(calls) == 7  # each object, the changes of one, and the last state of the one that was deleted
        assert set(calls.values()) == {1}


async def test_every_event_of_the_namespace_that_is_followed_comes_and_none_of_another() -> None:
    async with FakeAPIServer() as server, factory_on(server, namespace="mine") as factory:
        configmaps = factory.core.v1.configmaps()
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for namespace in ("mine", "theirs"):
            server.create("configmaps", configmap("c", namespace))
            server.patch("configmaps", "c", {"data": {"v": "2"}}, namespace=namespace)
            server.delete("configmaps", "c", namespace=namespace)
        await asyncio.sleep(1)

        assert recorder.kinds() == ["Added c", "Updated c", "Deleted c"]
        assert {event.key.namespace for event in recorder.events} == {"mine"}
