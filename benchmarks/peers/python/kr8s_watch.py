"""kr8s' watch as a contender: the loop of its examples, with the objects kept in a dict.

Settings: none. Its watch begins with no version, so the server sends what there is first, as events. It keeps no index
and has no handlers, so it counts where it would call them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import kr8s.asyncio
from kr8s.asyncio.objects import APIObject

from benchmarks.peers.python.course import Counter, measure, run_in_background

Cache = dict[tuple[str, str], APIObject]


async def follow(url: str, cache: Cache, counter: Counter) -> None:
    """Keep a cache up to date."""
    api = await kr8s.asyncio.api(url=url)
    async for kind, pod in api.watch("pods", namespace=kr8s.ALL):
        if kind == "DELETED":
            del cache[pod.namespace, pod.name]
        else:
            cache[pod.namespace, pod.name] = pod
            counter.add()


def start(options: argparse.Namespace, counter: Counter) -> Callable[[], int]:
    """Start the loop."""
    cache: Cache = {}
    run_in_background(follow(options.url, cache, counter))
    return cache.__len__


if __name__ == "__main__":
    measure("kr8s", start)
