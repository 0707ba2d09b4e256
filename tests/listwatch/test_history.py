"""What a reflector remembers of what it has done, and what users read of it."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers import Settings
from aioinformers.errors import (
    ApiStatusError,
    ConnectionFailedError,
    ForbiddenError,
    GoneError,
    ResponseError,
    ServerBusyError,
    UnauthorizedError,
)
from aioinformers.listwatch.history import MOST_TRANSITIONS, WATCH_BOUNDS, History, outcome_of
from aioinformers.listwatch.recovery import Outcome, Plan, State, advance
from aioinformers.statistics import Transition
from aioinformers.testing import FakeAPIServer
from aioinformers.types import Scope
from tests.kit import configmap, factory_on

WATCHING = Plan(State.WATCHING, "5")


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Outcome(), "ok"),
        (Outcome(ConnectionFailedError("x"), is_interrupted=True), "interrupted"),
        (Outcome(ConnectionFailedError("x")), "unreachable"),
        (Outcome(GoneError(410, "Expired", "x")), "expired"),
        (Outcome(UnauthorizedError(401, "", "x")), "refused"),
        (Outcome(ForbiddenError(403, "", "x")), "refused"),
        (Outcome(ServerBusyError(429, "", "x")), "busy"),
        (Outcome(ApiStatusError(500, "", "x")), "failed"),
        (Outcome(ResponseError("x")), "unreadable"),
    ],
)
def test_attempts_are_counted_by_how_they_ended(outcome: Outcome, word: str) -> None:
    history = History()
    history.conclude(WATCHING, outcome, WATCHING)
    assert outcome_of(outcome) == word
    assert history.statistics(0.0, State.WATCHING, "5").attempts == {word: 1}


@pytest.mark.parametrize(
    ("plan", "outcome", "reason"),
    [
        (WATCHING, Outcome(GoneError(410, "Expired", "x")), "expired"),
        (WATCHING, Outcome(ResponseError("x"), version="7", delivered=3, lived=5.0), "event lost"),
        (WATCHING, Outcome(ForbiddenError(403, "", "x")), "watch failed"),
        (WATCHING, Outcome(lived=0.1), "closed at once"),
        (Plan(State.WATCHING), Outcome(lived=5.0), "no version"),
        (Plan(State.CHECKING, "5"), Outcome(GoneError(410, "Expired", "x")), "expired"),
        (Plan(State.CHECKING, "5"), Outcome(ForbiddenError(403, "", "x")), "watch failed"),
        (WATCHING, Outcome(lived=400.0, delivered=3), ""),
        (WATCHING, Outcome(ConnectionFailedError("x"), lived=5.0), ""),
        (Plan(State.LISTING), Outcome(ConnectionFailedError("x")), ""),
        (Plan(State.LISTING), Outcome(version="5", has_list=True), ""),
        (Plan(State.STREAMING), Outcome(GoneError(410, "Expired", "x"), version="5", has_list=True), "expired"),
    ],
)
def test_a_list_after_the_first_has_a_reason(plan: Plan, outcome: Outcome, reason: str) -> None:
    history = History()
    history.conclude(plan, outcome, advance(plan, outcome, Settings(), 0.0, 0.5))
    assert history.statistics(0.0, State.WAITING, "").relists == ({reason: 1} if reason else {})


def test_durations_of_watches_are_classed() -> None:
    history = History()
    for seconds in (0.5, 1.0, 30.0, 4000.0):
        history.conclude(WATCHING, Outcome(lived=seconds), WATCHING)
    history.conclude(WATCHING, Outcome(ConnectionFailedError("it was never open")), WATCHING)
    watches = history.statistics(0.0, State.WATCHING, "5").watches
    assert watches.bounds == WATCH_BOUNDS
    assert watches.counts == (2, 0, 1, 0, 0, 0, 1)
    assert watches.total == 4031.5


def test_the_last_changes_of_state_are_remembered() -> None:
    history = History()
    for at in range(MOST_TRANSITIONS + 10):
        history.enter(float(at), State.WAITING if at % 2 else State.QUEUED, ConnectionFailedError(f"failure {at}"))
    found = history.statistics(100.0, State.WAITING, "5")
    assert len(found.timeline) == MOST_TRANSITIONS
    assert found.timeline[-1] == Transition(59.0, "waiting", "failure 59")
    assert (found.at, found.since) == (100.0, 59.0)


@pytest.mark.virtual_time
async def test_an_informer_tells_how_each_of_its_scopes_is_followed() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a"))
        configmaps = factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(60)
        server.fail("watch configmaps", 500, times=2)
        server.close_watches()
        await asyncio.sleep(30)
        server.fail("watch configmaps", 410, times=1)
        server.close_watches()
        await asyncio.sleep(10)
        found = configmaps.statistics().scopes[Scope()]
        assert found.state == "watching"
        assert found.version == server.resource_version
        assert found.attempts["failed"] == 2
        assert found.relists == {"watch failed": 1, "expired": 1}
        assert sum(found.watches.counts) == 2
        assert [each.state for each in found.timeline][:3] == ["waiting for its turn to list", "streaming", "watching"]
        assert any("injected" in each.reason for each in found.timeline)
        assert found.at - found.timeline[0].at == pytest.approx(100, abs=1)
