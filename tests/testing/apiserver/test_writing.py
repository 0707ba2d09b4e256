"""Answers to writes, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioinformers.sharding import hash_field, shard_selector
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.routing import RequestInfo, parse_target
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.testing.apiserver.writing import Answer, check_subresource, write
from tests.testing.apiserver.contents import WIDGETS

PODS = "/api/v1/namespaces/default/pods"


def send(
    storage: Storage, method: str, path: str, body: Any = None, *, media_type: str = "application/json", **query: str
) -> Answer:
    target = parse_target(path)
    assert target is not None
    resource = storage.resources.get(target.gvr)
    assert resource is not None
    headers = {"content-type": media_type, "user-agent": "tests"}
    info = RequestInfo(method=method, path=path, query=query, headers=headers, time=0.0, target=target)
    return write(storage, resource, target, info, b"" if body is None else json.dumps(body).encode())


def test_each_verb(storage: Storage, pods: Resource) -> None:
    made = send(storage, "POST", PODS, {"metadata": {"name": "a"}})
    put = send(storage, "PUT", f"{PODS}/a", {"metadata": {"name": "a"}, "spec": {"x": 1}})
    patched = send(storage, "PATCH", f"{PODS}/a", {"spec": {"y": 1}}, media_type="application/merge-patch+json")
    reported = send(storage, "PUT", f"{PODS}/a/status", {"metadata": {"name": "a"}, "status": {"phase": "Running"}})
    deleted = send(storage, "DELETE", f"{PODS}/a")

    assert [each.status for each in (made, put, patched, reported, deleted)] == [201, 200, 200, 200, 200]
    assert json.loads(patched.body)["spec"] == {"x": 1, "y": 1}
    assert json.loads(reported.body)["status"] == {"phase": "Running"}
    assert json.loads(deleted.body)["metadata"]["resourceVersion"] == str(storage.version)
    send(storage, "POST", PODS, {"metadata": {"name": "b"}})
    assert len(json.loads(send(storage, "DELETE", PODS).body)["items"]) == 1
    assert storage.table(pods).items == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"{PODS}/a"), ("POST", f"{PODS}/a/status"), ("DELETE", f"{PODS}/a/status"), ("PUT", PODS)],
)
def test_what_has_no_such_verb(storage: Storage, method: str, path: str) -> None:
    with pytest.raises(StatusError, match="405 MethodNotAllowed"):
        send(storage, method, path, {})


def test_custom_objects_say_what_they_are(storage: Storage) -> None:
    with pytest.raises(StatusError, match="Object 'Kind' is missing"):
        send(storage, "POST", "/apis/example.com/v1/namespaces/default/widgets", {"metadata": {"name": "a"}})


def test_there_are_few_subresources(pods: Resource) -> None:
    for resource, name, is_there in ((pods, "status", True), (pods, "log", False), (WIDGETS, "status", True)):
        target = parse_target(f"/api/v1/namespaces/default/pods/a/{name}")
        assert target is not None
        if is_there:
            check_subresource(resource, target)
        else:
            with pytest.raises(StatusError, match="has no subresource 'log'"):
                check_subresource(resource, target)


@pytest.mark.parametrize(
    ("method", "path", "body", "media_type"),
    [
        ("POST", PODS, {"metadata": {"generateName": "b-", "finalizers": ["x"]}}, "application/json"),
        ("PUT", f"{PODS}/a", {"metadata": {"name": "a"}, "spec": {"x": 1}}, "application/json"),
        ("PATCH", f"{PODS}/a", {"spec": {"x": 1}}, "application/merge-patch+json"),
        ("PATCH", f"{PODS}/a", [{"op": "add", "path": "/spec", "value": {"x": 1}}], "application/json-patch+json"),
        ("PATCH", f"{PODS}/a/status", {"status": {"x": 1}}, "application/merge-patch+json"),
        ("DELETE", f"{PODS}/a", None, ""),
        ("DELETE", f"{PODS}/kept", None, ""),
        ("DELETE", PODS, None, ""),
    ],
)
def test_a_dry_run_writes_nothing(
    storage: Storage, pods: Resource, method: str, path: str, body: Any, media_type: str
) -> None:
    """It is answered as if it had."""
    storage.create(pods, {"metadata": {"name": "a"}})
    storage.create(pods, {"metadata": {"name": "kept", "finalizers": ["x"]}})
    before, items = storage.version, dict(storage.table(pods).items)
    dry = send(storage, method, path, body, media_type=media_type, dryRun="All")
    assert (storage.version, storage.table(pods).items) == (before, items)
    wet = send(storage, method, path, body, media_type=media_type)

    assert dry.status == wet.status
    assert storage.version > before
    assert without_versions(json.loads(dry.body)) == without_versions(json.loads(wet.body))


def without_versions(answer: dict[str, Any]) -> dict[str, Any]:
    for name in ("resourceVersion", "uid", "name"):
        answer["metadata"].pop(name, None)
    return answer


def test_a_dry_run_is_refused_as_the_write_would_be(storage: Storage, pods: Resource) -> None:
    storage.create(pods, {"metadata": {"name": "a"}})
    with pytest.raises(StatusError, match="409 AlreadyExists"):
        send(storage, "POST", PODS, {"metadata": {"name": "a"}}, dryRun="All")
    made = json.loads(send(storage, "POST", PODS, {"metadata": {"name": "b"}}, dryRun="All").body)
    assert "resourceVersion" not in made["metadata"]


def test_a_dry_run_of_a_definition_serves_nothing(storage: Storage) -> None:
    spec = {"group": "example.org", "names": {"plural": "gadgets", "kind": "Gadget"}, "versions": [{"name": "v1"}]}
    crd = {"metadata": {"name": "gadgets.example.org"}, "spec": spec}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert send(storage, "POST", path, crd, dryRun="All").status == 201
    assert "example.org" not in storage.resources.groups()


def test_most_deletions_are_answered_with_a_status(storage: Storage) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    made = json.loads(send(storage, "POST", path, {"metadata": {"name": "a"}}).body)
    deleted = json.loads(send(storage, "DELETE", f"{path}/a").body)
    assert (deleted["status"], deleted["details"]["uid"]) == ("Success", made["metadata"]["uid"])


def test_http_writes_are_checked_for_their_owners(storage: Storage, pods: Resource) -> None:
    """Objects of Python code may name them as they like."""
    sloppy = {"metadata": {"name": "a", "ownerReferences": [{"uid": "u"}]}}
    storage.create(pods, sloppy)
    for method, path, name in (("POST", PODS, "b"), ("PUT", f"{PODS}/a", "a")):
        with pytest.raises(StatusError, match=r"ownerReferences\[0\].kind: Required value"):
            send(storage, method, path, {"metadata": {**sloppy["metadata"], "name": name}})


DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/d"
SCALE = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "d"}, "spec": {"replicas": 3}}


@pytest.mark.parametrize(
    ("method", "body", "media_type", "query"),
    [
        ("PUT", SCALE, "application/json", {}),
        ("PATCH", {"spec": {"replicas": 3}}, "application/merge-patch+json", {}),
        ("PATCH", SCALE, "application/apply-patch+yaml", {"fieldManager": "me"}),
    ],
)
def test_a_scale_is_answered_with_the_scale(
    storage: Storage, method: str, body: Any, media_type: str, query: dict[str, str]
) -> None:
    deployments = storage.resources.resolve("deployments")
    storage.create(deployments, {"metadata": {"name": "d"}, "spec": {"x": 1}})
    answer = send(storage, method, f"{DEPLOYMENT}/scale", body, media_type=media_type, **query)

    assert (answer.status, json.loads(answer.body)["kind"]) == (200, "Scale")
    assert json.loads(answer.body)["spec"] == {"replicas": 3}
    assert json.loads(storage.get(deployments, "default", "d").body)["spec"] == {"x": 1, "replicas": 3}


def test_an_apply_creates_once(storage: Storage) -> None:
    obj = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}
    apply = {"media_type": "application/apply-patch+yaml", "fieldManager": "me"}
    statuses = [send(storage, "PATCH", f"{PODS}/a", obj, **apply).status for _ in range(2)]
    assert statuses == [201, 200]


def test_a_put_creates_what_may_be_created_so(storage: Storage) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a"
    with pytest.raises(StatusError, match="409 Conflict"):
        send(storage, "PUT", path, {"metadata": {"name": "a", "uid": "gone"}})
    made = send(storage, "PUT", path, {"metadata": {"name": "a", "resourceVersion": "7"}})
    again = send(storage, "PUT", path, json.loads(made.body))
    assert (made.status, again.status) == (201, 200)
    with pytest.raises(
        StatusError, match=r"422 Invalid: leases.coordination.k8s.io .* must be specified for an update"
    ):
        send(storage, "PUT", path, {"metadata": {"name": "a"}})
    with pytest.raises(StatusError, match="404 NotFound"):
        send(storage, "PUT", f"{PODS}/a", {"metadata": {"name": "a"}})


def test_generated_names_avoid_each_other(storage: Storage, pods: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """As kube-apiserver, it tries eight times."""
    suffixes = iter(["aaaaa", "aaaaa", "bbbbb", *["aaaaa"] * 8])
    monkeypatch.setattr("random.Random.choices", lambda *_, **__: next(suffixes))
    names = [storage.create(pods, {"metadata": {"generateName": "x-"}}).name for _ in range(2)]

    assert names == ["x-aaaaa", "x-bbbbb"]
    with pytest.raises(StatusError, match='409 AlreadyExists: pods "x-aaaaa" already exists'):
        storage.create(pods, {"metadata": {"generateName": "x-"}})


def delete_shard(storage: Storage, resource: Resource, selector: str, *, known: bool) -> Answer:
    target = parse_target(PODS)
    assert target is not None
    query = {"shardSelector": selector}
    info = RequestInfo(method="DELETE", path=PODS, query=query, headers={}, time=0.0, target=target)
    return write(storage, resource, target, info, b"", shard_selector=known)


def test_a_collection_loses_what_is_in_the_shard_where_the_server_knows_shards(
    storage: Storage, pods: Resource
) -> None:
    uids = {name: storage.create(pods, {"metadata": {"name": name}}).uid for name in "abc"}
    value = hash_field(uids["b"])
    selector = shard_selector([(value, value + 1)])

    gone = json.loads(delete_shard(storage, pods, selector, known=True).body)
    assert [item["metadata"]["name"] for item in gone["items"]] == ["b"]
    assert gone["metadata"]["shardInfo"] == {"selector": selector}

    with pytest.raises(StatusError, match="invalid shard selector"):
        delete_shard(storage, pods, "nonsense", known=True)
    assert [item.name for item in storage.table(pods).ordered()] == ["a", "c"]
    delete_shard(storage, pods, selector, known=False)
    assert storage.table(pods).ordered() == []
