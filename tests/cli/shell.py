"""Commands, run as users run them."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aioinformers.__main__ import main
from aioinformers.testing import FakeAPIServer
from tests.kit import child_process

__all__ = ["Result", "Shell", "complete_rows", "process", "stderr_of"]


@dataclass(frozen=True)
class Result:
    """How a command has ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The output, split where columns are."""
        return [re.split(r" {2,}", line.strip()) for line in self.out.splitlines()]


class Shell:
    """Runs commands in a thread, beside the server in the test's own loop."""

    def __init__(self, server: FakeAPIServer, kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.server = server
        self.kubeconfig = kubeconfig
        self._capsys = capsys

    async def run(self, *argv: str) -> Result:
        code = await asyncio.to_thread(main, argv)
        return Result(code, *self._capsys.readouterr())

    def configure(self, user: Mapping[str, Any] | None = None, **servers: str) -> None:
        """Write a kubeconfig with a context per server; ``fake`` is the current one."""
        servers = {"fake": self.server.url, **servers}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": name, "cluster": {"server": url}} for name, url in servers.items()],
            "users": [{"name": "me", "user": user or {}}],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": "me", "namespace": "shop"}} for name in servers
            ],
        }
        self.kubeconfig.write_text(json.dumps(config))

    def watches(self, resource: str) -> int:
        return sum(request.verb == "watch" and request.resource == resource for request in self.server.requests)


@asynccontextmanager
async def process(*argv: str, stdout: int = asyncio.subprocess.PIPE) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command line as a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "aioinformers", *argv]
    async with child_process(*command, stdout=stdout, stderr=asyncio.subprocess.PIPE) as child:
        yield child


async def stderr_of(child: asyncio.subprocess.Process) -> str:
    assert child.stderr is not None
    return (await child.stderr.read()).decode()


def complete_rows(summary: str) -> list[str]:
    """Return the resources of a summary whose adds, updates and deletes are all more than zero."""
    rows = [re.split(r" {2,}", line.strip()) for line in summary.splitlines()]
    return [row[0] for row in rows if len(row) == 6 and row[5] == "yes" and all(int(count) > 0 for count in row[2:5])]
