"""What follows the scopes of an informer, and how that is told."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from aioinformers import new_informer
from aioinformers.informer import pipeline_of
from aioinformers.testing import FakeAPIServer
from aioinformers.types import Scope
from tests.kit import QUICK, factory_on

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


async def test_a_stranger_who_cancels_the_start_lets_no_change_happen_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """G9: of a kind that the server had to be asked about, that task goes on until the first sync."""

    async def answer_at_once(_: Any) -> bool:
        return True

    async with FakeAPIServer() as server, server.api_client() as api:
        server.add_resource("widgets.v1.example.com", kind="Widget")
        for number in range(3000):
            server.create("widgets.v1.example.com", {"metadata": {"name": f"w-{number}", "namespace": "b"}})
        server.fail(lambda request: "/namespaces/a/" in request.path, status=403, times=None)
        slow = dataclasses.replace(QUICK, time_slice=1e-9)
        async with new_informer(api, "widgets.v1.example.com", namespace=["a", "b"], settings=slow) as widgets:
            await asyncio.sleep(5)
            monkeypatch.setattr(pipeline_of(widgets).discovery, "is_namespaced", answer_at_once)
            change = widgets.add_indexers({"color": "spec.color"})  # the dispatcher has to do
            call = asyncio.create_task(widgets.set_namespaces(["c"], timeout=30))
            await asyncio.sleep(0)
            (start,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("reflectors of")]
            start.cancel()
            await change
            await call
            assert list(pipeline_of(widgets).following.reflectors) == [Scope("c")]
            assert len(widgets.lister) == 0
