"""Keys that run in circles are found once, and slowed down as long as they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioinformers.controllers import detector as module
from aioinformers.controllers.detector import PAUSE, RUNS, Detector, changed_fields


def own(at: int = 0) -> Callable[[], int]:
    return lambda: at


def test_a_circle_is_found_at_its_fifth_run_and_told_of_once_with_what_there_was_before() -> None:
    detector = Detector[str, int]()
    assert [detector.note("a", float(at), own(at)) for at in range(8)] == [None] * 4 + [3] + [None] * 3
    assert detector.pause("a", 7.0) == PAUSE
    assert detector.pause("a", 12.0) == PAUSE - 5
    assert detector.pause("b", 7.0) == 0


def test_runs_that_something_else_causes_begin_anew() -> None:
    detector = Detector[str, int]()
    for at in range(RUNS):
        detector.note("a", float(at), own())
    assert detector.note("a", 5.0, None) is None
    assert detector.pause("a", 5.0) == 0
    assert detector.note("a", 6.0, own()) is None


def test_runs_far_apart_are_no_circle() -> None:
    detector = Detector[str, int]()
    assert all(detector.note("a", 20.0 * at, own()) is None for at in range(20))


def test_a_circle_that_is_slowed_down_stays_one_and_one_that_rests_is_none() -> None:
    detector = Detector[str, int]()
    for at in range(RUNS):
        detector.note("a", float(at), own())
    now = 4.0
    for _ in range(10):
        now += detector.pause("a", now)
        assert detector.note("a", now, own()) is None
        assert detector.pause("a", now) == PAUSE
    assert detector.pause("a", now + 500) == 0


def test_not_all_keys_there_ever_were_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEYS", 10)
    detector = Detector[int, int]()
    for key in range(100):
        detector.note(key, 0.0, own())
    assert len(detector._runs) == 10
    assert len(detector._states) == 0


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"spec": {"a": 1, "b": 2}}, {"spec": {"a": 1, "b": 3}}, ["spec.b"]),
        ({}, {"status": {"at": 1}}, ["status"]),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a[1]"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a"]),
        (
            {"metadata": {"annotations": {"a.io/b": "1"}, "resourceVersion": "1", "generation": 1}},
            {"metadata": {"annotations": {"a.io/b": "2"}, "resourceVersion": "2", "generation": 2}},
            ["metadata.annotations['a.io/b']"],
        ),
        ({"spec": {"generation": 1}}, {"spec": {"generation": 2}}, ["spec.generation"]),
        ({"a": 1}, {"a": 1}, []),
    ],
)
def test_what_differs_is_named(before: Any, after: Any, paths: list[str]) -> None:
    assert list(changed_fields(before, after)) == paths
