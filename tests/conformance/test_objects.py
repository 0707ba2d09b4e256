"""Reads and writes of single objects: the embedded and the real server answer alike."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers import Metadata, Settings, SharedInformerFactory
from tests.conformance.rest import Answer, Rest
from tests.kit.fixtures import APIServer


class Kinded(msgspec.Struct, frozen=True, rename="camel"):
    """A user's class that needs to know the kind."""

    kind: str
    api_version: str = "unknown"


def failure(answer: Answer) -> tuple[int, str, Any]:
    """Status, reason and details of a failure, whose body must be a proper Status."""
    body = answer.json
    assert list(body)[:4] == ["kind", "apiVersion", "metadata", "status"]
    assert (body["kind"], body["apiVersion"], body["status"]) == ("Status", "v1", "Failure")
    assert body["code"] == answer.status
    assert body["message"]
    return answer.status, body.get("reason", ""), body.get("details")


async def test_a_new_object_gets_its_metadata(rest: Rest) -> None:
    """uid, resourceVersion and creationTimestamp are the server's; metadata is written in Go's order."""
    obj = {
        "data": {"k": "v"},
        "metadata": {"labels": {"a": "b"}, "name": "x", "uid": "mine", "creationTimestamp": "2020-01-01T00:00:00Z"},
    }
    made = await rest.post(rest.path("configmaps"), obj)

    metadata = made.json["metadata"]
    assert made.status == 201
    assert list(made.json) == ["kind", "apiVersion", "metadata", "data"]
    assert [name for name in metadata if name != "managedFields"] == [
        "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "labels",
    ]  # fmt: skip
    assert made.body.startswith(b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","namespace":')
    assert made.body.endswith(b"}\n")
    assert metadata["uid"] != "mine"
    assert not metadata["creationTimestamp"].startswith("2020")
    assert (await rest.get(rest.path("configmaps", "x"))).body == made.body


async def test_custom_objects_are_written_sorted_by_key(rest: Rest) -> None:
    """Custom objects have no Go struct: they come sorted on every level."""
    widgets = await rest.custom_resource()
    made = await rest.widget(widgets, "x", spec={"z": 1, "a": {"y": 1, "b": 2}}, other=1)

    assert made.json == json.loads(made.body)
    assert list(made.json) == ["apiVersion", "kind", "metadata", "other", "spec"]
    assert list(made.json["metadata"]) == sorted(made.json["metadata"])
    assert b'"spec":{"a":{"b":2,"y":1},"z":1}' in made.body


async def test_generated_names(rest: Rest) -> None:
    """generateName is continued with five characters."""
    made = await rest.post(rest.path("configmaps"), {"metadata": {"generateName": "x-"}})

    assert made.status == 201
    assert len(made.json["metadata"]["name"]) == len("x-") + 5
    assert made.json["metadata"]["generateName"] == "x-"


async def test_a_name_is_taken_once(rest: Rest) -> None:
    """409 AlreadyExists."""
    await rest.configmap("x")
    again = await rest.post(rest.path("configmaps"), {"metadata": {"name": "x"}})

    assert failure(again) == (409, "AlreadyExists", {"name": "x", "kind": "configmaps"})
    assert again.json["message"] == 'configmaps "x" already exists'


@pytest.mark.parametrize(
    ("metadata", "cause"),
    [({}, "FieldValueRequired"), ({"name": "X_Y"}, "FieldValueInvalid"), ({"name": "-x"}, "FieldValueInvalid")],
)
async def test_bad_names(rest: Rest, metadata: dict[str, str], cause: str) -> None:
    """422 Invalid names the field and the rule."""
    refused = await rest.post(rest.path("configmaps"), {"metadata": metadata})
    status, reason, details = failure(refused)

    assert (status, reason) == (422, "Invalid")
    assert details["kind"] == "ConfigMap"
    assert [(each["field"], each["reason"]) for each in details["causes"]] == [("metadata.name", cause)]


@pytest.mark.parametrize(
    "obj",
    [
        {"metadata": {"name": "x", "namespace": "another"}},
        {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}},
        b"{bad",
        b"",
    ],
)
async def test_objects_that_do_not_fit_the_path(rest: Rest, obj: object) -> None:
    """400 BadRequest without details."""
    refused = await rest.post(rest.path("configmaps"), obj)

    assert failure(refused) == (400, "BadRequest", None)


