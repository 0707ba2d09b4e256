"""The metrics of a snapshot: names, labels and values, whatever shows them. Pure.

Names of client-go and controller-runtime are used where they have one, so that dashboards made for them work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from aioinformers.integrations.snapshot import ControllerView, FactoryView, InformerView, Snapshot
from aioinformers.statistics import Durations, ElectionStatistics, RequestStatistics

__all__ = ["FAMILIES", "Family", "Kind", "coarse", "families"]

Kind: TypeAlias = str
"""``gauge``, ``counter`` or ``histogram``."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric.

    Attributes:
        name: Its name; that of a counter ends with ``_total``.
        kind: What it is.
        help: What it says.
        labels: Names of its labels.
        samples: Values by the labels' values.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    samples: dict[tuple[str, ...], float | Durations] = field(default_factory=dict)


_INFORMER: Final = ("factory", "informer")
_CLIENT_GO: Final = ("name", "group", "version", "resource")
_HANDLER: Final = (*_INFORMER, "handler")
_CONTROLLER: Final = ("controller",)
_QUEUE: Final = ("name", "controller")

# An informer with a handler is to have no more than 40 series: of the classes that are counted, these are told apart.
_APPLYING: Final = (0.01, 0.1)
_LATENCIES: Final = (0.001, 0.01, 0.1, 1.0, 10.0)
_WATCHES: Final = (60.0, 600.0)

FAMILIES: Final[tuple[Family, ...]] = (
    Family("informer_queued_items", "gauge", "Batches between the watches and the cache.", _CLIENT_GO),
    Family("informer_processing_latency_seconds", "histogram", "Time for a batch of events to be applied.", _CLIENT_GO),
    Family("informer_store_resource_version", "gauge", "The oldest resourceVersion of the cache's scopes.", _CLIENT_GO),
    Family("aioinformers_objects", "gauge", "Objects in the cache.", _INFORMER),
    Family("aioinformers_store_bytes", "gauge", "Bytes of their JSON, estimated by some of them.", _INFORMER),
    Family("aioinformers_synced", "gauge", "1 if the cache holds a whole state of the server.", _INFORMER),
    Family("aioinformers_watching", "gauge", "1 if all its scopes follow the server's changes now.", _INFORMER),
    Family(
        "aioinformers_degraded", "gauge", "1 if what is cached may be out of date, as a request has failed.", _INFORMER
    ),
    Family(
        "aioinformers_shard_mode",
        "gauge",
        "1 for who keeps other shards' objects away: server, namespace or client.",
        (*_INFORMER, "mode"),
    ),
    Family("aioinformers_optional", "gauge", "1 if nobody waits for it.", _INFORMER),
    Family("aioinformers_live_age_seconds", "gauge", "Seconds since the server was last heard of.", _INFORMER),
    Family("aioinformers_events_total", "counter", "Changes applied to the cache.", (*_INFORMER, "type")),
    Family("aioinformers_attempts_total", "counter", "Attempts to list or watch, by outcome.", (*_INFORMER, "outcome")),
    Family("aioinformers_relists_total", "counter", "Lists after the first, by reason.", (*_INFORMER, "reason")),
    Family("aioinformers_watch_duration_seconds", "histogram", "How long watches that ended had lasted.", _INFORMER),
    Family("aioinformers_rejected", "gauge", "Objects that cannot be read.", _INFORMER),
    Family("aioinformers_unreadable_total", "counter", "Lines and items without even a key.", _INFORMER),
    Family("aioinformers_handler_queued", "gauge", "Events that wait for a handler.", _HANDLER),
    Family("aioinformers_handler_busy", "gauge", "Events inside a handler.", _HANDLER),
    Family("aioinformers_handler_handled_total", "counter", "Events handled without an error.", _HANDLER),
    Family("aioinformers_handler_failures_total", "counter", "Events whose handler failed.", _HANDLER),
    Family("aioinformers_handler_merged_total", "counter", "Events absorbed by later ones.", _HANDLER),
    Family(
        "aioinformers_handler_seconds", "histogram", "From an event's arrival until its handler had done.", _HANDLER
    ),
    Family("aioinformers_loop_lag_seconds", "gauge", "Longest lag of the loop within a minute.", ("factory",)),
    Family("rest_client_requests_total", "counter", "Requests, by status.", ("code", "method", "host")),
    Family("rest_client_request_retries_total", "counter", "Requests repeated at once.", ("code", "verb", "host")),
    Family(
        "rest_client_request_duration_seconds", "histogram", "Time to the beginning of an answer.", ("verb", "host")
    ),
    Family("workqueue_depth", "gauge", "Keys that wait for their turn.", (*_QUEUE, "priority")),
    Family("workqueue_adds_total", "counter", "Additions, merged ones included.", _QUEUE),
    Family("workqueue_retries_total", "counter", "Runs that failed, and are repeated.", _QUEUE),
    Family("workqueue_unfinished_work_seconds", "gauge", "Seconds of all runs under way.", _QUEUE),
    Family("workqueue_longest_running_processor_seconds", "gauge", "Seconds of the longest run under way.", _QUEUE),
    Family("workqueue_queue_duration_seconds", "histogram", "How long keys waited for their turn.", _QUEUE),
    Family("workqueue_work_duration_seconds", "histogram", "How long runs took.", _QUEUE),
    Family("controller_runtime_reconcile_time_seconds", "histogram", "How long runs took.", _CONTROLLER),
    Family("controller_runtime_reconcile_total", "counter", "Runs, by result.", (*_CONTROLLER, "result")),
    Family("controller_runtime_reconcile_errors_total", "counter", "Runs that failed.", _CONTROLLER),
    Family("controller_runtime_reconcile_timeouts_total", "counter", "Runs that took too long.", _CONTROLLER),
    Family(
        "controller_runtime_reconcile_panics_total", "counter", "Always 0: none can be told from errors.", _CONTROLLER
    ),
    Family("controller_runtime_active_workers", "gauge", "Runs under way.", _CONTROLLER),
    Family("controller_runtime_max_concurrent_reconciles", "gauge", "Runs at a time, at the most.", _CONTROLLER),
    Family("aioinformers_stale_reconcile_total", "counter", "Runs that did not see their own writes.", _CONTROLLER),
    Family("aioinformers_failing_keys", "gauge", "Objects whose last run failed.", _CONTROLLER),
    Family("leader_election_master_status", "gauge", "1 if this candidate leads.", ("name",)),
    Family("aioinformers_leader_election_terms_total", "counter", "How often it has become the leader.", ("name",)),
    Family("aioinformers_leader_election_lost_total", "counter", "How often it has lost that.", ("name",)),
)
"""Every metric there can be, without values."""


