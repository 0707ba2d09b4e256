"""What is said of failed attempts."""

from __future__ import annotations

import logging

import pytest

from aioinformers.errors import ConnectionFailedError
from aioinformers.listwatch.attempt import Target
from aioinformers.listwatch.failures import Failures
from aioinformers.listwatch.recovery import Outcome, Plan, State
from aioinformers.types import EVERYTHING, GroupVersionResource, WatchFailure

PODS = Target(GroupVersionResource("", "v1", "pods"), EVERYTHING, {}, lambda kind, api_version: False)
BROKEN = Outcome(ConnectionFailedError("it broke"))


def failed(count: int, **options: float) -> Plan:
    return Plan(State.WATCHING, version="1", failures=count, **options)  # type: ignore[arg-type]


def test_each_failure_is_counted_and_each_doubling_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aioinformers.reflector")
    told: list[WatchFailure] = []
    failures = Failures(PODS, told.append)
    for count in range(1, 9):
        failures.note(failed(count, delay=2.0), BROKEN)
    assert [each.attempt for each in told] == list(range(1, 9))
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.rpartition("failure ")[2] for text in warned] == ["1)", "2)", "4)", "8)"]
    assert warned[0] == "pods.v1: it broke; next try in 2.0 s (failure 1)"
    assert failures.last_error is BROKEN.error


def test_health_begins_the_count_anew_and_clears_the_error() -> None:
    told: list[WatchFailure] = []
    failures = Failures(PODS, told.append)
    failures.note(failed(1), BROKEN)
    failures.note(failed(0), Outcome(delivered=3))
    assert failures.last_error is None
    failures.note(failed(1), BROKEN)
    assert [each.attempt for each in told] == [1, 1]


def test_a_clean_end_that_did_no_good_is_a_failure() -> None:
    told: list[WatchFailure] = []
    failures = Failures(PODS, told.append)
    failures.note(failed(1, delay=1.0), Outcome(version="1", lived=0.5))
    assert str(told[0].error) == "the server closed the watch after 0.5 s without an event"
