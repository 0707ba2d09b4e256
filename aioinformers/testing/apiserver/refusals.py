"""What the embedded server refuses by name, because doing something else instead would deceive a test. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aioinformers.testing.apiserver.documents import decode
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["check_formats", "decode_object", "unknown_subresource"]

_ACCEPTED = ("", "application/json", "application/*", "*/*")
_FOREIGN = ("application/yaml", "application/cbor", "application/vnd.kubernetes.protobuf")


def decode_object(body: bytes) -> dict[str, Any]:
    """Return the object that a request has as its body.

    Raises:
        StatusError: 400 if it is none.
    """
    try:
        obj = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StatusError.bad_request(
            f"the object provided is unrecognized: couldn't get version/kind; json parse error: {error}"
        ) from error
    if not isinstance(obj, dict):
        raise StatusError.bad_request("the object provided is unrecognized: it is not a JSON object")
    return obj


def check_formats(headers: Mapping[str, str]) -> None:
    """Refuse a body that is not JSON, and an answer that may not be.

    Raises:
        StatusError: 406 or 415.
    """
    clauses = headers.get("accept", "").split(",")
    if not any(_is_json(clause) for clause in clauses):
        message = f"the embedded server answers with whole objects in JSON only, not with {headers['accept']}"
        raise StatusError(406, "NotAcceptable", f"{message}: accept application/json as well", details={})
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in _FOREIGN:
        raise StatusError.unsupported_media_type(f"the embedded server reads JSON only, not {media_type}")


def _is_json(clause: str) -> bool:
    media_type, *parameters = (part.strip() for part in clause.lower().split(";"))
    return media_type in _ACCEPTED and not any(each.startswith("as=") for each in parameters)


def unknown_subresource(resource: Resource, name: str) -> StatusError:
    """404: there is no such subresource here, whatever a real server has."""
    problem = f"the embedded server has no subresource {name!r} of {resource.group_resource}"
    return StatusError(404, "NotFound", f"the server could not find the requested resource: {problem}", details={})
