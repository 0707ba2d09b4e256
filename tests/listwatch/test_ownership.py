"""How far a server is trusted to send the objects of a shard alone."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers.errors import ResponseError
from aioinformers.listwatch.listing import ListDecoder
from aioinformers.listwatch.ownership import FIRST, ONE_IN, Decoders, Ownership, screen_of, skew
from aioinformers.listwatch.screening import ScreeningListDecoder, ScreeningWatchDecoder
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import DELETE, REJECT, UPSERT, Batch, Delta
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.objects.ranges import hash_field
from aioinformers.objects.shard import Shard
from aioinformers.types import EVERYTHING, Scope

LAYOUT: Layout[Any] = Layout(object_type_of(dict))
SHARD = Shard(0, of=2)
UIDS = [str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number))) for number in range(1000)]
MINE = [uid for uid in UIDS if SHARD.contains(uid)]
OTHERS = [uid for uid in UIDS if not SHARD.contains(uid)]


def ownership(shard: Shard = SHARD, scope: Scope = EVERYTHING) -> Ownership:
    return Ownership(shard, scope._replace(ranges=(shard.range,)))


def page(owned: Ownership, *, echo: str | None, token: str = "", is_first: bool = True, items: bytes = b"") -> int:
    """Read one page; return how many of its items are left."""
    decoder = owned.list_decoder(LAYOUT, 1 << 20, is_first=is_first)
    info = b"" if echo is None else b',"shardInfo":{"selector":"%s"}' % echo.encode()
    head = b'"metadata":{"resourceVersion":"7","continue":"%s"%s}' % (token.encode(), info)
    batches = [*decoder.feed(b'{"kind":"PodList",%s,"items":[%s]}' % (head, items)), *decoder.flush()]
    decoder.finish()
    return sum(len(batch.deltas) for batch in batches)


def mode_of(owned: Ownership) -> str | None:
    return owned.mode


def trusting() -> Ownership:
    """Return one whose list was filtered, and whose watch begins."""
    owned = ownership()
    page(owned, echo=SHARD.selector)
    assert type(owned.watch_decoder(LAYOUT, 1 << 20)) is WatchDecoder
    return owned


def event(uid: str, key: str = "", operation: int = UPSERT) -> Delta:
    return operation, key or f"default/{uid}", Entry(b"{}", uid, "1", ("default",))


def batches_of(deltas: list[Delta], sizes: list[int]) -> list[Batch]:
    at, found = 0, []
    for size in itertools.chain(sizes, itertools.repeat(128)):
        if at >= len(deltas):
            break
        found.append(Batch(deltas[at : at + size], "", LAYOUT))
        at += size
    return found


def is_found_out(owned: Ownership, deltas: list[Delta], sizes: list[int] | None = None) -> bool:
    try:
        for batch in batches_of(deltas, sizes or []):
            owned.check(batch)
    except ResponseError:
        assert owned.is_betrayed
        return True
    return False


def tell(decoder: WatchDecoder, uids: list[str]) -> None:
    for uid in uids:
        meta = b'{"name":"x","namespace":"default","uid":"%s","resourceVersion":"2"}' % uid.encode()
        for _ in decoder.feed(b'{"type":"ADDED","object":{"metadata":%s}}\n' % meta):
            pass


# -- lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("echoes", "mode"),
    [
        ([SHARD.selector], "server"),
        ([SHARD.selector] * 3, "server"),
        ([None], "client"),
        ([""], "client"),
        ([Shard(1, of=2).selector], "client"),
        ([SHARD.selector, None], "client"),
        ([None, SHARD.selector], "client"),
        ([SHARD.selector.replace(", ", ",")], "client"),
    ],
)
def test_a_list_is_filtered_if_all_of_its_pages_say_so(echoes: list[str | None], mode: str) -> None:
    owned = ownership()
    for number, echo in enumerate(echoes):
        assert owned.mode is None
        page(owned, echo=echo, token="" if number == len(echoes) - 1 else "t", is_first=not number)
    assert owned.mode == mode


def test_the_next_list_decides_anew() -> None:
    owned = ownership()
    for echo, mode in ((None, "client"), (SHARD.selector, "server"), (None, "client")):
        page(owned, echo=echo)
        assert owned.mode == mode
    page(owned, echo=SHARD.selector, token="t")  # one that did not come to its end decides nothing
    page(owned, echo=None, token="t")
    assert mode_of(owned) == "client"
    page(owned, echo=SHARD.selector)
    assert mode_of(owned) == "server"


def test_items_are_judged_unless_they_are_filtered() -> None:
    items = b",".join(b'{"metadata":{"name":"%s","uid":"%s"}}' % (uid.encode(), uid.encode()) for uid in UIDS[:40])
    assert page(ownership(), echo=None, items=items) == sum(map(SHARD.contains, UIDS[:40]))
    assert page(ownership(), echo=SHARD.selector, items=items) == 40


# -- watches ------------------------------------------------------------------------------------------------------


def test_a_watch_after_an_unfiltered_list_is_judged_event_by_event() -> None:
    owned = ownership()
    page(owned, echo=None)
    assert type(owned.watch_decoder(LAYOUT, 1 << 20)) is ScreeningWatchDecoder
    assert not is_found_out(owned, list(map(event, OTHERS)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 130), max_size=20))
def test_who_sends_what_is_owned_is_trusted_however_it_is_cut(sizes: list[int]) -> None:
    assert not is_found_out(trusting(), [event(uid) for uid in MINE], sizes)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, FIRST - 1), st.lists(st.integers(1, 130), max_size=20), st.integers(0, 3))
def test_of_the_first_objects_each_is_looked_at(at: int, sizes: list[int], repeated: int) -> None:
    """Events of objects that have been looked at do not count."""
    deltas = [event(uid) for uid in MINE[:at] for _ in range(1 + repeated)]
    assert is_found_out(trusting(), [*deltas, event(OTHERS[0])], sizes)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 130), max_size=20), st.integers(0, 200))
def test_later_one_event_in_many_is(sizes: list[int], at: int) -> None:
    before = [event(uid) for uid in MINE[: FIRST + at]]
    assert is_found_out(trusting(), [*before, *map(event, OTHERS[:ONE_IN])], sizes)


@pytest.mark.parametrize("sizes", [[], [1] * 300, [50, 7, 90]])
def test_which_ones_are_looked_at(sizes: list[int]) -> None:
    assert len(MINE) > FIRST + ONE_IN * 3
    looks = [
        number
        for number in range(FIRST, FIRST + 2 * ONE_IN + 3)
        if is_found_out(trusting(), [*map(event, MINE[:number]), event(OTHERS[0])], sizes)
    ]
    assert looks == [FIRST, FIRST + ONE_IN, FIRST + 2 * ONE_IN]


@pytest.mark.parametrize(
    ("delta", "is_told"),
    [
        (event(OTHERS[0], operation=DELETE), True),
        ((DELETE, "default/x", None), False),
        ((REJECT, "default/x", "cannot be read"), False),
    ],
)
def test_what_has_no_uid_says_nothing(delta: Delta, is_told: bool) -> None:
    assert is_found_out(trusting(), [delta]) is is_told


def test_by_namespace_the_key_is_enough() -> None:
    shard = Shard(0, of=2, by="namespace")
    other = next(f"{number:x}" for number in range(99) if not shard.contains(f"{number:x}"))
    owned = ownership(shard)
    page(owned, echo=shard.selector)
    owned.watch_decoder(LAYOUT, 1 << 20)
    assert is_found_out(owned, [(REJECT, f"{other}/x", "cannot be read")])


def test_after_a_betrayal_trust_comes_back_with_a_watch_that_was_true() -> None:
    owned = trusting()
    assert is_found_out(owned, [event(OTHERS[0])])
    owned.is_betrayed = False
    decoder = owned.watch_decoder(LAYOUT, 1 << 20)
    for uids in ([], OTHERS[:3], MINE[:3] + OTHERS[:1], []):
        page(owned, echo=SHARD.selector)
        decoder = owned.watch_decoder(LAYOUT, 1 << 20)
        assert type(decoder) is ScreeningWatchDecoder  # nothing, or nothing good, has been seen since
        tell(decoder, uids)
        assert not is_found_out(owned, [event(OTHERS[0])])
    tell(decoder, MINE[:1])
    assert type(owned.watch_decoder(LAYOUT, 1 << 20)) is WatchDecoder
    assert is_found_out(owned, [event(OTHERS[0])])


def test_each_watch_begins_anew() -> None:
    owned = trusting()
    assert not is_found_out(owned, [event(uid) for uid in MINE[: FIRST + 2]])
    assert not is_found_out(owned, [event(OTHERS[0])])  # between two looks
    owned.watch_decoder(LAYOUT, 1 << 20)
    assert is_found_out(owned, [event(OTHERS[0])])


def test_while_it_is_listed_nothing_is_looked_at() -> None:
    owned = trusting()
    owned.list_decoder(LAYOUT, 1 << 20, is_first=True)
    assert not is_found_out(owned, [event(OTHERS[0])])


# -- both together, and neither -----------------------------------------------------------------------------------


def test_who_wants_everything_pays_nothing() -> None:
    assert screen_of(None, "") is None
    assert type(Decoders().list_decoder(LAYOUT, 1, is_first=True)) is ListDecoder
    assert type(Decoders().watch_decoder(LAYOUT, 1)) is WatchDecoder
    assert isinstance(ownership().list_decoder(LAYOUT, 1, is_first=True), ScreeningListDecoder)


@pytest.mark.parametrize("is_sharded", [True, False])
def test_strangers_from_other_namespaces_are_rejected_with_and_without_a_shard(is_sharded: bool) -> None:
    screen = screen_of(ownership(scope=Scope("prod")) if is_sharded else None, "prod")
    assert screen is not None
    batch = Batch([event(MINE[0], "prod/a"), event(MINE[1], "test/a")], "", LAYOUT)
    screen(batch)
    assert [operation for operation, _, _ in batch.deltas] == [UPSERT, REJECT]


# -- skew ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "of", "words"),
    [
        ({f"team-{letter}": 5 for letter in "abcdefghijklmnopqrstuvwxyz"}, 8, "has 130 of 130 objects"),
        ({f"team-{letter}": 50 for letter in "ab"}, 2, "has 100 of 100 objects"),  # not more than twice the mean
        ({f"team-{letter}": 5 for letter in "ab"}, 8, ""),  # too few to matter
        ({f"team-{letter}": 50 for letter in "ab"}, 1, ""),
        ({f"{number * 7919:08x}": 1 for number in range(1000)}, 4, ""),
        ({}, 4, ""),
    ],
)
def test_skew_is_told_where_it_matters(counts: dict[str, int], of: int, words: str) -> None:
    told = skew(Counter(counts), of)
    assert bool(told) is bool(words)
    assert words in told
    if told:
        fullest = hash_field(next(iter(counts))) * of >> 64
        assert told.startswith(f"shard {fullest} of 0 to {of - 1} ")


def test_namespaces_are_counted_where_all_are_seen_once() -> None:
    shard = Shard(0, of=2, by="namespace")
    owned = ownership(shard)
    items = b",".join(b'{"metadata":{"name":"%d","namespace":"n%d"}}' % (n, n % 2) for n in range(10))
    page(owned, echo=None, items=items, token="t")
    page(owned, echo=None, items=items, is_first=False)
    assert owned.namespaces == {"n0": 10, "n1": 10}
    page(owned, echo=None, items=items)
    assert owned.namespaces == {"n0": 10, "n1": 10}
    by_uid = ownership()
    page(by_uid, echo=None, items=items)
    assert not by_uid.namespaces
