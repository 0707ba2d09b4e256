"""The factory and standalone informers: sharing, options, life."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import weakref
from typing import Any

import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers import (
    ALL_NAMESPACES,
    CacheSyncError,
    Event,
    InformerClosedError,
    ListOptions,
    Metadata,
    SharedInformer,
    SharedInformerFactory,
    drop_fields,
    new_informer,
    strip_managed_fields,
)
from aioinformers.errors import UnknownIndexError
from aioinformers.informer import pipeline_of
from aioinformers.testing import FakeAPIServer, Fault
from tests.kit import QUICK, Recorder, cached, collect, collected_warnings, configmap, factory_on, pod, stored

pytestmark = pytest.mark.virtual_time


def drop_data(obj: dict[str, Any]) -> dict[str, Any]:
    obj.pop("data", None)
    return obj


class Node(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""


class Placed(msgspec.Struct, frozen=True):
    spec: Node


# -- sharing --------------------------------------------------------------------------------------------------


async def test_same_arguments_give_the_same_informer() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        assert factory.core.v1.pods() is pods
        assert factory.informer_for(client.V1Pod) is pods
        assert factory.core.v1.pods(indexers={"node": "spec.nodeName"}) is pods
        assert factory.for_resource("pods.v1.", object_type=client.V1Pod) is pods
        assert factory.core.v1.pods(namespace=ALL_NAMESPACES) is pods

        selected = factory.core.v1.pods(label_selector="a in (b),c")
        assert factory.core.v1.pods(label_selector="c,a=b") is selected
        assert factory.core.v1.pods(namespace=["b", "a", "b"]) is factory.core.v1.pods(namespace=["a", "b"])
        others = [
            factory.for_resource("pods.v1."),
            factory.core.v1.pods(object_type=Placed),
            factory.core.v1.pods(namespace="a"),
            factory.core.v1.pods(field_selector="spec.nodeName=n1"),
            factory.core.v1.pods(transform=drop_data),
            factory.core.v1.pods(shared_objects=True),
            selected,
        ]
        slim = factory.core.v1.pods(transform=[strip_managed_fields, drop_fields("status")])
        assert factory.core.v1.pods(transform=[strip_managed_fields, drop_fields("status")]) is slim
        assert len({id(informer) for informer in [pods, *others]}) == 8
        assert set(factory) >= {pods, *others}


async def test_two_factories_share_nothing() -> None:
    """Neither informers nor indexes, nor their ends."""
    async with FakeAPIServer() as server, factory_on(server) as one, factory_on(server) as other:
        first, second = one.core.v1.pods(indexers={"node": "spec.nodeName"}), other.core.v1.pods()
        assert first is not second
        for factory in (one, other):
            await factory.start()
            await factory.wait_for_cache_sync(timeout=5)
        with pytest.raises(UnknownIndexError):
            second.indexer.index_values("node")
        await one.shutdown()
        server.create("pods", pod("p"))
        await asyncio.sleep(1)
        assert not first.is_running
        assert len(second.lister) == 1


async def test_many_informers_of_one_resource_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(12):
            factory.core.v1.pods(label_selector=f"app=a{i}")
        assert caplog.text.count("more than 8 informers") == 1


async def test_requests_carry_namespace_and_selectors_and_tweaks() -> None:
    tweaked: list[ListOptions] = []

    def tweak(options: ListOptions) -> None:
        tweaked.append(options)
        options.field_selector = "status.phase=Running"
        options.extra = {"pretty": "false"}

    async with FakeAPIServer(watch_list=False) as server, factory_on(server, tweak_list_options=tweak) as factory:
        for i in range(5):
            server.create("pods", pod(f"p{i}", "a", app="web") | {"status": {"phase": "Running"}})
        server.create("pods", pod("pending", "a", app="web"))
        pods = factory.core.v1.pods(namespace="a", label_selector="app=web")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(0.5)

        assert len(tweaked) == 1
        assert tweaked[0].label_selector == "app=web"
        assert len(pods.lister) == 5
        requests = [request for request in server.requests if request.path.endswith("/pods")]
        assert {request.path for request in requests} == {"/api/v1/namespaces/a/pods"}
        for request in requests:
            assert request.query["labelSelector"] == "app=web"
            assert request.query["fieldSelector"] == "status.phase=Running"
            assert request.query["pretty"] == "false"


async def test_tweaks_are_on_every_page_and_on_the_watch() -> None:
    """Whatever else a request asks for."""

    def tweak(options: ListOptions) -> None:
        options.label_selector = "app=web"
        options.field_selector = "metadata.name!=c0"

    settings = dataclasses.replace(QUICK, watch_list=False, page_size=2)
    async with (
        FakeAPIServer(watch_cache=False) as server,
        factory_on(server, tweak_list_options=tweak, settings=settings) as factory,
    ):
        for i in range(6):
            server.create("configmaps", configmap(f"c{i}", labels={"app": "web" if i < 5 else "db"}))
        configmaps = factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.create("configmaps", configmap("later", labels={"app": "web"}))
        server.create("configmaps", configmap("other"))
        await asyncio.sleep(1)

        assert set(cached(configmaps)) == {f"default/{name}" for name in ("c1", "c2", "c3", "c4", "later")}
        assert [(request.verb, "continue" in request.query) for request in server.requests] == [
            ("list", False), ("list", True), ("list", True), ("watch", False),  # a page each, and what is left: nothing
        ]  # fmt: skip
        for request in server.requests:
            assert request.query["labelSelector"] == "app=web"
            assert request.query["fieldSelector"] == "metadata.name!=c0"


async def test_factory_namespaces_are_inherited_and_overridden() -> None:
    async with FakeAPIServer() as server, factory_on(server, namespace=["a", "b"]) as factory:
        for namespace in "abc":
            server.create("pods", pod("p", namespace))
        inherited = factory.core.v1.pods()
        everything = factory.core.v1.pods(namespace=ALL_NAMESPACES)
        one = factory.core.v1.pods(namespace="c")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        assert set(cached(inherited)) == {"a/p", "b/p"}
        assert set(cached(everything)) == {"a/p", "b/p", "c/p"}
        assert set(cached(one)) == {"c/p"}
        assert [obj.metadata.namespace for obj in inherited.lister.list(namespace="b")] == ["b"]


async def test_resync_periods_by_default_by_resource_and_by_handler() -> None:
    custom = {client.V1Pod: 20.0, "configmaps.v1.": 30.0}
    async with FakeAPIServer() as server, factory_on(server, default_resync=10.0, custom_resync=custom) as factory:
        server.create("pods", pod("p"))
        server.create("configmaps", configmap("c"))
        server.create("nodes", {"metadata": {"name": "n"}})
        recorders = {name: Recorder() for name in ("pods", "configmaps", "nodes", "none", "own")}
        factory.core.v1.pods().add_event_handler(recorders["pods"])
        factory.core.v1.configmaps().add_event_handler(recorders["configmaps"])
        factory.core.v1.nodes().add_event_handler(recorders["nodes"])
        factory.core.v1.nodes().add_event_handler(recorders["none"], resync_period=0)
        factory.core.v1.nodes().add_event_handler(recorders["own"], resync_period=0.2)
        await factory.start()
        await asyncio.sleep(61)

        assert {name: len(r.events) - 1 for name, r in recorders.items()} == {
            "nodes": 6, "pods": 3, "configmaps": 2, "none": 0, "own": 60,
        }  # fmt: skip


async def test_transform_of_an_informer_replaces_the_factorys() -> None:
    def mark(obj: dict[str, Any]) -> dict[str, Any]:
        obj["data"] = {"marked": "yes"}
        return obj

    async with FakeAPIServer() as server, factory_on(server, transform=drop_data) as factory:
        server.create("configmaps", configmap("c", secret="x"))
        dropped = factory.for_resource("configmaps.v1.")
        marked = factory.for_resource("configmaps.v1.", transform=mark)
        both = factory.core.v1.configmaps(transform=[mark, drop_data], indexers={"m": "data.marked"})
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.patch("configmaps", "c", {"data": {"secret": "y"}}, namespace="default")
        await asyncio.sleep(1)

        assert "data" not in dropped.lister.list()[0]
        assert marked.lister.list()[0]["data"] == {"marked": "yes"}
        assert both.lister.list()[0].data is None
        assert both.indexer.index_values("m") == []


@pytest.mark.parametrize("watch_list", [True, False])
async def test_transform_runs_once_per_stored_version(watch_list: bool) -> None:
    seen: list[tuple[str, str]] = []

    def count(obj: dict[str, Any]) -> dict[str, Any]:
        seen.append((obj["metadata"]["name"], obj["metadata"]["resourceVersion"]))
        return obj

    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server, transform=count) as factory:
        for i in range(5):
            server.create("configmaps", configmap(f"c{i}"))
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await configmaps.add_indexers({"v": "data.v"})
        for _ in range(2):
            server.close_watches()
            server.patch("configmaps", "c1", {"data": {"v": server.resource_version}}, namespace="default")
            server.expire()
            await asyncio.sleep(60)

        assert configmaps.statistics().lists == 3
        assert len(seen) == len(set(seen)) == 7
        assert cached(configmaps) == stored(server, "configmaps")
        assert len(configmaps.indexer.index_values("v")) == 1


async def test_updates_reach_handlers_although_the_transform_drops_their_version() -> None:
    def anonymous(obj: dict[str, Any]) -> dict[str, Any]:
        del obj["metadata"]["resourceVersion"]
        return obj

    async with FakeAPIServer() as server, factory_on(server, transform=anonymous) as factory:
        server.create("configmaps", configmap("c"))
        configmaps = factory.for_resource("configmaps.v1.")
        values: list[Any] = []

        @configmaps.on_update
        async def changed(old: dict[str, Any], new: dict[str, Any]) -> None:
            values.append(new["data"]["v"])

        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for i in range(3):
            server.patch("configmaps", "c", {"data": {"v": str(i)}}, namespace="default")
        await asyncio.sleep(1)
        assert values == ["0", "1", "2"]


# -- object types ---------------------------------------------------------------------------------------------


async def test_frozen_struct_is_decoded_once_and_shared() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p", node="n7"))
        pods = factory.core.v1.pods(object_type=Placed, indexers={"node": "spec.nodeName"})
        seen: list[Placed] = []

        async def handler(event: Event[Placed]) -> None:
            seen.append(event.object)

        registration = pods.add_event_handler(handler)
        await factory.start()
        await registration.wait_synced()

        assert seen == [Placed(Node("n7"))]
        assert seen[0] is pods.lister.list()[0] is pods.indexer.by_index("node", "n7")[0]
        with pytest.raises(TypeError, match=r"metadata\.labels"):
            pods.lister.list("app=web")
        with pytest.raises(ValueError, match="before the start"):
            await pods.add_indexers({"phase": "status.phase"})
        await pods.add_indexers({"first": lambda obj: [obj.spec.node_name[0]]})
        assert pods.indexer.index_values("first") == ["n"]


async def test_shared_objects_gives_everybody_the_same_object() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p", app="web"))
        models = factory.core.v1.pods(shared_objects=True)
        dicts = factory.for_resource("pods.v1.", shared_objects=True)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        assert models.lister.list("app=web")[0] is models.lister.get("p", namespace="default")
        assert dicts.lister.list("app=web")[0] is dicts.lister.get("p", namespace="default")
        assert dicts.lister.list("app!=web") == []


# -- life -----------------------------------------------------------------------------------------------------


async def test_informers_asked_for_after_the_start_start_by_themselves() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        await factory.start()
        await factory.start()
        pods = factory.core.v1.pods()
        await factory.wait_for_cache_sync(timeout=5)
        assert pods.is_running
        assert len(pods.lister) == 1
        assert pods.is_live(1)
        assert pods.is_watching


async def test_waiting_for_caches_that_have_synced_takes_no_time_at_all() -> None:
    """Nor does waiting for none."""
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server, factory_on(server) as factory:
        await factory.start()
        await factory.wait_for_cache_sync(timeout=0.001)
        factory.core.v1.pods()
        await factory.wait_for_cache_sync(timeout=5)
        before = loop.time()
        await factory.wait_for_cache_sync(timeout=0.001)
        assert loop.time() == before


async def test_waiting_for_caches_says_every_ten_seconds_what_is_missing_and_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Caches sync in any order; the error names those that have not, each with its last error."""
    caplog.set_level(logging.INFO, "aioinformers.factory")
    delays = {"pods": 5.0, "nodes": 1.0, "configmaps": 13.0}
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.intercept(lambda request: Fault(delay=delays[request.resource]) if request.resource in delays else None)
        server.fail("* secrets", 403, times=None)
        for name in (*delays, "secrets"):
            factory.for_resource(f"{name}.v1.")
        await factory.start()
        with pytest.raises(CacheSyncError) as caught:
            await factory.wait_for_cache_sync(timeout=25)

        said = [record.getMessage() for record in caplog.records if "waiting for" in record.getMessage()]
        assert sorted(message.split()[3] for message in said) == ["configmaps.v1", "secrets.v1", "secrets.v1"]
        assert all("403" in message for message in said if "secrets" in message)
        assert set(caught.value.reasons) == {"secrets.v1 [as dict]"}
        assert "403" in caught.value.reasons["secrets.v1 [as dict]"]


