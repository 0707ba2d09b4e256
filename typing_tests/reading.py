"""Listers and indexers give what the informer holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, assert_type

from kubernetes_asyncio import client

from aioinformers import Indexer, Lister, NamespaceLister, ObjectKey, Scope, SharedInformer


def listers(pods: SharedInformer[client.V1Pod]) -> None:
    """A lister gives objects of the informer's type."""
    assert_type(pods.lister, Lister[client.V1Pod])
    assert_type(pods.lister.get("web", namespace="prod"), client.V1Pod)
    assert_type(pods.lister.list("app=web"), list[client.V1Pod])
    assert_type(pods.lister.namespace("prod"), NamespaceLister[client.V1Pod])
    assert_type(pods.lister.namespace("prod").get("web"), client.V1Pod)
    assert_type(pods.lister.namespace("prod").list(), list[client.V1Pod])
    assert_type(len(pods.lister), int)
    assert_type(iter(pods.lister), Iterator[client.V1Pod])
    for pod in pods.lister:
        assert_type(pod, client.V1Pod)


def indexers(pods: SharedInformer[client.V1Pod]) -> None:
    """An indexer is a mapping of them."""
    assert_type(pods.indexer, Indexer[client.V1Pod])
    as_mapping: Mapping[ObjectKey, client.V1Pod] = pods.indexer
    assert_type(as_mapping[ObjectKey("prod", "web")], client.V1Pod)
    assert_type(pods.indexer["prod/web"], client.V1Pod)
    assert_type(pods.indexer["prod", "web"], client.V1Pod)
    assert_type(pods.indexer.get(ObjectKey("prod", "web")), client.V1Pod | None)
    assert_type(pods.indexer.by_index("node", "n1"), list[client.V1Pod])
    assert_type(pods.indexer.index_keys("node", "n1"), list[ObjectKey])
    assert_type(pods.indexer.index_values("node"), list[str])
    for key, pod in pods.indexer.items():
        assert_type(key, ObjectKey)
        assert_type(pod, client.V1Pod)


def documents(widgets: SharedInformer[dict[str, Any]]) -> None:
    """Of a resource without a model they are dicts."""
    assert_type(widgets.lister.get("w", namespace="prod"), dict[str, Any])
    assert_type(widgets.lister.list(), list[dict[str, Any]])


async def waits(pods: SharedInformer[client.V1Pod]) -> None:
    """Waits give the object too."""
    assert_type(await pods.wait_for("prod/web", lambda pod: pod is not None), client.V1Pod | None)
    assert_type(pods.resource_versions, dict[Scope, str])
    assert_type(pods.last_error, Exception | None)
