"""Which objects a LIST or WATCH is about."""

from __future__ import annotations

import pytest

from aioinformers.sharding import Shard, hash_field, shard_selector
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.testing.apiserver.table import Stored
from tests.testing.apiserver.contents import WIDGETS


@pytest.fixture
def items(storage: Storage, pods: Resource) -> list[Stored]:
    """Three pods in two namespaces."""
    for namespace, name, labels, node in (
        ("a", "db", {"app": "db"}, "n1"),
        ("a", "web", {"app": "web", "canary": ""}, "n2"),
        ("b", "web", {"app": "web"}, "n1"),
    ):
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        storage.create(pods, {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": "Running"}})
    return storage.table(pods).ordered()


@pytest.mark.parametrize(
    ("namespace", "query", "keys"),
    [
        ("", {}, ["a/db", "a/web", "b/web"]),
        ("a", {}, ["a/db", "a/web"]),
        ("c", {}, []),
        ("", {"labelSelector": ""}, ["a/db", "a/web", "b/web"]),
        ("", {"labelSelector": "app=web"}, ["a/web", "b/web"]),
        ("b", {"labelSelector": "app in (web,db)"}, ["b/web"]),
        ("", {"labelSelector": "!canary,app"}, ["a/db", "b/web"]),
        ("", {"fieldSelector": "metadata.name=web"}, ["a/web", "b/web"]),
        ("", {"fieldSelector": "metadata.namespace!=a"}, ["b/web"]),
        ("", {"fieldSelector": "spec.nodeName=n1,metadata.name!=web"}, ["a/db"]),
        ("", {"fieldSelector": "status.phase=Pending"}, []),
        ("a", {"labelSelector": "app=web", "fieldSelector": "spec.nodeName=n1"}, []),
    ],
)
def test_namespace_labels_and_fields_narrow_together(
    pods: Resource, items: list[Stored], namespace: str, query: dict[str, str], keys: list[str]
) -> None:
    selection = Selection.parse(pods, namespace, query)
    assert [item.key for item in selection.filter(items)] == keys
    assert [item.key for item in items if selection.matches(item)] == keys
    assert selection.has_selectors is any(query.values())


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"labelSelector": "app in web"}, "unable to parse requirement"),
        ({"fieldSelector": "metadata.name"}, "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        ({"fieldSelector": "spec.color=red"}, "field label not supported: spec.color"),
    ],
)
def test_a_selector_that_the_server_cannot_judge_is_a_bad_request(query: dict[str, str], words: str) -> None:
    with pytest.raises(StatusError, match=words) as caught:
        Selection.parse(WIDGETS, "", query)
    assert caught.value.code == 400


def test_only_pods_can_be_selected_by_their_node_and_only_what_has_a_namespace_by_it(storage: Storage) -> None:
    Selection.parse(storage.resources.resolve("pods"), "", {"fieldSelector": "spec.nodeName=n"})
    Selection.parse(storage.resources.resolve("configmaps"), "", {"fieldSelector": "metadata.namespace=a"})
    for resource, selector in (("configmaps", "spec.nodeName=n"), ("nodes", "metadata.namespace=a")):
        with pytest.raises(StatusError, match=r"not a known field selector|not supported: metadata"):
            Selection.parse(storage.resources.resolve(resource), "", {"fieldSelector": selector})


def test_shards_narrow_with_the_other_selectors(pods: Resource, items: list[Stored]) -> None:
    for item in items:
        value = hash_field(item.uid)
        query = {"shardSelector": shard_selector([(value, value + 1)]), "labelSelector": "app=web"}
        selection = Selection.parse(pods, "", query, shard_selector=True)
        assert selection.has_selectors
        assert selection.filter(items) == ([item] if item.labels["app"] == "web" else [])
    by_namespace = {"shardSelector": shard_selector([(hash_field("a"), hash_field("a") + 1)], by="namespace")}
    selection = Selection.parse(pods, "", by_namespace, shard_selector=True)
    assert [item.key for item in selection.filter(items)] == ["a/db", "a/web"]


def test_servers_without_shards_pass_over_them(pods: Resource, items: list[Stored]) -> None:
    """Even over what is no selector; an empty one is none for the others as well."""
    for text in ("nonsense", Shard(0, of=2).selector):
        selection = Selection.parse(pods, "", {"shardSelector": text})
        assert not selection.has_selectors
        assert selection.filter(items) == items
    assert not Selection.parse(pods, "", {"shardSelector": ""}, shard_selector=True).has_selectors
    with pytest.raises(StatusError, match="invalid shard selector: unexpected expression kind 3"):
        Selection.parse(pods, "", {"shardSelector": "nonsense"}, shard_selector=True)


@pytest.mark.parametrize(
    ("namespace", "fields", "keys"),
    [
        ("", "", ["a/db", "a/web", "b/web"]),
        ("a", "", ["a/db", "a/web"]),
        ("", "metadata.namespace=b", ["b/web"]),
        ("", "metadata.namespace!=b", ["a/db", "a/web", "b/web"]),
        ("", "metadata.name=web", ["a/db", "a/web", "b/web"]),
        ("a", "metadata.name=web", ["a/web"]),
        ("", "metadata.name=web,metadata.namespace=b", ["b/web"]),
        ("a", "metadata.name!=web", ["a/db", "a/web"]),
        ("", "spec.nodeName=n1", ["a/db", "b/web"]),
        ("", "status.phase=Running", ["a/db", "a/web", "b/web"]),
    ],
)
def test_what_the_server_reads_is_more_than_it_selects(
    pods: Resource, items: list[Stored], namespace: str, fields: str, keys: list[str]
) -> None:
    """Names lead it to one object only with their namespace, which is part of the key."""
    query = {"fieldSelector": fields, "labelSelector": "app=none", "shardSelector": Shard(0, of=99).selector}
    selection = Selection.parse(pods, namespace, query, shard_selector=True)
    assert [item.key for item in items if selection.reads(item)] == keys


def test_a_name_is_all_of_the_key_of_what_is_in_no_namespace(storage: Storage) -> None:
    nodes = storage.resources.resolve("nodes")
    for name in ("n1", "n2"):
        storage.create(nodes, {"metadata": {"name": name}})
    selection = Selection.parse(nodes, "", {"fieldSelector": "metadata.name=n2"})
    assert [item.name for item in storage.table(nodes).ordered() if selection.reads(item)] == ["n2"]
