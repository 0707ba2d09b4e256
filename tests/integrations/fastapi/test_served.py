"""An informer as requests see it: what they wait for ends when the server stops."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers.integrations.fastapi.served import ServedInformer
from aioinformers.integrations.lifecycle import ServerStoppingError
from aioinformers.testing import FakeAPIServer
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time


async def test_it_is_the_informer_in_all_but_that() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        shared = factory.core.v1.configmaps()
        given = ServedInformer(shared, asyncio.Event())
        await factory.start()
        await given.wait_synced(timeout=5)
        created = server.create("configmaps", configmap("a"))
        found = await given.wait_for("default/a", lambda each: each is not None, timeout=5)
        assert found is not None
        await given.wait_for_resource_version(created["metadata"]["resourceVersion"], timeout=5)
        assert (given.name, given.has_synced, len(given.lister)) == (shared.name, True, 1)
        with pytest.raises(TimeoutError, match="default/b did not come into the cache within 1 s"):
            await given.wait_for("default/b", lambda each: each is not None, timeout=1)


async def test_every_wait_of_it_ends_with_the_server() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.fail("* secrets", 503, times=None)
        stopping = asyncio.Event()
        configmaps = ServedInformer(factory.core.v1.configmaps(), stopping)
        secrets = ServedInformer(factory.core.v1.secrets(), stopping)
        await factory.start()
        await configmaps.wait_synced()
        waits = [
            asyncio.create_task(secrets.wait_synced()),
            asyncio.create_task(configmaps.wait_for("default/a", lambda each: each is not None)),
            asyncio.create_task(configmaps.wait_for_resource_version("999999")),
        ]
        async with configmaps.stream() as events:
            await asyncio.sleep(1)
            assert configmaps.is_in_use
            assert not any(wait.done() for wait in waits)
            stopping.set()
            assert [event async for event in events] == []
        for wait in waits:
            with pytest.raises(ServerStoppingError):
                await wait
        with pytest.raises(ServerStoppingError):
            await secrets.wait_synced()
        await configmaps.wait_synced()  # what is there already need not be waited for
        assert not configmaps.is_in_use
        assert not secrets.is_in_use
