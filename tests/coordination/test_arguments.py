"""What cannot be is refused where it is given, in words."""

from __future__ import annotations

import datetime
import functools
import math
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes_asyncio import client

from aioinformers.coordination import LeaderElection
from aioinformers.coordination import arguments as module
from aioinformers.coordination.arguments import identity_of, namespace_of, require_function, require_name, timing_of

RIGHT: dict[str, Any] = {"lease_duration": 15, "renew_deadline": 10, "retry_period": 2}


@pytest.fixture(autouse=True)
def outside_of_a_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", tmp_path / "namespace")
    monkeypatch.delenv("POD_NAMESPACE", raising=False)


@pytest.mark.parametrize("name", ["web", "web.example.com", "a", "0-9", "x" * 253])
def test_names_of_leases_are_dns_subdomains(name: str) -> None:
    require_name(name)


@pytest.mark.parametrize(
    "name", ["", "Web", "web_operator", "-web", "web-", "a..b", ".a", "a/b", "web\n", "x" * 254, "ä"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a Lease: up to 253 lower-case letters"):
        require_name(name)


@pytest.mark.parametrize("name", [None, 7, b"web", ("web",)])
def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(TypeError, match="the name of a Lease must be a text, not "):
        require_name(name)


def test_a_namespace_is_given_or_that_of_the_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "by-variable")
    assert namespace_of(None) == "by-variable"
    (tmp_path / "namespace").write_text("by-account\n")
    assert namespace_of(None) == "by-account"
    assert namespace_of("given") == "given"


def test_a_namespace_that_cannot_be_found_names_both_places(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"in which namespace is the Lease\?") as caught:
        namespace_of(None)
    for words in (str(tmp_path / "namespace"), "POD_NAMESPACE", "give namespace="):
        assert words in str(caught.value)


def test_a_namespace_that_cannot_be_says_where_it_is_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'A B' cannot be a namespace \(namespace\)"):
        namespace_of("A B")
    monkeypatch.setenv("POD_NAMESPACE", "A")
    with pytest.raises(ValueError, match=r"'A' cannot be a namespace \(POD_NAMESPACE\)"):
        namespace_of(None)
    (tmp_path / "namespace").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="POD_NAMESPACE"):
        namespace_of(None)
    (tmp_path / "namespace").write_text("")
    with pytest.raises(ValueError, match="cannot be a namespace"):
        namespace_of(None)
    with pytest.raises(TypeError, match="namespace must be a text, not 7"):
        namespace_of(7)


def test_an_identity_is_given_or_nobody_elses() -> None:
    assert identity_of("me") == "me"
    first, second = identity_of(None), identity_of(None)
    assert first != second
    assert "_" in first


@pytest.mark.parametrize(
    ("identity", "error"), [("", ValueError), (" ", ValueError), ("a\nb", ValueError), (7, TypeError)]
)
def test_an_identity_that_cannot_be_is_refused(identity: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="identity"):
        identity_of(identity)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"lease_duration": "15"}, TypeError, "lease_duration must be a number, not '15'"),
        ({"renew_deadline": None}, TypeError, "renew_deadline must be a number, not None"),
        ({"retry_period": True}, TypeError, "retry_period must be a number, not True"),
        ({"retry_period": datetime.timedelta(seconds=2)}, TypeError, r"give its total_seconds\(\)"),
        ({"retry_period": 0}, ValueError, "retry_period must be more than 0 seconds and at most a day, not 0"),
        ({"retry_period": -1}, ValueError, "retry_period must be more than 0"),
        ({"lease_duration": math.inf}, ValueError, "lease_duration must be more than 0 seconds and at most a day"),
        ({"lease_duration": math.nan}, ValueError, "lease_duration must be a number that a float can hold"),
        ({"lease_duration": 100_000}, ValueError, "at most a day, not 100000"),
        ({"renew_deadline": 15}, ValueError, "renew_deadline=15 must be less than lease_duration=15: others may take"),
        ({"renew_deadline": 20}, ValueError, "renew_deadline=20 must be less than lease_duration=15"),
        ({"retry_period": 9}, ValueError, "retry_period=9 must be less than renew_deadline=10 / 1.2"),
    ],
)
def test_durations_that_cannot_be_are_refused(changed: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        timing_of(**RIGHT | changed)


def test_durations_of_others_are_taken() -> None:
    for lease, renew, retry in ((15, 10, 2), (137, 107, 26), (60, 40, 10), (3, 2, 0.4), (1.5, 1.0, 0.2)):
        assert timing_of(lease, renew, retry) == (lease, renew, retry)


async def started(term: Any) -> None: ...


class Callable:
    async def __call__(self, term: Any) -> None: ...


def test_functions_can_be_awaited_with_one_argument() -> None:
    async def two(term: Any, reason: str) -> None: ...

    async def none() -> None: ...

    for right in (started, Callable(), functools.partial(two, reason="x")):
        assert require_function(right, "on_started", "the term") is right
    plain: list[Any] = [lambda term: None, None, "started", print]
    for wrong in plain:
        with pytest.raises(TypeError, match="on_started needs an async function"):
            require_function(wrong, "on_started", "the term")
    others: list[Any] = [two, none]
    for wrong in others:
        with pytest.raises(TypeError, match="on_started is called with the term"):
            require_function(wrong, "on_started", "the term")


async def test_an_election_refuses_all_of_that_where_it_is_made() -> None:
    async with client.ApiClient() as api:
        given: list[tuple[dict[str, Any], type[Exception], str]] = [
            ({"api": kubernetes.client.ApiClient()}, TypeError, "synchronous"),
            ({"api": None}, TypeError, "api_client must be an ApiClient"),
            ({"name": "A"}, ValueError, "name of a Lease"),
            ({"namespace": None}, ValueError, "in which namespace"),
            ({"identity": ""}, ValueError, "identity"),
            ({"retry_period": 20}, ValueError, "retry_period"),
            ({"hard_fence": "yes"}, TypeError, "hard_fence must be True, False or None, not 'yes'"),
            ({"clock": 7}, TypeError, "clock must be a LeaseClock, not 7"),
        ]
        for changed, error, words in given:
            with pytest.raises(error, match=words):
                LeaderElection(**{"api": api, "name": "web", "namespace": "ops"} | changed)
