"""What a user's class says of its fields: their names in JSON, and where in it labels are. Pure."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from aioinformers.objects.immutability import is_pydantic

__all__ = ["DeclaredField", "declared_fields", "place_of_labels"]


class DeclaredField(NamedTuple):
    """A field of a user's class.

    Attributes:
        attribute: What it is called in Python; empty for the tag of a Struct, which no attribute has.
        hint: The type of its values.
    """

    attribute: str
    hint: Any


def declared_fields(python_type: type) -> dict[str, DeclaredField]:
    """Return the fields of a Struct, dataclass or pydantic model by their names in JSON; none of any other class.

    Raises:
        NameError: If a type cannot be looked up, as in classes that are defined inside a function.
    """
    if is_pydantic(python_type):
        model: Any = python_type
        fields = model.model_fields.items()
        return {name: DeclaredField(at, field.annotation) for at, field in fields for name in _aliases(at, field)}
    if issubclass(python_type, msgspec.Struct):
        declared = {
            field.encode_name: DeclaredField(field.name, field.type) for field in msgspec.structs.fields(python_type)
        }
        tag = python_type.__struct_config__.tag_field
        return declared if tag is None else declared | {tag: DeclaredField("", str)}
    if dataclasses.is_dataclass(python_type):
        hints = typing.get_type_hints(python_type)
        return {field.name: DeclaredField(field.name, hints[field.name]) for field in dataclasses.fields(python_type)}
    return {}


def _aliases(attribute: str, field: Any) -> Iterator[str]:
    """Yield the names that a field of a pydantic model may have in JSON."""
    alias = field.validation_alias or field.alias or attribute
    yield from (name for name in getattr(alias, "choices", [alias]) if isinstance(name, str))


def place_of_labels(python_type: type) -> tuple[str, str] | None:
    """Return the attributes that lead to an object's labels; None if the class does not declare them as a mapping."""
    metadata = declared_fields(python_type).get("metadata")
    if metadata is None:
        return None
    for option in _options(metadata.hint):
        labels = declared_fields(option).get("labels") if isinstance(option, type) else None
        if labels is not None and any(map(_is_mapping, _options(labels.hint))):
            return metadata.attribute, labels.attribute
    return None


def _options(hint: Any) -> tuple[Any, ...]:
    """Return the types that a hint allows."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _is_mapping(hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    return origin is Any or (isinstance(origin, type) and issubclass(origin, Mapping))
