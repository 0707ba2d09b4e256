"""Informers out of arguments: what is followed, under which name, and informers without a factory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Unpack

import pytest
from kubernetes_asyncio import client

from aioinformers import GroupVersionResource, ListOptions, Metadata, new_informer, strip_managed_fields
from aioinformers.building import Defaults, is_foreign, request_of
from aioinformers.errors import InvalidSelectorError
from aioinformers.options import InformerOptions, Transform
from aioinformers.pipeline import InformerSpec
from aioinformers.testing import FakeAPIServer
from aioinformers.types import ALL_NAMESPACES, EVERYTHING, Scope
from tests.kit import QUICK, Recorder

pytestmark = pytest.mark.virtual_time

PODS = GroupVersionResource("", "v1", "pods")
NODES = GroupVersionResource("", "v1", "nodes")
WIDGETS = GroupVersionResource("example.com", "v1", "widgets")


def named(document: dict[str, Any]) -> dict[str, Any]:
    return document


class Caller:
    def __call__(self, document: dict[str, Any]) -> dict[str, Any]:
        return document


def spec(
    resource: GroupVersionResource = PODS,
    inherited: tuple[Scope, ...] = (EVERYTHING,),
    tweak: Callable[[ListOptions], None] | None = None,
    object_type: type[Any] = client.V1Pod,
    transforms: tuple[Transform, ...] = (),
    **options: Unpack[InformerOptions],
) -> InformerSpec:
    defaults = Defaults(scopes=inherited, transforms=transforms, tweak=tweak)
    return request_of(resource, object_type, options, defaults).spec


@pytest.mark.parametrize(
    ("namespace", "inherited", "scopes"),
    [
        (None, (EVERYTHING,), (EVERYTHING,)),
        (None, (Scope("a"), Scope("b")), (Scope("a"), Scope("b"))),
        ("c", (Scope("a"),), (Scope("c"),)),
        (ALL_NAMESPACES, (Scope("a"),), (EVERYTHING,)),
    ],
)
def test_namespaces_are_inherited_unless_they_are_given(
    namespace: Any, inherited: tuple[Scope, ...], scopes: tuple[Scope, ...]
) -> None:
    assert spec(namespace=namespace, inherited=inherited).scopes == scopes


def test_a_cluster_scoped_kind_ignores_namespaces_that_it_inherits_and_refuses_its_own() -> None:
    assert spec(NODES, object_type=client.V1Node, inherited=(Scope("a"),)).scopes == (EVERYTHING,)
    assert spec(NODES, object_type=dict, namespace=ALL_NAMESPACES, inherited=(Scope("a"),)).scopes == (EVERYTHING,)
    with pytest.raises(ValueError, match=r"nodes\.v1 is cluster-scoped"):
        spec(NODES, object_type=dict, namespace="a")


def test_selectors_are_sent_in_one_form_so_that_informers_are_shared() -> None:
    first, second = (
        spec(label_selector="b, a in (x)", field_selector="spec.nodeName==n"),
        spec(label_selector="a=x,b", field_selector="spec.nodeName=n"),
    )
    assert first.query == second.query == {"labelSelector": "a=x,b", "fieldSelector": "spec.nodeName=n"}
    assert spec(label_selector="", field_selector="").query == {}
    for bad in ({"label_selector": "a in ("}, {"field_selector": "a"}):
        with pytest.raises(InvalidSelectorError):
            spec(**bad)  # type: ignore[arg-type]


def test_a_tweak_has_the_last_word_and_no_way_to_the_reflectors_parameters() -> None:
    def tweak(options: ListOptions) -> None:
        assert options.label_selector == "a"
        options.label_selector = "b"
        options.extra = {"pretty": "false"}

    def overreach(options: ListOptions) -> None:
        options.extra = {"watch": "true"}

    assert spec(label_selector="a", tweak=tweak).query == {"labelSelector": "b", "pretty": "false"}
    with pytest.raises(ValueError, match="watch"):
        spec(tweak=overreach)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "pods.v1"),
        ({"namespace": ["b", "a"]}, "pods.v1 [a, b]"),
        ({"namespace": [f"n{i}" for i in range(5)]}, "pods.v1 [n0, n1, n2, n3, n4]"),
        ({"namespace": [f"n{i}" for i in range(9)]}, "pods.v1 [n0, n1, n2, n3, n4, 4 more]"),
        ({"namespace": "a", "label_selector": "app=web"}, "pods.v1 [a, labelSelector=app=web]"),
        ({"object_type": dict}, "pods.v1 [as dict]"),
        ({"object_type": Metadata, "namespace": "a"}, "pods.v1 [a, as Metadata]"),
        ({"shared_objects": True}, "pods.v1 [shared objects]"),
        ({"transform": strip_managed_fields}, "pods.v1 [through drop_fields('metadata.managedFields')]"),
        ({"transform": [named, Caller()]}, "pods.v1 [through named and Caller]"),
        ({"transforms": (named,)}, "pods.v1"),
        (
            {"transforms": (named,), "transform": strip_managed_fields},
            "pods.v1 [through drop_fields('metadata.managedFields')]",
        ),
        ({"resource": WIDGETS, "object_type": dict}, "widgets.v1.example.com"),
    ],
)
def test_the_name_says_what_tells_an_informer_from_others_of_its_resource(options: dict[str, Any], name: str) -> None:
    assert spec(**options).name == name


@pytest.mark.parametrize(
    ("resource", "kind", "api_version", "expected"),
    [
        (PODS, "PodList", "v1", False),
        (PODS, "NodeList", "v1", True),
        (PODS, "List", "v1", True),
        (WIDGETS, "WidgetList", "example.com/v1", False),
        (WIDGETS, "Widgets", "example.com/v1", False),
        (WIDGETS, "PodList", "example.com/v1", False),
        (WIDGETS, "PodList", "v1", True),
        (WIDGETS, "DeploymentList", "apps/v1", True),
        (WIDGETS, "OddList", "v1", False),
    ],
)
def test_a_list_is_foreign_if_it_is_certainly_another_kinds(
    resource: GroupVersionResource, kind: str, api_version: str, expected: bool
) -> None:
    """A custom resource may call its list as it likes."""
    assert is_foreign(resource, kind, api_version) is expected


async def test_standalone_informer_needs_no_factory() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        server.create("deployments", {"metadata": {"name": "web", "namespace": "a", "labels": {"app": "web"}}})
        server.create("deployments", {"metadata": {"name": "db", "namespace": "a"}})
        deployments = new_informer(api, client.V1Deployment, namespace="a", label_selector="app=web")
        recorder = Recorder()
        deployments.add_event_handler(recorder)
        async with deployments:
            await deployments.wait_synced()
            assert deployments.lister.get("web", namespace="a").metadata.name == "web"
            assert len(deployments.lister) == 1
        assert recorder.kinds() == ["Added web"]
        await deployments.wait_closed()


async def test_standalone_informer_runs_until_cancelled() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        widgets = new_informer(api, GroupVersionResource("", "v1", "configmaps"), settings=QUICK)
        task = asyncio.create_task(widgets.run())
        await widgets.wait_synced()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not widgets.is_running
