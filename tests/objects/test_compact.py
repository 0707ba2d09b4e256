"""Objects kept packed: the packer by itself, and informers with ``compact=True``."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import importlib
import json
import random
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes_asyncio import client

from aioinformers import (
    CompactStatistics,
    Event,
    Metadata,
    ObjectKey,
    SharedInformer,
    Updated,
    new_informer,
    strip_managed_fields,
)
from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.objects import compact
from aioinformers.objects.compact import Packed, Packer, converters, find_zstd
from aioinformers.objects.deltas import UPSERT, Batch
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import compacted, object_type_of
from aioinformers.queue import ReplaceBatch, ReplaceBegin, ReplaceEnd, WatchBatch
from aioinformers.testing import FakeAPIServer
from aioinformers.types import EVERYTHING
from tests.kit import Recorder, cached, configmap, factory_on, pod, stored

ROOT = Path(__file__).resolve().parents[2]


def pods(count: int, seed: int = 1, team: str = "web") -> list[bytes]:
    """Return the JSON of alike Pods, each with some texts of its own."""
    chance = random.Random(seed)
    made = []
    for i in range(count):
        described = pod(
            f"{team}-{i}-{chance.getrandbits(40):x}", node=f"n{chance.randrange(99)}", app=team, tier="front"
        )
        described["metadata"] |= {
            "uid": f"{chance.getrandbits(128):032x}",
            "resourceVersion": str(chance.getrandbits(24)),
        }
        described["metadata"]["annotations"] = {f"{team}.example.com/{k}": f"{team} is told {k}" for k in range(20)}
        made.append(json.dumps(described).encode())
    return made


def others(count: int, seed: int) -> list[bytes]:
    """Return objects of a kind of their own per seed: no dictionary of another kind is of use for them."""
    chance = random.Random(seed)
    names = [f"{chance.getrandbits(64):x}" for _ in range(60)]
    return [
        json.dumps({"metadata": {"name": str(i)}} | {n: chance.choice(names) for n in names}).encode()
        for i in range(count)
    ]


def size(body: Packed | bytes) -> int:
    return len(body.data if isinstance(body, Packed) else body)


def raw_of(body: Packed | bytes) -> bytes:
    return body.unpack() if isinstance(body, Packed) else body


class Unpacked:
    """Counts what is unpacked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        def counting(zstd: Any, content: bytes) -> tuple[compact.Convert, compact.Convert]:
            compress, decompress = converters(zstd, content)

            def counted(data: bytes) -> bytes:
                self.count += 1
                return decompress(data)

            return compress, counted

        monkeypatch.setattr(compact, "converters", counting)

    def take(self) -> int:
        """Return how many there were since the last time."""
        count, self.count = self.count, 0
        return count


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> Unpacked:
    """What has been unpacked, by informers that pack from their second object on."""
    monkeypatch.setattr(compact, "FIRST", 1)
    return Unpacked(monkeypatch)


# -- the packer ---------------------------------------------------------------------------------------------------


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.slow
@given(contents=st.lists(documents, max_size=40), order=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_any_json_comes_back_in_any_order(contents: list[Any], order: random.Random) -> None:
    """However often the dictionary has been renewed since, and whatever has been packed in between."""
    packer = Packer()
    packer._due = 2
    kept = []
    for content in contents:
        raw = json.dumps({"metadata": {"name": "x"}, "content": content}, ensure_ascii=False).encode()
        kept.append((raw, packer.pack(raw)))
        if order.random() < 0.1:
            packer._due = 0  # try another dictionary
    order.shuffle(kept)
    for raw, body in kept:
        assert raw_of(body) == raw
        assert body == raw
        again = packer.repack(body) if isinstance(body, Packed) else packer.pack(body)
        assert again == body


def test_objects_are_packed_once_there_is_a_dictionary() -> None:
    """The first of them stay, to make it of."""
    packer = Packer()
    raws = pods(200)
    bodies = [packer.pack(raw) for raw in raws]
    assert [type(body) for body in bodies] == [bytes] * compact.FIRST + [Packed] * (200 - compact.FIRST)
    assert [raw_of(body) for body in bodies] == raws
    told = packer.statistics()
    assert (told.objects, told.dictionaries) == (200 - compact.FIRST, 1)
    assert told.packed_bytes == sum(map(size, bodies[compact.FIRST :]))
    assert told.ratio > 8


def test_any_thread_may_unpack() -> None:
    """Reads are safe from all threads, at the same time."""
    packer = Packer()
    raws = pods(300)
    bodies = [packer.pack(raw) for raw in raws]

    def check(seed: int) -> bool:
        places = random.Random(seed).choices(range(len(raws)), k=2000)
        return all(raw_of(bodies[place]) == raws[place] for place in places)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(check, range(8)))


