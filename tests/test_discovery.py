"""Discovery: names and versions, as any server lists them; informers of kinds that come later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioinformers import GroupVersionResource, Settings
from aioinformers.discovery import FRESH_FOR, ApiResource, Discovery
from aioinformers.errors import ConnectionFailedError, ResourceNotFoundError, ResponseError, ServerBusyError
from aioinformers.testing import FakeAPIServer, Fault
from aioinformers.transport.source import Source
from tests.conformance.rest import Rest
from tests.kit import Recorder, factory_on, pod
from tests.kit.fixtures import APIServer

virtual_time = pytest.mark.virtual_time


class OldSource(Source):
    """Asks as clients did before there were aggregated documents."""

    async def read_json(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        is_proof: bool = False,
    ) -> bytes:
        return await super().read_json(path, query)


@asynccontextmanager
async def discovery_of(server: APIServer, source_type: type[Source] = Source) -> AsyncIterator[Discovery]:
    async with server.api_client() as api:
        yield Discovery(source_type(api, Settings()))


async def resolve_soon(discovery: Discovery, name: str) -> ApiResource:
    """Resolve a name that the real server publishes a moment after it serves it."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await discovery.resolve(name)
            except ResourceNotFoundError:
                await asyncio.sleep(0.05)


def paths_asked(server: FakeAPIServer) -> list[str]:
    return [request.path for request in server.requests]


def crd(scope: str = "Namespaced") -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.later.example.com"},
        "spec": {
            "group": "later.example.com",
            "scope": scope,
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "shortNames": ["gd"]},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


# -- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("deploy", "deployments.v1.apps"),
        ("deployments", "deployments.v1.apps"),
        ("deployment", "deployments.v1.apps"),
        ("Deployment", "deployments.v1.apps"),
        ("deployments.apps", "deployments.v1.apps"),
        ("deploy.apps", "deployments.v1.apps"),
        ("Deployment.v1.apps", "deployments.v1.apps"),
        ("Pod", "pods.v1"),
        ("po", "pods.v1"),
        ("PODS", "pods.v1"),
        ("pods.v1", "pods.v1"),
        ("pods.v1.", "pods.v1"),
        ("pods.", "pods.v1"),
        ("ev", "events.v1"),
        ("events", "events.v1"),
        ("ingresses.networking", "ingresses.v1.networking.k8s.io"),
        ("netpol", "networkpolicies.v1.networking.k8s.io"),
        ("hpa.autoscaling", "horizontalpodautoscalers.v2.autoscaling"),
        ("hpa", "horizontalpodautoscalers.v2.autoscaling"),
        ("crd", "customresourcedefinitions.v1.apiextensions.k8s.io"),
        ("crds", "customresourcedefinitions.v1.apiextensions.k8s.io"),
    ],
)
@pytest.mark.parametrize("source_type", [Source, OldSource])
async def test_names(api_server: APIServer, source_type: type[Source], name: str, meant: str) -> None:
    """Plurals, singulars, kinds and short names, with and without group and version, however the server says them."""
    async with discovery_of(api_server, source_type) as discovery:
        assert str((await discovery.resolve(name)).resource) == meant


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("podz", "did you mean pods"),
        ("deploymnet", "did you mean deployments"),
        ("deployments.app.k8s.io", r"did you mean deployments\.apps"),
        ("deployments.v2.apps", r"did you mean deployments\.apps"),
        ("pods/status", "pods"),
        ("xyzzyxyzzy", "list what there is with `kubectl api-resources`"),
        ("bindings", "rolebindings"),  # served, but not to be watched
        ("", "list what there is"),
        (".", "list what there is"),
    ],
)
async def test_unknown_names(api_server: APIServer, name: str, hint: str) -> None:
    """An error that says what comes near."""
    async with discovery_of(api_server) as discovery:
        with pytest.raises(ResourceNotFoundError, match=hint) as caught:
            await discovery.resolve(name)
    assert repr(name) in str(caught.value)


