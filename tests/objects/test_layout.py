"""Entries: how objects of every type are kept, transformed, indexed and shown, without loop or socket."""

from __future__ import annotations

import dataclasses
import enum
import gc
import json
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
import pydantic
import pytest
from kubernetes_asyncio import client

from aioinformers.errors import IndexConflictError, InvalidPathError
from aioinformers.objects.layout import Entry, Layout, RejectedError, describe
from aioinformers.objects.metadata import Metadata
from aioinformers.objects.object_types import compacted, object_type_of
from aioinformers.objects.transforms import drop_fields, keep_fields, strip_managed_fields

RAW = (
    b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"prod","uid":"u-1","resourceVersion":"42",'
    b'"labels":{"app":"web"}},"spec":{"nodeName":"n1","tags":["a","b","a"],"password":"hunter2"}}'
)
BARE = b'{"metadata":{"name":"web","namespace":"prod","uid":"u-1","resourceVersion":"42"},"spec":{"nodeName":"n1"}}'
PATHS = {"node": "spec.nodeName", "tags": "spec.tags[]"}


class Meta(msgspec.Struct):
    name: str
    labels: dict[str, str] = {}


class Spec(msgspec.Struct, rename="camel"):
    node_name: str
    tags: list[str] = []


class Mutable(msgspec.Struct):
    metadata: Meta
    spec: Spec


class FrozenSpec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str
    tags: tuple[str, ...] = ()


class Frozen(msgspec.Struct, frozen=True):
    """Without metadata: users declare what they read."""

    spec: FrozenSpec


@dataclasses.dataclass
class SpecClass:
    nodeName: str  # noqa: N815  JSON's names are what a dataclass declares
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Class:
    metadata: Meta
    spec: SpecClass


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSpecClass:
    nodeName: str  # noqa: N815


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenClass:
    spec: FrozenSpecClass


KEPT_AS_BYTES = [dict, dict[str, Any], client.V1Pod, Mutable, Class]
KEPT_AS_OBJECTS = [Frozen, FrozenClass]


def layout_of(python_type: Any = dict, /, **indexers: Any) -> Layout[Any]:
    return Layout(object_type_of(python_type), (), indexers)


def transforming(*transforms: Callable[[Any], Any], python_type: Any = dict) -> Layout[Any]:
    return Layout(object_type_of(python_type), transforms, PATHS)


