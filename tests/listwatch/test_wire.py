"""Framing and decoding of watch streams and list bodies, compared with ``json.loads``."""

from __future__ import annotations

import gc
import itertools
import json
import sys
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers.errors import (
    ApiStatusError,
    BadRequestError,
    ForbiddenError,
    GoneError,
    ResponseError,
    ServerBusyError,
    UnauthorizedError,
)
from aioinformers.listwatch import listing
from aioinformers.listwatch.listing import ListDecoder
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import BATCH_BYTES, BATCH_EVENTS, DELETE, REJECT, UPSERT, Batch, Delta
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.transport.status import status_error

PATHS = {"node": "spec.nodeName", "images": "spec.containers[].image"}
INDEX_PATH_COUNTS = [{}, {"node": "spec.nodeName"}, PATHS]
OPERATIONS = {"ADDED": UPSERT, "MODIFIED": UPSERT, "DELETED": DELETE}
LIMIT = 1 << 20
TOO_DEEP = 20_000
"""Levels that no decoder recurses into."""


class Pod(msgspec.Struct, frozen=True):
    """What a user who reads one field declares."""

    spec: PodSpec


class PodSpec(msgspec.Struct, frozen=True):
    nodeName: str  # noqa: N815


def layout_of(python_type: Any = dict, **indexers: Any) -> Layout[Any]:
    return Layout(object_type_of(python_type), (), indexers)


def pod(name: str = "web", version: str = "7", *, node: Any = "n1", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "prod", "uid": f"uid-{name}", "resourceVersion": version}
    return {"metadata": metadata, "spec": {"nodeName": node, "containers": [{"image": "a:1"}]}, **more}


