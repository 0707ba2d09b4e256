"""Paths against the models of built-in kinds."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers.errors import InvalidPathError
from aioinformers.objects.paths import MAX_STEPS, parse_path
from aioinformers.objects.schemas import Schema

POD = Schema("Pod", lambda: client.V1Pod, lambda: client.V1ObjectMeta)
WIDGET = Schema("widgets", None, lambda: client.V1ObjectMeta)
CRD = Schema("CustomResourceDefinition", lambda: client.V1CustomResourceDefinition, lambda: client.V1ObjectMeta)


def check(schema: Schema, text: str, *, is_value: bool = True) -> None:
    schema.check(text, parse_path(text), is_value=is_value)


@pytest.mark.parametrize(
    "text",
    [
        "kind",
        "apiVersion",
        "metadata.name",
        "metadata.labels['app.kubernetes.io/name']",
        "metadata.annotations.note",
        "metadata.ownerReferences[].uid",
        "metadata.finalizers",
        "metadata.finalizers[]",
        "metadata.creationTimestamp",
        "metadata.managedFields[].fieldsV1.anything[].below",
        "spec.nodeName",
        "spec.containers[].image",
        "spec.containers[].ports[].containerPort",
        "spec.containers[].resources.limits.cpu",
        "spec.nodeSelector.zone",
        "status.conditions[].type",
        "status.podIPs[].ip",
    ],
)
def test_paths_that_a_pod_has(text: str) -> None:
    check(POD, text)


REFUSED = [
    ("spec.node_name", 4, "Pod.spec has no field 'node_name': did you mean spec.nodeName?"),
    ("spec.nodename", 4, "Pod.spec has no field 'nodename': did you mean spec.nodeName?"),
    ("status.podIps[].ip", 6, "Pod.status has no field 'podIps': did you mean status.podIPs?"),
    ("Spec.nodeName", 0, "Pod has no field 'Spec': did you mean spec?"),
    ("metadata.label.app", 8, "Pod.metadata has no field 'label': did you mean metadata.labels?"),
    ("spec.containers.image", 15, "that is a list: write spec.containers[].image"),
    (
        "spec.containers[].Image",
        17,
        "spec.containers[] has no field 'Image': did you mean spec.containers[].image?",
    ),
    ("spec[].nodeName", 4, "that is no list but an object with the fields "),
    ("spec.nodeName[]", 13, "that is no list but a text"),
    ("spec.nodeName.first", 13, "that is a text: it has no parts"),
    ("metadata.creationTimestamp.day", 26, "that is a time: it has no parts"),
    ("spec", 4, "that is no value but an object with the fields "),
    ("spec.containers", 15, "that is no value but a list, each of whose elements is an object with the fields "),
    ("metadata.labels", 15, "that is no value but an object: name one of its keys, as in metadata.labels['app']"),
]


@pytest.mark.parametrize(("text", "position", "problem"), REFUSED)
def test_paths_that_lead_nowhere_are_refused_with_the_near_name(text: str, position: int, problem: str) -> None:
    with pytest.raises(InvalidPathError) as caught:
        check(POD, text)
    assert problem in caught.value.problem
    assert abs(caught.value.position - position) <= len(text.rpartition(".")[2]) + 1


def test_what_no_model_knows_may_be_newer_than_the_client(caplog: pytest.LogCaptureFixture) -> None:
    """It is said, as it may as well be a mistake."""
    check(POD, "spec.replicas")
    check(POD, "spec.frobnication.deep[].er")
    assert [record.getMessage() for record in caplog.records] == [
        "spec.replicas: the client's models know no field replicas of Pod.spec; a newer server may",
        "spec.frobnication.deep[].er: the client's models know no field frobnication of Pod.spec; a newer server may",
    ]


@pytest.mark.parametrize("text", ["spec", "spec.containers", "metadata.labels", "status.conditions[]"])
def test_what_is_compared_may_be_anything(text: str) -> None:
    check(POD, text, is_value=False)


def test_of_a_custom_kind_the_metadata_are_known() -> None:
    check(WIDGET, "spec.anything[].goes")
    check(WIDGET, "whatever")
    check(WIDGET, "metadata.name")
    with pytest.raises(
        InvalidPathError, match=r"widgets.metadata has no field 'lables': did you mean metadata.labels\?"
    ):
        check(WIDGET, "metadata.lables.app")


def test_what_the_model_leaves_open_is_open() -> None:
    check(CRD, "spec.versions[].schema.openAPIV3Schema.properties.spec.type")
    check(CRD, "spec.versions[].schema.openAPIV3Schema.default.x[].y")


def test_every_model_of_a_kind_can_be_walked() -> None:
    """Each leaf of every built-in kind, three levels deep, passes as a path."""
    from aioinformers.resources import kinds

    def leaves(model: Any, before: str, depth: int) -> list[str]:
        found = []
        for name, type_name in model.openapi_types.items():
            path = f"{before}{model.attribute_map[name]}"
            inner = getattr(client, type_name, None)
            if type_name in ("str", "int", "bool", "datetime"):
                found.append(path)
            elif depth and hasattr(inner, "openapi_types"):
                found += leaves(inner, f"{path}.", depth - 1)
        return found

    checked = 0
    for kind in kinds():
        if kind.model is not None:
            model = getattr(client, kind.model)
            schema = Schema(kind.kind, functools.partial(getattr, client, kind.model), lambda: client.V1ObjectMeta)
            for text in leaves(model, "", 3):
                check(schema, f"['{text}']" if text.startswith("$") else text)
                checked += 1
    assert checked > 2000


def test_g8_a_path_has_an_end() -> None:
    parse_path(".".join(["a"] * MAX_STEPS))
    with pytest.raises(InvalidPathError, match=f"more than {MAX_STEPS} steps"):
        parse_path(".".join(["a"] * 2000))
