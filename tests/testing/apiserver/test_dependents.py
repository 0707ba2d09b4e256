"""Who owns whom, and what there is to do for the garbage collector."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.testing.apiserver import dependents
from aioinformers.testing.apiserver.dependents import FOREGROUND, ORPHAN, Dependents, Place, finalizers_of_deletion
from aioinformers.testing.apiserver.options import DeleteOptions, Propagation
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resources
from aioinformers.testing.apiserver.table import Stored

RESOURCES = Resources(DEFAULT_RESOURCES)
PODS = RESOURCES.resolve("pods")


def item(name: str) -> Stored:
    return Stored(f"a/{name}", "a", name, f"uid-{name}", 1, b"", {}, {})


def put(known: Dependents, name: str, *owners: str, **more: Any) -> Place:
    known.put(PODS, item(name), {"ownerReferences": [{"uid": f"uid-{owner}"} for owner in owners], **more})
    return Place(PODS.gvr, "a", name)


def todo(known: Dependents) -> list[str]:
    return [known.pop().name for _ in iter(lambda: bool(known), False)]


def test_children_of_what_is_deleted_are_looked_at() -> None:
    calls: list[str] = []
    known = Dependents()
    known.on_work = lambda: calls.append("work")
    child = put(known, "child", "x", "y")
    assert (known.of("uid-x"), known.of("uid-y"), todo(known)) == ([child], [child], [])

    known.remove(PODS, item("x"))
    assert known.was_deleted("uid-x")
    assert (calls, todo(known)) == (["work"], ["child"])
    put(known, "late", "x")
    assert todo(known) == ["late"]


def test_references_are_forgotten_with_those_who_have_them() -> None:
    known = Dependents()
    put(known, "child", "x")
    put(known, "child", "y")
    assert known.of("uid-x") == []
    put(known, "child")
    assert known.of("uid-y") == []
    put(known, "other", "y")
    known.remove(PODS, item("other"))
    known.remove(PODS, item("y"))
    assert todo(known) == []


@pytest.mark.parametrize(("finalizer", "is_work"), [(FOREGROUND, True), (ORPHAN, True), ("example.com/x", False)])
def test_deletions_that_wait_for_the_collector(finalizer: str, is_work: bool) -> None:
    known = Dependents()
    put(known, "x", finalizers=[finalizer])
    assert todo(known) == []
    put(known, "x", finalizers=[finalizer], deletionTimestamp="now")
    assert todo(known) == (["x"] if is_work else [])


def test_an_owner_that_waits_is_looked_at_when_its_children_change() -> None:
    known = Dependents()
    put(known, "x", finalizers=[FOREGROUND], deletionTimestamp="now")
    put(known, "child", "x")
    assert todo(known) == ["x", "child"]
    known.remove(PODS, item("child"))
    assert todo(known) == ["x"]
    known.remove(PODS, item("x"))
    put(known, "child", "x")
    assert todo(known) == ["child"]


def test_uids_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependents, "_REMEMBERED", 2)
    known = Dependents()
    for name in ("x", "y", "z"):
        known.remove(PODS, item(name))
    assert [known.was_deleted(f"uid-{name}") for name in "xyz"] == [False, True, True]


def test_a_restored_backup_begins_anew() -> None:
    known = Dependents()
    known.remove(PODS, item("x"))
    put(known, "child", "x")
    known.reset([(PODS, item("other"), {"ownerReferences": [{"uid": "uid-y"}]})])

    assert (known.of("uid-x"), [place.name for place in known.of("uid-y")]) == ([], ["other"])
    assert not known
    assert not known.was_deleted("uid-x")


@pytest.mark.parametrize(
    ("kind", "there", "propagation", "expected"),
    [
        ("pods", [], None, []),
        ("pods", ["x"], None, ["x"]),
        ("pods", ["x"], Propagation.FOREGROUND, ["x", FOREGROUND]),
        ("pods", ["x", FOREGROUND], Propagation.ORPHAN, ["x", ORPHAN]),
        ("pods", [ORPHAN, "x"], Propagation.BACKGROUND, ["x"]),
        ("pods", [ORPHAN, "x"], Propagation.ORPHAN, [ORPHAN, "x"]),
        ("pods", [ORPHAN], None, [ORPHAN]),
        ("jobs", [], None, [ORPHAN]),
        ("jobs", [FOREGROUND], None, [FOREGROUND]),
        ("jobs", [], Propagation.BACKGROUND, []),
        ("events", [], Propagation.FOREGROUND, []),
    ],
)
def test_finalizers_say_what_becomes_of_dependents(
    kind: str, there: list[str], propagation: Propagation | None, expected: list[str]
) -> None:
    options = DeleteOptions(propagation=propagation)
    assert finalizers_of_deletion(RESOURCES.resolve(kind), {"finalizers": there}, options) == expected
