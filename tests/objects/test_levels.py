"""Levels shared by all readers of a version: what they save, and that nobody notices them otherwise."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers.cache.indexer import Store
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.levels import Levels, Scanned
from aioinformers.objects.object_types import CompactType, compacted, object_type_of
from aioinformers.testing import FakeAPIServer
from aioinformers.types import EVERYTHING
from tests.kit import factory_on, pod


def raw_pod(number: int, phase: str = "Running") -> bytes:
    obj = pod(f"p{number}", node="n1", app="web")
    obj["metadata"] |= {"uid": f"u{number}", "resourceVersion": "1", "namespace": "default"}
    obj["spec"]["containers"] = [{"name": "a", "image": "i:1"}]
    obj["status"] = {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]}
    return json.dumps(obj, separators=(",", ":")).encode()


class Cached:
    """A store of Pods, and what it shows."""

    def __init__(self, count: int = 1, *, limit: int = 8192, compact: bool = False, few: int = 512) -> None:
        object_type = object_type_of(client.V1Pod)
        object_type = compacted(object_type) if compact else object_type
        object_type.levels = Levels(limit, few)
        object_type.learn_kind("Pod", "v1")
        self.layout: Layout[Any] = Layout(object_type)
        self.store: Store[Any] = Store(self.layout, (EVERYTHING,))
        self.type = object_type
        for number in range(count):
            self.put(number)

    def put(self, number: int, phase: str = "Running") -> None:
        raw = raw_pod(number, phase)
        reading = self.layout.reader.read_raw(raw)
        self.store.partitions[EVERYTHING].put(reading[0], self.layout.entry(raw, reading))

    def entry(self, number: int = 0) -> Entry:
        entry = self.store.get(f"default/p{number}")
        assert entry is not None
        return entry

    def show(self, number: int = 0) -> Any:
        return self.type.show(self.entry(number))

    def scanned(self) -> set[str]:
        return {entry.key for entry in self.store.entries() if isinstance(entry.body, Scanned)}


def test_a_version_is_scanned_once() -> None:
    cached = Cached()
    first, second = cached.show(), cached.show()
    assert not cached.scanned(), "nobody has read anything"
    assert first.status.phase == "Running"
    assert cached.scanned() == {"default/p0"}
    body = cached.entry().body
    assert body.level is first._lazy_level
    assert [slot for slot in ("_metadata", "_spec", "_status") if body.part(slot) is not None] == ["_status"]
    for shell in (second, cached.show()):
        assert shell.status.phase == "Running"
        assert shell.status._lazy_level is body.part("_status")
    assert cached.type.raw(body) == raw_pod(0)
    assert cached.type.labels(body) == {"app": "web"}


def test_g13_what_one_reader_does_no_other_gets() -> None:
    """Plain values, parts, lists, dicts and models below; before and after the other has read."""
    cached = Cached()
    before = cached.show()
    assert before.status.phase == "Running"
    vandal = cached.show()
    vandal.status.phase = "Broken"
    vandal.spec.node_name = None
    vandal.metadata.labels["app"] = "odd"
    vandal.metadata.labels = vandal.metadata.labels | {"more": "x"}
    vandal.spec.containers[0].image = "odd"
    vandal.spec.containers.append("odd")
    vandal.status.conditions.clear()
    vandal.kind = "Odd"
    for shell in (before, cached.show()):
        assert shell.to_dict() == cached.type.decode(raw_pod(0)).to_dict()
    vandal.status = None
    vandal.spec = client.V1PodSpec(containers=[])
    assert (vandal.status, vandal.kind, vandal.metadata.labels) == (None, "Odd", {"app": "odd", "more": "x"})
    assert cached.show().status.phase == "Running"


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("value", ["seven", ["a"], {"a": {"b": 1}}])
@pytest.mark.parametrize("path", ["metadata.generation", "status.startTime", "status.phase", "kind"])
def test_g13_holds_where_a_plain_value_has_another_type(path: str, value: Any, *, compact: bool) -> None:
    """Such a level is converted value by value; what can be changed is each reader's own all the same."""
    cached = Cached(compact=compact)
    part, _, name = path.rpartition(".")
    obj = json.loads(raw_pod(0))
    (obj[part] if part else obj)[name] = value
    raw = json.dumps(obj, separators=(",", ":")).encode()
    reading = cached.layout.reader.read_raw(raw)
    cached.store.partitions[EVERYTHING].put(reading[0], cached.layout.entry(raw, reading))
    attribute = "start_time" if name == "startTime" else name
    for _ in range(3):
        shell = cached.show()
        found = getattr(getattr(shell, part) if part else shell, attribute)
        assert found == (value if attribute in ("generation", "start_time") else str(value))
        assert (shell.spec.node_name, shell.metadata.labels) == ("n1", {"app": "web"})
        shell.metadata.labels.clear()
        if isinstance(found, list | dict):
            found.clear()