def served(group: str, version: str, plural: str, *short: str, kind: str = "Thing") -> tuple[GroupVersionResource, Any]:
    return GroupVersionResource(group, version, plural), {"kind": kind, "short_names": short}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pods", "pods.v1"),  # the core group first
        ("pod", "pods.v1"),
        ("pods.b.example.com", "pods.v1.b.example.com"),
        ("deploy", "deploy.v1.b.example.com"),  # a plural before any short name
        ("deploy.apps", "deployments.v1.apps"),
        ("po", "pods.v1"),  # of short names the first in the server's order
        ("things", "things.v1.a.example.com"),  # the first group, and in it the preferred version
        ("things.v1beta1.a.example.com", "things.v1beta1.a.example.com"),
        ("things.b.example.com", "things.v2.b.example.com"),
        ("things.b", "things.v2.b.example.com"),  # the beginning of a group
        ("things.a", "things.v1.a"),  # a whole group before the beginning of another
        ("olds", "olds.v1beta1.a.example.com"),  # in no preferred version: an earlier group's all the same
        ("gizmo", "news.v1.a.example.com"),  # a singular before any short name
    ],
)
@pytest.mark.parametrize("aggregated", [True, False])
@virtual_time
async def test_ambiguous_names(name: str, meant: str, aggregated: bool) -> None:
    """What kubectl takes them for."""
    async with FakeAPIServer(aggregated_discovery=aggregated) as server:
        for gvr, options in (
            served("b.example.com", "v1", "pods", "po", kind="Pod"),
            served("b.example.com", "v1", "deploy"),
            served("b.example.com", "v2", "things", "po"),
            served("b.example.com", "v2", "olds"),
            served("", "v1", "others", "gizmo"),
            served("a.example.com", "v1beta1", "things"),
            served("a.example.com", "v1", "things"),
            served("a.example.com", "v1beta1", "olds"),
            served("a.example.com", "v1", "news", kind="Gizmo"),
            served("a", "v1", "things"),
        ):
            server.add_resource(gvr, **options)
        # The group of one word comes first by name: it shall not decide what the others show.
        if name in ("things", "olds"):
            server.storage.resources.remove(GroupVersionResource("a", "v1", "things"))
        async with discovery_of(server) as discovery:
            assert str((await discovery.resolve(name)).resource) == meant


def test_what_a_resource_answers_to() -> None:
    """Alone or with its group, whatever the case; not what only begins like it."""
    widget = ApiResource(GroupVersionResource("example.com", "v1", "widgets"), "Widget", True, ("wd",), "widget")
    for name in ("widgets", "Widget", "wd", "WD.example.com", "widgets.v1.example.com", "widgets.exam"):
        assert widget.answers_to(name), name
    odd = ApiResource(GroupVersionResource("b", "v1", "others"), "Other", True, ("widget",), "oth")
    assert [widget.rank("widget"), odd.rank("widget"), odd.rank("other")] == [(False, 0), (False, 1), (False, 2)]
    assert widget.rank("widgets.exam") == (True, 0)
    for name in ("widget s", "widge", "", ".example.com", "widgets.v2.example.com", "widgets.com", "widgets.v1"):
        assert not widget.answers_to(name), name


# -- what is served -------------------------------------------------------------------------------------------


async def test_all_documents_say_the_same(api_server: APIServer) -> None:
    """Aggregated or separate: the same resources in the same order, with names and preferred versions."""
    async with discovery_of(api_server) as new, discovery_of(api_server, OldSource) as old:
        found = await new.discover()
        assert found == await old.discover()

    names = {str(each.resource): each for each in found}
    assert len(names) == len(found)
    assert not any("/" in name for name in names)
    pods, nodes, autoscalers = (
        names[name] for name in ("pods.v1", "nodes.v1", "horizontalpodautoscalers.v2.autoscaling")
    )
    assert pods == ApiResource(GroupVersionResource("", "v1", "pods"), "Pod", True, ("po",), "pod", True)
    assert not nodes.is_namespaced
    assert autoscalers.is_preferred
    assert found[0].resource.group == ""


@pytest.mark.realserver
async def test_versions_of_the_real_server(real_server: APIServer) -> None:
    """Of two versions of a group one is preferred; what cannot be watched is left out."""
    async with discovery_of(real_server) as discovery:
        found = {str(each.resource): each for each in await discovery.discover()}

        assert not found["horizontalpodautoscalers.v1.autoscaling"].is_preferred
        assert "componentstatuses.v1" not in found
        assert "tokenreviews.v1.authentication.k8s.io" not in found
        assert str((await discovery.resolve("ev.events.k8s.io")).resource) == "events.v1.events.k8s.io"
        assert (
            str((await discovery.resolve("hpa.v1.autoscaling")).resource) == "horizontalpodautoscalers.v1.autoscaling"
        )


