"""What a server says of a failure: ``Status`` bodies and ERROR events become exceptions. Pure."""

from __future__ import annotations

import msgspec

from aioinformers.errors import ApiStatusError

__all__ = ["UNREADABLE", "status_error"]

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoders raise for bytes that they cannot read."""


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
    """Translate a ``Status`` body, or whatever a proxy sent instead, into an exception.

    Args:
        body: The body, or the ``object`` of an ERROR event.
        status: HTTP status; the body's own code wins.
        retry_after: Seconds of a ``Retry-After`` header.
    """
    try:
        said = _decode_status(body)
    except UNREADABLE:
        return ApiStatusError.of(status, "", "the answer is no Kubernetes Status", retry_after)
    details = said.details or _Details()
    causes = [cause.reason for cause in details.causes or ()]
    message = said.message or ""
    # Servers before 1.18.6 say it in words only, those before 1.17 in the message.
    if any("Too large resource version" in words for words in (message, *(c.message for c in details.causes or ()))):
        causes.append("ResourceVersionTooLarge")
    if retry_after is None:
        retry_after = details.retryAfterSeconds
    return ApiStatusError.of(said.code or status, said.reason or "", message, retry_after, causes)
