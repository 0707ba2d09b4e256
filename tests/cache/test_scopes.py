"""Scopes that come and go in a store."""

from __future__ import annotations

import asyncio
from typing import Any

from aioinformers.cache.indexer import Partition, Store
from aioinformers.cache.scopes import Scopes
from aioinformers.objects.deltas import DELETE, REJECT, UPSERT
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.queue import Rescope
from aioinformers.types import Scope

LAYOUT: Layout[Any] = Layout(object_type_of(dict))
A, B = Scope("a"), Scope("b")


def store() -> Store[Any]:
    return Store(LAYOUT, [A])


def change(added: set[Scope], removed: set[Scope], muted: set[Scope] = frozenset()) -> Rescope:  # type: ignore[assignment]
    done: asyncio.Future[None] = asyncio.new_event_loop().create_future()
    done.get_loop().close()
    return Rescope(frozenset(added), frozenset(removed), done, muted=frozenset(muted))


def whole() -> Partition:
    partition = Partition(len(LAYOUT.names))
    partition.is_synced = True
    return partition


def test_what_comes_is_hidden_until_its_list_is_whole() -> None:
    here = store()
    scopes = Scopes(here)
    assert scopes.install(A, whole())
    assert scopes.change(change({B}, set())) == ([], [])
    assert (list(here.partitions), list(here.hidden), here.is_synced) == ([A], [B], True)
    before = here.partitions
    assert scopes.install(B, whole())
    assert (list(here.partitions), list(here.hidden)) == ([A, B], [])
    assert list(before) == [A], "readers in other threads go through the dict that they have found"


def test_what_is_muted_stays_hidden_until_somebody_asks_for_it() -> None:
    here = store()
    scopes = Scopes(here)
    scopes.change(change({B}, set(), {B}))
    listed = whole()
    assert not scopes.install(B, listed)
    assert (
        scopes.apply_unseen(B, [(UPSERT, "b/x", Entry(b"{}", "u", "1", ("b",))), (REJECT, "b/y", "odd")], "2") is listed
    )
    assert (list(listed.objects), listed.rejected, listed.version) == (["b/x"], {"b/y": "odd"}, "2")
    scopes.apply_unseen(B, [(DELETE, "b/x", None)], "")
    assert (list(listed.objects), listed.version) == ([], "2")
    assert scopes.unmute(B) is listed
    assert scopes.install(B, listed)
    assert here.partitions[B] is listed


def test_what_was_not_listed_yet_is_shown_with_its_list() -> None:
    here = store()
    scopes = Scopes(here)
    scopes.change(change({B}, set(), {B}))
    assert scopes.unmute(B) is None
    assert scopes.install(B, whole())


def test_what_has_gone_is_given_back_and_hears_of_nothing_any_more() -> None:
    here = store()
    scopes = Scopes(here)
    scopes.change(change({B}, set()))
    shown, hidden = scopes.change(change(set(), {A, B}))
    assert (len(shown), len(hidden)) == (1, 1)
    assert scopes.apply_unseen(B, [(UPSERT, "b/x", Entry(b"{}", "u", "1", ("b",)))], "2") is None
    assert not here.partitions


def test_siblings_are_the_other_ranges_of_the_same_namespaces() -> None:
    low, high, elsewhere = Scope("", ((0, 1),)), Scope("", ((1, 2),)), Scope("a", ((0, 1),))
    here: Store[Any] = Store(LAYOUT, [low, high, elsewhere, A])
    scopes = Scopes(here)
    assert scopes.siblings(low) == [here.partitions[high]]
    assert scopes.siblings(elsewhere) == [here.partitions[A]]
    assert scopes.siblings(A) == []
