"""The embedded server on its socket: time, switches, faults and life; its API is in the conformance suite."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from typing import Any

import aiohttp
import msgspec
import pydantic
import pytest
from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory
from aioinformers.testing import FakeAPIServer, Fault, RequestInfo, ScalePaths, StatusError
from aioinformers.types import GroupVersionResource
from tests.testing.apiserver.requests import (
    PODS,
    in_virtual_time,
    read,
    some_turns,
    wait_for_watch,
)

# -- time -------------------------------------------------------------------------------------------


def test_times_of_requests() -> None:
    """RequestInfo has the loop's time."""

    async def scenario(server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
        for _ in range(3):
            async with http.get(server.url + PODS):
                await asyncio.sleep(5)
        assert [request.time for request in server.requests] == [0.0, 5.0, 10.0]

    in_virtual_time(scenario)


# -- switches ---------------------------------------------------------------------------------------


# -- Python helpers ---------------------------------------------------------------------------------


async def test_helpers(fake_server: FakeAPIServer) -> None:
    """create, get, list, update, patch, delete by any name of a resource."""
    made = fake_server.create("po", {"metadata": {"name": "a", "labels": {"x": "1"}}, "status": {"phase": "Running"}})
    fake_server.create("pods", {"metadata": {"name": "b"}}, namespace="other")

    assert made["kind"] == "Pod"
    assert fake_server.get("pods.v1.", "a") == made
    assert [pod["metadata"]["name"] for pod in fake_server.list("pods")] == ["a", "b"]
    assert len(fake_server.list("pods", namespace="other")) == 1
    assert fake_server.list("pods", label_selector="x=1") == [made]
    made["spec"] = {"nodeName": "n"}
    updated = fake_server.update("pods", made)
    assert updated["metadata"]["resourceVersion"] == fake_server.resource_version
    assert fake_server.patch("pods", "a", {"spec": None})["metadata"]["generation"] == 3
    fake_server.delete("pods", "b", namespace="other")
    with pytest.raises(StatusError, match='pods "b" not found'):
        fake_server.get("pods", "b", namespace="other")
    with pytest.raises(LookupError):
        fake_server.list("nonsense")
    fake_server.create("nodes", {"metadata": {"name": "n"}})
    fake_server.delete("nodes", "n")


async def test_add_resource(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """A resource without a definition: built-in or custom in its bytes."""
    gvr = GroupVersionResource("example.com", "v1", "widgets")
    fake_server.add_resource(gvr, "Widget", namespaced=False, short_names=["wd"])
    fake_server.add_resource("gadgets.v1.example.com", "Gadget", custom=False)
    fake_server.create("wd", {"metadata": {"name": "x"}})
    fake_server.create("gadgets", {"metadata": {"name": "x"}})

    async with http.get(f"{fake_server.url}/apis/example.com/v1/widgets/x") as response:
        assert (await response.read()).startswith(b'{"apiVersion":"example.com/v1","kind":"Widget"')
    async with http.get(f"{fake_server.url}/apis/example.com/v1/namespaces/default/gadgets/x") as response:
        assert (await response.read()).startswith(b'{"kind":"Gadget","apiVersion":"example.com/v1"')


async def test_a_further_resource_may_have_a_scale_and_a_schema(fake_server: FakeAPIServer) -> None:
    """By which it is scaled and applied."""
    items = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}
    spec = {"type": "object", "properties": {"names": items, "size": {"type": "integer"}}}
    fake_server.add_resource(
        "gadgets.v1.example.com",
        "Gadget",
        scale=ScalePaths(replicas=".spec.size"),
        schema={"type": "object", "properties": {"spec": spec}},
    )
    apply: dict[str, Any] = {"_content_type": "application/apply-patch+yaml"}
    async with fake_server.api_client() as api:
        custom = client.CustomObjectsApi(api)
        where = ("example.com", "v1", "default", "gadgets", "x")
        for name in ("a", "b"):
            obj = {
                "apiVersion": "example.com/v1",
                "kind": "Gadget",
                "metadata": {"name": "x"},
                "spec": {"names": [name]},
            }
            await custom.patch_namespaced_custom_object(*where, obj, field_manager=name, **apply)
        assert fake_server.get("gadgets", "x")["spec"] == {"names": ["a", "b"]}
        merge: dict[str, Any] = {"_content_type": "application/merge-patch+json"}
        await custom.patch_namespaced_custom_object_scale(*where, {"spec": {"replicas": 3}}, **merge)
    assert fake_server.get("gadgets", "x")["spec"]["size"] == 3


async def test_the_stock_client(fake_server: FakeAPIServer) -> None:
    """kubernetes_asyncio reads, writes and watches here as anywhere."""
    from kubernetes_asyncio import watch

    async with fake_server.api_client() as api:
        core = client.CoreV1Api(api)
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="x"), data={"k": "v"})
        await core.create_namespaced_config_map("default", body)
        listed = await core.list_config_map_for_all_namespaces()
        assert [item.data for item in listed.items] == [{"k": "v"}]
        await core.patch_namespaced_config_map("x", "default", {"data": {"k": "w"}})
        await core.delete_namespaced_config_map("x", "default")
        version = listed.metadata.resource_version
        seen = []
        async with watch.Watch() as stream:
            async for event in stream.stream(
                core.list_config_map_for_all_namespaces, resource_version=version, timeout_seconds=1
            ):
                seen.append(event["type"])
                if event["type"] == "DELETED":
                    break
    assert seen == ["MODIFIED", "DELETED"]


