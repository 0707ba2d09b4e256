"""What is known of an object without decoding it, whatever the cache keeps of it."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_asyncio import client

from aioinformers import Metadata, drop_fields, strip_managed_fields
from aioinformers.errors import InvalidPathError
from aioinformers.objects.facts import FieldSet, leading_bytes_transform
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import compacted, object_type_of
from aioinformers.objects.transforms import TransformChain

OBJECT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web", "namespace": "prod", "uid": "u", "resourceVersion": "1", "generation": 1,
        "labels": {"app": "web"}, "managedFields": [{"manager": "a"}],
    },
    "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "i:1"}]},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "lastProbeTime": "10:00"}]},
}  # fmt: skip


class Spec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""


class Pod(msgspec.Struct, frozen=True):
    spec: Spec


def changed(path: str, value: object) -> dict[str, Any]:
    """Return another version of the object."""
    obj = copy.deepcopy(OBJECT)
    *before, last = path.split(".")
    place: Any = obj
    for step in before:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    obj["metadata"]["resourceVersion"] = "2"
    return obj


def print_of(fields: FieldSet, obj: object, *, has_spec: bool = True) -> bytes:
    read = fields.reader(leading_bytes_transform(()), has_spec=has_spec)
    printed: bytes = read(json.dumps(obj, separators=(",", ":")).encode())
    return printed


def value_of(entry: Entry) -> Any:
    """Return the value of the entry's only fact."""
    (_, value) = entry.facts
    return value


STATUS = FieldSet(ignore=["status"])
IMAGES = FieldSet(only=["spec.containers[].image"])


@pytest.mark.parametrize(
    ("fields", "path", "value", "matters"),
    [
        (STATUS, "status.phase", "Failed", False),
        (STATUS, "metadata.managedFields", [], False),
        (STATUS, "metadata.generation", 7, False),
        (STATUS, "metadata.resourceVersion", "9", False),
        (STATUS, "metadata.labels", {}, True),
        (STATUS, "metadata.deletionTimestamp", "now", True),
        (STATUS, "spec.nodeName", "n2", True),
        (IMAGES, "spec.containers.1.image", "i:2", True),
        (IMAGES, "spec.containers.1.name", "c", False),
        (IMAGES, "spec.containers", [], True),
        (IMAGES, "status", {}, False),
        (IMAGES, "metadata.labels", {}, False),
        (FieldSet(only=["spec"], ignore=["spec.nodeName"]), "spec.nodeName", "n2", False),
        (FieldSet(only=["spec"], ignore=["spec.nodeName"]), "spec.containers", [], True),
        (FieldSet(ignore=["status.conditions[].lastProbeTime"]), "status.conditions.0.lastProbeTime", "11:00", False),
        (FieldSet(ignore=["status.conditions[].lastProbeTime"]), "status.conditions.0.type", "Other", True),
        (FieldSet(ignore=["metadata.annotations"]), "metadata.annotations", {"a": "b"}, False),
    ],
)
def test_a_fingerprint_changes_with_what_matters_and_with_nothing_else(
    fields: FieldSet, path: str, value: object, *, matters: bool
) -> None:
    before, after = print_of(fields, OBJECT), print_of(fields, changed(path, value))
    assert (before != after) is matters
    assert len(before) == 16


def test_of_metadata_alone_the_generation_stands_for_the_spec() -> None:
    """It is all that there is; without one every new version is another."""

    def printed(obj: dict[str, Any]) -> bytes:
        return print_of(STATUS, {"metadata": obj["metadata"]}, has_spec=False)

    same = changed("status.phase", "Failed")
    assert printed(OBJECT) == printed(same)
    assert printed(OBJECT) != printed(changed("metadata.generation", 2))
    del (bare := copy.deepcopy(OBJECT))["metadata"]["generation"], same["metadata"]["generation"]
    assert printed(bare) != printed(same)


@given(st.permutations(["status", "metadata.annotations", "spec.nodeName"]), st.integers(0, 3))
def test_equal_sets_are_one(paths: list[str], count: int) -> None:
    one, other = FieldSet(ignore=paths + paths[:count]), FieldSet(ignore=reversed(paths))
    assert one == other
    assert hash(one) == hash(other)
    assert one != FieldSet(only=paths)
    assert FieldSet(ignore=["status"]) != "status"
    assert repr(FieldSet(["spec"], ["status"])) == "only=['spec'], ignore=['status']"


@pytest.mark.parametrize(
    ("only", "ignore"),
    [
        (["metadata.generation"], []),
        (["metadata.resourceVersion"], []),
        (["spec", "metadata.managedFields"], []),
        (["metadata.managedFields[].manager"], []),
        (["spec"], ["spec"]),
        (["spec.nodeName"], ["spec"]),
    ],
)
def test_a_field_that_never_counts_cannot_be_the_only_one(only: list[str], ignore: list[str]) -> None:
    """Nobody would ever be told anything."""
    with pytest.raises(InvalidPathError, match="of this field alone is told nothing"):
        FieldSet(only, ignore)


