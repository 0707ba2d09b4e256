"""Sets of fields, and how managedFields write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.testing.apiserver.fieldsets import (
    FieldSet,
    Path,
    field_element,
    key_element,
    path_text,
    value_element,
)

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
PATHS = st.lists(ELEMENTS, min_size=1, max_size=3).map(tuple)
SETS = st.lists(PATHS, max_size=8).map(lambda paths: FieldSet.of(*paths))


def test_elements_and_their_texts() -> None:
    """As in managedFields, and as in messages."""
    item = key_element({"port": 80, "name": "x"})
    path = (field_element("spec"), field_element("a.b"), item, value_element("y"), value_element(3))

    assert item == 'k:{"name":"x","port":80}'
    assert path_text(path) == '.spec.a.b[name="x",port=80][="y"][=3]'
    assert path_text(()) == ""


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        ({}, []),
        ({"f:a": {}}, [("f:a",)]),
        ({"f:a": {"f:b": {}}}, [("f:a", "f:b")]),
        ({"f:a": {".": {}, "f:b": {}}}, [("f:a",), ("f:a", "f:b")]),
        ({'k:{"name":"x"}': {".": {}, 'v:"y"': {}}}, [('k:{"name":"x"}',), ('k:{"name":"x"}', 'v:"y"')]),
    ],
)
def test_fields_v1(document: dict[str, Any], paths: list[Path]) -> None:
    fields = FieldSet.from_json(document)

    assert list(fields.paths()) == paths
    assert fields == FieldSet.of(*paths)
    assert fields.to_json() == document
    assert bool(fields) is bool(paths)


def test_what_cannot_be_read_is_left_out() -> None:
    assert FieldSet.from_json({"x:a": {}, "f:a": 1, "f:b": {"i:0": {}}}) == FieldSet.of(("f:b",))


def test_a_field_does_not_stand_for_those_below() -> None:
    """But where it is taken away recursively."""
    fields = FieldSet.of(("f:a",), ("f:a", "f:b"), ("f:c", "f:d"))

    assert ("f:a",) in fields
    assert ("f:c",) not in fields
    assert ("f:c", "f:x") not in fields
    assert ("f:x", "f:y", "f:z") not in fields
    assert fields - FieldSet.of(("f:a",)) == FieldSet.of(("f:a", "f:b"), ("f:c", "f:d"))
    assert fields.without(FieldSet.of(("f:a",), ("f:c", "f:d"))) == FieldSet()
    assert fields.without(FieldSet.of(("f:a", "f:b"))) == FieldSet.of(("f:a",), ("f:c", "f:d"))
    assert fields.only("f:a") == FieldSet.of(("f:a",), ("f:a", "f:b"))
    assert fields.only("f:c") == FieldSet.of(("f:c", "f:d"))
    assert fields.below("f:a") == FieldSet.of(("f:b",))
    assert repr(fields) == "<FieldSet .a .a.b .c.d>"
    assert fields != 3


def test_a_field_may_be_added_with_those_below_it() -> None:
    fields = FieldSet()
    fields.add(("f:a", "f:b"), FieldSet.of(("f:c",)))
    fields.add((), FieldSet())

    assert fields == FieldSet.of(("f:a", "f:b"), ("f:a", "f:b", "f:c"))


@given(SETS, SETS)
def test_they_are_sets_of_paths(one: FieldSet, two: FieldSet) -> None:
    """With union, intersection and difference, and without empty branches."""
    left, right = set(one.paths()), set(two.paths())

    assert set((one | two).paths()) == left | right
    assert set((one & two).paths()) == left & right
    assert set((one - two).paths()) == left - right
    assert all(path in one for path in left)
    for result in (one | two, one & two, one - two):
        assert FieldSet.from_json(result.to_json()) == result == FieldSet.of(*result.paths())
    assert FieldSet.of(*left) == one


@given(SETS, SETS)
def test_operations_change_nothing(one: FieldSet, two: FieldSet) -> None:
    before = one.to_json(), two.to_json()
    for _ in (one | two, one & two, one - two, one.without(two)):
        pass
    assert (one.to_json(), two.to_json()) == before