class Widget(msgspec.Struct, rename="camel", kw_only=True):
    api_version: str = "example.com/v1"
    kind: str = "Widget"
    metadata: dict[str, str]


class Config(pydantic.BaseModel):
    metadata: dict[str, Any]
    data: dict[str, str]


async def test_objects_may_be_models_and_resources_named_in_any_way(fake_server: FakeAPIServer) -> None:
    meta = client.V1ObjectMeta(name="p", namespace="shop", labels={"a": "b"})
    spec = client.V1PodSpec(containers=[client.V1Container(name="c", image_pull_policy="Always")])
    made = fake_server.create(client.V1Pod, client.V1Pod(metadata=meta, spec=spec))
    assert made["spec"] == {"containers": [{"name": "c", "imagePullPolicy": "Always"}]}

    meta.labels = {"a": "c"}
    assert fake_server.update("Pod", client.V1Pod(metadata=meta, spec=spec))["metadata"]["labels"] == {"a": "c"}
    labels = client.V1ObjectMeta(labels={"d": "e"})
    patched = fake_server.patch("po", "p", {"metadata": labels, "spec": {"nodeName": "n"}}, namespace="shop")
    assert patched["metadata"]["labels"] == {"a": "c", "d": "e"}
    assert fake_server.list("pod", field_selector="spec.nodeName=n") == [patched]
    fake_server.delete("pods", "p", namespace="shop")

    fake_server.add_resource("widgets.v1.example.com", "Widget")
    fake_server.create("Widget", Widget(metadata={"name": "w"}))
    assert fake_server.get("widgets.example.com", "w")["apiVersion"] == "example.com/v1"
    fake_server.create("ConfigMap", Config(metadata={"name": "c"}, data={"k": "v"}))
    assert fake_server.get("cm", "c")["data"] == {"k": "v"}


