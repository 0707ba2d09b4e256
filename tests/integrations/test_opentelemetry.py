"""Metrics as OpenTelemetry collects them."""

from __future__ import annotations

import asyncio
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric

from aioinformers import SharedInformerFactory
from aioinformers.controllers import Controller, Request
from aioinformers.coordination import LeaderElection
from aioinformers.integrations import opentelemetry, shown
from aioinformers.integrations.families import FAMILIES, families
from aioinformers.integrations.opentelemetry import InformerInstruments, instrument_of
from aioinformers.integrations.snapshot import snapshot
from aioinformers.statistics import Durations
from aioinformers.testing import FakeAPIServer
from tests.kit import Document, collect, configmap

pytestmark = pytest.mark.virtual_time


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    made = MeterProvider([reader], shutdown_on_exit=False)
    yield made
    made.shutdown()


def collected(reader: InMemoryMetricReader) -> dict[str, Metric]:
    """Return the metrics of a collection by name, each with values."""
    data = reader.get_metrics_data()
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    assert {scope.scope.name for scope in scopes} <= {"aioinformers"}
    return {metric.name: metric for scope in scopes for metric in scope.metrics if metric.data.data_points}


def values(metric: Metric) -> dict[tuple[Any, ...], Any]:
    return {
        tuple((point.attributes or {}).values()): getattr(point, "value", None) for point in metric.data.data_points
    }


