"""A web service that answers from the cluster's state without asking the API server.

Run it with a kubeconfig at hand, or inside a pod whose service account may list and watch pods and deployments::

    pip install 'aioinformers[fastapi]' uvicorn
    uvicorn --factory examples.fastapi_app:create_app

It serves at once. Until the caches have synced ``/readyz`` and every read answer 503: a probe keeps traffic away, and
whoever asks nevertheless gets no answer instead of a wrong one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from kubernetes_asyncio import client

import aioinformers
from aioinformers import CacheNotSyncedError, NotFoundError, SharedInformer, SharedInformerFactory
from aioinformers.errors import InvalidSelectorError


class Cluster:
    """The informers of the service."""

    def __init__(self, api_client: client.ApiClient) -> None:
        self.factory = SharedInformerFactory(api_client)
        self.pods: SharedInformer[client.V1Pod] = self.factory.core.v1.pods(indexers={"node": "spec.nodeName"})
        self.deployments: SharedInformer[client.V1Deployment] = self.factory.apps.v1.deployments()


def create_app(api_client: client.ApiClient | None = None) -> FastAPI:
    """Return the service.

    Args:
        api_client: Instead of one from the environment; stays the caller's to close.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            # Informers are bound to the loop that starts them, so they are made here and not at import.
            connected = await stack.enter_async_context(aioinformers.connect()) if api_client is None else api_client
            app.state.cluster = Cluster(connected)
            await stack.enter_async_context(app.state.cluster.factory)
            yield

    app = FastAPI(title="What runs where", lifespan=lifespan)
    app.add_exception_handler(CacheNotSyncedError, answer(503))
    app.add_exception_handler(NotFoundError, answer(404))
    app.add_exception_handler(InvalidSelectorError, answer(400))
    add_probes(app)
    add_routes(app)
    return app


def answer(status: int) -> Any:
    """Return an exception handler that answers with a status and the exception's own words."""

    async def handle(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=status)

    return handle


def add_probes(app: FastAPI) -> None:
    @app.get("/livez")
    async def livez(request: Request, response: Response) -> dict[str, Any]:
        """Only a restart brings back an informer that has ended; an unreachable API server is no reason for one."""
        ended = [informer.name for informer in request.app.state.cluster.factory if not informer.is_running]
        response.status_code = 500 if ended else 200
        return {"ended": ended}

    @app.get("/readyz")
    async def readyz(request: Request, response: Response) -> dict[str, Any]:
        """Every cache has synced once; from then on reads are answered, during an outage with the last state."""
        health = request.app.state.cluster.factory.health()
        response.status_code = 200 if health.is_ready else 503
        return {informer.name: informer.reason or "ok" for informer in health.informers}


def add_routes(app: FastAPI) -> None:
    # Handlers are `async def`: reads never block, and in the event loop no thread has to be fetched for them.
    @app.get("/nodes/{node}/pods")
    async def pods_of_node(request: Request, node: str) -> list[dict[str, Any]]:
        cluster: Cluster = request.app.state.cluster
        return [pod_summary(pod) for pod in cluster.pods.indexer.by_index("node", node)]

    @app.get("/namespaces/{namespace}/pods")
    async def pods_of_namespace(request: Request, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        cluster: Cluster = request.app.state.cluster
        return [pod_summary(pod) for pod in cluster.pods.lister.list(selector, namespace=namespace)]

    @app.get("/namespaces/{namespace}/deployments/{name}")
    async def deployment(request: Request, namespace: str, name: str) -> dict[str, Any]:
        cluster: Cluster = request.app.state.cluster
        found = cluster.deployments.lister.get(name, namespace=namespace)
        return {"name": name, "wanted": found.spec.replicas, "ready": found.status.ready_replicas or 0}


def pod_summary(pod: client.V1Pod) -> dict[str, Any]:
    return {"namespace": pod.metadata.namespace, "name": pod.metadata.name, "phase": pod.status.phase}
