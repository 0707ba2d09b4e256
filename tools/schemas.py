"""Reads from OpenAPI documents how the lists and maps of built-in kinds are merged, for the embedded API server.

``tools/generate_resources.py --schema`` writes the result to ``aioinformers/testing/apiserver/schemas.json``: from a
real server, which it starts, or from a folder of documents such as ``api/openapi-spec/v3`` of the Kubernetes source.

The table names, per kind, its type, and per type the fields that are no leaves. What a field is, is a short text:

====================  ================================================================================================
``core.v1.PodSpec``   an object with the fields of a type; ``.`` if all fields of the type are leaves
``{…}``               an object with any keys, whose values are of the type in between, or leaves
``[name]…``           a list of objects, which are told apart by these keys; ``protocol=TCP`` is a key with a default
``[]``                a list of texts or numbers, each of which is there once
``-…``                a leaf, which has a type only for strategic merge patches
``*``                 an object without a schema
``…~name``            what comes before it is, in a strategic merge patch, merged by this key; ``~`` by the values
``…~!``               what comes before it is replaced as a whole by a strategic merge patch, although it is an object
====================  ================================================================================================

A field that is not named is a leaf: it is owned and written as a whole.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]

_PREFIX = "#/components/schemas/"
_SHORT = {
    "io.k8s.api.": "",
    "io.k8s.apimachinery.pkg.apis.": "",
    "io.k8s.apiextensions-apiserver.pkg.apis.": "",
    "io.k8s.kube-aggregator.pkg.apis.": "",
}
_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_LEAVES = ("io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.runtime.RawExtension")


class Table:
    """The types that kinds are made of, as far as they are reached.

    Args:
        schemas: The schemas of all types, by name.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self.schemas = schemas
        self.types: dict[str, dict[str, str]] = {}

    def type_of(self, name: str) -> str:
        """Return the short name of an object's type, and put it into the table; ``.`` if it has only leaves."""
        short = short_name(name)
        if short not in self.types:
            fields = self.types[short] = {}  # first of all, since types may contain themselves
            for field, schema in sorted(self.schemas[name].get("properties", {}).items()):
                if text := self.field(schema):
                    fields[field] = text
        return short if self.types[short] else "."

    def field(self, schema: Schema) -> str:
        """Return what a field is; empty for a leaf."""
        strategies = str(schema.get("x-kubernetes-patch-strategy", "")).split(",")
        text = self.shape(schema)
        if schema.get("type") == "array":
            if "merge" not in strategies:
                return text
            key = schema.get("x-kubernetes-patch-merge-key", "")
            return f"{text or '-' + self.element(schema)}~{key}"
        return f"{text}~!" if "replace" in strategies else text

    def shape(self, schema: Schema) -> str:
        """Return what is owned in a field; empty for a leaf."""
        if name := reference(schema):
            return self.shape_of_type(name, schema)
        if schema.get("x-kubernetes-map-type") == "atomic":
            return ""
        if schema.get("type") == "array":
            match schema.get("x-kubernetes-list-type", "atomic"):
                case "set":
                    return "[]"
                case "map":
                    keys = ",".join(self.key(schema["items"], key) for key in schema["x-kubernetes-list-map-keys"])
                    return f"[{keys}]{self.element(schema)}"
                case _:
                    return ""
        if schema.get("type") != "object":
            return ""
        values = schema.get("additionalProperties")
        if isinstance(values, Mapping):
            return f"{{{self.shape(values)}}}"
        assert not schema.get("properties"), f"a type within a type: {schema}"
        return "*"

    def shape_of_type(self, name: str, schema: Schema) -> str:
        """Return what is owned in a field of a type that has a name."""
        target = self.schemas[name]
        relation = schema.get("x-kubernetes-map-type", target.get("x-kubernetes-map-type"))
        if relation == "atomic" or name in _LEAVES or target.get("type") != "object":
            return ""
        return self.type_of(name) if target.get("properties") else self.shape(target)

    def element(self, schema: Schema) -> str:
        """Return what the items of a list are."""
        return self.shape(schema["items"])

    def key(self, items: Schema, key: str) -> str:
        """Return a key of a list, with the value that it has where an item leaves it out."""
        default = self.schemas[reference(items)]["properties"][key].get("default")
        return key if default in (None, "", 0) else f"{key}={default}"


def reference(schema: Schema) -> str:
    """Return the type that a schema names, also where it stands in ``allOf`` beside a description; empty for none."""
    for each in (schema, *schema.get("allOf", ())):
        if "$ref" in each:
            name: str = each["$ref"].removeprefix(_PREFIX)
            return name
    return ""


def short_name(name: str) -> str:
    """Return the name of a type without what most have in common."""
    for prefix, short in _SHORT.items():
        if name.startswith(prefix):
            return short + name.removeprefix(prefix)
    return name


def table_of(documents: Iterator[Schema]) -> str:
    """Return the text of the table, one kind or type a line."""
    schemas: dict[str, Schema] = {}
    for document in documents:
        schemas |= document.get("components", {}).get("schemas", {})
    table, kinds = Table(schemas), {}
    for name, schema in sorted(schemas.items()):
        if reference(schema.get("properties", {}).get("metadata", {})) != _METADATA:
            continue
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            api_version = f"{kind['group']}/{kind['version']}".lstrip("/")
            kinds[f"{api_version} {kind['kind']}"] = table.type_of(name)
    table.type_of(_METADATA)
    types = {name: fields for name, fields in table.types.items() if fields}
    parts = [f'"{title}":{{\n{lines(rows)}\n}}' for title, rows in (("kinds", kinds), ("types", types))]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def lines(rows: Mapping[str, Any]) -> str:
    """Return the rows of a table in JSON, one a line."""
    return ",\n".join(
        f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}" for name, row in sorted(rows.items())
    )


def documents_in(folder: Path) -> Iterator[Schema]:
    """Read the documents of a folder."""
    for path in sorted(folder.glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def documents_of_a_server() -> Iterator[Schema]:
    """Start a real API server, and ask it for its documents."""
    from tests.kit.realserver import ADMIN_TOKEN, RealAPIServer, find_binaries

    with RealAPIServer(find_binaries()) as server:
        context = ssl.create_default_context(cafile=server.ca_file)
        address = server.url.removeprefix("https://")
        connection = http.client.HTTPSConnection(address, timeout=60, context=context)

        def get(path: str) -> Schema:
            headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Accept": "application/json"}
            connection.request("GET", path, headers=headers)
            document: Schema = json.loads(connection.getresponse().read())
            return document

        for path in sorted(get("/openapi/v3")["paths"].values(), key=lambda each: each["serverRelativeURL"]):
            yield get(path["serverRelativeURL"])
        connection.close()
