"""JSON documents: how objects are merged, and how they are laid out on the wire."""

from __future__ import annotations

import dataclasses
import enum
import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_asyncio import client
from pydantic.alias_generators import to_camel

from aioinformers.testing.apiserver.documents import (
    content_of,
    decode,
    document_of,
    encode_object,
    item_bytes,
    merge_patch,
    plain,
    with_version,
    without_nulls,
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


# -- models -------------------------------------------------------------------------------------------

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"


class Spec(msgspec.Struct, rename="camel"):
    node_name: str
    colour: Colour = Colour.RED
    since: datetime | None = None
    limits: Any = None


class Widget(msgspec.Struct, rename="camel"):
    metadata: client.V1ObjectMeta
    spec: Spec
    api_version: str | msgspec.UnsetType = msgspec.UNSET


class Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel, populate_by_name=True)

    node_name: str
    colour: Colour = Colour.RED
    since: datetime | None = None


@dataclasses.dataclass
class Plain:
    nodeName: str  # noqa: N815
    since: datetime | None = None


@pytest.mark.parametrize(
    ("model", "document"),
    [
        (
            client.V1Pod(
                metadata=client.V1ObjectMeta(name="p", creation_timestamp=MOMENT, owner_references=[]),
                spec=client.V1PodSpec(containers=[client.V1Container(name="c", image_pull_policy="Always")]),
            ),
            {
                "metadata": {"name": "p", "creationTimestamp": "2026-01-02T03:04:05Z", "ownerReferences": []},
                "spec": {"containers": [{"name": "c", "imagePullPolicy": "Always"}]},
            },
        ),
        (
            Widget(metadata=client.V1ObjectMeta(generate_name="w-"), spec=Spec(node_name="n", since=MOMENT)),
            {
                "metadata": {"generateName": "w-"},
                "spec": {"nodeName": "n", "colour": "red", "since": "2026-01-02T03:04:05Z"},
            },
        ),
        (Part(node_name="n", since=MOMENT), {"nodeName": "n", "colour": "red", "since": "2026-01-02T03:04:05Z"}),
        (Plain("n"), {"nodeName": "n"}),
        (
            {"spec": (Part(node_name="n"), Spec(node_name="m", limits=Plain("o"))), "status": None, "x": Colour.RED},
            {
                "spec": [
                    {"nodeName": "n", "colour": "red"},
                    {"nodeName": "m", "colour": "red", "limits": {"nodeName": "o"}},
                ],
                "status": None,
                "x": "red",
            },
        ),
        ({"at": MOMENT.replace(microsecond=7)}, {"at": "2026-01-02T03:04:05.000007Z"}),
        ({"at": MOMENT.astimezone(timezone(timedelta(hours=2)))}, {"at": "2026-01-02T03:04:05Z"}),
        ({"on": date(2026, 1, 2), "n": [1, 2.5, True, None]}, {"on": "2026-01-02", "n": [1, 2.5, True, None]}),
    ],
)
def test_models_become_what_their_libraries_would_send(model: Any, document: Any) -> None:
    """With the names of JSON, and without what is None; only dicts keep it, as it deletes in a patch."""
    assert plain(model) == document


def test_a_document_is_all_new() -> None:
    given: dict[str, Any] = {"a": {"b": [{}]}}
    made = plain(given)
    made["a"]["b"][0]["c"] = 1
    assert given == {"a": {"b": [{}]}}


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ({"data": {"k": b"v"}}, TypeError, r"the object\['data'\]\['k'\] must be a dict or a model's object, not b'v'"),
        ({"data": {1: "v"}}, TypeError, r"the object\['data'\] has the key 1: keys are texts in JSON"),
        ({"tags": {"a"}}, TypeError, "not {'a'}"),
        ({"spec": client.V1Pod}, TypeError, "must be a dict or a model's object"),
        ({"spec": Plain}, TypeError, "must be a dict or a model's object"),
        ({"n": [float("nan")]}, ValueError, r"\['n'\]\[0\] is nan, which JSON cannot say"),
        ({"at": MOMENT.replace(tzinfo=None)}, ValueError, "a time without a time zone, which Kubernetes refuses"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plain(value)


def test_an_object_is_of_the_resources_kind() -> None:
    assert document_of(CONFIGMAPS, client.V1ConfigMap(data={"k": "v"})) == {"data": {"k": "v"}}
    assert document_of(CONFIGMAPS, client.V1ObjectMeta(name="x")) == {"name": "x"}
    with pytest.raises(TypeError, match=r"a V1Secret is no ConfigMap: its resource is 'secrets\.v1'"):
        document_of(CONFIGMAPS, client.V1Secret())
    wrong: tuple[Any, ...] = ("c", None, [{}])
    for value in wrong:
        with pytest.raises(TypeError, match="a ConfigMap is a dict or a model's object, not"):
            document_of(CONFIGMAPS, value)


def test_nulls_are_left_out_on_every_level() -> None:
    document = {"a": None, "b": {"c": None, "d": 1}, "e": [None, {"f": None}]}
    assert without_nulls(document) == {"b": {"d": 1}, "e": [None, {}]}
