"""Two readers of one thing agree: an object is the same whichever way it comes in, and whatever is odd about it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal
from unittest import mock

import msgspec
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kubernetes_asyncio import client

from aioinformers import Metadata
from aioinformers.listwatch.listing import ListDecoder
from aioinformers.listwatch.wire import ObjectDecoder, WatchDecoder
from aioinformers.objects.deltas import REJECT, Batch
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.objects.paths import parse_path

LIMIT = 1 << 20

# -- types of users -----------------------------------------------------------------------------------------------


class Defaults(msgspec.Struct, frozen=True, rename="camel"):
    """Says of an object without an identity that it has one."""

    name: str = "nobody"
    namespace: str = "default"
    uid: str = "x"
    resource_version: str = "1"


class Defaulting(msgspec.Struct, frozen=True):
    metadata: Defaults = Defaults()


class Local(msgspec.Struct, frozen=True):
    name: str
    namespace: str = "default"


class Located(msgspec.Struct, frozen=True):
    metadata: Local


class Uid(msgspec.Struct, frozen=True):
    id: str | None = msgspec.field(name="uid", default="none")


class Renamed(msgspec.Struct, frozen=True):
    """Calls everything something else."""

    meta: Uid | None = msgspec.field(name="metadata", default=None)
    what: str = msgspec.field(name="kind", default="thing")
    where: Where | None = msgspec.field(name="spec", default=None)


class Where(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = "nowhere"


class Placed(msgspec.Struct, frozen=True):
    spec: Where = Where("anywhere")


class Simple(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = "thing"
    api_version: str | None = None
    spec: Where | None = None


class Strict(msgspec.Struct, frozen=True, rename="camel"):
    """Accepts only what says what it is."""

    kind: str
    api_version: Literal["v1"] = "v1"
    spec: Where | None = None


class Tagged(msgspec.Struct, frozen=True, tag="Pod", tag_field="kind"):
    spec: Where = Where()


class Thawed(msgspec.Struct):
    metadata: dict[str, Any]
    spec: Any = None


class Either(msgspec.Struct, frozen=True):
    metadata: Local | str
    spec: Where | list[str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Class:
    metadata: Local
    kind: str = "thing"


@dataclasses.dataclass
class ThawedClass:
    metadata: dict[str, Any]
    spec: Where | None = None


class Model(pydantic.BaseModel, frozen=True):
    kind: str = "thing"
    metadata: dict[str, Any]
    where: dict[str, Any] | None = pydantic.Field(default=None, alias="spec")


STRUCTS = [Defaulting, Located, Renamed, Placed, Simple, Strict, Tagged, Thawed, Either, Class, ThawedClass]
TYPES = [dict, client.V1Pod, Metadata, *STRUCTS, Model]

PATHS: list[tuple[str, ...]] = [
    (),
    ("spec.nodeName",),
    ("spec.containers[].image", "metadata.labels.app"),
    ("kind", "apiVersion", "spec"),
    ("metadata.namespace", "metadata.uid", "metadata.name"),
    ("spec.nodeName", "spec.nodeName.deeper", "spec.containers[]"),
    ("metadata.managedFields[].manager", "metadata.annotations.note"),
]

# -- documents, as text: what is written twice, and in which order, is lost in a dict --------------------------------


texts = st.sampled_from(['"n1"', '""', '"web"', r'"\u0061"', '"é"', '"nowhere"', '"prod"', '"Pod"', '"v1"'])
odd = texts | st.sampled_from(
    ["null", "5", "-0.5", "1e999", "true", "[]", '["a",null,1,["b",{"c":1}]]', '{"a":"b"}', "9" * 400]
)


@st.composite
def changed(draw: st.DrawFn, usual: dict[str, str], values: Mapping[str, st.SearchStrategy[str]] | None = None) -> str:
    """Make an object of usual members, in any order, some of them odd, absent, new, or written twice."""
    members = list(usual.items())
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from([*usual, *(values or {})]))
        value = draw((values or {}).get(name, odd) | odd)
        what = draw(st.sampled_from(["odd", "odd", "absent", "twice"]))
        if what != "twice":
            members = [member for member in members if member[0] != name]
        if what != "absent":
            members.insert(draw(st.integers(0, len(members))), (name, value))
    if draw(st.booleans()):
        members = draw(st.permutations(members))
    return "{" + ",".join(f'"{name}":{value}' for name, value in members) + "}"


LABELS = {"app": '"web"', "tier": '"db"'}
OWNER = {"name": '"o"', "uid": '"u"', "controller": "true"}
METADATA = {
    "name": '"web"', "namespace": '"prod"', "uid": '"u"', "resourceVersion": '"7"', "labels": '{"app":"web"}',
    "annotations": '{"note":"n"}', "managedFields": '[{"manager":"m"}]', "creationTimestamp": '"2026-01-02T03:04:05Z"',
}  # fmt: skip
metadata = changed(
    METADATA,
    {
        "name": st.just('"other"'),
        "namespace": st.just('"other"'),
        "labels": changed(LABELS),
        "annotations": changed({"note": '"n"'}),
        "ownerReferences": changed(OWNER).map("[{}]".format),
        "creationTimestamp": st.just('"yesterday"'),
    },
)
containers = st.lists(changed({"image": '"a:1"', "name": '"main"'}) | odd, max_size=2).map(",".join).map("[{}]".format)
spec = changed({"nodeName": '"n1"', "containers": '[{"image":"a:1"}]'}, {"containers": containers, "more": odd})
DOCUMENT = {
    "metadata": '{"name":"web","namespace":"prod","uid":"u","resourceVersion":"7","labels":{"app":"web"}}',
    "kind": '"Pod"', "apiVersion": '"v1"', "spec": '{"nodeName":"n1"}',
}  # fmt: skip
documents = changed(DOCUMENT, {"metadata": metadata, "spec": spec, "status": odd}) | metadata.map(
    lambda text: f'{{"spec":{{"nodeName":"n1"}},"metadata":{text}}}'
)

# -- readers ------------------------------------------------------------------------------------------------------


def layout_of(python_type: Any, paths: Iterable[str]) -> Layout[Any]:
    object_type = object_type_of(python_type)
    object_type.learn_kind("Pod", "v1")
    return Layout(object_type, (), {f"i{number}": path for number, path in enumerate(paths)})


def outcome(layout: Layout[Any], batches: Iterable[Batch]) -> Any:
    """Return what becomes of the one object that batches tell of."""
    found: list[Any] = []
    for batch in batches:
        found += ["unreadable"] * batch.unreadable
        for operation, key, entry in batch.deltas:
            if operation == REJECT:
                found.append(("rejected", key, entry))
            else:
                obj = layout.object_type.decode(entry.body)
                shown = obj.to_dict() if isinstance(obj, client.V1Pod) else obj
                labels = layout.object_type.labels(entry.body) if layout.object_type.shows_labels else None
                found.append((key, entry.uid, entry.version, entry.index, shown, labels))
    assert len(found) == 1
    return found[0]


def watched(layout: Layout[Any], raw: bytes) -> Any:
    return outcome(layout, WatchDecoder(layout, LIMIT).feed(b'{"type":"ADDED","object":' + raw + b"}\n"))


def watched_in_two_passes(layout: Layout[Any], raw: bytes) -> Any:
    with mock.patch("aioinformers.listwatch.wire.arrival_reader", return_value=None):
        return watched(layout, raw)


def watched_in_another_envelope(layout: Layout[Any], raw: bytes) -> Any:
    return outcome(layout, WatchDecoder(layout, LIMIT).feed(b'{"object": ' + raw + b', "type":"ADDED"}\n'))


def listed(layout: Layout[Any], raw: bytes, before: bytes = b"") -> Any:
    decoder = ListDecoder(layout, LIMIT)
    body = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":[%s]}' % raw

    def batches() -> Iterator[Batch]:
        yield from decoder.feed(body)
        yield from decoder.flush()

    found = outcome(layout, batches())
    decoder.finish()
    return found


def read_tolerantly(layout: Layout[Any], raw: bytes) -> Any:
    decoder = ObjectDecoder(layout)
    reading = decoder.tolerant_reading(raw)
    if reading is None:
        return "unreadable"
    return outcome(layout, [Batch([decoder.tolerant_delta(0, raw, reading, is_deep=False)], "", layout)])


READERS = [watched, watched_in_two_passes, watched_in_another_envelope, listed, read_tolerantly]


def check_agreement(python_type: Any, paths: Iterable[str], raw: bytes) -> Any:
    found = {reader.__name__: reader(layout_of(python_type, paths), raw) for reader in READERS}
    first = found["watched_in_two_passes"]
    assert all(each == first for each in found.values()), found
    return first


@pytest.mark.slow
@pytest.mark.parametrize("python_type", TYPES, ids=lambda each: each.__name__)
@given(document=documents, paths=st.sampled_from(PATHS))
@settings(deadline=None, max_examples=80)
@example(document='{"metadata":{"name":"n1"}}', paths=())
@example(document='{"metadata":{"name":"n1","uid":null,"resourceVersion":5}}', paths=("spec.nodeName",))
@example(document='{"metadata":{"name":"a"},"metadata":{"namespace":"b","name":"c"}}', paths=("kind",))
@example(document='{"metadata":{"name":"a"},"spec":{"nodeName":1e999}}', paths=("spec.nodeName",))
def test_g1_g11_all_readers_of_an_object_agree(python_type: Any, document: str, paths: tuple[str, ...]) -> None:
    """On key, uid, version, index values, labels and the object; or on why it cannot be read."""
    raw = document.encode()
    json.loads(document)
    first = check_agreement(python_type, paths, raw)
    layout = layout_of(python_type, ())
    if not layout.object_type.keeps_bytes or isinstance(first, str) or first[0] == "rejected":
        return
    if not all(layout.object_type.shows(parse_path(path)) for path in paths):
        return  # such an index is refused
    later = layout.with_indexers({f"i{number}": path for number, path in enumerate(paths)})
    (batch,) = WatchDecoder(layout, LIMIT).feed(b'{"type":"ADDED","object":' + raw + b"}\n")
    ((_, key, entry),) = batch.deltas
    assert isinstance(entry, Entry)
    assert later.reindexed(key, entry, layout).index == first[3], "an index that is added later has other values"


@pytest.mark.slow
@pytest.mark.parametrize("python_type", TYPES, ids=lambda each: each.__name__)
@given(text=metadata, paths=st.sampled_from(PATHS), spec=spec)
@settings(deadline=None, max_examples=40)
def test_g1_g6_an_item_of_a_list_is_the_object_of_a_watch(
    python_type: Any, text: str, paths: tuple[str, ...], spec: str
) -> None:
    """Although only the watch says of what kind it is, and perhaps in another order."""
    item = f'{{"metadata":{text},"spec":{spec}}}'
    event = f'{{"apiVersion":"v1","kind":"Pod","spec":{spec},"metadata":{text}}}'
    as_listed = listed(layout_of(python_type, paths), item.encode())
    for reader in (watched, watched_in_two_passes, watched_in_another_envelope):
        as_watched = reader(layout_of(python_type, paths), event.encode())
        if as_watched[0] == "rejected":  # of two reasons, the one that comes first is told
            as_watched, as_listed = as_watched[:2], as_listed[:2]
        assert as_watched == as_listed


@pytest.mark.parametrize("python_type", [Defaulting, Located])
def test_g1_a_default_in_the_users_class_is_not_the_objects_identity(python_type: Any) -> None:
    """A Node is in no namespace, whatever a class says."""
    key, uid, version, index, *_ = check_agreement(python_type, (), b'{"metadata":{"name":"n1"}}')
    assert (key, uid, version, index) == ("n1", "", "", ("",))


@pytest.mark.parametrize("depth", [100, 700, 900, 985, 2000])
@pytest.mark.parametrize("python_type", [dict, client.V1Pod, Metadata, Located, Thawed])
def test_g11_whether_an_object_is_too_deep_depends_on_the_object_alone(python_type: Any, depth: int) -> None:
    """Not on the reader, nor on how deep the reader's own stack is."""
    raw = b'{"metadata":{"name":"a"},"spec":%s}' % (b"[" * depth + b"]" * depth)

    def verdict(reader: Any, calls: int) -> Any:
        if calls:
            return verdict(reader, calls - 1)
        found = reader(layout_of(python_type, ()), raw)
        return found if isinstance(found, str) or found[0] == "rejected" else found[0]

    # read_tolerantly is told by its callers how deep the object was for them.
    readers = [reader for reader in READERS if reader is not read_tolerantly]
    found = {(reader.__name__, calls): verdict(reader, calls) for reader in readers for calls in (0, 100, 400)}
    assert len(set(found.values())) == 1, found
