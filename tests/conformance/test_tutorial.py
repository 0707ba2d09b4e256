"""The operator of ``docs/controllers.md`` on a real server, with no other rights than those of the page's manifest."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # kubernetes_asyncio brings it

from aioinformers import SharedInformerFactory
from aioinformers.coordination import LeaderElection
from tests.conformance.gadgets import apply
from tests.conformance.rest import Rest
from tests.kit.realserver import LIMITED_TOKEN, RealAPIServer
from tests.test_docs import DOCS, parse, steps_of

PAGE = DOCS / "controllers.md"
ROLES = {"ClusterRole", "Role"}


def manifests() -> list[dict[str, Any]]:
    """The documents of the page's YAML."""
    fences = [token.content for token in parse(PAGE) if token.type == "fence" and token.info == "yaml"]
    return [document for fence in fences for document in yaml.safe_load_all(fence)]


@pytest.fixture
def websites(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The program as the page has it at its end: its Structs look up their names in a module."""
    module = types.ModuleType("websites")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    codes = [step.code for step in steps_of(PAGE) if step.code.startswith(('"""An operator', "from aioinformers.con"))]
    codes += [step.code for step in steps_of(PAGE) if "async def remove" in step.code]
    for code in codes:
        exec(code, vars(module))
    return module


async def grant(rest: Rest, namespace: str) -> None:
    """Install the definition and what the operator may do, for the user that may do nothing."""
    for document in manifests():
        kind, name = document["kind"], document["metadata"]["name"]
        group = document["apiVersion"]
        if kind == "CustomResourceDefinition":
            path = f"/apis/{group}/customresourcedefinitions/{name}"
        elif kind in ROLES:
            below = f"/namespaces/{namespace}" if kind == "Role" else ""
            path = f"/apis/{group}{below}/{kind.lower()}s/{name}"
            document["metadata"].pop("namespace", None)
        else:
            continue
        answer = await apply(rest, path, document, "test", force=True)
        assert answer.status in (200, 201), answer.body
        if kind in ROLES:
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
            subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}
            binding = {"apiVersion": group, "kind": f"{kind}Binding", "metadata": {"name": name}}
            binding |= {"roleRef": reference, "subjects": [subject]}
            answer = await apply(rest, path.replace("roles/", "rolebindings/"), binding, "test")
            assert answer.status in (200, 201), answer.body


@asynccontextmanager
async def operating(server: RealAPIServer, websites: types.ModuleType, namespace: str) -> AsyncIterator[Any]:
    async with server.api_client(LIMITED_TOKEN) as api:
        factory = SharedInformerFactory(api)
        controller = websites.controller_of(factory)
        election = LeaderElection(api, "website-operator", namespace=namespace)
        async with factory, controller.running(election=election):
            yield controller


async def until(rest: Rest, path: str, is_met: Callable[[int, dict[str, Any]], bool]) -> None:
    async with asyncio.timeout(120):
        while not is_met((answer := await rest.get(path)).status, answer.json):
            await asyncio.sleep(0.1)


@pytest.mark.realserver
@pytest.mark.slow
async def test_the_operator_of_the_tutorial_needs_no_more_rights_than_it_says(
    real_server: RealAPIServer, websites: types.ModuleType
) -> None:
    async with Rest.connect(real_server) as rest:
        await grant(rest, rest.namespace)
        path = rest.path("websites", "blog", group="example.com/v1")
        async with asyncio.timeout(60):
            while (await rest.get("/apis/example.com/v1/websites")).status != 200:
                await asyncio.sleep(0.05)
        async with operating(real_server, websites, rest.namespace) as controller:
            site = {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "blog"}}
            made = await rest.post(rest.path("websites", group="example.com/v1"), site | {"spec": {"image": "nginx"}})
            assert made.status == 201, made.body
            child = rest.path("deployments", "blog", group="apps/v1")
            await until(rest, child, lambda status, found: status == 200 and found["spec"]["replicas"] == 1)
            ready = {"status": {"replicas": 1, "readyReplicas": 1}}
            assert (await rest.patch(f"{child}/status", ready)).status == 200
            await until(rest, path, lambda _, found: found.get("status", {}).get("readyReplicas") == 1)
            assert (await rest.get(path)).json["metadata"]["finalizers"] == ["example.com/website"]
            await rest.delete(path)
            await until(rest, path, lambda status, _: status == 404)
            assert controller.failing() == {}
        lease = await rest.get(rest.path("leases", "website-operator", group="coordination.k8s.io/v1"))
        assert lease.json["spec"]["holderIdentity"] == ""