def test_what_a_list_leaves_out_is_no_change() -> None:
    """The items of a list have no kind and no apiVersion."""
    item = {name: value for name, value in OBJECT.items() if name not in ("kind", "apiVersion")}
    assert print_of(STATUS, item) == print_of(STATUS, OBJECT)


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ({"grid": [[], [{"a": 1}]]}, {"grid": [[{}, {"a": 1}]]}, "grid[][].note"),
        ({"grid": [[], 1]}, {"grid": [[1]]}, "grid[].note"),
        ({"grid": []}, {}, "grid[].note"),
        ({"spec": {"a\0b": 1, "c": 2}}, {"spec": {"a": 1, "b\0c": 2}}, "spec.note"),
        ({"spec": {"a": {}}}, {"spec": {}, "a": {}}, "spec.note"),
    ],
)
def test_different_objects_have_different_fingerprints(one: object, other: object, path: str) -> None:
    fields = FieldSet(ignore=[path])
    assert print_of(fields, one) != print_of(fields, other)


def test_what_the_informers_own_transform_drops_never_changes() -> None:
    layout: Layout[Any] = Layout(object_type_of(dict), [drop_fields("status")])
    with pytest.raises(InvalidPathError, match="the informer's transform drops it"):
        layout.with_fact(FieldSet(only=["status.phase"]))
    layout.with_fact(FieldSet(only=["spec"], ignore=["status"]))


def test_of_metadata_the_fields_that_are_named_count_alone() -> None:
    labels = FieldSet(only=["metadata.labels"])
    bare = {"metadata": {"name": "a", "resourceVersion": "1", "labels": {"a": "b"}}}
    again = {"metadata": {"name": "a", "resourceVersion": "2", "labels": {"a": "b"}}}
    assert print_of(labels, bare, has_spec=False) == print_of(labels, again, has_spec=False)


def test_a_text_that_is_no_path_is_refused() -> None:
    with pytest.raises(InvalidPathError):
        FieldSet(ignore=["spec..nodeName"])


@pytest.mark.parametrize("python_type", [dict, client.V1Pod, Pod, Metadata])
@pytest.mark.parametrize("form", ["usual", "shared", "compact"])
def test_every_object_type_has_facts(python_type: Any, form: str) -> None:
    """Also where the bytes are dropped or packed."""
    object_type = object_type_of(python_type, shared=form == "shared")
    if form == "compact":
        if not object_type.keeps_bytes:
            return
        object_type = compacted(object_type)
    layout: Layout[Any] = Layout(object_type).with_fact(STATUS)
    assert not layout.is_plain
    assert layout.arrives_as is None
    first, same, other = (
        entry_of(layout, obj)
        for obj in (OBJECT, changed("status.phase", "Failed"), changed("metadata.labels", {"app": "x"}))
    )
    assert value_of(first) == value_of(same) != value_of(other)


def entry_of(layout: Layout[Any], obj: object) -> Entry:
    raw = json.dumps(obj, separators=(",", ":")).encode()
    return layout.entry(raw, layout.reader.read_raw(raw))


def test_facts_are_read_after_built_in_transforms_and_before_functions() -> None:
    def forget(obj: dict[str, Any]) -> dict[str, Any]:
        return {"metadata": obj["metadata"]}

    everything = FieldSet(ignore=["metadata.annotations"])
    layout: Layout[Any] = Layout(object_type_of(dict), [drop_fields("status"), forget]).with_fact(everything)
    facts = [
        value_of(entry_of(layout, obj))
        for obj in (OBJECT, changed("status.phase", "x"), changed("spec.nodeName", "n2"))
    ]  # fmt: skip
    assert facts[0] == facts[1] != facts[2]


def test_stages_before_the_first_function_are_one_transform() -> None:
    stages = TransformChain([strip_managed_fields, drop_fields("status"), dict, drop_fields("spec")]).stages
    assert {str(path) for path in leading_bytes_transform(stages).paths} == {"metadata.managedFields", "status"}
    assert leading_bytes_transform([dict]).paths == ()


def test_what_is_asked_for_is_read_until_nobody_asks_any_more() -> None:
    layout: Layout[Any] = Layout(object_type_of(dict)).with_fact(STATUS)
    more = layout.with_fact(IMAGES).with_indexers({"node": "spec.nodeName"})
    assert more.facts == (STATUS, IMAGES)
    assert more.with_fact(FieldSet(ignore=["status"])) is more
    assert more.without_index("node").facts == more.facts
    less = more.without_fact(STATUS)
    assert less.facts == (IMAGES,)
    assert less.fact_of(STATUS, entry_of(less, OBJECT)) is None
    assert less.without_fact(IMAGES).is_plain


@pytest.mark.parametrize("compact", [True, False])
def test_what_is_stored_already_is_read_of_the_kept_bytes(*, compact: bool) -> None:
    object_type = object_type_of(dict)
    known: Layout[Any] = Layout(compacted(object_type) if compact else object_type)
    layout = known.with_fact(STATUS)
    before = entry_of(known, OBJECT)
    assert len(before.facts) == 0
    read = layout.fact_of(STATUS, before)
    assert read == layout.fact_of(STATUS, entry_of(layout, OBJECT))
    assert value_of(before) == read, "kept for the next time"


def test_of_what_a_function_has_changed_nothing_is_said() -> None:
    """The kept bytes are not those that arrived: the object counts as changed once."""
    known: Layout[Any] = Layout(object_type_of(dict), [lambda obj: obj])
    assert known.with_fact(STATUS).fact_of(STATUS, entry_of(known, OBJECT)) is None


def test_fields_that_metadata_do_not_have_are_refused() -> None:
    layout: Layout[Any] = Layout(object_type_of(Metadata))
    with pytest.raises(InvalidPathError, match="Metadata has the metadata alone"):
        layout.with_fact(FieldSet(only=["spec.nodeName"]))
