"""The programs in ``examples/``, run as they are: over real HTTP, against the embedded server."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from kubernetes_asyncio import client

from aioinformers.testing import FakeAPIServer, StatusError
from examples.fastapi_app import app as service
from examples.fastapi_operator import app as operator_service
from tests.kit import Document, child_process, pod, until
from tests.kit.kubeconfig import kubeconfig as kubeconfig_of

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as found:
        yield found


@pytest.fixture
async def api_client(server: FakeAPIServer) -> AsyncIterator[client.ApiClient]:
    async with server.api_client() as found:
        yield found


@pytest.fixture
def kubeconfig(server: FakeAPIServer, tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig_of(server.url))
    return path


def running_pod(name: str, *, node: str = "n1", **labels: str) -> Document:
    return {**pod(name, "shop", node=node, **labels), "status": {"phase": "Running"}}


@asynccontextmanager
async def example(
    name: str,
    kubeconfig: Path,
    *,
    is_script: bool = False,
    arguments: Sequence[str] = (),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run an example as its users do: as a module, or as a script."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1", **variables}
    environment.pop("KUBERNETES_SERVICE_HOST", None)
    pipe = asyncio.subprocess.PIPE
    command = [
        sys.executable,
        "-W",
        "error",
        *([f"examples/{name}.py"] if is_script else ["-m", f"examples.{name}"]),
        *arguments,
    ]
    async with child_process(*command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe) as child:
        yield child


async def lines_until(stream: asyncio.StreamReader | None, last: str) -> list[str]:
    """Read lines up to one that holds a text."""
    assert stream is not None
    lines: list[str] = []
    async with asyncio.timeout(20):
        while not lines or last not in lines[-1]:
            line = await stream.readline()
            assert line, f"ended after {lines}"
            lines.append(line.decode().rstrip())
    return lines


# -- quickstart -----------------------------------------------------------------------------------------------


async def test_quickstart_prints_what_there_is_and_what_happens(server: FakeAPIServer, kubeconfig: Path) -> None:
    server.create("deployments", {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 2}})
    server.create("pods", running_pod("web-1", app="web"))
    server.create("pods", running_pod("db-1", node="n2", app="db"))

    async with example("quickstart", kubeconfig) as child:
        started = await lines_until(child.stdout, "n2: 1 pods")
        server.create("pods", {**pod("web-2", "shop"), "status": {"phase": "Pending"}})
        server.patch("pods", "web-2", {"status": {"phase": "Running"}}, namespace="shop")
        server.delete("pods", "web-1", namespace="shop")
        happened = await lines_until(child.stdout, "- shop/web-1")
        server.patch("deployments", "web", {"spec": {"replicas": 5}}, namespace="shop")
        await lines_until(child.stdout, "web was scaled from 2 to 5")
        child.send_signal(signal.SIGINT)
        _, err = await child.communicate()

    assert started == ["2 pods, 1 of them labelled app=web", "n1: 1 pods", "n2: 1 pods"]
    assert happened == ["+ shop/web-2 Pending", "~ shop/web-2 Pending -> Running", "- shop/web-1"]
    assert (child.returncode, err) == (0, b"")


# -- sharded_exporter -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_filtered", [True, False])
async def test_the_replicas_of_the_exporter_have_every_pod_once(tmp_path: Path, is_filtered: bool) -> None:
    """With the server's filter and without it: the series are the same."""
    async with FakeAPIServer(shard_selector=is_filtered) as server, AsyncExitStack() as stack:
        for number in range(40):
            server.create("pods", running_pod(f"web-{number}"))
        path = tmp_path / "kubeconfig"
        path.write_text(kubeconfig_of(server.url))
        urls = []
        for index in range(2):
            variables = {"AIOINFORMERS_SHARDS": "2", "POD_INDEX": str(index)}
            child = await stack.enter_async_context(
                example("sharded_exporter", path, arguments=["0"], variables=variables)
            )
            (line,) = await lines_until(child.stdout, "/metrics")
            assert line.startswith(f"shard {index} of 0 to 1, by uid: http://localhost:")
            urls.append(line.rpartition(" ")[2])
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))

        async def scrape() -> list[set[str]]:
            texts = [(await http.get(url)).text for url in urls]
            mode = "server" if is_filtered else "client"
            assert all(f'of="2",filtered_by="{mode}"' in text for text in texts if text.startswith("aioinformers"))
            return [set(re.findall(r'kube_pod_info\{namespace="shop",pod="([^"]*)"', text)) for text in texts]

        async with asyncio.timeout(60):
            while sum(map(len, shares := await scrape())) < 40:
                await asyncio.sleep(0.1)
        assert min(map(len, shares)) > 5
        assert shares[0] | shares[1] == {f"web-{number}" for number in range(40)}
        server.delete("pods", "web-7", namespace="shop")
        server.create("pods", running_pod("web-40"))
        async with asyncio.timeout(60):
            while set.union(*(shares := await scrape())) != {f"web-{number}" for number in range(41)} - {"web-7"}:
                await asyncio.sleep(0.1)


