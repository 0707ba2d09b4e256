"""A client's requests over connections of its own: what is the user's stays the user's."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import kubernetes.aio.client as aio
import pytest
from kubernetes_asyncio import client

from aioinformers.errors import ConnectionFailedError
from aioinformers.settings import Settings
from aioinformers.testing import FakeAPIServer
from aioinformers.transport.apart import ApartClient
from aioinformers.transport.source import Source
from tests.kit.gate import Authority, Gate

virtual_time = pytest.mark.virtual_time
PATH = "/api/v1/namespaces/default/configmaps"


def client_of(server: FakeAPIServer, which: str) -> Any:
    """Return a client of a kind, with room for one connection."""
    known = server.configuration()
    if which == "kubernetes_asyncio":
        known.connection_pool_maxsize = 1
        known.api_key = {"BearerToken": "Bearer right"}
        return client.ApiClient(known)
    other = aio.Configuration(host=known.host, connection_pool_maxsize=1)
    other.api_key = {"BearerToken": "right"}
    other.api_key_prefix = {"BearerToken": "Bearer"}
    return aio.ApiClient(other)


@virtual_time
@pytest.mark.parametrize("which", ["kubernetes_asyncio", "kubernetes.aio"])
async def test_a_pool_that_is_full_of_watches_holds_nothing_up(which: str) -> None:
    async with FakeAPIServer() as server:
        api = client_of(server, which)
        apart = ApartClient(api, 1)
        try:
            async with Source(api, Settings()).open(PATH, {"watch": "true"}, header_timeout=10):
                with pytest.raises(ConnectionFailedError, match="all 1 connections of the API client are in use"):
                    await Source(api, Settings()).send("POST", PATH, b'{"metadata":{"name":"c"}}', timeout=5)
                made = await Source(apart, Settings()).send("POST", PATH, b'{"metadata":{"name":"c"}}', timeout=5)
                assert b'"uid"' in made
            assert apart.connector is not None
            assert apart.connector.limit == 1
            assert server.requests[-1].headers["authorization"] == "Bearer right"
        finally:
            await apart.aclose()
            await api.close()
        await asyncio.sleep(1)
        assert server.connections == 0


@virtual_time
@pytest.mark.parametrize("which", ["kubernetes_asyncio", "kubernetes.aio"])
async def test_a_client_that_is_closed_makes_no_requests_apart_either(which: str) -> None:
    async with FakeAPIServer() as server:
        api = client_of(server, which)
        apart = ApartClient(api)
        await Source(apart, Settings()).read_json("/version")
        if which == "kubernetes.aio":  # it makes its own connections with its first request
            await Source(api, Settings()).read_json("/version")
        await api.close()
        assert apart.is_closed
        with pytest.raises(ConnectionFailedError, match="the API client has been closed"):
            await Source(apart, Settings()).send("POST", PATH, b"{}", timeout=5)
        await apart.aclose()
        await apart.aclose()


@virtual_time
async def test_connections_that_the_client_has_renewed_are_renewed_here() -> None:
    """As those with other certificates, after a rotation."""
    async with FakeAPIServer() as server:
        api = client_of(server, "kubernetes_asyncio")
        apart = ApartClient(api)
        before = apart.session
        assert apart.session is before
        replaced, api.rest_client = api.rest_client, type(api.rest_client)(api.configuration)
        source = Source(apart, Settings())
        await source.read_json("/version")
        after = apart.session
        assert after is not before
        await source.read_json("/version")
        assert before.closed
        assert not after.closed
        await apart.aclose()
        assert after.closed
        await replaced.close()
        await api.close()


@virtual_time
async def test_a_client_whose_connections_nobody_can_describe_shares_them(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server:
        api = client_of(server, "kubernetes_asyncio")
        await api.rest_client.pool_manager.close()
        api.rest_client.pool_manager = aiohttp.ClientSession(connector=aiohttp.UnixConnector("/run/none"))
        apart = ApartClient(api)
        assert apart.session is apart.session is api.rest_client.pool_manager
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "the API client connects by a UnixConnector" in record.getMessage()
        await apart.aclose()
        assert not api.rest_client.pool_manager.closed
        await api.close()


@virtual_time
async def test_g16_connections_apart_are_made_with_the_very_tls_settings_of_the_client(tmp_path: Path) -> None:
    """Whatever its configuration says by now: a user may have given it other connections."""
    authority = Authority()
    async with FakeAPIServer() as server, Gate(server.url, authority, tmp_path) as gate:
        api = client.ApiClient(client.Configuration(host=gate.url))
        await api.rest_client.pool_manager.close()
        trusted = ssl.create_default_context(cadata=authority.pem)
        api.rest_client.pool_manager = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted), headers={"X-Of-Session": "1"}
        )
        apart = ApartClient(api)
        await Source(apart, Settings()).read_json("/version")
        assert server.requests[-1].headers["x-of-session"] == "1"
        assert apart.session is not api.rest_client.pool_manager
        await apart.aclose()
        await api.close()
    await asyncio.sleep(1)
