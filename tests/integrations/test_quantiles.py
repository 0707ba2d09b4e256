"""Quantiles of durations in classes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioinformers.integrations.quantiles import quantile
from aioinformers.statistics import Durations, Histogram

BOUNDS = (0.001, 0.01, 0.1, 1.0)


def test_without_any_there_is_none() -> None:
    assert quantile(Durations(BOUNDS, (0, 0, 0, 0, 0), 0.0), 0.5) is None
    assert quantile(Durations((), (3,), 1.0), 0.5) is None


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        ((10, 0, 0, 0, 0), 0.5, 0.0005),
        ((0, 10, 0, 0, 0), 0.5, 0.0055),
        ((0, 10, 0, 0, 0), 0.0, 0.001),
        ((0, 10, 0, 0, 0), 1.0, 0.01),
        ((50, 0, 50, 0, 0), 0.75, 0.055),
        ((50, 0, 50, 0, 0), 0.5, 0.001),
        ((0, 0, 0, 0, 7), 0.5, 1.0),
        ((98, 0, 0, 0, 2), 0.99, 1.0),
    ],
)
def test_within_a_class_they_are_spread_evenly(counts: tuple[int, ...], share: float, seconds: float) -> None:
    assert quantile(Durations(BOUNDS, counts, 0.0), share) == pytest.approx(seconds)


@example([0.5, 0.5, 0.0078125], 0.3333333333333333)
@given(st.lists(st.floats(0.0, 0.99), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_it_is_in_the_class_of_the_true_one(values: list[float], share: float) -> None:
    counted = Histogram(BOUNDS)
    for value in values:
        counted.note(value)
    found = quantile(counted.durations(), share)
    true = sorted(values)[max(-(-share * len(values) // 1).__int__() - 1, 0)]
    edges = (0.0, *BOUNDS)
    place = next(at for at in range(1, len(edges)) if true <= edges[at])
    assert found is not None
    assert edges[place - 1] <= found <= edges[place]
