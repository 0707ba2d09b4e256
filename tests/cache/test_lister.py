"""Reads of the cache: by name, by selector, by namespace; of objects with and without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import msgspec
import pytest

from aioinformers import Metadata, NotFoundError, ObjectKey, SharedInformerFactory
from aioinformers.objects.selectors import LabelSelector
from aioinformers.testing import FakeAPIServer
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def factory() -> AsyncIterator[SharedInformerFactory]:
    """A started factory on a server with five ConfigMaps in two namespaces, and two Nodes."""
    async with FakeAPIServer() as server, factory_on(server) as made:
        for key, labels in {
            "prod/web": {"app": "web", "tier": "1"},
            "prod/db": {"app": "db"},
            "prod/plain": {},
            "dev/web": {"app": "web"},
            "dev/other": {"app": "other", "canary": ""},
        }.items():
            namespace, name = key.split("/")
            server.create("configmaps", configmap(name, namespace, labels))
        for name in ("n1", "n2"):
            server.create("nodes", {"metadata": {"name": name, "labels": {"zone": name[-1]}}})
        await made.start()
        yield made


async def synced(factory: SharedInformerFactory, object_type: Any, what: str = "configmaps.v1.") -> Any:
    """Return an informer of an object type that has synced."""
    informer = factory.for_resource(what, object_type=object_type)
    await factory.wait_for_cache_sync(timeout=5)
    return informer


def keys(objects: Iterable[Any]) -> list[str]:
    """Return the keys of objects of any type."""
    found = []
    for obj in objects:
        meta = obj["metadata"] if isinstance(obj, dict) else identity_of(obj.metadata)
        found.append("/".join(filter(None, (meta.get("namespace"), meta["name"]))))
    return sorted(found)


def identity_of(meta: Any) -> dict[str, Any]:
    """Return the part of an object's metadata that makes its key."""
    return {"namespace": meta.namespace, "name": meta.name}


@pytest.mark.parametrize("object_type", [None, Metadata], ids=["dict", "Metadata"])
@pytest.mark.parametrize(
    ("selector", "namespace", "expected"),
    [
        (None, None, ["dev/other", "dev/web", "prod/db", "prod/plain", "prod/web"]),
        ("", None, ["dev/other", "dev/web", "prod/db", "prod/plain", "prod/web"]),
        ("app=web", None, ["dev/web", "prod/web"]),
        ("app in (web,db),!canary", None, ["dev/web", "prod/db", "prod/web"]),
        ("!app", None, ["prod/plain"]),
        ("app=nothing", None, []),
        (None, "dev", ["dev/other", "dev/web"]),
        ("app=web", "dev", ["dev/web"]),
        ("app=db", "dev", []),
        (None, "nowhere", []),
    ],
)
async def test_objects_are_listed_by_label_and_namespace(
    factory: SharedInformerFactory, object_type: Any, selector: str | None, namespace: str | None, expected: list[str]
) -> None:
    """The namespace index is always there: nothing has to be asked for beforehand."""
    configmaps = await synced(factory, object_type)
    assert keys(configmaps.lister.list(selector, namespace=namespace)) == expected
    if namespace is not None:
        bound = configmaps.lister.namespace(namespace)
        assert keys(bound.list(selector)) == expected
        assert keys(bound) == keys(configmaps.lister.list(namespace=namespace))
        assert len(bound) == len(list(bound))


class Meta(msgspec.Struct, frozen=True):
    name: str
    namespace: str
    labels: dict[str, str] = {}


