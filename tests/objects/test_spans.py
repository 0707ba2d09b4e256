"""Status and spec are found at the end of an object without a scan of the rest, or not at all: never wrongly."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kubernetes_asyncio import client

from aioinformers.objects.levels import Scanned
from aioinformers.objects.models import model_decoder
from aioinformers.objects.spans import Spans

POD = (
    b'{"kind":"Pod","metadata":{"name":"a","managedFields":[{"fieldsV1":{"f:spec":{},"f:status":{}}}]},'
    b'"spec":{"nodeName":"n1","containers":[]},"status":{"phase":"Running"}}'
)


class Level(msgspec.Struct):
    """A level that says what it was made of."""

    content: Any
    raw: Any = None


class Decoding:
    """Decodes any JSON object, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, json: Any) -> Level:
        self.count += 1
        return Level(msgspec.json.decode(json, type=dict))


def spans_of(decode: Decoding) -> Spans:
    return Spans({"_spec": lambda: decode, "_status": lambda: decode})


def found(raw: bytes, slot: str, spans: Spans | None = None) -> Any:
    level = (spans or spans_of(Decoding())).level(Scanned(raw), slot)
    return None if level is None else level.content


def test_the_last_two_parts_are_found() -> None:
    scanned, decode = Scanned(POD), Decoding()
    spans = spans_of(decode)
    spec = spans.level(scanned, "_spec")
    assert spec.content == {"nodeName": "n1", "containers": []}
    assert bytes(spec.raw) == b'{"nodeName":"n1","containers":[]}'
    assert scanned.part("_spec") is spec
    assert scanned.part("_status") is not None, "it has been proven on the way"
    assert spans.level(scanned, "_status") is scanned.part("_status")
    assert scanned.part("_status").content == {"phase": "Running"}
    assert decode.count == 2


@pytest.mark.parametrize(
    "raw",
    [
        b'{"status":{"a":1}}',  # the first member
        b'{"metadata":{},"status":{"a":1},"x":1}',  # not the last
        b'{"metadata":{},"x":{"y":1,"status":{"a":1}}}',  # another's
        b'{"metadata":{}, "status":{"a":1}}',
        b'{"metadata":{},"status":null}',
        b'{"metadata":{},"status":{"a":1,"status":{}}}',  # the last one is inside
        b'{"metadata":{"a":",\\"status\\":{}}"}}',  # in a text
        b'{"metadata":{"a":",status"}}',
        b"{}",
        b"[]",
    ],
)
def test_a_status_that_is_not_proven_is_none(raw: bytes) -> None:
    assert found(raw, "_status") is None
    assert found(raw, "_spec") is None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"spec":{"a":1},"status":{}}',
        b'{"metadata":{},"spec":{"a":1},"x":1,"status":{}}',
        b'{"metadata":{},"x":{"y":1,"spec":{"a":1}},"status":{}}',
        b'{"metadata":{},"spec":null,"status":{}}',
        b'{"metadata":{},"x":",\\"spec\\":{}","status":{}}',
    ],
)
def test_a_spec_that_is_not_proven_is_none(raw: bytes) -> None:
    assert found(raw, "_status") == {}
    assert found(raw, "_spec") is None


def test_a_spec_with_others_inside_is_found_from_the_front_from_then_on() -> None:
    """As that of a Deployment; one that has others before it is found from the back."""
    decode = Decoding()
    spans = spans_of(decode)
    deployment = b'{"metadata":{},"spec":{"a":1,"template":{"b":2,"spec":{"c":3}}},"status":{}}'
    odd = b'{"metadata":{"x":{"y":1,"spec":{}}},"spec":{"a":1},"status":{}}'
    for raw, tries in [(deployment, 3), (deployment, 2), (deployment, 2), (odd, 3), (odd, 2), (POD, 2)]:
        before = decode.count
        assert found(raw, "_spec", spans) == msgspec.json.decode(raw)["spec"]
        assert decode.count - before == tries


def test_whoever_writes_otherwise_is_not_searched_for_ever() -> None:
    decode = Decoding()
    spans = spans_of(decode)
    other = b'{"status":{"a":1},"x":{"y":1,"status":{"a":1}}}'
    for _ in range(7):
        assert found(other, "_status", spans) is None
    assert found(POD, "_status", spans) == {"phase": "Running"}, "one that is found begins the count anew"
    for _ in range(20):
        assert found(other, "_status", spans) is None
    assert decode.count == 7 + 1 + 8
    tries = [found(POD, "_status", spans) is not None for _ in range(300)]
    assert not any(tries[:200])
    assert all(tries[-40:]), "but now and then, and it may be another server by then"


def test_a_kind_without_a_status_has_nothing_to_find() -> None:
    spans = Spans({"_spec": lambda: Decoding()})
    assert found(POD, "_spec", spans) is None


class Pairs(list[Any]):
    """Members of an object, of which some may have one name."""


names = st.sampled_from(["spec", "status", "phase", "nodeName", 'x,"status', "metadata", "a"])
values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([1, None, True, "Running", ',"status":{}', '"', "}", "{", {}, []]),
    lambda inner: st.lists(st.tuples(names, inner), max_size=4).map(Pairs) | st.lists(inner, max_size=2),
    max_leaves=12,
)


def text_of(value: Any) -> str:
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(name)}:{text_of(inner)}" for name, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return json.dumps(value, separators=(",", ":"))


@settings(max_examples=500, deadline=None)
@example([("metadata", Pairs()), ("spec", Pairs([("nodeName", "a")])), ("status", Pairs()), ("spec", Pairs())])
@given(st.lists(st.tuples(names, values), max_size=6))
def test_what_is_found_is_what_a_scan_of_the_whole_would_have_given(members: list[tuple[str, Any]]) -> None:
    """Of documents with the same names everywhere, also twice in one object."""
    raw = text_of(Pairs(members)).encode()
    whole = msgspec.json.decode(raw)
    for slot in ("_status", "_spec"):
        part = found(raw, slot)
        assert part is None or part == whole[slot[1:]]
    decode = model_decoder(client.V1Pod)
    first, other = decode(raw), decode(raw)
    _ = other.metadata  # a scan of the whole
    for name in ("spec", "status", "spec"):
        assert getattr(first, name) == getattr(other, name)
