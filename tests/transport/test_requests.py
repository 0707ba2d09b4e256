"""Requests and their answers, counted."""

from __future__ import annotations

import pytest
from kubernetes_asyncio import client

from aioinformers.errors import ConnectionFailedError, ServerBusyError
from aioinformers.settings import Settings
from aioinformers.testing import FakeAPIServer, Fault
from aioinformers.transport.requests import RequestLog, log_of
from aioinformers.transport.source import Source

pytestmark = pytest.mark.virtual_time


def test_answers_are_counted_by_method_and_status() -> None:
    log = RequestLog()
    log.note("GET", 200, 0.01)
    log.note("GET", 200, 40.0)
    log.note("PUT", None, 5.0)
    log.note_retry("PUT", 401)
    found = log.statistics("host")
    assert found.host == "host"
    assert found.answers == {("GET", "200"): 2, ("PUT", "<error>"): 1}
    assert found.retries == {("PUT", "401"): 1}
    assert (sum(found.durations["GET"].counts), found.durations["GET"].total) == (2, 40.01)


async def test_all_who_use_one_client_share_a_log() -> None:
    async with client.ApiClient() as one, client.ApiClient() as other:
        assert log_of(one) is log_of(one) is Source(one, Settings()).requests
        assert log_of(one) is not log_of(other)


async def test_whatever_comes_of_a_request_is_counted_once() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        source = Source(api, Settings())
        await source.read_json("/api/v1/namespaces/default/pods")
        faults = iter([Fault(status=429), Fault(delay=1000.0)])
        server.intercept(lambda _: next(faults))
        with pytest.raises(ServerBusyError):
            await source.read_json("/api/v1/namespaces/default/pods")
        with pytest.raises(ConnectionFailedError):
            await source.send("POST", "/api/v1/namespaces/default/pods", b"{}", timeout=2.0)
        found = source.requests.statistics("")
        assert found.answers == {("GET", "200"): 1, ("GET", "429"): 1, ("POST", "<error>"): 1}
        assert found.durations["POST"].total == pytest.approx(2.0, abs=0.1)
