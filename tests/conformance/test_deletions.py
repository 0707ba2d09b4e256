"""Deletions: preconditions, finalizers, and what is to become of dependents.

The real server has no controller manager here, so that nothing is collected: only what the API server itself does is
compared. ``tests/testing/apiserver/test_garbage.py`` is about the rest.
"""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.testing import FakeAPIServer
from tests.conformance.rest import Rest
from tests.conformance.test_objects import failure
from tests.kit.fixtures import APIServer


@pytest.mark.parametrize(
    ("options", "finalizers"),
    [
        ({"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
        ({"propagationPolicy": "Orphan"}, ["orphan"]),
        ({"orphanDependents": True}, ["orphan"]),
        ({"propagationPolicy": "Background"}, None),
        ({"orphanDependents": False}, None),
        ({}, None),
    ],
)
async def test_what_is_to_become_of_dependents(
    rest: Rest, options: dict[str, Any], finalizers: list[str] | None
) -> None:
    """The collector has to end a deletion that is not in the background: a finalizer says so."""
    path = rest.path("configmaps", "x")
    for query in (False, True):
        await rest.configmap("x")
        if query:
            texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()}
            deleted = await rest.request("DELETE", path, query=texts)
        else:
            deleted = await rest.delete(path, {"kind": "DeleteOptions", "apiVersion": "v1", **options})
        assert deleted.status == 200
        if finalizers is None:
            assert deleted.json["status"] == "Success"
        else:
            assert deleted.json["metadata"]["finalizers"] == finalizers
            assert deleted.json["metadata"]["deletionTimestamp"]
            await rest.patch(path, {"metadata": {"finalizers": None}})
        assert (await rest.get(path)).status == 404


async def test_the_policy_may_change_while_finalizers_are_left(rest: Rest) -> None:
    """The last word counts, and other finalizers stay."""
    path = rest.path("configmaps", "x")
    await rest.post(rest.path("configmaps"), {"metadata": {"name": "x", "finalizers": ["example.com/a"]}})
    first = await rest.delete(path, {"propagationPolicy": "Background"})
    second = await rest.delete(path, {"propagationPolicy": "Background"})

    assert first.json["metadata"]["finalizers"] == second.json["metadata"]["finalizers"] == ["example.com/a"]
    assert first.version == second.version
    orphaned = await rest.delete(path, {"propagationPolicy": "Orphan"})
    assert orphaned.json["metadata"]["finalizers"] == ["example.com/a", "orphan"]
    changed = await rest.delete(path, {"propagationPolicy": "Foreground"})
    assert changed.json["metadata"]["finalizers"] == ["example.com/a", "foregroundDeletion"]
    assert (await rest.delete(path)).version == changed.version


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"propagationPolicy": "x"}, 'supported values: "Foreground", "Background", "Orphan", "nil"'),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, "orphanDependents and deletionPropagation cannot"),
    ],
)
async def test_policies_that_cannot_be(rest: Rest, options: dict[str, Any], words: str) -> None:
    """422 names the field."""
    await rest.configmap("x")
    refused = await rest.delete(rest.path("configmaps", "x"), options)
    status, reason, details = failure(refused)

    assert (status, reason, details["kind"]) == (422, "Invalid", "DeleteOptions")
    assert [each["field"] for each in details["causes"]] == ["propagationPolicy"]
    assert words in details["causes"][0]["message"]


async def test_some_kinds_orphan_by_default(rest: Rest) -> None:
    """Jobs, for the sake of old clients."""
    template = {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}
    path = rest.path("jobs", "x", group="batch/v1")
    made = await rest.post(
        rest.path("jobs", group="batch/v1"), {"metadata": {"name": "x"}, "spec": {"template": template}}
    )
    assert made.status == 201, made.body
    deleted = await rest.delete(path)
    assert deleted.json["metadata"]["finalizers"] == ["orphan"]


async def test_an_object_that_is_being_deleted_gets_no_finalizers(rest: Rest) -> None:
    """422 names those that were to be added; others may go, and everything else may change."""
    path = rest.path("configmaps", "x")
    await rest.post(
        rest.path("configmaps"), {"metadata": {"name": "x", "finalizers": ["example.com/a", "example.com/b"]}}
    )
    await rest.delete(path)
    grown = {"metadata": {"finalizers": ["example.com/a", "example.com/d", "example.com/c"]}}
    refused = await rest.patch(path, grown)

    problem = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
    problem += '[]string{"example.com/c", "example.com/d"}'
    cause = {"reason": "FieldValueForbidden", "message": problem, "field": "metadata.finalizers"}
    assert failure(refused) == (422, "Invalid", {"name": "x", "kind": "ConfigMap", "causes": [cause]})
    shrunk = await rest.patch(path, {"metadata": {"finalizers": ["example.com/b"]}, "data": {"k": "w"}})
    assert (shrunk.status, shrunk.json["data"]) == (200, {"k": "w"})
    assert shrunk.json["metadata"]["deletionTimestamp"]
    tried = await rest.request("PUT", path, {"metadata": {"name": "x"}}, query={"dryRun": "All"})
    assert (tried.status, (await rest.get(path)).status) == (200, 200)
    freed = await rest.put(path, {"metadata": {"name": "x"}})
    assert (freed.status, (await rest.get(path)).status) == (200, 404)