async def test_custom_objects_need_their_kind(rest: Rest) -> None:
    """Built-in kinds are known by the path, custom ones must say what they are."""
    widgets = await rest.custom_resource()
    refused = await rest.post(rest.path("widgets", group=widgets), {"metadata": {"name": "x"}})

    assert failure(refused) == (400, "BadRequest", None)


async def test_a_new_object_has_no_resource_version_yet(rest: Rest) -> None:
    """A resourceVersion on create is refused with 500, without reason."""
    refused = await rest.post(rest.path("configmaps"), {"metadata": {"name": "x", "resourceVersion": "7"}})

    assert failure(refused) == (500, "", None)


async def test_missing_objects(rest: Rest) -> None:
    """404 NotFound names the resource with its group."""
    core = {"name": "x", "kind": "configmaps"}
    path = rest.path("configmaps", "x")
    for answer in (
        await rest.get(path),
        await rest.put(path, {"metadata": {"name": "x"}}),
        await rest.patch(path, {"data": {}}),
        await rest.delete(path),
    ):
        assert failure(answer) == (404, "NotFound", core)
    grouped = await rest.get(rest.path("deployments", "x", group="apps/v1"))
    assert failure(grouped) == (404, "NotFound", {"name": "x", "group": "apps", "kind": "deployments"})
    assert grouped.json["message"] == 'deployments.apps "x" not found'


async def test_update_replaces_and_guards_the_version(rest: Rest) -> None:
    """PUT with the current version replaces, with an old one conflicts, without one overwrites."""
    path = rest.path("configmaps", "x")
    made = await rest.configmap("x", a="b")
    changed = made.json | {"data": {"k": "w"}}
    updated = await rest.put(path, changed)

    assert updated.status == 200
    assert int(updated.version) > int(made.version)
    for name in ("uid", "creationTimestamp", "labels"):
        assert updated.json["metadata"][name] == made.json["metadata"][name]
    stale = await rest.put(path, changed | {"data": {"k": "z"}})
    assert failure(stale) == (409, "Conflict", {"name": "x", "kind": "configmaps"})
    assert "please apply your changes to the latest version and try again" in stale.json["message"]
    blind = await rest.put(path, {"metadata": {"name": "x"}, "data": {"k": "u"}})
    assert (blind.status, blind.json["data"]) == (200, {"k": "u"})
    assert "labels" not in blind.json["metadata"]
    assert blind.json["metadata"]["uid"] == made.json["metadata"]["uid"]


async def test_update_of_another_object(rest: Rest) -> None:
    """Another name is 400, another uid 409."""
    await rest.configmap("x")
    path = rest.path("configmaps", "x")

    assert failure(await rest.put(path, {"metadata": {"name": "y"}})) == (400, "BadRequest", None)
    other = await rest.put(path, {"metadata": {"name": "x", "uid": "other"}})
    assert failure(other) == (409, "Conflict", {"name": "x", "kind": "configmaps"})


async def test_custom_objects_are_never_updated_blindly(rest: Rest) -> None:
    """PUT of a custom object needs the resourceVersion."""
    widgets = await rest.custom_resource()
    await rest.widget(widgets, "x")
    blind = {"apiVersion": widgets, "kind": "Widget", "metadata": {"name": "x"}, "spec": {"a": 1}}
    status, reason, details = failure(await rest.put(rest.path("widgets", "x", group=widgets), blind))

    assert (status, reason) == (422, "Invalid")
    assert [each["field"] for each in details["causes"]] == ["metadata.resourceVersion"]


