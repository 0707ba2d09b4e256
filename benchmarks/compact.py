"""Measures what ``compact=True`` saves and costs: ``python -m benchmarks.compact [OBJECTS …]`` prints Markdown tables.

Two feeds: the Pods of the other benchmarks, which are more alike than a cluster's are, and varied objects: recorded
from a real API server, each *workload* (8 objects on average) its own variant of what was recorded: a fifth of the
optional parts left out at random, half of the texts replaced by words of a vocabulary of 50, some environment; each
object with its own name, uid, resourceVersion, times, addresses and hashes; in the order of a list, namespace by
namespace.

The first table packs each object by itself. The second follows a stream through the real decoder, dispatcher and store,
without a socket, in a process of its own: memory is what the process has grown by, CPU is user + system.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.compact import Packed, Packer
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import compacted, object_type_of
from aioinformers.objects.selectors import parse_label_selector
from aioinformers.queue import ReplaceBatch, ReplaceBegin, ReplaceEnd, WatchBatch
from aioinformers.types import EVERYTHING, Scope
from benchmarks.pods import encoded

RECORDED = Path(__file__).resolve().parent.parent / "tests" / "data" / "recorded"
SIZES = (10_000, 100_000)
PACKED = 10_000
ROUNDS = 5
EVENTS = 20_000
CHUNK = 128 * 1024
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACES = 50
REPLICAS = 8
WORDS = re.findall(
    r"\w+",
    """api auth batch billing cache cart catalog chat crm data edge etl feed fraud gateway geo graph image index ingest
    jobs kafka ledger mail media metrics notify order pay portal price proxy queue rank recs report search session
    ship stock sync tax token track user video wallet web worker zone""",
)

_OWN = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}|\d+\.\d+\.\d+\.\d+"
)
_KEPT = {
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "labels",
    "spec",
    "containers",
}
"""Fields that no variant leaves out."""


# -- feeds --------------------------------------------------------------------------------------------------------


def alike(count: int) -> Iterator[bytes]:
    """Yield the Pods of the other benchmarks."""
    return (encoded(index, index) for index in range(count))


def varied(recorded: str) -> Callable[[int], Iterator[bytes]]:
    """Return a feed of variants of a recorded object."""

    def feed(count: int) -> Iterator[bytes]:
        chance = random.Random(1)
        original = json.loads((RECORDED / recorded).read_text())
        for number in range(NAMESPACES):
            yield from islice(_namespace(f"{number:02}-{words(chance)}", original, chance), count // NAMESPACES)

    return feed


def words(chance: random.Random, count: int = 2) -> str:
    return "-".join(chance.choice(WORDS) for _ in range(count))


def _namespace(namespace: str, original: Any, chance: random.Random) -> Iterator[bytes]:
    while True:
        app = words(chance)
        variant = _variant(original, chance)
        labels = {"app.kubernetes.io/name": app, "team": words(chance, 1), "hash": f"{chance.getrandbits(40):x}"}
        variant["metadata"] |= {"name": "NAME", "namespace": namespace, "resourceVersion": "VERSION", "labels": labels}
        for container in variant.get("spec", {}).get("containers", ()):
            names = [words(chance).upper().replace("-", "_") for _ in range(chance.randrange(20))]
            container["env"] = [{"name": name, "value": words(chance)} for name in names]
        text = json.dumps(variant, separators=(",", ":"), ensure_ascii=False)
        for _ in range(1 + int(chance.expovariate(1 / REPLICAS))):
            name = f"{app}-{labels['hash']}-{chance.getrandbits(20):x}"
            own = text.replace('"NAME"', f'"{name}"').replace('"VERSION"', f'"{chance.randrange(10**6, 10**8)}"')
            yield _OWN.sub(lambda match: _another(match[0], chance), own).encode()


def _variant(value: Any, chance: random.Random, field: str = "") -> Any:
    if isinstance(value, dict):
        return {k: _variant(v, chance, k) for k, v in value.items() if k in _KEPT or chance.random() < 0.8}
    if isinstance(value, list):
        return [_variant(item, chance) for item in value]
    is_free = isinstance(value, str) and value.islower() and field != "apiVersion" and not _OWN.search(value)
    if is_free and chance.random() < 0.5:  # what is written in capitals is a word of the API
        return words(chance, 1 + len(value) // 16)
    return value


def _another(text: str, chance: random.Random) -> str:
    if "T" in text:
        return (START + timedelta(seconds=chance.randrange(300 * 86400))).strftime("%Y-%m-%dT%H:%M:%SZ")
    if "." in text:
        return ".".join(str(chance.randrange(256)) for _ in range(4))
    return re.sub("[0-9a-f]", lambda _: f"{chance.randrange(16):x}", text)


FEEDS: dict[str, Callable[[int], Iterator[bytes]]] = {
    "Pods of the benchmarks": alike,
    "varied Pods": varied("pod.v1.json"),
    "varied Deployments": varied("deployment.v1.apps.json"),
    "varied Services": varied("service.v1.json"),
}
FOLLOWED = ("Pods of the benchmarks", "varied Pods")


# -- measuring ----------------------------------------------------------------------------------------------------


def memory() -> int:
    """Return the resident memory in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def best(work: Callable[[], object]) -> float:
    """Return the CPU seconds of the best round."""
    rounds = []
    for _ in range(ROUNDS):
        before = time.process_time()
        work()
        rounds.append(time.process_time() - before)
    return min(rounds)


