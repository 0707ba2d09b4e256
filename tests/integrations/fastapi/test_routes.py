"""What an app's routes depend on is found wherever it is."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket, routing
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Host, Mount

from aioinformers.integrations.fastapi.routes import dependencies_of


async def one() -> str:
    return ""


async def two(found: Annotated[str, Depends(one)]) -> str:
    return found


async def three() -> str:
    return ""


def app_with(call: Any, **options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.get("/", dependencies=[Depends(call)])
    async def route() -> None: ...

    return app


def test_dependencies_of_dependencies_are_found_and_each_once() -> None:
    app = app_with(two)

    @app.get("/again", dependencies=[Depends(one), Depends(three)])
    async def route() -> None: ...

    assert list(dependencies_of(app)) == [two, one, three]


def test_those_of_the_app_and_of_websockets_are_found() -> None:
    app = FastAPI(dependencies=[Depends(three)])

    @app.websocket("/ws")
    async def socket(socket: WebSocket, found: Annotated[str, Depends(one)]) -> None: ...

    assert set(dependencies_of(app)) == {one, three}


def test_included_routers_are_looked_into() -> None:
    inner, outer, app = APIRouter(), APIRouter(dependencies=[Depends(three)]), FastAPI()

    @inner.get("/")
    async def route(found: Annotated[str, Depends(one)]) -> str:
        return found

    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/outer", dependencies=[Depends(two)])
    assert set(dependencies_of(app)) == {one, two, three}


def test_older_versions_have_only_flat_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(routing, "iter_route_contexts", raising=False)
    assert list(dependencies_of(app_with(two))) == [two, one]


@pytest.mark.parametrize(
    "outer",
    [
        lambda inner: Starlette(routes=[Mount("/inner", app=inner)]),
        lambda inner: Starlette(routes=[Mount("/inner", app=inner, middleware=[Middleware(GZipMiddleware)])]),
        lambda inner: Starlette(routes=[Mount("/inner", app=GZipMiddleware(GZipMiddleware(inner)))]),
        lambda inner: Starlette(routes=[Mount("/a", routes=[Mount("/b", app=inner)])]),
        lambda inner: Starlette(routes=[Host("inner.example.com", app=inner)]),
        lambda inner: GZipMiddleware(inner),
    ],
    ids=["mount", "mount with middleware", "wrapped", "nested", "host", "the app itself"],
)
def test_mounted_apps_are_looked_into(outer: Any) -> None:
    assert list(dependencies_of(outer(app_with(one)))) == [one]


def test_an_app_that_is_mounted_in_itself_ends() -> None:
    app = app_with(one)
    app.mount("/again", app)
    assert list(dependencies_of(app)) == [one]


def test_what_is_overridden_is_not_called() -> None:
    app = app_with(two)
    app.mount("/inner", app_with(one))
    app.dependency_overrides[two] = three
    assert list(dependencies_of(app)) == [one], "the mounted app has its own"


def test_in_other_apps_there_is_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert list(dependencies_of(app)) == []
    assert list(dependencies_of(None)) == []
