"""G19: caches of a new leader on both servers, in real time."""

from __future__ import annotations

import time
import uuid
from typing import Any

from kubernetes_asyncio import client

from aioinformers import Settings, SharedInformerFactory
from aioinformers.coordination.barrier import pass_barrier
from aioinformers.transport.source import Source
from tests.coordination.followed import Followed
from tests.kit.fixtures import APIServer


async def test_g19_a_quiet_kind_passes_within_seconds_although_its_own_watch_is_silent(api_server: APIServer) -> None:
    """A bookmark of that comes about once a minute."""
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    async with api_server.api_client() as api, api_server.api_client() as other:
        core: Any = client.CoreV1Api(other)
        await core.create_namespace({"metadata": {"name": namespace}})
        async with SharedInformerFactory(api, namespace=namespace) as factory:
            informer = factory.for_resource("configmaps.v1.")
            await factory.wait_for_cache_sync(timeout=20)
            followed = Followed(informer, Source(api, Settings()))
            followed.path = f"/api/v1/namespaces/{namespace}/configmaps"
            for number in range(3):
                await core.create_namespaced_config_map(namespace, {"metadata": {"name": f"c{number}"}})
                await core.create_namespaced_secret(namespace, {"metadata": {"name": f"s{number}"}})
                begin = time.monotonic()
                await pass_barrier([followed], timeout=20)
                assert time.monotonic() - begin < 15
                assert informer.lister.get(f"c{number}", namespace=namespace)