def noting(notes: list[Any], note: Callable[[Any], Any], give: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that gives something, and takes a note of what it was given."""

    def function(obj: Any) -> Any:
        notes.append(note(obj))
        return give(obj)

    return function


def same(obj: Any) -> Any:
    return obj


def arrive(layout: Layout[Any], raw: bytes = RAW) -> Entry:
    """Make an entry as the wire does."""
    read = layout.reader.read(msgspec.json.decode(raw, type=layout.reader.projection))
    return layout.entry(raw, read)


def node_of(obj: Any) -> Any:
    """Return the node that any of the types shows."""
    spec = obj["spec"] if isinstance(obj, dict) else obj.spec
    return spec["nodeName"] if isinstance(spec, dict) else getattr(spec, "node_name", None) or spec.nodeName


# -- what is kept -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("python_type", KEPT_AS_BYTES)
def test_g13_mutable_types_keep_the_bytes_and_show_a_fresh_object(python_type: Any) -> None:
    layout = layout_of(python_type, **PATHS)
    entry = arrive(layout)
    assert entry == Entry(RAW, "u-1", "42", ("prod", "n1", ("a", "b")))
    assert entry.body is RAW
    one, two = (layout.object_type.decode(entry.body) for _ in range(2))
    assert one is not two
    assert node_of(one) == node_of(two) == "n1"


@pytest.mark.parametrize("python_type", KEPT_AS_OBJECTS)
def test_deeply_immutable_types_keep_one_object_and_no_bytes(python_type: Any) -> None:
    layout = layout_of(python_type, **PATHS)
    entry = arrive(layout)
    assert type(entry.body) is python_type
    assert layout.object_type.decode(entry.body) is entry.body
    assert (entry.uid, entry.version, entry.index) == ("u-1", "42", ("prod", "n1", ("a", "b")))


@pytest.mark.parametrize("python_type", KEPT_AS_BYTES)
def test_shared_objects_are_decoded_once(python_type: Any) -> None:
    layout: Layout[Any] = Layout(object_type_of(python_type, shared=True), (), PATHS)
    entry = arrive(layout)
    assert not layout.object_type.keeps_bytes
    assert layout.object_type.decode(entry.body) is entry.body
    assert node_of(entry.body) == "n1"


def test_an_entry_is_invisible_to_the_garbage_collector() -> None:
    assert not gc.is_tracked(arrive(layout_of(**PATHS)))


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (Entry(b"1", "u", "5", ()), True),
        (Entry(b"2", "u", "5", ("x",)), True),
        (Entry(b"1", "u", "6", ()), False),
        (Entry(b"1", "v", "5", ()), False),
        (Entry(b"1", "u", "", ()), False),
    ],
)
def test_uid_and_version_tell_whether_something_changed(other: Entry, is_same: bool) -> None:
    assert Entry(b"1", "u", "5", ()).is_same_version(other) is is_same


def test_without_any_version_the_content_decides() -> None:
    """Objects of aggregated APIs have none."""
    assert Entry(b"1", "", "", ()).is_same_version(Entry(b"1", "", "", ()))
    assert not Entry(b"1", "", "", ()).is_same_version(Entry(b"2", "", "", ()))


@pytest.mark.parametrize("python_type", [dict, client.V1Pod])
@pytest.mark.parametrize("shared", [False, True])
def test_the_kind_of_a_lists_items_is_filled_in(python_type: Any, shared: bool) -> None:
    """Not overwritten where it is there, and absent where nobody has told it."""
    layout: Layout[Any] = Layout(object_type_of(python_type, shared=shared))

    def shown(raw: bytes) -> tuple[Any, Any]:
        obj = layout.object_type.decode(arrive(layout, raw).body)
        return (obj.get("kind"), obj.get("apiVersion")) if isinstance(obj, dict) else (obj.kind, obj.api_version)

    assert shown(BARE) == (None, None)
    layout.object_type.learn_kind("Widget", "example.com/v1")
    assert shown(BARE) == ("Widget", "example.com/v1")
    assert shown(RAW) == ("Pod", "v1")
    assert shown(b'{"kind":null,"apiVersion":null,' + BARE[1:]) == ("Widget", "example.com/v1")
    assert shown(b'{"kind":"Other",' + BARE[1:]) == ("Other", "example.com/v1")


class Kinded(msgspec.Struct):
    kind: str
    api: str = msgspec.field(name="apiVersion", default="v0")


class PydanticKinded(pydantic.BaseModel):
    kind: str
    api: str = pydantic.Field(default="v0", alias="apiVersion")


@dataclasses.dataclass
class ClassKinded:
    kind: str
    apiVersion: str = "v0"  # noqa: N815

    @property
    def api(self) -> str:
        return self.apiVersion


@pytest.mark.parametrize("python_type", [Kinded, PydanticKinded, ClassKinded])
def test_g1_the_kind_of_a_lists_items_is_filled_in_where_a_class_declares_it(python_type: Any) -> None:
    """An item of a list is what a watch would tell."""
    layout = layout_of(python_type)
    with pytest.raises(RejectedError, match=r"`kind`|ValidationError"):
        arrive(layout, BARE)
    layout.object_type.learn_kind("Pod", "v1")
    listed, watched = (layout.object_type.decode(arrive(layout, raw).body) for raw in (BARE, RAW))
    assert (listed.kind, listed.api) == (watched.kind, watched.api) == ("Pod", "v1")
    layout.object_type.learn_kind("Other", "v2")
    assert layout.object_type.decode(arrive(layout, RAW).body).kind == "Pod"  # what it says itself counts


def test_a_class_that_wants_another_kind_reads_what_there_is() -> None:
    class Tagged(msgspec.Struct, tag="Thing", tag_field="kind"):
        spec: dict[str, Any]

    layout = layout_of(Tagged)
    layout.object_type.learn_kind("Pod", "v1")
    assert layout.object_type.decode(arrive(layout, BARE).body).spec == {"nodeName": "n1"}
    with pytest.raises(RejectedError, match="ValidationError"):
        arrive(layout, RAW)


# -- what is rejected ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("python_type", [*KEPT_AS_BYTES, *KEPT_AS_OBJECTS])
def test_g11_bytes_that_are_no_utf8_are_rejected(python_type: Any) -> None:
    """Also where no reader has looked."""
    with pytest.raises(RejectedError, match="UnicodeDecodeError"):
        arrive(layout_of(python_type), RAW.replace(b"hunter2", b"hunter\xff"))


@pytest.mark.parametrize("python_type", [Mutable, Class, *KEPT_AS_OBJECTS])
@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (b'"spec":{"nodeName":5.5}', "Expected `str`, got `float`"),
        (b'"spec":{}', "Object missing required field `nodeName`"),
        (b'"spec":"hunter2"', "Expected `object`, got `str`"),
        (b'"other":{}', "Object missing required field `spec`"),
    ],
)
def test_g11_what_the_users_type_refuses_is_rejected(python_type: Any, spec: bytes, reason: str) -> None:
    """On arrival, not in a handler; the reason quotes nothing (G16)."""
    layout = layout_of(python_type)
    with pytest.raises(RejectedError) as caught:
        arrive(layout, b'{"metadata":{"name":"web"},%s}' % spec)
    assert str(caught.value).startswith(reason)
    assert "hunter2" not in str(caught.value)


def test_g16_a_reason_quotes_no_content() -> None:
    """Words of msgspec's schema errors are safe, all others are reduced to the kind of error."""

    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        color: Literal["red"]

        def __post_init__(self) -> None:
            raise ValueError("hunter2 is no color")

    def reason(raw: bytes) -> str:
        with pytest.raises(msgspec.ValidationError) as caught:
            msgspec.json.decode(raw, type=Strict)
        return describe(caught.value)

    assert reason(b'{"color":1}') == "Expected `str`, got `int` - at `$.color`"
    assert reason(b"{}") == "Object missing required field `color`"
    assert reason(b'{"color":"hunter2"}') == "ValidationError"
    assert reason(b'{"hunter2":1}') == "ValidationError"
    assert reason(b'{"color":"red"}') == "ValidationError"
    assert describe(ValueError("Expected `hunter2`")) == "ValueError"


# -- transforms ---------------------------------------------------------------------------------------------------


def set_node(node: str) -> Callable[[Any], Any]:
    def transform(obj: Any) -> Any:
        obj["spec"]["nodeName"] += node
        return obj

    return transform


@pytest.mark.parametrize("python_type", [dict, client.V1Pod])
def test_transforms_of_documents_compose_before_anything_else_sees_the_object(python_type: Any) -> None:
    """In their order; paths, callables and readers see the result, the version is the server's."""
    seen: list[Any] = []
    layout = transforming(set_node("-a"), set_node("-b"), python_type=python_type)
    layout = layout.with_indexers({"called": noting(seen, node_of, lambda obj: [node_of(obj)])})
    entry = arrive(layout)
    assert (entry.uid, entry.version) == ("u-1", "42")
    assert entry.index == ("prod", "n1-a-b", ("a", "b"), ("n1-a-b",))
    assert isinstance(entry.body, bytes)
    assert json.loads(entry.body)["spec"]["password"] == "hunter2"
    assert [node_of(layout.object_type.decode(entry.body))] == seen == ["n1-a-b"]


def test_transforms_of_documents_see_the_kind_of_a_lists_items() -> None:
    """As they do in a watch."""
    kinds: list[Any] = []
    layout = transforming(noting(kinds, lambda obj: (obj.get("apiVersion"), obj.get("kind")), same))
    layout.object_type.learn_kind("Pod", "v1")
    arrive(layout, BARE)
    assert kinds == [("v1", "Pod")]


@pytest.mark.parametrize("python_type", [Mutable, Class])
def test_transforms_of_the_users_type_get_and_return_it(python_type: Any) -> None:
    def transform(obj: Any) -> Any:
        assert type(obj) is python_type
        obj.metadata.labels["seen"] = "yes"
        return obj

    layout = transforming(transform, transform, python_type=python_type)
    entry = arrive(layout)
    assert layout.object_type.decode(entry.body).metadata.labels == {"app": "web", "seen": "yes"}
    assert (entry.uid, entry.version, entry.index) == ("u-1", "42", ("prod", "n1", ("a", "b")))


def test_transforms_of_a_type_that_does_not_declare_its_identity() -> None:
    """Key, uid and version are the server's; the type has only what the user reads."""

    def transform(obj: Frozen) -> Frozen:
        return Frozen(FrozenSpec(obj.spec.node_name + "!", obj.spec.tags))

    entry = arrive(transforming(transform, python_type=Frozen))
    assert entry == Entry(Frozen(FrozenSpec("n1!", ("a", "b", "a"))), "u-1", "42", ("prod", "n1!", ("a", "b")))


@pytest.mark.parametrize("python_type", [dict, client.V1Pod, Frozen])
def test_transforms_on_bytes_and_functions_compose(python_type: Any) -> None:
    """An index that they leave alone keeps what was read of the object as it came."""
    for transforms, index in (
        ([strip_managed_fields], ("prod", "n1", ("a", "b"))),
        ([drop_fields("spec.tags")], ("prod", "n1", None)),
        ([same, drop_fields("spec.tags"), same], ("prod", "n1", None)),
    ):
        assert arrive(transforming(*transforms, python_type=python_type)).index == index
    assert arrive(transforming(strip_managed_fields)).body == RAW


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (lambda _: None, "the transform returned None"),
        (lambda obj: obj | {"metadata": obj["metadata"] | {"name": "other"}}, "changed the object's namespace or name"),
        (lambda obj: obj | {"metadata": {"name": "web"}}, "changed the object's namespace or name"),
        (lambda obj: obj | {"metadata": {}}, "the transform returned something without a name"),
        (lambda obj: [obj], "the transform returned something without a name"),
        (lambda obj: obj | {"spec": object()}, "TypeError"),
        (lambda obj: obj["hunter2"], "KeyError"),
    ],
    ids=["none", "name", "namespace", "nameless", "list", "no JSON", "raises"],
)
def test_g11_an_object_whose_transform_fails_is_rejected(transform: Callable[[Any], Any], reason: str) -> None:
    """In no case does the reason quote the object."""
    with pytest.raises(RejectedError) as caught:
        arrive(transforming(transform))
    assert str(caught.value).endswith(reason)


