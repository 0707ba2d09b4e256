"""What users see of an object, in every type that they may choose (G13), and what a server is asked for."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest
from kubernetes_asyncio import client

from aioinformers import Event, Metadata
from aioinformers.objects.layout import Layout, RejectedError
from aioinformers.objects.object_types import ArrivalType, object_type_of
from aioinformers.testing import FakeAPIServer, Fault
from tests.kit import factory_on, pod

pytestmark = pytest.mark.virtual_time


class StructMeta(msgspec.Struct):
    name: str
    labels: dict[str, str] = {}


class StructPod(msgspec.Struct):
    metadata: StructMeta


@dataclasses.dataclass
class ClassMeta:
    name: str
    labels: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class ClassPod:
    metadata: ClassMeta


class PydanticMeta(pydantic.BaseModel):
    name: str
    labels: dict[str, str] = {}


class PydanticPod(pydantic.BaseModel):
    metadata: PydanticMeta


class FrozenMeta(msgspec.Struct, frozen=True):
    name: str
    uid: str


class FrozenPod(msgspec.Struct, frozen=True):
    metadata: FrozenMeta


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenClassMeta:
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenClassPod:
    metadata: FrozenClassMeta


class FrozenPydanticMeta(pydantic.BaseModel, frozen=True):
    name: str


class FrozenPydanticPod(pydantic.BaseModel, frozen=True, extra="allow"):
    """Frozen, and can be changed: its fields are in a dict, unknown ones in another, private ones are not frozen."""

    metadata: FrozenPydanticMeta
    _notes: list[str] = pydantic.PrivateAttr(default_factory=list)


@dataclasses.dataclass(frozen=True)
class CachingPod:
    metadata: FrozenClassMeta

    @functools.cached_property
    def notes(self) -> list[str]:
        return []


def labels_of(obj: Any) -> dict[str, str]:
    """Return the very dict of labels inside an object of any type."""
    found: dict[str, str] = obj["metadata"]["labels"] if isinstance(obj, dict) else obj.metadata.labels
    return found


MUTABLE = [dict, client.V1Pod, StructPod, ClassPod, PydanticPod, Metadata]


@pytest.mark.parametrize("object_type", MUTABLE)
async def test_g13_mutation_reaches_nobody_else_in_any_object_type(object_type: Any) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p", app="web"))
        pods = factory.core.v1.pods(object_type=object_type, indexers={"app": "metadata.labels.app"})
        seen: list[dict[str, str]] = []

        async def vandal(event: Event[Any]) -> None:
            labels_of(event.object)["app"] = "broken"

        async def reader(event: Event[Any]) -> None:
            seen.append(dict(labels_of(event.object)))

        pods.add_event_handler(vandal)
        pods.add_event_handler(reader)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)
        async with pods.stream() as events:
            labels_of((await anext(events)).object)["app"] = "broken"
        reads: tuple[Callable[[], Any], ...] = (
            lambda: pods.lister.get("p", namespace="default"),
            lambda: pods.lister.list("app=web")[0],
            lambda: pods.indexer["default/p"],
            lambda: pods.indexer.by_index("app", "web")[0],
        )
        for read in reads:
            assert labels_of(read()) == {"app": "web"}
            labels_of(read())["app"] = "broken"
        server.patch("pods", "p", {"spec": {"nodeName": "n2"}}, namespace="default")
        await asyncio.sleep(1)

        assert seen == [{"app": "web"}, {"app": "web"}]
        assert isinstance(pods.lister.list()[0], object_type)


def spoil_pydantic(obj: Any) -> None:
    vars(obj)["metadata"] = None
    obj.__pydantic_extra__["spec"]["nodeName"] = "broken"
    obj._notes.append("broken")


def spoil_caching(obj: Any) -> None:
    obj.notes.append("broken")
    vars(obj)["metadata"] = None


@pytest.mark.parametrize(
    ("object_type", "spoil", "notes"),
    [(FrozenPydanticPod, spoil_pydantic, "_notes"), (CachingPod, spoil_caching, "notes")],
)
async def test_g13_what_is_frozen_and_can_be_changed_all_the_same_is_not_shared(
    object_type: Any, spoil: Callable[[Any], None], notes: str
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        pods = factory.core.v1.pods(object_type=object_type)
        seen: list[Any] = []

        async def vandal(event: Event[Any]) -> None:
            spoil(event.object)

        async def reader(event: Event[Any]) -> None:
            seen.append(event.object)

        pods.add_event_handler(vandal)
        pods.add_event_handler(reader)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)
        spoil(pods.lister.list()[0])
        for obj in (*seen, *pods.lister.list()):
            assert (obj.metadata.name, getattr(obj, notes)) == ("p", [])
            assert (getattr(obj, "__pydantic_extra__", None) or {}).get("spec", {}).get("nodeName") != "broken"


@pytest.mark.parametrize("object_type", [FrozenPod, FrozenClassPod])
async def test_deeply_immutable_types_are_decoded_once(object_type: Any) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        pods = factory.core.v1.pods(object_type=object_type)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert pods.lister.list()[0] is pods.lister.list()[0]
        with pytest.raises(AttributeError):
            pods.lister.list()[0].metadata = None


async def test_unreadable_objects_of_a_pydantic_type_are_rejected_without_a_word_of_their_content() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("good"))
        server.create("pods", pod("bad") | {"metadata": {"name": "bad", "labels": {"password": None}}})
        pods = factory.core.v1.pods(object_type=PydanticPod)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert [obj.metadata.name for obj in pods.lister.list()] == ["good"]
        assert pods.statistics().rejected == {"default/bad": "ValidationError"}


async def test_transform_sees_objects_of_the_users_own_class() -> None:
    def rename(obj: PydanticPod) -> PydanticPod:
        obj.metadata.labels["seen"] = "yes"
        return obj

    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p", app="web"))
        pods = factory.core.v1.pods(object_type=PydanticPod, transform=rename)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert pods.lister.list()[0].metadata.labels == {"app": "web", "seen": "yes"}


def test_a_type_says_whether_it_shows_labels() -> None:
    """Inherited fields count; where there are none, a label selector must fail instead of finding nothing."""

    class Base(msgspec.Struct, frozen=True):
        labels: dict[str, str] = {}

    class Labelled(Base, frozen=True):
        pass

    labelled = msgspec.defstruct("Labelled", [("metadata", Labelled | None, None)], frozen=True)
    assert object_type_of(labelled, shared=True).shows_labels
    assert not object_type_of(msgspec.defstruct("Bare", [("spec", str)], frozen=True)).shows_labels
    assert all(object_type_of(python_type).shows_labels for python_type in (*MUTABLE, dict[str, Any]))
    assert object_type_of(dict, shared=True).shows_labels


@pytest.mark.parametrize("python_type", [list, int, "dict", None, object, StructMeta("x"), list[dict[str, Any]]])
def test_a_type_that_objects_cannot_have_is_refused(python_type: Any) -> None:
    with pytest.raises(TypeError, match="is not supported: give dict"):
        object_type_of(python_type)


def test_the_type_behind_a_shared_one_decodes() -> None:
    inner = object_type_of(dict)
    shared = object_type_of(dict, shared=True)
    assert isinstance(shared, ArrivalType)
    assert (inner.inner is inner, type(shared.inner)) == (True, type(inner))
    assert shared.python_type is dict


class Tags(msgspec.Struct, frozen=True):
    app: str = ""


class OddlyLabelled(msgspec.Struct, frozen=True):
    """Calls something else labels, and the labels something else."""

    name: str
    labels: Any = msgspec.field(name="annotations", default=None)
    tags: dict[str, Any] | None = msgspec.field(name="labels", default=None)


class OddPod(msgspec.Struct, frozen=True):
    meta: OddlyLabelled = msgspec.field(name="metadata")


class TaggedMeta(msgspec.Struct, frozen=True):
    labels: Tags = Tags()


class TaggedPod(msgspec.Struct, frozen=True):
    """Shows some labels only, so that selectors could only be wrong."""

    metadata: TaggedMeta


LABELLED = b'{"metadata":{"name":"x","labels":{"app":"web","n":5,"null":null},"annotations":{"app":"no"}}}'


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("python_type", [dict, client.V1Pod, OddPod])
def test_g11_labels_are_the_same_whatever_is_kept_of_an_object(python_type: Any, shared: bool) -> None:
    """Texts, wherever a class has them."""
    object_type = object_type_of(python_type, shared=shared)
    assert object_type.shows_labels
    labels = object_type.labels(object_type.body(LABELLED))
    assert labels == {"app": "web", "n": "5"}


def test_a_class_that_shows_some_labels_only_shows_none() -> None:
    assert not object_type_of(TaggedPod).shows_labels


BAD_METADATA = [
    b'"labels":{"a":null}',
    b'"labels":{"a":1}',
    b'"labels":["a"]',
    b'"annotations":{"a":{}}',
    b'"ownerReferences":[{"name":"x","controller":null}]',
    b'"ownerReferences":{"name":"x"}',
    b'"creationTimestamp":"yesterday"',
    b'"creationTimestamp":"2026-99-99T00:00:00Z"',
    b'"generation":1e999',
    b'"finalizers":[1]',
    b'"generateName":{}',
]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("bad", BAD_METADATA)
def test_g11_metadata_that_cannot_be_read_are_rejected_on_arrival(bad: bytes, shared: bool) -> None:
    """Not at each read of each reader; the reason names the field and quotes nothing (G16)."""
    layout: Layout[Any] = Layout(object_type_of(Metadata, shared=shared))
    raw = b'{"metadata":{"name":"x",%s}}' % bad
    with pytest.raises(RejectedError, match=r"Expected `|ValidationError"):
        layout.entry(raw, layout.reader.read_raw(raw))


def test_nulls_in_metadata_are_absent() -> None:
    layout: Layout[Metadata] = Layout(object_type_of(Metadata))
    raw = b'{"metadata":{"name":"x","creationTimestamp":null,"labels":null,"generation":null},"kind":null}'
    obj = layout.object_type.decode(layout.entry(raw, layout.reader.read_raw(raw)).body)
    assert (obj.metadata.creation_timestamp, obj.metadata.labels, obj.metadata.generation, obj.kind) == (
        None,
        {},
        0,
        "",
    )


def test_metadata_name_the_objects_own_kind_or_none() -> None:
    """Never what they came in."""
    object_type = object_type_of(Metadata)
    meta = b'"metadata":{"name":"x"}'
    alone = b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",%s}' % meta
    whole = b'{"kind":"Pod","apiVersion":"v1",%s,"spec":{}}' % meta

    def shown(raw: bytes) -> tuple[str, str]:
        obj = object_type.decode(object_type.body(object_type.reduce(raw)))
        return obj.api_version, obj.kind

    assert [shown(raw) for raw in (alone, whole, b"{%s}" % meta)] == [("", ""), ("v1", "Pod"), ("", "")]
    object_type.learn_kind("PartialObjectMetadata", "meta.k8s.io/v1")
    assert shown(alone) == ("", "")
    object_type.learn_kind("Pod", "v1")
    assert [shown(raw) for raw in (alone, whole, b"{%s}" % meta)] == [("v1", "Pod")] * 3


@pytest.mark.parametrize("python_type", [dict, client.V1Pod, Metadata, StructPod, ClassPod, PydanticPod])
@pytest.mark.parametrize("shared", [False, True])
def test_g11_what_was_accepted_is_read_however_deep_the_reader_stands(python_type: Any, shared: bool) -> None:
    raw = b'{"metadata":{"name":"x"},"spec":%s}' % (b"[" * 900 + b"]" * 900)
    layout: Layout[Any] = Layout(object_type_of(python_type, shared=shared))
    if python_type is PydanticPod:  # which goes no deeper than 200, everywhere
        with pytest.raises(RejectedError):
            layout.entry(raw, layout.reader.read_raw(raw))
        return
    entry = layout.entry(raw, layout.reader.read_raw(raw))

    def name_of(calls: int) -> Any:
        if calls:
            return name_of(calls - 1)
        obj = layout.object_type.decode(entry.body)
        layout.object_type.labels(entry.body)
        return obj["metadata"]["name"] if isinstance(obj, dict) else obj.metadata.name

    assert [name_of(calls) for calls in (0, 200, 600)] == ["x"] * 3


POISON = {
    "half a pair": (rb'"\ud83d"', True),
    "a bad escape": (rb'"\q"', True),
    "a control character": (b'"\x00"', True),
    "endless lists": (b"[" * 40_000 + b"]" * 40_000, True),
    "a huge number": (b"1e999", False),
    "many digits": (b"9" * 5000, False),
    "deep lists": (b"[" * 900 + b"]" * 900, False),
    "a null": (b"null", False),
}
"""What stands in the place of a label's and a data's value, and whether objects of any type are rejected for it."""


@pytest.mark.parametrize("watch_list", [True, False])
@pytest.mark.parametrize("poison", POISON)
async def test_g11_one_odd_object_spoils_no_list_no_read_no_selector_and_no_index(
    poison: str, watch_list: bool
) -> None:
    """Whether it is rejected or read; and it is there once it is well again."""
    value, is_rejected = POISON[poison]

    def spoil(data: bytes) -> bytes:
        return data.replace(b'"VALUE"', value)

    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server) as factory:
        server.intercept(lambda _: Fault(rewrite=spoil))
        for name, label in (("good", "web"), ("odd", "VALUE"), ("zzz", "web")):
            labels = {"app": label, "all": "yes"}
            server.create("configmaps", {"metadata": {"name": name, "labels": labels}, "data": {"k": label}})
        maps = factory.core.v1.configmaps
        informers: list[Any] = [maps(), maps(object_type=dict), maps(object_type=Metadata), maps(object_type=StructPod)]
        informers.append(maps(object_type=dict, shared_objects=True))
        told: list[set[str]] = [set() for _ in informers]

        async def note(keys: set[str], event: Event[Any]) -> None:
            keys.add(str(event.key))
            _ = labels_of(event.object)

        for informer, keys in zip(informers, told, strict=True):
            informer.add_event_handler(functools.partial(note, keys), name="note")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await informers[0].add_indexers({"k": "data.k"})
        await informers[1].add_indexers({"k": "data.k", "app": "metadata.labels.app"})
        await asyncio.sleep(1)
        for informer, keys in zip(informers, told, strict=True):
            shown = {str(key) for key in informer.indexer}
            assert keys == shown
            assert shown >= {"default/good", "default/zzz"}
            assert ("default/odd" in shown) is ("default/odd" not in informer.statistics().rejected)
            assert not (is_rejected and "default/odd" in shown)
            assert len(informer.lister.list()) == len(informer.lister.list("all=yes")) == len(shown)
            assert len(informer.lister.list("app=web")) == 2
            assert informer.health().rejected == 3 - len(shown)
        assert [len(each.indexer.by_index("k", "web")) for each in informers[:2]] == [2, 2]

        well = {"metadata": {"labels": {"app": "web"}}, "data": {"k": "web"}}
        server.patch("configmaps", "odd", well, namespace="default")
        await asyncio.sleep(1)
        for informer, keys in zip(informers, told, strict=True):
            assert len(informer.lister.list("app=web")) == len(keys) == 3
            assert not informer.statistics().rejected
        assert [len(each.indexer.by_index("k", "web")) for each in informers[:2]] == [3, 3]

        server.patch("configmaps", "odd", {"metadata": {"labels": {"app": "VALUE"}}}, namespace="default")
        await asyncio.sleep(1)
        for informer in informers:
            # What cannot be read leaves the last good version in its place.
            left = 3 if informer.statistics().rejected else 2
            assert (len(informer.lister.list()), len(informer.lister.list("app=web"))) == (3, left)