async def test_what_an_informer_gave_can_be_written_back(fake_server: FakeAPIServer) -> None:
    fake_server.create("Deployment", {"metadata": {"name": "d"}, "spec": {"replicas": 1}})
    async with fake_server.api_client() as api, SharedInformerFactory(api) as factory:
        deployments = factory.apps.v1.deployments()
        await factory.wait_for_cache_sync(timeout=10)
        deployment = deployments.lister.get("d", namespace="default")
        deployment.spec.replicas = 2
        assert fake_server.update("Deployment.apps", deployment)["spec"] == {"replicas": 2}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda server: server.create("pdos", {}), LookupError, "did you mean 'pods'"),
        (lambda server: server.create("pods", "p"), TypeError, "a Pod is a dict or a model's object, not 'p'"),
        (lambda server: server.create(client.V1Pod(spec=None), {}), TypeError, "give the class V1Pod"),
        (lambda server: server.create("pods", client.V1Secret()), TypeError, "a V1Secret is no Pod"),
        (lambda server: server.create("nodes", {}, namespace="a"), ValueError, "nodes are in no namespace"),
        (lambda server: server.create("pods", {}, namespace=1), TypeError, "namespace must be a text or None, not 1"),
        (lambda server: server.update("pods", {}), ValueError, "the Pod to be replaced needs its name"),
        (lambda server: server.get("pods", "shop/p"), ValueError, "give 'p' and namespace='shop'"),
        (lambda server: server.patch("pods", None, {}), TypeError, "the name of a Pod must be a text, not None"),
        (lambda server: server.delete("pods", 1), TypeError, "the name of a Pod must be a text, not 1"),
        (lambda server: server.list("pods", namespace=b"a"), TypeError, "namespace must be a text"),
        (lambda server: server.expire("pdos"), LookupError, "did you mean 'pods'"),
        (lambda server: server.add_resource("Widget", "Widget"), ValueError, "plural.version.group"),
        (lambda server: server.add_resource("widgets.v1.example.com", 1), TypeError, "must be texts, not 1"),
        (
            lambda server: server.add_resource("widgets.v1.example.com", "Widget", short_names="wd"),
            TypeError,
            "short names are several",
        ),
    ],
)
def test_arguments_are_checked(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(FakeAPIServer())


# -- faults -----------------------------------------------------------------------------------------


async def test_fail(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """So many matching requests get the failure, then all is well; others never notice."""
    fake_server.fail("list pods", 429, times=2, headers={"Retry-After": "7"}, body={"kind": "Status"})
    statuses = []
    for path in ("nodes", "pods", "pods", "pods"):
        async with http.get(f"{fake_server.url}/api/v1/{path}") as response:
            statuses.append((path, response.status, response.headers.get("Retry-After")))

    assert statuses == [("nodes", 200, None), ("pods", 429, "7"), ("pods", 429, "7"), ("pods", 200, None)]
    assert fake_server.faults == []


async def test_fail_until_taken_away(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """times=None lasts; the returned function ends it, also twice; the default body is a Status."""
    heal = fake_server.fail(lambda request: request.path == PODS, times=None)
    for _ in range(3):
        async with http.get(fake_server.url + PODS) as response:
            status = await response.json()
            assert (response.status, status["kind"], status["code"]) == (503, "Status", 503)
    heal()
    heal()
    async with http.get(fake_server.url + PODS) as response:
        assert response.status == 200


async def wanted(request: RequestInfo) -> bool:
    return True


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("/api/v1/pods",), ValueError, "VERB RESOURCE"),
        (("wach pods",), ValueError, "did you mean 'watch'"),
        (("watch pdos",), ValueError, "did you mean 'pods'"),
        ((None,), TypeError, "match must be a function, not None"),
        ((wanted,), TypeError, "match is called without await"),
        ((lambda: True,), TypeError, "match is called with the request"),
        (("list pods", "503"), TypeError, "status must be a whole number, not '503'"),
        (("list pods", None), TypeError, "status must be a whole number, not None"),
    ],
)
def test_a_failure_that_would_never_happen_is_refused(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        FakeAPIServer().fail(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"times": 0}, ValueError, "times is how many requests fail, at least 1, not 0"),
        ({"times": 1.5}, TypeError, "times must be a whole number"),
        ({"delay": -1}, ValueError, "so many seconds"),
        ({"headers": {"Retry-After": 7}}, TypeError, "texts, not 7"),
        ({"headers": []}, TypeError, "must be a mapping"),
    ],
)
def test_options_of_a_failure_are_checked(options: Any, error: type[Exception], words: str) -> None:
    server = FakeAPIServer()
    with pytest.raises(error, match=words):
        server.fail("list pods", **options)
    assert server.faults == []


