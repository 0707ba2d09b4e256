"""One informer's machinery: what it says of its state, and how its stages end."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aioinformers import (
    CacheSyncError,
    InformerClosedError,
    InformerCrashedError,
    Settings,
    WatchFailure,
)
from aioinformers.informer import pipeline_of
from aioinformers.testing import FakeAPIServer
from aioinformers.types import EVERYTHING
from tests.kit import Recorder, factory_on, pod, stored, synced

pytestmark = pytest.mark.virtual_time


async def test_crash_of_a_stage_is_loud_and_the_other_informers_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods, nodes = factory.core.v1.pods(), factory.core.v1.nodes()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        def broken(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(pods._pipeline.dispatcher, "apply", broken)
        server.create("pods", pod("p"))
        with pytest.raises(InformerCrashedError, match="a bug"):
            await pods.wait_closed()
        with pytest.raises(InformerCrashedError):
            pods.lister.list()
        with pytest.raises(InformerCrashedError) as caught:
            await pods.wait_for(("default", "never"), lambda obj: obj is not None, timeout=5)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        with pytest.raises(CacheSyncError, match="crashed"):
            await factory.wait_for_cache_sync(timeout=5)
        assert any(record.levelno == logging.CRITICAL for record in caplog.records)
        server.create("nodes", {"metadata": {"name": "n"}})
        await asyncio.sleep(1)
        assert len(nodes.lister) == 1


async def test_watch_errors_are_observed_and_backed_off() -> None:
    failures: list[WatchFailure] = []
    async with FakeAPIServer() as server, factory_on(server, on_watch_error=failures.append) as factory:
        server.fail("* pods", status=403, times=None)
        pods = factory.core.v1.pods()
        await factory.start()
        await asyncio.sleep(100)

        delays = [failure.next_delay for failure in failures if failure.next_delay]
        assert delays[:6] == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8, 25.6])
        assert all("403" in str(failure.error) for failure in failures)
        assert "403" in str(pods.last_error)
        assert pods.statistics().failures == len(failures)


async def test_health_says_what_an_informer_waits_for() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.fail("* pods", status=503, times=None, headers={"Retry-After": "20"})
        factory.core.v1.pods()
        factory.core.v1.nodes()
        await factory.start()
        await asyncio.sleep(1)
        health = factory.health()
        assert not health.is_ready
        reasons = {informer.name: informer.reason for informer in health.informers}
        assert reasons["nodes.v1"] == ""
        assert reasons["pods.v1"].startswith("waiting: 503")


@pytest.fixture
async def eager_tasks() -> AsyncIterator[None]:
    """Let every task of the loop start inside ``create_task``, where Python has that."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory", None))
    yield
    loop.set_task_factory(None)


async def test_eager_tasks_change_nothing(eager_tasks: None) -> None:
    async with FakeAPIServer() as server, factory_on(server, settings=Settings()) as factory:
        for i in range(5):
            server.create("pods", pod(f"p{i}"))
        pods = factory.core.v1.pods()
        early, late = Recorder(), Recorder()
        pods.add_event_handler(early, concurrency=3)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        registration = pods.add_event_handler(late)
        assert late.events == []
        await registration.wait_synced()
        server.delete("pods", "p1", namespace="default")
        await asyncio.sleep(1)
        assert early.state == late.state == stored(server, "pods")


async def test_a_watch_that_works_again_forgets_its_last_error() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(2)
        server.reset_connections()
        await asyncio.sleep(0.5)
        assert "connection broke" in str(pods.last_error)
        await asyncio.sleep(3)
        assert pods.is_watching
        assert pods.last_error is None
        assert pods.health().reason == ""


@pytest.mark.parametrize("stage", ["reflector", "dispatcher"])
async def test_a_bug_is_logged_with_the_stage_that_has_it(
    stage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A lone event is applied in the reflector's task: the dispatcher's bug is not the reflector's for that."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        pipeline = pipeline_of(pods)

        def broken(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        if stage == "dispatcher":
            monkeypatch.setattr(pipeline.dispatcher, "apply", broken)
        else:
            monkeypatch.setattr(pipeline.following.reflectors[EVERYTHING], "_put_events", broken)
        server.create("pods", pod("p"))
        with pytest.raises(InformerCrashedError, match="a bug"):
            await pods.wait_closed()
        said = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
        assert said == [f"pods.v1: its {stage} crashed; the informer ends"]


async def test_a_change_of_indexes_runs_in_a_task_that_is_named_and_owned() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = await synced(factory)
        change = configmaps.add_indexers({"a": "data.a"})
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert "change of indexes of configmaps.v1 [as dict]" in names
        await change
        assert configmaps.indexer.index_values("a") == []


async def test_a_change_of_indexes_ends_with_the_informer() -> None:
    """Whether it is queued or waits for its place in the queue; nobody is left waiting, nothing complains."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = await synced(factory)
        changes = [configmaps.add_indexers({f"i{i}": f"data.a{i}"}) for i in range(20)]
        waiting = asyncio.ensure_future(changes[-1])
        await factory.shutdown(grace=0)
        with pytest.raises(InformerClosedError):
            await waiting
        del changes, waiting
        gc.collect()
    assert complaints == []


async def test_g9_whoever_asks_for_more_scopes_than_the_client_has_connections_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else the program's own requests wait for minutes, and nothing says why."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        few = factory.core.v1.configmaps(namespace=[f"ns{n}" for n in range(80)])
        await factory.start()
        await asyncio.sleep(0)
        assert "connections" not in caplog.text
        many = factory.core.v1.pods(namespace=[f"ns{n}" for n in range(15)])
        await asyncio.sleep(0)
        assert f"{many.name}: with it, informers hold 95 of the 100 connections of the API client" in caplog.text
        assert "raise configuration.connection_pool_maxsize" in caplog.text
        await factory.release(few)
        caplog.clear()
        factory.core.v1.nodes()
        await asyncio.sleep(0)
        assert "connections" not in caplog.text
