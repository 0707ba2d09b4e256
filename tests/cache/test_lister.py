"""Reads of the cache: by name, by selector, by namespace; of objects with and without one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers import (
    CacheNotSyncedError,
    CacheSyncError,
    Metadata,
    NotFoundError,
    ObjectKey,
    SharedInformerFactory,
)
from aioinformers.cache.indexer import Store
from aioinformers.cache.lister import Lister, StoreReader
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.objects.selectors import LabelSelector, parse_field_selector
from aioinformers.testing import FakeAPIServer, Fault
from aioinformers.types import EVERYTHING, GroupVersionResource, Scope
from tests.kit import Recorder, configmap, factory_on

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
    assert keys(await configmaps.lister.collect(selector, namespace=namespace)) == expected
    if namespace is not None:
        bound = configmaps.lister.namespace(namespace)
        assert keys(bound.list(selector)) == keys(await bound.collect(selector)) == expected
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


# -- field selectors ----------------------------------------------------------------------------------------------

some_names = st.sampled_from(["a", "b", "c"])
some_namespaces = st.sampled_from(["prod", "dev", ""])
some_requirements = st.lists(
    st.one_of(
        st.tuples(st.just("metadata.name"), st.sampled_from(["=", "==", "!="]), some_names | st.just("prod/a")),
        st.tuples(st.just("metadata.namespace"), st.sampled_from(["=", "==", "!="]), some_namespaces | st.just("x")),
    ),
    min_size=1,
    max_size=4,
)


@given(
    stored=st.sets(st.tuples(some_namespaces, some_names), max_size=9),
    requirements=some_requirements,
    namespace=st.none() | some_namespaces,
)
@settings(deadline=None)
def test_what_a_field_selector_looks_up_is_what_it_would_have_found_by_looking_at_each_object(
    stored: set[tuple[str, str]], requirements: list[tuple[str, str, Any]], namespace: str | None
) -> None:
    """In scopes of their own and together, in a namespace and in all, whatever has to be equal or not."""
    layout: Layout[Any] = Layout(object_type_of(dict))
    scopes = {each: Scope(each or "cluster") for each, _ in stored} or {"": EVERYTHING}
    store = Store(layout, scopes.values())
    for place, name in sorted(stored):
        document = {"metadata": {"name": name, "namespace": place}}
        read = layout.reader.read_document(document)
        store.partitions[scopes[place]].put(read[0], layout.entry(json.dumps(document).encode(), read))
    lister = Lister(StoreReader(store, "pods", GroupVersionResource("", "v1", "pods"), lambda namespace: None))
    text = ",".join(map("".join, requirements))
    found = lister.list(namespace=namespace, field_selector=text)
    assert asyncio.run(lister.collect(namespace=namespace, field_selector=text)) == found
    selector = parse_field_selector(text)
    expected = [(p, n) for p, n in stored if selector.matches(p, n) and namespace in (None, p)]
    assert sorted((obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in found) == sorted(expected)


def test_a_name_is_looked_up_and_not_looked_for() -> None:
    """Among a hundred thousand objects that was a quarter of a second in which the loop stood still."""
    layout: Layout[Any] = Layout(object_type_of(dict))
    store = Store(layout, [EVERYTHING])
    for number in range(1000):
        document = {"metadata": {"name": f"p{number}", "namespace": f"n{number % 3}"}}
        read = layout.reader.read_document(document)
        store.partitions[EVERYTHING].put(read[0], layout.entry(json.dumps(document).encode(), read))
    lister = Lister(StoreReader(store, "pods", GroupVersionResource("", "v1", "pods"), lambda namespace: None))
    calls: list[str] = []
    for text in ("metadata.name=p7", "metadata.name=p7,metadata.namespace=n1", "metadata.name=p7,metadata.name!=p8"):
        lister.list(field_selector=text)
        calls.clear()
        sys.setprofile(lambda frame, event, argument: calls.append(event))
        try:
            found = lister.list(field_selector=text)
        finally:
            sys.setprofile(None)
        assert keys(found) == ["n1/p7"]
        assert len(calls) < 100


# -- many objects -------------------------------------------------------------------------------------------------


def many(count: int) -> tuple[Store[Any], Lister[Any]]:
    """Return a cache of objects in two namespaces, every third of which has a label."""
    layout: Layout[Any] = Layout(object_type_of(dict))
    store = Store(layout, [EVERYTHING])
    for number in range(count):
        metadata = {"name": f"p{number}", "namespace": f"n{number % 2}", "resourceVersion": "1"}
        put(store, metadata | ({"labels": {"third": "yes"}} if number % 3 == 0 else {}))
    reader = StoreReader(store, "pods", GroupVersionResource("", "v1", "pods"), lambda namespace: None)
    return store, Lister(reader)


def put(store: Store[Any], metadata: dict[str, Any]) -> None:
    layout = store.layout
    read = layout.reader.read_document({"metadata": metadata})
    store.partitions[EVERYTHING].put(read[0], layout.entry(json.dumps({"metadata": metadata}).encode(), read))


async def test_g12_many_objects_are_collected_in_steps_and_are_those_of_one_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is written, removed or added between the steps."""
    monkeypatch.setattr("aioinformers.cache.lister._STEP", 0)
    store, lister = many(5_000)
    expected = lister.list("third=yes", namespace="n0", field_selector="metadata.name!=p0")
    asked = asyncio.create_task(lister.collect("third=yes", namespace="n0", field_selector="metadata.name!=p0"))
    turns = 0
    while not asked.done():
        await asyncio.sleep(0)
        turns += 1
        for number in range(5_000 - 6 * turns, 5_000 - 6 * turns + 6):
            store.partitions[EVERYTHING].remove(f"n{number % 2}/p{number}")
        put(store, {"name": f"p{6 * turns}", "namespace": "n0", "resourceVersion": "2"})
    assert turns >= 9
    assert await asked == expected
    assert len(expected) == 833


