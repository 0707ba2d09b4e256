"""The guarantees of the design, each by its number, on the embedded server in virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers import (
    Added,
    Cause,
    Deleted,
    Event,
    InformerClosedError,
    Settings,
    SharedInformer,
    Updated,
)
from aioinformers.testing import FakeAPIServer
from aioinformers.types import Scope
from tests.kit import Recorder, cached, configmap, factory_on, pod, stored, version_of

pytestmark = pytest.mark.virtual_time


# -- G1 convergence -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("watch_list", [True, False])
async def test_g1_cache_equals_server_after_every_kind_of_change(watch_list: bool) -> None:
    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server) as factory:
        for i in range(20):
            server.create("pods", pod(f"p{i}"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert cached(pods) == stored(server, "pods")

        server.create("pods", pod("late"))
        server.patch("pods", "p3", {"metadata": {"labels": {"app": "web"}}}, namespace="default")
        server.delete("pods", "p4", namespace="default")
        await asyncio.sleep(1)

        assert cached(pods) == stored(server, "pods")
        assert pods.last_sync_resource_version == server.resource_version


@pytest.mark.parametrize("watch_list", [True, False])
async def test_g1_cache_equals_server_after_changes_that_no_watch_delivered(watch_list: bool) -> None:
    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server) as factory:
        for i in range(5):
            server.create("pods", pod(f"p{i}"))
        pods = factory.core.v1.pods()
        recorder = Recorder()
        pods.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)

        server.close_watches()
        server.delete("pods", "p0", namespace="default")
        server.patch("pods", "p1", {"metadata": {"labels": {"a": "b"}}}, namespace="default")
        server.create("pods", pod("new"))
        server.expire()  # the resume version is gone: 410, relist, diff
        await asyncio.sleep(60)

        assert cached(pods) == stored(server, "pods")
        assert recorder.state == stored(server, "pods")
        assert recorder.problems == []
        assert pods.is_watching


async def test_g1_scopes_are_independent_and_a_relist_of_one_leaves_the_other() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for namespace in ("a", "b", "c"):
            server.create("pods", pod("one", namespace))
        pods = factory.core.v1.pods(namespace=["b", "a"])
        recorder = Recorder()
        pods.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        assert set(pods.resource_versions) == {Scope("a"), Scope("b")}
        assert set(cached(pods)) == {"a/one", "b/one"}

        server.create("pods", pod("two", "a"))
        server.create("pods", pod("two", "c"))
        server.delete("pods", "one", namespace="b")
        await asyncio.sleep(1)

        assert set(cached(pods)) == {"a/one", "a/two"}
        assert recorder.problems == []
        assert set(recorder.state) == {"a/one", "a/two"}


# -- G2 store first -------------------------------------------------------------------------------------------


async def test_g2_a_handler_finds_its_event_or_a_newer_state_in_the_cache() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        behind: list[str] = []

        async def check(event: Event[dict[str, Any]]) -> None:
            now = configmaps.indexer.get(event.key)
            if isinstance(event, Deleted):
                if now is not None and int(version_of(now)[1]) <= int(version_of(event.object)[1]):
                    behind.append(repr(event))
            elif now is not None and int(version_of(now)[1]) < int(version_of(event.object)[1]):
                behind.append(repr(event))

        registration = configmaps.add_event_handler(check)
        await factory.start()
        for i in range(300):
            name = f"c{i % 7}"
            if i % 3 == 0:
                _replace(server, name)
            else:
                _upsert(server, name, str(i))
            if i % 20 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)

        assert behind == []
        assert registration.statistics().handled > 20


def _upsert(server: FakeAPIServer, name: str, value: str) -> None:
    names = {o["metadata"]["name"] for o in server.list("configmaps")}
    if name in names:
        server.patch("configmaps", name, {"data": {"v": value}}, namespace="default")
    else:
        server.create("configmaps", configmap(name, v=value))


def _replace(server: FakeAPIServer, name: str) -> None:
    if name in {o["metadata"]["name"] for o in server.list("configmaps")}:
        server.delete("configmaps", name, namespace="default")
    server.create("configmaps", configmap(name))


# -- G3 order -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 2, 16])
async def test_g3_events_of_a_key_come_in_order_and_never_two_at_once(concurrency: int) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        seen: dict[str, list[int]] = {}
        inside: set[str] = set()
        overlaps: list[str] = []

        async def handler(event: Event[dict[str, Any]]) -> None:
            key = str(event.key)
            if key in inside:
                overlaps.append(key)
            inside.add(key)
            await asyncio.sleep(0.001 * (hash(key) % 5))
            seen.setdefault(key, []).append(int(version_of(event.object)[1]))
            inside.discard(key)

        registration = configmaps.add_event_handler(handler, concurrency=concurrency, limit=5000)
        for i in range(10):
            server.create("configmaps", configmap(f"c{i}"))
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for i in range(400):
            server.patch("configmaps", f"c{i * 7 % 10}", {"data": {"v": str(i)}}, namespace="default")
        await asyncio.sleep(30)

        assert overlaps == []
        assert all(versions == sorted(versions) for versions in seen.values())
        assert sum(map(len, seen.values())) == 410
        assert registration.statistics().coalesced == 0


async def test_g3_one_worker_keeps_the_order_of_all_keys() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for i in range(50):
            server.create("configmaps", configmap(f"c{i}"))
        await asyncio.sleep(1)

        assert recorder.kinds() == [f"Added c{i}" for i in range(50)]


# -- G4 join any time -----------------------------------------------------------------------------------------


async def test_g4_consumers_that_join_under_constant_writes_miss_nothing_and_get_nothing_twice() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        recorders: list[Recorder] = []
        await factory.start()
        for i in range(600):
            name = f"c{i * 13 % 40}"
            if i % 4 == 3:
                _replace(server, name)
            else:
                _upsert(server, name, str(i))
            if i % 25 == 0:
                recorders.append(Recorder())
                configmaps.add_event_handler(recorders[-1], concurrency=1 + i % 3)
                await asyncio.sleep(0.002)
        await asyncio.sleep(2)

        for recorder in recorders:
            assert recorder.problems == []
            assert recorder.state == stored(server, "configmaps")


async def test_g4_late_joiner_gets_initial_additions_and_then_changes() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.create("pods", pod("b"))
        await asyncio.sleep(1)
        recorder = Recorder()
        registration = pods.add_event_handler(recorder)
        assert recorder.events == [], "nothing of the user runs inside add_event_handler"
        assert not registration.has_synced
        await registration.wait_synced()
        server.create("pods", pod("c"))
        await asyncio.sleep(1)

        assert [(e.key.name, e.initial, e.cause) for e in recorder.events if isinstance(e, Added)] == [
            ("a", True, Cause.LIST),
            ("b", True, Cause.LIST),
            ("c", False, Cause.WATCH),
        ]


async def test_g4_removed_handler_gets_no_further_call() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        stays, leaves = Recorder(), Recorder()
        pods.add_event_handler(stays)
        registration = pods.add_event_handler(leaves)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.create("pods", pod("a"))
        await asyncio.sleep(1)
        pods.remove_event_handler(registration)
        pods.remove_event_handler(registration)
        server.create("pods", pod("b"))
        await asyncio.sleep(1)

        assert leaves.kinds() == ["Added a"]
        assert stays.kinds() == ["Added a", "Added b"]


# -- G5 no lost delete ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("watch_list", [True, False])
async def test_g5_unseen_deletion_comes_once_with_the_last_known_object(watch_list: bool) -> None:
    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server) as factory:
        server.create("pods", pod("gone"))
        server.create("pods", pod("stays"))
        pods = factory.core.v1.pods()
        recorder = Recorder()
        pods.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.close_watches()
        server.delete("pods", "gone", namespace="default")
        server.expire()
        await asyncio.sleep(60)

        deletions = [event for event in recorder.events if isinstance(event, Deleted)]
        assert [(e.key.name, e.final_state_known, e.cause) for e in deletions] == [("gone", False, Cause.RELIST)]
        assert deletions[0].object.spec.node_name == "n1"


async def test_g5_object_recreated_in_a_gap_comes_as_deleted_then_added() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        pods = factory.core.v1.pods()
        recorder = Recorder()
        pods.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.close_watches()
        server.delete("pods", "p", namespace="default")
        server.create("pods", pod("p", node="n2"))
        server.expire()
        await asyncio.sleep(60)

        assert recorder.kinds() == ["Added p", "Deleted p", "Added p"]
        assert recorder.problems == []
        assert recorder.events[1].object.metadata.uid != recorder.events[2].object.metadata.uid


async def test_g5_seen_deletion_carries_the_final_state() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        pods = factory.core.v1.pods()
        recorder = Recorder()
        pods.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.delete("pods", "p", namespace="default")
        await asyncio.sleep(1)

        last = recorder.events[-1]
        assert isinstance(last, Deleted)
        assert last.final_state_known
        assert last.object.metadata.resource_version == server.resource_version


# -- G6 no noise ----------------------------------------------------------------------------------------------


async def test_g6_relist_of_unchanged_objects_is_no_event() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(10):
            server.create("pods", pod(f"p{i}"))
        pods = factory.core.v1.pods()
        recorder = Recorder()
        pods.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)
        before = len(recorder.events)
        for _ in range(3):
            server.create("nodes", {"metadata": {"name": f"n{server.resource_version}"}})
            server.close_watches()
            server.expire()
            await asyncio.sleep(60)

        assert pods.statistics().lists >= 2
        assert len(recorder.events) == before == 10


async def test_g6_resync_reaches_only_those_who_asked_at_their_period() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        pods = factory.core.v1.pods()
        quiet, two, three = Recorder(), Recorder(), Recorder()
        pods.add_event_handler(quiet)
        pods.add_event_handler(two, resync_period=2)
        pods.add_event_handler(three, resync_period=3)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(12.5)

        assert quiet.kinds() == ["Added p"]
        assert two.kinds() == ["Added p"] + ["Updated p"] * 6
        assert three.kinds() == ["Added p"] + ["Updated p"] * 4
        assert set(two.causes()[1:]) == {Cause.RESYNC}
        resync = two.events[-1]
        assert isinstance(resync, Updated)
        assert resync.old is resync.object


# -- G7 isolation ---------------------------------------------------------------------------------------------


async def test_g7_raising_handler_goes_on_and_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(3):
            server.create("pods", pod(f"p{i}"))
        pods = factory.core.v1.pods()
        calm = Recorder()
        errors: list[tuple[str, str]] = []
        calls: list[str] = []

        async def angry(event: Event[Any]) -> None:
            calls.append(event.key.name)
            if event.key.name == "p1":
                raise OSError("no")
            if event.key.name == "p2":
                raise asyncio.CancelledError

        async def on_error(error: Exception, event: Event[Any]) -> None:
            errors.append((type(error).__name__, event.key.name))

        pods.add_event_handler(calm)
        registration = pods.add_event_handler(angry, on_error=on_error)
        await factory.start()
        with caplog.at_level(logging.ERROR):
            await registration.wait_synced()

        assert calls == ["p0", "p1", "p2"]
        assert errors == [("OSError", "p1"), ("RuntimeError", "p2")]
        assert registration.statistics().failed == 2
        assert "angry" in caplog.text
        assert len(calm.events) == 3

        server.create("pods", pod("p3"))
        await asyncio.sleep(1)
        assert calls[-1] == "p3"


async def test_g7_hanging_handler_holds_its_key_alone_until_its_timeout(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for name in ("a", "b", "stuck"):
            server.create("pods", pod(name))
        pods = factory.core.v1.pods()
        other = Recorder()
        done: list[str] = []

        async def handler(event: Event[Any]) -> None:
            if event.key.name == "stuck":
                await asyncio.Event().wait()
            done.append(event.key.name)

        pods.add_event_handler(other)
        registration = pods.add_event_handler(handler, concurrency=2, handler_timeout=100)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(40)

        assert done == ["a", "b"]
        (busy,) = registration.statistics().busy_keys
        assert (str(busy.key), round(busy.seconds)) == ("default/stuck", 40)
        assert "default/stuck" in caplog.text
        assert not registration.has_synced
        server.create("pods", pod("c"))
        await asyncio.sleep(1)
        assert done == ["a", "b", "c"]
        assert len(other.events) == 4

        await asyncio.sleep(60)
        assert registration.has_synced
        assert registration.statistics().failed == 1
        assert registration.statistics().busy_keys == ()


# -- G8 bounded -----------------------------------------------------------------------------------------------


async def test_g8_backlog_of_a_slow_consumer_is_merged_and_replays_to_the_store() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        recorder, gate = Recorder(), asyncio.Event()

        async def slow(event: Event[Any]) -> None:
            await gate.wait()
            await recorder(event)

        registration = configmaps.add_event_handler(slow, limit=10)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for i in range(500):
            if i % 11 == 0:
                _replace(server, f"c{i % 6}")
            else:
                _upsert(server, f"c{i % 6}", str(i))
            if i % 50 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)

        assert registration.statistics().queued <= 10 + 2 * 6
        assert registration.statistics().coalesced > 400
        gate.set()
        await asyncio.sleep(1)
        assert recorder.problems == []
        assert recorder.state == stored(server, "configmaps")


async def test_g8_unbounded_on_request_keeps_every_event() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        server.create("configmaps", configmap("c"))
        recorder, gate = Recorder(), asyncio.Event()

        async def slow(event: Event[Any]) -> None:
            await gate.wait()
            await recorder(event)

        registration = configmaps.add_event_handler(slow, limit=None)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for i in range(100):
            server.patch("configmaps", "c", {"data": {"v": str(i)}}, namespace="default")
        await asyncio.sleep(1)
        gate.set()
        await asyncio.sleep(1)

        assert len(recorder.events) == 101
        assert registration.statistics().coalesced == 0


# -- G10 clean exit -------------------------------------------------------------------------------------------


async def test_g10_shutdown_drains_within_its_grace() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(20):
            server.create("pods", pod(f"p{i}"))
        done: list[str] = []

        async def handler(event: Event[Any]) -> None:
            await asyncio.sleep(0.1)
            done.append(event.key.name)

        factory.core.v1.pods().add_event_handler(handler)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await factory.shutdown(grace=10)

        assert len(done) == 20


async def test_g10_shutdown_cancels_after_its_grace_and_counts_what_was_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(5):
            server.create("pods", pod(f"p{i}"))

        async def handler(event: Event[Any]) -> None:
            await asyncio.sleep(1000)

        registration = factory.core.v1.pods().add_event_handler(handler)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        before = loop.time()
        await factory.shutdown(grace=3)

        assert 3 <= loop.time() - before <= 4
        assert registration.statistics().undelivered == 5
        assert "5 events were not delivered" in caplog.text


async def test_g10_shutdown_leaves_a_handler_behind_that_refuses_to_be_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        release = asyncio.Event()

        async def stubborn(event: Event[Any]) -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        factory.core.v1.pods().add_event_handler(stubborn)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        before = loop.time()
        await factory.shutdown(grace=1)

        assert loop.time() - before <= 2
        assert "refuses to be cancelled" in caplog.text
        assert "stubborn" in caplog.text
        release.set()
        await asyncio.sleep(0.1)


async def test_g10_shutdown_from_inside_a_handler_does_not_wait_for_it() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        returned = asyncio.Event()

        async def handler(event: Event[Any]) -> None:
            await factory.shutdown(grace=5)
            returned.set()

        pods = factory.core.v1.pods()
        pods.add_event_handler(handler)
        await factory.start()
        await asyncio.wait_for(returned.wait(), 10)
        await asyncio.wait_for(pods.wait_closed(), 10)


async def test_g10_every_wait_ends_when_the_informer_does() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        server.fail("* pods", status=500, times=None)
        gate = asyncio.Event()

        async def handler(event: Event[Any]) -> None:
            await gate.wait()

        registration = pods.add_event_handler(handler)
        await factory.start()
        waits = [
            asyncio.create_task(pods.wait_synced()),
            asyncio.create_task(registration.wait_synced()),
            asyncio.create_task(pods.wait_for_resource_version("999999")),
            asyncio.create_task(_wait_for(pods)),
        ]
        await asyncio.sleep(1)
        await factory.shutdown(grace=0)
        results = await asyncio.gather(*waits, return_exceptions=True)

        assert [type(result) for result in results] == [InformerClosedError] * 4


async def _wait_for(pods: SharedInformer[Any]) -> None:
    await pods.wait_for("default/never", lambda obj: obj is not None)


async def test_g10_cancelled_waits_leave_nothing_behind() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for wait in (pods.wait_for_resource_version("999999", timeout=1), pods.wait_for("a/b", bool, timeout=1)):
            with pytest.raises(TimeoutError):
                await wait
        assert not pods.is_in_use


# -- G11 one bad object is one bad object ---------------------------------------------------------------------


class Replicas(msgspec.Struct, frozen=True):
    replicas: int


class Scaled(msgspec.Struct, frozen=True):
    spec: Replicas


async def test_g11_unreadable_object_is_counted_and_its_neighbours_go_on() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("deployments", _deployment("good", 1))
        server.create("deployments", _deployment("bad", "three"))
        deployments = factory.apps.v1.deployments(object_type=Scaled)
        recorder: list[str] = []

        async def handler(event: Event[Scaled]) -> None:
            recorder.append(f"{type(event).__name__} {event.key.name}")

        deployments.add_event_handler(handler)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)

        assert deployments.lister.get("good", namespace="default").spec.replicas == 1
        assert set(deployments.statistics().rejected) == {"default/bad"}
        assert deployments.health().rejected == 1

        server.patch("deployments", "good", {"spec": {"replicas": "x"}}, namespace="default")
        await asyncio.sleep(1)
        assert deployments.lister.get("good", namespace="default").spec.replicas == 1  # its last good version
        assert set(deployments.statistics().rejected) == {"default/bad", "default/good"}

        server.patch("deployments", "good", {"spec": {"replicas": 7}}, namespace="default")
        server.patch("deployments", "bad", {"spec": {"replicas": 3}}, namespace="default")
        await asyncio.sleep(1)
        assert deployments.statistics().rejected == {}
        assert deployments.lister.get("good", namespace="default").spec.replicas == 7
        assert recorder == ["Added good", "Updated good", "Added bad"]

        server.patch("deployments", "good", {"spec": {"replicas": "x"}}, namespace="default")
        server.delete("deployments", "good", namespace="default")
        await asyncio.sleep(1)
        assert recorder[-1] == "Deleted good"
        assert deployments.statistics().rejected == {}


def _deployment(name: str, replicas: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"replicas": replicas}}


async def test_g11_transform_that_raises_is_that_objects_alone() -> None:
    def transform(obj: dict[str, Any]) -> dict[str, Any]:
        if obj["metadata"]["name"] == "bad":
            raise KeyError("secret value")
        obj["data"] = {"seen": "yes"}
        return obj

    async with FakeAPIServer() as server, factory_on(server, transform=transform) as factory:
        server.create("configmaps", configmap("good"))
        server.create("configmaps", configmap("bad"))
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        assert [obj["data"] for obj in configmaps.lister.list()] == [{"seen": "yes"}]
        assert configmaps.statistics().rejected == {"default/bad": "the transform transform raised KeyError"}


# -- G13 mutation-proof ---------------------------------------------------------------------------------------


async def test_g13_what_a_reader_does_to_an_object_changes_nothing_for_the_next() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("c", v="1"))
        configmaps = factory.for_resource("configmaps.v1.")
        models = factory.core.v1.configmaps()
        seen: list[str] = []

        async def vandal(event: Event[dict[str, Any]]) -> None:
            event.object["data"]["v"] = "broken"
            event.object["metadata"].clear()

        async def reader(event: Event[dict[str, Any]]) -> None:
            seen.append(event.object["data"]["v"])

        async def model_vandal(event: Event[client.V1ConfigMap]) -> None:
            event.object.data["v"] = "broken"

        configmaps.add_event_handler(vandal)
        configmaps.add_event_handler(reader)
        models.add_event_handler(model_vandal)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)
        got = configmaps.lister.get("c", namespace="default")
        got["data"]["v"] = "broken"
        server.patch("configmaps", "c", {"data": {"w": "2"}}, namespace="default")
        await asyncio.sleep(1)

        assert seen == ["1", "1"]
        assert configmaps.lister.get("c", namespace="default")["data"] == {"v": "1", "w": "2"}
        assert models.lister.get("c", namespace="default").data == {"v": "1", "w": "2"}


# -- G14 any framing ------------------------------------------------------------------------------------------


async def test_g14_compressed_lists_give_the_same_objects() -> None:
    """Lists beyond 128 KiB are compressed for who asks; their pieces end anywhere in an object or a character."""
    async with FakeAPIServer(watch_list=False) as server:
        for i in range(400):
            server.create("configmaps", configmap(f"c{i}", text="é✓𝄞" * (i % 97), other="x" * i))
        found: list[dict[str, tuple[str, str]]] = []
        for compression in (False, True):
            settings = Settings(compression=compression, backoff_jitter=0.0)
            async with factory_on(server, settings=settings) as factory:
                configmaps = factory.core.v1.configmaps(object_type=dict)
                await factory.start()
                await factory.wait_for_cache_sync(timeout=10)
                found.append(cached(configmaps))
                text = configmaps.lister.get("c96", namespace="default")["data"]["text"]
                assert text == "é✓𝄞" * 96
        assert found[0] == found[1] == stored(server, "configmaps")
        asked = {request.headers["accept-encoding"] for request in server.requests if "watch" not in request.query}
        assert asked == {"identity", "gzip"}


# -- G15 read your writes -------------------------------------------------------------------------------------


async def test_g15_wait_for_resource_version_ends_once_the_cache_has_the_write() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for i in range(20):
            made = server.create("configmaps", configmap(f"c{i}"))
            await configmaps.wait_for_resource_version(made["metadata"]["resourceVersion"], timeout=5)
            assert configmaps.lister.get(f"c{i}", namespace="default")


async def test_g15_a_bookmark_alone_moves_the_version_on() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.", label_selector="app=web")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        made = server.create("configmaps", configmap("other"))
        await configmaps.wait_for_resource_version(made["metadata"]["resourceVersion"], timeout=90)

        assert len(configmaps.lister) == 0


async def test_g15_wait_for_a_condition_on_one_object() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        waiting = asyncio.create_task(
            configmaps.wait_for("default/c", lambda obj: obj is not None and obj["data"]["v"] == "3", timeout=30)
        )
        for i in range(4):
            await asyncio.sleep(1)
            _upsert(server, "c", str(i))
        found = await waiting
        assert found is not None
        assert found["data"] == {"v": "3"}
        server.delete("configmaps", "c", namespace="default")
        assert await configmaps.wait_for("default/c", lambda obj: obj is None, timeout=5) is None
