"""What Kubernetes is told while an API server is away, after a bug, and before and after everything."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeAlias

import aiohttp
import httpx
import pytest

from aioinformers import SharedInformer, SharedInformerFactory
from aioinformers.controllers import Controller, Request
from aioinformers.informer import pipeline_of
from aioinformers.integrations.access import Peer
from aioinformers.integrations.answers import Answers
from aioinformers.integrations.asgi import status_app
from aioinformers.integrations.serving import serve_status
from aioinformers.integrations.snapshot import snapshot
from aioinformers.testing import FakeAPIServer
from tests.kit import QUICK, Document, configmap, factory_on, started
from tests.kit.fixtures import real_server_with

Ask: TypeAlias = Callable[[str], Awaitable[tuple[int, str]]]
"""Asks for a path, and returns the status and the text."""

HOST: Final = "localhost:8080"


def by_answers(factory: SharedInformerFactory, controllers: list[Controller[Any]], max_stale: float | None) -> Ask:
    answers = Answers(lambda: snapshot(factory, controllers), max_stale=max_stale)

    async def ask(path: str) -> tuple[int, str]:
        answer = answers.answer("GET", *path.partition("?")[::2], Peer("127.0.0.1", {"host": HOST}))
        return answer.status, answer.body.decode()

    return ask


@asynccontextmanager
async def asked(
    factory: SharedInformerFactory, controllers: list[Controller[Any]] | None = None, max_stale: float | None = None
) -> AsyncIterator[Ask]:
    """Give what asks a program in each of the ways there are, and makes sure that it is told the same."""
    controlled = controllers or []
    app: Any = status_app(factory, controllers=controlled, max_stale=max_stale)
    async with AsyncExitStack() as stack:
        transport = httpx.ASGITransport(app)
        mounted = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}"))
        url = await stack.enter_async_context(
            serve_status(factory, port=0, controllers=controlled, max_stale=max_stale)
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        pure = by_answers(factory, controlled, max_stale)

        async def ask(path: str) -> tuple[int, str]:
            directly, response = await pure(path), await mounted.get(path)
            async with http.get(f"{url}{path}") as answer:
                assert (answer.status, response.status_code) == (directly[0], directly[0])
                if not path.startswith("/status"):
                    assert (await answer.text(), response.text) == (directly[1], directly[1])
            return directly

        yield ask


async def word(ask: Ask) -> str:
    return str(json.loads((await ask("/status.json"))[1])["verdict"])


# -- the API server is away -------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_an_api_server_that_is_away_for_five_minutes_makes_nobody_unready_or_dead() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory, asked(factory) as ask:
        await started(factory)
        assert await word(ask) == "LIVE"
        await server.stop()
        for seconds in (15, 285):
            await asyncio.sleep(seconds)
            assert await ask("/readyz") == await ask("/livez") == await ask("/startupz") == (200, "ok\n")
            assert await word(ask) == "DEGRADED"
            first, reason, *_ = (await ask("/statusz"))[1].splitlines()
            assert first.startswith("DEGRADED ")
            assert "configmaps.v1 [as dict]: " in reason
            assert ": cannot connect to 127.0.0.1:" in reason
            status, text = await ask("/readyz?verbose")
            assert (status, reason.strip().partition(": ")[2] in text) == (200, True), "said, although it is ready"
        await server.start()
        await asyncio.sleep(31)
        assert await word(ask) == "LIVE"
        assert "cannot connect" not in (await ask("/statusz"))[1]


@pytest.mark.virtual_time
async def test_who_says_how_stale_is_too_stale_is_unready_then_and_ready_again_afterwards() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory, asked(factory, max_stale=60) as ask:
        await started(factory)
        assert (await ask("/readyz"))[0] == 200
        await server.stop()
        await asyncio.sleep(45)
        assert (await ask("/readyz"))[0] == 200
        await asyncio.sleep(30)
        status, text = await ask("/readyz")
        assert status == 503
        assert text.startswith("[-]configmaps.v1 [as dict] is fresh failed: not heard of for 7")
        assert "cannot connect to 127.0.0.1:" in text
        assert (await ask("/livez"))[0] == 200, "a restart would not mend it"
        await server.start()
        await asyncio.sleep(31)
        assert await ask("/readyz") == (200, "ok\n")


@pytest.mark.realserver
@pytest.mark.slow
async def test_a_real_api_server_that_crashes_makes_nobody_unready_or_dead() -> None:
    loop = asyncio.get_running_loop()
    settings = dataclasses.replace(QUICK, backoff_max=5.0)  # so that it is not slept over that the server is back
    async with (
        real_server_with() as server,
        factory_on(server, settings=settings) as factory,
        asked(factory) as ask,
    ):
        await started(factory)
        assert await word(ask) == "LIVE"
        server.kill_apiserver()
        begin, noticed = loop.time(), 0.0
        while loop.time() < begin + 40:
            assert (await ask("/readyz"))[0] == (await ask("/livez"))[0] == 200
            verdict = await word(ask)
            if not noticed and verdict == "DEGRADED":
                noticed = loop.time() - begin
            assert verdict == ("DEGRADED" if noticed else "LIVE")
            await asyncio.sleep(0.5)
        assert 0 < noticed < 15
        assert ": cannot connect to 127.0.0.1:" in (await ask("/statusz"))[1].splitlines()[1]
        server.start_apiserver()
        await asyncio.to_thread(server.wait_ready)
        async with asyncio.timeout(120):
            while await word(ask) != "LIVE":
                await asyncio.sleep(0.5)


# -- what is broken here ----------------------------------------------------------------------------------------


def bug(item: object) -> bool:
    raise AssertionError("injected")


def break_dispatcher(informer: SharedInformer[Any]) -> None:
    pipeline_of(informer).dispatcher.offer = bug  # type: ignore[method-assign]


@pytest.mark.virtual_time
async def test_a_bug_that_ends_an_informer_is_mended_by_a_restart() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory, asked(factory) as ask:
        configmaps = await started(factory)
        assert (await ask("/livez"))[0] == (await ask("/readyz"))[0] == 200
        break_dispatcher(configmaps)
        server.create("configmaps", configmap("a"))
        await asyncio.sleep(10)
        status, text = await ask("/livez")
        assert status == 503
        assert text.startswith("[-]configmaps.v1 [as dict] failed: crashed: AssertionError('injected')\n")
        assert await word(ask) == "FAILED"
        assert "crashed: AssertionError" in (await ask("/statusz"))[1].splitlines()[1]


@pytest.mark.virtual_time
async def test_a_bug_in_an_informer_that_is_optional_is_said_and_is_no_reason_for_a_restart() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory, asked(factory) as ask:
        await started(factory)
        secrets = factory.core.v1.secrets(optional=True)
        await secrets.wait_synced(timeout=5)
        break_dispatcher(secrets)
        server.create("secrets", {"metadata": {"name": "s", "namespace": "default"}})
        await asyncio.sleep(10)
        assert (await ask("/livez"))[0] == 200
        status, text = await ask("/readyz?verbose")
        assert status == 200
        assert "[+]secrets.v1 ok: crashed: AssertionError('injected')" in text


@pytest.mark.virtual_time
@pytest.mark.parametrize("stage", ["reflector", "dispatcher"])
async def test_a_stage_that_a_stranger_cancels_is_no_reason_for_a_restart_unless_it_goes_on(stage: str) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory, asked(factory) as ask:
        await started(factory)

        async def cancel() -> None:
            (task,) = [each for each in asyncio.all_tasks() if each.get_name().startswith(stage)]
            task.cancel()
            await asyncio.sleep(3)

        await cancel()
        assert await ask("/livez") == await ask("/readyz") == (200, "ok\n")
        assert await word(ask) == "LIVE"
        for _ in range(4):
            await cancel()
        status, text = await ask("/livez")
        assert status == 503
        assert "[as dict] failed: 5 of its tasks were cancelled by others within a minute" in text
        assert (await ask("/readyz"))[0] == 200, "what is cached can be read"
        await asyncio.sleep(61)
        assert (await ask("/livez"))[0] == 200


@pytest.mark.virtual_time
async def test_a_controller_that_a_bug_has_ended_is_mended_by_a_restart() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        controller: Controller[Document] = Controller(factory.for_resource("configmaps.v1."), name="sites")

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        await factory.start()
        async with asked(factory, [controller]) as ask, controller.running():
            await asyncio.sleep(2)
            assert (await ask("/livez"))[0] == 200
            (task,) = [each for each in asyncio.all_tasks() if each.get_name() == "controller sites"]
            task.cancel()
            await asyncio.sleep(10)
            status, text = await ask("/livez")
            assert (status, text.splitlines()[0]) == (503, "[-]controller sites failed: ended by a bug: RuntimeError")
            assert await word(ask) == "FAILED"
            assert "controller sites: ended by a bug" in (await ask("/statusz"))[1].splitlines()[1]


# -- before and after -------------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_who_has_no_informer_is_not_ready_and_is_told_what_is_missing() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory, asked(factory) as ask:
        await factory.start()
        for path in ("/readyz", "/startupz"):
            status, text = await ask(path)
            assert status == 503
            assert "there is no informer: declare what the program reads before it starts" in text
        assert (await ask("/livez"))[0] == 200
        assert (await ask("/statusz"))[1].startswith("NOT STARTED no informers ")


@pytest.mark.virtual_time
async def test_who_has_not_synced_is_not_ready_and_says_what_it_waits_for() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory, asked(factory) as ask:
        configmaps = factory.core.v1.configmaps()
        assert "factory: not started" in (await ask("/readyz"))[1]
        heal = server.fail("* configmaps", 403, times=None)
        await factory.start()
        await asyncio.sleep(5)
        for path in ("/readyz", "/startupz"):
            status, text = await ask(path)
            assert status == 503
            assert "[-]configmaps.v1 failed: " in text
            assert "403: injected by the test (the client needs the verbs list and watch on this resource)" in text
        assert (await ask("/livez"))[0] == 200
        heal()
        await configmaps.wait_synced(timeout=60)
        assert await ask("/readyz") == await ask("/startupz") == (200, "ok\n")


@pytest.mark.virtual_time
async def test_who_shuts_down_is_not_ready_while_its_handlers_finish() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory, asked(factory) as ask:
        configmaps = await started(factory)
        await ask("/readyz")
        begun = asyncio.Event()

        @configmaps.on_add
        async def slow(obj: Document) -> None:
            begun.set()
            await asyncio.sleep(5)

        server.create("configmaps", configmap("a"))
        await begun.wait()
        ending = asyncio.create_task(factory.shutdown(grace=10))
        await asyncio.sleep(1)
        status, text = await ask("/readyz")
        assert (status, text.splitlines()[0]) == (503, "[-]informers are started failed: shutting down")
        assert (await ask("/livez"))[0] == 200
        assert await word(ask) == "STOPPING"
        await ending
        assert (await ask("/readyz"))[0] == 503
