"""G21: what typed APIs write with the copy of a client is allowed before, limited in time, and told of after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client as aio
from kubernetes_asyncio import client

from aioinformers.errors import ConnectionFailedError, NotLeadingError
from aioinformers.testing import FakeAPIServer, Fault
from aioinformers.transport.client import open_client
from aioinformers.transport.guarded import Sent, guarded
from aioinformers.transport.kubeconfig import find_cluster
from tests.kit import configmap
from tests.kit.clients import CLIENTS, client_of
from tests.kit.gate import Authority, Gate
from tests.transport.kubeconfigs import kubeconfig, replace

pytestmark = pytest.mark.virtual_time

PATH = "/api/v1/namespaces/default/configmaps/a"


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as found:
        found.create("configmaps", configmap("a"))
        yield found


def core_of(api: Any) -> Any:
    """Return the typed API that goes with a client."""
    return aio.CoreV1Api(api) if hasattr(api, "param_serialize") else client.CoreV1Api(api)


def nothing_allowed() -> float:
    raise NotLeadingError("operator", "it is over")


@pytest.mark.parametrize("which", CLIENTS)
async def test_what_is_not_allowed_is_not_sent_and_reads_are_not_asked_for(server: FakeAPIServer, which: str) -> None:
    async with client_of(server, which) as api:
        core = core_of(guarded(api, nothing_allowed, lambda _: None))
        for write in (
            core.create_namespaced_config_map("default", {"metadata": {"name": "b"}}),
            core.replace_namespaced_config_map("a", "default", {"metadata": {"name": "a"}}),
            core.patch_namespaced_config_map("a", "default", {"data": {"v": "1"}}),
            core.delete_namespaced_config_map("a", "default"),
        ):
            with pytest.raises(NotLeadingError):
                await write
        assert server.requests == []
        assert (await core.read_namespaced_config_map("a", "default")).metadata.name == "a"
        assert [each.metadata.name for each in (await core.list_namespaced_config_map("default")).items] == ["a"]


@pytest.mark.parametrize("which", CLIENTS)
async def test_what_succeeds_is_told_of_with_the_whole_answer(server: FakeAPIServer, which: str) -> None:
    async with client_of(server, which) as api:
        sent: list[Sent] = []
        core = core_of(guarded(api, lambda: float("inf"), sent.append))
        await core.patch_namespaced_config_map("a", "default", {"data": {"v": "1"}}, dry_run="All")
        await core.patch_namespaced_config_map("a", "default", {"data": {"v": "2"}})
        with pytest.raises(Exception, match="404"):
            await core.delete_namespaced_config_map("b", "default")
        assert [(each.method, each.path, each.is_dry_run) for each in sent] == [
            ("PATCH", PATH, True),
            ("PATCH", PATH, False),
        ]
        assert b'"v":"2"' in sent[1].answer


@pytest.mark.parametrize("which", CLIENTS)
async def test_an_answer_that_is_not_read_by_the_client_is_still_there(server: FakeAPIServer, which: str) -> None:
    async with client_of(server, which) as api:
        sent: list[Sent] = []
        core = core_of(guarded(api, lambda: 5.0, sent.append))
        body = {"data": {"v": "1"}}
        if which == "kubernetes_asyncio":
            raw = await core.patch_namespaced_config_map("a", "default", body, _preload_content=False)
        else:
            raw = await core.patch_namespaced_config_map_without_preload_content("a", "default", body)
        assert await raw.read() == sent[0].answer


@pytest.mark.parametrize("which", CLIENTS)
async def test_a_write_takes_no_longer_than_is_left(server: FakeAPIServer, which: str) -> None:
    async with client_of(server, which) as api:
        core, loop = core_of(guarded(api, lambda: 1.5, lambda _: None)), asyncio.get_running_loop()
        server.intercept(lambda _: Fault(delay=60))
        begin = loop.time()
        with pytest.raises(ConnectionFailedError, match=f"PATCH {PATH} was not answered within the 1.5 s"):
            await core.patch_namespaced_config_map("a", "default", {"data": {"v": "1"}})
        assert loop.time() - begin == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("which", CLIENTS)
async def test_to_close_the_copy_leaves_the_client_open(server: FakeAPIServer, which: str) -> None:
    async with client_of(server, which) as api:
        copied = guarded(api, lambda: 5.0, lambda _: None)
        async with copied:
            await copied.close()
        assert (await core_of(copied).read_namespaced_config_map("a", "default")).metadata.name == "a"
        assert (await core_of(api).read_namespaced_config_map("a", "default")).metadata.name == "a"


async def test_a_path_is_that_below_the_host_of_the_configuration(server: FakeAPIServer) -> None:
    sent: list[Sent] = []
    async with server.api_client() as api:
        core = core_of(guarded(api, lambda: 5.0, sent.append))
        server.intercept(lambda request: Fault(status=200, body="{}") if "/clusters/" in request.path else None)
        api.configuration.host = f"{api.configuration.host}/k8s/clusters/c-1"
        await core.delete_namespaced_config_map("a", "default")
    assert [each.path for each in sent] == [PATH]


async def test_g16_credentials_are_renewed_once_for_all_and_each_attempt_is_asked_for(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with open_client(find_cluster(kubeconfig(tmp_path / "config", server.url, {"tokenFile": "token"}))) as api:
        server.intercept(
            lambda request: None if request.headers.get("authorization") == "Bearer new" else Fault(status=401)
        )
        replace(token, "new")
        asked, sent = list[float](), list[Sent]()

        def allow() -> float:
            asked.append(asyncio.get_running_loop().time())
            return 5.0

        core = core_of(guarded(api, allow, sent.append))
        await core.patch_namespaced_config_map("a", "default", {"data": {"v": "1"}})
        assert len(asked) == 2
        assert len(sent) == 1


async def test_connections_that_are_made_anew_are_the_clients_own_and_guarded(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    """A copy that kept them would leave them open, and its writes would pass no guard."""
    old, new = Authority("old"), Authority("new")
    ca = tmp_path / "ca"
    ca.write_text(old.pem)
    async with Gate(server.url, old, tmp_path) as gate:
        path = kubeconfig(tmp_path / "config", gate.url, {"token": "t"}, certificate_authority="ca")
        async with open_client(find_cluster(path)) as api:
            core, first = core_of(guarded(api, nothing_allowed, lambda _: None)), api.rest_client
            gate.use(new)
            replace(ca, new.pem)
            await asyncio.sleep(1)
            assert (await core.read_namespaced_config_map("a", "default")).metadata.name == "a"
            assert api.rest_client is not first
            with pytest.raises(NotLeadingError):
                await core.delete_namespaced_config_map("a", "default")
