"""Requests to an embedded server, and the time that passes meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from aioinformers.testing import FakeAPIServer, run_virtual

__all__ = [
    "PODS", "Scenario", "in_virtual_time", "now", "read", "session", "some_turns", "timeline", "wait_for_watch",
]  # fmt: skip

PODS = "/api/v1/pods"
Scenario = Callable[[FakeAPIServer, aiohttp.ClientSession], Coroutine[Any, Any, None]]


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(), headers={"Accept-Encoding": "identity"})


def in_virtual_time(scenario: Scenario, **options: Any) -> None:
    async def main() -> None:
        async with FakeAPIServer(**options) as server, session() as client:
            await scenario(server, client)

    run_virtual(main())


def now() -> float:
    return asyncio.get_running_loop().time()


async def timeline(response: aiohttp.ClientResponse) -> list[tuple[float, str]]:
    """When which line came, and when the end."""
    lines = [(now(), json.loads(line)["type"]) async for line in response.content]
    return [*lines, (now(), "END")]


async def read(http: aiohttp.ClientSession, url: str, into: bytearray | None = None) -> bytes:
    """Watch to the end; what came before an error is in ``into``."""
    body = bytearray() if into is None else into
    async with http.get(url, params={"watch": "1"}) as response:
        async for chunk in response.content.iter_any():
            body += chunk
    return bytes(body)


async def wait_for_watch(server: FakeAPIServer, *, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while sum(request.verb == "watch" for request in server.requests) < count:
            await asyncio.sleep(0.001)
    await some_turns()


async def some_turns() -> None:
    """Let the loop do what is ready on both sides of a connection, however late each of its turns is."""
    for _ in range(20):
        await asyncio.sleep(0.001)
