"""Models from bytes, compared with ``ApiClient.deserialize`` attribute by attribute."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers import models
from aioinformers.models import model_decoder

ROOTS: list[type] = [
    client.V1Pod,
    client.V1Node,
    client.V1Deployment,
    client.V1Service,
    client.V1ConfigMap,
    client.V1Namespace,
    client.V1ReplicaSet,
    client.V1StatefulSet,
    client.V1DaemonSet,
    client.V1NetworkPolicy,  # with V1IPBlock and V1NetworkPolicyIngressRule: names that Python mangles
    client.V1CustomResourceDefinition,  # with V1JSONSchemaProps, which refers to itself
    client.V1PodList,
]


def reachable(roots: list[type]) -> list[type]:
    """Return the classes that the types of fields lead to."""
    found: dict[str, type] = {}
    waiting = [root.__name__ for root in roots]
    while waiting:
        name = waiting.pop()
        if name not in found and hasattr(client, name):
            found[name] = model = getattr(client, name)
            waiting += [word for type_ in model.openapi_types.values() for word in re.findall(r"\w+", type_)]
    return [found[name] for name in sorted(found)]


REACHABLE = reachable(ROOTS)
SCALARS = {
    "str": "text",
    "int": 7,
    "float": 1,
    "bool": True,
    "datetime": "2026-01-02T03:04:05Z",
    "object": {"any": [1, None, "x"]},
}


def full(type_name: str, depth: int = 0) -> Any:
    """Return JSON in which every field has a value; recursive classes end at some depth."""
    if type_name in SCALARS:
        return SCALARS[type_name]
    if match := re.fullmatch(r"list\[(.*)\]", type_name):
        return [full(match[1], depth), None, full(match[1], depth)]
    if match := re.fullmatch(r"dict\(str, (.*)\)", type_name):
        return {"one": full(match[1], depth), "none": None}
    model: Any = getattr(client, type_name)
    if depth > 7 or (depth and type_name == "V1JSONSchemaProps"):
        return {}
    return {model.attribute_map[name]: full(type_, depth + 1) for name, type_ in model.openapi_types.items()}


def deserialize(document: object, model: type) -> Any:
    """Do what the client does with a response."""
    api: Any = object.__new__(client.ApiClient)  # needs neither a session nor a loop for this
    return api.deserialize(SimpleNamespace(data=json.dumps(document)), model.__name__)


def decode(document: object, model: type, **filled: str) -> Any:
    return model_decoder(model, **filled)(json.dumps(document).encode())


def assert_same(ours: Any, theirs: Any, where: str = "") -> None:
    """Compare everything that instances store, private slots included."""
    if isinstance(theirs, datetime):
        assert ours == theirs, where
        assert ours.utcoffset() == theirs.utcoffset(), where
        return
    assert type(ours) is type(theirs), where
    if hasattr(theirs, "openapi_types"):
        assert vars(ours).keys() == vars(theirs).keys(), where
        for name, value in vars(theirs).items():
            if name != "local_vars_configuration":
                assert_same(vars(ours)[name], value, f"{where}.{name}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for index, value in enumerate(theirs):
            assert_same(ours[index], value, f"{where}[{index}]")
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), where
        for name, value in theirs.items():
            assert_same(ours[name], value, f"{where}[{name!r}]")
    else:
        assert ours == theirs, where


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its validation `deserialize` accepts objects that lack required fields."""
    configuration: Any = client.Configuration()
    configuration.client_side_validation = False
    monkeypatch.setattr(client.Configuration, "_default", configuration)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("model", REACHABLE, ids=lambda model: model.__name__)
def test_every_class_decodes_as_the_client_decodes_it(model: type) -> None:
    """Full objects, empty ones, and ones of nulls only, for each class reachable from the roots."""
    everything = full(model.__name__)
    for document in (everything, {}, dict.fromkeys(everything)):
        assert_same(decode(document, model), deserialize(document, model), model.__name__)


