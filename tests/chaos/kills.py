"""A program that stores its caches under load and is killed at any moment, and the comparison of what comes after it.

``python -m tests.chaos.kills URL FOLDER NAMESPACE TOKEN AUTHORITIES`` is the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from kubernetes_asyncio import client
from kubernetes_asyncio.client.exceptions import ApiException

from aioinformers import SharedInformer, SharedInformerFactory, WarmCache
from aioinformers.warm import journal
from tests.kit import Recorder, cached, child_process, version_of

__all__ = ["kill_and_compare"]

NAMES = [f"c{number}" for number in range(60)]


def informers_of(factory: SharedInformerFactory, namespace: str) -> list[SharedInformer[Any]]:
    """Return informers that keep bytes, packed bytes, and no bytes."""
    return [
        factory.for_resource("configmaps.v1.", namespace=namespace),
        factory.core.v1.configmaps(namespace=namespace, compact=True),
        factory.for_resource("configmaps.v1.", namespace=namespace, shared_objects=True, label_selector="app=x"),
    ]


async def follow(url: str, path: str, namespace: str, token: str, authorities: str) -> None:
    """Store caches, more often than usual, until killed."""
    journal.PERIOD = 0.03  # type: ignore[misc]
    configuration = client.Configuration(host=url)
    if token:
        configuration.api_key, configuration.api_key_prefix = {"BearerToken": token}, {"BearerToken": "Bearer"}
        configuration.ssl_ca_cert = authorities
    async with (
        client.ApiClient(configuration) as api,
        SharedInformerFactory(api, warm=WarmCache(path)) as factory,
    ):
        informers_of(factory, namespace)
        await factory.wait_for_cache_sync(timeout=60)
        sys.stdout.write("synced\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def load(api: client.ApiClient, namespace: str, seed: int) -> AsyncIterator[None]:
    """Change objects while the block runs."""
    core, chance = client.CoreV1Api(api), random.Random(seed)

    async def write() -> None:
        while True:
            name, labels = chance.choice(NAMES), {"app": chance.choice("xy")}
            body: Any = {
                "metadata": {"name": name, "labels": labels},
                "data": {"v": str(chance.random()), "w": "x" * 3000},
            }
            with contextlib.suppress(ApiException):
                match chance.choice(("create", "patch", "patch", "delete")):
                    case "create":
                        await core.create_namespaced_config_map(namespace, body)
                    case "patch":
                        await core.patch_namespaced_config_map(name, namespace, body)
                    case _:
                        await core.delete_namespaced_config_map(name, namespace)
            await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(write()) for _ in range(3)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def kill_and_compare(
    configuration: client.Configuration, namespace: str, path: Path, rounds: int, seed: int
) -> int:
    """Kill the program again and again, and compare each time; return how many starts after that were warm.

    Raises:
        AssertionError: If a warm start is not as a cold one and as the server, or told its handlers something else.
    """
    chance, warm_starts = random.Random(seed), 0
    async with client.ApiClient(configuration) as api:
        for number in range(rounds):
            async with load(api, namespace, chance.randrange(1 << 30)):
                token, authorities = configuration.api_key.get("BearerToken", ""), configuration.ssl_ca_cert or ""
                arguments = (str(configuration.host), str(path), namespace, token, authorities)
                async with child_process(
                    sys.executable, "-m", "tests.chaos.kills", *arguments, stdout=asyncio.subprocess.PIPE
                ) as child:
                    assert child.stdout is not None, "it has been asked for"
                    async with asyncio.timeout(60):
                        await child.stdout.readline()
                    await asyncio.sleep(chance.random() * 1.5)
                    child.kill()
                    await child.wait()
                await asyncio.sleep(chance.random() * 0.5)
            warm_starts += await compare(api, namespace, path, f"round {number}")
    return warm_starts


async def compare(api: client.ApiClient, namespace: str, path: Path, what: str) -> int:
    """Start from what a killed program has left, and beside it without; return how many informers started warm."""
    async with (
        SharedInformerFactory(api, warm=WarmCache(path)) as warm_factory,
        SharedInformerFactory(api, name="cold") as cold_factory,
    ):
        warm, cold = informers_of(warm_factory, namespace), informers_of(cold_factory, namespace)
        recorders = [Recorder() for _ in warm]
        for informer, recorder in zip(warm, recorders, strict=True):
            informer.add_event_handler(recorder)
        await warm_factory.wait_for_cache_sync(timeout=60)
        await cold_factory.wait_for_cache_sync(timeout=60)
        found = await client.CoreV1Api(api).list_namespaced_config_map(namespace)
        truth = {f"{namespace}/{each.metadata.name}": version_of(each) for each in found.items}
        for here, there, recorder in zip(warm, cold, recorders, strict=True):
            assert cached(here) == cached(there), what
            assert cached(here).items() <= truth.items(), what
            async with asyncio.timeout(10):
                while recorder.state != cached(here):
                    await asyncio.sleep(0.05)
            assert recorder.problems == [], what
        assert cached(warm[0]) == truth, what
        return sum(informer.health().warm.startswith("warm: ") for informer in warm)


if __name__ == "__main__":
    asyncio.run(follow(*sys.argv[1:]))
