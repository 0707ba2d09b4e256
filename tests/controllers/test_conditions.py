"""Conditions are set as Kubernetes means them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aioinformers.controllers import set_condition

MORNING = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)


def test_a_condition_is_added_behind_the_others() -> None:
    before = [{"type": "Progressing", "status": "True"}]
    after = set_condition(before, "Ready", True, "Done", "all is well", 3, now=MORNING)
    assert before == [{"type": "Progressing", "status": "True"}]
    assert after == [
        {"type": "Progressing", "status": "True"},
        {
            "type": "Ready", "status": "True", "reason": "Done", "message": "all is well",
            "lastTransitionTime": "2026-01-01T09:00:00Z", "observedGeneration": 3,
        },
    ]  # fmt: skip


def test_the_time_moves_with_the_status_alone() -> None:
    first = set_condition(None, "Ready", False, "Waiting", now=MORNING)
    second = set_condition(first, "Ready", "False", "Waits", "for a node", now=MORNING + timedelta(hours=1))
    assert second[0]["lastTransitionTime"] == "2026-01-01T09:00:00Z"
    assert (second[0]["reason"], second[0]["message"]) == ("Waits", "for a node")
    third = set_condition(second, "Ready", None, "Lost", now=MORNING + timedelta(hours=2))
    assert (third[0]["status"], third[0]["lastTransitionTime"]) == ("Unknown", "2026-01-01T11:00:00Z")
    assert first[0]["reason"] == "Waiting"


def test_times_are_written_in_utc() -> None:
    east = MORNING.astimezone(timezone(timedelta(hours=9)))
    assert set_condition([], "Ready", True, "Done", now=east)[0]["lastTransitionTime"] == "2026-01-01T09:00:00Z"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("Ready", "true", "Done"), ValueError, "the status of a condition is one of True, False, Unknown, not 'true'"),
        ((3, True, "Done"), TypeError, "the type of a condition is a text, not 3"),
        (("Ready", True, None), TypeError, "the reason of a condition is a text, not None"),
    ],
)
def test_what_is_no_condition_is_refused(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        set_condition([], *arguments)