def families(seen: Snapshot) -> list[Family]:
    """Return the metrics that have values."""
    made = {each.name: Family(each.name, each.kind, each.help, each.labels) for each in FAMILIES}
    for factory in seen.factories:
        if factory.loop_lag is not None:
            _add(made, [("aioinformers_loop_lag_seconds", (factory.name,), factory.loop_lag)])
        for informer in factory.informers:
            _add(made, _of_informer(factory, informer))
    for controller in seen.controllers:
        _add(made, _of_controller(controller))
    for election in seen.elections:
        _add(made, _of_election(election))
    for requests in seen.requests:
        _add(made, _of_requests(requests))
    return [family for family in made.values() if family.samples]


_Sample: TypeAlias = tuple[str, tuple[str, ...], float | Durations]


def _add(made: Mapping[str, Family], samples: Iterable[_Sample]) -> None:
    for name, labels, value in samples:
        samples_of = made[name].samples
        if labels in samples_of and name.startswith("rest_client_"):  # two clients of one server
            value = _both(samples_of[labels], value)
        samples_of[labels] = value


def coarse(durations: Durations, bounds: tuple[float, ...]) -> Durations:
    """Return the same durations in fewer classes, whose upper bounds are some of those that there are."""
    counts, at = [0] * (len(bounds) + 1), 0
    for bound, count in zip((*durations.bounds, float("inf")), durations.counts, strict=True):
        while at < len(bounds) and bound > bounds[at]:
            at += 1
        counts[at] += count
    return Durations(bounds, tuple(counts), durations.total)


def _both(one: float | Durations, other: float | Durations) -> float | Durations:
    if isinstance(one, Durations) and isinstance(other, Durations):
        return _together([one, other])
    assert not isinstance(one, Durations)
    assert not isinstance(other, Durations)
    return one + other


