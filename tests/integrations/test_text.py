"""A snapshot as a person with a shell reads it."""

from __future__ import annotations

import pytest

from aioinformers.integrations.advice import Advice
from aioinformers.integrations.probes import live, ready
from aioinformers.integrations.snapshot import ControllerView, Problem, Verdict
from aioinformers.integrations.text import duration, probe_text, quantile_text, size, statusz, time_text
from aioinformers.statistics import (
    BusyKey,
    BusyRun,
    ConsumerStatistics,
    ControllerStatistics,
    Durations,
    ElectionState,
    ElectionStatistics,
    FailingKey,
    QueueStatistics,
)
from aioinformers.types import ObjectKey
from tests.integrations.views import busy_program, informer, seen

KEY = ObjectKey("shop", "web-0")


def test_all_that_a_program_does_is_on_one_screen() -> None:
    handler = ConsumerStatistics(
        queued=3, handled=9, failed=1, filtered=0, coalesced=2, undelivered=0, high_water=5, limit=1024,
        busy_keys=(BusyKey(KEY, 4.2),),
    )  # fmt: skip
    none = Durations((1.0,), (0, 0), 0.0)
    queue = QueueStatistics(
        {"URGENT": 0, "NORMAL": 2},
        waiting=1,
        running=1,
        added=9,
        done=4,
        failed=1,
        lost=0,
        oldest={"NORMAL": 3.2},
        waits=none,
        runs=none,
    )
    statistics = ControllerStatistics(
        name="sites", has_begun=True, succeeded=4, failed=1, timed_out=0, stale=0, waiting_for_writes=0,
        busy=(BusyRun(KEY, 2.0, "main.py:7"),), queue=queue,
    )  # fmt: skip
    controller = ControllerView("sites", 16, statistics, (FailingKey(KEY, "ValueError: no", 3, 0.0),))
    election = ElectionStatistics(
        name="default/sites", identity="a", state=ElectionState.LEADING, reason="", holder="a", is_leading=True,
        seconds_left=8.0, terms=1, lost=0, renewals=3, failures=0, running=1,
    )  # fmt: skip
    program = seen(
        informer(on_pods=handler), controllers=(controller, ControllerView("idle", 1, None, ())),
        elections=(election,), verdict=Verdict.SYNCING, remark="7 of 9", uptime=90.0,
        problems=(Problem("nodes.v1", "listing", Advice("Wait.", "faults.md#lists"), is_severe=False),),
    )  # fmt: skip
    assert statusz(program).splitlines() == [
        "SYNCING 7 of 9   pid 7, up 90 s, aioinformers 1.0, 2023-11-14 22:13:20 UTC",
        "  nodes.v1: listing",
        "    Wait. docs/faults.md#lists",
        "",
        "factory factory, 10.0.0.1:6443",
        "  pods.v1: LIVE for 3.0 s, 3 objects, 2.9 KiB, +5 ~6 -2, 2 lists, heard of 1.0 s ago",
        "    all namespaces: watching for 3.0 s, resourceVersion 7, listed again: 1 expired",
        "    handler on_pods: 3 of 1,024 queued, 1 of 1 busy, 9 handled, 1 failed, 2 merged; shop/web-0 for 4.2 s",
        "",
        "controllers",
        "  sites: reconciling, queued: 2 normal (3.2 s), 1 wait, 1 of 16 run, 4 done, 1 failed, 0 timed out",
        "    shop/web-0 for 2.0 s: main.py:7",
        "    shop/web-0 failed 3 times, tried again now: ValueError: no",
        "  idle: not started",
        "",
        "elections",
        "  default/sites: a is leading, 8.0 s left, held by a",
    ]


def test_probes_are_answered_in_the_words_of_kubernetes() -> None:
    program = seen(informer(has_synced=False, reason="listing: 10.0.0.1 refused"))
    assert probe_text(ready(program), is_verbose=False, has_reasons=True).splitlines() == [
        "[-]pods.v1 failed: listing: 10.0.0.1 refused",
        "readyz check failed",
    ]
    assert "10.0.0.1" not in probe_text(ready(program), is_verbose=True, has_reasons=False)
    assert probe_text(live(program), is_verbose=False, has_reasons=False) == "ok\n"
    assert probe_text(live(program), is_verbose=True, has_reasons=False).splitlines() == [
        "[+]the event loop answers ok",
        "[+]pods.v1 ok",
        "livez check passed",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (41, "41 s"), (119, "119 s"), (180, "3 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (900, "900 B"), (1536, "1.5 KiB"), (20 * 2**20, "20 MiB"), (2**42, "4096 GiB")]
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


def test_what_is_wrong_with_handlers_is_said_and_what_was_measured() -> None:
    lines = statusz(busy_program()).splitlines()
    assert "    handler notify (full): 1,024 of 1,024 queued, 0 of 4 busy, 9 handled, 2 failed, 7 merged" in lines
    drain = "0 of 1,024 queued, 1 of 4 busy, 9 handled, p50 51 ms, p99 550 ms; shop/web-0 for 41 s"
    assert f"    handler drain (stuck): {drain}" in lines
    assert "    handler quick: 0 queued, 0 of 4 busy, 9 handled" in lines
    assert "    the server warns: v1 is old" in lines
    assert "    keys wait for a turn: p50 500 ms, p99 990 ms" in lines


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0004, "0.4 ms"), (0.0123, "12 ms"), (0.9994, "999 ms"), (1.54, "1.5 s"), (61.2, "61 s")],
)
def test_short_times(seconds: float, words: str) -> None:
    assert time_text(seconds) == words


@pytest.mark.parametrize(
    ("durations", "share", "words"),
    [
        (None, 0.5, "–"),
        (Durations((0.1, 10.0), (0, 0, 0), 0.0), 0.5, "–"),
        (Durations((0.1, 10.0), (9, 0, 1), 0.0), 0.5, "56 ms"),
        (Durations((0.1, 10.0), (9, 0, 1), 0.0), 0.99, "> 10 s"),
    ],
)
def test_quantiles(durations: Durations | None, share: float, words: str) -> None:
    assert quantile_text(durations, share) == words


def test_a_shard_is_told_with_who_filters() -> None:
    lines = statusz(seen(informer(shard="shard 2 of 0 to 7, by uid", shard_mode="server"))).splitlines()
    assert "    shard 2 of 0 to 7, by uid, filtered by the server" in lines
