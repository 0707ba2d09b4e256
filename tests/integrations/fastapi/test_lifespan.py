"""The lifespan that runs informers, from its start to its end, and whatever comes between."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import json
import logging
import multiprocessing
import re
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from kubernetes_asyncio import client
from starlette.applications import Starlette

from aioinformers import CacheSyncError, Lister, SharedInformerFactory
from aioinformers.informer import pipeline_of
from aioinformers.integrations.asgi import status_app
from aioinformers.integrations.fastapi import InformersLifespan, informers
from aioinformers.integrations.fastapi.dependencies import informer_of, lister_of
from aioinformers.integrations.fastapi.events import EventStream, events_of
from aioinformers.integrations.lifecycle import KEY
from aioinformers.testing import FakeAPIServer
from tests.integrations.apps import build_on, client_of, served, streamed
from tests.kit import configmap, until

ConfigMaps = Annotated[Lister[client.V1ConfigMap], lister_of(client.V1ConfigMap)]


def app_with(lifespan: InformersLifespan) -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    app.mount("/_informers", status_app())

    @app.get("/names")
    async def names(configmaps: ConfigMaps) -> list[str]:
        return [each.metadata.name for each in configmaps]

    @app.get("/events")
    async def events(configmaps: Annotated[Any, informer_of(client.V1ConfigMap)]) -> EventStream:
        return events_of(configmaps)

    return app


# -- the start ----------------------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_it_serves_once_all_caches_have_synced() -> None:
    async with FakeAPIServer() as server:
        server.create("configmaps", configmap("a"))
        outer = app_with(informers(build_on(server)))
        inner = FastAPI()

        @inner.get("/secrets")
        async def secrets(found: Annotated[Any, lister_of("secrets.v1.")]) -> int:
            return len(found)

        outer.mount("/inner", inner)
        async with served(outer) as app:
            assert (await app.get("/names")).json() == ["a"]
            assert (await app.get("/inner/secrets")).json() == 0
            status = await app.get("/_informers/readyz?verbose")
            assert status.text.splitlines()[1:] == [
                "[+]configmaps.v1 ok",
                "[+]secrets.v1 [as dict] ok",
                "readyz check passed",
            ]


@pytest.mark.virtual_time
async def test_late_caches_are_waited_for_no_longer_than_said(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server:
        heal = server.fail("* configmaps", 503, times=None)
        begin = loop.time()
        async with served(app_with(informers(build_on(server), sync_timeout=7))) as app:
            assert loop.time() - begin == pytest.approx(7, abs=0.5)
            assert "the app serves nevertheless, and answers 503 where a cache is needed: 1 cache(s)" in caplog.text
            assert (await app.get("/names")).status_code == 503
            assert (await app.get("/_informers/readyz")).status_code == 503
            heal()
            await asyncio.sleep(60)
            assert (await app.get("/names")).status_code == 200
        server.fail("* configmaps", 503, times=None)
        begin = loop.time()
        async with served(app_with(informers(build_on(server), sync_timeout=0))):
            assert loop.time() - begin < 1
        begin = loop.time()
        with pytest.raises(CacheSyncError, match=r"did not sync within 7 s: configmaps\.v1"):
            async with served(app_with(informers(build_on(server), sync_timeout=7, on_timeout="fail"))):
                pass
        assert loop.time() - begin == pytest.approx(7, abs=0.5)


@pytest.mark.virtual_time
async def test_a_start_without_limit_waits_as_long_as_it_takes() -> None:
    loop = asyncio.get_running_loop()
    async with FakeAPIServer() as server:
        heal = server.fail("* configmaps", 503, times=None)
        loop.call_later(600, heal)
        async with served(app_with(informers(build_on(server), sync_timeout=None, on_timeout="fail"))) as app:
            assert loop.time() >= 600
            assert (await app.get("/names")).status_code == 200


@pytest.mark.virtual_time
@pytest.mark.parametrize("on_timeout", ["serve", "fail"])
async def test_a_cache_that_cannot_sync_any_more_is_not_waited_for(
    on_timeout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug has ended its informer: with "serve" the liveness probe tells."""
    async with FakeAPIServer() as server:
        server.create("configmaps", configmap("a"))
        build_it = build_on(server)

        async def bug(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("a bug at 10.0.0.1")

        async def build() -> AsyncIterator[SharedInformerFactory]:
            async with contextlib.asynccontextmanager(build_it)() as factory:
                monkeypatch.setattr(pipeline_of(factory.core.v1.configmaps()).dispatcher, "run", bug)
                yield factory

        lifespan = informers(build, sync_timeout=None, on_timeout=on_timeout)
        if on_timeout == "fail":
            with pytest.raises(CacheSyncError):
                async with served(app_with(lifespan)):
                    pass
            return
        async with served(app_with(lifespan)) as app:
            assert (await app.get("/names")).json() == {"detail": "the cache has failed"}
            assert (await app.get("/_informers/livez")).status_code == 503
            async with streamed(app, "/events") as answer:
                assert json.loads(await answer.rest())["detail"] == "configmaps.v1 cannot be read: its cache has failed"


@pytest.mark.virtual_time
async def test_a_build_that_fails_ends_the_start_and_leaves_nothing() -> None:
    ended: list[str] = []

    async def build() -> AsyncIterator[SharedInformerFactory]:
        raise ConnectionError("no cluster")
        yield

    @asynccontextmanager
    async def own(_: Any) -> AsyncIterator[None]:
        try:
            yield
        finally:
            ended.append("own")

    with pytest.raises(ConnectionError, match="no cluster"):
        async with served(app_with(informers(build, lifespan=own))):
            pass
    assert ended == ["own"]


# -- a lifespan of one's own --------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_it_composes_with_a_lifespan_of_ones_own() -> None:
    order: list[str] = []
    apps: list[Any] = []

    @asynccontextmanager
    async def own(app: Any) -> AsyncIterator[dict[str, Any]]:
        apps.append(app)
        order.append("own begins")
        yield {"database": "db"}
        order.append("own ends")

    async with FakeAPIServer() as server:
        build_it = build_on(server)

        async def build() -> AsyncIterator[SharedInformerFactory]:
            order.append("build begins")
            async with contextlib.asynccontextmanager(build_it)() as factory:
                yield factory
                assert factory.is_started
            order.append("build ends")

        app = app_with(informers(build, lifespan=own))

        @app.get("/state")
        async def state(request: Request) -> str:
            return str(request.state.database)

        async with served(app) as running:
            assert (await running.get("/state")).json() == "db"
            assert (await running.get("/names")).json() == []
    assert order == ["own begins", "build begins", "build ends", "own ends"]
    assert apps == [app]


@pytest.mark.virtual_time
async def test_starlette_has_it_too() -> None:
    """Its routes have no dependencies; the status finds the factory all the same."""
    async with FakeAPIServer() as server:
        build_it = build_on(server)

        async def build() -> AsyncIterator[SharedInformerFactory]:
            async with contextlib.asynccontextmanager(build_it)() as factory:
                factory.core.v1.configmaps()
                yield factory

        app = Starlette(lifespan=informers(build))
        app.mount("/_informers", status_app())
        async with served(app) as running:
            assert re.search(r"configmaps\.v1: .*, 0 objects", (await running.get("/_informers/statusz")).text)


# -- several ------------------------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_two_apps_in_one_process_have_nothing_in_common() -> None:
    async with FakeAPIServer() as one, FakeAPIServer() as two:
        one.create("configmaps", configmap("one"))
        two.create("configmaps", configmap("two"))
        async with served(app_with(informers(build_on(one)))) as first:
            async with served(app_with(informers(build_on(two)))) as second:
                assert (await first.get("/names")).json() == ["one"]
                assert (await second.get("/names")).json() == ["two"]
                second.state[KEY].stop()
                assert (await first.get("/_informers/readyz")).status_code == 200
                async with streamed(first, "/events") as answer:
                    assert (await answer.event())["key"] == "default/one"
            assert (await first.get("/names")).json() == ["one"]


def test_one_app_is_served_by_one_loop_after_another() -> None:
    """As a test suite does it; nothing of a loop stays behind."""
    servers: list[FakeAPIServer] = []

    async def build() -> AsyncIterator[SharedInformerFactory]:
        async with servers[-1].api_client() as api, SharedInformerFactory(api) as factory:
            yield factory

    app = app_with(informers(build))

    async def once(number: int) -> None:
        async with FakeAPIServer() as server:
            servers.append(server)
            server.create("configmaps", configmap(f"a{number}"))
            async with served(app) as running:
                assert (await running.get("/names")).json() == [f"a{number}"]
                assert (await running.get("/_informers/readyz")).status_code == 200
        assert len(asyncio.all_tasks()) == 1

    for number in range(3):
        asyncio.run(once(number))


# -- the end ------------------------------------------------------------------------------------------------------


@pytest.fixture
def server_hears() -> Iterator[list[int]]:
    """A server's own handlers of signals, and what they have been told."""
    told: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda number, _: told.append(number)) for number in numbers}
    yield told
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_streams_before_the_server_ends_anything(number: int, server_hears: list[int]) -> None:
    found = signal.getsignal(number)
    async with FakeAPIServer() as server:
        server.create("configmaps", configmap("a"))
        async with served(app_with(informers(build_on(server)))) as app, streamed(app, "/events") as answer:
            await answer.event()
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert server_hears == [number, number]
            assert await asyncio.wait_for(answer.rest(), 60) == ""
            assert (await app.get("/names")).json() == ["a"], "requests are answered until the server ends them"
    assert signal.getsignal(number) is found


