"""Restarts with a warm cache beside cold ones: ``python -m benchmarks.warm [PODS] [--real]`` prints a line for each.

The server is that of ``big_lists``, in a process of its own, whose lists cost nothing; or a real kube-apiserver, into
whose etcd the Pods are written. A program follows its Pods, stores them and ends; then
further ones start, by turns cold and warm, each in a process of its own, and say how long it took until they had
synced, what CPU time, and how many bytes came from the API server. Goals: warm ones get at most 1 MB, in half the time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
from kubernetes_asyncio import client

import aioinformers
from aioinformers import SharedInformerFactory, WarmCache
from benchmarks.big_lists import SETTINGS
from benchmarks.pods import pod

PODS, ROUNDS = 100_000, 3
MOST_BYTES, MOST_TIME = 1_000_000, 0.5
AT_ONCE = 100


async def follow(url: str, path: str) -> dict[str, Any]:
    """Start, sync and end; return what that took.

    Args:
        url: The server, or the path of its kubeconfig.
        path: Where the state is stored; empty to store nothing.
    """
    begun, cpu = time.perf_counter(), time.process_time()
    async with (
        aioinformers.connect(url) if url.startswith("/") else client.ApiClient(client.Configuration(host=url)) as api,
        SharedInformerFactory(api, settings=SETTINGS, warm=WarmCache(path) if path else None) as factory,
    ):
        pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"})
        await factory.wait_for_cache_sync(timeout=600)
        found = {
            "seconds": time.perf_counter() - begun,
            "cpu": time.process_time() - cpu,
            "bytes": _received(),
            "objects": len(pods.lister),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "start": pods.health().warm or "cold",
        }
        await factory.shutdown(grace=60)
    return found | {"with_end": time.perf_counter() - begun, "cpu_with_end": time.process_time() - cpu}


def _received() -> int:
    """Return the bytes that this process has received over the TCP connections that it has now."""
    total = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            copy = os.dup(int(name))
        except OSError:
            continue  # that of the folder itself
        try:
            one = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)  # it is no socket
            continue
        with one:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                total += struct.unpack_from("Q", one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 128)[0]
    return total


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
            f"{name:4} {each['seconds']:6.2f} s to synced, {each['cpu']:6.2f} s CPU, {each['bytes'] / 1e6:8.2f} MB, "
            f"{each['cpu_with_end']:6.2f} s CPU with the end, peak {each['peak_mb']:5.0f} MB: {found[-1]['start']}",
            flush=True,
        )
    print(f"stored: {size / 1e6:.1f} MB")
    warm, cold = lines["warm"], lines["cold"]
    is_small = max(one["bytes"] for one in warm) <= MOST_BYTES
    is_quick: bool = median(one["seconds"] for one in warm) <= MOST_TIME * median(one["seconds"] for one in cold)
    return is_small and is_quick


async def fill(etcd: str, pods: int) -> None:
    """Write Pods into an etcd, past the API server, which would take minutes for them."""

    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    async with aiohttp.ClientSession() as session:
        for begin in range(0, pods, AT_ONCE):
            puts = []
            for number in range(begin, min(begin + AT_ONCE, pods)):
                made = pod(number, 1)
                made["metadata"].pop("resourceVersion", None)
                key = f"/registry/pods/{made['metadata']['namespace']}/{made['metadata']['name']}"
                puts.append({"requestPut": {"key": encoded(key), "value": encoded(json.dumps(made))}})
            async with session.post(f"{etcd}/v3/kv/txn", json={"success": puts}) as answer:
                answer.raise_for_status()


def on_real_server(pods: int) -> bool:
    """Measure on a real server; return whether the goals are met."""
    from tests.kit.realserver import RealAPIServer, find_binaries  # only who asks for it needs it

    with RealAPIServer(find_binaries()) as server, tempfile.TemporaryDirectory() as folder:
        asyncio.run(fill(server.etcd_url, pods))
        path = Path(folder) / "kubeconfig"
        path.write_text(server.kubeconfig())
        return measure(str(path), Path(folder) / "cache")


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
        print(json.dumps(asyncio.run(follow(*sys.argv[2:]))))
    elif "--real" in sys.argv:
        sys.argv.remove("--real")
        sys.exit(0 if on_real_server(int(sys.argv[1]) if sys.argv[1:] else PODS) else 1)
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