def dump(document: object) -> bytes:
    """Write JSON as API servers do."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def line_of(kind: str, document: object) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), dump(document))


def bookmark(version: str, annotations: object = None) -> bytes:
    metadata = {"resourceVersion": version, "creationTimestamp": None}
    if annotations is not None:
        metadata["annotations"] = annotations  # type: ignore[assignment]  # odd ones are tested too
    return line_of("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": metadata})


END = bookmark("90", {"k8s.io/initial-events-end": "true"})


def cut(data: bytes, *, at: Iterable[int]) -> Iterator[bytes]:
    """Split bytes at some offsets."""
    edges = [0, *sorted({offset % (len(data) + 1) for offset in at}), len(data)]
    for start, end in itertools.pairwise(edges):
        yield data[start:end]


@dataclass
class Seen:
    """What batches tell, whatever the batches were."""

    deltas: list[tuple[int, str, Any]] = field(default_factory=list)
    version: str = ""
    unreadable: int = 0
    lost: int = 0
    bookmarks: int = 0
    ends: list[tuple[int, str]] = field(default_factory=list)

    def feed(self, decoder: WatchDecoder | ListDecoder, chunks: Iterable[bytes]) -> Seen:
        for chunk in chunks:
            self.take(decoder.feed(chunk))
        return self

    def take(self, batches: Iterable[Batch]) -> Seen:
        for batch in batches:
            self.deltas += map(content, batch.deltas)
            self.version = batch.version or self.version
            self.unreadable += batch.unreadable
            self.lost += batch.lost
            self.bookmarks += batch.bookmarks
            if batch.ends_initial:
                self.ends.append((len(self.deltas), batch.version))
        return self


def content(delta: Delta) -> tuple[int, str, Any]:
    operation, key, entry = delta
    if isinstance(entry, Entry):
        assert type(entry.body) in (bytes, Pod)  # and no view that keeps a whole chunk alive
        return operation, key, (entry.body, entry.uid, entry.version, entry.index)
    return delta


def kept(raw: bytes, node: str | None = "n1") -> tuple[bytes, str, str, tuple[Any, ...]]:
    """Return what ``content`` gives for an object of ``pod`` under ``PATHS``."""
    metadata = json.loads(raw)["metadata"]
    return raw, metadata["uid"], metadata["resourceVersion"], ("prod", node, ("a:1",))


def watch(data: bytes | Iterable[bytes], layout: Layout[Any] | None = None) -> Seen:
    decoder = WatchDecoder(layout or layout_of(**PATHS), LIMIT)
    return Seen().feed(decoder, (data,) if isinstance(data, bytes) else data)


def read_list(data: bytes | Iterable[bytes], layout: Layout[Any] | None = None) -> tuple[Seen, str, str]:
    """Return what a list tells, its resourceVersion and its page token."""
    decoder = ListDecoder(layout or layout_of(**PATHS), LIMIT)
    seen = Seen().feed(decoder, (data,) if isinstance(data, bytes) else data)
    seen.take(decoder.flush())
    head = decoder.finish()
    assert head.items is None
    return seen, head.metadata.resourceVersion, head.metadata.next


# -- an oracle that knows nothing of framing, typed passes and slices ---------------------------------------------


def expected_index(document: Any, layout: Layout[Any]) -> tuple[Any, ...]:
    return layout.reader.read_document(document)[3]


def expected_delta(operation: int, raw: bytes, document: Any, layout: Layout[Any]) -> tuple[int, str, Any] | None:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or not metadata.get("name"):
        return None
    namespace, name = metadata.get("namespace") or "", metadata["name"]
    uid, version = (metadata.get(key) or "" for key in ("uid", "resourceVersion"))
    key = f"{namespace}/{name}" if namespace else name
    return operation, key, (raw, uid, version, expected_index(document, layout))


@dataclass(frozen=True)
class Line:
    """A line of a stream, and what it was made of."""

    data: bytes
    kind: str = ""
    raw: bytes = b""
    """The object as it stands in the line; empty for a line that is no event."""


def expected_of(lines: Sequence[Line], layout: Layout[Any]) -> Seen:
    seen = Seen()
    for line in lines:
        document: Any = json.loads(line.raw) if line.raw else None
        if not line.raw:
            seen.unreadable += bool(line.data.strip())
            seen.lost += bool(line.data.strip())
        elif line.kind == "BOOKMARK":
            seen.bookmarks += 1
            seen.version = document["metadata"]["resourceVersion"] or seen.version
            if document["metadata"].get("annotations") == {"k8s.io/initial-events-end": "true"}:
                seen.ends.append((len(seen.deltas), seen.version))
        else:
            delta = expected_delta(OPERATIONS.get(line.kind, UPSERT), line.raw, document, layout)
            if delta is not None:
                seen.version = delta[2][2] or seen.version
            if delta is not None and line.kind in OPERATIONS:
                seen.deltas.append(delta)
            else:
                seen.unreadable += 1
                seen.lost += line.kind in OPERATIONS
    return seen


LOOK_ALIKES = ['"},{"metadata":{"name":"x"}}', '\n{"type":"ADDED","object":', "}}\n", '"items":[', "é✓💥", "\\", "\x7f"]
texts = st.text(max_size=6) | st.sampled_from(LOOK_ALIKES)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=4)
metadata_fields = {
    "namespace": st.sampled_from(["", "prod", "ü"]) | st.none(),
    "uid": st.sampled_from(["u1", "u2"]) | st.none(),
    "resourceVersion": st.integers(1, 999).map(str),
    "labels": st.dictionaries(texts, texts, max_size=2) | st.none(),
    "annotations": st.dictionaries(texts, texts, max_size=2),
}
containers = st.fixed_dictionaries({}, optional={"image": texts})
manifests = st.fixed_dictionaries({"metadata": st.just({"name": "inner"}), "x": values})
specs = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "nodeName": st.none() | texts | st.integers(0, 9),
        "containers": st.none() | st.lists(st.none() | containers, max_size=2),
        "manifests": st.lists(manifests, max_size=3),
        "more": values,
    },
)
objects = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"name": names}, optional=metadata_fields)},
    optional={"kind": st.just("Pod"), "apiVersion": st.just("v1"), "spec": specs, "status": values, "data": values},
)
broken_objects: st.SearchStrategy[Any] = st.sampled_from(
    [{}, {"metadata": None}, {"metadata": {}}, {"metadata": {"name": ""}}, {"metadata": {"name": None}}, [], 5, None]
)


@st.composite
def written(draw: st.DrawFn, documents: st.SearchStrategy[Any]) -> bytes:
    """Write a JSON value in one of the ways that servers have, on one line."""
    document = draw(documents)
    if isinstance(document, dict) and draw(st.booleans()):
        document = dict(draw(st.permutations(list(document.items()))))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    is_ascii, is_sorted = draw(st.booleans()), draw(st.booleans())
    return json.dumps(document, separators=separators, ensure_ascii=is_ascii, sort_keys=is_sorted).encode()


@st.composite
def event_lines(draw: st.DrawFn) -> Line:
    """Make a line that is an event: mostly as API servers write it, else with any envelope that JSON allows."""
    kind = draw(st.sampled_from(["ADDED", "MODIFIED", "DELETED"]) | st.sampled_from(["TELEPORTED", ""]))
    raw = draw(written(objects | broken_objects))
    fields = [b'"type":' + dump(kind), b'"object":' + raw]
    ending = b"\n"
    if draw(st.integers(0, 3)) == 0:
        fields = draw(st.permutations([*fields, *draw(st.lists(st.sampled_from([b'"more":[1]', b'"x": {"y":2}'])))]))
        ending = draw(st.sampled_from([b"\n", b"\r\n", b" \n"]))
    glue = draw(st.sampled_from([b",", b",", b" , "]))
    return Line(b"{" + glue.join(fields) + b"}" + ending, kind, raw)


@st.composite
def bookmark_lines(draw: st.DrawFn) -> Line:
    annotations = draw(
        st.none() | st.sampled_from([{"k8s.io/initial-events-end": text} for text in ("true", "false")]) | st.just({})
    )
    metadata = {"resourceVersion": draw(st.integers(1, 999).map(str)), "annotations": annotations}
    raw = dump({"kind": "Pod", "metadata": metadata})
    return Line(b'{"type":"BOOKMARK","object":' + raw + b"}\n", "BOOKMARK", raw)


GARBAGE = [b"", b" ", b"\r", b"null", b"{", b"}", b"<html>", b'{"type":"ADDED"}', b'{"object":{}}', b"\xff\xfe",
           b'{"type":"ADDED","object":{"metadata":{"name":"cut"', b'{"type":5,"object":{}}', b"[]", b'"x"',
           b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}}', b'{"type":"BOOKMARK","object":{}}',
           b'{"type":"BOOKMARK","object":{"metadata":null}}', b'{"type":"BOOKMARK"}']  # fmt: skip
garbage_lines = st.sampled_from([Line(data + b"\n") for data in GARBAGE])
streams = st.lists(event_lines() | event_lines() | bookmark_lines() | garbage_lines, max_size=12)
splits = st.lists(st.integers(0, 1 << 16), max_size=8)


class TestWatchDecoder:
    """Lines of a watch stream."""

    @given(lines=streams, at=splits, paths=st.sampled_from(INDEX_PATH_COUNTS))
    @settings(deadline=None, max_examples=300)
    def test_g14_any_split_gives_what_json_says(self, lines: list[Line], at: list[int], paths: dict[str, str]) -> None:
        """Any events in any envelope among any garbage: deltas, versions and counts equal the oracle's."""
        layout = layout_of(**paths)
        data = b"".join(line.data for line in lines)
        assert watch(cut(data, at=at), layout) == watch(data, layout) == expected_of(lines, layout)

    @given(lines=st.lists(event_lines() | bookmark_lines() | garbage_lines, max_size=6))
    @settings(deadline=None)
    def test_each_batch_knows_the_version_after_it(self, lines: list[Line]) -> None:
        """Fed line by line, every batch has the resourceVersion of its line, or none."""
        layout = layout_of(**PATHS)
        decoder = WatchDecoder(layout, LIMIT)
        for line in lines:
            batches = list(decoder.feed(line.data))
            assert [batch.version for batch in batches if batch.version] == [
                version for version in [expected_of([line], layout).version] if version
            ]

    def test_g14_single_bytes_give_the_same_events(self) -> None:
        """Multi-byte characters, the end mark and a DELETED, byte by byte."""
        data = line_of("ADDED", pod("é", label="💥")) + END + b"\r\n\n" + line_of("DELETED", pod("é"))
        whole = watch(data)
        assert watch(data[i : i + 1] for i in range(len(data))) == whole
        assert [delta[:2] for delta in whole.deltas] == [(UPSERT, "prod/é"), (DELETE, "prod/é")]
        assert whole.ends == [(1, "90")]

    def test_a_stream_that_ends_inside_a_line_gives_what_was_whole(self) -> None:
        """What is cut off stays a rest, never an event."""
        decoder = WatchDecoder(layout_of(), LIMIT)
        seen = Seen().take(decoder.feed(line_of("ADDED", pod("a")) + line_of("ADDED", pod("b"))[:-1]))
        assert [key for _, key, _ in seen.deltas] == ["prod/a"]
        assert decoder.has_rest
        seen.take(decoder.feed(b"\n"))
        assert [key for _, key, _ in seen.deltas] == ["prod/a", "prod/b"]
        assert not decoder.has_rest

    def test_an_empty_chunk_changes_nothing(self) -> None:
        """Neither before a line nor inside one."""
        line = line_of("ADDED", pod())
        assert watch([b"", line[:20], b"", line[20:], b""]) == watch(line)

    @pytest.mark.parametrize("size", [1 << 12, 1 << 17, 1 << 22])
    def test_g14_a_big_object_comes_through_any_chunks(self, size: int) -> None:
        """Several MiB in chunks as sockets give them."""
        raw = dump(pod(data="x" * (4 << 20)))
        data = line_of("ADDED", pod("a")) + b'{"type":"MODIFIED","object":' + raw + b"}\n" + line_of("ADDED", pod("b"))
        decoder = WatchDecoder(layout_of(**PATHS), 8 << 20)
        seen = Seen().feed(decoder, cut(data, at=range(0, len(data), size)))
        assert [key for _, key, _ in seen.deltas] == ["prod/a", "prod/web", "prod/b"]
        assert seen.deltas[1] == (UPSERT, "prod/web", kept(raw))

    @pytest.mark.parametrize("step", [7, 100, 1 << 20])
    def test_a_line_beyond_the_limit_is_refused_after_what_came_before(self, step: int) -> None:
        """However it is split; a line of just the limit is fine."""
        fits = line_of("ADDED", pod("fits"))
        decoder = WatchDecoder(layout_of(), len(fits) - 1)
        seen = Seen()

        seen.feed(decoder, cut(fits * 2, at=range(0, len(fits) * 2, step)))
        data = fits + line_of("ADDED", pod("longer")) + fits
        with pytest.raises(ResponseError, match="one event is larger than max_object_bytes="):
            seen.feed(decoder, cut(data, at=range(0, len(data), step)))
        assert [key for _, key, _ in seen.deltas] == ["prod/fits"] * 3

    def test_g8_a_line_that_never_ends_is_refused_before_it_is_all_kept(self) -> None:
        """A server that sends anything but lines cannot eat the memory."""
        decoder = WatchDecoder(layout_of(), 1000)
        Seen().feed(decoder, [b"x" * 50] * 20)
        with pytest.raises(ResponseError, match="max_object_bytes=1000"):
            list(decoder.feed(b"x"))
        with pytest.raises(ResponseError, match="max_object_bytes=1000"):
            list(WatchDecoder(layout_of(), 1000).feed(b"x" * 1001))

    def test_the_object_is_kept_as_it_came(self) -> None:
        """Not spliced, not re-encoded: nulls, numbers, order and escapes are the server's."""
        raw = b'{"spec":null,"x":1.50,"metadata":{"name":"a","labels":null},"y":"\\u0041\\n"}'
        seen = watch(b'{"type":"ADDED","object":' + raw + b"}\n")
        assert seen.deltas == [(UPSERT, "a", (raw, "", "", ("", None, None)))]

    @pytest.mark.parametrize(
        "frame",
        [
            b'{"object":%s,"type":"ADDED"}\n',
            b'{"type":"ADDED","object":%s,"more":{"object":{}}}\n',
            b'{"extra":1,"type":"ADDED","object":%s}\n',
            b'{"type":"ADDED","object":%s }\n',
            b'{"type":"ADDED","object": %s}\n',
            b'{ "type" : "ADDED" , "object" : %s } \n',
            b'\t{"type":"ADDED","object":%s}\r\n',
        ],
    )
    def test_an_envelope_of_any_layout_gives_the_exact_object(self, frame: bytes) -> None:
        """The typed pass is for the layout that servers write; all others take the tolerant way."""
        raw = dump(pod())
        assert watch(frame % raw).deltas == [(UPSERT, "prod/web", kept(raw))]

    def test_an_object_that_looks_like_events_is_one_object(self) -> None:
        """Inside texts and inside nested objects."""
        inner = {"type": "ADDED", "object": pod("inner")}
        raw = dump(pod(a=inner, b=[inner, inner], c=json.dumps(inner) + "\n"))
        seen = watch(b'{"type":"ADDED","object":' + raw + b"}\n")
        assert seen.deltas == [(UPSERT, "prod/web", kept(raw))]

    def test_fields_of_an_unexpected_kind_are_read_tolerantly(self) -> None:
        """A number where a path goes on, a uid that is no text: what is there is indexed."""
        document = pod(node={"deeper": 1})
        document["metadata"]["uid"] = 5
        document["spec"]["containers"] = "none"
        raw = dump(document)
        seen = watch(b'{"type":"ADDED","object":' + raw + b"}\n")
        assert seen.deltas == [(UPSERT, "prod/web", (raw, "", "7", ("prod", None, None)))]
        assert (seen.version, seen.unreadable) == ("7", 0)

    @pytest.mark.parametrize("event", ["ADDED", "DELETED"])
    @pytest.mark.parametrize("document", [{}, {"metadata": None}, {"metadata": {"namespace": "prod"}}, [], None, "x"])
    def test_g11_an_object_without_a_name_is_counted_and_passed(self, event: str, document: object) -> None:
        """Its neighbours go on; with no name there is no version to believe either."""
        seen = watch(line_of("ADDED", pod("a", "3")) + line_of(event, document) + line_of("ADDED", pod("b", "4")))
        assert [key for _, key, _ in seen.deltas] == ["prod/a", "prod/b"]
        assert (seen.unreadable, seen.lost, seen.version) == (1, 1, "4")

    @pytest.mark.parametrize("garbage", [line for line in GARBAGE if line.strip()])
    def test_g11_a_garbage_line_is_counted_and_passed(self, garbage: bytes) -> None:
        """One that is no JSON, no event, or not the JSON that its kind promises."""
        seen = watch(line_of("ADDED", pod("a")) + garbage + b"\n" + line_of("ADDED", pod("b")))
        assert [key for _, key, _ in seen.deltas] == ["prod/a", "prod/b"]
        assert (seen.unreadable, seen.lost) == (1, 1)  # what it was, only a list can tell

    @pytest.mark.parametrize(
        ("line", "unreadable", "lost"),
        [
            (line_of("ADDED", pod("b")), 0, 0),
            (b" \r\n", 0, 0),
            (b"not json\n", 1, 1),
            (line_of("MODIFIED", {"metadata": {}}), 1, 1),
            (line_of("DELETED", {"metadata": {}}), 1, 1),
            (line_of("BOOKMARK", {}), 1, 1),  # it may have been the end of the initial objects
            (line_of("PAUSED", {}), 1, 0),
            (line_of("PAUSED", pod("b")), 1, 0),
            (line_of("MODIFIED", pod("b", node=None)), 0, 0),  # the user's type refuses it, but its key is known
            (line_of("DELETED", pod("b", node=None)), 0, 0),
        ],
    )
    def test_lost_is_what_may_have_been_an_event_of_an_object(self, line: bytes, unreadable: int, lost: int) -> None:
        """In its own batch: the ones before and after have not lost it too."""
        full = b"".join(line_of("ADDED", pod(f"p{number}")) for number in range(BATCH_EVENTS))
        batches = list(WatchDecoder(layout_of(Pod), LIMIT).feed(full + line + full))
        assert [batch.lost for batch in batches if batch.lost] == [lost] * bool(lost)
        assert (batches[0].lost, batches[-1].lost if len(batches) > 2 else 0) == (0, 0)
        assert sum(batch.unreadable for batch in batches) == unreadable

    def test_an_unknown_type_is_counted_and_moves_the_version(self) -> None:
        """A type that does not exist yet: only its resourceVersion is understood."""
        seen = watch(line_of("ADDED", pod("a", "3")) + line_of("PAUSED", pod("a", "9")))
        assert [key for _, key, _ in seen.deltas] == ["prod/a"]
        assert (seen.unreadable, seen.lost, seen.version) == (1, 0, "9")

    @pytest.mark.parametrize("event", ["ADDED", "MODIFIED"])
    @pytest.mark.parametrize(
        "place", [b'"spec":{"note":"\xff"}', b'"spec":{"nodeName":"\xff"}', b'"\xff":1', b'"metadata2":{"\xc3":0}']
    )
    def test_g11_an_object_that_is_no_utf8_is_rejected_with_its_key(self, event: str, place: bytes) -> None:
        """Whether the text is read by an index or by nobody; the version is believed, the neighbours are whole."""
        bad = b'{"metadata":{"namespace":"prod","name":"bad","resourceVersion":"8"},%s}' % place
        line = b'{"type":"%s","object":%s}\n' % (event.encode(), bad)
        seen = watch(line_of("ADDED", pod("a")) + line + line_of("ADDED", pod("b", "")))
        assert [delta[:2] for delta in seen.deltas] == [(UPSERT, "prod/a"), (REJECT, "prod/bad"), (UPSERT, "prod/b")]
        assert seen.deltas[1][2] == "UnicodeDecodeError"
        assert (seen.version, seen.unreadable) == ("8", 0)

    @pytest.mark.parametrize("place", [b'"spec":{"note":"\xff"}', b'"spec":{"nodeName":"\xff"}'])
    def test_g11_a_deletion_is_true_even_if_its_object_is_unreadable(self, place: bytes) -> None:
        """Else a ghost would stay."""
        bad = b'{"metadata":{"namespace":"prod","name":"bad","resourceVersion":"8"},%s}' % place
        seen = watch(b'{"type":"DELETED","object":' + bad + b"}\n")
        assert (seen.deltas, seen.version) == ([(DELETE, "prod/bad", None)], "8")

    def test_g11_what_the_users_type_refuses_is_rejected_with_its_key(self) -> None:
        """The reason names the field and quotes nothing of the object (G16)."""
        lines = [line_of("ADDED", pod("bad", "8", node=5.5)), line_of("MODIFIED", {"metadata": {"name": "worse"}})]
        seen = watch(line_of("ADDED", pod("a")) + b"".join(lines), layout_of(Pod))
        assert seen.deltas[1:] == [
            (REJECT, "prod/bad", "Expected `str`, got `float` - at `$.spec.nodeName`"),
            (REJECT, "worse", "Object missing required field `spec`"),
        ]
        assert seen.version == "8"
        gone = watch(line_of("DELETED", pod("bad", "9", node=5.5)), layout_of(Pod))
        assert gone.deltas == [(DELETE, "prod/bad", None)]

    @pytest.mark.parametrize(("event", "expected"), [("ADDED", REJECT), ("MODIFIED", REJECT), ("DELETED", DELETE)])
    def test_g11_an_object_nested_too_deeply_is_rejected_with_its_key(self, event: str, expected: int) -> None:
        """Anybody who may create custom resources can nest one deeper than any decoder recurses."""
        deep = b'[{"y":' * TOO_DEEP + b"1" + b"}]" * TOO_DEEP
        raw = b'{"metadata":{"name":"deep","resourceVersion":"8"},"x":%s}' % deep
        line = b'{"type":"%s","object":%s}\n' % (event.encode(), raw)
        seen = watch(line_of("ADDED", pod("a")) + line + line_of("ADDED", pod("b", "9")))
        reason = None if expected == DELETE else "nested too deeply"
        assert seen.deltas[1] == (expected, "deep", reason)
        assert [key for _, key, _ in seen.deltas] == ["prod/a", "deep", "prod/b"]

    def test_g11_garbage_that_is_nested_too_deeply_is_counted(self) -> None:
        """Cut off in its depths: no key can be read from it."""
        seen = watch(b'{"type":"ADDED","object":{"x":' + b"[" * TOO_DEEP + b"\n" + line_of("ADDED", pod()))
        assert (len(seen.deltas), seen.unreadable) == (1, 1)

    def test_a_bookmark_only_moves_the_version(self) -> None:
        """And is counted, for it shows that the server sends them."""
        seen = watch(line_of("ADDED", pod("a", "3")) + bookmark("44"))
        assert (seen.version, seen.bookmarks, seen.ends, seen.unreadable) == ("44", 1, [], 0)
        assert len(seen.deltas) == 1

    @pytest.mark.parametrize("annotations", [None, {}, {"k8s.io/initial-events-end": "false"}, {"other": "true"}])
    def test_only_the_true_annotation_ends_the_initial_objects(self, annotations: object) -> None:
        """A later bookmark is one without it."""
        assert watch(bookmark("44", annotations)).ends == []

    def test_the_end_mark_closes_its_batch(self) -> None:
        """What comes after it in the same chunk is in another batch."""
        data = line_of("ADDED", pod("a")) + END + line_of("ADDED", pod("b")) + bookmark("95")
        first, second = WatchDecoder(layout_of(), LIMIT).feed(data)
        assert (first.ends_initial, first.version, len(first.deltas)) == (True, "90", 1)
        assert (second.ends_initial, second.version, len(second.deltas)) == (False, "95", 1)

    def test_a_bookmark_without_a_version_keeps_the_one_there_was(self) -> None:
        """An event without one too."""
        seen = watch(line_of("ADDED", pod("a", "3")) + bookmark("") + line_of("ADDED", pod("b", "")))
        assert (seen.version, seen.bookmarks) == ("3", 1)
        assert watch(bookmark("")).bookmarks == 1

    @pytest.mark.parametrize("at", [[], [30], [400], range(0, 2000, 3)])
    def test_an_error_event_raises_after_what_came_before_it(self, at: Iterable[int]) -> None:
        """Nothing that the server had sent is lost, and what may follow is not believed."""
        status = {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old: 1 (5)"}
        data = line_of("ADDED", pod("a")) + line_of("ERROR", status) + line_of("ADDED", pod("b"))
        decoder = WatchDecoder(layout_of(), LIMIT)
        seen = Seen()
        with pytest.raises(GoneError, match=r"410 Expired: too old: 1 \(5\)") as caught:
            seen.feed(decoder, cut(data, at=at))
        assert [key for _, key, _ in seen.deltas] == ["prod/a"]
        assert caught.value.__suppress_context__  # the error before it is how the line was found to be none

    @pytest.mark.parametrize("status", [None, [], "x", {"message": 5}])
    def test_an_error_event_without_a_status_is_an_error_nevertheless(self, status: object) -> None:
        """As a server error."""
        with pytest.raises(ApiStatusError, match="500: the answer is no Kubernetes Status"):
            watch(line_of("ERROR", status))

    def test_g8_batches_are_bounded_by_events(self) -> None:
        """However much one chunk holds."""
        data = b"".join(line_of("ADDED", pod(f"p{number}")) for number in range(1000))
        batches = list(WatchDecoder(layout_of(), LIMIT).feed(data))
        assert [len(batch.deltas) for batch in batches] == [BATCH_EVENTS] * 7 + [1000 - 7 * BATCH_EVENTS]
        assert len(Seen().take(batches).deltas) == 1000

    def test_g8_batches_are_bounded_by_bytes(self) -> None:
        """To the line that crosses the bound."""
        line = line_of("ADDED", pod(data="x" * 100_000))
        batches = list(WatchDecoder(layout_of(), LIMIT).feed(line * 20))
        sizes = [sum(len(entry.body) for _, _, entry in batch.deltas) for batch in batches]
        assert max(sizes) < BATCH_BYTES + len(line)
        assert [len(batch.deltas) for batch in batches] == [6, 6, 6, 2]

    def test_entries_keep_no_chunk_alive(self) -> None:
        """Each owns its bytes."""
        chunk = line_of("ADDED", pod("a")) + line_of("DELETED", pod("ü")) + b"garbage\n" + END
        before = sys.getrefcount(chunk)
        decoder = WatchDecoder(layout_of(**PATHS), LIMIT)
        batches = list(decoder.feed(chunk))
        assert sum(len(batch.deltas) for batch in batches) == 2
        assert sys.getrefcount(chunk) == before

    def test_batches_name_the_layout_they_were_decoded_with(self) -> None:
        """So that the dispatcher can tell an entry whose index values are out of date."""
        layout = layout_of(**PATHS)
        decoder = WatchDecoder(layout, LIMIT)
        assert decoder.layout is layout
        assert next(decoder.feed(line_of("ADDED", pod()))).layout is layout


# -- lists --------------------------------------------------------------------------------------------------------


def pod_list(items: Iterable[bytes], version: str = "90", token: str = "") -> bytes:
    """Write a list as servers write those of built-in kinds."""
    more = b',"continue":"%s"' % token.encode() if token else b""
    metadata = b'{"resourceVersion":"%s"%s}' % (version.encode(), more)
    return b'{"kind":"PodList","apiVersion":"v1","metadata":%s,"items":[%s]}\n' % (metadata, b",".join(items))


def widget_list(items: Iterable[bytes], version: str = "90", token: str = "", kind: str = "WidgetList") -> bytes:
    """Write a list as servers write those of custom resources: keys sorted, the items before kind and metadata."""
    metadata = dump({"continue": token, "resourceVersion": version})
    tail = b'],"kind":"%s","metadata":%s}\n' % (kind.encode(), metadata)
    return b'{"apiVersion":"example.com/v1","items":[' + b",".join(items) + tail


def pretty_list(items: Iterable[bytes], version: str = "90", token: str = "") -> bytes:
    body = json.loads(pod_list(items, version, token))
    return json.dumps(body, indent=2, ensure_ascii=False).encode()


def spaced_list(items: Iterable[bytes], version: str = "90", token: str = "") -> bytes:
    """Write a list with white space around its items."""
    metadata = dump({"resourceVersion": version, "continue": token})
    body = b'{"kind": "PodList", "apiVersion": "v1", "metadata": %s, "items" : [ %s ] }'
    return body % (metadata, b" ,\n  ".join(items))


def metadata_last(items: Iterable[bytes], version: str = "90", token: str = "") -> bytes:
    """Write a list with white space, the items first."""
    metadata = dump({"resourceVersion": version, "continue": token})
    return b'{\n"items": [\n%s\n],\n"kind": "PodList", "metadata": %s}' % (b",\n".join(items), metadata)


@st.composite
def raw_items(draw: st.DrawFn) -> list[bytes]:
    """Make items that mostly begin alike, as a server's do."""
    raws = draw(st.lists(written(objects | objects | objects | broken_objects), max_size=8))
    if draw(st.booleans()):
        return [dump(json.loads(raw)) for raw in raws]
    return raws


@dataclass(frozen=True)
class OddList:
    """A list in a layout that is nobody's, and its items as they stand in it."""

    body: bytes
    items: list[bytes]


spaces = st.text(" \t\r\n", max_size=3).map(str.encode)
odd_items = (
    written(objects)
    | written(broken_objects)
    | st.sampled_from([b"null", b"5", b"-1.5e3", b'"},{"', b"[{},[]]", b"true"])
)
odd_fields = st.lists(
    st.tuples(
        st.sampled_from(["extra", "Items", "item", 'x"items', "statistics"]),
        values | st.sampled_from([{"items": [pod("inner")]}, [[{"items": []}]], '"items":[{', "items"]),
    ),
    max_size=3,
    unique_by=lambda pair: pair[0],
)


@st.composite
def odd_lists(draw: st.DrawFn) -> OddList:
    """Make a list with its fields in any order, unknown ones among them, and white space wherever it may be."""
    items = draw(st.lists(odd_items, max_size=8))
    between = draw(st.lists(spaces, min_size=2 * len(items) + 1, max_size=2 * len(items) + 1))
    array = b"[" + between[0]
    for number, item in enumerate(items):
        array += (b"," if number else b"") + between[2 * number + 1] + item + between[2 * number + 2]
    fields = [("kind", b'"PodList"'), ("metadata", b'{"resourceVersion": "90"}'), ("items", array + b"]")]
    fields += [(name, dump(value)) for name, value in draw(odd_fields)]
    body = b""
    for name, value in draw(st.permutations(fields)):
        parts = [dump(name), b":", value]
        body += (b"," if body else b"") + b"".join(draw(spaces) + part + draw(spaces) for part in parts)
    return OddList(draw(spaces) + b"{" + body + b"}" + draw(spaces), items)


class TestListDecoder:
    """Pages of a LIST."""

    @given(
        odd=odd_lists(),
        at=splits,
        patience=st.sampled_from([1, 100, 1000, 1 << 16]),
        counted=st.sampled_from([1, 50, 1 << 15]),
    )
    @settings(deadline=None, max_examples=400)
    def test_g14_any_layout_in_any_split_gives_what_json_says(
        self, odd: OddList, at: list[int], patience: int, counted: int
    ) -> None:
        """Whether boundaries are guessed or brackets counted, in slices of any size."""
        assert json.loads(odd.body)["items"] == list(map(json.loads, odd.items))
        layout = layout_of(**PATHS)
        found = [expected_delta(UPSERT, raw, json.loads(raw), layout) for raw in odd.items]
        expected = Seen([delta for delta in found if delta], unreadable=found.count(None))
        with mock.patch.multiple(listing, _PATIENCE=patience, _COUNTED=counted):
            assert read_list(cut(odd.body, at=at), layout) == (expected, "90", "")
            assert read_list(cut(odd.body, at=range(len(odd.body))), layout)[0] == expected
            assert read_list(odd.body, layout)[0] == expected

    @pytest.mark.parametrize("write", [pretty_list, spaced_list, metadata_last])
    def test_g12_an_odd_layout_streams_like_any_other(self, write: Any) -> None:
        """Items come as their bytes do, in bounded batches; nothing is left to the end, and nothing is kept."""
        items = [dump(pod(f"p{number}", data="x" * 1000)) for number in range(2000)]
        data, decoder = write(items), ListDecoder(layout_of(), LIMIT)
        seen = 0
        for number, chunk in enumerate(cut(data, at=range(0, len(data), 1 << 16))):
            batches = list(decoder.feed(chunk))
            assert max((len(batch.deltas) for batch in batches), default=0) <= BATCH_EVENTS
            seen += sum(len(batch.deltas) for batch in batches)
            assert seen >= len(items) * (number - 2) * (1 << 16) // len(data)
        rest = sum(len(batch.deltas) for batch in decoder.flush())
        assert seen + rest == len(items)
        assert rest < 100

    def test_g12_brackets_are_counted_in_slices(self) -> None:
        """A huge item that no guess can end makes pauses, and is not read anew with each chunk."""
        big = dump(pod("big", manifests=[{"metadata": {"name": "x"}}] * 200_000))
        data = pod_list([dump(pod("a")), big, dump({"kind": "Pod", **pod("b")})])
        decoder, pauses, keys = ListDecoder(layout_of(), 1 << 24), 0, list[str]()
        counted = 0

        def count(_frame: FrameType, event: str, argument: Any) -> None:
            nonlocal counted
            counted += event == "c_call" and argument.__name__ == "end"

        sys.setprofile(count)
        try:
            for batch in itertools.chain(
                *(decoder.feed(chunk) for chunk in cut(data, at=range(0, len(data), 1 << 17))), decoder.flush()
            ):
                pauses += not batch.deltas
                keys += [key for _, key, _ in batch.deltas]
        finally:
            sys.setprofile(None)
        assert keys == ["prod/a", "prod/big", "prod/b"]
        assert pauses > len(big) // (1 << 16)
        assert counted < 5_000_000

    @pytest.mark.parametrize("between", [b" ", b"", b",,", b";", b"]", b"}", b",}", b":", b'"'])
    @pytest.mark.parametrize("step", [1, 10_000])
    def test_what_stands_between_items_must_be_a_comma(self, between: bytes, step: int) -> None:
        """Counting brackets proves nothing: the rest has to be JSON too."""
        data = pod_list([b'{"kind":"Pod",' + dump(pod("a"))[1:] + between + dump(pod("b")), dump(pod("c"))])
        with pytest.raises(ResponseError, match="cut or no list"):
            read_list(cut(data, at=range(0, len(data), step)))

    @pytest.mark.parametrize(
        "items",
        [b"[,{}]", b"[{},]", b"[{}", b"[{]}]", b'[{"a":}]', b'[{"a" 1}]', b"[nul]", b"[1 2]", b"[}", b'["a]', b"[[}]"],
    )
    @pytest.mark.parametrize("step", [1, 10_000])
    def test_items_that_are_no_json_end_the_list(self, items: bytes, step: int) -> None:
        """An item that is lost would be taken for deleted."""
        data = b'{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":%s}' % items
        with pytest.raises(ResponseError, match="cut or no list"):
            read_list(cut(data, at=range(0, len(data), step)))

    @pytest.mark.parametrize(
        "body",
        [
            b'{"kind":"PodList","items":[{"metadata":{"name":"a"}}],"items":[]}',
            b'{"kind":"PodList","items":[{"metadata":{"name":"a"}}],"items":null}',
            b'{"kind":"PodList","items":[],"\\u0069tems":[{"metadata":{"name":"a"}}]}',
            b'{"kind":"PodList","\\u0069tems":[{"metadata":{"name":"a"}}]}',
        ],
    )
    def test_a_list_whose_items_are_not_certain_is_refused(self, body: bytes) -> None:
        """No server writes them twice, or their name with escapes."""
        for step in (1, 1000):
            with pytest.raises(ResponseError, match="has items twice"):
                read_list(cut(body, at=range(0, len(body), step)))

    @pytest.mark.parametrize("write", [pod_list, widget_list, spaced_list])
    @pytest.mark.parametrize("position", [0, 1, 2])
    @pytest.mark.parametrize("first", [b'"metadata":', b'"apiVersion":"v1","metadata":'])
    def test_the_largest_item_is_as_large_as_the_limit(self, write: Any, position: int, first: bytes) -> None:
        """To the byte, wherever it stands, whether its end is guessed or counted."""
        item = b"{" + first + dump(pod("big", data="x" * 5000)).removeprefix(b'{"metadata":')
        items = [dump(pod("a")), dump(pod("b"))]
        items.insert(position, item)
        data = write(items)
        for step in (1, 100, 1 << 16):
            for limit in (len(item), len(item) - 1):
                decoder = ListDecoder(layout_of(), limit)
                chunks = cut(data, at=range(0, len(data), step))
                if limit == len(item):
                    assert len(Seen().feed(decoder, chunks).take(decoder.flush()).deltas) == 3
                    continue
                with pytest.raises(ResponseError, match=f"max_object_bytes={limit}"):
                    Seen().feed(decoder, chunks).take(decoder.flush())

    @pytest.mark.parametrize("body", [b'{"kind":"', b'{"x":[1,', b'{"items":[{}', b"<html>", b"{}"])
    @pytest.mark.parametrize("more", [b"x" * 100, b" " * 100, b"{" * 100, b"1," * 50])
    def test_g8_whatever_never_ends_is_refused_before_it_is_all_kept(self, body: bytes, more: bytes) -> None:
        """Also around the items, and between them."""
        decoder = ListDecoder(layout_of(), 1000)
        with pytest.raises(ResponseError, match=r"max_object_bytes=1000|cut or no list"):
            Seen().feed(decoder, [body, *[more] * 50])

    @given(
        items=raw_items(),
        at=splits,
        write=st.sampled_from([pod_list, widget_list]),
        paths=st.sampled_from(INDEX_PATH_COUNTS),
    )
    @settings(deadline=None, max_examples=300)
    def test_g14_any_split_gives_what_json_says(
        self, items: list[bytes], at: list[int], write: Any, paths: dict[str, str]
    ) -> None:
        """Any items in both envelopes that servers have: deltas and counts equal the oracle's."""
        layout = layout_of(**paths)
        data = write(items)
        assert json.loads(data)["items"] == list(map(json.loads, items))
        found = [expected_delta(UPSERT, raw, json.loads(raw), layout) for raw in items]
        expected = Seen([delta for delta in found if delta], unreadable=found.count(None))
        assert read_list(cut(data, at=at), layout) == (expected, "90", "")
        assert read_list(data, layout)[0] == expected

    @pytest.mark.parametrize("write", [pod_list, widget_list, pretty_list])
    @pytest.mark.parametrize("count", [0, 1, 2, 300])
    def test_any_number_of_items_in_any_layout(self, write: Any, count: int) -> None:
        """Byte by byte, in chunks and at once; the page token and the version come with them."""
        items = [dump(pod(f"p{number}", label="ü")) for number in range(count)]
        data = write(items, "77", "token")
        for step in (1 if count < 3 else 997, 5000, len(data)):
            seen, version, token = read_list(cut(data, at=range(0, len(data), step)))
            assert [key for _, key, _ in seen.deltas] == [f"prod/p{number}" for number in range(count)]
            assert (version, token) == ("77", "token")
            assert write is pretty_list or [delta[2] for delta in seen.deltas] == [kept(raw) for raw in items]

    @pytest.mark.parametrize("items", ["null", "[]", None])
    def test_a_list_without_items_is_empty(self, items: str | None) -> None:
        """Null, empty or missing: what Go servers write for no items."""
        more = f',"items":{items}' if items else ""
        body = f'{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"5"}}{more}}}'
        assert read_list(body.encode()) == (Seen(), "5", "")

    def test_items_arrive_before_the_body_is_whole(self) -> None:
        """A page is not kept: each chunk gives the items that it completes."""
        items = [dump(pod(f"p{number}")) for number in range(50)]
        decoder = ListDecoder(layout_of(), LIMIT)
        counts = [
            len(Seen().take(decoder.feed(chunk)).deltas) for chunk in cut(pod_list(items), at=range(0, 20_000, 1000))
        ]
        assert sum(counts) == 49
        assert all(counts[1:5])

    def test_g8_batches_are_bounded(self) -> None:
        """However much one chunk holds."""
        items = [dump(pod(f"p{number}")) for number in range(1000)]
        batches = list(ListDecoder(layout_of(), LIMIT).feed(pod_list(items)))
        assert max(len(batch.deltas) for batch in batches) == BATCH_EVENTS

    def test_look_alikes_of_the_boundary_are_part_of_their_item(self) -> None:
        """In texts, in nested lists, and right before a real boundary."""
        inner = [pod("inner"), pod("inner")]
        items = [
            dump(pod("a", note='}},{"metadata":{"name":"x"}},{"metadata":')),
            dump(pod("b", manifests=inner, tail=[{"metadata": {}}, {"metadata": {}}])),
            dump(pod("c", last=[{}, {"metadata": {"deeper": inner}}])),
            dump(pod("d")),
        ]
        for step in (1, 13, 10_000):
            data = pod_list(items)
            seen, _, _ = read_list(cut(data, at=range(0, len(data), step)))
            assert [delta[2] for delta in seen.deltas] == [kept(raw) for raw in items]

    def test_g12_an_item_full_of_look_alikes_is_not_tried_at_each(self) -> None:
        """The effort stays linear: few attempts, and the items after it are split again."""
        full = dump(pod("full", manifests=[{"metadata": {"name": "x"}}] * 5000))
        items = [dump(pod("a")), full, *(dump(pod(f"p{number}")) for number in range(3000))]
        attempts = 0

        def count(_frame: FrameType, event: str, argument: Any) -> None:
            nonlocal attempts
            attempts += event == "c_call" and argument.__name__ == "decode"

        decoder = ListDecoder(layout_of(), LIMIT)
        chunks = list(cut(pod_list(items), at=range(0, 10**6, 30_000)))
        seen = Seen()
        sys.setprofile(count)
        try:
            seen.feed(decoder, chunks)
        finally:
            sys.setprofile(None)
        assert attempts < len(items) + 100
        assert len(seen.deltas) == len(items) - 1
        assert seen.deltas[1] == (UPSERT, "prod/full", (full, "uid-full", "7", ("prod",)))

    def test_items_that_begin_differently_are_all_found(self) -> None:
        """Only the first item's beginning marks a boundary; what it does not split is decoded at the end."""
        items = [
            dump({"kind": "Pod", **pod("a")}),
            dump(pod("b")),
            dump({"kind": "Pod", **pod("c")}),
            dump({"spec": None, **pod("d")}),
            dump({"kind": "Pod", **pod("e")}),
        ]
        for write in (pod_list, widget_list):
            data = write(items)
            for step in (1, 50, 10_000):
                seen, _, _ = read_list(cut(data, at=range(0, len(data), step)))
                assert [delta[2] for delta in seen.deltas] == [kept(raw) for raw in items]

    def test_a_list_inside_the_envelope_is_not_the_items(self) -> None:
        """Another field's ``items``, before the list's own."""
        body = b'{"kind":"PodList","extra":{"items":[{"metadata":{"name":"x"}},{"metadata":{"name":"y"}}]},"items":['
        seen, _, _ = read_list([body, dump(pod("a")) + b"," + dump(pod("b")) + b'],"x\\"items":[]}'])
        assert [key for _, key, _ in seen.deltas] == ["prod/a", "prod/b"]
        odd = b'{"x\\"items":[{"metadata":{"name":"x"}},{"metadata":{"name":"y"}}],"kind":"PodList","items":[]}'
        assert read_list(odd)[0] == Seen()

    def test_g11_items_without_a_name_are_counted_and_passed(self) -> None:
        """First, in the middle and last; the list is whole nevertheless."""
        good = [dump(pod(name)) for name in "abc"]
        for bad in (b"{}", b'{"metadata":null,"spec":{}}', b"null", b"5", b'{"metadata":{"namespace":"prod"}}'):
            seen, _, _ = read_list(pod_list([bad, good[0], bad, good[1], good[2], bad]))
            assert [key for _, key, _ in seen.deltas] == ["prod/a", "prod/b", "prod/c"]
            assert (seen.unreadable, seen.lost) == (3, 0)  # a list is whole: what it did not name is not there

    @pytest.mark.parametrize("position", [0, 1, 3])
    @pytest.mark.parametrize("place", [b'"spec":{"note":"\xff"}', b'"spec":{"nodeName":"\xff"}'])
    def test_g11_an_item_that_is_no_utf8_is_rejected_with_its_key(self, position: int, place: bytes) -> None:
        """Wherever it stands; the other items come through."""
        items = [dump(pod(name)) for name in "abc"]
        items.insert(position, b'{"metadata":{"namespace":"prod","name":"bad"},%s}' % place)
        seen, _, _ = read_list(pod_list(items))
        assert seen.deltas.pop(position) == (REJECT, "prod/bad", "UnicodeDecodeError")
        assert [delta[2] for delta in seen.deltas] == [kept(dump(pod(name))) for name in "abc"]

    @pytest.mark.parametrize("position", [0, 1, 3])
    @pytest.mark.parametrize("step", [5000, 1 << 20])
    def test_g11_an_item_nested_too_deeply_is_rejected_with_its_key(self, position: int, step: int) -> None:
        """Wherever it stands; the other items come through."""
        items = [dump(pod(name)) for name in "abc"]
        deep = b'{"metadata":{"name":"deep"},"x":' + b'{"y":[' * TOO_DEEP + b"1" + b"]}" * TOO_DEEP + b"}"
        items.insert(position, deep)
        data = pod_list(items)
        seen, version, _ = read_list(cut(data, at=range(0, len(data), step)))
        assert seen.deltas.pop(position) == (REJECT, "deep", "nested too deeply")
        assert [delta[2] for delta in seen.deltas] == [kept(dump(pod(name))) for name in "abc"]
        assert version == "90"

    def test_g11_what_the_users_type_refuses_is_rejected_with_its_key(self) -> None:
        """In a list as in a watch."""
        items = [dump(pod("a")), dump(pod("bad", node=None)), dump(pod("c"))]
        seen, _, _ = read_list(pod_list(items), layout_of(Pod))
        assert [(operation, key) for operation, key, _ in seen.deltas] == [
            (UPSERT, "prod/a"),
            (REJECT, "prod/bad"),
            (UPSERT, "prod/c"),
        ]
        assert seen.deltas[0][2][0] == Pod(PodSpec("n1"))  # and the bytes are dropped

    @pytest.mark.parametrize("write", [pod_list, widget_list, pretty_list])
    def test_a_body_cut_anywhere_is_no_list(self, write: Any) -> None:
        """HTTP/1.0 cannot tell a broken connection from an end: the JSON must prove that the list is whole."""
        data = write([dump(pod(name)) for name in "abc"]).rstrip()
        for end in range(0, len(data), 1 if write is not pretty_list else 17):
            with pytest.raises(ResponseError, match="cut or no list"):
                read_list(data[:end])

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (b'{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[{}],"metadata":{}}', "expected a list, got Table"),
            (b'{"kind":"Status","status":"Failure"}', "expected a list, got Status"),
            (b'{"kind":"Pod","metadata":{"name":"a"}}', "expected a list, got Pod"),
            (b"{}", "got an object without kind"),
            (b'{"items":[{"metadata":{"name":"a"}}]}', "got an object without kind"),
            (b"<html>secret</html>", "cut or no list: DecodeError"),
            (b"[]", "Expected `object`, got `array`"),
            (b"", "cut or no list"),
            (b'{"kind":"PodList","items":{}}', "Expected `array"),
            (b"[" * TOO_DEEP, "cut or no list"),
            (b'{"kind":"\xffList","items":[]}', "cut or no list: UnicodeDecodeError"),
        ],
    )
    def test_what_is_no_list_is_refused(self, body: bytes, problem: str) -> None:
        """An empty cache must never come from an answer that is not understood."""
        with pytest.raises(ResponseError) as caught:
            read_list(body)
        assert problem in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_a_custom_resource_may_name_its_list_as_it_likes(self) -> None:
        """``spec.names.listKind`` is any text; what has items is a list."""
        seen, _, _ = read_list(widget_list([dump(pod("a")), dump(pod("b"))], kind="Widgets"))
        assert [key for _, key, _ in seen.deltas] == ["prod/a", "prod/b"]
        assert read_list(b'{"kind":"Widgets","items":null}')[0] == Seen()

    def test_the_head_names_kind_version_and_token(self) -> None:
        """Without the items."""
        decoder = ListDecoder(layout_of(), LIMIT)
        assert list(decoder.feed(pod_list([dump(pod())], "77", "next"))) == []
        (batch,) = decoder.flush()
        head = decoder.finish()
        assert (head.kind, head.api_version) == ("PodList", "v1")
        assert (head.metadata.resourceVersion, head.metadata.next) == ("77", "next")
        assert batch.version == ""  # items are in the order of keys: none of them tells the list's version

    def test_pages_follow_each_other_with_a_decoder_each(self) -> None:
        """As the reflector reads them."""
        names = [f"p{number}" for number in range(10)]
        pages = [names[:4], names[4:8], names[8:]]
        seen, tokens = Seen(), []
        for number, page in enumerate(pages):
            token = f"t{number}" if number < 2 else ""
            found, version, following = read_list(pod_list([dump(pod(name)) for name in page], "5", token))
            seen.deltas += found.deltas
            tokens.append(following)
            assert version == "5"
        assert [key for _, key, _ in seen.deltas] == [f"prod/{name}" for name in names]
        assert tokens == ["t0", "t1", ""]

    @pytest.mark.parametrize("write", [pod_list, widget_list, pretty_list])
    @pytest.mark.parametrize("step", [100, 10_000])
    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_an_item_beyond_the_limit_is_refused(self, write: Any, step: int, position: int) -> None:
        """In any layout and any split, wherever it stands; a page may be as large as it likes."""
        items = [dump(pod(name, data="x" * 700)) for name in "abc"]
        items.insert(position, dump(pod("big", data="x" * 5000)))
        data = write(items)
        decoder = ListDecoder(layout_of(), 1000)
        with pytest.raises(ResponseError, match="one item of the list is larger than max_object_bytes=1000"):
            Seen().feed(decoder, cut(data, at=range(0, len(data), step))).take(decoder.flush())

    def test_g8_an_item_that_never_ends_is_refused_before_it_is_all_kept(self) -> None:
        """Once the body has been seen to come in items."""
        decoder = ListDecoder(layout_of(), 1000)
        start = pod_list([dump(pod("a")), dump(pod("b"))])[:-40]
        with pytest.raises(ResponseError, match="max_object_bytes=1000"):
            Seen().feed(decoder, [start, *[b"x" * 100] * 20])

    def test_an_object_kept_keeps_no_page_alive(self) -> None:
        """One entry of a page of megabytes costs its own size."""
        tracemalloc.start()
        try:
            for write in (pod_list, widget_list, pretty_list):
                self._one_entry_of_a_big_page(write)  # what is made at a first call is no part of it
                gc.collect()
                before, _ = tracemalloc.get_traced_memory()
                entry = self._one_entry_of_a_big_page(write)
                gc.collect()
                after, _ = tracemalloc.get_traced_memory()
                assert len(entry.body) < 1000
                assert after - before < 100_000
        finally:
            tracemalloc.stop()

    @staticmethod
    def _one_entry_of_a_big_page(write: Any) -> Entry:
        items = [dump(pod(f"p{number}", data="x" * 20_000 if number % 2 else "")) for number in range(100)]
        decoder = ListDecoder(layout_of(**PATHS), LIMIT)
        deltas = [delta for chunk in cut(write(items), at=range(0, 2 << 20, 1 << 16)) for batch in decoder.feed(chunk)
                  for delta in batch.deltas]  # fmt: skip
        deltas += [delta for batch in decoder.flush() for delta in batch.deltas]
        assert len(deltas) == 100
        entry = deltas[50][2]
        assert isinstance(entry, Entry)
        return entry

    @pytest.mark.parametrize("shared", [False, True])
    def test_items_know_their_kind_from_the_first_one_on(self, shared: bool) -> None:
        """They lack it in the body; index functions and shared objects see it nevertheless."""
        kinds: list[str] = []

        def kind_index(document: dict[str, Any]) -> list[str]:
            kinds.append(f"{document['apiVersion']} {document['kind']}")
            return [document["kind"]]

        layout = Layout(object_type_of(dict, shared=shared), (), {"kind": kind_index})
        decoder = ListDecoder(layout, LIMIT)
        deltas = [delta for batch in decoder.feed(pod_list([dump(pod("a")), dump(pod("b"))])) for delta in batch.deltas]
        deltas += [delta for batch in decoder.flush() for delta in batch.deltas]
        assert kinds == ["v1 Pod", "v1 Pod"]
        assert [layout.object_type.decode(entry.body)["kind"] for _, _, entry in deltas] == ["Pod", "Pod"]


