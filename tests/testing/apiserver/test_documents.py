"""JSON documents: how objects are merged, and how they are laid out on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.testing.apiserver.documents import (
    content_of,
    decode,
    encode_object,
    item_bytes,
    merge_patch,
    with_version,
)
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, Resources
from tests.testing.apiserver.contents import WIDGETS

CONFIGMAPS = Resources(DEFAULT_RESOURCES).resolve("configmaps")
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_examples_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    """RFC 7386, appendix A."""
    before = json.dumps(target)

    assert merge_patch(target, patch) == result
    assert json.dumps(target) == before


@given(values, values)
def test_a_merge_patch_changes_neither_of_its_arguments(target: Any, patch: Any) -> None:
    before = json.dumps([target, patch])
    merge_patch(target, patch)
    assert json.dumps([target, patch]) == before


@given(values, values)
def test_a_merge_patch_applied_twice_is_applied_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


def test_objects_of_built_in_kinds_are_written_with_their_fields_in_the_order_of_go() -> None:
    obj = {"data": {"b": "1", "a": "2"}, "metadata": {"labels": {}, "uid": "u", "name": "x"}, "kind": "Odd"}
    body = encode_object(CONFIGMAPS, obj)
    assert body == (
        b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","uid":"u","labels":{}},"data":{"b":"1","a":"2"}}'
    )
    assert item_bytes(CONFIGMAPS, body) == b'{"metadata":{"name":"x","uid":"u","labels":{}},"data":{"b":"1","a":"2"}}'


def test_custom_objects_are_written_sorted_by_key_on_every_level_and_so_they_are_in_lists() -> None:
    obj = {"spec": {"b": 1, "a": {"d": 1, "c": 2}}, "metadata": {"uid": "u", "name": "x"}, "kind": "Widget"}
    body = encode_object(WIDGETS, obj)
    assert body == b'{"kind":"Widget","metadata":{"name":"x","uid":"u"},"spec":{"a":{"c":2,"d":1},"b":1}}'
    assert item_bytes(WIDGETS, body) is body


@pytest.mark.parametrize("resource", [CONFIGMAPS, WIDGETS])
def test_another_version_of_an_object_is_the_same_in_everything_else(resource: Resource) -> None:
    obj: dict[str, Any] = {"kind": resource.kind, "apiVersion": resource.gvr.api_version}
    obj |= {"metadata": {"name": "x", "resourceVersion": "7"}, "spec": {"a": [1]}}
    body = with_version(resource, encode_object(resource, obj), 12)
    assert decode(body) == obj | {"metadata": {"name": "x", "resourceVersion": "12"}}


def test_only_content_counts_as_a_change_of_generation() -> None:
    obj = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}, "status": {"phase": "Running"}, "spec": {}}
    assert content_of(obj) == {"spec": {}}
