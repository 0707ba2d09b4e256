"""A real kube-apiserver and a real etcd that crash, hang and forget, while four writers go on."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Self

import aiohttp
import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.client.exceptions import ApiException

from aioinformers import Added, Deleted, Event, Settings, SharedInformer, SharedInformerFactory, WatchFailure
from aioinformers.errors import GoneError
from aioinformers.testing import ChaosProxy
from aioinformers.transport.source import Source
from tests.kit import Recorder, cached, version_of
from tests.kit.fixtures import real_server_with
from tests.kit.realserver import RealAPIServer

pytestmark = [pytest.mark.realserver, pytest.mark.slow]

SETTINGS = Settings(
    backoff_jitter=0.0,
    connect_timeout=3, header_timeout=5, list_silence_timeout=5, watch_list_silence_timeout=5,
    watch_timeout_min=8, watch_timeout_max=10, watch_timeout_slack=3, page_size=20,
)  # fmt: skip
"""As by default, but a silent peer is noticed within seconds, and an outage always lasts as long."""
OUTAGE = 45.0
KINDS = ("config_map", "secret")


class Accountant(Recorder):
    """A handler that also counts, per uid, how often it was given an object and its end."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        self.pause = pause

    async def __call__(self, event: Event[Any]) -> None:
        await super().__call__(event)
        await asyncio.sleep(self.pause)

    def check(self, informer: SharedInformer[Any]) -> None:
        """Check that each object came once, and each end exactly once."""
        assert self.problems == []
        assert self.state == cached(informer)
        added = Counter(version_of(event.object)[0] for event in self.events if isinstance(event, Added))
        deleted = Counter(version_of(event.object)[0] for event in self.events if isinstance(event, Deleted))
        assert set(added.values()) == {1}
        assert added - deleted == Counter(uid for uid, _ in self.state.values())
        assert deleted - added == Counter()


class Writers:
    """Four writers that change Secrets and ConfigMaps of two namespaces, whatever happens to the server."""

    def __init__(self, api: client.ApiClient, namespaces: list[str]) -> None:
        self.done: Counter[str] = Counter()
        self._core: Any = client.CoreV1Api(api)
        self._namespaces = namespaces
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._write(seed), name=f"writer {seed}") for seed in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results

    async def _write(self, seed: int) -> None:
        chance = random.Random(seed)
        while True:
            where, kind, name = chance.choice(self._namespaces), chance.choice(KINDS), f"o{chance.randrange(40)}"
            body = {"metadata": {"name": name, "labels": {"n": str(chance.randrange(1000))}}}
            what = chance.choice(("create", "create", "patch", "patch", "delete"))
            arguments: tuple[Any, ...] = {"create": (where, body), "patch": (name, where, body)}.get(
                what, (name, where)
            )
            try:
                async with asyncio.timeout(5):
                    await getattr(self._core, f"{what}_namespaced_{kind}")(*arguments)
                self.done[what] += 1
                await asyncio.sleep(0.01)
            except ApiException as error:
                if error.status not in (404, 409):
                    await asyncio.sleep(0.2)
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(0.2)


