"""The door to the Kubernetes client: requests with its session, and foreign exceptions as the package's own."""

from __future__ import annotations

import asyncio
import functools
import json
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_asyncio import client

from aioinformers.errors import (
    ApiStatusError,
    BadRequestError,
    ConflictError,
    ConnectionFailedError,
    ForbiddenError,
    GoneError,
    InformerError,
    ResourceNotFoundError,
    ResponseError,
    ServerBusyError,
    UnauthorizedError,
)
from aioinformers.settings import Settings
from aioinformers.testing import Ending, FakeAPIServer, Fault, RequestInfo
from aioinformers.transport.source import Body, Source, load_model, retry_after
from tests.kit import configmap

PATH = "/api/v1/configmaps"
virtual_time = pytest.mark.virtual_time


@asynccontextmanager
async def source_of(server: FakeAPIServer, **settings: Any) -> AsyncIterator[Source]:
    async with server.api_client() as api:
        yield Source(api, Settings(**settings))


async def read_all(body: Body) -> bytes:
    found = b""
    while data := await body.read():
        found += data
    return found


async def got(source: Source, query: dict[str, str] | None = None, **options: Any) -> bytes:
    """Return the body of a request."""
    async with source.open(PATH, query or {}, header_timeout=10, **options) as body:
        return await read_all(body)


@virtual_time
async def test_a_request_has_its_query_and_asks_for_what_was_said() -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        body = await got(
            source, {"labelSelector": "a in (b,c)", "limit": "5"}, compression=True, accept="application/json, text/odd"
        )
        await got(source)
        assert body.startswith(b'{"kind":"ConfigMapList"')
        first, second = server.requests
        assert dict(first.query) == {"labelSelector": "a in (b,c)", "limit": "5"}
        assert (first.headers["accept"], first.headers["accept-encoding"]) == ("application/json, text/odd", "gzip")
        assert (second.headers["accept"], second.headers["accept-encoding"]) == ("application/json", "identity")


@virtual_time
@pytest.mark.parametrize(
    ("status", "error"),
    [(401, UnauthorizedError), (403, ForbiddenError), (410, GoneError), (429, ServerBusyError), (500, ApiStatusError)],
)
async def test_a_failure_of_the_server_is_an_error_of_its_class(status: int, error: type[ApiStatusError]) -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        server.fail("list configmaps", status, times=None, headers={"Retry-After": "7"})
        with pytest.raises(error) as caught:
            await got(source)
        assert type(caught.value) is error
        assert (caught.value.status, caught.value.retry_after) == (status, 7.0)


@virtual_time
@pytest.mark.parametrize("status", [204, 300, 304])
async def test_an_answer_that_is_neither_success_nor_failure_is_refused(status: int) -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        server.fail("list configmaps", status, body=b"")
        with pytest.raises(ResponseError, match=f"unexpected answer {status}"):
            await got(source)
        assert len(server.requests) == 1


@virtual_time
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_server_is_followed_with_credentials(status: int) -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        api.configuration.api_key = {"BearerToken": "Bearer right"}
        server.create("configmaps", configmap("a"))
        server.fail("list configmaps", status, headers={"Location": "/api/v1/namespaces/default/configmaps?limit=3"})
        assert b'"name":"a"' in await got(Source(api, Settings()))
        first, second = server.requests
        assert second.path == "/api/v1/namespaces/default/configmaps"
        assert first.headers["authorization"] == second.headers["authorization"] == "Bearer right"


@virtual_time
async def test_g16_a_redirect_to_another_server_goes_without_credentials_and_is_named() -> None:
    async with FakeAPIServer() as server, FakeAPIServer() as other, server.api_client() as api:
        api.configuration.api_key = {"BearerToken": "Bearer right"}
        api.default_headers["X-Remote-User"] = "admin"
        server.fail("list configmaps", 307, headers={"Location": f"{other.url}{PATH}"}, times=None)
        other.fail("list configmaps", 401, times=None)
        with pytest.raises(ApiStatusError) as caught:
            await got(Source(api, Settings()))
        (request,) = other.requests
        assert not request.headers.keys() & {"authorization", "cookie", "x-remote-user"}
        address = other.url.removeprefix("http://")
        assert str(caught.value).endswith(
            f"(said by {address}, where the request was redirected, without its credentials)"
        )


