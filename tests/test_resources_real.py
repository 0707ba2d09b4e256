"""Every kind there is, on a real kube-apiserver that serves all it can: one factory, all caches synced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import SharedInformer, SharedInformerFactory
from aioinformers.resources import GROUPS, Kind, kind_of_resource, kinds
from tests.kit.fixtures import real_server_with
from tests.kit.realserver import RealAPIServer

pytestmark = [pytest.mark.realserver, pytest.mark.slow]

FLAGS = ("--runtime-config=api/all=true", "--feature-gates=AllAlpha=true,AllBeta=true")


@pytest.fixture(scope="module")
def everything() -> Iterator[RealAPIServer]:
    """A server that serves all it can."""
    with real_server_with(*FLAGS) as server:
        yield server


@pytest.fixture
async def factory(everything: RealAPIServer) -> AsyncIterator[SharedInformerFactory]:
    """A factory with a connection for each kind."""
    configuration = everything.configuration()
    configuration.connection_pool_maxsize = len(kinds()) + 10
    async with client.ApiClient(configuration) as api, SharedInformerFactory(api) as factory:
        yield factory


def informer_of(factory: SharedInformerFactory, kind: Kind) -> SharedInformer[Any]:
    """Return the informer of a kind by way of its accessor."""
    group, version, plural = kind.resource
    informer: SharedInformer[Any] = getattr(getattr(getattr(factory, GROUPS[group]), version), plural)()
    return informer


def model_of(kind: Kind) -> type[Any]:
    model: type[Any] = dict if kind.model is None else getattr(client, kind.model)
    return model


def facts_of(obj: Any) -> tuple[Any, Any, Any]:
    if isinstance(obj, dict):
        return obj["apiVersion"], obj["kind"], obj["metadata"]["resourceVersion"]
    return obj.api_version, obj.kind, obj.metadata.resource_version


async def test_one_factory_syncs_every_kind_that_the_server_serves(
    factory: SharedInformerFactory, record_property: Callable[[str, object], None]
) -> None:
    served = {found.resource: found for found in await factory.discover()}
    without_accessor = [resource for resource in served if kind_of_resource(resource) is None]
    not_served = [str(kind.resource) for kind in kinds() if kind.model and kind.resource not in served]
    record_property("served", len(served))
    record_property("client_kinds_not_served", " ".join(not_served))
    print(f"\n{len(served)} kinds are served; of the client's kinds these are not: {', '.join(not_served)}")  # noqa: T201
    assert without_accessor == []
    assert len(served) > 80

    informers = {}
    for resource, found in served.items():
        kind = kind_of_resource(resource)
        assert kind is not None
        assert (kind.kind, kind.is_namespaced) == (found.kind, found.is_namespaced)
        informers[kind] = informer_of(factory, kind)
        assert informers[kind].resource == resource
    assert len(factory) == len(served)

    await factory.wait_for_cache_sync(timeout=120)
    async with asyncio.timeout(30):
        while not all(informer.is_watching for informer in factory):
            await asyncio.sleep(0.1)
    assert factory.health().is_ready

    seen = 0
    for kind, informer in informers.items():
        for obj in informer.lister:
            seen += 1
            assert isinstance(obj, model_of(kind))
            assert facts_of(obj)[:2] == (kind.resource.api_version, kind.kind)
            assert facts_of(obj)[2]
        assert informer.statistics().rejected == {}
    assert seen > 100  # RBAC, flow control, API services, namespaces: what a server makes by itself


async def test_kinds_that_a_newer_server_has_dropped_wait_with_their_reason(factory: SharedInformerFactory) -> None:
    gone = [kind for kind in kinds() if kind.resource.group == "extensions"]
    waiting = [informer_of(factory, kind) for kind in gone]
    namespaces = factory.core.v1.namespaces()
    await namespaces.wait_synced()
    async with asyncio.timeout(30):
        while not all("404" in informer.health().reason for informer in waiting):
            await asyncio.sleep(0.1)
    assert not any(informer.has_synced for informer in waiting)
    assert {obj.metadata.name for obj in namespaces.lister} >= {"default", "kube-system"}


async def test_what_can_be_listed_only_is_listed_and_says_so(factory: SharedInformerFactory) -> None:
    statuses = factory.core.v1.componentstatuses()
    await factory.wait_for_cache_sync(timeout=30)
    assert {obj.metadata.name for obj in statuses.lister} >= {"etcd-0"}
    async with asyncio.timeout(30):
        while "405" not in statuses.health().reason:
            await asyncio.sleep(0.1)
