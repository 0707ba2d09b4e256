"""G21: what a Lease says, written and read as client-go does, and what may be done by it at a moment."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from aioinformers.coordination import lease as module
from aioinformers.coordination.lease import (
    SUSPENSION,
    Held,
    Lease,
    LeaseClock,
    LeaseRecord,
    Sighting,
    Timing,
    Verdict,
    acquirable_at,
    is_over,
    micro_time,
    new_lease,
    seconds_left,
    sighted,
    verdict,
)
from aioinformers.errors import ResponseError

# What client-go's LeaseLock writes, with what the server adds and with a field of a strategy.
OF_CLIENT_GO = b"""{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"kube-controller-manager",
"namespace":"kube-system","uid":"5f3c","resourceVersion":"2718","creationTimestamp":"2026-11-30T08:00:00Z",
"labels":{"a":"b"},"managedFields":[{"manager":"kube-controller-manager"}]},"spec":{"holderIdentity":"node-1_9d7c0f9e",
"leaseDurationSeconds":15,"acquireTime":"2026-11-30T08:00:00.000012Z","renewTime":"2026-11-30T09:30:07.120000Z",
"leaseTransitions":4,"strategy":"OldestEmulationVersion"}}"""

names = st.text(min_size=1, max_size=20)
records = st.builds(
    LeaseRecord,
    holder=st.just("") | names,
    duration=st.integers(1, 2**31 - 1),
    acquired=st.floats(0, 4e9).map(micro_time),
    renewed=st.floats(0, 4e9).map(micro_time),
    transitions=st.integers(0, 2**31 - 1),
)
moments = st.floats(0, 1e6)


def lease_of(record: LeaseRecord, uid: str = "u", version: str = "1") -> Lease:
    return Lease(record, uid, version, {"metadata": {"name": "n", "uid": uid, "resourceVersion": version}})


# -- the record ---------------------------------------------------------------------------------------------------


def test_what_client_go_has_written_is_read() -> None:
    found = Lease.parse(OF_CLIENT_GO)
    assert (found.uid, found.version) == ("5f3c", "2718")
    assert found.record == LeaseRecord(
        "node-1_9d7c0f9e", 15, "2026-11-30T08:00:00.000012Z", "2026-11-30T09:30:07.120000Z", 4
    )


def test_what_is_written_back_changes_the_record_and_nothing_else() -> None:
    """Labels, the strategy of coordinated elections, and what no version of us knows."""
    found = Lease.parse(OF_CLIENT_GO)
    record = LeaseRecord("me", 15, "2026-11-30T10:00:00.000000Z", "2026-11-30T10:00:00.000000Z", 5)
    before, after = json.loads(OF_CLIENT_GO), json.loads(found.replaced(record))
    assert after["metadata"] == before["metadata"]
    assert after["spec"] == before["spec"] | {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-30T10:00:00.000000Z",
        "renewTime": "2026-11-30T10:00:00.000000Z",
        "leaseTransitions": 5,
    }
    assert json.loads(OF_CLIENT_GO) == before == found.document


def test_a_lease_that_is_given_back_has_an_empty_holder() -> None:
    """As client-go writes it: the field is there, and empty."""
    spec = json.loads(Lease.parse(OF_CLIENT_GO).replaced(LeaseRecord("", 1, "t", "t", 4)))["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("", 1, 4)


@given(records)
def test_a_record_is_read_as_it_was_written(record: LeaseRecord) -> None:
    made = json.loads(new_lease("ops", "web", record))
    assert (made["apiVersion"], made["kind"]) == ("coordination.k8s.io/v1", "Lease")
    assert made["metadata"] == {"name": "web", "namespace": "ops"}
    made["metadata"] |= {"uid": "u", "resourceVersion": "7"}
    assert Lease.parse(json.dumps(made).encode()).record == record
    assert Lease.parse(lease_of(LeaseRecord()).replaced(record)).record == record


@given(st.floats(0, 4e9))
def test_times_are_written_in_utc_with_six_digits(wall: float) -> None:
    """Go parses them by a layout with exactly these."""
    text = micro_time(wall)
    assert len(text) == len("2006-01-02T15:04:05.000000Z")
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(wall, UTC)


def test_times_are_written_in_utc_wherever_the_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert micro_time(0.25) == "1970-01-01T00:00:00.250000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "spec", [None, {}, {"holderIdentity": None, "leaseDurationSeconds": None}, {"preferredHolder": "x"}]
)
def test_a_lease_that_nobody_has_held_says_nothing(spec: Any) -> None:
    document = {"kind": "Lease", "metadata": {"name": "n", "uid": "u", "resourceVersion": "1"}, "spec": spec}
    assert Lease.parse(json.dumps(document).encode()).record == LeaseRecord()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"\xff", b'{"metadata":{}}', b'{"kind":"Status","metadata":{"resourceVersion":"1"}}',
        b'{"kind":"Lease","metadata":{"resourceVersion":"1"},"spec":{"leaseDurationSeconds":"15"}}',
        b'{"kind":"Lease","metadata":{"name":"n"}}', b'{"kind":"Lease","metadata":null}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_lease_is_refused(body: bytes) -> None:
    with pytest.raises(ResponseError, match="Lease"):
        Lease.parse(body)


# -- whoever does not hold it -------------------------------------------------------------------------------------

OTHERS = LeaseRecord("other", 15, "a", "r", 3)


def test_g21_a_lease_is_left_alone_until_it_was_seen_unchanged_for_the_time_in_it() -> None:
    seen = sighted(None, lease_of(OTHERS), 100.0)
    assert acquirable_at(seen, "me", (), 60.0) == 115.0
    again = sighted(seen, lease_of(OTHERS, version="2"), 110.0)
    assert acquirable_at(again, "me", (), 60.0) == 115.0, "somebody may have put a label on it"
    assert again.lease is not None
    assert again.lease.version == "2", "what is written next has to be on top of that"
    renewed = sighted(again, lease_of(LeaseRecord("other", 15, "a", "r2", 3), version="3"), 112.0)
    assert acquirable_at(renewed, "me", (), 60.0) == 127.0


def test_g21_a_record_that_says_no_duration_is_given_ones_own() -> None:
    assert acquirable_at(sighted(None, lease_of(LeaseRecord("other")), 1.0), "me", (), 60.0) == 61.0


def test_a_lease_that_is_free_may_be_acquired_at_once() -> None:
    for lease in (None, lease_of(LeaseRecord()), lease_of(LeaseRecord("", 1, "t", "t", 3))):
        assert acquirable_at(sighted(None, lease, 100.0), "me", (), 15.0) == -math.inf


def test_g21_ones_own_identity_in_somebody_elses_record_is_somebody_else() -> None:
    """Of two processes with one identity, the later one would lead beside the earlier."""
    seen = sighted(None, lease_of(LeaseRecord("me", 15, "then", "r", 3)), 100.0)
    assert acquirable_at(seen, "me", (), 15.0) == 115.0
    assert acquirable_at(seen, "me", ("before", "then"), 15.0) == -math.inf


def test_g21_a_lease_that_is_deleted_leaves_its_holder_its_time() -> None:
    """It may have been renewed until just before, and the holder does not know yet."""
    seen = sighted(None, lease_of(OTHERS), 100.0)
    gone = sighted(seen, None, 114.0)
    assert gone == Sighting(None, 114.0, OTHERS)
    assert sighted(gone, None, 120.0) == gone
    assert acquirable_at(gone, "me", (), 15.0) == 129.0
    made = sighted(gone, lease_of(OTHERS, uid="v"), 121.0)
    assert acquirable_at(made, "me", (), 15.0) == 136.0, "another Lease with the same words"
    released = sighted(None, lease_of(LeaseRecord("", 1)), 100.0)
    assert acquirable_at(sighted(released, None, 101.0), "me", (), 15.0) == -math.inf


@given(st.lists(st.tuples(st.sampled_from([None, 0, 1, 2]), st.floats(0, 10)), min_size=1, max_size=20))
def test_g21_what_is_seen_last_counts_from_when_it_was_seen_first(looks: list[tuple[int | None, float]]) -> None:
    seen, now, expected, previous = None, 0.0, 0.0, object()
    for which, wait in looks:
        now += wait
        found = None if which is None else lease_of(LeaseRecord("other", 15, "a", str(which)))
        seen = sighted(seen, found, now)
        if which != previous:
            expected, previous = now, which
        assert seen.since == expected
        assert seen.lease is found


# -- whoever holds it ---------------------------------------------------------------------------------------------

HELD = Held(sent=100.0, wall=5000.0, renew_deadline=10.0, lease_duration=15.0)


@pytest.mark.parametrize(
    ("now", "wall", "left"),
    [
        (100.0, 5000.0, 10.0),
        (103.0, 5003.0, 7.0),
        (109.9, 5009.9, 0.1),
        (110.0, 5010.0, 0.0),
        (500.0, 5400.0, 0.0),
        (101.0, 5002.0, 9.0),  # a clock that is being adjusted
        (101.0, 5002.5, 0.0),  # wall time went on while the clock stood still: a suspension
        (101.0, 8600.0, 0.0),  # or somebody has set it forward
        (101.0, 1000.0, 9.0),  # set back it says nothing
    ],
)
def test_g21_a_term_lasts_from_the_sending_of_its_last_renewal(now: float, wall: float, left: float) -> None:
    assert seconds_left(HELD, now, wall) == pytest.approx(left)
    assert is_over(HELD, now, wall) == (left == 0)


@pytest.mark.parametrize(
    ("lease_duration", "renew_deadline", "fence"),
    [(15, 10, 12), (3, 2, 2.4), (60, 40, 48), (137, 107, 114.5), (15, 14, 14.25), (10, 1, 8)],
)
def test_g21_nothing_goes_on_for_as_long_as_others_wait(
    lease_duration: float, renew_deadline: float, fence: float
) -> None:
    held = Held(0.0, 0.0, renew_deadline, lease_duration)
    assert held.fence == pytest.approx(fence)
    assert held.until < held.fence < lease_duration


@pytest.mark.parametrize(
    ("now", "is_running", "expected"),
    [
        (109.0, True, Verdict.FINE), (110.0, True, Verdict.OVER), (111.9, True, Verdict.OVER),
        (112.0, True, Verdict.OVERDUE), (500.0, True, Verdict.OVERDUE), (500.0, False, Verdict.FINE),
    ],
)  # fmt: skip
def test_g21_a_look_from_outside_says_what_is_late(now: float, is_running: bool, expected: Verdict) -> None:
    assert verdict(HELD, now, 5000 + now - 100, is_running=is_running) is expected


def test_g21_a_clock_set_forward_costs_a_term_and_no_process() -> None:
    assert verdict(HELD, 101.0, 999_999.0, is_running=True) is Verdict.OVER


@given(
    renew_deadline=st.floats(0.5, 100), ratio=st.floats(1.0, 3.0), drift=st.floats(0, 0.2), latency=st.floats(0, 5),
    delay=st.floats(0, 5),
)  # fmt: skip
def test_g21_no_two_hold_it_while_clocks_run_at_about_the_same_rate(
    renew_deadline: float, ratio: float, drift: float, latency: float, delay: float
) -> None:
    """The holder's clock runs slow and the follower's fast, by as much as the durations allow."""
    lease_duration = renew_deadline * (1 + drift) / (1 - drift) * ratio + 1e-6
    sent = 1000.0  # true time
    seen = sent + latency + delay  # the server had it, and the follower saw it
    ends = sent + renew_deadline / (1 - drift)
    begins = seen + lease_duration / (1 + drift)
    held = Held(sent * (1 - drift), 0.0, renew_deadline, lease_duration)
    assert seconds_left(held, ends * (1 - drift), 0.0) == pytest.approx(0.0, abs=1e-6)
    found = sighted(None, lease_of(LeaseRecord("other")), seen * (1 + drift))
    assert acquirable_at(found, "me", (), lease_duration) >= begins * (1 + drift) - 1e-6
    assert ends <= begins + 1e-6


# -- clocks -------------------------------------------------------------------------------------------------------


def test_the_machines_clock_counts_suspension_where_it_can(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_said", [])
    clock = LeaseClock.system()
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(clock.now() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
    assert abs(clock.wall() - time.time()) < 1
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr("sys.platform", "darwin")
    assert abs(LeaseClock.system().now() - time.clock_gettime(time.CLOCK_MONOTONIC)) < 1
    assert not caplog.records
    monkeypatch.setattr("sys.platform", "win32")
    for _ in range(2):
        assert abs(LeaseClock.system().now() - time.monotonic()) < 1
    (record,) = caplog.records
    assert record.getMessage() == (
        "the clock of win32 may stand still while the machine is suspended: wall time tells then"
    )


def test_a_request_gets_no_longer_than_a_term() -> None:
    assert Timing(15, 10, 2).request_time == 5
    assert Timing(3, 2, 0.4).request_time == 2
    assert SUSPENSION == 1


# -- candidates whose messages take any time and any way ----------------------------------------------------------


class Message(NamedTuple):
    """A write on its way to the server, or its answer on the way back."""

    sender: int
    version: str
    record: LeaseRecord
    sent: float
    is_renewal: bool
    answer: Lease | None = None


class Player:
    """A candidate that does what the functions above allow, whenever it is its turn."""

    def __init__(self, name: str, rate: float, shift: float) -> None:
        self.name = name
        self.rate = rate
        self.shift = shift
        self.seen: Sighting | None = None
        self.held: Held | None = None
        self.acquired: list[str] = []

    def now(self, true: float) -> float:
        return true * self.rate + self.shift

    def is_leading(self, true: float) -> bool:
        return self.held is not None and seconds_left(self.held, self.now(true), self.now(true)) > 0

    def write(self, true: float) -> LeaseRecord | None:
        """Return what it writes now; None if it may not."""
        assert self.seen is not None
        if self.is_leading(true):
            return replace(self.seen.record, renewed=f"{self.name} {true}")
        if self.now(true) < acquirable_at(self.seen, self.name, self.acquired, 15.0):
            return None
        self.acquired.append(f"{self.name} {true}")
        return LeaseRecord(self.name, 15, self.acquired[-1], self.acquired[-1], self.seen.record.transitions + 1)

    def take(self, message: Message, true: float) -> None:
        """Hear that a write has been carried out."""
        if not message.is_renewal or self.is_leading(true):  # what comes too late revives nothing
            self.seen = sighted(self.seen, message.answer, self.now(true))
            self.held = Held(message.sent, message.sent, 10.0, 15.0)


class World:
    """A server, its candidates, and a network that does with messages whatever it is told."""

    def __init__(self, rates: list[float]) -> None:
        self.true = 0.0
        self.lease = lease_of(LeaseRecord())
        self.players = [Player(name, rate, 1000.0 * rate) for name, rate in zip("abc", rates, strict=True)]
        self.net: list[Message] = []

    def step(self, what: str, which: int, seconds: float) -> None:
        player = self.players[which % len(self.players)]
        match what:
            case "round":
                before = len(self.net)
                for part in ("look", "write"):
                    self.step(part, which, seconds)
                for _ in range(2):
                    if len(self.net) > before:
                        self.deliver(self.net.pop())
            case "wait":
                self.true += seconds
            case "look":
                player.seen = sighted(player.seen, self.lease, player.now(self.true))
            case "write" if player.seen is not None and player.seen.lease is not None:
                record = player.write(self.true)
                if record is not None:
                    version, sent = player.seen.lease.version, player.now(self.true)
                    is_renewal = player.is_leading(self.true)
                    self.net.append(Message(self.players.index(player), version, record, sent, is_renewal))
            case "deliver" if self.net:
                self.deliver(self.net.pop(which % len(self.net)))
            case "lose" if self.net:
                self.net.pop(which % len(self.net))

    def deliver(self, message: Message) -> None:
        if message.answer is not None:
            self.players[message.sender].take(message, self.true)
        elif message.version == self.lease.version:
            self.lease = lease_of(message.record, version=str(int(self.lease.version) + 1))
            self.net.append(message._replace(answer=self.lease))


STEPS = st.tuples(
    st.sampled_from(["wait", "wait", "round", "round", "look", "write", "deliver", "lose"]),
    st.integers(0, 5),
    st.sampled_from([0.1, 1.0, 2.0, 5.0, 9.0, 14.0, 16.0]),
)


@settings(max_examples=200)
@given(st.lists(st.floats(0.91, 1.09), min_size=3, max_size=3), st.lists(STEPS, min_size=60, max_size=200))
def test_g21_whatever_becomes_of_messages_no_two_lead(rates: list[float], steps: list[tuple[str, int, float]]) -> None:
    world, leaders = World(rates), set()
    for step in steps:
        world.step(*step)
        leading = {player.name for player in world.players if player.is_leading(world.true)}
        assert len(leading) <= 1
        leaders |= leading
    event(f"{len(leaders)} leaders")
