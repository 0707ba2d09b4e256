"""From events to keys: which objects are to be reconciled because something has changed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from aioinformers.checks import shown
from aioinformers.controllers.outcomes import Trigger, Why
from aioinformers.controllers.schedule import MOST_CAUSES, Priority
from aioinformers.controllers.ties import NO_TIES, Ties, TiesFact
from aioinformers.delivery.events import Added, Deleted, Event, Updated, record_of
from aioinformers.delivery.listener import ConsumerOptions
from aioinformers.errors import InvalidPathError
from aioinformers.informer import SharedInformer, pipeline_of
from aioinformers.objects.facts import Fact
from aioinformers.objects.layout import Entry
from aioinformers.objects.paths import parse_path
from aioinformers.objects.selectors import parse_label_selector
from aioinformers.pipeline import Pipeline
from aioinformers.resources import kind_of_resource
from aioinformers.types import Cause, ObjectKey, Scope, version_order

__all__ = [
    "Add",
    "ByIndex",
    "Cache",
    "ChildSource",
    "Keys",
    "MainSource",
    "Mapper",
    "Origins",
    "WatchedSource",
    "key_of",
    "keys_of",
    "require_together",
]

T = TypeVar("T")

Add = Callable[..., None]
"""Adds a key to the queue: ``add(key, priority=, cause=, resets=)``."""

Keys: TypeAlias = Iterable[ObjectKey | tuple[str, str] | str]
"""Keys of objects, as users write them."""

Mapper: TypeAlias = Callable[[Any], Keys | None]
"""Returns the keys that are to be reconciled because an object has changed."""

_IN_BACKGROUND: Final = frozenset({Cause.LIST, Cause.RESYNC, Cause.WARM, Cause.SHARD})


class Cache:
    """What a controller asks one of its informers: facts of what it holds, whatever its object type.

    Args:
        informer: The informer.
        has_ties: Whether it is asked what ties objects to others, and whether they are being deleted.

    Raises:
        RuntimeError: If it runs already, and drops what these facts would be read of.
    """

    def __init__(self, informer: SharedInformer[Any], *, has_ties: bool = True) -> None:
        self.informer: SharedInformer[Any] = informer
        self.pipeline: Pipeline[Any] = pipeline_of(informer)
        self.resource: str = str(informer.resource)
        self._facts: list[Fact] = []
        self._fact = self._ask(TiesFact()) if has_ties else None

    def _ask(self, fact: Fact) -> Fact:
        try:
            known = self.pipeline.indexing.add_fact(fact)
        except InvalidPathError:
            raise
        except ValueError:
            raise RuntimeError(
                f"{self.informer.name} runs already, and keeps objects without the JSON that a controller looks at: "
                f"declare the controller before the factory starts"
            ) from None
        self._facts.append(known)
        return known

    def expect(self, fields: Mapping[str, tuple[str, ...]]) -> None:
        """Have read of each object what a handler with these options needs, which joins when the informer may run.

        Args:
            fields: The options ``ignore`` and ``only`` of the handler.

        Raises:
            InvalidPathError: If no object has such a field.
            RuntimeError: If the informer runs already, and drops what it would be read of.
        """
        given: dict[str, Any] = {name: paths for name, paths in fields.items() if paths}
        options: ConsumerOptions[Any] = ConsumerOptions(**given)
        if (fact := options.fields) is not None:
            self._ask(fact)

    def entry(self, key: ObjectKey) -> Entry | None:
        """Return what is stored under a key."""
        return self.pipeline.store.get(str(key))

    def follows(self, key: ObjectKey) -> bool:
        """Tell whether the informer follows the namespace of a key: otherwise that it has no object says nothing."""
        return self.pipeline.store.follows(key.namespace)

    @property
    def has_ties(self) -> bool:
        """Whether it knows what ties objects to others."""
        return self._fact is not None

    def ties(self, entry: Entry) -> Ties:
        """Return what ties an object to others."""
        if self._fact is None:
            return NO_TIES
        found = self.pipeline.indexing.fact_of(self._fact, entry)
        return found if isinstance(found, Ties) else NO_TIES

    @property
    def has_status(self) -> bool:
        """Whether objects of this kind may have a status, and the informer shows it."""
        layout = self.pipeline.indexing.layout
        is_shown = layout.object_type.shows(parse_path("status"))
        return is_shown and (layout.schema is None or layout.schema.has_field("status"))

    def _follows(self, scope: Scope, key: ObjectKey, uid: str) -> bool:
        """Tell whether an object is in a scope; by uid, nothing can be told of one whose uid is not known."""
        if scope.namespace not in ("", key.namespace):
            return False
        share = self.pipeline.spec.share(scope)
        if share is None or share.by == "namespace":
            return share is None or share.contains(key.namespace)
        return bool(uid) and share.contains(uid)

    def shows(self, key: ObjectKey, uid: str, labels: Mapping[str, str]) -> bool:
        """Tell whether the cache is going to show an object that has been written; False if that cannot be told.

        Args:
            key: The object's key.
            uid: Its uid; empty if it is not known.
            labels: Its labels.
        """
        spec = self.pipeline.spec
        followed = list(self.pipeline.store.partitions)
        if not any(self._follows(scope, key, uid) for scope in followed):
            return False
        query = dict(spec.query)
        selector = query.pop("labelSelector", "")
        if query:
            return False  # of fields, or what a user's function has asked for
        return not selector or parse_label_selector(selector).matches(labels)

    def has_reached(self, key: ObjectKey, uid: str, version: str) -> bool:
        """Tell whether the cache knows all that has happened to an object up to a resourceVersion."""
        return version.isdecimal() and any(
            partition.version.isdecimal() and version_order(partition.version) >= version_order(version)
            for scope, partition in self.pipeline.store.partitions.items()
            if self._follows(scope, key, uid)
        )

    def release(self) -> None:
        """Ask no more."""
        while self._facts:
            self.pipeline.indexing.drop_fact(self._facts.pop())


def require_together(main: Cache, informer: SharedInformer[Any]) -> None:
    """Refuse a source whose shard may lack what belongs to, or leads to, an object of the controller's own.

    Args:
        main: The cache of the objects that are reconciled.
        informer: The source.

    Raises:
        ValueError: If the source is sharded by uid, or otherwise than they are, or in a way in which it and they are
            not kept together; says what would be.
    """
    own, other = main.pipeline.spec.shard, pipeline_of(informer).spec.shard
    if other is None:
        return
    kinds = [kind for each in (main.informer, informer) if (kind := kind_of_resource(each.resource)) is not None]
    are_apart = len({kind.is_namespaced for kind in kinds}) > 1
    if other.by == "namespace" and own == other and not are_apart:
        return
    raise ValueError(
        f"{informer.name} has the objects of one shard alone, and of those that lead to an object of "
        f'{main.informer.name} some may be in another process. Either all of them have one shard with by="namespace", '
        f'which keeps owners and what they own together, except with cluster-scoped ones; or, as by="uid" parts them, '
        f"this informer has shard=None, and so follows all"
    )


def _urgency(cause: Cause, event: Event[Any]) -> Priority:
    is_new = isinstance(event, Added) and event.initial
    return Priority.BACKGROUND if is_new or cause in _IN_BACKGROUND else Priority.NORMAL


class Origins:
    """Tells whose changes are.

    What changes while an object is reconciled may be what the run itself writes, whose answer has not come yet: whether
    it was, is judged when the run has ended.

    Args:
        is_own: Tells whether the controller has written a version of an object.
    """

    def __init__(self, is_own: Callable[[str, ObjectKey, str], bool]) -> None:
        self._is_own = is_own
        self._held: dict[ObjectKey, list[Callable[[], None]]] = {}

    def why(self, other: Why, resource: str, key: ObjectKey, version: str) -> Why:
        """Return ``OWN_WRITE`` if the controller has made a change, and otherwise what was given."""
        return Why.OWN_WRITE if version and self._is_own(resource, key, version) else other

    def judge(self, key: ObjectKey, add: Callable[[], None]) -> None:
        """Add a key to the queue once it can be told who has made the change: now, or when its run has ended."""
        held = self._held.get(key)
        if held is None or len(held) >= MOST_CAUSES:
            add()
        else:
            held.append(add)

    def hold(self, key: ObjectKey) -> None:
        """A run of an object begins."""
        self._held[key] = []

    def let_go(self, key: ObjectKey) -> None:
        """It has ended."""
        for add in self._held.pop(key):
            add()


class MainSource:
    """Adds the objects that are reconciled themselves.

    Args:
        cache: Their cache.
        add: Adds keys.
        origins: Tells whose changes are.
    """

    def __init__(self, cache: Cache, add: Add, origins: Origins) -> None:
        self._cache, self._add, self._origins = cache, add, origins

    async def __call__(self, event: Event[Any]) -> None:
        """Add the key of an event."""
        self._origins.judge(event.key, functools.partial(self._judge, event))

    def _judge(self, event: Event[Any]) -> None:
        record, cause, key = record_of(event), event.cause, event.key
        version = "" if record is None or isinstance(event, Deleted) else record.entry.version
        why = self._origins.why(Why.OBJECT, self._cache.resource, key, version)
        self._add(
            key, priority=_urgency(cause, event), cause=Trigger(why, key, cause, self._cache.resource),
            resets=why is Why.OBJECT and cause is not Cause.RESYNC,
        )  # fmt: skip


class ChildSource:
    """Adds the owners of the objects that belong to them, those of before included.

    An owner is told by its uid: another object of its name is not meant.

    Args:
        cache: The cache of what belongs to them.
        owners: Their own cache.
        add: Adds keys.
        origins: Tells whose changes are.
    """

    def __init__(self, cache: Cache, owners: Cache, add: Add, origins: Origins) -> None:
        self._cache, self._owners, self._add, self._origins = cache, owners, add, origins

    async def __call__(self, event: Event[Any]) -> None:
        """Add the owner of an event's object, and that of its predecessor."""
        record = record_of(event)
        if record is None:
            return
        entry = record.entry
        mark = entry.uid if isinstance(event, Deleted) else entry.version
        for owner in dict.fromkeys(self._owner(event.key, each) for each in (record.base, entry) if each):
            if owner is not None:
                self._origins.judge(owner, functools.partial(self._judge, owner, event, mark))

    def _judge(self, owner: ObjectKey, event: Event[Any], mark: str) -> None:
        key, cause, resource = event.key, event.cause, self._cache.resource
        trigger = Trigger(self._origins.why(Why.CHILD, resource, key, mark), key, cause, resource)
        self._add(owner, priority=_urgency(cause, event), cause=trigger, resets=False)

    def _owner(self, child: ObjectKey, entry: Entry) -> ObjectKey | None:
        reference = self._cache.ties(entry).controller
        if reference is None:
            return None
        for namespace in dict.fromkeys((child.namespace, "")):
            key = ObjectKey(namespace, reference.name)
            owner = self._owners.entry(key)
            if owner is not None and owner.uid == reference.uid:
                return key
        return None


