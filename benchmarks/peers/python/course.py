"""The course of a run that is the same for all Python peers: sync, rest, flood, trickle; prints the costs.

The peer works in a thread of its own, with an event loop where it needs one, while the main thread only sleeps until
enough events are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any

from benchmarks.measure import cpu, memory, peak_memory

TIMEOUT = 300.0


class Counter:
    """Counts adds and updates, and lets another thread wait for so many."""

    def __init__(self) -> None:
        self.seen = self._wanted = 0
        self._reached = threading.Event()

    def expect(self, count: int) -> None:
        """Say how many further events to wait for, before they can arrive."""
        self._wanted = self.seen + count
        self._reached.clear()

    def add(self, event: object = None) -> None:
        """Handle an event: count it."""
        self.seen += 1
        if self.seen == self._wanted:
            self._reached.set()

    def wait(self) -> None:
        """Wait until the expected events have come."""
        if not self._reached.wait(TIMEOUT - time.perf_counter() + BEGUN):
            raise TimeoutError(f"{self.seen} of {self._wanted} events in time")


BEGUN = time.perf_counter()


def measure(library: str, start: Callable[[argparse.Namespace, Counter], Callable[[], int]]) -> None:
    """Measure a peer and print what it cost.

    Args:
        library: Its distribution.
        start: Starts to follow the Pods in the background; returns what tells how many are cached.
    """
    options, counter = arguments(), Counter()
    gc.collect()
    empty, before, begun = memory(), cpu(), time.perf_counter()
    counter.expect(options.objects)
    size = start(options, counter)
    counter.wait()
    found: dict[str, Any] = {
        "version": f"{library} {version(library)}, Python {platform.python_version()}",
        "empty_rss": empty, "sync_cpu": cpu() - before, "sync_seconds": time.perf_counter() - begun,
        "peak_rss": peak_memory(),
    }  # fmt: skip
    time.sleep(0.5)
    found["rss"] = memory()
    gc.collect()
    found["rss_collected"] = memory()

    def flood(path: str, events: int) -> tuple[float, float]:
        counter.expect(events)
        before, begun = cpu(), time.perf_counter()
        with urllib.request.urlopen(options.url + path) as answer:
            assert answer.read() == b"1", "it does not watch"
        counter.wait()
        return cpu() - before, time.perf_counter() - begun

    found["event_cpu"], found["event_seconds"] = flood("/flood", options.events)
    if options.trickle:
        found["trickle_cpu"], _ = flood(f"/trickle?rate=100&count={options.trickle}", options.trickle)
    expected = options.objects + options.events + options.trickle
    assert (counter.seen, size()) == (expected, options.objects), f"{counter.seen} events, {size()} objects"
    print(json.dumps(found))


def arguments() -> argparse.Namespace:
    """Return what every contender is told; these have no variants, and neither handlers nor indexes to vary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--variant", choices=["typed"], required=True)
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--trickle", type=int, default=0)
    parser.add_argument("--handlers", type=int, choices=[1], default=1)
    parser.add_argument("--indexes", type=int, choices=[0], default=0)
    return parser.parse_args()


def run_in_background(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on a loop in a thread that ends with the process; if it fails, the process does."""

    def run() -> None:
        try:
            asyncio.run(work)
        except Exception:
            traceback.print_exc()
            os._exit(1)

    threading.Thread(target=run, daemon=True).start()
