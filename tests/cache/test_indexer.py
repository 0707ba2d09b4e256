"""The store against an oracle that scans all objects for every answer."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers.cache.indexer import Partition, Store
from aioinformers.errors import UnknownIndexError
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.objects.paths import IndexValue
from aioinformers.types import EVERYTHING, Scope

Index = tuple[IndexValue, ...]


def entry(*index: IndexValue, version: str = "1") -> Entry:
    return Entry(b"{}", "u", version, index)


def values_of(value: IndexValue) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else value


def filed(objects: dict[str, Entry], position: int) -> dict[str, set[str]]:
    """Return value to keys by looking at every object."""
    found: dict[str, set[str]] = {}
    for key, stored in objects.items():
        for value in values_of(stored.index[position]):
            found.setdefault(value, set()).add(key)
    return found


def buckets(partition: Partition, position: int) -> dict[str, set[str]]:
    return {value: set(bucket) for value, bucket in partition.indexes[position].items()}


some_values = st.sampled_from(["node-x", "node-y", "node-z", ""])
indexes = st.tuples(
    st.sampled_from([Scope("prod"), Scope("dev")]),
    st.none() | some_values,
    st.none() | some_values | st.lists(some_values, unique=True, min_size=1, max_size=3).map(tuple),
)
steps = st.lists(st.tuples(st.sampled_from("abc"), st.none() | indexes | indexes), max_size=30)


@given(steps=steps)
@settings(deadline=None)
def test_any_history_files_each_object_under_its_values(steps: list[tuple[str, Index | None]]) -> None:
    """After each put and removal, values that move, vanish and come back included; no empty bucket stays."""
    partition, expected = Partition(3), dict[str, Entry]()
    for key, index in steps:
        if index is None:
            assert partition.remove(key) is expected.pop(key, None)
        else:
            new = entry(*index)
            assert partition.put(key, new) is expected.get(key)
            expected[key] = new
        assert partition.objects == expected
        for position in range(3):
            assert buckets(partition, position) == filed(expected, position)


@given(steps=steps)
@settings(deadline=None)
def test_equal_values_are_one_object_and_none_is_remembered(steps: list[tuple[str, Index | None]]) -> None:
    """Sharing is what keeps an index small; a value that files nothing any more must be free to go."""
    partition = Partition(3)
    for key, index in steps:
        if index is None:
            partition.remove(key)
        else:
            partition.put(key, entry(*(copied(value) for value in index)))
        shared: dict[str, str] = {}
        for stored in partition.objects.values():
            for value in stored.index:
                for text in values_of(value):
                    assert shared.setdefault(text, text) is text
    for key in list(partition.objects):
        partition.remove(key)
    assert partition.indexes == [{}, {}, {}]
    assert not [held for held in gc.get_referents(partition) if isinstance(held, dict) and held]


def copied(value: IndexValue) -> IndexValue:
    """Return equal values that are other objects, as each decoded object brings its own."""
    if isinstance(value, tuple):
        return tuple(str(copied(text)) for text in value)
    return value if value is None else "".join(list(value))


def test_equal_values_of_two_objects_are_one() -> None:
    """In a single value, in a tuple, and between indexes."""
    partition = Partition(3)
    texts = ["".join(["node", "-1"]) for _ in range(4)]
    assert texts[0] is not texts[1]
    partition.put("a", entry("prod", texts[0], (texts[1], "y")))
    partition.put("b", entry("prod", texts[2], (texts[3],)))
    a, b = partition.objects["a"].index, partition.objects["b"].index
    assert a[1] is b[1] is b[2][0]  # type: ignore[index]  # tuples, as they were put
    assert a[2][0] is a[1]  # type: ignore[index]


def test_an_update_with_the_same_values_shares_the_old_tuple() -> None:
    """The common case touches no bucket and keeps the order of keys in it."""
    partition = Partition(2)
    for key in "abc":
        partition.put(key, entry("prod", "n1"))
    old = partition.objects["a"]
    new = entry("prod", "n1", version="2")
    assert partition.put("a", new) is old
    assert partition.objects["a"] is new
    assert new.index is old.index
    assert list(partition.indexes[1]["n1"]) == ["a", "b", "c"]


def test_values_that_stay_are_not_touched() -> None:
    """A reader in another thread never misses an object where it stays; the order of keys stays too."""
    partition = Partition(2)
    for key in "abc":
        partition.put(key, entry("prod", ("x", "y")))
    partition.put("b", entry("prod", ("y", "z")))
    assert [list(bucket) for bucket in partition.indexes[0].values()] == [["a", "b", "c"]]
    assert {value: list(bucket) for value, bucket in partition.indexes[1].items()} == {
        "x": ["a", "c"], "y": ["a", "b", "c"], "z": ["b"],
    }  # fmt: skip
    partition.put("b", entry("prod", "y"))
    assert {value: list(bucket) for value, bucket in partition.indexes[1].items()} == {
        "x": ["a", "c"], "y": ["a", "b", "c"],
    }  # fmt: skip


def test_the_entry_that_was_replaced_keeps_its_values() -> None:
    """Events and readers may hold it."""
    partition = Partition(2)
    partition.put("a", entry("prod", "n1"))
    old = partition.put("a", entry("prod", "n2"))
    assert old is not None
    assert old.index == ("prod", "n1")
    assert buckets(partition, 1) == {"n2": {"a"}}


def test_removing_what_is_not_there_says_so() -> None:
    """And changes nothing."""
    partition = Partition(1)
    assert partition.remove("a") is None
    assert (partition.objects, partition.indexes) == ({}, [{}])


# -- the store ----------------------------------------------------------------------------------------------------


def document(key: str, **fields: Any) -> bytes:
    namespace, _, name = key.rpartition("/")
    metadata = f'"metadata":{{"namespace":"{namespace}","name":"{name}","uid":"u","resourceVersion":"1"}}'
    spec = ",".join(f'"{name}":"{value}"' for name, value in fields.items())
    return f'{{{metadata},"spec":{{{spec}}}}}'.encode()


def layout_of(**indexers: str | Callable[[Any], Iterable[str]]) -> Layout[Any]:
    return Layout(object_type_of(dict), (), indexers)


def fill(store: Store[Any], scope: Scope, objects: dict[str, bytes]) -> None:
    layout = store.layout
    for key, raw in objects.items():
        read = layout.reader.read_document(layout.object_type.decode(raw))
        assert read[0] == key
        store.partitions[scope].put(key, layout.entry(raw, read))


def two_scopes(layout: Layout[Any]) -> Store[Any]:
    store = Store(layout, [Scope("prod"), Scope("dev")])
    fill(store, Scope("prod"), {"prod/a": document("prod/a", node="n1"), "prod/b": document("prod/b", node="n2")})
    fill(store, Scope("dev"), {"dev/c": document("dev/c", node="n1"), "dev/d": document("dev/d")})
    return store


def keys(entries: list[Entry]) -> list[str]:
    return [entry.key for entry in entries]


@pytest.mark.parametrize("is_writer", [False, True])
def test_a_store_answers_from_all_its_partitions(*, is_writer: bool) -> None:
    """By key, by index, as a whole; the thread that writes is answered without a second look."""
    store = two_scopes(layout_of(node="spec.node"))
    store.writer = get_ident() if is_writer else None
    assert len(store) == 4
    assert store.all_keys() == keys(store.entries()) == ["prod/a", "prod/b", "dev/c", "dev/d"]
    assert [store.get(key) for key in store.all_keys()] == store.entries()
    assert store.get("prod/c") is None
    assert store.keys_by_index("node", "n1") == ["prod/a", "dev/c"]
    assert store.by_index("node", "n1") == [store.get(key) for key in ("prod/a", "dev/c")]
    assert store.by_index("node", "nowhere") == []
    assert store.keys_by_index("node", "nowhere") == []
    assert store.index_values("node") == ["n1", "n2"]
    assert store.keys_by_index("namespace", "dev") == ["dev/c", "dev/d"]
    assert store.index_values("namespace") == ["prod", "dev"]
    assert [store.count("namespace", name) for name in ("prod", "dev", "x")] == [2, 2, 0]
    assert keys(store.by_index("namespace", "dev")) == ["dev/c", "dev/d"]


def test_a_name_is_looked_up_in_one_namespace_or_in_each() -> None:
    """Of each scope; a name that could be taken for a key is none."""
    store = two_scopes(layout_of())
    fill(store, Scope("dev"), {"dev/a": document("dev/a"), "dev/b": document("dev/b")})
    assert keys(store.named("a", None)) == ["prod/a", "dev/a"]
    assert keys(store.named("a", "dev")) == ["dev/a"]
    assert store.named("a", "") == store.named("a", "x") == store.named("x", None) == []
    assert store.named("prod/a", None) == store.named("prod/a", "") == []
    nodes: Store[Any] = Store(layout_of(), [EVERYTHING])
    fill(nodes, EVERYTHING, {"node-1": document("node-1")})
    assert keys(nodes.named("node-1", None)) == keys(nodes.named("node-1", "")) == ["node-1"]
    assert nodes.named("node-1", "x") == []


def test_an_index_gives_nothing_that_does_not_have_the_value() -> None:
    """As while another thread exchanges an object: the bucket still, or already, has the key, or the object is gone."""
    store = two_scopes(layout_of(node="spec.node", name=lambda obj: [obj["metadata"]["name"], "all"]))
    partition = store.partitions[Scope("prod")]
    partition.objects["prod/a"] = entry("prod", "n9", None)  # the first step of putting it
    del partition.objects["prod/b"]  # the first step of removing it
    assert store.by_index("node", "n1") == [store.get("dev/c")]
    assert store.keys_by_index("node", "n1") == ["dev/c"]
    assert (store.by_index("node", "n2"), store.keys_by_index("node", "n2")) == ([], [])
    assert (store.by_index("name", "a"), store.keys_by_index("name", "b")) == ([], [])
    assert store.by_index("name", "all") == [store.get("dev/c"), store.get("dev/d")]
    assert store.keys_by_index("name", "all") == ["dev/c", "dev/d"]
    assert store.by_index("namespace", "prod") == [store.get("prod/a")]
    assert keys(store.named("b", None)) == []


def test_cluster_scoped_objects_have_keys_without_a_slash() -> None:
    """They are filed under the namespace ``""``."""
    store: Store[Any] = Store(layout_of(), [EVERYTHING])
    fill(store, EVERYTHING, {"node-1": document("node-1")})
    assert store.all_keys() == store.keys_by_index("namespace", "") == ["node-1"]


def test_answers_are_snapshots() -> None:
    """What a reader holds does not change under its hands."""
    store = two_scopes(layout_of(node="spec.node"))
    entries, all_keys, found = store.entries(), store.all_keys(), store.by_index("node", "n1")
    values, by_key = store.index_values("node"), store.keys_by_index("node", "n1")
    for partition in store.partitions.values():
        for key in list(partition.objects):
            partition.remove(key)
    assert (len(entries), len(all_keys), len(found), len(values), len(by_key)) == (4, 4, 2, 2, 2)
    assert (len(store), store.entries(), store.index_values("node")) == (0, [], [])


def test_an_unknown_index_is_named_with_those_there_are() -> None:
    """For every question about an index."""
    store = two_scopes(layout_of(node="spec.node"))
    for ask in (store.keys_by_index, store.by_index):
        with pytest.raises(UnknownIndexError, match="no index 'image'; there are 'namespace', 'node'"):
            ask("image", "x")
    with pytest.raises(UnknownIndexError, match="no index 'image'"):
        store.index_values("image")


def test_an_index_is_not_read_while_it_is_being_built() -> None:
    """A half-built answer would be a lie; the other indexes are read as before."""
    store = two_scopes(layout_of(node="spec.node"))
    store.building.add("node")
    for ask in (store.keys_by_index, store.by_index):
        with pytest.raises(UnknownIndexError, match="'node' is still being built"):
            ask("node", "n1")
    with pytest.raises(UnknownIndexError, match="'node' is still being built"):
        store.index_values("node")
    assert store.keys_by_index("namespace", "dev") == ["dev/c", "dev/d"]


def test_a_store_knows_the_very_versions_that_it_has() -> None:
    """In one scope; without a version nobody can tell one state of an object from another."""
    store = two_scopes(layout_of())
    store.partitions[Scope("prod")].put("prod/none", entry("prod", version=""))
    assert store.has_version(Scope("prod"), "prod/a", "u", "1")
    assert not any([
        store.has_version(Scope("dev"), "prod/a", "u", "1"),
        store.has_version(Scope("prod"), "prod/x", "u", "1"),
        store.has_version(Scope("prod"), "prod/a", "v", "1"),
        store.has_version(Scope("prod"), "prod/a", "u", "2"),
        store.has_version(Scope("prod"), "prod/none", "u", ""),
    ])  # fmt: skip


def test_scopes_may_be_replaced_before_there_is_anything() -> None:
    """As when a kind turns out to be cluster-scoped."""
    store: Store[Any] = Store(layout_of(node="spec.node"), [Scope("prod"), Scope("dev")])
    store.partitions = {EVERYTHING: Partition(len(store.layout.names))}
    fill(store, EVERYTHING, {"node-1": document("node-1", node="n1")})
    assert store.keys_by_index("node", "n1") == ["node-1"]


def test_a_store_has_synced_when_every_scope_has() -> None:
    """Not before."""
    store = two_scopes(layout_of())
    assert not store.is_synced
    store.partitions[Scope("prod")].is_synced = True
    assert not store.is_synced
    assert store.has_synced("prod")
    assert not any(store.has_synced(namespace) for namespace in ("dev", "x", ""))
    store.partitions[Scope("dev")].is_synced = True
    assert store.is_synced
    assert all(store.has_synced(namespace) for namespace in ("prod", "dev", "x", ""))


def test_a_namespace_has_synced_when_all_scopes_that_follow_it_have() -> None:
    """A scope of all namespaces does, and each range of a shard."""
    store: Store[Any] = Store(layout_of(), [Scope("", ((0, 9),)), Scope("", ((9, 20),)), Scope("dev", ((0, 9),))])
    first, second, dev = store.partitions.values()
    first.is_synced = True
    assert not store.has_synced("prod")
    second.is_synced = True
    assert store.has_synced("prod")
    assert not store.has_synced("dev")
    dev.is_synced = True
    assert store.has_synced("dev")


def contents(store: Store[Any]) -> list[tuple[str, Any, str, str]]:
    return [(found.key, found.body, found.uid, found.version) for found in store.entries()]


def test_an_index_is_added_to_what_is_stored() -> None:
    """Paths and callables; the objects, versions and readiness stay, and staged objects follow too."""
    store = two_scopes(layout_of())
    store.partitions[Scope("prod")].version, store.partitions[Scope("prod")].is_synced = "42", True
    before = contents(store)
    staged = {Scope("dev"): Partition(1)}
    staged[Scope("dev")].put("dev/x", entry("dev"))
    staged[Scope("dev")].objects["dev/x"].body = document("dev/x", node="n7")
    changed = store.layout.with_indexers({"node": "spec.node", "first": lambda obj: obj["metadata"]["name"][0]})
    with pytest.raises(UnknownIndexError):
        store.index_values("node")
    changed = store.layout.with_indexers({"node": "spec.node", "first": lambda obj: [obj["metadata"]["name"][0]]})
    assert sum(1 for _ in store.rebuilt(changed, staged)) == 5
    assert store.layout is changed
    assert contents(store) == before
    assert (store.partitions[Scope("prod")].version, store.partitions[Scope("prod")].is_synced) == ("42", True)
    assert (store.partitions[Scope("dev")].version, store.partitions[Scope("dev")].is_synced) == ("", False)
    assert store.keys_by_index("node", "n1") == ["prod/a", "dev/c"]
    assert store.index_values("first") == ["a", "b", "c", "d"]
    assert store.keys_by_index("namespace", "prod") == ["prod/a", "prod/b"]
    assert [buckets(staged[Scope("dev")], position) for position in range(3)] == [
        {"dev": {"dev/x"}}, {"n7": {"dev/x"}}, {"x": {"dev/x"}},
    ]  # fmt: skip


def test_an_index_is_removed_from_what_is_stored() -> None:
    """The others keep their values, in their new places."""
    store = two_scopes(layout_of(node="spec.node", first=lambda obj: [obj["metadata"]["name"]]))
    list(store.rebuilt(store.layout.without_index("node"), {}))
    with pytest.raises(UnknownIndexError):
        store.index_values("node")
    assert store.index_values("first") == ["a", "b", "c", "d"]
    assert all(len(found.index) == 2 for found in store.entries())


def test_readers_see_the_old_indexes_until_the_new_ones_are_whole() -> None:
    """The loop runs between the steps."""
    store = two_scopes(layout_of(node="spec.node"))
    building = store.rebuilt(store.layout.without_index("node"), {})
    for _ in range(4):
        next(building)
        assert store.keys_by_index("node", "n1") == ["prod/a", "dev/c"]
    assert next(building, "done") == "done"
    with pytest.raises(UnknownIndexError):
        store.keys_by_index("node", "n1")


def test_entries_that_events_hold_are_left_alone_by_a_rebuild() -> None:
    """New entries take over their bodies."""
    store = two_scopes(layout_of(node="spec.node"))
    held = {found.key: found for found in store.entries()}
    list(store.rebuilt(store.layout.without_index("node"), {}))
    assert all(found.index == (key.split("/")[0], found.index[1]) for key, found in held.items())
    assert all(store.get(key) is not found for key, found in held.items())
    assert all(store.get(key).body is found.body for key, found in held.items())  # type: ignore[union-attr]


def test_another_thread_never_reads_one_index_as_another() -> None:
    """Adding an index moves the places of others: partitions and layout change as one."""
    store = two_scopes(layout_of(first=lambda obj: [obj["metadata"]["name"]]))
    without, more = store.layout, store.layout.with_indexers({"node": "spec.node"})
    assert without.names.index("first") != more.names.index("first")
    wrong: list[list[str]] = []
    is_done = threading.Event()

    def read() -> None:
        while not is_done.is_set():
            found = store.keys_by_index("first", "a")
            if found != ["prod/a"] or store.index_values("first") != ["a", "b", "c", "d"]:
                wrong.append(found)

    thread = threading.Thread(target=read)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for layout in [more, without] * 3000:
            list(store.rebuilt(layout, {}))
    finally:
        is_done.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert wrong == []
