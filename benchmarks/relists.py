"""Memory over many relists with readers: ``python -m benchmarks.relists [TIMES] [PODS]`` prints it every tenth time.

The server is that of ``big_lists``, in a process of its own. In each tenth relist every Pod has changed; in the others
none has. Meanwhile readers look at fields of single Pods, of a node's Pods and of those with a label, without a pause
but to let others run. Fails if the process keeps more than 5 % more at the end than after the first tenth.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import subprocess
import sys
import time
from typing import Any

import aiohttp
from kubernetes_asyncio import client

from aioinformers import SharedInformer, SharedInformerFactory
from benchmarks.big_lists import SETTINGS
from benchmarks.measure import memory

TIMES, PODS = 100, 100_000
EVERY = 10
ALLOWED = 1.05


async def read(pods: SharedInformer[Any]) -> None:
    """Read for ever."""
    for number in itertools.count():
        for key in list(pods.indexer)[number % 97 :: 997]:
            if (pod := pods.indexer.get(key)) is not None:
                assert pod.status.phase == "Running"
        assert sum(pod.spec.node_name is not None for pod in pods.indexer.by_index("node", f"node-{number % 200}"))
        assert sum(pod.status.phase == "Running" for pod in await pods.lister.collect(f"app=app-{number % 97}"))
        await asyncio.sleep(0.01)


async def relist(api: client.ApiClient, url: str, pods: SharedInformer[Any], wish: str) -> None:
    """Let all Pods be listed anew."""
    lists = pods.statistics().lists
    # However long it takes: on a busy machine, the server may be encoding 100,000 Pods at the moment.
    patience = aiohttp.ClientTimeout(total=None)
    async with api.rest_client.pool_manager.get(f"{url}/benchmark/{wish}", timeout=patience) as answer:
        await answer.read()
    while pods.statistics().lists == lists:  # noqa: ASYNC110  nothing tells of a list that changes nothing
        await asyncio.sleep(0.05)


async def measure(url: str, times: int) -> bool:
    """Relist so many times; return whether memory stayed where it was."""
    async with (
        client.ApiClient(client.Configuration(host=url)) as api,
        SharedInformerFactory(api, settings=SETTINGS) as factory,
    ):
        pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"})
        await factory.wait_for_cache_sync(timeout=600)
        reading = asyncio.create_task(read(pods))
        kept: list[int] = []
        begun = time.monotonic()
        for number in range(1, times + 1):
            await relist(api, url, pods, "relist" if number % EVERY else "change")
            if reading.done():
                reading.result()
            if number % EVERY == 0:
                gc.collect()
                kept.append(memory())
                print(
                    f"{number:4} relists, {len(pods.lister):,} Pods, {time.monotonic() - begun:5.0f} s: "
                    f"{kept[-1] / 2**20:,.1f} MiB, {kept[-1] / kept[0]:.3f} ×",
                    flush=True,
                )
        reading.cancel()
        return kept[-1] <= ALLOWED * kept[0]


def main(times: int, pods: int) -> bool:
    """Start a server, and measure."""
    command = [sys.executable, "-m", "benchmarks.big_server", str(pods)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            return asyncio.run(measure(server.stdout.readline().strip(), times))
        finally:
            server.kill()


if __name__ == "__main__":
    asked = [int(text) for text in sys.argv[1:]]
    is_flat = main(*(asked + [TIMES, PODS][len(asked) :]))
    print("flat" if is_flat else f"memory has grown by more than {ALLOWED - 1:.0%}")
    sys.exit(not is_flat)
