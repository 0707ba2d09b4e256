"""A snapshot as text, for a person with a shell: the twin of the status page. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from aioinformers.integrations.probes import Probe
from aioinformers.integrations.quantiles import quantile
from aioinformers.integrations.snapshot import ControllerView, InformerView, Snapshot, Strain, by_advice, strain_of
from aioinformers.statistics import (
    ConsumerStatistics,
    Durations,
    ElectionStatistics,
    FailingKey,
    InformerHealth,
    QueueStatistics,
    ShardMode,
)

__all__ = [
    "duration", "filtered", "lasting", "next_try", "probe_text", "quantile_text", "queued_text", "size", "statusz",
    "time_text", "times",
]  # fmt: skip


def statusz(seen: Snapshot) -> str:
    """Return what a program does, problems first, in lines that a terminal shows."""
    return "\n".join(_lines(seen)) + "\n"


def probe_text(probe: Probe, *, is_verbose: bool, has_reasons: bool) -> str:
    """Return the answer to a probe, as kube-apiserver words its own.

    Args:
        probe: The answer.
        is_verbose: Name all checks, and not only those that fail.
        has_reasons: Say why: reasons may name hosts and objects.
    """
    lines = []
    for check in probe.checks:
        if is_verbose or not check.is_ok:
            reason = f": {check.reason}" if check.reason and has_reasons else ""
            lines.append(f"[{'+' if check.is_ok else '-'}]{check.name} {'ok' if check.is_ok else 'failed'}{reason}")
    if probe.is_ok and not is_verbose:
        return "ok\n"
    return "\n".join([*lines, f"{probe.name} check {'passed' if probe.is_ok else 'failed'}"]) + "\n"


def _lines(seen: Snapshot) -> Iterator[str]:
    at = datetime.fromtimestamp(seen.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    remark = f" {seen.remark}" if seen.remark else ""
    process = f"pid {seen.pid}, up {duration(seen.uptime)}"
    yield f"{seen.verdict.value}{remark}   {process}, aioinformers {seen.package}, {at}"
    for advice, problems in by_advice(seen.problems).items():
        for problem in problems:
            yield f"  {problem.where}: {problem.what}"
        yield f"    {advice.text} docs/{advice.page}"
    if not seen.shows_keys:
        yield "names of objects are hidden: show_keys=True shows them"
    for factory in seen.factories:
        yield ""
        lag = "" if factory.loop_lag is None else f", its loop late by {time_text(factory.loop_lag)} at the most"
        yield f"factory {factory.name}, {factory.host or 'no host'}{lag}"
        for informer in factory.informers:
            yield from _informer(informer)
        if not factory.informers:
            yield "  no informers"
    if seen.controllers:
        yield ""
        yield "controllers"
        for controller in seen.controllers:
            yield from _controller(controller)
    if seen.elections:
        yield ""
        yield "elections"
        for election in seen.elections:
            yield f"  {_election(election)}"


def _informer(informer: InformerView) -> Iterator[str]:
    statistics, health = informer.statistics, informer.health
    silence = "" if health.silent_for is None else f", heard of {duration(health.silent_for)} ago"
    problem = f"   {health.reason}" if health.reason else ""
    changes = f"+{statistics.added:,} ~{statistics.updated:,} -{statistics.deleted:,}"
    yield (
        f"  {informer.name}: {informer.verdict.value} {lasting(informer)}".rstrip()
        + f", {statistics.objects:,} objects, "
        f"{size(informer.stored_bytes)}, {changes}, {statistics.lists} lists{silence}{problem}"
    )
    if health.shard:
        yield f"    {health.shard}, {filtered(health)}"
    for warning in health.warnings:
        yield f"    the server warns: {warning}"
    for scope, each in statistics.scopes.items():
        relists = ", ".join(f"{count} {reason}" for reason, count in each.relists.items())
        listed = f", listed again: {relists}" if relists else ""
        name = str(scope) or "all namespaces"
        doing, version = f"{each.state} for {duration(each.at - each.since)}", each.version or "-"
        yield f"    {name}: {doing}, resourceVersion {version}{listed}"
    for key, why in list(statistics.rejected.items())[:5]:
        yield f"    cannot be read: {key}: {why}"
    for name, handler in statistics.consumers.items():
        limit = "" if handler.limit is None else f" of {handler.limit:,}"
        merged = f", {handler.coalesced:,} merged" if handler.coalesced else ""
        failed = f", {handler.failed:,} failed" if handler.failed else ""
        busy = "".join(f"; {each.key} for {duration(each.seconds)}" for each in handler.busy_keys[:3])
        queued = f"{handler.queued:,}{limit} queued, {len(handler.busy_keys)} of {handler.concurrency} busy"
        strain = f" ({strain.value})" if (strain := strain_of(handler)) is not Strain.NONE else ""
        done = f"{handler.handled:,} handled{failed}{merged}{_usual(handler)}{busy}"
        yield f"    handler {name}{strain}: {queued}, {done}"


def filtered(health: InformerHealth) -> str:
    """Say who keeps the objects of other shards away from an informer that has one."""
    return _FILTERED[health.shard_mode]


_FILTERED: Final[Mapping[ShardMode | None, str]] = {
    "server": "filtered by the server",
    "namespace": "of which each namespace is followed",
    "client": "filtered here",
    None: "not listed yet",
}


def _usual(handler: ConsumerStatistics) -> str:
    """Say how long half of the events have taken, and nearly all; nothing if that was not measured."""
    if handler.latencies is None or not sum(handler.latencies.counts):
        return ""
    return f", p50 {quantile_text(handler.latencies, 0.5)}, p99 {quantile_text(handler.latencies, 0.99)}"


def _controller(controller: ControllerView) -> Iterator[str]:
    statistics = controller.statistics
    if statistics is None:
        yield f"  {controller.name}: not started"
        return
    queue = statistics.queue
    state = f"ended by a bug: {statistics.bug}" if statistics.has_crashed else statistics.state.value
    yield (
        f"  {controller.name}: {state}, queued: {queued_text(queue) or 'none'}, {queue.waiting:,} wait, "
        f"{len(statistics.busy)} of {controller.concurrency} run, {statistics.succeeded:,} done, "
        f"{statistics.failed:,} failed, {statistics.timed_out:,} timed out"
    )
    for what, durations in (("wait for a turn", queue.waits), ("run", queue.runs)):
        if sum(durations.counts):
            yield f"    keys {what}: p50 {quantile_text(durations, 0.5)}, p99 {quantile_text(durations, 0.99)}"
    for run in statistics.busy[:5]:
        yield f"    {run.key} for {duration(run.seconds)}: {run.awaits}"
    for failing in controller.failing[:5]:
        yield f"    {failing.key} failed {times(failing.failures)}, {next_try(failing)}: {failing.error}"


def _election(election: ElectionStatistics) -> str:
    held = f", {duration(election.seconds_left)} left" if election.is_leading else ""
    if election.since_renewal is not None:
        held += f", renewed {duration(election.since_renewal)} ago"
    reason = f": {election.reason}" if election.reason else ""
    holder = election.holder or "nobody"
    return f"{election.name}: {election.identity} is {election.state.value}{held}, held by {holder}{reason}"


def queued_text(queue: QueueStatistics) -> str:
    """Return how many keys are queued by priority, and how long the first of each has waited; empty if none are."""
    return ", ".join(
        f"{count:,} {priority.lower()}"
        + (f" ({duration(queue.oldest[priority])})" if queue.oldest.get(priority, 0.0) >= 0.1 else "")
        for priority, count in queue.queued.items()
        if count
    )


def times(count: int) -> str:
    """Return how often something has happened in words."""
    return "once" if count == 1 else f"{count:,} times"


def next_try(failing: FailingKey) -> str:
    """Say when an object that has failed is tried again."""
    return f"next try in {duration(failing.next_try)}" if failing.next_try else "tried again now"


def duration(seconds: float) -> str:
    """Return a duration as people say it: ``0.4 s``, ``41 s``, ``3 min``, ``5 h``, ``2 d``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, unit, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds / 86_400:.0f} d"


def time_text(seconds: float) -> str:
    """Return a short time with three digits at the most: ``0.4 ms``, ``12 ms``, ``1.5 s``."""
    milliseconds = seconds * 1000
    if milliseconds < 1000:
        return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def quantile_text(durations: Durations | None, share: float) -> str:
    """Return how long a share of all have taken at the most; a dash if nobody knows.

    Args:
        durations: Durations in classes; None if nobody has measured them.
        share: From 0 to 1.
    """
    if durations is None or (seconds := quantile(durations, share)) is None:
        return "–"
    is_beyond = share * sum(durations.counts) > sum(durations.counts[: len(durations.bounds)])
    return f"> {time_text(seconds)}" if is_beyond else time_text(seconds)


def lasting(informer: InformerView) -> str:
    """Return for how long an informer has been as it is: ``for 3 min``, or ``for 3 min or more``; empty if unknown."""
    if informer.lasts is None:
        return ""
    return f"for {duration(informer.lasts)}{' or more' if informer.lasts_longer else ''}"


def size(count: float) -> str:
    """Return a number of bytes as people say it: ``900 B``, ``1.5 KiB``, ``20 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
