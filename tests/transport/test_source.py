"""The door to the Kubernetes client: requests with its session, and foreign exceptions as the package's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_asyncio import client

from aioinformers.errors import (
    ApiStatusError,
    ConnectionFailedError,
    ForbiddenError,
    GoneError,
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
        body = await got(source, {"labelSelector": "a in (b,c)", "limit": "5"}, compression=True, accept="text/odd")
        await got(source)
        assert body.startswith(b'{"kind":"ConfigMapList"')
        first, second = server.requests
        assert dict(first.query) == {"labelSelector": "a in (b,c)", "limit": "5"}
        assert (first.headers["accept"], first.headers["accept-encoding"]) == ("text/odd", "gzip")
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
@pytest.mark.parametrize("status", [204, 302, 307])
async def test_an_answer_that_is_neither_success_nor_failure_is_refused(status: int) -> None:
    """A redirect above all: credentials are for one server."""
    async with FakeAPIServer() as server, source_of(server) as source:
        server.fail("list configmaps", status, body=b"", headers={"Location": "http://elsewhere.example/"})
        with pytest.raises(ResponseError, match=f"unexpected answer {status}"):
            await got(source)
        assert len(server.requests) == 1


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
    with pytest.raises(TypeError, match="must be an ApiClient of kubernetes_asyncio or"):
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
