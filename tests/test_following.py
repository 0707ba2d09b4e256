"""What follows the scopes of an informer, and how that is told."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers.informer import pipeline_of
from aioinformers.testing import FakeAPIServer
from aioinformers.types import Scope
from tests.kit import factory_on

pytestmark = pytest.mark.virtual_time


async def test_each_scope_has_a_reflector_and_its_own_health() -> None:
    async with FakeAPIServer() as server, factory_on(server, namespace=["a", "b"]) as factory:
        server.fail(lambda request: "/namespaces/b/" in request.path, status=403, times=None)
        configmaps = factory.core.v1.configmaps()
        await factory.start()
        await asyncio.sleep(1)
        following = pipeline_of(configmaps).following
        assert list(following.reflectors) == [Scope("a"), Scope("b")]
        first, second = configmaps.health().scopes
        assert (first.has_synced, first.is_watching, first.reason) == (True, True, "")
        assert not second.has_synced
        assert "in b" in second.reason
        assert "403" in second.reason
        assert following.failures >= 1
