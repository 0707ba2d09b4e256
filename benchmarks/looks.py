"""What a look at a program costs: CPU for a snapshot, a scrape and the status page, and for a viewer while events come.

``python -m benchmarks.looks INFORMERS`` prints it. The looks are at so many informers with a handler each. The viewer
has the page of another program open, which asks for news each second, while that one takes 5,000 events a second; what
it costs is what that program needs more than without it, in percent of a processor.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import platform
import statistics
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory, __version__
from aioinformers.integrations.exposition import exposition
from aioinformers.integrations.families import families
from aioinformers.integrations.page.document import document, fragment
from aioinformers.integrations.page.samples import NOTHING
from aioinformers.integrations.serving import serve_status
from aioinformers.integrations.snapshot import snapshot
from aioinformers.testing import FakeAPIServer
from benchmarks.client import Counter, idle
from benchmarks.measure import cpu
from benchmarks.runs import ROOT, serving

LOOKS = 200
OBJECTS = 50
PODS = 1_000
EVENTS = 20_000
SECONDS = 4
"""So long do the events take: 5,000 a second."""
TURNS = 6


async def look(informers: int) -> dict[str, float]:
    """Look at a program with so many informers; return the CPU of each kind of look, in milliseconds."""
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        for i in range(OBJECTS):
            server.create("configmaps", {"metadata": {"name": f"c{i}"}})
        for i in range(informers):
            factory.core.v1.configmaps(label_selector=f"app!=other-{i}").add_event_handler(idle)
        await factory.wait_for_cache_sync(timeout=60)
        with factory.measure():
            await asyncio.sleep(1)
            shown = snapshot(factory)
            return {
                "snapshot_ms": median(lambda: snapshot(factory)),
                "scrape_ms": median(lambda: exposition(families(snapshot(factory)))),
                "page_ms": median(lambda: document(shown, NOTHING)),
                "news_ms": median(lambda: fragment(shown, NOTHING, frozenset())),
            }


def median(one: Callable[[], object]) -> float:
    """Return the CPU of a call, in milliseconds."""
    gc.collect()
    taken = []
    for _ in range(LOOKS):
        begun = cpu()
        one()
        taken.append(cpu() - begun)
    return 1e3 * statistics.median(taken)


@asynccontextmanager
async def viewer(url: str) -> AsyncIterator[None]:
    """Keep the page open in another process, as a browser would."""
    program = "import sys, time, urllib.request as u\nwhile True: u.urlopen(sys.argv[1]).read(); time.sleep(1)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, f"{url}/?part", cwd=ROOT)
    try:
        yield
    finally:
        child.kill()
        await child.wait()


async def view(url: str) -> float:
    """Take events with and without a viewer, in turns; return what a viewer costs, in percent of a processor."""
    spent: dict[bool, list[float]] = {False: [], True: []}
    async with client.ApiClient(client.Configuration(host=url)) as api, SharedInformerFactory(api) as factory:
        counter = Counter()
        factory.core.v1.pods().add_event_handler(counter.count)
        await factory.wait_for_cache_sync(timeout=60)

        async def take() -> float:
            begun, expected = cpu(), counter.seen + EVENTS
            end = asyncio.get_running_loop().time() + SECONDS
            async with api.rest_client.pool_manager.get(f"{url}/flood") as answer:
                await answer.read()
            await counter.until(expected)
            await asyncio.sleep(end - asyncio.get_running_loop().time())
            return cpu() - begun

        await take()
        for _ in range(TURNS):
            spent[False].append(await take())
            async with serve_status(factory, port=0) as page, viewer(page):
                await asyncio.sleep(2)  # the first look imports what it needs
                spent[True].append(await take())
    return 100 * (statistics.median(spent[True]) - statistics.median(spent[False])) / SECONDS


def main(informers: int) -> None:
    """Measure, and print what was found."""
    logging.getLogger("aioinformers").setLevel(logging.ERROR)  # so many of one resource are warned of
    found: dict[str, Any] = {"version": f"aioinformers {__version__}, Python {platform.python_version()}"}
    found |= asyncio.run(look(informers))
    with serving(PODS, EVENTS) as server:
        found["viewer_percent"] = asyncio.run(view(server.url))
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
