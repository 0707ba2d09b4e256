"""Translates ``Status`` bodies and ERROR events into exceptions. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from aioinformers.errors import ApiStatusError
from aioinformers.words import brief

__all__ = ["UNREADABLE", "status_error"]

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Exceptions that decoders raise for bytes that they cannot read."""
MOST_CAUSES: Final = 20
"""Causes that are kept."""

_TOO_LARGE = "ResourceVersionTooLarge"


class _Cause(msgspec.Struct, gc=False):
    reason: str | None = None
    message: str | None = None


class _Details(msgspec.Struct, gc=False):
    retryAfterSeconds: float | None = None  # noqa: N815
    causes: list[_Cause] | None = None


class _Status(msgspec.Struct, gc=False):
    kind: str | None = None
    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: _Details | None = None


_decode_status = msgspec.json.Decoder(_Status, strict=False).decode


def status_error(body: bytes, status: int = 500, retry_after: float | None = None) -> ApiStatusError:
    """Return the exception for a ``Status`` body, or for the text that a proxy sent instead.

    Args:
        body: The body, or the ``object`` of an ERROR event.
        status: HTTP status; a code in the body takes precedence.
        retry_after: Seconds of a ``Retry-After`` header; they take precedence over those in the body.
    """
    try:
        decoded = _decode_status(body)
    except UNREADABLE:
        return ApiStatusError.of(status, "", "the answer is not a Kubernetes Status", retry_after)
    details = decoded.details or _Details()
    told = details.causes or ()
    message = decoded.message or ""
    causes = [brief(cause.reason or "", 100) for cause in told[:MOST_CAUSES]]
    # Servers before 1.18.6 give this cause without a reason, servers before 1.17 only in the message.
    said = (message, *(f"{cause.reason} {cause.message}" for cause in told))
    if any(_TOO_LARGE in words or "Too large resource version" in words for words in said):
        causes = [*(cause for cause in causes if cause != _TOO_LARGE), _TOO_LARGE]
    if retry_after is None:
        retry_after = details.retryAfterSeconds
    return ApiStatusError.of(decoded.code or status, decoded.reason or "", message, retry_after, causes)
