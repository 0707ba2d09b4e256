"""Which key is next: a model of a few lines, and tables of instants."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers.controllers import schedule as module
from aioinformers.controllers.schedule import (
    EARLIEST,
    MAX_WAIT,
    MOST_CAUSES,
    Phase,
    Priority,
    Schedule,
    default_backoff,
)


def served(schedule: Schedule[Any], now: float) -> list[Any]:
    """Take all that there is, and be done with it."""
    found = []
    while (entry := schedule.take(now)) is not None:
        found.append(entry.key)
        schedule.done(entry, now)
    return found


# -- a model ------------------------------------------------------------------------------------------------------


class Model:
    """What keys there are, what they wait for, and which is next: one look at all of them for every answer."""

    def __init__(self) -> None:
        self.waits: dict[str, list[float]] = {}  # key -> due, order of arrival, priority
        self.runs: dict[str, list[float] | None] = {}  # key -> what was added meanwhile
        self.count = 0

    def add(self, key: str, now: float, priority: int, after: float) -> None:
        self.count += 1
        if key in self.runs:
            old = self.runs[key]
            due = now + after if old is None else min(old[0], now + after)
            self.runs[key] = [due, self.count, priority if old is None else max(old[2], priority)]
            return
        old = self.waits.get(key)
        if old is None:
            self.waits[key] = [now + after, self.count, priority]
            return
        due, order, known = old
        if priority > known or now + after < due:
            order = self.count if due <= now or now + after < due else order
        self.waits[key] = [min(due, now + after) if due > now else due, order, max(priority, known)]

    def candidates(self, now: float) -> set[str]:
        """Return the keys of which one has to be served: the oldest if it is too old, or the best priority's."""
        due = {key: wait for key, wait in self.waits.items() if wait[0] <= now}
        oldest = min((wait[0] for wait in due.values()), default=now)
        if oldest < now - MAX_WAIT:
            return {key for key, wait in due.items() if wait[0] == oldest}
        best = max((wait[2] for wait in due.values()), default=0)
        return {key for key, wait in due.items() if wait[2] == best}

    def take(self, key: str) -> None:
        del self.waits[key]
        self.runs[key] = None

    def done(self, key: str, now: float) -> None:
        again = self.runs.pop(key)
        if again is not None:
            self.waits[key] = [max(again[0], now), self.count, again[2]]


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "take", "done", "sleep", "give back"]),
        st.sampled_from("abcdef"),
        st.sampled_from(list(Priority)),
        st.sampled_from([0.0, 0.0, 1.0, 5.0, 90.0]),
    ),
    max_size=60,
)


@given(steps=steps)
@settings(deadline=None, max_examples=300)
def test_g17_g18_any_history_is_that_of_the_model(steps: list[tuple[str, str, Priority, float]]) -> None:
    """One run at a time for each key, none lost, and what has waited too long comes before what is younger."""
    schedule, model, now = Schedule[str](), Model(), 100.0
    running: dict[str, Any] = {}
    for step, key, priority, seconds in steps:
        match step:
            case "add":
                schedule.add(key, now, priority=priority, after=seconds)
                model.add(key, now, priority, seconds)
            case "take":
                wanted = model.candidates(now)
                entry = schedule.take(now)
                assert (entry is None) == (not wanted)
                if entry is not None:
                    assert entry.key in wanted
                    assert entry.key not in running
                    running[entry.key] = entry
                    model.take(entry.key)
            case "done" if key in running:
                schedule.done(running.pop(key), now)
                model.done(key, now)
            case "give back" if key in running:
                entry = running.pop(key)
                schedule.given_back(entry, now)
                again = model.runs.pop(key)
                kept = entry.priority if again is None else max(entry.priority, again[2])
                model.waits[key] = [now, model.count, kept]
            case "sleep":
                now += seconds + 0.25
        assert len(schedule) == len(model.waits) + len(model.runs)
        assert schedule.running == len(running) == len(model.runs)
        assert sum(schedule.queued) + schedule.waiting == len(model.waits)
    now += 1_000
    for entry in running.values():
        schedule.done(entry, now)
    assert set(served(schedule, now)) == set(model.waits) | {key for key, again in model.runs.items() if again}
    assert len(schedule) == 0
    assert schedule.next_time() is None


