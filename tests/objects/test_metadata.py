"""Objects of which only the metadata is wanted."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from aioinformers import Metadata
from aioinformers.testing import FakeAPIServer
from tests.kit import factory_on, pod

DECODER = msgspec.json.Decoder(Metadata)


def test_what_is_absent_is_empty() -> None:
    found = DECODER.decode(b'{"metadata":{"name":"web"}}')
    meta = found.metadata
    assert (found.kind, found.api_version, meta.name) == ("", "", "web")
    assert (meta.namespace, meta.uid, meta.resource_version, meta.generate_name, meta.generation) == ("", "", "", "", 0)
    assert (meta.labels, meta.annotations, meta.finalizers, meta.owner_references) == ({}, {}, [], [])
    assert (meta.creation_timestamp, meta.deletion_timestamp, meta.deletion_grace_period_seconds) == (None, None, None)


def test_an_object_without_a_name_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        DECODER.decode(b'{"metadata":{"namespace":"prod"}}')


def test_objects_share_no_empty_part() -> None:
    """So that a change of one object's labels is nobody else's."""
    one, two = (DECODER.decode(b'{"metadata":{"name":"web"}}') for _ in range(2))
    one.metadata.labels["app"] = "web"
    one.metadata.finalizers.append("x")
    assert (two.metadata.labels, two.metadata.finalizers) == ({}, [])


def test_fields_have_the_names_of_python_and_are_written_with_those_of_the_server() -> None:
    document = {
        "metadata": {
            "name": "web", "namespace": "prod", "uid": "u", "resourceVersion": "7", "generation": 2,
            "generateName": "web-", "creationTimestamp": "2026-01-02T03:04:05Z",
            "deletionTimestamp": "2026-01-02T03:04:06Z", "deletionGracePeriodSeconds": 30, "labels": {"a": "b"},
            "annotations": {"c": "d"}, "finalizers": ["f"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "o", "controller": True,
                                 "blockOwnerDeletion": True}],
        },
        "kind": "Pod",
        "apiVersion": "v1",
    }  # fmt: skip
    assert msgspec.to_builtins(msgspec.convert(document, Metadata)) == document


@pytest.mark.virtual_time
@pytest.mark.parametrize("watch_list", [True, False])
async def test_metadata_asks_for_metadata_and_drops_the_bookkeeping(watch_list: bool) -> None:
    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server) as factory:
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}
        described = pod("p", app="web")
        described["metadata"] |= {"managedFields": [{"manager": "x"}], "ownerReferences": [owner]}
        server.create("pods", described)
        pods = factory.core.v1.pods(object_type=Metadata)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        found = pods.lister.get("p", namespace="default")
        assert (found.metadata.labels, found.metadata.owner_references[0].name) == ({"app": "web"}, "web")
        assert found.metadata.creation_timestamp is not None
        assert len(pods._pipeline.store.get("default/p").body) < 500  # type: ignore[union-attr]

        server.patch("pods", "p", {"metadata": {"labels": {"app": "db"}}}, namespace="default")
        await asyncio.sleep(1)
        assert pods.lister.list("app=db")[0].metadata.name == "p"
        accepted = {request.headers["accept"] for request in server.requests if request.path.endswith("/pods")}
        assert all("as=PartialObjectMetadata" in accept for accept in accepted)
