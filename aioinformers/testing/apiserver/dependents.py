"""Which objects are owned by which, and what the garbage collector has to look at. Pure.

Objects without ``ownerReferences`` cost nothing here but one look into their metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from aioinformers.testing.apiserver.events import CORE_EVENTS, NEW_EVENTS
from aioinformers.testing.apiserver.options import DeleteOptions, Propagation
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.table import Stored
from aioinformers.types import GroupVersionResource

__all__ = ["FOREGROUND", "ORPHAN", "Dependents", "Place", "finalizers_of_deletion"]

FOREGROUND = "foregroundDeletion"
"""The finalizer of an object whose dependents are deleted before it."""
ORPHAN = "orphan"
"""The finalizer of an object whose dependents lose their reference to it before it is deleted."""

_ORPHANING = frozenset(
    {GroupVersionResource("", "v1", "replicationcontrollers"), GroupVersionResource("batch", "v1", "jobs")}
)
"""Kinds whose dependents stay unless the deletion says something else."""
_NOT_OWNING = frozenset({CORE_EVENTS, NEW_EVENTS})
"""Kinds that the garbage collector leaves alone."""
_REMEMBERED = 10_000  # uids of deleted objects, of which the oldest are forgotten


class Place(NamedTuple):
    """Where an object is."""

    gvr: GroupVersionResource
    namespace: str
    name: str


class Dependents:
    """The owners of all objects that have some.

    Attributes:
        on_work: Called when there is something to do for the garbage collector.
    """

    def __init__(self) -> None:
        self.on_work: Callable[[], None] = _nothing
        self._by_owner: dict[str, dict[Place, None]] = {}
        self._owners: dict[Place, tuple[str, ...]] = {}
        self._waiting: dict[str, Place] = {}
        self._deleted: dict[str, None] = {}
        self._work: dict[Place, None] = {}

    def __bool__(self) -> bool:
        return bool(self._work)

    def pop(self) -> Place:
        """Return the next object to look at, which is then forgotten."""
        place = next(iter(self._work))
        del self._work[place]
        return place

    def of(self, uid: str) -> list[Place]:
        """Return the objects that name an owner."""
        return list(self._by_owner.get(uid, ()))

    def was_deleted(self, uid: str) -> bool:
        """Tell whether there was an object with a uid, which is no more."""
        return uid in self._deleted

    def put(self, resource: Resource, item: Stored, metadata: Mapping[str, Any]) -> None:
        """Learn the owners of an object that has been written, and whether it is being deleted."""
        references = metadata.get("ownerReferences")
        place = Place(resource.gvr, item.namespace, item.name)
        if references or place in self._owners:
            owners = tuple(str(each.get("uid", "")) for each in references or ())
            self._put_owners(place, owners)
            self._queue_owners(owners)
            if any(owner in self._deleted or owner in self._waiting for owner in owners):
                self._queue(place)
        if "deletionTimestamp" in metadata and (finalizers := metadata.get("finalizers")):
            if FOREGROUND in finalizers:
                self._waiting[item.uid] = place
            if FOREGROUND in finalizers or ORPHAN in finalizers:
                self._queue(place)

    def remove(self, resource: Resource, item: Stored) -> None:
        """Learn that an object is no more."""
        place = Place(resource.gvr, item.namespace, item.name)
        if owners := self._owners.get(place):
            self._put_owners(place, ())
            self._queue_owners(owners)
        self._waiting.pop(item.uid, None)
        self._deleted[item.uid] = None
        if len(self._deleted) > _REMEMBERED:
            del self._deleted[next(iter(self._deleted))]
        for child in self.of(item.uid):
            self._queue(child)

    def reset(self, items: Iterable[tuple[Resource, Stored, Mapping[str, Any]]]) -> None:
        """Forget everything, and learn the owners of these objects instead."""
        for known in (self._by_owner, self._owners, self._waiting, self._deleted, self._work):
            known.clear()
        for resource, item, metadata in items:
            self.put(resource, item, metadata)

    def _put_owners(self, place: Place, owners: tuple[str, ...]) -> None:
        for owner in self._owners.pop(place, ()):
            children = self._by_owner.get(owner, {})
            children.pop(place, None)
            if not children:
                self._by_owner.pop(owner, None)
        if owners:
            self._owners[place] = owners
            for owner in owners:
                self._by_owner.setdefault(owner, {})[place] = None

    def _queue_owners(self, owners: Iterable[str]) -> None:
        """Look at owners that wait for their dependents."""
        for owner in owners:
            if owner in self._waiting:
                self._queue(self._waiting[owner])

    def _queue(self, place: Place) -> None:
        self._work[place] = None
        self.on_work()


def finalizers_of_deletion(resource: Resource, metadata: Mapping[str, Any], options: DeleteOptions) -> list[str]:
    """Return the finalizers of an object that is to be deleted, with the one that says what becomes of its dependents.

    Args:
        resource: The object's resource.
        metadata: Its metadata.
        options: How it is to be deleted.
    """
    given: list[str] = list(metadata.get("finalizers") or ())
    if resource.gvr in _NOT_OWNING:
        return given
    propagation = options.propagation
    if propagation is None:
        if FOREGROUND in given or ORPHAN in given or resource.gvr not in _ORPHANING:
            return given
        propagation = Propagation.ORPHAN
    added = {Propagation.FOREGROUND: [FOREGROUND], Propagation.ORPHAN: [ORPHAN]}.get(propagation, [])
    finalizers = [each for each in given if each not in (FOREGROUND, ORPHAN)] + added
    return given if set(finalizers) == set(given) else finalizers


def _nothing() -> None:
    """Nobody collects."""