def test_g11_a_transform_that_renames_an_object_of_the_users_type_is_rejected() -> None:
    def transform(obj: Mutable) -> Mutable:
        obj.metadata.name = "other"
        return obj

    with pytest.raises(RejectedError, match="namespace or name"):
        arrive(transforming(transform, python_type=Mutable))


@pytest.mark.parametrize("python_type", [dict, client.V1Pod, Mutable])
@pytest.mark.parametrize(
    "transforms",
    [[strip_managed_fields], [drop_fields("status.x", "spec.deep[].y")], [keep_fields("spec")], [same],
     [same, strip_managed_fields]],
)  # fmt: skip
def test_g11_a_transform_takes_whatever_has_been_accepted(transforms: list[Any], python_type: Any) -> None:
    """However deep it is, and however deep in the stack it is transformed."""
    deep = b"[" * 900 + b"]" * 900
    raw = b'{"metadata":{"name":"web"},"spec":{"nodeName":"n1","deep":%s},"status":%s}' % (deep, deep)
    layout = transforming(*transforms, python_type=python_type)

    def arrived(calls: int) -> Entry:
        return arrived(calls - 1) if calls else layout.entry(raw, layout.reader.read_raw(raw))

    for calls in (0, 300):
        assert arrived(calls).index == ("", "n1", None)


