"""Who owns which field after updates and applies."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from aioinformers.testing.apiserver.fieldsets import FieldSet, path_text
from aioinformers.testing.apiserver.merging import fields_in
from aioinformers.testing.apiserver.ownership import Writer, apply, is_tracked, is_unchanged, set_owners, updated
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.types import GroupVersionResource
from tests.conformance.gadgets import SCHEMA
from tests.testing.apiserver.test_merging import SPECS

GADGETS = Resource(
    gvr=GroupVersionResource("example.com", "v1", "gadgets"), kind="Gadget", status=True, custom=True, schema=SCHEMA
)
STATUS = {"type": "object", "properties": {"phase": {"type": "string"}}}


def writer(manager: str, *, time: str = "2026-01-01T00:00:00Z", **more: Any) -> Writer:
    return Writer(resource=GADGETS, manager=manager, time=time, **more)


def gadget(spec: Any = None, *, owners: Any = None, **fields: Any) -> dict[str, Any]:
    metadata = {"name": "x"} | ({"managedFields": owners} if owners else {})
    made = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": metadata}
    return made | ({} if spec is None else {"spec": spec}) | fields


def applied(manager: str, live: Any, spec: Any, *, force: bool = False, **more: Any) -> dict[str, Any]:
    obj, owners = apply(writer(manager, **more), live, gadget(spec), force=force)
    return with_owners(obj, owners)


def patched(manager: str, live: Any, spec: Any, **more: Any) -> dict[str, Any]:
    new = {**live, "spec": spec}
    return with_owners(new, updated(writer(manager, **more), live, new))


def with_owners(obj: dict[str, Any], owners: Any) -> dict[str, Any]:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata | ({"managedFields": owners} if owners else {})}


def owned(obj: dict[str, Any]) -> dict[str, set[str]]:
    found = {}
    for entry in obj["metadata"].get("managedFields", ()):
        name = "/".join(filter(None, (entry["manager"], entry["operation"], entry.get("subresource"))))
        found[name] = {path_text(path) for path in FieldSet.from_json(entry["fieldsV1"]).paths()}
    return found


def test_an_apply_owns_what_it_sets() -> None:
    obj = applied("me", None, {"text": "t", "set": ["a"]})

    assert obj["spec"] == {"text": "t", "set": ["a"]}
    assert obj["metadata"]["managedFields"] == [
        {
            "manager": "me",
            "operation": "Apply",
            "apiVersion": "example.com/v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:text": {}, "f:set": {'v:"a"': {}}}},
        }
    ]


def test_times_are_those_of_changes() -> None:
    """An apply that changes nothing in the object has none of its own."""
    obj = applied("me", None, {"text": "t"})
    again = applied("me", obj, {"text": "t"}, time="2026-01-02T00:00:00Z")
    assert again == obj
    shared = applied("you", obj, {"text": "t"}, time="2026-01-02T00:00:00Z")
    assert [entry.get("time") for entry in shared["metadata"]["managedFields"]] == [None, "2026-01-01T00:00:00Z"]
    changed = applied("me", obj, {"text": "u"}, time="2026-01-03T00:00:00Z")
    assert [entry["time"] for entry in changed["metadata"]["managedFields"]] == ["2026-01-03T00:00:00Z"]
    later = patched("you", changed, {"text": "v"}, time="2026-01-04T00:00:00Z")
    assert is_unchanged(later, patched("you", later, {"text": "v"}, time="2026-01-05T00:00:00Z"))
    assert not is_unchanged(obj, later)
    assert is_unchanged(gadget(), gadget())


def test_owners_are_those_of_the_last_write() -> None:
    """Unless the write sets others by itself."""
    obj, bare = applied("me", None, {"text": "t"}), gadget({"text": "u"})
    assert is_tracked(obj, bare)
    assert is_tracked(obj, obj)
    assert not is_tracked(bare, obj)
    assert not is_tracked(obj, gadget(owners=[{"manager": "x"}]))
    metadata = bare["metadata"]
    set_owners(bare, obj["metadata"]["managedFields"])
    assert owned(bare) == {"me/Apply": {".spec.text"}}
    assert "managedFields" not in metadata
    set_owners(bare, None)
    assert owned(bare) == {}


def test_what_is_left_out_is_removed_unless_it_is_shared() -> None:
    obj = applied("one", None, {"text": "t", "map": {"a": "1", "b": "2"}, "set": ["a", "b"]})
    obj = applied("two", obj, {"text": "t", "set": ["b", "c"]})
    obj = applied("one", obj, {"map": {"b": "2"}})

    assert obj["spec"] == {"text": "t", "map": {"b": "2"}, "set": ["b", "c"]}
    assert owned(obj) == {
        "one/Apply": {".spec.map.b"},
        "two/Apply": {".spec.text", '.spec.set[="b"]', '.spec.set[="c"]'},
    }
    assert owned(applied("one", obj, None)) == {"two/Apply": {".spec.text", '.spec.set[="b"]', '.spec.set[="c"]'}}


def test_conflicts() -> None:
    obj = patched("two", applied("one", None, {"text": "t", "list": ["a"]}), {"text": "t", "list": ["b"], "number": 1})
    with pytest.raises(StatusError) as caught:
        applied("three", obj, {"text": "u", "list": ["c"]})

    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    causes: Any = caught.value.details
    assert causes["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.text"},
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "two" using example.com/v1',
            "field": ".spec.list",
        },
    ]
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.text\n'
        'conflicts with "two" using example.com/v1:\n- .spec.list'
    )
    forced = applied("three", obj, {"text": "u", "list": ["c"]}, force=True)
    assert owned(forced) == {"three/Apply": {".spec.text", ".spec.list"}, "two/Update": {".spec.number"}}


def test_updates_take_what_they_change() -> None:
    obj = applied("one", None, {"text": "t", "number": 1, "map": {"a": "1"}})
    obj = patched("two", obj, {"text": "u", "number": 1, "struct": {"a": "1"}})

    assert owned(obj) == {
        "one/Apply": {".spec.number"},
        "two/Update": {".spec.text", ".spec.struct", ".spec.struct.a"},
    }
    same = patched("three", obj, obj["spec"])
    assert same == obj
    more = patched("two", obj, {**obj["spec"], "list": ["l"]})
    assert owned(more)["two/Update"] == {".spec.text", ".spec.struct", ".spec.struct.a", ".spec.list"}


def test_who_has_no_owners_gets_none_by_an_update() -> None:
    assert updated(writer("me"), gadget({"text": "t"}), gadget({"text": "u"})) is None
    made = updated(writer("me"), None, gadget({"text": "t"}))
    assert owned(gadget(owners=made)) == {"me/Update": {".spec", ".spec.text"}}


@pytest.mark.parametrize(
    ("given_", "names"),
    [
        ([], {}),
        ([{}], {}),
        (None, {"one/Apply", "me/Update"}),
        (
            [{"manager": "x", "operation": "Other", "apiVersion": "v1", "fieldsType": "FieldsV1"}],
            {"one/Apply", "me/Update"},
        ),
        ([{"manager": "x", "operation": "Apply", "fieldsType": "FieldsV1"}], {"one/Apply", "me/Update"}),
        (
            [
                {
                    "manager": "x",
                    "operation": "Apply",
                    "apiVersion": "example.com/v1",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {"f:number": {}}},
                }
            ],
            {"x/Apply", "me/Update"},
        ),
    ],
)
def test_an_update_may_set_the_owners_itself(given_: Any, names: set[str]) -> None:
    """Unless they cannot be read."""
    live = applied("one", None, {"number": 1, "text": "t"})
    new = copy.deepcopy(live) | {"spec": {"number": 1, "text": "u"}}
    if given_ is None:
        del new["metadata"]["managedFields"]
    else:
        new["metadata"]["managedFields"] = given_
    owners = updated(writer("me"), live, new)

    assert set(owned(gadget(owners=owners))) == set(names)
    if names == {"x/Apply", "me/Update"}:
        kept = updated(writer("me", subresource="status", rest=False), live, new)
        assert set(owned(gadget(owners=kept))) == {"one/Apply"}


def test_before_the_first_apply_everything_was_somebodys() -> None:
    obj = applied("me", gadget({"text": "t", "number": 1}), {"text": "t"})

    assert owned(obj) == {
        "before-first-apply/Update": {".spec", ".spec.text", ".spec.number"},
        "me/Apply": {".spec.text"},
    }
    with pytest.raises(StatusError, match='conflict with "before-first-apply" using example'):
        applied("me", gadget({"text": "t"}), {"text": "u"})


def test_each_part_has_its_owners() -> None:
    """A write to the status owns nothing else, and the other way round."""
    obj = gadget({"text": "t"}, status={"phase": "x"})
    whole, main = writer("me"), writer("me", status=False)
    status = writer("me", rest=False, subresource="status")

    found = [owned(gadget(owners=updated(each, None, obj))) for each in (whole, main, status)]
    assert found == [
        {"me/Update": {".spec", ".spec.text", ".status", ".status.phase"}},
        {"me/Update": {".spec", ".spec.text"}},
        {"me/Update/status": {".status", ".status.phase"}},
    ]
    made, owners = apply(status, gadget({"text": "u"}), obj, force=True)
    assert made["status"] == {"phase": "x"}
    assert owned(gadget(owners=owners))["me/Apply/status"] == {".status.phase"}


def test_the_oldest_updates_are_put_together() -> None:
    obj = applied("me", None, {"text": "t"})
    for number in range(13):
        spec = {**obj["spec"], "map": {**obj["spec"].get("map", {}), f"k{number}": "v"}}
        obj = patched(f"m{number:02}", obj, spec, time=f"2026-01-01T00:00:{number:02}Z")
    names = owned(obj)

    assert len([name for name in names if name.endswith("/Update")]) == 10
    assert names["ancient-changes/Update"] == {".spec.map", *(f".spec.map.k{number}" for number in range(4))}
    assert obj["metadata"]["managedFields"][1]["manager"] == "ancient-changes"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"set": ["a", "a"]}, '.spec.set: duplicate entries for key [="a"]'),
        ({"set": ["a", "a"], "items": [1]}, "errors:\n  "),
    ],
)
def test_what_cannot_be_applied(spec: Any, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        applied("me", None, spec)
    assert (caught.value.code, caught.value.reason) == (500, "")
    assert "failed to create typed patch object (/x; example.com/v1, Kind=Gadget): " in caught.value.message
    assert words in caught.value.message


def test_a_part_that_is_owned_cannot_lose_its_last_field() -> None:
    """As on kube-apiserver, whose library leaves null in its place, which the schema does not allow."""
    live = applied("me", None, {"map": {"k": "v"}, "text": "t"})
    with pytest.raises(StatusError) as caught:
        applied("me", live, {"map": {}, "text": "t"})
    assert caught.value.message == (
        'Gadget.example.com "x" is invalid: spec.map: Invalid value: "null": '
        'spec.map in body must be of type object: "null"'
    )
    config = gadget({"map": None}, status={"conditions": None})
    for part, field_ in ((writer("me", status=False), "spec.map"), (writer("me", rest=False), "status.conditions")):
        with pytest.raises(StatusError, match=f"is invalid: {field_}: Invalid value"):
            apply(part, None, config, force=True)


def test_nobody_is_called_unknown() -> None:
    made = updated(writer(""), None, gadget({"text": "t"}))
    assert set(owned(gadget(owners=made))) == {"unknown/Update"}


# -- laws ----------------------------------------------------------------------------------------------------


def leaves(obj: dict[str, Any]) -> set[str]:
    return {path_text(path) for path in fields_in(writer("me").shape, {"spec": obj.get("spec", {})}).paths()}


def forced(manager: str, live: Any, spec: Any) -> dict[str, Any]:
    """Return what a forced apply makes of an object, where it is possible."""
    try:
        return applied(manager, live, spec, force=True)
    except StatusError as error:
        assert error.code == 422, "a part that is owned has lost its last field"
        reject()


@given(SPECS, SPECS, st.booleans())
def test_applying_twice_changes_nothing(first: Any, second: Any, force: bool) -> None:
    """Whoever else owns what, and it is all there."""
    live = applied("one", None, first)
    try:
        once = applied("two", live, second, force=force)
    except StatusError as error:
        assert error.code == 422 or not force
        return
    assert applied("two", once, second) == once
    assert forced("two", live, second) == once


@given(SPECS, SPECS)
def test_appliers_own_exactly_what_they_set(first: Any, second: Any) -> None:
    """And with force, nobody else owns what changed."""
    live = applied("one", None, first)
    obj = forced("two", live, second)
    mine, theirs = owned(obj).get("two/Apply", set()), owned(obj).get("one/Apply", set())

    assert mine == {path_text(path) for path in fields_in(writer("me").shape, gadget(second)).paths()} - {
        ".apiVersion", ".kind", ".metadata.name",
    }  # fmt: skip
    assert theirs <= owned(live).get("one/Apply", set())
    assert leaves(obj) <= mine | theirs | {".spec"} | {f".spec.{name}" for name in ("struct", "map", "structs", "free")}


@given(SPECS, SPECS)
def test_updates_share_no_field(first: Any, second: Any) -> None:
    """What an update changes belongs to it alone, and every field to one at most."""
    live = applied("one", None, first)
    obj = patched("two", live, second)
    mine, theirs = owned(obj).get("two/Update", set()), owned(obj).get("one/Apply", set())

    assert not mine & theirs
    top = {path.split(".")[2].partition("[")[0] for path in mine | theirs if path.count(".") > 1}
    assert top <= set(second)
    last = forced("one", obj, first)
    assert applied("one", last, first) == last
