"""Reads from other threads while the loop writes: right without a lock, as ``docs/reading.md`` promises.

Threads switch every microsecond here, wherever Python lets them: what is not one step is interrupted sooner or later.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import NotFoundError, ObjectKey
from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Partition, Store
from aioinformers.cache.lister import Indexer, Lister, StoreReader
from aioinformers.delivery.consumer import Consumer
from aioinformers.delivery.events import EventFactory
from aioinformers.delivery.handlers import handler_set
from aioinformers.delivery.listener import ConsumerOptions
from aioinformers.delivery.mailbox import ADDED, DELETED, UPDATED, Record
from aioinformers.errors import UnknownIndexError
from aioinformers.informer import pipeline_of
from aioinformers.listwatch.recovery import State
from aioinformers.objects.deltas import DELETE, REJECT, UPSERT, Batch, Delta
from aioinformers.objects.layout import IndexDefinition, Layout
from aioinformers.objects.models import model_decoder
from aioinformers.objects.object_types import ObjectType, compacted, object_type_of
from aioinformers.queue import QueueItem, Reindex, ReplaceBatch, ReplaceBegin, ReplaceEnd, WatchBatch
from aioinformers.testing import FakeAPIServer
from aioinformers.types import EVERYTHING, Cause, GroupVersionResource, Scope
from tests.kit import configmap, factory_on, started

ROOT = Path(__file__).resolve().parent.parent
PODS = GroupVersionResource("", "v1", "pods")
SECONDS = 0.7
"""How long each test lets readers and the writer at each other."""


class Readers:
    """Threads that repeat their checks until they are stopped, and remember what was wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._is_done = threading.Event()

    def run(self, *checks: Callable[[], object]) -> list[threading.Thread]:
        """Start a thread for each check."""
        threads = [threading.Thread(target=self._repeat, args=(check,), daemon=True) for check in checks]
        for thread in threads:
            thread.start()
        return threads

    def _repeat(self, check: Callable[[], object]) -> None:
        while True:  # at least once, however late the thread is
            try:
                check()
            except Exception as error:
                self.problems.append(f"{type(error).__name__}: {error}")
            if self._is_done.is_set() or len(self.problems) >= 10:
                return

    def stop(self) -> None:
        """Let every thread end after its current round."""
        self._is_done.set()


@contextmanager
def reading(*checks: Callable[[], object]) -> Iterator[Readers]:
    """Let threads read during the block, which has to last; fail if one of them found anything wrong."""
    readers = Readers()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = readers.run(*checks)
    try:
        yield readers
    finally:
        readers.stop()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert readers.problems == []


def rounds() -> Iterator[int]:
    """Count up for as long as a test lasts."""
    end, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        number += 1
        yield number


# -- the store, written by the real dispatcher ---------------------------------------------------------------------

NODES = ["n1", "n2", "n3"]
TAGS = ["red", "green", "blue"]
STEADY = {f"{scope}/steady-{number}" for scope in "ab" for number in range(3)}