# -- order --------------------------------------------------------------------------------------------------------


def test_keys_of_a_priority_come_first_come_first_served() -> None:
    schedule = Schedule[str]()
    for key in "cab":
        schedule.add(key, 0.0)
    schedule.add("c", 1.0)
    assert served(schedule, 2.0) == ["c", "a", "b"]


def test_higher_priorities_come_first_and_a_key_keeps_the_higher_one() -> None:
    schedule = Schedule[str]()
    for key, priority in [("a", 0), ("b", 1), ("c", 2), ("d", 0), ("e", 1)]:
        schedule.add(key, 0.0, priority=Priority(priority))
    schedule.add("d", 0.0, priority=Priority.URGENT)
    schedule.add("d", 0.0, priority=Priority.BACKGROUND)
    schedule.add("a", 0.0, priority=Priority.NORMAL)
    assert schedule.queued == [0, 3, 2]
    assert served(schedule, 0.0) == ["c", "d", "b", "e", "a"]


def test_g18_what_has_waited_too_long_is_served_before_what_is_younger_the_oldest_first() -> None:
    schedule = Schedule[str]()
    schedule.add("old", 0.0, priority=Priority.BACKGROUND)
    schedule.add("older", -1.0, priority=Priority.NORMAL)
    schedule.add("raised", 0.5, priority=Priority.BACKGROUND)
    schedule.add("raised", 50.0, priority=Priority.NORMAL)
    schedule.add("new", 60.0, priority=Priority.URGENT)
    assert served(schedule, 60.2) == ["older", "old", "new", "raised"]


def test_g18_a_flood_of_changes_does_not_keep_the_background_waiting() -> None:
    """Three times as many changes as there is capacity, beside 200 keys of the background; one run takes 60 ms."""
    schedule, now, started = Schedule[str](), 0.0, dict[str, float]()
    for number in range(200):
        schedule.add(f"background-{number}", now, priority=Priority.BACKGROUND)
    arrived = 0
    while now < 130:
        while arrived < 3 * now / 0.06:
            schedule.add(f"change-{arrived}", now)
            arrived += 1
        entry = schedule.take(now)
        assert entry is not None
        started.setdefault(entry.key, now)
        now += 0.06
        schedule.done(entry, now)
    waits = [started[f"background-{number}"] for number in range(200)]
    assert waits == sorted(waits)
    assert waits[0] <= MAX_WAIT + 0.07
    assert waits[-1] <= MAX_WAIT + 201 * 0.06


def test_many_places_that_are_stale_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPARE", 4)
    schedule = Schedule[int]()
    schedule.add(-1, 0.0, priority=Priority.BACKGROUND)
    for number in range(100):
        schedule.add(number, 0.0, priority=Priority.BACKGROUND)
        schedule.add(number, 0.0, priority=Priority.URGENT)
        entry = schedule.take(0.0)
        assert entry is not None
        assert entry.key == number
        schedule.done(entry, 0.0)
    assert len(schedule._queues[0]) <= 16
    assert served(schedule, 0.0) == [-1]


def test_many_times_that_do_not_count_any_more_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPARE", 4)
    schedule = Schedule[str]()
    for number in range(100, 0, -1):
        schedule.add("a", 0.0, after=float(number))
    assert len(schedule._times) <= 7
    assert schedule.next_time() == 1.0
    assert served(schedule, 1.0) == ["a"]


# -- times --------------------------------------------------------------------------------------------------------


def test_of_two_delays_the_earlier_one_counts() -> None:
    schedule = Schedule[str]()
    schedule.add("a", 0.0, after=10)
    schedule.add("a", 0.0, after=20)
    schedule.add("b", 0.0, after=10)
    schedule.add("b", 1.0, after=2)
    assert schedule.next_time() == 3.0
    assert (served(schedule, 2.9), served(schedule, 3.0), served(schedule, 9.9)) == ([], ["b"], [])
    assert schedule.next_time() == 10.0
    assert served(schedule, 10.0) == ["a"]


