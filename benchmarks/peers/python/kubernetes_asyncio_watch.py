"""kubernetes_asyncio's Watch as a contender: a list, then the loop of its examples, with the models kept in a dict.

Settings: none; it does not stream the list. A loop like this is what users without an informer write: it keeps no index
and has no handlers, so it counts where it would call them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from kubernetes_asyncio import client, watch

from benchmarks.peers.python.course import Counter, measure, run_in_background

Cache = dict[tuple[str, str], Any]


async def follow(url: str, cache: Cache, counter: Counter) -> None:
    """Keep a cache up to date."""
    async with client.ApiClient(client.Configuration(host=url)) as api:
        v1 = client.CoreV1Api(api)
        listed = await v1.list_pod_for_all_namespaces()
        for pod in listed.items:
            cache[pod.metadata.namespace, pod.metadata.name] = pod
            counter.add()
        version = listed.metadata.resource_version
        async with watch.Watch().stream(v1.list_pod_for_all_namespaces, resource_version=version) as stream:
            async for event in stream:
                pod = event["object"]
                if event["type"] == "DELETED":
                    del cache[pod.metadata.namespace, pod.metadata.name]
                else:
                    cache[pod.metadata.namespace, pod.metadata.name] = pod
                    counter.add()


def start(options: argparse.Namespace, counter: Counter) -> Callable[[], int]:
    """Start the loop."""
    cache: Cache = {}
    run_in_background(follow(options.url, cache, counter))
    return cache.__len__


if __name__ == "__main__":
    measure("kubernetes_asyncio", start)
