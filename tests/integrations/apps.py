"""Apps as servers run them, in the loop of a test: their lifespan, their requests, their streams."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx

from aioinformers import SharedInformerFactory
from aioinformers.testing import FakeAPIServer
from tests.kit import QUICK

__all__ = ["Streamed", "build_on", "client_of", "served", "streamed"]


def client_of(app: Any) -> Any:
    """Return Starlette's client of an app, which runs it in a loop and a thread of its own."""
    with warnings.catch_warnings():  # it wants another version of httpx than others do
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient
    return TestClient(app)


def build_on(server: FakeAPIServer, **options: Any) -> Callable[[], AsyncIterator[SharedInformerFactory]]:
    """Return what makes a factory on a server."""

    async def build() -> AsyncIterator[SharedInformerFactory]:
        async with server.api_client() as api, SharedInformerFactory(api, settings=QUICK, **options) as factory:
            yield factory

    return build


class Served:
    """An app whose lifespan has begun; itself an app, with the state of that."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self, raise_app_exceptions=False), base_url="http://localhost"
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "state": self.state.copy()}, receive, send)

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path)


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[Served]:
    """Run the lifespan of an app around a block, as servers do; raises what it says that went wrong."""
    found = Served(app)
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()

    async def run() -> None:
        try:
            await app({"type": "lifespan", "state": found.state}, inbox.get, outbox.put)
        finally:
            outbox.put_nowait({"type": "the end"})

    async def told(what: str) -> None:
        inbox.put_nowait({"type": f"lifespan.{what}"})
        message = await outbox.get()
        if message["type"] != f"lifespan.{what}.complete":
            await running
            raise AssertionError(message)

    running = asyncio.create_task(run())
    try:
        await told("startup")
        yield found
        await told("shutdown")
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await found.http.aclose()


class Streamed:
    """A streamed answer, as the client gets it."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[Any] = asyncio.Queue()
        self.left = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.text = ""
        self.running: asyncio.Task[None] | None = None
        self.error: Exception | None = None
        """What sending raises from now on."""

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.room.wait()
        if self.error is not None:
            raise self.error
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.chunks.put_nowait(message)

    async def until(self, words: str) -> str:
        """Take what is sent up to some words, and return it."""
        while words not in self.text:
            message = await self.chunks.get()
            self.text += message["body"].decode()
            if not message.get("more_body"):
                assert words in self.text, f"ended after {self.text!r}"
        before, _, self.text = self.text.partition(words)
        return before + words

    async def event(self) -> Any:
        """Return the next event."""
        text = await self.until("\n\n")
        while text == ":\n\n":
            text = await self.until("\n\n")
        return json.loads(text.removeprefix("data: "))

    async def rest(self) -> str:
        """Return what is sent until the answer has ended."""
        while True:
            message = await self.chunks.get()
            self.text += message["body"].decode()
            if not message.get("more_body"):
                return self.text


@asynccontextmanager
async def streamed(app: Callable[[Any, Any, Any], Coroutine[Any, Any, None]], path: str) -> AsyncIterator[Streamed]:
    """Ask for something that is streamed; the client leaves at the end of the block."""
    answer = Streamed()
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "", "scheme": "http",
        "query_string": b"", "headers": [(b"host", b"localhost")], "http_version": "1.1", "asgi": {"version": "3.0"},
        "server": ("localhost", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    running = answer.running = asyncio.create_task(app(scope, answer.receive, answer.send), name=f"GET {path}")
    try:
        yield answer
        answer.left.set()
        await asyncio.wait_for(running, 5)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
