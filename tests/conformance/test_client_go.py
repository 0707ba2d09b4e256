"""One Lease, and candidates of client-go and of ours: each understands what the other writes, and waits for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aioinformers.coordination import LeaderElection
from benchmarks import build
from tests.conformance.rest import Rest
from tests.kit import child_process
from tests.kit.fixtures import APIServer
from tests.kit.kubeconfig import kubeconfig

pytestmark = pytest.mark.slow

HANDOVERS = 20


class Theirs:
    """The candidate of client-go."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        await self.process.stdin.drain()

    async def says(self, word: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            assert await self.process.stdout.readline() == f"{word}\n".encode()


@pytest.fixture
async def theirs(api_server: APIServer, rest: Rest, tmp_path: Path) -> AsyncIterator[Theirs]:
    configuration = api_server.configuration()
    path = tmp_path / "kubeconfig"
    token = configuration.api_key.get("BearerToken")
    path.write_text(kubeconfig(api_server.url, token=token, ca_file=configuration.ssl_ca_cert))
    try:
        peer = await asyncio.to_thread(build.go)
    except build.PeerMissingError as error:
        if os.environ.get("AIOINFORMERS_REQUIRE_APISERVER") == "1":
            pytest.fail(f"client-go's candidate is required: {error}")
        pytest.skip(str(error))
    command = [str(peer), "lead", "-kubeconfig", str(path), "-namespace", rest.namespace, "-name", "op"]
    command += ["-identity", "theirs", "-lease-duration", "3s", "-renew-deadline", "2s", "-retry-period", "400ms"]
    pipe = asyncio.subprocess.PIPE
    async with child_process(*command, stdin=pipe, stdout=pipe) as process:
        yield Theirs(process)


@asynccontextmanager
async def ours(api_server: APIServer, rest: Rest) -> AsyncIterator[LeaderElection]:
    async with (
        api_server.api_client() as api,
        LeaderElection(
            api, "op", namespace=rest.namespace, identity="ours",
            lease_duration=3.0, renew_deadline=2.0, retry_period=0.4,
        ) as election,
    ):  # fmt: skip
        yield election


async def lease(rest: Rest) -> dict[str, Any]:
    spec: dict[str, Any] = (await rest.get(rest.path("leases", "op", group="coordination.k8s.io/v1"))).json["spec"]
    return spec


async def test_a_lease_is_handed_back_and_forth(api_server: APIServer, rest: Rest, theirs: Theirs) -> None:
    """In order, each time: who waits has it soon after it was given back, and never before."""
    await theirs.tell("run")
    await theirs.says("leads")
    for number in range(HANDOVERS // 2):
        async with ours(api_server, rest) as election:
            await asyncio.sleep(0.5)
            assert not election.is_leading
            assert (await lease(rest))["holderIdentity"] == "theirs"
            await theirs.tell("release")
            async with asyncio.timeout(3.0):
                await election.wait_leading()
            await theirs.says("ended")
            found = await lease(rest)
            assert (found["holderIdentity"], found["leaseDurationSeconds"]) == ("ours", 3)
            assert found["leaseTransitions"] >= 2 * number + 1

            await theirs.tell("run")
            await asyncio.sleep(1.0)
            assert (await lease(rest))["holderIdentity"] == "ours"
            assert election.is_leading
        await theirs.says("leads")
        assert (await lease(rest))["holderIdentity"] == "theirs"


async def test_a_killed_leader_is_succeeded_when_its_lease_has_run_out(
    api_server: APIServer, rest: Rest, theirs: Theirs
) -> None:
    """Not before, and soon after."""
    await theirs.tell("run")
    await theirs.says("leads")
    async with ours(api_server, rest) as election:
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        theirs.process.kill()
        killed = loop.time()
        async with asyncio.timeout(60):
            await election.wait_leading()
        assert 3.0 - 0.8 <= loop.time() - killed <= 3.0 + 5.0
        assert (await lease(rest))["leaseTransitions"] == 1