async def test_indexes_may_be_added_and_removed_at_any_time() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(300):
            server.create("pods", pod(f"p{i}", node=f"n{i % 3}", app=f"a{i % 2}"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await pods.add_indexers({"node": "spec.nodeName", "app": lambda obj: [obj.metadata.labels["app"]]})
        await pods.add_indexers({"node": "spec.nodeName"})
        assert len(pods.indexer.by_index("node", "n1")) == 100
        assert len(pods.indexer.index_keys("app", "a1")) == 150

        server.patch("pods", "p1", {"spec": {"nodeName": "n9"}}, namespace="default")
        server.create("pods", pod("late", node="n9", app="a9"))
        await asyncio.sleep(1)
        assert {str(key) for key in pods.indexer.index_keys("node", "n9")} == {"default/p1", "default/late"}
        assert pods.indexer.index_values("app") == ["a0", "a1", "a9"]

        await pods.remove_indexer("node")
        assert len(pods.indexer.index_keys("app", "a9")) == 1
        server.close_watches()
        server.expire()
        await asyncio.sleep(60)
        assert cached(pods) == stored(server, "pods")
        assert len(pods.indexer.index_keys("app", "a0")) == 150


async def test_index_callable_that_raises_is_reported_and_files_under_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("good", app="web"))
        server.create("pods", pod("bad"))
        pods = factory.core.v1.pods(indexers={"app": lambda obj: [obj.metadata.labels["app"]]})
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        assert [obj.metadata.name for obj in pods.indexer.by_index("app", "web")] == ["good"]
        assert len(pods.lister) == 2
        assert "default/bad" in caplog.text


async def test_release_ends_an_informer_that_nobody_uses() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods, nodes = factory.core.v1.pods(), factory.core.v1.nodes()
        registration = pods.add_event_handler(Recorder())
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert not await factory.release(pods)
        await registration.aclose()
        assert await factory.release(pods)
        assert not pods.is_running
        with pytest.raises(ValueError, match="not an informer of this factory"):
            await factory.release(pods)
        nodes.add_event_handler(Recorder())
        assert await factory.release(nodes, force=True)
        again = factory.core.v1.pods()
        assert again is not pods
        await factory.wait_for_cache_sync(timeout=5)
        assert list(factory) == [again]


async def test_async_with_starts_and_shuts_down() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        async with SharedInformerFactory(api, settings=QUICK) as factory:
            pods = factory.core.v1.pods()
            await factory.wait_for_cache_sync(timeout=5)
        assert not pods.is_running
        assert not factory.is_started


async def test_factory_adopts_a_standalone_informer() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = new_informer(factory.api_client, client.V1Pod)
        assert factory.add(pods) is pods
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert pods.has_synced
        for forbidden in (pods.run(), pods.aclose()):
            with pytest.raises(RuntimeError, match="belongs to a factory"):
                await forbidden
        with pytest.raises(RuntimeError, match="belongs to a factory"):
            factory.add(pods)


async def test_resolve_and_discover_ask_the_server() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        assert str(await factory.resolve("deploy")) == "deployments.v1.apps"
        assert str(await factory.resolve("Pod")) == "pods.v1"
        with pytest.raises(Exception, match="did you mean pods"):
            await factory.resolve("podz")
        found = await factory.discover()
        assert {"pods.v1", "deployments.v1.apps"} <= {str(resource.resource) for resource in found}


async def test_optional_informer_becomes_required_once_somebody_counts_on_it() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        widgets = factory.for_resource("widgets.v1.example.com", optional=True)
        assert widgets.is_optional
        assert factory.for_resource("widgets.v1.example.com") is widgets
        assert not widgets.is_optional


async def test_what_was_never_started_ends_with_the_factory() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        registration = pods.add_event_handler(Recorder())
        await factory.shutdown()
        await pods.wait_closed()
        for wait in (pods.wait_synced(), registration.wait_synced()):
            with pytest.raises(InformerClosedError):
                await wait
        with pytest.raises(InformerClosedError):
            pods.lister.list()
        with pytest.raises(InformerClosedError):
            pods.add_event_handler(Recorder())


# -- what it says of itself ----------------------------------------------------------------------------------------


async def test_informers_that_differ_have_names_that_differ() -> None:
    def first(document: dict[str, Any]) -> dict[str, Any]:
        return document

    def second(document: dict[str, Any]) -> dict[str, Any]:
        return document

    second.__name__ = "first"
    async with FakeAPIServer() as server, factory_on(server) as factory:
        informers: list[SharedInformer[Any]] = [
            factory.core.v1.pods(),
            factory.core.v1.pods(object_type=dict),
            factory.core.v1.pods(object_type=Metadata),
            factory.core.v1.pods(shared_objects=True),
            factory.core.v1.pods(transform=first),
            factory.core.v1.pods(transform=second),
        ]
        assert [informer.name for informer in informers] == [
            "pods.v1",
            "pods.v1 [as dict]",
            "pods.v1 [as Metadata]",
            "pods.v1 [shared objects]",
            "pods.v1 [through first]",
            "pods.v1 [through first] (2)",
        ]
        assert factory.for_resource("pods.v1.") is informers[1]


async def test_a_crashed_informer_is_named_and_no_factory_is_ready_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optional or not: whoever is optional may be late, not broken."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods, nodes = factory.core.v1.pods(), factory.core.v1.nodes(optional=True)
        assert (factory.health().is_ready, factory.health().reason) == (False, "not started")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await nodes.wait_synced(timeout=5)
        assert (factory.health().is_ready, factory.health().reason) == (True, "")

        def broken(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(pipeline_of(nodes).dispatcher, "apply", broken)
        server.create("nodes", {"metadata": {"name": "n"}})
        await asyncio.sleep(1)
        health = factory.health()
        assert (health.is_ready, health.reason) == (False, "nodes.v1: crashed: ZeroDivisionError('a bug')")
        assert [each.has_crashed for each in health.informers] == [False, True]
        assert pods.is_running
    assert factory.health().reason == "shut down"


async def test_an_optional_informer_that_has_not_synced_does_not_make_the_factory_unready() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.fail("* nodes", status=403, times=None)
        factory.core.v1.pods()
        factory.core.v1.nodes(optional=True)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert (factory.health().is_ready, factory.health().reason) == (True, "")
        factory.core.v1.nodes()  # now somebody counts on it
        await asyncio.sleep(1)
        assert not factory.health().is_ready
        assert factory.health().reason.startswith("nodes.v1: waiting: 403")


async def test_a_factory_that_is_dropped_while_it_runs_is_named_by_a_warning() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        factory = SharedInformerFactory(api, name="mine", settings=QUICK)
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        with collected_warnings() as told:
            del factory
        assert len(told) == 1
        assert told[0].startswith("<SharedInformerFactory mine started, 1 informers> was dropped while it runs")
        assert pods.is_running, "whoever has an informer still reads it"
        pipeline_of(pods).stop(0)
        await pods.wait_closed()


async def test_a_factory_that_was_shut_down_or_never_started_may_be_dropped() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        async with SharedInformerFactory(api, settings=QUICK) as used:
            used.core.v1.pods()
        never = SharedInformerFactory(api, settings=QUICK)
        never.core.v1.pods()
        with pytest.raises(ValueError, match="cannot be a namespace"):
            SharedInformerFactory(api, namespace="")
        with collected_warnings() as told:
            del used, never
        assert told == []


# -- measuring ----------------------------------------------------------------------------------------------------


async def test_what_is_measured_goes_on_until_the_last_one_closes() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        first = factory.measure()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert configmaps.statistics().applying is not None
        pods = factory.for_resource("pods.v1.")
        second = factory.measure()
        first.close()
        first.close()

        async def counted() -> int:
            server.create("pods", pod(f"p{server.resource_version}"))
            await asyncio.sleep(1)
            found = pods.statistics().applying
            return 0 if found is None else sum(found.counts)

        await asyncio.sleep(3)
        before = await counted()
        assert await counted() == before + 1, "a later informer is measured, too, and two closes are one"
        second.close()
        assert await counted() == before + 1


async def test_a_measurement_outlives_its_factory() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        factory = SharedInformerFactory(api)
        measurement = factory.measure()
        gone = weakref.ref(factory)
        del factory
        collect()
        assert gone() is None
        measurement.close()
