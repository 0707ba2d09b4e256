"""Reads the body of a PATCH, by its media type, as a function that changes an object. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec

from aioinformers.testing.apiserver.documents import decode, merge_patch, plain, without_nulls
from aioinformers.testing.apiserver.jsonpatch import apply_json_patch, read_json_patch
from aioinformers.testing.apiserver.refusals import decode_object
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.schemas import shape_of
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.strategic import strategic_merge

__all__ = ["APPLY", "JSON", "MERGE", "STRATEGIC", "Change", "media_type_of", "read_applied", "read_patch"]

Change: TypeAlias = Callable[[dict[str, Any]], Any]
"""Returns what an object becomes; it may change and return the one that it is given."""

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

_UNKNOWN = "the body of the request was in an unknown format - accepted media types include: "


def media_type_of(headers: Mapping[str, str]) -> str:
    """Return the media type of a request's body, without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def read_patch(resource: Resource, media_type: str, body: bytes) -> Change:
    """Return what a patch does to an object.

    Raises:
        StatusError: 400 if it cannot be read, 415 if objects of the resource take no such patch.
    """
    if media_type == JSON:
        operations = read_json_patch(body)
        if resource.custom:
            return partial(apply_json_patch, operations=operations)
        return lambda obj: without_nulls(apply_json_patch(obj, operations))  # the fields of Go structs are never null
    if media_type == STRATEGIC and not resource.custom:
        patch, shape = decode_object(body), shape_of(resource)
        return lambda obj: without_nulls(strategic_merge(obj, patch, shape))
    if media_type == MERGE:
        return partial(merge_patch, patch=decode_object(body))
    if resource.custom:
        raise StatusError.unsupported_media_type(_UNKNOWN + ", ".join((JSON, MERGE, APPLY)))
    raise StatusError.unsupported_media_type()


def read_applied(body: bytes) -> dict[str, Any]:
    """Return what a server-side apply applies, which is written in JSON or YAML.

    Raises:
        StatusError: 400 if it is no object.
    """
    try:
        config = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        config = _read_yaml(body)
    if not isinstance(config, dict):
        kind = {list: "array", str: "string", bool: "bool"}.get(type(config), "number")
        problem = f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        raise StatusError.bad_request(f"error decoding patch: error unmarshaling JSON: while decoding JSON: {problem}")
    return config


def _read_yaml(body: bytes) -> Any:
    import yaml  # type: ignore[import-untyped]  # kubernetes_asyncio brings it

    try:
        return plain(yaml.safe_load(body))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise StatusError.bad_request(f"error encoding patch: {error}") from error
