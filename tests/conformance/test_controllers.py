"""What controllers do on a server, the embedded one and a real one alike."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import SharedInformer, SharedInformerFactory
from aioinformers.controllers import Controller, Request, set_condition
from tests.conformance.gadgets import Gadgets
from tests.conformance.rest import Rest
from tests.kit.fixtures import APIServer

Document = dict[str, Any]


@pytest.fixture
async def gadgets(rest: Rest) -> Gadgets:
    return await Gadgets.define(rest)


@pytest.fixture
async def api(api_server: APIServer) -> AsyncIterator[client.ApiClient]:
    async with api_server.api_client() as opened:
        yield opened


@asynccontextmanager
async def world(
    api: client.ApiClient, gadgets: Gadgets, *, finalizers: tuple[str | None, ...] = (None,)
) -> AsyncIterator[tuple[SharedInformerFactory, SharedInformer[Document], list[Controller[Document]]]]:
    """Give a controller of gadgets for each finalizer; what they do is declared in the block, before the start."""
    async with SharedInformerFactory(api, namespace=gadgets.rest.namespace) as factory:
        group, _, version = gadgets.group_version.partition("/")
        informer: SharedInformer[Document] = factory.for_resource(f"gadgets.{version}.{group}")
        made = [
            Controller(informer, finalizer=finalizer, name=f"gadgets-{number}.{gadgets.rest.namespace}")
            for number, finalizer in enumerate(finalizers)
        ]
        yield factory, informer, made


@asynccontextmanager
async def running(factory: SharedInformerFactory, controllers: list[Controller[Document]]) -> AsyncIterator[None]:
    await factory.start()
    async with AsyncExitStack() as stack:
        for controller in controllers:
            await stack.enter_async_context(controller.running())
        yield


async def until(is_met: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not is_met():
            await asyncio.sleep(0.02)


async def test_a_controller_that_writes_its_status_settles_at_two_runs_per_edit(
    api: client.ApiClient, gadgets: Gadgets
) -> None:
    """Its own write wakes it no more than once, if at all."""
    runs = Counter[str]()
    async with world(api, gadgets) as (factory, informer, (controller,)):

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs[request.object["spec"]["text"]] += 1
            known = (request.object.get("status") or {}).get("conditions")
            text = request.object["spec"]["text"]
            conditions = set_condition(known, "Ready", int(text) % 2 == 0, "Told", text)
            await request.patch_status({"phase": text, "conditions": conditions})

        async with running(factory, [controller]):
            for edit in map(str, range(10)):
                await gadgets.applied("user", {"text": edit})
                await until(partial(has_phase, informer, edit))
            await asyncio.sleep(1)
            assert set(runs) == set(map(str, range(10)))
            assert max(runs.values()) <= 2, runs
            assert controller.failing() == {}


async def test_two_controllers_add_and_remove_their_finalizers_of_one_object(
    api: client.ApiClient, gadgets: Gadgets
) -> None:
    """At the same time: neither takes the other's away, and the object goes when both are done."""
    names = ("a.example.com/x", "b.example.com/x", "c.example.com/x")
    cleaned: list[str] = []
    async with world(api, gadgets, finalizers=names) as (factory, informer, controllers):
        for name, controller in zip(names, controllers, strict=True):

            @controller.reconcile
            async def reconcile(request: Request[Document], name: str = name) -> None:
                assert name in request.object["metadata"]["finalizers"]

            @controller.cleanup
            async def cleanup(request: Request[Document], name: str = name) -> None:
                cleaned.append(name)

        async with running(factory, controllers):
            for _ in range(5):
                cleaned.clear()
                await gadgets.applied("user", {"text": "x"})
                await until(lambda: sorted(seen(informer).get("metadata", {}).get("finalizers", ())) == list(names))
                await gadgets.rest.delete(gadgets.path())
                await until(lambda: not seen(informer))
                assert (await gadgets.rest.get(gadgets.path())).status == 404
                assert sorted(cleaned) == list(names)
        assert all(controller.failing() == {} for controller in controllers)


async def test_a_child_is_created_once_owned_and_put_right(api: client.ApiClient, gadgets: Gadgets, rest: Rest) -> None:
    """Edits of others are undone, and its removal too."""
    made: list[str] = []
    async with world(api, gadgets) as (factory, _, (controller,)):
        configmaps = factory.for_resource("configmaps.v1.")
        controller.owns(configmaps)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child"}, "data": {"k": "ours"}}
            applied = await request.apply(child)
            made.append(applied["metadata"]["uid"])

        path = rest.path("configmaps", "child")
        async with running(factory, [controller]):
            owner = (await gadgets.applied("user", {"text": "x"})).json
            await until(lambda: made)
            child = (await rest.get(path)).json
            (reference,) = child["metadata"]["ownerReferences"]
            assert (reference["uid"], reference["controller"]) == (owner["metadata"]["uid"], True)

            await rest.patch(path, {"data": {"k": "theirs"}})
            await until_answered(rest, path, lambda found: found["data"] == {"k": "ours"})
            await rest.delete(path)
            await until_answered(rest, path, lambda found: found["metadata"]["uid"] != child["metadata"]["uid"])
            assert controller.failing() == {}
        assert len(set(made)) == 2


async def test_events_are_taken(api: client.ApiClient, gadgets: Gadgets, rest: Rest) -> None:
    """And what repeats itself is one of them."""
    written = asyncio.Event()
    async with world(api, gadgets) as (factory, _, (controller,)):

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            if not written.is_set():
                await request.event("Warning", "Missing", "no certificate: " + "ü" * 2000)
                await asyncio.sleep(1.1)
                await request.event("Warning", "Missing", "no certificate: " + "ü" * 2000)
                written.set()

        async with running(factory, [controller]):
            await gadgets.applied("user", {"text": "x"})
            async with asyncio.timeout(60):
                await written.wait()
            found = await rest.get(rest.path("events", group="events.k8s.io/v1"))
            (event,) = found.json["items"]
            assert (event["regarding"]["kind"], event["regarding"]["name"]) == ("Gadget", "x")
            assert (event["type"], event["reason"], event["series"]["count"]) == ("Warning", "Missing", 2)
            assert len(event["note"].encode()) == 1024


def seen(informer: SharedInformer[Document]) -> Document:
    """Return the gadget as the cache has it; empty if it has none."""
    return next(iter(informer.lister.list()), {}) if informer.has_synced else {}


def has_phase(informer: SharedInformer[Document], phase: str) -> bool:
    return (seen(informer).get("status") or {}).get("phase") == phase


async def until_answered(rest: Rest, path: str, is_met: Callable[[Document], bool]) -> None:
    async with asyncio.timeout(60):
        while (answer := await rest.get(path)).status != 200 or not is_met(answer.json):
            await asyncio.sleep(0.02)
