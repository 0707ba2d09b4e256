"""G16: no log, no error and no state that can be asked for tells a token, a header or the content of an object."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers import GroupVersionResource, SharedInformer, SharedInformerFactory, WatchFailure
from aioinformers.errors import ConnectionFailedError
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


# -- what foreign code says ---------------------------------------------------------------------------------------

PASSWORD = "password-of-somebody"
LISTED = (
    b'{"kind":"SecretList","apiVersion":"v1","metadata":{"resourceVersion":"10"},"items":[{"metadata":{"name":"s",'
    b'"namespace":"d","uid":"u","resourceVersion":"1"},"data":{"password":"' + CONTENT.encode() + b'"}}]}\n'
)
EVENT = b'{"type":"ADDED","object":' + LISTED[LISTED.index(b"[") + 1 : -3] + b"}\n"
WATCHED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
EMPTY = b'{"kind":"SecretList","apiVersion":"v1","metadata":{"resourceVersion":"10"},"items":[]}'

BROKEN = {
    "a list longer than it says": (WHOLE % (len(LISTED) - 60, LISTED), b""),
    "a list shorter than it says": (WHOLE % (len(LISTED) + 60, LISTED), b""),
    "a body without a head": (LISTED, b""),
    "content in a header": (b"HTTP/1.1 200 OK\r\n" + CONTENT.encode() + b"\r\n\r\n", b""),
    "content in the status line": (b"HTTP/1.1 2" + CONTENT.encode() + b"\r\n\r\n", b""),
    "content in a very long header": (b"HTTP/1.1 200 OK\r\nX: " + CONTENT.encode() * 5000 + b"\r\n\r\n", b""),
    "a chunk of another size": (WHOLE % (len(EMPTY), EMPTY), WATCHED + b"5\r\n" + EVENT + b"\r\n"),
    "content in the place of a size": (WHOLE % (len(EMPTY), EMPTY), WATCHED + EVENT),
    "content behind the last chunk": (WHOLE % (len(EMPTY), EMPTY), WATCHED + b"0\r\n\r\n" + EVENT),
    "a redirect to content": (
        b"HTTP/1.1 302 Found\r\nLocation: http://x/" + CONTENT.encode() + b"\r\nContent-Length: 0\r\n\r\n",
        b"",
    ),
}  # fmt: skip


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[int]:
    """Give the port of a server that answers the requests of each connection with these bytes, again and again."""
    tasks: set[asyncio.Task[Any] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(answers[-1 if b"watch=true" in head else 0])
                await writer.drain()
                await asyncio.sleep(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.sleep(1)
    if running := {task for task in tasks if task is not None and not task.done()}:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def said_of(configuration: client.Configuration, caplog: pytest.LogCaptureFixture, **settings: Any) -> str:
    """Follow Secrets for a minute, and return whatever can be read of it, with the causes and the log."""
    caplog.set_level(logging.DEBUG)
    failures: list[WatchFailure] = []
    async with client.ApiClient(configuration) as api:
        quick = dataclasses.replace(QUICK, watch_list=False, **settings)
        factory = SharedInformerFactory(api, settings=quick, on_watch_error=failures.append)
        informer = factory.for_resource("secrets.v1.")
        await factory.start()
        await asyncio.sleep(60)
        said = f"{failures} {factory.health()} {informer.statistics()} {informer!r} {informer.last_error!r}"
        await factory.shutdown(grace=0)
    assert failures
    for failure in failures:
        said += texts(failure.error) + "".join(traceback.format_exception(failure.error))
    formatter = logging.Formatter()
    ours = [formatter.format(record) for record in caplog.records if not record.name.startswith("asyncio")]
    return said + "\n".join(ours)


@pytest.mark.parametrize("name", BROKEN)
async def test_g16_bytes_of_an_answer_that_is_none_are_not_quoted(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The rest of a list may be taken for the head of the next answer, and aiohttp shows what is wrong with it."""
    async with answering(*filter(None, BROKEN[name])) as port:
        said = await said_of(client.Configuration(host=f"http://127.0.0.1:{port}"), caplog)
    assert CONTENT not in said


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_g16_the_password_of_a_proxy_is_not_quoted(status: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    async with answering(answer) as port:
        configuration = client.Configuration(host="https://cluster.example:6443")
        configuration.proxy = f"http://user:{PASSWORD}@127.0.0.1:{port}"
        said = await said_of(configuration, caplog)
    assert f"cannot connect to cluster.example:6443: the proxy answers {status[:3]}" in said
    assert PASSWORD not in said


async def test_g16_the_password_of_a_proxy_that_is_not_there_is_not_quoted(
    caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    configuration = client.Configuration(host="https://cluster.example:6443")
    configuration.proxy = f"http://user:{PASSWORD}@127.0.0.1:{unused_tcp_port}"
    said = await said_of(configuration, caplog)
    assert f"cannot connect to the proxy 127.0.0.1:{unused_tcp_port}: connection refused" in said
    assert PASSWORD not in said


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("http://user:{}@127.0.0.1:{}", "cannot connect to 127.0.0.1:"),
        ("http://{}@127.0.0.1:{}", "cannot connect to 127.0.0.1:"),
        ("user:{}@127.0.0.1:{}", "is not the URL of a server"),
        ("ftp://user:{}@127.0.0.1:{}", "is not the URL of a server"),
        ("http://user:{}@[:{}", "is not the URL of a server"),
        ("http://user:a/{}@127.0.0.1:{}", ""),
    ],
)
@pytest.mark.parametrize("has_token", [True, False])
async def test_g16_a_password_in_the_host_is_not_quoted(
    host: str, words: str, has_token: bool, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    configuration = client.Configuration(host="http://127.0.0.1")
    configuration.host = host.format(PASSWORD, unused_tcp_port)
    if has_token:  # aiohttp refuses two ways to log in
        configuration.api_key = {"BearerToken": TOKEN}
    said = await said_of(configuration, caplog)
    assert words in said or has_token
    assert PASSWORD not in said
    assert TOKEN not in said


async def test_g16_what_a_hook_says_is_not_quoted_in_messages_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    """It stays chained to the error, where the user can find it."""

    async def refuse(_: client.Configuration) -> None:
        raise RuntimeError(f"the plug-in said {PASSWORD}")

    caplog.set_level(logging.DEBUG)
    async with FakeAPIServer() as server:
        configuration = client.Configuration(host=server.url, api_key={"BearerToken": TOKEN})
        configuration.refresh_api_key_hook = refuse
        async with client.ApiClient(configuration) as api, SharedInformerFactory(api, settings=QUICK) as factory:
            pods = factory.core.v1.pods()
            await asyncio.sleep(60)
            said = f"{pods.last_error} {pods.last_error!r} {factory.health()} {pods!r}"
            assert isinstance(pods.last_error, ConnectionFailedError)
            assert isinstance(pods.last_error.__cause__, RuntimeError)
    logged = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert "credentials could not be refreshed (RuntimeError)" in logged
    assert PASSWORD not in said + logged
