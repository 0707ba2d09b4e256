"""How the parts of objects are merged, as the table and the schemas of custom resources say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aioinformers.testing.apiserver import schemas
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, Resources
from aioinformers.testing.apiserver.schemas import ANYTHING, Form, Shape, Strategy, shape_of
from aioinformers.types import GroupVersionResource

RESOURCES = Resources(DEFAULT_RESOURCES)
ROOT = Path(__file__).resolve().parents[3]
TABLE = Path(schemas.__file__).with_name("schemas.json")


def at(shape: Shape, *names: str) -> Shape:
    for name in names:
        shape = shape.item() if name == "[]" else shape.at(name)
    return shape


def custom(schema: Any) -> Shape:
    gvr = GroupVersionResource("example.com", "v1", "widgets")
    return shape_of(Resource(gvr=gvr, kind="Widget", custom=True, schema=schema))


@pytest.mark.parametrize(
    ("kind", "path", "form", "keys", "merge_key"),
    [
        ("pods", "spec.containers", Form.LIST, ("name",), "name"),
        ("pods", "spec.containers.[].ports", Form.LIST, ("containerPort", "protocol"), "containerPort"),
        ("pods", "spec.containers.[].env", Form.LIST, ("name",), "name"),
        ("pods", "spec.containers.[].args", Form.LEAF, (), ""),
        ("pods", "spec.containers.[].resources.limits", Form.MAP, (), ""),
        ("pods", "spec.nodeSelector", Form.LEAF, (), ""),
        ("pods", "spec.tolerations", Form.LEAF, (), ""),
        ("pods", "spec.topologySpreadConstraints", Form.LIST, ("topologyKey", "whenUnsatisfiable"), "topologyKey"),
        ("pods", "status.conditions", Form.LIST, ("type",), "type"),
        ("pods", "status.hostIPs", Form.LEAF, (), "ip"),
        ("deployments", "spec.selector", Form.LEAF, (), ""),
        ("deployments", "spec.template.spec.volumes", Form.LIST, ("name",), "name"),
        ("deployments", "spec.strategy.rollingUpdate", Form.STRUCT, (), ""),
        ("services", "spec.ports", Form.LIST, ("port", "protocol"), "port"),
        ("configmaps", "data", Form.MAP, (), ""),
        ("configmaps", "metadata.labels", Form.MAP, (), ""),
        ("configmaps", "metadata.finalizers", Form.SET, (), ""),
        ("configmaps", "metadata.ownerReferences", Form.LIST, ("uid",), "uid"),
        ("configmaps", "metadata.managedFields", Form.LEAF, (), ""),
        ("configmaps", "metadata.labels.x", Form.LEAF, (), ""),
        ("configmaps", "metadata.labels.x.y", Form.LEAF, (), ""),
    ],
)
def test_built_in_kinds(kind: str, path: str, form: Form, keys: tuple[str, ...], merge_key: str) -> None:
    shape = at(shape_of(RESOURCES.resolve(kind)), *path.split("."))

    assert (shape.form, shape.keys, shape.merge_key) == (form, keys, merge_key)


def test_defaults_and_strategies() -> None:
    """What is said of few fields."""
    ports = at(shape_of(RESOURCES.resolve("services")), "spec", "ports")
    selector = at(shape_of(RESOURCES.resolve("pdb")), "spec", "selector")
    finalizers = at(shape_of(RESOURCES.resolve("pods")), "metadata", "finalizers")

    assert ports.defaults == {"protocol": "TCP"}
    assert ports.strategy is finalizers.strategy is Strategy.MERGE
    assert selector.strategy is Strategy.REPLACE


def test_some_built_in_objects_have_no_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of those that are served by default, so far."""
    table = schemas._Table(kinds={"v1 Free": "v1.Free"}, types={"v1.Free": {"spec": "*"}})
    monkeypatch.setattr(schemas, "_table", lambda: table)
    free = Resource(gvr=GroupVersionResource("", "v1", "frees"), kind="Free")
    assert at(shape_of(free), "spec") is ANYTHING


def test_the_table_has_every_kind_that_is_served_and_no_more_than_needed() -> None:
    for resource in DEFAULT_RESOURCES:
        assert shape_of(resource).at("metadata").names("labels"), resource
        assert shape_of(resource).others is None, f"{resource.kind} is not in the table"
    assert TABLE.stat().st_size <= 60_000


def test_kinds_that_are_not_in_the_table_have_metadata() -> None:
    gvr = GroupVersionResource("example.com", "v1", "widgets")
    for shape in (shape_of(Resource(gvr=gvr, kind="Widget")), custom(None), custom({"type": "object"})):
        assert at(shape, "metadata", "finalizers").form is Form.SET
        assert at(shape, "spec") is ANYTHING
        assert at(shape, "spec", "x", "y") is ANYTHING
        assert not shape.names("spec")


