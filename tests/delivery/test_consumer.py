"""Handlers on a running informer: concurrency, filters, decorators, contexts."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import Deleted, Event, InformerClosedError
from aioinformers.testing import FakeAPIServer
from tests.kit import Recorder, configmap, factory_on, pod

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize(("concurrency", "seconds"), [(100, 0.1), (1, 10.0)])
async def test_a_handler_that_waits_is_overlapped_by_concurrency(concurrency: int, seconds: float) -> None:
    """1,000 objects at 10 ms each: 0.1 s with 100 at once, 10 s one by one."""
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(1000):
            server.create("configmaps", configmap(f"c{i}"))
        configmaps = factory.for_resource("configmaps.v1.")
        order: dict[str, list[str]] = {}

        async def handler(event: Event[dict[str, Any]]) -> None:
            await asyncio.sleep(0.01)
            order.setdefault(str(event.key), []).append(event.object["metadata"]["resourceVersion"])

        await factory.start()
        await factory.wait_for_cache_sync(timeout=30)
        before = loop.time()
        registration = configmaps.add_event_handler(handler, concurrency=concurrency)
        await registration.wait_synced()
        assert loop.time() - before == pytest.approx(seconds, rel=0.05)
        assert registration.statistics().handled == 1000

        for _ in range(3):
            for i in range(0, 1000, 100):
                server.patch("configmaps", f"c{i}", {"data": {"v": f"{server.resource_version}"}}, namespace="default")
        await asyncio.sleep(15)
        assert all(len(order[f"default/c{i}"]) == 4 for i in range(0, 1000, 100))
        assert all(versions == sorted(versions, key=int) for versions in order.values())


async def test_decorators_of_an_informer_feed_one_registration_in_order() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        deployments = factory.apps.v1.deployments()
        calls: list[str] = []

        @deployments.on_add
        async def first(obj: client.V1Deployment) -> None:
            calls.append(f"first {obj.metadata.name}")

        @deployments.on_add
        async def second(obj: client.V1Deployment) -> None:
            calls.append(f"second {obj.metadata.name}")

        @factory.on_update(client.V1Deployment)
        async def scaled(old: client.V1Deployment, new: client.V1Deployment) -> None:
            calls.append(f"{old.spec.replicas} to {new.spec.replicas}")

        @factory.on_delete("deployments.v1.apps")
        async def other_informer(obj: dict[str, Any]) -> None:
            calls.append(f"deleted {obj['metadata']['name']}")

        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.create("deployments", {"metadata": {"name": "web"}, "spec": {"replicas": 1}})
        server.patch("deployments", "web", {"spec": {"replicas": 3}}, namespace="default")
        await asyncio.sleep(1)
        server.delete("deployments", "web", namespace="default")
        await asyncio.sleep(1)

        assert calls == ["first web", "second web", "1 to 3", "deleted web"]
        assert deployments.default_registration is not None
        with pytest.raises(RuntimeError, match="joined already"):
            deployments.on_add(first)


async def test_decorating_a_running_informer_joins_at_the_next_loop_turn() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        names: list[str] = []

        @pods.on_add
        async def added(obj: client.V1Pod) -> None:
            names.append(obj.metadata.name)

        assert pods.default_registration is None
        await asyncio.sleep(0.1)
        assert pods.default_registration is not None
        assert names == ["a"]


async def test_handler_object_gets_only_what_it_has_methods_for() -> None:
    class OnlyUpdates:
        def __init__(self) -> None:
            self.seen: list[tuple[str, str]] = []

        async def on_update(self, old: client.V1ConfigMap, new: client.V1ConfigMap) -> None:
            self.seen.append((old.data["v"], new.data["v"]))

    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("c", v="1"))
        handler = OnlyUpdates()
        registration = factory.add_event_handler(client.V1ConfigMap, handler, name="updates")
        await factory.start()
        await registration.wait_synced()
        server.patch("configmaps", "c", {"data": {"v": "2"}}, namespace="default")
        server.delete("configmaps", "c", namespace="default")
        await asyncio.sleep(1)

        assert handler.seen == [("1", "2")]
        assert registration.name == "updates"


async def test_filter_turns_crossings_into_additions_and_deletions() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        recorder = Recorder()
        registration = configmaps.add_event_handler(recorder, filter=lambda obj: obj["data"]["on"] == "yes")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.create("configmaps", configmap("c", on="no"))
        for value in ("yes", "yes", "no", "no", "yes"):
            server.patch("configmaps", "c", {"data": {"on": value, "n": server.resource_version}}, namespace="default")
        server.delete("configmaps", "c", namespace="default")
        await asyncio.sleep(1)

        assert recorder.kinds() == ["Added c", "Updated c", "Deleted c", "Added c", "Deleted c"]
        assert recorder.problems == []
        assert registration.statistics().filtered == 2


async def test_filter_decides_who_is_told_of_what_vanished_unseen() -> None:
    """Whoever was given an object is told of its end, and nobody else."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for name, on in (("in", "yes"), ("left", "yes"), ("never", "no")):
            server.create("configmaps", configmap(name, on=on))
        configmaps = factory.for_resource("configmaps.v1.")
        recorder = Recorder()
        configmaps.add_event_handler(recorder, filter=lambda obj: obj["data"]["on"] == "yes")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.patch("configmaps", "left", {"data": {"on": "no"}}, namespace="default")
        await asyncio.sleep(2)
        server.close_watches()
        for name in ("in", "left", "never"):
            server.delete("configmaps", name, namespace="default")
        server.expire()
        await asyncio.sleep(60)

        assert len(configmaps.lister) == 0
        assert recorder.kinds() == ["Added in", "Added left", "Deleted left", "Deleted in"]
        last = recorder.events[-1]
        assert isinstance(last, Deleted)
        assert not last.final_state_known
        assert last.object["data"] == {"on": "yes"}


