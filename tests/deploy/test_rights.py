"""On a real server: the manifests are accepted, and what they allow is what the programs ask for, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import yaml  # type: ignore[import-untyped]  # kubernetes_asyncio brings it

from tests.conformance.gadgets import apply
from tests.conformance.rest import Rest
from tests.deploy.manifests import FILES, ROOT, Documents, container_of, documents_of, only, path_of
from tests.deploy.test_manifests import PROBES, address_of
from tests.kit import child_process, free_port
from tests.kit.fixtures import real_server_with
from tests.kit.realserver import RealAPIServer

pytestmark = [pytest.mark.realserver, pytest.mark.slow]

DEFINITION: Final = yaml.safe_load((ROOT / "examples" / "website.yaml").read_text(encoding="utf-8"))
POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
SITES: Final = "/apis/example.com/v1/namespaces/default/websites"
CHILD: Final = "/apis/apps/v1/namespaces/default/deployments/blog"

METRICS: Final = "8080"
"""Where the exporter has what it is for, as its arguments say."""
TOLD: Final[dict[str, Callable[[Documents], str]]] = {
    "POD_NAMESPACE": lambda documents: str(documents[0]["metadata"]["name"]),
    "POD_INDEX": lambda _: "0",
}
"""What a kubelet tells a Pod of itself."""

Right = tuple[str, str, str]
"""API group, resource with its subresource, verb."""


class Audited:
    """A real server, and what it has been asked."""

    def __init__(self, server: RealAPIServer, log: Path) -> None:
        self.server = server
        self._log = log

    def asked_by(self, user: str) -> list[dict[str, Any]]:
        """Return what a user has asked for, of objects, and been answered; a watch as soon as it has begun."""
        events = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
        return [
            event
            for event in events
            if event["user"]["username"] == user and "objectRef" in event and event["objectRef"].get("resource")
        ]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("audit")
    policy, log = folder / "policy.json", folder / "audit.log"
    policy.write_text(json.dumps(POLICY))
    flags = f"--audit-policy-file={policy}", f"--audit-log-path={log}", "--audit-log-mode=blocking"
    with real_server_with(*flags) as server:
        yield Audited(server, log)


@pytest.fixture
async def rest(audited: Audited) -> AsyncIterator[Rest]:
    async with Rest.connect(audited.server) as found:
        yield found


async def install(rest: Rest, document: dict[str, Any], **query: str) -> None:
    answer = await apply(rest, path_of(document), document, "test", force=True, fieldValidation="Strict", **query)
    assert answer.status in (200, 201), answer.body
    assert "Warning" not in answer.headers


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_a_server_accepts_every_document(rest: Rest, path: Path) -> None:
    documents = documents_of(path)
    await install(rest, only(documents, "Namespace"))
    for document in documents:
        await install(rest, document, dryRun="All")


async def token_of(rest: Rest, documents: Documents) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = await rest.post(f"{path_of(only(documents, 'ServiceAccount'))}/token", body)
    assert made.status == 201, made.body
    token: str = made.json["status"]["token"]
    return token


@asynccontextmanager
async def running(
    audited: Audited, rest: Rest, documents: Documents, folder: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run what a Deployment runs, as its ServiceAccount, at another port of this machine, and give its URL."""
    container, port = container_of(documents), free_port()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(audited.server.kubeconfig(token=await token_of(rest, documents)))
    place = dict(zip(("0.0.0.0", str(address_of(container)[1])), ("127.0.0.1", str(port)), strict=True))

    def here(word: str) -> str:
        for there, instead in place.items():
            word = word.replace(there, instead)
        return word

    words: list[str] = [*container["command"], *container.get("args", ())]
    assert words[0] == "python"
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1"}
    environment.pop("KUBERNETES_SERVICE_HOST", None)
    for each in container.get("env", ()):
        environment[each["name"]] = here(each.get("value") or TOLD[each["name"]](documents))
    command = [sys.executable, *(str(free_port()) if word == METRICS else here(word) for word in words[1:])]
    async with child_process(*command, cwd=ROOT, env=environment) as child:
        yield child, f"http://127.0.0.1:{port}"


async def until(is_met: Callable[[], Any]) -> None:
    async with asyncio.timeout(120):
        while not await is_met():
            await asyncio.sleep(0.1)


async def pass_probes(documents: Documents, url: str) -> None:
    """Ask until every probe of the manifest is passed."""
    async with aiohttp.ClientSession() as http:

        async def are_passed() -> bool:
            for probe in PROBES:
                try:
                    async with http.get(f"{url}{container_of(documents)[probe]['httpGet']['path']}") as answer:
                        if answer.status != 200:
                            return False
                except aiohttp.ClientConnectionError:
                    return False
            return True

        await until(are_passed)


