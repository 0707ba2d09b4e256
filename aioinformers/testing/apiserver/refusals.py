"""What the embedded server refuses by name, because doing something else instead would deceive a test. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aioinformers.testing.apiserver.documents import decode
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["check_dry_run", "check_formats", "decode_object", "read_patch", "unknown_subresource"]

_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_OTHERS = {
    "application/json-patch+json": "JSON patches",
    "application/apply-patch+yaml": "server-side apply",
    "application/apply-patch+cbor": "server-side apply",
}
_ACCEPTED = ("", "application/json", "application/*", "*/*")
_FOREIGN = ("application/yaml", "application/cbor", "application/vnd.kubernetes.protobuf")
_DIRECTIVES = ("$patch", "$retainKeys", "$deleteFromPrimitiveList/", "$setElementOrder/")
_INSTEAD = f"send a merge patch, which replaces lists as a whole (Content-Type: {_MERGE}; _content_type= in clients)"


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


def check_dry_run(query: Mapping[str, str], options: Mapping[str, Any] | None = None) -> None:
    """Refuse a write that is only to be tried.

    Args:
        query: The parameters of the request.
        options: The body of a deletion, which may ask for it, too.

    Raises:
        StatusError: 400, as kube-apiserver answers where a webhook does not support it.
    """
    if "dryRun" in query or (options or {}).get("dryRun"):
        raise StatusError.bad_request(
            "the embedded server does not support dryRun, and nothing has been written: leave it out, or answer this "
            "request with server.intercept()"
        )


def read_patch(resource: Resource, content_type: str, body: bytes) -> dict[str, Any]:
    """Return a merge patch.

    A strategic merge patch without lists and directives is one; the others depend on the kind's schema.

    Raises:
        StatusError: 400 if it is no object, 415 if it is of a kind that is not supported.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in _OTHERS:
        raise _unsupported(f"{_OTHERS[media_type]} ({media_type})")
    if media_type == _STRATEGIC and resource.custom:  # the words of kube-apiserver, which has no schema for these
        accepted = f"application/json-patch+json, {_MERGE}, application/apply-patch+yaml"
        message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        raise StatusError.unsupported_media_type(message)
    if media_type not in (_MERGE, _STRATEGIC):
        raise StatusError.unsupported_media_type()
    patch = decode_object(body)
    if media_type == _STRATEGIC and (found := _of_strategy(patch)):
        raise _unsupported(f"strategic merge patches ({_STRATEGIC}) with lists or directives, such as {found}")
    return patch


def unknown_subresource(resource: Resource, name: str) -> StatusError:
    """404: there is no such subresource here, whatever a real server has."""
    problem = f"the embedded server has no subresource {name!r} of {resource.group_resource}"
    return StatusError(404, "NotFound", f"the server could not find the requested resource: {problem}", details={})


def _unsupported(what: str) -> StatusError:
    return StatusError.unsupported_media_type(f"the embedded server does not support {what}: {_INSTEAD}")


def _of_strategy(patch: Mapping[str, Any], place: str = "") -> str:
    """Return the path of a list or directive, whose meaning depends on the schema; empty if there is none."""
    for name, value in patch.items():
        path = f"{place}.{name}" if place else name
        if name.startswith(_DIRECTIVES) or isinstance(value, list):
            return path
        if isinstance(value, Mapping) and (found := _of_strategy(value, path)):
            return found
    return ""
