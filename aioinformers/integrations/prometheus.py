"""Metrics for Prometheus, read when it scrapes. Needs the extra ``metrics``."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as _missing:
    raise ImportError("metrics need prometheus_client: pip install 'aioinformers[metrics]'") from _missing

from aioinformers.controllers.controller import Controller
from aioinformers.coordination.election import LeaderElection
from aioinformers.factory import SharedInformerFactory
from aioinformers.integrations.families import Family, families
from aioinformers.integrations.shown import Shown, Subject
from aioinformers.statistics import Durations

__all__ = ["InformerCollector", "metrics_of"]


class InformerCollector:
    """Gives a registry the metrics of a factory, its controllers and elections, whenever it is scraped.

    As long as there is one, latencies of handlers are measured, for a fraction of a microsecond per event, and the lag
    of the loop, by a timer each second; everything else is read when it is asked for. No label names an object. What
    was given is not kept alive: a factory that is gone has no metrics any more.

    Several workers in one Pod: prometheus_client's multiprocess mode knows no collectors, and would show nothing of
    this. Run one worker per Pod, or let each worker answer scrapes at a port of its own.

    Args:
        factory: The factory.
        controllers: Controllers.
        elections: Candidates for leadership.
        registry: Where the metrics are to be seen; by default the one that prometheus_client uses.

    Raises:
        RuntimeError: If ``PROMETHEUS_MULTIPROC_DIR`` is set.
        ValueError: If the registry shows this factory already, or another one of its name.
    """

    def __init__(
        self,
        factory: SharedInformerFactory,
        *,
        controllers: Iterable[Controller[Any]] = (),
        elections: Iterable[LeaderElection] = (),
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            raise RuntimeError(
                "PROMETHEUS_MULTIPROC_DIR is set, and prometheus_client's multiprocess mode shows nothing of a "
                "collector: run one worker per Pod without it, or let each worker answer scrapes at a port of its own"
            )
        self._subject = Subject(factory, controllers, elections)
        self._shown = _shown_in(registry)
        self._shown.add(self._subject)

    def close(self) -> None:
        """Show nothing any more; idempotent."""
        self._shown.remove(self._subject)


class _Collector(Shown, Collector):
    """Everything that one registry shows: each metric must appear there once, with all its samples."""

    def __init__(self) -> None:
        super().__init__("this registry")

    def describe(self) -> Iterable[Metric]:
        """Tell nothing beforehand, which would mean to collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from metrics_of(families(self.look()))


_registries: weakref.WeakKeyDictionary[CollectorRegistry, _Collector] = weakref.WeakKeyDictionary()


def _shown_in(registry: CollectorRegistry) -> _Collector:
    if (shown := _registries.get(registry)) is None:
        shown = _registries[registry] = _Collector()
        registry.register(shown)
    return shown


def metrics_of(made: Iterable[Family]) -> Iterator[Metric]:
    """Return metrics as prometheus_client has them."""
    for family in made:
        if family.kind == "histogram":
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            for labels, value in family.samples.items():
                assert isinstance(value, Durations)
                bounds = [*map(str, value.bounds), "+Inf"]
                buckets = list(zip(bounds, accumulate(value.counts), strict=True))
                histogram.add_metric(labels, buckets, value.total)
            yield histogram
            continue
        kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = kind(family.name, family.help, labels=family.labels)
        for labels, value in family.samples.items():
            assert not isinstance(value, Durations)
            metric.add_metric(labels, value)
        yield metric
