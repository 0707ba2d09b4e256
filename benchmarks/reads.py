"""How many reads of a synced cache a second of CPU pays for, with what is found untouched, and with a field of it read.

Run as every contender is. Lists are made with a label selector, and compare the labels of every cached Pod.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import platform
from collections.abc import Callable, Iterable
from typing import Any

from kubernetes_asyncio import client

from aioinformers import SharedInformer, SharedInformerFactory, __version__
from benchmarks.client import arguments
from benchmarks.measure import cpu

CPU_SECONDS = 0.25
FEW, MANY = "app=app-7", "tier=web"  # of 97 apps and of 2 tiers

Read = Callable[[], Iterable[Any]]


def phases(pods: Iterable[Any]) -> int:
    """Read a field of each."""
    return sum(pod.status.phase == "Running" for pod in pods)


def untouched(pods: Iterable[Any]) -> int:
    """Count them."""
    return sum(1 for _ in pods)


def reads_of(pods: SharedInformer[Any], some: list[Any]) -> dict[str, Read]:
    """Return the kinds of reads by name."""
    names = itertools.cycle([(pod.metadata.name, pod.metadata.namespace) for pod in some])

    def get() -> Iterable[Any]:
        name, namespace = next(names)
        return (pods.lister.get(name, namespace=namespace),)

    return {
        "get": get,
        "by_index": lambda: pods.indexer.by_index("node", "node-7"),
        "list, few hits": lambda: pods.lister.list(FEW),
        "list, many hits": lambda: pods.lister.list(MANY),
    }


def measure(read: Read, use: Callable[[Iterable[Any]], int]) -> dict[str, float]:
    """Return how often it can be read a second, and how many objects it finds."""
    found = use(read())
    done, batch, begun = 0, 1, cpu()
    while (used := cpu() - begun) < CPU_SECONDS:
        for _ in range(batch):
            use(read())
        done += batch
        batch *= 2
    return {"per_second": done / used, "found": found}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Sync, then read."""
    async with client.ApiClient(client.Configuration(host=options.url)) as api, SharedInformerFactory(api) as factory:
        pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"})
        await factory.wait_for_cache_sync(timeout=60)
        assert len(pods.lister) == options.objects
        reads = reads_of(pods, list(pods.lister)[:500])
        found = {name: measure(read, untouched) for name, read in reads.items()}
        found |= {f"{name}, field read": measure(read, phases) for name, read in reads.items()}
    return {"version": f"aioinformers {__version__}, Python {platform.python_version()}", "reads": found}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(arguments()))))
