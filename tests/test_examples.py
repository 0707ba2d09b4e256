"""The programs in ``examples/``, run as they are: over real HTTP, against the embedded server."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from kubernetes_asyncio import client

from aioinformers import Settings, SharedInformerFactory
from aioinformers.testing import FakeAPIServer, StatusError
from examples.fastapi_app import create_app
from examples.operator import TEAM, TeamOperator
from tests.kit import Document, child_process, configmap, pod, until

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
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": server.url}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
    }
    path.write_text(json.dumps(config))
    return path


def running_pod(name: str, *, node: str = "n1", **labels: str) -> Document:
    return {**pod(name, "shop", node=node, **labels), "status": {"phase": "Running"}}


@asynccontextmanager
async def example(name: str, kubeconfig: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run an example as its users do."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1"}
    environment.pop("KUBERNETES_SERVICE_HOST", None)
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-W", "error", "-m", f"examples.{name}"]
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


# -- fastapi_app ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an application on a port, and give a client of it."""
    http = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none"))
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
    async with asyncio.timeout(10):
        while (await browser.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


async def test_the_service_answers_from_its_caches(server: FakeAPIServer, api_client: client.ApiClient) -> None:
    for number in range(3):
        server.create("pods", running_pod(f"web-{number}", node=f"n{number % 2}", app="web"))
    server.create(
        "deployments",
        {
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": 3},
            "status": {"readyReplicas": 2},
        },
    )

    async with served(create_app(api_client)) as browser:
        await until_ready(browser)
        asked = len(server.requests)

        on_node = (await browser.get("/nodes/n0/pods")).json()
        assert on_node == [
            {"namespace": "shop", "name": "web-0", "phase": "Running"},
            {"namespace": "shop", "name": "web-2", "phase": "Running"},
        ]
        assert len((await browser.get("/namespaces/shop/pods", params={"selector": "app in (web)"})).json()) == 3
        assert (await browser.get("/namespaces/shop/pods", params={"selector": "!app"})).json() == []
        deployment = (await browser.get("/namespaces/shop/deployments/web")).json()
        assert deployment == {"name": "web", "wanted": 3, "ready": 2}
        assert len(server.requests) == asked, "no read asks the API server"


async def test_the_service_follows_the_cluster(server: FakeAPIServer, api_client: client.ApiClient) -> None:
    async with served(create_app(api_client)) as browser:
        await until_ready(browser)
        assert (await browser.get("/nodes/n1/pods")).json() == []
        server.create("pods", running_pod("web-1"))

        async with asyncio.timeout(10):
            while not (found := (await browser.get("/nodes/n1/pods")).json()):
                await asyncio.sleep(0.02)

    assert found == [{"namespace": "shop", "name": "web-1", "phase": "Running"}]


async def test_the_service_says_what_it_cannot_answer(server: FakeAPIServer, api_client: client.ApiClient) -> None:
    async with served(create_app(api_client)) as browser:
        await until_ready(browser)
        missing = await browser.get("/namespaces/shop/deployments/web")
        bad = await browser.get("/namespaces/shop/pods", params={"selector": "app=(web"})

    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        "deployments.v1.apps 'shop/web' is not in the cache",
    )
    assert bad.status_code == 400
    assert "bad selector 'app=(web' at character 4" in bad.json()["detail"]


async def test_the_service_is_alive_but_not_ready_before_the_sync(
    server: FakeAPIServer, api_client: client.ApiClient
) -> None:
    heal = server.fail("* pods", 503, times=None)

    async with served(create_app(api_client)) as browser:
        assert (await browser.get("/livez")).status_code == 200
        await until(lambda: any(request.resource == "pods" for request in server.requests))
        ready = await browser.get("/readyz")
        assert ready.status_code == 503
        assert "503" in ready.json()["pods.v1"]
        early = await browser.get("/nodes/n1/pods")
        assert early.status_code == 503
        assert "has not synced yet" in early.json()["detail"]

        heal()
        await until_ready(browser)
        assert (await browser.get("/nodes/n1/pods")).status_code == 200