async def test_a_collection_that_is_given_up_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioinformers.cache.lister._STEP", 0)
    _, lister = many(1_000)
    asked = asyncio.create_task(lister.collect())
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert len(await lister.collect()) == 1_000


async def test_few_objects_are_collected_without_a_turn_of_the_loop() -> None:
    _, lister = many(10)
    asked = lister.collect("third=yes")
    with pytest.raises(StopIteration) as done:
        asked.send(None)
    assert len(done.value.value) == 4


# -- one scope and another ----------------------------------------------------------------------------------------


async def test_g2_a_namespace_is_read_once_its_own_scope_has_synced() -> None:
    """Whatever keeps another one from it. What is read of all namespaces says which of them are missing, and why."""
    async with FakeAPIServer() as server, factory_on(server, namespace=["keep", "doomed"]) as factory:
        server.create("configmaps", configmap("c", "keep", {"app": "web"}))
        server.intercept(lambda request: Fault(status=403) if "/doomed/" in request.path else None)
        configmaps = factory.for_resource("configmaps.v1.", indexers={"all": lambda _: ["one"]})
        lister, indexer = configmaps.lister, cast("Any", configmaps.indexer)
        seen: list[Any] = []

        @configmaps.on_add
        async def read(obj: Any) -> None:
            """Read what this event is about: it must be there."""
            seen.append(lister.get(obj["metadata"]["name"], namespace=obj["metadata"]["namespace"]))
            seen.extend(lister.list(namespace="keep"))

        await factory.start()
        await asyncio.sleep(60)
        assert keys(seen) == ["keep/c"] * 2
        keep = lister.namespace("keep")
        answers: list[Any] = [
            [lister.get("c", namespace="keep"), keep.get("c"), indexer["keep/c"], indexer["keep", "c"]],
            lister.list(namespace="keep"), keep.list(), list(keep), lister.list("app=web", namespace="keep"),
            lister.list(field_selector="metadata.namespace=keep"), keep.list(field_selector="metadata.name=c"),
            lister.list(field_selector="metadata.name=c,metadata.namespace=keep"),
            indexer.by_index("namespace", "keep"), [indexer.get(ObjectKey("keep", "c"))],
        ]  # fmt: skip
        assert [set(keys(answer)) for answer in answers] == [{"keep/c"}] * len(answers)
        assert indexer.index_keys("namespace", "keep") == [ObjectKey("keep", "c")]
        assert indexer.resource_version(ObjectKey("keep", "c"))
        assert (len(keep), "keep/c" in indexer, ("keep", "x") in indexer) == (1, True, False)
        with pytest.raises(NotFoundError):
            lister.get("x", namespace="keep")
        refused: list[Callable[[], Any]] = [
            lister.list, lambda: list(lister), lambda: len(lister), lambda: list(indexer), lambda: len(indexer),
            lambda: list(indexer.items()), lambda: list(indexer.values()), lambda: lister.list("app=web"),
            lambda: lister.list(field_selector="metadata.name=c"), lambda: indexer.by_index("all", "one"),
            lambda: indexer.index_keys("all", "one"), lambda: indexer.index_values("namespace"),
            lambda: lister.get("c", namespace="doomed"), lambda: lister.list(namespace="doomed"),
            lambda: "doomed/c" in indexer, lambda: indexer["doomed", "c"], lambda: lister.namespace("doomed").list(),
            lambda: lister.get("c"), lambda: lister.get("c", namespace="another"),
        ]  # fmt: skip
        for read_all in refused:
            with pytest.raises(CacheNotSyncedError, match="in doomed: 403") as caught:
                read_all()
            assert "in keep" not in str(caught.value)
        with pytest.raises(CacheNotSyncedError, match="the other namespaces can be read one by one"):
            lister.list()


