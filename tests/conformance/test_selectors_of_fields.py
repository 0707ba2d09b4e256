"""Field selectors and patches: the embedded and the real server answer alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.rest import Answer, Rest
from tests.conformance.test_objects import failure

SPEC = {"containers": [{"name": "c", "image": "i"}]}


async def make(rest: Rest, path: str, obj: dict[str, Any]) -> Answer:
    made = await rest.post(path, obj)
    assert made.status == 201, made.body
    return made


async def found(rest: Rest, path: str, selector: str) -> list[str]:
    answer = await rest.get(path, fieldSelector=selector)
    assert answer.status == 200, answer.body
    return [item["metadata"]["name"] for item in answer.json["items"]]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("spec.nodeName=n1", ["a"]),
        ("spec.host=n1", ["a"]),
        ("spec.restartPolicy=Always", ["b"]),
        ("spec.restartPolicy=Never", ["a"]),
        ("spec.schedulerName=default-scheduler", ["b"]),
        ("spec.schedulerName!=mine", ["b"]),
        ("spec.serviceAccountName=robot", ["a"]),
        ("spec.hostNetwork=true", ["a"]),
        ("spec.hostNetwork=false", ["b"]),
        ("status.phase=Pending", ["b"]),
        ("status.phase=Running", ["a"]),
        ("status.podIP=10.0.0.1", ["a"]),
        ("status.podIPs=10.0.0.1", []),
        ("status.nominatedNodeName=n2", ["b"]),
        ("status.nominatedNodeName=", ["a"]),
        ("spec.nodeName=n1,metadata.name!=b", ["a"]),
    ],
)
async def test_fields_of_pods(rest: Rest, selector: str, names: list[str]) -> None:
    """Those that a Pod leaves out have the values that the server fills in."""
    spec = {
        **SPEC, "nodeName": "n1", "restartPolicy": "Never", "schedulerName": "mine", "serviceAccountName": "robot",
        "hostNetwork": True,
    }  # fmt: skip
    path = rest.path("pods")
    await make(rest, path, {"metadata": {"name": "a"}, "spec": spec})
    await make(rest, path, {"metadata": {"name": "b"}, "spec": SPEC})
    running = {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}
    for name, status in (("a", running), ("b", {"nominatedNodeName": "n2"})):
        patched = await rest.patch(f"{path}/{name}/status", {"status": status})
        assert patched.status == 200, patched.body

    assert await found(rest, path, selector) == names


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("involvedObject.kind=Pod", ["e"]),
        ("involvedObject.name=web,involvedObject.uid=u,involvedObject.apiVersion=v1", ["e"]),
        ("involvedObject.resourceVersion=7,involvedObject.fieldPath=spec", ["e"]),
        ("reason=Pulled,type=Normal,source=kubelet,reportingComponent=me", ["e"]),
        ("type=Warning", ["f"]),
        ("source=other", ["f"]),
        ("reason!=Pulled", ["f"]),
    ],
)
async def test_fields_of_events(rest: Rest, selector: str, names: list[str]) -> None:
    path, space = rest.path("events"), {"namespace": rest.namespace}
    reference = {"kind": "Pod", "name": "web", "uid": "u", "apiVersion": "v1", "resourceVersion": "7", **space}
    await make(rest, path, {
        "metadata": {"name": "e"}, "involvedObject": {**reference, "fieldPath": "spec"}, "reason": "Pulled",
        "type": "Normal", "source": {"component": "kubelet"}, "reportingComponent": "me", "reportingInstance": "i",
    })  # fmt: skip
    await make(rest, path, {
        "metadata": {"name": "f"}, "involvedObject": space, "reason": "Killed", "type": "Warning",
        "reportingComponent": "other", "reportingInstance": "i",
    })  # fmt: skip

    assert await found(rest, path, selector) == names


async def test_fields_of_other_kinds(rest: Rest) -> None:
    """Each kind has its own, with the server's defaults."""
    await make(rest, rest.path("secrets"), {"metadata": {"name": "o"}})
    await make(rest, rest.path("secrets"), {"metadata": {"name": "t"}, "type": "example.com/t"})
    assert await found(rest, rest.path("secrets"), "type=Opaque") == ["o"]
    assert await found(rest, rest.path("secrets"), "type!=Opaque") == ["t"]

    ports = [{"port": 80}]
    await make(rest, rest.path("services"), {"metadata": {"name": "h"}, "spec": {"clusterIP": "None", "ports": ports}})
    assert await found(rest, rest.path("services"), "spec.clusterIP=None,spec.type=ClusterIP") == ["h"]

    template = {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}
    controller = {"metadata": {"name": "r"}, "spec": {"replicas": 0, "template": template}}
    await make(rest, rest.path("replicationcontrollers"), controller)
    assert await found(rest, rest.path("replicationcontrollers"), "status.replicas=0") == ["r"]

    job = {"metadata": {"name": "j"}, "spec": {"template": {"spec": {**SPEC, "restartPolicy": "Never"}}}}
    await make(rest, rest.path("jobs", group="batch/v1"), job)
    assert await found(rest, rest.path("jobs", group="batch/v1"), "status.successful=0") == ["j"]

    mine = f"metadata.name={rest.namespace}"
    assert await found(rest, "/api/v1/namespaces", f"status.phase=Active,{mine}") == [rest.namespace]
    await make(rest, "/api/v1/nodes", {"metadata": {"name": rest.namespace}})
    assert await found(rest, "/api/v1/nodes", f"spec.unschedulable=false,{mine}") == [rest.namespace]
    assert (await rest.delete(f"/api/v1/nodes/{rest.namespace}")).status == 200


