"""Models from bytes, compared with ``ApiClient.deserialize`` attribute by attribute."""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers.objects import models
from aioinformers.objects.models import model_decoder
from tests.kit.stock import assert_same, decode, deserialize, full, kinds, known, reachable, sanitize

KINDS = kinds()
REACHABLE = reachable(KINDS)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its validation `deserialize` accepts objects that lack required fields."""
    configuration: Any = client.Configuration()
    configuration.client_side_validation = False
    monkeypatch.setattr(client.Configuration, "_default", configuration)


def test_the_number_of_models_compared() -> None:
    """Every kind that the client can list, and every class that these lead to."""
    if importlib.metadata.version("kubernetes_asyncio").startswith("36."):
        assert (len(KINDS), len(REACHABLE)) == (88, 622)
    assert len(REACHABLE) > len(KINDS) > 60


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("model", REACHABLE, ids=lambda model: model.__name__)
def test_every_class_decodes_as_the_client_decodes_it(model: type) -> None:
    """Full objects, empty ones, and ones of nulls only, for each class that a kind leads to."""
    everything = full(model.__name__)
    for document in (everything, {}, dict.fromkeys(everything)):
        assert_same(decode(document, model), deserialize(document, model), model.__name__)


ODD_VALUES: list[Any] = ["text", "5", "2026-01-02", 5, 7.0, 1.5, True, [], ["a", None], {}, {"a": "b"}, None]


def variants(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Leave each field out and give it each odd value, at the top and one level below, the rest being absent."""
    parts = {name: value for name, value in document.items() if isinstance(value, dict)}
    for part, fields in ((None, document), *parts.items()):
        for name, right in fields.items():
            fitting = [value for value in ODD_VALUES if not is_taken_apart(right, value)]
            for changed in ({}, *({name: value} for value in fitting)):
                yield {part: changed} if part else changed


def is_taken_apart(right: Any, value: Any) -> bool:
    """Tell whether `deserialize` makes a list of characters or keys, because a list belongs there."""
    if isinstance(right, dict) and isinstance(value, dict):
        return any(is_taken_apart(right.get("one"), inner) for inner in value.values())
    return isinstance(right, list) and isinstance(value, str | dict)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.__name__)
def test_odd_values_convert_as_the_client_converts_them(model: type) -> None:
    """Where `deserialize` raises, ours are read all the same."""
    compared = 0
    for document in variants(full(model.__name__)):
        ours: Any = decode(document, model)
        ours.to_dict()
        try:
            theirs = deserialize(document, model)
        except (AttributeError, KeyError, TypeError, ValueError, client.ApiException):
            continue
        assert_same(ours, theirs, json.dumps(document))
        compared += 1
    assert compared > 50


def test_what_stands_in_the_place_of_a_list_is_kept() -> None:
    """The one difference that is meant: `deserialize` makes a list of a string's characters, or of an object's keys."""
    for value in ("ab", {"a": 1}):
        document = {"metadata": {"finalizers": value}}
        assert deserialize(document, client.V1Pod).metadata.finalizers == list(value)
        assert decode(document, client.V1Pod).metadata.finalizers == value


RECORDED = {
    path.name.removesuffix(".json"): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent.parent / "data" / "recorded").glob("*.json"))
}