async def end(child: asyncio.subprocess.Process) -> None:
    child.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        assert await child.wait() in (0, -signal.SIGTERM)  # uvicorn passes on the signal, when it has ended


def allowed(documents: Documents) -> set[Right]:
    """Return what the roles allow."""
    return {
        (group, resource, verb)
        for document in documents
        for rule in document.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def needed(events: list[dict[str, Any]]) -> set[Right]:
    """Return the rights that requests took. To apply what is not there takes ``create``; to watch may take ``list``."""
    rights: set[Right] = set()
    for event in events:
        found = event["objectRef"]
        resource = "/".join(filter(None, (found["resource"], found.get("subresource"))))
        verbs = {event["verb"]}
        if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:
            verbs.add("create")
        if event["verb"] == "watch" and "name" not in found:
            verbs.add("list")
        rights |= {(found.get("apiGroup", ""), resource, verb) for verb in verbs}
    return rights


def refused(events: list[dict[str, Any]]) -> dict[int, set[Right]]:
    found: defaultdict[int, set[Right]] = defaultdict(set)
    for event in events:
        if (code := event.get("responseStatus", {}).get("code", 200)) in (401, 403):
            found[code] |= needed([event])
    return dict(found)


async def test_the_service_needs_what_its_role_allows(audited: Audited, rest: Rest, tmp_path: Path) -> None:
    documents = documents_of(ROOT / "deploy" / "kubernetes" / "fastapi-app.yaml")
    for document in documents:
        await install(rest, document)
    user = "system:serviceaccount:fastapi-app:fastapi-app"

    async def follows() -> bool:
        watched = {e["objectRef"]["resource"] for e in audited.asked_by(user) if e["verb"] == "watch"}
        return watched == {"pods", "deployments"}

    async with running(audited, rest, documents, tmp_path) as (child, url):
        await until(follows)
        await pass_probes(documents, url)
        await end(child)
    events = audited.asked_by(user)
    assert refused(events) == {}
    assert needed(events) == allowed(documents)


async def test_the_operators_need_what_their_roles_allow(audited: Audited, rest: Rest, tmp_path: Path) -> None:
    documents = documents_of(ROOT / "deploy" / "kubernetes" / "operator.yaml")
    for document in [DEFINITION, *documents]:
        await install(rest, document)
    user = "system:serviceaccount:website-operator:website-operator"

    async def is_served() -> bool:
        return (await rest.get(SITES)).status == 200

    async def is_deployed() -> bool:
        return (await rest.get(CHILD)).status == 200

    async def is_told() -> bool:
        return bool((await rest.get(f"{SITES}/blog")).json.get("status", {}).get("readyReplicas") == 1)

    async def is_gone() -> bool:
        return (await rest.get(f"{SITES}/blog")).status == 404

    async def waits_for_its_turn() -> bool:
        return ("coordination.k8s.io", "leases", "watch") in needed(audited.asked_by(user))

    await until(is_served)
    async with (
        running(audited, rest, documents, tmp_path) as (child, url),
        running(audited, rest, documents, tmp_path) as (other, _),
    ):
        site = {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "blog"}}
        assert (await rest.post(SITES, site | {"spec": {"image": "nginx"}})).status == 201
        await pass_probes(documents, url)
        await until(is_deployed)
        assert (await rest.patch(f"{CHILD}/status", {"status": {"replicas": 1, "readyReplicas": 1}})).status == 200
        await until(is_told)
        assert (await rest.delete(f"{SITES}/blog")).status == 200
        await until(is_gone)
        await until(waits_for_its_turn)
        await end(child)
        await end(other)
    events = audited.asked_by(user)
    assert refused(events) == {}
    assert needed(events) == allowed(documents)


async def test_the_exporter_needs_what_its_role_allows(audited: Audited, rest: Rest, tmp_path: Path) -> None:
    documents = documents_of(ROOT / "deploy" / "kubernetes" / "sharded-exporter.yaml")
    for document in documents:
        await install(rest, document)
    user = "system:serviceaccount:sharded-exporter:sharded-exporter"

    async def follows() -> bool:
        return ("", "pods", "watch") in needed(audited.asked_by(user))

    async with running(audited, rest, documents, tmp_path) as (child, url):
        await until(follows)
        await pass_probes(documents, url)
        await end(child)
    events = audited.asked_by(user)
    assert refused(events) == {}
    assert needed(events) == allowed(documents)
