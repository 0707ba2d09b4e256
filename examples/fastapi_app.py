"""A web service that answers from the cluster's state without asking the API server.

Run it with a kubeconfig at hand, or inside a Pod whose service account may list and watch pods and deployments::

    pip install 'aioinformers[fastapi]' uvicorn
    uvicorn examples.fastapi_app:app

It serves at once. Until the caches have synced ``/_informers/readyz`` and every read answer 503: a probe keeps traffic
away, and whoever asks nevertheless gets no answer instead of a wrong one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from kubernetes_asyncio import client

import aioinformers
from aioinformers import Event, Indexer, Lister, SharedInformer, SharedInformerFactory
from aioinformers.errors import InvalidSelectorError
from aioinformers.integrations.asgi import status_app
from aioinformers.integrations.fastapi import EventStream, events_of, indexer_of, informer_of, informers, lister_of

Pods = Annotated[Lister[client.V1Pod], lister_of(client.V1Pod)]
PodIndex = Annotated[Indexer[client.V1Pod], indexer_of(client.V1Pod, indexers={"node": "spec.nodeName"})]
Deployments = Annotated[Lister[client.V1Deployment], lister_of(client.V1Deployment)]
FollowedDeployments = Annotated[SharedInformer[client.V1Deployment], informer_of(client.V1Deployment)]


async def build() -> AsyncIterator[SharedInformerFactory]:
    async with aioinformers.connect() as api, SharedInformerFactory(api) as factory:
        yield factory


app = FastAPI(title="What runs where", lifespan=informers(build, sync_timeout=0))
app.mount("/_informers", status_app())  # probes, metrics and the status


@app.exception_handler(InvalidSelectorError)
async def bad_selector(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 400)


# Routes are `async def`: reads never block, and in the event loop no thread has to be fetched for them.


@app.get("/nodes/{node}/pods")
async def pods_of_node(node: str, pods: PodIndex) -> list[dict[str, Any]]:
    return [pod_summary(pod) for pod in pods.by_index("node", node)]


@app.get("/namespaces/{namespace}/pods")
async def pods_of_namespace(namespace: str, pods: Pods, selector: str = "") -> list[dict[str, Any]]:
    return [pod_summary(pod) for pod in pods.list(selector, namespace=namespace)]


@app.get("/namespaces/{namespace}/deployments/{name}")
async def deployment(namespace: str, name: str, deployments: Deployments) -> dict[str, Any]:
    return deployment_summary(deployments.get(name, namespace=namespace))


@app.get("/namespaces/{namespace}/deployments/{name}/ready")
async def ready_deployment(namespace: str, name: str, deployments: FollowedDeployments) -> dict[str, Any]:
    """Answer once all replicas are ready, within half a minute."""
    try:
        found = await deployments.wait_for((namespace, name), is_ready, timeout=30)
    except TimeoutError:
        raise HTTPException(504, "it is not ready yet: ask again") from None
    return deployment_summary(found)


@app.get("/deployments/events")
async def deployment_events(deployments: FollowedDeployments) -> EventStream:
    """Send what there is and what happens: ``curl -N``, or a browser's ``EventSource``."""
    return events_of(deployments, deployment_event, only=("spec.replicas", "status.readyReplicas"))


def is_ready(found: client.V1Deployment | None) -> bool:
    return found is not None and (found.status.ready_replicas or 0) >= found.spec.replicas


def deployment_event(event: Event[client.V1Deployment]) -> dict[str, Any]:
    return {"type": type(event).__name__, "namespace": event.key.namespace, **deployment_summary(event.object)}


def deployment_summary(found: Any) -> dict[str, Any]:
    return {"name": found.metadata.name, "wanted": found.spec.replicas, "ready": found.status.ready_replicas or 0}


def pod_summary(pod: client.V1Pod) -> dict[str, Any]:
    return {"namespace": pod.metadata.namespace, "name": pod.metadata.name, "phase": pod.status.phase}
