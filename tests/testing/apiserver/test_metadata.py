"""The checks of what every object has."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.testing.apiserver.metadata import (
    check_applied,
    check_envelope,
    check_finalizers,
    check_name,
    check_owners,
    check_preconditions,
    check_same,
    check_url_name,
    key_of,
)
from aioinformers.testing.apiserver.options import DeleteOptions
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resources
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.table import Stored
from tests.testing.apiserver.contents import WIDGETS

RESOURCES = Resources(DEFAULT_RESOURCES)
PODS, NODES, ROLES = (RESOURCES.resolve(name) for name in ("pods", "nodes", "clusterroles"))
THERE = Stored("a/x", "a", "x", "u", 7, b"", {}, {})


def test_keys() -> None:
    assert (key_of("a", "x"), key_of("", "x")) == ("a/x", "x")


@pytest.mark.parametrize(
    ("resource", "obj", "asked", "namespace"),
    [
        (PODS, {"metadata": {}}, "", "default"),
        (PODS, {"metadata": {"namespace": "a"}}, "", "a"),
        (PODS, {"metadata": {"namespace": "a"}, "kind": "Pod", "apiVersion": "v1"}, "a", "a"),
        (NODES, {"metadata": {}}, "a", ""),
    ],
)
def test_the_namespace_of_an_object(resource: Any, obj: dict[str, Any], asked: str, namespace: str) -> None:
    assert check_envelope(resource, obj, asked) == namespace


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ({"metadata": {}, "kind": "Node"}, 'Node in version "None" cannot be handled as a Pod'),
        ({"metadata": {}, "apiVersion": "v2"}, 'None in version "v2" cannot be handled as a Pod'),
        ({}, "a Pod needs an object as its metadata"),
        ({"metadata": {"namespace": "b"}}, "does not match the namespace sent on the request"),
    ],
)
def test_objects_that_do_not_fit(obj: dict[str, Any], words: str) -> None:
    with pytest.raises(StatusError, match="400 BadRequest") as caught:
        check_envelope(PODS, obj, "a")
    assert words in caught.value.message


def test_names() -> None:
    """DNS names, but those of RBAC."""
    check_name(PODS, "a.b-c")
    check_name(ROLES, "system:node")
    for name in ("", "system:node", "A", "-a", "a" * 254):
        with pytest.raises(StatusError, match=r"422 Invalid: Pod .* metadata\.name"):
            check_name(PODS, name)


def test_the_object_that_is_meant() -> None:
    """By uid and resourceVersion, which some must have."""
    check_same(PODS, THERE, "x", {}, guarded=False)
    check_same(WIDGETS, THERE, "x", {"uid": "u", "resourceVersion": "7"}, guarded=True)
    check_same(PODS, None, "x", {"resourceVersion": "7"}, guarded=True)
    for current, metadata, code in (
        (THERE, {"uid": "v"}, 409),
        (THERE, {"resourceVersion": "6"}, 409),
        (THERE, {}, 422),
        (None, {"uid": "u"}, 409),
    ):
        with pytest.raises(StatusError) as caught:
            check_same(WIDGETS, current, "x", metadata, guarded=True)
        assert caught.value.code == code
        assert 'widgets.example.com "x"' in caught.value.message


def test_preconditions() -> None:
    check_preconditions(PODS, THERE, DeleteOptions())
    check_preconditions(PODS, THERE, DeleteOptions(uid="u", version="7"))
    for options in (DeleteOptions(uid="v"), DeleteOptions(version="6")):
        with pytest.raises(StatusError, match=r"409 Conflict: .* in the precondition"):
            check_preconditions(PODS, THERE, options)


def test_finalizers_only_go() -> None:
    check_finalizers(PODS, "x", ["a", "b"], ["b"])
    with pytest.raises(StatusError) as caught:
        check_finalizers(PODS, "x", ["a"], ["c", "a", "b"])
    assert caught.value.message == (
        'Pod "x" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being '
        'deleted, found new finalizers []string{"b", "c"}'
    )


def test_what_is_applied_says_what_it_is() -> None:
    check_applied(WIDGETS, {"apiVersion": "example.com/v1", "kind": "Widget"})
    check_applied(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}})
    for config, words in (
        ({}, "invalid object type: /, Kind="),
        ({"apiVersion": "example.com/v2", "kind": "Widget"}, "invalid object type: example.com/v2, Kind=Widget"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"managedFields": []}}, "metadata.managedFields must be nil"),
    ):
        with pytest.raises(StatusError) as caught:
            check_applied(PODS, config)
        assert (caught.value.code, caught.value.message) == (400, words)


def test_the_name_of_the_path() -> None:
    check_url_name({"metadata": {"name": "x"}}, "x")
    for obj, words in (({}, "undeterminable: name must be provided"), ({"metadata": {"name": "y"}}, "does not match")):
        with pytest.raises(StatusError, match=words):
            check_url_name(obj, "x")


def test_owners() -> None:
    """Each of them once, whole, and one of them the controller."""
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"}
    first, second = owner | {"controller": True}, owner | {"name": "b", "controller": True}

    assert check_owners(PODS, "x", [owner, owner, first]) == [owner, first]
    rivals = (
        'metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"Pod","name":"b","uid":"u",'
        '"controller":true},{"apiVersion":"v1","kind":"Pod","name":"a","uid":"u","controller":true}]: '
        'Only one reference can have Controller set to true. Found "true" in references for Pod/b and Pod/a'
    )
    for references, words in (
        ([owner, {"name": "b"}], "metadata.ownerReferences[1].apiVersion: Required value: must not be empty"),
        ([second, first], rivals),
    ):
        with pytest.raises(StatusError) as caught:
            check_owners(PODS, "x", references)
        assert caught.value.code == 422
        assert words in caught.value.message
