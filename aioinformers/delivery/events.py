"""Events as a consumer gets them: made when delivered, decoding their objects on first access. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from aioinformers.delivery.mailbox import Record
from aioinformers.objects.layout import Entry
from aioinformers.objects.object_types import ObjectType
from aioinformers.types import Cause, GroupVersionResource, ObjectKey

__all__ = [
    "EVENT_TYPES", "Added", "Deleted", "Event", "EventFactory", "Released", "Updated", "another", "record_of",
]  # fmt: skip

T = TypeVar("T")

_NO_KEY = ObjectKey("", "")


_NO_RESOURCE = GroupVersionResource("", "", "")


class Added(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """An object is there that was not, as far as this consumer was told.

    Attributes:
        object: The object, decoded on first access where its type is decoded lazily.
        initial: Whether it was there already when the consumer joined or the cache first synced.
        cause: What made the event.
        key: Namespace and name, without decoding the object.
        resource: The informer's resource.
    """

    object: T
    initial: bool = False
    cause: Cause = Cause.WATCH
    key: ObjectKey = _NO_KEY
    resource: GroupVersionResource = _NO_RESOURCE


class Updated(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """An object has changed since this consumer was last told; a resync has ``old is object``.

    Attributes:
        old: What the consumer was last given.
        object: The newer object.
        cause: What made the event.
        key: Namespace and name, without decoding the object.
        resource: The informer's resource.
    """

    old: T
    object: T
    cause: Cause = Cause.WATCH
    key: ObjectKey = _NO_KEY
    resource: GroupVersionResource = _NO_RESOURCE


class Deleted(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """An object is gone (or no longer matches the selector).

    Attributes:
        object: Its final state, or the last known one if ``final_state_known`` is false.
        final_state_known: Whether the server reported the deletion; false if it happened unseen.
        cause: What made the event.
        key: Namespace and name, without decoding the object.
        resource: The informer's resource.
    """

    object: T
    final_state_known: bool = True
    cause: Cause = Cause.WATCH
    key: ObjectKey = _NO_KEY
    resource: GroupVersionResource = _NO_RESOURCE


class Released(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """The informer does not follow an object any more, as :meth:`SharedInformer.set_namespaces` has asked for.

    Only ``on_released`` hears of it, and ``on_error`` if that fails: for all others the object is as it was last told.

    Attributes:
        object: The last known state; the object may go on to live.
        cause: What made the event.
        key: Namespace and name, without decoding the object.
        resource: The informer's resource.
    """

    object: T
    cause: Cause = Cause.SHARD
    key: ObjectKey = _NO_KEY
    resource: GroupVersionResource = _NO_RESOURCE


Event: TypeAlias = Added[T] | Updated[T] | Deleted[T]
"""What a handler gets: ``Added``, ``Updated`` or ``Deleted``."""


_force = msgspec.structs.force_setattr
_UNSET: Any = msgspec.UNSET


class EventFactory(Generic[T]):
    """Makes the events of one informer out of records.

    Attributes:
        resource: The informer's resource.
        decode: Returns the user's object of an entry: a fresh one unless it is immutable (G13).
    """

    __slots__ = ("_object_type", "decode", "resource")

    def __init__(self, resource: GroupVersionResource, object_type: ObjectType[T]) -> None:
        self.resource: GroupVersionResource = resource
        self._object_type = object_type
        self.decode: Callable[[Entry], T] = object_type.show
        self.share(is_shared=False)

    def share(self, *, is_shared: bool) -> None:
        """Say whether several consumers may read an object: then what the first one decodes is kept for the others.

        To keep it costs time and memory: for one consumer it would be a loss.
        """
        is_kept = is_shared or not self._object_type.keeps_levels
        self.decode = self._object_type.show if is_kept else self._decode_alone

    def _decode_alone(self, entry: Entry) -> T:
        return self._object_type.decode(entry.body)

    def make(self, record: Record) -> Event[T]:
        """Return a new event of a record; each consumer gets its own."""
        return EVENT_TYPES[record.type](record, self)


# A lazy event keeps nothing but its record and its factory, in the first two slots of its base: a hundred handlers
# make a hundred of them per change. Every public attribute is computed, the objects are decoded once.
_added_record, _added_factory = (vars(Added)[name].__get__ for name in Added.__struct_fields__[:2])
_updated_record, _updated_factory = (vars(Updated)[name].__get__ for name in Updated.__struct_fields__[:2])
_deleted_record, _deleted_factory = (vars(Deleted)[name].__get__ for name in Deleted.__struct_fields__[:2])
_released_record, _released_factory = (vars(Released)[name].__get__ for name in Released.__struct_fields__[:2])


def _decoded(event: Any, memo: str, factory: EventFactory[Any], entry: Entry) -> Any:
    obj = factory.decode(entry)
    _force(event, memo, obj)
    return obj


def _reduced(event: Event[Any] | Released[Any]) -> tuple[type[Event[Any] | Released[Any]], tuple[Any, ...]]:
    """Pickle or copy an event as a plain one, which holds its objects."""
    base = next(plain for plain in (Added, Updated, Deleted, Released) if isinstance(event, plain))
    return base, tuple(getattr(event, name) for name in base.__struct_fields__)


class _LazyAdded(Added[Any], frozen=True, gc=False, eq=False):
    _memo: Any = _UNSET

    @property  # type: ignore[misc]  # a slot becomes a computed attribute
    def object(self) -> Any:
        memo = self._memo
        if memo is not _UNSET:
            return memo
        return _decoded(self, "_memo", _added_factory(self), _added_record(self).entry)

    @property  # type: ignore[misc]
    def initial(self) -> bool:
        return _added_record(self).initial  # type: ignore[no-any-return]

    @property  # type: ignore[misc]
    def cause(self) -> Cause:
        return _added_record(self).cause  # type: ignore[no-any-return]

    @property  # type: ignore[misc]
    def key(self) -> ObjectKey:
        return ObjectKey.parse(_added_record(self).key)

    @property  # type: ignore[misc]
    def resource(self) -> GroupVersionResource:
        return _added_factory(self).resource  # type: ignore[no-any-return]

    __reduce__ = _reduced

    def __repr__(self) -> str:
        return f"Added({self.resource} {self.key}, initial={self.initial}, cause={self.cause.name})"


class _LazyUpdated(Updated[Any], frozen=True, gc=False, eq=False):
    _memo: Any = _UNSET
    _old_memo: Any = _UNSET

    @property  # type: ignore[misc]  # a slot becomes a computed attribute
    def object(self) -> Any:
        memo = self._memo
        if memo is not _UNSET:
            return memo
        return _decoded(self, "_memo", _updated_factory(self), _updated_record(self).entry)

    @property  # type: ignore[misc]
    def old(self) -> Any:
        memo = self._old_memo
        if memo is not _UNSET:
            return memo
        record = _updated_record(self)
        if record.cause is Cause.RESYNC:
            return self.object  # nothing has changed: one object
        return _decoded(self, "_old_memo", _updated_factory(self), record.base)

    @property  # type: ignore[misc]
    def cause(self) -> Cause:
        return _updated_record(self).cause  # type: ignore[no-any-return]

    @property  # type: ignore[misc]
    def key(self) -> ObjectKey:
        return ObjectKey.parse(_updated_record(self).key)

    @property  # type: ignore[misc]
    def resource(self) -> GroupVersionResource:
        return _updated_factory(self).resource  # type: ignore[no-any-return]

    __reduce__ = _reduced

    def __repr__(self) -> str:
        return f"Updated({self.resource} {self.key}, cause={self.cause.name})"


class _LazyDeleted(Deleted[Any], frozen=True, gc=False, eq=False):
    _memo: Any = _UNSET

    @property  # type: ignore[misc]  # a slot becomes a computed attribute
    def object(self) -> Any:
        memo = self._memo
        if memo is not _UNSET:
            return memo
        return _decoded(self, "_memo", _deleted_factory(self), _deleted_record(self).entry)

    @property  # type: ignore[misc]
    def final_state_known(self) -> bool:
        return _deleted_record(self).known  # type: ignore[no-any-return]

    @property  # type: ignore[misc]
    def cause(self) -> Cause:
        return _deleted_record(self).cause  # type: ignore[no-any-return]

    @property  # type: ignore[misc]
    def key(self) -> ObjectKey:
        return ObjectKey.parse(_deleted_record(self).key)

    @property  # type: ignore[misc]
    def resource(self) -> GroupVersionResource:
        return _deleted_factory(self).resource  # type: ignore[no-any-return]

    __reduce__ = _reduced

    def __repr__(self) -> str:
        known = self.final_state_known
        return f"Deleted({self.resource} {self.key}, final_state_known={known}, cause={self.cause.name})"


class _LazyReleased(Released[Any], frozen=True, gc=False, eq=False):
    _memo: Any = _UNSET

    @property  # type: ignore[misc]  # a slot becomes a computed attribute
    def object(self) -> Any:
        memo = self._memo
        if memo is not _UNSET:
            return memo
        return _decoded(self, "_memo", _released_factory(self), _released_record(self).entry)

    @property  # type: ignore[misc]
    def cause(self) -> Cause:
        return _released_record(self).cause  # type: ignore[no-any-return]

    @property  # type: ignore[misc]
    def key(self) -> ObjectKey:
        return ObjectKey.parse(_released_record(self).key)

    @property  # type: ignore[misc]
    def resource(self) -> GroupVersionResource:
        return _released_factory(self).resource  # type: ignore[no-any-return]

    __reduce__ = _reduced

    def __repr__(self) -> str:
        return f"Released({self.resource} {self.key}, cause={self.cause.name})"


_LAZY = (_LazyAdded, _LazyUpdated, _LazyDeleted, _LazyReleased)

EVENT_TYPES: tuple[Callable[[Record, EventFactory[Any]], Event[Any]], ...] = _LAZY  # type: ignore[assignment]  # their slots hold other things than their names say
"""What makes an event of a record, by the record's type."""

_RECORDS: dict[type, Callable[[Any], Record]] = {
    _LazyAdded: _added_record, _LazyUpdated: _updated_record, _LazyDeleted: _deleted_record,
    _LazyReleased: _released_record,
}  # fmt: skip


_FACTORIES: dict[type, Callable[[Any], Any]] = {
    _LazyAdded: _added_factory, _LazyUpdated: _updated_factory, _LazyDeleted: _deleted_factory,
    _LazyReleased: _released_factory,
}  # fmt: skip


def another(event: Event[Any]) -> Event[Any]:
    """Return the same event for somebody else, who gets objects of his own (G13); a plain one stays the one it is."""
    record = record_of(event)
    return event if record is None else EVENT_TYPES[record.type](record, _FACTORIES[type(event)](event))


def record_of(event: Event[Any]) -> Record | None:
    """Return what an event was made of; None of a plain one, which somebody else has made."""
    read = _RECORDS.get(type(event))
    return None if read is None else read(event)


for _class in _LAZY:  # users see the class that they match on
    _class.__name__ = _class.__qualname__ = _class.__name__.removeprefix("_Lazy")
