"""What a controller is to do."""

from __future__ import annotations

from typing import Any

from aioinformers import new_informer
from aioinformers.controllers import Controller
from aioinformers.controllers.plan import Plan
from aioinformers.controllers.sources import Cache
from aioinformers.testing import FakeAPIServer


async def test_a_controller_declares_its_plan() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        informer = new_informer(api, "configmaps.v1.")
        declared = Controller(informer, concurrency=3, timeout=None)._plan
        bare: Plan[Any] = Plan(name=declared.name, main=Cache(informer), fields={})
        assert (declared.concurrency, declared.timeout) == (3, None)
        assert (bare.concurrency, bare.timeout, bare.owned, bare.watched) == (16, 300.0, [], [])