@virtual_time
async def test_redirects_without_end_are_given_up() -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        places = [f"{PATH}?step={number}" for number in range(10)]

        def onward(request: RequestInfo) -> Fault:
            return Fault(status=302, headers={"Location": places[len(server.requests)]})

        server.intercept(onward)
        address = server.url.removeprefix("http://")
        with pytest.raises(ResponseError, match=f"answer 302 to GET {PATH} by {address}, where it was redirected"):
            await got(source)
        assert len(server.requests) == 6


@virtual_time
async def test_a_redirect_to_where_nobody_listens_names_it() -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        server.fail("list configmaps", 302, headers={"Location": "http://127.0.0.1:1/"})
        with pytest.raises(ConnectionFailedError, match=r"cannot connect to 127\.0\.0\.1:1"):
            await got(source)


@virtual_time
async def test_credentials_that_are_refused_are_refreshed_and_tried_once_more() -> None:
    async with FakeAPIServer() as server:
        tokens = iter(["old", "new", "newer"])

        async def refresh(configuration: client.Configuration) -> None:
            configuration.api_key = {"BearerToken": f"Bearer {next(tokens)}"}

        def judge(request: RequestInfo) -> Fault | None:
            return None if request.headers.get("authorization") == "Bearer new" else Fault(status=401)

        configuration = server.configuration()
        configuration.api_key = {"BearerToken": "Bearer oldest"}
        configuration.refresh_api_key_hook = refresh
        server.intercept(judge)
        async with client.ApiClient(configuration) as api:
            source = Source(api, Settings())
            assert b"ConfigMapList" in await got(source)
            assert [request.headers["authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]
            configuration.refresh_api_key_hook = None
            configuration.api_key = {"BearerToken": "Bearer other"}
            with pytest.raises(UnauthorizedError):
                await got(source)
            assert len(server.requests) == 4


@virtual_time
@pytest.mark.parametrize(
    ("fault", "words", "instant"),
    [
        (Fault(ending=Ending.STALL, after=None), "no answer within 10 s", 10.0),
        (Fault(delay=60), "no answer within 10 s", 10.0),
        (Fault(ending=Ending.RESET, after=None), "the request failed", 0.0),
        (Fault(ending=Ending.CLOSE, after=None), "the request failed", 0.0),
        (Fault(ending=Ending.RESET, after=10), "the connection broke while reading", 0.0),
        (Fault(ending=Ending.CLOSE, after=10), "the connection broke while reading", 0.0),
    ],
)
async def test_a_connection_that_fails_says_how_and_when(fault: Fault, words: str, instant: float) -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        begin = asyncio.get_running_loop().time()
        server.intercept(lambda _: fault)
        with pytest.raises(ConnectionFailedError, match=words) as caught:
            await got(source)
        assert asyncio.get_running_loop().time() - begin == instant
        assert not caught.value.is_refused


async def test_a_server_that_is_not_there_has_refused(unused_tcp_port: int) -> None:
    async with client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{unused_tcp_port}")) as api:
        with pytest.raises(ConnectionFailedError, match="cannot connect") as caught:
            await got(Source(api, Settings()))
        assert caught.value.is_refused


@virtual_time
async def test_a_client_that_has_been_closed_is_named_and_known() -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        assert not source.is_closed
        await source.client.api_client.close()
        assert source.is_closed
        with pytest.raises(ConnectionFailedError, match="the API client has been closed") as caught:
            await got(source)
        assert caught.value.is_refused


@virtual_time
@pytest.mark.parametrize("how", ["read", "left", "raised", "cancelled"])
async def test_the_response_is_closed_however_the_block_ends(how: str) -> None:
    """A stream that is left keeps no connection of the client's pool, and no watch on the server."""
    async with FakeAPIServer() as server, source_of(server) as source:
        server.create("configmaps", configmap("c"))

        async def follow() -> None:
            async with source.open(PATH, {"watch": "true", "timeoutSeconds": "5"}, header_timeout=10) as body:
                assert b"ADDED" in await body.read()
                if how == "raised":
                    raise ZeroDivisionError
                if how == "cancelled":
                    await asyncio.sleep(100)
                if how == "read":
                    await read_all(body)

        task = asyncio.create_task(follow())
        await asyncio.sleep(1)
        task.cancel() if how == "cancelled" else None
        await asyncio.wait([task])
        await asyncio.sleep(1)
        assert isinstance(None if task.cancelled() else task.exception(), ZeroDivisionError | None)
        assert source.client.session.connector is not None
        assert not source.client.session.connector._acquired
        assert server.close_watches() == 0


@virtual_time
async def test_a_small_document_is_read_whole_or_in_time_not_at_all() -> None:
    async with FakeAPIServer() as server, source_of(server, header_timeout=5) as source:
        assert (await source.read_json("/version")).startswith(b'{"major":"1"')
        server.intercept(lambda _: Fault(ending=Ending.STALL, after=3))
        with pytest.raises(ConnectionFailedError, match="GET /version was not answered within 5 s"):
            await source.read_json("/version")


@virtual_time
async def test_a_hook_that_hangs_is_given_up() -> None:
    async with FakeAPIServer() as server:

        async def hang(_: client.Configuration) -> None:
            await asyncio.sleep(1000)

        configuration = server.configuration()
        configuration.api_key = {"BearerToken": "x"}
        configuration.refresh_api_key_hook = hang
        async with client.ApiClient(configuration) as api:
            with pytest.raises(ConnectionFailedError, match="credentials were not refreshed within 10 s") as caught:
                await got(Source(api, Settings()))
            assert caught.value.is_refused


@pytest.mark.parametrize("odd", [None, object(), "http://127.0.0.1", client.Configuration()])
def test_what_is_no_client_is_refused_at_once(odd: Any) -> None:
    with pytest.raises(TypeError, match=r"must be an ApiClient of kubernetes_asyncio\.client or of kubernetes\.aio"):
        Source(odd, Settings())


def test_models_are_found_by_name() -> None:
    assert load_model("V1Pod") is client.V1Pod
    with pytest.raises(AttributeError):
        load_model("V1Podz")


# -- Retry-After --------------------------------------------------------------------------------------------------


def test_retry_after_as_a_date_is_read_on_our_own_clock_where_the_server_names_none() -> None:
    then = datetime.now(UTC) + timedelta(seconds=30)
    assert 25 < (retry_after({"Retry-After": format_datetime(then, usegmt=True)}) or 0) <= 30
    assert retry_after({"Retry-After": format_datetime(then), "Date": "no date"}) is not None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ (GMT|[+-]\d+|-0000)?"), st.text())
def test_whatever_retry_after_says_is_some_seconds_or_nothing(text: str, date: str) -> None:
    said = retry_after({"Retry-After": text, "Date": date})
    assert said is None or said >= 0


# -- headers, hosts, hooks: whatever is foreign is a failed request ------------------------------------------------


TOKENS: dict[str, tuple[Any, str]] = {
    "nothing": (None, "the client's token is None instead of a text"),
    "a number": (5, "the client's token is a int instead of a text"),
    "bytes": (b"Bearer hunter2", "the client's token is a bytes instead of a text"),
    "two lines": ("Bearer hunter2\nX-Evil: 1", "the client's token cannot be sent: it contains the character U+000A"),
    "NUL": ("Bearer hunter2\0", "the client's token cannot be sent: it contains the character U+0000"),
    "half a character": ("Bearer hunter2\udcff", "the client's token cannot be sent: it contains the character U+DCFF"),
}


@virtual_time
@pytest.mark.parametrize("name", TOKENS)
async def test_g9_a_token_that_cannot_be_sent_is_a_failed_request(name: str) -> None:
    token, words = TOKENS[name]
    async with FakeAPIServer() as server, server.api_client() as api:
        api.configuration.refresh_api_key_hook = lambda configuration: configuration.api_key.update(BearerToken=token)
        api.configuration.api_key = {"BearerToken": "x"}
        api.update_params_for_auth = unprefixed(api, token)
        with pytest.raises(ConnectionFailedError) as caught:
            await got(Source(api, Settings()))
        assert str(caught.value) == words
        assert "hunter2" not in repr(caught.value)
        assert caught.value.is_refused
        assert not server.requests


def unprefixed(api: Any, token: Any) -> Any:
    """Return how a client gives its token that does not look at it, as hooks and clients of one's own may not."""

    async def update_params_for_auth(headers: dict[str, Any], *_: Any) -> None:
        headers["authorization"] = token

    return update_params_for_auth


@virtual_time
@pytest.mark.parametrize("end", ["\n", "\r\n", " ", "\t\n\n"])
async def test_g9_a_token_out_of_a_file_may_end_with_a_newline(end: str) -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        api.configuration.api_key = {"BearerToken": f"t0ken{end}"}
        api.configuration.api_key_prefix = {"BearerToken": "Bearer"}
        await got(Source(api, Settings()))
        assert server.requests[0].headers["authorization"] == "Bearer t0ken"


@virtual_time
@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"X-A": None}, "the header X-A is None instead of a text"),
        ({"X-A": "1\n2"}, "the header X-A cannot be sent: it contains the character U+000A"),
        ({"X-A\x1b[31m": 7}, r"the header X-A\x1b[31m is a int instead of a text"),
        ({"X-A\n": "1"}, "the request failed: "),
        ({"User-Agent": None}, "the request cannot be made: AttributeError in adapter.py"),
    ],
)
async def test_g9_a_header_that_cannot_be_sent_is_a_failed_request(headers: dict[str, Any], words: str) -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        api.default_headers |= headers
        with pytest.raises(ConnectionFailedError) as caught:
            await got(Source(api, Settings()))
        assert str(caught.value).startswith(words)
        assert not server.requests


