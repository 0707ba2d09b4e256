"""Objects that are kept decoded: one pass gives what two passes give."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers import arrival
from aioinformers.arrival import ArrivalReader, arrival_reader
from aioinformers.object_types import object_type_of
from aioinformers.objects import Entry, Layout
from aioinformers.wire import WatchDecoder

OPERATIONS = {"ADDED": 0, "MODIFIED": 0, "DELETED": 1}


class Spec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""
    host: str | None = None
    replicas: int = 0


class Pod(msgspec.Struct, frozen=True):
    kind: str = "none"
    spec: Spec | None = Spec()


class Required(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str


class Strict(msgspec.Struct, frozen=True):
    spec: Required


class Changing(msgspec.Struct, frozen=True):
    kind: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "kind", self.kind.upper())


class Row(msgspec.Struct, frozen=True, array_like=True):
    kind: str = ""


class Placed(msgspec.Struct, frozen=True):
    """Says of an object without a spec what no JSON says."""

    spec: Spec = Spec(node_name="anywhere")


class Made(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(default_factory=lambda: "made")


class Sure(msgspec.Struct, frozen=True):
    spec: Required = Required("anywhere")


class Odd(msgspec.Struct, frozen=True):
    long: Annotated[str, msgspec.Meta(min_length=1)] = "x"
    either: str | int = ""
    many: tuple[str, ...] = ()
    row: Row = Row()
    changing: Changing = Changing()


def layout_of(python_type: Any, *paths: str) -> Layout[Any]:
    return Layout(object_type_of(python_type), (), {f"index-{i}": path for i, path in enumerate(paths)})


def line(document: Mapping[str, Any], kind: str = "MODIFIED") -> bytes:
    text = json.dumps({"type": kind, "object": document}, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def pod(**fields: Any) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "prod", "uid": "u-1", "resourceVersion": "7", "labels": {"app": "web"}}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata} | fields


def plain(deltas: Iterator[Any]) -> list[Any]:
    """Make deltas comparable."""
    return [
        (operation, key, (found.body, found.uid, found.version, found.index) if isinstance(found, Entry) else found)
        for operation, key, found in deltas
    ]


def decoded(layout: Layout[Any], data: bytes, **reading: Any) -> list[Any]:
    decoder = WatchDecoder(layout, 1 << 20)
    for name, value in reading.items():
        setattr(decoder, name, value)
    return plain(delta for batch in decoder.feed(data) for delta in batch.deltas)


def both_ways(layout: Layout[Any], data: bytes) -> tuple[list[Any], list[Any]]:
    with mock.patch("aioinformers.wire.arrival_reader", return_value=None):
        general = decoded(layout, data)
    return decoded(layout, data), general


TEXTS = st.sampled_from(["", "n1", "none", "é", 'quo"te', "back\\slash"])
VALUES: st.SearchStrategy[Any] = st.none() | TEXTS | st.integers(0, 2) | st.just([])
SPECS = st.none() | st.dictionaries(st.sampled_from(["nodeName", "host", "replicas", "other"]), VALUES, max_size=4)
METADATA = st.fixed_dictionaries(
    {"name": TEXTS},
    optional={"generateName": TEXTS, "namespace": st.none() | TEXTS, "uid": TEXTS, "resourceVersion": TEXTS},
)
DOCUMENTS = st.fixed_dictionaries(
    {"kind": TEXTS, "apiVersion": TEXTS, "metadata": METADATA}, optional={"spec": SPECS, "status": SPECS}
) | st.permutations(["apiVersion", "kind", "metadata", "spec"]).map(
    lambda names: {name: pod(spec={"nodeName": "n1"})[name] for name in names}
)
LAYOUTS = [
    layout_of(Pod), layout_of(Pod, "spec.nodeName"), layout_of(Pod, "spec.host", "kind", "spec.nodeName"),
    layout_of(Strict, "spec.nodeName"), layout_of(Placed, "spec.nodeName"), layout_of(Sure, "spec.nodeName"),
    layout_of(Made, "kind"), layout_of(Pod, "spec.replicas"), layout_of(Pod, "metadata.labels.app"),
]  # fmt: skip


@given(st.sampled_from(LAYOUTS), st.lists(st.tuples(DOCUMENTS, st.sampled_from([*OPERATIONS, "BOOKMARK", "NEW"]))))
def test_one_pass_gives_what_two_passes_give(layout: Layout[Any], events: list[tuple[Any, str]]) -> None:
    """Whatever the order of keys, whatever is absent, null, escaped, no ASCII or of another kind."""
    fast, general = both_ways(layout, b"".join(line(document, kind) for document, kind in events))
    assert fast == general


def test_one_pass_is_what_reads_the_common_line() -> None:
    """Else the test above would compare the general way with itself."""
    reader = arrival_reader(layout_of(Pod, "spec.nodeName", "spec.host"), OPERATIONS)
    assert reader is not None
    found = reader.read(memoryview(line(pod(spec={"nodeName": "n1"}))), None)
    assert found is not None
    assert plain(iter([found])) == [
        (0, "prod/web", (Pod("Pod", Spec("n1")), "u-1", "7", ("prod", "n1", None)))
    ]  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        pod(spec={}),  # absent, or there with the very text of the default: only the JSON knows
        pod(spec={"nodeName": ""}),
        pod(spec=None),
        pod(spec={"nodeName": 5}),  # is rejected, with words
        {"apiVersion": "v1", "kind": "Pod", "metadata": pod()["metadata"], "spec": {"nodeName": "n1"}},
    ],
)
def test_what_only_the_json_knows_is_left_to_the_general_way(document: dict[str, Any]) -> None:
    reader = arrival_reader(layout_of(Pod, "spec.nodeName"), OPERATIONS)
    assert reader is not None
    assert reader.read(memoryview(line(document)), None) is None


@pytest.mark.parametrize(
    ("python_type", "paths"),
    [
        (dict, []),  # kept as bytes
        (Pod, ["spec.replicas"]),  # no text
        (Pod, ["spec"]),
        (Pod, ["metadata.labels.app"]),  # not declared
        (Pod, ["kind.more"]),
        (Placed, ["spec.nodeName"]),  # two defaults may hide that it is absent
        (Made, ["kind"]),
        (Odd, ["long"]),
        (Odd, ["either"]),
        (Odd, ["many[]"]),
        (Odd, ["row.kind"]),
        (Odd, ["changing.kind"]),  # not what the JSON says
    ],
)
def test_paths_that_the_class_does_not_show_are_read_the_general_way(python_type: Any, paths: list[str]) -> None:
    assert arrival_reader(layout_of(python_type, *paths), OPERATIONS) is None


def test_transforms_and_index_functions_are_called_the_general_way() -> None:
    kind = object_type_of(Pod)
    assert arrival_reader(Layout(kind, [lambda obj: obj]), OPERATIONS) is None
    assert arrival_reader(Layout(kind, (), {"node": lambda obj: [obj.spec.node_name]}), OPERATIONS) is None


def test_a_version_that_is_stored_is_not_decoded_again() -> None:
    asked: list[tuple[str, str, str]] = []

    def is_stored(*version: str) -> bool:
        asked.append(version)  # type: ignore[arg-type]
        return True

    with mock.patch.object(ArrivalReader, "_decode", create=True, side_effect=AssertionError):
        found = decoded(layout_of(Pod, "spec.nodeName"), line(pod(spec={"nodeName": "n1"})), is_stored=is_stored)
    assert found == [(0, "prod/web", (None, "u-1", "7", ()))]
    assert asked == [("prod/web", "u-1", "7")]


def test_identity_is_found_where_servers_write_it() -> None:
    """The order of kube-apiserver: name, generateName, namespace, uid, resourceVersion."""
    found = arrival._IDENTITY.match(line(pod()))
    assert found is not None
    assert found.groups() == (b"MODIFIED", b"web", b"prod", b"u-1", b"7")
