"""Kinds that Kubernetes has removed, or that the client does not know yet, on servers that lack or have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import Added, CacheSyncError, SharedInformer, SharedInformerFactory
from aioinformers.resources import GROUPS, Kind, kinds
from aioinformers.testing import FakeAPIServer
from tests.kit import QUICK, Recorder, configmap, pod

pytestmark = pytest.mark.virtual_time

DICT_KINDS = [kind for kind in kinds() if kind.model is None]


@asynccontextmanager
async def roomy_factory(server: FakeAPIServer, **options: Any) -> AsyncIterator[SharedInformerFactory]:
    """Give a factory whose client has a connection for each kind there is."""
    configuration = server.configuration()
    configuration.connection_pool_maxsize = len(kinds()) + 10
    async with client.ApiClient(configuration) as api:
        factory = SharedInformerFactory(api, settings=QUICK, **options)
        try:
            yield factory
        finally:
            await factory.shutdown(grace=0)


def informer_of(factory: SharedInformerFactory, kind: Kind, **options: Any) -> SharedInformer[Any]:
    """Return the informer of a kind by way of its accessor."""
    group, version, plural = kind.resource
    informer: SharedInformer[Any] = getattr(getattr(getattr(factory, GROUPS[group]), version), plural)(**options)
    return informer


def serve(server: FakeAPIServer, kind: Kind) -> None:
    """Serve a kind as a built-in one: the items of its lists do not say what they are."""
    server.add_resource(kind.resource, kind.kind, namespaced=kind.is_namespaced, custom=False)


@pytest.mark.slow
async def test_what_the_server_does_not_serve_waits_visibly_and_leaves_the_others_alone() -> None:
    async with FakeAPIServer() as server, roomy_factory(server) as factory:
        server.create("pods", pod("p"))
        missing = [informer_of(factory, kind) for kind in DICT_KINDS]
        pods, configmaps = factory.core.v1.pods(), factory.for_resource("configmaps.v1.")
        recorder = Recorder()
        pods.add_event_handler(recorder)
        await factory.start()

        with pytest.raises(CacheSyncError) as caught:
            await factory.wait_for_cache_sync(timeout=90)
        for informer in missing:
            assert informer.name in str(caught.value)
            assert not informer.has_synced
            assert informer.is_running
            assert "404" in informer.health().reason
        assert not factory.health().is_ready

        assert pods.has_synced
        assert configmaps.has_synced
        assert not pods.health().reason
        server.create("pods", pod("later"))
        server.create("configmaps", configmap("c"))
        await asyncio.sleep(0.1)
        assert recorder.kinds() == ["Added p", "Added later"]
        assert len(configmaps.lister) == 1
        assert pods.statistics().failures == configmaps.statistics().failures == 0


async def test_optional_ones_keep_nobody_waiting() -> None:
    async with FakeAPIServer() as server, roomy_factory(server) as factory:
        missing = [informer_of(factory, kind, optional=True) for kind in DICT_KINDS]
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert pods.has_synced
        assert factory.health().is_ready
        assert not any(informer.has_synced for informer in missing)


async def test_what_the_server_does_serve_comes_as_dicts_that_know_their_kind() -> None:
    async with FakeAPIServer() as server, roomy_factory(server) as factory:
        informers = {kind: informer_of(factory, kind) for kind in DICT_KINDS}
        recorders = {kind: Recorder() for kind in DICT_KINDS}
        for kind, informer in informers.items():
            informer.add_event_handler(recorders[kind])
            serve(server, kind)
            server.create(kind.resource, {"metadata": {"name": "listed"}})
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        for kind in DICT_KINDS:
            server.create(kind.resource, {"metadata": {"name": "watched"}})
        await asyncio.sleep(1)

        for kind, informer in informers.items():
            objects = informer.lister.list()
            assert [obj["metadata"]["name"] for obj in objects] == ["listed", "watched"]
            for obj in objects:
                assert type(obj) is dict
                assert (obj["apiVersion"], obj["kind"]) == (kind.resource.api_version, kind.kind)
            assert recorders[kind].kinds() == ["Added listed", "Added watched"]
            assert all(isinstance(e, Added) and e.object["kind"] == kind.kind for e in recorders[kind].events)


async def test_a_kind_that_is_served_later_is_picked_up() -> None:
    async with FakeAPIServer() as server, roomy_factory(server, namespace="prod") as factory:
        presets = factory.settings.v1alpha1.podpresets()
        sinks = factory.auditregistration.v1alpha1.auditsinks()
        await factory.start()
        await asyncio.sleep(5)
        assert "404" in presets.health().reason
        for informer in (presets, sinks):
            known = next(kind for kind in DICT_KINDS if kind.resource == informer.resource)
            serve(server, known)
        server.create(presets.resource, {"metadata": {"name": "p"}}, namespace="prod")
        server.create(presets.resource, {"metadata": {"name": "elsewhere"}}, namespace="test")
        server.create(sinks.resource, {"metadata": {"name": "s"}})
        await factory.wait_for_cache_sync(timeout=60)
        assert presets.lister.get("p", namespace="prod")["kind"] == "PodPreset"
        assert len(presets.lister) == 1
        assert sinks.lister.get("s")["kind"] == "AuditSink"


async def test_another_object_type_may_be_asked_for() -> None:
    async with FakeAPIServer() as server, roomy_factory(server) as factory:
        kind = next(kind for kind in DICT_KINDS if kind.resource.group == "extensions" and kind.kind == "Ingress")
        serve(server, kind)
        server.create(kind.resource, {"metadata": {"name": "i"}})
        ingresses = factory.extensions.v1beta1.ingresses(object_type=client.V1Ingress)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        ingress = ingresses.lister.get("i", namespace="default")
        assert isinstance(ingress, client.V1Ingress)
        assert (ingress.api_version, ingress.kind) == ("extensions/v1beta1", "Ingress")