class Cluster:
    """A store of two scopes and its dispatcher; remembers each version that it has ever put into a queue."""

    def __init__(self, object_type: ObjectType[Any]) -> None:
        self.random = random.Random(1)
        indexers: dict[str, IndexDefinition] = {
            "node": "spec.node", "tags": "spec.tags[]", "app": lambda obj: [obj["metadata"]["labels"]["app"]]
        }  # fmt: skip
        self.store: Store[Any] = Store(Layout(object_type, (), indexers), [Scope("a"), Scope("b")])
        self.queue: asyncio.Queue[QueueItem] = asyncio.Queue()
        self.dispatcher: Dispatcher[Any] = Dispatcher(self.store, self.queue, 1e-4, lambda: None)
        self.written: set[tuple[str, str]] = set()
        self.version = 0
        reader = StoreReader(self.store, "pods", PODS, lambda namespace: None)
        self.lister: Lister[Any] = Lister(reader)
        self.indexer: Indexer[Any] = Indexer(reader)

    def upsert(self, key: str, *, node: str = "", tags: list[str] | None = None) -> Delta:
        """Return a new version of an object, of random values unless they are given."""
        self.version += 1
        pick = self.random
        namespace, name = key.split("/")
        document = {
            "metadata": {
                "name": name, "namespace": namespace, "uid": key, "resourceVersion": str(self.version),
                "labels": {"app": pick.choice(NODES)},
            },
            "spec": {"node": node or pick.choice(NODES), "tags": tags or pick.sample(TAGS, pick.randint(1, 3))},
        }  # fmt: skip
        self.written.add((key, str(self.version)))
        layout = self.store.layout
        return UPSERT, key, layout.entry(json.dumps(document).encode(), layout.reader.read_document(document))

    def steady(self, scope: str) -> list[Delta]:
        """Return new versions of what never moves."""
        keys = sorted(key for key in STEADY if key.startswith(scope))
        return [self.upsert(key, node="steady", tags=["always", self.random.choice(TAGS)]) for key in keys]

    def watch(self, scope: str) -> WatchBatch:
        """Return some random events."""
        deltas: list[Delta] = self.steady(scope) if self.random.random() < 0.3 else []
        for _ in range(8):
            key = f"{scope}/p{self.random.randrange(20)}"
            kind = self.random.random()
            deltas.append(
                (DELETE, key, None) if kind < 0.3 else (REJECT, key, "bad") if kind < 0.4 else self.upsert(key)
            )
        return WatchBatch(Scope(scope), Batch(deltas, str(self.version), self.store.layout))

    def relist(self, scope: str) -> None:
        """Queue a list of some of the objects."""
        deltas = [*self.steady(scope), *(self.upsert(f"{scope}/p{number}") for number in range(0, 20, 2))]
        batch = Batch(deltas, str(self.version), self.store.layout)
        self.queue.put_nowait(ReplaceBegin(Scope(scope), asyncio.get_running_loop().create_future()))
        self.queue.put_nowait(ReplaceBatch(Scope(scope), batch))
        self.queue.put_nowait(ReplaceEnd(Scope(scope), str(self.version)))

    async def reindex(self, change: Callable[[Layout[Any]], Layout[Any]]) -> None:
        """Change the indexes."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait(Reindex(change, done))
        await done

    async def write(self) -> None:
        """Do all that can happen to a store, for a while."""
        for number in rounds():
            scope = self.random.choice("ab")
            item = self.watch(scope)
            if not self.dispatcher.offer(item):
                self.queue.put_nowait(item)
            if not number % 5:
                self.relist(scope)
            if not number % 7:
                await self.reindex(lambda layout: layout.with_indexers({"extra": "spec.node"}))
                await self.reindex(lambda layout: layout.without_index("extra"))
            await self.queue.join()
            await asyncio.sleep(0)


def key_of(obj: Any) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


class Checks:
    """What has to hold of every read, whenever it is made."""

    def __init__(self, cluster: Cluster) -> None:
        self.lister, self.indexer, self.written = cluster.lister, cluster.indexer, cluster.written
        self.dispatcher = cluster.dispatcher

    def _existed(self, objects: list[Any]) -> set[str]:
        """Check that these are versions that existed, one of each object; return their keys."""
        keys = [key_of(obj) for obj in objects]
        assert len(set(keys)) == len(keys), "twice"
        strangers = [k for k in zip(keys, versions(objects), strict=True) if k not in self.written]
        assert not strangers, f"{strangers} never existed"
        return set(keys)

    def by_value(self) -> None:
        """An object that is given has the value, in the very version that is given; what stays is never missed."""
        for node in NODES:
            for obj in self.indexer.by_index("node", node):
                assert obj["spec"]["node"] == node, "by_index gave an object without the value"
            for obj in self.indexer.by_index("app", node):
                assert obj["metadata"]["labels"]["app"] == node, "by_index gave an object without the value"
        for tag in TAGS:
            for obj in self.indexer.by_index("tags", tag):
                assert tag in obj["spec"]["tags"], "by_index gave an object without the value"
        assert self._existed(self.indexer.by_index("node", "steady")) == STEADY
        assert {str(key) for key in self.indexer.index_keys("tags", "always")} == STEADY

    def by_name(self) -> None:
        """No object of another key."""
        for key in (*STEADY, "a/p1", "b/p2"):
            namespace, name = key.split("/")
            try:
                assert key_of(self.lister.get(name, namespace=namespace)) == key
                assert key_of(self.indexer[key]) == key
                assert self.indexer.resource_version(ObjectKey(namespace, name))
            except NotFoundError:
                assert key not in STEADY, f"{key} was missed"

    def whole(self) -> None:
        """Everything is a snapshot of objects that existed."""
        assert self._existed(self.lister.list()) >= STEADY
        assert self._existed(list(self.lister)) >= STEADY
        assert self._existed(list(self.indexer.values())) >= STEADY
        for key, obj in self.indexer.items():
            assert str(key) == key_of(obj)
        assert {str(key) for key in self.indexer} >= STEADY
        assert len(self.lister) >= len(STEADY) <= len(self.indexer)
        assert repr([self.lister, self.indexer, self.lister.namespace("a")])

    def selected(self) -> None:
        """Selectors see what they select."""
        for obj in self.lister.list("app=n1"):
            assert obj["metadata"]["labels"]["app"] == "n1"
        assert {key for key in STEADY if key[0] == "a"} <= self._existed(self.lister.list(namespace="a"))
        assert len(self.lister.namespace("b")) >= 3
        named = self.lister.list(field_selector="metadata.name=steady-1")
        assert self._existed(named) == {"a/steady-1", "b/steady-1"}
        others = self.lister.list(field_selector="metadata.name!=steady-1,metadata.namespace!=a")
        assert {"b/steady-0", "b/steady-2"} <= self._existed(others)
        assert not {key_of(obj) for obj in others} & {"a/steady-0", "b/steady-1"}

    def values(self) -> None:
        """Values that some object had; an index that comes and goes is there or not."""
        assert {"steady"} <= set(self.indexer.index_values("node")) <= {"steady", *NODES}
        assert {"always"} <= set(self.indexer.index_values("tags")) <= {"always", *TAGS}
        assert self.indexer.index_values("namespace") == ["a", "b"]
        assert set(self.dispatcher.rejected.values()) <= {"bad"}
        try:
            assert set(self.indexer.index_values("extra")) <= {"steady", *NODES}
            assert self._existed(self.indexer.by_index("extra", "steady")) == STEADY
        except UnknownIndexError:
            pass


def versions(objects: list[Any]) -> list[str]:
    return [obj["metadata"]["resourceVersion"] for obj in objects]


@pytest.mark.parametrize("is_compact", [False, True], ids=["plain", "compact"])
async def test_reads_from_threads_are_right_while_the_dispatcher_writes(is_compact: bool) -> None:
    """Watch events, relists, changes of indexes: no read raises, and each answer was true at some moment."""
    cluster = Cluster(compacted(object_type_of(dict)) if is_compact else object_type_of(dict))
    task = asyncio.create_task(cluster.dispatcher.run())
    for scope in "ab":
        cluster.relist(scope)
    await cluster.queue.join()
    checks = Checks(cluster)
    with reading(checks.by_value, checks.by_name, checks.whole, checks.selected, checks.values):
        await cluster.write()
    task.cancel()
    await asyncio.wait([task])


def test_an_object_that_moves_is_never_given_under_the_value_that_it_left() -> None:
    """The writer files, unfiles and exchanges it in several steps; the object itself says what it is."""
    layout: Layout[Any] = Layout(object_type_of(dict), (), {"node": "spec.node"})
    store = Store(layout, [EVERYTHING])
    entries = {}
    for node in NODES:
        document = {"metadata": {"name": "p"}, "spec": {"node": node}}
        entries[node] = json.dumps(document).encode(), layout.reader.read_document(document)
    reader = StoreReader(store, "pods", PODS, lambda namespace: None)
    indexer: Indexer[Any] = Indexer(reader)

    def check() -> None:
        for node in NODES:
            assert all(obj["spec"]["node"] == node for obj in indexer.by_index("node", node))

    with reading(check, check):
        partition = store.partitions[EVERYTHING]
        for number in rounds():
            for node in NODES:
                partition.put("p", layout.entry(*entries[node]))
            if not number % 3:
                partition.remove("p")


def test_scopes_are_replaced_as_a_whole() -> None:
    """A reader goes through the partitions that it has found, whatever becomes of the store's meanwhile."""
    layout: Layout[Any] = Layout(object_type_of(dict))
    store = Store(layout, [EVERYTHING])
    document = {"metadata": {"name": "p"}}
    raw, read = json.dumps(document).encode(), layout.reader.read_document(document)

    def partitions(*scopes: Scope) -> dict[Scope, Partition]:
        made = {scope: Partition(1) for scope in scopes}
        made[scopes[0]].put("p", layout.entry(raw, read))
        for partition in made.values():
            partition.is_synced = True
        return made

    store.partitions = partitions(EVERYTHING)
    reader = StoreReader(store, "pods", PODS, lambda namespace: None)
    lister: Lister[Any] = Lister(reader)

    def check() -> None:
        assert len(lister.list()) == len(lister) == len(list(lister)) == 1
        assert lister.get("p")
        assert lister.list(field_selector="metadata.name=p")
        assert store.is_synced
        assert store.has_synced("x")

    with reading(check, check):
        for _ in rounds():
            store.partitions = partitions(*(Scope(name) for name in "abcdefgh"))
            store.partitions = partitions(EVERYTHING)


