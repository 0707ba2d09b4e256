"""What informers promise, on the embedded server and on a real kube-apiserver alike."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.client.exceptions import ApiException

from aioinformers import Added, Deleted, Event, Metadata, Settings, SharedInformer, SharedInformerFactory
from aioinformers.objects import compact
from aioinformers.objects.object_types import MetadataType
from aioinformers.types import EVERYTHING, Scope
from tests.kit import Recorder, cached, version_of
from tests.kit.fixtures import APIServer

WIDGETS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "spec": {
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture
async def api(api_server: APIServer) -> AsyncIterator[client.ApiClient]:
    async with api_server.api_client() as opened:
        yield opened


@pytest.fixture
async def namespace(api: client.ApiClient) -> str:
    """A namespace of the test's own."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    core: Any = client.CoreV1Api(api)
    await core.create_namespace({"metadata": {"name": name}})
    return name


def configmap(name: str, labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels or {}}, "data": data}


async def contents(
    api: client.ApiClient, namespace: str, what: str = "config_map", **query: str
) -> dict[str, tuple[str, str]]:
    """Return uid and resourceVersion of what the server has, by key."""
    core: Any = client.CoreV1Api(api)
    found = await getattr(core, f"list_namespaced_{what}")(namespace, **query)
    return {f"{o.metadata.namespace}/{o.metadata.name}": version_of(o) for o in found.items}


async def caught_up(api: client.ApiClient, namespace: str) -> None:
    """Wait until lists of any state show all that is there: a first list takes the server's cache as it is."""
    async with asyncio.timeout(20):
        while await contents(api, namespace, resource_version="0") != await contents(api, namespace):
            await asyncio.sleep(0.05)


async def settle(informer: SharedInformer[Any], api: client.ApiClient, namespace: str) -> None:
    """Wait until the cache has what the server has, or fail."""
    async with asyncio.timeout(20):
        while cached(informer) != await contents(api, namespace):
            await asyncio.sleep(0.05)