def _of_informer(factory: FactoryView, informer: InformerView) -> Iterator[_Sample]:
    statistics, health = informer.statistics, informer.health
    scopes = list(statistics.scopes.values())
    theirs = (f"{factory.name}/{informer.name}", informer.group, informer.version, informer.resource)
    ours = (factory.name, informer.name)
    yield "informer_queued_items", theirs, statistics.queued_batches
    if statistics.applying is not None:
        yield "informer_processing_latency_seconds", theirs, coarse(statistics.applying, _APPLYING)
    versions = [int(scope.version) for scope in scopes if scope.version.isdecimal()]
    if versions:
        yield "informer_store_resource_version", theirs, min(versions)
    yield "aioinformers_objects", ours, statistics.objects
    yield "aioinformers_store_bytes", ours, informer.stored_bytes
    yield "aioinformers_synced", ours, health.has_synced
    yield "aioinformers_watching", ours, health.is_watching
    yield "aioinformers_degraded", ours, health.is_degraded
    if health.shard_mode is not None:
        yield "aioinformers_shard_mode", (*ours, health.shard_mode), 1
    yield "aioinformers_optional", ours, informer.is_optional
    if health.silent_for is not None:
        yield "aioinformers_live_age_seconds", ours, health.silent_for
    for name in ("added", "updated", "deleted"):
        yield "aioinformers_events_total", (*ours, name), getattr(statistics, name)
    for outcome, count in _summed(scope.attempts for scope in scopes).items():
        yield "aioinformers_attempts_total", (*ours, outcome), count
    for reason, count in _summed(scope.relists for scope in scopes).items():
        yield "aioinformers_relists_total", (*ours, reason), count
    if scopes:
        watches = _together([each.watches for each in scopes])
        yield "aioinformers_watch_duration_seconds", ours, coarse(watches, _WATCHES)
    yield "aioinformers_rejected", ours, len(statistics.rejected)
    yield "aioinformers_unreadable_total", ours, statistics.unreadable
    for handler, seen in statistics.consumers.items():
        its = (*ours, handler)
        yield "aioinformers_handler_queued", its, seen.queued
        yield "aioinformers_handler_busy", its, len(seen.busy_keys)
        yield "aioinformers_handler_handled_total", its, seen.handled
        yield "aioinformers_handler_failures_total", its, seen.failed
        yield "aioinformers_handler_merged_total", its, seen.coalesced
        if seen.latencies is not None:
            yield "aioinformers_handler_seconds", its, coarse(seen.latencies, _LATENCIES)


def _of_controller(controller: ControllerView) -> Iterator[_Sample]:
    statistics = controller.statistics
    if statistics is None:
        return
    its, queue, queued = (controller.name,), (controller.name, controller.name), statistics.queue
    seconds = [run.seconds for run in statistics.busy]
    for priority, count in queued.queued.items():
        yield "workqueue_depth", (*queue, priority.lower()), count
    yield "workqueue_adds_total", queue, queued.added
    yield "workqueue_retries_total", queue, queued.failed
    yield "workqueue_unfinished_work_seconds", queue, sum(seconds)
    yield "workqueue_longest_running_processor_seconds", queue, max(seconds, default=0.0)
    yield "workqueue_queue_duration_seconds", queue, queued.waits
    yield "workqueue_work_duration_seconds", queue, queued.runs
    yield "controller_runtime_reconcile_time_seconds", its, queued.runs
    yield "controller_runtime_reconcile_total", (*its, "success"), statistics.succeeded
    yield "controller_runtime_reconcile_total", (*its, "error"), statistics.failed
    yield "controller_runtime_reconcile_errors_total", its, statistics.failed
    yield "controller_runtime_reconcile_timeouts_total", its, statistics.timed_out
    yield "controller_runtime_reconcile_panics_total", its, 0
    yield "controller_runtime_active_workers", its, len(statistics.busy)
    yield "controller_runtime_max_concurrent_reconciles", its, controller.concurrency
    yield "aioinformers_stale_reconcile_total", its, statistics.stale
    yield "aioinformers_failing_keys", its, len(controller.failing)


def _of_election(election: ElectionStatistics) -> Iterator[_Sample]:
    its = (election.name,)
    yield "leader_election_master_status", its, election.is_leading
    yield "aioinformers_leader_election_terms_total", its, election.terms
    yield "aioinformers_leader_election_lost_total", its, election.lost


def _of_requests(requests: RequestStatistics) -> Iterator[_Sample]:
    for (method, code), count in requests.answers.items():
        yield "rest_client_requests_total", (code, method, requests.host), count
    for (method, code), count in requests.retries.items():
        yield "rest_client_request_retries_total", (code, method, requests.host), count
    for method, durations in requests.durations.items():
        yield "rest_client_request_duration_seconds", (method, requests.host), durations


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


def _together(each: list[Durations]) -> Durations:
    counts = tuple(map(sum, zip(*(one.counts for one in each), strict=True)))
    return Durations(each[0].bounds, counts, sum(one.total for one in each))