@virtual_time
async def test_g9_a_query_that_cannot_be_sent_is_a_failed_request() -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        with pytest.raises(ConnectionFailedError, match="the request cannot be made: UnicodeEncodeError in"):
            await got(source, {"labelSelector": "a=\udcff"})


NO_URL = "cannot connect: the host of the client's configuration is not the URL of a server"


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("", NO_URL), (None, NO_URL), (7, NO_URL), ("127.0.0.1:1", NO_URL), ("http://", NO_URL), ("http://[", NO_URL),
        ("http://[::1]:x", NO_URL), ("ftp://127.0.0.1", NO_URL), (f"http://{'a' * 64}.example", NO_URL),
        (f"http://{'a.' * 200}example", ""), ("http://127.0.0.1:99999", NO_URL), ("http://\udcff", ""),
        ("http://hunter2@127.0.0.1:1", "cannot connect to 127.0.0.1:1: connection refused"),
        ("http://user:hunter2@127.0.0.1:1", "cannot connect to 127.0.0.1:1: connection refused"),
        ("http://user:hun/hunter2@127.0.0.1:1", ""),
    ],
)  # fmt: skip
async def test_g9_a_host_that_is_none_is_a_failed_request(host: Any, words: str) -> None:
    """Nor is a password in it quoted."""
    async with client.ApiClient(client.Configuration(host="http://127.0.0.1:1")) as api:
        api.configuration.host = host
        with pytest.raises(ConnectionFailedError) as caught:
            await got(Source(api, Settings()))
        assert str(caught.value).startswith(words)
        assert "hunter2" not in str(caught.value)