def test_what_does_not_get_smaller_stays() -> None:
    """Tiny objects, and those full of chance."""
    packer = Packer()
    for raw in pods(50):
        packer.pack(raw)
    tiny, noise = b'{"q":1}', random.Random(1).randbytes(500)
    assert packer.pack(tiny) is tiny
    assert packer.pack(noise) is noise


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9])
def test_a_dictionary_may_be_tiny(length: int) -> None:
    """Even smaller than zstd takes."""
    compress, decompress = converters(find_zstd(), b"{}      "[:length])
    for raw in [b"{}", b"", pods(1)[0]]:
        assert decompress(compress(raw)) == raw


def test_large_objects_come_back() -> None:
    """Larger than one block of zstd, and than the dictionary."""
    compress, decompress = converters(find_zstd(), pods(1)[0])
    raw = b"[" + b",".join(pods(500)) + b"]"
    assert len(raw) > 3 * compact.DICTIONARY_BYTES
    packed = compress(raw)
    assert len(packed) < len(raw) / 4
    assert decompress(packed) == raw


def test_equality_is_that_of_the_content() -> None:
    """Whoever compares stored bodies need not know how they are kept."""
    first, second = Packer(), Packer()
    raws = pods(50)
    for raw in raws:
        first.pack(raw)
        second.pack(raw)
    one, other = first.pack(raws[-1]), second.pack(raws[-1])
    assert isinstance(one, Packed)
    assert isinstance(other, Packed)
    assert one == other == raws[-1] == one
    assert one != first.pack(raws[0])
    assert one != raws[0]
    assert one != "text"
    assert Entry(one, "u", "", ()).is_same_version(Entry(raws[-1], "u", "", ()))
    assert not Entry(raws[0], "u", "", ()).is_same_version(Entry(one, "u", "", ()))
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


MEMORY = """
import gc, os
from aioinformers.objects.compact import Packer
from benchmarks.pods import encoded
def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
packer, kept = Packer(), [None] * 20000
for i in range(100):
    packer.pack(encoded(i, i))
gc.collect()
before = memory()
for i in range(20000):
    kept[i] = packer.pack(encoded(i % 100, i))
print((memory() - before) / 20000)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_packed_objects_take_no_more_than_their_size() -> None:
    """A block that was shrunk in place would leave a hole of 5 KB that nothing fits into."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=300, cwd=ROOT
    )
    assert float(done.stdout) < 400


# -- dictionaries -------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dictionaries are tried often."""
    monkeypatch.setattr(compact, "SECOND", 64)
    monkeypatch.setattr(compact, "INTERVAL", 64)


@pytest.mark.usefixtures("quick")
def test_alike_objects_keep_their_dictionary() -> None:
    """A younger one would pack them as well, so it does not take over."""
    packer = Packer()
    bodies = [packer.pack(raw) for raw in pods(2000)]
    assert {body.dictionary.number for body in bodies if isinstance(body, Packed)} == {1}


