"""Answers writes: the status and the body of a POST, PUT, PATCH or DELETE. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from aioinformers.testing.apiserver.documents import decode, encode
from aioinformers.testing.apiserver.listing import Listing
from aioinformers.testing.apiserver.options import DeleteOptions, WriteOptions
from aioinformers.testing.apiserver.patches import APPLY, Change, media_type_of, read_applied, read_patch
from aioinformers.testing.apiserver.refusals import decode_object, unknown_subresource
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.routing import RequestInfo, Target
from aioinformers.testing.apiserver.scaling import applied_by_scale, on_scale, scale_bytes
from aioinformers.testing.apiserver.selection import Selection
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.storage import Part, Storage
from aioinformers.testing.apiserver.table import Stored

__all__ = ["Answer", "check_subresource", "write"]


class Answer(NamedTuple):
    """What a request is answered with."""

    status: int
    body: bytes


def write(
    storage: Storage,
    resource: Resource,
    target: Target,
    info: RequestInfo,
    body: bytes,
    *,
    shard_selector: bool = False,
) -> Answer:
    """Answer a request that writes.

    Args:
        storage: The server's storage.
        resource: The resource of what is written.
        target: What the path names.
        info: The request.
        body: Its body.
        shard_selector: Whether the server knows ``shardSelector``, which limits what a collection loses, too.

    Raises:
        StatusError: The failure to answer with.
    """
    if target.subresource and info.verb not in ("update", "patch"):
        raise StatusError.method_not_allowed()
    match info.verb:
        case "create" if not target.name and (target.namespace or not resource.namespaced):
            return _create(storage, resource, target, info, body)
        case "update" if target.name:
            return _update(storage, resource, target, info, body)
        case "patch" if target.name:
            return _patch(storage, resource, target, info, body)
        case "delete":
            return _delete(storage, resource, target, info, body)
        case "deletecollection" if target.namespace or not resource.namespaced:
            selection = Selection.parse(resource, target.namespace, info.query, shard_selector=shard_selector)
            return _delete_collection(storage, resource, selection, info, body)
        case _:
            raise StatusError.method_not_allowed()


def check_subresource(resource: Resource, target: Target) -> None:
    """Refuse a subresource that there is not.

    Raises:
        StatusError: 404.
    """
    is_there = {"": True, "status": resource.status, "scale": resource.scale is not None}
    if not is_there.get(target.subresource):
        raise unknown_subresource(resource, target.subresource)


def _create(storage: Storage, resource: Resource, target: Target, info: RequestInfo, body: bytes) -> Answer:
    obj = _read_object(resource, body)
    options = _options("CreateOptions", target, info)
    return _answer(201, storage.create(resource, obj, namespace=target.namespace, part=Part.MAIN, options=options))


def _update(storage: Storage, resource: Resource, target: Target, info: RequestInfo, body: bytes) -> Answer:
    options = _options("UpdateOptions", target, info)
    if target.subresource == "scale":
        scale = decode_object(body)
        return _change(storage, resource, target, lambda _: scale, options)
    obj, where = _read_object(resource, body), target.namespace
    if target.subresource:
        item = storage.update(resource, target.name, obj, namespace=where, part=Part.STATUS, options=options)
        return _answer(200, item)
    item, created = storage.upsert(resource, target.name, obj, namespace=where, options=options)
    return _answer(201 if created else 200, item)


def _patch(storage: Storage, resource: Resource, target: Target, info: RequestInfo, body: bytes) -> Answer:
    media_type = media_type_of(info.headers)
    if media_type == APPLY:
        return _apply(storage, resource, target, info, body)
    change = read_patch(resource, media_type, body)
    return _change(storage, resource, target, change, _options("PatchOptions", target, info))


def _apply(storage: Storage, resource: Resource, target: Target, info: RequestInfo, body: bytes) -> Answer:
    options = _options("PatchOptions", target, info, applies=True)
    config, part = read_applied(body), Part.STATUS if target.subresource == "status" else Part.MAIN
    if target.subresource == "scale":
        config = applied_by_scale(resource, target.name, config)
    item, created = storage.apply(resource, target.name, config, namespace=target.namespace, part=part, options=options)
    if target.subresource == "scale":
        return Answer(200, scale_bytes(resource, decode(item.body)))
    return _answer(201 if created else 200, item)


def _change(storage: Storage, resource: Resource, target: Target, change: Change, options: WriteOptions) -> Answer:
    is_scale, part = target.subresource == "scale", Part.STATUS if target.subresource == "status" else Part.MAIN
    if is_scale:
        change = on_scale(resource, target.name, change)
    item = storage.change(resource, target.name, change, namespace=target.namespace, part=part, options=options)
    return Answer(200, scale_bytes(resource, decode(item.body))) if is_scale else _answer(200, item)


def _delete(storage: Storage, resource: Resource, target: Target, info: RequestInfo, body: bytes) -> Answer:
    options = DeleteOptions.parse(info.query, decode_object(body) if body else None)
    item, gone = storage.delete(resource, target.name, namespace=target.namespace, options=options)
    if not gone or resource.returned:
        return _answer(200, item)
    group = {"group": resource.gvr.group} if resource.gvr.group else {}
    details = {"name": item.name, **group, "kind": resource.gvr.resource, "uid": item.uid}
    success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return Answer(200, encode(success) + b"\n")


def _delete_collection(
    storage: Storage, resource: Resource, selection: Selection, info: RequestInfo, body: bytes
) -> Answer:
    options = DeleteOptions.parse(info.query, decode_object(body) if body else None)
    items = selection.filter(storage.table(resource).ordered())
    for item in items:
        storage.delete(resource, item.name, namespace=item.namespace, options=options)
    listing = Listing(resource=resource, version=storage.version, items=items, shards=str(selection.shards or ""))
    return Answer(200, b"".join(listing.pieces()))


def _options(kind: str, target: Target, info: RequestInfo, *, applies: bool = False) -> WriteOptions:
    agent = info.headers.get("user-agent", "")
    return WriteOptions.parse(kind, info.query, user_agent=agent, subresource=target.subresource, applies=applies)


def _answer(status: int, item: Stored) -> Answer:
    return Answer(status, item.body + b"\n")


def _read_object(resource: Resource, body: bytes) -> dict[str, Any]:
    obj = decode_object(body)
    if resource.custom and not ("kind" in obj and "apiVersion" in obj):
        raise StatusError.bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): Object 'Kind' is missing"
        )
    return obj
