"""A program in which much happens, some of it wrong: for the pictures in the documentation, and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aioinformers import SharedInformer
from aioinformers.controllers import Controller, Request
from aioinformers.coordination import LeaderElection
from tests.browser.stage import Program
from tests.kit import configmap, pod

__all__ = ["busy"]

FORBIDDEN = {
    "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
    "message": 'secrets is forbidden: User "system:serviceaccount:shop:operator" cannot list resource "secrets"',
}  # fmt: skip


@asynccontextmanager
async def busy(shop: Program) -> AsyncIterator[None]:
    """Have a program do much: caches, handlers, a controller that leads, and somebody who changes things."""
    server, factory = shop.server, shop.factory
    server.create("namespaces", {"metadata": {"name": "shop"}})
    for number in range(120):
        node, app = f"node-{number % 12}", "web" if number % 3 else "cart"
        server.create("pods", pod(f"web-{number}", "shop", node=node, app=app))
    for number in range(12):
        server.create("nodes", {"metadata": {"name": f"node-{number}"}})
    for number in range(30):
        server.create("configmaps", configmap(f"site-{number}", "shop", page="x" * 400))
    server.fail("* secrets", 403, body=FORBIDDEN, times=None)
    pods: SharedInformer[Any] = factory.core.v1.pods(
        namespace="shop", label_selector="app=web", indexers={"node": "spec.nodeName"}
    )
    nodes, sites = factory.core.v1.nodes(), factory.core.v1.configmaps(namespace="shop")
    factory.apps.v1.deployments()
    factory.core.v1.secrets(optional=True)
    may_end = asyncio.Event()

    async def quick(event: object) -> None:
        await asyncio.sleep(0.002)

    async def slow(event: object) -> None:
        await asyncio.sleep(0.35)

    async def hangs(event: object) -> None:
        await may_end.wait()

    pods.add_event_handler(quick, name="index_endpoints", concurrency=4)
    pods.add_event_handler(slow, name="notify_billing", limit=96, concurrency=2)
    nodes.add_event_handler(hangs, name="drain_watcher", concurrency=3)

    async def reconcile(request: Request[Any]) -> None:
        if request.key.name == "site-7":
            raise ValueError("the theme 'azure' does not exist")
        await asyncio.sleep(60 if request.key.name == "site-3" else 0.05)

    controller = Controller(sites, reconcile=reconcile, name="sites", concurrency=4)
    election = LeaderElection(factory.api_client, "sites", namespace="shop", identity="sites-6d5f7-x2x9q")
    await factory.wait_for_cache_sync(timeout=40)
    async with controller.running(election=election, grace=0), asyncio.TaskGroup() as tasks:
        changing = tasks.create_task(_change(shop))
        try:
            yield
        finally:
            may_end.set()
            changing.cancel()


async def _change(shop: Program) -> None:
    """Change some Pods every now and then, and have ConfigMaps come and go."""
    number, made = 0, 0
    while True:
        for _ in range(1 + (number // 7) % 5):
            name = f"web-{(7 * number) % 120}"
            shop.server.patch("pods", name, {"metadata": {"annotations": {"n": str(number)}}}, namespace="shop")
            number += 1
        if number // 25 > made:
            shop.server.create("configmaps", configmap(f"new-{made}", "shop"))
            if made >= 2:
                shop.server.delete("configmaps", f"new-{made - 2}", namespace="shop")
            made += 1
        await asyncio.sleep(0.1)
