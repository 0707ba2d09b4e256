"""Three shards of every kind that a real kube-apiserver serves, while its feature gate is switched off and on again.

Objects are written to etcd, past all validation: what they hold does not matter here, only that there are some of each
kind. So their uids and resourceVersions are known, and each cache can be judged at any moment.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import aiohttp
import pytest
from kubernetes_asyncio import client

from aioinformers import GroupVersionResource, Settings, SharedInformer, SharedInformerFactory
from aioinformers.discovery import ApiResource
from aioinformers.informer import pipeline_of
from aioinformers.sharding import Shard
from aioinformers.types import version_order
from tests.chaos.test_real_kinds import DEFINITIONS, definition
from tests.conformance.rest import Rest
from tests.kit.fixtures import real_server_with
from tests.kit.realserver import RealAPIServer

pytestmark = [pytest.mark.realserver, pytest.mark.slow, pytest.mark.timeout(300)]

FLAGS = ("--runtime-config=api/all=true", "--feature-gates=AllAlpha=true,AllBeta=true")
GATE = {is_on: f"--feature-gates=ShardedListAndWatch={str(is_on).lower()}" for is_on in (True, False)}
SETTINGS = Settings(backoff_jitter=0.0, backoff_initial=0.2, backoff_max=1.0)
SHARDS: Final = [Shard(index, of=3) for index in range(3)]
EACH: Final = 9
"""Objects of each kind."""
GADGETS = GroupVersionResource("shards.example.com", "v1", "gadgets")

EVENTS: Final = [GroupVersionResource("", "v1", "events"), GroupVersionResource("events.k8s.io", "v1", "events")]

PREFIXES = {
    "nodes": "minions", "endpoints": "services/endpoints", "services": "services/specs", "ingresses": "ingress",
    "replicationcontrollers": "controllers", "podsecuritypolicies": "podsecuritypolicy",
}  # fmt: skip
"""Where etcd has what is not under the name of its resource."""
HEEDED = {
    "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
}  # fmt: skip
"""Groups whose objects the server itself obeys: of these, it has those that it makes."""
UNHEEDED = {"events.v1.events.k8s.io", "servicecidrs.v1.networking.k8s.io"}
"""And resources; events are those of another version."""

State = dict[str, tuple[str, str]]
"""Uid and resourceVersion by key."""


class Operation(NamedTuple):
    """Writes an object, or deletes it if no uid is given."""

    found: ApiResource
    namespace: str
    name: str
    uid: str
    mark: str


class Etcd:
    """Writes objects, and remembers what there is.

    Attributes:
        states: By group and name of the resource.
        versions: The last resourceVersion, by the same.

    Args:
        url: Where etcd listens.
        session: Makes the requests.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.states: defaultdict[tuple[str, str], State] = defaultdict(dict)
        self.versions: dict[tuple[str, str], str] = {}
        self._url, self._session = url, session

    async def write(self, operations: Iterable[Operation]) -> None:
        """Change some objects at once, no two of them of one kind."""
        requests, places = [], []
        for found, namespace, name, uid, mark in operations:
            group, _, plural = found.resource
            prefix = f"{group}/{plural}" if group == GADGETS.group else PREFIXES.get(plural, plural)
            namespaces = [namespace] if found.is_namespaced else []
            key = _encoded("/".join(["/registry", prefix, *namespaces, name]))
            if uid:
                meta: dict[str, Any] = {"name": name, "uid": uid, "labels": {"mark": mark}}
                meta["creationTimestamp"] = "2026-01-01T00:00:00Z"
                if found.is_namespaced:
                    meta["namespace"] = namespace
                body = {"apiVersion": found.resource.api_version, "kind": found.kind, "metadata": meta}
                requests.append({"requestPut": {"key": key, "value": _encoded(json.dumps(body))}})
            else:
                requests.append({"requestDeleteRange": {"key": key}})
            places.append(((group, plural), "/".join([*namespaces, name]), uid))
        async with self._session.post(f"{self._url}/v3/kv/txn", json={"success": requests}) as response:
            answer = await response.json()
            assert response.status == 200, answer
        for place, key, uid in places:
            self.versions[place] = version = str(answer["header"]["revision"])
            if uid:
                self.states[place][key] = (uid, version)
            else:
                del self.states[place][key]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Replica:
    """One of three processes, with an informer of each kind."""

    def __init__(self, shard: Shard, factory: SharedInformerFactory, resources: list[GroupVersionResource]) -> None:
        self.shard, self.factory = shard, factory
        self.informers: dict[GroupVersionResource, SharedInformer[Any]] = {
            resource: factory.for_resource(resource) for resource in resources
        }

    def state(self, resource: GroupVersionResource) -> State:
        """Return what is cached of a kind."""
        entries = pipeline_of(self.informers[resource]).store.entries()
        return {entry.key: (entry.uid, entry.version) for entry in entries}

    def share(self, state: State) -> State:
        """Return what of a kind it should have."""
        return {key: found for key, found in state.items() if self.shard.contains(found[0])}

    def is_live(self, resource: GroupVersionResource) -> bool:
        return pipeline_of(self.informers[resource]).is_live


