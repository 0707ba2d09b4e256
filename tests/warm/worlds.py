"""A server, and programs that come one after the other and keep their caches in one folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aioinformers import SharedInformer, WarmCache
from aioinformers.testing import FakeAPIServer
from tests.kit import Recorder, configmap, factory_on

__all__ = ["Run", "fill", "lists_of", "running", "world"]


def world(**options: Any) -> FakeAPIServer:
    """Return a server that has a namespace kube-system, by whose uid clusters are told apart."""
    server = FakeAPIServer(**options)
    server.create("namespaces", {"metadata": {"name": "kube-system"}})
    return server


class Run:
    """A program that follows ConfigMaps.

    Attributes:
        configmaps: Its informer.
        recorder: Its handler.
    """

    def __init__(self, configmaps: SharedInformer[Any], recorder: Recorder, first: int, server: FakeAPIServer) -> None:
        self.configmaps = configmaps
        self.recorder = recorder
        self._first = first
        self._server = server

    def lists(self) -> int:
        """Return how many lists of all objects it has asked for."""
        return lists_of(self._server, self._first)

    @property
    def warm(self) -> str:
        """What health says of its start."""
        return self.configmaps.health().warm


def lists_of(server: FakeAPIServer, since: int = 0) -> int:
    """Return how many lists of all ConfigMaps have been asked for, initial streams included."""
    return sum(
        request.path.endswith("/configmaps")
        and (request.query.get("watch") != "true" or request.query.get("sendInitialEvents") == "true")
        and request.query.get("limit") != "1"
        for request in server.requests[since:]
    )


@asynccontextmanager
async def running(
    server: FakeAPIServer, path: Path, *, grace: float | None = 5, is_awaited: bool = True, **options: Any
) -> AsyncIterator[Run]:
    """Give a program that has synced, and shut it down at the end; with ``grace=0`` as if it had been killed."""
    warm = WarmCache(path, **{name: options.pop(name) for name in ("max_age", "serve_stale") if name in options})
    async with factory_on(server, warm=warm) as factory:
        first = len(server.requests)
        configmaps = factory.for_resource("configmaps.v1.", **options)
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        await factory.start()
        if is_awaited:
            await factory.wait_for_cache_sync(timeout=300)
            await asyncio.sleep(0.1)
        yield Run(configmaps, recorder, first, server)
        assert not recorder.problems
        await factory.shutdown(grace=grace)


def fill(server: FakeAPIServer, count: int) -> None:
    """Create some ConfigMaps."""
    for number in range(count):
        server.create("configmaps", configmap(f"c{number}", v=str(number)))
