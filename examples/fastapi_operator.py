"""The operator of ``operator.py`` inside a web service: what it knows answers requests, and what happens wakes it.

Install the definition (``kubectl apply -f examples/website.yaml``), then run it with a kubeconfig at hand, or in a Pod,
as many replicas as you like: each of them answers, and one of them works::

    pip install 'aioinformers[fastapi]' uvicorn
    uvicorn examples.fastapi_operator:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from kubernetes_asyncio import client

import aioinformers
from aioinformers import Indexer, Lister, SharedInformerFactory
from aioinformers.controllers import Controller
from aioinformers.coordination import LeaderElection
from aioinformers.integrations.asgi import status_app
from aioinformers.integrations.fastapi import indexer_of, informers, lister_of
from examples.operator import Website, remove, website


class Operator:
    """The controller of websites, whose caches are those of the routes."""

    def __init__(self, api: client.ApiClient, factory: SharedInformerFactory) -> None:
        websites = factory.for_resource("websites.v1.example.com", object_type=Website)
        self.controller = Controller(websites, reconcile=website, finalizer="example.com/website")
        self.controller.owns(factory.apps.v1.deployments())
        self.controller.cleanup(remove)
        namespace = os.environ.get("POD_NAMESPACE", "default")
        self.election = LeaderElection(api, "website-operator", namespace=namespace)


async def build() -> AsyncIterator[SharedInformerFactory]:
    async with aioinformers.connect() as api, SharedInformerFactory(api) as factory:
        operator = app.state.operator = Operator(api, factory)
        async with operator.controller.running(election=operator.election):
            yield factory


async def operator_of(request: Request) -> Operator:
    operator: Operator = request.app.state.operator
    return operator


TheOperator = Annotated[Operator, Depends(operator_of)]
Websites = Annotated[Indexer[Website], indexer_of("websites.v1.example.com", object_type=Website)]
Deployments = Annotated[Lister[client.V1Deployment], lister_of(client.V1Deployment)]

app = FastAPI(title="Websites", lifespan=informers(build))
app.mount("/_informers", status_app())  # ready is who can answer, whether it leads or not: followers are asked, too


@app.get("/websites")
async def websites(found: Websites) -> list[dict[str, Any]]:
    return [{"namespace": key.namespace, "name": key.name, "wanted": site.spec.replicas} for key, site in found.items()]


@app.get("/websites/{namespace}/{name}")
async def ready_replicas(namespace: str, name: str, deployments: Deployments) -> dict[str, Any]:
    return {"ready": deployments.get(name, namespace=namespace).status.ready_replicas or 0}


@app.post("/websites/{namespace}/{name}/reconcile", status_code=202)
async def reconcile(namespace: str, name: str, operator: TheOperator) -> dict[str, Any]:
    """Look at a website now; ask the replica that leads, as the others only remember it."""
    operator.controller.trigger((namespace, name))
    return {"leads": operator.election.is_leading}


@app.get("/failing")
async def failing(operator: TheOperator) -> dict[str, str]:
    return {str(key): one.error for key, one in operator.controller.failing().items()}
