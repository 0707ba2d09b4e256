"""Metrics as Prometheus scrapes them."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from aioinformers import SharedInformerFactory
from aioinformers.controllers import Controller, Request
from aioinformers.coordination import LeaderElection
from aioinformers.integrations.families import FAMILIES
from aioinformers.integrations.prometheus import InformerCollector
from aioinformers.testing import FakeAPIServer
from tests.kit import Document, collect, configmap

pytestmark = pytest.mark.virtual_time


def scraped(registry: CollectorRegistry) -> dict[str, dict[tuple[str, ...], float]]:
    """Return samples by name, and by the values of their labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = tuple(sample.labels.values())
            assert labels not in series, "no series twice"
            series[labels] = sample.value
    return found


async def test_a_scrape_shows_informers_controllers_and_elections() -> None:
    registry = CollectorRegistry()
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        server.create("configmaps", configmap("a"))
        configmaps = factory.for_resource("configmaps.v1.")
        controller, election = Controller(configmaps), LeaderElection(api, "lease", namespace="default")

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        InformerCollector(factory, controllers=[controller], elections=[election], registry=registry)
        assert scraped(registry)["aioinformers_synced"] == {("factory", "configmaps.v1 [as dict]"): 0}
        await factory.start()
        async with controller.running(election=election):
            await asyncio.sleep(5)
            found = scraped(registry)
        assert found["aioinformers_objects"] == {("factory", "configmaps.v1 [as dict]"): 1}
        assert found["leader_election_master_status"] == {("default/lease",): 1}
        assert found["controller_runtime_max_concurrent_reconciles"] == {("configmaps",): 16}
        assert found["aioinformers_watch_duration_seconds_bucket"][("factory", "configmaps.v1 [as dict]", "+Inf")] == 0
        known = {family.name for family in FAMILIES}
        ends = ("_bucket", "_count", "_sum", "_created")
        assert {name for name in found if name not in known and not name.endswith(ends)} == set()


async def test_two_factories_share_a_registry_if_their_names_tell_them_apart() -> None:
    registry = CollectorRegistry()
    async with (
        FakeAPIServer() as server,
        server.api_client() as api,
        SharedInformerFactory(api, name="one") as one,
        SharedInformerFactory(api, name="two") as two,
        SharedInformerFactory(api, name="two") as three,
    ):
        for factory in (one, two, three):
            factory.core.v1.configmaps()
        InformerCollector(one, registry=registry)
        second = InformerCollector(two, registry=registry)
        assert set(scraped(registry)["aioinformers_objects"]) == {("one", "configmaps.v1"), ("two", "configmaps.v1")}
        with pytest.raises(ValueError, match="this registry has the metrics of one already: once is enough"):
            InformerCollector(one, registry=registry)
        with pytest.raises(ValueError, match="another factory named 'two', and they could not be told apart: give one"):
            InformerCollector(three, registry=registry)
        second.close()
        InformerCollector(three, registry=registry)
        InformerCollector(one, registry=CollectorRegistry())


async def test_a_factory_that_is_gone_has_no_metrics() -> None:
    registry = CollectorRegistry()
    async with FakeAPIServer() as server, server.api_client() as api:
        factory = SharedInformerFactory(api)
        factory.core.v1.configmaps()
        InformerCollector(factory, registry=registry)
        assert scraped(registry)
        del factory
        collect()
        assert scraped(registry) == {}


async def test_the_multiprocess_mode_that_would_show_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/tmp")
    async with FakeAPIServer() as server, server.api_client() as api:
        with pytest.raises(RuntimeError, match="mode shows nothing of a collector: run one worker per Pod"):
            InformerCollector(SharedInformerFactory(api), registry=CollectorRegistry())


async def test_a_scrape_in_another_thread_shows_controllers_too() -> None:
    """As prometheus_client's own server makes it, and whoever collects periodically."""
    registry = CollectorRegistry()
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        server.create("configmaps", configmap("a"))
        controller = Controller(factory.for_resource("configmaps.v1."))

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            raise ValueError("no")

        InformerCollector(factory, controllers=[controller], registry=registry)
        async with controller.running():
            await asyncio.sleep(2)
            found = await asyncio.get_running_loop().run_in_executor(None, scraped, registry)
    assert found["aioinformers_failing_keys"] == {("configmaps",): 1}


async def test_a_factory_that_has_ended_makes_room_for_the_next_one() -> None:
    registry = CollectorRegistry()
    async with FakeAPIServer() as server, server.api_client() as api:
        for _ in range(2):
            async with SharedInformerFactory(api) as factory:
                factory.core.v1.configmaps()
                InformerCollector(factory, registry=registry)
                assert scraped(registry)
        assert scraped(registry) == {}, "it is no alert that what has been shut down has not synced"