@pytest.mark.parametrize("python_type", [dict, Pod])
def test_what_the_store_has_is_not_made_again(python_type: Any) -> None:
    """Neither transformed nor decoded; a change and a deletion are, and so is everything once nothing can be stored."""
    transformed: list[str] = []

    def transform(obj: Any) -> Any:
        transformed.append(obj["metadata"]["name"] if isinstance(obj, dict) else obj.spec.nodeName)
        return obj

    def is_stored(key: str, uid: str, version: str) -> bool:
        return (key, uid, version) == ("prod/a", "uid-a", "7")

    layout = Layout(object_type_of(python_type), [transform], PATHS)
    decoder = ListDecoder(layout, LIMIT)
    decoder.is_stored = is_stored
    items = [dump(pod(name, node=name)) for name in ("a", "b")]
    batches = itertools.chain(decoder.feed(pod_list(items)), decoder.flush())
    deltas = [delta for batch in batches for delta in batch.deltas]
    assert deltas[0] == (UPSERT, "prod/a", Entry(None, "uid-a", "7", ()))
    assert (deltas[1][1], deltas[1][2].index[:2]) == ("prod/b", ("prod", "b"))
    assert transformed == ["b"]

    watched = WatchDecoder(layout, LIMIT)
    watched.is_stored = is_stored
    lines = (
        line_of("ADDED", pod("a"))
        + line_of("MODIFIED", pod("a", "8", node="a"))
        + line_of("DELETED", pod("a", node="a"))
    )
    deltas = [delta for batch in watched.feed(lines) for delta in batch.deltas]
    assert [delta[2].body is None for delta in deltas] == [True, False, False]
    watched.is_stored = None
    assert next(watched.feed(line_of("ADDED", pod("a", node="a")))).deltas[0][2].body is not None
    assert transformed == ["b", "a", "a", "a"]


