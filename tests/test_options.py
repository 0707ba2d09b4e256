"""The arguments that informers are asked for with, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory, new_informer
from aioinformers.options import (
    HandlerOptions,
    InformerOptions,
    StreamOptions,
    check_options,
    period_of,
    scopes_of,
    transforms_of,
)
from aioinformers.types import ALL_NAMESPACES, EVERYTHING, Scope

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,5}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("namespace", "scopes"),
    [
        (None, (EVERYTHING,)),
        (ALL_NAMESPACES, (EVERYTHING,)),
        ("prod", (Scope("prod"),)),
        (["prod"], (Scope("prod"),)),
        (("prod", "dev", "prod"), (Scope("dev"), Scope("prod"))),
        ("x" * 63, (Scope("x" * 63),)),
    ],
)
def test_there_is_a_scope_for_each_namespace_or_one_for_all(namespace: Any, scopes: tuple[Scope, ...]) -> None:
    assert scopes_of(namespace) == scopes


@pytest.mark.parametrize("namespace", ["", "Bad_Name", "a/b", "-a", "a-", "a.b", "*", ["a", ""], "x" * 64, "a\n"])
def test_what_cannot_be_a_namespace_is_refused(namespace: Any) -> None:
    with pytest.raises(ValueError, match="cannot be a namespace: for all of them leave it out or use ALL_NAMESPACES"):
        scopes_of(namespace)


def test_no_namespace_at_all_is_not_taken_for_all_of_them() -> None:
    with pytest.raises(ValueError, match="selects nothing"):
        scopes_of([])


@given(st.lists(names, min_size=1, max_size=5))
def test_whoever_names_the_same_namespaces_gets_the_same_scopes(given: list[str]) -> None:
    """In any order and however often: informers are shared by them."""
    scopes = scopes_of(given)
    assert scopes == scopes_of(sorted(given, reverse=True)) == scopes_of([*given, *given])
    assert {scope.namespace for scope in scopes} == set(given)


def test_transforms_are_kept_in_the_order_in_which_they_were_given() -> None:
    assert transforms_of(None) == transforms_of([]) == ()
    assert transforms_of(str) == (str,)
    assert transforms_of([str, repr]) == (str, repr)


@pytest.mark.parametrize("transform", [["strip"], [str, None], "strip"])
def test_a_transform_that_cannot_be_called_is_refused_when_it_is_given(transform: Any) -> None:
    with pytest.raises(TypeError, match="transform must be a function, not"):
        transforms_of(transform)


@pytest.mark.parametrize(("seconds", "period"), [(0, 0.0), (0.01, 1.0), (1, 1.0), (90.5, 90.5)])
def test_a_resync_is_never_or_at_most_once_a_second(seconds: float, period: float) -> None:
    assert period_of(seconds) == period


def test_a_negative_resync_period_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        period_of(-1)


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        (InformerOptions, "lable_selector", "did you mean 'label_selector'?"),
        (InformerOptions, "indexer", "did you mean 'indexers'?"),
        (InformerOptions, "namespaces", "did you mean 'namespace'?"),
        (HandlerOptions, "concurency", "did you mean 'concurrency'?"),
        (HandlerOptions, "timeout", "did you mean 'handler_timeout'?"),
        (StreamOptions, "concurrency", "there are resync_period, limit, filter, name, ignore, only, until"),
    ],
)
def test_an_unknown_option_is_refused_with_the_name_that_comes_near(options: type, given: str, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_options(options, {given: 1}, "asking()")
    assert str(caught.value) == f"asking() has no option {given!r}: {message}"


ENTRIES: list[tuple[str, Callable[[SharedInformerFactory, dict[str, Any]], object]]] = [
    ("pods()", lambda factory, options: factory.core.v1.pods(**options)),
    ("for_resource()", lambda factory, options: factory.for_resource("pods.v1.", **options)),
    ("informer_for()", lambda factory, options: factory.informer_for(client.V1Pod, **options)),
    ("new_informer()", lambda factory, options: new_informer(factory.api_client, "pods.v1.", **options)),
    ("add_event_handler()", lambda factory, options: factory.core.v1.pods().add_event_handler(ignore, **options)),
    ("add_event_handler()", lambda factory, options: factory.add_event_handler(client.V1Pod, ignore, **options)),
    ("stream()", lambda factory, options: factory.core.v1.pods().stream(**options)),
]


async def ignore(event: object) -> None:
    """Take an event."""


@pytest.mark.parametrize(("where", "ask"), ENTRIES)
async def test_every_entry_refuses_options_that_do_not_exist(
    where: str, ask: Callable[[SharedInformerFactory, dict[str, Any]], object]
) -> None:
    """Whatever a type checker says or does not say: nothing misspelt is accepted in silence."""
    async with client.ApiClient() as api:
        factory = SharedInformerFactory(api)
        with pytest.raises(TypeError, match="has no option 'nmae'") as caught:
            ask(factory, {"nmae": "x"})
        assert str(caught.value).startswith(where)


def test_a_mapping_is_not_taken_for_the_namespaces_that_are_its_keys() -> None:
    with pytest.raises(TypeError, match="namespaces are a text or several"):
        scopes_of({"a": 1})  # type: ignore[arg-type]
