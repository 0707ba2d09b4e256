"""A program that takes many events, with or without faces at which nobody looks; prints what it took.

``python -m tests.unobserved plain|faces``
"""

from __future__ import annotations

import asyncio
import json
import sys
import tracemalloc
from typing import Any

from aioinformers import Event, SharedInformerFactory
from aioinformers.testing import FakeAPIServer
from tests.kit import configmap

EVENTS = 20_000
OBJECTS = 500


async def main(*, has_faces: bool) -> dict[str, Any]:
    """Take the events, and return what that took."""
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        for i in range(OBJECTS):
            server.create("configmaps", configmap(f"c{i}"))
        configmaps = factory.for_resource("configmaps.v1.")
        faces = shown(factory) if has_faces else []
        seen, reached = 0, asyncio.Event()

        async def handle(event: Event[dict[str, Any]]) -> None:
            nonlocal seen
            seen += 1
            if seen % 100 == 0:
                reached.set()

        registration = configmaps.add_event_handler(handle)
        await factory.wait_for_cache_sync(timeout=30)
        await registration.wait_synced()
        await asyncio.sleep(0.1)
        tracemalloc.start()
        for begin in range(0, EVENTS, 100):
            reached.clear()
            for i in range(begin, begin + 100):
                patch = {"data": {"v": f"{i:06}"}}
                server.patch("configmaps", f"c{i % OBJECTS}", patch, namespace="default")
            await reached.wait()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seen == OBJECTS + EVENTS
        return {"tasks": len(asyncio.all_tasks()), "peak": peak, "faces": len(faces)}


def shown(factory: SharedInformerFactory) -> list[Any]:
    """Return faces that show a program, if somebody looks."""
    from prometheus_client import CollectorRegistry

    from aioinformers.integrations.asgi import status_app
    from aioinformers.integrations.page import document, viewing  # noqa: F401  # what a look would import is there already
    from aioinformers.integrations.prometheus import InformerCollector

    collector = InformerCollector(factory, registry=CollectorRegistry())
    collector.close()
    return [status_app(factory), collector]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(has_faces=sys.argv[1] == "faces"))))
