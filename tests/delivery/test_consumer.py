"""Handlers on a running informer: concurrency, filters, decorators, removal, streams, contexts."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import Added, Deleted, Event, InformerClosedError, Updated
from aioinformers.testing import FakeAPIServer
from tests.kit import Recorder, configmap, factory_on, pod, stored

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
        await registration.aclose(drain=False)
        assert len(done) == 22, "the call under way was finished"
        assert registration.statistics().undelivered == 18
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


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"limit": 0},
        {"overflow": "drop"},
        {"resync_period": -1},
        {"handler_timeout": 0},
    ],
)
async def test_options_out_of_range_are_refused_at_registration(options: dict[str, Any]) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(ValueError, match=next(iter(options))):
            factory.core.v1.pods().add_event_handler(Recorder(), **options)