@virtual_time
@pytest.mark.parametrize("where", ["session", "options", "credentials", "response"])
async def test_g9_whatever_breaks_inside_the_client_is_a_failed_request(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise LookupError("hunter2")

    async with FakeAPIServer() as server, server.api_client() as api:
        source = Source(api, Settings())
        match where:
            case "session":
                monkeypatch.setattr(api.rest_client.pool_manager, "get", broken)
            case "options":
                monkeypatch.delattr(api.rest_client, "proxy")
            case "credentials":
                monkeypatch.setattr(api, "update_params_for_auth", broken)
            case "response":
                monkeypatch.setattr(aiohttp.StreamReader, "readany", broken)
        with pytest.raises(ConnectionFailedError) as caught:
            await got(source)
        assert "hunter2" not in str(caught.value)
        assert not api.rest_client.pool_manager.connector._acquired


@virtual_time
async def test_g10_a_response_that_cannot_be_closed_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError

    async with FakeAPIServer() as server, source_of(server) as source:
        with monkeypatch.context() as patched:
            patched.setattr(aiohttp.ClientResponse, "close", broken)
            assert b"ConfigMapList" in await got(source)
        with monkeypatch.context() as patched:
            patched.setattr("socket.socket.setsockopt", broken)
            assert b"ConfigMapList" in await got(source)


@virtual_time
async def test_g9_a_client_that_is_closed_while_a_request_waits_for_a_connection_is_named() -> None:
    """aiohttp cancels those that wait, although nobody has cancelled their tasks."""
    async with FakeAPIServer() as server:
        configuration = server.configuration()
        configuration.connection_pool_maxsize = 1
        api = client.ApiClient(configuration)
        source = Source(api, Settings())
        async with source.open(PATH, {"watch": "true"}, header_timeout=10):
            waiting = asyncio.create_task(got(source))
            await asyncio.sleep(1)
            await api.close()
            with pytest.raises(ConnectionFailedError, match="the API client has been closed"):
                await waiting
            assert not waiting.cancelling()


class OddHook:
    """A hook of somebody's that has other things by the names that we ask for."""

    def __call__(self, _: client.Configuration) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)


