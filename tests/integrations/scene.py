"""A service as users write it, run by real servers: ``uvicorn tests.integrations.scene:app``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI
from kubernetes_asyncio import client

import aioinformers
from aioinformers import Lister, SharedInformer, SharedInformerFactory
from aioinformers.integrations.asgi import status_app
from aioinformers.integrations.fastapi import EventStream, events_of, informer_of, informers, lister_of

ConfigMaps = Annotated[Lister[client.V1ConfigMap], lister_of(client.V1ConfigMap)]
Followed = Annotated[SharedInformer[client.V1ConfigMap], informer_of(client.V1ConfigMap)]


async def build() -> AsyncIterator[SharedInformerFactory]:
    async with aioinformers.connect() as api, SharedInformerFactory(api) as factory:
        yield factory
    print("the factory has ended", flush=True)


@asynccontextmanager
async def own(_: Any) -> AsyncIterator[dict[str, Any]]:
    yield {}
    print("the lifespan has ended", flush=True)


app = FastAPI(lifespan=informers(build, lifespan=own))
app.mount("/_informers", status_app())


@app.get("/names")
async def names(configmaps: ConfigMaps) -> list[str]:
    return [each.metadata.name for each in configmaps]


@app.get("/events")
async def events(configmaps: Followed) -> EventStream:
    return events_of(configmaps)


@app.get("/wait/{name}")
async def wait(name: str, configmaps: Followed) -> str:
    print(f"waits for {name}", flush=True)
    found = await configmaps.wait_for(f"shop/{name}", lambda each: each is not None)
    assert found is not None
    return str(found.metadata.uid)
