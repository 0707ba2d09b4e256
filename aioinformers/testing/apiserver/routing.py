"""Parses the method and path of a request into verb, resource, namespace and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aioinformers.testing.apiserver.listing import parse_flag
from aioinformers.types import GroupVersionResource

__all__ = ["VERBS", "RequestInfo", "Target", "parse_target"]

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
"""The verbs of requests, as in RBAC."""
_BY_METHOD = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Target:
    """A path below ``/api/v1`` or ``/apis/GROUP/VERSION``.

    Attributes:
        gvr: The resource; its plural is ``""`` for the discovery document of the version.
        namespace: The namespace, or ``""``.
        name: The name of the object, or ``""`` for the collection.
        subresource: The subresource, such as ``status``, or ``""``.
    """

    gvr: GroupVersionResource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse_target(path: str) -> Target | None:
    """Return the target of a path; None if the path is not below ``/api`` or ``/apis``."""
    match path.strip("/").split("/"):
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            return None
    namespace = ""
    # /namespaces/x is the object; /namespaces/x/pods is in it; /namespaces/x/status is of the object.
    if len(rest) > 2 and rest[0] == "namespaces" and (group or rest[2] not in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    plural, name = (*rest, "", "")[:2]
    subresource = "/".join(rest[2:])
    return Target(GroupVersionResource(group, version, plural), namespace, name, subresource)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfo:
    """A request that the server has received.

    Attributes:
        method: HTTP method.
        path: Path without the query.
        query: Decoded query parameters.
        headers: Headers, with names in lower case.
        time: The loop's time of the request in seconds.
        target: The resource and object of the path; None for other paths.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)  # may contain credentials
    time: float
    target: Target | None = None

    @property
    def verb(self) -> str:
        """The verb as in RBAC: get, list, watch, create, update, patch, delete or deletecollection; else ``""``."""
        if self.target is None or not self.target.gvr.resource:
            return ""
        collection = not self.target.name
        if self.method == "GET" and collection:
            return "watch" if parse_flag(self.query, "watch") else "list"
        if self.method == "DELETE" and collection:
            return "deletecollection"
        return _BY_METHOD.get(self.method, "")

    @property
    def resource(self) -> str:
        """The plural of the resource, or ``""``."""
        return self.target.gvr.resource if self.target else ""
