"""What a reconcile function writes: fenced, within its time, and remembered until the caches show it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from aioinformers.checks import shown
from aioinformers.controllers.memory import Write
from aioinformers.errors import ResponseError
from aioinformers.transport.guarded import Sent
from aioinformers.transport.source import Source
from aioinformers.types import GroupVersionResource, ObjectKey

__all__ = [
    "APPLY",
    "JSON",
    "JSON_PATCH",
    "MERGE",
    "Kind",
    "Place",
    "Target",
    "Writer",
    "document_of",
    "is_segment",
    "merge_patch",
    "note_sent",
    "path_of",
]

LONGEST: Final = 30.0
"""Seconds that a write may take, at most."""

APPLY, MERGE, JSON_PATCH, JSON = (
    "application/apply-patch+yaml",  # JSON is YAML, too
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/json",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that is written.

    Attributes:
        resource: Its resource.
        kind: Its name.
        is_namespaced: Whether its objects live in namespaces.
    """

    resource: GroupVersionResource
    kind: str
    is_namespaced: bool


@dataclass(frozen=True, slots=True)
class Target:
    """An object that is written.

    Attributes:
        kind: Its kind.
        key: Its key.
        uid: Its uid; empty if it is not known.
    """

    kind: Kind
    key: ObjectKey
    uid: str = ""


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815
    labels: dict[str, str] | None = None
    finalizers: list[str] | None = None
    deletionGracePeriodSeconds: int | None = None  # noqa: N815

    @property
    def is_gone(self) -> bool:
        """Whether a change has let the server remove the object: nothing keeps it any more."""
        return self.deletionGracePeriodSeconds == 0 and not self.finalizers


class _Answer(msgspec.Struct, gc=False):
    kind: str = ""
    metadata: _Metadata = _Metadata()


class _Deleted(msgspec.Struct, gc=False):
    items: list[_Answer] = []


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_deleted = msgspec.json.Decoder(_Deleted).decode
_encode = msgspec.json.Encoder().encode


class Writer:
    """Sends the writes of one controller.

    Args:
        source: Makes the requests.
        manager: The field manager, which is the controller's name.
    """

    def __init__(self, source: Source, manager: str) -> None:
        self._source = source
        self._manager = manager

    async def send(
        self,
        method: str,
        target: Target,
        body: object,
        *,
        content_type: str = JSON,
        subresource: str = "",
        query: Mapping[str, str] | None = None,
        time_left: Callable[[], float],
        note: Callable[[Write, Mapping[str, str]], None],
    ) -> dict[str, Any]:
        """Send a write, remember what it has changed, and return the server's answer.

        Cancellation closes the connection; the change may have been made all the same.

        Args:
            method: ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
            target: What is written.
            body: The body, as JSON or what is encoded to it; None for none.
            content_type: What the body is.
            subresource: Such as ``status``.
            query: Query parameters.
            time_left: Returns the seconds that it may take; raises if nothing may be written any more.
            note: Is told of the change and of the object's labels.

        Raises:
            ApiStatusError: If the server refuses it.
            ConnectionFailedError: If there is no whole answer in time.
            ResponseError: If the answer is none.
        """
        path = path_of(target, to_collection=method == "POST") + (f"/{subresource}" if subresource else "")
        raw = body if isinstance(body, bytes) else None if body is None else _encode(body)
        answer = await self._source.send(
            method, path, raw, timeout=min(LONGEST, time_left()), content_type=content_type,
            query={"fieldManager": self._manager} | dict(query or {}) if method != "DELETE" else dict(query or {}),
        )  # fmt: skip
        try:
            found = _decode_answer(answer)
            document: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise ResponseError(f"the answer to {method} {path} is no object") from None
        if "dryRun" not in (query or {}):
            note(_write_of(method, target.kind.resource, target.key, target.uid, found), found.metadata.labels or {})
        return document


