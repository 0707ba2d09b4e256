"""Framing and decoding of watch streams, compared with ``json.loads``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers.errors import ApiStatusError, GoneError, ResponseError
from aioinformers.listwatch.wire import WatchDecoder, damage
from aioinformers.objects.deltas import BATCH_BYTES, BATCH_EVENTS, DELETE, REJECT, UPSERT
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import object_type_of
from tests.listwatch.decoding import (
    BROKEN,
    INDEX_PATH_COUNTS,
    LIMIT,
    PATHS,
    TOO_DEEP,
    Pod,
    Seen,
    broken_objects,
    cut,
    dump,
    expected_delta,
    kept,
    layout_of,
    objects,
    pod,
    splits,
    written,
)

OPERATIONS = {"ADDED": UPSERT, "MODIFIED": UPSERT, "DELETED": DELETE}


def line_of(kind: str, document: object) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), dump(document))


def bookmark(version: str, annotations: object = None) -> bytes:
    metadata = {"resourceVersion": version, "creationTimestamp": None}
    if annotations is not None:
        metadata["annotations"] = annotations  # type: ignore[assignment]  # odd ones are tested too
    return line_of("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": metadata})


END = bookmark("90", {"k8s.io/initial-events-end": "true"})


def watch(data: bytes | Iterable[bytes], layout: Layout[Any] | None = None) -> Seen:
    decoder = WatchDecoder(layout or layout_of(**PATHS), LIMIT)
    return Seen().feed(decoder, (data,) if isinstance(data, bytes) else data)


# -- an oracle that knows nothing of framing, typed passes and slices ---------------------------------------------


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

    @pytest.mark.parametrize("python_type", [dict, Pod])
    @pytest.mark.parametrize(("event", "expected"), [("ADDED", REJECT), ("MODIFIED", REJECT), ("DELETED", DELETE)])
    @pytest.mark.parametrize("broken", BROKEN)
    def test_g11_an_object_that_is_no_json_is_rejected_with_its_key(
        self, broken: str, event: str, expected: int, python_type: Any
    ) -> None:
        """Not the stream: nothing of it is lost, and a list would bring the same."""
        member, reason = BROKEN[broken]
        raw = b'{"metadata":{"namespace":"prod","name":"bad","resourceVersion":"8"},%s}' % member
        for line in (b'{"type":"%s","object":%s}\n', b'{"type" : "%s" , "object" : %s }\r\n'):
            data = line_of("ADDED", pod("a")) + line % (event.encode(), raw) + line_of("ADDED", pod("b", ""))
            seen = watch(data, layout_of(python_type))
            assert [delta[:2] for delta in seen.deltas] == [
                (UPSERT, "prod/a"),
                (expected, "prod/bad"),
                (UPSERT, "prod/b"),
            ]
            assert seen.deltas[1][2] is None if expected == DELETE else seen.deltas[1][2].startswith(reason)
            assert (seen.version, seen.unreadable, seen.lost) == ("8", 0, 0)

    @pytest.mark.parametrize("broken", BROKEN)
    @pytest.mark.parametrize("event", ["BOOKMARK", "ERROR", "PAUSED"])
    def test_what_is_no_json_and_no_event_of_an_object_is_lost(self, event: str, broken: str) -> None:
        raw = b'{"metadata":{"name":"bad","resourceVersion":"8"},%s}' % BROKEN[broken][0]
        seen = watch(b'{"type":"%s","object":%s}\n' % (event.encode(), raw))
        assert (seen.deltas, seen.version, seen.unreadable, seen.lost) == ([], "", 1, 1)

    @pytest.mark.parametrize("paths", INDEX_PATH_COUNTS)
    @pytest.mark.parametrize("node", [b"1e999", b"9" * 5000, b"[" * 900 + b"]" * 900, b'{"a":1e999}'])
    def test_g11_an_odd_value_at_the_end_of_a_path_is_one_objects(self, node: bytes, paths: dict[str, str]) -> None:
        """With an index on it or without: the object is there, and nothing is lost."""
        raw = dump(pod("odd")).replace(b'"n1"', node)
        seen = watch(b'{"type":"ADDED","object":%s}\n' % raw, layout_of(**paths))
        assert [delta[:2] for delta in seen.deltas] == [(UPSERT, "prod/odd")]
        assert (seen.unreadable, seen.lost) == (0, 0)

    def test_g12_an_object_that_no_decoder_reads_makes_pauses(self) -> None:
        """Empty batches, in which others may run; after each, so that many short ones do not add up."""
        many = b"".join(b'{"type":"ADDED","object":{"metadata":{"name":"b%d"},\\}}\n' % number for number in range(50))
        sizes = [len(batch.deltas) for batch in WatchDecoder(layout_of(), LIMIT).feed(many)]
        assert sizes == [1] * 50
        deep = b'{"x":%s,"metadata":{"name":"deep"}}' % (b"[" * 10 * TOO_DEEP + b"]" * 10 * TOO_DEEP)
        batches = list(WatchDecoder(layout_of(), LIMIT).feed(b'{"type":"ADDED","object":%s}\n' % deep))
        assert [delta for batch in batches for delta in batch.deltas] == [(REJECT, "deep", "nested too deeply")]
        assert len(batches) > 20

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

    @pytest.mark.parametrize("version", ["null", '""'])
    def test_a_bookmark_without_a_version_is_one_nevertheless(self, version: str) -> None:
        data = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":%s,"annotations":null}}}\n'
        seen = watch(data % version.encode())
        assert (seen.bookmarks, seen.unreadable, seen.lost) == (1, 0, 0)

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
        assert caught.value.__suppress_context__  # the error before it is how the typed pass refused the line

    @pytest.mark.parametrize("status", [None, [], "x", {"message": 5}])
    def test_an_error_event_without_a_status_is_an_error_nevertheless(self, status: object) -> None:
        """As a server error."""
        with pytest.raises(ApiStatusError, match="500: the answer is not a Kubernetes Status"):
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


@pytest.mark.parametrize("python_type", [dict, Pod])
def test_what_the_store_has_is_not_made_again_unless_it_is_deleted(python_type: Any) -> None:
    """Neither transformed nor decoded; a change and a deletion are, and so is everything once nothing can be stored."""
    transformed: list[Any] = []

    def transform(obj: Any) -> Any:
        transformed.append(obj)
        return obj

    decoder = WatchDecoder(Layout(object_type_of(python_type), [transform], PATHS), LIMIT)
    decoder.is_stored = lambda key, uid, version: (key, uid, version) == ("prod/a", "uid-a", "7")
    lines = line_of("ADDED", pod("a")) + line_of("MODIFIED", pod("a", "8")) + line_of("DELETED", pod("a"))
    deltas = [delta for batch in decoder.feed(lines) for delta in batch.deltas]
    assert [delta[2].body is None for delta in deltas] == [True, False, False]
    assert len(transformed) == 2
    decoder.is_stored = None
    assert next(decoder.feed(line_of("ADDED", pod("a")))).deltas[0][2].body is not None
    assert len(transformed) == 3


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb'{"x":"\ud83d"}', "JSON is malformed: half of a surrogate pair"),
        (rb'{"x":"\q"}', "JSON is malformed: invalid escaped character (byte 7)"),
        (b"[" * 20 * TOO_DEEP + b"]" * 20 * TOO_DEEP, "nested too deeply"),
    ],
)
def test_g16_what_is_wrong_with_an_object_is_said_without_quoting_it(raw: bytes, expected: str) -> None:
    with pytest.raises((msgspec.DecodeError, RecursionError)) as caught:
        msgspec.json.decode(raw, type=msgspec.Raw)
    assert damage(caught.value) == expected