META = {
    "name": "web-1",
    "namespace": "prod",
    "uid": "0a1b",
    "resourceVersion": "42",
    "creationTimestamp": "2026-01-02T03:04:05Z",
    "generation": 3,
    "labels": {"app": "web"},
    "annotations": {"note": "ü\n", "empty": ""},
    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": True}],
    "managedFields": [
        {"manager": "m", "time": "2026-01-02T03:04:05Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:x": {}}}}
    ],
}
POD_SPEC = {
    "nodeName": "n1",
    "terminationGracePeriodSeconds": 30,
    "securityContext": {},
    "nodeSelector": None,
    "containers": [
        {
            "name": "web",
            "image": "web:1",
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
            "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "0.1"}},
            "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 5},
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
            "startupProbe": {"tcpSocket": {"port": 8080}},
            "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}},
        }
    ],
    "volumes": [{"name": "c", "configMap": {"name": "c", "defaultMode": 420}}, {"name": "e", "emptyDir": {}}],
    "tolerations": [{"operator": "Exists", "tolerationSeconds": 300}],
    "fieldOfTheFuture": {"deep": [1]},
}
TEMPLATE = {"metadata": {"labels": {"app": "web"}, "creationTimestamp": None}, "spec": POD_SPEC}
SELECTOR = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}
REAL: list[tuple[type, dict[str, Any]]] = [
    (
        client.V1Pod,
        {
            "spec": POD_SPEC,
            "status": {
                "phase": "Running",
                "startTime": "2026-01-02T03:04:05+02:00",
                "conditions": [
                    {
                        "type": "Ready", "status": "True",
                        "lastProbeTime": None, "lastTransitionTime": "2026-01-02T03:04:05Z",
                    }
                ],
                "containerStatuses": [
                    {
                        "name": "web", "image": "web:1", "imageID": "i", "ready": True, "restartCount": 0,
                        "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}},
                    }
                ],
            },
        },
    ),
    (
        client.V1Deployment,
        {
            "spec": {
                "replicas": 0,
                "selector": SELECTOR,
                "template": TEMPLATE,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
            },
            "status": {"observedGeneration": 3, "conditions": None},
        },
    ),
    (
        client.V1Node,
        {
            "spec": {"podCIDRs": ["10.0.0.0/24"], "taints": [{"key": "k", "effect": "NoSchedule", "timeAdded": None}]},
            "status": {
                "capacity": {"cpu": "4", "memory": "16Gi"},
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "images": [{"names": None, "sizeBytes": 12345678901}],
                "nodeInfo": {
                    "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
                    "kubeProxyVersion": "", "kubeletVersion": "v1.37.2", "machineID": "", "operatingSystem": "linux",
                    "osImage": "", "systemUUID": "",
                },
            },
        },
    ),
    (client.V1ConfigMap, {"data": {"a": "1", "b": ""}, "binaryData": {"c": "AAEC"}, "immutable": False}),
    (
        client.V1Service,
        {
            "spec": {
                "clusterIP": "None",
                "ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081, "nodePort": 30000}],
                "selector": {"app": "web"},
            },
            "status": {"loadBalancer": {}},
        },
    ),
    (
        client.V1StatefulSet,
        {
            "spec": {
                "serviceName": "web",
                "selector": SELECTOR,
                "template": TEMPLATE,
                "volumeClaimTemplates": [
                    {"metadata": {"name": "d"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}, "status": {}}
                ],
            },
            "status": {"replicas": 1},
        },
    ),
    (
        client.V1Lease,
        {"spec": {"renewTime": "2026-01-02T03:04:05.123456Z", "acquireTime": "2026-01-02T03:04:05.123456789Z"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model", "parts"), REAL, ids=[model.__name__ for model, _ in REAL])
def test_real_objects_decode_as_the_client_decodes_them(model: type, parts: dict[str, Any]) -> None:
    """With the client's validation on; `to_dict`, `==` and `repr` agree too."""
    document = {"apiVersion": "v1", "kind": model.__name__[2:], "metadata": META, **parts}
    ours, theirs = decode(document, model), deserialize(document, model)
    assert_same(ours, theirs, model.__name__)
    assert ours == theirs
    assert ours.to_dict() == theirs.to_dict()


def test_what_the_client_refuses_is_read() -> None:
    """Required fields may be missing or null, lists may hold nulls: `deserialize` raises, we do not."""
    document = {"metadata": None, "spec": {"containers": [None, {"name": None}], "volumes": None}, "status": {}}
    with pytest.raises(ValueError, match="must not be `None`"):
        deserialize(document, client.V1Pod)
    pod = decode(document, client.V1Pod)
    assert pod.metadata is None
    assert pod.spec.containers[0] is None
    assert pod.spec.containers[1].name is None
    assert pod.spec.volumes is None
    assert decode({"spec": {}}, client.V1Pod).spec.containers is None


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("str", 5, "5"),
        ("str", True, "True"),
        ("int", "5", 5),
        ("int", 5.0, 5),
        ("int", "five", "five"),
        ("int", [5], [5]),
        ("float", 1, 1.0),
        ("bool", 1, True),
        ("datetime", "2026-01-02", datetime(2026, 1, 2)),
        ("datetime", "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("datetime", "yesterday", "yesterday"),
        ("datetime", 5, 5),
        ("list[str]", ["a", 1, None], ["a", "1", None]),
        ("list[str]", 5, 5),
        ("dict(str, list[int])", {"a": ["1"], "b": None}, {"a": [1], "b": None}),
        ("dict(str, str)", ["a"], ["a"]),
        ("object", "25%", "25%"),
    ],
)
def test_scalars_convert_as_the_client_converts_them(
    monkeypatch: pytest.MonkeyPatch, type_name: str, value: object, expected: object
) -> None:
    """And what it cannot convert is kept as it came instead of raising."""
    monkeypatch.setattr(models, "_makers", {})
    monkeypatch.setattr(client.V1Preconditions, "openapi_types", {"uid": type_name})
    uid = decode({"uid": value}, client.V1Preconditions).uid
    assert uid == expected
    assert type(uid) is type(expected)


def test_a_value_of_another_kind_makes_an_empty_model() -> None:
    """As `deserialize` does."""
    pod = decode({"metadata": "text", "spec": 5}, client.V1Pod)
    assert pod.metadata == client.V1ObjectMeta()
    assert pod.spec.containers is None
    assert decode([], client.V1Pod) == client.V1Pod()


def test_kind_and_api_version_fill_gaps_only() -> None:
    """Items of a list have neither."""
    filled = {"kind": "Pod", "api_version": "v1"}
    for document in ({}, {"kind": None, "apiVersion": ""}):
        pod = decode(document, client.V1Pod, **filled)
        assert (pod.kind, pod.api_version) == ("Pod", document.get("apiVersion", "v1"))
    pod = decode({"kind": "Other", "apiVersion": "v2"}, client.V1Pod, **filled)
    assert (pod.kind, pod.api_version) == ("Other", "v2")
    assert decode({}, client.V1Pod).kind is None
    assert decode({}, client.V1Container, **filled) == decode({}, client.V1Container)  # has no such fields
    assert decode([], client.V1Pod, **filled).kind is None


def test_each_call_makes_an_object_of_its_own() -> None:
    """Changing one changes no other (G13)."""
    raw = json.dumps({"metadata": {"labels": {"a": "1"}}}).encode()
    make = model_decoder(client.V1Pod)
    first, second = make(raw), make(raw)
    first.metadata.labels["a"] = "2"
    first.metadata.name = "changed"
    assert second.metadata.labels == {"a": "1"}
    assert second.metadata.name is None
    assert make(raw) == second


def test_setters_follow_the_default_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """`local_vars_configuration` resolves when asked: it validates as long as the default does."""
    pod = decode({"spec": {"containers": []}}, client.V1Pod)
    pod.spec.containers = [client.V1Container(name="a")]
    with pytest.raises(ValueError, match="must not be `None`"):
        pod.spec.containers = None
    configuration: Any = client.Configuration()
    configuration.client_side_validation = False
    monkeypatch.setattr(client.Configuration, "_default", configuration)
    pod.spec.containers = None
    with pytest.raises(AttributeError):
        pod.local_vars_configuration.host = "changed for everybody"
    assert repr(pod.local_vars_configuration) == "<default configuration of kubernetes_asyncio.client>"


def test_pickles_and_copies_carry_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stock model pickles the default configuration, bearer token included (G16)."""
    configuration: Any = client.Configuration(api_key={"BearerToken": "s3cr3t"})
    monkeypatch.setattr(client.Configuration, "_default", configuration)
    pod = decode({"metadata": META, "spec": POD_SPEC}, client.V1Pod)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(pod, protocol)
        assert b"s3cr3t" not in data
        loaded = pickle.loads(data)
        assert_same(loaded, pod)
        assert loaded.spec.local_vars_configuration is pod.local_vars_configuration
        loaded.metadata.name = "setters work"
    copied = copy.deepcopy(pod)
    assert_same(copied, pod)
    assert copied.local_vars_configuration is pod.local_vars_configuration


class OwnPod(client.V1Pod):
    """A user's subclass, with a constructor of another shape."""

    def __init__(self, name: str) -> None:
        super().__init__(metadata=client.V1ObjectMeta(name=name))

    @property
    def title(self) -> str:
        return f"pod {self.metadata.name}"


def test_a_subclass_of_a_model_keeps_its_class() -> None:
    """The tables come from the model, the instance is the subclass's, its constructor is not called."""
    pod = model_decoder(OwnPod)(b'{"metadata":{"name":"web"}}')
    assert type(pod) is OwnPod
    assert pod.title == "pod web"
    assert type(pod.metadata) is client.V1ObjectMeta


def test_only_generated_models_are_compiled() -> None:
    """Other classes are refused by name, also a second time."""
    for _ in range(2):
        with pytest.raises(TypeError, match="dict is no generated model"):
            model_decoder(dict)


def test_bytes_that_are_no_json_raise() -> None:
    """The machinery counts them as one bad object (G11)."""
    with pytest.raises(msgspec.DecodeError):
        model_decoder(client.V1Pod)(b'{"metadata":')


def test_threads_that_compile_at_once_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees a table that is still filling."""
    document = full("V1Pod")
    expected = decode(document, client.V1Pod)
    monkeypatch.setattr(models, "_makers", {})
    start, results = threading.Barrier(4), []

    def work() -> None:
        start.wait()
        results.append(decode(document, client.V1Pod))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result == expected for result in results] == [True] * 4


def test_the_client_is_not_imported() -> None:
    """Its package loads 767 modules; that is the user's choice."""
    code = "import sys, aioinformers.models; print([name for name in sys.modules if name.startswith('kubernetes')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
