"""A shard by namespace, where the API server does not filter: each of its namespaces is followed by itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest

from aioinformers import SharedInformer, SharedInformerFactory
from aioinformers.errors import NotOwnedError
from aioinformers.informer import pipeline_of
from aioinformers.namespaces import MOST
from aioinformers.sharding import Shard
from aioinformers.testing import FakeAPIServer
from aioinformers.types import Scope, WatchFailure
from tests.kit import QUICK, Recorder, cached, configmap, factory_on, stored

pytestmark = pytest.mark.virtual_time

SHARD = Shard(0, of=2, by="namespace")
NAMES = [f"{letter}{number}-team" for letter in "abcdefgh" for number in range(20)]
OURS = [name for name in NAMES if SHARD.contains(name)]
THEIRS = [name for name in NAMES if not SHARD.contains(name)]
ENOUGH = 5


def fill(server: FakeAPIServer, names: Sequence[str]) -> None:
    for name in names:
        server.create("namespaces", {"metadata": {"name": name}})
        server.create("configmaps", configmap("c", name))


def owned(server: FakeAPIServer) -> dict[str, Any]:
    return {key: version for key, version in stored(server, "configmaps").items() if SHARD.contains(key.split("/")[0])}


def watched(server: FakeAPIServer) -> set[str]:
    """Return the paths of ConfigMaps that have been watched."""
    return {each.path for each in server.requests if each.verb == "watch" and each.path.endswith("/configmaps")}


async def synced(factory: Any) -> tuple[SharedInformer[Any], Recorder]:
    informer = factory.for_resource("configmaps.v1.")
    recorder = Recorder()
    informer.add_event_handler(recorder)
    await factory.start()
    await factory.wait_for_cache_sync(timeout=30)
    await asyncio.sleep(2)
    return informer, recorder


async def test_a_few_namespaces_are_followed_by_a_watch_each() -> None:
    async with FakeAPIServer() as server, factory_on(server, shard=SHARD) as factory:
        fill(server, [*OURS[:ENOUGH], *THEIRS[:ENOUGH]])
        informer, recorder = await synced(factory)
        assert cached(informer) == owned(server)
        assert informer.health().shard_mode == "namespace"
        assert watched(server) == {f"/api/v1/namespaces/{name}/configmaps" for name in OURS[:ENOUGH]}
        assert recorder.state == cached(informer)
        with pytest.raises(NotOwnedError):
            informer.lister.get("c", namespace=THEIRS[0])
        assert informer.lister.is_partial


async def test_namespaces_come_and_go_as_they_do_on_the_server() -> None:
    async with FakeAPIServer() as server, factory_on(server, shard=SHARD) as factory:
        fill(server, OURS[:2])
        informer, recorder = await synced(factory)
        fill(server, [OURS[2], THEIRS[0]])
        await asyncio.sleep(2)
        assert cached(informer) == owned(server)
        assert len(cached(informer)) == 3
        server.delete("configmaps", "c", namespace=OURS[0])
        server.delete("namespaces", OURS[0])
        await asyncio.sleep(60)
        assert cached(informer) == owned(server)
        assert set(pipeline_of(informer).following.reflectors) == {Scope(OURS[1]), Scope(OURS[2])}
        assert [kind for kind in recorder.kinds() if kind.startswith("Deleted")] == ["Deleted c"]
        assert recorder.problems == []


async def test_no_deletion_is_lost_when_a_namespace_goes_before_its_objects_seem_to() -> None:
    """G5: what is still cached of it is waited for, and told as deleted."""
    async with FakeAPIServer() as server, factory_on(server, shard=SHARD) as factory:
        fill(server, OURS[:2])
        informer, recorder = await synced(factory)
        server.fail(lambda request: f"/namespaces/{OURS[0]}/" in request.path, times=4)
        server.reset_connections()
        server.delete("configmaps", "c", namespace=OURS[0])
        server.delete("namespaces", OURS[0])
        await asyncio.sleep(120)
        assert cached(informer) == owned(server)
        assert recorder.kinds()[2:] == ["Deleted c"]
        assert list(pipeline_of(informer).following.reflectors) == [Scope(OURS[1])]


async def test_a_shard_without_namespaces_has_synced_and_takes_the_first_one() -> None:
    async with FakeAPIServer() as server, factory_on(server, shard=Shard(0, of=2, by="namespace")) as factory:
        for obj in server.list("namespaces"):
            if SHARD.contains(obj["metadata"]["name"]):
                server.delete("namespaces", obj["metadata"]["name"])
        fill(server, THEIRS[:1])
        informer, recorder = await synced(factory)
        assert cached(informer) == {}
        assert informer.health().shard_mode == "namespace"
        assert informer.health().has_synced
        assert informer.last_sync_resource_version == ""
        fill(server, OURS[:1])
        await asyncio.sleep(2)
        assert cached(informer) == owned(server) == recorder.state


@pytest.mark.parametrize("names", [OURS[:3], OURS[: MOST + 1]], ids=["it filters", "there are many"])
async def test_otherwise_there_is_one_watch(names: list[str]) -> None:
    is_filtered = len(names) == 3
    async with FakeAPIServer(shard_selector=is_filtered) as server, factory_on(server, shard=SHARD) as factory:
        fill(server, names)
        informer, _ = await synced(factory)
        assert cached(informer) == owned(server)
        assert informer.health().shard_mode == ("server" if is_filtered else "client")
        assert watched(server) == {"/api/v1/configmaps"}


async def test_who_may_not_see_the_namespaces_reads_everything() -> None:
    async with FakeAPIServer() as server, factory_on(server, shard=SHARD) as factory:
        fill(server, OURS[:2])
        server.fail("* namespaces", status=403, times=None)
        informer, _ = await synced(factory)
        assert cached(informer) == owned(server)
        assert informer.health().shard_mode == "client"
        asked = [each for each in server.requests if each.path == "/api/v1/namespaces"]
        await asyncio.sleep(300)
        assert len([each for each in server.requests if each.path == "/api/v1/namespaces"]) == len(asked), "it is left"


async def test_it_waits_for_a_server_that_is_away() -> None:
    async with FakeAPIServer() as server, factory_on(server, shard=SHARD) as factory:
        fill(server, OURS[:2])
        await server.stop()
        informer = factory.core.v1.configmaps()
        await factory.start()
        await asyncio.sleep(10)
        assert "finding out whether it has namespaces: cannot connect" in informer.health().reason
        await server.start()
        await factory.wait_for_cache_sync(timeout=60)
        assert informer.health().shard_mode == "namespace"


async def test_a_cluster_scoped_kind_is_not_asked_about() -> None:
    async with FakeAPIServer() as server, factory_on(server, shard=SHARD) as factory:
        server.create("nodes", {"metadata": {"name": "n1"}})
        nodes = factory.core.v1.nodes()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=30)
        assert nodes.health().shard_mode == "client"
        assert not [each for each in server.requests if each.path == "/api/v1/namespaces"]


@pytest.mark.parametrize("turns", [1, 5, 20, 60])
async def test_strangers_who_cancel_tasks_change_nothing(turns: int) -> None:
    """G9."""
    async with FakeAPIServer() as server, factory_on(server, shard=SHARD) as factory:
        fill(server, OURS[:3])
        informer = factory.core.v1.configmaps(object_type=dict)
        await factory.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks():
            if " of configmaps" in task.get_name():
                task.cancel()
        await factory.wait_for_cache_sync(timeout=60)
        fill(server, OURS[3:4])
        await asyncio.sleep(60)
        assert cached(informer) == owned(server)
        assert informer.health().shard_mode == "namespace"


async def test_the_end_leaves_no_task() -> None:
    async with FakeAPIServer() as server:
        async with factory_on(server, shard=SHARD) as factory:
            fill(server, OURS[:3])
            await synced(factory)
            fill(server, OURS[3:4])
        await asyncio.sleep(100)
        assert not [task for task in asyncio.all_tasks() if "configmaps" in task.get_name()]


async def test_a_watch_of_the_namespaces_that_breaks_is_told_of() -> None:
    """G9: a namespace that comes is not seen meanwhile, and whoever looks after the informer has to know."""
    async with FakeAPIServer() as server, server.api_client() as api:
        fill(server, OURS[:2])
        failures: list[WatchFailure] = []
        factory = SharedInformerFactory(api, shard=SHARD, settings=QUICK, on_watch_error=failures.append)
        informer = factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=30)
        await asyncio.sleep(2)
        heal = server.fail("* namespaces", status=403, times=None)
        server.reset_connections()
        await asyncio.sleep(60)
        fill(server, OURS[2:3])
        health = informer.health()
        assert health.is_degraded
        assert re.fullmatch(r"following the namespaces that there are: 403: .*", health.reason)
        assert str(failures[-1].resource) == "namespaces.v1"
        assert informer.last_error is not None
        heal()
        await asyncio.sleep(120)
        assert cached(informer) == owned(server)
        assert informer.health().reason == ""
        assert not informer.health().is_degraded
        await factory.shutdown(grace=0)


async def test_one_look_at_what_a_namespace_that_has_gone_left_is_due_at_a_time() -> None:
    async with FakeAPIServer() as server, factory_on(server, shard=SHARD) as factory:
        fill(server, OURS[:2])
        informer, _ = await synced(factory)
        heal = server.fail(lambda request: OURS[0] in request.path, status=403, times=None)
        server.reset_connections()
        server.delete("configmaps", "c", namespace=OURS[0])
        server.delete("namespaces", OURS[0])
        looks = []
        following = pipeline_of(informer).following
        look = following._has_objects
        following._has_objects = lambda scope: looks.append(scope) or look(scope)  # type: ignore[func-returns-value, method-assign, redundant-expr]
        for number in range(10):
            server.create("namespaces", {"metadata": {"name": f"n-{number}"}})
            await asyncio.sleep(1)
        await asyncio.sleep(25)
        looks.clear()
        await asyncio.sleep(30)
        assert len(looks) <= 2
        heal()
        await asyncio.sleep(120)
        assert cached(informer) == owned(server)