@virtual_time
async def test_g9_a_hook_that_answers_no_questions_is_no_reason_to_fail_otherwise() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        server.fail("list configmaps", 401, times=None)
        api.configuration.api_key, api.configuration.refresh_api_key_hook = {"BearerToken": "x"}, OddHook()
        with pytest.raises(UnauthorizedError, match="was refused twice"):
            await got(Source(api, Settings()))


@virtual_time
@pytest.mark.parametrize("when", ["credentials", "connection", "body"])
async def test_g10_a_cancellation_is_never_mistaken_for_a_failure(when: str) -> None:
    async with FakeAPIServer() as server, server.api_client() as api:

        async def slow(_: Any) -> None:
            await asyncio.sleep(5)

        if when == "credentials":
            api.configuration.api_key, api.configuration.refresh_api_key_hook = {"BearerToken": "x"}, slow
        else:
            after = None if when == "connection" else 10
            server.intercept(lambda _: Fault(ending=Ending.STALL, after=after))
        task = asyncio.create_task(got(Source(api, Settings())))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert not api.rest_client.pool_manager.connector._acquired


# -- bodies that come in pieces, slowly, or for ever --------------------------------------------------------------

TOO_LARGE = (
    b'{"kind":"Status","code":504,"reason":"Timeout","message":"Timeout: Too large resource version: 9, current: 5",'
    b'"details":{"causes":[{"reason":"ResourceVersionTooLarge"}],"retryAfterSeconds":3}}'
)