async def test_a_definition_that_comes_later(api_server: APIServer) -> None:
    """A name that is not remembered is asked for again: nobody waits until the memory fades."""
    async with discovery_of(api_server) as discovery, Rest.connect(api_server) as rest:
        assert str((await discovery.resolve("deploy")).resource) == "deployments.v1.apps"
        group = (await rest.custom_resource()).partition("/")[0]
        meant = f"widgets.v1.{group}"
        found = await resolve_soon(discovery, f"widgets.{group}")
        assert found == ApiResource(found.resource, "Widget", True, ("wd",), "widget")
        for name in (f"wd.{group}", f"Widget.v1.{group}", meant):
            assert str((await discovery.resolve(name)).resource) == meant
        assert await discovery.is_namespaced(found.resource)
        assert found in await discovery.discover()


# -- what is asked --------------------------------------------------------------------------------------------


@virtual_time
async def test_two_requests_for_any_number_of_names() -> None:
    """One aggregated document per root, remembered for a while, shared by those who ask at the same time."""
    async with FakeAPIServer() as server, discovery_of(server) as discovery:
        names = ["deploy", "po", "Node", "netpol", "roles"]
        await asyncio.gather(*(discovery.resolve(name) for name in names))
        for name in names:
            await discovery.resolve(name)
        assert paths_asked(server) == ["/api", "/apis"]
        await asyncio.sleep(FRESH_FOR - 1)
        await discovery.resolve("po")
        assert len(server.requests) == 2
        await asyncio.sleep(1)
        await discovery.resolve("po")
        assert paths_asked(server) == ["/api", "/apis"] * 2


@virtual_time
async def test_an_unknown_name_is_asked_for_once_more() -> None:
    """If the answer is remembered; an answer that has just come is believed."""
    async with FakeAPIServer() as server, discovery_of(server) as discovery:
        for total in (2, 4, 6):
            with pytest.raises(ResourceNotFoundError):
                await discovery.resolve("widgets")
            assert len(server.requests) == total
        server.create("crd", crd())
        assert str((await discovery.resolve("gd")).resource) == "gadgets.v1.later.example.com"
        assert len(server.requests) == 8


@virtual_time
async def test_discover_always_asks() -> None:
    """A list of what there is must be true now; what it found is remembered for names."""
    async with FakeAPIServer() as server, discovery_of(server) as discovery:
        before = await discovery.discover()
        server.create("crd", crd())
        added = [each for each in await discovery.discover() if each not in before]
        assert [str(each.resource) for each in added] == ["gadgets.v1.later.example.com"]
        assert await discovery.resolve("gadgets") == added[0]
        assert len(server.requests) == 4


@virtual_time
async def test_whether_a_resource_is_namespaced_comes_from_memory_or_a_small_document() -> None:
    """One resource is not worth the large documents, but what is known is not asked."""
    pods, nodes = GroupVersionResource("", "v1", "pods"), GroupVersionResource("", "v1", "nodes")
    async with FakeAPIServer() as server, discovery_of(server) as discovery:
        assert await discovery.is_namespaced(pods)
        assert not await discovery.is_namespaced(nodes)
        assert paths_asked(server) == ["/api/v1", "/api/v1"]
        await discovery.discover()
        assert await discovery.is_namespaced(pods)
        assert not await discovery.is_namespaced(nodes)
        assert len(server.requests) == 4
        await asyncio.sleep(FRESH_FOR)
        assert await discovery.is_namespaced(pods)
        assert paths_asked(server)[4:] == ["/api/v1"]
        for text in ("widgets.v1", "widgets.v1.nowhere.example.com"):
            with pytest.raises(ResourceNotFoundError):
                await discovery.is_namespaced(GroupVersionResource.parse(text))


@virtual_time
async def test_each_discovery_has_a_memory_of_its_own() -> None:
    """Two clients may talk to two servers."""
    async with (
        FakeAPIServer() as server,
        FakeAPIServer(resources=()) as bare,
        discovery_of(server) as discovery,
        discovery_of(bare) as empty,
    ):
        assert str((await discovery.resolve("po")).resource) == "pods.v1"
        assert await empty.discover() == []
        with pytest.raises(ResourceNotFoundError):
            await empty.resolve("po")