async def test_a_collection_has_the_figures_of_every_family(
    reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        server.create("configmaps", configmap("a"))
        configmaps = factory.for_resource("configmaps.v1.")
        controller, election = Controller(configmaps), LeaderElection(api, "lease", namespace="default")

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        InformerInstruments(factory, controllers=[controller], elections=[election], meter_provider=provider)
        await factory.start()
        async with controller.running(election=election):
            await asyncio.sleep(5)
            server.close_watches()
            await asyncio.sleep(5)
            found, seen = collected(reader), snapshot(factory, [controller], [election])
        for family in families(seen):
            name, unit = instrument_of(family.name)
            if family.kind == "histogram":
                count, total = found.pop(f"{name}.count"), found.pop(f"{name}.sum")
                durations = {labels: each for labels, each in family.samples.items() if isinstance(each, Durations)}
                assert values(count) == {labels: sum(each.counts) for labels, each in durations.items()}
                assert values(total) == {labels: each.total for labels, each in durations.items()}
                assert (count.unit, total.unit) == ("", "s")
                if family.name == "aioinformers_watch_duration_seconds":
                    assert list(values(count).values()) == [1]
                continue
            metric = found.pop(name)
            assert (metric.unit, metric.description) == (unit, family.help)
            assert values(metric) == family.samples
            assert all(type(value) is not bool for value in values(metric).values())
            keys = [tuple(point.attributes or {}) for point in metric.data.data_points]
            assert set(keys) == {family.labels}
            is_counter = metric.data.__class__.__name__ == "Sum"
            assert is_counter is (family.kind == "counter")
        assert found == {}


async def test_who_exports_periodically_collects_in_a_thread_of_its_own(
    reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        server.create("configmaps", configmap("a"))
        factory.core.v1.configmaps()
        instruments = InformerInstruments(factory, meter_provider=provider)
        await factory.wait_for_cache_sync(timeout=5)
        found = await asyncio.to_thread(collected, reader)
        assert values(found["aioinformers.objects"]) == {("factory", "configmaps.v1"): 1}
        instruments.close()


def as_prometheus_has_it(name: str, unit: str, kind: str) -> str:
    """Do what OpenTelemetry prescribes for exporters: units as words, annotations left out, counters marked."""
    words = {"s": "_seconds", "By": "_bytes"}
    suffix = "" if not unit or re.fullmatch(r"\{\w+\}", unit) else words[unit]
    return name.replace(".", "_") + suffix + ("_total" if kind == "counter" else "")


def test_an_exporter_for_prometheus_gives_the_names_that_dashboards_know() -> None:
    for family in FAMILIES:
        name, unit = instrument_of(family.name)
        assert name.count(".") == 1
        if family.kind != "histogram":
            assert as_prometheus_has_it(name, unit, family.kind) == family.name
    assert instrument_of("aioinformers_store_bytes") == ("aioinformers.store", "By")
    assert instrument_of("controller_runtime_reconcile_errors_total") == ("controller_runtime.reconcile_errors", "")
    assert instrument_of("aioinformers_events_total") == ("aioinformers.events", "{event}")
    assert instrument_of("aioinformers_watch_duration_seconds") == ("aioinformers.watch_duration", "s")


async def test_a_collection_looks_once_and_each_reader_looks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = InMemoryMetricReader(), InMemoryMetricReader()
    provider = MeterProvider([first, second], shutdown_on_exit=False)
    looks: list[Any] = []

    def counted(*given: Any) -> Any:
        looks.append(given)
        return snapshot(*given)

    monkeypatch.setattr(shown, "snapshot", counted)
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        factory.core.v1.configmaps()
        InformerInstruments(factory, meter_provider=provider)
        assert looks == [], "nothing is seen that nobody wants to see"
        for reader in (first, second, first):
            assert values(collected(reader)["aioinformers.synced"]) == {("factory", "configmaps.v1"): 0}
        assert len(looks) == 3
        await factory.wait_for_cache_sync(timeout=5)
        assert values(collected(first)["aioinformers.synced"]) == {("factory", "configmaps.v1"): 1}
    provider.shutdown()


async def test_what_a_collection_left_behind_that_broke_off_is_not_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(opentelemetry, "monotonic", lambda: clock[0])
    asked: dict[str, Any] = {}

    class Meter:
        def create_observable_counter(self, name: str, callbacks: list[Any], *_: str) -> None:
            asked[name] = callbacks[0]

        create_observable_gauge = create_observable_counter

    class Provider:
        def get_meter(self, *_: str) -> Meter:
            return Meter()

    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        factory.core.v1.configmaps()
        given: Any = Provider()
        InformerInstruments(factory, meter_provider=given)
        assert [each.value for each in asked["aioinformers.objects"](None)] == [0]
        server.create("configmaps", configmap("a"))
        await factory.wait_for_cache_sync(timeout=5)
        assert [each.value for each in asked["aioinformers.synced"](None)] == [0], "the same look"
        clock[0] += 60
        assert [each.value for each in asked["aioinformers.watching"](None)] == [1]


async def test_several_factories_share_a_provider_if_their_names_tell_them_apart(
    reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    async with (
        FakeAPIServer() as server,
        server.api_client() as api,
        SharedInformerFactory(api, name="one") as one,
        SharedInformerFactory(api, name="two") as two,
        SharedInformerFactory(api, name="two") as three,
    ):
        for factory in (one, two, three):
            factory.core.v1.configmaps()
        InformerInstruments(one, meter_provider=provider)
        second = InformerInstruments(two, meter_provider=provider)
        both = {("one", "configmaps.v1"), ("two", "configmaps.v1")}
        assert set(values(collected(reader)["aioinformers.objects"])) == both
        with pytest.raises(ValueError, match="this meter provider has the metrics of one already: once is enough"):
            InformerInstruments(one, meter_provider=provider)
        with pytest.raises(ValueError, match="of another factory named 'two', and they could not be told apart"):
            InformerInstruments(three, meter_provider=provider)
        second.close()
        second.close()
        assert set(values(collected(reader)["aioinformers.objects"])) == {("one", "configmaps.v1")}
        InformerInstruments(three, meter_provider=provider)
        assert set(values(collected(reader)["aioinformers.objects"])) == both
        elsewhere = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
        InformerInstruments(one, meter_provider=elsewhere)
        elsewhere.shutdown()


async def test_a_factory_that_is_gone_has_no_metrics(reader: InMemoryMetricReader, provider: MeterProvider) -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        factory = SharedInformerFactory(api)
        factory.core.v1.configmaps()
        InformerInstruments(factory, meter_provider=provider)
        assert collected(reader)
        del factory
        collect()
        assert collected(reader) == {}


BY_DEFAULT = """
import asyncio
from kubernetes_asyncio import client
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from aioinformers import SharedInformerFactory
from aioinformers.integrations.opentelemetry import InformerInstruments

async def main():
    async with client.ApiClient(client.Configuration(host="http://127.0.0.1:1")) as api:
        before, after = (SharedInformerFactory(api, name=name) for name in ("before", "after"))
        for factory in (before, after):
            factory.core.v1.pods()
        InformerInstruments(before)
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        metrics.set_meter_provider(provider)
        InformerInstruments(after)
        for again, meter_provider in ((before, provider), (after, None)):
            try:
                InformerInstruments(again, meter_provider=meter_provider)
            except ValueError as error:
                print(error)
        (resource,) = reader.get_metrics_data().resource_metrics
        (scope,) = resource.scope_metrics
        (objects,) = (each for each in scope.metrics if each.name == "aioinformers.objects")
        print(*(point.attributes["factory"] for point in objects.data.data_points))

asyncio.run(main())
"""


def test_the_provider_of_the_process_may_be_set_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", BY_DEFAULT], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.splitlines() == [
        "this meter provider has the metrics of before already: once is enough",
        "this meter provider has the metrics of after already: once is enough",
        "before after",
    ], done.stderr
    assert done.stderr == ""


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aioinformers.integrations.opentelemetry")
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'aioinformers[otel]'")):
        importlib.import_module("aioinformers.integrations.opentelemetry")
