"""What reads of a synced cache cost: how many a second of CPU pays for, and what one field more or a first look costs.

Run as every contender is; the variant is what objects are read as. Lists are made with a label selector, and compare
the labels of every cached Pod. All objects are read once before anything else is measured, which is what a first look
costs; then those of one namespace again and again. What is kept of that (``levels``) is told in bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from kubernetes_asyncio import client

from aioinformers import SharedInformer, SharedInformerFactory, __version__
from benchmarks.client import Spec, Status, arguments
from benchmarks.measure import cpu, memory

CPU_SECONDS = 0.25
FEW, MANY = "app=app-7", "tier=web"  # of 97 apps and of 2 tiers

Read = Callable[[], Iterable[Any]]
Use = Callable[[Iterable[Any]], int]


class Metadata(msgspec.Struct, frozen=True):
    labels: dict[str, str] = {}


class LabelledFields(msgspec.Struct, frozen=True):
    """Two fields, and what selectors need."""

    metadata: Metadata = Metadata()
    spec: Spec = Spec()
    status: Status = Status()


@dataclass(frozen=True)
class Variant:
    """A way to read Pods.

    Attributes:
        options: Those of the informer.
        phases: Reads a field of each.
        fields: Reads two fields of each.
    """

    options: Mapping[str, Any]
    phases: Use
    fields: Use


def phases(pods: Iterable[Any]) -> int:
    """Read a field of each."""
    return sum(pod.status.phase == "Running" for pod in pods)


def phases_of_dicts(pods: Iterable[Any]) -> int:
    """Read a field of each dict."""
    return sum(pod["status"]["phase"] == "Running" for pod in pods)


def fields(pods: Iterable[Any]) -> int:
    """Read two fields of each."""
    return sum(pod.status.phase == "Running" and pod.spec.node_name is not None for pod in pods)


def fields_of_dicts(pods: Iterable[Any]) -> int:
    """Read two fields of each dict."""
    return sum(pod["status"]["phase"] == "Running" and pod["spec"]["nodeName"] is not None for pod in pods)


def untouched(pods: Iterable[Any]) -> int:
    """Count them."""
    return sum(1 for _ in pods)


VARIANTS = {
    "model": Variant({}, phases, fields),
    "struct": Variant({"object_type": LabelledFields, "shared_objects": True}, phases, fields),  # labels are a dict
    "shared": Variant({"shared_objects": True}, phases, fields),
    "dict": Variant({"object_type": dict}, phases_of_dicts, fields_of_dicts),
    "compact": Variant({"compact": True}, phases, fields),
}


def reads_of(pods: SharedInformer[Any]) -> dict[str, Read]:
    """Return the kinds of reads by name."""
    names = itertools.cycle(list(pods.indexer)[:500])

    def get() -> Iterable[Any]:
        namespace, name = next(names)
        return (pods.lister.get(name, namespace=namespace),)

    return {
        "get": get,
        "by_index": lambda: pods.indexer.by_index("node", "node-7"),
        "list, few hits": lambda: pods.lister.list(FEW),
        "list, many hits": lambda: pods.lister.list(MANY),
    }


def measure(read: Read, use: Use) -> dict[str, float]:
    """Return how often it can be read a second, and how many objects it finds."""
    found = use(read())
    done, batch, begun = 0, 1, cpu()
    while (used := cpu() - begun) < CPU_SECONDS:
        for _ in range(batch):
            use(read())
        done += batch
        batch *= 2
    return {"per_second": done / used, "found": found}


def looks(pods: SharedInformer[Any], use: Use) -> dict[str, float]:
    """Return the microseconds that a first and a later look at two fields of an object cost, and the memory kept."""
    objects, before = len(pods.lister), memory()
    begun = cpu()
    assert use(pods.lister) == objects
    first = (cpu() - begun) / objects
    gc.collect()
    after = memory()
    hot = max(pods.indexer.index_values("namespace"), key=lambda name: len(pods.lister.namespace(name)))
    again = measure(lambda: pods.lister.list(namespace=hot), use)
    assert again["found"] <= 8192, "more than the levels of which are kept"
    return {
        "first_us": 1e6 * first, "again_us": 1e6 / (again["per_second"] * again["found"]),
        "rss_before": before, "rss_after": after,
    }  # fmt: skip


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Sync, then read."""
    variant, empty = VARIANTS[options.variant], memory()
    async with client.ApiClient(client.Configuration(host=options.url)) as api, SharedInformerFactory(api) as factory:
        pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"}, **variant.options)
        await factory.wait_for_cache_sync(timeout=60)
        assert len(pods.lister) == options.objects
        gc.collect()
        found: dict[str, Any] = {
            "version": f"aioinformers {__version__}, Python {platform.python_version()}", "empty_rss": empty,
            "looks": looks(pods, variant.fields),
        }  # fmt: skip
        reads = reads_of(pods)
        found["reads"] = {name: measure(read, untouched) for name, read in reads.items()}
        found["reads"] |= {f"{name}, field read": measure(read, variant.phases) for name, read in reads.items()}
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(arguments()))))
