"""A server, and a command line that is configured for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aioinformers.testing import FakeAPIServer
from tests.cli.shell import Shell
from tests.kit import configmap, pod


@pytest.fixture
async def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shell]:
    async with FakeAPIServer() as server:
        server.create("pods", pod("web-1", "shop", app="web"))
        server.create("pods", pod("web-2", "shop", app="web", tier="front"))
        server.create("pods", pod("db-1", "data", app="db"))
        server.create("configmaps", configmap("settings", "shop", level="info"))
        server.create("nodes", {"metadata": {"name": "n1"}})
        server.add_resource("widgets.v1.example.com", "Widget", short_names=["wd"])
        server.create("widgets", {"metadata": {"name": "red", "namespace": "shop"}, "status": {"phase": "Painted"}})
        found = Shell(server, tmp_path / "kubeconfig", capsys)
        found.configure()
        monkeypatch.setenv("KUBECONFIG", str(found.kubeconfig))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        yield found