def test_a_setter_before_the_first_read_wins() -> None:
    cached = Cached()
    shell = cached.show()
    shell.kind = "Mine"
    shell.status = None
    assert (shell.kind, shell.status, shell.api_version) == ("Mine", None, "v1")
    part = cached.show().spec
    part.node_name = "mine"
    part.containers = []
    assert (part.node_name, part.containers) == ("mine", [])
    assert cached.show().kind == "Pod"
    assert cached.show().spec.node_name == "n1"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda obj: pickle.loads(pickle.dumps(obj))])
def test_copies_are_their_own(copied: Any) -> None:
    cached = Cached()
    shell = cached.show()
    shell.status.phase = "Mine"
    shell.kind = "Mine"
    twin = copied(shell)
    assert twin == shell
    assert (twin.status.phase, twin.kind, type(twin).__name__) == ("Mine", "Mine", "V1Pod")
    twin.kind = "Other"
    assert shell.kind == "Mine"
    assert copied(cached.show()) == cached.type.decode(raw_pod(0))


def test_g8_of_many_some_are_kept() -> None:
    cached = Cached(500, limit=50)
    for number in range(500):
        assert cached.show(number).status.phase == "Running"
        assert len(cached.scanned()) <= 51
    assert all(cached.show(number).to_dict() for number in range(500))


def test_those_that_are_read_again_stay() -> None:
    cached = Cached(1000, limit=100)
    hot = range(20)
    for number in range(20, 1000):
        _ = cached.show(number).status.phase
        if not number % 10:
            for each in hot:
                _ = cached.show(each).status.phase
    kept = cached.scanned() & {f"default/p{number}" for number in hot}
    assert len(kept) >= 18