async def test_merge_patch(rest: Rest) -> None:
    """RFC 7386: null removes, objects merge, the rest is replaced."""
    path = rest.path("configmaps", "x")
    made = await rest.configmap("x", a="1", b="2")
    patched = await rest.patch(path, {"metadata": {"labels": {"a": None, "c": "3"}}, "data": {"j": "w"}})

    assert patched.status == 200
    assert patched.json["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert patched.json["data"] == {"k": "v", "j": "w"}
    stale = await rest.patch(path, {"metadata": {"resourceVersion": made.version}, "data": {"j": "z"}})
    assert failure(stale)[:2] == (409, "Conflict")
    assert failure(await rest.patch(path, {"metadata": {"name": "y"}})) == (400, "BadRequest", None)
    assert failure(await rest.patch(path, {}, "application/json"))[:2] == (415, "UnsupportedMediaType")


async def test_what_changes_nothing_makes_no_version(rest: Rest) -> None:
    """Neither a PUT nor a PATCH of the same content is a change."""
    path = rest.path("configmaps", "x")
    made = await rest.configmap("x", a="1")

    assert (await rest.put(path, made.json)).version == made.version
    assert (await rest.patch(path, {"metadata": {"labels": {"a": "1"}}})).version == made.version
    assert await rest.watch(rest.path("configmaps"), resourceVersion=made.version) == []


async def test_metadata_that_are_empty_are_absent(rest: Rest) -> None:
    """Of built-in and of custom objects, when they are created and when they are changed."""
    empty: dict[str, Any] = {"labels": {}, "annotations": {}, "finalizers": [], "ownerReferences": []}
    widgets = await rest.custom_resource()
    kinds = [("v1", "ConfigMap", rest.path("configmaps")), (widgets, "Widget", rest.path("widgets", group=widgets))]
    for api_version, kind, path in kinds:
        made = await rest.post(path, {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", **empty}})
        assert made.status == 201
        assert not set(empty) & set(made.json["metadata"])
        put = await rest.put(f"{path}/x", {**made.json, "metadata": {**made.json["metadata"], **empty}})
        assert put.version == made.version
        labelled = await rest.patch(f"{path}/x", {"metadata": {"labels": {"a": "1"}, "annotations": {"a": "1"}}})
        assert int(labelled.version) > int(made.version)
        nothing = {"labels": {"a": None}, "annotations": {"a": None}, "finalizers": [], "ownerReferences": []}
        emptied = await rest.patch(f"{path}/x", {"metadata": nothing})
        assert not set(empty) & set(emptied.json["metadata"])


async def test_delete(rest: Rest) -> None:
    """The answer is a Status of success with the uid."""
    made = await rest.configmap("x")
    path = rest.path("configmaps", "x")
    deleted = await rest.delete(path)

    assert deleted.status == 200
    assert (deleted.json["kind"], deleted.json["status"]) == ("Status", "Success")
    details = {"name": "x", "kind": "configmaps", "uid": made.json["metadata"]["uid"]}
    assert deleted.json["details"] == details
    assert (await rest.get(path)).status == 404


@pytest.mark.parametrize("precondition", [{"uid": "other"}, {"resourceVersion": "1"}])
async def test_delete_with_preconditions(rest: Rest, precondition: dict[str, str]) -> None:
    """409 Conflict if they fail, and the object stays."""
    made = await rest.configmap("x")
    path = rest.path("configmaps", "x")

    assert failure(await rest.delete(path, {"preconditions": precondition}))[:2] == (409, "Conflict")
    metadata = made.json["metadata"]
    right = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    assert (await rest.delete(path, {"preconditions": right})).status == 200


async def test_delete_waits_for_finalizers(rest: Rest) -> None:
    """With finalizers an object is marked; the last one's removal deletes it, watches see it as it was."""
    path = rest.path("configmaps", "x")
    obj = {"metadata": {"name": "x", "finalizers": ["example.com/a"]}}
    made = await rest.post(rest.path("configmaps"), obj)
    marked = await rest.delete(path)

    metadata = marked.json["metadata"]
    assert (marked.status, marked.json["kind"]) == (200, "ConfigMap")
    assert metadata["deletionTimestamp"]
    assert metadata["deletionGracePeriodSeconds"] == 0
    assert int(marked.version) > int(made.version)
    assert (await rest.delete(path)).version == marked.version
    grown = await rest.patch(path, {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}})
    assert failure(grown)[:2] == (422, "Invalid")
    freed = await rest.patch(path, {"metadata": {"finalizers": []}})
    assert (freed.status, freed.version) == (200, marked.version)
    assert (await rest.get(path)).status == 404
    events = await rest.watch(rest.path("configmaps"), resourceVersion=made.version)
    assert [event.type for event in events] == ["MODIFIED", "DELETED"]
    assert events[1].object["metadata"]["finalizers"] == ["example.com/a"]
    assert int(events[1].version) > int(marked.version)


async def test_generation_counts_changes_of_content(rest: Rest) -> None:
    """Neither metadata nor status bump it."""
    widgets = await rest.custom_resource()
    path = rest.path("widgets", "x", group=widgets)
    made = await rest.widget(widgets, "x", spec={"a": 1})
    labelled = await rest.patch(path, {"metadata": {"labels": {"a": "b"}}})
    changed = await rest.patch(path, {"spec": {"a": 2}})
    reported = await rest.patch(f"{path}/status", {"status": {"ready": True}})

    answers = [made, labelled, changed, reported]
    assert [each.json["metadata"]["generation"] for each in answers] == [1, 1, 2, 2]
    assert len({each.version for each in answers}) == 4


async def test_some_kinds_have_no_generation(rest: Rest) -> None:
    """Kinds without a spec of their own, and a few more."""
    assert "generation" not in (await rest.configmap("x")).json["metadata"]
    secret = await rest.post(rest.path("secrets"), {"metadata": {"name": "x"}})
    service = {"metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}]}}
    assert "generation" not in secret.json["metadata"]
    assert "generation" not in (await rest.post(rest.path("services"), service)).json["metadata"]
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    assert (await rest.post(rest.path("pods"), pod)).json["metadata"]["generation"] == 1


async def test_the_status_is_written_apart(rest: Rest) -> None:
    """Plain writes leave the status alone, writes to /status leave everything else alone."""
    widgets = await rest.custom_resource()
    path = rest.path("widgets", "x", group=widgets)
    made = await rest.widget(widgets, "x", spec={"a": 1}, status={"ready": True})
    assert "status" not in made.json

    reported = await rest.patch(f"{path}/status", {"status": {"ready": True}, "spec": {"a": 9}})
    assert (reported.json["spec"], reported.json["status"]) == ({"a": 1}, {"ready": True})
    plain = await rest.put(path, reported.json | {"spec": {"a": 2}, "status": {"ready": False}})
    assert (plain.json["spec"], plain.json["status"]) == ({"a": 2}, {"ready": True})
    replaced = await rest.put(f"{path}/status", plain.json | {"spec": {"a": 3}, "status": {"ready": False}})
    assert (replaced.json["spec"], replaced.json["status"]) == ({"a": 2}, {"ready": False})
    assert (await rest.get(f"{path}/status")).json == replaced.json


async def test_delete_collection(rest: Rest) -> None:
    """DELETE of a collection deletes what the selector means, and nothing else."""
    await rest.configmap("x", a="1")
    await rest.configmap("y", a="2")
    deleted = await rest.request("DELETE", rest.path("configmaps"), query={"labelSelector": "a=1"})

    assert deleted.status == 200
    assert (await rest.get(rest.path("configmaps", "x"))).status == 404
    assert (await rest.get(rest.path("configmaps", "y"))).status == 200


@pytest.mark.parametrize("watch_list", [True, False])
@pytest.mark.parametrize("object_type", [Metadata, Kinded, dict, client.V1ConfigMap])
async def test_an_object_says_its_own_kind(api_server: APIServer, object_type: Any, watch_list: bool) -> None:
    """Servers leave it out in the items of lists, and name what metadata come in instead of it."""
    settings = Settings(watch_list=watch_list)
    async with Rest.connect(api_server) as rest, api_server.api_client() as api:
        await rest.caught_up(await rest.configmap("x", a="1"))
        async with SharedInformerFactory(api, namespace=rest.namespace, settings=settings) as factory:
            maps = factory.core.v1.configmaps(object_type=object_type)
            await factory.wait_for_cache_sync(timeout=20)
            first = maps.lister.get("x", namespace=rest.namespace)
            changed = await rest.patch(rest.path("configmaps", "x"), {"metadata": {"labels": {"a": "2"}}})
            await maps.wait_for_resource_version(changed.version, timeout=20)
            second = maps.lister.get("x", namespace=rest.namespace)
    assert [kind_of(each) for each in (first, second)] == [("v1", "ConfigMap")] * 2


def kind_of(obj: Any) -> tuple[str, str]:
    return (obj["apiVersion"], obj["kind"]) if isinstance(obj, dict) else (obj.api_version, obj.kind)
