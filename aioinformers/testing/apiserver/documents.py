"""Encodes, decodes and merges JSON documents in the way of kube-apiserver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aioinformers.testing.apiserver.resources import Resource

__all__ = ["content_of", "decode", "encode", "encode_object", "item_bytes", "merge_patch", "with_version"]

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
