"""JSON paths and the compiled readers, without loop or socket."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.errors import InvalidPathError
from aioinformers.objects.paths import EACH, Each, IndexValue, Path, PathReader, join_key, parse_path

Steps = tuple[str | Each, ...]

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-1",
        "namespace": "prod",
        "uid": "u-1",
        "resourceVersion": "42",
        "labels": {"app.kubernetes.io/name": "web", "it's": "odd"},
        "ownerReferences": [{"uid": "o-1", "controller": True}],
    },
    "spec": {
        "nodeName": "n1",
        "priority": 0,
        "hostNetwork": False,
        "weight": 1.5,
        "containers": [
            {"name": "a", "image": "x:1", "ports": [{"containerPort": 80}, {"containerPort": 81}]},
            {"name": "b", "image": "x:1", "ports": []},
            {"name": "c"},
        ],
        "tags": ["t1", "t2", "t1", None],
        "tail": ["t1"],
        "matrix": [["1", "2"], ["2", "3"]],
    },
}


@pytest.mark.parametrize(
    ("text", "steps", "canonical"),
    [
        ("spec", ("spec",), "spec"),
        ("spec.nodeName", ("spec", "nodeName"), "spec.nodeName"),
        ("spec.tags[]", ("spec", "tags", EACH), "spec.tags[]"),
        ("spec.m[][]", ("spec", "m", EACH, EACH), "spec.m[][]"),
        ("spec.a[].b[].c", ("spec", "a", EACH, "b", EACH, "c"), "spec.a[].b[].c"),
        ("metadata.labels['app.io/x']", ("metadata", "labels", "app.io/x"), "metadata.labels['app.io/x']"),
        ('metadata.labels["app.io/x"]', ("metadata", "labels", "app.io/x"), "metadata.labels['app.io/x']"),
        ('metadata.labels["it\'s"]', ("metadata", "labels", "it's"), 'metadata.labels["it\'s"]'),
        ("['spec']['nodeName']", ("spec", "nodeName"), "spec.nodeName"),
        ("['a b'].c[]['d.e'].f", ("a b", "c", EACH, "d.e", "f"), "['a b'].c[]['d.e'].f"),
        ("x-y.$ref.a_1", ("x-y", "$ref", "a_1"), "x-y.$ref.a_1"),
    ],
)
def test_a_path_has_steps_and_one_canonical_text(text: str, steps: Steps, canonical: str) -> None:
    """Every spelling parses, and its canonical text parses to an equal path."""
    path = parse_path(text)
    assert path.steps == steps
    assert str(path) == canonical
    assert parse_path(canonical) == path
    assert hash(parse_path(canonical)) == hash(path)


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("", 0, "it is empty"),
        (".spec.x", 0, "no leading dot: write 'spec.x'"),
        ("spec..x", 5, "found '.', expected the name of a field"),
        ("spec.['a']", 5, "found '[', expected the name of a field"),
        ("spec.", 5, "found the end, expected the name of a field"),
        ("spec.x[", 7, "found the end after '['"),
        ("spec.x[]y", 8, "unexpected 'y', expected '.', '[' or the end"),
        ("spec.x y", 6, "unexpected ' '"),
        ("spec.x]", 6, "unexpected ']', expected '.', '[' or the end"),
        ("spec.x[0]", 7, "use [] for every element"),
        ("spec.x[-1].y", 7, "use [] for every element"),
        ("spec.x[*]", 7, "use [] for every element"),
        ("spec.x[y]", 7, "found 'y' after '[', expected ']' or a quoted name"),
        ("metadata.labels['app", 16, "the quoted name is not closed"),
        ("metadata.labels['app'", 21, "expected ']'"),
        ("metadata.labels['app'x]", 21, "expected ']'"),
        ("metadata.labels['']", 16, "the quoted name is empty"),
        ("metadata.labels['a\\b']", 18, "cannot contain a double quote, backslash or control character"),
        ("metadata.labels['a\ud800']", 18, "cannot contain"),
        ("metadata.labels.app.io/x", 22, "unexpected '/', expected '.', '[' or the end: a name with other"),
        ("metadata.labels.app.io", 15, "write metadata.labels['app.io']"),
        ("metadata.annotations.a.b.c", 20, "write metadata.annotations['a.b.c']"),
        ("[].x", 0, "a path begins with a field of the object"),
        ("{.spec}", 0, "found '{', expected the name of a field: a name with other"),
    ],
)
def test_a_bad_path_says_where_and_why(text: str, position: int, problem: str) -> None:
    """The error carries the text, the offset of the fault and what was expected."""
    with pytest.raises(InvalidPathError) as caught:
        parse_path(text)
    assert (caught.value.path, caught.value.position) == (text, position)
    assert problem in caught.value.problem


def test_only_text_is_a_path() -> None:
    """Callables and the like are refused with an example."""
    with pytest.raises(TypeError, match=r"text such as 'spec\.nodeName', not list"):
        parse_path(["spec"])  # type: ignore[arg-type]  # what the test is about


@given(st.text(alphabet="ab.[]'\"0*- \\", max_size=12))
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No text raises anything but InvalidPathError, and what parses survives its canonical text."""
    try:
        path = parse_path(text)
    except InvalidPathError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert parse_path(str(path)) == path
        PathReader([path])


