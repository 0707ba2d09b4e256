"""Does what the garbage collector of kube-controller-manager does with what owners leave behind. Pure.

One difference: an owner that this server has never had is taken for one that is there. Objects of a test may name
owners that it does not bother to create; kube-controller-manager would delete them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aioinformers.testing.apiserver.dependents import FOREGROUND, ORPHAN, Place
from aioinformers.testing.apiserver.documents import decode
from aioinformers.testing.apiserver.metadata import key_of
from aioinformers.testing.apiserver.options import DeleteOptions, Propagation, WriteOptions
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.testing.apiserver.table import Stored

__all__ = ["collect"]

_OPTIONS = WriteOptions(manager="kube-controller-manager")


class _Owner(enum.Enum):
    SOLID = enum.auto()
    DANGLING = enum.auto()
    WAITING = enum.auto()


def collect(storage: Storage) -> None:
    """Do all there is to do: delete what has lost its last owner, and end deletions that waited for dependents."""
    while storage.dependents:
        _look_at(storage, storage.dependents.pop())


def _look_at(storage: Storage, place: Place) -> None:
    resource, item = storage.resources.get(place.gvr), _item(storage, place)
    if resource is None or item is None:
        return
    metadata = decode(item.body)["metadata"]
    if "deletionTimestamp" not in metadata:
        _look_at_owners(storage, resource, item, metadata)
        return
    finalizers = metadata.get("finalizers", ())
    if ORPHAN in finalizers:
        for child in storage.dependents.of(item.uid):
            _change(storage, child, partial(_without_owners, uids={item.uid}))
        _change(storage, place, partial(_without_finalizer, finalizer=ORPHAN))
    elif FOREGROUND in finalizers:
        blocking = False
        for child in storage.dependents.of(item.uid):
            if not _is_deleted(storage, child):
                _look_at(storage, child)
            blocking |= _blocks(storage, child, item.uid)
        if not blocking:
            _change(storage, place, partial(_without_finalizer, finalizer=FOREGROUND))


def _look_at_owners(storage: Storage, resource: Resource, item: Stored, metadata: Mapping[str, Any]) -> None:
    """Delete an object if none of its owners is left, or remove its references to those that are not."""
    place = Place(resource.gvr, item.namespace, item.name)
    references = metadata.get("ownerReferences") or ()
    owners = {str(each.get("uid", "")): _owner(storage, place, each) for each in references}
    lost = {uid for uid, owner in owners.items() if owner is not _Owner.SOLID}
    if not lost:
        return
    if len(lost) < len(owners):
        _change(storage, place, partial(_without_owners, uids=lost))
        return
    finalizers = metadata.get("finalizers", ())
    propagation = Propagation.BACKGROUND
    dependents = storage.dependents.of(item.uid)
    if (_Owner.WAITING in owners.values() and dependents) or FOREGROUND in finalizers:
        propagation = Propagation.FOREGROUND
        if any(_is_deleted(storage, each) for each in dependents):  # in a circle, nobody may wait for the other
            _change(storage, place, _unblocking)
    elif ORPHAN in finalizers:
        propagation = Propagation.ORPHAN
    options = DeleteOptions(uid=item.uid, propagation=propagation)
    storage.delete(resource, item.name, namespace=item.namespace, options=options)


def _owner(storage: Storage, place: Place, reference: Mapping[str, Any]) -> _Owner:
    group = str(reference.get("apiVersion", "")).rpartition("/")[0]
    uid = reference.get("uid", "")
    for resource in storage.resources:
        if resource.kind == reference.get("kind") and resource.gvr.group == group:
            namespace = place.namespace if resource.namespaced else ""
            item = _item(storage, Place(resource.gvr, namespace, str(reference.get("name"))))
            if item is not None and item.uid == uid:
                metadata = decode(item.body)["metadata"]
                waits = "deletionTimestamp" in metadata and FOREGROUND in metadata.get("finalizers", ())
                return _Owner.WAITING if waits else _Owner.SOLID
    return _Owner.DANGLING if storage.dependents.was_deleted(uid) else _Owner.SOLID


def _is_deleted(storage: Storage, place: Place) -> bool:
    item = _item(storage, place)
    return item is not None and "deletionTimestamp" in decode(item.body)["metadata"]


def _blocks(storage: Storage, child: Place, uid: str) -> bool:
    """Tell whether an owner's deletion has to wait for an object."""
    item = _item(storage, child)
    references = () if item is None else decode(item.body)["metadata"].get("ownerReferences", ())
    return any(each.get("uid") == uid and each.get("blockOwnerDeletion") for each in references)


def _item(storage: Storage, place: Place) -> Stored | None:
    resource = storage.resources.get(place.gvr)
    if resource is None:
        return None  # it was the resource of a definition that has been deleted
    return storage.table(resource).items.get(key_of(place.namespace, place.name))


def _change(storage: Storage, place: Place, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    resource = storage.resources.get(place.gvr)
    if resource is not None and _item(storage, place) is not None:
        storage.change(resource, place.name, change, namespace=place.namespace, options=_OPTIONS)


def _without_finalizer(obj: dict[str, Any], finalizer: str) -> dict[str, Any]:
    metadata = obj["metadata"]
    metadata["finalizers"] = [each for each in metadata.get("finalizers", ()) if each != finalizer]
    if not metadata["finalizers"]:
        del metadata["finalizers"]
    return obj


def _without_owners(obj: dict[str, Any], uids: set[str]) -> dict[str, Any]:
    metadata = obj["metadata"]
    metadata["ownerReferences"] = [each for each in metadata.get("ownerReferences", ()) if each.get("uid") not in uids]
    if not metadata["ownerReferences"]:
        del metadata["ownerReferences"]
    return obj


def _unblocking(obj: dict[str, Any]) -> dict[str, Any]:
    for each in obj["metadata"]["ownerReferences"]:
        each.pop("blockOwnerDeletion", None)
    return obj
