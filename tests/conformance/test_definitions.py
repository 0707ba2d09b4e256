"""A definition made of a Struct by the code of ``docs/controllers-how-to.md``, on the embedded and on a real server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from aioinformers import SharedInformerFactory
from tests.conformance.rest import Answer, Rest
from tests.kit.fixtures import APIServer
from tests.test_docs import DOCS, steps_of

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LIST_OF_PORTS = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class Port(msgspec.Struct, frozen=True, rename="camel"):
    """A port."""

    name: str
    port_number: Annotated[int, Meta(gt=0, le=65535)] = 80


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a field of a Struct can be, and a definition can say."""

    image: Annotated[str, Meta(pattern="^[a-z:0-9]+$", examples=["web:1"])]
    replicas: Annotated[int, Meta(ge=0)] = 1
    share: float = 0.5
    on: bool = True
    phase: Literal["Blue", "Green"] = "Blue"
    level: Literal[1, 2] | None = None
    surge: int | str = "25%"
    note: str | None = None
    port: Port = Port("web")
    admin: Port | None = None
    ports: Annotated[list[Port], Meta(extra_json_schema=LIST_OF_PORTS)] = []
    tags: frozenset[str] = frozenset()
    labels: dict[str, str] = {}
    by_name: dict[str, Port] = {}
    values: dict[str, Any] = {}
    anything: Any = None
    raw: bytes = b""


class Status(msgspec.Struct, frozen=True):
    conditions: list[dict[str, Any]] = []


class Metadata(msgspec.Struct, frozen=True):
    name: str


class Site(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: Spec
    status: Status = Status()


class Pair(msgspec.Struct, frozen=True):
    both: tuple[int, int]


class Paired(msgspec.Struct, frozen=True):
    spec: Pair
    status: Status = Status()


@pytest.fixture
def definition() -> Callable[..., dict[str, Any]]:
    """The function of that name that the page shows."""
    (code,) = (step.code for step in steps_of(DOCS / "controllers-how-to.md") if "def definition(" in step.code)
    names: dict[str, Any] = {"Any": Any}
    exec(code, names)
    function: Callable[..., dict[str, Any]] = names["definition"]
    return function


async def defined(rest: Rest, made: dict[str, Any]) -> Answer:
    """Create the definition, and wait until its resource is served."""
    answer = await rest.post(DEFINITIONS, made)
    if answer.status == 201:
        group, plural = made["spec"]["group"], made["spec"]["names"]["plural"]
        async with asyncio.timeout(20):
            while (await rest.get(f"/apis/{group}/v1/{plural}")).status != 200:
                await asyncio.sleep(0.05)
    return answer


async def test_a_definition_is_made_of_a_struct(
    rest: Rest, api_server: APIServer, definition: Callable[..., dict[str, Any]]
) -> None:
    """It is taken, none of it is dropped, and objects come back as the Struct."""
    group = f"{uuid.uuid4().hex[:8]}.example.com"
    made = definition(Site, "sites", group)
    answer = await defined(rest, made)
    assert answer.status == 201, answer.body
    (kept,) = answer.json["spec"]["versions"]
    (given,) = made["spec"]["versions"]
    assert kept["schema"] == given["schema"]

    port = {"name": "web", "portNumber": 8080}
    spec = {"image": "web:1", "surge": 1, "ports": [port], "by_name": {"web": port}, "tags": ["a"]}
    spec |= {"anything": {"a": 1}, "note": None}
    obj = {"apiVersion": f"{group}/v1", "kind": "Site", "metadata": {"name": "blog"}, "spec": spec}
    made_of = await rest.post(rest.path("sites", group=f"{group}/v1"), obj)
    assert made_of.status == 201, made_of.body
    async with api_server.api_client() as api, SharedInformerFactory(api, namespace=rest.namespace) as factory:
        sites = factory.for_resource(f"sites.v1.{group}", object_type=Site)
        await factory.wait_for_cache_sync(timeout=20)
        site = sites.lister.get("blog", namespace=rest.namespace)
    ports = [Port("web", 8080)]
    wanted = Spec("web:1", surge=1, ports=ports, by_name={"web": ports[0]}, tags=frozenset("a"), anything={"a": 1})
    assert site == Site(Metadata("blog"), wanted)


@pytest.mark.realserver
async def test_a_server_refuses_and_fills_in_what_the_struct_says(
    real_server: APIServer, definition: Callable[..., dict[str, Any]]
) -> None:
    group = f"{uuid.uuid4().hex[:8]}.example.com"
    async with Rest.connect(real_server) as rest:
        assert (await defined(rest, definition(Site, "sites", group))).status == 201
        path = rest.path("sites", group=f"{group}/v1")
        least = {"apiVersion": f"{group}/v1", "kind": "Site", "metadata": {"name": "blog"}, "spec": {"image": "web:1"}}
        filled = (await rest.post(path, least)).json["spec"]
        assert msgspec.convert(filled, Spec) == Spec("web:1")
        assert (filled["replicas"], filled["surge"], filled["port"]) == (1, "25%", {"name": "web", "portNumber": 80})

        for wrong in (
            {},
            {"image": "Web"},
            {"image": "web", "replicas": -1},
            {"image": "web", "phase": "Red"},
            {"image": "web", "level": 3},
            {"image": "web", "level": None},
            {"image": "web", "surge": 1.5},
            {"image": "web", "port": {"name": "web", "portNumber": 0}},
            {"image": "web", "ports": [{"name": "a"}, {"name": "a"}]},
            {"image": "web", "tags": ["a", "a"]},
            {"image": "web", "labels": {"a": 1}},
        ):
            refused = await rest.post(path, least | {"metadata": {"name": "other"}, "spec": wrong})
            assert refused.status == 422, (wrong, refused.body)


@pytest.mark.realserver
async def test_a_server_refuses_a_definition_with_a_tuple(
    real_server: APIServer, definition: Callable[..., dict[str, Any]]
) -> None:
    async with Rest.connect(real_server) as rest:
        made = definition(Paired, "pairs", f"{uuid.uuid4().hex[:8]}.example.com")
        refused = await defined(rest, made)
        assert refused.status in (400, 422), refused.body


def test_two_structs_in_one_field_cannot_be_said(definition: Callable[..., dict[str, Any]]) -> None:
    class Cat(msgspec.Struct, tag=True):
        pass

    class Dog(msgspec.Struct, tag=True):
        pass

    animal = msgspec.defstruct("Animal", [("spec", Cat | Dog), ("status", Status, Status())])
    with pytest.raises(TypeError, match=r"one type, or is int \| str"):
        definition(animal, "animals", "example.com")
