"""kopf as a contender: a handler of events, which is called with every Pod, and again when it has changed.

Settings: ``standalone``, ``clusterwide``, no Events and no scanning, so that it asks the server for Pods alone.
``on.event`` does not write: handlers of changes (``on.create``, ``on.update``) would have kopf patch an annotation of
its own into each Pod, which costs much more, and is nothing that another contender does. kopf has a worker for each
object that has changed lately, instead of 16 for all; no limit is its default, left alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import urllib.request
from importlib.metadata import version
from typing import Any

import kopf

from benchmarks.client import arguments
from benchmarks.controllers import Course


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Handle events; return the costs."""
    registry, course = kopf.OperatorRegistry(), Course(options)

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=options.url)

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True

    @kopf.on.event("v1", "pods", registry=registry)
    async def idle(**_: Any) -> None:
        course.runs += 1

    def flood() -> None:
        with urllib.request.urlopen(f"{options.url}/flood") as answer:
            assert answer.read() == b"1", "it does not watch"

    async with asyncio.TaskGroup() as group:  # so that its end, if it comes early, is seen
        operator = group.create_task(kopf.operator(registry=registry, standalone=True, clusterwide=True))
        found = await course.take(lambda: asyncio.to_thread(flood))
        operator.cancel()
    return found | {"version": f"kopf {version('kopf')}, Python {platform.python_version()}"}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(arguments()))))
