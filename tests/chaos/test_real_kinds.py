"""Kinds and namespaces that go on a real kube-apiserver while nobody watches: no ghost stays, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import Deleted, Settings, SharedInformer, SharedInformerFactory
from aioinformers.testing import ChaosProxy
from tests.conformance.rest import Rest
from tests.kit import Recorder
from tests.kit.realserver import ADMIN_TOKEN, LIMITED_TOKEN, RealAPIServer

pytestmark = [pytest.mark.realserver, pytest.mark.slow]

QUICK = Settings(backoff_jitter=0.0, backoff_initial=0.2, backoff_max=1.0, gone_after=3.0)
"""As by default, but impatient."""
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SCHEMA = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}


def definition(group: str, plural: str = "gadgets", *, scope: str = "Namespaced", **served: bool) -> dict[str, Any]:
    """Return a definition; its versions are v1, or those that are given, the last of which is stored."""
    served = served or {"v1": True}
    versions = [
        {"name": name, "served": is_served, "storage": name == list(served)[-1], "schema": SCHEMA}
        for name, is_served in served.items()
    ]
    kind = plural[:-1].title()
    names = {"plural": plural, "singular": plural[:-1], "kind": kind, "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": scope, "names": names, "versions": versions},
    }


class Scene:
    """An informer of gadgets behind a proxy, and who changes the cluster past it."""

    def __init__(self, rest: Rest, proxy: ChaosProxy, group: str) -> None:
        self.rest = rest
        self.proxy = proxy
        self.group = group
        self.recorder = Recorder()
        self.gadgets: SharedInformer[Any]

    @property
    def names(self) -> list[str]:
        return [key.name for key in self.gadgets.indexer]

    async def define(self, plural: str = "gadgets", **options: Any) -> None:
        """Create a definition, and wait until it is served."""
        made = await self.rest.post(DEFINITIONS, definition(self.group, plural, **options))
        assert made.status == 201, made.body
        await self.until_answered(200, f"/apis/{self.group}/v1/{plural}")

    async def until_answered(self, status: int, path: str) -> None:
        async with asyncio.timeout(120):
            while (await self.rest.get(path)).status != status:
                await asyncio.sleep(0.05)

    async def undefine(self, plural: str = "gadgets") -> None:
        await self.rest.delete(f"{DEFINITIONS}/{plural}.{self.group}")
        await self.until_answered(404, f"{DEFINITIONS}/{plural}.{self.group}")
        await self.until_answered(404, f"/apis/{self.group}/v1/{plural}")

    async def make(self, name: str, *, is_namespaced: bool = True) -> None:
        path = self.rest.path("gadgets", group=f"{self.group}/v1")
        path = path if is_namespaced else f"/apis/{self.group}/v1/gadgets"
        obj = {"apiVersion": f"{self.group}/v1", "kind": "Gadget", "metadata": {"name": name}}
        async with asyncio.timeout(120):
            while (made := await self.rest.post(path, obj)).status != 201:
                assert made.status in (404, 405, 409, 429, 500, 503), made.body  # not established yet
                await asyncio.sleep(0.1)

    async def away(self, change: Callable[[], Awaitable[None]]) -> None:
        """Change something while the informer is cut off."""
        self.proxy.refuse = True
        self.proxy.cut()
        await change()
        self.proxy.refuse = False

    async def until_told(self, *kinds: str) -> None:
        """Wait for what the handler is to be told besides the first objects."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(120):
                while sorted(self.recorder.kinds()[2:]) != sorted(kinds):
                    await asyncio.sleep(0.05)
        assert sorted(self.recorder.kinds()[2:]) == sorted(kinds), self.gadgets.health()
        assert self.recorder.problems == []
        deletions = [event for event in self.recorder.events[2:] if isinstance(event, Deleted)]
        assert not any(event.final_state_known for event in deletions)


@contextlib.asynccontextmanager
async def scene_on(server: RealAPIServer, *, is_scoped: bool = False, token: str = ADMIN_TOKEN) -> AsyncIterator[Scene]:
    """Give an informer that has two gadgets."""
    async with Rest.connect(server) as rest, ChaosProxy(server.url) as proxy:
        configuration = server.configuration(token)
        configuration.host = proxy.url
        scene = Scene(rest, proxy, f"{uuid.uuid4().hex[:8]}.example.com")
        await scene.define()
        for name in ("a", "b"):
            await scene.make(name)
        async with client.ApiClient(configuration) as api:
            factory = SharedInformerFactory(api, settings=QUICK)
            namespace = rest.namespace if is_scoped else None
            scene.gadgets = factory.for_resource(f"gadgets.v1.{scene.group}", namespace=namespace)
            scene.gadgets.add_event_handler(scene.recorder)
            try:
                await factory.start()
                await factory.wait_for_cache_sync(timeout=30)
                await asyncio.sleep(0.5)
                yield scene
            finally:
                await factory.shutdown(grace=0)


async def test_g5_a_definition_that_is_deleted_leaves_no_ghost(real_server: RealAPIServer) -> None:
    """Alone in its group. Defined again, it is followed again."""
    async with scene_on(real_server) as scene:
        await scene.away(scene.undefine)
        await scene.until_told("Deleted a", "Deleted b")
        reason = scene.gadgets.health().reason
        assert reason.startswith("waiting for the kind to be served (the API group"), reason
        await scene.define()
        await scene.make("new")
        await scene.until_told("Deleted a", "Deleted b", "Added new")
        assert scene.gadgets.health().reason == ""


