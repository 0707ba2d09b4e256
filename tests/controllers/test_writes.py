"""What is sent, where to, and what is remembered of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio import client as aio
from kubernetes_asyncio import client

from aioinformers import GroupVersionResource, ObjectKey, Settings
from aioinformers.controllers.memory import Write
from aioinformers.controllers.writes import (
    MERGE,
    Kind,
    Place,
    Target,
    Writer,
    document_of,
    merge_patch,
    note_sent,
    path_of,
)
from aioinformers.errors import ConflictError, NotLeadingError
from aioinformers.testing import FakeAPIServer
from aioinformers.transport.guarded import Sent, guarded
from aioinformers.transport.source import Source
from tests.kit import configmap
from tests.kit.clients import CLIENTS, client_of

CONFIGMAPS = Kind(GroupVersionResource("", "v1", "configmaps"), "ConfigMap", is_namespaced=True)
KEY = ObjectKey("default", "a")
NODES = Kind(GroupVersionResource("", "v1", "nodes"), "Node", is_namespaced=False)
DEPLOYMENTS = Kind(GroupVersionResource("apps", "v1", "deployments"), "Deployment", is_namespaced=True)


@pytest.mark.parametrize(
    ("kind", "key", "path"),
    [
        (CONFIGMAPS, ("shop", "a"), "/api/v1/namespaces/shop/configmaps/a"),
        (NODES, ("", "n"), "/api/v1/nodes/n"),
        (DEPLOYMENTS, ("shop", "web"), "/apis/apps/v1/namespaces/shop/deployments/web"),
        (CONFIGMAPS, ("a/b", "c?d"), "/api/v1/namespaces/a%2Fb/configmaps/c%3Fd"),
    ],
)
def test_objects_have_their_place(kind: Kind, key: tuple[str, str], path: str) -> None:
    target = Target(kind, ObjectKey(*key))
    assert path_of(target) == path
    assert path_of(target, to_collection=True) == path.rpartition("/")[0]


class Widget(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str


@dataclasses.dataclass
class Other:
    kind: str = "Other"


async def test_objects_are_documents_in_the_end() -> None:
    async with client.ApiClient(client.Configuration()) as api:
        check_documents(api.sanitize_for_serialization)


def check_documents(sanitize: Callable[[Any], Any]) -> None:
    given = {"kind": "Pod"}
    assert document_of(given, sanitize) == given
    assert document_of(given, sanitize) is not given
    model = client.V1ConfigMap(api_version="v1", kind="ConfigMap", metadata=client.V1ObjectMeta(name="a"))
    assert document_of(model, sanitize) == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert document_of(Widget("v1", "Widget"), sanitize) == {"apiVersion": "v1", "kind": "Widget"}
    for wrong in (3, "text", None, Other()):
        with pytest.raises(TypeError, match="an object is a dict, a model of the client or a Struct"):
            document_of(wrong, sanitize)


documents = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), documents, max_size=3)


def applied(document: Any, patch: Any) -> Any:
    """Apply a merge patch, as RFC 7386 says."""
    if not isinstance(patch, dict):
        return patch
    made = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = applied(made.get(name), value)
    return made


def without_nulls(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: without_nulls(value) for name, value in document.items() if value is not None}
    return document


@given(before=objects, after=objects)
def test_a_merge_patch_makes_one_document_of_another(before: dict[str, Any], after: dict[str, Any]) -> None:
    before, after = without_nulls(before), without_nulls(after)
    patch = merge_patch(before, after)
    assert applied(before, patch) == after
    assert (patch == {}) is (json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True))


@pytest.mark.virtual_time
async def test_a_write_is_sent_in_the_controllers_name_and_remembered() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        writer, noted = Writer(Source(api, Settings()), "sites"), list[tuple[Write, Mapping[str, str]]]()
        options: dict[str, Any] = {"time_left": lambda: 5.0, "note": lambda *given: noted.append(given)}
        target = Target(CONFIGMAPS, KEY)
        made = await writer.send("POST", target, configmap("a", labels={"app": "x"}), **options)
        again = await writer.send("PATCH", target, {"data": {"v": "1"}}, content_type=MERGE, **options)
        await writer.send("PATCH", target, {}, content_type=MERGE, query={"dryRun": "All"}, **options)
        await writer.send("DELETE", target, {"kind": "DeleteOptions", "apiVersion": "v1"}, **options)
        assert [(write.key, write.version, dict(labels)) for write, labels in noted[:2]] == [
            (KEY, made["metadata"]["resourceVersion"], {"app": "x"}),
            (KEY, again["metadata"]["resourceVersion"], {"app": "x"}),
        ]
        assert [write.version for write, _ in noted[2:]] == [""]
        assert [request.query.get("fieldManager") for request in server.requests] == ["sites"] * 3 + [None]


@pytest.mark.virtual_time
async def test_g20_the_removal_of_the_last_finalizer_is_known_as_the_end() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        made = configmap("a")
        made["metadata"]["finalizers"] = ["a.io/x", "a.io/y"]
        server.create("configmaps", made)
        server.delete("configmaps", "a", namespace="default")
        writer, noted, target = Writer(Source(api, Settings()), "sites"), list[Write](), Target(CONFIGMAPS, KEY)
        for left in (["a.io/y"], []):
            await writer.send(
                "PATCH", target, {"metadata": {"finalizers": left}}, content_type=MERGE,
                time_left=lambda: 5.0, note=lambda write, _: noted.append(write),
            )  # fmt: skip
        assert server.list("configmaps") == []
        assert [write.is_end for write in noted] == [False, True]


@pytest.mark.parametrize(
    ("path", "resource", "rest"),
    [
        ("/api/v1/namespaces/shop/configmaps", "configmaps.v1.", ("shop", "", "")),
        ("/api/v1/namespaces/shop/configmaps/a", "configmaps.v1.", ("shop", "a", "")),
        ("/apis/apps/v1/namespaces/shop/deployments/a/status", "deployments.v1.apps", ("shop", "a", "status")),
        ("/api/v1/nodes/n", "nodes.v1.", ("", "n", "")),
        ("/api/v1/nodes/n/proxy/a/b", "nodes.v1.", ("", "n", "proxy/a/b")),
        ("/api/v1/namespaces", "namespaces.v1.", ("", "", "")),
        ("/api/v1/namespaces/shop", "namespaces.v1.", ("", "shop", "")),
        ("/api/v1/namespaces/shop/status", "namespaces.v1.", ("", "shop", "status")),
        ("/api/v1/namespaces/shop/finalize", "namespaces.v1.", ("", "shop", "finalize")),
        ("/api/v1/namespaces/a%2Fb/configmaps/c%3Fd", "configmaps.v1.", ("a/b", "c?d", "")),
    ],
)
def test_a_path_names_its_object(path: str, resource: str, rest: tuple[str, str, str]) -> None:
    place = Place.of(path)
    assert place is not None
    assert str(place.resource) == resource.rstrip(".")
    assert (place.namespace, place.name, place.subresource) == rest


@pytest.mark.parametrize("path", ["", "/", "/version", "/apis", "/apis/apps", "/apis/apps/v1", "/api/v1", "/healthz/x"])
def test_other_paths_name_none(path: str) -> None:
    assert Place.of(path) is None


@pytest.mark.virtual_time
@pytest.mark.parametrize("which", CLIENTS)
async def test_g20_what_typed_apis_write_is_remembered(which: str) -> None:
    module: Any = client if which == "kubernetes_asyncio" else aio
    async with FakeAPIServer() as server, client_of(server, which) as api:
        noted: list[Write] = []

        def tell(sent: Sent) -> None:
            note_sent(sent, lambda write, _: noted.append(write))

        core = module.CoreV1Api(guarded(api, lambda: 5.0, tell))
        model = module.V1ConfigMap(metadata=module.V1ObjectMeta(name="a"))
        await core.create_namespaced_config_map("default", model, dry_run="All")
        made = await core.create_namespaced_config_map("default", model)
        changed = await core.patch_namespaced_config_map("a", "default", {"data": {"v": "1"}})
        await core.list_namespaced_config_map("default")
        await core.delete_namespaced_config_map("a", "default")
        await core.create_namespaced_config_map("default", model)
        await core.delete_collection_namespaced_config_map("default")
        versions = [made.metadata.resource_version, changed.metadata.resource_version]
        assert [write.version for write in noted[:2]] == versions
        assert [write.version == "" for write in noted[2:]] == [True, False, True]
        assert {write.key for write in noted} == {KEY}
        assert {write.resource for write in noted} == {"configmaps.v1"}


@pytest.mark.virtual_time
async def test_what_changes_no_object_is_not_remembered() -> None:
    noted: list[Write] = []
    for method, path, answer in (
        ("POST", "/api/v1/namespaces/shop/pods/a/eviction", b'{"kind":"Status"}'),
        ("POST", "/apis/authorization.k8s.io/v1", b"{}"),
        ("PUT", "/api/v1/namespaces/shop/configmaps/a", b"no JSON"),
    ):
        note_sent(Sent(method, path, is_dry_run=False, answer=answer), lambda write, _: noted.append(write))
    assert noted == []


@pytest.mark.virtual_time
async def test_nothing_is_sent_by_whom_may_not_and_nothing_is_remembered_of_what_is_refused() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        server.create("configmaps", configmap("a"))
        writer, noted = Writer(Source(api, Settings()), "sites"), list[Any]()
        target = Target(CONFIGMAPS, KEY)

        def over() -> float:
            raise NotLeadingError("operator", "it is over")

        before = len(server.requests)
        with pytest.raises(NotLeadingError):
            await writer.send("POST", target, {}, time_left=over, note=lambda *given: noted.append(given))
        assert len(server.requests) == before
        with pytest.raises(ConflictError):
            await writer.send(
                "POST", target, configmap("a"), time_left=lambda: 5.0, note=lambda *given: noted.append(given)
            )
        assert noted == []
