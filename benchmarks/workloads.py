"""The workloads: each measures one thing, and returns what it found as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Container, Iterable
from typing import Any

from benchmarks.contenders import CONTENDERS, CONTROLLERS, READERS
from benchmarks.figures import MANY_HANDLERS, MANY_READING
from benchmarks.runs import FAILURES, ROOT, Case, Measured, alternate, reason, say

__all__ = ["QUICK", "WORKLOADS", "run_all"]

Workload = Callable[[int], Measured]
"""Takes the number of rounds, which slow contenders need not reach."""

EVENTS = 20_000
SLOW_ROUNDS = 3
OURS = ("model", "model-fields", "struct", "dict", "metadata", "compact")
FAST = (*OURS, "go-protobuf")
TRICKLE = 300


def options(name: str, option: str, *values: int) -> list[Case]:
    """Return a contender once per value of an option."""
    return [Case(CONTENDERS[name], {option: value}) for value in values]


def base(objects: int, names: Iterable[str], rounds: int, *, seldom: Container[str] = ()) -> Measured:
    """Sync, and take a flood of updates; slow contenders and those named so take fewer turns."""
    cases = [
        Case(one, rounds=SLOW_ROUNDS if one.is_slow or one.name in seldom else None)
        for one in map(CONTENDERS.__getitem__, names)
    ]
    return alternate(cases, objects, EVENTS, rounds)


def trickle(rounds: int) -> Measured:
    """Take updates that come one by one."""
    chosen = [case for name in ("model", "go-protobuf") for case in options(name, "trickle", TRICKLE)]
    found = alternate(chosen, 10_000, 1_000, rounds)
    return shortened(found, f"trickle={TRICKLE}") | {"trickle": TRICKLE}


def over_tls(objects: int, rounds: int) -> Measured:
    """Sync, and take a flood and lone updates, over TLS; client-go speaks HTTP/2."""
    cases = [
        Case(CONTENDERS[name], {"tls": 1, "trickle": TRICKLE} | loop)
        for name, loop in (("model", {}), ("model", {"uvloop": 1}), ("go-protobuf", {}))
    ]
    return shortened(alternate(cases, objects, EVENTS, rounds), "tls=1", f"trickle={TRICKLE}") | {"trickle": TRICKLE}


def loops(rounds: int) -> Measured:
    """Use asyncio's own event loop, and uvloop."""
    cases = [Case(CONTENDERS["model"], {"uvloop": uvloop, "trickle": TRICKLE}) for uvloop in (0, 1)]
    found = alternate(cases, 10_000, EVENTS, rounds)
    return shortened(found, f"trickle={TRICKLE}") | {"trickle": TRICKLE}


def shortened(found: Measured, *options: str) -> Measured:
    """Leave out of the cases' names what is the same in all of them."""

    def short(name: str) -> str:
        return " ".join(word for word in name.split(" ") if word not in options)

    for kind in ("runs", "left_out"):
        found[kind] = {short(name): value for name, value in found[kind].items()}
    return found


def handlers(objects: int, rounds: int, counts: tuple[int, ...] = (1, MANY_HANDLERS)) -> Measured:
    """Have more and more handlers that do nothing."""
    peer = options("go-protobuf", "handlers", 1, MANY_HANDLERS)
    ours = [
        Case(case.contender, case.options, rounds=2 if case.options["handlers"] > MANY_HANDLERS else None)
        for case in options("model", "handlers", *counts)
    ]
    return alternate([*ours, *peer], objects, EVENTS, rounds)


def indexes(rounds: int) -> Measured:
    """Have further indexes."""
    chosen = [case for name in ("model", "go-protobuf") for case in options(name, "indexes", 0, 1, 20)]
    return alternate(chosen, 10_000, EVENTS, rounds)


def ignore(rounds: int) -> Measured:
    """Have a handler to which changes of the status do not matter."""
    return alternate(
        [case for name in ("model", "struct") for case in options(name, "ignore", 0, 1)], 10_000, EVENTS, rounds
    )


def faces(rounds: int) -> Measured:
    """Have nothing that shows the program, all of it with nobody who looks, and latencies that are measured."""
    return alternate(options("model", "faces", 0, 1, 2), 10_000, EVENTS, rounds)


def reads(objects: int, rounds: int, names: Iterable[str] = READERS) -> Measured:
    """Read the cache."""
    return alternate([Case(READERS[name]) for name in names], objects, EVENTS, rounds)


def reading(rounds: int) -> Measured:
    """Have handlers that all read two fields of each event."""
    return alternate(options("model-fields", "reading", 1, MANY_READING), 10_000, EVENTS, rounds)


def informers(rounds: int) -> Measured:
    """Have one informer in a factory, and 50; each gets 200 objects and 400 updates."""
    return alternate(options("model", "informers", 1, 50), 200, 400, rounds)


def steps(objects: int, rounds: int) -> Measured:
    """Measure the turns of the loop while many objects arrive, in both ways to list."""
    found: Measured = {"objects": objects, "turns": {}, "left_out": {}}
    for turn in range(rounds):
        for way in ("LIST", "WatchList"):
            say(f"{objects:,} objects, turn {turn + 1} of {rounds}: steps of the loop, {way}")
            try:
                found["turns"].setdefault(way, []).append(big_list(way, objects))
            except FAILURES as error:
                found["left_out"][way] = reason(error)
                say(f"{way} is left out: {reason(error)}")
    return found


