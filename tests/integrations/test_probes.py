"""What Kubernetes' probes are told."""

from __future__ import annotations

from aioinformers.integrations.probes import Probe, live, ready, startup
from tests.integrations.views import informer, seen


def failing(probe: Probe) -> dict[str, str]:
    return {check.name: check.reason for check in probe.checks if not check.is_ok}


def test_started_and_synced_is_ready() -> None:
    program = seen(informer())
    assert startup(program).is_ok
    assert ready(program).is_ok
    assert live(program).is_ok


def test_a_program_without_informers_is_never_ready_and_says_why() -> None:
    found = failing(ready(seen()))
    assert found == {"informers are started": "there is no informer: declare what the program reads before it starts"}
    assert live(seen()).is_ok


def test_before_the_start_and_during_the_end_it_is_not_ready() -> None:
    assert failing(ready(seen(informer(), is_started=False))) == {"informers are started": "factory: not started"}
    closing = seen(informer(), is_started=False, is_closed=True)
    assert failing(ready(closing, have_been={1})) == {"informers are started": "shutting down"}
    assert live(closing).is_ok


def test_what_has_not_synced_is_named() -> None:
    program = seen(informer(), informer("nodes.v1", has_synced=False, reason="listing: 503"))
    assert failing(ready(program)) == failing(startup(program)) == {"nodes.v1": "listing: 503"}


def test_what_is_optional_is_not_waited_for_and_said_all_the_same() -> None:
    program = seen(informer(), informer("x.v1", has_synced=False, is_optional=True, reason="listing: 403"))
    probe = ready(program)
    assert probe.is_ok
    assert [check.reason for check in probe.checks if check.name == "x.v1"] == ["listing: 403 (optional)"]


def test_who_has_been_ready_stays_so_while_the_api_server_is_away() -> None:
    away = seen(informer(is_degraded=True, silent_for=300.0, reason="waiting: refused"))
    listing = seen(informer(has_synced=False, reason="listing"))
    for program in (away, listing):
        assert ready(program, have_been={1}).is_ok
        assert live(program).is_ok


def test_who_says_how_stale_is_too_stale_is_not_ready_then() -> None:
    away = seen(informer(is_degraded=True, silent_for=301.0, reason="waiting: refused"))
    assert failing(ready(away, have_been={1}, max_stale=300)) == {
        "pods.v1 is fresh": "not heard of for 301 s: waiting: refused"
    }
    assert ready(away, have_been={1}, max_stale=302).is_ok
    assert ready(seen(informer(silent_for=None)), max_stale=1).is_ok


def test_a_bug_and_nothing_else_makes_it_dead() -> None:
    crashed = informer(has_crashed=True, reason="crashed: KeyError('x')")
    assert failing(live(seen(crashed))) == {"pods.v1": "crashed: KeyError('x')"}
    assert live(seen(informer(has_crashed=True, is_optional=True))).is_ok
    assert live(seen(informer(restarts=4))).is_ok
    assert failing(live(seen(informer(restarts=5)))) == {
        "pods.v1": "5 of its tasks were cancelled by others within a minute"
    }


def test_a_bug_ends_readiness_whatever_has_been() -> None:
    """Reads of that informer raise; of one that nobody waits for, they may."""
    crashed = informer(has_synced=False, has_crashed=True, reason="crashed: KeyError('x')")
    assert not ready(seen(crashed), have_been={1}).is_ok
    assert ready(seen(informer(has_synced=False, has_crashed=True, is_optional=True)), have_been={1}).is_ok
