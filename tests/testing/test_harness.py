"""Tests of controllers wait until nothing is left to do, and are told if that never comes."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.controllers import Controller, Request, Requeue
from aioinformers.testing import ControllerHarness, FakeAPIServer, harness
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time

Document = dict[str, Any]


def secret_for(request: Request[Document]) -> Document:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": request.key.name}, "stringData": {"a": "b"}}


async def test_it_is_idle_once_everything_is_as_it_should_be() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        secrets = factory.for_resource("secrets.v1.")
        controller = Controller(factory.for_resource("configmaps.v1.")).owns(secrets)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue:
            await request.apply(secret_for(request))
            return Requeue(after=60)

        async with ControllerHarness(server, factory, controller) as world:
            await world.until_idle()
            assert world.runs("default/a") == 0
            server.create("configmaps", configmap("a"))
            await world.until_idle()
            assert [one["metadata"]["name"] for one in server.list("secrets")] == ["a"]
            assert 1 <= world.runs("default/a", controller) <= 2
            world.clear()
            await world.advance(150)
            assert world.runs("default/a") == 2, "each minute once"
            server.delete("secrets", "a", namespace="default")
            await world.until_idle()
            assert len(server.list("secrets")) == 1
            rules = {rule["resources"][0]: rule["verbs"] for rule in world.role()}
            assert rules == {"configmaps": ["list", "watch"], "secrets": ["create", "list", "patch", "watch"]}


async def test_what_never_comes_to_an_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "MOST_RUNS", 50)
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a"))
        controller = Controller(factory.for_resource("configmaps.v1."))

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue:
            return Requeue(after=0)

        async with ControllerHarness(server, factory, controller) as world:
            with pytest.raises(
                AssertionError, match="50 runs, and there is still something to do: default/a by configmaps"
            ):
                await world.until_idle()


async def test_it_takes_what_it_says() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        wrong: Any = 3
        for arguments in ((wrong, factory), (server, wrong), (server, factory, wrong)):
            with pytest.raises(TypeError, match=r"a harness takes .*, not 3"):
                ControllerHarness(*arguments)
