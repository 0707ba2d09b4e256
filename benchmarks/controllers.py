"""A controller on aioinformers as a contender: it reconciles all Pods, then those that a flood of updates changes.

Run as every contender is; the variant is what a run does: nothing (``idle``), or a read of two fields of the object
(``fields``). All controllers have 16 workers and reconcile a Pod on any change. As changes of a Pod that waits for its
run become one run, runs are counted: a part is over when there were enough of them, and then none for half a second.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import platform
import time
from collections.abc import Awaitable, Callable
from typing import Any

from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory, __version__
from aioinformers.controllers import Controller, Request
from benchmarks.client import arguments, configuration
from benchmarks.measure import cpu, memory, peak_memory

__all__ = ["WORKERS", "Course"]

WORKERS = 16
QUIET = 0.5
"""Seconds without a run after which no more is expected."""
TIMEOUT = 300.0


class Course:
    """The course of a run that is the same for all controllers in Python: sync, then the flood.

    Attributes:
        runs: How many there were in this part.
        found: What was measured.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.runs = 0
        gc.collect()
        self.found: dict[str, Any] = {"empty_rss": memory()}
        self._begin()

    def _begin(self) -> None:
        self.runs = 0
        self._begun, self._used = time.perf_counter(), cpu()

    async def take(self, flood: Callable[[], Awaitable[object]]) -> dict[str, Any]:
        """Wait for the sync, ask for the flood and wait for its end; return what was measured."""
        options = self._options
        async with asyncio.timeout(TIMEOUT):
            await self._settle("sync", options.objects)
            self.found |= {"peak_rss": peak_memory(), "rss": memory()}
            gc.collect()
            self.found["rss_collected"] = memory()
            self._begin()
            await flood()
            await self._settle("event", min(options.objects, options.events))
        return self.found

    async def _settle(self, part: str, at_least: int) -> None:
        """Wait until there were so many runs, and then no more for some time."""
        seen, since = self.runs, time.perf_counter()
        while seen < at_least or time.perf_counter() < since + QUIET:
            await asyncio.sleep(0.01)
            if self.runs != seen:
                seen, since = self.runs, time.perf_counter()
        self.found |= {
            f"{part}_runs": seen, f"{part}_cpu": cpu() - self._used, f"{part}_seconds": since - self._begun,
        }  # fmt: skip


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Reconcile; return the costs."""
    async with client.ApiClient(configuration(options)) as api:
        factory = SharedInformerFactory(api)
        # Changes of the status, which are left out by default, count: controller-runtime's default.
        controller = Controller(factory.core.v1.pods(), concurrency=WORKERS, ignore=())
        course = Course(options)

        async def idle(request: Request[Any]) -> None:
            course.runs += 1

        async def fields(request: Request[Any]) -> None:
            pod = request.object
            assert pod.status.phase
            assert pod.spec.node_name
            course.runs += 1

        controller.reconcile({"idle": idle, "fields": fields}[options.variant])

        async def flood() -> None:
            async with api.rest_client.pool_manager.get(options.url + "/flood") as answer:
                assert await answer.read() == b"1", "it does not watch"

        async with factory, controller.running():
            found = await course.take(flood)
    return found | {"version": f"aioinformers {__version__}, Python {platform.python_version()}"}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(arguments()))))
