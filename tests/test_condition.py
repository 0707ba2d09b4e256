"""How one scope does, in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from aioinformers.cache.indexer import Partition
from aioinformers.condition import Circumstances, condition_of, is_of_kind
from aioinformers.errors import ApiStatusError, ConnectionFailedError
from aioinformers.listwatch.recovery import State
from aioinformers.listwatch.reflector import Reflector
from aioinformers.types import Scope

A = Scope("a")


def partition(*, is_synced: bool = True) -> Partition:
    made = Partition(1)
    made.is_synced = is_synced
    return made


def reflector(state: State = State.WATCHING, error: Exception | None = None) -> Reflector:
    made: Any = SimpleNamespace(state=state, last_activity=90.0, last_error=error, ownership=None)
    made.activity = lambda now: f"{state.value} at {now:.0f}"
    return cast("Reflector", made)


def around(**options: Any) -> Circumstances:
    given: dict[str, Any] = {"now": 100.0, "is_running": True, "has_failed": False, "whole": "", **options}
    return Circumstances(**given)


def test_nothing_is_said_of_a_scope_that_follows_the_server() -> None:
    found = condition_of(A, partition(), reflector(), "", around(), is_coming=False)
    assert (found.reason, found.is_degraded, found.is_watching, found.silent_for) == ("", False, True, 10.0)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((partition(is_synced=False), None, ""), "starting in a"),
        ((partition(is_synced=False), None, "reading what was stored"), "reading what was stored in a"),
        ((partition(is_synced=False), reflector(), ""), "applying the list in a"),
        ((partition(), reflector(State.LISTING), ""), "listing at 100 in a"),
        (
            (partition(), reflector(State.WAITING, ConnectionFailedError("it broke")), ""),
            "waiting at 100 in a: it broke",
        ),
    ],
)
def test_what_it_waits_for_and_why(given: tuple[Partition, Reflector | None, str], reason: str) -> None:
    assert condition_of(A, *given, around(), is_coming=False).reason == reason


def test_what_holds_for_all_scopes_comes_first_and_what_is_beside_last() -> None:
    whole = condition_of(A, partition(), None, "", around(whole="closed", is_running=False), is_coming=False)
    assert (whole.reason, whole.has_synced) == ("closed", False)
    beside = condition_of(
        A, partition(), reflector(), "", around(beside="no namespaces", mode="namespace"), is_coming=True
    )
    assert (beside.reason, beside.is_degraded, beside.shard_mode, beside.is_coming) == (
        "no namespaces", True, "namespace", True
    )  # fmt: skip


def test_a_kind_that_cannot_be_watched_is_not_ill_for_that() -> None:
    error = ApiStatusError(405, "MethodNotAllowed", "it cannot be watched")
    assert is_of_kind(error)
    assert not condition_of(A, partition(), reflector(State.WAITING, error), "", around(), is_coming=False).is_degraded
