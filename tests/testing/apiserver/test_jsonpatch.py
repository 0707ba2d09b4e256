"""JSON patches: what RFC 6902 says, and where kube-apiserver's library does otherwise."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.testing.apiserver.jsonpatch import apply_json_patch, is_same, read_json_patch
from aioinformers.testing.apiserver.status import StatusError

NAMES = st.sampled_from(["a", "b/c", "d~e", ""])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def patched(document: Any, *operations: dict[str, Any]) -> Any:
    return apply_json_patch(copy.deepcopy(document), read_json_patch(json.dumps(operations).encode()))


def step(op: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **{name.rstrip("_"): value for name, value in more.items()}}


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({"a": 1}, [step("add", "/b", value=2)], {"a": 1, "b": 2}),
        ({"a": 1}, [step("add", "/a", value=2)], {"a": 2}),
        ({"a": [1, 3]}, [step("add", "/a/1", value=2)], {"a": [1, 2, 3]}),
        ({"a": [1]}, [step("add", "/a/-", value=2)], {"a": [1, 2]}),
        ({"a": [1]}, [step("add", "/a/1", value=2)], {"a": [1, 2]}),
        ({"a": [1, 2]}, [step("add", "/a/-1", value=3)], {"a": [1, 2, 3]}),
        ({"a": [1]}, [step("add", "/a/-2", value=3)], {"a": [3, 1]}),
        ({"a": 1, "b": 2}, [step("remove", "/a")], {"b": 2}),
        ({"a": [1, 2, 3]}, [step("remove", "/a/1")], {"a": [1, 3]}),
        ({"a": [1, 2, 3]}, [step("remove", "/a/-1")], {"a": [1, 2]}),
        ({"a": 1}, [step("replace", "/a", value={"b": 1})], {"a": {"b": 1}}),
        ({}, [step("replace", "/a", value=1)], {"a": 1}),
        ({"a": [1]}, [step("replace", "/a/0", value=2)], {"a": [2]}),
        ({"a": 1}, [step("replace", "", value={"b": 1})], {"b": 1}),
        ({"a": {"b": 1}}, [step("move", "/c", from_="/a/b")], {"a": {}, "c": 1}),
        ({"a": [1, 2]}, [step("move", "/a/1", from_="/a/0")], {"a": [2, 1]}),
        ({"a": {"b": 1}}, [step("copy", "/c", from_="/a")], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a": 1}, [step("copy", "/c", from_="/b")], {"a": 1, "c": None}),
        ({"a/b": 1, "c~d": 2}, [step("remove", "/a~1b"), step("test", "/c~0d", value=2)], {"c~d": 2}),
        ({"~1": 1}, [step("test", "/~01", value=1)], {"~1": 1}),
        ({"a": {"b": [1]}}, [step("test", "/a", value={"b": [1]})], {"a": {"b": [1]}}),
        ({}, [step("test", "/a", value=None)], {}),
        ({}, [step("test", "/a")], {}),
        ({"a": 1}, [step("test", "", value={"a": 1})], {"a": 1}),
        ({"a": 1}, [step("test", "whatever/a", value=1)], {"a": 1}),
        ({"": 1}, [step("test", "/", value=1)], {"": 1}),
        ({"a": 1}, [], {"a": 1}),
    ],
)
def test_what_steps_do(document: Any, operations: list[dict[str, Any]], expected: Any) -> None:
    assert patched(document, *operations) == expected


@pytest.mark.parametrize(
    "operation",
    [
        step("remove", "/x"),
        step("remove", "/list/3"),
        step("remove", "/list/-"),
        step("remove", ""),
        step("add", "/x/y", value=1),
        step("add", "/number/y", value=1),
        step("add", "/number/y/z", value=1),
        step("add", "/list/4", value=1),
        step("add", "/list/-5", value=1),
        step("add", "/list/x", value=1),
        step("add", "x", value=1),
        step("replace", "/list/3", value=1),
        step("replace", "", value=1),
        step("move", "/y", from_="/x"),
        step("move", "/y"),
        step("copy", "/y", from_="/x/y"),
        step("copy", "/x/y", from_="/number"),
        step("test", "/number", value=2),
        step("test", "/number", value="1"),
        step("test", "/number", value=True),
        step("test", "/number"),
        step("test", "/number", value=None),
        step("test", "/x", value=0),
        step("test", "", value={}),
        step("increase", "/number"),
        {"path": "/number"},
        {"op": "remove"},
    ],
)
def test_steps_that_cannot_be_done(operation: dict[str, Any]) -> None:
    """422, and the server does not say why."""
    with pytest.raises(StatusError) as caught:
        patched({"number": 1, "list": [1, 2, 3]}, operation)

    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.message == "the server rejected our request due to an error in our request"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{bad", "invalid JSON patch"),
        (b'{"op":"add"}', "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (b"null", "cannot unmarshal null into Go value"),
        (b'["add"]', "cannot unmarshal string into Go value of type handlers.jsonPatchOp"),
        (b'[{"op":1}]', "cannot unmarshal number into Go struct field jsonPatchOp.op of type string"),
        (b'[{"op":"add","path":["a"]}]', "cannot unmarshal array into Go struct field jsonPatchOp.path"),
    ],
)
def test_bodies_that_are_no_patch(body: bytes, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        read_json_patch(body)

    assert caught.value.code == 400
    assert words in caught.value.message


def test_patches_have_an_end() -> None:
    with pytest.raises(StatusError, match="maximum operations in a JSON patch is 10000, got 10001") as caught:
        read_json_patch(json.dumps([step("test", "/a")] * 10_001).encode())
    assert caught.value.code == 413


def test_numbers_are_compared_as_they_are_written() -> None:
    assert is_same({"a": [1, "1", None]}, {"a": [1, "1", None]})
    for one, other in ((1, 1.0), (1, True), ({"a": 1}, {"a": 1, "b": 2}), ([1], [1, 1]), ({}, [])):
        assert not is_same(one, other)


@given(DOCUMENTS, DOCUMENTS, NAMES)
def test_what_is_added_is_there_and_can_be_removed(document: Any, value: Any, name: str) -> None:
    """A step and the one that undoes it leave a document as it was."""
    path = "/doc/" + name.replace("~", "~0").replace("/", "~1")
    before = {"doc": {} if not isinstance(document, dict) else document}
    there = {"doc": {key: each for key, each in before["doc"].items() if key != name}}
    added = patched(there, step("add", path, value=value), step("test", path, value=value))

    assert is_same(added["doc"][name], value)
    assert is_same(patched(added, step("remove", path)), there)
    moved = patched(added, step("move", "/else", from_=path), step("test", "/else", value=value))
    assert is_same(patched(moved, step("move", path, from_="/else")), added)


@given(DOCUMENTS)
def test_a_whole_document_can_be_tested_and_replaced(document: Any) -> None:
    wrapped = {"doc": document}

    assert is_same(patched({}, step("replace", "", value=wrapped), step("test", "", value=wrapped)), wrapped)