def model_of(document: dict[str, Any]) -> type:
    """Return the client's class of an object."""
    group, _, version = document["apiVersion"].rpartition("/")
    name = version.capitalize() + document["kind"]
    found: type = getattr(client, name, None) or getattr(
        client, (group.partition(".")[0] or "core").capitalize() + name
    )
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_objects_decode_as_the_client_decodes_them(name: str) -> None:
    """What a real server sent, read with the client's validation on, and what would be sent back to it."""
    document = RECORDED[name]
    model = model_of(document)
    ours, theirs = decode(document, model), deserialize(document, model)
    assert_same(ours, theirs, name)
    assert ours == theirs
    assert theirs == ours
    assert ours.to_dict() == theirs.to_dict()
    assert sanitize(decode(document, model)) == sanitize(theirs)
    assert sanitize(ours) == known(document, model.__name__)


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
        {"spec": {"renewTime": "2026-01-02T03:04:05.123456Z", "acquireTime": "2026-01-02T03:04:05.12Z"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model", "parts"), REAL, ids=[model.__name__ for model, _ in REAL])
def test_objects_of_old_and_new_servers_decode_as_the_client_decodes_them(model: type, parts: dict[str, Any]) -> None:
    """With nulls and fields that no model has, and the client's validation on."""
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


class Odd(client.V1Preconditions):
    """A model whose one attribute may be of any type."""

    __module__ = client.V1Preconditions.__module__


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "in a list"])
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
        ("datetime", "2026-01-02T03:04:05.9999994Z", datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=UTC)),
        ("datetime", "yesterday", "yesterday"),
        ("datetime", 5, 5),
        ("list[str]", ["a", 1, None], ["a", "1", None]),
        ("list[str]", 5, 5),
        ("dict(str, list[int])", {"a": ["1"], "b": None}, {"a": [1], "b": None}),
        ("dict(str, str)", ["a"], ["a"]),
        ("object", "25%", "25%"),
        ("V1NoSuchModel", {"a": [1]}, {"a": [1]}),
        ("list[V1NoSuchModel]", [{"a": [1]}, None], [{"a": [1]}, None]),
    ],
)
def test_scalars_convert_as_the_client_converts_them(
    type_name: str, value: object, expected: object, wrapped: bool
) -> None:
    """What it cannot convert is kept as it came instead of raising, and so is what has a type that the client lacks."""
    if wrapped:
        type_name, value, expected = f"list[{type_name}]", [value], [expected]
    model = type("Odd", (Odd,), {"openapi_types": {"uid": type_name}, "__module__": Odd.__module__})
    uid = decode({"uid": value}, model).uid
    assert uid == expected
    assert type(uid) is type(expected)


