"""A version that the server has not reached yet: a watch is told nothing, a small list is refused. Both servers."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest
from kubernetes_asyncio import client

PATH = "/api/v1/namespaces/default/configmaps"


async def asked(api: client.ApiClient, query: str, seconds: float = 10.0) -> tuple[int, bytes]:
    """Return the status of a request, and the body as far as it came in time."""
    headers: dict[str, str] = {}
    await api.update_params_for_auth(headers, [], ["BearerToken"])
    session: aiohttp.ClientSession = api.rest_client.pool_manager
    async with session.get(f"{api.configuration.host}{PATH}?{query}", headers=headers) as response:
        body = b""
        try:
            async with asyncio.timeout(seconds):
                while chunk := await response.content.readany():
                    body += chunk
        except TimeoutError:
            pass
        return response.status, body


async def test_small_list_not_older_than_a_version_of_the_future_is_refused(api_server: Any) -> None:
    """Which is what an informer asks before it resumes a watch that has shown nothing."""
    async with api_server.api_client() as api:
        _, body = await asked(api, "limit=1")
        version = int(msgspec.json.decode(body)["metadata"]["resourceVersion"])
        query = "limit=1&resourceVersionMatch=NotOlderThan&resourceVersion="
        assert (await asked(api, f"{query}{version}"))[0] == 200
        status, body = await asked(api, f"{query}{version + 1_000_000}")
        assert status == 504
        causes = msgspec.json.decode(body)["details"]["causes"]
        assert [cause["reason"] for cause in causes] == ["ResourceVersionTooLarge"]


@pytest.mark.parametrize("bookmarks", ["true", "false"])
async def test_watch_from_a_version_of_the_future_is_told_nothing(api_server: Any, bookmarks: str) -> None:
    async with api_server.api_client() as api:
        _, body = await asked(api, "limit=1")
        future = int(msgspec.json.decode(body)["metadata"]["resourceVersion"]) + 1_000_000
        query = f"watch=true&timeoutSeconds=4&allowWatchBookmarks={bookmarks}&resourceVersion={future}"
        assert await asked(api, query) == (200, b"")
