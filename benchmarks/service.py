"""A FastAPI service that answers what phase a Pod is in and on which node, out of a cache; measured by ``serving``.

Variants: ``alone`` follows nothing and always answers the same; ``informer`` reads the lister of an informer,
``struct`` that of one with a frozen Struct; ``watch`` follows with the client's ``Watch`` and keeps models in a dict.
``POST /follow`` begins to follow, ``GET /state`` tells how far it has come. Run as ``python -m benchmarks.service
VARIANT URL``; prints its port.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from kubernetes_asyncio import client, watch

from aioinformers import Added, Event, NotFoundError, SharedInformerFactory
from benchmarks.client import TwoFields
from benchmarks.measure import cpu

__all__ = ["VARIANTS", "Following"]


class Following:
    """What is known of Pods, and how many changes have come.

    Attributes:
        is_synced: Whether all Pods are known.
        seen: The updates that have come since.
    """

    def __init__(self) -> None:
        self.is_synced = False
        self.seen = 0

    async def follow(self, url: str) -> None:
        """Follow the Pods of a server; without end, or until all is set up."""
        self.is_synced = True

    def find(self, namespace: str, name: str) -> tuple[str, str]:
        """Return the phase and the node of a Pod, empty if there is none."""
        return "Running", "node-7"


class ByInformer(Following):
    """Keeps an informer."""

    def __init__(self, object_type: type[Any] | None = None) -> None:
        super().__init__()
        self._object_type = object_type
        self._pods: Any = None

    async def follow(self, url: str) -> None:
        factory = SharedInformerFactory(client.ApiClient(client.Configuration(host=url)))
        pods = factory.core.v1.pods(object_type=self._object_type)
        pods.add_event_handler(self._count)
        await factory.start()
        await factory.wait_for_cache_sync()
        self._pods, self.is_synced = pods, True

    async def _count(self, event: Event[Any]) -> None:
        self.seen += event.__class__ is not Added

    def find(self, namespace: str, name: str) -> tuple[str, str]:
        if self._pods is None:
            return "", ""
        try:
            pod = self._pods.lister.get(name, namespace=namespace)
        except NotFoundError:
            return "", ""
        return pod.status.phase, pod.spec.node_name


class ByWatch(Following):
    """Keeps a dict, and a loop over the client's ``Watch``."""

    def __init__(self) -> None:
        super().__init__()
        self._pods: dict[tuple[str, str], client.V1Pod] = {}

    async def follow(self, url: str) -> None:
        api = client.CoreV1Api(client.ApiClient(client.Configuration(host=url)))
        token, version = "", ""
        while not self.is_synced:
            page: Any = await api.list_pod_for_all_namespaces(limit=500, _continue=token)
            self._pods |= {(pod.metadata.namespace, pod.metadata.name): pod for pod in page.items}
            token, version = page.metadata._continue, page.metadata.resource_version
            self.is_synced = not token
        async with watch.Watch().stream(api.list_pod_for_all_namespaces, resource_version=version) as events:
            async for event in events:
                pod = event["object"]
                self._pods[pod.metadata.namespace, pod.metadata.name] = pod
                self.seen += 1

    def find(self, namespace: str, name: str) -> tuple[str, str]:
        pod = self._pods.get((namespace, name))
        return ("", "") if pod is None else (pod.status.phase, pod.spec.node_name)


VARIANTS: dict[str, Callable[[], Following]] = {
    "alone": Following,
    "informer": ByInformer,
    "struct": lambda: ByInformer(TwoFields),
    "watch": ByWatch,
}


def application(following: Following, url: str) -> FastAPI:
    """Return the service."""
    app = FastAPI()
    tasks: list[asyncio.Task[None]] = []

    @app.get("/pods/{namespace}/{name}")
    async def pod(namespace: str, name: str) -> dict[str, str]:
        phase, node = following.find(namespace, name)
        return {"namespace": namespace, "name": name, "phase": phase, "node": node}

    @app.post("/follow")
    async def follow() -> None:
        tasks.append(asyncio.create_task(following.follow(url)))

    @app.get("/state")
    async def state() -> dict[str, Any]:
        for task in tasks:
            if task.done():
                task.result()  # a service that does not follow any more must not look as if it did
        return {"is_synced": following.is_synced, "seen": following.seen, "cpu": cpu()}

    return app


async def main(variant: str, url: str) -> None:
    """Serve until the process is ended."""
    app = application(VARIANTS[variant](), url)
    # It binds the port itself: on a socket that Python has made, asyncio does not turn off Nagle's algorithm.
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False, loop="none"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  it tells nobody
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
