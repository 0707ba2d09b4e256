"""Two ranges on a real kube-apiserver that filters, followed by a watch each and then by one, amid changes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import new_informer
from aioinformers.informer import pipeline_of
from aioinformers.sharding import Shard
from aioinformers.testing import ChaosProxy
from tests.kit import QUICK, Recorder, cached, version_of
from tests.kit.fixtures import real_server_with
from tests.kit.realserver import RealAPIServer
from tests.test_union import HIGH, LOW, WHOLE

pytestmark = [pytest.mark.realserver, pytest.mark.slow, pytest.mark.timeout(300)]

NAMES = [f"c-{number}" for number in range(40)]
STEPS = 600


@pytest.fixture(scope="module")
def server() -> Iterator[RealAPIServer]:
    with real_server_with("--feature-gates=ShardedListAndWatch=true") as found:
        yield found


async def change(core: client.CoreV1Api, rng: random.Random, alive: set[str]) -> None:
    """Create an object, change it, or delete it; what is created again has another uid, perhaps of the other range."""
    name = rng.choice(NAMES)
    if name not in alive:
        await core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name)))
        alive.add(name)
    elif rng.random() < 0.5:
        await core.patch_namespaced_config_map(name, "default", {"data": {"at": str(rng.random())}})
    else:
        await core.delete_namespaced_config_map(name, "default")
        alive.remove(name)


async def test_any_history_equals_the_unsplit_one(server: RealAPIServer) -> None:
    """SHARDS §2: while changes go on, one of the watches lags, and connections break before and after."""
    rng = random.Random(20261201)
    async with server.api_client() as api, ChaosProxy(server.url) as proxy:
        core, alive = client.CoreV1Api(api), set[str]()
        configuration = server.configuration()
        configuration.host, configuration.assert_hostname = proxy.url, False
        configuration.verify_ssl = False
        async with client.ApiClient(configuration) as through:
            for _ in range(60):
                await change(core, rng, alive)
            informer = new_informer(
                through, "configmaps.v1.", namespace=None, field_selector="metadata.namespace=default",
                shard=Shard(0, of=1), settings=QUICK,
            )  # fmt: skip
            following = pipeline_of(informer).following
            following.change_unstarted((LOW, HIGH))
            recorder = Recorder()
            informer.add_event_handler(recorder)
            async with informer:
                await informer.wait_synced(timeout=60)
                for step in range(STEPS):
                    await change(core, rng, alive)
                    if step % 97 == 50:
                        proxy.cut()
                    if step == STEPS // 2:
                        behind = following.reflectors[rng.choice([LOW, HIGH])]
                        assert behind.version
                        await following.unite()
                last = await core.create_namespaced_config_map(
                    "default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="last"))
                )
                await informer.wait_for_resource_version(last.metadata.resource_version, timeout=60)
                await asyncio.sleep(0.5)
                found: Any = await core.list_namespaced_config_map("default")
                expected = {f"default/{each.metadata.name}": version_of(each) for each in found.items}
                assert cached(informer) == expected
                assert list(informer.resource_versions) == [WHOLE]
                assert informer.health().shard_mode == "server"
                assert informer.statistics().lists == 2, "nothing was listed again"
                assert recorder.problems == []
                assert recorder.state == expected