@virtual_time
async def test_an_answer_is_believed_for_as_long_as_asked() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        discovery = Discovery(Source(api, Settings()), fresh_for=5)
        for _ in range(3):
            await discovery.resolve("po")
            await asyncio.sleep(2)
        await discovery.resolve("po")
        assert paths_asked(server) == ["/api", "/apis"] * 2


@virtual_time
async def test_cancelling_leaves_nothing_behind() -> None:
    """A question that was given up is asked again by the next one, also by one that waited for it."""
    async with FakeAPIServer(aggregated_discovery=False) as server, discovery_of(server) as discovery:
        remove = server.fail(lambda request: request.path == "/apis/apps/v1", delay=100, times=None)
        first = asyncio.create_task(discovery.resolve("deploy"))
        await asyncio.sleep(1)
        second = asyncio.create_task(discovery.resolve("deploy"))
        await asyncio.sleep(1)
        remove()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert str((await second).resource) == "deployments.v1.apps"


# -- servers of all kinds -------------------------------------------------------------------------------------


@virtual_time
async def test_an_older_server() -> None:
    """It has a document per group and version; their number does not matter to what is remembered."""
    async with FakeAPIServer(aggregated_discovery=False) as server, discovery_of(server) as discovery:
        assert str((await discovery.resolve("deploy")).resource) == "deployments.v1.apps"
        asked = paths_asked(server)
        assert sorted(asked) == sorted(set(asked))
        assert {"/api", "/api/v1", "/apis", "/apis/apps/v1"} <= set(asked)
        await discovery.resolve("po")
        assert paths_asked(server) == asked


@virtual_time
async def test_a_group_whose_server_is_down(caplog: pytest.LogCaptureFixture) -> None:
    """It is left out, with a warning; the core group's absence would be a lie."""
    async with FakeAPIServer(aggregated_discovery=False) as server, discovery_of(server) as discovery:
        server.fail(lambda request: request.path == "/apis/apps/v1", status=503, times=None)
        found = {str(each.resource) for each in await discovery.discover()}
        assert "deployments.v1.apps" not in found
        assert {"pods.v1", "jobs.v1.batch"} <= found
        assert "apps/v1 cannot be discovered: 503" in caplog.text

        server.fail(lambda request: request.path == "/api/v1", status=503, times=None)
        with pytest.raises(ServerBusyError):
            await discovery.discover()


@virtual_time
@pytest.mark.parametrize("path", ["/api", "/apis"])
async def test_a_server_that_refuses_to_say(path: str) -> None:
    """Its error goes to whoever asked, nothing is remembered, and the next one asks again."""
    async with FakeAPIServer() as server, discovery_of(server) as discovery:
        server.fail(lambda request: request.path == path, status=503)
        with pytest.raises(ServerBusyError):
            await discovery.resolve("po")
        assert str((await discovery.resolve("po")).resource) == "pods.v1"
        await server.stop()
        with pytest.raises(ConnectionFailedError):
            await discovery.discover()


@virtual_time
async def test_a_server_without_a_core_group() -> None:
    """As servers of single groups are: a missing root is an empty one."""
    async with FakeAPIServer() as server, discovery_of(server) as discovery:
        server.fail(lambda request: request.path == "/api", status=404, times=None)
        assert str((await discovery.resolve("deploy")).resource) == "deployments.v1.apps"
        with pytest.raises(ResourceNotFoundError):
            await discovery.resolve("po")


@virtual_time
@pytest.mark.parametrize(
    "body", ["<html>", "[]", "{}", '{"kind":"Status"}', '{"kind":"APIGroupDiscoveryList","items":[{"versions":[{}]}]}']
)
async def test_an_answer_that_is_not_a_discovery_document(body: str) -> None:
    """A proxy's page, another document, half a document."""
    async with FakeAPIServer() as server, discovery_of(server) as discovery:
        server.fail(lambda request: request.path == "/apis", status=200, body=body, times=None)
        with pytest.raises(ResponseError, match="GET /apis: the answer is not a discovery document"):
            await discovery.discover()


