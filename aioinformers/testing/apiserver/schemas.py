"""How the parts of an object are owned and merged: by a table for built-in kinds, by their own schema for custom ones.

``schemas.json`` is written by ``tools/generate_resources.py --schema``, and explained in ``tools/schemas.py``. It is
read when a built-in object is first written by HTTP. Pure.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from aioinformers.testing.apiserver.resources import Resource

__all__ = ["ANYTHING", "LEAF", "Form", "Shape", "Strategy", "shape_of"]

_TABLE = Path(__file__).with_name("schemas.json")
_TEXT = re.compile(r"(?P<leaf>-)?(?:\[(?P<keys>[^]]*)\])?(?P<rest>[^~]*)(?P<merge>~.*)?")
_METADATA = "meta.v1.ObjectMeta"


class Form(enum.Enum):
    """What a part of an object consists of."""

    LEAF = enum.auto()
    """Nothing that has an owner of its own."""
    STRUCT = enum.auto()
    """Fields that its type names."""
    MAP = enum.auto()
    """Fields with any names."""
    LIST = enum.auto()
    """Objects that are told apart by their keys."""
    SET = enum.auto()
    """Values, each of which is there once."""


class Strategy(enum.Enum):
    """What a strategic merge patch does with a part."""

    DEFAULT = enum.auto()
    """It merges objects and replaces lists."""
    MERGE = enum.auto()
    """It merges the list."""
    REPLACE = enum.auto()
    """It replaces the object."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """What a part of an object is.

    Attributes:
        form: What it consists of.
        fields: The fields of a ``STRUCT`` that are no leaves, as :attr:`resolve` takes them.
        element: What the values of a ``MAP`` and the items of a ``LIST`` are, as :attr:`resolve` takes it.
        keys: The keys of a ``LIST``.
        defaults: The values of keys that an item leaves out.
        others: What a field of a ``STRUCT`` is that its type does not name.
        typed: The type that the schema of a custom object demands, which null is not of; ``""`` for none.
        strategy: What a strategic merge patch does with it.
        merge_key: The key by which a strategic merge patch tells the items of a list apart.
        resolve: Makes a shape of what is in ``fields`` and ``element``, when it is needed: types contain themselves.
    """

    form: Form
    fields: Mapping[str, Any] = field(default_factory=dict)
    element: Any = None
    keys: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    others: Shape | None = None
    typed: str = ""
    strategy: Strategy = Strategy.DEFAULT
    merge_key: str = ""
    resolve: Callable[[Any], Shape] = lambda known: known

    def names(self, name: str) -> bool:
        """Tell whether a field belongs to the type, and is no leaf."""
        return self.form is Form.STRUCT and name in self.fields

    def at(self, name: str) -> Shape:
        """Return what a field of an object is."""
        if self.form is Form.STRUCT:
            return self.resolve(self.fields[name]) if name in self.fields else self.others or LEAF
        return self.item() if self.form is Form.MAP else LEAF

    def item(self) -> Shape:
        """Return what a value of a map, or an item of a list, is."""
        return LEAF if self.element is None else self.resolve(self.element)


LEAF = Shape(form=Form.LEAF)
"""A part that is owned as a whole."""


ANYTHING: Shape = Shape(form=Form.MAP, element="", resolve=lambda _: ANYTHING)
"""A part without a schema: objects consist of their fields, and everything else is a leaf."""


def shape_of(resource: Resource) -> Shape:
    """Return what the objects of a resource are."""
    if resource.custom:
        return _shape_of_custom(resource)
    name = _table().kinds.get(f"{resource.gvr.api_version} {resource.kind}")
    return _unknown() if name is None else _shape_of_text(name)


# -- built-in kinds --------------------------------------------------------------------------------


class _Table(msgspec.Struct, frozen=True):
    kinds: dict[str, str]
    types: dict[str, dict[str, str]]


@functools.cache
def _table() -> _Table:
    return msgspec.json.decode(_TABLE.read_bytes(), type=_Table)


@functools.cache
def _shape_of_text(text: str) -> Shape:
    match = _TEXT.fullmatch(text)
    assert match is not None, f"{_TABLE.name} says {text!r}"
    shape = _owned(match)
    merge = match["merge"]
    if merge is None:
        return shape
    if merge == "~!":
        return replace(shape, strategy=Strategy.REPLACE)
    element = match["rest"] or None
    return replace(shape, strategy=Strategy.MERGE, merge_key=merge[1:], element=element, resolve=_shape_of_text)


def _owned(match: re.Match[str]) -> Shape:
    """Return what is owned of a part."""
    keys, rest = match["keys"], match["rest"]
    if match["leaf"] or (keys is None and not rest):
        return LEAF
    if keys is not None:
        if not keys:
            return Shape(form=Form.SET)
        parts = [key.partition("=") for key in keys.split(",")]
        defaults = {key: default for key, _, default in parts if default}
        names = tuple(key for key, _, _ in parts)
        return Shape(form=Form.LIST, keys=names, defaults=defaults, element=rest or None, resolve=_shape_of_text)
    if rest == "*":
        return ANYTHING
    if rest.startswith("{"):
        return Shape(form=Form.MAP, element=rest[1:-1] or None, resolve=_shape_of_text)
    return Shape(form=Form.STRUCT, fields=_table().types.get(rest, {}), resolve=_shape_of_text)


@functools.cache
def _unknown() -> Shape:
    """Return the shape of a kind of which only the metadata are known."""
    fields = {"metadata": _shape_of_text(_METADATA)}
    return Shape(form=Form.STRUCT, fields=fields, others=ANYTHING)


# -- custom kinds ----------------------------------------------------------------------------------


def _shape_of_custom(resource: Resource) -> Shape:
    if resource.schema is None:
        return _unknown()
    shape = _shape_of_child(resource.schema, None)
    metadata = {"metadata": _shape_of_text(_METADATA)}
    if shape.form is Form.MAP:  # without properties
        return replace(_unknown(), fields=metadata)
    fields = {name: shape.resolve(schema) for name, schema in shape.fields.items()} | metadata
    return Shape(form=Form.STRUCT, fields=fields, others=shape.others)


def _shape(schema: Mapping[str, Any], *, others: Shape | None) -> Shape:
    if schema.get("x-kubernetes-map-type") == "atomic":
        return LEAF
    resolve = functools.partial(_shape_of_child, others=others)
    kind = schema.get("type")
    if kind == "array":
        match schema.get("x-kubernetes-list-type", "atomic"):
            case "set":
                return Shape(form=Form.SET)
            case "map":
                items = schema.get("items", {})
                properties = items.get("properties", {})
                keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
                defaults = {key: properties[key]["default"] for key in keys if "default" in properties.get(key, {})}
                return Shape(form=Form.LIST, keys=keys, defaults=defaults, element=items, resolve=resolve)
            case _:
                return LEAF
    if kind != "object":
        return ANYTHING if kind is None and "x-kubernetes-int-or-string" not in schema else LEAF
    if properties := schema.get("properties"):
        fields = {name: each for name, each in properties.items() if each.get("type") in (None, "object", "array")}
        return Shape(form=Form.STRUCT, fields=fields, others=others, resolve=resolve)
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping):
        return Shape(form=Form.MAP, element=values, resolve=resolve)
    return ANYTHING


def _shape_of_child(schema: Any, others: Shape | None) -> Shape:
    """Return what a part is: what is preserved of an object is preserved of its parts."""
    preserves = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    shape = _shape(schema, others=ANYTHING if preserves else others)
    typed = "" if schema.get("nullable") else schema.get("type", "")
    return replace(shape, typed=typed) if typed in ("object", "array") else shape
