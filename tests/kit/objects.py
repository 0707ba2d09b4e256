"""What many tests need: objects to create, and a handler that checks what it is told."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aioinformers import Added, Cause, Deleted, Event, Settings, SharedInformer, SharedInformerFactory, Updated
from aioinformers.testing import FakeAPIServer

Document = dict[str, Any]

QUICK = Settings(backoff_jitter=0.0)
"""Delays without jitter, so that tests can name instants."""


def pod(name: str, namespace: str = "default", *, node: str = "n1", **labels: str) -> Document:
    """Return a Pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "web:1"}]},
    }


def configmap(name: str, namespace: str = "default", labels: dict[str, str] | None = None, **data: str) -> Document:
    """Return a ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "data": data,
    }


class Recorder:
    """A handler that keeps every event, replays them, and fails on any that cannot follow what it was told (G4, G5)."""

    def __init__(self) -> None:
        self.events: list[Event[Any]] = []
        self.state: dict[str, tuple[str, str]] = {}
        self.problems: list[str] = []

    async def __call__(self, event: Event[Any]) -> None:
        """Take one event."""
        self.events.append(event)
        key = str(event.key)
        match event:
            case Added(object=obj):
                if key in self.state:
                    self.problems.append(f"{key} was added twice")
                self.state[key] = version_of(obj)
            case Updated(old=old, object=obj):
                if self.state.get(key) != version_of(old):
                    self.problems.append(f"{key} was updated from {version_of(old)}, was told {self.state.get(key)}")
                self.state[key] = version_of(obj)
            case Deleted():
                if self.state.pop(key, None) is None:
                    self.problems.append(f"{key} was deleted without having been added")

    def kinds(self) -> list[str]:
        """Return the events in short."""
        return [f"{type(event).__name__} {event.key.name}" for event in self.events]

    def causes(self) -> list[Cause]:
        """Return the causes of the events."""
        return [event.cause for event in self.events]


def heed_interrupts() -> None:
    """Run in a child before it starts: a shell that runs the tests in the background has SIGINT ignored for all."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def version_of(obj: Any) -> tuple[str, str]:
    """Return uid and resourceVersion of a dict or model object."""
    if isinstance(obj, dict):
        return obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]
    return obj.metadata.uid, obj.metadata.resource_version


def cached(informer: SharedInformer[Any]) -> dict[str, tuple[str, str]]:
    """Return uid and resourceVersion of every cached object by key."""
    return {str(key): version_of(obj) for key, obj in informer.indexer.items()}


def stored(server: FakeAPIServer, resource: str, namespace: str | None = None) -> dict[str, tuple[str, str]]:
    """Return uid and resourceVersion of every object of the embedded server by key."""
    found = server.list(resource, namespace=namespace)
    return {
        "/".join(filter(None, (o["metadata"].get("namespace"), o["metadata"]["name"]))): version_of(o) for o in found
    }


@asynccontextmanager
async def factory_on(server: Any, **options: Any) -> AsyncIterator[SharedInformerFactory]:
    """Give a factory on a server that is shut down, and its client closed, at the end."""
    options.setdefault("settings", QUICK)
    async with server.api_client() as api:
        factory = SharedInformerFactory(api, **options)
        try:
            yield factory
        finally:
            await factory.shutdown(grace=0)
