"""Fixtures: the embedded API server, the real one, and either of them for tests that hold for both."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Protocol

import pytest

from aioinformers.testing import FakeAPIServer
from tests.kit.realserver import BinariesMissingError, RealAPIServer, find_binaries

if TYPE_CHECKING:
    from kubernetes_asyncio import client


class APIServer(Protocol):
    """What the embedded and the real server have in common."""

    @property
    def url(self) -> str: ...

    def configuration(self) -> client.Configuration: ...

    def api_client(self) -> client.ApiClient: ...


def real_server_with(*flags: str) -> RealAPIServer:
    """Return a real server that has not started, or skip the test."""
    try:
        return RealAPIServer(find_binaries(), flags=flags)
    except BinariesMissingError as error:
        if os.environ.get("AIOINFORMERS_REQUIRE_APISERVER") == "1":
            pytest.fail(f"the real API server is required: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def real_server() -> Iterator[RealAPIServer]:
    """One real server per worker: tests keep to namespaces of their own."""
    with real_server_with() as server:
        yield server


@pytest.fixture
async def fake_server() -> AsyncIterator[FakeAPIServer]:
    """A fresh embedded server."""
    async with FakeAPIServer() as server:
        yield server


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.realserver)])
async def api_server(request: pytest.FixtureRequest) -> AsyncIterator[APIServer]:
    """Either server."""
    if request.param == "real":
        real: RealAPIServer = request.getfixturevalue("real_server")
        yield real
        return
    async with FakeAPIServer() as fake:
        yield fake