async def test_the_service_finds_its_cluster_in_the_kubeconfig(
    server: FakeAPIServer, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    async with served(create_app()) as browser:
        await until_ready(browser)
        assert (await browser.get("/livez")).json() == {"ended": []}


# -- operator -------------------------------------------------------------------------------------------------


def make_namespace(server: FakeAPIServer, name: str, team: str | None) -> None:
    server.create("namespaces", {"metadata": {"name": name, "labels": {TEAM: team} if team else {}}})


def set_team(server: FakeAPIServer, name: str, team: str | None) -> None:
    server.patch("namespaces", name, {"metadata": {"labels": {TEAM: team}}})


def team_of(server: FakeAPIServer, namespace: str) -> Any:
    """Return what the ConfigMap of a namespace says; None if there is none."""
    try:
        return server.get("configmaps", "team", namespace=namespace)["data"]
    except StatusError:
        return None


@asynccontextmanager
async def operating(api_client: client.ApiClient) -> AsyncIterator[TeamOperator]:
    factory = SharedInformerFactory(api_client, settings=Settings(backoff_initial=0.05))
    operator = TeamOperator(factory, retry_delay=0.01)
    async with factory:
        await factory.wait_for_cache_sync(timeout=10)
        yield operator


async def test_operator_keeps_a_configmap_per_labelled_namespace(
    server: FakeAPIServer, api_client: client.ApiClient
) -> None:
    for number in range(20):
        make_namespace(server, f"ns-{number}", f"team-{number}")
    make_namespace(server, "free", None)

    async with operating(api_client):
        await until(lambda: all(team_of(server, f"ns-{n}") == {"team": f"team-{n}"} for n in range(20)))
        assert team_of(server, "free") is None

        set_team(server, "ns-1", "payments")
        await until(lambda: team_of(server, "ns-1") == {"team": "payments"})
        set_team(server, "ns-2", None)
        await until(lambda: team_of(server, "ns-2") is None)
        set_team(server, "free", "late")
        await until(lambda: team_of(server, "free") == {"team": "late"})


async def test_operator_repairs_what_others_change(server: FakeAPIServer, api_client: client.ApiClient) -> None:
    make_namespace(server, "shop", "web")

    async with operating(api_client):
        await until(lambda: team_of(server, "shop") == {"team": "web"})
        server.delete("configmaps", "team", namespace="shop")
        await until(lambda: team_of(server, "shop") == {"team": "web"})
        server.patch("configmaps", "team", {"data": {"team": "mine", "more": "x"}}, namespace="shop")
        await until(lambda: team_of(server, "shop") == {"team": "web"})


async def test_operator_leaves_a_strangers_configmap_alone(
    server: FakeAPIServer, api_client: client.ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "team-operator")
    server.create("configmaps", configmap("team", "shop", mine="yes"))
    make_namespace(server, "shop", "web")

    async with operating(api_client):
        await until(lambda: "shop: 409 Conflict: left as it is until the next event" in caplog.messages)

    assert team_of(server, "shop") == {"mine": "yes"}


async def test_operator_tries_again_what_may_pass(server: FakeAPIServer, api_client: client.ApiClient) -> None:
    server.fail("create configmaps", 503, times=3)
    make_namespace(server, "shop", "web")

    async with operating(api_client):
        await until(lambda: team_of(server, "shop") == {"team": "web"})


async def test_operator_gives_up_what_it_may_not_do_and_goes_on(
    server: FakeAPIServer, api_client: client.ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.fail(lambda request: request.verb == "create" and "/locked/" in request.path, 403, times=None)
    make_namespace(server, "locked", "web")

    async with operating(api_client):
        await until(lambda: any(text.startswith("locked: given up") for text in caplog.messages))
        make_namespace(server, "open", "web")
        await until(lambda: team_of(server, "open") == {"team": "web"})

    assert team_of(server, "locked") is None
    assert sum(request.verb == "create" and "/locked/" in request.path for request in server.requests) == 1


async def test_operator_runs_as_a_program_until_it_is_told_to_stop(server: FakeAPIServer, kubeconfig: Path) -> None:
    make_namespace(server, "shop", "web")

    async with example("operator", kubeconfig) as child:
        await until(lambda: team_of(server, "shop") == {"team": "web"})
        await lines_until(child.stderr, "shop: created for web")
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await child.wait() == 0
