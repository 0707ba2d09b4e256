"""Strategic merge patches: what they do by the schema, and with what they refuse the rest."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.testing.apiserver.documents import merge_patch
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resources
from aioinformers.testing.apiserver.schemas import shape_of
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.strategic import strategic_merge

RESOURCES = Resources(DEFAULT_RESOURCES)
PODS, DEPLOYMENTS, BUDGETS = (shape_of(RESOURCES.resolve(name)) for name in ("pods", "deployments", "pdb"))
SPEC = PODS.at("spec")
A, B, C = ({"name": name, "image": "1"} for name in "abc")


def of(*items: Any) -> dict[str, Any]:
    return {"containers": list(items)}


def merged(there: dict[str, Any], patch: dict[str, Any]) -> Any:
    return strategic_merge(copy.deepcopy(there), patch, SPEC)


@pytest.mark.parametrize(
    ("there", "patch", "expected"),
    [
        (of(A, B), of({"name": "b", "image": "2"}), of(A, {"name": "b", "image": "2"})),
        (of(A), of(C), of(C, A)),
        (of(A, B), of({"name": "b", "image": "2"}, C), of(A, {"name": "b", "image": "2"}, C)),
        (of(A, B), of({"name": "b", "image": None}), of(A, {"name": "b"})),
        (of(A, B), of({"name": "a", "$patch": "delete"}), of(B)),
        (of(A, B), of({"name": "x", "$patch": "delete"}), of(A, B)),
        (of(A, B), of({"$patch": "replace"}, C), of(C)),
        (of(A, B), of({"$patch": "replace"}), of()),
        (of(A, B), of({"name": "b", "$patch": "replace", "x": 1}, C), of(C)),
        ({}, of({**A, "env": None}, {"name": "b", "$patch": "delete"}), of(A)),
        ({"x": {"y": 1}}, {"x": {"$patch": "replace", "z": 2}}, {"x": {"z": 2}}),
        ({"x": {"y": 1}}, {"x": {"$patch": "delete"}}, {}),
        ({"x": {"y": 1}}, {"x": {"y": None}}, {}),
        ({"x": {"y": {"z": 1}}}, {"x": {"y": None}}, {"x": {}}),
        ({"x": {}}, {"x": {}}, {"x": {}}),
        ({"dnsConfig": {"y": 1}}, {"dnsConfig": {"$patch": "delete"}}, {"dnsConfig": {}}),
        ({}, {"x": {"$patch": "replace", "z": 2}}, {}),
        ({"x": {"y": 1}, "z": 1}, {"$patch": "replace", "x": {"y": 2}}, {"x": {"y": 2}}),
        ({"args": [1, 2]}, {"args": [3]}, {"args": [3]}),
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"b": "2"}}, {"nodeSelector": {"a": "1", "b": "2"}}),
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"a": None, "b": {"c": None}}, {"b": {"d": 2}}),
        ({"a": 1}, {"a": "x", "b": {"c": None}}, {"a": "x"}),
        ({}, {"b": {}, "dnsConfig": {"c": None}}, {"b": {}, "dnsConfig": {}}),
        ({"a": {"b": 1}}, {"a": [{"c": None}]}, {"a": [{}]}),
        (
            {"x": {"a": 1, "b": 2, "c": 3}},
            {"x": {"$retainKeys": ["a", "d"], "a": 9, "b": None, "d": 4}},
            {"x": {"a": 9, "d": 4}},
        ),
        (of(A, B, C), {"$setElementOrder/containers": [{"name": n} for n in "cab"]}, of(C, A, B)),
        (of(A, B, C), {"$setElementOrder/containers": [{"name": n} for n in "ba"]}, of(B, A, C)),
        (
            of(A, B),
            {"$setElementOrder/containers": [{"name": n} for n in "bca"], **of({"name": "b", "image": "2"}, C)},
            of({"name": "b", "image": "2"}, C, A),
        ),
        ({}, {"$setElementOrder/containers": [{"name": "a"}], **of(A)}, of(A)),
        ({}, {"$setElementOrder/containers": [{"name": "a"}]}, {}),
        (
            of(A, B),
            {"$setElementOrder/containers": [{"name": "b"}], **of({"name": "a", "$patch": "delete"})},
            of(B),
        ),
    ],
)
def test_what_patches_do(there: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy(patch)
    assert merged(there, patch) == expected
    assert patch == before


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"finalizers": ["c", "a"]}, ["c", "a", "b"]),
        ({"$deleteFromPrimitiveList/finalizers": ["a", "x"]}, ["b"]),
        ({"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["d"]}, ["d", "b"]),
        ({"$deleteFromPrimitiveList/others": ["a"]}, ["a", "b"]),
        ({"$deleteFromPrimitiveList/finalizers": ["a", "b"]}, None),
        ({"$setElementOrder/finalizers": ["b", "a"]}, ["b", "a"]),
        (
            {
                "$setElementOrder/finalizers": ["c", "b"],
                "$deleteFromPrimitiveList/finalizers": ["a"],
                "finalizers": ["c"],
            },
            ["c", "b"],
        ),
    ],
)
def test_lists_of_texts(patch: dict[str, Any], expected: list[str] | None) -> None:
    assert strategic_merge({"finalizers": ["a", "b"]}, patch, PODS.at("metadata")).get("finalizers") == expected


def test_the_schema_reaches_into_lists_and_decides_about_objects() -> None:
    env = [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}]
    there = {"spec": {"template": {"spec": of({**A, "env": env, "args": ["x"]})}}}
    patch = {"spec": {"template": {"spec": of({"name": "a", "env": [{"name": "Y", "value": "2"}], "args": []})}}}
    (container,) = strategic_merge(there, patch, DEPLOYMENTS)["spec"]["template"]["spec"]["containers"]
    assert container == {**A, "env": [env[0], {"name": "Y", "value": "2"}], "args": []}

    selector = {"spec": {"selector": {"matchLabels": {"a": "1"}}, "maxUnavailable": 1}}
    replaced = strategic_merge(selector, {"spec": {"selector": {"matchLabels": {"b": "2"}}}}, BUDGETS)
    assert replaced == {"spec": {"selector": {"matchLabels": {"b": "2"}}, "maxUnavailable": 1}}


@pytest.mark.parametrize(
    ("patch", "code", "words"),
    [
        ({"$patch": "merge"}, 500, "unknown patch type: merge in map: map[$patch:merge]"),
        (of({"name": "a", "$patch": "merge"}), 500, "merging lists cannot yet be specified in the patch"),
        (
            of({"name": "a", "$patch": "x"}),
            500,
            "unknown patch type: x in map: map[$patch:x name:a]",
        ),
        (of({"image": "2"}), 500, "map: map[image:2] does not contain declared merge key: name"),
        (of({"$patch": "delete"}), 500, "does not contain declared merge key: name"),
        (of("a"), 500, "list element types are not identical: [[map[image:1 name:a]] [a]]"),
        ({"$retainKeys": "x"}, 400, "invalid patch format of retainKeys"),
        ({"$retainKeys": ["x"], "y": 1}, 400, "invalid patch format of retainKeys"),
        ({"$deleteFromPrimitiveList": ["x"]}, 400, "invalid patch format of primitive list"),
        ({"$setElementOrder": ["x"]}, 400, "invalid patch format of setElementOrder list"),
        ({"$setElementOrder/containers": True}, 500, "expected a []interface {}, but received a bool"),
        ({"$setElementOrder/volumes": [], "volumes": []}, 500, "no elements in any of the given slices"),
        (of({"$patch": True, "name": None}), 500, "unknown patch type: true in map: map[$patch:true name:<nil>]"),
        (
            {"$setElementOrder/containers": [{"name": "x"}], **of(B)},
            500,
            "The order in patch list:\n[map[image:1 name:b]]\n doesn't match $setElementOrder list:\n[map[name:x]]\n",
        ),
        (
            {"$setElementOrder/containers": [{"name": "a"}], **of(A, {"$patch": "replace"})},
            500,
            "The order in patch list:",
        ),
        ({"$setElementOrder/containers": ["a"], **of(A)}, 500, "expected a map[string]interface {}, but received a"),
    ],
)
def test_patches_that_cannot_be_applied(patch: dict[str, Any], code: int, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        merged(of(A), patch)
    assert caught.value.code == code
    assert words in caught.value.message


def test_lists_of_lists_are_not_merged() -> None:
    objects = {"finalizers": [{"a": 1}]}
    with pytest.raises(StatusError, match="500 : cannot merge lists without merge key"):
        strategic_merge(objects, objects, PODS.at("metadata"))
    with pytest.raises(StatusError, match="422 Invalid: the server rejected our request"):
        strategic_merge({"finalizers": [["a"]]}, {"finalizers": [["b"]]}, PODS.at("metadata"))


NAMES = st.sampled_from("abcd")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
CONTAINERS = st.lists(NAMES, unique=True, max_size=4).map(
    lambda names: [{"name": name, "image": "1"} for name in names]
)


def without_empty(value: Any) -> Any:
    """Return what Go writes of maps."""
    if not isinstance(value, dict):
        return value
    kept = {name: without_empty(each) for name, each in value.items()}
    return {name: each for name, each in kept.items() if each != {}}


@given(st.dictionaries(NAMES, PLAIN, max_size=3), st.dictionaries(NAMES, PLAIN, max_size=3))
def test_without_lists_it_is_a_merge_patch(there: dict[str, Any], patch: dict[str, Any]) -> None:
    there = merge_patch({}, there)  # objects have no nulls
    assert without_empty(strategic_merge(there, patch, SPEC)) == without_empty(merge_patch(there, patch))


@given(CONTAINERS, CONTAINERS)
def test_a_merged_list_has_each_item_once_and_a_second_time_changes_nothing(
    there: list[dict[str, Any]], given_: list[dict[str, Any]]
) -> None:
    result = merged(of(*there), of(*given_))["containers"]
    names = [each["name"] for each in result]

    assert sorted(names) == sorted({each["name"] for each in [*there, *given_]})
    ours = [each["name"] for each in given_]
    assert [name for name in names if name in ours] == ours
    theirs = [each["name"] for each in there if each["name"] not in ours]
    assert [name for name in names if name not in ours] == theirs
    assert merged(of(*result), of(*given_))["containers"] == result
