"""Gadgets: custom objects whose schema has lists and maps of every kind, to be applied and owned."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.conformance.rest import MERGE_PATCH, Answer, Rest

APPLY = "application/apply-patch+yaml"

TEXT = {"type": "string"}
STRUCT = {"type": "object", "properties": {"a": TEXT, "b": TEXT}}
TEXTS = {"type": "array", "items": TEXT}
ITEM = {
    "type": "object",
    "required": ["name", "port"],
    "properties": {
        "name": TEXT,
        "port": {"type": "integer"},
        "value": TEXT,
        "tags": {**TEXTS, "x-kubernetes-list-type": "set"},
    },
}
SPEC = {
    "type": "object",
    "properties": {
        "text": TEXT,
        "number": {"type": "integer"},
        "struct": STRUCT,
        "map": {"type": "object", "additionalProperties": TEXT},
        "structs": {"type": "object", "additionalProperties": STRUCT},
        "whole": {"type": "object", "additionalProperties": TEXT, "x-kubernetes-map-type": "atomic"},
        "list": TEXTS,
        "set": {**TEXTS, "x-kubernetes-list-type": "set"},
        "items": {
            "type": "array",
            "items": ITEM,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "port"],
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
CONDITION = {"type": "object", "required": ["type"], "properties": {"type": TEXT, "status": TEXT}}
STATUS = {
    "type": "object",
    "properties": {
        "phase": TEXT,
        "conditions": {
            "type": "array",
            "items": CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    },
}
SCHEMA = {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}


class Gadgets:
    """Custom objects with a schema, in the test's namespace."""

    def __init__(self, rest: Rest, group_version: str) -> None:
        self.rest = rest
        self.group_version = group_version

    @classmethod
    async def define(cls, rest: Rest, schema: Mapping[str, Any] = SCHEMA) -> Gadgets:
        group = f"{uuid.uuid4().hex[:8]}.example.com"
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema},
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
        return cls(rest, f"{group}/v1")

    def path(self, *more: str) -> str:
        return self.rest.path("gadgets", "x", *more, group=self.group_version)

    def obj(self, spec: Any = None, **fields: Any) -> dict[str, Any]:
        content = {} if spec is None else {"spec": spec}
        return {"apiVersion": self.group_version, "kind": "Gadget", "metadata": {"name": "x"}, **content, **fields}

    async def apply(self, manager: str, spec: Any = None, *, force: bool = False, **fields: Any) -> Answer:
        return await apply(self.rest, self.path(), self.obj(spec, **fields), manager, force=force)

    async def applied(self, manager: str, spec: Any = None, *, force: bool = False, **fields: Any) -> Answer:
        answer = await self.apply(manager, spec, force=force, **fields)
        assert answer.status in (200, 201), answer.body
        return answer

    async def patch(self, manager: str, patch: Any, content_type: str = MERGE_PATCH) -> Answer:
        query = {"fieldManager": manager}
        answer = await self.rest.request("PATCH", self.path(), patch, content_type=content_type, query=query)
        assert answer.status == 200, answer.body
        return answer


async def apply(rest: Rest, path: str, obj: Any, manager: str, *, force: bool = False, **query: str) -> Answer:
    query |= {"fieldManager": manager} | ({"force": "true"} if force else {})
    return await rest.request("PATCH", path, obj, content_type=APPLY, query=query)


def paths(fields: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the fields of ``fieldsV1``, with spaces between the elements of a path."""
    for element, below in fields.items():
        if element == ".":
            continue
        path = f"{prefix} {element.removeprefix('f:')}".strip()
        if not below or "." in below:
            yield path
        yield from paths(below, path)


def owners(answer: Answer) -> dict[str, set[str]]:
    """Who owns which fields: ``name/Operation`` or ``name/Operation/subresource``."""
    owned = {}
    for entry in answer.json["metadata"].get("managedFields", ()):
        assert entry["fieldsType"] == "FieldsV1"
        name = "/".join(filter(None, (entry["manager"], entry["operation"], entry.get("subresource"))))
        owned[name] = set(paths(entry["fieldsV1"]))
    return owned
