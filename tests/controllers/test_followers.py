"""Which caches are waited for after a write: each that shows it, or that has shown the object (G20)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aioinformers import SharedInformer
from aioinformers.controllers import Controller, Request, Requeue
from aioinformers.testing import FakeAPIServer
from tests.controllers.worlds import Document, now, world
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time


def held_up(informer: SharedInformer[Any]) -> Callable[[], None]:
    """Hold up what an informer's watch brings; return what lets it through."""
    dispatcher = informer._pipeline.dispatcher
    offer, held = dispatcher.offer, list[Any]()

    def hold(item: Any) -> bool:
        held.append(item)
        return True

    def let_through() -> None:
        dispatcher.offer = offer  # type: ignore[method-assign]
        assert all(offer(item) for item in held)

    dispatcher.offer = hold  # type: ignore[method-assign]
    return let_through


@pytest.mark.parametrize("is_last", [True, False])
async def test_g20_of_several_informers_of_a_resource_those_are_waited_for_that_show_the_write(is_last: bool) -> None:
    async with world("a") as (server, factory, configmaps):
        here = factory.for_resource("secrets.v1.", namespace="default")
        there = factory.for_resource("secrets.v1.", namespace="other")
        controller, seen = Controller(configmaps), list[int]()
        for informer in (there, here) if is_last else (here, there):
            controller.owns(informer)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue:
            seen.append(len(here.lister.list()))
            if not seen[-1]:
                await request.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "child-"}})
            return Requeue(after=0.5)

        await factory.start()
        await factory.wait_for_cache_sync()
        let_through = held_up(here)
        async with controller.running():
            await asyncio.sleep(5)
            assert seen == [0]
            let_through()
            await asyncio.sleep(1)
            assert seen[:2] == [0, 1]
        assert len(server.list("secrets")) == 1


async def test_g20_children_of_the_kind_of_their_owners_are_waited_for_in_their_own_cache() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        parent = configmap("a")
        parent["metadata"]["labels"] = {"role": "parent"}
        server.create("configmaps", parent)
        parents = factory.for_resource("configmaps.v1.", label_selector="role=parent")
        children = factory.for_resource("configmaps.v1.", label_selector="role=child")
        controller, seen = Controller(parents).owns(children), list[int]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue:
            seen.append(len(children.lister.list()))
            if not seen[-1]:
                metadata = {"generateName": "child-", "labels": {"role": "child"}}
                await request.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
            return Requeue(after=0.5)

        await factory.start()
        await factory.wait_for_cache_sync()
        let_through = held_up(children)
        async with controller.running():
            await asyncio.sleep(5)
            assert seen == [0]
            let_through()
            await asyncio.sleep(1)
            assert seen[:2] == [0, 1]


async def test_g20_what_a_write_takes_out_of_a_selector_is_waited_for_until_it_has_left() -> None:
    async with world("a") as (server, factory, configmaps):
        server.create("secrets", {"metadata": {"name": "s", "namespace": "default", "labels": {"is": "ours"}}})
        secrets = factory.for_resource("secrets.v1.", label_selector="is=ours")
        controller, seen = Controller(configmaps).owns(secrets), list[int]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue:
            seen.append(len(secrets.lister.list()))
            for one in secrets.lister.list():
                named = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": one["metadata"]["name"]}}
                await request.patch({"metadata": {"labels": {"is": "theirs"}}}, named)
            return Requeue(after=0.5)

        await factory.start()
        await factory.wait_for_cache_sync()
        let_through = held_up(secrets)
        async with controller.running():
            await asyncio.sleep(5)
            assert seen == [1]
            let_through()
            await asyncio.sleep(1)
            assert seen[:2] == [1, 0]


async def test_g20_a_child_that_has_come_and_gone_during_the_run_is_not_waited_for() -> None:
    """The cache is as new as the write; to say that it is stale would be wrong."""
    async with world("a") as (server, factory, configmaps):
        secrets = factory.for_resource("secrets.v1.")
        controller, runs = Controller(configmaps).owns(secrets), list[tuple[float, bool]]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs.append((now(), request.is_stale))
            if len(runs) == 1:
                await request.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}})
                let_through()
                await asyncio.sleep(2)

        await factory.start()
        await factory.wait_for_cache_sync()
        let_through = held_up(secrets)
        async with controller.running():
            await asyncio.sleep(1)
            server.delete("secrets", "s", namespace="default")
            await asyncio.sleep(20)
        assert runs == [(0, False), (2, False)]