READS: list[tuple[str, IndexValue]] = [
    ("spec.nodeName", "n1"),
    ("spec.priority", "0"),
    ("spec.hostNetwork", "false"),
    ("spec.weight", "1.5"),
    ("spec.absent", None),
    ("spec.absent.deeper", None),
    ("status.phase", None),
    ("spec", None),
    ("metadata.labels", None),
    ("metadata.labels['app.kubernetes.io/name']", "web"),
    ('metadata.labels["it\'s"]', "odd"),
    ("spec.containers[].image", ("x:1",)),
    ("spec.containers[].name", ("a", "b", "c")),
    ("spec.containers[].ports[].containerPort", ("80", "81")),
    ("spec.containers[].absent", None),
    ("spec.containers[].ports", None),
    ("spec.containers[]", None),
    ("spec.absent[].x", None),
    ("spec.tags", ("t1", "t2")),
    ("spec.tags[]", ("t1", "t2")),
    ("spec.tail[]", ("t1",)),
    ("spec.matrix", ("1", "2", "3")),
    ("spec.matrix[]", ("1", "2", "3")),
    ("spec.matrix[][]", ("1", "2", "3")),
    ("metadata.ownerReferences[].controller", ("true",)),
    ("metadata", None),
    ("metadata[]", None),
    ("metadata.name", "web-1"),
    ("metadata.namespace", "prod"),
    ("metadata.uid", "u-1"),
    ("metadata.resourceVersion", "42"),
    ("metadata.name.deeper", None),
    ("metadata.name[]", None),
    ("kind", "Pod"),
    ("kind[]", None),
    ("spec[]", None),
    ("spec.containers.image", None),
]
UNUSUAL = {
    "kind[]", "spec[]", "spec.containers.image",  # of another type than the path implies
    "spec", "metadata.labels", "spec.containers[]", "spec.containers[].ports", "spec.matrix",  # objects, nested lists
}  # fmt: skip
TYPED = [pair for pair in READS if pair[0] not in UNUSUAL]
IDENTITY = ("prod/web-1", "u-1", "42")


def read_typed(reader: PathReader, document: object) -> tuple[Any, ...]:
    """Read through the bytes, as the machinery does."""
    return reader.read(msgspec.json.decode(json.dumps(document), type=reader.projection))


@pytest.mark.parametrize(("text", "expected"), READS)
def test_a_plain_document_is_read(text: str, expected: IndexValue) -> None:
    """`read_document` takes any document with a name, and `read_raw` takes its JSON."""
    reader = PathReader([parse_path(text)])
    assert reader.read_document(POD) == reader.read_raw(json.dumps(POD).encode()) == (*IDENTITY, ("prod", expected))


@pytest.mark.parametrize(("text", "expected"), TYPED)
def test_one_typed_pass_reads_a_path(text: str, expected: IndexValue) -> None:
    """The projection, decoded from bytes, gives the same."""
    assert read_typed(PathReader([parse_path(text)]), POD) == (*IDENTITY, ("prod", expected))


