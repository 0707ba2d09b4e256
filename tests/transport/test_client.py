"""A client whose own calls have good credentials, too, and whose connections follow certificates that change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.client.exceptions import ApiException

from aioinformers.errors import ConfigurationError, CredentialsError
from aioinformers.testing import FakeAPIServer, Fault, RequestInfo
from aioinformers.transport.client import RenewingClient, open_client
from aioinformers.transport.kubeconfig import find_cluster
from tests.kit import configmap
from tests.kit.gate import Authority, Gate
from tests.transport.kubeconfigs import encoded, kubeconfig, plugin_printing, replace

virtual_time = pytest.mark.virtual_time


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[RenewingClient]:
    async with open_client(find_cluster(path)) as api:
        yield api


async def names(api: client.ApiClient) -> list[str]:
    listed: Any = await client.CoreV1Api(api).list_namespaced_config_map("shop")
    return [each.metadata.name for each in listed.items]


def admitting(*tokens: str) -> Any:
    """Return an interceptor that refuses all other tokens."""

    def judge(request: RequestInfo) -> Fault | None:
        return None if request.headers.get("authorization") in {f"Bearer {t}" for t in tokens} else Fault(status=401)

    return judge


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as found:
        found.create("configmaps", configmap("c", "shop"))
        yield found


# -- calls of one's own -------------------------------------------------------------------------------------------


@virtual_time
async def test_g16_a_call_that_is_refused_is_made_again_at_once_with_other_credentials(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with opened(kubeconfig(tmp_path / "config", server.url, {"tokenFile": "token"})) as api:
        server.intercept(admitting("new"))
        replace(token, "new")
        begin = asyncio.get_running_loop().time()
        core: Any = client.CoreV1Api(api)
        await core.create_namespaced_config_map("shop", configmap("made", "shop"))  # it had not been carried out
        assert asyncio.get_running_loop().time() == begin
        assert [r.headers["authorization"] for r in server.requests] == ["Bearer old", "Bearer new"]
        assert await names(api) == ["c", "made"]


@virtual_time
async def test_a_response_that_is_not_read_by_the_client_is_made_again_too(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with opened(kubeconfig(tmp_path / "config", server.url, {"tokenFile": "token"})) as api:
        server.intercept(admitting("new"))
        core = client.CoreV1Api(api)
        refused: Any = await core.list_namespaced_config_map("shop", _preload_content=False)
        assert refused.status == 401
        refused.close()
        assert len(server.requests) == 1
        replace(token, "new")
        response: Any = await core.list_namespaced_config_map("shop", _preload_content=False)
        assert response.status == 200
        response.close()
        assert len(server.requests) == 3


@virtual_time
@pytest.mark.parametrize("status", [401, 403, 409, 500])
async def test_a_call_that_nothing_helps_fails_as_ever(server: FakeAPIServer, tmp_path: Path, status: int) -> None:
    async with opened(kubeconfig(tmp_path / "config", server.url, {"token": "t"})) as api:
        server.fail("list configmaps", status, times=None)
        with pytest.raises(ApiException) as caught:
            await names(api)
        assert caught.value.status == status
        assert len(server.requests) == 1


@virtual_time
async def test_headers_of_another_user_are_sent_as_the_kubeconfig_says(server: FakeAPIServer, tmp_path: Path) -> None:
    user = {"token": "t", "as": "jane", "as-uid": "7", "as-groups": ["dev"], "as-user-extra": {"a/b": ["view"]}}
    async with opened(kubeconfig(tmp_path / "config", server.url, user)) as api:
        await names(api)
    sent = {name: value for name, value in server.requests[0].headers.items() if name.startswith("impersonate-")}
    assert sent == {
        "impersonate-user": "jane", "impersonate-uid": "7", "impersonate-group": "dev",
        "impersonate-extra-a%2fb": "view",
    }  # fmt: skip


@virtual_time
async def test_request_credentials_of_a_call_go_before_those_of_the_client(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    async with opened(kubeconfig(tmp_path / "config", server.url, {"token": "t"})) as api:
        mine = {"in": "header", "key": "authorization", "value": "Bearer mine"}
        core: Any = client.CoreV1Api(api)
        await core.list_namespaced_config_map("shop", _request_auth=mine)
    assert server.requests[0].headers["authorization"] == "Bearer mine"


@virtual_time
async def test_g16_a_call_with_credentials_of_its_own_is_never_made_with_those_of_the_client(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with opened(kubeconfig(tmp_path / "config", server.url, {"tokenFile": "token"})) as api:
        server.intercept(admitting("new"))
        replace(token, "new")
        mine = {"in": "header", "key": "authorization", "value": "Bearer mine"}
        core: Any = client.CoreV1Api(api)
        with pytest.raises(ApiException):
            await core.list_namespaced_config_map("shop", _request_auth=mine)
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer mine"]


@virtual_time
async def test_each_informer_holds_a_connection_so_there_is_no_limit(server: FakeAPIServer, tmp_path: Path) -> None:
    async with opened(kubeconfig(tmp_path / "config", server.url)) as api:
        connector = api.rest_client.pool_manager.connector
        assert connector is not None
        assert connector.limit == 0


# -- certificates -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def watching(api: client.ApiClient) -> AsyncIterator[Any]:
    """Give an open response of a watch that has shown something."""
    core = client.CoreV1Api(api)
    response: Any = await core.list_namespaced_config_map(
        "shop", watch=True, resource_version="0", timeout_seconds=600, _preload_content=False
    )
    assert b"ADDED" in await response.content.readline()
    yield response
    response.close()


@virtual_time
async def test_g9_a_new_authority_is_trusted_without_a_restart_and_open_responses_go_on(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    old, new = Authority("old"), Authority("new")
    ca = tmp_path / "ca"
    ca.write_text(old.pem)
    async with Gate(server.url, old, tmp_path) as gate:
        path = kubeconfig(tmp_path / "config", gate.url, {"token": "t"}, certificate_authority="ca")
        async with opened(path) as api, watching(api) as response:
            first = api.rest_client
            gate.use(new)
            replace(ca, new.pem)
            await asyncio.sleep(1)
            assert await names(api) == ["c"]
            assert api.rest_client is not first
            server.patch("configmaps", "c", {"data": {"a": "b"}}, namespace="shop")
            assert b"MODIFIED" in await response.content.readline()
            await asyncio.sleep(120)
            await names(api)
            assert not first.pool_manager.closed  # its response is still open
            response.close()
            await asyncio.sleep(1)
            await names(api)
            assert first.pool_manager.closed
            gate.use(old)  # whom nobody trusts any more
            gate.cut()
            await asyncio.sleep(1)
            with pytest.raises(aiohttp.ClientError):
                await names(api)


@virtual_time
async def test_g9_an_authority_that_comes_after_its_servers_certificate_is_found(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    old, new = Authority("old"), Authority("new")
    ca = tmp_path / "ca"
    ca.write_text(old.pem)
    async with Gate(server.url, new, tmp_path) as gate:
        path = kubeconfig(tmp_path / "config", gate.url, certificate_authority="ca")
        async with opened(path) as api:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await names(api)
            ca.write_text("half a certi")
            await asyncio.sleep(1)
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await names(api)
            replace(ca, new.pem)
            await asyncio.sleep(1)
            assert await names(api) == ["c"]


@virtual_time
@pytest.mark.parametrize("form", ["files", "data"])
async def test_g9_a_client_certificate_that_changes_is_shown_to_the_server(
    server: FakeAPIServer, tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority()
    path = tmp_path / "config"
    more: dict[str, Any] = {"certificate-authority-data": encoded(authority.pem)}

    def become(name: str, gate: Gate) -> None:
        certificate, key = authority.issue(name)
        if form == "data":
            user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
        else:
            replace(tmp_path / "me.crt", certificate)
            replace(tmp_path / "me.key", key)
            user = {"client-certificate": "me.crt", "client-key": "me.key"}
        kubeconfig(path, gate.url, user, **more)

    async with Gate(server.url, authority, tmp_path) as gate:
        become("first", gate)
        async with opened(path) as api:
            await names(api)
            become("second", gate)
            await asyncio.sleep(1)
            await names(api)
            if form == "files":
                replace(tmp_path / "me.crt", authority.issue("third")[0])  # its key follows
                for _ in range(3):
                    await asyncio.sleep(1)
                    await names(api)
                assert len(caplog.messages) == 1
                assert "changed certificates cannot be used, the old ones are: " in caplog.messages[0]
        assert [passage.client for passage in gate.passages] == ["first"] + ["second"] * (4 if form == "files" else 1)
        assert {passage.authorization for passage in gate.passages} == {""}


async def test_a_refused_certificate_of_a_plugin_is_replaced_on_new_connections(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    authority = Authority()
    status = tmp_path / "status"

    def become(name: str) -> None:
        certificate, key = authority.issue(name)
        replace(status, f'{{"clientCertificateData": {certificate!r}, "clientKeyData": {key!r}}}'.replace("'", '"'))

    become("first")
    valid = ["first"]
    async with Gate(server.url, authority, tmp_path, admits=lambda _, name: name in valid) as gate:
        user = plugin_printing(status, tmp_path / "log")
        more: dict[str, Any] = {"certificate-authority-data": encoded(authority.pem)}
        async with opened(kubeconfig(tmp_path / "config", gate.url, user, **more)) as api:
            await names(api)
            valid[:] = ["second"]
            become("second")
            await asyncio.sleep(1.1)
            assert await names(api) == ["c"]
        assert [(passage.client, passage.status) for passage in gate.passages] == [
            ("first", 200), ("first", 401), ("second", 200),
        ]  # fmt: skip


@virtual_time
async def test_g16_certificates_that_cannot_be_used_are_named(tmp_path: Path, server: FakeAPIServer) -> None:
    authority = Authority()
    path = tmp_path / "config"
    kubeconfig(path, "https://127.0.0.1:1", certificate_authority_data=encoded("no certificate"))
    with pytest.raises(ConfigurationError, match=f"the kubeconfig {path} cannot be used: its certificates: "):
        async with opened(path):
            pass
    certificate, key = authority.issue("a")[0], authority.issue("b")[1]
    user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    kubeconfig(path, "https://127.0.0.1:1", user)
    with pytest.raises(ConfigurationError, match="KEY_VALUES_MISMATCH"):
        async with opened(path):
            pass


@virtual_time
async def test_g16_a_server_is_trusted_blindly_only_if_the_kubeconfig_says_so(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    async with Gate(server.url, Authority(), tmp_path) as gate:
        async with opened(kubeconfig(tmp_path / "config", gate.url)) as api:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await names(api)
            assert api.configuration.verify_ssl
        async with opened(kubeconfig(tmp_path / "config", gate.url, insecure_skip_tls_verify=True)) as api:
            assert await names(api) == ["c"]


# -- the end ------------------------------------------------------------------------------------------------------


@virtual_time
async def test_g10_all_connections_are_closed_at_the_end_the_replaced_ones_too(
    server: FakeAPIServer, tmp_path: Path
) -> None:
    authority = Authority()
    ca = tmp_path / "ca"
    ca.write_text(authority.pem)
    async with Gate(server.url, authority, tmp_path) as gate:
        path = kubeconfig(tmp_path / "config", gate.url, certificate_authority="ca")
        async with opened(path) as api, watching(api):
            first = api.rest_client
            replace(ca, authority.pem + Authority("another").pem)
            await asyncio.sleep(1)
            await names(api)
            second = api.rest_client
        assert first is not second
        assert first.pool_manager.closed
        assert second.pool_manager.closed


@virtual_time
async def test_a_client_that_has_been_closed_makes_no_connections_again(server: FakeAPIServer, tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    ca.write_text(Authority().pem)
    async with opened(kubeconfig(tmp_path / "config", server.url, certificate_authority="ca")) as api:
        await api.close()
        ca.write_text(Authority().pem)
        await asyncio.sleep(1)
        with pytest.raises(RuntimeError, match="Session is closed"):
            await names(api)
        assert api.rest_client.pool_manager.closed


async def test_g10_who_is_cancelled_at_the_door_leaves_nothing(server: FakeAPIServer, tmp_path: Path) -> None:
    user = plugin_printing(tmp_path / "status", tmp_path / "log", before="time.sleep(60)")
    path = kubeconfig(tmp_path / "config", server.url, user, certificate_authority_data=encoded("x"))

    async def enter() -> None:
        async with opened(path):
            raise AssertionError("the plug-in does not end")

    entering = asyncio.create_task(enter())
    await asyncio.sleep(0.5)
    entering.cancel()
    await asyncio.wait((entering,), timeout=60)
    assert entering.cancelled()  # and no task or process is left, which is checked for every test


async def test_a_plugin_that_fails_is_told_before_there_is_a_client(server: FakeAPIServer, tmp_path: Path) -> None:
    user = plugin_printing(tmp_path / "status", tmp_path / "log", before="raise SystemExit('log in first')")
    with pytest.raises(CredentialsError, match="ended with exit code 1: log in first"):
        async with opened(kubeconfig(tmp_path / "config", server.url, user)):
            pass