def pack(name: str) -> dict[str, float]:
    """Pack the objects of a feed, one by one."""
    packer = Packer()
    raws = list(FEEDS[name](PACKED))
    bodies = []
    for packer.population, raw in enumerate(raws):
        bodies.append(packer.pack(raw))
    packed = [body.data if isinstance(body, Packed) else body for body in bodies]
    sample = random.Random(1).sample(range(len(raws)), PACKED // 5)
    some, packed_some = [raws[i] for i in sample], [body for i in sample if isinstance(body := bodies[i], Packed)]
    assert packer._compress is not None
    compress = packer._compress
    return {
        "raw": sum(map(len, raws)) / len(raws),
        "packed": sum(map(len, packed)) / len(raws),
        "in_us": 1e6 * best(lambda: [bytes(memoryview(compress(raw))) for raw in some]) / len(some),
        "out_us": 1e6 * best(lambda: [body.unpack() for body in packed_some]) / len(packed_some),
    }


def chunks(kind: str, raws: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of a watch stream."""
    lines: list[bytes] = []
    size = 0
    for raw in raws:
        lines.append(b'{"type":"%s","object":%s}\n' % (kind.encode(), raw))
        size += len(raw)
        if size > CHUNK:
            yield b"".join(lines)
            lines.clear()
            size = 0
    yield b"".join(lines)


async def follow(name: str, objects: int, is_compact: bool) -> dict[str, float]:
    """Follow a stream of objects, then one of changes; then read."""
    object_type = object_type_of(dict)
    object_type = compacted(object_type) if is_compact else object_type
    layout: Layout[Any] = Layout(object_type, (), {"node": "spec.nodeName"})
    store: Store[Any] = Store(layout, (EVERYTHING,))
    queue: asyncio.Queue[Any] = asyncio.Queue(1)
    dispatcher: Dispatcher[Any] = Dispatcher(store, queue, 0.002, lambda: None)
    task = asyncio.create_task(dispatcher.run())
    feed = FEEDS[name](objects)

    async def put(data: bytes, item: Callable[[Scope, Any], Any]) -> float:
        begun = time.process_time()
        for batch in decoder.feed(data):
            await queue.put(item(EVERYTHING, batch))
        await queue.join()
        await asyncio.sleep(0)  # what packs has its turn after the last of them
        await asyncio.sleep(0)
        return time.process_time() - begun

    gc.collect()
    before = memory()
    decoder = WatchDecoder(layout, 1 << 24)
    await queue.put(ReplaceBegin(EVERYTHING, asyncio.get_running_loop().create_future()))
    sync = 0.0
    for data in chunks("ADDED", feed):
        sync += await put(data, ReplaceBatch)
    await queue.put(ReplaceEnd(EVERYTHING, "1", "Pod", "v1"))
    await queue.join()
    del data
    gc.collect()
    grown = memory() - before

    count = len(store)
    changed = (
        object_type.raw(entry.body).replace(b'"resourceVersion":"', b'"resourceVersion":"9')
        for entry in store.entries()
    )
    flood = 0.0
    for data in chunks("MODIFIED", islice(changed, EVENTS)):
        flood += await put(data, WatchBatch)
    selector = parse_label_selector("team=web")

    def query() -> float:
        begun = time.process_time()
        for entry in store.entries():
            selector.matches(store.label_set(entry).labels)
        return time.process_time() - begun

    first, second = query(), query()
    begun = time.process_time()
    for entry in store.entries()[:2000]:
        object_type.decode(entry.body)
    read = time.process_time() - begun
    task.cancel()
    await asyncio.wait([task])
    return {
        "objects": count, "kib": grown / count / 1024, "sync_us": 1e6 * sync / count,
        "event_us": 1e6 * flood / min(EVENTS, count), "first_query_us": 1e6 * first / count,
        "query_us": 1e6 * second / count, "read_us": 1e6 * read / 2000,
    }  # fmt: skip


def measured(*arguments: str) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.compact", "--measure", *arguments]
    found: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return found


def main() -> None:
    """Print the tables; with ``--measure`` measure one case and print it as JSON."""
    if sys.argv[1:2] == ["--measure"]:
        name, *rest = sys.argv[2:]
        print(json.dumps(asyncio.run(follow(name, int(rest[0]), rest[1] == "compact")) if rest else pack(name)))
        return
    print("| objects | bytes | packed | ratio | µs in | µs out |\n|---|---:|---:|---:|---:|---:|")
    for name in FEEDS:
        row = measured(name)
        print(
            f"| {name} | {row['raw']:,.0f} | {row['packed']:,.0f} | {row['raw'] / row['packed']:.1f} | "
            f"{row['in_us']:.1f} | {row['out_us']:.1f} |", flush=True,
        )  # fmt: skip
    print("\n| objects | kept | KiB per object | µs: sync | event | read as dict | first label query | later ones |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name in FOLLOWED:
        for size in map(int, sys.argv[1:] or SIZES):
            for kept in ("plain", "compact"):
                row = measured(name, str(size), kept)
                print(
                    f"| {size:,} {name} | {kept} | {row['kib']:.2f} | {row['sync_us']:.1f} | {row['event_us']:.1f} | "
                    f"{row['read_us']:.1f} | {row['first_query_us']:.1f} | {row['query_us']:.1f} |", flush=True,
                )  # fmt: skip


if __name__ == "__main__":
    main()