def test_one_odd_value_spoils_no_other() -> None:
    """Around it everything converts as ever, on each level."""
    document = {
        "kind": 5,
        "metadata": {"name": 5, "generation": "7", "labels": {"a": 1}, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {"nodeName": "n1", "containers": [{"name": "a", "tty": 1, "ports": [{"containerPort": "80"}]}]},
        "status": "none",
    }
    pod = decode(document, client.V1Pod)
    assert pod.kind == "5"
    assert (pod.metadata.name, pod.metadata.generation, pod.metadata.labels) == ("5", 7, {"a": "1"})
    assert pod.metadata.creation_timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert pod.spec.node_name == "n1"
    assert (pod.spec.containers[0].name, pod.spec.containers[0].tty) == ("a", True)
    assert pod.spec.containers[0].ports[0].container_port == 80
    assert pod.status == client.V1PodStatus()


def test_a_value_of_another_kind_makes_an_empty_model() -> None:
    """As `deserialize` does."""
    pod = decode({"metadata": "text", "spec": 5}, client.V1Pod)
    assert pod.metadata == client.V1ObjectMeta()
    assert pod.spec.containers is None
    assert decode([], client.V1Pod) == client.V1Pod()


@pytest.mark.parametrize(
    ("model", "raw", "read", "expected"),
    [
        (client.V1ConfigMap, b'{"data":{"n":1e999,"m":"1"}}', lambda obj: obj.data, {"n": "inf", "m": "1"}),
        (client.V1ConfigMap, b'{"data":{"n":%s}}' % (b"9" * 5000), lambda obj: obj.data, {"n": "inf"}),
        (client.V1ConfigMap, b'{"kind":-1e999,"data":{}}', lambda obj: obj.kind, "-inf"),
        (client.V1Pod, b'{"spec":{"priority":1e999}}', lambda obj: obj.spec.priority, float("inf")),
        (client.V1Pod, b'{"spec":{"priority":1e999,"nodeName":"n1"}}', lambda obj: obj.spec.node_name, "n1"),
        (client.V1Pod, b'{"metadata":{"generation":1e999}}', lambda obj: obj.metadata.generation, float("inf")),
        (client.V1ControllerRevision, b'{"data":{"n":[1e999]}}', lambda obj: obj.data, {"n": [float("inf")]}),
        (client.V1Pod, b'{"unknown":1e999,"kind":"Pod"}', lambda obj: obj.kind, "Pod"),
    ],
)
def test_g11_a_number_beyond_pythons_makes_no_read_raise(
    model: type, raw: bytes, read: Callable[[Any], Any], expected: Any
) -> None:
    """It is infinite, and then converted as any other."""
    assert read(model_decoder(model)(raw)) == expected


def test_a_text_too_long_for_a_time_is_kept_at_once() -> None:
    text = "1 " * 500_000
    assert decode({"metadata": {"creationTimestamp": text}}, client.V1Pod).metadata.creation_timestamp == text


def deep_schema(levels: int, inner: bytes) -> bytes:
    return b'{"not":' * levels + inner + b"}" * levels


@pytest.mark.parametrize("levels", [10, 300, 850])
@pytest.mark.parametrize("inner", [b'{"type":"string"}', b'{"type":5}', b'{"minimum":1e999}'])
def test_g11_models_are_read_however_deep_they_are(levels: int, inner: bytes) -> None:
    """Schemas contain schemas. Where something is odd deep below, what cannot be converted is kept as it came."""
    version = b'{"name":"v1","schema":{"openAPIV3Schema":%s}}' % deep_schema(levels, inner)
    raw = b'{"spec":{"group":"example.com","versions":[%s]}}' % version

    def read(calls: int) -> Any:
        if calls:
            return read(calls - 1)
        spec = model_decoder(client.V1CustomResourceDefinition)(raw).spec
        assert spec.group == "example.com"
        return spec.versions[0]

    for calls in (0, 400):
        schema: Any = read(calls)
        if not isinstance(schema, dict):
            schema = schema.schema.open_apiv3_schema
        else:  # as it came
            assert levels > 10
            schema = schema["schema"]["openAPIV3Schema"]
        for _ in range(levels):
            schema = schema["not"] if isinstance(schema, dict) else schema._not
        assert schema is not None


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
    assert decode({"kind": 5}, client.V1Pod, **filled).kind == "5"


class OwnPod(client.V1Pod):
    """A user's subclass, with a constructor of another shape."""

    def __init__(self, name: str) -> None:
        super().__init__(metadata=client.V1ObjectMeta(name=name))

    @property
    def title(self) -> str:
        return f"pod {self.metadata.name}"


def test_a_subclass_of_a_model_keeps_its_class() -> None:
    """The attributes come from the model, the instance is the subclass's, its constructor is not called."""
    pod = model_decoder(OwnPod)(b'{"metadata":{"name":"web"}}')
    assert isinstance(pod, OwnPod)
    assert type(pod).__qualname__ == "OwnPod"
    assert pod.title == "pod web"
    assert isinstance(pod.metadata, client.V1ObjectMeta)
    loaded = pickle.loads(pickle.dumps(pod))
    assert isinstance(loaded, OwnPod)
    assert loaded.title == "pod web"


def test_only_generated_models_are_compiled() -> None:
    """Other classes are refused by name, also a second time."""
    for _ in range(2):
        with pytest.raises(TypeError, match="dict is no generated model"):
            model_decoder(dict)


def test_threads_that_generate_at_once_get_the_same_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees a class that is still filling."""
    document = full("V1Pod")
    expected = decode(document, client.V1Pod).to_dict()
    monkeypatch.setattr(models, "_classes", {})
    start, results = threading.Barrier(4), []

    def work() -> None:
        start.wait()
        results.append(decode(document, client.V1Pod))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.to_dict() == expected for result in results] == [True] * 4
    assert len({type(result) for result in results}) == 1
    assert len({type(result.spec.containers[0]) for result in results}) == 1


def test_the_client_is_not_imported() -> None:
    """Its package loads 767 modules; that is the user's choice."""
    code = (
        "import sys, aioinformers.objects.models\n"
        "print([name for name in sys.modules if name.startswith('kubernetes')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
