"""Measures what a Pod costs in each object type: ``python -m benchmarks.objects [PODS]`` prints a Markdown table.

Beside them stand both asyncio clients' own decoding. Each type is measured in a process of its own; times are CPU
time, the best of several rounds, memory is what the process has grown by per object, besides the bytes. What it takes
to find a node's Pods without an index is the time to read one field of each.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec

from aioinformers.objects.metadata import Metadata
from aioinformers.objects.object_types import object_type_of
from benchmarks.client import TwoFields
from benchmarks.measure import memory
from benchmarks.pods import encoded

PODS = 3_000
ROUNDS = 7
SCANNED = 100_000
INDEXES = {"node": "spec.nodeName"}

Decode = Callable[[bytes], Any]
Read = Callable[[Any], object]


def decoder(python_type: Any) -> Decode:
    """Return what an informer's reader pays for: from what the store keeps to the object."""
    kind = object_type_of(python_type)
    return kind.decode if kind.keeps_bytes else kind.body


def default_model() -> Decode:
    from kubernetes_asyncio import client

    kind = object_type_of(client.V1Pod)
    kind.learn_kind("Pod", "v1")
    return kind.decode


def kubernetes_asyncio_deserialize() -> Decode:
    from kubernetes_asyncio import client

    api: Any = object.__new__(client.ApiClient)  # needs no session for this
    return lambda raw: api.deserialize(SimpleNamespace(data=raw), "V1Pod")


def kubernetes_aio_deserialize() -> Decode:
    from kubernetes.aio import client

    api: Any = object.__new__(client.ApiClient)
    return lambda raw: api.deserialize(raw.decode(), "V1Pod", "application/json")


def nothing(pod: Any) -> object:
    return None


def two_fields(pod: Any) -> object:
    return pod.status.phase, pod.spec.node_name


def node(pod: Any) -> object:
    return pod.spec.node_name


def node_of_dict(pod: Any) -> object:
    return pod["spec"]["nodeName"]


def everything(pod: Any) -> object:
    """Make a lazy model decode all it has: what is below its parts' attributes comes with them."""
    for part in (pod.metadata, pod.spec, pod.status):
        for name in part.openapi_types:
            getattr(part, name)
    return None


CASES: dict[str, tuple[Callable[[], Decode], Read, Read | None]] = {
    # name: how to decode, what is read of each object, how to read its node
    "`V1Pod`, untouched": (default_model, nothing, None),
    "`V1Pod`, `status.phase` and `spec.node_name` read": (default_model, two_fields, node),
    "`V1Pod`, decoded to the last field": (default_model, everything, None),
    "`dict`": (lambda: decoder(dict), nothing, node_of_dict),
    "a frozen Struct of two fields": (lambda: decoder(TwoFields), nothing, node),
    "`Metadata`": (lambda: decoder(Metadata), nothing, None),
    "`ApiClient.deserialize` of kubernetes_asyncio": (kubernetes_asyncio_deserialize, nothing, node),
    "`ApiClient.deserialize` of `kubernetes.aio`": (kubernetes_aio_deserialize, nothing, node),
}


def microseconds(decode: Decode, read: Read, raws: list[bytes]) -> float:
    """Return the CPU time of one object in the best round."""
    rounds = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for raw in raws:
            read(decode(raw))
        rounds.append(time.process_time() - before)
    return min(rounds) / len(raws) * 1e6


def measure(name: str, pods: int) -> dict[str, float]:
    """Measure one case; an empty answer says that its client is not installed."""
    make, read, find = CASES[name]
    try:
        decode = make()
    except ImportError:
        return {}
    raws = [encoded(index, index) for index in range(pods)]
    read(decode(raws[0]))  # whatever is made once is made now
    kept: list[Any] = [None] * pods
    gc.collect()
    before = memory()
    for index, raw in enumerate(raws):
        kept[index] = pod = decode(raw)
        read(pod)
    gc.collect()
    kib = (memory() - before) / pods / 1024
    kept.clear()
    sample = raws[: max(1, pods // 10)]
    found = {"us": microseconds(decode, read, sample), "kib": max(kib, 0.0)}
    return found if find is None else found | {"find_us": microseconds(decode, find, sample)}


def index_lookup() -> tuple[int, float]:
    """Return how many Pods an index finds for a node among all, and the milliseconds until their phase is read."""
    from aioinformers.cache.indexer import Partition
    from aioinformers.objects.layout import Entry

    decode = default_model()
    partition = Partition(1)
    for index in range(SCANNED):
        raw = encoded(index % 200, index)  # the bytes of 200 Pods are shared: only lookups are measured
        partition.put(str(index), Entry(raw, "", str(index), (f"node-{index % 200}",)))
    before = time.process_time()
    phases = [decode(partition.objects[key].body).status.phase for key in partition.indexes[0]["node-7"]]
    return len(phases), (time.process_time() - before) * 1e3


def main() -> None:
    """Print the table; with ``--case`` measure one case and print it as JSON."""
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
        return
    pods = int(sys.argv[1]) if len(sys.argv) > 1 else PODS
    size = len(encoded(0, 0))
    print(f"{pods:,} Pods of {size:,} bytes, Python {sys.version.split()[0]}, msgspec {msgspec.__version__}\n")
    print(f"| object type | µs per Pod | KiB per Pod over its bytes | find a node's Pods among {SCANNED:,} |")
    print("|---|---:|---:|---:|")
    for name in CASES:
        command = [sys.executable, "-m", "benchmarks.objects", "--case", name, str(pods)]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(answer.stdout)
        if not found:
            print(f"| {name} | not installed | | |")
            continue
        scan = f"{found['find_us'] * SCANNED / 1e3:,.0f} ms" if "find_us" in found else ""
        print(f"| {name} | {found['us']:.2f} | {found['kib']:.2f} | {scan} |", flush=True)
    count, milliseconds = index_lookup()
    print(f"| an index on `spec.nodeName`, the phase of the {count} `V1Pod`s read | | | {milliseconds:.1f} ms |")


if __name__ == "__main__":
    main()
