"""Translates ``Status`` bodies and ERROR events into exceptions. Pure."""

from __future__ import annotations

import msgspec

from aioinformers.errors import ApiStatusError

__all__ = ["UNREADABLE", "status_error"]

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Exceptions that decoders raise for bytes that they cannot read."""


class _Cause(msgspec.Struct, gc=False):
    reason: str = ""
    message: str = ""


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
    causes = [cause.reason for cause in details.causes or ()]
    message = decoded.message or ""
    # Servers before 1.18.6 give this cause without a reason, servers before 1.17 only in the message.
    if any("Too large resource version" in words for words in (message, *(c.message for c in details.causes or ()))):
        causes.append("ResourceVersionTooLarge")
    if retry_after is None:
        retry_after = details.retryAfterSeconds
    return ApiStatusError.of(decoded.code or status, decoded.reason or "", message, retry_after, causes)