class LocalMeta(msgspec.Struct):
    name: str
    namespace: str = "default"


class LocalNode(msgspec.Struct):
    metadata: LocalMeta
    kind: str = ""


def test_g1_a_default_in_the_users_class_is_no_change_by_the_transform() -> None:
    """A Node is in no namespace, although the class says of it that it is; a real change is still one."""
    raw = b'{"metadata":{"name":"n1"}}'
    entry = arrive(transforming(same, python_type=LocalNode), raw)
    assert entry.index[0] == ""

    def moved(obj: LocalNode) -> LocalNode:
        obj.metadata.namespace = "other"
        return obj

    with pytest.raises(RejectedError, match="namespace or name"):
        arrive(transforming(moved, python_type=LocalNode), raw)


def test_a_transform_runs_once_per_version() -> None:
    """Not again for each reader, nor when an index is added."""
    calls: list[Any] = []
    layout = transforming(noting(calls, type, same))
    entry = arrive(layout)
    layout.object_type.decode(entry.body)
    layout.with_indexers({"name": "metadata.name"}).reindexed("prod/web", entry, layout)
    assert calls == [dict]


# -- indexes ------------------------------------------------------------------------------------------------------


class Phase(enum.StrEnum):
    RUNNING = "Running"


class OldPhase(str, enum.Enum):  # noqa: UP042  users have both
    RUNNING = "Running"


@pytest.mark.parametrize("python_type", [*KEPT_AS_BYTES, *KEPT_AS_OBJECTS])
def test_index_callables_get_the_users_object(python_type: Any) -> None:
    layout = layout_of(python_type, node=lambda obj: [node_of(obj)], path="spec.nodeName")
    assert layout.names == ("namespace", "path", "node")
    assert arrive(layout).index == ("prod", "n1", ("n1",))