def test_one_typed_pass_reads_all_paths_together() -> None:
    """Paths that end where others go deeper, in any order, share one projection."""
    for pairs in (TYPED, TYPED[::-1]):
        reader = PathReader([parse_path(text) for text, _ in pairs])
        expected = (*IDENTITY, ("prod", *(value for _, value in pairs)))
        assert read_typed(reader, POD) == expected
        assert reader.read_document(POD) == expected
    reader = PathReader([parse_path(text) for text, _ in READS])
    assert reader.read_raw(json.dumps(POD).encode()) == (*IDENTITY, ("prod", *(value for _, value in READS)))


def test_no_path_still_reads_the_identity() -> None:
    """Cluster-scoped objects have the namespace `""`, absent or null."""
    reader = PathReader([])
    assert read_typed(reader, POD) == (*IDENTITY, ("prod",))
    for metadata in ({"name": "n"}, {"name": "n", "namespace": None}, {"name": "n", "namespace": ""}):
        assert read_typed(reader, {"metadata": metadata}) == ("n", "", "", ("",))
        assert reader.read_document({"metadata": metadata}) == ("n", "", "", ("",))


def test_identity_fields_that_are_empty_are_no_index_value() -> None:
    """`metadata.namespace` of a cluster-scoped object is indexed under nothing, not under `""`."""
    reader = PathReader([parse_path("metadata.namespace"), parse_path("metadata.uid")])
    document = {"metadata": {"name": "n", "namespace": None, "uid": ""}}
    assert read_typed(reader, document)[3] == ("", None, None)
    assert reader.read_document(document)[3] == ("", None, None)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"metadata": None},
        {"metadata": []},
        {"metadata": {}},
        {"metadata": {"name": ""}},
        {"metadata": {"name": None}},
        {"metadata": {"name": 5}},
        [],
    ],
)
def test_an_object_without_a_name_is_refused(document: object) -> None:
    """Both ways say so; the machinery counts it as one bad object (G11)."""
    reader = PathReader([parse_path("spec.nodeName")])
    with pytest.raises(msgspec.ValidationError):
        read_typed(reader, document)
    with pytest.raises(ValueError, match=r"object without metadata\.name"):
        reader.read_document(document)
    with pytest.raises(ValueError, match=r"object without metadata\.name"):
        reader.read_raw(json.dumps(document).encode())


@pytest.mark.parametrize(
    "spec", [None, {"containers": None}, {"containers": [None]}, {"containers": [{"image": None}]}]
)
def test_a_null_on_the_way_is_an_absent_field(spec: object) -> None:
    """A Go server writes null for nil slices: the typed pass takes it, the reading walks the slow way."""
    reader = PathReader([parse_path("spec.containers[].image"), parse_path("spec.affinity.x"), parse_path("kind")])
    document = {"kind": "Pod", "metadata": {"name": "n"}, "spec": spec}
    assert read_typed(reader, document) == ("n", "", "", ("", None, None, "Pod"))


def test_odd_identity_is_read_tolerantly_from_documents() -> None:
    """The typed pass refuses a uid that is no text, `read_document` reads past it."""
    reader = PathReader([])
    document = {"metadata": {"name": "n", "uid": 5, "resourceVersion": None}}
    with pytest.raises(msgspec.ValidationError):
        read_typed(reader, document)
    assert reader.read_document(document) == reader.read_raw(json.dumps(document).encode()) == ("n", "", "", ("",))


