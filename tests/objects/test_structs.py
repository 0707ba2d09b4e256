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

from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.objects.structs import arrival_reader

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


class Name(msgspec.Struct, frozen=True):
    name: str
    generation: int = 0


class Named(msgspec.Struct, frozen=True):
    """What a user declares who needs the name."""

    metadata: Name
    spec: Spec = Spec()


class Versions(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    resource_version: str = ""
    uid: str
    extra: int = msgspec.field(name="generation", default=3)


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    meta: Versions = msgspec.field(name="metadata")
    kind: str = "none"


class Keyed(Pod, frozen=True, kw_only=True):
    api: str = msgspec.field(name="apiVersion", default_factory=lambda: "v0")


class Local(msgspec.Struct, frozen=True):
    name: str
    namespace: str = "default"


class Located(msgspec.Struct, frozen=True):
    """Says of an object without a namespace that it is in one."""

    metadata: Local


class Maybe(msgspec.Struct, frozen=True):
    metadata: Name | None = None


class Refusing(msgspec.Struct, frozen=True):
    spec: Spec = Spec()

    def __post_init__(self) -> None:
        raise ValueError("never made")


class Tagged(msgspec.Struct, frozen=True, tag="Pod", tag_field="kind"):
    spec: Spec = Spec()


class Forbidding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    spec: Spec = Spec()


class Long(msgspec.Struct, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=9)] = "long enough"


class OddMetadata(msgspec.Struct, frozen=True):
    metadata: Long


class EitherMetadata(msgspec.Struct, frozen=True):
    metadata: str | Name


class ForbiddingName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class ForbiddingMetadata(msgspec.Struct, frozen=True):
    metadata: ForbiddingName


def layout_of(python_type: Any, *paths: str) -> Layout[Any]:
    # shared: some classes here are not immutable, and are kept decoded only if their users say so.
    return Layout(object_type_of(python_type, shared=True), (), {f"index-{i}": path for i, path in enumerate(paths)})


def encoded(document: Mapping[str, Any]) -> memoryview:
    return memoryview(line(document))[len(b'{"type":"MODIFIED","object":') : -2]


def line(document: Mapping[str, Any], kind: str = "MODIFIED") -> bytes:
    text = json.dumps({"type": kind, "object": document}, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def pod(**fields: Any) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "prod", "uid": "u-1", "resourceVersion": "7", "labels": {"app": "web"}}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata} | fields


def plain(deltas: Iterator[Any]) -> list[Any]:
    """Make deltas comparable."""
    return [
        (operation, key, (value.body, value.uid, value.version, value.index) if isinstance(value, Entry) else value)
        for operation, key, value in deltas
    ]


def decoded(layout: Layout[Any], data: bytes, **reading: Any) -> list[Any]:
    decoder = WatchDecoder(layout, 1 << 20)
    for name, value in reading.items():
        setattr(decoder, name, value)
    return plain(delta for batch in decoder.feed(data) for delta in batch.deltas)


def both_ways(layout: Layout[Any], data: bytes) -> tuple[list[Any], list[Any]]:
    with mock.patch("aioinformers.listwatch.wire.arrival_reader", return_value=None):
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
    layout_of(Named, "spec.nodeName"), layout_of(Labelled, "kind"), layout_of(Keyed), layout_of(Maybe),
    layout_of(Tagged), layout_of(Forbidding), layout_of(OddMetadata), layout_of(EitherMetadata), layout_of(Refusing),
    layout_of(ForbiddingMetadata), layout_of(Named, "metadata.name"), layout_of(Labelled, "metadata.uid"),
    layout_of(Located),
]  # fmt: skip


@given(st.sampled_from(LAYOUTS), st.lists(st.tuples(DOCUMENTS, st.sampled_from([*OPERATIONS, "BOOKMARK", "NEW"]))))
def test_one_pass_gives_what_two_passes_give(layout: Layout[Any], events: list[tuple[Any, str]]) -> None:
    """Whatever the order of keys, whatever is absent, null, escaped, not ASCII or of another type."""
    fast, general = both_ways(layout, b"".join(line(document, kind) for document, kind in events))
    assert fast == general


