"""Objects to create, and what identifies those that there are."""

from __future__ import annotations

from typing import Any

from aioinformers import SharedInformer
from aioinformers.testing import FakeAPIServer

__all__ = ["Document", "cached", "configmap", "pod", "stored", "version_of"]

Document = dict[str, Any]


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