@pytest.fixture(params=[False, True], ids=["plain", "compact"])
def is_compact(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Either way to keep objects; packed ones from the third object on."""
    monkeypatch.setattr(compact, "FIRST", 2)
    return bool(request.param)


@pytest.mark.parametrize("watch_list", [True, False])
async def test_lists_watches_and_indexes(
    api: client.ApiClient, namespace: str, watch_list: bool, is_compact: bool
) -> None:
    core: Any = client.CoreV1Api(api)
    for i in range(7):
        await core.create_namespaced_config_map(namespace, configmap(f"c{i}", {"tier": "ab"[i % 2]}, v=str(i)))
    await caught_up(api, namespace)
    settings = Settings(watch_list=watch_list, page_size=3)
    async with SharedInformerFactory(api, namespace=namespace, settings=settings) as factory:
        configmaps = factory.core.v1.configmaps(indexers={"v": "data.v"}, compact=is_compact)
        recorder = Recorder()
        registration = configmaps.add_event_handler(recorder)
        await factory.wait_for_cache_sync(timeout=20)
        await registration.wait_synced()

        assert cached(configmaps) == await contents(api, namespace)
        assert [o.metadata.name for o in configmaps.indexer.by_index("v", "3")] == ["c3"]
        assert {o.metadata.name for o in configmaps.lister.list("tier in (a),!canary")} >= {"c0", "c2", "c4", "c6"}
        first = configmaps.lister.get("c0", namespace=namespace)
        assert isinstance(first, client.V1ConfigMap)
        assert (first.kind, first.api_version, first.data) == ("ConfigMap", "v1", {"v": "0"})

        await core.patch_namespaced_config_map("c3", namespace, {"data": {"v": "30"}})
        await core.delete_namespaced_config_map("c4", namespace)
        made = await core.create_namespaced_config_map(namespace, configmap("new"))
        await configmaps.wait_for_resource_version(made.metadata.resource_version, timeout=60)

        assert cached(configmaps) == await contents(api, namespace)
        assert [o.metadata.name for o in configmaps.indexer.by_index("v", "30")] == ["c3"]
        await asyncio.sleep(0.2)
        assert recorder.problems == []
        assert recorder.state == cached(configmaps)
        assert all(e.initial for e in recorder.events[:7] if isinstance(e, Added))
        last = [event for event in recorder.events if isinstance(event, Deleted)]
        assert [event.final_state_known for event in last] == [True]


async def test_selector_crossings_come_as_additions_and_deletions(api: client.ApiClient, namespace: str) -> None:
    core: Any = client.CoreV1Api(api)
    await core.create_namespaced_config_map(namespace, configmap("c", {"app": "web"}))
    async with SharedInformerFactory(api, namespace=namespace) as factory:
        configmaps = factory.core.v1.configmaps(label_selector="app=web")
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        await factory.wait_for_cache_sync(timeout=20)
        await core.patch_namespaced_config_map("c", namespace, {"metadata": {"labels": {"app": "db"}}})
        await configmaps.wait_for((namespace, "c"), lambda obj: obj is None, timeout=60)
        await core.patch_namespaced_config_map("c", namespace, {"metadata": {"labels": {"app": "web"}}})
        await configmaps.wait_for((namespace, "c"), lambda obj: obj is not None, timeout=60)
        await asyncio.sleep(0.1)

        assert recorder.kinds() == ["Added c", "Deleted c", "Added c"]
        assert recorder.problems == []


async def test_custom_resources_are_followed_as_dicts(api: client.ApiClient, namespace: str) -> None:
    group = f"g{uuid.uuid4().hex[:8]}.example.com"
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    definition = {
        **WIDGETS, "metadata": {"name": f"widgets.{group}"}, "spec": {**WIDGETS["spec"], "group": group, "names": names}
    }  # fmt: skip
    async with SharedInformerFactory(api, settings=Settings(backoff_initial=0.1)) as factory:
        widgets = factory.for_resource(f"widgets.v1.{group}")
        recorder = Recorder()
        widgets.add_event_handler(recorder)
        await asyncio.sleep(0.3)  # not served yet: the informer waits with its reason
        assert "404" in widgets.health().reason
        extensions: Any = client.ApiextensionsV1Api(api)
        await extensions.create_custom_resource_definition(definition)
        await factory.wait_for_cache_sync(timeout=30)

        custom = client.CustomObjectsApi(api)
        body = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
        async with asyncio.timeout(20):
            while True:
                try:
                    await custom.create_namespaced_custom_object(group, "v1", namespace, "widgets", body)
                    break
                except ApiException as error:  # a new CRD takes a moment
                    assert error.status in (404, 429, 500, 503)
                    await asyncio.sleep(0.1)
        found = await widgets.wait_for((namespace, "w"), lambda obj: obj is not None, timeout=60)
        assert found is not None
        assert (found["kind"], found["spec"]) == ("Widget", {"size": 1})
        found["spec"] = {"size": 2}
        await custom.replace_namespaced_custom_object(group, "v1", namespace, "widgets", "w", found)
        await widgets.wait_for((namespace, "w"), lambda obj: obj is not None and obj["spec"] == {"size": 2}, timeout=60)
        await custom.delete_namespaced_custom_object(group, "v1", namespace, "widgets", "w")
        await widgets.wait_for((namespace, "w"), lambda obj: obj is None, timeout=60)
        await asyncio.sleep(0.1)

        assert recorder.kinds() == ["Added w", "Updated w", "Deleted w"]
        assert [event.object["spec"]["size"] for event in recorder.events] == [1, 2, 2]
        assert str(await factory.resolve(f"widgets.{group}")) == f"widgets.v1.{group}"


async def test_what_is_asked_for_lets_a_server_send_metadata_alone(api: client.ApiClient, namespace: str) -> None:
    core: Any = client.CoreV1Api(api)
    await core.create_namespaced_config_map(namespace, configmap("c", v="x" * 2000))
    response: Any = await api.call_api(
        f"/api/v1/namespaces/{namespace}/configmaps",
        "GET",
        header_params={"Accept": MetadataType.list_accept},
        auth_settings=["BearerToken"],
        _preload_content=False,
        _return_http_data_only=True,
    )
    body = await response.read()
    # The embedded server cannot do it, and sends whole objects; the real one must not.
    assert (b"x" * 2000 in body) == (not api.configuration.ssl_ca_cert)
    assert (b"PartialObjectMetadataList" in body) == bool(api.configuration.ssl_ca_cert)


@pytest.mark.parametrize("watch_list", [True, False])
async def test_metadata_alone_is_followed(
    api: client.ApiClient, namespace: str, watch_list: bool, is_compact: bool
) -> None:
    core: Any = client.CoreV1Api(api)
    await core.create_namespaced_config_map(namespace, configmap("c", {"app": "web"}, v="x" * 2000))
    await caught_up(api, namespace)
    settings = Settings(watch_list=watch_list)
    async with SharedInformerFactory(api, namespace=namespace, settings=settings) as factory:
        configmaps = factory.core.v1.configmaps(object_type=Metadata, compact=is_compact)
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        await factory.wait_for_cache_sync(timeout=20)
        found = configmaps.lister.get("c", namespace=namespace)
        assert found.metadata.labels == {"app": "web"}
        assert found.kind == "ConfigMap"
        await core.patch_namespaced_config_map("c", namespace, {"metadata": {"labels": {"app": "db"}}})
        await configmaps.wait_for(
            (namespace, "c"), lambda obj: obj is not None and obj.metadata.labels["app"] == "db", timeout=60
        )
        await core.delete_namespaced_config_map("c", namespace)
        await configmaps.wait_for((namespace, "c"), lambda obj: obj is None, timeout=60)
        await asyncio.sleep(0.1)
        mine = [kind for kind in recorder.kinds() if kind.endswith(" c")]
        assert mine == ["Added c", "Updated c", "Deleted c"]
        assert recorder.problems == []


async def test_watches_that_end_are_resumed_without_a_list(api: client.ApiClient, namespace: str) -> None:
    core: Any = client.CoreV1Api(api)
    settings = Settings(watch_timeout_min=1, watch_timeout_max=1.5)
    async with SharedInformerFactory(api, namespace=namespace, settings=settings) as factory:
        configmaps = factory.core.v1.configmaps()
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        await factory.wait_for_cache_sync(timeout=20)
        for i in range(40):
            await core.create_namespaced_config_map(namespace, configmap(f"c{i}"))
            await asyncio.sleep(0.1)
        await settle(configmaps, api, namespace)

        assert configmaps.statistics().lists == 1
        assert recorder.problems == []
        assert recorder.state == cached(configmaps)


@pytest.mark.slow
async def test_two_thousand_random_writes_from_four_writers(api: client.ApiClient, namespace: str) -> None:
    """G1, G2, G3, G4: at the end the cache equals the server, and so does the replay of every handler's events."""
    core: Any = client.CoreV1Api(api)
    other = f"{namespace}-b"
    await core.create_namespace({"metadata": {"name": other}})
    for i in range(20):
        await core.create_namespaced_config_map(namespace, configmap(f"before{i}"))
    async with SharedInformerFactory(api) as factory:
        informers: list[SharedInformer[Any]] = [
            factory.core.v1.configmaps(namespace=namespace),
            factory.for_resource("configmaps.v1.", namespace=[namespace, other]),
            factory.core.v1.configmaps(namespace=namespace, label_selector="app=web", indexers={"v": "data.v"}),
            factory.for_resource("configmaps.v1.", namespace=namespace, compact=True),
        ]
        recorders = [Recorder() for _ in informers]
        stale: list[str] = []
        for informer, recorder in zip(informers, recorders, strict=True):
            informer.add_event_handler(recorder)
        late = [Recorder() for _ in range(10)]

        async def check_store_first(event: Event[Any]) -> None:
            now = informers[0].indexer.get(event.key)
            if isinstance(event, Deleted) or now is None:
                return
            if int(now.metadata.resource_version) < int(event.object.metadata.resource_version):
                stale.append(repr(event))

        informers[0].add_event_handler(check_store_first, concurrency=8)
        await factory.wait_for_cache_sync(timeout=20)
        writers = [asyncio.create_task(_write(core, namespace, other, seed)) for seed in range(4)]
        for recorder in late:
            await asyncio.sleep(0.2)
            informers[1].add_event_handler(recorder, concurrency=3, limit=50)
        assert sum(await asyncio.gather(*writers)) == 2000

        for informer in informers:
            for scope in (namespace, other):
                if {EVERYTHING, Scope(scope)} & informer.resource_versions.keys():
                    marker = await core.create_namespaced_config_map(
                        scope, configmap(f"m-{uuid.uuid4()}", {"app": "web"})
                    )
                    await informer.wait_for((scope, marker.metadata.name), lambda obj: obj is not None, timeout=20)
        await asyncio.sleep(0.5)

        mine, others = await contents(api, namespace), await contents(api, other)
        web = await core.list_namespaced_config_map(namespace, label_selector="app=web")
        assert cached(informers[0]) == mine
        assert cached(informers[1]) == mine | others
        assert cached(informers[3]) == mine
        packed = informers[3].statistics().compact
        assert packed is not None
        assert packed.objects > 500
        assert set(cached(informers[2])) == {f"{namespace}/{o.metadata.name}" for o in web.items}
        for informer, recorder in zip(informers, recorders, strict=True):
            assert recorder.problems == []
            assert recorder.state == cached(informer)
        for recorder in late:
            assert recorder.problems == []
            assert recorder.state == mine | others
        assert stale == []


async def _write(core: Any, namespace: str, other: str, seed: int) -> int:
    """Do 500 random creates, updates and deletes, in competition with the other writers."""
    chance = random.Random(seed)
    done = 0
    while done < 500:
        name, scope = f"c{chance.randrange(40)}", chance.choice((namespace, namespace, other))
        labels = {"app": chance.choice(("web", "db"))}
        try:
            match chance.randrange(4):
                case 0:
                    await core.create_namespaced_config_map(scope, configmap(name, labels))
                case 1 | 2:
                    patch = {"metadata": {"labels": labels}, "data": {"v": str(chance.randrange(1000))}}
                    await core.patch_namespaced_config_map(name, scope, patch)
                case _:
                    await core.delete_namespaced_config_map(name, scope)
            done += 1
        except ApiException as error:
            assert error.status in (404, 409)
    return done