def test_the_age_of_a_key_counts_from_when_it_was_due() -> None:
    schedule = Schedule[str]()
    schedule.add("delayed", 0.0, priority=Priority.BACKGROUND, after=50)
    schedule.add("now", 40.0, priority=Priority.BACKGROUND)
    entry = schedule.take(90.0)
    assert entry is not None
    assert entry.key == "now"
    assert served(schedule, 90.0) == ["delayed"]


def test_a_run_before_a_requeue_is_the_one_that_it_asked_for() -> None:
    schedule = Schedule[str]()
    schedule.add("a", 0.0)
    entry = schedule.take(0.0)
    assert entry is not None
    schedule.done(entry, 0.0, after=30)
    schedule.add("a", 10.0)
    assert served(schedule, 10.0) == ["a"]
    assert len(schedule) == 0


def test_what_is_added_during_a_run_is_one_run_more() -> None:
    schedule = Schedule[str]()
    schedule.add("a", 0.0)
    entry = schedule.take(0.0)
    assert entry is not None
    schedule.add("a", 1.0, after=5, cause="later")
    schedule.add("a", 2.0, priority=Priority.URGENT, cause="soon")
    assert schedule.take(3.0) is None
    schedule.done(entry, 3.0, after=100)
    again = schedule.take(3.0)
    assert again is entry
    assert (again.priority, again.all_causes) == (Priority.URGENT, ["later", "soon"])
    schedule.done(again, 4.0)
    assert len(schedule) == 0


@pytest.mark.parametrize("failures", range(1, 14))
def test_the_backoff_doubles_up_to_five_minutes(failures: int) -> None:
    most = min(300.0, 0.1 * 2 ** (failures - 1))
    assert default_backoff(failures, lambda: 1.0) == pytest.approx(most)
    assert default_backoff(failures, lambda: 0.0) == 0.0
    assert 0 <= default_backoff(failures, random.Random(failures).random) <= most


def test_the_backoff_of_very_many_failures_is_a_number() -> None:
    assert default_backoff(100_000, lambda: 1.0) == 300.0


def failing(schedule: Schedule[str], now: float) -> None:
    """Run a key that fails."""
    entry = schedule.take(now)
    assert entry is not None
    schedule.failed(entry, now)


def waits(schedule: Schedule[str]) -> tuple[int, float | None]:
    """Return how often the key has failed, and when it is next."""
    entry = schedule.get("a")
    assert entry is not None
    return entry.attempt, schedule.next_time()


def failed_twice() -> Schedule[str]:
    """Return a schedule whose key has failed at 0 and at 10, and waits until 30."""
    schedule = Schedule[str](backoff=lambda failures: 10.0 * failures)
    schedule.add("a", 0.0)
    failing(schedule, 0.0)
    assert waits(schedule) == (1, 10.0)
    failing(schedule, 10.0)
    assert waits(schedule) == (2, 30.0)
    return schedule


def test_failures_are_repeated_ever_later_and_success_forgets_them() -> None:
    schedule = failed_twice()
    assert schedule.take(29.9) is None
    entry = schedule.take(30.0)
    assert entry is not None
    assert entry.attempt == 2
    schedule.done(entry, 30.0, after=1)
    failing(schedule, 31.0)
    assert waits(schedule) == (1, 41.0)


def test_news_run_a_key_at_once_that_waits_after_failures_and_count_them_anew() -> None:
    schedule = failed_twice()
    schedule.add("a", 10.1)
    failing(schedule, 10.1)
    assert waits(schedule) == (1, 20.1)


def test_other_triggers_run_it_early_once_and_leave_the_wait_as_it_is() -> None:
    schedule = failed_twice()
    schedule.add("a", 10.1, resets=False)
    assert waits(schedule) == (2, 10.0 + EARLIEST)
    failing(schedule, 11.0)
    assert waits(schedule) == (2, 30.0)
    for now in (11.1, 20.0, 29.0):
        schedule.add("a", now, resets=False)
        assert waits(schedule) == (2, 30.0)
    failing(schedule, 30.0)
    assert waits(schedule) == (3, 60.0)
    schedule.add("a", 45.0, resets=False)
    assert schedule.take(45.0) is not None


