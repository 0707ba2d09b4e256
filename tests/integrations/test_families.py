"""The metrics of a snapshot."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from aioinformers.delivery.consumer import LATENCY_BOUNDS
from aioinformers.integrations.families import FAMILIES, coarse, families
from aioinformers.statistics import ConsumerStatistics, Durations, RequestStatistics
from tests.integrations.views import informer, seen

LATENCIES = Durations(LATENCY_BOUNDS, (1, *(2 if bound == 0.1 else 0 for bound in LATENCY_BOUNDS[1:]), 4), 70.0)


def test_names_and_labels_are_valid_and_said_once() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert family.name.endswith("_total") is (family.kind == "counter")
        assert family.help.endswith(".")
        assert not family.samples


def test_an_informers_figures_are_its_metrics() -> None:
    handler = ConsumerStatistics(
        queued=3, handled=9, failed=1, filtered=0, coalesced=2, undelivered=0, high_water=5, latencies=LATENCIES
    )
    found = {family.name: family.samples for family in families(seen(informer(on_pods=handler)))}
    its = ("factory", "pods.v1")
    assert found["aioinformers_objects"] == {its: 3}
    assert found["aioinformers_events_total"] == {(*its, "added"): 5, (*its, "updated"): 6, (*its, "deleted"): 2}
    assert found["aioinformers_attempts_total"] == {(*its, "ok"): 2, (*its, "unreachable"): 1}
    assert found["aioinformers_relists_total"] == {(*its, "expired"): 1}
    assert found["aioinformers_watch_duration_seconds"] == {its: Durations((60.0, 600.0), (1, 2, 0), 800.0)}
    assert found["informer_store_resource_version"] == {("factory/pods.v1", "", "v1", "pods"): 7}
    assert found["informer_processing_latency_seconds"] == {
        ("factory/pods.v1", "", "v1", "pods"): Durations((0.01, 0.1), (8, 0, 1), 0.3)
    }
    assert found["aioinformers_handler_seconds"] == {
        (*its, "on_pods"): Durations((0.001, 0.01, 0.1, 1.0, 10.0), (1, 0, 2, 0, 0, 4), 70.0)
    }
    assert found["aioinformers_handler_queued"] == {(*its, "on_pods"): 3}
    assert "workqueue_depth" not in found


def test_only_an_informer_with_a_shard_says_who_filters() -> None:
    shared = informer(shard="shard 2 of 0 to 7, by uid", shard_mode="client")
    for each, samples in ((informer(), None), (shared, {("factory", "pods.v1", "client"): 1})):
        found = {family.name: family.samples for family in families(seen(each))}
        assert found.get("aioinformers_shard_mode") == samples


def test_no_informer_hides_another() -> None:
    two = seen(informer(), informer("pods.v1 in shop"))
    assert all(
        len({labels[:2] for labels in family.samples}) == 2
        for family in families(two)
        if family.name != "informer_queued_items"
    )
    versions = next(family for family in families(two) if family.name == "informer_store_resource_version")
    assert len(versions.samples) == 2


def test_there_are_at_most_forty_series_of_an_informer_with_a_handler() -> None:
    handler = ConsumerStatistics(
        queued=0, handled=0, failed=0, filtered=0, coalesced=0, undelivered=0, high_water=0, latencies=LATENCIES
    )
    count = sum(
        sum(len(value.counts) + 2 if isinstance(value, Durations) else 1 for value in family.samples.values())
        for family in families(seen(informer(handler=handler)))
    )
    assert count <= 40


def test_requests_are_summed_by_server_whatever_client_has_made_them() -> None:
    took = Durations((1.0,), (2, 1), 3.0)
    answers = {("GET", "200"): 2, ("GET", "<error>"): 1}
    one = RequestStatistics("10.0.0.1:6443", answers, {("GET", "401"): 1}, {"GET": took})
    other = RequestStatistics("10.0.0.2:6443", {("PATCH", "409"): 4}, {}, {"PATCH": took})
    found = {family.name: family.samples for family in families(seen(requests=(one, one, other)))}
    assert found["rest_client_requests_total"] == {
        ("200", "GET", "10.0.0.1:6443"): 4,
        ("<error>", "GET", "10.0.0.1:6443"): 2,
        ("409", "PATCH", "10.0.0.2:6443"): 4,
    }
    assert found["rest_client_request_retries_total"] == {("401", "GET", "10.0.0.1:6443"): 2}
    assert found["rest_client_request_duration_seconds"] == {
        ("GET", "10.0.0.1:6443"): Durations((1.0,), (4, 2), 6.0),
        ("PATCH", "10.0.0.2:6443"): took,
    }


@given(st.lists(st.integers(0, 9), min_size=6, max_size=6), st.sets(st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0])))
def test_coarser_classes_count_the_same(counts: list[int], bounds: set[float]) -> None:
    fine = Durations((1.0, 2.0, 3.0, 4.0, 5.0), tuple(counts), 1.0)
    made = coarse(fine, tuple(sorted(bounds)))
    assert sum(made.counts) == sum(counts)
    for at, bound in enumerate(made.bounds, 1):
        assert sum(made.counts[:at]) == sum(counts[: int(bound)])


def test_versions_that_are_no_numbers_are_left_out() -> None:
    assert "informer_store_resource_version" not in {each.name for each in families(seen(informer(version="odd")))}


def test_the_page_of_metrics_has_all_of_them() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        assert f"| `{family.name}` | {family.kind} | {labels} | {family.help} |" in page
    assert page.count("\n| `") == len(FAMILIES)