def test_g13_an_index_callable_that_changes_the_object_changes_nothing() -> None:
    def vandal(obj: dict[str, Any]) -> list[str]:
        node = obj["spec"].pop("nodeName")
        return [node]

    layout = layout_of(first=vandal, second=vandal)
    entry = arrive(layout)
    assert entry.index == ("prod", ("n1",), ("n1",))
    assert entry.body is RAW


@pytest.mark.parametrize(
    ("given", "filed"),
    [
        ([], None),
        ((), None),
        (["x"], ("x",)),
        (["x", "y", "x"], ("x", "y")),
        ({"x": 1}, ("x",)),
        (iter(["x", "y"]), ("x", "y")),
        ([Phase.RUNNING, OldPhase.RUNNING, "Running"], ("Running",)),
    ],
)
def test_an_index_callable_gives_any_iterable_of_texts(given: Iterable[str], filed: tuple[str, ...] | None) -> None:
    """What it gives is filed as plain strings, each once."""
    values = arrive(layout_of(custom=lambda _: given)).index[1]
    assert values == filed
    assert all(type(text) is str for text in values or ())


@pytest.mark.parametrize("given", ["n1", None, 5, [5], [None], [["x"]], object()])
def test_an_index_callable_that_gives_anything_else_is_reported(given: object) -> None:
    """A bare text is the likely mistake: it would be filed under its letters."""
    assert_reported(lambda _: given, TypeError)


def test_an_index_callable_that_raises_is_reported() -> None:
    """The object is kept, filed under nothing in that index and as ever in the others."""

    def broken(obj: dict[str, Any]) -> list[str]:
        raise KeyError(obj["spec"]["absent"])

    assert_reported(broken, KeyError)


def assert_reported(function: Callable[[Any], Any], error_type: type[Exception]) -> None:
    reports: list[tuple[str, str, type[BaseException]]] = []
    layout: Layout[Any] = Layout(
        object_type_of(dict), (), {"bad": function, "good": lambda _: ["x"], "node": "spec.nodeName"},
        lambda what, key, error: reports.append((what, key, type(error))),
    )  # fmt: skip
    assert layout.names == ("namespace", "node", "bad", "good")
    assert arrive(layout).index == ("prod", "n1", None, ("x",))
    assert reports == [("index bad, filed under nothing,", "prod/web", error_type)]


def test_a_layout_with_nothing_to_do_per_object_is_plain() -> None:
    """What the wire makes entries of itself."""
    assert layout_of(dict, **PATHS).is_plain
    assert layout_of(client.V1Pod, **PATHS).is_plain
    assert not transforming(same).is_plain
    assert not layout_of(dict, called=lambda _: []).is_plain
    assert not any(layout_of(python_type).is_plain for python_type in (Mutable, Class, *KEPT_AS_OBJECTS))
    assert not Layout(object_type_of(dict, shared=True)).is_plain


def test_indexers_are_added_to_a_new_layout() -> None:
    def called(_: object) -> list[str]:
        return []

    layout = layout_of(node="spec.nodeName")
    more = layout.with_indexers({"called": called, "tags": "spec.tags[]"})
    assert (layout.names, more.names) == (("namespace", "node"), ("namespace", "node", "tags", "called"))
    assert more.with_indexers({"called": called, "node": "spec.nodeName"}) is more
    assert more.with_indexers({}) is more
    assert more.without_index("node").names == ("namespace", "tags", "called")
    assert (more.object_type, more.transforms) == (layout.object_type, layout.transforms)


@pytest.mark.parametrize(
    ("added", "error", "problem"),
    [
        ({"node": "spec.other"}, IndexConflictError, "index 'node' exists with another definition"),
        ({"node": list}, IndexConflictError, "index 'node'"),
        ({"namespace": "spec.nodeName"}, IndexConflictError, "index 'namespace'"),
        ({"new": "spec..x"}, InvalidPathError, "bad path"),
        ({"new": 5}, TypeError, "index 'new' must be a path or a callable, not 5"),
        ({"fine": "spec.x", "new": None}, TypeError, "index 'new'"),
    ],
)
def test_indexers_that_cannot_be_added_are_refused(added: Any, error: type[Exception], problem: str) -> None:
    layout = layout_of(node="spec.nodeName")
    with pytest.raises(error, match=problem):
        layout.with_indexers(added)


