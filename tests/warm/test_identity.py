"""What has to be the same for a state to be used again."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers import GroupVersionResource, Metadata, Scope, drop_fields, strip_managed_fields
from aioinformers.errors import ApiStatusError, ConnectionFailedError
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import compacted, object_type_of
from aioinformers.testing import FakeAPIServer
from aioinformers.transport.source import Source
from aioinformers.warm.identity import cluster_of, file_name, identity_of, is_passing, is_same_cluster
from tests.kit import QUICK

PODS = GroupVersionResource("", "v1", "pods")


def named(*transforms: Any, scope: Scope = Scope(), kind: Any = dict, **query: str) -> str:
    return file_name(PODS, identity_of(PODS, scope, query, Layout(object_type_of(kind), transforms)))


def test_other_states_have_other_files() -> None:
    names = [
        named(), named(labelSelector="a=b"), named(scope=Scope("a")), named(scope=Scope("", ((0, 7),))),
        named(drop_fields("status")), named(drop_fields("spec")), named(kind=Metadata), named(len), named(repr),
    ]  # fmt: skip
    assert len(set(names)) == len(names)
    assert all(name.startswith("pods.v1-") for name in names)


def test_the_same_state_has_the_same_file() -> None:
    assert named(drop_fields("status")) == named(drop_fields("status"))
    plain = object_type_of(dict)
    packed = identity_of(PODS, Scope(), {}, Layout(compacted(plain), [strip_managed_fields]))
    assert packed == identity_of(PODS, Scope(), {}, Layout(plain, [strip_managed_fields]))


def test_clusters_are_told_apart_by_the_uid_or_else_by_the_server() -> None:
    here = {"uid": "1", "host": "a", "authorities": "x"}
    assert is_same_cluster(here, {**here, "host": "b"})
    assert not is_same_cluster(here, {**here, "uid": "2"})
    assert is_same_cluster(here, {**here, "uid": ""})
    assert not is_same_cluster(here, {**here, "uid": "", "authorities": "y"})


def test_what_passes() -> None:
    assert is_passing(ConnectionFailedError("away"))
    assert is_passing(ApiStatusError(503, "", ""))
    assert not is_passing(ApiStatusError(403, "", ""))


async def test_the_cluster_is_asked_for_once() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        uid = server.create("namespaces", {"metadata": {"name": "kube-system"}})["metadata"]["uid"]
        source = Source(api, QUICK)
        heal = server.fail("get namespaces")
        with pytest.raises(ApiStatusError):
            await cluster_of(source)()
        heal()
        assert (await cluster_of(source)())["uid"] == uid
        assert (await cluster_of(source)())["host"] == server.url
        assert len(server.requests) == 2


async def test_who_may_not_read_the_namespace_is_told_apart_by_the_server() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        server.fail("get namespaces", status=403)
        source = Source(api, QUICK)
        assert (await cluster_of(source)())["uid"] == ""