class Labelled(msgspec.Struct, frozen=True):
    metadata: Meta


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The labels that selectors have been asked about."""
    made: list[Any] = []
    original = LabelSelector.matches

    def matches(selector: LabelSelector, labels: Any) -> bool:
        made.append(dict(labels))
        return original(selector, labels)

    monkeypatch.setattr(LabelSelector, "matches", matches)
    return made


@pytest.mark.parametrize(
    "options",
    [{"object_type": dict}, {"object_type": Metadata}, {"object_type": Labelled}, {"shared_objects": True}],
    ids=["dict", "Metadata", "immutable", "shared"],
)
async def test_labels_are_read_once_per_version_and_judged_once_per_set(
    monkeypatch: pytest.MonkeyPatch, calls: list[Any], options: dict[str, Any]
) -> None:
    """Of whatever the store keeps; a change of its indexes leaves them known."""
    read: list[Any] = []
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for number in range(6):
            server.create("configmaps", configmap(f"c{number}", "ab"[number // 4], {"app": "xy"[number % 2]}))
        configmaps = factory.for_resource("configmaps.v1.", **options)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        kind = configmaps._pipeline.store.layout.object_type
        labels = kind.labels

        def counted(body: Any) -> Any:
            read.append(body)
            return labels(body)

        monkeypatch.setattr(kind, "labels", counted)

        def find(selector: str, namespace: str | None = None) -> tuple[list[str], int, list[Any]]:
            read.clear()
            calls.clear()
            found = keys(configmaps.lister.list(selector, namespace=namespace))
            return found, len(read), sorted(one["app"] for one in calls)

        assert find("app=x", "b") == (["b/c4"], 2, ["x", "y"])
        assert find("app=x") == (["a/c0", "a/c2", "b/c4"], 4, ["x", "y"])
        assert find("app=y") == (["a/c1", "a/c3", "b/c5"], 0, ["x", "y"])
        await configmaps.add_indexers({"every": lambda _: ["one"]})
        assert find("app!=x", "a") == (["a/c1", "a/c3"], 0, ["x", "y"])
        server.patch("configmaps", "c1", {"metadata": {"labels": {"app": "z"}}}, namespace="a")
        await asyncio.sleep(1)
        assert find("app in (y,z)") == (["a/c1", "a/c3", "b/c5"], 1, ["x", "y", "z"])


async def test_objects_are_listed_by_name_and_namespace_as_fields(factory: SharedInformerFactory) -> None:
    configmaps = await synced(factory, dict)
    find = configmaps.lister.list
    assert keys(find(field_selector="metadata.name=web")) == ["dev/web", "prod/web"]
    assert keys(find("tier", field_selector="metadata.name=web")) == ["prod/web"]
    assert keys(find(field_selector="metadata.namespace!=prod", namespace="dev")) == ["dev/other", "dev/web"]
    assert keys(configmaps.lister.namespace("dev").list(field_selector="metadata.name=db")) == []


async def test_an_object_is_found_by_its_name_and_one_that_is_not_there_is_named(
    factory: SharedInformerFactory,
) -> None:
    configmaps = await synced(factory, dict)
    lister = configmaps.lister
    assert keys([lister.get("web", namespace="dev"), lister.namespace("prod").get("web")]) == ["dev/web", "prod/web"]
    reads: list[Callable[[], Any]] = [
        lambda: lister.get("db", namespace="dev"),
        lambda: lister.namespace("dev").get("db"),
    ]
    for read in reads:
        with pytest.raises(NotFoundError, match=r"configmaps\.v1 'dev/db'"):
            read()
    with pytest.raises(NotFoundError, match="'web'"):
        lister.get("web")
    assert len(lister) == len(list(lister)) == 5


async def test_cluster_scoped_objects_have_names_only(factory: SharedInformerFactory) -> None:
    nodes = await synced(factory, dict, "nodes.v1.")
    assert list(nodes.indexer) == [ObjectKey("", "n1"), ObjectKey("", "n2")]
    assert [str(key) for key in nodes.indexer] == ["n1", "n2"]
    assert keys([nodes.lister.get("n1"), nodes.indexer["n2"]]) == ["n1", "n2"]
    assert keys(nodes.lister.list("zone=2")) == ["n2"]
    assert keys(nodes.lister.list(namespace="default")) == []
    with pytest.raises(NotFoundError, match=r"nodes\.v1 'default/n1'"):
        nodes.lister.get("n1", namespace="default")


async def test_the_cache_is_a_mapping_of_keys_to_objects(factory: SharedInformerFactory) -> None:
    """Keys in any of their forms."""
    configmaps = await synced(factory, dict)
    indexer = configmaps.indexer
    for key in (ObjectKey("dev", "web"), ("dev", "web"), "dev/web"):
        assert key in indexer
        assert keys([indexer[key], indexer.get(key)]) == ["dev/web"] * 2
    strangers: list[Any] = [ObjectKey("dev", "db"), ("dev", "db"), "dev/db", "web", 5, ("a", "b", "c")]
    assert not any(key in indexer for key in strangers)
    assert sorted(map(str, indexer)) == keys(indexer.values())
    assert len(indexer) == 5
    assert indexer.resource_version(ObjectKey("dev", "web")) == indexer["dev/web"]["metadata"]["resourceVersion"]
    with pytest.raises(NotFoundError, match="dev/db"):
        indexer.resource_version(ObjectKey("dev", "db"))
    assert keys(indexer.by_index("namespace", "dev")) == ["dev/other", "dev/web"]
