"""Both asyncio clients, on both servers, and what happens when credentials or connections run out."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Any

import kubernetes.aio.client as aio
import pytest
from kubernetes_asyncio import client

from aioinformers import Settings, SharedInformerFactory
from aioinformers.testing import FakeAPIServer
from aioinformers.transport.source import Source
from tests.kit import QUICK, Recorder, configmap, factory_on
from tests.kit.clients import CLIENTS, client_of
from tests.kit.fixtures import APIServer
from tests.kit.realserver import LIMITED_TOKEN, RealAPIServer


async def write_some(server: APIServer, namespace: str) -> None:
    """Create, change and delete some ConfigMaps."""
    async with server.api_client() as api:
        core: Any = client.CoreV1Api(api)
        for i in range(5):
            await core.create_namespaced_config_map(namespace, {"metadata": {"name": f"c{i}"}, "data": {"v": "1"}})
        await core.patch_namespaced_config_map("c1", namespace, {"data": {"v": "2"}})
        await core.delete_namespaced_config_map("c2", namespace)


@pytest.mark.parametrize("which", CLIENTS)
@pytest.mark.parametrize("watch_list", [True, False])
async def test_informers_follow_through_either_client(api_server: APIServer, which: str, watch_list: bool) -> None:
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    async with api_server.api_client() as api:
        core: Any = client.CoreV1Api(api)
        await core.create_namespace({"metadata": {"name": namespace}})
    opened = client_of(api_server, which)
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


# -- what clients, hooks and configurations do that they should not ------------------------------------------------


class OddError(BaseException):
    """Such as some libraries have."""


async def lets_a_cancellation_escape(configuration: Any) -> None:
    raise asyncio.CancelledError


async def cancels_its_own_task(configuration: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


async def raises_what_is_no_exception(configuration: Any) -> None:
    raise OddError("secret")


async def ends_a_generator(configuration: Any) -> None:
    raise GeneratorExit


async def raises_a_group(configuration: Any) -> None:
    raise BaseExceptionGroup("secret", [OddError(), ValueError("secret")])


async def hangs_and_swallows_cancellations(configuration: Any) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(1000)


def breaks_the_token(token: Any) -> Any:
    async def break_it(configuration: Any) -> None:
        configuration.api_key = {"BearerToken": token}

    return break_it


BAD_HOOKS = {
    "lets a cancellation escape": (lets_a_cancellation_escape, "credentials could not be refreshed (CancelledError)"),
    "cancels its own task": (cancels_its_own_task, "credentials could not be refreshed (CancelledError)"),
    "raises no exception": (raises_what_is_no_exception, "credentials could not be refreshed (OddError)"),
    "raises GeneratorExit": (ends_a_generator, "GeneratorExit"),
    "raises a group": (raises_a_group, "credentials could not be refreshed (BaseExceptionGroup)"),
    "hangs and cannot be cancelled": (hangs_and_swallows_cancellations, "credentials were not refreshed within"),
    "gives None": (breaks_the_token(None), "the client's token is None"),
    "gives two lines": (breaks_the_token("secret\nsecret"), "contains the character U+000A"),
    "gives NUL": (breaks_the_token("secret\0"), "contains the character U+0000"),
    "gives half a character": (breaks_the_token("secret\udcff"), "contains the character U+DCFF"),
}


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_synced", [True, False])
@pytest.mark.parametrize("name", BAD_HOOKS)
async def test_g9_whatever_a_hook_does_the_informer_goes_on_once_it_is_mended(name: str, is_synced: bool) -> None:
    hook, words = BAD_HOOKS[name]
    async with FakeAPIServer() as server:
        configuration = server.configuration()
        configuration.api_key = {"BearerToken": "t"}
        if not is_synced:
            configuration.refresh_api_key_hook = hook
        async with client.ApiClient(configuration) as api, SharedInformerFactory(api, settings=QUICK) as factory:
            configmaps = factory.core.v1.configmaps()
            if is_synced:
                await factory.wait_for_cache_sync(timeout=5)
                configuration.refresh_api_key_hook = hook
                server.close_watches()
            await asyncio.sleep(100)
            assert words in str(configmaps.last_error)
            assert "secret" not in str(configmaps.last_error)
            assert words in configmaps.health().reason
            configuration.refresh_api_key_hook = None
            configuration.api_key = {"BearerToken": "t"}
            server.create("configmaps", configmap("late"))
            await asyncio.sleep(100)
            assert configmaps.last_error is None
            assert [key.name for key in configmaps.indexer] == ["late"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("hook", [hangs_and_swallows_cancellations, cancels_its_own_task])
async def test_g10_a_shutdown_does_not_wait_for_a_hook(hook: Any) -> None:
    async with FakeAPIServer() as server:
        configuration = server.configuration()
        configuration.api_key, configuration.refresh_api_key_hook = {"BearerToken": "t"}, hook
        async with client.ApiClient(configuration) as api:
            factory = SharedInformerFactory(api, settings=QUICK)
            factory.core.v1.configmaps()
            await factory.start()
            await asyncio.sleep(0.5)
            begin = asyncio.get_running_loop().time()
            await factory.shutdown(grace=0)
            assert asyncio.get_running_loop().time() - begin <= 1


@pytest.mark.virtual_time
async def test_g9_a_token_file_that_ends_with_a_newline_is_no_fault() -> None:
    async with FakeAPIServer() as server:
        configuration = server.configuration()
        configuration.api_key, configuration.api_key_prefix = {"BearerToken": "t0ken\n"}, {"BearerToken": "Bearer"}
        async with client.ApiClient(configuration) as api, SharedInformerFactory(api, settings=QUICK) as factory:
            factory.core.v1.configmaps()
            await factory.wait_for_cache_sync(timeout=5)
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer t0ken"}


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "host",
    ["", "http://", "127.0.0.1", "http://[::1]:x", "ftp://there", f"http://{'a' * 64}.example", None, "http://\0"],
)
async def test_g9_a_host_that_is_none_is_told_and_can_be_mended(host: Any) -> None:
    async with (
        FakeAPIServer() as server,
        server.api_client() as api,
        SharedInformerFactory(api, settings=QUICK) as factory,
    ):
        configmaps = factory.core.v1.configmaps()
        await factory.wait_for_cache_sync(timeout=5)
        good, api.configuration.host = api.configuration.host, host
        server.close_watches()
        await asyncio.sleep(60)
        assert "cannot connect" in str(configmaps.last_error) or "request failed" in str(configmaps.last_error)
        api.configuration.host = good
        server.create("configmaps", configmap("late"))
        await asyncio.sleep(60)
        assert [key.name for key in configmaps.indexer] == ["late"]


@pytest.mark.virtual_time
async def test_g9_a_client_that_is_closed_while_requests_wait_for_a_connection_is_told() -> None:
    """aiohttp cancels those that wait, although nobody has cancelled their tasks."""
    async with FakeAPIServer() as server:
        configuration = server.configuration()
        configuration.connection_pool_maxsize = 1
        api = client.ApiClient(configuration)
        factory = SharedInformerFactory(api, settings=QUICK)
        informers = [factory.for_resource(f"{name}.v1.") for name in ("pods", "nodes", "configmaps")]
        await factory.start()
        await asyncio.sleep(10)
        await api.close()
        await asyncio.sleep(60)
        assert all("the API client has been closed" in str(each.last_error) for each in informers)
        assert all(each.is_running for each in informers)
        await factory.shutdown()


@pytest.mark.virtual_time
@pytest.mark.parametrize("which", CLIENTS)
async def test_g9_either_client_is_counted_by_its_own_limit(which: str, caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server:
        opened = client_of(server, which)
        async with opened as api:
            Source(api, Settings()).reserve("configmaps.v1", 91)
            assert "configmaps.v1: with it, informers hold 91 of the 100 connections" in caplog.text
