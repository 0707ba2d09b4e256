"""Events as a consumer gets them: made when delivered, decoding their objects on first access. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from aioinformers.mailbox import ADDED, UPDATED, Record
from aioinformers.object_types import ObjectType
from aioinformers.objects import Entry
from aioinformers.types import Added, Cause, Deleted, Event, GroupVersionResource, ObjectKey, Updated

__all__ = ["EventFactory"]

T = TypeVar("T")

_force = msgspec.structs.force_setattr
_UNSET: Any = msgspec.UNSET


class EventFactory(Generic[T]):
    """Makes the events of one informer out of records."""

    __slots__ = ("decode_body", "resource")

    def __init__(self, resource: GroupVersionResource, object_type: ObjectType[T]) -> None:
        self.resource: GroupVersionResource = resource
        self.decode_body: Callable[[Any], T] = object_type.decode

    def decode(self, entry: Entry) -> T:
        """Return the user's object of an entry: a fresh one unless it is immutable (G13)."""
        return self.decode_body(entry.body)

    def make(self, record: Record) -> Event[T]:
        """Return a new event of a record; each consumer gets its own."""
        if record.kind == UPDATED:
            return _LazyUpdated(record.base, record.entry, record.cause, record.key, self)  # type: ignore[arg-type]
        if record.kind == ADDED:
            return _LazyAdded(record.entry, record.initial, record.cause, record.key, self)  # type: ignore[arg-type]
        return _LazyDeleted(record.entry, record.known, record.cause, record.key, self)  # type: ignore[arg-type]


# The lazy events keep in their base's slots what the public attributes are made of: an entry in ``object``
# and ``old``, the internal key in ``key``, the factory in ``resource``. Reading an attribute decodes it once.
_added, _updated, _deleted = vars(Added), vars(Updated), vars(Deleted)
_added_entry, _added_key, _added_factory = (_added[name].__get__ for name in ("object", "key", "resource"))
_updated_entry, _updated_key, _updated_factory = (_updated[name].__get__ for name in ("object", "key", "resource"))
_updated_old = _updated["old"].__get__
_deleted_entry, _deleted_key, _deleted_factory = (_deleted[name].__get__ for name in ("object", "key", "resource"))


def _decoded(event: Any, memo: str, factory: EventFactory[Any], entry: Entry) -> Any:
    found = factory.decode_body(entry.body)
    _force(event, memo, found)
    return found


class _LazyAdded(Added[Any], frozen=True, gc=False, eq=False):
    _memo: Any = _UNSET

    @property  # type: ignore[misc]  # a slot becomes a computed attribute
    def object(self) -> Any:
        memo = self._memo
        return memo if memo is not _UNSET else _decoded(self, "_memo", _added_factory(self), _added_entry(self))

    @property  # type: ignore[misc]
    def key(self) -> ObjectKey:
        return ObjectKey.parse(_added_key(self))

    @property  # type: ignore[misc]
    def resource(self) -> GroupVersionResource:
        return _added_factory(self).resource  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Added({self.resource} {self.key}, initial={self.initial}, cause={self.cause.name})"


class _LazyUpdated(Updated[Any], frozen=True, gc=False, eq=False):
    _memo: Any = _UNSET
    _old_memo: Any = _UNSET

    @property  # type: ignore[misc]  # a slot becomes a computed attribute
    def object(self) -> Any:
        memo = self._memo
        return memo if memo is not _UNSET else _decoded(self, "_memo", _updated_factory(self), _updated_entry(self))

    @property  # type: ignore[misc]
    def old(self) -> Any:
        if self.cause is Cause.RESYNC:
            return self.object  # nothing has changed: one object
        memo = self._old_memo
        return memo if memo is not _UNSET else _decoded(self, "_old_memo", _updated_factory(self), _updated_old(self))

    @property  # type: ignore[misc]
    def key(self) -> ObjectKey:
        return ObjectKey.parse(_updated_key(self))

    @property  # type: ignore[misc]
    def resource(self) -> GroupVersionResource:
        return _updated_factory(self).resource  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Updated({self.resource} {self.key}, cause={self.cause.name})"


class _LazyDeleted(Deleted[Any], frozen=True, gc=False, eq=False):
    _memo: Any = _UNSET

    @property  # type: ignore[misc]  # a slot becomes a computed attribute
    def object(self) -> Any:
        memo = self._memo
        return memo if memo is not _UNSET else _decoded(self, "_memo", _deleted_factory(self), _deleted_entry(self))

    @property  # type: ignore[misc]
    def key(self) -> ObjectKey:
        return ObjectKey.parse(_deleted_key(self))

    @property  # type: ignore[misc]
    def resource(self) -> GroupVersionResource:
        return _deleted_factory(self).resource  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        known = self.final_state_known
        return f"Deleted({self.resource} {self.key}, final_state_known={known}, cause={self.cause.name})"


for _class in (_LazyAdded, _LazyUpdated, _LazyDeleted):  # users see the class that they match on
    _class.__name__ = _class.__qualname__ = _class.__name__.removeprefix("_Lazy")