@virtual_time
async def test_documents_with_gaps() -> None:
    """Nulls and absent fields, as Go writes them, of an aggregated API whose server is away."""
    things = {"resource": "things", "responseKind": None, "scope": "Cluster", "verbs": ["list", "watch"]}
    bare = {"resource": "bare", "verbs": None, "shortNames": None}
    versions = [
        {"version": "v2", "resources": None, "freshness": "Stale"},
        {"version": "v1", "resources": [things, bare]},
    ]
    items = [{"metadata": {"name": "x.example.com"}, "versions": versions}, {"metadata": {}, "versions": None}]
    document = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2beta1", "items": items}
    async with FakeAPIServer() as server, discovery_of(server) as discovery:
        server.fail(lambda request: request.path == "/apis", status=200, body=document)
        server.fail(
            lambda request: request.path == "/api", status=200, body={"kind": "APIGroupDiscoveryList", "items": None}
        )
        found = await discovery.discover()
    assert found == [ApiResource(GroupVersionResource("x.example.com", "v1", "things"), "", False, is_preferred=False)]


@virtual_time
async def test_separate_documents_with_gaps() -> None:
    """The same of the documents of older servers."""
    bodies: dict[str, Any] = {
        "/api": {"kind": "APIVersions", "versions": None},
        "/apis": {"kind": "APIGroupList", "groups": [{"name": "x", "versions": [{"version": "v1"}]}, {"name": "y"}]},
        "/apis/x/v1": {"kind": "APIResourceList", "resources": None},
    }

    async with FakeAPIServer() as server, discovery_of(server) as discovery:
        server.intercept(lambda request: Fault(status=200, body=bodies[request.path]))
        assert await discovery.discover() == []
        assert paths_asked(server) == list(bodies)


# -- informers of kinds that come later -----------------------------------------------------------------------


@virtual_time
@pytest.mark.parametrize("namespace", [None, "prod", ["dev", "prod"]])
@pytest.mark.parametrize("scope", ["Namespaced", "Cluster"])
async def test_an_optional_informer_waits_by_itself(namespace: Any, scope: str) -> None:
    """It fails nobody's wait for the caches, says what it waits for, and syncs once its definition is there."""
    async with FakeAPIServer() as server, factory_on(server, namespace=namespace) as factory:
        server.create("pods", pod("p", "prod"))
        pods = factory.core.v1.pods()
        gadgets = factory.for_resource("gadgets.v1.later.example.com", optional=True)
        recorder = Recorder()
        registration = gadgets.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(300)

        await factory.wait_for_cache_sync(timeout=1)
        assert pods.has_synced
        assert not gadgets.has_synced
        assert factory.health().is_ready
        assert "404" in next(each.reason for each in factory.health().informers if each.name == gadgets.name)

        server.create("crd", crd(scope))
        server.create("gadgets", {"metadata": {"name": "g"}}, namespace="prod" if scope == "Namespaced" else None)
        async with asyncio.timeout(61):  # the longest delay with all its jitter
            await gadgets.wait_synced()
            await registration.wait_synced()
        assert recorder.kinds() == ["Added g"]
        assert gadgets.health().reason == ""
        assert len(server.requests) < 200


@virtual_time
async def test_one_that_is_not_optional_fails_the_wait() -> None:
    """What the option is for."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        factory.for_resource("gadgets.v1.later.example.com")
        await factory.start()
        with pytest.raises(TimeoutError, match=r"gadgets\.v1\.later\.example\.com: .*404"):
            await factory.wait_for_cache_sync(timeout=5)


@pytest.mark.realserver
async def test_an_optional_informer_on_the_real_server(real_server: APIServer) -> None:
    """The same with a real definition."""
    quick = Settings(backoff_initial=0.05, backoff_max=0.2, backoff_jitter=0.0)
    async with factory_on(real_server, settings=quick) as factory, Rest.connect(real_server) as rest:
        namespaces = factory.core.v1.namespaces()
        gadgets = factory.for_resource("gadgets.v1.later.example.com", optional=True)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=20)
        assert namespaces.has_synced
        assert not gadgets.has_synced

        made = await rest.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd())
        assert made.status == 201, made.body
        async with asyncio.timeout(20):
            await gadgets.wait_synced()
            gadget = {"apiVersion": "later.example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}}
            made = await rest.post(rest.path("gadgets", group="later.example.com/v1"), gadget)
            await gadgets.wait_for_resource_version(made.version)
        assert gadgets.lister.get("g", namespace=rest.namespace)["kind"] == "Gadget"
        await rest.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.later.example.com")
