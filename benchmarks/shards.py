"""What a replica costs that follows a shard, beside one that follows everything: CPU and bytes from the API server.

``python -m benchmarks.shards 1 3 8`` prints it for so many replicas, where the server filters (feature gate
``ShardedListAndWatch``) and where it does not. Every replica is a process of its own and reads through a proxy that
counts; the server is the embedded one, whose work is not counted.
"""

from __future__ import annotations

import asyncio
import json
import operator
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory
from aioinformers.sharding import Shard
from aioinformers.testing import FakeAPIServer
from benchmarks.client import Counter
from benchmarks.measure import cpu
from benchmarks.pods import pod
from benchmarks.runs import ROOT

PODS = 6_000
EVENTS = 18_000
FIGURES = ("list_cpu_s", "list_mb", "events_cpu_s", "events_mb")
STEP = 500
"""Events between two pauses of the server, in which replicas can follow."""


class Counted:
    """A proxy in front of the server, and the bytes that have passed it on their way from there.

    Args:
        port: Where the server listens.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = ""
        self.received = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what two sides of a connection say."""
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._pass_on(reader, upstream_writer, is_answer=False)),
                    asyncio.ensure_future(self._pass_on(upstream_reader, writer, is_answer=True)),
                ]
            )
        finally:
            for side in (writer, upstream_writer):
                side.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        try:
            while data := await reader.read(1 << 18):
                self.received += len(data) * is_answer
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()


def new_pod(number: int) -> dict[str, Any]:
    """Return a Pod that is to be created: uid and version are the server's to give."""
    made = pod(number, 1)
    for name in ("uid", "resourceVersion"):
        made["metadata"].pop(name, None)
    return made


def end(child: asyncio.subprocess.Process) -> None:
    """End a replica, if it has not ended."""
    if child.returncode is None:
        child.kill()


@asynccontextmanager
async def counted(port: int) -> AsyncIterator[Counted]:
    """Run such a proxy."""
    proxy = Counted(port)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()


async def measure(replicas: int, *, is_filtered: bool) -> dict[str, Any]:
    """Let so many replicas follow a server; return the CPU seconds and the bytes of a replica, the median of all."""
    async with FakeAPIServer(shard_selector=is_filtered) as server, AsyncExitStack() as stack:
        pods = [new_pod(number) for number in range(PODS)]
        for each in pods:
            server.create("pods", each)
        port = int(server.url.rpartition(":")[2])
        children, proxies = [], []
        for index in range(replicas):
            proxy = await stack.enter_async_context(counted(port))
            command = (sys.executable, "-m", "benchmarks.shards", "replica", proxy.url, str(index), str(replicas))
            pipe = asyncio.subprocess.PIPE
            child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
            stack.callback(end, child)
            children.append(child)
            proxies.append(proxy)
        listed = [json.loads(await each.stdout.readline()) for each in children]  # type: ignore[union-attr]
        of_lists = [proxy.received for proxy in proxies]
        for at in range(EVENTS):
            found = pods[at % PODS]
            found["metadata"].setdefault("annotations", {})["turn"] = str(at)
            server.update("pods", found)
            if not at % STEP:
                await asyncio.sleep(0.05)
        last = server.resource_version
        for child in children:
            child.stdin.write(f"{last}\n".encode())  # type: ignore[union-attr]
        followed = [json.loads(await each.stdout.readline()) for each in children]  # type: ignore[union-attr]
        of_events = [proxy.received for proxy in proxies]
        assert sum(each["objects"] for each in followed) == PODS, "together they have every Pod once"
        return {
            "mode": listed[0]["mode"],
            "list_cpu_s": statistics.median(each["cpu"] for each in listed),
            "list_mb": statistics.median(of_lists) / 1e6,
            "events_cpu_s": statistics.median(each["cpu"] for each in followed),
            "events_mb": statistics.median(map(operator.sub, of_events, of_lists)) / 1e6,
        }


async def replica(url: str, index: int, of: int) -> None:
    """Follow a shard, and say what that has cost, until the list is read and then until a version is reached."""
    counter = Counter()
    shard = Shard(index, of=of) if of > 1 else None
    async with client.ApiClient(client.Configuration(host=url)) as api:
        begun = cpu()
        async with SharedInformerFactory(api, shard=shard) as factory:
            pods = factory.for_resource("pods.v1.")
            pods.add_event_handler(counter.count)
            await factory.wait_for_cache_sync(timeout=120)
            say(cpu=cpu() - begun, mode=pods.health().shard_mode)
            begun = cpu()
            last = (await asyncio.to_thread(sys.stdin.readline)).strip()
            await pods.wait_for_resource_version(last, timeout=120)
            await asyncio.sleep(0.5)
            say(cpu=cpu() - begun, objects=len(pods.lister))


def say(**found: Any) -> None:
    """Tell the parent."""
    print(json.dumps(found), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Measure, and print a table."""
    print(f"{PODS:,} Pods, {EVENTS:,} events; per replica, the median of all\n")
    print("| replicas | filtered by | list: CPU s | list: MB | events: CPU s | events: MB |")
    print("|---|---|---|---|---|---|")
    for is_filtered in (True, False):
        for count in map(int, arguments):
            found = asyncio.run(measure(count, is_filtered=is_filtered))
            figures = " | ".join(f"{found[name]:.2f}" for name in FIGURES)
            print(f"| {count} | {found['mode'] or 'nobody'} | {figures} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["replica"]:
        asyncio.run(replica(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    else:
        main(sys.argv[1:] or ["1", "3", "8"])
