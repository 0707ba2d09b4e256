"""Serving while following: what requests to a FastAPI service cost that caches Pods, in each phase of its life.

The service (:mod:`benchmarks.service`) runs under uvicorn, one process; requests are made by a program of its own, for
random Pods. Two loads, one after the other: as many requests as eight connections can make, which tells the requests a
second; and a steady number a second, each timed from when it was due, which tells what a user waits.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.build import go
from benchmarks.pods import pod
from benchmarks.runs import FAILURES, ROOT, Measured, Server, reason, say, serving
from benchmarks.service import VARIANTS

__all__ = ["LOADS", "run"]

RATE = 300
LOADS = {"full": [], "steady": ["--rate", str(RATE)]}
"""The loads, by name: options of the program that makes the requests."""

IDLE_SECONDS = 4.0
LONGEST = 150.0
"""Seconds after which a phase is measured long enough, though it goes on."""


class Service:
    """A service in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def state(self) -> dict[str, Any]:
        """Return how far it has come."""
        with urllib.request.urlopen(f"{self.url}/state", timeout=LONGEST) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def follow(self) -> None:
        """Let it begin to follow."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/follow", method="POST")):
            pass


@contextmanager
def service(variant: str, server: Server) -> Iterator[Service]:
    """Start a service.

    Raises:
        RuntimeError: If it does not start.
    """
    command = [sys.executable, "-m", "benchmarks.service", variant, server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("the service did not start; its words are above")
            found = Service(f"http://127.0.0.1:{port}")
            found.state()
            yield found
        finally:
            process.kill()


@contextmanager
def urls(service: Service, objects: int) -> Iterator[Path]:
    """Give the file of what is asked for: some thousand Pods at random, the same in each run."""
    chosen = random.Random(1).sample(range(objects), min(objects, 5_000))
    keys = [metadata["namespace"] + "/" + metadata["name"] for metadata in (pod(i, 1)["metadata"] for i in chosen)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "urls"
        path.write_text("\n".join(f"{service.url}/pods/{key}" for key in keys), encoding="utf-8")
        yield path


def under_load(asked: Path, load: str, meanwhile: Callable[[], bool]) -> dict[str, Any]:
    """Make requests as long as something else takes; return how long answers took, and whether it came to its end."""
    command = [str(go()), "load", "--urls", str(asked), *LOADS[load]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            time.sleep(0.2)  # it has its connections by then
            is_whole = meanwhile()
            answer, _ = process.communicate(timeout=2 * LONGEST)
        finally:
            process.kill()
    found: dict[str, Any] = json.loads(answer)
    return found | {"is_whole": is_whole}


def until(service: Service, is_reached: Callable[[dict[str, Any]], bool]) -> bool:
    """Wait until a service says something, but not too long; tell whether it did."""
    over = time.monotonic() + LONGEST
    while time.monotonic() < over:
        if is_reached(service.state()):
            return True
        time.sleep(0.1)
    return False


def phases(variant: str, server: Server, load: str, objects: int, events: int) -> dict[str, dict[str, Any]]:
    """Take one service through its life under one load; return what was found in each phase."""
    found = {}
    with service(variant, server) as one, urls(one, objects) as asked:

        def measured(begin: Callable[[], object], is_reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            def meanwhile() -> bool:
                begin()
                return until(one, is_reached)

            return under_load(asked, load, meanwhile)

        if variant != "alone":
            found["first sync"] = measured(one.follow, lambda state: state["is_synced"])
            until(one, lambda state: state["is_synced"])
        begun = time.monotonic()
        found["idle"] = measured(lambda: None, lambda _: time.monotonic() - begun > IDLE_SECONDS)
        if variant != "alone" and found["first sync"]["is_whole"]:
            before = one.state()["seen"]
            found["flood"] = measured(lambda: server.ask("/flood"), lambda state: state["seen"] - before >= events)
    return found


def run(objects: int, events: int, rounds: int, slow: Collection[str] = ("watch",)) -> Measured:
    """Measure all variants in turns.

    Args:
        objects: How many Pods there are.
        events: How many updates the flood has.
        rounds: How many turns there are.
        slow: Variants that take one turn only.

    Returns:
        What was found, by variant, phase and load, a list of turns each; and what was ``left_out``, and why.
    """
    found: Measured = {"objects": objects, "events": events, "rate": RATE, "served": {}, "left_out": {}}
    with serving(objects, events) as server:
        for turn, variant, load in itertools.product(range(rounds), VARIANTS, LOADS):
            if (turn and variant in slow) or variant in found["left_out"]:
                continue
            say(f"turn {turn + 1} of {rounds}: a service with {objects:,} Pods, {variant}, {load} load")
            try:
                one = phases(variant, server, load, objects, events)
            except FAILURES as error:
                found["left_out"][variant] = reason(error)
                say(f"{variant} is left out: {reason(error)}")
                continue
            for phase, figures in one.items():
                places = found["served"].setdefault(variant, {}).setdefault(phase, {})
                places.setdefault(load, []).append(figures)
                say(f"  {phase}: {figures['per_second']:.0f}/s, p99 {figures['p99_ms']:.1f} ms")
    return found