async def test_g5_a_definition_that_is_deleted_out_of_a_group_leaves_no_ghost(real_server: RealAPIServer) -> None:
    async with scene_on(real_server) as scene:
        await scene.define("gizmos")
        await scene.away(scene.undefine)
        await scene.until_told("Deleted a", "Deleted b")
        assert "does not name gadgets any more" in scene.gadgets.health().reason


async def test_g5_a_definition_that_is_replaced_leaves_no_ghost(real_server: RealAPIServer) -> None:
    """Deleted with its objects, and created again while nobody watched."""

    async def replace() -> None:
        await scene.undefine()
        await scene.define()
        await scene.make("new")

    async with scene_on(real_server) as scene:
        await scene.away(replace)
        await scene.until_told("Deleted a", "Deleted b", "Added new")
        assert scene.gadgets.health().reason == ""


async def test_g5_a_version_that_is_not_served_any_more_leaves_no_ghost(real_server: RealAPIServer) -> None:
    """Although the objects are still stored: nobody can see them in this version. Served again, they are back."""

    async def serve(v1: bool) -> None:
        path = f"{DEFINITIONS}/gadgets.{scene.group}"
        versions = definition(scene.group, v1=v1, v2=True)["spec"]["versions"]
        changed = await scene.rest.patch(path, {"spec": {"versions": versions}})
        assert changed.status == 200, changed.body
        await scene.until_answered(200 if v1 else 404, f"/apis/{scene.group}/v1/gadgets")

    async with scene_on(real_server) as scene:
        await scene.away(lambda: serve(v1=False))
        await scene.until_told("Deleted a", "Deleted b")
        assert f"{scene.group}/v1 is not served any more, only v2" in scene.gadgets.health().reason
        await serve(v1=True)
        await scene.until_told("Deleted a", "Deleted b", "Added a", "Added b")


@pytest.mark.parametrize("is_scoped", [True, False], ids=["one namespace", "all namespaces"])
async def test_g5_a_kind_that_becomes_cluster_scoped_leaves_no_ghost(
    real_server: RealAPIServer, is_scoped: bool
) -> None:
    """Who follows a namespace waits, who follows everything has what there is."""

    async def change() -> None:
        await scene.undefine()
        await scene.define(scope="Cluster")
        await scene.make("new", is_namespaced=False)

    async with scene_on(real_server, is_scoped=is_scoped) as scene:
        await scene.away(change)
        if is_scoped:
            await scene.until_told("Deleted a", "Deleted b")
            assert "is cluster-scoped now" in scene.gadgets.health().reason
        else:
            await scene.until_told("Deleted a", "Deleted b", "Added new")
            assert scene.gadgets.health().reason == ""
        await scene.rest.delete(f"{DEFINITIONS}/gadgets.{scene.group}")


async def test_g5_a_namespace_that_is_deleted_with_the_rights_in_it_leaves_no_ghost(real_server: RealAPIServer) -> None:
    """Its lists are forbidden from then on, but that it is gone may be seen. Without that right, the objects stay."""
    async with Rest.connect(real_server) as rest, real_server.api_client(LIMITED_TOKEN) as api:
        await allow(rest)
        for name in ("a", "b"):
            await rest.configmap(name)
        factory = SharedInformerFactory(api, settings=QUICK)
        maps = factory.core.v1.configmaps(namespace=rest.namespace)
        try:
            await factory.start()
            await factory.wait_for_cache_sync(timeout=30)
            path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{rest.namespace}/rolebindings/limited"
            assert (await rest.delete(path)).status == 200
            await api.rest_client.close()  # so that the watch ends, which would go on as it was allowed
            api.rest_client = client.rest.RESTClientObject(api.configuration)
            await asyncio.sleep(5)
            assert len(maps.lister) == 2
            assert f"namespace {rest.namespace} is still there" in maps.health().reason
            await end_namespace(rest)
            async with asyncio.timeout(120):
                while len(maps.lister):
                    await asyncio.sleep(0.1)
            assert f"there is no namespace {rest.namespace} any more" in maps.health().reason
        finally:
            await factory.shutdown(grace=0)


async def allow(rest: Rest) -> None:
    """Let the limited user see the ConfigMaps of the namespace, and all namespaces one by one."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    subjects = [{"kind": "User", "name": "limited", "apiGroup": "rbac.authorization.k8s.io"}]
    name = f"see-{rest.namespace}"
    for path, body in (
        ("clusterroles", {"rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}]}),
        ("clusterrolebindings", {"subjects": subjects, "roleRef": role("ClusterRole", name)}),
    ):
        made = await rest.post(f"{rbac}/{path}", {"metadata": {"name": name}, **body})
        assert made.status == 201, made.body
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}]
    for path, body in (
        ("roles", {"rules": rules}),
        ("rolebindings", {"subjects": subjects, "roleRef": role("Role", "limited")}),
    ):
        made = await rest.post(f"{rbac}/namespaces/{rest.namespace}/{path}", {"metadata": {"name": "limited"}, **body})
        assert made.status == 201, made.body


def role(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


async def end_namespace(rest: Rest) -> None:
    """Delete a namespace with its ConfigMaps, as the controller does that is not there."""
    await rest.delete(rest.path("configmaps"))
    path = f"/api/v1/namespaces/{rest.namespace}"
    await rest.delete(path)
    found = (await rest.get(path)).json
    found["spec"] = {"finalizers": []}
    done = await rest.put(f"{path}/finalize", found)
    assert done.status == 200, done.body
