"""Batches are cut where events take long, and stay whole where they do not."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.listwatch.portions import LONGEST, Portions
from aioinformers.objects.deltas import BATCH_EVENTS, DELETE, REJECT, UPSERT, Batch, Delta
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of

LAYOUT: Layout[Any] = Layout(object_type_of(dict))


def batch(events: int) -> Batch:
    deltas: list[Delta] = [(UPSERT, f"o{at}", Entry(b"{}", "u", str(at + 1), ())) for at in range(events)]
    return Batch(deltas, str(events + 7), LAYOUT, unreadable=1, bookmarks=2, lost=3)


def sizes(portions: Portions, events: int = BATCH_EVENTS) -> list[int]:
    return [len(portion.deltas) for portion in portions.of(batch(events))]


def learnt(seconds: float) -> Portions:
    """Return what has seen a batch whose events took so long each."""
    portions = Portions()
    portions.note(BATCH_EVENTS, BATCH_EVENTS * seconds)
    return portions


def test_a_batch_is_whole_as_long_as_nothing_takes_long() -> None:
    """It is the same one."""
    given = batch(BATCH_EVENTS)
    assert list(Portions().of(given)) == [given]
    assert sizes(learnt(1e-5)) == [BATCH_EVENTS]
    assert sizes(learnt(0.0)) == [BATCH_EVENTS]


@pytest.mark.parametrize(("seconds", "most"), [(1e-4, 50), (1e-3, 5), (2e-3, 2), (1.0, 1)])
def test_g12_no_portion_takes_longer_than_a_step_may(seconds: float, most: int) -> None:
    """Unless one event alone does."""
    portions = learnt(seconds)
    assert max(sizes(portions)) == most
    assert sum(sizes(portions)) == BATCH_EVENTS
    assert most * seconds <= LONGEST or most == 1


def test_portions_are_the_batch_in_its_order() -> None:
    """Each has the version of its last event; the last one has all else, and the batch's own version."""
    whole, portions = batch(BATCH_EVENTS), learnt(1e-4)
    parts = list(portions.of(batch(BATCH_EVENTS)))
    assert [delta[1] for part in parts for delta in part.deltas] == [delta[1] for delta in whole.deltas]
    assert [part.version for part in parts] == ["50", "100", str(BATCH_EVENTS + 7)]
    assert [(part.unreadable, part.bookmarks, part.lost) for part in parts] == [(0, 0, 0), (0, 0, 0), (1, 2, 3)]
    assert {part.layout for part in parts} == {LAYOUT}


def test_a_portion_without_a_version_moves_none() -> None:
    """A resume from the version before it tells its events again, which does no harm."""
    deltas: list[Delta] = [(DELETE, "a", None), (REJECT, "b", "odd"), (UPSERT, "c", Entry(b"{}", "u", "3", ()))]
    parts = list(learnt(1.0).of(Batch(deltas, "3", LAYOUT)))
    assert [part.version for part in parts] == ["", "", "3"]


def test_what_has_become_quick_is_taken_whole_again_bit_by_bit() -> None:
    portions = learnt(1e-3)
    seen = []
    while (most := max(sizes(portions))) < BATCH_EVENTS:
        seen.append(most)
        portions.note(most, most * 1e-6)
    assert seen == [5, 10, 20, 40, 80]
    portions.note(0, 0.0)
    portions.note(0, 1.0)  # a bookmark alone
    assert sizes(portions) == [BATCH_EVENTS]


def test_an_event_is_quick_unless_it_takes_a_sixth_of_a_millisecond() -> None:
    """A lone one takes longer than one of many, whose code and data are at hand."""
    assert Portions().is_quick
    for seconds, is_quick in ((0.0001, True), (0.0002, False), (0.01, False)):
        portions = Portions()
        for _ in range(20):
            portions.note(1, seconds)
        assert portions.is_quick is is_quick
