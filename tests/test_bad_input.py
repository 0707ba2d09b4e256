"""What a user would do wrong, each with its own clear error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import (
    CacheNotSyncedError,
    CacheSyncError,
    GroupVersionResource,
    InformerClosedError,
    ListOptions,
    NotFoundError,
    Settings,
    SharedInformerFactory,
    new_informer,
)
from aioinformers.errors import (
    IndexConflictError,
    InvalidPathError,
    InvalidSelectorError,
    ResourceNotFoundError,
    UnknownIndexError,
)
from aioinformers.testing import FakeAPIServer
from aioinformers.types import EVERYTHING
from tests.kit import Recorder, configmap, factory_on, pod

pytestmark = pytest.mark.virtual_time


def plain(event: Any) -> None:
    """A handler that cannot be awaited."""


class Nothing:
    """An object without any handler method."""


class Both:
    """An object in both forms at once."""

    async def __call__(self, event: Any) -> None: ...
    async def on_add(self, obj: Any) -> None: ...


class Sync:
    """An object whose method cannot be awaited."""

    def on_add(self, obj: Any) -> None: ...


@pytest.mark.parametrize("handler", [plain, Nothing(), Both(), Sync(), Recorder, None, 5, lambda event: None])
async def test_handler_that_cannot_be_awaited_is_refused_at_registration(handler: Any) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        with pytest.raises(TypeError, match="coroutine function"):
            pods.add_event_handler(handler)
        assert not pods.is_in_use


async def test_decorated_plain_function_is_refused() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(TypeError, match="async def"):
            factory.core.v1.pods().on_add(plain)  # type: ignore[type-var]


async def test_unknown_index_names_those_there_are() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"})
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for read in (pods.indexer.by_index, pods.indexer.index_keys):
            with pytest.raises(UnknownIndexError, match=r"'nodes'.*'namespace', 'node'"):
                read("nodes", "n1")
        with pytest.raises(UnknownIndexError):
            pods.indexer.index_values("nodes")
        with pytest.raises(UnknownIndexError):
            await pods.remove_indexer("nodes")


async def test_bad_index_definitions_are_refused() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"})
        with pytest.raises(IndexConflictError, match="'node'"):
            factory.core.v1.pods(indexers={"node": "spec.hostname"})
        with pytest.raises(IndexConflictError):
            await pods.add_indexers({"namespace": "metadata.namespace"})
        with pytest.raises(InvalidPathError):
            await pods.add_indexers({"x": "spec..name"})
        with pytest.raises(TypeError, match="path or a callable"):
            await pods.add_indexers({"x": 5})  # type: ignore[dict-item]
        with pytest.raises(ValueError, match="always there"):
            await pods.remove_indexer("namespace")


@pytest.mark.parametrize("selector", ["a in (", "!", "=x", "a b", "a==b==c", "a in b"])
async def test_bad_label_selector_is_refused_by_every_method_that_takes_one(selector: str) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        calls: list[Callable[[], Any]] = [
            lambda: pods.lister.list(selector),
            lambda: pods.lister.namespace("default").list(selector),
            lambda: factory.core.v1.pods(label_selector=selector),
            lambda: factory.for_resource("pods.v1.", label_selector=selector),
            lambda: factory.informer_for(client.V1Pod, label_selector=selector),
            lambda: new_informer(factory.api_client, client.V1Pod, label_selector=selector),
        ]
        for call in calls:
            with pytest.raises(InvalidSelectorError, match="character"):
                call()


async def test_field_selector_on_the_cache_says_what_to_do_instead() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        with pytest.raises(InvalidSelectorError, match="index"):
            pods.lister.list(field_selector="spec.nodeName=n1")


async def test_unknown_resource_leaves_its_informer_waiting_with_the_reason_and_the_others_unaffected() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        widgets = factory.for_resource(GroupVersionResource("example.com", "v1", "widgets"))
        pods = factory.core.v1.pods()
        await factory.start()
        with pytest.raises(CacheSyncError) as caught:
            await factory.wait_for_cache_sync(timeout=5)

        assert set(caught.value.reasons) == {"widgets.v1.example.com"}
        assert "404" in str(caught.value)
        assert isinstance(widgets.last_error, ResourceNotFoundError)
        assert len(pods.lister) == 1
        assert not factory.health().is_ready


async def test_optional_informer_is_not_waited_for() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        widgets = factory.for_resource("widgets.v1.example.com", optional=True)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert not widgets.has_synced
        assert factory.health().is_ready


@pytest.mark.parametrize("text", ["pods", "deployments.apps", "", ".v1.", "pods.1.", "pods/v1"])
async def test_text_that_names_no_resource_is_refused(text: str) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(ValueError, match=r"plural\.version\.group"):
            factory.for_resource(text)


async def test_unknown_model_is_refused() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(ValueError, match="for_resource"):
            factory.informer_for(client.V1PodSpec)


async def test_read_before_sync_raises_and_says_why() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        reads: list[Callable[[], Any]] = [
            lambda: pods.lister.get("a", namespace="b"),
            lambda: pods.lister.list(),
            lambda: len(pods.lister),
            lambda: list(pods.indexer),
            lambda: pods.indexer["a/b"],
            lambda: pods.indexer.by_index("namespace", "b"),
        ]
        for read in reads:
            with pytest.raises(CacheNotSyncedError, match="not started"):
                read()
        server.fail("* pods", status=403, times=None)
        await factory.start()
        await asyncio.sleep(3)
        for read in reads:
            with pytest.raises(CacheNotSyncedError, match="403"):
                read()


async def test_read_after_shutdown_raises() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await factory.shutdown()
        with pytest.raises(InformerClosedError):
            pods.lister.list()


async def test_use_after_shutdown_is_refused() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.shutdown()
        await factory.shutdown()
        with pytest.raises(InformerClosedError, match="make a new factory"):
            await factory.start()
        with pytest.raises(InformerClosedError):
            await factory.wait_for_cache_sync()
        with pytest.raises(InformerClosedError):
            factory.core.v1.nodes()
        with pytest.raises(InformerClosedError):
            pods.add_event_handler(Recorder())
        with pytest.raises(InformerClosedError):
            async with pods.stream():
                pass
        with pytest.raises(InformerClosedError):
            await pods.add_indexers({"node": "spec.nodeName"})
        with pytest.raises(InformerClosedError):
            await pods.wait_synced()
        await pods.wait_closed()


async def test_wait_before_start_says_to_start() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        factory.core.v1.pods()
        with pytest.raises(RuntimeError, match=r"await factory\.start\(\)"):
            await factory.wait_for_cache_sync()


async def test_use_from_another_event_loop_is_refused_but_reads_are_fine() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        refused: list[str] = []

        async def elsewhere() -> None:
            for attempt in (factory.start(), factory.wait_for_cache_sync(), pods.wait_synced(), factory.shutdown()):
                try:
                    await attempt
                except RuntimeError as error:
                    refused.append(str(error))
            try:
                pods.add_event_handler(Recorder())
            except RuntimeError as error:
                refused.append(str(error))
            assert pods.lister.get("a", namespace="default").metadata.name == "a"

        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        thread.join()
        assert len(refused) == 5
        assert all("event loop" in message for message in refused)


async def test_object_without_metadata_is_counted_and_passed() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("good"))
        body = (
            '{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":['
            '{"data":{}},{"metadata":{}},{"metadata":{"name":"good","namespace":"default","uid":"u",'
            '"resourceVersion":"1"}}]}'
        )
        server.fail("* configmaps", status=422, times=1)  # no stream of initial objects
        server.fail("list configmaps", status=200, body=body, headers={"Content-Type": "application/json"})
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        assert [obj["metadata"]["name"] for obj in configmaps.lister.list()] == ["good"]
        assert configmaps.statistics().unreadable == 2


@pytest.mark.parametrize("namespace", ["", "Bad_Name", "a/b", [], ["a", ""], "x" * 64])
async def test_what_cannot_be_a_namespace_is_refused(namespace: Any) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(ValueError, match="namespace"):
            factory.core.v1.pods(namespace=namespace)
        with pytest.raises(ValueError, match="namespace"):
            SharedInformerFactory(factory.api_client, namespace=namespace)


async def test_namespace_on_a_cluster_scoped_kind_is_refused_if_explicit_and_ignored_if_inherited() -> None:
    async with FakeAPIServer() as server, factory_on(server, namespace="a") as factory:
        server.create("nodes", {"metadata": {"name": "n1"}})
        with pytest.raises(ValueError, match="cluster-scoped"):
            factory.core.v1.nodes(namespace="a")
        nodes = factory.core.v1.nodes()
        gadgets = GroupVersionResource("example.com", "v1", "gadgets")
        server.add_resource(gadgets, "Gadget", namespaced=False)
        unknown = factory.for_resource(gadgets)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert len(nodes.lister) == 1
        assert set(unknown.resource_versions) == {EVERYTHING}


async def test_explicit_namespace_on_an_unknown_cluster_scoped_kind_ends_that_informer_with_the_reason() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        gadgets = GroupVersionResource("example.com", "v1", "gadgets")
        server.add_resource(gadgets, "Gadget", namespaced=False)
        followed = factory.for_resource(gadgets, namespace="a")
        pods = factory.core.v1.pods()
        await factory.start()
        with pytest.raises(CacheSyncError, match="cluster-scoped"):
            await factory.wait_for_cache_sync(timeout=5)
        with pytest.raises(InformerClosedError, match="cluster-scoped"):
            await followed.wait_closed()
        await pods.wait_synced()


async def test_not_found_names_resource_and_key() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        with pytest.raises(NotFoundError, match=r"pods\.v1 'default/nope'"):
            pods.lister.get("nope", namespace="default")
        with pytest.raises(KeyError):
            pods.indexer["default/nope"]
        assert pods.indexer.get(("default", "nope")) is None  # type: ignore[call-overload]


async def test_object_type_that_cannot_be_is_refused() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(TypeError, match="object_type"):
            factory.core.v1.pods(object_type=int)
        with pytest.raises(TypeError, match="ApiClient"):
            SharedInformerFactory("http://localhost")


async def test_reserved_list_options_are_refused() -> None:
    def tweak(options: ListOptions) -> None:
        options.extra = {"resourceVersion": "0"}

    async with FakeAPIServer() as server, factory_on(server, tweak_list_options=tweak) as factory:
        with pytest.raises(ValueError, match="resourceVersion"):
            factory.core.v1.pods()


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="page_size"):
        Settings(page_size=0)


async def test_resync_periods_are_checked() -> None:
    async with FakeAPIServer() as server:
        async with server.api_client() as api:
            with pytest.raises(ValueError, match="negative"):
                SharedInformerFactory(api, default_resync=-1)
            with pytest.raises(ValueError, match=r"plural\.version\.group"):
                SharedInformerFactory(api, custom_resync={"podz": 5})
        async with factory_on(server) as factory:
            factory.core.v1.pods(resync_period=30)
            with pytest.raises(ValueError, match="is shared"):
                factory.core.v1.pods(resync_period=60)
