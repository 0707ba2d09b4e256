"""``kill -9`` at any moment under load: what comes after it is as if nothing had been stored, only quicker (G24)."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from kubernetes_asyncio import client

from aioinformers.testing import FakeAPIServer
from tests.chaos.kills import kill_and_compare
from tests.kit.realserver import RealAPIServer


@pytest.mark.once
async def test_g24_killed_on_the_embedded_server(tmp_path: Path) -> None:
    async with FakeAPIServer() as server:
        server.create("namespaces", {"metadata": {"name": "kube-system"}})
        assert await kill_and_compare(server.configuration(), "default", tmp_path, rounds=3, seed=1) >= 6


@pytest.mark.realserver
@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_g24_killed_a_hundred_times_on_the_real_server(real_server: RealAPIServer, tmp_path: Path) -> None:
    namespace = f"kills-{uuid.uuid4().hex[:8]}"
    async with real_server.api_client() as api:
        await client.CoreV1Api(api).create_namespace({"metadata": {"name": namespace}})
    warm = await kill_and_compare(real_server.configuration(), namespace, tmp_path, rounds=100, seed=1)
    assert warm >= 290