async def test_an_exporter_that_does_not_know_its_shard_says_what_is_missing(kubeconfig: Path) -> None:
    async with example("sharded_exporter", kubeconfig, variables={"HOSTNAME": "laptop"}) as child:
        _, err = await child.communicate()
    assert child.returncode == 1
    assert "AIOINFORMERS_SHARDS is not set" in err.decode()


# -- fastapi_app ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def served(app: FastAPI, kubeconfig: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an application on a port, and give a client of it."""
    http = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", str(kubeconfig))
        serving = asyncio.create_task(http.serve())
        try:
            await until(lambda: http.started or serving.done())
            port = http.servers[0].sockets[0].getsockname()[1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as browser:
                yield browser
        finally:
            http.should_exit = True
            await serving


async def until_ready(browser: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while (await browser.get("/_informers/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


async def test_the_service_answers_from_its_caches(server: FakeAPIServer, kubeconfig: Path) -> None:
    for number in range(3):
        server.create("pods", running_pod(f"web-{number}", node=f"n{number % 2}", app="web"))
    server.create("deployments", deployment(2))

    async with served(service, kubeconfig) as browser:
        await until_ready(browser)
        asked = len(server.requests)

        on_node = (await browser.get("/nodes/n0/pods")).json()
        assert on_node == [
            {"namespace": "shop", "name": "web-0", "phase": "Running"},
            {"namespace": "shop", "name": "web-2", "phase": "Running"},
        ]
        assert len((await browser.get("/namespaces/shop/pods", params={"selector": "app in (web)"})).json()) == 3
        assert (await browser.get("/namespaces/shop/pods", params={"selector": "!app"})).json() == []
        web = (await browser.get("/namespaces/shop/deployments/web")).json()
        assert web == {"name": "web", "wanted": 3, "ready": 2}
        assert len(server.requests) == asked, "no read asks the API server"


async def test_the_service_follows_the_cluster(server: FakeAPIServer, kubeconfig: Path) -> None:
    async with served(service, kubeconfig) as browser:
        await until_ready(browser)
        assert (await browser.get("/nodes/n1/pods")).json() == []
        server.create("pods", running_pod("web-1"))

        async with asyncio.timeout(60):
            while not (found := (await browser.get("/nodes/n1/pods")).json()):
                await asyncio.sleep(0.02)

    assert found == [{"namespace": "shop", "name": "web-1", "phase": "Running"}]


async def test_the_service_says_what_it_cannot_answer(server: FakeAPIServer, kubeconfig: Path) -> None:
    async with served(service, kubeconfig) as browser:
        await until_ready(browser)
        missing = await browser.get("/namespaces/shop/deployments/web")
        bad = await browser.get("/namespaces/shop/pods", params={"selector": "app=(web"})

    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        "there is no 'shop/web' among deployments.v1.apps",
    )
    assert bad.status_code == 400
    assert "bad selector 'app=(web' at character 4" in bad.json()["detail"]


async def test_the_service_is_alive_but_not_ready_before_the_sync(server: FakeAPIServer, kubeconfig: Path) -> None:
    heal = server.fail("* pods", 503, times=None)

    async with served(service, kubeconfig) as browser:
        assert (await browser.get("/_informers/livez")).status_code == 200
        await until(lambda: any(request.resource == "pods" for request in server.requests))
        ready = await browser.get("/_informers/readyz")
        assert ready.status_code == 503
        assert "[-]pods.v1 failed: " in ready.text
        early = await browser.get("/nodes/n1/pods")
        assert early.status_code == 503
        assert early.json()["detail"] == "pods.v1 cannot be read yet: the API server is overloaded"

        heal()
        await until_ready(browser)
        assert (await browser.get("/nodes/n1/pods")).status_code == 200


def deployment(ready: int) -> Document:
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 3},
        "status": {"readyReplicas": ready},
    }


async def test_the_service_answers_once_a_deployment_is_ready(server: FakeAPIServer, kubeconfig: Path) -> None:
    server.create("deployments", deployment(2))
    async with served(service, kubeconfig) as browser:
        await until_ready(browser)
        waiting = asyncio.create_task(browser.get("/namespaces/shop/deployments/web/ready"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        server.patch("deployments", "web", {"status": {"readyReplicas": 3}}, namespace="shop")
        answer = await waiting
    assert (answer.status_code, answer.json()) == (200, {"name": "web", "wanted": 3, "ready": 3})


async def test_the_service_sends_what_happens(server: FakeAPIServer, kubeconfig: Path) -> None:
    server.create("deployments", deployment(2))
    async with served(service, kubeconfig) as browser, browser.stream("GET", "/deployments/events") as answer:
        lines = (line async for line in answer.aiter_lines() if line.startswith("data: "))
        async with asyncio.timeout(60):
            first = await anext(lines)
            server.patch("deployments", "web", {"metadata": {"labels": {"a": "b"}}}, namespace="shop")
            server.patch("deployments", "web", {"status": {"readyReplicas": 3}}, namespace="shop")
            second = await anext(lines)
    assert first == 'data: {"type":"Added","namespace":"shop","name":"web","wanted":3,"ready":2}'
    assert second == 'data: {"type":"Updated","namespace":"shop","name":"web","wanted":3,"ready":3}'


# -- operator -------------------------------------------------------------------------------------------------


def make_website(server: FakeAPIServer, name: str, **spec: Any) -> None:
    server.create("websites", {"metadata": {"name": name, "namespace": "shop"}, "spec": {"image": "nginx", **spec}})


def found(server: FakeAPIServer, resource: str, name: str) -> Any:
    """Return an object; None if there is none."""
    try:
        return server.get(resource, name, namespace="shop")
    except StatusError:
        return None


@pytest.fixture
def websites(server: FakeAPIServer) -> FakeAPIServer:
    """A server that knows websites."""
    server.add_resource("websites.v1.example.com", "Website", status=True)
    make_website(server, "blog", replicas=2)
    return server


@pytest.mark.parametrize("is_script", [True, False])
async def test_the_operator_deploys_tells_and_cleans_up(
    websites: FakeAPIServer, kubeconfig: Path, is_script: bool
) -> None:
    server = websites
    async with example("operator", kubeconfig, is_script=is_script) as child:
        await until(lambda: (found(server, "websites", "blog") or {}).get("status") is not None)
        deployment = found(server, "deployments", "blog")
        assert deployment["spec"]["replicas"] == 2
        assert [one["kind"] for one in deployment["metadata"]["ownerReferences"]] == ["Website"]
        site = found(server, "websites", "blog")
        assert site["metadata"]["finalizers"] == ["example.com/website"]
        (condition,) = site["status"]["conditions"]
        assert (condition["status"], condition["message"]) == ("False", "0 of 2 replicas")

        server.patch("deployments", "blog", {"status": {"readyReplicas": 2}}, namespace="shop")
        await until(lambda: found(server, "websites", "blog")["status"]["conditions"][0]["status"] == "True")
        server.patch("websites", "blog", {"spec": {"replicas": 3}}, namespace="shop")
        await until(lambda: found(server, "deployments", "blog")["spec"]["replicas"] == 3)
        server.delete("websites", "blog", namespace="shop")
        await until(lambda: found(server, "websites", "blog") is None)
        await until(lambda: found(server, "deployments", "blog") is None)  # what it owned goes with it

        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await child.wait() == 0
    assert server.get("leases", "website-operator", namespace="default")["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize("phase", ["the server is away", "caches sync", "somebody else leads"])
async def test_the_operator_ends_at_once_whatever_it_waits_for(
    websites: FakeAPIServer, kubeconfig: Path, phase: str
) -> None:
    server = websites
    match phase:
        case "the server is away":
            await server.stop()
        case "caches sync":
            server.fail("* websites", 403, times=None)
        case "somebody else leads":
            spec = {
                "holderIdentity": "somebody",
                "leaseDurationSeconds": 3600,
                "renewTime": "2026-01-01T00:00:00.000000Z",
            }
            server.create("leases", {"metadata": {"name": "website-operator", "namespace": "default"}, "spec": spec})
    async with example("operator", kubeconfig) as child:
        if phase == "the server is away":
            await lines_until(child.stderr, "next try in")
        else:
            await until(lambda: len(server.requests) > (2 if phase == "caches sync" else 4))
        await asyncio.sleep(0.3)
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):  # the program gives itself 25 s to end
            assert await child.wait() == 0
    if phase != "the server is away":
        assert found(server, "deployments", "blog") is None


# -- fastapi_operator -----------------------------------------------------------------------------------------


async def test_the_operator_in_a_service_works_and_answers(websites: FakeAPIServer, kubeconfig: Path) -> None:
    server = websites
    async with served(operator_service, kubeconfig) as browser:
        await until_ready(browser)
        assert (await browser.get("/websites")).json() == [{"namespace": "shop", "name": "blog", "wanted": 2}]
        await until(lambda: (found(server, "websites", "blog") or {}).get("status") is not None)
        server.patch("deployments", "blog", {"status": {"readyReplicas": 2}}, namespace="shop")
        await until(lambda: found(server, "websites", "blog")["status"]["conditions"][0]["status"] == "True")
        assert (await browser.get("/websites/shop/blog")).json() == {"ready": 2}

        missing = await browser.get("/websites/shop/absent")
        assert (missing.status_code, "absent" in missing.json()["detail"]) == (404, True)
        asked = await browser.post("/websites/shop/blog/reconcile")
        assert (asked.status_code, asked.json()) == (202, {"leads": True})
        assert (await browser.get("/failing")).json() == {}
    assert server.get("leases", "website-operator", namespace="default")["spec"]["holderIdentity"] == ""


async def test_the_operator_in_a_service_says_what_fails(websites: FakeAPIServer, kubeconfig: Path) -> None:
    server = websites
    server.fail("patch deployments", 403, times=None)
    async with served(operator_service, kubeconfig) as browser:
        await until_ready(browser)
        async with asyncio.timeout(60):
            while not (failing := (await browser.get("/failing")).json()):
                await asyncio.sleep(0.02)
    assert "403" in failing["shop/blog"]
