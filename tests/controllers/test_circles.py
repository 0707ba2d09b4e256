"""A controller whose runs are caused by what it writes is found, told of what that is, and slowed down."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from aioinformers import ObjectKey
from aioinformers.controllers import Controller, Request
from tests.controllers.worlds import Document, now, world

pytestmark = pytest.mark.virtual_time


async def test_a_controller_that_runs_in_circles_is_found_and_slowed_down(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a") as (_, factory, configmaps):
        controller, times = Controller(configmaps), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            times.append(now())
            await request.patch({"data": {"v": str(len(times))}})

        await factory.start()
        async with controller.running():
            await asyncio.sleep(60)
        assert 8 <= len(times) <= 14
        assert max(after - before for before, after in itertools.pairwise(times[8:])) >= 9.9
        assert caplog.text.count("default/a runs in circles: each run writes data.v, which lets it run again") == 1


async def test_a_controller_that_runs_in_circles_over_a_child_is_found_too(caplog: pytest.LogCaptureFixture) -> None:
    async with world("a") as (_, factory, configmaps):
        controller, times = Controller(configmaps), list[float]()
        controller.owns(factory.for_resource("secrets.v1."))

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            times.append(now())
            metadata = {"name": "child", "annotations": {"a.io/at": str(len(times))}}
            await request.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})

        await factory.start()
        async with controller.running():
            await asyncio.sleep(60)
        assert 8 <= len(times) <= 20
        assert max(after - before for before, after in itertools.pairwise(times[8:])) >= 9.9
        what = "metadata.annotations['a.io/at'] of secrets.v1 default/child"
        assert caplog.text.count(f"default/a runs in circles: each run writes {what}, which") == 1


async def test_a_child_that_is_deleted_and_created_again_and_again_is_a_circle(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world("a") as (_, factory, configmaps):
        controller, runs = Controller(configmaps), list[float]()
        secrets = factory.for_resource("secrets.v1.")
        controller.owns(secrets)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs.append(now())
            if (found := secrets.indexer.get(ObjectKey("default", "child"))) is not None:
                await request.delete(found)
            else:
                await request.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "child"}})

        await factory.start()
        async with controller.running():
            await asyncio.sleep(60)
        assert len(runs) <= 20
        assert caplog.text.count("default/a runs in circles") == 1
