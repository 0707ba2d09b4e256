"""The failures of an API server as ``Status`` bodies.

Codes, reasons and messages are those of kube-apiserver; the conformance suite compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aioinformers.testing.apiserver.resources import Resource

__all__ = ["StatusError"]


class StatusError(Exception):
    """A failed request; the HTTP layer answers with :meth:`body` and :attr:`code`.

    The Python methods of the embedded server raise it directly.

    Attributes:
        code: HTTP status.
        reason: Machine-readable reason, such as ``NotFound``; may be empty.
        message: Message for humans.
        details: The ``details`` of the body; None without them.
        continue_token: The new token in a 410 for a continued list; may be empty.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        continue_token: str = "",
    ) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.continue_token = continue_token
        super().__init__(code, reason, message)

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self.message}"

    @property
    def retry_after(self) -> int | None:
        """Seconds for the ``Retry-After`` header; None if the details have none."""
        return (self.details or {}).get("retryAfterSeconds")

    def body(self) -> dict[str, Any]:
        """Return the ``Status`` object."""
        metadata = {"continue": self.continue_token} if self.continue_token else {}
        status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": metadata}
        status |= {"status": "Failure", "message": self.message}
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        return status | {"code": self.code}

    @classmethod
    def not_found(cls, resource: Resource, name: str) -> StatusError:
        """404: the object does not exist."""
        return cls(404, "NotFound", f'{resource.group_resource} "{name}" not found', details=_of(resource, name))

    @classmethod
    def no_resource(cls) -> StatusError:
        """404: the server does not serve this path."""
        return cls(404, "NotFound", "the server could not find the requested resource", details={})

    @classmethod
    def method_not_allowed(cls) -> StatusError:
        """405: the path does not support the method."""
        return cls(
            405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
        )

    @classmethod
    def already_exists(cls, resource: Resource, name: str) -> StatusError:
        """409: the name is taken."""
        message = f'{resource.group_resource} "{name}" already exists'
        return cls(409, "AlreadyExists", message, details=_of(resource, name))

    @classmethod
    def conflict(cls, resource: Resource, name: str, why: str = "") -> StatusError:
        """409: the object has changed, or has been replaced by another one."""
        why = why or ("the object has been modified; please apply your changes to the latest version and try again")
        message = f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {why}'
        return cls(409, "Conflict", message, details=_of(resource, name))

    @classmethod
    def bad_request(cls, message: str) -> StatusError:
        """400: the request cannot be understood."""
        return cls(400, "BadRequest", message)

    @classmethod
    def invalid(cls, resource: Resource, name: str, causes: Sequence[tuple[str, str, str]]) -> StatusError:
        """422: the object breaks a rule; ``causes`` are (field, reason, message)."""
        return cls.invalid_kind(resource.gvr.group, resource.kind, name, causes)

    @classmethod
    def invalid_kind(cls, group: str, kind: str, name: str, causes: Sequence[tuple[str, str, str]]) -> StatusError:
        """422: the object, of a kind that need not be a resource's, breaks a rule."""
        details = {"name": name} if name else {}
        if group:
            details["group"] = group
        return cls._invalid(f'{f"{kind}.{group}".rstrip(".")} "{name}"', details | {"kind": kind}, causes)

    @classmethod
    def invalid_options(cls, causes: Sequence[tuple[str, str, str]], *, kind: str = "ListOptions") -> StatusError:
        """422: the options of a request break a rule."""
        return cls._invalid(f'{kind}.meta.k8s.io ""', {"group": "meta.k8s.io", "kind": kind}, causes)

    @classmethod
    def unprocessable(cls) -> StatusError:
        """422: a patch does not apply; kube-apiserver does not say why."""
        return cls(422, "Invalid", "the server rejected our request due to an error in our request", details={})

    @classmethod
    def _invalid(cls, what: str, details: Mapping[str, Any], causes: Sequence[tuple[str, str, str]]) -> StatusError:
        problems = [f"{field}: {message}" for field, _, message in causes]
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        listed = [{"reason": reason, "message": message, "field": field} for field, reason, message in causes]
        return cls(422, "Invalid", f"{what} is invalid: {text}", details={**details, "causes": listed})

    @classmethod
    def unsupported_media_type(cls, message: str = "415: Unsupported Media Type") -> StatusError:
        """415: the format of the patch is not supported."""
        return cls(415, "UnsupportedMediaType", message, details={})

    @classmethod
    def expired(cls, message: str, *, continue_token: str = "") -> StatusError:
        """410: the version or continue token is older than the server's history."""
        return cls(410, "Expired", message, continue_token=continue_token)

    @classmethod
    def version_too_large(cls, asked: int, current: int) -> StatusError:
        """504: the server has not reached the version yet."""
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        message = f"Timeout: Too large resource version: {asked}, current: {current}"
        return cls(504, "Timeout", message, details={"causes": [cause], "retryAfterSeconds": 1})


def _of(resource: Resource, name: str) -> dict[str, str]:
    group = {"group": resource.gvr.group} if resource.gvr.group else {}
    return {"name": name, **group, "kind": resource.gvr.resource}