def spec_of(value: bytes) -> bytes:
    return b'{"metadata":{"name":"n"},"spec":{"x":%s,"y":"why"}}' % value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1e999", "inf"),
        (b"-1e999", "-inf"),
        (b"9" * 5000, "inf"),
        (b'["a",1e999,{"b":1e999}]', ("a", "inf")),
        (b"[" * 900 + b'"deep"' + b"]" * 900, ("deep",)),
        (b'{"a":1e999}', None),
        (b'{"a":%s}' % (b"[" * 900 + b"]" * 900), None),
        (b"[" + b'"a",' * 9000 + b'"b"]', ("a", "b")),
        (b"[" + b'["a"],' * 1000 + b'"b"]', ("a", "b")),
        (b"[" + b'["a"],' * 9000 + b'"b"]', None),  # nobody looks for that, and it would take long
    ],
)
def test_g11_a_value_of_any_kind_is_read_or_absent(value: bytes, expected: IndexValue) -> None:
    """Whichever way it is read, and the values beside it as ever."""
    reader = PathReader([parse_path("spec.x"), parse_path("spec.y")])
    assert reader.read_raw(spec_of(value)) == ("n", "", "", ("", expected, "why"))
    try:
        projected = msgspec.json.decode(spec_of(value), type=reader.projection)
    except msgspec.ValidationError:
        return
    assert reader.read(projected) == reader.read_raw(spec_of(value))


class Widgets:
    kind = "Widget"
    api_version = "example.com/v1"


def test_g1_a_kind_that_is_known_is_read_of_objects_that_do_not_say_it() -> None:
    """Items of a list do not; a watch says it of the same objects."""
    reader = PathReader([parse_path("kind"), parse_path("apiVersion")], Widgets())
    for said, expected in (({}, ("Widget", "example.com/v1")), ({"kind": None, "apiVersion": "v2"}, ("Widget", "v2"))):
        document = {"metadata": {"name": "n"}, **said}
        assert reader.read_document(document)[3] == read_typed(reader, document)[3] == ("", *expected)
        assert reader.read_raw(json.dumps(document).encode())[3] == ("", *expected)


def test_projections_are_invisible_to_the_garbage_collector() -> None:
    """Neither the object nor the shared defaults are tracked; missing structs cost nothing."""
    reader = PathReader([parse_path("spec.a.b"), parse_path("spec.c")])
    one, two = (msgspec.json.decode(b'{"metadata":{"name":"n"}}', type=reader.projection) for _ in "12")
    config = reader.projection.__struct_config__
    assert config.frozen
    assert not config.gc
    assert [getattr(one, name) for name in one.__struct_fields__[1:]] == [
        getattr(two, name) for name in two.__struct_fields__[1:]
    ]
    assert getattr(one, one.__struct_fields__[1]) is getattr(two, two.__struct_fields__[1])


NAMES = st.sampled_from(["spec", "metadata", "a", "b", "labels", "name", "namespace", "it's"])
STEPS = st.lists(NAMES | st.just(EACH), min_size=1, max_size=4).filter(lambda steps: steps[0] is not EACH)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from("xyz")
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@st.composite
def fitting(draw: st.DrawFn, steps: Steps) -> Any:
    """Draw a value in which the steps lead somewhere, with nulls and gaps on the way."""
    if not steps or draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    if steps[0] is EACH:
        return draw(st.lists(fitting(steps[1:]), max_size=3))
    return {steps[0]: draw(fitting(steps[1:])), **draw(st.dictionaries(NAMES, SCALARS, max_size=1))}


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[Path], dict[str, Any]]:
    """Draw paths, and a document that fits one of them."""
    paths = [Path(tuple(steps)) for steps in draw(st.lists(STEPS, min_size=1, max_size=4))]
    document = draw(fitting(paths[0].steps))
    document = document if isinstance(document, dict) else {}
    metadata = document.get("metadata")
    identity = {"name": "n"} | draw(st.fixed_dictionaries({}, optional={"namespace": st.none() | st.just("ns")}))
    return paths, document | {"metadata": {**metadata, **identity} if isinstance(metadata, dict) else identity}


@given(questions())
def test_the_typed_pass_agrees_with_the_document(question: tuple[list[Path], dict[str, Any]]) -> None:
    """Whenever the typed pass accepts an object, both readings are equal; the tolerant one always is."""
    paths, document = question
    reader = PathReader(paths)
    raw = json.dumps(document)
    expected = reader.read_document(msgspec.json.decode(raw))
    assert reader.read_raw(raw.encode()) == expected
    try:
        projected = msgspec.json.decode(raw, type=reader.projection)
    except msgspec.ValidationError:
        return
    assert reader.read(projected) == expected


def test_keys_are_texts() -> None:
    assert (join_key("prod", "web"), join_key("", "node-1")) == ("prod/web", "node-1")
