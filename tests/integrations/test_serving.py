"""The status of a program without a web framework."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from aioinformers import SharedInformerFactory
from aioinformers.integrations.serving import serve_status
from aioinformers.testing import FakeAPIServer
from tests.integrations.page.test_viewing import timers


async def test_it_is_served_inside_the_block_and_no_longer() -> None:
    async with (
        FakeAPIServer() as server,
        server.api_client() as api,
        SharedInformerFactory(api) as factory,
        aiohttp.ClientSession() as http,
    ):
        factory.core.v1.configmaps()
        async with serve_status(factory, port=0) as url:
            async with http.get(f"{url}/readyz") as answer:
                assert answer.status == 503
            await factory.start()
            await factory.wait_for_cache_sync(timeout=60)
            async with http.get(f"{url}/readyz") as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
            async with http.get(f"{url}/statusz", headers={"Host": "evil.example"}) as answer:
                assert answer.status == 403
            async with http.post(f"{url}/readyz") as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"{url}/readyz")


async def test_connections_that_are_open_do_not_delay_the_end() -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        async with serve_status(factory, port=0) as url:
            port = int(url.rpartition(":")[2])
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")  # and never the rest
            await writer.drain()
            begin = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begin < 20
        writer.close()


async def test_bad_places_are_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        async with serve_status(factory, port=0) as url:
            port = int(url.rpartition(":")[2])
            with pytest.raises(OSError, match=f"the status cannot be served at 127.0.0.1:{port}: "):
                await serve_status(factory, port=port).__aenter__()
        with pytest.raises(ValueError, match="port must be from 0 to 65535, not 70000"):
            await serve_status(factory, port=70000).__aenter__()
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
        async with serve_status(factory, port=0):
            assert "where Kubernetes' probes cannot reach it: 0.0.0.0 is" in caplog.text


async def test_what_has_ended_is_no_part_of_a_program() -> None:
    """Or one factory that was of use at the start would make the whole program unready for ever."""
    async with FakeAPIServer() as server, server.api_client() as api, aiohttp.ClientSession() as http:
        async with SharedInformerFactory(api, name="early") as early:
            early.core.v1.nodes()
        async with SharedInformerFactory(api, name="late") as late, serve_status(port=0) as url:
            late.core.v1.configmaps()
            await late.wait_for_cache_sync(timeout=60)
            async with http.get(f"{url}/statusz") as answer:
                text = await answer.text()
            assert text.startswith("LIVE ")
            assert "factory late" in text
            assert "early" not in text
        assert early.is_closed


async def test_the_page_is_served_with_its_files_and_nothing_of_it_outlives_the_block() -> None:
    async with (
        FakeAPIServer() as server,
        server.api_client() as api,
        SharedInformerFactory(api) as factory,
        aiohttp.ClientSession() as http,
    ):
        factory.core.v1.configmaps()
        async with serve_status(factory, port=0) as url:
            async with http.get(url) as answer:
                page = await answer.text()
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            for path in re.findall(r'(?:src|href)="(static/[^"]+)"', page):
                async with http.get(f"{url}/{path}") as answer:
                    assert (answer.status, answer.headers["X-Content-Type-Options"]) == (200, "nosniff")
            assert timers() == 1
        assert timers() == 0


@pytest.mark.parametrize("given", ["factory", 5, [None]])
async def test_what_is_no_factory_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=r"serve_status\(\) takes a SharedInformerFactory, or several, not"):
        async with serve_status(given, port=0):
            pass
