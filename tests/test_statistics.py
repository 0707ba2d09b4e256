"""Snapshots of counts, backlogs and health."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from aioinformers.statistics import (
    BusyKey,
    CompactStatistics,
    ConsumerStatistics,
    FactoryHealth,
    Histogram,
    InformerHealth,
    InformerStatistics,
    ScopeHealth,
)
from aioinformers.types import ObjectKey, Scope

SNAPSHOTS = [
    BusyKey(ObjectKey("prod", "web"), 1.0),
    ConsumerStatistics(0, 0, 0, 0, 0, 0, 0),
    CompactStatistics(1, 30, 10, 1),
    InformerStatistics(0, 0, 0, 0, 0, 0, {}, 0, 0, {}),
    ScopeHealth(Scope("prod"), True, True, 0.5, ""),
    InformerHealth("pods", True, True, False, None, 0, ""),
    FactoryHealth(True, ()),
]


@pytest.mark.parametrize("value", SNAPSHOTS, ids=lambda value: type(value).__name__)
def test_snapshots_are_values(value: Any) -> None:
    """Frozen, equal by what they say, and fit to be sent to another process."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, None)
    assert value == copy.copy(value) == pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize(("raw", "packed", "ratio"), [(0, 0, 1.0), (300, 100, 3.0), (100, 100, 1.0), (100, 200, 0.5)])
def test_the_ratio_says_how_many_times_smaller_objects_have_become(raw: int, packed: int, ratio: float) -> None:
    """And does not divide by zero before the first one."""
    assert CompactStatistics(1, raw, packed, 1).ratio == ratio


def test_an_informer_that_does_not_pack_has_no_statistics_of_packing() -> None:
    assert InformerStatistics(0, 0, 0, 0, 0, 0, {}, 0, 0, {}).compact is None
    assert ConsumerStatistics(0, 0, 0, 0, 0, 0, 0).busy_keys == ()


def test_the_health_of_an_informer_that_follows_nothing_names_no_scopes() -> None:
    assert InformerHealth("pods", False, False, False, None, 0, "not started").scopes == ()


def test_a_histogram_counts_durations_by_class() -> None:
    """A duration belongs to the first class whose bound it does not exceed; the last one has none."""
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 3.0):
        histogram.note(seconds)
    before = histogram.durations()
    histogram.note(0.0)
    assert (before.bounds, before.counts) == ((0.1, 1.0), (2, 1, 1))
    assert before.total == pytest.approx(3.65)
    assert histogram.durations().counts == (3, 1, 1)
