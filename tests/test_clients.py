"""Both asyncio clients, on both servers, and what happens when credentials or connections run out."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AbstractAsyncContextManager
from typing import Any

import kubernetes.aio.client as aio
import pytest
from kubernetes_asyncio import client

from aioinformers import Settings, SharedInformerFactory
from aioinformers.testing import FakeAPIServer
from tests.kit import QUICK, Recorder, configmap, factory_on
from tests.kit.fixtures import APIServer
from tests.kit.realserver import LIMITED_TOKEN, RealAPIServer


def aio_client(server: APIServer) -> AbstractAsyncContextManager[Any]:
    """Return a ``kubernetes.aio`` client with the settings of the server's own."""
    known = server.configuration()
    configuration = aio.Configuration(host=known.host)
    configuration.ssl_ca_cert = known.ssl_ca_cert
    configuration.api_key = dict(known.api_key)
    configuration.api_key_prefix = dict(known.api_key_prefix)
    return aio.ApiClient(configuration)


async def write_some(server: APIServer, namespace: str) -> None:
    """Create, change and delete some ConfigMaps."""
    async with server.api_client() as api:
        core: Any = client.CoreV1Api(api)
        for i in range(5):
            await core.create_namespaced_config_map(namespace, {"metadata": {"name": f"c{i}"}, "data": {"v": "1"}})
        await core.patch_namespaced_config_map("c1", namespace, {"data": {"v": "2"}})
        await core.delete_namespaced_config_map("c2", namespace)


@pytest.mark.parametrize("which", ["kubernetes_asyncio", "kubernetes.aio"])
@pytest.mark.parametrize("watch_list", [True, False])
async def test_informers_follow_through_either_client(api_server: APIServer, which: str, watch_list: bool) -> None:
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    async with api_server.api_client() as api:
        core: Any = client.CoreV1Api(api)
        await core.create_namespace({"metadata": {"name": namespace}})
    opened = api_server.api_client() if which == "kubernetes_asyncio" else aio_client(api_server)
    async with opened as api:
        settings = Settings(watch_list=watch_list)
        async with SharedInformerFactory(api, namespace=namespace, settings=settings) as factory:
            configmaps = factory.core.v1.configmaps()
            typed = factory.informer_for(aio.V1ConfigMap)
            recorder = Recorder()
            configmaps.add_event_handler(recorder)
            await factory.wait_for_cache_sync(timeout=20)
            await write_some(api_server, namespace)
            await configmaps.wait_for((namespace, "c2"), lambda obj: obj is None, timeout=10)
            found = await typed.wait_for(
                (namespace, "c1"), lambda obj: obj is not None and obj.data == {"v": "2"}, timeout=10
            )
            assert isinstance(found, aio.V1ConfigMap)
            names = {obj.metadata.name for obj in configmaps.lister.list()} - {"kube-root-ca.crt"}
            assert names == {"c0", "c1", "c3", "c4"}
            assert recorder.problems == []


@pytest.mark.realserver
async def test_forbidden_is_named_and_heals(real_server: RealAPIServer) -> None:
    async with real_server.api_client(LIMITED_TOKEN) as api:
        settings = Settings(backoff_initial=0.1, backoff_max=0.2)
        async with SharedInformerFactory(api, settings=settings) as factory:
            leases = factory.for_resource("leases.v1.coordination.k8s.io")
            await asyncio.sleep(0.5)
            assert "403" in leases.health().reason
            assert "list and watch" in leases.health().reason
            async with real_server.api_client() as admin:
                rbac: Any = client.RbacAuthorizationV1Api(admin)
                name = f"leases-{uuid.uuid4().hex[:8]}"
                rules = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list", "watch"]}]
                await rbac.create_cluster_role({"metadata": {"name": name}, "rules": rules})
                binding = {
                    "metadata": {"name": name},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}],
                }
                await rbac.create_cluster_role_binding(binding)
                await factory.wait_for_cache_sync(timeout=20)
                await rbac.delete_cluster_role_binding(name)


@pytest.mark.realserver
async def test_expired_token_is_refreshed_by_the_clients_hook_and_tried_again(real_server: RealAPIServer) -> None:
    configuration = real_server.configuration()
    good = dict(configuration.api_key)
    configuration.api_key = {"BearerToken": "expired"}
    calls: list[str] = []

    async def refresh(conf: Any) -> None:
        calls.append("refresh")
        if len(calls) % 2 == 0:
            conf.api_key.update(good)

    configuration.refresh_api_key_hook = refresh
    async with client.ApiClient(configuration) as api, SharedInformerFactory(api) as factory:
        factory.core.v1.namespaces()
        await factory.wait_for_cache_sync(timeout=20)
        assert factory.health().informers[0].reason == ""


@pytest.mark.virtual_time
async def test_hook_that_raises_is_a_failure_like_any_other() -> None:
    async with FakeAPIServer() as server:
        configuration = server.configuration()
        configuration.api_key = {"BearerToken": "x"}
        broken = [True]

        def refresh(conf: Any) -> None:
            if broken[0]:
                raise ZeroDivisionError("secret")

        configuration.refresh_api_key_hook = refresh
        async with client.ApiClient(configuration) as api, SharedInformerFactory(api, settings=QUICK) as factory:
            pods = factory.core.v1.pods()
            await asyncio.sleep(5)
            assert "credentials could not be refreshed" in str(pods.last_error)
            assert "secret" not in str(pods.last_error)
            broken[0] = False
            await factory.wait_for_cache_sync(timeout=30)


@pytest.mark.virtual_time
async def test_exhausted_connection_pool_is_named() -> None:
    async with FakeAPIServer() as server:
        configuration = server.configuration()
        configuration.connection_pool_maxsize = 2
        async with client.ApiClient(configuration) as api, SharedInformerFactory(api, settings=QUICK) as factory:
            for name in ("pods", "nodes", "configmaps"):
                factory.for_resource(f"{name}.v1.")
            await asyncio.sleep(40)
            reasons = " ".join(informer.reason for informer in factory.health().informers)
            assert "connection_pool_maxsize" in reasons


@pytest.mark.virtual_time
async def test_closed_client_is_named_and_shutdown_still_ends() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        factory = SharedInformerFactory(api, settings=QUICK)
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await api.close()
        await asyncio.sleep(60)
        assert "client has been closed" in str(pods.last_error)
        await factory.shutdown()


@pytest.mark.virtual_time
async def test_requests_say_who_they_are_unless_the_user_does() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("c"))
        factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert next(iter(server.requests)).headers["user-agent"].startswith("aioinformers/")
        factory.api_client.user_agent = "mine/1.0"
        factory.core.v1.pods()
        await factory.wait_for_cache_sync(timeout=5)
        assert list(server.requests)[-1].headers["user-agent"] == "mine/1.0"
