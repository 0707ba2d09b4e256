"""What clients are told when a cache cannot answer."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers import CacheNotSyncedError, CacheSyncError, InformerClosedError, InformerCrashedError, NotFoundError
from aioinformers.integrations.fastapi.refusals import STOPPING, refusal_of, unsynced
from aioinformers.integrations.lifecycle import ServerStoppingError
from aioinformers.testing import FakeAPIServer, Fault
from tests.kit import factory_on

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (NotFoundError("pods.v1", "a/web", "one is in namespace 'secret'"), 404, "there is no 'a/web' among pods.v1"),
        (CacheNotSyncedError("pods.v1", "10.0.0.1 refused"), 503, "the cache cannot be read yet"),
        (CacheSyncError({"pods.v1": "10.0.0.1 refused"}), 503, "the caches are not complete yet"),
        (InformerCrashedError("a bug at 10.0.0.1"), 503, "the cache has failed"),
        (InformerClosedError("pods.v1 is closed"), 503, "the cache is closed"),
        (ServerStoppingError(), 503, "the server is stopping"),
    ],
)  # fmt: skip
def test_errors_are_answered_in_words_for_anybody(error: Exception, status: int, detail: str) -> None:
    refusal = refusal_of(error)
    assert (refusal.status, refusal.detail) == (status, detail)
    assert ("Retry-After" in refusal.headers) is (status == 503)


def test_what_is_closed_because_the_server_stops_says_so() -> None:
    assert refusal_of(InformerClosedError("pods.v1 is closed"), is_stopping=True) is STOPPING
    assert str(ServerStoppingError()) == "the server is stopping: the wait was given up"


@pytest.mark.parametrize(
    ("fault", "words", "seconds"),
    [
        (None, "the first list is under way", 1),
        (Fault(status=403), "the API server does not allow to list and watch them", 5),
        (Fault(status=401), "the API server refuses the credentials", 5),
        (Fault(status=404), "the API server does not know them", 5),
        (Fault(status=503), "the API server is overloaded", 5),
        (Fault(status=500), "the API server could not be understood", 5),
    ],
)
async def test_the_reason_of_an_unsynced_cache_names_nothing_of_the_cluster(
    fault: Fault | None, words: str, seconds: int
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.intercept(lambda _: fault)
        configmaps = factory.core.v1.configmaps(namespace="secret")
        await factory.start()
        if fault is not None:
            await asyncio.sleep(3)
        refusal = unsynced(configmaps)
        assert refusal.detail == f"configmaps.v1 cannot be read yet: {words}"
        assert refusal.retry_after == seconds
        with pytest.raises(CacheNotSyncedError) as early:
            configmaps.lister.list()
        assert refusal_of(early.value, factory) == refusal


async def test_an_api_server_that_is_away_is_not_named() -> None:
    server = FakeAPIServer()
    async with server, factory_on(server) as factory:
        await server.stop()
        configmaps = factory.core.v1.configmaps()
        await factory.start()
        await asyncio.sleep(3)
        assert "127.0.0.1" in configmaps.health().reason
        assert unsynced(configmaps).detail == "configmaps.v1 cannot be read yet: the API server cannot be reached"
