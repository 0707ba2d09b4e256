"""What users see of an object, in every type that they may choose (G13), and what a server is asked for."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest
from kubernetes_asyncio import client

from aioinformers import Event, Metadata
from aioinformers.objects.object_types import ArrivalType, object_type_of
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
        labels: tuple[tuple[str, str], ...] = ()

    class Labelled(Base, frozen=True):
        pass

    labelled = msgspec.defstruct("Labelled", [("metadata", Labelled | None, None)], frozen=True)
    assert object_type_of(labelled).shows_labels
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