# -- failures -----------------------------------------------------------------------------------------------------


class TestStatusError:
    """Failures of a server, or of something between, as exceptions."""

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(401, UnauthorizedError), (403, ForbiddenError), (410, GoneError), (422, BadRequestError),
         (429, ServerBusyError), (503, ServerBusyError), (500, ApiStatusError), (418, ApiStatusError)],
    )  # fmt: skip
    def test_the_class_follows_the_status(self, status: int, kind: type[ApiStatusError]) -> None:
        """Of the response, or of the body where that has a code."""
        body = dump({"kind": "Status", "message": "words", "reason": "Why"})
        for error in (status_error(body, status), status_error(dump({"code": status, "message": "words"}), 200)):
            assert type(error) is kind
            assert (error.status, error.message) == (status, "words")

    @pytest.mark.parametrize(
        "body",
        [
            {"code": 504, "reason": "Timeout", "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}},
            {"code": 504, "reason": "Timeout", "details": {"causes": [{"message": "Too large resource version"}]}},
            {"code": 504, "reason": "Timeout", "message": "Timeout: Too large resource version: 9, current: 5"},
        ],
    )
    def test_a_version_too_large_is_told_in_three_forms(self, body: dict[str, Any]) -> None:
        """Servers of all ages become one cause."""
        assert "ResourceVersionTooLarge" in status_error(dump(body)).causes

    @pytest.mark.parametrize(
        "body",
        [{}, {"message": "Timeout"}, {"details": None}, {"details": {"causes": None}}, {"details": {"causes": [{}]}}],
    )
    def test_other_failures_are_no_version_too_large(self, body: dict[str, Any]) -> None:
        """Nor do their gaps break anything."""
        assert "ResourceVersionTooLarge" not in status_error(dump(body), 504).causes

    def test_the_header_says_when_to_retry_before_the_body_does(self) -> None:
        """Seconds of ``Retry-After``, else of the body, else none."""
        body = dump({"code": 429, "details": {"retryAfterSeconds": 3}})
        assert status_error(body, 429, 7.0).retry_after == 7.0
        assert status_error(body, 429).retry_after == 3.0
        assert status_error(body, 429, 0.0).retry_after == 0.0
        assert status_error(dump({"code": 429}), 429).retry_after is None

    @pytest.mark.parametrize(
        "body", [b"<html>token=hunter2</html>", b"", b"null", b"[]", b'"x"', b'{"message":"\xff"}', b"[" * TOO_DEEP]
    )
    def test_a_body_that_is_no_status_is_not_quoted(self, body: bytes) -> None:
        """A proxy's page tells the status only (G16)."""
        error = status_error(body, 502, 4.0)
        assert (error.status, error.reason, error.retry_after) == (502, "", 4.0)
        assert str(error) == "502: the answer is no Kubernetes Status"

    def test_numbers_written_as_texts_are_understood(self) -> None:
        """Not every aggregated API server is written in Go."""
        error = status_error(b'{"code":"410","reason":"Gone","details":{"retryAfterSeconds":"2"}}')
        assert isinstance(error, GoneError)
        assert error.retry_after == 2.0
