"""Follow the pods of a cluster.

Run it with a kubeconfig at hand, or inside a Pod; Ctrl-C ends it::

    python -m examples.quickstart
"""

from __future__ import annotations

import asyncio
import contextlib

from kubernetes_asyncio import client

import aioinformers
from aioinformers import Added, Deleted, SharedInformerFactory, Updated


async def follow_pods(api_client: client.ApiClient) -> None:
    """Print what there is, then every change, until cancelled."""
    factory = SharedInformerFactory(api_client)
    pods = factory.core.v1.pods(indexers={"node": "spec.nodeName"})
    deployments = factory.apps.v1.deployments()

    @deployments.on_update
    async def scaled(old: client.V1Deployment, new: client.V1Deployment) -> None:
        if old.spec.replicas != new.spec.replicas:
            print(f"{new.metadata.name} was scaled from {old.spec.replicas} to {new.spec.replicas}")

    async with factory:  # enters started, leaves shut down
        await factory.wait_for_cache_sync(timeout=30)

        # From here on every read is answered from memory.
        print(f"{len(pods.lister)} pods, {len(pods.lister.list('app=web'))} of them labelled app=web")
        for node in sorted(pods.indexer.index_values("node")):
            print(f"{node or 'no node'}: {len(pods.indexer.by_index('node', node))} pods")

        async with pods.stream() as events:
            async for event in events:
                match event:
                    case Added(object=pod, initial=False):
                        print(f"+ {event.key} {pod.status.phase}")
                    case Updated(old=before, object=pod) if before.status.phase != pod.status.phase:
                        print(f"~ {event.key} {before.status.phase} -> {pod.status.phase}")
                    case Deleted():
                        print(f"- {event.key}")


async def main() -> None:
    async with aioinformers.connect() as api_client:
        await follow_pods(api_client)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