def test_reads_do_not_notice_the_garbage_collector() -> None:
    """It may run ``__del__`` and callbacks wherever an object is made, and threads may switch in those."""
    layout: Layout[Any] = Layout(object_type_of(dict))
    store = Store(layout, [EVERYTHING])
    partition = store.partitions[EVERYTHING]

    def put(number: int) -> None:
        document = {"metadata": {"name": f"p{number}"}}
        partition.put(f"p{number}", layout.entry(json.dumps(document).encode(), layout.reader.read_document(document)))

    for number in range(5000):  # tuples beyond 2,000 are not taken from those that Python has in stock
        put(number)
    reader = StoreReader(store, "pods", PODS, lambda namespace: None)
    lister, indexer = Lister(reader), Indexer(reader)
    reads: list[Callable[[], object]] = [
        lister.list,
        lambda: list(lister),
        lambda: list(indexer),
        lambda: list(indexer.items()),
        lambda: list(indexer.values()),
        lambda: lister.list(field_selector="metadata.name!=p5"),
        lambda: lister.list(field_selector="metadata.name=p5"),
        lambda: lister.list("app!=x"),
        lambda: indexer.by_index("namespace", ""),
        lambda: indexer.index_keys("namespace", ""),
        lambda: indexer.index_values("namespace"),
    ]
    threshold, calls = gc.get_threshold(), []

    def another_thread(phase: str, info: dict[str, int]) -> None:
        calls.append(phase)
        if phase == "start" and partition.remove("p5000") is None:
            put(5000)

    gc.callbacks.append(another_thread)
    try:
        gc.set_threshold(700)
        for read in reads:
            read()
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(another_thread)
    assert calls