@pytest.mark.parametrize(
    ("interceptor", "words"),
    [
        (None, "interceptor must be a function, not None"),
        (Fault(status=500), "interceptor must be a function"),
        (lambda: None, "interceptor is called with the request"),
    ],
)
def test_an_interceptor_is_a_function_of_the_request(interceptor: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        FakeAPIServer().intercept(interceptor)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"log_size": 0}, ValueError, "log_size is how many changes are kept, at least 1, not 0"),
        ({"log_size": "9"}, TypeError, "log_size must be a whole number"),
        ({"watch_list": "false"}, TypeError, "watch_list must be True or False, not 'false'"),
        ({"shard_selector": 1}, TypeError, "shard_selector must be True or False, not 1"),
        ({"bookmark_interval": 0}, ValueError, "bookmark_interval must be more than 0 seconds, not 0"),
        ({"watch_timeout": None}, TypeError, "watch_timeout must be a number, not None"),
        ({"port": "8080"}, TypeError, "port must be a whole number"),
        ({"port": 99999}, ValueError, "port is a port of TCP"),
        ({"resources": ["pods"]}, TypeError, "resources are objects of the class Resource"),
    ],
)
def test_a_server_that_cannot_be_is_refused(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        FakeAPIServer(**options)


def test_upgrades_know_their_arguments() -> None:
    server = FakeAPIServer()
    with pytest.raises(TypeError, match=r"upgrade\(\) takes no argument 'watchlist': did you mean 'watch_list'"):
        server.upgrade(watchlist=False)
    with pytest.raises(TypeError, match="watch_list must be True or False"):
        server.upgrade(watch_list=None)


async def test_interceptors(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """Plain or coroutine functions; the first to answer decides; they see what is meant."""
    seen: list[tuple[str, str]] = []

    async def second(request: RequestInfo) -> Fault | None:
        await asyncio.sleep(0)
        return Fault(status=418)

    def first(request: RequestInfo) -> Fault | None:
        seen.append((request.verb, request.resource))
        return Fault(status=404) if request.verb == "watch" else None

    removers = [fake_server.intercept(first), fake_server.intercept(second)]
    for query, status in (({"watch": "1"}, 404), ({}, 418)):
        async with http.get(fake_server.url + PODS, params=query) as response:
            assert response.status == status
    for remove in removers:
        remove()
    async with http.get(fake_server.url + "/version") as response:
        assert response.status == 200
    assert seen == [("watch", "pods"), ("list", "pods")]


async def test_reset_connections(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """A reset for every connection, and nothing of the watch is left on the server."""
    reading = asyncio.create_task(read(http, fake_server.url + PODS))
    await wait_for_watch(fake_server)

    assert fake_server.reset_connections() == 1
    with pytest.raises(aiohttp.ClientError):
        await reading
    await some_turns()
    assert fake_server.close_watches() == 0


# -- life -------------------------------------------------------------------------------------------


async def test_stop_and_start(http: aiohttp.ClientSession) -> None:
    """stop() ends watches and refuses connections; start() goes on with the same port and objects."""
    server = FakeAPIServer()
    with pytest.raises(RuntimeError, match="has not started"):
        _ = server.url
    await server.start()
    with pytest.raises(RuntimeError, match="running already"):
        await server.start()
    url = server.url
    server.create("pods", {"metadata": {"name": "x"}})
    reading = asyncio.create_task(read(http, url + PODS))
    await wait_for_watch(server)
    await server.stop()
    await server.stop()
    assert b'"x"' in await reading
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(url + PODS)
    async with server:
        assert server.url == url
        async with http.get(url + PODS) as response:
            assert len((await response.json())["items"]) == 1


async def test_big_objects(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """Several MiB in and out."""
    obj = {"metadata": {"name": "x"}, "data": {"k": "v" * (5 << 20)}}
    url = f"{fake_server.url}/api/v1/namespaces/default/configmaps"
    async with http.post(url, data=io.BytesIO(json.dumps(obj).encode())) as response:
        assert response.status == 201
    async with http.get(url) as response:
        assert len((await response.json())["items"][0]["data"]["k"]) == 5 << 20


async def test_only_recent_requests_are_kept(
    fake_server: FakeAPIServer, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of requests is bounded."""
    monkeypatch.setattr("aioinformers.testing.apiserver.server._KEPT_REQUESTS", 10)
    for number in range(25):
        async with http.get(f"{fake_server.url}/api/v1/pods?n={number}"):
            pass

    assert 5 <= len(fake_server.requests) <= 10
    assert fake_server.requests[-1].query == {"n": "24"}


async def test_credentials_are_not_shown(fake_server: FakeAPIServer, http: aiohttp.ClientSession) -> None:
    """The repr of a request has no headers."""
    async with http.get(fake_server.url + PODS, headers={"Authorization": "Bearer secret"}):
        pass

    (request,) = fake_server.requests
    assert request.headers["authorization"] == "Bearer secret"
    assert "secret" not in repr(request)


def test_importing_it_does_not_import_the_client() -> None:
    """Its models take half a second and 48 MB."""
    code = "import sys, aioinformers.testing; print('kubernetes_asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
