"""G19: a new leader waits until its caches hold what was written before it began, and no longer than it must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioinformers import InformerClosedError
from aioinformers.coordination.barrier import pass_barrier
from aioinformers.settings import Settings
from aioinformers.testing import Ending, FakeAPIServer, Fault, RequestInfo
from aioinformers.transport.source import Source
from tests.coordination.followed import Followed
from tests.kit import configmap, factory_on, started

pytestmark = pytest.mark.virtual_time


@asynccontextmanager
async def followed_on(server: FakeAPIServer, **options: Any) -> AsyncIterator[Followed]:
    async with factory_on(server) as factory:
        informer = await started(factory, **options)
        selector = options.get("label_selector")
        query = {"labelSelector": selector} if selector else {}
        yield Followed(informer, Source(factory.api_client, Settings()), query)


def now() -> float:
    return asyncio.get_running_loop().time()


def names(followed: Followed) -> set[str]:
    return {key.name for key in followed.informer.indexer}


async def late(server: FakeAPIServer, seconds: float) -> None:
    """Let the informer's own watch learn of nothing for so long."""
    deaf = Fault(delay=seconds)
    server.intercept(lambda r: deaf if r.verb == "watch" and "timeoutSeconds" in r.query and not is_probe(r) else None)
    server.close_watches()
    await asyncio.sleep(0.05)


def is_probe(request: RequestInfo) -> bool:
    return request.verb == "watch" and request.query.get("timeoutSeconds") == "3"


async def test_g19_a_cache_that_is_as_new_as_the_server_passes_at_once() -> None:
    async with FakeAPIServer() as server, followed_on(server) as followed:
        server.create("configmaps", configmap("a"))
        begin = now()
        await pass_barrier([followed])
        assert now() - begin <= 0.2
        assert names(followed) == {"a"}
        assert not [request for request in server.requests if is_probe(request)]
        asked = [request for request in server.requests if request.query.get("limit") == "1"]
        assert [dict(request.query) for request in asked] == [{"limit": "1"}], "without a version: consistent"


async def test_g19_a_quiet_kind_passes_by_a_probe_and_not_by_the_next_bookmark() -> None:
    """Others write, and the kind's own watch says nothing for a minute."""
    async with FakeAPIServer(bookmark_interval=60) as server, followed_on(server) as followed:
        for number in range(5):
            server.create("secrets", {"metadata": {"name": f"s{number}"}})
        begin = now()
        await pass_barrier([followed])
        assert now() - begin <= 2
        (probe,) = [request for request in server.requests if is_probe(request)]
        assert probe.query["resourceVersion"] == followed.version
        assert probe.query["allowWatchBookmarks"] == "true"


@pytest.mark.parametrize("behind", [2.0, 20.0])
async def test_g19_what_a_predecessor_wrote_last_is_waited_for(behind: float) -> None:
    async with FakeAPIServer() as server, followed_on(server) as followed:
        await late(server, behind)
        server.create("configmaps", configmap("last"))
        server.create("secrets", {"metadata": {"name": "s"}})
        begin = now()
        await pass_barrier([followed])
        assert names(followed) == {"last"}
        assert now() - begin == pytest.approx(behind, abs=3)


async def test_g19_what_is_written_meanwhile_is_not_waited_for() -> None:
    """A busy kind would keep a leader waiting for ever."""
    async with FakeAPIServer() as server, followed_on(server) as followed:
        await late(server, 1000)

        async def write() -> None:
            for number in range(1000):
                server.create("configmaps", configmap(f"new{number}"))
                await asyncio.sleep(0.05)

        server.create("secrets", {"metadata": {"name": "s"}})
        passing = asyncio.create_task(pass_barrier([followed]))
        await asyncio.sleep(0.1)
        writing = asyncio.create_task(write())
        begin = now()
        await passing
        assert now() - begin <= 2
        writing.cancel()


async def test_g19_selectors_are_those_of_the_cache() -> None:
    async with FakeAPIServer() as server, followed_on(server, label_selector="a=b") as followed:
        server.create("configmaps", configmap("other", labels={"a": "c"}))
        server.create("configmaps", configmap("own", labels={"a": "b"}))
        server.create("configmaps", configmap("another", labels={"a": "c"}))
        begin = now()
        await pass_barrier([followed])
        assert names(followed) == {"own"}
        assert now() - begin <= 2
        assert all(
            request.query.get("labelSelector") == "a=b"
            for request in server.requests
            if is_probe(request) or "limit" in request.query
        )


async def test_g19_all_are_waited_for_at_the_same_time() -> None:
    async with FakeAPIServer(bookmark_interval=60) as server, followed_on(server) as one, followed_on(server) as two:
        server.create("secrets", {"metadata": {"name": "s"}})
        begin = now()
        await pass_barrier([one, two])
        assert now() - begin <= 2
        await pass_barrier([])


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503), Fault(status=410), Fault(status=200, body=b"no json\n"), Fault(ending=Ending.RESET, after=0),
        Fault(status=200, body=b'{"type":"ERROR","object":{"metadata":{},"code":410}}\n'),
    ],
)  # fmt: skip
async def test_g9_requests_that_fail_are_made_again(fault: Fault) -> None:
    async with FakeAPIServer(bookmark_interval=60) as server, followed_on(server) as followed:
        left = {"probe": 3, "list": 3}

        def fail(request: RequestInfo) -> Fault | None:
            what = "probe" if is_probe(request) else "list" if "limit" in request.query else ""
            if what and left[what]:
                left[what] -= 1
                return fault
            return None

        server.intercept(fail)
        server.create("secrets", {"metadata": {"name": "s"}})
        await pass_barrier([followed], timeout=30)
        assert left == {"probe": 0, "list": 0}


async def test_a_barrier_that_takes_too_long_names_who_is_behind() -> None:
    async with FakeAPIServer() as server, followed_on(server) as followed:
        await late(server, 1000)
        server.create("configmaps", configmap("last"))
        with pytest.raises(TimeoutError, match="not as new as the server within 7 s: configmaps"):
            await pass_barrier([followed], timeout=7)
        before = len(server.requests)
        server.fail("list configmaps", 403, times=None)
        with pytest.raises(TimeoutError, match=r"within 60 s: configmaps \(403: injected"):
            await pass_barrier([followed], timeout=60)
        asked = [request for request in server.requests[before:] if request.query.get("limit") == "1"]
        assert len(asked) <= 9


async def test_a_cache_that_ends_ends_the_wait_for_it() -> None:
    async with FakeAPIServer() as server, followed_on(server) as followed:
        await late(server, 1000)
        server.create("configmaps", configmap("last"))

        class Ended(Followed):
            async def wait_for_version(self, version: str) -> None:
                await asyncio.sleep(2)
                raise InformerClosedError("it has ended")

        ended = Ended(followed.informer, followed.source)
        with pytest.raises(InformerClosedError):
            await pass_barrier([followed, ended])


async def test_g10_a_barrier_that_is_cancelled_leaves_nothing() -> None:
    async with FakeAPIServer() as server, followed_on(server) as followed:
        await late(server, 1000)
        server.create("configmaps", configmap("last"))
        task = asyncio.create_task(pass_barrier([followed]))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
