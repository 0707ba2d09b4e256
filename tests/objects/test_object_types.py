"""What users see of an object, in every type that they may choose (G13), and what a server is asked for."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest
from kubernetes_asyncio import client

from aioinformers import Event, Metadata
from aioinformers.objects.immutability import is_deeply_immutable
from aioinformers.objects.labels import LabelSets
from aioinformers.objects.object_types import object_type_of
from aioinformers.testing import FakeAPIServer
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


class FrozenPydanticMeta(pydantic.BaseModel, frozen=True):
    name: str


class FrozenPydanticPod(pydantic.BaseModel, frozen=True):
    metadata: FrozenPydanticMeta


def labels_of(obj: Any) -> dict[str, str]:
    """Return the very dict of labels inside an object of any type."""
    found: dict[str, str] = obj["metadata"]["labels"] if isinstance(obj, dict) else obj.metadata.labels
    return found


class Inner(msgspec.Struct, frozen=True):
    values: tuple[int, ...]


class Outer(msgspec.Struct, frozen=True):
    inner: Inner | None
    names: frozenset[str] = frozenset()


class Leaky(msgspec.Struct, frozen=True):
    inner: tuple[dict[str, str], ...]


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


@pytest.mark.parametrize("object_type", [FrozenPod, FrozenPydanticPod])
async def test_deeply_immutable_types_are_decoded_once(object_type: Any) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("p"))
        pods = factory.core.v1.pods(object_type=object_type)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert pods.lister.list()[0] is pods.lister.list()[0]
        with pytest.raises((AttributeError, pydantic.ValidationError)):
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


@pytest.mark.parametrize("watch_list", [True, False])
async def test_metadata_asks_for_metadata_and_drops_the_bookkeeping(watch_list: bool) -> None:
    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server) as factory:
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}
        described = pod("p", app="web")
        described["metadata"] |= {"managedFields": [{"manager": "x"}], "ownerReferences": [owner]}
        server.create("pods", described)
        pods = factory.core.v1.pods(object_type=Metadata)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        found = pods.lister.get("p", namespace="default")
        assert (found.metadata.labels, found.metadata.owner_references[0].name) == ({"app": "web"}, "web")
        assert found.metadata.creation_timestamp is not None
        assert len(pods._pipeline.store.get("default/p").body) < 500  # type: ignore[union-attr]

        server.patch("pods", "p", {"metadata": {"labels": {"app": "db"}}}, namespace="default")
        await asyncio.sleep(1)
        assert pods.lister.list("app=db")[0].metadata.name == "p"
        accepted = {request.headers["accept"] for request in server.requests if request.path.endswith("/pods")}
        assert all("as=PartialObjectMetadata" in accept for accept in accepted)


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


def test_equal_label_sets_are_one_object_for_as_long_as_it_is_held() -> None:
    sets = LabelSets()
    given = {"app": "web"}
    held = sets.shared(given)
    given["app"] = "db"
    assert held.labels == {"app": "web"}
    assert sets.shared({"app": "web"}) is held
    assert sets.shared(given) is not held
    assert sets.shared({"web": "app"}) != held
    nothing = sets.shared(None)
    assert nothing.labels == {}
    assert sets.shared({}) is nothing
    gc.collect()
    assert len(sets) == 2
    del held, nothing
    gc.collect()
    assert len(sets) == 0


def test_immutability_is_judged_however_deep() -> None:
    assert is_deeply_immutable(Outer)
    assert not is_deeply_immutable(Leaky)
    assert not is_deeply_immutable(PydanticPod)
    assert is_deeply_immutable(FrozenPydanticPod)
    with pytest.raises(TypeError, match="object_type"):
        object_type_of(list)
