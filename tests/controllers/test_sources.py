"""Mappers give keys, and nothing else is taken for some."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers import ObjectKey
from aioinformers.controllers.sources import Cache, key_of, keys_of
from aioinformers.testing import FakeAPIServer
from tests.kit import factory_on


def test_keys_are_given_as_one_writes_them() -> None:
    key = ObjectKey("shop", "web")
    assert keys_of(None) == keys_of([]) == []
    assert keys_of([key, ("shop", "web"), "shop/web"]) == [key] * 3
    assert keys_of(iter(["node-1"])) == [ObjectKey("", "node-1")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("shop/web", "a mapper returns several keys, such as a list of one, not 'shop/web'"),
        (ObjectKey("shop", "web"), "a mapper returns several keys, such as a list of one"),
        (3, "a mapper returns several keys, such as a list of one, not 3"),
        ([3], "a key is an ObjectKey, .* not 3"),
        ([("a", "b", "c")], "a key is an ObjectKey"),
    ],
)
def test_what_is_no_list_of_keys_is_refused(given: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        keys_of(given)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("options", "key", "labels", "is_shown"),
    [
        ({}, ("default", "a"), {}, True),
        ({"namespace": "shop"}, ("shop", "a"), {}, True),
        ({"namespace": "shop"}, ("default", "a"), {}, False),
        ({"namespace": ["shop", "default"]}, ("default", "a"), {}, True),
        ({"label_selector": "app=x"}, ("default", "a"), {"app": "x"}, True),
        ({"label_selector": "app=x"}, ("default", "a"), {"app": "y"}, False),
        ({"field_selector": "metadata.name=a"}, ("default", "a"), {}, False),
    ],
)
async def test_g20_what_a_cache_is_not_going_to_show_is_not_waited_for(
    options: dict[str, Any], key: tuple[str, str], labels: dict[str, str], is_shown: bool
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        cache = Cache(factory.core.v1.configmaps(**options))
        assert cache.shows(ObjectKey(*key), "", labels) is is_shown
        assert not cache.has_status


async def test_kinds_with_a_status_are_known() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        assert Cache(factory.core.v1.pods()).has_status
        assert Cache(factory.for_resource("widgets.v1.example.com")).has_status


@pytest.mark.parametrize(
    ("given", "key"),
    [("shop/a", ("shop", "a")), ("a", ("", "a")), (("shop", "a"), ("shop", "a")), (ObjectKey("", "a"), ("", "a"))],
)
def test_a_key_may_be_written_in_three_ways(given: Any, key: tuple[str, str]) -> None:
    assert key_of(given) == ObjectKey(*key)


@pytest.mark.parametrize("given", ["", "/", "a/", "a/b/c"])
def test_texts_that_are_no_keys_are_refused(given: str) -> None:
    with pytest.raises(ValueError, match="a key is written 'namespace/name', or 'name' without a namespace, not "):
        key_of(given)


@pytest.mark.parametrize("given", [5, None, ("a",), (1, 2), ("a", ""), ["a", "b"]])
def test_what_is_no_key_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="a key is an ObjectKey, "):
        key_of(given)
