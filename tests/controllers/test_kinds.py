"""The kind of what is written is found without asking the server, where it is known."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers import GroupVersionResource
from aioinformers.controllers.kinds import Kinds
from aioinformers.controllers.sources import Cache
from aioinformers.controllers.writes import Kind
from aioinformers.testing import FakeAPIServer
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time


async def test_kinds_are_those_of_the_catalogue_of_the_caches_or_of_the_server() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for plural, kind in (("widgets", "Widget"), ("gadgets", "Gadget")):
            server.add_resource(f"{plural}.v1.example.com", kind)
        server.create("widgets", {"metadata": {"name": "w", "namespace": "default"}})
        widgets = factory.for_resource("widgets.v1.example.com")
        await factory.start()
        await factory.wait_for_cache_sync()
        kinds = Kinds([Cache(widgets)])
        await kinds.prepare()
        widget = Kind(GroupVersionResource("example.com", "v1", "widgets"), "Widget", is_namespaced=True)
        assert kinds.main == widget
        before = len(server.requests)
        found = [
            await kinds.of({"apiVersion": api_version, "kind": kind})
            for api_version, kind in (("apps/v1", "Deployment"), ("v1", "Node"), ("example.com/v1", "Widget"))
        ]
        assert [(str(one.resource), one.is_namespaced) for one in found] == [
            ("deployments.v1.apps", True), ("nodes.v1", False), ("widgets.v1.example.com", True)
        ]  # fmt: skip
        assert len(server.requests) == before
        for _ in range(2):
            gadget = await kinds.of({"apiVersion": "example.com/v1", "kind": "Gadget"})
            assert str(gadget.resource) == "gadgets.v1.example.com"
        asked = len(server.requests)
        assert asked > before
        await kinds.of({"apiVersion": "example.com/v1", "kind": "Gadget"})
        assert len(server.requests) == asked
        with pytest.raises(ValueError, match=r"the server serves no Gizmo of example\.com/v1: is its"):
            await kinds.of({"apiVersion": "example.com/v1", "kind": "Gizmo"})


@pytest.mark.parametrize("document", [{}, {"kind": "Pod"}, {"apiVersion": "v1"}, {"apiVersion": 1, "kind": "Pod"}])
async def test_what_does_not_say_what_it_is_is_refused(document: dict[str, Any]) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a"))
        kinds = Kinds([Cache(factory.for_resource("configmaps.v1."))])
        await kinds.prepare()
        assert kinds.main.kind == "ConfigMap"
        with pytest.raises(ValueError, match="does not say its apiVersion and kind"):
            await kinds.of(document)
