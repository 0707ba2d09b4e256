"""What users' classes say of their fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from aioinformers.objects.declarations import declared_fields, place_of_labels


class Meta(msgspec.Struct, rename="camel"):
    node_name: str
    tags: dict[str, str] | None = msgspec.field(name="labels", default=None)


class Struct(msgspec.Struct, tag="Pod", tag_field="kind"):
    meta: Annotated[Meta | None, "x"] = msgspec.field(name="metadata", default=None)


@dataclasses.dataclass
class ClassMeta:
    labels: Mapping[str, str]


@dataclasses.dataclass
class Class:
    metadata: ClassMeta


class ModelMeta(pydantic.BaseModel):
    labels: Any = None
    other: int = pydantic.Field(default=0, validation_alias=pydantic.AliasChoices("one", "two"))


class Model(pydantic.BaseModel):
    meta: ModelMeta = pydantic.Field(alias="metadata")


class Listed(msgspec.Struct):
    labels: list[str] | str = []


class OddlyLabelled(msgspec.Struct):
    metadata: Listed


class Bare(msgspec.Struct):
    spec: str = ""


class WithoutLabels(msgspec.Struct):
    metadata: Bare | dict[str, str]


@pytest.mark.parametrize(
    ("python_type", "expected"),
    [
        (Meta, {"nodeName": "node_name", "labels": "tags"}),
        (Struct, {"metadata": "meta", "kind": ""}),
        (Class, {"metadata": "metadata"}),
        (ModelMeta, {"labels": "labels", "one": "other", "two": "other"}),
        (Model, {"metadata": "meta"}),
        (dict, {}),
        (int, {}),
    ],
)
def test_fields_are_known_by_their_names_in_json(python_type: Any, expected: dict[str, str]) -> None:
    assert {name: field.attribute for name, field in declared_fields(python_type).items()} == expected


@pytest.mark.parametrize(
    ("python_type", "expected"),
    [
        (Struct, ("meta", "tags")),
        (Class, ("metadata", "labels")),
        (Model, ("meta", "labels")),
        (OddlyLabelled, None),
        (Bare, None),
        (WithoutLabels, None),
    ],
)
def test_labels_are_where_json_has_them_and_a_mapping(python_type: Any, expected: tuple[str, str] | None) -> None:
    """Whatever the attributes are called."""
    assert place_of_labels(python_type) == expected
