"""A list on its way in, beside the store, and what it changes there: no loop, no socket."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.cache.indexer import Partition
from aioinformers.cache.staging import SEGMENT, Staging, initial_state
from aioinformers.delivery.mailbox import ADDED, DELETED, UPDATED, Record
from aioinformers.objects.deltas import DELETE, REJECT, UPSERT, Delta
from aioinformers.objects.layout import Entry
from aioinformers.types import Cause

State = dict[str, tuple[str, str]]
"""Uid and version by key."""
states = st.dictionaries(
    st.sampled_from("abcde"), st.tuples(st.sampled_from(["u1", "u2"]), st.sampled_from("123")), max_size=5
)


def entry(version: str = "1", uid: str = "u") -> Entry:
    return Entry(b"{}", uid, version, ("ns",))


def partition_of(objects: Mapping[str, Entry]) -> Partition:
    made = Partition(1)
    for key, one in objects.items():
        made.put(key, one)
    return made


def staged(deltas: Sequence[Delta], live: Mapping[str, Entry]) -> Staging:
    staging = Staging(1)
    staging.put(deltas, live)
    return staging


def records_of(staging: Staging) -> list[Record]:
    return [record for segment in staging.segments for record in segment]


def compared(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[Record]:
    """Return what a list tells those who know the state before it."""
    staging = staged([(UPSERT, key, one) for key, one in after.items()], before)
    collections.deque(staging.compare(partition_of(before)), maxlen=0)
    return records_of(staging)


# -- what is staged -----------------------------------------------------------------------------------------------


def test_an_object_that_has_not_changed_keeps_its_entry_and_the_new_bytes_are_dropped() -> None:
    known = entry("7")
    staging = staged([(UPSERT, "a", entry("7")), (UPSERT, "b", entry("7"))], {"a": known})
    assert staging.partition.objects["a"] is known
    assert staging.partition.objects["b"] is not known


@pytest.mark.parametrize(
    ("deltas", "objects", "rejected"),
    [
        ([(REJECT, "a", "odd")], {"a": "1"}, {"a": "odd"}),
        ([(REJECT, "new", "odd")], {}, {"new": "odd"}),
        ([(REJECT, "a", "odd"), (UPSERT, "a", entry("2"))], {"a": "2"}, {}),
        ([(REJECT, "a", "odd"), (DELETE, "a", None)], {}, {}),
        ([(UPSERT, "a", entry("2")), (REJECT, "a", "odd")], {"a": "2"}, {"a": "odd"}),
        ([(UPSERT, "a", entry("2")), (DELETE, "a", None)], {}, {}),
        ([(DELETE, "a", None)], {}, {}),
    ],
)
def test_g11_an_object_that_cannot_be_read_keeps_its_last_good_version(
    deltas: list[Delta], objects: dict[str, str], rejected: dict[str, str]
) -> None:
    """The one of the store, or one that came earlier with the same stream; until it can be read again, or goes."""
    partition = staged(deltas, {"a": entry("1")}).partition
    assert {key: one.version for key, one in partition.objects.items()} == objects
    assert partition.rejected == rejected


# -- what it changes ----------------------------------------------------------------------------------------------


def test_the_first_list_tells_every_object_as_there_from_the_begin() -> None:
    entries = {f"k{number}": entry() for number in range(SEGMENT + 1)}
    staging = staged([(UPSERT, key, one) for key, one in entries.items()], {})
    staging.begin()
    assert [len(segment) for segment in staging.segments] == [SEGMENT, 1]
    assert records_of(staging) == [
        Record(ADDED, key, one, None, Cause.LIST, initial=True) for key, one in entries.items()
    ]
    assert staging.counts == [SEGMENT + 1, 0, 0]


def test_a_further_list_tells_deletions_first_and_then_the_rest_in_its_own_order() -> None:
    was, now = entry("1"), entry("2")
    old, recreated = entry("1", uid="old"), entry("2", uid="new")
    before = {"gone": was, "same": was, "changed": was, "again": old}
    after = {"new": now, "again": recreated, "changed": now, "same": entry("1")}
    relist = Cause.RELIST
    assert compared(before, after) == [
        Record(DELETED, "gone", was, was, relist, known=False),
        Record(DELETED, "again", old, old, relist, known=False),
        Record(ADDED, "new", now, None, relist),
        Record(ADDED, "again", recreated, None, relist),
        Record(UPDATED, "changed", now, was, relist),
    ]


def test_what_is_told_comes_in_segments_that_are_counted() -> None:
    staging = staged([(UPSERT, f"k{number}", entry()) for number in range(SEGMENT + 10)], {})
    steps = sum(1 for _ in staging.compare(partition_of({"gone": entry()})))
    assert steps == SEGMENT + 11
    assert [len(segment) for segment in staging.segments] == [SEGMENT, 11]
    assert [staging.counts[kind] for kind in (ADDED, UPDATED, DELETED)] == [SEGMENT + 10, 0, 1]


@given(states, states)
def test_whoever_replays_what_is_told_has_the_new_state(before: State, after: State) -> None:
    """And is told nothing that cannot follow what it knows; nothing at all if nothing has changed."""

    def entries(state: State) -> dict[str, Entry]:
        return {key: entry(version, uid) for key, (uid, version) in state.items()}

    replayed = entries(before)
    told = compared(replayed, entries(after))
    for record in told:
        kind, key, now, was, *_ = msgspec.structs.astuple(record)
        assert replayed.pop(key, None) == was
        if kind != DELETED:
            replayed[key] = now
    assert {key: (one.uid, one.version) for key, one in replayed.items()} == after
    assert bool(told) is (before != after)


def test_the_state_of_a_partition_is_told_in_segments_whose_records_are_made_when_they_are_taken() -> None:
    entries = {f"k{number}": entry() for number in range(2 * SEGMENT + 5)}
    partition = partition_of(entries)
    segments = initial_state(partition)
    partition.remove("k0")
    assert [len(segment) for segment in segments] == [SEGMENT, SEGMENT, 5]
    told = [msgspec.structs.astuple(record)[1] for segment in segments for record in segment]
    assert told == list(entries), "a snapshot"
    assert initial_state(Partition(1)) == []
