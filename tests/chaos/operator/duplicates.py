"""A controller that creates a child where its cache shows none, while watches are late: it must not create two (G20).

Each object is edited, and asked for anew, while the cache does not show its child yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory
from aioinformers.controllers import Controller, Request
from tests.chaos.operator.cluster import create_site, define_sites, gate_before, sites
from tests.chaos.operator.replica import RESOURCE
from tests.conformance.rest import Rest
from tests.kit.realserver import RealAPIServer

DELAY = 2.0
"""Seconds by which watches are late."""
PACE = 0.01
"""Seconds between two objects."""


@dataclass
class Report:
    """What came of it.

    Attributes:
        runs: Calls of the reconcile function.
        creates: Children that were created.
        duplicates: Those of them that were not the first of their parent.
    """

    runs: int
    creates: int
    duplicates: int

    def __str__(self) -> str:
        return (
            f"watch late by {DELAY:g} s: {self.runs} runs, {self.creates} children created, "
            f"{self.duplicates} duplicates"
        )


async def run(server: RealAPIServer, folder: Path, objects: int) -> Report:
    """Let a controller create a child for each of so many objects, and count what there is afterwards."""
    gate = gate_before(server, folder, DELAY, resources=("sites", "configmaps"))
    async with gate, Rest.connect(server) as rest:
        await define_sites(rest)
        configuration = server.configuration()
        configuration.host, configuration.ssl_ca_cert = gate.url, str(gate.ca_file)
        async with client.ApiClient(configuration) as api:
            runs = await _reconcile(api, rest, [f"site-{number:04}" for number in range(objects)])
        found = (await rest.get(rest.path("configmaps"))).json["items"]
    children = Counter(one["metadata"]["labels"]["site"] for one in found if "labels" in one["metadata"])
    assert len(children) == objects
    return Report(runs, children.total(), children.total() - len(children))


async def _reconcile(api: client.ApiClient, rest: Rest, names: list[str]) -> int:
    """Run the controller until its cache shows a child of each, and nothing is left to do; return the runs."""
    loop, runs = asyncio.get_running_loop(), 0
    async with SharedInformerFactory(api, namespace=rest.namespace) as factory:
        children = factory.core.v1.configmaps(indexers={"site": "metadata.labels.site"})
        controller: Controller[dict[str, Any]] = Controller(factory.for_resource(RESOURCE))
        controller.owns(children)

        @controller.reconcile
        async def reconcile(request: Request[dict[str, Any]]) -> None:
            nonlocal runs
            runs += 1
            name = request.key.name
            if not children.indexer.by_index("site", name):
                metadata = {"generateName": f"{name}-", "labels": {"site": name}}
                await request.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
                loop.call_later(DELAY / 10, controller.trigger, request.key)

        async def live(name: str) -> None:
            await create_site(rest, name)
            await asyncio.sleep(DELAY / 2)
            assert (await rest.patch(sites(rest, name), {"spec": {"n": 1}})).status == 200

        def is_settled() -> bool:
            queue = controller.statistics().queue
            is_quiet = not (sum(queue.queued.values()) + queue.waiting + queue.running)
            return is_quiet and all(children.indexer.by_index("site", name) for name in names)

        await factory.wait_for_cache_sync(timeout=60)
        async with controller.running(), asyncio.timeout(60 + len(names) / 10):
            async with asyncio.TaskGroup() as lives:
                for name in names:
                    lives.create_task(live(name))
                    await asyncio.sleep(PACE)
            while not is_settled():
                await asyncio.sleep(DELAY / 2)
            assert not controller.failing()
            assert controller.statistics().stale == 0, "the machine was too slow for this"
    return runs