def big_list(way: str, objects: int) -> list[dict[str, Any]]:
    """Measure one client of a server with many objects, in processes of their own."""
    command = [sys.executable, "-m", "benchmarks.big_server", str(objects)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            arguments = [sys.executable, "-m", "benchmarks.big_lists", "--case", way, url, str(objects)]
            answer = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, timeout=600)
        finally:
            server.kill()
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def controllers(objects: int, rounds: int, *, is_quick: bool = False) -> Measured:
    """Reconcile all objects, and those that a flood changes; quickly without those that are slow."""
    chosen = [one for one in CONTROLLERS.values() if not (is_quick and one.is_slow)]
    cases = [Case(one, rounds=SLOW_ROUNDS if one.is_slow else None) for one in chosen]
    return alternate(cases, objects, EVENTS, rounds)


def queue(keys: int, rounds: int) -> Measured:
    """Measure a work queue that holds many keys, in processes of its own."""
    return alone("queue", "queues", keys, rounds, f"{keys:,} keys in a work queue")


def looks(informers: int, rounds: int) -> Measured:
    """Measure looks at a program with many informers, in processes of its own."""
    return alone("looks", "looks", informers, rounds, f"looks at {informers} informers")


def alone(case: str, module: str, size: int, rounds: int, words: str) -> Measured:
    """Run what needs nobody to be compared with."""
    found: Measured = {"objects": size, "runs": {case: []}, "left_out": {}}
    command = [sys.executable, "-m", f"benchmarks.{module}", str(size)]
    for turn in range(rounds):
        say(f"turn {turn + 1} of {rounds}: {words}")
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, timeout=600)
        found["runs"][case].append(json.loads(answer.stdout) | {"turn": turn})
    return found


def latency(rounds: int) -> Measured:
    """Measure how long a write takes to reach a handler, on a real API server."""
    from benchmarks.latency import run  # needs what the tests of the real server need

    return run(rounds=rounds)


def serving(rounds: int) -> Measured:
    """Measure the requests to a service that follows Pods meanwhile."""
    from benchmarks.serving import run  # needs a web framework

    return run(100_000, 100_000, rounds)


WORKLOADS: dict[str, tuple[Workload, int]] = {
    # name: what to run, and how many rounds
    "base-10000": (lambda rounds: base(10_000, CONTENDERS, rounds), 5),
    "base-100000": (
        lambda rounds: base(100_000, (*FAST, "go-dynamic", "kube-rs", "floor-lines"), rounds, seldom=["kube-rs"]),
        5,
    ),
    "base-300000": (lambda rounds: base(300_000, ("model", "compact", "go-protobuf"), rounds), 2),
    "base-1000": (lambda rounds: base(1_000, ("model", "compact", "go-protobuf"), rounds), 5),
    "trickle-10000": (trickle, 5),
    "handlers-10000": (lambda rounds: handlers(10_000, rounds, (1, 10, MANY_HANDLERS, 1_000)), 3),
    "handlers-100000": (lambda rounds: handlers(100_000, rounds), 3),
    "indexes-10000": (indexes, 3),
    "ignore-10000": (ignore, 5),
    "faces-10000": (faces, 9),
    "reads-10000": (lambda rounds: reads(10_000, rounds), 3),
    "reads-100000": (lambda rounds: reads(100_000, rounds, ("reads", "reads-struct", "go-reads")), 3),
    "reading-10000": (reading, 3),
    "informers": (informers, 3),
    "tls-10000": (lambda rounds: over_tls(10_000, rounds), 5),
    "tls-100000": (lambda rounds: over_tls(100_000, rounds), 3),
    "loops-10000": (loops, 3),
    "serving": (serving, 3),
    "steps-10000": (lambda rounds: steps(10_000, rounds), 2),
    "steps-100000": (lambda rounds: steps(100_000, rounds), 1),
    "controllers-10000": (lambda rounds: controllers(10_000, rounds), 5),
    "queue": (lambda rounds: queue(100_000, rounds), 5),
    "looks": (lambda rounds: looks(60, rounds), 3),
    "latency": (latency, 5),
}

QUICK: dict[str, tuple[Workload, int]] = {
    "base-10000": (lambda rounds: base(10_000, (*FAST, "go-dynamic"), rounds), 5),
    "handlers-10000": (lambda rounds: handlers(10_000, rounds), 3),
    "trickle-10000": (trickle, 3),
    "ignore-10000": (ignore, 3),
    "faces-10000": (faces, 7),
    "steps-10000": (lambda rounds: steps(10_000, rounds), 1),
    "controllers-10000": (lambda rounds: controllers(10_000, rounds, is_quick=True), 3),
    "queue": (lambda rounds: queue(100_000, rounds), 3),
}
"""What finds most regressions in a few minutes."""


def run_all(
    chosen: dict[str, tuple[Workload, int]], rounds: int | None, done: Callable[[str, Measured], None]
) -> dict[str, Measured]:
    """Run workloads one after the other.

    Args:
        chosen: Which.
        rounds: How many rounds instead of each one's own.
        done: Called with each that is done; so an interrupted run loses little.
    """
    found: dict[str, Measured] = {}
    for index, (name, (workload, usual)) in enumerate(chosen.items()):
        say(f"workload {index + 1} of {len(chosen)}: {name}")
        begun = time.monotonic()
        try:
            one = workload(rounds or usual)
        except Exception as error:  # whatever it is, the other workloads can be measured
            traceback.print_exc()
            one = {"left_out": {name: reason(error)}}
            say(f"{name} is left out: {reason(error)}")
        one = json.loads(json.dumps(one))  # what will be read back, with keys of text
        found[name] = {"seconds": time.monotonic() - begun, "date": time.strftime("%Y-%m-%d %H:%M")} | one
        done(name, found[name])
    return found
