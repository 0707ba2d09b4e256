"""What the embedded server serves."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, Resources, resource_of_crd
from aioinformers.types import GroupVersionResource
from tests.testing.apiserver.contents import WIDGETS


def test_resources_are_found_by_any_name() -> None:
    """GVR, dotted name, plural, short name; doubt is an error."""
    resources = Resources((*DEFAULT_RESOURCES, WIDGETS))
    deployments = resources.resolve("deployments")

    assert resources.resolve("deploy") is deployments
    assert resources.resolve("deployments.v1.apps") is deployments
    assert resources.resolve(deployments.gvr) is deployments
    with pytest.raises(LookupError, match="no resource is served as 'nonsense'"):
        resources.resolve("nonsense")
    other = Resource(gvr=GroupVersionResource("other.example.com", "v1", "widgets"), kind="Widget")
    resources.add(other)
    with pytest.raises(LookupError, match="more than one resource is served as 'widgets'"):
        resources.resolve("widgets")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("pods", ("Pod", True, ("po",), True, True)),
        ("nodes", ("Node", False, ("no",), True, False)),
        ("secrets", ("Secret", True, (), False, False)),
        ("deploy", ("Deployment", True, ("deploy",), True, True)),
        ("clusterroles", ("ClusterRole", False, (), False, False)),
    ],
)
def test_the_table_of_resources_is_read_as_it_is_written(name: str, facts: tuple[object, ...]) -> None:
    found = Resources(DEFAULT_RESOURCES).resolve(name)
    assert (found.kind, found.namespaced, found.short_names, found.status, found.generation) == facts
    assert not found.custom


def test_a_resource_is_named_in_messages_with_its_group_if_it_has_one() -> None:
    found = Resources(DEFAULT_RESOURCES)
    pods, deployments = found.resolve("pods"), found.resolve("deployments")
    assert (pods.singular, pods.group_resource, pods.group_kind) == ("pod", "pods", "Pod")
    assert (deployments.group_resource, deployments.group_kind) == ("deployments.apps", "Deployment.apps")


def test_a_definition_describes_its_storage_version() -> None:
    crd: dict[str, Any] = {
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"]},
            "versions": [{"name": "v1beta1", "storage": False}, {"name": "v1", "storage": True}],
        }
    }
    found = resource_of_crd(crd)
    assert found.gvr == GroupVersionResource("example.com", "v1", "gadgets")
    assert (found.kind, found.namespaced, found.short_names, found.status) == ("Gadget", False, ("gd",), False)
    assert found.custom
    assert found.generation
    crd["spec"]["versions"][1]["subresources"] = {"status": {}}
    assert resource_of_crd(crd).status
    del crd["spec"]["group"]
    with pytest.raises(LookupError):
        resource_of_crd(crd)


def test_what_is_no_longer_served_is_not_found() -> None:
    found = Resources(DEFAULT_RESOURCES)
    pods = found.resolve("pods").gvr
    found.remove(pods)
    found.remove(pods)
    assert found.get(pods) is None
    with pytest.raises(LookupError, match="no resource is served as 'pods'"):
        found.resolve("pods")
    assert found.groups()["apps"] == ["v1"]
