"""What a reflector does after which outcome, and when: no clock, no socket, no loop."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.errors import ApiStatusError, ConnectionFailedError, ResponseError
from aioinformers.listwatch.recovery import (
    TRANSITIONS,
    Outcome,
    Plan,
    State,
    WatchEnd,
    advance,
    end_of_watch,
    first_plan,
    resumed_plan,
)
from aioinformers.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
LISTING, STREAMING, WATCHING, CHECKING = State.LISTING, State.STREAMING, State.WATCHING, State.CHECKING
SETTINGS = Settings()
LIST_ONLY = Settings(watch_list=False)

REFUSED = ConnectionFailedError("cannot connect", is_refused=True)
BROKEN = ConnectionFailedError("the connection broke")
UNAUTHORIZED, FORBIDDEN, MISSING, GONE, UNSUPPORTED, TOO_MANY, UNAVAILABLE, INTERNAL = (
    ApiStatusError.of(status) for status in (401, 403, 404, 410, 422, 429, 503, 500)
)
TOO_LARGE = ApiStatusError.of(504, "Timeout", "", 1.0, ["ResourceVersionTooLarge"])
GARBLED = ResponseError("no list")
ERRORS: dict[str, Exception] = {
    "refused": REFUSED, "broken": BROKEN, "garbled": GARBLED, "too large": TOO_LARGE, "401": UNAUTHORIZED,
    "403": FORBIDDEN, "404": MISSING, "410": GONE, "422": UNSUPPORTED, "429": TOO_MANY, "500": INTERNAL,
    "503": UNAVAILABLE,
}  # fmt: skip


def after(
    plan: Plan, outcome: Outcome, *, settings: Settings = LIST_ONLY, now: float = 0.0, random: float = 0.0
) -> Plan:
    return advance(plan, outcome, settings, now, random)


def failed(error: Exception) -> Outcome:
    return Outcome(error)


def listed(version: str = "42", *, is_paged: bool = False) -> Outcome:
    return Outcome(version=version, has_list=True, is_paged=is_paged)


def first(settings: Settings = LIST_ONLY) -> Plan:
    return first_plan(settings, 0.0, 0.0)


def watching(version: str = "42", failures: int = 0) -> Plan:
    return Plan(WATCHING, version, failures=failures)


# -- lists --------------------------------------------------------------------------------------------------------


def test_a_list_is_followed_by_a_watch_from_its_version() -> None:
    """At once."""
    assert after(first(), listed("42")) == Plan(WATCHING, "42", unwatched=1)


def test_the_first_list_takes_any_state_and_later_ones_never_go_back() -> None:
    """``resourceVersion`` "0", then the last one seen."""
    assert first().list_version == "0"
    plan = after(watching("42"), Outcome(INTERNAL, "50"))
    assert (plan.state, plan.list_version) == (LISTING, "50")


@pytest.mark.parametrize("error", [GONE, TOO_LARGE], ids=["410", "too large"])
@pytest.mark.parametrize("version", ["", "50"])
def test_a_refused_version_asks_for_the_most_recent_state_at_once(error: Exception, version: str) -> None:
    """0 or last, then empty: what is known to be refused need not be waited for, nor Retry-After honoured."""
    plan = Plan(LISTING, version, failures=3)
    again = after(plan, failed(error))
    assert again == replace(plan, is_consistent=True)
    assert (again.delay, again.list_version) == (0.0, "")


@pytest.mark.parametrize("error", [GONE, TOO_LARGE], ids=["410", "too large"])
def test_a_version_refused_twice_backs_off(error: Exception) -> None:
    """And goes on asking for the most recent state until a list comes."""
    plan = after(after(Plan(LISTING, "50"), failed(error)), failed(error))
    assert (plan.state, plan.list_version, plan.failures) == (LISTING, "", 1)
    assert plan.delay > 0
    plan = after(plan, failed(INTERNAL))
    assert plan.list_version == ""
    assert after(plan, listed("70")).list_version == "70"


@pytest.mark.parametrize("error", [error for name, error in ERRORS.items() if name not in ("410", "too large")])
def test_any_other_failure_of_a_list_backs_off_and_lists_again(error: Exception) -> None:
    """With the same version: the server never said that it has gone."""
    plan = after(Plan(LISTING, "50", failures=2), failed(error))
    assert (plan.state, plan.version, plan.failures, plan.is_consistent) == (LISTING, "50", 3, False)
    assert plan.delay == pytest.approx(3.2)


def test_a_server_that_pages_its_watch_cache_is_remembered() -> None:
    """A later list with a version asks for pages only there."""
    assert after(first(), listed(is_paged=True)).is_paged
    assert not after(replace(first(), is_paged=True), listed()).is_paged


# -- streams of initial objects -----------------------------------------------------------------------------------


def test_initial_objects_are_asked_as_a_stream_first() -> None:
    """Unless settings forbid it, or this server is known not to."""
    assert first_plan(SETTINGS, 0.0, 0.0).state is STREAMING
    assert first_plan(LIST_ONLY, 0.0, 0.0).state is LISTING
    assert first_plan(SETTINGS, 100.0, 99.0).state is LISTING
    assert first_plan(SETTINGS, 100.0, 100.0).state is STREAMING


@pytest.mark.parametrize("error", [BROKEN, UNSUPPORTED, INTERNAL, GARBLED], ids=["broken", "422", "500", "garbled"])
def test_a_server_that_cannot_stream_is_listed_at_once_and_remembered(error: Exception) -> None:
    """For ten minutes; then it may have been upgraded."""
    plan = after(Plan(STREAMING, "50"), failed(error), settings=SETTINGS, now=1000.0)
    assert plan == Plan(LISTING, "50", streams_again_at=1600.0)
    plan = after(plan, failed(INTERNAL), settings=SETTINGS, now=1599.0)
    assert plan.state is LISTING
    assert after(plan, failed(INTERNAL), settings=SETTINGS, now=1600.0).state is STREAMING


@pytest.mark.parametrize("error", [UNAUTHORIZED, FORBIDDEN, MISSING], ids=["401", "403", "404"])
def test_what_is_not_served_says_nothing_about_streaming(error: Exception) -> None:
    """The list may be allowed, so it is tried at once; all other informers of the server go on streaming."""
    assert after(Plan(STREAMING), failed(error), settings=SETTINGS, now=1000.0) == Plan(LISTING)


@pytest.mark.parametrize("error", [REFUSED, TOO_MANY, UNAVAILABLE], ids=["refused", "429", "503"])
def test_a_server_that_is_busy_or_away_is_streamed_from_later(error: Exception) -> None:
    """As a stream, after a delay: it says nothing about what the server can do."""
    plan = after(Plan(STREAMING), failed(error), settings=SETTINGS)
    assert (plan.state, plan.delay, plan.streams_again_at) == (STREAMING, 0.8, 0.0)


@pytest.mark.parametrize("error", [GONE, TOO_LARGE], ids=["410", "too large"])
def test_a_refused_version_is_streamed_again_without_it_at_once(error: Exception) -> None:
    """Only then the list is tried."""
    plan = after(Plan(STREAMING, "50"), failed(error), settings=SETTINGS)
    assert plan == Plan(STREAMING, "50", is_consistent=True)
    if error is GONE:
        assert after(plan, failed(error), settings=SETTINGS).state is LISTING
    else:  # a server that has not caught up yet
        assert after(plan, failed(error), settings=SETTINGS).state is STREAMING


@pytest.mark.parametrize(
    ("outcome", "state", "delay"),
    [
        (Outcome(version="42", has_list=True, delivered=1, lived=2.0), WATCHING, 0.0),
        (Outcome(version="42", has_list=True, lived=60.0), CHECKING, 0.0),
        (Outcome(version="42", has_list=True, lived=2.0), CHECKING, 0.8),
        (Outcome(version="42", has_list=True, lived=0.5), STREAMING, 0.8),
        (Outcome(BROKEN, "42", has_list=True, delivered=1), WATCHING, 0.8),
        (Outcome(GONE, "42", has_list=True, delivered=1), STREAMING, 0.8),
        (Outcome(GONE, "42", has_list=True, lived=60.0), STREAMING, 0.0),
    ],
)
def test_a_stream_that_brought_the_initial_objects_ends_as_a_watch(
    outcome: Outcome, state: State, delay: float
) -> None:
    """The list is done; what came after it decides."""
    plan = after(Plan(STREAMING, failures=5, is_consistent=True), outcome, settings=SETTINGS)
    assert (plan.state, plan.version, plan.delay, plan.is_consistent) == (state, "42", delay, False)


# -- watches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "outcome", "end"),
    [
        ("42", Outcome(GONE, delivered=1, lived=60.0), WatchEnd.VERSION_REFUSED),
        ("42", Outcome(TOO_LARGE), WatchEnd.VERSION_REFUSED),
        ("", Outcome(GONE), WatchEnd.VERSION_REFUSED),
        ("", Outcome(delivered=1, lived=60.0), WatchEnd.NO_VERSION),
        ("", Outcome(GARBLED), WatchEnd.NO_VERSION),
        ("", Outcome(FORBIDDEN), WatchEnd.NO_VERSION),
        ("42", Outcome(GARBLED, delivered=1, lived=60.0), WatchEnd.EVENT_LOST),
        ("42", Outcome(UNAUTHORIZED), WatchEnd.FAILED),
        ("42", Outcome(FORBIDDEN), WatchEnd.FAILED),
        ("42", Outcome(MISSING), WatchEnd.FAILED),
        ("42", Outcome(UNSUPPORTED), WatchEnd.FAILED),
        ("42", Outcome(INTERNAL, delivered=1, lived=60.0), WatchEnd.FAILED),
        ("42", Outcome(lived=0.0), WatchEnd.CLOSED_AT_ONCE),
        ("42", Outcome(lived=0.99), WatchEnd.CLOSED_AT_ONCE),
        ("42", Outcome(lived=1.0), WatchEnd.SILENT),
        ("42", Outcome(BROKEN, lived=0.5), WatchEnd.SILENT),
        ("42", Outcome(UNAVAILABLE, lived=60.0), WatchEnd.SILENT),
        ("42", Outcome(delivered=1, lived=0.5), WatchEnd.RESUMABLE),
        ("42", Outcome(BROKEN, delivered=1, lived=0.5), WatchEnd.RESUMABLE),
        ("42", Outcome(REFUSED), WatchEnd.RESUMABLE),
        ("42", Outcome(TOO_MANY), WatchEnd.RESUMABLE),
    ],
)
def test_how_a_watch_ended(version: str, outcome: Outcome, end: WatchEnd) -> None:
    """The first case that applies."""
    assert end_of_watch(version, outcome) is end


def test_a_healthy_watch_that_the_server_closes_goes_on_at_once() -> None:
    """From the last version, with nothing to forgive."""
    assert after(watching("42", failures=7), Outcome(None, "43", delivered=1)) == Plan(WATCHING, "43")


@pytest.mark.parametrize("error", [None, BROKEN, UNAVAILABLE], ids=["closed", "broken", "503"])
def test_a_watch_that_has_shown_nothing_at_all_is_checked_before_it_is_resumed(error: Exception | None) -> None:
    """Its version may lie in the future of a server that was restored from a backup, and that it will not say."""
    plan = after(watching("42", failures=7), Outcome(error, "42", lived=60.0))
    assert (plan.state, plan.version, plan.delay) == (CHECKING, "42", 0.0 if error is None else 0.8)
    assert after(plan, Outcome()) == replace(plan, state=WATCHING, delay=0.0)
    assert after(watching("42"), Outcome(error, "42", delivered=1, lived=60.0)).state is WATCHING


@pytest.mark.parametrize("error", [TOO_LARGE, GONE], ids=["too large", "410"])
def test_a_check_that_is_refused_lists_the_most_recent_state_at_once(error: Exception) -> None:
    """The server is behind: what it has now is the truth."""
    plan = after(Plan(CHECKING, "42", failures=2), failed(error))
    assert (plan.state, plan.list_version, plan.delay) == (LISTING, "", 0.0)
    assert after(Plan(CHECKING, "42"), failed(error), settings=SETTINGS).state is STREAMING


@pytest.mark.parametrize("error", [REFUSED, BROKEN, TOO_MANY, UNAVAILABLE], ids=["refused", "broken", "429", "503"])
def test_a_check_that_cannot_be_made_is_made_later(error: Exception) -> None:
    """It says nothing yet."""
    plan = after(Plan(CHECKING, "42", failures=2), failed(error))
    assert (plan.state, plan.version, plan.failures, plan.delay) == (CHECKING, "42", 3, 3.2)


@pytest.mark.parametrize("error", [FORBIDDEN, MISSING, INTERNAL, GARBLED], ids=["403", "404", "500", "garbled"])
def test_a_check_that_is_not_allowed_lists_again(error: Exception) -> None:
    """As a stream where that is possible: it needs no more than the right to watch."""
    plan = after(Plan(CHECKING, "42", failures=2), failed(error), settings=SETTINGS)
    assert (plan.state, plan.version, plan.failures, plan.delay) == (STREAMING, "42", 3, 3.2)


@pytest.mark.parametrize("lived", [0.5, 30.0, 400.0])
@pytest.mark.parametrize("error", [None, BROKEN], ids=["closed", "broken"])
def test_a_watch_without_a_version_cannot_be_resumed(error: Exception | None, lived: float) -> None:
    """Where lists have no version, what was deleted between the list and the watch is found by the next list."""
    plan = after(first(), Outcome(has_list=True))
    assert (plan.state, plan.version) == (WATCHING, "")
    plan = after(plan, Outcome(error, delivered=5, lived=lived))
    assert (plan.state, plan.list_version) == (LISTING, "0")
    assert plan.delay == (0.0 if lived == 400.0 and error is None else 0.8), "what it replays is no health"


@pytest.mark.parametrize(
    "outcome",
    [Outcome(version="42", delivered=1), Outcome(GARBLED, "43", delivered=1)],
    ids=["nothing new", "something lost"],
)
def test_g9_a_watch_that_delivers_nothing_good_is_no_health(outcome: Outcome) -> None:
    """A proxy may answer each watch with the same event, a server each event with one that cannot be read."""
    plan = after(watching("42", failures=4), outcome)
    assert (plan.failures, plan.delay) == (5, 12.8)


def test_a_watch_that_closes_without_a_word_counts_as_a_failure() -> None:
    """It resumes later; one that lived less than a second may refuse the version silently: list again."""
    plan = after(watching("42", failures=2), Outcome(lived=1.0))
    assert (plan.state, plan.failures) == (CHECKING, 3)
    assert plan.delay == pytest.approx(3.2)
    plan = after(watching("42", failures=2), Outcome(lived=0.99))
    assert (plan.state, plan.failures, plan.list_version) == (LISTING, 3, "42")
    assert plan.delay == pytest.approx(3.2)


@pytest.mark.parametrize("error", [REFUSED, BROKEN, TOO_MANY, UNAVAILABLE], ids=["refused", "broken", "429", "503"])
def test_a_watch_resumes_where_nothing_says_that_it_cannot(error: Exception) -> None:
    """Without a list, however often."""
    plan = watching("42")
    for failures in range(1, 20):
        plan = after(plan, failed(error))
        assert (plan.state, plan.version, plan.failures) == (WATCHING, "42", failures)
        assert plan.delay > 0


@pytest.mark.parametrize(
    "error",
    [UNAUTHORIZED, FORBIDDEN, MISSING, UNSUPPORTED, INTERNAL, GARBLED],
    ids=["401", "403", "404", "422", "500", "garbled"],
)
def test_any_other_failure_of_a_watch_lists_again(error: Exception) -> None:
    """At the last version, after a delay."""
    plan = after(watching("42"), Outcome(error, "45", delivered=3))
    assert (plan.state, plan.list_version, plan.failures) == (LISTING, "45", 1)
    assert plan.delay >= 0.8


@pytest.mark.parametrize("failures", [0, 12])
@pytest.mark.parametrize("error", [GONE, TOO_LARGE], ids=["410", "too large"])
def test_a_watch_that_is_refused_lists_again_at_once(error: Exception, failures: int) -> None:
    """At the last version, for a 410 of a watch says nothing about lists; whatever outage there was, it is over."""
    for outcome in (Outcome(error, "42"), Outcome(error, "45", delivered=3)):
        plan = after(watching("42", failures=failures), outcome, random=0.5)
        assert (plan.state, plan.list_version, plan.delay) == (LISTING, outcome.version, 0.0)
        assert plan.failures == failures, "the list has still to show that the server is well"
        assert after(plan, failed(INTERNAL)).failures == failures + 1
        assert after(plan, listed("50")) == Plan(WATCHING, "50", unwatched=1)


@pytest.mark.parametrize("delivered", [0, 1], ids=["at once", "after an event"])
def test_g9_a_server_that_refuses_every_watch_is_backed_off(delivered: int) -> None:
    """What was listed is no use to it: only the first list comes at once."""
    plan, found = watching("42"), list[float]()
    for number in range(9):
        plan = after(plan, Outcome(GONE, f"{number}1", delivered=delivered))
        found.append(plan.delay)
        plan = after(plan, listed(f"{number}2"))
    assert found == pytest.approx([0.0, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0])


def test_a_refusal_is_not_held_up_by_the_outage_before_it() -> None:
    """Also where no watch was healthy before: only lists that nothing came of count."""
    for unwatched, delay in ((0, 0.0), (1, 1.6), (2, 3.2), (3, 6.4), (99, 30.0)):
        plan = after(replace(watching("42", failures=40), unwatched=unwatched), failed(GONE))
        assert (plan.state, plan.delay) == (LISTING, delay)


def test_a_failure_after_health_begins_the_backoff_anew() -> None:
    """What was delivered before it counts."""
    plan = after(watching("42", failures=9), Outcome(BROKEN, "43", delivered=1))
    assert (plan.failures, plan.delay) == (1, 0.8)


# -- delays -------------------------------------------------------------------------------------------------------


def delays(error: Exception, count: int, *, settings: Settings = LIST_ONLY, random: float = 0.0) -> list[float]:
    plan, found = first(settings), []
    for _ in range(count):
        plan = after(plan, failed(error), settings=settings, random=random)
        found.append(plan.delay)
    return found


def test_g9_the_backoff_doubles_from_0_8_to_30_seconds() -> None:
    """Up to as much again at random, so that a crowd does not come back as one."""
    expected = [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert delays(INTERNAL, 8) == expected
    assert delays(INTERNAL, 8, random=1.0) == pytest.approx([2 * delay for delay in expected])


@given(
    initial=st.floats(0.001, 100),
    largest=st.floats(0.001, 1000),
    factor=st.floats(1, 1e300),
    jitter=st.floats(0, 10),
    random=st.floats(0, 1, exclude_max=True),
    failures=st.integers(0, 10**9),
)
def test_g9_a_delay_is_always_within_its_bounds(
    initial: float, largest: float, factor: float, jitter: float, random: float, failures: int
) -> None:
    """For any settings, however long an outage lasts."""
    settings = Settings(
        watch_list=False, backoff_initial=initial, backoff_max=largest, backoff_factor=factor, backoff_jitter=jitter
    )
    plan = after(Plan(LISTING, failures=failures), failed(INTERNAL), settings=settings, random=random)
    assert min(initial, largest) <= plan.delay <= largest * (1 + jitter)


def test_a_slowly_growing_backoff_reaches_its_bound_too() -> None:
    """Not only factor 2."""
    assert delays(INTERNAL, 100, settings=Settings(watch_list=False, backoff_factor=1.05))[-1] == 30.0
    assert set(delays(INTERNAL, 9, settings=Settings(watch_list=False, backoff_factor=1.0))) == {0.8}


@pytest.mark.parametrize(
    ("retry_after", "failures", "delay"),
    [(7.0, 0, 7.0), (None, 0, 0.8), (0.0, 0, 0.8), (-5.0, 0, 0.8), (3600.0, 0, 60.0), (7.0, 9, 30.0), (1e400, 0, 60.0)],
)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_retry_after_is_honoured_and_capped(
    retry_after: float | None, failures: int, delay: float, status: int
) -> None:
    """It lengthens a delay, up to a minute; it never shortens one."""
    error = ApiStatusError.of(status, retry_after=retry_after)
    for state in (LISTING, WATCHING):
        assert after(Plan(state, "42", failures=failures), failed(error)).delay == pytest.approx(delay)


@given(outcomes=st.lists(st.tuples(st.sampled_from(list(ERRORS.values())), st.floats(0, 59)), min_size=1, max_size=30))
def test_g9_no_failure_resets_the_backoff_during_an_outage(outcomes: list[tuple[Exception, float]]) -> None:
    """Whatever the mixture of failures."""
    for plan in (first(SETTINGS), first(), watching()):
        for error, lived in outcomes:
            before, plan = plan, after(plan, Outcome(error, lived=lived), settings=SETTINGS)
            assert plan.failures >= before.failures
            assert plan.delay == 0.0 or plan.failures == before.failures + 1


def ends(*, is_watch: bool) -> list[Outcome]:
    """Return every way in which an attempt can fail to do any good."""
    closed = [Outcome(lived=0.0), Outcome(lived=30.0)] if is_watch else []
    return [*map(failed, ERRORS.values()), *closed]


@pytest.mark.parametrize("settings", [SETTINGS, LIST_ONLY], ids=["streaming", "listing"])
@pytest.mark.parametrize("watch", ends(is_watch=True))
def test_g9_less_than_ten_requests_a_minute_once_backed_off(settings: Settings, watch: Outcome) -> None:
    """Whatever fails how, for good, with the least jitter: also where lists succeed and watching is forbidden."""
    lists = [*ends(is_watch=False), Outcome(version="42", has_list=True)]
    for stream, listing in itertools.product(lists, lists):
        answers = {STREAMING: stream, LISTING: listing, WATCHING: watch, CHECKING: Outcome()}
        if stream.has_list:  # and the watch that it goes on as fails
            answers[STREAMING] = replace(watch, has_list=True, version="42")
        now, plan, times = 0.0, first(settings), list[float]()
        for _ in range(60):
            now += plan.delay
            times.append(now)
            plan = after(plan, answers[plan.state], settings=settings, now=now)
        backed_off = times[30:]
        assert max(sum(begin <= time < begin + 60 for time in backed_off) for begin in backed_off) < 10


def test_g9_a_watch_that_is_forbidden_does_not_make_lists_a_habit() -> None:
    """A completed list forgives what failed before it, but not that watching never works."""
    plan, spans = first(), list[float]()
    for _ in range(9):
        plan = after(after(plan, listed()), failed(FORBIDDEN))
        spans.append(plan.delay)
    assert spans == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0])
    plan = after(after(plan, listed()), Outcome(version="43", delivered=1))
    assert (plan.failures, plan.unwatched) == (0, 0)


def test_a_completed_list_forgives_an_outage() -> None:
    """What comes next begins with short delays again."""
    plan = watching("42")
    for _ in range(12):
        plan = after(plan, failed(REFUSED))
    plan = after(after(plan, failed(GONE)), listed("99"))
    assert (plan.state, plan.version, plan.failures, plan.delay) == (WATCHING, "99", 0, 0.0)
    assert after(plan, failed(BROKEN)).delay == 0.8


# -- states -------------------------------------------------------------------------------------------------------

WATCHES = st.builds(
    Outcome,
    error=st.none() | st.sampled_from(list(ERRORS.values())),
    version=st.sampled_from(["", "42", "43"]),
    delivered=st.integers(0, 2),
    lived=st.floats(0, 700),
)


def attempted(plan: Plan, watch: Outcome, *, is_open: bool, is_slow: bool) -> tuple[list[State], Outcome]:
    """Return the states of an attempt and its outcome, given how a watch ends, and whether it is opened at all.

    Of a stream: whether its initial objects come to an end. A list, or a stream, that is slow lets others go first, and
    waits for its turn again.
    """
    begin, error = plan.begins_in, watch.error
    path = [begin, plan.state, begin, plan.state] if is_slow else [begin, plan.state]
    match plan.state:
        case State.LISTING if error is None:
            return path, Outcome(version=watch.version, has_list=True)
        case State.WATCHING if is_open:
            return [begin, WATCHING], watch
        case State.STREAMING if is_open:
            return [*path, WATCHING], replace(watch, has_list=True)
        case State.LISTING | State.STREAMING if is_slow and error is BROKEN:  # its time is over meanwhile
            return path[:-1], failed(BROKEN)
        case State.LISTING | State.STREAMING:
            return path, failed(error or BROKEN)
        case State.CHECKING:
            return [begin], Outcome(error)
        case _:
            return [begin], failed(error or BROKEN)


def entered(plan: Plan, *, is_gone: bool) -> tuple[list[State], Plan]:
    """Return the states that a plan leads to before the server says anything of what is asked, and the plan.

    Args:
        plan: What is attempted next.
        is_gone: A list was refused, and the server says for certain that the kind is gone.
    """
    if not plan.delay:
        return [plan.begins_in], plan
    if plan.is_gone or not is_gone:
        return [plan.waits_in, plan.begins_in], plan
    gone = replace(plan, is_gone=True)
    return [plan.waits_in, gone.waits_in, gone.begins_in], gone


@given(
    settings=st.sampled_from([SETTINGS, LIST_ONLY]),
    attempts=st.lists(
        st.tuples(
            WATCHES, st.booleans(), st.booleans(), st.booleans(), st.floats(0, 700), st.floats(0, 1, exclude_max=True)
        )
    ),
)
def test_no_transition_is_missing(
    settings: Settings, attempts: list[tuple[Outcome, bool, bool, bool, float, float]]
) -> None:
    """Whatever the attempts of a reflector come to, in whatever order."""
    plan, now = first(settings), 0.0
    path = [State.WAITING, plan.begins_in]
    for watch, is_open, is_slow, is_gone, passed, random in attempts:
        states, outcome = attempted(plan, watch, is_open=is_open, is_slow=is_slow)
        now += passed
        is_gone = is_gone and plan.state is LISTING and outcome.error in (FORBIDDEN, MISSING)
        following = after(plan, outcome, settings=settings, now=now, random=random)
        begin, plan = entered(following, is_gone=is_gone)
        path += [*states[1:], *begin]
    assert [(old, new) for old, new in itertools.pairwise(path) if new not in TRANSITIONS[old]] == []


def reached() -> set[tuple[State, State]]:
    """Return the changes of state that attempts of some kinds lead to, one after the other, until nothing is new."""
    watches = [
        Outcome(error, version, delivered=delivered, lived=lived)
        for error in (None, BROKEN, FORBIDDEN, GONE, GARBLED, TOO_MANY)
        for version in ("", "42")
        for delivered in (0, 1)
        for lived in (0.0, 2.0, 60.0)
    ]
    found: set[tuple[State, State]] = set()
    for settings in (SETTINGS, LIST_ONLY):
        todo = [first(settings)]
        seen = set(todo)
        found.add((State.WAITING, todo[0].begins_in))
        while todo:
            plan = todo.pop()
            ways = (True, False) if plan.begins_in is State.QUEUED else (False,)
            for watch, is_open, is_slow, is_gone in itertools.product(watches, (True, False), ways, ways):
                states, outcome = attempted(plan, watch, is_open=is_open, is_slow=is_slow)
                is_judged = is_gone and plan.state is LISTING and outcome.error is FORBIDDEN
                begin, following = entered(after(plan, outcome, settings=settings), is_gone=is_judged)
                found |= set(itertools.pairwise([*states, *begin]))
                # More failures or lists than one only lengthen the delay.
                following = replace(
                    following, delay=0.0, failures=min(following.failures, 1), unwatched=min(following.unwatched, 1)
                )
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
    return found


def test_every_transition_can_happen() -> None:
    """Besides the end, which comes from outside, and the new beginning after an end that nobody had asked for."""
    stops = {(state, State.STOPPED) for state in State if state is not State.STOPPED}
    begins = {(State.STOPPED, State.WAITING), (State.STOPPED, State.ABSENT)}
    assert {(old, new) for old, news in TRANSITIONS.items() for new in news} == reached() | stops | begins
    assert TRANSITIONS.keys() == set(State)


@pytest.mark.parametrize("plan", [Plan(LISTING, "42"), Plan(STREAMING, "42"), watching("42"), Plan(CHECKING, "42")])
def test_g9_an_attempt_that_is_interrupted_says_nothing_about_the_server(plan: Plan) -> None:
    """Whoever cancels the request, or closes the client: a stream stays a stream, a watch is resumed, after a delay."""
    error = ConnectionFailedError("something else has cancelled the request")
    following = after(plan, Outcome(error, is_interrupted=True), settings=SETTINGS)
    again = {LISTING: STREAMING}.get(plan.state, plan.state)
    assert (following.state, following.version, following.delay) == (again, "42", 0.8)
    assert following.streams_again_at == 0.0


def test_g5_a_kind_that_is_gone_is_gone_until_it_is_listed() -> None:
    """What else goes wrong meanwhile does not bring it back."""
    plan = Plan(LISTING, "42", is_gone=True)
    for error in (REFUSED, MISSING, BROKEN, TOO_MANY):
        plan = after(plan, failed(error))
        assert plan.is_gone
        assert plan.waits_in is State.ABSENT
    plan = after(plan, listed("50"))
    assert not plan.is_gone
    assert plan.waits_in is State.WAITING


def test_the_page_shows_the_states_as_they_are() -> None:
    command = [sys.executable, str(ROOT / "tools" / "render_states.py"), "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, (
        f"run `python tools/render_states.py`: docs/architecture.md is not current\n{checked}"
    )


# -- what was stored ----------------------------------------------------------------------------------------------


def probe(plan: Plan, version: str = "", *, error: Exception | None = None, delivered: int = 0) -> Plan:
    """Return what follows a short watch."""
    outcome = Outcome(error, version or plan.version, delivered=delivered, lived=3.0)
    return advance(plan, outcome, Settings(), 0.0, 0.0)


def test_g24_a_resumed_reflector_watches_in_short_pieces_until_the_goal() -> None:
    plan = resumed_plan("90", "100", 0.0)
    assert (plan.state, plan.version, plan.goal) == (State.WATCHING, "90", "100")
    plan = probe(plan, "95", delivered=1)
    assert (plan.state, plan.goal, plan.delay, plan.failures) == (State.WATCHING, "100", 0.0, 0)
    plan = probe(plan, "100", delivered=1)
    assert (plan.state, plan.goal, plan.delay, plan.failures) == (State.WATCHING, "", 0.0, 0)


def test_g24_nothing_has_to_be_reached_where_nothing_has_happened() -> None:
    assert resumed_plan("100", "100", 0.0).goal == ""


def test_g24_a_server_that_does_not_show_the_goal_is_asked_for_a_list_of_now() -> None:
    plan = resumed_plan("90", "100", 0.0)
    for _ in range(2):
        plan = probe(plan)
        assert (plan.state, plan.delay) == (State.WATCHING, 0.0)
    plan = probe(plan)
    assert plan.state in {State.LISTING, State.STREAMING}
    assert (plan.list_version, plan.goal) == ("", "")


def test_g24_a_version_that_the_server_has_forgotten_is_listed_as_of_now() -> None:
    plan = probe(resumed_plan("90", "100", 0.0), error=GONE)
    assert plan.state in {State.LISTING, State.STREAMING}
    assert (plan.list_version, plan.goal, plan.delay) == ("", "", 0.0)


def test_g24_a_probe_that_breaks_is_a_failure_and_is_resumed() -> None:
    plan = probe(resumed_plan("90", "100", 0.0), error=ConnectionFailedError("reset"), delivered=0)
    assert (plan.goal, plan.failures) == ("100", 1)
    assert plan.delay > 0
