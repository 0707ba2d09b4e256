"""What is left of an object without some members is told without decoding it, and never wrongly."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers.objects.cuts import Cuts, outermost
from aioinformers.objects.facts import FieldSet
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.objects.paths import PathReader, parse_path
from aioinformers.objects.transforms import BytesTransform, drop_fields

NAMES = ("status", "generation", "resourceVersion", "managedFields", "a", 'b"status', "x,")
NEVER = ("metadata.resourceVersion", "metadata.managedFields", "metadata.generation")
leaves = st.sampled_from([1, 12, "1", "12", '","status":1}', "", None, True, [], {}, [1], {"status": 1}])
values = st.recursive(
    leaves, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=3) | st.lists(inner, max_size=2)
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Objects whose members come in any order, and have the same names in many places."""
    members: dict[str, Any] = draw(st.dictionaries(st.sampled_from(NAMES), values, max_size=4))
    metadata: dict[str, Any] = draw(st.dictionaries(st.sampled_from(NAMES), values, max_size=4))
    metadata["name"] = "n"
    if "resourceVersion" in metadata:
        metadata["resourceVersion"] = draw(st.sampled_from(["1", "12", ""]))
    whole = members | {"metadata": metadata} | draw(st.sampled_from([{}, {"kind": "K", "apiVersion": "v1"}]))
    order = draw(st.permutations(sorted(whole)))
    return {name: whole[name] for name in order}


def raw_of(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def left(document: dict[str, Any], ignored: tuple[str, ...]) -> Any:
    """Return what counts of an object; the order of members is text, too."""
    rest = drop_fields(*ignored, *NEVER)(document)
    return json.dumps({name: value for name, value in rest.items() if name not in ("kind", "apiVersion")})


IGNORED = [("status",), ("status", "status.a"), ("a", "metadata.a"), ("a.status", "metadata.a.generation")]


@settings(max_examples=500, deadline=None)
@given(st.lists(documents(), min_size=1, max_size=4), st.sampled_from(IGNORED), st.data())
def test_two_objects_look_the_same_only_if_what_counts_is_the_same(
    objects: list[dict[str, Any]], ignored: tuple[str, ...], data: st.DataObject
) -> None:
    """And whether the values are given, or are still to be read, is the same."""
    twin = json.loads(json.dumps(objects[0]))
    for path in (*ignored, *NEVER):  # what does not count, changed or gone
        steps = path.split(".")
        at: Any = twin
        for step in steps[:-1]:
            at = at.get(step) if isinstance(at, dict) else None
        if isinstance(at, dict) and steps[-1] in at:
            at[steps[-1]] = data.draw(values if steps[-1] != "resourceVersion" else st.sampled_from(["7", "8"]))
    fields = FieldSet(ignore=ignored)
    read = fields.reader(BytesTransform(), has_spec=True)
    members = PathReader((), parts=read.wanted)
    prints = []
    for each in (*objects, twin):
        raw = raw_of(each)
        known = members.read(msgspec.json.decode(raw, type=members.projection))[3][1:] if _is_usual(each) else None
        prints.append(read(raw, known))
        assert prints[-1] == read(raw)
    for one, printed in zip((*objects, twin), prints, strict=True):
        for other, printed_too in zip((*objects, twin), prints, strict=True):
            if printed == printed_too:
                assert left(one, ignored) == left(other, ignored)


def _is_usual(document: dict[str, Any]) -> bool:
    return isinstance(document.get("a"), dict | None) and isinstance(document["metadata"].get("a"), dict | None)


POD: dict[str, Any] = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {
        "name": "n", "resourceVersion": "1", "generation": 3, "labels": {"generation": "3"},
        "managedFields": [{"fieldsV1": {"f:status": {}}}],
    },
    "spec": {"readinessGates": []},
    "status": {"conditions": [{"status": "True"}]},
}  # fmt: skip


def rest_of(document: object, *paths: str) -> bytes | None:
    cut = outermost(map(parse_path, paths))
    assert cut is not None
    members = PathReader((), parts=cut)
    raw = raw_of(document)
    read = members.read(msgspec.json.decode(raw, type=members.projection))[3][1:]
    return Cuts(cut).remainder(raw, read)


def test_what_is_left_is_the_text_without_the_members() -> None:
    rest = rest_of(POD, "status", *NEVER)
    assert rest == b'"metadata":{"name":"n","labels":{"generation":"3"}},"spec":{"readinessGates":[]}}'
    item = {name: value for name, value in POD.items() if name not in ("kind", "apiVersion", "status")}
    assert rest_of(item, "status", *NEVER) == rest, "as of an item of a list, and before there is a status"


@pytest.mark.parametrize("members", [["a", "b"], ["b", "a"], ["a", "c", "b"], ["c", "a", "b"], ["a", "b", "c"]])
def test_a_comma_goes_with_each_member(members: list[str]) -> None:
    document = {"metadata": {"name": "n", "labels": {name: name for name in members}}}
    kept = {name: name for name in members if name == "c"}
    assert rest_of(document, "metadata.labels.a", "metadata.labels.b") == raw_of(
        {"metadata": {"name": "n", "labels": kept}}
    ).removeprefix(b"{")


@pytest.mark.parametrize(
    "document",
    [
        {"metadata": {"name": "n"}, "spec": {"status": 1}, "status": 1, "other": 2},
        {"spec": {"generation": 1}, "metadata": {"name": "n", "generation": 1}},
        {"metadata": {"labels": {"generation": 1}, "name": "n", "generation": 1}},
        {"metadata": {"labels": {}, "name": "n", "generation": 1}, "spec": {"generation": 2}},
    ],
)
def test_a_place_that_is_not_certain_is_no_place(document: dict[str, Any]) -> None:
    assert rest_of(document, "status", *NEVER) is None


def test_written_with_spaces_it_is_decoded() -> None:
    raw = json.dumps(POD).encode()
    fields = FieldSet(ignore=["status"])
    read = fields.reader(BytesTransform(), has_spec=True)
    changed = json.dumps(POD | {"status": {}}).encode()
    assert read(raw) == read(changed) != read(json.dumps(POD | {"spec": {}}).encode())


def test_elements_of_lists_are_not_cut_out() -> None:
    assert outermost([parse_path("status.conditions[].type")]) is None
    assert outermost(map(parse_path, ["a.b.c", "a.b", "d", "d"])) == (parse_path("d"), parse_path("a.b"))


@pytest.mark.parametrize("index", [{}, {"node": "spec.nodeName"}, {"phase": "status.phase"}, {"kind": "kind"}])
def test_the_pass_that_reads_the_indexes_gives_the_members_unless_an_index_leads_into_them(
    index: dict[str, str],
) -> None:
    layout: Layout[Any] = Layout(object_type_of(dict), indexers=index)
    layout = layout.with_fact(FieldSet(ignore=["status"])).with_fact(FieldSet(ignore=["status", "spec.replicas"]))
    assert bool(layout.reader.parts) is ("phase" not in index)
    raw = raw_of(POD | {"spec": {"nodeName": "n1"}})
    quick = layout.entry(raw, layout.reader.read(msgspec.json.decode(raw, type=layout.reader.projection)))
    slow = layout.entry(raw, layout.reader.read_raw(raw))
    assert quick == slow
    assert len(quick.index) == 1 + len(index)