async def test_g6_a_resync_brings_the_objects_of_the_scopes_that_have_synced() -> None:
    """It does not wait for one that cannot; and what has not been given as an addition is not resynced."""
    async with FakeAPIServer() as server, factory_on(server, namespace=["keep", "doomed"]) as factory:
        server.create("configmaps", configmap("c", "keep"))
        is_forbidden = True
        server.intercept(lambda request: Fault(status=403) if is_forbidden and "/doomed/" in request.path else None)
        server.create("configmaps", configmap("d", "doomed"))
        recorder = Recorder()
        factory.for_resource("configmaps.v1.").add_event_handler(recorder, resync_period=10)
        await factory.start()
        await asyncio.sleep(35)
        assert recorder.kinds() == ["Added c", "Updated c", "Updated c", "Updated c"]
        is_forbidden = False
        await asyncio.sleep(60)
        kinds = recorder.kinds()
        assert kinds.index("Added d") < kinds.index("Updated d")
        assert recorder.problems == []


async def test_each_scope_says_how_it_is() -> None:
    """And one that is missing does not make a wait for an object of another one wait."""
    async with FakeAPIServer() as server, factory_on(server, namespace=["keep", "doomed"]) as factory:
        server.intercept(lambda request: Fault(status=403) if "/doomed/" in request.path else None)
        configmaps = factory.for_resource("configmaps.v1.")
        assert {each.reason for each in configmaps.health().scopes} == {"not started"}
        await factory.start()
        wait = asyncio.create_task(configmaps.wait_for("keep/late", lambda obj: obj is not None, timeout=600))
        never = asyncio.create_task(configmaps.wait_for("doomed/c", lambda obj: True, timeout=300))
        await asyncio.sleep(100)
        server.create("configmaps", configmap("late", "keep"))
        assert keys([await wait]) == ["keep/late"]
        health = configmaps.health()
        scopes = {each.scope.namespace: each for each in health.scopes}
        assert (scopes["keep"].has_synced, scopes["keep"].is_watching, scopes["keep"].reason) == (True, True, "")
        assert (scopes["doomed"].has_synced, scopes["doomed"].is_watching) == (False, False)
        assert "in doomed: 403" in scopes["doomed"].reason
        assert scopes["keep"].silent_for is not None
        assert (health.has_synced, health.is_watching, health.reason) == (False, False, scopes["doomed"].reason)
        with pytest.raises(CacheSyncError, match="in doomed: 403"):
            await factory.wait_for_cache_sync(timeout=10)
        with pytest.raises(TimeoutError, match="403"):
            await never
        await factory.shutdown()
        assert {(each.has_synced, each.is_watching, each.reason) for each in configmaps.health().scopes} == {
            (False, False, "closed")
        }


async def test_whoever_goes_through_the_cache_goes_through_the_objects_of_one_moment() -> None:
    """Others run between two of them, when each is awaited for; none vanishes from under it."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for number in range(4):
            server.create("configmaps", configmap(f"c{number}"))
        await factory.start()
        configmaps = await synced(factory, dict)
        indexer, lister = configmaps.indexer, configmaps.lister
        expected = [f"default/c{number}" for number in range(4)]
        going = [iter(indexer.items()), iter(indexer.values()), iter(indexer), iter(lister)]
        going += [iter(lister.namespace("default")), iter(indexer.keys())]
        first = [next(each) for each in going]
        assert first[0][1] in indexer.values()
        for number in range(1, 4):
            server.delete("configmaps", f"c{number}", namespace="default")
        server.create("configmaps", configmap("c9"))
        await asyncio.sleep(1)
        rest = [list(each) for each in going]
        assert [str(key) for key, _ in [first[0], *rest[0]]] == expected
        assert [keys([first[at], *rest[at]]) for at in (1, 3, 4)] == [expected] * 3
        assert [[str(key) for key in (first[at], *rest[at])] for at in (2, 5)] == [expected] * 2
        assert {str(key) for key in indexer} == {"default/c0", "default/c9"}
        assert rest[0][0][1] not in indexer.values()
        assert dict(indexer.items()) == dict(indexer)
        assert (len(indexer.items()), len(indexer.values())) == (2, 2)
        assert next(iter(indexer.items())) in indexer.items()
