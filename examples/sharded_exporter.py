"""An exporter of metrics of Pods that divides them among its replicas, as kube-state-metrics does with ``--shard``.

Every replica follows one shard of all Pods and serves its series; Prometheus scrapes all of them. By hand::

    AIOINFORMERS_SHARDS=3 POD_INDEX=0 python -m examples.sharded_exporter 8080
    AIOINFORMERS_SHARDS=3 POD_INDEX=1 python -m examples.sharded_exporter 8081
    AIOINFORMERS_SHARDS=3 POD_INDEX=2 python -m examples.sharded_exporter 8082

In a cluster, a StatefulSet says both: ``deploy/kubernetes/sharded-exporter.yaml``. Where the API server filters
(feature gate ``ShardedListAndWatch``), a replica of n receives and reads one n-th of everything. Where it does not,
each receives everything and keeps one n-th: its memory and its series are the same. ``aioinformers_shard`` says which.
"""

from __future__ import annotations

import functools
import os
import sys

import msgspec
from aiohttp import web

import aioinformers
from aioinformers import SharedInformer, SharedInformerFactory
from aioinformers.controllers import run
from aioinformers.sharding import Shard


class Metadata(msgspec.Struct, frozen=True):
    name: str
    namespace: str = ""
    uid: str = ""


class Spec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""


class Status(msgspec.Struct, frozen=True):
    phase: str = "Unknown"


class Pod(msgspec.Struct, frozen=True):
    """What the series need of a Pod; nothing else of it is decoded or kept."""

    metadata: Metadata
    spec: Spec = Spec()
    status: Status = Status()


class Series:
    """The series of each Pod as text, made when it changes, so that a scrape only joins them."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}

    async def on_add(self, pod: Pod) -> None:
        name = f'namespace="{pod.metadata.namespace}",pod="{pod.metadata.name}",uid="{pod.metadata.uid}"'
        self.lines[pod.metadata.uid] = (
            f'kube_pod_info{{{name},node="{pod.spec.node_name}"}} 1\n'
            f'kube_pod_status_phase{{{name},phase="{pod.status.phase}"}} 1\n'
        )

    async def on_update(self, _old: Pod, pod: Pod) -> None:
        await self.on_add(pod)

    async def on_delete(self, pod: Pod) -> None:
        self.lines.pop(pod.metadata.uid, None)

    def text(self, shard: Shard, pods: SharedInformer[Pod]) -> str:
        mode = pods.health().shard_mode
        label = f'shard="{shard.index}",of="{shard.of}",filtered_by="{mode}"'
        return f"aioinformers_shard{{{label}}} {len(self.lines)}\n" + "".join(self.lines.values())


async def main(port: int) -> None:
    shard = Shard.from_environment()
    series = Series()
    async with aioinformers.connect() as api, SharedInformerFactory(api, shard=shard) as factory:
        pods = factory.core.v1.pods(object_type=Pod)
        registration = pods.add_event_handler(series)

        async def metrics(_: web.Request) -> web.Response:
            if not registration.has_synced:  # half of the series would look as if Pods had vanished
                raise web.HTTPServiceUnavailable(text=f"{pods.health().reason or 'the first list is read'}\n")
            return web.Response(text=series.text(shard, pods))

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "0.0.0.0", port).start()
            print(f"{shard}: http://localhost:{runner.addresses[0][1]}/metrics", flush=True)
            await pods.wait_closed()
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    # In a Pod STATUS is 0.0.0.0:8081, where probes and Prometheus ask for the informer's own state.
    run(functools.partial(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8080), status=os.environ.get("STATUS"))
