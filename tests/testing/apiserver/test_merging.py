"""Fields, differences, merges and removals by a schema."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.testing.apiserver.fieldsets import FieldSet, path_text
from aioinformers.testing.apiserver.merging import Comparison, check, compare, fields_in, merge, named, nulls_in, remove
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.schemas import ANYTHING, Shape, shape_of
from aioinformers.types import GroupVersionResource
from tests.conformance.gadgets import SCHEMA

SHAPE = shape_of(
    Resource(gvr=GroupVersionResource("example.com", "v1", "gadgets"), kind="Gadget", custom=True, schema=SCHEMA)
).at("spec")

TEXTS = st.sampled_from(["a", "b", "c"])
LISTS = st.lists(TEXTS, max_size=3, unique=True)
MAPS = st.dictionaries(TEXTS, TEXTS, max_size=3)
STRUCTS = st.dictionaries(st.sampled_from(["a", "b"]), TEXTS, max_size=2)
ITEMS = st.lists(st.sampled_from([("a", 1), ("a", 2), ("b", 1)]), max_size=3, unique=True).flatmap(
    lambda keys: st.tuples(
        *(
            st.fixed_dictionaries(
                {"name": st.just(name), "port": st.just(port)}, optional={"value": TEXTS, "tags": LISTS}
            )
            for name, port in keys
        )
    ).map(list)
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXTS, "struct": STRUCTS, "map": MAPS, "structs": st.dictionaries(TEXTS, STRUCTS, max_size=2),
        "whole": MAPS, "list": LISTS, "set": LISTS, "items": ITEMS,
        "free": st.dictionaries(TEXTS, MAPS | TEXTS | LISTS, max_size=3),
    },
)  # fmt: skip


def texts(fields: FieldSet) -> set[str]:
    return {path_text(path) for path in fields.paths()}


def of(*paths: str) -> FieldSet:
    """Return the set of paths, whose elements are separated by spaces; those without a kind are fields."""
    elements = ([each if each[:2] in ("k:", "v:") else f"f:{each}" for each in path.split(" ")] for path in paths)
    return FieldSet.of(*map(tuple, elements))


ITEM = 'k:{"name":"i","port":1}'
NO_KEYS = (
    'associative list with keys has an element that omits all key fields ["name" "port"] '
    "(and doesn't have default values for any key fields)"
)


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"text": "t", "number": None}, {".text", ".number"}),
        ({"struct": {"a": "1"}, "map": {"k": "v"}}, {".struct.a", ".map.k"}),
        ({"structs": {"s": {"b": "2"}}}, {".structs.s", ".structs.s.b"}),
        ({"whole": {"w": "1"}, "list": ["l"]}, {".whole", ".list"}),
        ({"set": ["s", "t"]}, {'.set[="s"]', '.set[="t"]'}),
        ({"set": ["s", "s"]}, {'.set[="s"]'}),
        ({"items": [{"name": "i", "port": 1, "tags": ["x"]}]}, {
            '.items[name="i",port=1]', '.items[name="i",port=1].name', '.items[name="i",port=1].port',
            '.items[name="i",port=1].tags[="x"]',
        }),
        ({"items": [{"name": "i", "port": 1}, {"name": "i", "port": 1}]}, {'.items[name="i",port=1]'}),
        ({"free": {"f": {"g": [1]}}, "unknown": {"x": 1}}, {".free.f", ".free.f.g", ".unknown"}),
        ({"struct": {}, "map": None, "set": [], "items": None}, {".struct", ".map", ".items"}),
        ({"map": "no map", "set": "no list"}, {".map", ".set"}),
    ],
)  # fmt: skip
def test_the_fields_of_an_object(spec: dict[str, Any], fields: set[str]) -> None:
    assert texts(fields_in(SHAPE, spec)) == fields


def test_fields_that_lead_to_others() -> None:
    """Those of types are named, keys of maps and items are not."""
    fields = of("struct a", "map k", f"items {ITEM} tags v:1", "free f g")

    assert texts(named(SHAPE, fields) - fields) == {
        ".struct",
        ".map",
        ".items",
        '.items[name="i",port=1].tags',
        ".free",
    }


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        ({"text": "t"}, {"text": "t"}, set(), set(), set()),
        ({"text": "t", "number": 1}, {"text": "u", "list": []}, {".list"}, {".text"}, {".number"}),
        ({}, {"map": {"k": "v"}}, {".map", ".map.k"}, set(), set()),
        ({"map": {"k": "v"}}, {"map": {}}, set(), set(), {".map.k"}),
        ({"map": {"k": "v"}}, {}, set(), set(), {".map", ".map.k"}),
        ({"map": {}}, {"map": None}, set(), {".map"}, set()),
        ({}, {"map": {}}, {".map"}, set(), set()),
        ({"map": {}}, {}, set(), set(), {".map"}),
        ({"list": ["a"]}, {"list": ["a", "b"]}, set(), {".list"}, set()),
        ({"set": ["a", "b"]}, {"set": ["b", "c"]}, {'.set[="c"]'}, set(), {'.set[="a"]'}),
        ({"free": {"f": {"g": 1}}}, {"free": {"f": 1}}, set(), {".free.f"}, {".free.f.g"}),
        ({"free": {"f": 1}}, {"free": {"f": {"g": 1}}}, {".free.f.g"}, {".free.f"}, set()),
        ({"items": []}, {"items": [{"name": "i", "port": 1}]}, {
            '.items[name="i",port=1]', '.items[name="i",port=1].name', '.items[name="i",port=1].port',
        }, set(), set()),
        ({"set": ["a", "a"]}, {"set": ["a"]}, {'.set[="a"]'}, set(), {'.set[="a"]'}),
        ({"set": ["a"]}, {"set": ["a", "a"]}, {'.set[="a"]'}, set(), {'.set[="a"]'}),
        ({"set": ["a", "a"]}, {"set": ["a", "a"]}, set(), set(), set()),
        ({"set": ["a", "a"]}, {"set": ["a", "a", "a"]}, set(), {'.set[="a"]'}, set()),
        ({"items": [{"value": "lost"}]}, {"items": [None]}, set(), set(), set()),
    ],
)  # fmt: skip
def test_differences(old: Any, new: Any, added: set[str], modified: set[str], removed: set[str]) -> None:
    found = compare(SHAPE, old, new)

    assert (texts(found.added), texts(found.modified), texts(found.removed)) == (added, modified, removed)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"text": "t", "number": 1}, {"text": "u"}, {"text": "u", "number": 1}),
        ({"map": {"a": "1", "b": "2"}}, {"map": {"b": "3", "c": "4"}}, {"map": {"a": "1", "b": "3", "c": "4"}}),
        ({"map": {"a": "1"}}, {"map": None}, {"map": {"a": "1"}}),
        ({"map": {}}, {"map": None}, {"map": None}),
        ({"whole": {"a": "1"}}, {"whole": {"b": "2"}}, {"whole": {"b": "2"}}),
        ({"list": ["a"]}, {"list": ["b"]}, {"list": ["b"]}),
        ({"set": ["a", "b", "c"]}, {"set": ["x", "b"]}, {"set": ["a", "x", "b", "c"]}),
        ({"set": ["a", "b"]}, {"set": ["b", "a"]}, {"set": ["b", "a"]}),
        ({"set": ["a", "b"]}, {"set": []}, {"set": ["a", "b"]}),
        ({"set": ["a", "a"]}, {"set": ["a"]}, {"set": ["a"]}),
        ({"free": {"f": 1}}, {"free": {"f": {"g": 1}}}, {"free": {"f": {"g": 1}}}),
        ({"free": {"f": {"g": 1}}}, {"free": {"f": 1}}, {"free": {"f": 1}}),
        (
            {"items": [{"name": "i", "port": 1, "value": "v"}, {"name": "j", "port": 1}]},
            {"items": [{"name": "j", "port": 1, "value": "w"}, {"name": "k", "port": 1}]},
            {
                "items": [
                    {"name": "i", "port": 1, "value": "v"},
                    {"name": "j", "port": 1, "value": "w"},
                    {"name": "k", "port": 1},
                ]
            },
        ),
        ({}, {}, {}),
    ],
)
def test_merges(old: Any, new: Any, expected: Any) -> None:
    assert merge(SHAPE, old, new) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            of("text", "struct a", f"items {ITEM}", "list"),
            {"struct": {"b": "2"}, "set": ["a"], "items": None},
        ),
        (
            of("text", "struct", "set", f"items {ITEM} port", "list x"),
            {"items": [{"name": "i"}], "list": [1]},
        ),
        (
            of("text", "struct a", "struct b", 'set v:"a"', f"items {ITEM}", "list"),
            {"struct": None, "set": None, "items": None},
        ),
    ],
)  # fmt: skip
def test_removals(fields: FieldSet, expected: Any) -> None:
    """What is left of a part without anything is null, as in kube-apiserver."""
    spec = {
        "text": "t", "struct": {"a": "1", "b": "2"}, "set": ["a"], "items": [{"name": "i", "port": 1}], "list": [1],
    }  # fmt: skip
    assert remove(SHAPE, spec, fields) == expected


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ({"text": "t", "set": ["a"], "map": None, "free": {"x": 3}}, []),
        ({"free": 3}, [".free: expected map, got &{3}"]),
        ({"set": ["a", "a"]}, ['.set: duplicate entries for key [="a"]']),
        ({"set": [{}]}, [".set: element 0: associative list without keys has an element that's a map type"]),
        ({"set": ["a", []]}, [".set: element 1: not supported: associative list with lists as elements"]),
        ({"set": [None]}, [".set: element 0: associative list without keys has an element that's an explicit null"]),
        ({"items": [None]}, [".items: element 0: associative list with keys may not have a null element"]),
        ({"items": [1]}, [".items: element 0: associative list with keys may not have non-map elements"]),
        (
            {"items": [{"value": "v"}]},
            [f".items: element 0: {NO_KEYS}"],
        ),
        ({"map": "x", "items": {"a": 1}}, [".map: expected map, got &{x}", '.items: expected list, got &{{"a":1}}']),
        (
            {"items": [{"name": "i", "port": 1, "tags": ["x", "x"]}]},
            ['.items[name="i",port=1].tags: duplicate entries for key [="x"]'],
        ),
    ],
)
def test_what_cannot_be_applied(spec: dict[str, Any], problems: list[str]) -> None:
    assert check(SHAPE, spec) == problems


def test_nulls_that_no_schema_allows() -> None:
    spec = {
        "text": None, "struct": None, "set": None, "structs": {"s": None}, "free": {"f": None}, "other": None,
        "items": [{"name": "i", "port": 1, "tags": None}], "list": None,
    }  # fmt: skip
    assert nulls_in(SHAPE, spec, "spec") == [
        ("spec.struct", "object"),
        ("spec.set", "array"),
        ("spec.structs.s", "object"),
        ("spec.items[0].tags", "array"),
        ("spec.list", "array"),
    ]
    assert nulls_in(ANYTHING, spec) == []
    assert nulls_in(SHAPE, {"struct": {"a": None}}) == []


def test_keys_have_defaults() -> None:
    ports: Shape = shape_of(Resource(gvr=GroupVersionResource("", "v1", "services"), kind="Service")).at("spec")
    fields = fields_in(ports, {"ports": [{"port": 80}, {"port": 80, "protocol": "UDP"}]})
    assert '.ports[port=80,protocol="TCP"].port' in texts(fields)
    assert '.ports[port=80,protocol="UDP"].protocol' in texts(fields)


# -- laws ----------------------------------------------------------------------------------------------------


def leaves(fields: FieldSet) -> set[str]:
    """Return the fields that nothing is below, and that are no empty objects in others."""
    known = texts(fields)
    return {path for path in known if path.count(".") < 2 or not any(each.startswith(f"{path}.") for each in known)}


def is_empty(found: Comparison) -> bool:
    return not (found.added or found.modified or found.removed)


@given(SPECS, SPECS)
def test_a_merge_has_all_fields_of_both_and_the_values_of_the_new_one(old: Any, new: Any) -> None:
    before = copy.deepcopy((old, new))
    merged = merge(SHAPE, old, new)

    assert (old, new) == before
    assert is_empty(compare(SHAPE, merged, merge(SHAPE, merged, new)))
    assert not compare(SHAPE, merged, new).modified
    there = fields_in(SHAPE, merged)
    assert leaves(fields_in(SHAPE, new)) - {f".{name}" for name, value in new.items() if value == {}} <= texts(there)
    gone = texts(compare(SHAPE, old, merged).removed)
    assert all(path.startswith(".free.") for path in gone), "only where a leaf has taken the place of an object"


@given(SPECS, SPECS)
def test_a_comparison_of_an_object_with_itself_is_empty_and_the_other_way_round_is_the_reverse(
    old: Any, new: Any
) -> None:
    there, back = compare(SHAPE, old, new), compare(SHAPE, new, old)

    assert is_empty(compare(SHAPE, old, copy.deepcopy(old)))
    assert (there.added, there.modified, there.removed) == (back.removed, back.modified, back.added)


@given(SPECS)
def test_all_fields_are_removed_by_their_set(spec: Any) -> None:
    left = remove(SHAPE, spec, named(SHAPE, fields_in(SHAPE, spec)))
    assert set(left or ()) <= {"set", "items"}, "lists without items are nobody's"
    assert not any((left or {}).values())


@given(st.recursive(st.integers(0, 2), lambda inner: st.dictionaries(TEXTS, inner, max_size=2), max_leaves=5))
def test_without_a_schema_every_field_is_in_the_set(document: Any) -> None:
    wrapped = {"doc": document}
    fields = fields_in(ANYTHING, wrapped)

    def count(value: Any) -> int:
        return 1 + sum(map(count, value.values())) if isinstance(value, dict) else 1

    assert len(list(fields.paths())) == count(document)
