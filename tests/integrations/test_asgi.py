"""The ASGI application, mounted and by itself."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from aioinformers import SharedInformerFactory
from aioinformers.controllers import Controller
from aioinformers.integrations.asgi import status_app
from aioinformers.integrations.lifecycle import KEY, AppState
from aioinformers.testing import FakeAPIServer
from tests.integrations.page.test_viewing import timers
from tests.kit import configmap

pytestmark = pytest.mark.virtual_time


async def test_it_answers_by_itself_and_mounted_in_fastapi() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        server.create("configmaps", configmap("a"))
        factory.core.v1.configmaps()
        alone, outer = status_app(factory), FastAPI()
        outer.mount("/_informers", status_app(factory))
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        apps: list[tuple[Any, str]] = [(alone, ""), (outer, "/_informers")]
        for app, prefix in apps:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as http:
                ready = await http.get(f"{prefix}/readyz")
                assert (ready.status_code, ready.text) == (200, "ok\n")
                assert "configmaps.v1: LIVE for 0.0 s, 1 objects" in (await http.get(f"{prefix}/statusz")).text
                assert "aioinformers_objects" in (await http.get(f"{prefix}/metrics")).text
                page = await http.get(f"{prefix}/")
                assert page.headers["content-type"] == "text/html; charset=utf-8"
                (style,) = re.findall(r'href="(static/[^"]+css)"', page.text)
                assert (await http.get(page.url.join(style))).headers["cache-control"].endswith("immutable")
                head = await http.head(f"{prefix}/readyz")
                assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "3")
                assert head.headers["cache-control"] == "no-store"
                assert (await http.post(f"{prefix}/readyz")).status_code == 405


async def test_it_has_a_lifespan_with_nothing_in_it() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        received = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent: list[str] = []

        async def receive() -> Any:
            return next(received)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await status_app(factory)({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        with pytest.raises(RuntimeError, match="this answers HTTP requests, and no websocket"):
            await status_app(factory)({"type": "websocket"}, receive, send)


async def asked(app: Any, path: str, state: Any = None) -> httpx.Response:
    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {} if state is None else {KEY: state}}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(with_state), base_url="http://localhost") as http:
        return await http.get(path)


async def test_without_a_factory_it_shows_that_of_the_app() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        app, state, again = status_app(), AppState(), AppState()
        assert (await asked(app, "/readyz", state)).text == "the server was told to stop before it had begun\n"
        async with SharedInformerFactory(api, name="one") as state.factory:
            state.factory.core.v1.configmaps()
            assert (await asked(app, "/readyz", state)).status_code == 503
            await state.factory.wait_for_cache_sync(timeout=5)
            assert (await asked(app, "/readyz", state)).text == "ok\n"
            assert "factory one" in (await asked(app, "/statusz", state)).text
        server.fail("* configmaps", 503, times=None)
        async with SharedInformerFactory(api, name="two") as again.factory:
            again.factory.core.v1.configmaps()
            assert (await asked(app, "/readyz", again)).status_code == 503, "that the first one was ready is its own"
            assert "factory two" in (await asked(app, "/statusz", again)).text


async def test_without_any_factory_it_says_what_to_do() -> None:
    answer = await asked(status_app(), "/readyz")
    assert answer.status_code == 500
    assert "give it one, or mount it in an app with FastAPI(lifespan=informers(build))" in answer.text


async def test_controllers_are_shown_where_the_factory_is_found() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        state = AppState()
        state.factory = factory
        configmaps = factory.core.v1.configmaps()

        async def reconcile(_: Any) -> None: ...

        async with Controller(configmaps, name="mine", reconcile=reconcile).running():
            assert "\n  mine: " in (await asked(status_app(), "/statusz", state)).text
            assert "mine: " not in (await asked(status_app(controllers=()), "/statusz", state)).text
            assert "\n  mine: " in (await asked(status_app(factory), "/statusz")).text, "however it is mounted"


async def test_the_page_is_found_without_the_slash_at_the_end_of_the_mount_and_behind_a_prefix() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        transport = httpx.ASGITransport(status_app(factory), root_path="/behind/a/proxy/_informers")
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as http:
            moved = await http.get("/behind/a/proxy/_informers")
            assert (moved.status_code, moved.headers["location"]) == (307, "_informers/")
            page = await http.get(moved.url.join(moved.headers["location"]))
            assert page.text.startswith("<!doctype html>")
            (script, _) = re.findall(r'src="(static/[^"]+js)"', page.text)
            assert (await http.get(page.url.join(script))).status_code == 200


async def test_nothing_is_measured_any_more_when_the_server_ends() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        app = status_app(factory)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as http:
            await http.get("/")
        assert timers() == 1
        received = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(received)

        async def send(message: Any) -> None: ...

        await app({"type": "lifespan"}, receive, send)
        assert timers() == 0


def test_what_is_no_factory_is_refused() -> None:
    with pytest.raises(TypeError, match=r"status_app\(\) takes a SharedInformerFactory, not 'factory'"):
        status_app("factory")  # type: ignore[arg-type]  # what is tested