def test_an_early_run_that_lasts_until_after_the_wait_is_the_next_attempt() -> None:
    schedule = failed_twice()
    schedule.add("a", 20.0, resets=False)
    entry = schedule.take(20.0)
    assert entry is not None
    schedule.failed(entry, 35.0)
    assert waits(schedule) == (3, 65.0)


def test_an_early_run_that_succeeds_ends_the_wait() -> None:
    schedule = failed_twice()
    schedule.add("a", 20.0, resets=False)
    assert served(schedule, 20.0) == ["a"]
    assert len(schedule) == 0


def test_what_is_urgent_runs_whenever_it_is_asked_for() -> None:
    schedule = failed_twice()
    for now in (10.1, 10.2, 10.3):
        schedule.add("a", now, priority=Priority.URGENT, resets=False)
        failing(schedule, now)
        assert waits(schedule) == (2, 30.0)


@pytest.mark.parametrize(("resets", "expected"), [(True, (0, None)), (False, (1, 5.0 + EARLIEST))])
def test_what_is_added_during_a_run_that_fails(resets: bool, expected: tuple[int, float | None]) -> None:
    schedule = Schedule[str](backoff=lambda failures: 10.0)
    schedule.add("a", 0.0)
    entry = schedule.take(0.0)
    assert entry is not None
    schedule.add("a", 1.0, resets=resets)
    schedule.failed(entry, 5.0)
    assert waits(schedule) == expected
    assert (schedule.take(5.0) is not None) is resets


def test_a_failure_may_say_when_it_is_to_be_repeated() -> None:
    schedule = Schedule[str](backoff=lambda failures: 10.0)
    schedule.add("a", 0.0)
    entry = schedule.take(0.0)
    assert entry is not None
    schedule.failed(entry, 0.0, after=3)
    assert waits(schedule) == (1, 3.0)


def test_a_rate_spreads_starts_over_time() -> None:
    """Within any second no more begin than it says."""
    schedule = Schedule[int](rate=2)
    for number in range(5):
        schedule.add(number, 0.0)
    starts: list[float] = []
    now = 0.0
    while len(starts) < 5:
        while (entry := schedule.take(now)) is not None:
            schedule.done(entry, now)
            starts.append(now)
        due = schedule.next_time()
        now = now if due is None else max(due, now)
    assert starts == [0.0, 0.0, 1.0, 1.0, 2.0]
    slow = Schedule[int](rate=0.1)
    slow.add(1, 0.0)
    slow.add(2, 0.0)
    assert slow.take(0.0) is not None
    assert slow.take(0.0) is None
    assert slow.next_time() == 10.0


# -- the rest -----------------------------------------------------------------------------------------------------


def test_few_causes_are_kept_each_once() -> None:
    schedule = Schedule[str]()
    for number in (None, 0, 0, *range(20), None):
        schedule.add("a", 0.0, cause=number)
    entry = schedule.take(0.0)
    assert entry is not None
    assert entry.all_causes == list(range(MOST_CAUSES))


def test_what_is_forgotten_is_counted() -> None:
    schedule = Schedule[str]()
    for key in "abc":
        schedule.add(key, 0.0)
    schedule.add("d", 0.0, after=5)
    entry = schedule.take(0.0)
    assert entry is not None
    schedule.add(entry.key, 0.0)
    assert schedule.clear() == 4
    assert (len(schedule), schedule.running, schedule.take(100.0)) == (1, 1, None)
    schedule.done(entry, 1.0)
    assert len(schedule) == 0


def test_phases_are_told() -> None:
    schedule = Schedule[str]()
    schedule.add("a", 0.0, after=1)
    entry = schedule.get("a")
    assert entry is not None
    phases = [entry.phase]
    assert schedule.take(1.0) is entry
    phases.append(entry.phase)
    assert phases == [Phase.WAITING, Phase.RUNNING]
    assert schedule.get("b") is None
    assert [one.key for one in schedule] == ["a"]
