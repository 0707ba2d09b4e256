"""Objects are found by their labels without a look at all of them, and are those that such a look would find."""

from __future__ import annotations

import asyncio
import json
import threading
from threading import get_ident
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers import GroupVersionResource
from aioinformers.cache import postings
from aioinformers.cache.indexer import Partition, Store
from aioinformers.cache.lister import Lister, StoreReader
from aioinformers.objects.labels import LabelSet
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.objects.selectors import LabelSelector, parse_label_selector
from aioinformers.types import Scope

SCOPES = (Scope("a"), Scope("b"))
SELECTORS = ["app=x", "app!=x", "app", "!app", "app in (x,y),!tier", "tier=web", "app=x,tier=web", "app notin (x)"]


def new_store() -> Store[Any]:
    """Return a store that this thread writes."""
    store: Store[Any] = Store(Layout(object_type_of(dict)), SCOPES)
    store.writer = get_ident()
    return store


def put(store: Store[Any], scope: Scope, name: str, labels: dict[str, str] | None) -> None:
    layout = store.layout
    metadata = {"name": name, "namespace": scope.namespace} | ({} if labels is None else {"labels": labels})
    read = layout.reader.read_document({"metadata": metadata})
    store.partitions[scope].put(read[0], layout.entry(json.dumps({"metadata": metadata}).encode(), read))


def expected(store: Store[Any], selector: LabelSelector) -> set[str]:
    """Return the keys that a look at every object finds."""
    entries = store.entries()
    return {entry.key for entry in entries if selector.matches(store.layout.object_type.labels(entry.body) or {})}


labels = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["x", "y", "web"]), max_size=2)
writes = st.tuples(
    st.sampled_from(SCOPES), st.sampled_from(["p0", "p1", "p2"]), st.sampled_from(["put", "remove"]), st.none() | labels
)
steps = st.lists(writes | st.sampled_from(SELECTORS) | st.just("exchange") | st.just("elsewhere"), max_size=40)


@given(steps=steps)
@settings(deadline=None)
def test_after_any_history_a_selection_finds_what_a_look_at_all_objects_finds(steps: list[Any]) -> None:
    """Each once, in whatever order; a list that replaces all objects, and another thread's reads, included."""
    store = new_store()
    for step in steps:
        match step:
            case (scope, name, "put", given):
                put(store, scope, name, given)
            case (scope, name, "remove", _):
                store.partitions[scope].remove(f"{scope.namespace}/{name}")
            case "exchange":
                old, new = store.partitions[SCOPES[0]], Partition(1)
                for key, entry in list(old.objects.items())[1:]:
                    new.put(key, entry)
                store.partitions[SCOPES[0]] = new
            case "elsewhere":
                thread = threading.Thread(target=lambda: [*map(store.label_set, store.entries())])
                thread.start()
                thread.join()
            case text:
                selector = parse_label_selector(text)
                found = store.labelled(selector)
                if found is not None:
                    assert sorted(entry.key for entry in found) == sorted(expected(store, selector))
    lister = Lister(StoreReader(store, "pods", GroupVersionResource("", "v1", "pods"), lambda namespace: None))
    for text in SELECTORS:
        listed: list[Any] = lister.list(text)
        wanted = expected(store, parse_label_selector(text))
        assert sorted(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in listed) == sorted(wanted)
        assert len(asyncio.run(lister.collect(text))) == len(wanted)


