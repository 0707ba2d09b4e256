"""Scales: what they show of an object, and what a change of them does to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, Resources, ScalePaths
from aioinformers.testing.apiserver.scaling import applied_by_scale, on_scale, scale_bytes
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.types import GroupVersionResource

RESOURCES = Resources(DEFAULT_RESOURCES)
DEPLOYMENTS, CONTROLLERS = RESOURCES.resolve("deployments"), RESOURCES.resolve("rc")
WIDGETS = Resource(
    gvr=GroupVersionResource("example.com", "v1", "widgets"),
    kind="Widget",
    custom=True,
    scale=ScalePaths(replicas=".spec.size", status_replicas=".status.size", selector=".status.selector"),
)


def scale(resource: Resource, obj: dict[str, Any]) -> Any:
    return json.loads(scale_bytes(resource, {"metadata": {"name": "x"}, **obj}))


@pytest.mark.parametrize(
    ("resource", "obj", "spec", "status"),
    [
        (DEPLOYMENTS, {"spec": {"replicas": 3}, "status": {"replicas": 2}}, {"replicas": 3}, {"replicas": 2}),
        (DEPLOYMENTS, {}, {"replicas": 1}, {"replicas": 0}),
        (DEPLOYMENTS, {"spec": {"replicas": 0}}, {}, {"replicas": 0}),
        (WIDGETS, {"spec": {"size": 4}, "status": {"size": 1}}, {"replicas": 4}, {"replicas": 1}),
        (
            WIDGETS,
            {"spec": {"size": 4}, "status": {"selector": "a=b"}},
            {"replicas": 4},
            {"replicas": 0, "selector": "a=b"},
        ),
        (
            CONTROLLERS,
            {"spec": {"replicas": 2, "selector": {"b": "2", "a": "1"}}},
            {"replicas": 2},
            {"replicas": 0, "selector": "a=1,b=2"},
        ),
    ],
)
def test_what_a_scale_shows(
    resource: Resource, obj: dict[str, Any], spec: dict[str, Any], status: dict[str, Any]
) -> None:
    shown = scale(resource, obj)

    assert (shown["kind"], shown["apiVersion"], shown["metadata"]) == ("Scale", "autoscaling/v1", {"name": "x"})
    assert (shown["spec"], shown["status"]) == (spec, status)


def test_selectors_are_texts() -> None:
    expressions = [
        {"key": "d", "operator": "In", "values": ["z", "y"]},
        {"key": "c", "operator": "NotIn", "values": ["x"]},
        {"key": "b", "operator": "Exists"},
        {"key": "e", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"a": "1"}, "matchExpressions": expressions}
    shown = scale(DEPLOYMENTS, {"spec": {"selector": selector}})
    assert shown["status"]["selector"] == "a=1,b,c notin (x),d in (y,z),!e"


def test_a_custom_object_must_say_how_many() -> None:
    with pytest.raises(
        StatusError, match=r'500 InternalError: .*the spec replicas field "\.spec\.size" does not exist'
    ):
        scale(WIDGETS, {})


@pytest.mark.parametrize(
    ("resource", "obj", "given", "expected"),
    [
        (DEPLOYMENTS, {"spec": {"replicas": 3, "x": 1}}, {"replicas": 5}, {"replicas": 5, "x": 1}),
        (DEPLOYMENTS, {}, {"replicas": 5}, {"replicas": 5}),
        (DEPLOYMENTS, {"spec": {"replicas": 3}}, {}, {"replicas": 0}),
        (WIDGETS, {"spec": {"size": 3}}, {"replicas": 5}, {"size": 5}),
        (WIDGETS, {"spec": {"size": 3}}, None, {"size": 0}),
        (WIDGETS, {}, {"replicas": 5}, {"size": 5}),
    ],
)
def test_what_a_change_does(resource: Resource, obj: dict[str, Any], given: Any, expected: dict[str, Any]) -> None:
    changed = on_scale(resource, "x", lambda shown: {**shown, "spec": given})({"metadata": {"name": "x"}, **obj})

    assert changed == {"metadata": {"name": "x"}, **obj, "spec": expected}


def test_a_change_keeps_to_the_object_that_it_has_seen() -> None:
    change = on_scale(DEPLOYMENTS, "x", lambda _: {"metadata": {"uid": "u", "resourceVersion": "3"}})
    metadata = change({"metadata": {"name": "x", "uid": "v", "resourceVersion": "4", "labels": {}}})["metadata"]
    assert metadata == {"name": "x", "uid": "u", "resourceVersion": "3", "labels": {}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "400 BadRequest: a Scale is a JSON object with metadata"),
        ({}, "400 BadRequest: a Scale is a JSON object with metadata"),
        ({"metadata": {}, "kind": "Deployment"}, 'Deployment in version "autoscaling/v1" cannot be handled as a Scale'),
        ({"metadata": {}, "spec": {"replicas": "3"}}, "400 BadRequest: spec.replicas of a Scale is a number"),
        (
            {"metadata": {}, "spec": {"replicas": -1}},
            r'Scale.autoscaling "x" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
        ),
        ({"metadata": {}, "spec": {}}, 'the spec replicas field ".spec.size" cannot be empty'),
    ],
)
def test_changes_that_cannot_be(given: Any, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        on_scale(WIDGETS, "x", lambda _: given)({"metadata": {"name": "x"}})
    assert words in str(caught.value)


def test_what_the_apply_of_a_scale_applies() -> None:
    """The number of replicas, where the object has it."""
    metadata = {"name": "x", "resourceVersion": "3", "labels": {"a": "b"}}
    given = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": 2}}
    config = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x", "resourceVersion": "3"}}

    assert applied_by_scale(WIDGETS, "x", given) == {**config, "spec": {"size": 2}}
    assert applied_by_scale(WIDGETS, "x", {**given, "spec": {}}) == config
    with pytest.raises(StatusError, match="400 BadRequest: invalid object type: apps/v1, Kind=Deployment"):
        applied_by_scale(WIDGETS, "x", {"apiVersion": "apps/v1", "kind": "Deployment"})
    with pytest.raises(StatusError, match="must be greater than or equal to 0"):
        applied_by_scale(WIDGETS, "x", {**given, "spec": {"replicas": -1}})


def test_paths_are_texts() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="must be a path such as"):
        ScalePaths(selector=wrong)
    with pytest.raises(TypeError, match="must be a ScalePaths or None"):
        Resource(gvr=WIDGETS.gvr, kind="Widget", scale=wrong)
