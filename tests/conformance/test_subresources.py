"""Status and scale: the embedded and the real server show and change the same through them."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.conformance.rest import MERGE_PATCH, Answer, Rest
from tests.conformance.test_objects import failure
from tests.conformance.test_patches import JSON_PATCH

STRATEGIC_PATCH = "application/strategic-merge-patch+json"
SELECTOR = {"matchLabels": {"app": "x"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["b", "a"]}]}
LABELS = {"app": "x", "tier": "a"}
POD = {"containers": [{"name": "c", "image": "i"}]}


async def deployment(rest: Rest, kind: str = "Deployment", plural: str = "deployments") -> tuple[str, Answer]:
    """Create a workload of three replicas; return its path and the answer."""
    template = {"metadata": {"labels": LABELS}, "spec": POD}
    spec: dict[str, Any] = {"replicas": 3, "selector": SELECTOR, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = "x"
    group = "apps/v1"
    if kind == "ReplicationController":
        group, spec["selector"] = "", LABELS
    made = await rest.post(rest.path(plural, group=group), {"metadata": {"name": "x"}, "spec": spec})
    assert made.status == 201, made.body
    return rest.path(plural, "x", group=group), made


@pytest.mark.parametrize(
    ("kind", "plural", "selector"),
    [
        ("Deployment", "deployments", "app=x,tier in (a,b)"),
        ("ReplicaSet", "replicasets", "app=x,tier in (a,b)"),
        ("StatefulSet", "statefulsets", "app=x,tier in (a,b)"),
        ("ReplicationController", "replicationcontrollers", "app=x,tier=a"),
    ],
)
async def test_the_scale_of_a_workload(rest: Rest, kind: str, plural: str, selector: str) -> None:
    """How many replicas there are to be, and are, and which Pods they are."""
    path, made = await deployment(rest, kind, plural)
    shown = await rest.get(f"{path}/scale")
    metadata = made.json["metadata"]

    assert shown.status == 200
    assert shown.json == {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        },
        "spec": {"replicas": 3},
        "status": {"replicas": 0, "selector": selector},
    }
    assert list(shown.json) == ["kind", "apiVersion", "metadata", "spec", "status"]
    assert list(shown.json["metadata"]) == ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]


@pytest.mark.parametrize(
    ("content_type", "patch", "replicas"),
    [
        (MERGE_PATCH, {"spec": {"replicas": 5}}, 5),
        (STRATEGIC_PATCH, {"spec": {"replicas": 5}}, 5),
        (JSON_PATCH, [{"op": "replace", "path": "/spec/replicas", "value": 5}], 5),
        (MERGE_PATCH, {"spec": None}, 0),
        (MERGE_PATCH, {"metadata": {"labels": {"a": "b"}}, "status": {"replicas": 9}}, 3),
    ],
)
async def test_a_scale_is_patched(rest: Rest, content_type: str, patch: Any, replicas: int) -> None:
    """Only the number of replicas changes, whatever else is said."""
    path, made = await deployment(rest)
    patched = await rest.patch(f"{path}/scale", patch, content_type)

    assert (patched.status, patched.json["kind"]) == (200, "Scale")
    assert patched.json["spec"].get("replicas", 0) == replicas
    assert patched.json["status"]["replicas"] == 0
    after = await rest.get(path)
    assert after.json["spec"]["replicas"] == replicas
    assert "labels" not in after.json["metadata"]
    assert after.version == patched.version
    if replicas != 3:  # otherwise kube-apiserver may still write another entry of managedFields
        assert int(patched.version) > int(made.version)
    assert after.json["metadata"]["generation"] == (1 if replicas == 3 else 2)


async def test_a_scale_is_replaced(rest: Rest) -> None:
    """In the version that was read, or in any."""
    path, made = await deployment(rest)
    scale = (await rest.get(f"{path}/scale")).json
    put = await rest.put(f"{path}/scale", scale | {"spec": {"replicas": 5}})

    assert (put.status, put.json["spec"]) == (200, {"replicas": 5})
    assert int(put.version) > int(made.version)
    stale = await rest.put(f"{path}/scale", scale | {"spec": {"replicas": 6}})
    assert failure(stale)[:2] == (409, "Conflict")
    blind = await rest.put(f"{path}/scale", {"metadata": {"name": "x"}, "spec": {"replicas": 0}})
    assert (blind.status, blind.json["spec"]) == (200, {})
    tried = await rest.request(
        "PUT", f"{path}/scale", {"metadata": {"name": "x"}, "spec": {"replicas": 7}}, query={"dryRun": "All"}
    )
    assert (tried.json["spec"], tried.version) == ({"replicas": 7}, blind.version)
    assert (await rest.get(path)).json["spec"]["replicas"] == 0


async def test_scales_that_cannot_be(rest: Rest) -> None:
    """A number below zero, another name, another uid, a missing object, another verb."""
    path, _ = await deployment(rest)
    negative = await rest.patch(f"{path}/scale", {"spec": {"replicas": -1}})
    status, reason, details = failure(negative)

    assert (status, reason, details["kind"], details["group"]) == (422, "Invalid", "Scale", "autoscaling")
    assert [(each["field"], each["reason"]) for each in details["causes"]] == [("spec.replicas", "FieldValueInvalid")]
    other = {"metadata": {"name": "y"}, "spec": {"replicas": 1}}
    assert failure(await rest.put(f"{path}/scale", other))[:2] == (400, "BadRequest")
    uid = {"metadata": {"name": "x", "uid": "other"}, "spec": {"replicas": 1}}
    assert failure(await rest.put(f"{path}/scale", uid))[:2] == (409, "Conflict")
    missing = rest.path("deployments", "y", "scale", group="apps/v1")
    assert (await rest.get(missing)).status == (await rest.patch(missing, {"spec": {"replicas": 1}})).status == 404
    assert (await rest.delete(f"{path}/scale")).status == 405
    assert (await rest.get(rest.path("configmaps", "x", "scale"))).status == 404


async def scaled_resource(rest: Rest) -> str:
    """Define Gadgets, which keep their size where they want; return their group and version."""
    group = f"{uuid.uuid4().hex[:8]}.example.com"
    scale = {
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}, "scale": scale},
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gadgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    made = await rest.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    assert made.status == 201, made.body
    async with asyncio.timeout(20):
        while (await rest.get(f"/apis/{group}/v1/gadgets")).status != 200:
            await asyncio.sleep(0.05)
    return f"{group}/v1"


async def test_the_scale_of_a_custom_object(rest: Rest) -> None:
    """By the paths of its definition."""
    gadgets = await scaled_resource(rest)
    path = rest.path("gadgets", "x", group=gadgets)
    obj = {"apiVersion": gadgets, "kind": "Gadget", "metadata": {"name": "x"}, "spec": {"size": 2, "a": 1}}
    made = await rest.post(rest.path("gadgets", group=gadgets), obj)
    assert made.status == 201, made.body
    await rest.patch(f"{path}/status", {"status": {"size": 1, "selector": "a=b"}})
    shown = (await rest.get(f"{path}/scale")).json
    assert (shown["apiVersion"], shown["spec"]) == ("autoscaling/v1", {"replicas": 2})
    assert shown["status"] == {"replicas": 1, "selector": "a=b"}

    patched = await rest.patch(f"{path}/scale", {"spec": {"replicas": 4}})
    assert (patched.status, patched.json["spec"]) == (200, {"replicas": 4})
    put = await rest.put(f"{path}/scale", patched.json | {"spec": {"replicas": 5}})
    assert (put.status, put.json["spec"]) == (200, {"replicas": 5})
    assert (await rest.get(path)).json["spec"] == {"size": 5, "a": 1}
    assert (await rest.patch(f"{path}/scale", {"spec": {"replicas": -1}})).status == 422
    await rest.patch(path, {"spec": {"size": None}})
    empty = await rest.get(f"{path}/scale")
    assert (empty.status, empty.json["reason"]) == (500, "InternalError")
    assert empty.json["message"] == 'Internal error occurred: the spec replicas field ".spec.size" does not exist'
    assert (await rest.patch(f"{path}/scale", {"spec": {"replicas": 1}})).json["spec"] == {"replicas": 1}


async def test_the_status_of_a_built_in_object(rest: Rest) -> None:
    """Is written apart, in each format; the rest of the object is left alone."""
    path, made = await deployment(rest)
    assert made.json.get("status", {}).get("replicas", 0) == 0
    status = {"status": {"replicas": 3, "readyReplicas": 2, "observedGeneration": 1}, "spec": {"replicas": 9}}
    reported = await rest.patch(f"{path}/status", status)
    assert (reported.json["status"]["readyReplicas"], reported.json["spec"]["replicas"]) == (2, 3)
    assert reported.json["metadata"]["generation"] == 1
    assert (await rest.get(f"{path}/scale")).json["status"]["replicas"] == 3

    body = reported.json | {"status": {"replicas": 1, "observedGeneration": 1}, "spec": {"replicas": 9}}
    put = await rest.put(f"{path}/status", body | {"spec": reported.json["spec"]})
    assert (put.json["status"]["replicas"], put.json["spec"]["replicas"]) == (1, 3)
    plain = await rest.patch(path, {"status": {"replicas": 7}})
    assert plain.version == put.version
    operations = [{"op": "replace", "path": "/status/replicas", "value": 2}]
    assert (await rest.patch(f"{path}/status", operations, JSON_PATCH)).json["status"]["replicas"] == 2
    assert (await rest.get(f"{path}/status")).json == (await rest.get(path)).json
    assert (await rest.delete(f"{path}/status")).status == 405
