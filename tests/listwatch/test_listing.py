"""Framing and decoding of list bodies, compared with ``json.loads``."""

from __future__ import annotations

import gc
import itertools
import json
import sys
import tracemalloc
from collections.abc import Iterable
from dataclasses import dataclass
from types import FrameType
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers.errors import ResponseError
from aioinformers.listwatch import brackets, listing
from aioinformers.listwatch.listing import ListDecoder
from aioinformers.objects.deltas import BATCH_EVENTS, REJECT, UPSERT
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from tests.listwatch.decoding import (
    BROKEN,
    INDEX_PATH_COUNTS,
    LIMIT,
    PATHS,
    TOO_DEEP,
    Pod,
    PodSpec,
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
    values,
    written,
)


def read_list(data: bytes | Iterable[bytes], layout: Layout[Any] | None = None) -> tuple[Seen, str, str]:
    """Return what a list tells, its resourceVersion and its page token."""
    decoder = ListDecoder(layout or layout_of(**PATHS), LIMIT)
    seen = Seen().feed(decoder, (data,) if isinstance(data, bytes) else data)
    seen.take(decoder.flush())
    head = decoder.finish()
    return seen, head.metadata.resourceVersion, head.metadata.next


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

    @pytest.mark.slow
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
        deltas = [expected_delta(UPSERT, raw, json.loads(raw), layout) for raw in odd.items]
        expected = Seen([delta for delta in deltas if delta], unreadable=deltas.count(None))
        with (
            mock.patch.multiple(listing, _PATIENCE=patience, _COUNTED=counted),
            mock.patch.multiple(brackets, STEP=counted, PLAIN=counted),
        ):
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

    @pytest.mark.slow
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

    @pytest.mark.slow
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
        deltas = [expected_delta(UPSERT, raw, json.loads(raw), layout) for raw in items]
        expected = Seen([delta for delta in deltas if delta], unreadable=deltas.count(None))
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
        """A boundary is guessed by how an item begins; where one begins otherwise, brackets tell its end."""
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

    @pytest.mark.parametrize("write", [pod_list, widget_list, spaced_list])
    @pytest.mark.parametrize("step", [1, 77, 1 << 20])
    @pytest.mark.parametrize("broken", BROKEN)
    def test_g11_an_item_that_is_no_json_is_rejected_with_its_key(self, broken: str, step: int, write: Any) -> None:
        """Wherever it stands; the other items come through, and the list is whole."""
        member, reason = BROKEN[broken]
        bad = b'{"metadata":{"namespace":"prod","name":"bad%d"},%s}'
        items = [dump(pod(name)) for name in "abc"]
        for number, position in enumerate((0, 2, 4)):
            items.insert(position, bad % (number, member))
        data = write(items)
        seen, version, _ = read_list(cut(data, at=range(0, len(data), step)))
        assert (version, seen.unreadable) == ("90", 0)
        assert [delta[2] for delta in seen.deltas if delta[0] == UPSERT] == [kept(dump(pod(name))) for name in "abc"]
        rejected = [delta for delta in seen.deltas if delta[0] == REJECT]
        assert [key for _, key, _ in rejected] == ["prod/bad0", "prod/bad1", "prod/bad2"]
        assert all(why.startswith(reason) for _, _, why in rejected)

    @pytest.mark.parametrize("bad", [rb'{"metadata":{"name":"\q"}}', rb'{"spec":"\q"}', rb'"\q"', b"nul"])
    def test_g5_an_item_that_may_be_any_object_ends_the_list(self, bad: bytes) -> None:
        """It would be taken for deleted."""
        with pytest.raises(ResponseError, match=r"cut or no list: (JSON is malformed|Input data was truncated)"):
            read_list(pod_list([dump(pod("a")), bad, dump(pod("b"))]))

    @pytest.mark.parametrize(
        ("head", "version", "token"),
        [
            (b'"metadata":null', "", ""),
            (b'"metadata":{}', "", ""),
            (b'"metadata":{"resourceVersion":"5","continue":null}', "5", ""),
            (b'"metadata":{"resourceVersion":null,"continue":"t"}', "", "t"),
            (b'"metadata":{"resourceVersion":"5","remainingItemCount":null,"selfLink":null}', "5", ""),
            (b'"metadata":{"resourceVersion":"5","remainingItemCount":1e999}', "5", ""),
            (b'"apiVersion":null,"metadata":{"resourceVersion":"5"},"more":null', "5", ""),
        ],
    )
    @pytest.mark.parametrize("items", [b'"items":[%s]' % dump(pod("a")), b'"items":null', b'"items":[]'])
    def test_g9_a_null_in_the_head_of_a_list_is_an_absent_field(
        self, head: bytes, version: str, token: str, items: bytes
    ) -> None:
        """Servers write it for nothing at all; else such a list would never be read."""
        for body in (b'{"kind":"PodList",%s,%s}' % (head, items), b'{%s,%s,"kind":"PodList"}' % (items, head)):
            seen, *rest = read_list(body)
            assert rest == [version, token]
            assert len(seen.deltas) == items.count(b"uid-a")

    @pytest.mark.parametrize("head", [b'"continue":5', b'"continue":{}', b'"resourceVersion":5', b'"continue":["t"]'])
    def test_g1_a_list_whose_head_cannot_be_understood_is_refused(self, head: bytes) -> None:
        """What is taken for its last page may not be."""
        with pytest.raises(ResponseError, match="Expected `str"):
            read_list(b'{"kind":"PodList","metadata":{%s},"items":[]}' % head)

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
            (b"<html>secret</html>", "cut or no list: JSON is malformed: invalid character (byte 0)"),
            (b"[]", "Expected `object`, got `array`"),
            (b"", "cut or no list"),
            (b'{"kind":"PodList","items":{}}', "Expected `array"),
            (b"[" * TOO_DEEP, "cut or no list"),
            (b'{"kind":"\xffList","items":[]}', "cut or no list: "),  # in other words with each msgspec
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
            page_seen, version, following = read_list(pod_list([dump(pod(name)) for name in page], "5", token))
            seen.deltas += page_seen.deltas
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

    @pytest.mark.slow
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
    """Neither transformed nor decoded."""
    transformed: list[str] = []

    def transform(obj: Any) -> Any:
        transformed.append(obj["metadata"]["name"] if isinstance(obj, dict) else obj.spec.nodeName)
        return obj

    decoder = ListDecoder(Layout(object_type_of(python_type), [transform], PATHS), LIMIT)
    decoder.is_stored = lambda key, uid, version: (key, uid, version) == ("prod/a", "uid-a", "7")
    items = [dump(pod(name, node=name)) for name in ("a", "b")]
    batches = itertools.chain(decoder.feed(pod_list(items)), decoder.flush())
    deltas = [delta for batch in batches for delta in batch.deltas]
    assert deltas[0] == (UPSERT, "prod/a", Entry(None, "uid-a", "7", ()))
    assert (deltas[1][1], deltas[1][2].index[:2]) == ("prod/b", ("prod", "b"))
    assert transformed == ["b"]
