"""G16: no log, no error and no state that can be asked for tells a token, a header or the content of an object."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers import GroupVersionResource, SharedInformer, SharedInformerFactory, WatchFailure
from aioinformers.testing import Ending, FakeAPIServer, Fault
from tests.kit import QUICK, pod

pytestmark = pytest.mark.virtual_time

TOKEN = "token-of-the-client"
CONTENT = "content-of-an-object"
COOKIE = "cookie-of-the-server"


class Spec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: int


class Picky(msgspec.Struct, frozen=True):
    """Rejects every Pod: its value is no number, and no error may quote it."""

    spec: Spec


def cut(lines: bytes) -> bytes:
    """Cut the end of each line off: no JSON, with the content in it."""
    return b"\n".join(line[:-3] for line in lines.splitlines()) + b"\n"


def wrong_types(data: bytes) -> bytes:
    return data.replace(b'"metadata":{', b'"metadata":"' + CONTENT.encode() + b'","metadata_":{')


FAULTS: dict[str, Fault] = {
    "401": Fault(status=401, headers={"Set-Cookie": COOKIE}),
    "403": Fault(status=403, headers={"Set-Cookie": COOKIE}),
    "500 with a page": Fault(status=500, body=f"<html>{CONTENT}</html>"),
    "a list that is a page": Fault(status=200, body=f"<html>{CONTENT}</html>"),
    "lines cut": Fault(rewrite=cut),
    "fields of other kinds": Fault(rewrite=wrong_types),
    "body cut": Fault(ending=Ending.CLOSE, after=300),
    "no gzip": Fault(
        status=200, body=CONTENT, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"}
    ),
}


def texts(error: BaseException | None) -> str:
    """Return all that an exception and its causes say."""
    said = ""
    while error is not None:
        said += f"{error!s} {error!r} {getattr(error, '__notes__', '')}\n"
        error = error.__cause__ or error.__context__
    return said


async def follow(
    server: FakeAPIServer, get: Callable[[SharedInformerFactory], SharedInformer[Any]], fault: Fault | None
) -> str:
    """Follow Pods while requests fail, and return whatever can be read of it."""
    failures: list[WatchFailure] = []
    configuration = client.Configuration(host=server.url, api_key={"BearerToken": TOKEN})
    configuration.api_key_prefix = {"BearerToken": "Bearer"}
    async with client.ApiClient(configuration) as api:
        factory = SharedInformerFactory(api, settings=QUICK, on_watch_error=failures.append)
        informer = get(factory)
        spoilt = [fault] * 4 if fault is not None else []
        server.intercept(lambda _: spoilt.pop() if spoilt else None)
        await factory.start()
        await asyncio.sleep(60)
        assert not spoilt
        assert bool(failures) == (fault is not None)
        said = "".join(map(texts, [failure.error for failure in failures])) + texts(informer.last_error)
        said += f"{failures} {factory.health()} {informer.statistics()} {informer!r} {factory!r}"
        await factory.shutdown(grace=0)
    return said


@pytest.mark.parametrize("python_type", [None, dict, Picky])
@pytest.mark.parametrize("name", [None, *FAULTS])
async def test_g16_nothing_tells_tokens_headers_or_objects(
    name: str | None, python_type: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "aioinformers")
    async with FakeAPIServer() as server:
        for i in range(3):
            document = pod(f"p{i}", node=CONTENT)
            document["metadata"]["annotations"] = {"note": CONTENT}
            server.create("pods", document)
        said = await follow(
            server, lambda factory: factory.core.v1.pods(object_type=python_type), FAULTS[name] if name else None
        )
        tokens = [request.headers.get("authorization", "") for request in server.requests]
    assert f"Bearer {TOKEN}" in tokens  # it was there to be told
    logged = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    for secret in (TOKEN, CONTENT, COOKIE):
        assert secret not in said, said
        assert secret not in logged, logged


async def test_g16_a_failing_transform_or_index_is_named_without_the_object(caplog: pytest.LogCaptureFixture) -> None:
    """What the user's function says is the user's; what we add to it quotes nothing."""

    def refuse(obj: Any) -> Any:
        raise KeyError("no such field")

    caplog.set_level(logging.DEBUG, "aioinformers")
    async with FakeAPIServer() as server:
        server.create("pods", pod("p", node=CONTENT))
        resource = GroupVersionResource("", "v1", "pods")
        said = await follow(server, lambda factory: factory.for_resource(resource, transform=refuse), None)
        said += await follow(server, lambda factory: factory.for_resource(resource, indexers={"x": refuse}), None)
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "default/p" in said + logged
    assert CONTENT not in said
    assert CONTENT not in logged


def credentials() -> dict[str, tuple[client.Configuration, str]]:
    """Return each kind of credential that a client may have, and the header that a server gets."""
    token = client.Configuration(api_key={"BearerToken": f"Bearer {TOKEN}"})
    prefixed = client.Configuration(api_key={"BearerToken": TOKEN}, api_key_prefix={"BearerToken": "Bearer"})
    hooked = client.Configuration(api_key={"BearerToken": "expired"})

    async def refresh(configuration: client.Configuration) -> None:
        configuration.api_key = {"BearerToken": f"Bearer {TOKEN}"}

    hooked.refresh_api_key_hook = refresh
    return {
        "token": (token, f"Bearer {TOKEN}"),
        "token with a prefix": (prefixed, f"Bearer {TOKEN}"),
        "hook": (hooked, f"Bearer {TOKEN}"),
    }


@pytest.mark.parametrize("kind", credentials())
async def test_g16_credentials_are_those_of_the_client(kind: str) -> None:
    configuration, expected = credentials()[kind]
    async with FakeAPIServer() as server:
        configuration.host = server.url
        async with client.ApiClient(configuration) as api, SharedInformerFactory(api, settings=QUICK) as factory:
            factory.core.v1.pods()
            await factory.wait_for_cache_sync(timeout=10)
        assert {request.headers.get("authorization") for request in server.requests} == {expected}


async def test_g16_default_headers_of_the_client_are_sent() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        api.set_default_header("X-Remote-User", "jane")
        async with SharedInformerFactory(api, settings=QUICK) as factory:
            factory.core.v1.pods()
            await factory.wait_for_cache_sync(timeout=10)
        assert {request.headers.get("x-remote-user") for request in server.requests} == {"jane"}


async def test_g16_servers_that_we_start_listen_on_loopback() -> None:
    """And on one address of it: one that listened on all interfaces would answer at 127.0.0.2 too."""
    async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
        assert server.url.startswith("http://127.0.0.1:")
        async with session.get(f"{server.url}/version") as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(server.url.replace("127.0.0.1", "127.0.0.2"))