def test_one_pass_is_what_reads_the_common_line() -> None:
    """Else the test above would compare the general way with itself."""
    reader = arrival_reader(layout_of(Pod, "spec.nodeName", "spec.host"))
    assert reader is not None
    arrived = reader.read(encoded(pod(spec={"nodeName": "n1"})), None)
    assert arrived is not None
    expected = Pod("Pod", Spec("n1")), "u-1", "7", ("prod", "n1", None)
    assert plain(iter([(0, *arrived)])) == [(0, "prod/web", expected)]


@pytest.mark.parametrize(
    "document",
    [
        pod(spec={}),  # absent, or there with the very text of the default: only the JSON knows
        pod(spec={"nodeName": ""}),
        pod(spec=None),
        pod(spec={"nodeName": 5}),  # is rejected, with words
        {"metadata": {"name": "web"}, "spec": {"nodeName": "n1"}},  # of a kind that may be known
        {"kind": "Pod", "metadata": {"namespace": "prod"}, "spec": {"nodeName": "n1"}},
        {"kind": "Pod", "metadata": {"name": ""}, "spec": {"nodeName": "n1"}},
    ],
)
def test_what_only_the_json_knows_is_left_to_the_general_way(document: dict[str, Any]) -> None:
    reader = arrival_reader(layout_of(Pod, "spec.nodeName"))
    assert reader is not None
    assert reader.read(encoded(document), None) is None


def test_an_empty_text_of_the_identity_is_left_to_the_general_way() -> None:
    """A path to it reads nothing at all, which the user's object cannot tell from an empty text."""
    reader = arrival_reader(layout_of(Labelled, "metadata.uid"))
    assert reader is not None
    document = pod(metadata={"name": "web", "uid": ""})
    assert reader.read(encoded(document), None) is None


@pytest.mark.parametrize(
    ("python_type", "paths"),
    [
        (dict, []),  # kept as bytes
        (Pod, ["spec.replicas"]),  # not a text
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
        (Tagged, []),  # refuses what is not as the class says
        (Forbidding, []),
        (OddMetadata, []),
        (EitherMetadata, []),
        (ForbiddingMetadata, []),
        (Located, []),  # the key of an object without a namespace has none
    ],
)
def test_what_a_class_does_not_show_is_read_the_general_way(python_type: Any, paths: list[str]) -> None:
    assert arrival_reader(layout_of(python_type, *paths)) is None


def test_transforms_and_index_functions_are_called_the_general_way() -> None:
    object_type = object_type_of(Pod)  # immutable, so that it is kept decoded anyway
    assert arrival_reader(Layout(object_type, [lambda obj: obj])) is None
    assert arrival_reader(Layout(object_type, (), {"node": lambda obj: [obj.spec.node_name]})) is None


def test_a_version_that_is_stored_is_not_decoded_again() -> None:
    asked: list[tuple[str, str, str]] = []

    def is_stored(*version: str) -> bool:
        asked.append(version)  # type: ignore[arg-type]
        return True

    layout = layout_of(Refusing, "spec.nodeName")
    deltas = decoded(layout, line(pod(spec={"nodeName": "n1"})), is_stored=is_stored)
    assert deltas == [(0, "prod/web", (None, "u-1", "7", ()))]
    assert asked == [("prod/web", "u-1", "7")]


@pytest.mark.parametrize("python_type", [Named, Labelled, Keyed, Pod, Maybe])
def test_the_object_is_the_users_own(python_type: type[msgspec.Struct]) -> None:
    """Of the class itself, with what it declares of the metadata and no more."""
    data = encoded(pod(spec={"nodeName": "n1"}))
    reader = arrival_reader(layout_of(python_type))
    assert reader is not None
    arrived = reader.read(data, None)
    assert arrived is not None
    key, entry = arrived
    assert entry.body == msgspec.convert(msgspec.json.decode(data), python_type)
    assert type(entry.body) is python_type
    assert (key, entry.uid, entry.version) == ("prod/web", "u-1", "7")