class Scene:
    """A server, three replicas, and whoever writes to etcd."""

    def __init__(self, server: RealAPIServer, etcd: Etcd, served: list[ApiResource], replicas: list[Replica]) -> None:
        self.server, self.etcd, self.replicas = server, etcd, replicas
        self.resources = [found.resource for found in served]
        self.written = [
            found for found in served if found.resource.group not in HEEDED and str(found.resource) not in UNHEEDED
        ]

    def pairs(self) -> Iterator[tuple[Replica, GroupVersionResource]]:
        return ((replica, resource) for replica in self.replicas for resource in self.resources)

    def judge(self, *, is_late: bool = False) -> None:
        """Judge each cache that says that it is live; of what is written here its whole state is known.

        Args:
            is_late: Whether the caches have had time to be told of the last change; otherwise those are judged by
                their state that have reached its version, and the others only by whose objects they have.
        """
        for replica, resource in self.pairs():
            if not replica.is_live(resource):
                continue
            state, place = replica.state(resource), (resource.group, resource.resource)
            assert replica.share(state) == state, (replica.shard, resource)
            if place not in self.etcd.versions:
                continue
            expected = self.etcd.states[place]
            version = replica.informers[resource].last_sync_resource_version
            if is_late or version_order(version) >= version_order(self.etcd.versions[place]):
                ours = {key: found for key, found in state.items() if key in expected or "shards-" in key}
                assert ours == replica.share(expected), (replica.shard, resource)

    async def until_live(self) -> None:
        """Wait until all are, and judge each from the moment on in which it says so."""
        async with asyncio.timeout(60):
            while not all(replica.is_live(resource) for replica, resource in self.pairs()):
                self.judge()
                await asyncio.sleep(0.05)
        await self.until_shown()

    async def until_shown(self) -> None:
        """Wait until all caches show what has been written; what others have, they show at no time."""
        async with asyncio.timeout(60):
            while True:
                self.judge()
                try:
                    self.judge(is_late=True)
                except AssertionError:
                    await asyncio.sleep(0.05)
                else:
                    return

    async def change(self, mark: str) -> None:
        """Create some objects of each kind, change some and delete some."""
        kinds = {each.resource[::2]: each for each in self.written}
        changes = [list(self._changes(found, mark)) for found in kinds.values()]
        for operations in itertools.zip_longest(*changes):
            await self.etcd.write(filter(None, operations))

    def _changes(self, found: ApiResource, mark: str) -> Iterator[Operation]:
        known = self.etcd.states[found.resource[::2]]
        for number, (key, (uid, _)) in enumerate(known.items()):
            namespace, _, name = key.rpartition("/")
            if number % 3 < 2:
                yield Operation(found, namespace, name, uid if number % 3 else "", mark)
        for number in range(EACH if not known else len(known) // 3):
            namespace = ("default", "kube-system", "elsewhere")[number % 3]
            yield Operation(found, namespace, f"shards-{mark}-{number}", str(uuid.uuid4()), mark)

    async def restart(self, *, gate: bool) -> None:
        """Start the server anew with the gate on or off; things change meanwhile, which nobody sees."""
        self.server.kill_apiserver()
        async with asyncio.timeout(10):
            while any(replica.is_live(resource) for replica, resource in self.pairs()):
                await asyncio.sleep(0.05)
        await self.change(f"away-{gate}".lower())
        self.server.start_apiserver(GATE[gate])
        await self.until_live()

    def modes(self) -> dict[GroupVersionResource, set[str | None]]:
        """Return who keeps the objects of others away, by kind."""
        return {
            resource: {replica.informers[resource].health().shard_mode for replica in self.replicas}
            for resource in self.resources
        }

    async def compare(self, rest: Rest) -> int:
        """Compare the caches with lists of all objects; return how many kinds have some."""
        known = 0
        for resource in self.resources:
            async with asyncio.timeout(30):
                while True:  # the server itself writes some kinds again and again
                    listed = await rest.get(f"{resource.path}/{resource.resource}")
                    whole: State = {}
                    for item in listed.json["items"]:
                        meta = item["metadata"]
                        key = "/".join(filter(None, (meta.get("namespace"), meta["name"])))
                        whole[key] = (meta["uid"], meta["resourceVersion"])
                    if all(replica.state(resource) == replica.share(whole) for replica in self.replicas):
                        break
                    await asyncio.sleep(0.1)
            known += bool(whole)
        return known


@asynccontextmanager
async def scene_on(server: RealAPIServer, rest: Rest) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        etcd = Etcd(server.etcd_url, await stack.enter_async_context(aiohttp.ClientSession()))
        made = await rest.post(DEFINITIONS, definition(GADGETS.group))
        assert made.status == 201, made.body
        async with asyncio.timeout(30):
            while (await rest.get(f"{GADGETS.path}/gadgets")).status != 200:
                await asyncio.sleep(0.1)
        served: list[ApiResource] = []
        replicas: list[Replica] = []
        for shard in SHARDS:
            configuration = server.configuration()
            configuration.connection_pool_maxsize = 200
            api = await stack.enter_async_context(client.ApiClient(configuration))
            factory = SharedInformerFactory(api, shard=shard, settings=SETTINGS)
            stack.push_async_callback(factory.shutdown, grace=0)
            served = served or await factory.discover()
            replicas.append(Replica(shard, factory, [found.resource for found in served]))
        scene = Scene(server, etcd, served, replicas)
        await scene.change("first")
        for replica in replicas:
            await replica.factory.start()
        await scene.until_live()
        yield scene


async def test_g1_each_cache_is_its_share_whenever_it_says_that_it_is_live() -> None:
    with real_server_with(*FLAGS) as server:
        async with Rest.connect(server) as rest, scene_on(server, rest) as scene:
            assert len(scene.resources) > 80
            for turn, gate in enumerate((True, False, True)):
                modes = scene.modes()
                assert modes.pop(GADGETS) == {"client"}  # filtered or not, lists of custom resources do not say it
                for events in EVENTS:  # their watches outlive the server, and what they have not listed is not known
                    assert modes.pop(events) <= {"server", "client"}
                assert set().union(*modes.values()) == {"server" if gate else "client"}
                await scene.change(f"{turn}")
                await scene.until_shown()
                assert await scene.compare(rest) > 80
                if turn < 2:
                    await scene.restart(gate=not gate)
