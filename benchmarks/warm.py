"""Restarts with a warm cache beside cold ones: ``python -m benchmarks.warm [PODS]`` prints a line for each.

The server is that of ``big_lists``, in a process of its own. A program follows its Pods, stores them and ends; then
further ones start, by turns cold and warm, each in a process of its own, and say how long it took until they had synced,
what CPU time, and how many bytes came from the API server. Goals: warm ones get at most 1 MB, in half the time.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory, WarmCache
from benchmarks.big_lists import SETTINGS

PODS, ROUNDS = 100_000, 3
MOST_BYTES, MOST_TIME = 1_000_000, 0.5


async def follow(url: str, path: str) -> dict[str, Any]:
    """Start, sync and end; return what that took.

    Args:
        url: The server.
        path: Where the state is stored; empty to store nothing.
    """
    received = _received()
    begun, cpu = time.perf_counter(), time.process_time()
    async with (
        client.ApiClient(client.Configuration(host=url)) as api,
        SharedInformerFactory(api, settings=SETTINGS, warm=WarmCache(path) if path else None) as factory,
    ):
        pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"})
        await factory.wait_for_cache_sync(timeout=600)
        found = {
            "seconds": time.perf_counter() - begun,
            "cpu": time.process_time() - cpu,
            "bytes": _received() - received,
            "objects": len(pods.lister),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "start": pods.health().warm or "cold",
        }
        await factory.shutdown(grace=60)
    return found | {"with_end": time.perf_counter() - begun, "cpu_with_end": time.process_time() - cpu}


def _received() -> int:
    """Return the bytes that aiohttp's connections of this process have read from sockets, from now on."""
    return _Counted.bytes


class _Counted:
    """Counts what arrives at any transport of the loop."""

    bytes = 0

    @classmethod
    def install(cls) -> None:
        from aiohttp.client_proto import ResponseHandler

        received = ResponseHandler.data_received

        def counted(self: Any, data: bytes) -> None:
            cls.bytes += len(data)
            received(self, data)

        ResponseHandler.data_received = counted  # type: ignore[method-assign]


def run(url: str, path: str) -> dict[str, Any]:
    """Run one program in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.warm", "follow", url, path]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(url: str, path: Path) -> bool:
    """Print a line per start; return whether the goals are met."""
    lines = {"fill": [run(url, str(path))]}
    for _ in range(ROUNDS):
        lines.setdefault("cold", []).append(run(url, ""))
        lines.setdefault("warm", []).append(run(url, str(path)))
    size = sum(file.stat().st_size for file in path.rglob("*.warm"))
    for name, found in lines.items():
        each = {key: median(one[key] for one in found) for key in found[0] if key != "start"}
        print(
            f"{name:4} {each['seconds']:6.2f} s to synced, {each['cpu']:6.2f} s CPU, {each['bytes'] / 1e6:8.2f} MB read, "
            f"{each['cpu_with_end']:6.2f} s CPU with the end, peak {each['peak_mb']:5.0f} MB: {found[-1]['start']}",
            flush=True,
        )
    print(f"stored: {size / 1e6:.1f} MB")
    warm, cold = lines["warm"], lines["cold"]
    is_small = max(one["bytes"] for one in warm) <= MOST_BYTES
    is_quick = median(one["seconds"] for one in warm) <= MOST_TIME * median(one["seconds"] for one in cold)
    return is_small and is_quick


def main(pods: int = PODS) -> int:
    """Start the server, and measure."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.big_server", str(pods)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None, "it was asked for"
        with tempfile.TemporaryDirectory() as path:
            return 0 if measure(server.stdout.readline().strip(), Path(path)) else 1
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["follow"]:
        _Counted.install()
        print(json.dumps(asyncio.run(follow(*sys.argv[2:]))))
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