@pytest.mark.parametrize(
    ("path", "selector", "message"),
    [
        ("/api/v1/pods", "spec.color=red", "field label not supported: spec.color"),
        ("/api/v1/nodes", "metadata.namespace=a", "field label not supported: metadata.namespace"),
        ("/apis/batch/v1/jobs", "spec.color=red", 'field label "spec.color" not supported for Job'),
        (
            "/apis/apps/v1/replicasets",
            "status.replicas=0",
            '"status.replicas" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ("/api/v1/pods", "metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        ("/api/v1/pods", "a=b,zzz", "invalid selector: 'a=b,zzz'; can't understand 'zzz'"),
    ],
)
async def test_fields_that_cannot_be_selected_by(rest: Rest, path: str, selector: str, message: str) -> None:
    refused = await rest.get(path, fieldSelector=selector)
    assert failure(refused) == (400, "BadRequest", None)
    assert refused.json["message"] == message


async def test_cluster_scoped_kinds_without_fields_of_their_own_have_no_namespace(rest: Rest) -> None:
    """The server knows the field, and compares it with nothing."""
    assert await found(rest, "/apis/rbac.authorization.k8s.io/v1/clusterroles", "metadata.namespace=a") == []


async def test_fields_of_custom_resources(rest: Rest) -> None:
    widgets = await rest.custom_resource()
    await rest.widget(widgets, "x")
    path = rest.path("widgets", group=widgets)
    assert await found(rest, path, f"metadata.name=x,metadata.namespace={rest.namespace}") == ["x"]
    refused = await rest.get(path, fieldSelector="spec.color=red")
    assert failure(refused) == (400, "BadRequest", None)
    assert refused.json["message"] == "field label not supported: spec.color"


async def test_a_strategic_merge_patch_without_lists_is_a_merge_patch(rest: Rest) -> None:
    """Custom kinds have none of either sort."""
    await rest.configmap("x", a="1", b="2")
    strategic = "application/strategic-merge-patch+json"
    patch = {"metadata": {"labels": {"a": None, "c": "3"}}, "data": {"j": "w"}}
    patched = await rest.patch(rest.path("configmaps", "x"), patch, strategic)
    assert patched.status == 200
    assert (patched.json["metadata"]["labels"], patched.json["data"]) == ({"b": "2", "c": "3"}, {"k": "v", "j": "w"})

    widgets = await rest.custom_resource()
    await rest.widget(widgets, "x")
    refused = await rest.patch(rest.path("widgets", "x", group=widgets), {}, strategic)
    assert failure(refused)[:2] == (415, "UnsupportedMediaType")
    assert "accepted media types include: application/json-patch+json" in refused.json["message"]
