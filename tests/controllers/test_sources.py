"""Mappers give keys, and nothing else is taken for some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioinformers import ObjectKey
from aioinformers.controllers.controller import Controller
from aioinformers.controllers.sources import Cache, key_of, keys_of
from aioinformers.sharding import Shard
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


BY_UID, BY_NAMESPACE = Shard(0, of=2), Shard(0, of=2, by="namespace")
NAMES = [f"{number * 7919:08x}" for number in range(99)]
OWN = next(name for name in NAMES if BY_UID.contains(name))
OTHER = next(name for name in NAMES if not BY_UID.contains(name))
"""They are uids here, or names of namespaces, whose hashes are the same."""


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("shard", "namespace", "uid", "is_shown"),
    [
        (BY_UID, "x", OWN, True),
        (BY_UID, "x", OTHER, False),
        (BY_UID, "x", "", False),  # whose it is cannot be told
        (BY_NAMESPACE, OWN, "", True),
        (BY_NAMESPACE, OTHER, OWN, False),
        (None, "x", "", True),
    ],
)
async def test_g20_what_another_shard_is_going_to_show_is_not_waited_for(
    shard: Shard | None, namespace: str, uid: str, is_shown: bool
) -> None:
    key = ObjectKey(namespace, "a")
    async with FakeAPIServer() as server, factory_on(server, shard=shard) as factory:
        server.create("namespaces", {"metadata": {"name": namespace}})
        informer = factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=30)
        cache = Cache(informer)
        assert cache.shows(key, uid, {}) is is_shown
        assert cache.has_reached(key, uid, informer.last_sync_resource_version) is is_shown
        assert not cache.has_reached(key, uid, f"{informer.last_sync_resource_version}0")


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("kind", "own", "other", "is_together"),
    [
        ("configmaps", None, None, True),
        ("configmaps", BY_UID, None, True),
        ("configmaps", BY_NAMESPACE, BY_NAMESPACE, True),
        ("configmaps", BY_NAMESPACE, None, True),
        ("configmaps", BY_UID, BY_UID, False),
        ("configmaps", None, BY_UID, False),
        ("configmaps", None, BY_NAMESPACE, False),  # all objects, and some of what belongs to them
        ("configmaps", BY_UID, BY_NAMESPACE, False),
        ("configmaps", BY_NAMESPACE, Shard(1, of=2, by="namespace"), False),
        ("nodes", BY_NAMESPACE, BY_NAMESPACE, False),  # all cluster-scoped objects are in one shard
    ],
)
async def test_what_belongs_together_must_be_in_one_shard(
    kind: str, own: Shard | None, other: Shard | None, is_together: bool
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        secrets, mains = factory.core.v1.secrets(shard=other), getattr(factory.core.v1, kind)(shard=own)
        declarations: list[Callable[[Controller[Any]], Controller[Any]]] = [
            lambda controller: controller.owns(secrets),
            lambda controller: controller.watches(secrets, lambda obj: []),
        ]
        for declare in declarations:
            controller: Controller[Any] = Controller(mains)
            if is_together:
                assert declare(controller) is controller
                continue
            with pytest.raises(ValueError, match=r'by="namespace".*by="uid" parts them.*shard=None') as caught:
                declare(controller)
            assert str(caught.value).startswith(f"{secrets.name} has the objects of one shard alone")


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
