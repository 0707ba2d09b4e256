"""Snapshots to look at, made of what a program could be doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aioinformers.integrations.advice import Advice, advice_on
from aioinformers.integrations.snapshot import ControllerView, FactoryView, InformerView, Problem, Snapshot, Verdict
from aioinformers.statistics import (
    BusyKey,
    BusyRun,
    ConsumerStatistics,
    ControllerStatistics,
    Durations,
    ElectionState,
    ElectionStatistics,
    FailingKey,
    InformerHealth,
    InformerStatistics,
    QueueStatistics,
    ScopeStatistics,
    ShardMode,
    Transition,
)
from aioinformers.types import ObjectKey, Scope

__all__ = ["busy_program", "handler", "informer", "seen"]

KEY = ObjectKey("shop", "web-0")


def informer(
    name: str = "pods.v1",
    *,
    has_synced: bool = True,
    has_crashed: bool = False,
    is_optional: bool = False,
    is_degraded: bool = False,
    silent_for: float | None = 1.0,
    reason: str = "",
    restarts: int = 0,
    version: str = "7",
    verdict: Verdict = Verdict.LIVE,
    advice: Advice | None = None,
    rejected: dict[str, str] | None = None,
    warnings: tuple[str, ...] = (),
    shard: str = "",
    shard_mode: ShardMode | None = None,
    timeline: tuple[Transition, ...] = (Transition(7.0, "watching"),),
    handlers: Mapping[str, ConsumerStatistics] | None = None,
    **consumers: ConsumerStatistics,
) -> InformerView:
    """Return an informer of a factory."""
    health = InformerHealth(
        name=name, has_synced=has_synced, is_watching=has_synced, has_crashed=has_crashed, silent_for=silent_for,
        rejected=len(rejected or {}), reason=reason, is_degraded=is_degraded, restarts=restarts, warnings=warnings,
        shard=shard, shard_mode=shard_mode,
    )  # fmt: skip
    scope = ScopeStatistics(
        at=10.0, state="watching", since=7.0, version=version, attempts={"ok": 2, "unreachable": 1},
        relists={"expired": 1}, watches=Durations((1.0, 60.0, 600.0), (1, 0, 2, 0), 800.0), timeline=timeline,
    )  # fmt: skip
    statistics = InformerStatistics(
        objects=3, added=5, updated=6, deleted=2, lists=2, failures=1, rejected=rejected or {}, unreadable=0,
        queued_batches=0, consumers={**consumers, **(handlers or {})}, scopes={Scope(): scope},
        applying=Durations((0.0001, 0.001, 0.01, 0.1), (5, 3, 0, 0, 1), 0.3),
    )  # fmt: skip
    return InformerView(
        name=name, group="", version="v1", resource="pods", is_optional=is_optional, is_compact=False, is_stale=False,
        stored_bytes=3000, health=health, statistics=statistics, verdict=verdict, indexes={"namespace": 2, "node": 20},
        advice=advice,
    )  # fmt: skip


def seen(*informers: InformerView, is_started: bool = True, is_closed: bool = False, **more: Any) -> Snapshot:
    """Return a program with one factory."""
    factory = FactoryView("factory", "10.0.0.1:6443", is_started, is_closed, None, 1, informers)
    given: dict[str, Any] = {
        "at": 1_700_000_000.0, "pid": 7, "package": "1.0", "verdict": Verdict.LIVE, "remark": "", "reason": "",
        "factories": (factory,), "controllers": (), "elections": (), "requests": (),
    }  # fmt: skip
    return Snapshot(**given | more)


def handler(**given: Any) -> ConsumerStatistics:
    """Return a handler that copes, but for what is given."""
    usual: dict[str, Any] = {
        "queued": 0, "handled": 9, "failed": 0, "filtered": 0, "coalesced": 0, "undelivered": 0, "high_water": 5,
        "limit": 1024, "concurrency": 4,
    }  # fmt: skip
    return ConsumerStatistics(**usual | given)


def busy_program() -> Snapshot:
    """Return a program in which something of everything happens, and something is wrong with most of it."""
    handlers = {
        "notify": handler(queued=1024, coalesced=7, failed=2),
        "drain": handler(busy_keys=(BusyKey(KEY, 41.0),), latencies=Durations((0.1, 1.0), (98, 2, 0), 3.0)),
        "quick": handler(limit=None),
    }
    reason = "waiting: cannot connect to 10.0.0.1:6443"
    rejected = {"shop/web-0": "spec.replicas: expected an integer"}
    advice = advice_on(None)
    queue = QueueStatistics(
        {"URGENT": 1, "NORMAL": 2}, waiting=1, running=1, added=9, done=4, failed=1, lost=0, oldest={"NORMAL": 3.2},
        waits=Durations((1.0,), (1, 0), 0.5), runs=Durations((1.0,), (1, 0), 0.5),
    )  # fmt: skip
    awaits = "main (/x/aioinformers/controllers/engine.py:1) > sync (/home/somebody/shop/main.py:7)"
    statistics = ControllerStatistics(
        name="sites", has_begun=True, succeeded=4, failed=1, timed_out=1, stale=0, waiting_for_writes=0,
        busy=(BusyRun(KEY, 2.0, awaits),), queue=queue,
    )  # fmt: skip
    controllers = (
        ControllerView("sites", 16, statistics, (FailingKey(KEY, "ValueError: no web-0", 3, 12.0),)),
        ControllerView("idle", 1, None, ()),
    )
    election = ElectionStatistics(
        name="default/sites", identity="a", state=ElectionState.LEADING, reason="", holder="a", is_leading=True,
        seconds_left=8.0, terms=2, lost=1, renewals=3, failures=0, running=1, since_renewal=1.5,
    )  # fmt: skip
    return seen(
        informer(
            "nodes.v1", is_degraded=True, reason=reason, verdict=Verdict.DEGRADED, advice=advice,
            timeline=(Transition(3.0, "watching"), Transition(6.0, "waiting", "cannot connect")),
        ),
        informer(rejected=rejected, warnings=("v1 is old",), handlers=handlers),
        controllers=controllers, elections=(election,), verdict=Verdict.DEGRADED, reason=f"nodes.v1: {reason}",
        problems=(Problem("nodes.v1", reason, advice, is_severe=True),), uptime=90.0,
    )  # fmt: skip