def test_an_entry_is_reindexed_for_another_layout() -> None:
    """What the other layout has read is taken over; only what is new is read."""
    calls: list[str] = []

    def counted(name: str) -> Callable[[Any], list[str]]:
        return noting(calls, lambda _: name, lambda _: [name])

    known = layout_of(node="spec.nodeName", old=counted("old"), gone=counted("gone"))
    entry = arrive(known)
    calls.clear()
    entry.labels = known.object_type.label_sets.shared({"app": "web"})
    layout = known.without_index("gone").with_indexers({"tags": "spec.tags[]", "new": counted("new")})
    again = layout.reindexed("prod/web", entry, known)
    assert layout.names == ("namespace", "node", "tags", "old", "new")
    assert again == Entry(RAW, "u-1", "42", ("prod", "n1", ("a", "b"), ("old",), ("new",)), entry.labels)
    assert calls == ["new"]
    assert entry.index == ("prod", "n1", ("old",), ("gone",))


ODD = [
    b'{"metadata":{"name":"web","namespace":"prod"},"spec":{"nodeName":1e999,"tags":["a"]}}',
    b'{"metadata":{"name":"web","namespace":"prod"},"spec":{"nodeName":%s,"tags":["a"]}}' % (b"9" * 5000),
    b'{"metadata":{"name":"web","namespace":"prod"},"spec":{"tags":["a",%s]}}' % (b"[" * 900 + b"]" * 900),
    b'{"metadata":{"name":"web","namespace":"prod","labels":{"a":null}},"spec":{"tags":["a",{"b":1e999}]}}',
    b'{"metadata":{"name":"web","namespace":"prod"},"spec":5}',
]


@pytest.mark.parametrize("python_type", [dict, client.V1Pod])
@pytest.mark.parametrize("raw", ODD)
def test_g11_an_index_that_is_added_never_fails_because_of_one_object(python_type: Any, raw: bytes) -> None:
    """It has the values that it would have had from the beginning, also deep in the stack of whoever asks."""
    known = layout_of(python_type)
    entry = arrive(known, raw)
    layout = known.with_indexers(PATHS)

    def reindexed(calls: int) -> Entry:
        return layout.reindexed("prod/web", entry, known) if not calls else reindexed(calls - 1)

    assert reindexed(0).index == reindexed(400).index == layout.reader.read_raw(raw)[3]


def test_g11_an_index_is_added_to_transformed_objects_that_do_not_show_their_name() -> None:
    known: Layout[Any] = Layout(object_type_of(dict, shared=False), [same])
    entry = arrive(known)
    assert known.with_indexers(PATHS).reindexed("prod/web", entry, known).index == ("prod", "n1", ("a", "b"))

    class Bare(msgspec.Struct):
        spec: dict[str, Any]

    known = Layout(object_type_of(Bare), [same])
    entry = arrive(known)
    assert known.with_indexers(PATHS).reindexed("prod/web", entry, known).index == ("prod", "n1", ("a", "b"))


def test_g1_an_index_on_what_a_type_does_not_keep_is_empty_from_the_beginning() -> None:
    """Else it would have other values once it is added to a running informer, or the server sends less."""
    raw = b'{"metadata":{"name":"web","managedFields":[{"manager":"m"}]},"spec":{"nodeName":"n1"}}'
    paths = {"node": "spec.nodeName", "manager": "metadata.managedFields[].manager", "name": "metadata.name"}
    layout = layout_of(Metadata, **paths)
    assert layout.entry(raw, layout.reader.read_raw(raw)).index == ("", None, None, "web")
    compact = Layout(compacted(object_type_of(Metadata)), (), paths)
    assert compact.entry(raw, compact.reader.read_raw(raw)).index == ("", None, None, "web")


def test_an_index_that_was_replaced_takes_nothing_over_from_its_namesake() -> None:
    """A batch may have been decoded two layouts ago: the name alone does not say what a value is."""
    known = layout_of(one="spec.nodeName", two=lambda _: ["old"])
    entry = arrive(known)
    layout = known.without_index("one").without_index("two")
    layout = layout.with_indexers({"one": "metadata.name", "two": lambda _: ["new"]})
    assert layout.reindexed("prod/web", entry, known).index == ("prod", "web", ("new",))


@pytest.mark.parametrize("python_type", KEPT_AS_OBJECTS)
def test_entries_without_bytes_are_reindexed_by_callables(python_type: Any) -> None:
    known = layout_of(python_type, path="spec.nodeName")
    layout = known.with_indexers({"node": lambda obj: [node_of(obj)]})
    assert layout.reindexed("prod/web", arrive(known), known).index == ("prod", "n1", ("n1",))