@pytest.mark.usefixtures("quick")
def test_a_dictionary_that_has_grown_old_is_replaced() -> None:
    """When objects change their looks: what was packed before can still be read."""
    packer = Packer()
    before = pods(300)
    old = [packer.pack(raw) for raw in before]
    after = others(400, seed=2)
    new = [packer.pack(raw) for raw in after]
    assert statistics.mean(map(size, new[200:])) < 0.7 * statistics.mean(map(size, new[:50]))
    assert isinstance(new[-1], Packed)
    assert new[-1].dictionary.number > 1
    assert [raw_of(body) for body in old + new] == before + after
    assert packer.statistics().dictionaries >= 2


@pytest.mark.usefixtures("quick")
def test_a_dictionary_is_tried_once_per_turnover(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not per so many objects: the work must stay small beside packing, however many objects there are."""
    tries: list[int] = []
    original = Packer._renew

    def renew(packer: Packer) -> None:
        tries.append(packer._seen)
        original(packer)

    monkeypatch.setattr(Packer, "_renew", renew)
    packer = Packer()
    packer.population = 700
    for raw in pods(3000):
        packer.pack(raw)
    assert tries[:2] == [16, 64]
    assert len(tries) == 6
    assert all(700 <= seen < 700 + 32 for seen in tries[2:])


@pytest.mark.usefixtures("quick")
def test_dictionaries_go_with_what_was_packed_with_them() -> None:
    """And those that hang on are found by :meth:`is_outdated`, and go when that is packed anew."""
    packer = Packer()
    kept = [packer.pack(raw) for raw in pods(100)]
    straggler = kept[-1]
    assert isinstance(straggler, Packed)
    content = straggler.unpack()
    for seed in range(2, 9):
        kept = [packer.pack(raw) for raw in others(300, seed)]  # the store has turned over, but for the straggler
    assert packer.statistics().dictionaries <= 3
    assert packer.is_outdated(straggler)
    assert not packer.is_outdated(kept[-1])
    assert not packer.is_outdated(content)

    straggler = packer.repack(straggler)
    assert isinstance(straggler, Packed)
    assert straggler == content
    assert not packer.is_outdated(straggler)
    gc.collect()
    assert packer.statistics().dictionaries <= 2


def test_the_sample_stays_small() -> None:
    """However many objects there are, and however large."""
    packer = Packer()
    for raw in pods(1500):
        packer.pack(raw + b" " * 20_000)
        assert len(packer._sample) < compact.SAMPLE
    assert {type(body) for body in packer._sample} == {Packed}


# -- the library --------------------------------------------------------------------------------------------------


async def test_without_it_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.14 on it is the standard library's, which some builds leave out."""
    original = importlib.import_module

    def import_module(name: str) -> Any:
        if name.endswith(".zstd"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return original(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    is_standard = sys.version_info >= (3, 14)
    remedy = "this Python was built without" if is_standard else r"pip install 'aioinformers\[compact\]'"
    async with client.ApiClient() as api:
        with pytest.raises(ImportError, match=remedy):
            new_informer(api, "pods.v1.", compact=True)


# -- informers ----------------------------------------------------------------------------------------------------

virtual_time = pytest.mark.virtual_time


def bodies_of(informer: SharedInformer[Any]) -> list[Any]:
    return [entry.body for entry in informer._pipeline.store.entries()]


def wide(name: str, **labels: str) -> dict[str, Any]:
    """Return a Pod that is worth packing."""
    described = pod(name, **labels)
    described["metadata"]["annotations"] = {f"example.com/{i}": f"a note that all of them have {i}" for i in range(20)}
    return described


async def started(factory: Any, *informers: SharedInformer[Any]) -> None:
    await factory.start()
    await factory.wait_for_cache_sync(timeout=5)
    await asyncio.sleep(1)


class StructMeta(msgspec.Struct):
    name: str
    labels: dict[str, str] = {}


class StructPod(msgspec.Struct):
    metadata: StructMeta


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    kind: str = ""


@virtual_time
@pytest.mark.usefixtures("unpacked")
@pytest.mark.parametrize("watch_list", [True, False])
@pytest.mark.parametrize("object_type", [client.V1Pod, dict, StructPod, Metadata])
async def test_every_type_that_keeps_bytes_keeps_them_packed(object_type: Any, watch_list: bool) -> None:
    """G1, G13: what is read is the same as without, and everybody's own."""
    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server) as factory:
        for i in range(20):
            server.create("pods", wide(f"p{i}", app="ab"[i % 2], number=str(i)))
        options: dict[str, Any] = {"object_type": object_type, "indexers": {"app": "metadata.labels.app"}}
        packed = factory.core.v1.pods(**options, compact=True)
        plain = new_informer(factory.api_client, client.V1Pod, **options)
        factory.add(plain)
        seen: list[Any] = []

        async def on_event(event: Event[Any]) -> None:
            seen.append(event.object)

        packed.add_event_handler(on_event)
        await started(factory)

        assert packed.is_compact
        assert not plain.is_compact
        assert [type(body) for body in bodies_of(packed)].count(Packed) == 19
        assert {type(body) for body in bodies_of(plain)} == {bytes}
        for read in (
            lambda informer: informer.lister.list(),
            lambda informer: informer.lister.list("app=a,number notin (2)"),
            lambda informer: informer.indexer.by_index("app", "b"),
            lambda informer: [informer.lister.get("p7", namespace="default"), informer.indexer["default/p8"]],
        ):
            assert read(packed) == read(plain)
            assert all(isinstance(obj, object_type) for obj in read(packed))
        assert packed.lister.get("p7", namespace="default") is not packed.lister.get("p7", namespace="default")
        assert seen == plain.lister.list()


@virtual_time
async def test_events_are_packed_after_they_have_been_handled(unpacked: Unpacked) -> None:
    """What a handler that is not behind gets is made of the bytes as they came; only the old state is unpacked."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(20):
            server.create("pods", wide(f"p{i}"))
        pods = factory.core.v1.pods(compact=True, indexers={"node": "spec.nodeName"})
        told: list[tuple[str, str]] = []

        async def on_event(event: Event[client.V1Pod]) -> None:
            if isinstance(event, Updated):
                told.append((event.key.name, event.object.spec.node_name))

        pods.add_event_handler(on_event)
        await started(factory)
        unpacked.take()
        for i in range(20):
            server.patch("pods", f"p{i}", {"spec": {"nodeName": "n2"}}, namespace="default")
        await asyncio.sleep(1)

        assert told == [(f"p{i}", "n2") for i in range(20)]
        assert {type(body) for body in bodies_of(pods)} == {Packed}
        assert (len(pods.indexer.index_keys("node", "n2")), pods.indexer.index_values("node")) == (20, ["n2"])
        assert cached(pods).keys() == stored(server, "pods").keys()
        assert unpacked.take() == 20  # by `cached`: no event, index or key has unpacked anything


@virtual_time
async def test_keys_versions_and_relists_unpack_nothing(unpacked: Unpacked) -> None:
    """G6: an unchanged relist compares uids and resourceVersions."""
    async with FakeAPIServer(watch_list=False) as server, factory_on(server) as factory:
        for i in range(20):
            server.create("pods", wide(f"p{i}"))
        pods = factory.core.v1.pods(compact=True)
        recorder = Recorder()
        await started(factory)
        before = bodies_of(pods)
        pods.add_event_handler(recorder)
        await asyncio.sleep(1)
        unpacked.take()
        server.close_watches()
        server.create("configmaps", configmap("c"))
        server.expire()
        await asyncio.sleep(60)

        assert pods.statistics().lists == 2
        assert len(recorder.events) == 20
        assert list(map(id, bodies_of(pods))) == list(map(id, before))
        assert [key.name for key in pods.indexer][:2] == ["p0", "p1"]
        assert len(pods.lister) == len(pods.lister.namespace("default")) == 20
        assert ObjectKey("default", "p3") in pods.indexer
        assert unpacked.take() == 0


@virtual_time
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_backlog_keeps_no_raw_object_alive(unpacked: Unpacked, concurrency: int) -> None:
    """Old states, and versions that have been replaced before anybody was told of them, are packed too."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(10):
            server.create("pods", wide(f"p{i}", seen="0"))
        pods = factory.core.v1.pods(compact=True)
        go, recorder = asyncio.Event(), Recorder()
        deltas: list[tuple[str, str]] = []

        async def on_event(event: Event[client.V1Pod]) -> None:
            if isinstance(event, Updated):
                await go.wait()
                deltas.append((event.old.metadata.labels["seen"], event.object.metadata.labels["seen"]))
            await recorder(event)

        registration = pods.add_event_handler(on_event, concurrency=concurrency)
        await started(factory)
        for turn in ("1", "2", "3"):
            for i in range(10):
                server.patch("pods", f"p{i}", {"metadata": {"labels": {"seen": turn}}}, namespace="default")
        server.delete("pods", "p9", namespace="default")
        await asyncio.sleep(1)

        assert registration.statistics().queued >= 28
        gc.collect()
        mailbox = registration._consumer.mailbox
        segments = [*mailbox._exact, mailbox._taken]
        waiting = {id(state): state for part in segments for record in part for state in (record.entry, record.base)}
        bodies = [state.body for state in waiting.values() if state is not None]
        assert len(bodies) > 25
        assert [type(body) for body in bodies].count(bytes) <= 1  # the first object of all, before any dictionary
        go.set()
        await asyncio.sleep(1)
        assert sorted(deltas) == [("0", "1")] * 10 + [("1", "2")] * 10 + [("2", "3")] * 10
        assert recorder.problems == []
        assert recorder.state == cached(pods)
        assert unpacked.take() > 0


@virtual_time
async def test_a_label_query_unpacks_each_version_once(unpacked: Unpacked) -> None:
    """Beyond that, what it finds."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(20):
            server.create("pods", wide(f"p{i}", app="ab"[i % 2]))
        server.create("pods", wide("without-any"))
        pods = factory.core.v1.pods(compact=True)
        await started(factory)
        packed = sum(type(body) is Packed for body in bodies_of(pods))
        assert packed == 20
        unpacked.take()

        assert pods.lister.list("app=c") == []
        assert unpacked.take() == packed
        assert pods.lister.list("app=c") == []
        assert unpacked.take() == 0
        assert len(pods.lister.list("app=b")) == 10
        assert unpacked.take() == 10
        assert len({entry.labels for entry in pods._pipeline.store.entries()}) == 3  # of two apps, and of no labels

        server.patch("pods", "p1", {"metadata": {"labels": {"app": "c"}}}, namespace="default")
        await asyncio.sleep(1)
        unpacked.take()
        assert [obj.metadata.name for obj in pods.lister.list("app=c")] == ["p1"]
        assert unpacked.take() == 2


@virtual_time
async def test_transforms_come_before_packing(unpacked: Unpacked) -> None:
    def shout(obj: dict[str, Any]) -> dict[str, Any]:
        obj["metadata"]["labels"] = {"app": obj["metadata"]["name"].upper()}
        return obj

    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(10):
            server.create("pods", wide(f"p{i}") | {"spec": {"nodeName": f"n{i}"}})
        options: dict[str, Any] = {"compact": True, "indexers": {"label": "metadata.labels.app"}}
        shouted = factory.core.v1.pods(transform=[strip_managed_fields, shout], **options)
        await started(factory)
        assert unpacked.take() == 0
        assert [obj.metadata.name for obj in shouted.indexer.by_index("label", "P5")] == ["p5"]
        assert [obj.metadata.name for obj in shouted.lister.list("app=P6")] == ["p6"]


@virtual_time
@pytest.mark.usefixtures("unpacked")
async def test_indexes_can_be_added_to_what_is_packed() -> None:
    """Paths and functions; and a batch that came just before is packed nevertheless."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(10):
            server.create("pods", wide(f"p{i}", app="web"))
        pods = factory.core.v1.pods(compact=True)
        await started(factory)
        change = pods.add_indexers({"app": "metadata.labels.app", "name": lambda obj: [obj.metadata.name]})
        server.patch("pods", "p3", {"metadata": {"labels": {"app": "db"}}}, namespace="default")
        await change
        await asyncio.sleep(1)
        assert [str(key) for key in pods.indexer.index_keys("app", "db")] == ["default/p3"]
        assert [obj.metadata.name for obj in pods.indexer.by_index("name", "p4")] == ["p4"]
        assert [type(body) for body in bodies_of(pods)].count(Packed) == 9


@virtual_time
async def test_statistics_tell_what_packing_has_done() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(50):
            server.create("pods", wide(f"p{i}"))
        packed = factory.core.v1.pods(compact=True)
        plain = factory.core.v1.nodes()
        await started(factory)
        assert plain.statistics().compact is None
        found = packed.statistics().compact
        assert found is not None
        assert found.objects == 50 - compact.FIRST
        assert found.raw_bytes > 1000 * found.objects
        assert found.ratio > 4
        assert found.dictionaries == 1
        assert CompactStatistics(0, 0, 0, 0).ratio == 1.0


@virtual_time
async def test_whoever_does_not_say_shares_the_informer_as_it_is() -> None:
    """As with the resync period: another explicit wish is an error, not another cache."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        packed = factory.core.v1.pods(compact=True)
        assert factory.core.v1.pods() is factory.core.v1.pods(compact=True) is packed
        assert factory.informer_for(client.V1Pod, compact=True) is packed
        plain = factory.core.v1.nodes()
        assert factory.core.v1.nodes(compact=False) is plain
        with pytest.raises(ValueError, match="compact=True"):
            factory.core.v1.pods(compact=False)
        with pytest.raises(ValueError, match="compact=False"):
            factory.core.v1.nodes(compact=True)
        assert factory.for_resource("widgets.v1.example.com", compact=True).is_compact
        assert factory.for_resource("pods.v1.", compact=True).is_compact


@virtual_time
async def test_types_without_bytes_cannot_be_packed() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        with pytest.raises(ValueError, match="Frozen"):
            factory.core.v1.pods(object_type=Frozen, compact=True)
        with pytest.raises(ValueError, match="shared_objects"):
            factory.core.v1.pods(shared_objects=True, compact=True)
        with pytest.raises(ValueError, match="V1Pod"):
            new_informer(factory.api_client, client.V1Pod, shared_objects=True, compact=True)
        assert len(factory) == 0


# -- the dispatcher -----------------------------------------------------------------------------------------------


class Line:
    """A dispatcher that packs, without a server."""

    def __init__(self) -> None:
        self.layout: Layout[Any] = Layout(compacted(object_type_of(dict)))
        self.store: Store[Any] = Store(self.layout, (EVERYTHING,))
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.dispatcher: Dispatcher[Any] = Dispatcher(self.store, self.queue, 0.002, lambda: None)

    def batch(self, raws: list[bytes], *, first: int = 0, version: str = "1") -> Batch:
        """Return additions of objects that are named by their places."""
        entries = [Entry(raw, f"u{i}", version, ("default",)) for i, raw in enumerate(raws, first)]
        return Batch([(UPSERT, f"default/{i}", entry) for i, entry in enumerate(entries, first)], version, self.layout)

    async def list(self, raws: list[bytes], version: str) -> None:
        """Put a list into the queue."""
        await self.queue.put(ReplaceBegin(EVERYTHING, asyncio.get_running_loop().create_future()))
        for at in range(0, len(raws), 100):
            await self.queue.put(ReplaceBatch(EVERYTHING, self.batch(raws[at : at + 100], first=at, version=version)))
        await self.queue.put(ReplaceEnd(EVERYTHING, version))

    async def settle(self) -> None:
        """Let everything be applied and packed."""
        task = asyncio.create_task(self.dispatcher.run())
        await self.queue.join()
        while not self.queue._getters:  # type: ignore[attr-defined]  # then it has nothing left to do
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_objects_without_a_version_are_compared_by_what_they_hold(unpacked: Unpacked) -> None:
    """Those of some aggregated APIs."""
    line = Line()
    raws = pods(50)
    await line.list(raws, "")
    await line.settle()
    before = [entry.body for entry in line.store.entries()]
    unpacked.take()
    await line.list([*raws[:49], raws[0]], "")
    await line.settle()
    counts = line.dispatcher.counts
    assert (counts.added, counts.updated, counts.lists) == (50, 1, 2)
    after = [entry.body for entry in line.store.entries()]
    assert [one is other for one, other in zip(before, after, strict=True)] == [True] * 49 + [False]
    assert unpacked.take() > 0


@pytest.mark.usefixtures("quick")
async def test_g8_dictionaries_stay_few_although_some_objects_never_change() -> None:
    """What was packed with one that should go is packed anew: in the store, whoever reads meanwhile."""
    line = Line()
    packer = line.layout.object_type.packer
    assert packer is not None
    kept = pods(40)
    await line.list(kept, "1")
    for seed in range(2, 12):
        raws = others(600, seed)
        await line.queue.put(WatchBatch(EVERYTHING, line.batch(raws[:500], first=10_000, version=str(seed))))
        await line.queue.put(
            WatchBatch(EVERYTHING, line.batch(raws[500:], first=100 * seed, version=str(seed)))
        )  # these stay
        await line.settle()
    numbers = {entry.body.dictionary.number for entry in line.store.entries() if isinstance(entry.body, Packed)}
    assert max(numbers) > compact.GENERATIONS + 1
    assert len(numbers) <= compact.GENERATIONS
    gc.collect()
    assert packer.statistics().dictionaries <= compact.GENERATIONS
    assert [raw_of(line.store.get(f"default/{i}").body) for i in range(40)] == kept  # type: ignore[union-attr]


async def test_a_version_that_nobody_waits_for_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one object that changes a hundred times at once only the last state is worth it."""
    line = Line()
    await line.list(pods(50), "1")
    await line.settle()
    packed: list[bytes] = []
    original = Packer.pack

    def pack(packer: Packer, raw: bytes) -> Packed | bytes:
        packed.append(raw)
        return original(packer, raw)

    monkeypatch.setattr(Packer, "pack", pack)
    versions = pods(100, seed=7)
    for number, raw in enumerate(versions):
        await line.queue.put(WatchBatch(EVERYTHING, line.batch([raw], version=str(number + 2))))
    await line.settle()
    assert line.store.get("default/0").body == versions[-1]  # type: ignore[union-attr]
    assert versions[-1] in packed
    assert len(packed) < 50


@pytest.mark.parametrize("slow", [False, True])
async def test_g12_packing_lets_others_run(monkeypatch: pytest.MonkeyPatch, slow: bool) -> None:
    """It works in slices, and nothing is lost by it."""
    turns = 0

    async def others_run() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    line = Line()
    if slow:
        line.dispatcher._slices._seconds = -1.0  # no time at all
    ticker = asyncio.create_task(others_run())
    raws = pods(300)
    await line.list(raws, "1")
    await line.settle()
    ticker.cancel()
    assert [raw_of(entry.body) for entry in line.store.entries()] == raws
    assert (turns > 300) is slow
    assert sum(isinstance(entry.body, Packed) for entry in line.store.entries()) == 300 - compact.FIRST


@virtual_time
@pytest.mark.usefixtures("unpacked")
async def test_waits_see_packed_objects() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(10):
            server.create("configmaps", configmap(f"c{i}", v="x" * 2000))
        configmaps = factory.core.v1.configmaps(compact=True)
        await started(factory)
        found = await configmaps.wait_for("default/c7", lambda obj: obj is not None, timeout=1)
        assert found is not None
        assert found.data == {"v": "x" * 2000}
