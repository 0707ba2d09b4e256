"""Holds guarantee G12 against a big cluster: ``python -m benchmarks.big_lists [PODS]`` prints a Markdown table.

The embedded server runs in a process of its own, and so does each client that is measured: one informer of Pods with
an index on ``spec.nodeName`` and one handler. What is measured of a client, from the request until it is idle again:

- CPU per object, user and system;
- turns of its event loop in CPU time of its thread: a turn is every callback that was ready, so no step is longer;
- events that its handler got;
- its highest resident memory, over the memory that it keeps (of a relist: that it kept before);
- full collections of Python's garbage collector.

A row holds if no turn in a thousand exceeds 10 ms, none 50 ms, and memory stays within 1.1 of the steady state where
that is promised: when every object has changed, both versions of each are there for a moment.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import platform
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kubernetes_asyncio import client

from aioinformers import Event, InformerStatistics, Settings, SharedInformer, SharedInformerFactory
from benchmarks.measure import cpu, memory, peak_memory
from benchmarks.steps import Turns

PODS = 100_000
LIMITS = {"p999_ms": 10.0, "max_ms": 50.0, "peak": 1.1}
SETTINGS = Settings(
    header_timeout=300.0, list_silence_timeout=300.0,  # the server may be busy changing everything
    backoff_initial=0.05, backoff_max=0.1,
)  # fmt: skip
CASES = {
    # name: whether initial objects are streamed, whether the list's layout is odd
    "LIST": (False, False),
    "WatchList": (True, False),
    "LIST with white space": (False, True),
}


def forget_peak() -> None:
    """Let the highest resident memory begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


class Client:
    """One informer and its handler, measured in phases."""

    def __init__(self, turns: Turns, url: str, pods: int, settle: float) -> None:
        self._turns = turns
        self._url = url
        self._pods = pods
        self._settle = settle
        self._events = 0
        self._steady = 0
        self.rows: list[dict[str, Any]] = []

    async def handle(self, event: Event[Any]) -> None:
        """Handle an event by counting it."""
        self._events += 1

    async def hang(self, event: Event[Any]) -> None:
        """Handle an event until the end."""
        await asyncio.Event().wait()

    async def phase(self, name: str, work: Callable[[], Awaitable[object]], *, may_grow: bool = False) -> None:
        """Measure what some work costs."""
        gc.collect()
        self._events = 0
        forget_peak()
        before = cpu()
        self._turns.start()
        await work()
        found = self._turns.report()
        used = cpu() - before
        await asyncio.sleep(self._settle)
        peak, steady = peak_memory(), self._steady or memory()
        self._steady = memory()
        self.rows.append({
            "phase": name, "cpu_us": 1e6 * used / self._pods, "events": self._events, "rss": self._steady,
            "peak": peak / steady, "may_grow": may_grow, **found,
        })  # fmt: skip

    async def ask(self, api: client.ApiClient, wish: str) -> None:
        """Ask the server for something that no API server does."""
        async with api.rest_client.pool_manager.get(f"{self._url}/benchmark/{wish}") as answer:
            await answer.read()

    async def run(self, *, streams: bool, is_odd: bool) -> None:
        """Run all phases."""
        settings = dataclasses.replace(SETTINGS, watch_list=streams)
        async with client.ApiClient(client.Configuration(host=self._url)) as api:
            await self.ask(api, f"layout?odd={is_odd:d}")
            factory = SharedInformerFactory(api, settings=settings)
            pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"})
            registration = pods.add_event_handler(self.handle)

            async def start() -> None:
                await factory.start()
                await registration.wait_synced()

            async def join() -> None:
                await pods.add_event_handler(self.handle).wait_synced()

            await self.phase("first sync", start)
            await self.phase("relist, nothing changed", lambda: self._relist(api, pods, "relist"))
            if not is_odd:
                await self.phase("relist, all changed", lambda: self._relist(api, pods, "change"), may_grow=True)
            if not is_odd and not streams:
                stuck = pods.add_event_handler(self.hang, name="stuck")
                await self.phase("beside a stuck handler", lambda: self._relist(api, pods, "change"), may_grow=True)
                await self.phase("a handler joins", join)
                await self.phase("an index is added", lambda: pods.add_indexers({"ip": "status.podIP"}))
                behind = pods.add_event_handler(self.hang, name="stuck", resync_period=1)
                await self.phase("a handler that is behind is resynced", lambda: asyncio.sleep(2.5))

                async def remove() -> None:
                    pods.remove_event_handler(stuck)
                    pods.remove_event_handler(behind)
                    await asyncio.sleep(0.5)

                await self.phase("stuck handlers are removed", remove)
            await factory.shutdown(grace=1)

    async def _relist(self, api: client.ApiClient, pods: SharedInformer[Any], wish: str) -> None:
        before = pods.statistics()
        await self.ask(api, wish)
        # Nothing tells of a list that changes nothing.
        while (now := pods.statistics()).lists == before.lists or self._has_backlog(now):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    @staticmethod
    def _has_backlog(found: InformerStatistics) -> bool:
        return bool(found.queued_batches) or any(
            consumer.queued for name, consumer in found.consumers.items() if not name.startswith("stuck")
        )


def measure(case: str, url: str, pods: int, settle: float = 1.0) -> list[dict[str, Any]]:
    """Run one case in this process, with some seconds before memory is read."""
    turns = Turns()
    streams, is_odd = CASES[case]
    measured = Client(turns, url, pods, settle)
    with asyncio.Runner(loop_factory=turns.loop) as runner:
        runner.run(measured.run(streams=streams, is_odd=is_odd))
    return measured.rows


def verdict(row: dict[str, Any]) -> str:
    """Say whether a row holds, and what does not."""
    broken = [name for name, limit in LIMITS.items() if row[name] > limit and not (name == "peak" and row["may_grow"])]
    return f"**no: {', '.join(broken)}**" if broken else "held"


def print_row(case: str, row: dict[str, Any]) -> None:
    """Print a row of the table."""
    peak = f"{row['peak']:.2f}" + (" (free)" if row["may_grow"] else "")
    print(
        f"| {case} | {row['phase']} | {row['cpu_us']:.1f} | {row['p999_ms']:.1f} | {row['max_ms']:.1f} "
        f"| {row['turns']:,} | {row['events']:,} | {row['rss'] / 2**20:,.0f} | {peak} | {row['collections']} "
        f"| {verdict(row)} |",
        flush=True,
    )


def main(pods: int) -> None:
    """Print the table."""
    print(f"{pods:,} Pods of about 5 KB, Python {platform.python_version()}, times are CPU time\n")
    print(
        "| initial objects | what happens | µs per object | turn p99.9, ms | longest, ms | turns | events "
        "| memory kept, MiB | peak over steady | full collections | G12 |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|", flush=True)
    for case in CASES:
        command = [sys.executable, "-m", "benchmarks.big_server", str(pods)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                url = server.stdout.readline().strip()
                arguments = [sys.executable, "-m", "benchmarks.big_lists", "--case", case, url, str(pods)]
                answer = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
            finally:
                server.kill()
        for row in json.loads(answer.stdout):
            print_row(case, row)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else PODS)