def note_sent(sent: Sent, note: Callable[[Write, Mapping[str, str]], None]) -> None:
    """Tell of a write that a typed API has made, if it has changed an object that can be known.

    Args:
        sent: The write.
        note: Is told of the change and of the object's labels.
    """
    place = Place.of(sent.path)
    if place is None or sent.is_dry_run or (sent.method == "POST" and place.subresource):
        return  # an eviction, a binding or a token: what it does to the object, if anything, is not said
    key, is_collection = ObjectKey(place.namespace, place.name), sent.method == "DELETE" and not place.name
    try:
        changed = _decode_deleted(sent.answer).items if is_collection else [_decode_answer(sent.answer)]
    except msgspec.MsgspecError:
        return  # what the API is to make of that, it says itself
    for each in changed:
        note(_write_of(sent.method, place.resource, key, "", each), each.metadata.labels or {})


def _write_of(method: str, resource: GroupVersionResource, key: ObjectKey, uid: str, answer: _Answer) -> Write:
    """Return what is to be remembered of a write."""
    meta, is_deletion = answer.metadata, method == "DELETE"
    if answer.kind not in ("Status", "") or meta.resourceVersion:
        key, uid = ObjectKey(meta.namespace, meta.name) if meta.name else key, meta.uid or uid
    version = "" if is_deletion else meta.resourceVersion
    now = asyncio.get_running_loop().time()
    return Write(str(resource), key, uid, version, now, is_end=not is_deletion and meta.is_gone)


@dataclass(frozen=True, slots=True)
class Place:
    """What a URL path names.

    Attributes:
        resource: The resource.
        namespace: The namespace; empty without one.
        name: The object; empty for a collection.
        subresource: Such as ``status``; empty for the object itself.
    """

    resource: GroupVersionResource
    namespace: str
    name: str
    subresource: str

    @classmethod
    def of(cls, path: str) -> Place | None:
        """Return what a path names; None if it is none of an object or a collection."""
        root, *rest = [unquote(part) for part in path.strip("/").split("/")]
        group = rest.pop(0) if root == "apis" and rest else ""
        if root not in ("api", "apis") or len(rest) < 2:
            return None
        version, *rest = rest
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        name, subresource = (*rest[1:2], "")[0], "/".join(rest[2:])
        return cls(GroupVersionResource(group, version, rest[0]), namespace, name, subresource)


def path_of(target: Target, *, to_collection: bool = False) -> str:
    """Return the URL path of an object, or of the collection that it is or will be in."""
    kind, key = target.kind, target.key
    middle = f"/namespaces/{quote(key.namespace, safe='')}" if kind.is_namespaced else ""
    collection = f"{kind.resource.path}{middle}/{kind.resource.resource}"
    return collection if to_collection else f"{collection}/{quote(key.name, safe='')}"


def is_segment(name: object) -> bool:
    """Tell whether a name stays one part of a URL path: with ``..``, it would lead to something else.

    As client-go does (``IsValidPathSegmentName``), in which an empty name is none.
    """
    return isinstance(name, str) and name not in (".", "..") and not ("/" in name or "%" in name)


def document_of(obj: object, sanitize: Callable[[Any], Any]) -> dict[str, Any]:
    """Return an object as the JSON document that it is, as a new dict; what it holds may be the object's own.

    Args:
        obj: A dict, a model of the client, or a msgspec Struct.
        sanitize: The client's way to turn models into documents.

    Raises:
        TypeError: If it is something else.
    """
    if isinstance(obj, Mapping):
        return dict(obj)
    made: Any
    if hasattr(type(obj), "openapi_types") or hasattr(type(obj), "to_dict"):
        made = sanitize(obj)
    elif isinstance(obj, msgspec.Struct):
        made = msgspec.to_builtins(obj)
    else:
        raise TypeError(f"an object is a dict, a model of the client or a Struct, not {shown(obj)}")
    if not isinstance(made, dict):
        raise TypeError(f"{shown(obj)} is not written as an object")
    return made


def merge_patch(before: Any, after: Any) -> Any:
    """Return the merge patch (RFC 7386) that makes one document of another; an empty dict if they are the same."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return after
    patch: dict[str, Any] = {name: None for name in before if name not in after and before[name] is not None}
    for name, value in after.items():
        old = before.get(name)
        if name in before and (old == value and type(old) is type(value)):
            continue
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            if inner := merge_patch(old, value):
                patch[name] = inner
        elif value is not None or old is not None:
            patch[name] = value
    return patch