async def test_it_can_be_told_not_to_hear_signals(server_hears: list[int]) -> None:
    found = signal.getsignal(signal.SIGTERM)
    async with FakeAPIServer() as server:
        lifespan = informers(build_on(server), signals=False)
        async with served(app_with(lifespan)) as app, streamed(app, "/events") as answer:
            assert signal.getsignal(signal.SIGTERM) is found
            await answer.until("\n\n")
            lifespan.stop()
            assert await asyncio.wait_for(answer.rest(), 60) == ""
        lifespan.stop()


@pytest.mark.parametrize("is_worker", [True, False])
async def test_a_worker_that_hears_no_signal_says_so(
    is_worker: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As those of hypercorn, whose main process handles signals for all; a test is no worker, and has none either."""
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object() if is_worker else None)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        async with FakeAPIServer() as server, served(app_with(informers(build_on(server)))):
            pass
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ("this worker process hears no SIGTERM" in caplog.text) is is_worker


async def hang(_: Any = None) -> AsyncIterator[Any]:
    await asyncio.sleep(3600)
    yield


@pytest.mark.parametrize("phase", ["build", "caches"])
async def test_a_signal_ends_the_start(phase: str, server_hears: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """The server waits for the start, and only then sees that it is to stop."""
    caplog.set_level(logging.INFO, "aioinformers.fastapi")
    found = signal.getsignal(signal.SIGTERM)

    async def interrupt() -> None:
        await until(lambda: signal.getsignal(signal.SIGTERM) is not found)
        await asyncio.sleep(0.1)
        signal.raise_signal(signal.SIGTERM)

    async with FakeAPIServer() as server, asyncio.TaskGroup() as tasks:
        server.fail("* configmaps", 503, times=None)
        build = hang if phase == "build" else build_on(server)
        tasks.create_task(interrupt())
        async with asyncio.timeout(60), served(app_with(informers(build))) as app:
            assert server_hears == [signal.SIGTERM]
            for path in ("/names", "/events"):
                assert (await app.get(path)).status_code == 503
            answer = await app.get("/_informers/readyz")
            assert answer.status_code == 503
            if phase == "build":
                assert answer.text == "the server was told to stop before it had begun\n"
                assert "told to stop before its factory was made" in caplog.text


@pytest.mark.virtual_time
@pytest.mark.parametrize("phase", ["build", "caches", "serving"])
async def test_a_cancelled_lifespan_leaves_nothing(phase: str) -> None:
    """As a server's deadline for the start cancels it. That no task is left is seen to for all tests."""
    ended = asyncio.Event()
    async with FakeAPIServer() as server:
        if phase == "caches":
            server.fail("* configmaps", 503, times=None)
        inner = hang if phase == "build" else build_on(server)

        async def build() -> AsyncIterator[SharedInformerFactory]:
            try:
                async with contextlib.asynccontextmanager(inner)() as factory:
                    yield factory
            finally:
                ended.set()

        app = app_with(informers(build))
        context = app.router.lifespan_context(app)

        async def run() -> None:
            async with context:
                await asyncio.sleep(3600)

        task = asyncio.create_task(run())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()


async def test_uvicorn_in_a_thread_is_told_to_stop() -> None:
    """No signal reaches it; Python lets only the main thread hear them."""
    async with FakeAPIServer() as server:
        server.create("configmaps", configmap("a"))
        lifespan = informers(build_on(server))
        config = uvicorn.Config(app_with(lifespan), host="127.0.0.1", port=0, log_level="warning", ws="none")
        http = uvicorn.Server(config)
        thread = threading.Thread(target=http.run)
        thread.start()
        try:
            await until(lambda: http.started or not thread.is_alive())
            port = http.servers[0].sockets[0].getsockname()[1]
            async with (
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as browser,
                browser.stream("GET", "/events") as answer,
            ):
                lines = answer.aiter_lines()
                while "default/a" not in await anext(lines):
                    pass
                lifespan.stop()
                http.should_exit = True
                assert [line async for line in lines if line] == []
            await until(lambda: not thread.is_alive())
        finally:
            lifespan.stop()
            http.should_exit = True
            await asyncio.to_thread(thread.join)


async def test_in_starlettes_client_it_runs_in_a_thread_of_its_own() -> None:
    async with FakeAPIServer() as server:
        server.create("configmaps", configmap("a"))
        app = app_with(informers(build_on(server)))

        def ask() -> Any:
            with client_of(app) as http:
                return http.get("/names").json()

        assert await asyncio.to_thread(ask) == ["a"]


@pytest.mark.virtual_time
async def test_a_request_that_comes_during_the_end_is_refused() -> None:
    """Such as one that a server still answers while the lifespan ends."""
    answers: list[httpx.Response] = []
    async with FakeAPIServer() as server:
        build_it = build_on(server)

        async def build() -> AsyncIterator[SharedInformerFactory]:
            async with contextlib.asynccontextmanager(build_it)() as factory:
                yield factory
            answers.extend([await running.get(path) for path in ("/names", "/events", "/_informers/readyz")])

        async with served(app_with(informers(build))) as running:
            await running.get("/names")
    assert [each.status_code for each in answers] == [503, 503, 503]


# -- wrong use ----------------------------------------------------------------------------------------------------


async def coroutine_function() -> Any: ...


@asynccontextmanager
async def decorated() -> AsyncIterator[Any]:
    yield


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (coroutine_function, "it has to yield the factory, and not to return it"),
        (decorated, "leave out @asynccontextmanager"),
        (lambda: None, r"async def build\(\): async with aioinformers.connect\(\) as api"),
        (None, "build is an async generator function, not None"),
    ],
)
def test_what_makes_no_factory_is_refused(build: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        informers(build)


async def test_what_has_been_called_already_is_refused() -> None:
    begun: Any = hang()
    with pytest.raises(TypeError, match="give the function itself, without calling it"):
        informers(begun)
    await begun.aclose()
    async with client.ApiClient() as api:
        with pytest.raises(TypeError, match="a factory belongs to the loop that serves"):
            informers(SharedInformerFactory(api))  # type: ignore[arg-type]


class Building:
    """An object that is called like a function."""

    async def __call__(self) -> AsyncIterator[SharedInformerFactory]:
        async with client.ApiClient() as api, SharedInformerFactory(api) as factory:
            yield factory


async def test_objects_methods_and_partials_build_too() -> None:
    for build in (Building(), Building().__call__, functools.partial(Building.__call__, Building())):
        async with served(Starlette(lifespan=informers(build))) as app:
            assert app.state[KEY].factory.is_started


async def yields_nothing() -> AsyncIterator[Any]:
    return
    yield


async def yields_something_else() -> AsyncIterator[Any]:
    yield {"factory": None}


async def yields_one_that_is_not_started() -> AsyncIterator[Any]:
    async with client.ApiClient() as api:
        yield SharedInformerFactory(api)


async def yields_one_that_has_ended() -> AsyncIterator[Any]:
    async with client.ApiClient() as api:
        async with SharedInformerFactory(api) as factory:
            pass
        yield factory


async def fails_otherwise() -> AsyncIterator[Any]:
    raise RuntimeError("its own")
    yield


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (yields_nothing, TypeError, "has to yield a factory, and ended without"),
        (yields_something_else, TypeError, "has to yield a SharedInformerFactory, not {'factory': None}"),
        (yields_one_that_is_not_started, TypeError, r"is not started: async def build\(\)"),
        (yields_one_that_has_ended, TypeError, "has been shut down"),
        (fails_otherwise, RuntimeError, "its own"),
    ],
)
async def test_what_build_yields_is_looked_at(build: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        async with served(Starlette(lifespan=informers(build))):
            pass


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"on_timeout": "server"}, ValueError, "on_timeout is 'serve' or 'fail', not 'server': 'serve'?"),
        ({"on_timeout": None}, ValueError, "on_timeout is 'serve' or 'fail', not None"),
        ({"sync_timeout": "30"}, TypeError, "sync_timeout"),
        ({"lifespan": hang}, TypeError, "with @contextlib.asynccontextmanager, as FastAPI takes it"),
        ({"lifespan": 7}, TypeError, "with @contextlib.asynccontextmanager, as FastAPI takes it"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words.replace("?", r"\?")):
        informers(hang, **options)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aioinformers.integrations.fastapi")
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(ImportError, match=r"this needs FastAPI: pip install 'aioinformers\[fastapi\]'"):
        importlib.import_module("aioinformers.integrations.fastapi")
