"""Discovery documents; what they say of each resource, the conformance suite compares with a real server."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.testing.apiserver import discovery
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, Resources, ScalePaths
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.types import GroupVersionResource
from tests.testing.apiserver.contents import WIDGETS


def custom(group: str, *versions: str) -> list[Resource]:
    return [
        Resource(gvr=GroupVersionResource(group, version, "things"), kind="Thing", custom=True) for version in versions
    ]


RESOURCES = Resources((*DEFAULT_RESOURCES, WIDGETS))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        (discovery.AGGREGATED_TYPE, True),
        (f"{discovery.AGGREGATED_TYPE};q=0.9,application/json", True),
        (f"application/json,{discovery.AGGREGATED_TYPE}", False),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", False),
        ("text/html, */*", False),
    ],
)
def test_the_first_type_that_can_be_given_is_given(accept: str, expected: bool) -> None:
    assert discovery.wants_aggregated(accept) is expected


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;as=APIGroupDiscoveryList;v=v9;g=apidiscovery.k8s.io"]
)
def test_nothing_that_can_be_given_is_not_acceptable(accept: str) -> None:
    with pytest.raises(StatusError, match="406 NotAcceptable"):
        discovery.wants_aggregated(accept)


def test_versions_are_ordered_as_kubernetes_prefers_them() -> None:
    odd = Resources(custom("example.com", "v1alpha1", "v1beta2", "v2", "odd", "v1", "v10", "v1beta10", "v11alpha2"))
    document = discovery.api_group(odd, "example.com")
    assert document is not None
    order = ["v10", "v2", "v1", "v1beta10", "v1beta2", "v11alpha2", "v1alpha1", "odd"]
    assert [version["version"] for version in document["versions"]] == order
    assert document["preferredVersion"] == {"groupVersion": "example.com/v10", "version": "v10"}


def test_groups_of_custom_resources_follow_those_of_the_server_by_name() -> None:
    found = Resources((*custom("z.example", "v1"), *custom("a.example", "v1"), *DEFAULT_RESOURCES))
    names = [group["name"] for group in discovery.api_groups(found)["groups"]]
    assert names[0] == "apps"
    assert names[-2:] == ["a.example", "z.example"]
    assert "" not in names, "the core group is in a document of its own"


def test_what_is_not_served_has_no_document() -> None:
    assert discovery.api_group(RESOURCES, "nobody.example") is None
    assert discovery.api_resources(RESOURCES, "apps", "v9") is None


def test_both_forms_of_discovery_say_the_same_of_every_resource() -> None:
    def facts(entry: dict[str, Any], kind: str, *, is_namespaced: bool) -> tuple[Any, ...]:
        return kind, is_namespaced, tuple(entry.get("shortNames", [])), tuple(entry["verbs"])

    whole = set()
    for path in ("api", "apis"):
        for item in discovery.aggregated(RESOURCES, path)["items"]:
            for version in item["versions"]:
                for one in version["resources"]:
                    place = item["metadata"].get("name", ""), version["version"], one["resource"]
                    kind, is_namespaced = one["responseKind"]["kind"], one["scope"] == "Namespaced"
                    whole.add(place + facts(one, kind, is_namespaced=is_namespaced))
    separate = set()
    for group, versions in RESOURCES.groups().items():
        for version_name in versions:
            document = discovery.api_resources(RESOURCES, group, version_name)
            assert document is not None
            for one in document["resources"]:
                if "/" not in one["name"]:
                    place = group, version_name, one["name"]
                    separate.add(place + facts(one, one["kind"], is_namespaced=one["namespaced"]))
    assert whole == separate
    assert len(whole) == len(list(RESOURCES))


def test_a_status_is_a_subresource_in_both_forms() -> None:
    document = discovery.api_resources(RESOURCES, "example.com", "v1")
    assert document is not None
    assert [entry["name"] for entry in document["resources"]] == ["widgets", "widgets/status"]
    (group,) = [
        item
        for item in discovery.aggregated(RESOURCES, "apis")["items"]
        if item["metadata"].get("name") == "example.com"
    ]
    (entry,) = group["versions"][0]["resources"]
    assert [each["subresource"] for each in entry["subresources"]] == ["status"]


def test_a_scale_is_a_subresource_of_another_kind() -> None:
    """Before the status of built-in resources, after that of custom ones."""
    gvr = GroupVersionResource("example.com", "v1", "gadgets")
    gadgets = Resource(gvr=gvr, kind="Gadget", status=True, custom=True, scale=ScalePaths())
    found = Resources((*DEFAULT_RESOURCES, gadgets))
    kind = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    for group, plural, order in (
        ("apps", "deployments", ["scale", "status"]),
        ("example.com", "gadgets", ["status", "scale"]),
    ):
        document = discovery.api_resources(found, group, "v1")
        assert document is not None
        entries = {each["name"]: each for each in document["resources"] if each["name"].startswith(f"{plural}/")}
        assert list(entries) == [f"{plural}/{name}" for name in order]
        verbs = ["get", "patch", "update"]
        assert entries[f"{plural}/scale"] == {
            "name": f"{plural}/scale", "singularName": "", "namespaced": True, **kind, "verbs": verbs,
        }  # fmt: skip
        (item,) = (each for each in discovery.aggregated(found, "apis")["items"] if each["metadata"]["name"] == group)
        (entry,) = (each for each in item["versions"][0]["resources"] if each["resource"] == plural)
        assert [each["subresource"] for each in entry["subresources"]] == order
        (scale,) = (each for each in entry["subresources"] if each["subresource"] == "scale")
        assert scale == {"subresource": "scale", "responseKind": kind, "verbs": verbs}