def test_a_level_dies_with_its_version() -> None:
    cached = Cached(limit=10)
    for number in range(1000):
        cached.put(0, f"Phase{number}")
        assert cached.show().status.phase == f"Phase{number}"
    assert len(cached.type.levels) <= 11
    assert len(cached.store) == 1


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What has been unpacked."""
    found: list[bytes] = []
    original = CompactType.raw

    def raw(self: CompactType[Any], body: Any) -> bytes:
        found.append(original(self, body))
        return found[-1]

    monkeypatch.setattr(CompactType, "raw", raw)
    return found


def test_packed_objects_are_unpacked_and_scanned_once(unpacked: list[bytes]) -> None:
    """They stay packed; a few of them are kept unpacked beside."""
    cached = Cached(3, compact=True)
    first, second = cached.show(), cached.show()
    assert (first.status.phase, second.status.phase, first.spec.node_name) == ("Running", "Running", "n1")
    assert unpacked == [raw_pod(0)]
    assert first.status is not second.status
    first.status.phase = "Mine"
    first.metadata.labels["app"] = "mine"
    assert second.to_dict() == cached.show().to_dict() == cached.type.decode(raw_pod(0)).to_dict()
    assert not cached.scanned()
    assert pickle.loads(pickle.dumps(first)).status.phase == "Mine"


def test_g8_few_packed_objects_are_kept_unpacked(unpacked: list[bytes]) -> None:
    """Those that are read again stay, and a version that is gone does not."""
    cached = Cached(200, compact=True, few=20)
    for number in range(10, 200):
        assert cached.show(number).status.phase == "Running"
        assert cached.show(3).status.phase == "Running"
        assert len(cached.type.levels) <= 20
    assert unpacked.count(raw_pod(3)) == 1
    cached.put(3, "Failed")
    assert cached.show(3).status.phase == "Failed"
    for number in range(10, 200):
        assert cached.show(number).spec.node_name == "n1"
    assert len(cached.type.levels) <= 20
    cached.type.levels.clear()
    assert len(cached.type.levels) == 0


def test_index_functions_share_what_they_read() -> None:
    """Each gets an object of its own all the same."""
    seen: list[Any] = []

    def phase(pod: Any) -> list[str]:
        seen.append(pod)
        found = [pod.status.phase]
        pod.status.phase = "Broken"
        return found

    layout: Layout[Any] = Layout(object_type_of(client.V1Pod), (), {"one": phase, "other": phase})
    raw = raw_pod(0)
    entry = layout.entry(raw, layout.reader.read_raw(raw))
    assert entry.index == ("default", ("Running",), ("Running",))
    assert entry.body == raw
    assert seen[0] is not seen[1]
    assert seen[0]._lazy_json is seen[1]._lazy_json


@contextmanager
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_readers_in_threads_see_whole_parts_and_one_of_each() -> None:
    cached = Cached(200, limit=20)
    expected = cached.type.decode(raw_pod(7)).to_dict()["status"]
    gate = threading.Barrier(4)

    def read(_: int) -> list[int]:
        gate.wait()
        seen = []
        for number in range(2000):
            shell = cached.show(number % 200)
            assert shell.status.to_dict() == expected
            assert shell.spec is shell.spec
            seen.append(id(shared.status))
        return seen

    with switching_often(), ThreadPoolExecutor(4) as pool:
        shared = cached.show(3)
        seen = [each for part in pool.map(read, range(4)) for each in part]
    assert len(set(seen)) == 1, "readers of one shell get one part"


@pytest.mark.virtual_time
async def test_a_kept_object_keeps_no_closed_store() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("pods", pod("a"))
        server.create("pods", pod("b"))
        pods = factory.core.v1.pods()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        kept, untouched = pods.lister.get("a", namespace="default"), pods.lister.get("b", namespace="default")
        assert kept.metadata.name == "a"
        from aioinformers.informer import pipeline_of

        reference = weakref.ref(pipeline_of(pods).store)
        await factory.shutdown()
    del pods, factory
    gc.collect()
    assert reference() is None
    assert untouched.metadata.name == "b"
    assert kept.metadata.namespace == "default"


def test_untouched_objects_are_out_of_sight_of_the_garbage_collector() -> None:
    cached = Cached()
    assert not gc.is_tracked(cached.show())


def test_g8_few_bytes_are_kept_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large objects are, and whether or not they are still there."""
    monkeypatch.setattr("aioinformers.objects.levels.UNPACKED_BYTES", 1000)
    levels = Levels(few=100)
    entries = {f"default/p{number}": Entry(b"packed", "u", "1", (), key=f"default/p{number}") for number in range(50)}
    levels.find = entries.get
    for entry in entries.values():
        levels.unpacked(entry, lambda body: b"x" * 300)
    assert len(levels._unpacked) == 3
    assert levels._unpacked_bytes == 900
    large = entries["default/large"] = Entry(b"packed", "u", "1", (), key="default/large")
    first = levels.unpacked(large, lambda body: b"x" * 5000)
    assert levels.unpacked(large, lambda body: b"") is first
    assert list(levels._unpacked) == ["default/large"]
    levels.clear()
    assert levels._unpacked_bytes == 0
