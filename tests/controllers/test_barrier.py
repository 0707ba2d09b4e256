"""A new leader's caches are asked for what they follow."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers.controllers.barrier import followed_by
from aioinformers.coordination.barrier import pass_barrier
from aioinformers.testing import Ending, FakeAPIServer, Fault
from tests.kit import configmap, factory_on, started

pytestmark = pytest.mark.virtual_time


async def test_g19_each_scope_is_followed_by_itself() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for namespace in ("a", "b", "c"):
            server.create("configmaps", configmap("x", namespace))
        informer = factory.core.v1.configmaps(namespace=["a", "b"], label_selector="!hidden")
        await factory.start()
        await factory.wait_for_cache_sync()
        found = followed_by(informer)
        assert [one.path for one in found] == [f"/api/v1/namespaces/{name}/configmaps" for name in "ab"]
        assert [dict(one.query) for one in found] == [{"labelSelector": "!hidden"}] * 2
        assert all(one.version == server.resource_version for one in found)
        assert found[0].name.startswith("configmaps.v1")
        server.create("configmaps", configmap("y", "a"))
        await pass_barrier(found, timeout=30)
        assert [str(key) for key in informer.indexer] == ["a/x", "a/y", "b/x"]


@pytest.mark.parametrize(
    ("fault", "is_hurried"),
    [
        (Fault(ending=Ending.RESET, after=0), True),
        (Fault(status=503), True),
        (Fault(status=404), True),
        (Fault(status=429, headers={"Retry-After": "1"}), True),
        (Fault(status=429, headers={"Retry-After": "40"}), False),
    ],
)
async def test_g19_a_cache_that_waits_to_connect_again_does_so_at_once_for_a_new_leader(
    fault: Fault, is_hurried: bool
) -> None:
    """After an outage the next attempt may be half a minute away, although the server answers."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        informer = await started(factory)
        mend = server.intercept(lambda _: fault)
        server.reset_connections()
        await asyncio.sleep(30)
        mend()
        server.create("configmaps", configmap("last"))
        begin = asyncio.get_running_loop().time()
        await pass_barrier(followed_by(informer))
        assert (asyncio.get_running_loop().time() - begin <= 2) == is_hurried
        assert [key.name for key in informer.indexer] == ["last"]
