"""Encodes, decodes and merges JSON documents in the way of kube-apiserver."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import msgspec

from aioinformers.checks import shown
from aioinformers.resources import kind_of_model
from aioinformers.testing.apiserver.resources import Resource

__all__ = [
    "content_of",
    "decode",
    "document_of",
    "encode",
    "encode_object",
    "item_bytes",
    "merge_patch",
    "plain",
    "with_version",
    "without_nulls",
]

Place: TypeAlias = str | tuple[Any, str | int]
"""A name, or a place and the key or index in it: a text is made of it only where something is wrong."""

_PLAIN = frozenset({str, int, bool, type(None)})

_encoder = msgspec.json.Encoder()
_sorting_encoder = msgspec.json.Encoder(order="deterministic")

_METADATA_ORDER = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
"""Fields of ObjectMeta in the order of its Go struct."""

_NOT_CONTENT = frozenset({"kind", "apiVersion", "metadata", "status"})


def decode(body: bytes) -> Any:
    """Decode a document; every call returns new containers.

    Raises:
        msgspec.DecodeError: If the body is not JSON.
    """
    return msgspec.json.decode(body)


def encode(document: Any) -> bytes:
    """Encode a document without changing the order of fields."""
    return _encoder.encode(document)


def plain(value: Any, place: Place = "the object") -> Any:
    """Return a document as JSON has it: dicts, lists, texts, numbers, truth values and None, all of them new.

    Args:
        value: A document in which models may stand anywhere: those of kubernetes_asyncio, pydantic and msgspec, and
            dataclasses. What they hold as None is left out; of a dict it stays, as it deletes in a patch.
        place: What an error calls it.

    Raises:
        TypeError: If something in it has no place in JSON.
        ValueError: If a time has no time zone, or a number is infinite or not a number.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict:
        return {
            (name if type(name) is str else _key(name, place)): each
            if type(each) in _PLAIN
            else plain(each, (place, name))
            for name, each in value.items()
        }
    if kind is list:
        return [each if type(each) in _PLAIN else plain(each, (place, number)) for number, each in enumerate(value)]
    return _unusual(value, place)


def _unusual(value: Any, place: Place) -> Any:
    match value:
        case enum.Enum():
            return plain(value.value, place)
        case str():
            return str(value)
        case int():
            return int(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{_name_of(place)} is {value}, which JSON cannot say")
            return float(value)
        case Mapping():
            return plain(dict(value), place)
        case list() | tuple():
            return plain([*value], place)
        case datetime():
            return _time(value, place)
        case date():
            return value.isoformat()
        case _:
            return _of_model(value, place)


def _name_of(place: Place) -> str:
    """Return where something is, as one would write it in Python."""
    return place if isinstance(place, str) else f"{_name_of(place[0])}[{place[1]!r}]"


def document_of(resource: Resource, obj: Any) -> dict[str, Any]:
    """Return an object of a resource, or a patch of one, as JSON has it.

    Raises:
        TypeError: If it is no object, or the model of another kind.
        ValueError: If something in it cannot be said in JSON.
    """
    document = plain(obj)
    if not isinstance(document, dict):
        raise TypeError(f"a {resource.kind} is a dict or a model's object, not {shown(obj)}")
    if hasattr(type(obj), "openapi_types"):
        with contextlib.suppress(ValueError):  # a model of no kind
            kind = kind_of_model(type(obj))
            if kind.kind != resource.kind:
                raise TypeError(f"a {type(obj).__name__} is no {resource.kind}: its resource is {str(kind.resource)!r}")
    return document


def _key(name: Any, place: Place) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{_name_of(place)} has the key {shown(name)}: keys are texts in JSON")
    return name


def _time(value: datetime, place: Place) -> str:
    """Return a time as Kubernetes writes it; those of Leases and Events have fractions."""
    if value.tzinfo is None:
        advice = "which Kubernetes refuses: write datetime.now(UTC)"
        raise ValueError(f"{_name_of(place)} is a time without a time zone, {advice}")
    timespec = "microseconds" if value.microsecond else "seconds"
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def _of_model(value: Any, place: Place) -> Any:
    cls = type(value)
    if hasattr(cls, "openapi_types") and hasattr(cls, "attribute_map"):
        given = {name: getattr(value, attribute) for attribute, name in cls.attribute_map.items()}
    elif callable(getattr(cls, "model_dump", None)):
        given = value.model_dump(mode="json", by_alias=True)
    elif isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(cls):
        # Times are written below, and so are models of other libraries inside.
        given = msgspec.to_builtins(value, builtin_types=(datetime, date), enc_hook=lambda each: plain(each, place))
    else:
        raise TypeError(f"{_name_of(place)} must be a dict or a model's object, not {shown(value)}")
    return without_nulls(plain(given, place))


def without_nulls(document: Any) -> Any:
    """Return a document without the fields that are null, on every level."""
    if isinstance(document, dict):
        return {name: without_nulls(each) for name, each in document.items() if each is not None}
    return [without_nulls(each) for each in document] if isinstance(document, list) else document


def encode_object(resource: Resource, obj: Mapping[str, Any]) -> bytes:
    """Encode an object as kube-apiserver writes it.

    Built-in kinds have the field order of their Go structs (implemented for the envelope and the metadata). Custom
    kinds are sorted by key on every level.
    """
    if resource.custom:
        return _sorting_encoder.encode(obj)
    metadata = obj["metadata"]
    ordered = {name: metadata[name] for name in _METADATA_ORDER if name in metadata}
    envelope = {"kind": resource.kind, "apiVersion": resource.gvr.api_version, "metadata": ordered}
    return _encoder.encode(envelope | {name: value for name, value in obj.items() if name not in envelope})


def item_bytes(resource: Resource, body: bytes) -> bytes:
    """Return an encoded object as an item of a list: items of built-in kinds have no kind and apiVersion."""
    if resource.custom:
        return body
    return b"{" + body[len(f'{{"kind":"{resource.kind}","apiVersion":"{resource.gvr.api_version}",') :]


def with_version(resource: Resource, body: bytes, version: int) -> bytes:
    """Return the encoded object with another resourceVersion."""
    obj = decode(body)
    obj["metadata"]["resourceVersion"] = str(version)
    return encode_object(resource, obj)


def content_of(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields whose changes increase the generation: all except metadata and status."""
    return {name: value for name, value in obj.items() if name not in _NOT_CONTENT}


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386); neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
