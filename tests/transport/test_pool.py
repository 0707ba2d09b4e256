"""The connections of a client that informers hold: counted per client, and said before nothing is left."""

from __future__ import annotations

import gc
import logging
import weakref
from typing import Any

import aiohttp
import pytest

from aioinformers.settings import Settings
from aioinformers.testing import FakeAPIServer
from aioinformers.transport.pool import Reservation, limit_of
from aioinformers.transport.source import Source


class Client:
    """Stands for an API client."""


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings since the last call."""
    found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert {record.name for record in caplog.records} <= {"aioinformers.factory"}
    caplog.clear()
    return found


def test_g9_the_informer_that_leaves_few_connections_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    api = Client()
    Reservation(api, 100, "pods.v1", 50)
    Reservation(api, 100, "nodes.v1", 40)
    assert warned(caplog) == []
    Reservation(api, 100, "jobs.v1.batch", 1)
    (warning,) = warned(caplog)
    for words in ("jobs.v1.batch", "91 of the 100 connections", "configuration.connection_pool_maxsize"):
        assert words in warning
    Reservation(api, 100, "secrets.v1", 9)
    assert warned(caplog) == [], "it is known"


def test_g9_informers_that_need_more_than_there_are_get_another_warning(caplog: pytest.LogCaptureFixture) -> None:
    api = Client()
    Reservation(api, 4, "pods.v1", 4)
    assert "4 of the 4 connections" in warned(caplog)[0]
    Reservation(api, 4, "nodes.v1", 1)
    (warning,) = warned(caplog)
    assert "nodes.v1: with it, informers need 5 connections of the API client, which has 4" in warning
    assert "configuration.connection_pool_maxsize" in warning
    Reservation(api, 4, "jobs.v1.batch", 1)
    assert warned(caplog) == []


def test_what_is_given_back_is_counted_once_and_a_new_shortage_is_news(caplog: pytest.LogCaptureFixture) -> None:
    api = Client()
    kept = Reservation(api, 10, "pods.v1", 5)
    given = Reservation(api, 10, "nodes.v1", 5)
    assert len(warned(caplog)) == 1
    for _ in range(3):
        given.release()
    assert warned(caplog) == []
    Reservation(api, 10, "jobs.v1.batch", 4)
    assert warned(caplog) == [], "nine of ten"
    Reservation(api, 10, "secrets.v1", 1)
    assert "10 of the 10 connections" in warned(caplog)[0]
    kept.release()


def test_clients_are_counted_apart_and_without_a_limit_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        Reservation(Client(), 10, "pods.v1", 9)
    Reservation(Client(), 0, "pods.v1", 1000)
    assert warned(caplog) == []


def test_a_client_is_not_kept() -> None:
    api = Client()
    reservation, known = Reservation(api, 10, "pods.v1", 1), weakref.ref(api)
    del api
    gc.collect()
    assert known() is None
    reservation.release()


@pytest.mark.parametrize(
    ("limits", "limit"),
    [({}, 100), ({"limit": 7}, 7), ({"limit": 7, "limit_per_host": 3}, 3), ({"limit": 0, "limit_per_host": 3}, 3),
     ({"limit": 0}, 0)],
)  # fmt: skip
async def test_the_smaller_limit_counts(limits: dict[str, Any], limit: int) -> None:
    """All requests are to one host."""
    connector = aiohttp.TCPConnector(**limits)
    assert limit_of(connector) == limit
    await connector.close()
    assert limit_of(None) == 0


@pytest.mark.virtual_time
async def test_g9_sources_of_one_client_share_its_count(caplog: pytest.LogCaptureFixture) -> None:
    """As factories do that are made with the same client; one that is closed says nothing."""
    async with FakeAPIServer() as server:
        async with server.api_client() as api:
            for source in (Source(api, Settings()), Source(api, Settings())):
                source.reserve("pods.v1", 48)
            assert "pods.v1: with it, informers hold 96 of the 100 connections" in warned(caplog)[0]
        Source(api, Settings()).reserve("nodes.v1", 1000).release()
        assert warned(caplog) == []