async def test_filter_that_raises_counts_as_false_and_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("c"))
        configmaps = factory.for_resource("configmaps.v1.")
        recorder = Recorder()
        registration = configmaps.add_event_handler(recorder, filter=lambda obj: obj["no such key"])
        await factory.start()
        await registration.wait_synced()

        assert recorder.events == []
        assert "filter" in caplog.text


async def test_handlers_run_in_the_context_of_their_registration() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        seen: list[str] = []

        async def handler(event: Event[Any]) -> None:
            seen.append(tenant.get())

        pods = factory.core.v1.pods()
        tenant.set("blue")
        pods.add_event_handler(handler)
        tenant.set("green")
        registration = pods.add_event_handler(handler)
        tenant.set("red")
        await factory.start()
        await registration.wait_synced()
        await asyncio.sleep(1)

        assert sorted(seen) == ["blue", "green"]


async def test_a_hundred_workers_that_join_and_leave_under_constant_writes() -> None:
    """And an end in the middle of it: nobody hangs, and nobody is told twice."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        for i in range(10):
            server.create("configmaps", configmap(f"c{i}"))
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        problems: list[str] = []
        visits: list[int] = []

        async def work(number: int) -> None:
            while True:
                recorder = Recorder()
                try:
                    registration = configmaps.add_event_handler(recorder, concurrency=1 + number % 2)
                except InformerClosedError:
                    return
                await asyncio.sleep(0.01 * (1 + number % 7))
                configmaps.remove_event_handler(registration)
                problems.extend(recorder.problems)
                visits.append(len(recorder.events))

        workers = [asyncio.create_task(work(number)) for number in range(100)]
        for i in range(600):
            if i % 5 == 0:
                server.delete("configmaps", f"c{i % 10}", namespace="default")
                server.create("configmaps", configmap(f"c{i % 10}"))
            else:
                server.patch("configmaps", f"c{i % 10}", {"data": {"v": str(i)}}, namespace="default")
            if i % 20 == 0:
                await asyncio.sleep(0.005)
        await factory.shutdown(grace=1)
        await asyncio.wait_for(asyncio.gather(*workers), 5)

        assert problems == []
        assert len(visits) > 200
        assert min(visits) >= 10


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"limit": 0},
        {"limit": -1},
        {"resync_period": -1},
        {"handler_timeout": 0},
    ],
)
async def test_options_out_of_range_are_refused_at_registration(options: dict[str, Any]) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(ValueError, match=next(iter(options))):
            factory.core.v1.pods().add_event_handler(Recorder(), **options)


async def test_g13_decorated_functions_of_one_kind_have_objects_of_their_own() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a", labels={"v": "1"}))
        configmaps = factory.core.v1.configmaps()
        seen: list[tuple[str, str]] = []

        for name in ("first", "second"):

            async def added(obj: Any, name: str = name) -> None:
                seen.append((name, obj.metadata.labels["v"]))
                obj.metadata.labels["v"] = f"changed by {name}"

            async def updated(old: Any, new: Any, name: str = name) -> None:
                for obj in (old, new):
                    seen.append((name, obj.metadata.labels["v"]))
                    obj.metadata.labels["v"] = f"changed by {name}"

            configmaps.on_add(added)
            configmaps.on_update(updated)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)
        server.patch("configmaps", "a", {"metadata": {"labels": {"v": "2"}}}, namespace="default")
        await asyncio.sleep(1)
        assert seen == [(name, "1") for name in ("first", "second")] + [
            (name, value) for name in ("first", "second") for value in ("1", "2")
        ]


@pytest.mark.parametrize("options", [{}, {"concurrency": 4}, {"filter": lambda _: True}])
async def test_latencies_are_counted_from_the_arrival_to_the_end_of_the_handler(options: dict[str, Any]) -> None:
    """While somebody has them measured; what a list brings has no arrival."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("listed"))
        configmaps = factory.for_resource("configmaps.v1.")

        async def handler(event: Event[dict[str, Any]]) -> None:
            await asyncio.sleep(0.07)
            if event.key.name == "failing":
                raise ValueError("no")

        measurement = factory.measure()
        registration = configmaps.add_event_handler(handler, **options)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await registration.wait_synced()
        found = registration.statistics().latencies
        assert found is not None
        assert sum(found.counts) == 0
        for name in ("a", "failing"):
            server.create("configmaps", configmap(name))
            await asyncio.sleep(1)
        found = registration.statistics().latencies
        assert found is not None
        assert dict(zip(found.bounds, found.counts, strict=False))[0.1] == 2
        assert found.total == pytest.approx(0.14, abs=0.02)

        measurement.close()
        server.create("configmaps", configmap("b"))
        await asyncio.sleep(1)
        assert registration.statistics().latencies == found, "nobody has it measured any more"
        assert registration.statistics().handled == 3


async def test_nobody_who_looks_finds_no_latencies() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        registration = factory.for_resource("configmaps.v1.").add_event_handler(Recorder())
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert registration.statistics().latencies is None
        with factory.measure():
            assert registration.statistics().latencies is not None