# -- what an informer says of itself ------------------------------------------------------------------------------


async def test_what_an_informer_says_of_itself_is_safe_from_threads() -> None:
    """Health, statistics, versions, texts, while it follows, rejects, delivers and fails; all fit to be copied."""
    async with FakeAPIServer() as server, factory_on(server, namespace=["one", "two", "no"]) as factory:
        for number in range(20):
            server.create("configmaps", configmap(f"c{number}", ["one", "two"][number % 2]))
        configmaps = await started(factory, settle=0.1)

        async def handle(event: Any) -> None:
            await asyncio.sleep(0)

        keyed = configmaps.add_event_handler(handle, concurrency=8, resync_period=1.0)
        serial = configmaps.add_event_handler(handle, name="serial")

        def say() -> None:
            health, statistics = configmaps.health(), configmaps.statistics()
            assert pickle.loads(pickle.dumps(health)) == health
            assert copy.deepcopy(statistics) == statistics
            assert {each.scope.namespace for each in health.scopes} == {"one", "two", "no"}
            assert repr((configmaps, factory, keyed, serial, configmaps.lister, configmaps.indexer))
            assert set(configmaps.resource_versions) == {each.scope for each in health.scopes}
            assert configmaps.is_live(60)
            assert configmaps.last_sync_resource_version
            _ = configmaps.last_error, configmaps.last_activity, configmaps.is_watching, factory.health().is_ready

        def busy() -> None:
            for registration in (keyed, serial):
                for each in registration.statistics().busy_keys:
                    assert 0 <= each.seconds < 60, "an event that has just begun seems to be old"
                    assert each.key.namespace in ("one", "two")

        with reading(say, busy, busy):
            for number in rounds():
                name, namespace = f"c{number % 20}", ["one", "two"][number % 2]
                server.patch("configmaps", name, {"data": {"x": str(number)}}, namespace=namespace)
                await asyncio.sleep(0.001)


def test_busy_keys_are_told_while_they_change() -> None:
    """Of a serial worker and of several: each with its own time, not with that of the event before or after it."""

    async def handle(event: Any) -> None:
        """Never called."""

    host: Any = SimpleNamespace(name="pods", events=None, now=lambda: 0.0)
    consumer: Consumer[Any] = Consumer(host, handler_set(handle), ConsumerOptions(), "h")
    nothing: Any = None

    def check() -> None:
        for each in consumer.statistics().busy_keys:
            assert each.key.name == str(-each.seconds)
        assert repr(consumer.statistics())

    with reading(check, check):
        for number in rounds():
            since = float(number)
            consumer._since, consumer._current = since, Record(ADDED, str(since), nothing, None, Cause.WATCH)
            consumer._current = None
            for _ in range(20):
                since += 0.01
                consumer._busy[str(since)] = since
            consumer._busy.clear()


