"""Built-in transforms: what they do to bytes is what they do to dicts, whatever the layout."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aioinformers.errors import InvalidPathError
from aioinformers.objects import transforms
from aioinformers.objects.paths import EACH, Each, PathReader, parse_path
from aioinformers.objects.transforms import (
    BytesTransform,
    TransformChain,
    drop_fields,
    keep_fields,
    strip_managed_fields,
)
from aioinformers.testing import FakeAPIServer
from benchmarks.pods import pod
from tests.kit import Recorder, configmap, factory_on

Document = dict[str, Any]
Steps = tuple[str | Each, ...]

LAST_APPLIED = "metadata.annotations['kubectl.kubernetes.io/last-applied-configuration']"


def compact(document: Any, **options: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), **options).encode()


def exact(document: Any) -> str:
    """A text that is equal for equal documents only: in Python 1 == True."""
    return json.dumps(document, sort_keys=True)


# -- random documents in random layouts -----------------------------------------------------------------------

NAMES = ("metadata", "managedFields", "name", "labels", "spec", "items", "env", "a", "é/x", 'say "no"', "a]b", "")
TEXTS = (
    "", "x", ',"managedFields":[', '"managedFields":[1]', '{"metadata":{"a":1,"managedFields":[]}}', "]", "}]}",
    "\\", '\\"', "a&b<c>", "é", "\N{GRINNING FACE}", "\x7f", "tab\t",
)  # fmt: skip
PATHS = (
    "metadata.managedFields", "metadata.labels", "metadata.labels.a", "metadata.uid", "spec", "spec.items",
    "spec.items[]", "spec.items[].env", "spec.items[].env[]", "spec.items[][]", "spec.items.env", "spec['é/x']",
    "a", "a[].a", "a[]", "a.a.a", "items[].metadata.managedFields", "name", "spec['a]b']",
)  # fmt: skip

scalars = st.one_of(st.none(), st.booleans(), st.integers(-9, 10**20), st.sampled_from(TEXTS), st.text(max_size=4))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)
managed = st.one_of(values, st.lists(objects, max_size=2))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    document = draw(objects)
    if draw(st.booleans()):
        metadata = draw(objects)
        document["metadata"] = metadata
        if draw(st.booleans()):
            metadata["managedFields"] = draw(managed)
        metadata |= {"name": "n", "namespace": "s"}
        document |= draw(st.sampled_from([{}, {"kind": "Pod", "apiVersion": "v1"}]))
    return document


def written(value: Any, rng: random.Random) -> str:
    """Write JSON in any layout: order, spaces, escapes, and fields that a later one of the same name overrides."""
    space = rng.choice(["", "", " ", "\n\t"])
    if isinstance(value, dict):
        members = list(value.items())
        rng.shuffle(members)
        for name in list(value):
            if rng.random() < 0.1:
                members.insert(0, (name, rng.choice([None, 1, {"managedFields": [1]}, [{}]])))
        texts = (f"{space}{_written_text(name, rng)}{space}:{space}{written(inner, rng)}" for name, inner in members)
        return "{" + f"{space},".join(texts) + space + "}"
    if isinstance(value, list):
        return "[" + f"{space},".join(space + written(inner, rng) for inner in value) + space + "]"
    return _written_text(value, rng) if isinstance(value, str) else json.dumps(value)


def _written_text(text: str, rng: random.Random) -> str:
    how = rng.choice(["plain", "ascii", "escaped", "some"])
    if how in ("plain", "ascii"):
        return json.dumps(text, ensure_ascii=how == "ascii")
    units = text.encode("utf-16-be")
    escaped = [f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)]
    if how == "some":
        escaped = [unit if rng.random() < 0.5 else json.dumps(json.loads(f'"{unit}"'))[1:-1] for unit in escaped]
    return f'"{"".join(escaped)}"'


layouts: st.SearchStrategy[Callable[[Any], bytes]] = st.one_of(
    st.just(compact),
    st.just(lambda document: compact(document, sort_keys=True)),
    st.just(lambda document: compact(document, ensure_ascii=False)),
    st.just(lambda document: json.dumps(document, indent=2).encode()),
    st.integers(0, 10**9).map(lambda seed: lambda document: written(document, random.Random(seed)).encode()),
)
built_ins = st.one_of(
    st.just(strip_managed_fields),
    st.lists(st.sampled_from(PATHS), min_size=1, max_size=3).map(lambda paths: drop_fields(*paths)),
    st.lists(st.sampled_from(PATHS), max_size=4).map(lambda paths: keep_fields(*paths)),
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(documents(), st.lists(built_ins, min_size=1, max_size=3), layouts)
def test_bytes_and_dicts_come_out_alike(
    document: Document, several: list[BytesTransform], layout: Callable[[Any], bytes]
) -> None:
    """On bytes or on a dict, one by one or merged into one pass: the same, and what was given is left alone."""
    raw = layout(document)
    before = copy.deepcopy(document)
    expected = document
    one_by_one, merged = raw, BytesTransform()
    for transform in several:
        expected = transform(expected)
        one_by_one = transform.apply(one_by_one)
        merged = merged.merge(transform)

    assert exact(document) == exact(before)
    assert exact(json.loads(one_by_one)) == exact(expected)
    assert exact(json.loads(merged.apply(raw))) == exact(expected)
    assert exact(merged(document)) == exact(expected)


@settings(max_examples=300, deadline=None)
@given(documents(), layouts)
def test_strip_managed_fields_in_any_layout(document: Document, layout: Callable[[Any], bytes]) -> None:
    """It takes away metadata.managedFields and nothing that looks like it."""
    expected = copy.deepcopy(document)
    if isinstance(expected.get("metadata"), dict):
        expected["metadata"].pop("managedFields", None)

    assert exact(json.loads(strip_managed_fields.apply(layout(document)))) == exact(expected)


def without(value: Any, steps: Steps) -> Any:
    """What drop_fields says of one path, as plainly as it can be written."""
    step, *rest = steps
    if step is EACH:
        if not isinstance(value, list):
            return value
        return [without(inner, tuple(rest)) for inner in value] if rest else []
    if not isinstance(value, dict) or step not in value:
        return value
    others = {name: inner for name, inner in value.items() if name != step}
    return others | ({step: without(value[step], tuple(rest))} if rest else {})


NOTHING = object()


def only(value: Any, several: list[Steps]) -> Any:
    """What keep_fields says, the same way."""
    if () in several:
        return value
    if isinstance(value, list) and (rests := [steps[1:] for steps in several if steps[0] is EACH]):
        return [kept for inner in value if (kept := only(inner, rests)) is not NOTHING]
    if isinstance(value, dict) and any(steps[0] is not EACH for steps in several):
        found = {
            name: only(inner, rests)
            for name, inner in value.items()
            if (rests := [steps[1:] for steps in several if steps[0] == name])
        }
        return {name: kept for name, kept in found.items() if kept is not NOTHING}
    return NOTHING


@settings(max_examples=200, deadline=None)
@given(documents(), st.lists(st.sampled_from(PATHS), min_size=1, max_size=3))
def test_what_paths_mean(document: Document, paths: list[str]) -> None:
    """drop_fields and keep_fields against plain definitions of them."""
    dropped = document
    for path in paths:
        dropped = without(dropped, parse_path(path).steps)
    kept = only(document, [parse_path(path).steps for path in (*transforms.ALWAYS_KEPT, *paths)])

    assert exact(drop_fields(*paths)(document)) == exact(dropped)
    assert exact(keep_fields(*paths)(document)) == exact(kept)


@settings(max_examples=300, deadline=None)
@given(documents(), st.lists(built_ins, min_size=1, max_size=2), st.sampled_from(PATHS))
@example({"spec": {"items": [1, {"env": "x"}]}, "metadata": {"name": "n"}}, [keep_fields("spec.items[].env")], PATHS[7])
def test_preserved_paths_read_the_same(document: Document, several: list[BytesTransform], path: str) -> None:
    """Where a transform says so, the value of a path need not be read again."""
    chain = TransformChain(several)
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not chain.preserves([parse_path(path)]):
        return
    metadata["name"] = "n"
    reader = PathReader([parse_path(path)])
    for transform in several:
        assert reader.read_document(transform(document)) == reader.read_document(document)
        document = transform(document)


def test_preserves_is_not_shy() -> None:
    """What a transform does not come near is preserved, what it touches is not."""
    both = strip_managed_fields.merge(drop_fields("spec.containers[].env"))
    answers = {
        path: both.preserves(parse_path(path))
        for path in (
            "spec.nodeName", "spec.containers[].image", "metadata.labels.app", "metadata.managedFields", "spec",
            "spec.containers[].env[].name", "metadata.managedFields[].manager",
        )
    }  # fmt: skip
    assert list(answers.values()) == [True, True, True, False, False, False, False]
    kept = keep_fields("spec.nodeName")
    assert kept.preserves(parse_path("spec.nodeName"))
    assert kept.preserves(parse_path("metadata.labels.app"))
    assert not kept.preserves(parse_path("spec"))
    assert not kept.preserves(parse_path("status.phase"))
    chain = TransformChain([both, kept])
    assert chain.preserves([])
    assert chain.preserves([parse_path("spec.nodeName"), parse_path("metadata.labels")])
    assert not chain.preserves([parse_path("spec.nodeName"), parse_path("spec")])
    assert not TransformChain([both, lambda obj: obj]).preserves([])


# -- cutting managedFields by offset --------------------------------------------------------------------------


def layouts_of_servers() -> list[tuple[str, bytes]]:
    document = pod(7, 11)
    status = document.pop("status")
    document["metadata"]["annotations"]["note"] = 'a && b, é, {"managedFields":[]} ]}'
    built_in = {**document, "status": status}
    item = {name: value for name, value in built_in.items() if name not in ("kind", "apiVersion")}
    return [
        ("a built-in kind", compact(built_in)),
        ("an item of a list", compact(item)),
        ("a custom resource, sorted by key", compact({"apiVersion": "x/v1", **document}, sort_keys=True)),
        ("HTML escapes", compact(built_in).replace(b"&", b"\\u0026")),
    ]


@pytest.mark.parametrize(
    "raw", [raw for _, raw in layouts_of_servers()], ids=[name for name, _ in layouts_of_servers()]
)
def test_what_servers_write_is_cut_by_offset(raw: bytes) -> None:
    """The bytes beside the cut are untouched, and without the field nothing is done at all."""
    cut = transforms._cut_managed_fields(raw)

    assert cut is not None
    assert len(raw) - len(cut) > 1000
    start = next(at for at in range(len(raw)) if raw[at] != cut[at])
    assert raw.startswith(cut[:start])
    assert raw.endswith(cut[start:])
    assert strip_managed_fields.apply(raw) == cut
    assert strip_managed_fields.apply(cut) is cut


@pytest.mark.parametrize(
    "raw",
    [
        '{"metadata":{"managedFields":[{"a":1}]}}',
        '{"metadata":{"managedFields":[{"a":1}],"name":"x"}}',
        '{"metadata":{"name":"x","managedFields":[]}}',
        '{"metadata":{"name":"x","managedFields":[]},"spec":{"a":1,"managedFields":[2]}}',
        '{"metadata":{"name":"x","managedFields":[{"a":[1,2]},[3]],"z":[4]}}',
        '{"metadata":{"name":"x","managedFields":[{"f:a]b":{}},"]"],"z":"]"}}',
        '{"metadata":{"name":"x","managedFields":["\\"]"],"z":"]"}}',
        '{"metadata":{"name":"x","managedFields":null}}',
        '{"metadata":{"name":"x","managedFields":{"a":[1]}}}',
        '{"metadata":{"name":"x","managedFields":"[]"}}',
        '{"metadata":{"name":"x","managedFields":12}}',
        '{"metadata":{"name":"x"},"spec":{"a":1,"managedFields":[2]}}',
        '{"metadata":{"name":"x"},"managedFields":[2]}',
        '{"kind":"Pod","managedFields":[2],"metadata":{"name":"x"}}',
        '{"kind":"Pod","metadata":{"name":"x","owner":{"a":1,"managedFields":[2]}}}',
        '{"kind":"Pod","metadata":{"name":"x","owner":{"a":1,"managedFields":[2]},"managedFields":[2]}}',
        '{"kind":"Pod","metadata":{"list":[{"a":1,"managedFields":[2]}]}}',
        '{"kind":"Pod","metadata":{"note":",\\"managedFields\\":[1]","managedFields":[2]}}',
        '{"spec":{"a":1,"managedFields":[2]},"metadata":{"name":"x","managedFields":[2]}}',
        '{"spec":{"metadata":{"a":1,"managedFields":[2]}},"metadata":{"name":"x"}}',
        '{"metadata":{"name":"x","managedFields":[1]},"metadata":{"name":"x","managedFields":[1]}}',
        '{"metadata":{"name":"x","managedFields":[1]},"metadata":{"name":"x"}}',
        '{"metadata":{"name":"x","managedFields":[1],"managedFields":[1]}}',
        '{"metadata":{"name":"x","managed\\u0046ields":[1],"owner":{"a":1,"managedFields":[1]}}}',
        '{"metadata":{"name":"x","managed\\u0046ields":[1],"managedFields":[2]}}',
        '{"metadata":{"name":"x","managedFields":[2],"managed\\u0046ields":[1]}}',
        '{"m\\u0065tadata":{"name":"x","managedFields":[2]}}',
        '{"metadata":{"name":"x", "managedFields":[2] , "z":1}}',
        ' { "metadata" : { "name" : "x" , "managedFields" : [ 2 ] } } ',
        '{"metadata":{"name":"x" ,"managedFields":[2]} }',
        '{"metadata":null,"spec":{"a":1,"managedFields":[2]}}',
        '{"metadata":[{"a":1,"managedFields":[2]}]}',
        '{"metadata":"x"}',
        "{}",
        " {} ",
    ],
)  # fmt: skip
def test_only_metadata_managed_fields_is_cut(raw: str) -> None:
    """Odd places, kinds, spellings and look-alikes: nothing else is ever taken, and nothing stays."""
    expected = json.loads(raw)
    if isinstance(expected.get("metadata"), dict):
        expected["metadata"].pop("managedFields", None)

    assert json.loads(strip_managed_fields.apply(raw.encode())) == expected


@pytest.mark.parametrize("raw", [b"", b"[]", b"1", b'{"metadata":', b'{"metadata":{"a":1,"managedFields":[1'])
@pytest.mark.parametrize("transform", [strip_managed_fields, drop_fields("a"), keep_fields("a")])
def test_what_is_no_object_is_refused(raw: bytes, transform: BytesTransform) -> None:
    """It is the machinery that proves JSON, but nothing half is made of what is none."""
    with pytest.raises(msgspec.DecodeError):
        transform.apply(raw)


# -- examples of use ------------------------------------------------------------------------------------------


def test_drop_fields_by_path() -> None:
    """Annotations, elements of lists and whole branches; what is not there, or of another kind, does no harm."""
    document = pod(1, 2)
    document["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "a"}
    transform = drop_fields(
        LAST_APPLIED, "spec.containers[].env", "status", "spec.absent.x", "kind.x", "kind[]", "spec.x[]"
    )
    made = json.loads(transform.apply(compact(document)))

    assert made["metadata"]["annotations"] == {"team": "a"}
    assert "status" not in made
    assert "env" not in made["spec"]["containers"][0]
    assert made["spec"]["containers"][0]["image"] == document["spec"]["containers"][0]["image"]
    assert made["metadata"]["managedFields"] == document["metadata"]["managedFields"]


def test_keep_fields_keeps_what_identifies_an_object() -> None:
    """Name, namespace, uid, resourceVersion, labels, kind and apiVersion stay, whatever is asked for."""
    document = pod(1, 2)
    metadata = document["metadata"]
    identity = {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion", "labels")}
    containers = [{"image": container["image"]} for container in document["spec"]["containers"]]
    made = json.loads(keep_fields("spec.containers[].image", "status.phase", "spec.absent").apply(compact(document)))

    assert made == {
        "apiVersion": "v1", "kind": "Pod", "metadata": identity, "spec": {"containers": containers},
        "status": {"phase": "Running"},
    }  # fmt: skip
    assert json.loads(keep_fields().apply(compact(document))) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": identity,
    }
    assert json.loads(keep_fields("metadata", "spec").apply(compact(document))) == {
        name: value for name, value in document.items() if name != "status"
    }


@pytest.mark.parametrize(
    ("first", "then", "left"),
    [
        (drop_fields("a[].x"), drop_fields("a[].y", "b", "c"), {"a": [{"z": 3}, 4]}),
        (drop_fields("a[].x"), keep_fields("a[].x", "a[].y"), {"a": [{"y": 2}]}),
        (keep_fields("a[].x", "a[].y"), keep_fields("a[].y", "b"), {"a": [{"y": 2}]}),
        (keep_fields("a"), drop_fields("a[].y"), {"a": [{"x": 1, "z": 3}, 4]}),
        (keep_fields("a[].x"), keep_fields("a.x"), {}),
        (keep_fields("b.x"), keep_fields("b[].x"), {}),
        (keep_fields("b.x"), keep_fields("b.y"), {"b": {}}),
        (keep_fields("b[].x", "b.x"), drop_fields("a"), {"b": {"x": 1}}),
    ],
)
def test_one_after_the_other(first: BytesTransform, then: BytesTransform, left: Document) -> None:
    """Merged into one pass, two transforms leave what they leave in turn."""
    document = {"a": [{"x": 1, "y": 2, "z": 3}, 4], "b": {"x": 1}, "c": 5}
    merged = first.merge(then)

    assert then(first(document)) == merged(document) == left
    assert json.loads(merged.apply(compact(document))) == left


def test_nothing_to_do_gives_the_same_bytes() -> None:
    """Nothing is copied for nothing."""
    raw = compact(pod(1, 2))
    assert drop_fields("spec.absent", "metadata.absent.x", "spec.containers[].absent").apply(raw) is raw
    assert BytesTransform().apply(raw) is raw
    assert BytesTransform().apply(raw) is raw
    with pytest.raises(ValueError, match="needs paths"):
        drop_fields()


@pytest.mark.parametrize("path", ["metadata", "metadata.name", "['metadata']['namespace']"])
def test_an_object_cannot_lose_its_name(path: str) -> None:
    """Refused where it is written, not for every object later."""
    with pytest.raises(InvalidPathError, match="cannot be known without its name"):
        drop_fields("spec", path)


def test_bad_paths_are_refused() -> None:
    """With the errors of all paths."""
    with pytest.raises(InvalidPathError, match="use \\[\\] for every element"):
        drop_fields("spec.containers[0]")
    with pytest.raises(InvalidPathError, match="no leading dot"):
        keep_fields(".spec")
    with pytest.raises(TypeError, match="a path is a text"):
        keep_fields(["spec"])  # type: ignore[arg-type]  # what the test is about


def test_equal_and_readable() -> None:
    """The same words are the same transform, and it says what it does."""
    assert drop_fields("a.b") == drop_fields("['a'].b") != drop_fields("a")
    assert drop_fields("a") != keep_fields("a")
    assert drop_fields("a") != "drop_fields('a')"
    assert len({drop_fields("a"), drop_fields("a"), strip_managed_fields}) == 2
    assert repr(strip_managed_fields) == "drop_fields('metadata.managedFields')"
    assert repr(drop_fields("a", "b").merge(drop_fields("c"))) == "drop_fields('a', 'b'), drop_fields('c')"


# -- chains ---------------------------------------------------------------------------------------------------


def add_env(document: Document) -> Document:
    document["env"] = document.get("env", 0) + 1
    return document


def never(_raw: bytes) -> Any:
    raise AssertionError("nothing has to be decoded")


def test_neighbours_are_one_pass_and_nothing_is_decoded() -> None:
    """Only built-in transforms: bytes to bytes, in one stage."""
    chain = TransformChain([strip_managed_fields, drop_fields("a"), keep_fields("b")])
    raw = compact({"metadata": {"name": "x", "managedFields": [1]}, "a": 1, "b": 2, "c": 3})

    assert len(chain.stages) == 1
    made = chain.apply(raw, never)
    assert made is not None
    assert json.loads(made) == {"metadata": {"name": "x"}, "b": 2}
    empty = TransformChain([])
    assert empty.apply(raw, never) is raw


def test_a_chain_keeps_the_users_order() -> None:
    """Functions see what the transforms before them left, once decoded; those after them see their result."""
    chain = TransformChain([drop_fields("env"), add_env, add_env, drop_fields("a"), add_env])
    decoded: list[bytes] = []

    def decode(raw: bytes) -> Any:
        decoded.append(raw)
        return json.loads(raw)

    made = chain.apply(b'{"env":7,"a":1,"metadata":{"name":"x"}}', decode)

    assert made is not None
    assert json.loads(made) == {"env": 3, "metadata": {"name": "x"}}
    assert [json.loads(raw) for raw in decoded] == [{"a": 1, "metadata": {"name": "x"}}]
    assert len(chain.stages) == 5


def test_a_chain_stops_at_none() -> None:
    """A function that gives None ends it."""
    assert TransformChain([lambda _obj: None, never]).apply(b"{}", json.loads) is None


class Place(msgspec.Struct):
    node: str = ""
    note: str = ""


def test_a_chain_on_objects_of_a_class() -> None:
    """Objects that are no dicts become bytes again for a built-in transform."""

    def move(place: Place) -> Place:
        return Place(place.node + "!", place.note + "?")

    chain = TransformChain([move, drop_fields("note"), move])
    encoded: list[Any] = []

    def encode(obj: Any) -> bytes:
        encoded.append(obj)
        return msgspec.json.encode(obj)

    made = chain.apply(b'{"node":"n","note":"x"}', msgspec.json.Decoder(Place).decode, encode)

    assert made is not None
    assert json.loads(made) == {"node": "n!!", "note": "?"}
    assert encoded == [Place("n!", "x?"), Place("n!!", "?")]


@pytest.mark.virtual_time
async def test_informers_take_them() -> None:
    """On a factory and on an informer, alone and in a list."""
    async with FakeAPIServer() as server, factory_on(server, transform=strip_managed_fields) as factory:
        made = configmap("a", x="1", y="2")
        made["metadata"]["managedFields"] = [{"manager": "me"}]
        made["metadata"]["annotations"] = {"note": "long"}
        server.create("configmaps", made)
        stripped = factory.for_resource("configmaps.v1")
        small = factory.for_resource("configmaps.v1", transform=[keep_fields("data"), drop_fields("data.x"), add_env])
        recorder = Recorder()
        small.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        first, second = stripped.lister.get("a", namespace="default"), small.lister.get("a", namespace="default")
        assert (first["data"], first["metadata"]["annotations"]) == ({"x": "1", "y": "2"}, {"note": "long"})
        assert "managedFields" not in first["metadata"]
        assert (second["data"], second["env"]) == ({"y": "2"}, 1)
        assert "annotations" not in second["metadata"]
        server.patch("configmaps", "a", {"data": {"x": "9"}}, namespace="default")
        await small.wait_for_resource_version(server.resource_version, timeout=5)
        assert recorder.problems == []
