"""One measured client: syncs, takes the flood, and prints what that cost as JSON.

Run as ``python -m benchmarks.client PORT OBJECTS EVENTS HANDLERS READS``, READS being ``none`` or ``fields``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
from typing import Any

from kubernetes_asyncio import client

from aioinformers import Event, SharedInformerFactory


def cpu() -> float:
    """Return the CPU seconds that this process has used, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory() -> int:
    """Return the resident memory in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Stalls:
    """Remembers the longest time that the loop did not turn."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(0)
            now = loop.time()
            self.longest = max(self.longest, now - before)
            before = now


async def measure(port: int, objects: int, events: int, handlers: int, reads: str) -> dict[str, Any]:
    """Sync and take the flood; return the costs."""
    configuration = client.Configuration(host=f"http://127.0.0.1:{port}")
    async with client.ApiClient(configuration) as api:
        factory = SharedInformerFactory(api)
        pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"})
        done = asyncio.Event()
        seen = 0

        async def count(event: Event[client.V1Pod]) -> None:
            nonlocal seen
            seen += 1
            if seen == objects + events:
                done.set()

        async def touch(event: Event[client.V1Pod]) -> None:
            assert event.object.status.phase
            assert event.object.spec.node_name
            await count(event)

        async def idle(event: Event[client.V1Pod]) -> None: ...

        registration = pods.add_event_handler(touch if reads == "fields" else count, limit=10**9)
        for _ in range(handlers - 1):
            pods.add_event_handler(idle, limit=10**9)
        gc.collect()
        memory_before, cpu_before = memory(), cpu()
        await factory.start()
        await registration.wait_synced()
        cpu_synced, memory_synced = cpu(), memory()
        async with api.rest_client.pool_manager.get(f"http://127.0.0.1:{port}/flood") as answer:
            await answer.read()
        await done.wait()
        cpu_done = cpu()
        await factory.shutdown()
    return {
        "sync_us": 1e6 * (cpu_synced - cpu_before) / objects,
        "event_us": 1e6 * (cpu_done - cpu_synced) / events,
        "kib": (memory_synced - memory_before) / objects / 1024,
    }


if __name__ == "__main__":
    port, objects, events, handlers, reads = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(int(port), int(objects), int(events), int(handlers), reads))))
