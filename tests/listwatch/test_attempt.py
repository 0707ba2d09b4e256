"""One attempt of a reflector, without a server: where it leads, and what it tells of its end."""

from __future__ import annotations

import pytest

from aioinformers.errors import ConnectionFailedError
from aioinformers.listwatch.attempt import Attempt, Target, behind, use_of
from aioinformers.listwatch.recovery import Outcome
from aioinformers.types import EVERYTHING, GroupVersionResource, Scope

PODS = GroupVersionResource("", "v1", "pods")
DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")


@pytest.mark.parametrize(
    ("resource", "scope", "path", "text"),
    [
        (PODS, EVERYTHING, "/api/v1/pods", "pods.v1"),
        (PODS, Scope("shop"), "/api/v1/namespaces/shop/pods", "pods.v1 in shop"),
        (DEPLOYMENTS, EVERYTHING, "/apis/apps/v1/deployments", "deployments.v1.apps"),
        (DEPLOYMENTS, Scope("shop"), "/apis/apps/v1/namespaces/shop/deployments", "deployments.v1.apps in shop"),
    ],
)
def test_a_target_knows_its_path_and_its_name(
    resource: GroupVersionResource, scope: Scope, path: str, text: str
) -> None:
    target = Target(resource, scope, {}, lambda kind, api_version: False)
    assert (target.path, str(target)) == (path, text)


def test_an_attempt_tells_how_far_it_had_got_when_it_ended() -> None:
    error = ConnectionFailedError("broken")
    assert Attempt().outcome(None, "", 100.0) == Outcome()
    attempt = Attempt(has_list=True, is_paged=True, delivered=3, opened=90.0, is_interrupted=True)
    assert attempt.outcome(error, "7", 100.0) == Outcome(error, "7", True, True, 3, 10.0, True)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(), "without an event"),
        (Outcome(version="7", delivered=1), "and had told nothing new"),
        (Outcome(delivered=1), "and lists give no version to resume it from"),
    ],
)
def test_of_what_use_a_watch_was_is_said_as_it_was(outcome: Outcome, words: str) -> None:
    assert use_of(outcome) == words


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ""),
        (["a"], ", behind a"),
        (["a", "b", "c", "d"], ", behind a, b, c, d"),
        (["a", "b", "c", "d", "e"], ", behind a, b, c and 2 others"),
    ],
)
def test_who_is_waited_for_is_named_but_not_everybody(names: list[str], words: str) -> None:
    assert behind(names) == words
