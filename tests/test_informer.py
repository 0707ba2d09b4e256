"""One informer from its making to its end: what it says of itself, and what it takes at which time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import Cause, Event, InformerClosedError, Updated, new_informer
from aioinformers.informer import pipeline_of
from aioinformers.testing import FakeAPIServer
from tests.kit import QUICK, Recorder, collected_warnings, configmap, factory_on, pod, synced

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
        assert pods.health().reason == "closed"
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


# -- waits say what they waited for --------------------------------------------------------------------------------


async def test_a_wait_for_the_first_sync_says_why_its_time_was_up() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.fail("* configmaps", status=403, times=None)
        configmaps = factory.for_resource("configmaps.v1.", namespace="shop")
        with pytest.raises(TimeoutError, match=r"configmaps\.v1 \[shop, .*\] has not synced within 1 s: not started"):
            await configmaps.wait_synced(timeout=1)
        await factory.start()
        with pytest.raises(TimeoutError, match=r"has not synced within 2 s: waiting in shop: 403"):
            await configmaps.wait_synced(timeout=2)


async def test_a_wait_for_an_object_says_which_and_what_is_there_instead() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        with pytest.raises(TimeoutError, match=r"configmaps\.v1 .*: default/c did not come into the cache within 1 s$"):
            await configmaps.wait_for("default/c", lambda obj: obj is not None, timeout=1)
        server.create("configmaps", configmap("c"))
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError, match=r"default/c did not meet the condition within 1 s"):
            await configmaps.wait_for("default/c", lambda obj: obj is None, timeout=1)
        with pytest.raises(TimeoutError, match=r"resourceVersion 99999 was not reached, but \d+, within 1 s$"):
            await configmaps.wait_for_resource_version("99999", timeout=1)
        await server.stop()
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError, match=r"within 1 s: .*cannot connect"):
            await configmaps.wait_for("default/c", lambda obj: obj is None, timeout=1)


async def test_an_error_of_the_condition_is_not_taken_for_the_end_of_the_time() -> None:
    def condition(obj: object) -> bool:
        raise TimeoutError("mine")

    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        with pytest.raises(TimeoutError, match=r"^mine$"):
            await configmaps.wait_for("default/c", condition, timeout=5)


# -- what it says of itself ----------------------------------------------------------------------------------------


async def test_informers_lister_and_indexer_say_what_and_how_much() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        pods = factory.core.v1.pods(namespace="default", indexers={"node": "spec.nodeName"})
        assert repr(pods) == "<SharedInformer pods.v1 [default] new, 0 objects>"
        assert repr(pods.lister) == "<Lister of pods.v1 [default], 0 objects>"  # although reads would raise
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert repr(pods) == "<SharedInformer pods.v1 [default] running, 1 objects>"
        assert repr(pods.lister) == "<Lister of pods.v1 [default], 1 objects>"
        assert repr(pods.lister.namespace("a")) == "<NamespaceLister of pods.v1 [default], namespace a>"
        assert repr(pods.indexer) == "<Indexer of pods.v1 [default], 1 objects by namespace, node>"
    assert repr(pods) == "<SharedInformer pods.v1 [default] closed, 1 objects>"


async def test_silence_is_told_in_seconds_and_activity_in_the_loops_time() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = await synced(factory)
        assert configmaps.health().silent_for == pytest.approx(0, abs=1)
        await asyncio.sleep(20)
        loop = asyncio.get_running_loop()
        assert configmaps.last_activity is not None
        assert configmaps.health().silent_for == pytest.approx(loop.time() - configmaps.last_activity) != 0


# -- forgotten -----------------------------------------------------------------------------------------------------


async def test_an_informer_that_is_dropped_while_it_runs_is_named_by_a_warning() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        pods = new_informer(api, client.V1Pod, namespace="shop", settings=QUICK)
        pipeline = pipeline_of(pods)
        await pods.__aenter__()
        await pods.wait_synced(timeout=5)
        with collected_warnings() as told:
            del pods
        assert len(told) == 1
        assert told[0].startswith("<SharedInformer pods.v1 [shop] running, 0 objects> was dropped while it runs")
        pipeline.stop(0)
        await pipeline.wait_closed()


async def test_an_informer_that_has_been_closed_or_never_run_may_be_dropped() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        async with new_informer(api, client.V1Pod, settings=QUICK) as pods:
            await pods.wait_synced(timeout=5)
        never = new_informer(api, client.V1Pod, settings=QUICK)
        with collected_warnings() as told:
            del pods, never
        assert told == []
