"""Routes are given what their annotations say, and what asks for it takes the informers' options."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, assert_type

from fastapi import FastAPI
from kubernetes_asyncio import client

from aioinformers import Event, GroupVersionResource, Indexer, Lister, SharedInformer, SharedInformerFactory
from aioinformers.integrations.asgi import Application, status_app
from aioinformers.integrations.fastapi import (
    EXCEPTION_HANDLERS,
    Dependency,
    EventStream,
    Factory,
    InformersLifespan,
    Stopping,
    events_of,
    indexer_of,
    informer_of,
    informers,
    lister_of,
)


async def build() -> AsyncIterator[SharedInformerFactory]:
    """A factory, in the loop that serves."""
    async with client.ApiClient() as api, SharedInformerFactory(api) as factory:
        yield factory


async def build_something_else() -> AsyncIterator[int]:
    """What is no factory."""
    yield 1


assert_type(informers(build), InformersLifespan)
informers(build, sync_timeout=None, on_timeout="fail", signals=False)
informers(build, on_timeout="server")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
informers(build_something_else)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

app = FastAPI(lifespan=informers(build), exception_handlers=EXCEPTION_HANDLERS)
assert_type(status_app(), Application)
app.mount("/_informers", status_app())

Pods = Annotated[Lister[client.V1Pod], lister_of(client.V1Pod, namespace="prod")]
Nodes = Annotated[Indexer[client.V1Node], indexer_of(client.V1Node, indexers={"zone": "metadata.labels['zone']"})]
Widgets = Annotated[SharedInformer[dict[str, Any]], informer_of(GroupVersionResource("example.com", "v1", "widgets"))]

assert_type(lister_of("pods.v1.", object_type=dict, optional=True), Dependency)
lister_of(client.V1Pod, namespaces="prod")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
lister_of(client.V1Pod, namespace=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.get("/pods/{name}")
async def pod(name: str, pods: Pods, nodes: Nodes) -> str:
    """Objects are of the annotation's type."""
    assert_type(pods.get(name), client.V1Pod)
    assert_type(nodes.by_index("zone", "a"), list[client.V1Node])
    return name


def key(event: Event[dict[str, Any]]) -> str:
    """What is sent of an event."""
    return str(event.key)


@app.get("/widgets")
async def widgets(found: Widgets, factory: Factory, stopping: Stopping) -> EventStream:
    """A response, of events of the informer's objects."""
    assert_type(factory.name, str)
    assert_type(stopping.is_set(), bool)
    assert_type(events_of(found, key, heartbeat=5, filter=lambda each: "spec" in each), EventStream)
    events_of(found, limit=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    return events_of(found)


app.dependency_overrides[lister_of(client.V1Pod, namespace="prod")] = lambda: None
