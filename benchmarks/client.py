"""aioinformers as a contender: one informer of Pods that syncs and takes a flood of updates; prints its costs.

Run by ``python -m benchmarks`` as every contender is (``benchmarks/contenders.py``), with the client's defaults; the
variant is what the handler gets and reads. The cache has an index on ``spec.nodeName`` besides the namespaces. With
``--informers`` there are several informers in the factory, and the server sends all objects to each. With ``--ignore``
there is one handler more, which is not told of changes in the status alone, as all changes here are. With ``--reading``
there are so many handlers more that read two fields of each update. With ``--faces=1`` the program has metrics, probes
and a status page at which nobody looks, with ``--faces=2`` its latencies are measured. With ``--uvloop`` the event loop
is uvloop's.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import platform
import time
from collections.abc import Callable
from typing import Any

import msgspec
from kubernetes_asyncio import client

from aioinformers import Added, Event, Metadata, SharedInformer, SharedInformerFactory, __version__
from benchmarks.measure import cpu, memory, peak_memory

TIMEOUT = 300.0
NODE = {"node": "spec.nodeName"}
FURTHER = (
    "metadata.labels['app']", "metadata.labels['tier']", "metadata.labels['pod-template-hash']",
    "metadata.generateName", "metadata.ownerReferences[].name", "metadata.ownerReferences[].kind",
    "spec.serviceAccountName", "spec.schedulerName", "spec.restartPolicy", "spec.dnsPolicy", "spec.containers[].name",
    "spec.containers[].image", "spec.volumes[].name", "spec.tolerations[].key", "status.phase", "status.hostIP",
    "status.qosClass", "status.startTime", "status.conditions[].type", "status.containerStatuses[].image",
)  # fmt: skip
"""The paths of further indexes: each has few values, as those of the peers' further indexes."""


class Spec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""


class Status(msgspec.Struct, frozen=True):
    phase: str = ""


class TwoFields(msgspec.Struct, frozen=True):
    """What a user declares who needs two fields."""

    spec: Spec = Spec()
    status: Status = Status()


class Counter:
    """Counts events and wakes who waits for so many."""

    def __init__(self) -> None:
        self.seen = self.wanted = 0
        self.reached = asyncio.Event()

    async def until(self, count: int) -> None:
        """Wait until so many events have been seen in all."""
        if self.seen < count:
            self.wanted = count
            self.reached.clear()
            await asyncio.wait_for(self.reached.wait(), TIMEOUT)

    def add(self) -> None:
        """Count an event."""
        self.seen += 1
        if self.seen == self.wanted:
            self.reached.set()

    async def count(self, event: Event[Any]) -> None:
        """Handle an event without a look at its object."""
        self.seen += 1
        if self.seen == self.wanted:
            self.reached.set()

    async def read_fields(self, event: Event[Any]) -> None:
        """Read two fields of a model or a Struct."""
        pod = event.object
        assert pod.status.phase
        assert pod.spec.node_name
        self.add()

    async def read_keys(self, event: Event[Any]) -> None:
        """Read two fields of a dict."""
        pod = event.object
        assert pod["status"]["phase"]
        assert pod["spec"]["nodeName"]
        self.add()


async def idle(event: Event[Any]) -> None:
    """Handle an event by doing nothing."""


async def read_fields(event: Event[Any]) -> None:
    """Read two fields of a model, of an update."""
    if event.__class__ is not Added:
        pod = event.object
        assert pod.status.phase
        assert pod.spec.node_name


def informers_of(factory: SharedInformerFactory, options: argparse.Namespace) -> list[SharedInformer[Any]]:
    """Return the informer of a variant, or as many as were asked for, told apart by selectors."""
    if options.informers == 1:
        return [informer_of(factory, options.variant, options.indexes)]
    return [factory.core.v1.pods(label_selector=f"app!=other-{i}", indexers=NODE) for i in range(options.informers)]


def informer_of(factory: SharedInformerFactory, variant: str, indexes: int) -> SharedInformer[Any]:
    """Return the informer of a variant."""
    indexers = NODE | {path: path for path in FURTHER[:indexes]}
    if variant == "metadata":  # no path below metadata is there
        return factory.core.v1.pods(object_type=Metadata)
    if variant == "struct":
        return factory.core.v1.pods(object_type=TwoFields, indexers=indexers)
    if variant == "compact":
        return factory.core.v1.pods(compact=True, indexers=indexers)
    if variant == "dict":
        return factory.for_resource("pods.v1.", indexers=indexers)
    return factory.core.v1.pods(indexers=indexers)


def configuration(options: argparse.Namespace) -> client.Configuration:
    """Return what the client needs to reach the replay server."""
    found = client.Configuration(host=options.url)
    found.ssl_ca_cert = options.ca
    return found


def faces_of(factory: SharedInformerFactory) -> list[Any]:
    """Return what shows a program to others: the page with all that it can show, and a collector of metrics."""
    from prometheus_client import CollectorRegistry

    from aioinformers.integrations.asgi import status_app
    from aioinformers.integrations.prometheus import InformerCollector

    return [status_app(factory), InformerCollector(factory, registry=CollectorRegistry())]


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Sync and take the flood; return the costs."""
    async with client.ApiClient(configuration(options)) as api:
        counter = Counter()
        handler = {"model-fields": counter.read_fields, "struct": counter.read_fields, "dict": counter.read_keys}
        factory = SharedInformerFactory(api)
        informers = informers_of(factory, options)
        registrations = [pods.add_event_handler(handler.get(options.variant, counter.count)) for pods in informers]
        for _ in range(options.handlers - 1):
            informers[0].add_event_handler(idle)
        for _ in range(options.reading):
            informers[0].add_event_handler(read_fields)
        for _ in range(options.ignore):
            informers[0].add_event_handler(idle, ignore=("status",))
        faces = faces_of(factory) if options.faces else []
        if options.faces == 1:
            faces.pop().close()
        gc.collect()
        empty, before, begun = memory(), cpu(), time.perf_counter()
        await factory.start()
        for registration in registrations:
            await registration.wait_synced()
        found: dict[str, Any] = {
            "version": f"aioinformers {__version__}, Python {platform.python_version()}",
            "empty_rss": empty, "sync_cpu": cpu() - before, "sync_seconds": time.perf_counter() - begun,
            "peak_rss": peak_memory(),
        }  # fmt: skip
        assert counter.seen == options.objects * options.informers, f"{counter.seen} objects"
        await asyncio.sleep(0.5)
        found["rss"] = memory()
        gc.collect()
        found["rss_collected"] = memory()

        async def flood(path: str, events: int) -> tuple[float, float]:
            before, begun, expected = cpu(), time.perf_counter(), counter.seen + events
            async with api.rest_client.pool_manager.get(options.url + path) as answer:
                await answer.read()
            await counter.until(expected)
            return cpu() - before, time.perf_counter() - begun

        found["event_cpu"], found["event_seconds"] = await flood("/flood", options.events * options.informers)
        if options.trickle:
            found["trickle_cpu"], _ = await flood(f"/trickle?rate=100&count={options.trickle}", options.trickle)
        await factory.shutdown()
    return found


def arguments() -> argparse.Namespace:
    """Return what every contender is told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca")
    parser.add_argument("--variant", required=True)
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    numbers = dict.fromkeys(("trickle", "indexes", "ignore", "reading", "faces", "uvloop"), 0)
    numbers |= {"handlers": 1, "informers": 1}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    """Measure, and print what was found."""
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    if options.uvloop:
        from uvloop import new_event_loop as new_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        print(json.dumps(runner.run(measure(options))))


if __name__ == "__main__":
    main(arguments())
