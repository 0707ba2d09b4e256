"""Reads, writes and watches of one Lease: what is asked, and what answers are worth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aioinformers.coordination.lease import LeaseRecord
from aioinformers.coordination.requests import LeaseRequests
from aioinformers.errors import (
    ApiStatusError,
    ConflictError,
    ConnectionFailedError,
    ForbiddenError,
    GoneError,
    ResourceNotFoundError,
    ResponseError,
)
from aioinformers.settings import Settings
from aioinformers.testing import Ending, FakeAPIServer, Fault
from aioinformers.transport.source import Source

pytestmark = pytest.mark.virtual_time

LEASES = "leases.v1.coordination.k8s.io"
FIRST = LeaseRecord("a", 15, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z", 0)
SECOND = LeaseRecord("b", 15, "2026-01-02T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z", 1)


@asynccontextmanager
async def requests_to(server: FakeAPIServer) -> AsyncIterator[LeaseRequests]:
    async with server.api_client() as api:
        yield LeaseRequests(Source(api, Settings()), "default", "op")


async def test_a_lease_is_made_read_and_changed() -> None:
    async with FakeAPIServer() as server, requests_to(server) as requests:
        assert await requests.get(5) is None
        made = await requests.create(FIRST, 5)
        found = await requests.get(5)
        assert found == made
        assert found.record == FIRST
        changed = await requests.update(found, SECOND, 5)
        assert changed.record == SECOND
        assert changed.version != found.version
        path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        assert [(request.method, request.path, dict(request.query)) for request in server.requests] == [
            ("GET", f"{path}/op", {}),
            ("POST", path, {}),
            ("GET", f"{path}/op", {}),
            ("PUT", f"{path}/op", {}),
        ]


async def test_g21_what_has_changed_since_is_not_overwritten() -> None:
    async with FakeAPIServer() as server, requests_to(server) as requests:
        made = await requests.create(FIRST, 5)
        await requests.update(made, SECOND, 5)
        for call in (requests.update(made, FIRST, 5), requests.create(FIRST, 5)):
            with pytest.raises(ConflictError):
                await call
        server.delete(LEASES, "op", namespace="default")
        await requests.create(FIRST, 5)
        with pytest.raises(ConflictError):
            await requests.update(made, SECOND, 5)


async def test_a_refusal_names_what_is_missing() -> None:
    async with FakeAPIServer() as server, requests_to(server) as requests:
        made = await requests.create(FIRST, 5)
        server.fail(f"* {LEASES}", 403, times=None)
        for call in (requests.get(5), requests.create(FIRST, 5), requests.update(made, FIRST, 5)):
            with pytest.raises(
                ForbiddenError, match="needs the verbs get, create, update and watch on leases in default"
            ):
                await call
        with pytest.raises(ForbiddenError, match="get, create, update and watch"):
            async with requests.watch(made):
                pass


async def test_a_404_that_is_not_of_the_lease_is_no_word_of_it() -> None:
    async with FakeAPIServer() as server, requests_to(server) as requests:
        server.fail(f"get {LEASES}", 404, body=b"404 page not found")
        with pytest.raises(ResourceNotFoundError):
            await requests.get(5)


async def test_a_read_gets_so_much_time_and_its_answer_is_proof() -> None:
    async with FakeAPIServer() as server, FakeAPIServer() as other, requests_to(server) as requests:
        remove = server.intercept(lambda _: Fault(ending=Ending.STALL, after=3))
        begin = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionFailedError, match="was not answered within 2 s"):
            await requests.get(2)
        assert asyncio.get_running_loop().time() - begin == 2
        remove()
        server.fail(f"get {LEASES}", 307, headers={"Location": f"{other.url}/x"})
        with pytest.raises((ApiStatusError, ResponseError)):
            await requests.get(5)
        server.fail(f"get {LEASES}", 200, body=b'{"kind":"LeaseList","metadata":{"resourceVersion":"1"}}')
        with pytest.raises(ResponseError, match="the answer is a LeaseList instead of a Lease"):
            await requests.get(5)


async def test_a_watch_tells_of_the_one_lease_from_what_was_seen() -> None:
    async with FakeAPIServer(bookmark_interval=5) as server, requests_to(server) as requests:
        made = await requests.create(FIRST, 5)
        server.create(LEASES, {"metadata": {"name": "another"}})
        async with requests.watch(made) as changes:
            changed = await requests.update(made, SECOND, 5)
            assert await changes.next() == changed
            waiting = asyncio.create_task(changes.next())
            await asyncio.sleep(20)
            assert not waiting.done(), "bookmarks are no changes"
            server.delete(LEASES, "op", namespace="default")
            assert await waiting is None
            server.close_watches()
            with pytest.raises(ConnectionFailedError, match="the watch of the Lease has ended"):
                await changes.next()
        query = dict(server.requests[1].query)
        assert 300 <= int(query.pop("timeoutSeconds")) <= 600
        assert query == {
            "fieldSelector": "metadata.name=op",
            "resourceVersion": made.version,
            "allowWatchBookmarks": "true",
            "watch": "true",
        }


async def test_g10_a_wait_for_a_change_that_is_cancelled_loses_none() -> None:
    async with FakeAPIServer() as server, requests_to(server) as requests:
        made = await requests.create(FIRST, 5)
        async with requests.watch(made) as changes:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await changes.next()
            changed = await requests.update(made, SECOND, 5)
            assert await changes.next() == changed


async def test_a_watch_from_a_version_that_is_gone_says_so() -> None:
    async with FakeAPIServer() as server, requests_to(server) as requests:
        made = await requests.create(FIRST, 5)
        await requests.update(made, SECOND, 5)
        server.expire()
        with pytest.raises(GoneError):
            async with requests.watch(made) as changes:
                await changes.next()


@pytest.mark.parametrize(
    "line", [b"no json\n", b"{}\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":{}}\n', b"\xff\n"]
)
async def test_a_line_that_is_no_event_ends_a_watch(line: bytes) -> None:
    async with FakeAPIServer() as server, requests_to(server) as requests:
        made = await requests.create(FIRST, 5)
        server.fail(f"watch {LEASES}", 200, body=line + b"\n")
        async with requests.watch(made) as changes:
            with pytest.raises(ResponseError):
                await changes.next()


async def test_g8_a_line_that_does_not_end_is_given_up() -> None:
    async with FakeAPIServer() as server, requests_to(server) as requests:
        made = await requests.create(FIRST, 5)
        server.fail(f"watch {LEASES}", 200, body=b"x" * 5_000_000)
        async with requests.watch(made) as changes:
            with pytest.raises(ResponseError, match="does not end"):
                await changes.next()


async def test_events_may_come_in_any_pieces() -> None:
    async with FakeAPIServer() as server, requests_to(server) as requests:
        made = await requests.create(FIRST, 5)
        event = json.dumps({"type": "MODIFIED", "object": made.document}).encode() + b"\n"
        server.fail(f"watch {LEASES}", 200, body=event * 3)
        async with requests.watch(made) as changes:
            assert [await changes.next() for _ in range(3)] == [made] * 3
