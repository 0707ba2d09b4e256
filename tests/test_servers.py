"""Servers as people run them end in time, whatever their clients hold open: real processes, real signals."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from aioinformers.testing import FakeAPIServer
from tests.kit import child_process, configmap, free_port
from tests.kit.kubeconfig import kubeconfig

ROOT = Path(__file__).resolve().parent.parent
APP = "tests.integrations.scene:app"
IN_TIME = 30.0
"""Seconds in which a server has to end, on a busy machine; those that are not told wait for streams for ever."""


class Connection:
    """A client that says no more than it has to, and hears every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.heard = b""

    @classmethod
    async def asking(cls, port: int, path: str) -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return cls(reader, writer)

    async def hear(self, words: bytes) -> bytes:
        """Read until some words have come."""
        async with asyncio.timeout(60):
            while words not in self.heard:
                some = await self._reader.read(65536)
                assert some, f"ended after {self.heard!r}"
                self.heard += some
        return self.heard

    async def hear_out(self) -> bytes:
        """Read until the server ends the connection."""
        async with asyncio.timeout(60):
            self.heard += await self._reader.read()
        self._writer.close()
        return self.heard


@asynccontextmanager
async def asked(port: int, path: str) -> AsyncIterator[bytes]:
    """Give the answer to a request, on a connection that stays open."""
    connection = await Connection.asking(port, path)
    yield await connection.hear(b"\r\n\r\n")
    await connection.hear_out()


@asynccontextmanager
async def group(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program that has ended when the block does, and whatever it has started, too."""
    async with child_process(*command, start_new_session=True, **options) as child:
        try:
            yield child
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


async def until_served(port: int, child: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60):
        while True:
            assert child.returncode is None, "the server has ended"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def a_server_ends(tmp_path: Path, *command: str, workers: int = 1, cuts: bool = False) -> int | None:
    """Run a server, have clients hold open what can be held open, and send SIGTERM.

    Args:
        tmp_path: A folder.
        command: The module of the server, and its options.
        workers: How many of its processes run the app.
        cuts: It cuts streams off, as it does not tell the processes that run the app in time.

    Returns:
        Its exit code.
    """
    port = free_port()
    line = [sys.executable, "-m", *(word.format(port=port) for word in command)]
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig")}
    async with FakeAPIServer() as server:
        server.create("configmaps", configmap("a", "shop"))
        (tmp_path / "kubeconfig").write_text(kubeconfig(server.url))
        pipe = asyncio.subprocess.PIPE
        async with group(*line, cwd=ROOT, env=environment, stdout=pipe) as child:
            await until_served(port, child)
            async with asked(port, "/_informers/statusz") as status:
                assert b" 200" in status.splitlines()[0]
                streams = [await Connection.asking(port, "/events") for _ in range(3)]
                for stream in streams:
                    await stream.hear(b'"key":"shop/a"')
                wait = await Connection.asking(port, "/wait/never")
                assert child.stdout is not None
                async with asyncio.timeout(60):
                    while await child.stdout.readline() != b"waits for never\n":
                        pass

                child.send_signal(signal.SIGTERM)
                async with asyncio.timeout(IN_TIME):
                    code = await child.wait()
                for stream in streams:
                    assert (await stream.hear_out()).endswith(b"\r\n0\r\n\r\n") is not cuts
                answer = (await wait.hear_out()).lower()
                if not cuts:
                    assert b" 503" in answer.splitlines()[0]
                    assert b"retry-after: 1" in answer
                    assert answer.endswith(b'{"detail":"the server is stopping"}')
            said = (await child.stdout.read()).decode()
    assert [said.count(f"the {what} has ended\n") for what in ("factory", "lifespan")] == [workers, workers]
    return code


async def test_uvicorn_ends(tmp_path: Path) -> None:
    """Without us it waits for open streams for ever."""
    assert await a_server_ends(tmp_path, "uvicorn", APP, "--port={port}", "--log-level=warning") == -signal.SIGTERM


async def test_hypercorn_ends(tmp_path: Path) -> None:
    """In a process of its own, as one runs it in a Pod."""
    assert await a_server_ends(tmp_path, "hypercorn", APP, "--bind=127.0.0.1:{port}", "--workers=0") == 0


@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info >= (3, 12),
    reason="from Python 3.12 on hypercorn's workers wait for open streams without limit",
)
async def test_hypercorn_ends_its_workers(tmp_path: Path) -> None:
    """They get no signal: after its graceful timeout of 3 s it cancels what goes on."""
    assert await a_server_ends(tmp_path, "hypercorn", APP, "--bind=127.0.0.1:{port}", cuts=True) == 0


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("granian") is None, reason="granian has no wheel for this Python")
async def test_granian_ends(tmp_path: Path) -> None:
    """Without us it waits for open streams for ever, too."""
    command = ("granian", APP, "--interface=asgi", "--host=127.0.0.1", "--port={port}", "--no-log")
    assert await a_server_ends(tmp_path, *command) == 0


@pytest.mark.slow
async def test_workers_of_uvicorn_end(tmp_path: Path) -> None:
    """Each has its own factory."""
    command = ("uvicorn", APP, "--port={port}", "--log-level=warning", "--workers=2")
    assert await a_server_ends(tmp_path, *command, workers=2) in (0, -signal.SIGTERM)
