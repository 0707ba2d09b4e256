"""Which objects of a compact informer are packed, and when; how well, is tested with the packer."""

from __future__ import annotations

import collections
import json
import random

import pytest

from aioinformers.cache.indexer import Partition
from aioinformers.cache.packing import Packing
from aioinformers.objects import compact
from aioinformers.objects.compact import Packed, Packer
from aioinformers.objects.deltas import DELETE, REJECT, UPSERT, Delta
from aioinformers.objects.layout import Entry


def raw(number: int, seed: int = 0) -> bytes:
    """Return an object that resembles those of its seed, and no others."""
    chance = random.Random(seed)
    words = {f"{chance.getrandbits(64):x}": f"{chance.getrandbits(64):x}" for _ in range(30)}
    return json.dumps({"metadata": {"name": str(number)}, "data": words}).encode()


def body_of(packed: Packed | bytes) -> bytes:
    return packed.unpack() if isinstance(packed, Packed) else packed


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch) -> Packing:
    """One that has a dictionary already, and soon another one."""
    for name, value in {"FIRST": 1, "SECOND": 20, "INTERVAL": 20, "GENERATIONS": 2}.items():
        monkeypatch.setattr(compact, name, value)
    packer = Packer()
    packer.pack(raw(0))
    return Packing(packer)


def put(partition: Partition, number: int, version: str = "1", *, seed: int = 0) -> Delta:
    """Apply an object, as a dispatcher has done when it hands the batch on."""
    key, entry = f"k{number}", Entry(raw(number, seed), f"u{number}", version, ("ns",))
    partition.put(key, entry)
    return UPSERT, key, entry


def test_a_batch_is_packed_a_step_per_object_and_once(packing: Packing) -> None:
    partition = Partition(1)
    packing.waiting.append((partition, [put(partition, number) for number in range(1, 4)]))
    steps = packing.steps(has_backlog=False)
    next(steps)
    assert [isinstance(entry.body, Packed) for entry in partition.objects.values()] == [True, False, False]
    collections.deque(steps, maxlen=0)
    assert [body_of(entry.body) for entry in partition.objects.values()] == [raw(1), raw(2), raw(3)]
    assert all(isinstance(entry.body, Packed) for entry in partition.objects.values())
    assert packing.waiting == []
    assert list(packing.steps(has_backlog=False)) == []


@pytest.mark.parametrize("has_backlog", [False, True])
def test_a_version_that_was_replaced_is_packed_only_for_a_backlog(packing: Packing, has_backlog: bool) -> None:
    partition = Partition(1)
    old = put(partition, 1, "1")
    new = put(partition, 1, "2")
    packing.waiting.append((partition, [old, new]))
    assert len(list(packing.steps(has_backlog))) == 1 + has_backlog
    assert isinstance(new[2].body, Packed)
    assert isinstance(old[2].body, Packed) is has_backlog


def test_what_is_no_object_in_bytes_is_passed_over(packing: Packing) -> None:
    """Deletions without an object, reasons of rejected ones, objects that are packed already or shared."""
    partition = Partition(1)
    shared = Entry(object(), "u", "1", ("ns",))
    partition.put("shared", shared)
    done = put(partition, 1)
    done[2].body = packing.packer.pack(done[2].body)
    before = done[2].body
    packing.waiting.append((partition, [(DELETE, "a", None), (REJECT, "b", "odd"), (UPSERT, "shared", shared), done]))
    assert list(packing.steps(has_backlog=True)) == []
    assert done[2].body is before


def test_a_batch_that_comes_while_another_is_packed_waits_for_the_next_round(packing: Packing) -> None:
    partition = Partition(1)
    packing.waiting.append((partition, [put(partition, 1)]))
    steps = packing.steps(has_backlog=False)
    next(steps)
    later = (partition, [put(partition, 2)])
    packing.waiting.append(later)
    collections.deque(steps, maxlen=0)
    assert packing.waiting == [later]


def test_the_packer_learns_how_many_objects_there_are(packing: Packing) -> None:
    partition = Partition(1)
    deltas = [put(partition, number) for number in range(7)]
    packing.waiting.append((partition, deltas[:1]))
    collections.deque(packing.steps(has_backlog=False), maxlen=0)
    assert packing.packer.population == 7


def test_renewal_packs_anew_what_needs_a_dictionary_that_should_go(packing: Packing) -> None:
    partition, packer = Partition(1), packing.packer
    kept = put(partition, 1)
    packing.waiting.append((partition, [kept]))
    collections.deque(packing.steps(has_backlog=False), maxlen=0)
    held = [packer.pack(raw(number, seed)) for seed in range(1, 6) for number in range(60)]
    assert packer.is_crowded
    assert packer.is_outdated(kept[2].body)
    assert len(list(packing.renewal([partition]))) == 1
    assert not packer.is_crowded
    assert not packer.is_outdated(kept[2].body)
    assert body_of(kept[2].body) == raw(1)
    assert len(held) == 300  # and alive: dictionaries go with what was packed with them
