"""Ranges that were followed by a watch each, and are followed by one from then on."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from aioinformers.listwatch.replays import Replays
from aioinformers.objects.deltas import DELETE, REJECT, UPSERT, Batch
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.objects.ranges import HASHES, Range, hash_field
from aioinformers.types import lowest_version

LAYOUT: Layout[Any] = Layout(object_type_of(dict))
HALF = HASHES // 2
LOW, HIGH = RANGES = ((0, HALF), (HALF, HASHES))
UIDS = [str(UUID(int=number * 0x9E3779B97F4A7C15)) for number in range(60)]
OF_LOW = [uid for uid in UIDS if hash_field(uid) < HALF]
OF_HIGH = [uid for uid in UIDS if hash_field(uid) >= HALF]


class Happening(NamedTuple):
    """An event of one server's history."""

    version: str
    key: str
    uid: str
    is_deletion: bool

    @property
    def range(self) -> Range:
        return LOW if hash_field(self.uid) < HALF else HIGH

    def delta(self) -> tuple[int, str, Entry]:
        operation = DELETE if self.is_deletion else UPSERT
        return operation, self.key, Entry(b"{}", self.uid, self.version, ())


@st.composite
def histories(draw: st.DrawFn) -> list[Happening]:
    """Return what happens to objects of both ranges: creations, changes, deletions, and others of the same names."""
    version = draw(st.sampled_from([1, 95, 995]))  # where the order of texts is another one than that of numbers
    alive: dict[str, str] = {}
    uids = {False: iter(OF_LOW), True: iter(OF_HIGH)}
    history = []
    for name, is_high, is_deletion in draw(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()))):
        if name not in alive:
            if (uid := next(uids[is_high], None)) is None:
                continue
            alive[name], is_deletion = uid, False
        version += draw(st.integers(1, 3))
        history.append(Happening(str(version), name, alive[name], is_deletion))
        if is_deletion:
            del alive[name]
    return history


class Told(NamedTuple):
    """What a consumer is told."""

    key: str
    uid: str
    version: str
    is_deletion: bool


class Model:
    """A store of some ranges, and what it tells: by inequality of versions, but for other objects of one name."""

    def __init__(self) -> None:
        self.state: dict[str, tuple[str, str]] = {}
        self.told: list[Told] = []

    def take(self, happening: Happening) -> None:
        """Do what a store does with an event."""
        version, key, uid, is_deletion = happening
        before = self.state.get(key)
        if is_deletion:
            if before is not None:
                del self.state[key]
                self.told.append(Told(key, uid, version, True))
        elif before != (uid, version):
            if before is not None and before[0] != uid:
                self.told.append(Told(key, before[0], "unseen", True))
            self.state[key] = uid, version
            self.told.append(Told(key, uid, version, False))


def replayed(told: list[Told]) -> dict[str, str]:
    """Return what a consumer holds in the end; fail on what cannot follow what it was told (G5)."""
    held: dict[str, str] = {}
    for key, uid, _, is_deletion in told:
        assert held.get(key, uid) == uid, f"{key} is another one, and nobody told of the end of the first"
        if is_deletion:
            del held[key]
        else:
            held[key] = uid
    return held


@given(histories(), st.data())
def test_any_interleaving_of_two_ranges_equals_the_unsplit_history(
    history: list[Happening], data: st.DataObject
) -> None:
    """SHARDS §2: deletions and recreations included; no change is told twice, none of what is left is missed."""
    whole, split = Model(), Model()
    for each in history:
        whole.take(each)

    versions = ["1", *(each.version for each in history)]
    reached = {each: data.draw(st.sampled_from(versions)) for each in RANGES}
    pending = {
        one: [each for each in history if each.range == one and int(each.version) <= int(reached[one])]
        for one in RANGES
    }
    while any(pending.values()):
        one = data.draw(st.sampled_from([one for one, rest in pending.items() if rest]))
        each = pending[one].pop(0)
        before = split.state.get(each.key)
        is_other = before is not None and before[0] != each.uid
        if not is_other or (not each.is_deletion and int(split.state[each.key][1]) < int(each.version)):
            split.take(each)
    begin = lowest_version(reached.values())
    replays = Replays("uid", reached, lambda key: split.state.get(key, ("", ""))[1])
    rest = [each for each in history if int(each.version) > int(begin)]
    by_version = {each.version: each for each in history}
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        batch = Batch([each.delta() for each in rest[:count]], rest[count - 1].version, LAYOUT)
        rest = rest[count:]
        replays.screen(batch)
        for _, _, entry in batch.deltas:
            split.take(by_version[entry.version])
    assert split.state == whole.state
    assert replayed(split.told) == {key: uid for key, (uid, _) in whole.state.items()}
    changes = [each for each in split.told if each.version != "unseen"]
    assert len(changes) == len(set(changes)), "nothing is told twice"
    survivors = {uid for uid, _ in whole.state.values()}
    assert {each for each in whole.told if each.uid in survivors} <= set(changes)


def test_what_cannot_be_read_is_lost_while_versions_matter() -> None:
    replays = Replays("uid", {LOW: "5", HIGH: "9"}, lambda key: "")
    deltas = [(REJECT, "a", "no name"), (DELETE, "b", None), (UPSERT, "c", Entry(b"{}", OF_LOW[0], "7", ()))]
    batch = Batch(deltas, "7", LAYOUT)
    replays.screen(batch)
    assert batch.lost == 2
    assert [key for _, key, _ in batch.deltas] == ["c"]
    assert not replays.is_over


def test_it_is_over_once_the_highest_version_has_been_reached() -> None:
    replays = Replays("namespace", {LOW: "5", HIGH: "100"}, lambda key: "")
    replays.screen(Batch([], "99", LAYOUT))
    assert not replays.is_over
    replays.screen(Batch([], "100", LAYOUT))
    assert replays.is_over
    batch = Batch([(REJECT, "a", "no name")], "101", LAYOUT)
    replays.screen(batch)
    assert (batch.lost, len(batch.deltas)) == (0, 1)


def test_versions_that_cannot_be_compared_have_no_lowest() -> None:
    assert lowest_version([]) == ""
    assert lowest_version(["9", "10"]) == "9"
    assert lowest_version(["9", "ten"]) == ""
