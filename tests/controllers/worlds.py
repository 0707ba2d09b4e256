"""A server with some objects, and a factory that follows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aioinformers import SharedInformer, SharedInformerFactory
from aioinformers.testing import FakeAPIServer
from tests.kit import configmap, factory_on

__all__ = ["Document", "now", "world"]

Document = dict[str, Any]


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def world(*names: str) -> AsyncIterator[tuple[FakeAPIServer, SharedInformerFactory, SharedInformer[Document]]]:
    """Give a server with ConfigMaps, and a factory with their informer, which is not started."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for name in names:
            server.create("configmaps", configmap(name))
        yield server, factory, factory.for_resource("configmaps.v1.")