class ByIndex:
    """Finds objects by an index of theirs, whose values are the keys of others.

    Args:
        main: The informer of the objects.
        index: The name of the index.
    """

    def __init__(self, main: SharedInformer[Any], index: str) -> None:
        self._store, self._index = pipeline_of(main).store, index

    def find(self, key: ObjectKey) -> list[ObjectKey]:
        """Return the keys of the objects that are filed under another one's key."""
        return [ObjectKey.parse(found) for found in self._store.keys_by_index(self._index, str(key))]


class WatchedSource:
    """Adds the objects that others lead to.

    Args:
        resource: Of the others.
        to: Returns the keys that an object leads to, and is asked for the object as it was, too; or an index.
        add: Adds keys.
    """

    def __init__(self, resource: str, to: Mapper | ByIndex, add: Add) -> None:
        self._resource, self._to, self._add = resource, to, add

    async def __call__(self, event: Event[Any]) -> None:
        """Add the keys that an event's object leads to, and those that its predecessor did."""
        cause, key, to = event.cause, event.key, self._to
        priority, trigger = _urgency(cause, event), Trigger(Why.WATCHED, key, cause, self._resource)
        if isinstance(to, ByIndex):
            keys = to.find(key)
        else:
            objects = [event.old, event.object] if isinstance(event, Updated) else [event.object]
            keys = [found for obj in objects for found in keys_of(to(obj))]
        for found in dict.fromkeys(keys):
            self._add(found, priority=priority, cause=trigger, resets=False)


def keys_of(given: Any) -> list[ObjectKey]:
    """Return what a mapper gave as keys.

    Raises:
        TypeError: If it gave something else: a single text is no list of keys.
    """
    if given is None:
        return []
    if isinstance(given, str | ObjectKey) or not isinstance(given, Iterable):
        raise TypeError(f"a mapper returns several keys, such as a list of one, not {shown(given)}")
    return [key_of(key) for key in given]


def key_of(given: Any) -> ObjectKey:
    """Return what somebody gave as a key.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is a text without a name, or with more than a namespace before it.
    """
    if isinstance(given, str):
        namespace, _, name = given.rpartition("/")
        if not name or "/" in namespace:
            raise ValueError(f"a key is written 'namespace/name', or 'name' without a namespace, not {shown(given)}")
        return ObjectKey(namespace, name)
    if isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, str) for part in given) and given[1]:
        return ObjectKey(*given)
    raise TypeError(f"a key is an ObjectKey, (namespace, name) or 'namespace/name', not {shown(given)}")