async def test_nobody_else_decides_when_an_object_is_deleted(rest: Rest) -> None:
    """The deletionTimestamp of a new object is not taken."""
    time = "2020-01-01T00:00:00Z"
    metadata = {"name": "x", "deletionTimestamp": time, "deletionGracePeriodSeconds": 5}
    made = await rest.post(rest.path("configmaps"), {"metadata": metadata})
    assert made.status == 201
    assert not {"deletionTimestamp", "deletionGracePeriodSeconds"} & set(made.json["metadata"])


async def test_preconditions_of_what_is_marked(rest: Rest) -> None:
    """Also of the second deletion."""
    path = rest.path("configmaps", "x")
    made = await rest.post(rest.path("configmaps"), {"metadata": {"name": "x", "finalizers": ["example.com/a"]}})
    marked = await rest.delete(path, {"preconditions": {"resourceVersion": made.version}})
    assert marked.status == 200
    again = await rest.delete(path, {"preconditions": {"uid": "other"}})
    assert failure(again)[:2] == (409, "Conflict")
    assert (await rest.delete(path, {"preconditions": {"uid": made.json["metadata"]["uid"]}})).version == marked.version


async def test_a_collection_is_deleted_with_the_same_options(rest: Rest) -> None:
    """Each object is marked, or goes."""
    await rest.post(rest.path("configmaps"), {"metadata": {"name": "x", "finalizers": ["example.com/a"]}})
    await rest.configmap("y")
    selector = {"fieldSelector": "metadata.name!=kube-root-ca.crt"}
    deleted = await rest.request(
        "DELETE", rest.path("configmaps"), query=selector | {"propagationPolicy": "Background"}
    )

    assert deleted.status == 200
    assert (await rest.get(rest.path("configmaps", "y"))).status == 404
    kept = await rest.get(rest.path("configmaps", "x"))
    assert kept.json["metadata"]["deletionTimestamp"]


@pytest.mark.parametrize(
    ("plural", "obj"),
    [
        ("pods", {"spec": {"containers": [{"name": "c", "image": "i"}]}}),
        ("services", {"spec": {"ports": [{"port": 80}]}}),
        ("serviceaccounts", {}),
    ],
)
async def test_some_deletions_are_answered_with_the_object(rest: Rest, plural: str, obj: dict[str, Any]) -> None:
    """In the version of its deletion, which a watch sees as well."""
    made = await rest.post(rest.path(plural), {"metadata": {"name": "x"}, **obj})
    assert made.status == 201, made.body
    tried = await rest.request("DELETE", rest.path(plural, "x"), query={"dryRun": "All"})
    assert (tried.status, tried.json["metadata"]["uid"]) == (200, made.json["metadata"]["uid"])
    deleted = await rest.delete(rest.path(plural, "x"))

    assert (deleted.status, deleted.json["kind"]) == (200, made.json["kind"])
    assert deleted.json["metadata"]["uid"] == made.json["metadata"]["uid"]
    assert int(deleted.version) > int(made.version)
    (*_, event) = await rest.watch(rest.path(plural), resourceVersion=made.version)
    assert (event.type, event.version) == ("DELETED", deleted.version)


async def test_owners_are_checked(rest: Rest) -> None:
    """Each is named whole, once, and one is the controller at most."""
    path = rest.path("configmaps", "x")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u"}
    made = await rest.post(rest.path("configmaps"), {"metadata": {"name": "x", "ownerReferences": [owner, owner]}})
    assert made.json["metadata"]["ownerReferences"] == [owner]
    twice = await rest.patch(path, {"metadata": {"ownerReferences": [owner, owner]}})
    assert twice.version == made.version

    partial = await rest.patch(path, {"metadata": {"ownerReferences": [{"name": "a", "uid": "u"}]}})
    status, reason, details = failure(partial)
    assert (status, reason) == (422, "Invalid")
    assert {(each["field"], each["reason"]) for each in details["causes"]} == {
        ("metadata.ownerReferences[0].apiVersion", "FieldValueRequired"),
        ("metadata.ownerReferences[0].kind", "FieldValueRequired"),
    }
    rivals = [owner | {"uid": uid, "name": uid, "controller": True} for uid in "ab"]
    refused = await rest.patch(path, {"metadata": {"ownerReferences": rivals}})
    (cause,) = failure(refused)[2]["causes"]
    assert (cause["field"], cause["reason"]) == ("metadata.ownerReferences", "FieldValueInvalid")
    words = 'Only one reference can have Controller set to true. Found "true" in references for'
    assert cause["message"].endswith(f"{words} ConfigMap/a and ConfigMap/b")
    assert '"name":"a","uid":"a","controller":true}' in cause["message"]


@pytest.mark.parametrize("garbage_collection", [True, False])
async def test_the_embedded_server_ends_what_the_api_server_begins(garbage_collection: bool) -> None:
    """What no controller manager does for the real server of these tests."""
    async with FakeAPIServer(garbage_collection=garbage_collection) as server, Rest.connect(server) as rest:
        await rest.configmap("x")
        await rest.delete(rest.path("configmaps", "x"), {"propagationPolicy": "Foreground"})
        status = (await rest.get(rest.path("configmaps", "x"))).status
    assert status == (404 if garbage_collection else 200)


@pytest.fixture
async def api_server(request: pytest.FixtureRequest, api_server: APIServer) -> APIServer:
    """Either server, both without anybody who collects garbage."""
    if isinstance(api_server, FakeAPIServer):
        api_server.upgrade(garbage_collection=False)
    return api_server