class Scene:
    """A server behind a proxy, a factory that watches through it, and who writes past it."""

    def __init__(self, server: RealAPIServer, proxy: ChaosProxy, api: client.ApiClient, settings: Settings) -> None:
        self.server = server
        self.proxy = proxy
        self.namespaces = [f"t-{uuid.uuid4().hex[:8]}" for _ in range(2)]
        self.failures: list[WatchFailure] = []
        self._core: Any = client.CoreV1Api(api)
        configuration = server.configuration()
        configuration.host = proxy.url
        self.watched = client.ApiClient(configuration)
        self.factory = SharedInformerFactory(self.watched, settings=settings, on_watch_error=self.failures.append)
        self.configmaps = self.factory.core.v1.configmaps(namespace=self.namespaces)
        self.secrets = self.factory.for_resource("secrets.v1.", namespace=self.namespaces[0])
        self.informers: list[SharedInformer[Any]] = [self.configmaps, self.secrets]
        self.handlers: list[tuple[SharedInformer[Any], Accountant]] = []

    def follow(self, informer: SharedInformer[Any], pause: float = 0.0, **options: Any) -> None:
        """Add a consumer."""
        accountant = Accountant(pause)
        informer.add_event_handler(accountant, **options)
        self.handlers.append((informer, accountant))

    async def start(self) -> None:
        """Create the namespaces and start everything."""
        for name in self.namespaces:
            await self._core.create_namespace({"metadata": {"name": name}})
        for informer in self.informers:
            self.follow(informer)
            self.follow(informer, pause=0.005, limit=30, concurrency=2)
        await self.factory.start()
        await self.factory.wait_for_cache_sync(timeout=120)

    async def ready(self) -> None:
        """Wait until the server answers again."""
        await asyncio.to_thread(self.server.wait_ready)

    async def compact(self) -> None:
        """Let etcd forget its history."""
        url = f"http://127.0.0.1:{self.server._etcd_port}/v3/kv"
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{url}/range", json={"key": "AA=="}) as response:
                revision = (await response.json())["header"]["revision"]
            async with session.post(f"{url}/compaction", json={"revision": revision, "physical": True}) as response:
                assert response.status == 200, await response.text()

    async def contents(self, kind: str, namespaces: list[str]) -> dict[str, tuple[str, str]]:
        """Return uid and resourceVersion of what the server has."""
        found = [o for n in namespaces for o in (await getattr(self._core, f"list_namespaced_{kind}")(n)).items]
        return {f"{o.metadata.namespace}/{o.metadata.name}": version_of(o) for o in found}

    async def converge(self, seconds: float = 200) -> None:
        """Wait until caches and handlers have what the server has, and check how they came there."""
        wanted = [
            await self.contents("config_map", self.namespaces),
            await self.contents("secret", self.namespaces[:1]),
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while [cached(informer) for informer in self.informers] != wanted or any(
                    accountant.state != cached(informer) for informer, accountant in self.handlers
                ):
                    await asyncio.sleep(0.1)
        assert [cached(informer) for informer in self.informers] == wanted, self.factory.health()
        await asyncio.sleep(0.3)
        for informer, accountant in self.handlers:
            accountant.check(informer)


@contextlib.asynccontextmanager
async def scene_on(server: RealAPIServer, settings: Settings = SETTINGS) -> AsyncIterator[Scene]:
    """Open a scene on a server that runs."""
    async with ChaosProxy(server.url) as proxy, server.api_client() as api:
        scene = Scene(server, proxy, api, settings)
        try:
            await scene.start()
            async with Writers(api, scene.namespaces) as writers:
                yield scene
                assert min(writers.done[what] for what in ("create", "patch", "delete")) > 20, writers.done
            await scene.converge()
        finally:
            await scene.factory.shutdown(grace=0)
            await scene.watched.close()


async def test_crashes_of_apiserver_and_etcd_and_a_compaction_while_four_writers_go_on() -> None:
    """G1, G5, G9: kill -9 of both servers, half-open connections, an outage, history lost."""
    async with real_server_with() as server, scene_on(server) as scene:
        await asyncio.sleep(3)

        server.kill_etcd()
        await asyncio.sleep(4)
        server.start_etcd()
        await scene.ready()
        scene.follow(scene.configmaps)
        await asyncio.sleep(2)

        scene.proxy.freeze()  # half-open: nothing is closed, nothing arrives
        await asyncio.sleep(SETTINGS.watch_timeout_max + SETTINGS.watch_timeout_slack + 1)
        assert not any(informer.is_live(5) for informer in scene.informers)
        assert any("silent" in str(failure.error) for failure in scene.failures)
        scene.proxy.thaw()
        scene.proxy.cut()
        await asyncio.sleep(3)

        scene.failures.clear()
        accepted = scene.proxy.accepted
        server.kill_apiserver()
        await asyncio.sleep(OUTAGE / 2)
        scene.follow(scene.secrets)  # what it is given is the state before the outage
        await scene.compact()
        await asyncio.sleep(OUTAGE / 2)
        attempts = Counter((str(failure.resource), failure.scope) for failure in scene.failures)
        assert len(attempts) == 3
        allowed = 10 * OUTAGE / 60  # below ten requests a minute
        assert max(attempts.values()) < allowed, attempts
        # A connection that ends without an answer is tried once more by aiohttp itself.
        assert scene.proxy.accepted - accepted < allowed * 2 * len(attempts)

        server.start_apiserver()
        await scene.ready()
        scene.follow(scene.configmaps, pause=0.01, limit=10)
        await asyncio.sleep(5)


async def test_history_that_is_lost_while_the_connection_is_away_means_a_relist() -> None:
    """G1, G5: 410 by a compaction and a restart behind a proxy that lets nobody in."""
    async with real_server_with() as server, scene_on(server) as scene:
        await asyncio.sleep(2)
        lists = [informer.statistics().lists for informer in scene.informers]
        scene.proxy.refuse = True
        scene.proxy.cut()
        await asyncio.sleep(3)
        await scene.compact()
        server.kill_apiserver()
        server.start_apiserver()
        await scene.ready()
        await asyncio.sleep(2)
        scene.proxy.refuse = False
        for informer, before in zip(scene.informers, lists, strict=True):
            async with asyncio.timeout(120):
                while informer.statistics().lists == before:
                    await asyncio.sleep(0.1)
        assert any(isinstance(failure.error, GoneError) for failure in scene.failures)


async def test_a_server_without_streams_of_initial_objects_is_listed() -> None:
    """G1: WatchList=false, byte by byte through the proxy, and cut off now and then."""
    async with real_server_with("--feature-gates=WatchList=false") as server, scene_on(server) as scene:
        scene.proxy.split = 100
        for clean in (True, False, True):
            await asyncio.sleep(2)
            scene.proxy.cut(clean=clean)
        assert all(informer.statistics().lists >= 1 for informer in scene.informers)


async def test_streams_of_initial_objects_may_be_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """G14: gzip, one member per flush, in pieces of any size."""
    plain = Source.open

    def packed(self: Source, *arguments: Any, **options: Any) -> Any:
        return plain(self, *arguments, **{**options, "compression": True})

    monkeypatch.setattr(Source, "open", packed)
    async with real_server_with() as server, scene_on(server) as scene:
        core: Any = client.CoreV1Api(scene.watched)
        for i in range(300):
            body = {"metadata": {"name": f"big{i}"}, "data": {"text": "ümläut € 漢字 " * 50 + str(i)}}
            await core.create_namespaced_config_map(scene.namespaces[0], body)
        fresh = SharedInformerFactory(scene.watched, settings=SETTINGS)
        try:
            scene.proxy.split = 1000
            informer = fresh.core.v1.configmaps(namespace=scene.namespaces)
            accountant = Accountant()
            informer.add_event_handler(accountant)
            await fresh.start()
            await fresh.wait_for_cache_sync(timeout=120)
            last = await core.create_namespaced_config_map(scene.namespaces[0], {"metadata": {"name": "last"}})
            await informer.wait_for((scene.namespaces[0], last.metadata.name), lambda o: o is not None, timeout=60)
            assert informer.lister.get("big7", namespace=scene.namespaces[0]).data["text"].endswith(" 7")
            assert accountant.problems == []
        finally:
            scene.proxy.split = None
            await fresh.shutdown(grace=0)
