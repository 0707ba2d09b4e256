"""What ties an object is read of any object that has been accepted, whatever else is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioinformers import Metadata, drop_fields
from aioinformers.controllers.sources import Cache
from aioinformers.controllers.ties import NO_TIES, OwnerReference, Ties, TiesFact, ties_of
from aioinformers.testing import FakeAPIServer
from tests.kit import factory_on

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u", "controller": True}
REFERENCE = OwnerReference("u", "a", "ConfigMap", "v1", True)


def raw(**metadata: Any) -> bytes:
    return json.dumps({"metadata": {"name": "n", **metadata}}).encode()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, NO_TIES),
        ({"finalizers": [], "ownerReferences": []}, NO_TIES),
        ({"finalizers": None, "deletionTimestamp": None}, NO_TIES),
        ({"finalizers": ["a.io/b", "c"]}, Ties(finalizers=("a.io/b", "c"))),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, Ties(is_ending=True)),
        ({"ownerReferences": [{**OWNER, "controller": False}, OWNER]}, Ties(controller=REFERENCE)),
        ({"ownerReferences": [{**OWNER, "controller": None}]}, NO_TIES),
        # what no server sends
        ({"finalizers": "a.io/b", "ownerReferences": {}}, NO_TIES),
        ({"finalizers": [1, "a.io/b"]}, Ties(finalizers=("a.io/b",))),
        ({"ownerReferences": [3, {"uid": 7, "controller": True}, OWNER]}, Ties(controller=REFERENCE)),
    ],
)
def test_ties_are_read_of_any_object(given: dict[str, Any], expected: Ties) -> None:
    assert ties_of(raw(**given)) == expected


def test_an_object_without_metadata_has_none() -> None:
    assert ties_of(b'{"metadata":3}') == ties_of(b"{}") == NO_TIES


def test_all_who_ask_are_one() -> None:
    assert TiesFact() == TiesFact()
    assert hash(TiesFact()) == hash(TiesFact())
    assert TiesFact() != 3


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"object_type": Metadata},
        {"compact": True},
        {"shared_objects": True},
        {"transform": drop_fields("metadata.finalizers")},
    ],
    ids=["dict", "Metadata", "compact", "shared", "dropped"],
)
async def test_they_are_known_whatever_the_informer_shows(options: dict[str, Any]) -> None:
    """Also of what arrived before anybody asked, unless a transform has dropped it."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", {"metadata": {"name": "a", "namespace": "default", "finalizers": ["a.io/b"]}})
        informer = factory.for_resource("configmaps.v1.", **options)
        cache = Cache(informer)
        await factory.start()
        await factory.wait_for_cache_sync()
        (key,) = informer.indexer
        entry = cache.entry(key)
        assert entry is not None
        assert cache.ties(entry) == Ties(finalizers=("a.io/b",))
        cache.release()
        if "shared_objects" in options:
            with pytest.raises(RuntimeError, match="declare the controller before the factory starts"):
                Cache(informer)
        elif "transform" not in options:
            again = Cache(informer)
            assert again.ties(entry) == Ties(finalizers=("a.io/b",))