@asynccontextmanager
async def raw_source(
    status: str, *pieces: bytes, is_chunked: bool, pause: float = 1.0, times: int = 1, is_endless: bool = False,
    **settings: Any,
) -> AsyncIterator[Source]:  # fmt: skip
    """Give a source of a server that answers with pieces, each in a segment of its own, over and over if endless."""
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {sum(map(len, pieces)) * times}"
    tasks: set[asyncio.Task[Any] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n\r\n".encode())
            turn = 0
            while is_endless or turn < times:
                turn += 1
                for piece in pieces:
                    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
            writer.write(b"0\r\n\r\n" if is_chunked else b"")
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{port}")) as api:
        yield Source(api, Settings(**settings))
    await asyncio.wait(filter(None, tasks))


@virtual_time
@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize("cut", [1, 60, len(TOO_LARGE) - 1])
async def test_g1_a_status_in_several_segments_is_read_whole(cut: int, is_chunked: bool) -> None:
    """Else an informer would not know that the server's history is gone, and keep what is no longer there."""
    pieces = TOO_LARGE[:cut], TOO_LARGE[cut:]
    async with raw_source("504 Gateway Timeout", *pieces, is_chunked=is_chunked) as source:
        with pytest.raises(ServerBusyError) as caught:
            await got(source)
        assert (caught.value.causes, caught.value.retry_after) == (("ResourceVersionTooLarge",), 3.0)


@virtual_time
async def test_g8_a_status_that_never_ends_is_cut() -> None:
    """After a megabyte or some seconds: the status alone says enough."""
    loop = asyncio.get_running_loop()
    async with raw_source("500 Oops", b"x" * 65536, is_chunked=True, pause=0.0, is_endless=True) as source:
        with pytest.raises(ApiStatusError, match="500: the answer is not a Kubernetes Status"):
            await got(source)
    async with raw_source("503 Busy", b" ", is_chunked=True, is_endless=True) as source:
        begin = loop.time()
        with pytest.raises(ServerBusyError):
            await got(source)
        assert loop.time() - begin == pytest.approx(5, abs=1)


@virtual_time
async def test_g8_a_document_that_never_ends_is_refused() -> None:
    endless = raw_source(
        "200 OK", b"x" * 65536, is_chunked=True, pause=0.0, is_endless=True, max_object_bytes=1_000_000
    )
    async with endless as source:
        with pytest.raises(ResponseError, match="the answer to GET /apis is larger than max_object_bytes=1000000"):
            await source.read_json("/apis")


@virtual_time
async def test_g9_a_document_on_a_slow_link_is_read() -> None:
    """It may take longer than the silence that is allowed, but not for ever."""
    async with raw_source("200 OK", b"x" * 100, is_chunked=False, pause=20.0, times=20) as source:
        assert len(await source.read_json("/apis")) == 2000
    async with raw_source("200 OK", b"x", is_chunked=True, pause=20.0, is_endless=True, list_timeout=120) as source:
        with pytest.raises(ConnectionFailedError, match="GET /apis was not answered within 120 s"):
            await source.read_json("/apis")


# -- changes ------------------------------------------------------------------------------------------------------

ALL = "/api/v1/namespaces/default/configmaps"


def encoded(obj: dict[str, Any]) -> bytes:
    return json.dumps(obj).encode()


@virtual_time
async def test_a_change_is_sent_as_it_is_and_answered_whole() -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        source.client.api_client.configuration.api_key = {"BearerToken": "Bearer right"}
        made = json.loads(await source.send("POST", ALL, encoded(configmap("c", v="1")), timeout=5))
        assert made["metadata"]["uid"]
        made["data"]["v"] = "2"
        changed = json.loads(await source.send("PUT", f"{ALL}/c", encoded(made), timeout=5))
        assert changed["data"] == {"v": "2"}
        patched = await source.send(
            "PATCH", f"{ALL}/c", b'{"data":{"w":"3"}}', timeout=5, content_type="application/merge-patch+json",
            query={"fieldManager": "a b"},
        )  # fmt: skip
        assert json.loads(patched)["data"] == {"v": "2", "w": "3"}
        assert json.loads(await source.send("DELETE", f"{ALL}/c", timeout=5))["status"] == "Success"
        post, put, patch, delete = server.requests
        assert [each.method for each in server.requests] == ["POST", "PUT", "PATCH", "DELETE"]
        assert post.headers["content-type"] == put.headers["content-type"] == "application/json"
        assert patch.headers["content-type"] == "application/merge-patch+json"
        assert dict(patch.query) == {"fieldManager": "a b"}
        assert "content-type" not in delete.headers or not delete.headers.get("content-length")
        assert {each.headers["authorization"] for each in server.requests} == {"Bearer right"}
        assert all(each.headers["user-agent"].startswith("aioinformers/") for each in server.requests)


@virtual_time
@pytest.mark.parametrize(
    ("status", "error"),
    [(403, ForbiddenError), (404, ResourceNotFoundError), (409, ConflictError), (422, BadRequestError),
     (429, ServerBusyError), (500, ApiStatusError), (503, ServerBusyError)],
)  # fmt: skip
async def test_a_change_that_is_refused_is_an_error_of_its_class_and_sent_once(
    status: int, error: type[ApiStatusError]
) -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        server.fail("update configmaps", status, times=None, headers={"Retry-After": "7"})
        with pytest.raises(error) as caught:
            await source.send("PUT", f"{ALL}/c", b"{}", timeout=5)
        assert type(caught.value) is error
        assert caught.value.retry_after == 7.0
        assert len(server.requests) == 1


@virtual_time
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_g16_a_change_is_not_sent_on_by_a_redirect(status: int) -> None:
    async with FakeAPIServer() as server, FakeAPIServer() as other, source_of(server) as source:
        server.fail("update configmaps", status, headers={"Location": f"{other.url}{ALL}/c?token=hunter2"})
        with pytest.raises(ResponseError, match=rf"is answered with a redirect \({status}\)") as caught:
            await source.send("PUT", f"{ALL}/c", b"{}", timeout=5)
        assert "hunter2" not in str(caught.value)
        assert len(server.requests) == 1
        assert not other.requests


@virtual_time
@pytest.mark.parametrize("status", [300, 304])
async def test_an_answer_to_a_change_that_is_neither_success_nor_failure_is_refused(status: int) -> None:
    async with FakeAPIServer() as server, source_of(server) as source:
        server.fail("update configmaps", status, body=b"")
        with pytest.raises(ResponseError, match=f"unexpected answer {status} to PUT"):
            await source.send("PUT", f"{ALL}/c", b"{}", timeout=5)


@virtual_time
async def test_a_change_whose_credentials_are_refused_is_sent_once_more_with_fresh_ones() -> None:
    async with FakeAPIServer() as server:
        tokens = iter(["old", "new", "newer", "newest"])

        async def refresh(configuration: client.Configuration) -> None:
            configuration.api_key = {"BearerToken": f"Bearer {next(tokens)}"}

        def judge(request: RequestInfo) -> Fault | None:
            return None if request.headers.get("authorization") == "Bearer new" else Fault(status=401)

        configuration = server.configuration()
        configuration.api_key = {"BearerToken": "Bearer oldest"}
        configuration.refresh_api_key_hook = refresh
        server.intercept(judge)
        async with client.ApiClient(configuration) as api:
            source = Source(api, Settings())
            assert b'"uid"' in await source.send("POST", ALL, encoded(configmap("c")), timeout=5)
            assert [request.headers["authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]
            with pytest.raises(UnauthorizedError, match="was refused twice"):
                await source.send("POST", ALL, encoded(configmap("d")), timeout=5)
            assert len(server.requests) == 4


@virtual_time
@pytest.mark.parametrize(
    ("fault", "words", "instant", "is_done"),
    [
        (Fault(ending=Ending.STALL, after=None), "no answer within 5 s", 5.0, True),
        (Fault(delay=60), "no answer within 5 s", 5.0, False),
        (Fault(ending=Ending.RESET, after=None), "the request failed", 0.0, True),
        (Fault(ending=Ending.CLOSE, after=None), "the server closed the connection before it answered", 0.0, True),
        (Fault(ending=Ending.RESET, after=10), "the connection broke while reading", 0.0, True),
        (Fault(ending=Ending.STALL, after=10), "did not come whole within 5 s", 5.0, True),
    ],
)
async def test_a_change_without_an_answer_is_never_sent_again_by_itself(
    fault: Fault, words: str, instant: float, is_done: bool
) -> None:
    """It may have been made. That holds for a connection that has served before, too: aiohttp would send PUT again."""
    async with FakeAPIServer() as server, source_of(server) as source:
        made = json.loads(await source.send("POST", ALL, encoded(configmap("c")), timeout=5))
        begin = asyncio.get_running_loop().time()
        server.intercept(lambda request: fault if request.verb == "update" else None)
        with pytest.raises(ConnectionFailedError, match=words) as caught:
            await source.send("PUT", f"{ALL}/c", encoded({**made, "data": {"v": "2"}}), timeout=5)
        assert asyncio.get_running_loop().time() - begin == instant
        assert not caught.value.is_refused
        assert (server.get("configmaps", "c").get("data") == {"v": "2"}) == is_done
        assert [request.method for request in server.requests] == ["POST", "PUT"]


async def test_a_change_that_no_server_can_have_got_says_so(unused_tcp_port: int) -> None:
    async with client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{unused_tcp_port}")) as api:
        with pytest.raises(ConnectionFailedError, match="cannot connect") as caught:
            await Source(api, Settings()).send("PUT", f"{ALL}/c", b"{}", timeout=5)
        assert caught.value.is_refused


@virtual_time
async def test_a_change_gets_so_much_time_in_all() -> None:
    """For credentials, both attempts and the answer."""
    async with FakeAPIServer() as server:

        async def slow(_: client.Configuration) -> None:
            await asyncio.sleep(2)

        configuration = server.configuration()
        configuration.api_key, configuration.refresh_api_key_hook = {"BearerToken": "x"}, slow
        server.fail("update configmaps", 401, times=None, delay=1)
        async with client.ApiClient(configuration) as api:
            loop = asyncio.get_running_loop()
            begin = loop.time()
            with pytest.raises(ConnectionFailedError):
                await Source(api, Settings()).send("PUT", f"{ALL}/c", b"{}", timeout=5)
            assert loop.time() - begin == 5
            with pytest.raises(ConnectionFailedError, match="credentials were not refreshed") as caught:
                await Source(api, Settings()).send("PUT", f"{ALL}/c", b"{}", timeout=1)
            assert caught.value.is_refused


@virtual_time
async def test_an_answer_to_a_change_that_is_too_long_is_refused() -> None:
    async with FakeAPIServer() as server, source_of(server, max_object_bytes=1000) as source:
        with pytest.raises(ResponseError, match=f"the answer to POST {ALL} is larger than max_object_bytes=1000"):
            await source.send("POST", ALL, encoded(configmap("c", v="x" * 2000)), timeout=5)


@virtual_time
@pytest.mark.parametrize("when", ["credentials", "connection", "body"])
async def test_g10_a_change_that_is_cancelled_leaves_no_connection(when: str) -> None:
    async with FakeAPIServer() as server, server.api_client() as api:

        async def slow(_: Any) -> None:
            await asyncio.sleep(5)

        if when == "credentials":
            api.configuration.api_key, api.configuration.refresh_api_key_hook = {"BearerToken": "x"}, slow
        else:
            server.intercept(lambda _: Fault(ending=Ending.STALL, after=None if when == "connection" else 10))
        task = asyncio.create_task(Source(api, Settings()).send("POST", ALL, encoded(configmap("c")), timeout=9))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert not api.rest_client.pool_manager.connector._acquired


@virtual_time
async def test_g16_nothing_of_a_change_is_quoted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    async with FakeAPIServer() as server, source_of(server) as source:
        source.client.api_client.configuration.api_key = {"BearerToken": "Bearer hunter2"}
        body = encoded(configmap("c", v="hunter2"))
        for fault in (Fault(status=500, body=b"hunter2"), Fault(ending=Ending.CLOSE, after=None)):
            remove = server.intercept(functools.partial(lambda given, _: given, fault))
            with pytest.raises(InformerError) as caught:
                await source.send("POST", ALL, body, timeout=5)
            assert "hunter2" not in "".join(traceback.format_exception(caught.value))
            remove()
    assert "hunter2" not in caplog.text


@virtual_time
async def test_what_a_session_does_with_every_request_is_done_with_changes() -> None:
    """Its middlewares, for one; those of a request would replace them."""
    async with FakeAPIServer() as server, source_of(server) as source:
        seen: list[str] = []

        async def note(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            seen.append(request.method)
            return await handler(request)

        api = source.client.api_client
        await api.rest_client.pool_manager.close()
        api.rest_client.pool_manager = aiohttp.ClientSession(middlewares=(note,))
        await source.send("POST", ALL, encoded(configmap("c")), timeout=5)
        assert seen == ["POST"]
