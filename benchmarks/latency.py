"""Measures the time from a write to the handler, on a real API server, beside client-go.

``python -m benchmarks.latency [--alternately] [ROUNDS [SECONDS]]`` prints a Markdown table.

A writer process updates ConfigMaps at a fixed rate, whether or not answers have come, and stamps each update right
before it sends it; the handler, in a process of its own, subtracts the stamp from the same machine's clock. So a
latency has the write, the server and etcd in it. Both informers follow the same writes at the same time, and what is
compared is what they tell of the same round: whatever delays a write delays it for both. Alternately, each has a run
of its own in every round; that needs a machine with nothing else to do, for then a pause of the server or of a
neighbour is in one of the two runs and not in the other. Where the writes reached fall behind those asked for, the
machine is too small for that rate: latencies are then waits for the server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.build import go
from benchmarks.measure import cpu
from tests.kit.realserver import RealAPIServer, find_binaries

RATES = (100, 300, 1000)
ROUNDS, SECONDS = 5, 6.0
NAMESPACE = "latency"
OBJECTS = 20
LIMIT_SECONDS = 120

Found = dict[str, Any]


def quantiles(nanoseconds: list[int]) -> dict[str, float]:
    """Return the median, the 99th percentile and the maximum, in milliseconds."""
    ordered = sorted(nanoseconds)
    return {
        name: ordered[math.ceil(part * len(ordered)) - 1] / 1e6
        for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


async def follow(kubeconfig: str, count: int) -> Found:
    """Handle so many stamped updates; return how long they took to come."""
    from kubernetes_asyncio import client, config

    from aioinformers import Event, SharedInformerFactory, Updated

    await config.load_kube_config(config_file=kubeconfig)
    found: list[int] = []
    done = asyncio.Event()

    async def measured(event: Event[client.V1ConfigMap]) -> None:
        now = time.time_ns()
        if isinstance(event, Updated) and (sent := event.object.metadata.annotations.get("sent")):
            found.append(now - int(sent))
            if len(found) == count:
                done.set()

    async with client.ApiClient() as api:
        factory = SharedInformerFactory(api, namespace=NAMESPACE)
        # As in client-go nothing is merged: every update is measured.
        registration = factory.core.v1.configmaps().add_event_handler(measured, limit=None)
        await factory.start()
        await registration.wait_synced()
        print("ready", flush=True)
        before = cpu()
        await done.wait()
        used = cpu() - before
        await factory.shutdown()
    runtime = f"aioinformers {version('aioinformers')}, Python {sys.version.split()[0]}"
    return {"version": runtime, "latencies_ms": quantiles(found), "seen": len(found), "cpu": used}


async def write(settings: Found, rate: float, count: int) -> Found:
    """Update ConfigMaps in turn, so many a second; return what the server took to answer."""
    server, user = settings["clusters"][0]["cluster"], settings["users"][0]["user"]
    url = f"{server['server']}/api/v1/namespaces/{NAMESPACE}/configmaps"
    answers: list[int] = []

    async def put(session: aiohttp.ClientSession, index: int, *, stamped: bool) -> None:
        metadata: dict[str, Any] = {"name": f"config-{index}"}
        body = {"metadata": metadata, "data": {f"setting-{i}": f"value-{i}" for i in range(40)}}
        sent = time.time_ns()
        metadata["annotations"] = {"sent": str(sent)} if stamped else {"warm": str(sent)}
        async with session.put(f"{url}/config-{index}", json=body) as answer:
            answer.raise_for_status()
            await answer.read()
        if stamped:
            answers.append(time.time_ns() - sent)

    context = ssl.create_default_context(cafile=server["certificate-authority"])
    connector = aiohttp.TCPConnector(limit=OBJECTS, ssl=context)
    headers = {"Authorization": f"Bearer {user['token']}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        for _ in range(5):  # opens the connections, and warms up what is measured
            await asyncio.gather(*(put(session, index, stamped=False) for index in range(OBJECTS)))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as writes:
            for index in range(count):
                await asyncio.sleep(begun + index / rate - loop.time())
                writes.create_task(put(session, index % OBJECTS, stamped=True))
        return {"latencies_ms": quantiles(answers), "rate": count / (loop.time() - begun)}


def create_objects(server: RealAPIServer) -> None:
    """Create the namespace and what is updated."""
    from kubernetes_asyncio.client import CoreV1Api, V1ConfigMap, V1Namespace, V1ObjectMeta

    async def create() -> None:
        async with server.api_client() as api:
            core = CoreV1Api(api)
            await core.create_namespace(V1Namespace(metadata=V1ObjectMeta(name=NAMESPACE)))
            for index in range(OBJECTS):
                empty = V1ConfigMap(metadata=V1ObjectMeta(name=f"config-{index}"))
                await core.create_namespaced_config_map(NAMESPACE, empty)

    asyncio.run(create())


def measure(commands: dict[str, list[str]], kubeconfig: Path, rate: int, seconds: float) -> dict[str, Found]:
    """Run informers beside a writer; return by their names what they found, and under ``write`` what the writer did."""
    count = str(int(rate * seconds))
    options = ["--kubeconfig", str(kubeconfig), "--namespace", NAMESPACE, "--count", count]
    writer = [sys.executable, "-m", "benchmarks.latency", "--write", str(kubeconfig), str(rate), count]
    with contextlib.ExitStack() as stack:
        followers: dict[str, subprocess.Popen[str]] = {}
        for name, command in commands.items():
            process = stack.enter_context(subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            followers[name] = process
        for name, process in followers.items():
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{name} is not ready")
        written = subprocess.run(writer, stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT_SECONDS)
        answers = {name: process.communicate(timeout=LIMIT_SECONDS)[0] for name, process in followers.items()}
    write: Found = json.loads(written.stdout)
    return {name: json.loads(answer) | {"write": write} for name, answer in answers.items()}


def compare(ours: list[Found], theirs: list[Found]) -> Found:
    """Return medians over the rounds, and the ratios of the rounds."""

    def median(runs: list[Found]) -> Found:
        middle = {name: statistics.median(run["latencies_ms"][name] for run in runs) for name in ("p50", "p99", "max")}
        middle["cpu_us"] = statistics.median(run["cpu"] / run["seen"] * 1e6 for run in runs)
        return middle | {"write_rate": statistics.median(run["write"]["rate"] for run in runs)}

    def ratios(read: Callable[[Found], float]) -> list[float]:
        return [read(our) / read(their) for our, their in zip(ours, theirs, strict=True)]

    return {
        "aioinformers": median(ours),
        "client-go": median(theirs),
        "ratios": {
            "p50": ratios(lambda run: float(run["latencies_ms"]["p50"])),
            "p99": ratios(lambda run: float(run["latencies_ms"]["p99"])),
            "cpu": ratios(lambda run: float(run["cpu"] / run["seen"])),
        },
    }


def run(
    rounds: int = ROUNDS, seconds: float = SECONDS, rates: tuple[int, ...] = RATES, *, together: bool = True
) -> Found:
    """Measure aioinformers and client-go; return per rate the medians and the ratios of the rounds.

    Raises:
        PeerMissingError: If client-go's program cannot be built.
        BinariesMissingError: If there is no API server.
    """
    commands = {
        "aioinformers": [sys.executable, "-m", "benchmarks.latency"],
        "client-go": [str(go()), "latency"],
    }
    found: dict[int, dict[str, list[Found]]] = {rate: {name: [] for name in commands} for rate in rates}
    with RealAPIServer(find_binaries()) as server, tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(server.kubeconfig())
        create_objects(server)
        for number in range(rounds):
            for rate in rates:
                names = sorted(commands, reverse=number % 2 == 1)  # neither is always the first
                for at_once in [names] if together else [[name] for name in names]:
                    some = {name: commands[name] for name in at_once}
                    for name, one in measure(some, kubeconfig, rate, seconds).items():
                        found[rate][name].append(one)
    first = found[rates[0]]
    return {
        "versions": [first[name][0]["version"] for name in commands],
        "rates": {str(rate): compare(runs["aioinformers"], runs["client-go"]) for rate, runs in found.items()},
    }


def table(found: Found) -> str:
    """Return what was measured as a Markdown table."""
    lines = [
        "| writes/s | reached | informer | p50 ms | p99 ms | max ms | CPU µs per update | p99, ratios of the rounds |",
        "|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for rate, one in found["rates"].items():
        p99 = one["ratios"]["p99"]
        ratio = f"{statistics.median(p99):.2f} ({min(p99):.2f}–{max(p99):.2f})"
        for name, shown in (("aioinformers", ratio), ("client-go", "")):
            middle = one[name]
            figures = (f"{middle[key]:.2f}" for key in ("p50", "p99", "max"))
            head = f"{int(rate):,} | {middle['write_rate']:,.0f} | {name}"
            lines.append(f"| {head} | {' | '.join(figures)} | {middle['cpu_us']:.0f} | {shown} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Compare, or be one of the processes of a comparison."""
    match arguments:
        case ["--write", kubeconfig, rate, count]:
            print(json.dumps(asyncio.run(write(json.loads(Path(kubeconfig).read_text()), float(rate), int(count)))))
        case ["--kubeconfig", kubeconfig, "--namespace", _, "--count", count]:
            print(json.dumps(asyncio.run(follow(kubeconfig, int(count)))))
        case _:
            parser = argparse.ArgumentParser()
            parser.add_argument("--alternately", action="store_true")
            parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
            parser.add_argument("seconds", nargs="?", type=float, default=SECONDS)
            options = parser.parse_args(arguments)
            together, rounds, seconds = not options.alternately, options.rounds, options.seconds
            found = run(rounds, seconds, together=together)
            how = "together" if together else "alternately"
            print(f"{', '.join(found['versions'])}; {how}, medians of {rounds} rounds of {seconds:g} s\n")
            print(table(found))


if __name__ == "__main__":
    main(sys.argv[1:])
