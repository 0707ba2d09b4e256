"""Which objects a LIST or WATCH is about."""

from __future__ import annotations

import pytest

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