def test_custom_kinds_have_their_own_schema() -> None:
    text = {"type": "string"}
    item = {"type": "object", "properties": {"name": text, "port": {"type": "integer", "default": 80}, "x": text}}
    lists = {
        "plain": {"type": "array", "items": text},
        "set": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
        "map": {
            "type": "array", "items": item,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
        },
    }  # fmt: skip
    maps = {
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"list": lists["set"]}}},
        "atomic": {"type": "object", "properties": {"x": text}, "x-kubernetes-map-type": "atomic"},
        "free": {"type": "object"},
        "text": text,
        "both": {"x-kubernetes-int-or-string": True},
        "any": {"x-kubernetes-preserve-unknown-fields": True},
    }
    spec = {"type": "object", "properties": {"lists": {"type": "object", "properties": lists}, **maps}}
    shape = custom({"type": "object", "properties": {"spec": spec, "metadata": {"type": "object"}}})

    assert at(shape, "metadata", "labels").form is Form.MAP
    for path, form in (
        ("lists.plain", Form.LEAF), ("lists.set", Form.SET), ("lists.map", Form.LIST), ("lists.map.[]", Form.STRUCT),
        ("map", Form.MAP), ("map.[].list", Form.SET), ("atomic", Form.LEAF), ("free", Form.MAP), ("text", Form.LEAF),
        ("both", Form.LEAF), ("any", Form.MAP), ("unknown", Form.LEAF),
    ):  # fmt: skip
        assert at(shape, "spec", *path.split(".")).form is form, path
    assert [at(shape, "spec", name).typed for name in ("map", "lists", "text", "both", "any")] == [
        "object", "object", "", "", "",
    ]  # fmt: skip
    assert at(shape, "spec", "lists", "plain").typed == "array"
    assert (
        custom({"properties": {"spec": {"type": "object", "nullable": True}}, "type": "object"}).at("spec").typed == ""
    )
    keyed = at(shape, "spec", "lists", "map")
    assert (keyed.keys, keyed.defaults) == (("name", "port"), {"port": 80})


def test_what_is_preserved_is_preserved_below() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "string"}}}
    spec = {"type": "object", "properties": {"inner": inner}, "x-kubernetes-preserve-unknown-fields": True}
    shape = custom({"type": "object", "properties": {"spec": spec, "status": inner}})

    assert at(shape, "spec", "other") is ANYTHING
    assert at(shape, "spec", "inner", "other") is ANYTHING
    assert at(shape, "status", "other").form is Form.LEAF


# -- the generator -------------------------------------------------------------------------------------------

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def ref(name: str, **more: Any) -> dict[str, Any]:
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}], **more}


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "generate_resources.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_table_is_made_of_openapi_documents(tmp_path: Path) -> None:
    """With what is merged, and nothing of leaves and of what no kind reaches."""
    text, lists = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    keys = {"port": {"type": "integer", "default": 0}, "protocol": {**text, "default": "TCP"}}
    port = {"type": "object", "properties": keys}
    spec = {
        "text": text,
        "atomic": lists,
        "set": {**lists, "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"},
        "ports": {
            "type": "array", "items": ref("io.k8s.api.a.v1.Port"), "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"], "x-kubernetes-patch-strategy": "merge,retainKeys",
            "x-kubernetes-patch-merge-key": "port",
        },
        "hosts": {
            "type": "array", "items": ref("io.k8s.api.a.v1.Port"), "x-kubernetes-list-type": "atomic",
            "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "port",
        },
        "labels": {"type": "object", "additionalProperties": text},
        "nested": {"type": "object", "additionalProperties": ref("io.k8s.api.a.v1.Spec")},
        "selector": ref("io.k8s.api.a.v1.Selector", **{"x-kubernetes-patch-strategy": "replace"}),
        "port": ref("io.k8s.api.a.v1.Port"),
        "free": {"type": "object"},
        "whole": {"type": "object", "additionalProperties": text, "x-kubernetes-map-type": "atomic"},
    }  # fmt: skip
    kind = {
        "type": "object",
        "properties": {"metadata": ref(META), "spec": ref("io.k8s.api.a.v1.Spec")},
        "x-kubernetes-group-version-kind": [{"group": "a", "version": "v1", "kind": "A"}],
    }
    schemas = {
        META: {"type": "object", "properties": {"labels": {"type": "object", "additionalProperties": text}}},
        "io.k8s.api.a.v1.A": kind,
        "io.k8s.api.a.v1.Spec": {"type": "object", "properties": spec},
        "io.k8s.api.a.v1.Port": port,
        "io.k8s.api.a.v1.Selector": {"type": "object", "properties": {"x": lists}, "x-kubernetes-map-type": "atomic"},
        "io.k8s.api.a.v1.Unused": {"type": "object", "properties": {"labels": spec["labels"]}},
    }
    (tmp_path / "a.json").write_text(json.dumps({"components": {"schemas": schemas}}))
    done = generate("--print", "--schema", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.partition("\n")[2]) == {
        "kinds": {"a/v1 A": "a.v1.A"},
        "types": {
            "a.v1.A": {"metadata": "meta.v1.ObjectMeta", "spec": "a.v1.Spec"},
            "a.v1.Spec": {
                "free": "*",
                "hosts": "-.~port",
                "labels": "{}",
                "nested": "{a.v1.Spec}",
                "port": ".",
                "ports": "[port,protocol=TCP].~port",
                "selector": "~!",
                "set": "[]~",
            },
            "meta.v1.ObjectMeta": {"labels": "{}"},
        },
    }


@pytest.mark.realserver
@pytest.mark.slow
def test_the_table_is_what_a_real_server_says() -> None:
    done = generate("--check", "--schema")
    assert (done.returncode, done.stderr) == (0, "")
