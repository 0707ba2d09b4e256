"""What decoders leave out that are told whose objects are whose, compared with those that read the others alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers.listwatch.listing import ListDecoder, ListHead
from aioinformers.listwatch.screening import ScreeningListDecoder, ScreeningWatchDecoder
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import DELETE, REJECT, UPSERT
from aioinformers.objects.layout import Layout
from aioinformers.objects.ranges import Judge, Share
from aioinformers.objects.shard import Shard, share_of
from tests.listwatch.decoding import (
    LIMIT,
    PATHS,
    TOO_DEEP,
    Pod,
    Seen,
    cut,
    dump,
    layout_of,
    objects,
    pod,
    splits,
    written,
)

EVENTS = st.sampled_from(["ADDED", "MODIFIED", "DELETED"])
TYPES = pytest.mark.parametrize("python_type", [dict, Pod])
SHARES = [share_of(Shard(index, of=2, by=by)) for index in (0, 1) for by in ("uid", "namespace")]


def owns(share: Share, raw: bytes) -> bool:
    metadata = json.loads(raw)["metadata"]
    return share.contains((metadata.get("uid") if share.by == "uid" else metadata.get("namespace")) or "")


class Counted(Seen):
    """Counts what has been left out, too."""

    foreign: int = 0

    def take(self, batches: Iterable[Any]) -> Seen:
        for batch in batches:
            self.foreign += batch.foreign
            super().take([batch])
        return self


def everything(_key: str, _uid: str | None) -> bool:
    return True


def nothing(_key: str, _uid: str | None) -> bool:
    return False


def layout(python_type: Any, transform: Callable[[Any], Any] | None = None) -> Layout[Any]:
    made = layout_of(python_type, **PATHS)
    return Layout(made.object_type, () if transform is None else (transform,), made.indexers)


def watched(data: Iterable[bytes], decoder: WatchDecoder) -> Counted:
    seen = Counted()
    seen.feed(decoder, data)
    return seen


def listed(data: Iterable[bytes], decoder: ListDecoder) -> Counted:
    seen = Counted()
    seen.feed(decoder, data)
    seen.take(decoder.flush())
    decoder.finish()
    return seen


def listed_by(
    data: Iterable[bytes], judge: Judge, selector: str = "s", python_type: Any = dict
) -> tuple[Counted, list[ListHead]]:
    heads: list[ListHead] = []
    decoder = ScreeningListDecoder(layout(python_type), LIMIT, judge, selector, heads.append)
    return listed(data, decoder), heads


# -- the oracle ---------------------------------------------------------------------------------------------------


@TYPES
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(EVENTS, written(objects)), max_size=12), splits, st.sampled_from(SHARES))
def test_of_a_watch_the_owned_events_are_left_and_the_version_of_all(
    python_type: Any, events: list[tuple[str, bytes]], at: list[int], share: Share
) -> None:
    lines = [(b'{"type":"%s","object":%s}\n' % (kind.encode(), raw), owns(share, raw)) for kind, raw in events]
    whole = b"".join(line for line, _ in lines)
    got = watched(cut(whole, at=at), ScreeningWatchDecoder(layout(python_type), LIMIT, share.judge()))
    mine = watched([line for line, is_owned in lines if is_owned], WatchDecoder(layout(python_type), LIMIT))
    all_of_them = watched([whole], WatchDecoder(layout(python_type), LIMIT))
    assert got.deltas == mine.deltas
    assert got.version == all_of_them.version
    assert got.foreign == sum(not is_owned for _, is_owned in lines)
    assert (got.unreadable, got.lost) == (all_of_them.unreadable, all_of_them.lost) == (0, 0)


@TYPES
@settings(max_examples=60, deadline=None)
@given(st.lists(written(objects), max_size=12), splits, st.sampled_from(SHARES))
def test_of_a_list_the_owned_items_are_left(python_type: Any, items: list[bytes], at: list[int], share: Share) -> None:
    def body(some: Iterable[bytes]) -> bytes:
        return b'{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":[%s]}' % b",".join(some)

    got, heads = listed_by(cut(body(items), at=at), share.judge(), python_type=python_type)
    mine = listed([body(raw for raw in items if owns(share, raw))], ListDecoder(layout(python_type), LIMIT))
    assert got.deltas == mine.deltas
    assert got.foreign == len(items) - len(mine.deltas)
    assert [head.metadata.resourceVersion for head in heads] == ["9"]


# -- what is told -------------------------------------------------------------------------------------------------


def test_nothing_is_made_of_what_is_left_out() -> None:
    """No transform sees it, and nothing is validated."""
    seen: list[str] = []

    def note(obj: dict[str, Any]) -> dict[str, Any]:
        seen.append(obj["metadata"]["name"])
        return obj

    lines = [b'{"type":"ADDED","object":%s}\n' % dump(pod(name)) for name in ("a", "b")]
    decoder = ScreeningWatchDecoder(layout(dict, note), LIMIT, lambda key, _: key == "prod/b")
    got = watched(lines, decoder)
    assert [key for _, key, _ in got.deltas] == ["prod/b"]
    assert seen == ["b"]
    refused = b'{"type":"ADDED","object":%s}\n' % dump(pod("c", node=7))
    assert watched([refused], ScreeningWatchDecoder(layout(Pod), LIMIT, nothing)).deltas == []
    assert watched([refused], ScreeningWatchDecoder(layout(Pod), LIMIT, everything)).deltas[0][0] == REJECT


def test_deletions_move_the_version_whosever_they_are() -> None:
    line = b'{"type":"DELETED","object":%s}\n' % dump(pod("a", "41"))
    got = watched([line], ScreeningWatchDecoder(layout(dict), LIMIT, nothing))
    assert (got.deltas, got.version, got.foreign) == ([], "41", 1)
    got = watched([line], ScreeningWatchDecoder(layout(dict), LIMIT, everything))
    assert got.deltas[0][:2] == (DELETE, "prod/a")


def test_batches_of_foreign_events_are_no_larger_than_others() -> None:
    line = b'{"type":"ADDED","object":%s}\n' % dump(pod("a"))
    decoder = ScreeningWatchDecoder(layout(dict), LIMIT, nothing)
    assert max(batch.foreign for batch in decoder.feed(line * 1000)) <= 128


@pytest.mark.parametrize(
    ("member", "judge", "is_kept"),
    [
        (b'"data":NaN', share_of(Shard(0, of=1)).judge(), True),
        (b'"data":NaN', share_of(Shard(0, of=1 << 40)).judge(), True),  # of which only the name could be read
        (b'"data":NaN', Share("namespace", ((0, 1),)).judge(), False),  # the name is enough
        (b'"data":%s' % (b"[" * TOO_DEEP + b"]" * TOO_DEEP), share_of(Shard(0, of=1)).judge(), True),
        (b'"data":"\xff"', Share("uid", ((0, 1),)).judge(), False),  # its uid could be read
        (b'"data":"\xff"', share_of(Shard(0, of=1)).judge(), True),
    ],
)
def test_what_cannot_be_read_is_told_unless_it_is_known_to_be_foreign(
    member: bytes, judge: Judge, is_kept: bool
) -> None:
    raw = dump(pod("a"))[:-1] + b"," + member + b"}"
    line = b'{"type":"ADDED","object":%s}\n' % raw
    got = watched([line], ScreeningWatchDecoder(layout(dict), LIMIT, judge))
    assert [delta[:2] for delta in got.deltas] == [(REJECT, "prod/a")] * is_kept
    assert got.foreign == (not is_kept)
    items, _ = listed_by([b'{"kind":"PodList","metadata":{},"items":[%s]}' % raw], judge)
    assert [delta[:2] for delta in items.deltas] == [(REJECT, "prod/a")] * is_kept


@pytest.mark.parametrize(
    ("head", "rest", "left"),
    [
        (b'"metadata":{"resourceVersion":"9","shardInfo":{"selector":"s"}},', b"", 2),
        (b'"metadata":{"resourceVersion":"9","shardInfo":{"selector":"t"}},', b"", 0),
        (b'"metadata":{"resourceVersion":"9"},', b"", 0),
        (b"", b',"metadata":{"resourceVersion":"9","shardInfo":{"selector":"s"}}', 0),  # too late to be believed
        (b'"metadata":{"shardInfo":"s"},', b"", 0),
        (b'"metadata":{"shardInfo":{"selector":7}},', b"", 0),
    ],
)
def test_a_list_is_believed_that_says_before_its_items_that_it_is_filtered(head: bytes, rest: bytes, left: int) -> None:
    items = b",".join([dump(pod("a")), dump(pod("b"))])
    got, heads = listed_by([b'{"kind":"PodList",%s"items":[%s]%s}' % (head, items, rest)], nothing)
    assert [operation for operation, _, _ in got.deltas] == [UPSERT] * left
    assert got.foreign == 2 - left
    assert (heads[0].metadata.shard == "s") is (b'"selector":"s"' in head + rest)


def test_another_layout_leaves_out_the_same() -> None:
    line = b'{"type":"ADDED","object":%s}\n' % dump(pod("a"))
    decoder = ScreeningWatchDecoder(layout(dict), LIMIT, nothing).for_layout(layout_of(dict))
    assert watched([line], decoder).foreign == 1
    plain = WatchDecoder(layout(dict), LIMIT).for_layout(layout_of(dict))
    assert type(plain) is WatchDecoder
    assert len(watched([line], plain).deltas) == 1