async def test_scopes_that_appear_one_by_one_are_told_of() -> None:
    """Reflectors start while somebody asks what the informer waits for."""
    scopes = [f"n{number}" for number in range(60)]
    async with FakeAPIServer() as server, factory_on(server, namespace=scopes) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        pipeline = pipeline_of(configmaps)
        reflector: Any = SimpleNamespace(
            state=State.LISTING, last_error=ValueError("no"), last_activity=1.0, notices={}, ownership=None
        )

        def check() -> None:
            assert configmaps.health().reason
            assert not configmaps.is_watching
            assert len(pipeline.scope_health()) == 60
            _ = configmaps.last_error, configmaps.last_activity, configmaps.is_live(1)

        with reading(check, check):
            for _ in rounds():
                pipeline.following.reflectors.clear()
                for scope in pipeline.store.partitions:
                    pipeline.following.reflectors[scope] = reflector
        pipeline.following.reflectors.clear()


# -- objects and events -------------------------------------------------------------------------------------------

POD = json.dumps({
    "metadata": {"name": "p", "namespace": "d", "labels": {"a": "b"}, "uid": "u", "resourceVersion": "1"},
    "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}).encode()  # fmt: skip


def touch(model: Any) -> None:
    """Read every attribute, and of those that are models every one of theirs."""
    for name in model.openapi_types:
        value = getattr(model, name)
        if hasattr(value, "openapi_types"):
            touch(value)


def test_an_object_that_is_shared_is_copied_while_it_is_read() -> None:
    """Models decode themselves when they are touched, and keep what they have decoded."""
    decode = model_decoder(client.V1Pod)
    shared = [decode(POD)]

    def check() -> None:
        pod = shared[0]
        for twin in (copy.deepcopy(pod), pickle.loads(pickle.dumps(pod)), copy.copy(pod)):
            assert twin.metadata.name == "p"
            assert twin.status.phase == "Running"
        assert copy.deepcopy(pod.metadata).labels == {"a": "b"}

    with reading(check, check, lambda: touch(shared[0])):
        for _ in rounds():
            shared[0] = decode(POD)
            touch(shared[0])


def test_an_event_is_copied_while_it_is_read() -> None:
    """Events decode their objects when they are touched."""
    object_type = object_type_of(client.V1Pod)
    events: EventFactory[Any] = EventFactory(PODS, object_type)
    layout = Layout(object_type)
    document = json.loads(POD)
    entry = layout.entry(POD, layout.reader.read_document(document))
    records = [
        Record(ADDED, "d/p", entry, None, Cause.WATCH),
        Record(UPDATED, "d/p", entry, entry, Cause.WATCH),
        Record(DELETED, "d/p", entry, entry, Cause.WATCH),
    ]
    shared = [events.make(record) for record in records]

    def check() -> None:
        for event in shared:
            for twin in (copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
                assert twin.key == ObjectKey("d", "p")
                assert twin.object.metadata.name == "p"

    with reading(check, check):
        for _ in rounds():
            shared[:] = [events.make(record) for record in records]
            for event in shared:
                touch(event.object)


FIRST_READS = """
import json, sys, threading
from kubernetes_asyncio import client
from aioinformers.objects.models import model_decoder

sys.setswitchinterval(1e-6)
spec = {"containers": [{"name": "c", "livenessProbe": {"exec": {"command": ["x"]}}}]}
raw = json.dumps({"spec": {"template": {"spec": spec}, **spec}, "status": {"conditions": []}}).encode()


def touch(model):
    for name in model.openapi_types:
        value = getattr(model, name)
        if hasattr(value, "openapi_types"):
            touch(value)


def read(decode, barrier):
    barrier.wait()
    touch(decode(raw))


for model in (client.V1Pod, client.V1Deployment, client.V1Job, client.V1CronJob, client.V1CustomResourceDefinition):
    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=read, args=(model_decoder(model), barrier)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
"""A process of its own: it used to be killed by a segmentation fault."""


def test_the_first_reads_of_a_model_may_come_from_several_threads_at_once() -> None:
    """Decoders are made at the first read; msgspec cannot make two of one class at the same time."""
    done = subprocess.run([sys.executable, "-c", FIRST_READS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
