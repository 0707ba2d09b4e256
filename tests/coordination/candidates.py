"""Candidates on the embedded server, clocks that a test may change, and a network that delivers late."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit

from kubernetes_asyncio import client

from aioinformers.coordination import LeaderElection, LeaseClock
from aioinformers.testing import FakeAPIServer, Fault, RequestInfo

__all__ = [
    "LEASE", "LEASES", "Clock", "Judge", "LateNetwork", "candidate", "is_of", "led", "led_by_a", "moment_of", "now",
    "spec_of", "verbs_of",
]  # fmt: skip

LEASE = "op"
LEASES = "leases.v1.coordination.k8s.io"


@asynccontextmanager
async def candidate(
    server: FakeAPIServer, identity: str, *, host: str = "", name: str = LEASE, **options: Any
) -> AsyncIterator[LeaderElection]:
    """Give a candidate that has begun, with a client of its own, whose requests can be told by its identity."""
    configuration = server.configuration()
    configuration.host = host or configuration.host
    async with client.ApiClient(configuration, "X-Candidate", identity) as api:
        options.setdefault("namespace", "default")
        async with LeaderElection(api, name, identity=identity, **options) as election:
            yield election


@asynccontextmanager
async def led_by_a(
    server: FakeAPIServer, *, of_a: dict[str, Any] | None = None, of_b: dict[str, Any] | None = None
) -> AsyncIterator[tuple[LeaderElection, LeaderElection]]:
    """Give two candidates, of which the first leads."""
    async with candidate(server, "a", **(of_a or {})) as a:
        await a.wait_leading()
        async with candidate(server, "b", **(of_b or {})) as b:
            yield a, b


def is_of(request: RequestInfo, identity: str) -> bool:
    """Tell whether a request was made by a candidate."""
    return request.headers.get("x-candidate") == identity


def verbs_of(server: FakeAPIServer, identity: str) -> list[str]:
    """Return what a candidate has asked for."""
    return [request.verb for request in server.requests if is_of(request, identity)]


def spec_of(server: FakeAPIServer, name: str = LEASE) -> dict[str, Any]:
    """Return what the Lease says."""
    spec: dict[str, Any] = server.get(LEASES, name)["spec"]
    return spec


class Judge:
    """Decides on the faults of a candidate's requests, from when it is asked to until it is told otherwise."""

    def __init__(self, server: FakeAPIServer, identity: str) -> None:
        self.fault: Fault | None = None
        self.meant: Callable[[RequestInfo], bool] = lambda _: True
        self._identity = identity
        server.intercept(self._judge)

    def _judge(self, request: RequestInfo) -> Fault | None:
        return self.fault if is_of(request, self._identity) and self.meant(request) else None


class Clock:
    """The loop's time, shifted, and at another rate.

    Attributes:
        shift: Seconds by which the clock is ahead.
        wall_shift: Seconds by which the wall time is ahead.
        rate: How fast the clock runs.
    """

    def __init__(self, *, shift: float = 0.0, wall_shift: float = 0.0, rate: float = 1.0) -> None:
        self.shift = shift
        self.wall_shift = wall_shift
        self.rate = rate
        self._loop = asyncio.get_running_loop()

    @property
    def times(self) -> LeaseClock:
        """Return the clock as elections take it."""
        return LeaseClock(
            lambda: self._loop.time() * self.rate + self.shift,
            lambda: 1_000_000_000.0 + self._loop.time() * self.rate + self.wall_shift,
        )


class LateNetwork:
    """Carries requests to a server, late if told so; also those whose sender has gone meanwhile.

    Attributes:
        delay: Asked for each piece of a request: seconds until it is delivered.
    """

    def __init__(self, server: FakeAPIServer) -> None:
        parts = urlsplit(server.url)
        self._upstream = parts.hostname, parts.port
        self._tasks: set[asyncio.Task[Any]] = set()
        self.delay: Callable[[], float] = lambda: 0.0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_connection(*self._upstream)
        answers = asyncio.create_task(_copy(there, writer))
        self._tasks.add(answers)
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    await asyncio.sleep(self.delay())
                    back.write(data)
            await asyncio.sleep(1)  # what has been sent is carried out
        finally:
            answers.cancel()
            back.close()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


def now() -> float:
    return asyncio.get_running_loop().time()


async def moment_of(condition: Callable[[], object], limit: float = 200.0) -> float:
    """Return how long it takes until something is true, to the twentieth of a second."""
    begin = now()
    while not condition():
        assert now() - begin < limit, "it never comes true"
        await asyncio.sleep(0.05)
    return now() - begin


@asynccontextmanager
async def led(**options: Any) -> AsyncIterator[tuple[FakeAPIServer, LeaderElection, Judge]]:
    """Give a leader that has just renewed its Lease."""
    async with FakeAPIServer() as server, candidate(server, "a", **options) as a:
        await a.wait_leading()
        renewed = a.statistics().renewals
        await moment_of(lambda: a.statistics().renewals > renewed)
        yield server, a, Judge(server, "a")
