"""Metrics as text: what prometheus_client makes of the same, and reads."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from aioinformers.integrations.exposition import exposition
from aioinformers.integrations.families import families
from aioinformers.integrations.prometheus import metrics_of
from aioinformers.integrations.snapshot import Snapshot
from aioinformers.statistics import ConsumerStatistics, Durations, RequestStatistics
from tests.integrations.views import informer, seen

ODD = 'a "b" \\ c\nd {e="f"} é'


class Fixed(Collector):
    def __init__(self, shown: Snapshot) -> None:
        self.shown = shown

    def collect(self) -> Iterator[Metric]:
        return metrics_of(families(self.shown))


def samples_of(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_text_says_what_prometheus_client_would() -> None:
    handler = ConsumerStatistics(
        queued=3, handled=10**17, failed=1, filtered=0, coalesced=2, undelivered=0, high_water=5,
        latencies=Durations((0.1, 10.0), (1, 0, 2), 1e-7),
    )  # fmt: skip
    requests = RequestStatistics("[::1]:6443", {("GET", "<error>"): 2}, {}, {"GET": Durations((0.5,), (1, 1), 70.5)})
    shown = seen(informer(ODD, handlers={ODD: handler}), informer("", has_synced=False), requests=(requests,))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fixed(shown))
    made, theirs = exposition(families(shown)).decode(), generate_latest(registry).decode()
    assert samples_of(made) == samples_of(theirs)
    assert [line for line in made.splitlines() if line[0] == "#"] == [
        line for line in theirs.splitlines() if line[0] == "#"
    ]
    assert made.endswith("\n")


def test_of_nothing_there_is_nothing_to_say() -> None:
    assert exposition([]) == b""