def test_few_of_many_are_found_without_a_look_at_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each distinct set of labels is judged, and the labels of what has changed are read."""
    store = new_store()
    for number in range(1000):
        put(store, SCOPES[0], f"p{number}", {"app": f"app-{number % 10}"})
    selector = parse_label_selector("app=app-7")
    assert len(store.labelled(selector) or ()) == 100
    judged: list[Any] = []
    filed: list[Any] = []
    matches, label_set = LabelSelector.matches, store.label_set

    def judging(self: LabelSelector, one: Any) -> bool:
        judged.append(one)
        return matches(self, one)

    def filing(entry: Entry) -> LabelSet:
        filed.append(entry.key)
        return label_set(entry)

    monkeypatch.setattr(LabelSelector, "matches", judging)
    monkeypatch.setattr(store, "label_set", filing)
    put(store, SCOPES[0], "p7", {"app": "other"})
    put(store, SCOPES[0], "p8", {"app": "app-7"})
    put(store, SCOPES[0], "p8", {"app": "app-7"})
    store.partitions[SCOPES[0]].remove("a/p17")
    assert len(store.labelled(selector) or ()) == 99
    assert (len(judged), filed) == (11, ["a/p7", "a/p8"])


def test_nothing_is_noted_before_somebody_selects_by_labels() -> None:
    store = new_store()
    put(store, SCOPES[0], "p", {"app": "x"})
    assert store.partitions[SCOPES[0]].postings is None


def test_what_nobody_asks_for_any_more_is_not_noted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects that come and go must not leave their keys behind."""
    monkeypatch.setattr(postings, "SPARE", 10)
    store = new_store()
    assert store.labelled(parse_label_selector("app")) == []
    for number in range(100):
        put(store, SCOPES[0], f"p{number}", {"app": "x"})
        store.partitions[SCOPES[0]].remove(f"a/p{number}")
        kept = store.partitions[SCOPES[0]].postings
        assert kept is None or len(kept.changed) <= 11
    assert store.partitions[SCOPES[0]].postings is None


def test_label_sets_that_no_object_has_any_more_are_let_go_of() -> None:
    store = new_store()
    selector = parse_label_selector("app")
    sets = store.layout.object_type.label_sets
    for number in range(5):
        put(store, SCOPES[0], "p", {"app": f"app-{number}"})
        assert len(store.labelled(selector) or ()) == 1
        assert len(sets) == 1


def test_other_threads_look_at_each_object_and_leave_the_look_up_as_it_is() -> None:
    """Whichever thread reads the labels of an object first."""
    store = new_store()
    put(store, SCOPES[0], "p", {"app": "x", "tier": "web"})
    selector = parse_label_selector("app=x")
    assert len(store.labelled(selector) or ()) == 1
    answers: list[Any] = []
    put(store, SCOPES[0], "q", {"tier": "web", "app": "x"})
    thread = threading.Thread(
        target=lambda: answers.extend([store.labelled(selector), store.label_set(store.entries()[1])])
    )
    thread.start()
    thread.join()
    assert answers[0] is None
    assert isinstance(answers[1], LabelSet)
    assert answers[1] is store.label_set(store.entries()[0]), "the same labels are one, in whatever order"
    assert len(store.labelled(selector) or ()) == 2


def test_few_of_a_large_namespace_are_looked_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store()
    for number in range(1000):
        put(store, SCOPES[number % 2], f"p{number}", {"app": f"app-{number % 50}"})
    lister = Lister(StoreReader(store, "pods", GroupVersionResource("", "v1", "pods"), lambda namespace: None))
    assert len(lister.list("app=app-7", namespace="b")) == 20
    judged: list[Any] = []
    matches = LabelSelector.matches

    def judging(self: LabelSelector, one: Any) -> bool:
        judged.append(one)
        return matches(self, one)

    monkeypatch.setattr(LabelSelector, "matches", judging)
    looked: list[Any] = []
    monkeypatch.setattr(store, "label_set", looked.append)
    assert len(lister.list("app=app-7", namespace="b")) == 20
    assert lister.list("app=app-7", namespace="a") == []
    assert (len(judged), looked) == (100, [])


def test_a_collection_does_not_file_many_objects_in_one_step() -> None:
    store = new_store()
    for number in range(20):
        put(store, SCOPES[0], f"p{number}", {"app": f"app-{number % 2}"})
    selector = parse_label_selector("app=app-1")
    assert store.labelled(selector, most=19) is None
    assert len(store.labelled(selector) or ()) == 10
    assert len(store.labelled(selector, most=2) or ()) == 10
    put(store, SCOPES[0], "p0", {"app": "app-1"})
    assert store.labelled(selector, most=2) is None
    assert len(store.labelled(selector, most=3) or ()) == 11
