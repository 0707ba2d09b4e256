"""Which fields may be selected by; what the real server says is in the conformance suite."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from aioinformers.testing.apiserver.fields import check_field, fields_of
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, Resources
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.types import GroupVersionResource
from tests.testing.apiserver.contents import WIDGETS

RESOURCES = Resources(DEFAULT_RESOURCES)


def served(group: str, version: str, plural: str, kind: str) -> Resource:
    return Resource(gvr=GroupVersionResource(group, version, plural), kind=kind, namespaced=False)


@pytest.mark.parametrize("resource", DEFAULT_RESOURCES, ids=lambda resource: resource.gvr.resource)
def test_an_empty_object_of_any_kind_has_fields_that_may_be_selected_by(resource: Resource) -> None:
    for path, value in fields_of(resource, {}).items():
        check_field(resource, path)
        assert isinstance(value, str)
    check_field(resource, "metadata.name")
    with pytest.raises(StatusError):
        check_field(resource, "spec.color")


def test_values_are_texts_as_go_writes_them() -> None:
    node = fields_of(RESOURCES.resolve("nodes"), {"spec": {"unschedulable": True}})
    assert node == {"spec.unschedulable": "true"}
    jobs = RESOURCES.resolve("jobs")
    assert fields_of(jobs, {"status": {"succeeded": 3}}) == {"status.successful": "3"}
    assert fields_of(jobs, {"status": None}) == {"status.successful": "0"}


@pytest.mark.parametrize("status", [{"podIP": "10.0.0.1"}, {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}])
def test_a_pod_has_its_first_address(status: dict[str, Any]) -> None:
    fields = fields_of(RESOURCES.resolve("pods"), {"status": status})
    assert (fields["status.podIP"], fields["status.podIPs"]) == ("10.0.0.1", "")


def test_events_of_the_newer_group_have_other_names() -> None:
    events = served("events.k8s.io", "v1", "events", "Event")
    fields = fields_of(events, {"regarding": {"kind": "Pod"}, "reportingController": "kubelet"})
    assert (fields["regarding.kind"], fields["reportingController"]) == ("Pod", "kubelet")
    with pytest.raises(StatusError, match="field label not supported: source"):
        check_field(events, "source")


def test_refusals_of_slices_name_the_kind() -> None:
    slices = served("resource.k8s.io", "v1", "resourceslices", "ResourceSlice")
    check_field(slices, "spec.pool.name")
    with pytest.raises(StatusError, match=r"not supported for resource.k8s.io/v1, Kind=ResourceSlice: spec.color"):
        check_field(slices, "spec.color")


def test_custom_resources_have_the_fields_of_their_definition() -> None:
    assert fields_of(WIDGETS, {"spec": {"color": "red"}}) == {}
    widgets = dataclasses.replace(WIDGETS, selectable=("spec.color",))
    assert fields_of(widgets, {"spec": {"color": "red"}}) == {"spec.color": "red"}
    check_field(widgets, "spec.color")
    with pytest.raises(StatusError, match=r"400 BadRequest: field label not supported: spec\.size"):
        check_field(widgets, "spec.size")
    with pytest.raises(StatusError, match=r"metadata\.namespace"):
        check_field(dataclasses.replace(widgets, namespaced=False), "metadata.namespace")
