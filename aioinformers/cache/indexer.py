"""The store: entries by key and by index. Pure; written by the dispatcher alone, read by anyone.

A :class:`Partition` holds the objects of one scope (all namespaces, one namespace, one shard), so that a
relist can be staged beside it and swapped in at once. :class:`Store` is all partitions of an informer.

Readers in other threads need no lock, and pay for none. They may run between any two steps of the writer, so every read
here follows three rules:

- It refers once to what may be exchanged (``Store._current``, a partition), and goes on with that.
- It takes its copy of a dict that changes in one call that runs no Python code: ``list(d)``, ``some += d.values()``,
  ``d.copy()``. Not ``list(d.items())``: that makes a tuple per item, in Python 3.11 the garbage collector may run then,
  and with it any ``__del__``, in which threads may switch. The keys are texts, whose comparison is no Python code.
- An index only says where to look. Whether an object has the value is told by its own entry, which never changes what
  it says: the writer files and unfiles an object in several steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from threading import get_ident
from typing import Final, Generic, TypeAlias, TypeVar

from msgspec import UNSET

from aioinformers.cache.postings import Postings
from aioinformers.errors import UnknownIndexError
from aioinformers.objects.labels import LabelSet
from aioinformers.objects.layout import NAMESPACE_INDEX, Entry, Layout
from aioinformers.objects.paths import IndexValue, join_key
from aioinformers.objects.selectors import LabelSelector
from aioinformers.types import Scope

__all__ = ["Partition", "Store"]

T = TypeVar("T")

Index: TypeAlias = tuple[IndexValue, ...]

Bucket: TypeAlias = dict[str, None]
"""Keys of one index value; a dict keeps their order and costs less than a set."""

SAMPLE: Final = 128
"""Objects at each end of a scope by whose sizes those of all are estimated."""


class Partition:
    """The objects of one scope and their indexes.

    Attributes:
        objects: Entry by internal key.
        indexes: Per index of the layout: value to keys.
        version: The resourceVersion that has been applied.
        is_synced: Whether a list of the scope has been committed.
        is_stale: Whether it may be read although it has not synced, as an earlier process had synced it.
        rejected: Why an object could not be read, by its key; its last good version is kept, if there was one.
        postings: The keys by label set, once somebody has selected by labels.
    """

    __slots__ = ("_values", "indexes", "is_stale", "is_synced", "objects", "postings", "rejected", "version")

    def __init__(self, index_count: int) -> None:
        self.objects: dict[str, Entry] = {}
        self.indexes: list[dict[str, Bucket]] = [{} for _ in range(index_count)]
        self.version: str = ""
        self.is_synced: bool = False
        self.is_stale: bool = False
        self.rejected: dict[str, str] = {}
        self.postings: Postings | None = None
        self._values: dict[str, str] = {}  # not sys.intern: Python 3.12 never frees what it has interned

    def put(self, key: str, entry: Entry) -> Entry | None:
        """Store an entry and return the one it replaces."""
        objects = self.objects
        old = objects.get(key)
        entry.key = key
        objects[key] = entry
        if self.postings is not None and key not in (changed := self.postings.changed):
            changed[key] = None if old is None else old.labels
        if old is None:
            entry.index = self._link(key, entry.index)
        elif old.index == entry.index:
            entry.index = old.index  # the common case: one shared tuple, no bucket touched
        else:
            entry.index = self._link(key, entry.index)
            self._unlink(key, old.index, entry.index)  # last: readers in other threads never miss the object
        return old

    def remove(self, key: str) -> Entry | None:
        """Remove and return an entry; None if there is none."""
        old = self.objects.pop(key, None)
        if old is not None:
            self._unlink(key, old.index, (None,) * len(old.index))
            if self.postings is not None:
                self.postings.changed.setdefault(key, old.labels)
                if self.postings.is_forgotten:
                    self.postings = None
        return old

    def _link(self, key: str, values: Index) -> Index:
        """File a key under index values; return these with one string object per distinct text."""
        one = self._values.setdefault
        shared: list[IndexValue] = []
        for index, value in zip(self.indexes, values, strict=True):
            texts: tuple[str, ...] = ()
            if type(value) is str:
                value = one(value, value)
                texts = (value,)
            elif value is not None:
                value = texts = tuple([one(text, text) for text in value])
            shared.append(value)
            for text in texts:
                bucket = index.get(text)
                if bucket is None:
                    index[text] = {key: None}
                else:
                    bucket[key] = None
        return tuple(shared)

    def _unlink(self, key: str, values: Index, kept: Index) -> None:
        for index, value, now in zip(self.indexes, values, kept, strict=True):
            if value is None or value == now:
                continue
            kept_texts = (now,) if type(now) is str else now or ()
            for one in (value,) if type(value) is str else value:
                if one in kept_texts:
                    continue
                bucket = index[one]
                del bucket[key]
                if not bucket:  # an index must not remember every value there ever was
                    del index[one]
                    if not any(one in other for other in self.indexes):
                        del self._values[one]


class Store(Generic[T]):
    """All partitions of one informer, and the layout that their entries follow.

    A scope's partition may be exchanged in place. Scopes come and go only with another dict of partitions: readers in
    other threads go through the one that they have found.

    Attributes:
        hidden: Partitions of scopes that are followed and not shown yet; nobody but the dispatcher looks into them.
        building: Indexes that must not be read yet.
        writer: The thread that writes, once there is one: what it reads is not changed meanwhile.
        is_open: Reads need not ask whether they may: every scope can be read, and the informer has not ended.
    """

    def __init__(self, layout: Layout[T], scopes: Iterable[Scope]) -> None:
        self.writer: int | None = None
        self.is_open: bool = False
        # One reference: a reader in another thread must never see the partitions of one layout with another.
        self._current = layout, {scope: Partition(len(layout.names)) for scope in scopes}
        self.hidden: dict[Scope, Partition] = {}
        self.building: set[str] = set()
        layout.object_type.levels.find = self.get

    @property
    def layout(self) -> Layout[T]:
        """The layout that the entries follow."""
        return self._current[0]

    @property
    def partitions(self) -> dict[Scope, Partition]:
        """Partition by scope."""
        return self._current[1]

    @partitions.setter
    def partitions(self, partitions: dict[Scope, Partition]) -> None:
        self._current = self.layout, partitions
        self.is_open = self.is_open and self.is_readable()

    @property
    def is_synced(self) -> bool:
        """Whether every scope's first list has been committed."""
        for partition in self._current[1].values():  # noqa: SIM110  each read asks, and a generator takes thrice as long
            if not partition.is_synced:
                return False
        return True

    def partition(self, scope: Scope) -> Partition | None:
        """Return the partition of a scope, shown or hidden; None if it is not followed."""
        return self._current[1].get(scope) or self.hidden.get(scope)

    def follows(self, namespace: str) -> bool:
        """Tell whether objects of a namespace are, or may be, shown."""
        return any(scope.namespace in ("", namespace) for scope in list(self._current[1]))

    def has_synced(self, namespace: str) -> bool:
        """Tell whether the first list of every scope that follows a namespace has been committed.

        What belongs to no scope, as a namespace that is not followed, waits for all of them.
        """
        partitions = self._current[1]
        following = [partition for scope, partition in partitions.items() if scope.namespace in ("", namespace)]
        return all(partition.is_synced for partition in following or partitions.values())

    def is_readable(self, namespace: str | None = None) -> bool:
        """Tell whether every scope has synced, or holds what an earlier process had and may be read before that.

        Args:
            namespace: The only namespace that is read; None for all scopes.
        """
        partitions = self._current[1]
        following = [
            each for scope, each in partitions.items() if namespace is None or scope.namespace in ("", namespace)
        ]
        return all(each.is_synced or each.is_stale for each in following or partitions.values())

    def __len__(self) -> int:
        return sum([len(partition.objects) for partition in self._current[1].values()])

    def estimate_bytes(self) -> int:
        """Estimate the bytes that the objects' JSON takes, packed or not, by the oldest and the latest of each scope.

        What is stored as decoded objects counts nothing.
        """
        total = 0
        for partition in self.partitions.values():
            objects = partition.objects
            try:
                bodies = [entry.body for entry in islice(objects.values(), SAMPLE)]
                bodies += [entry.body for entry in islice(reversed(objects.values()), SAMPLE)]
            except RuntimeError:  # another thread asks, and it has been changed meanwhile
                continue
            if bodies:
                size = sum(len(body) for body in bodies if isinstance(body, bytes))
                total += len(objects) * size // len(bodies)
        return total

    def get(self, key: str) -> Entry | None:
        """Return the entry of a key."""
        for partition in self._current[1].values():
            if (entry := partition.objects.get(key)) is not None:
                return entry
        return None

    def named(self, name: str, namespace: str | None) -> list[Entry]:
        """Return the entries of a name, in one namespace or in each: one look-up per scope and namespace."""
        if "/" in name:
            return []  # no object has such a name, but it could be taken for a key
        position, partitions = self._located(NAMESPACE_INDEX)
        found: list[Entry] = []
        for partition in partitions:
            namespaces = list(partition.indexes[position]) if namespace is None else (namespace,)
            keys = [join_key(each, name) for each in namespaces]
            found += [entry for entry in map(partition.objects.get, keys) if entry is not None]
        return found

    def has_version(self, scope: Scope, key: str, uid: str, version: str) -> bool:
        """Tell whether this very version of an object is stored; without a version nobody knows."""
        partition = self.partition(scope)
        entry = None if partition is None else partition.objects.get(key)
        return entry is not None and bool(version) and entry.version == version and entry.uid == uid

    def label_set(self, entry: Entry) -> LabelSet:
        """Return the label set of a stored object; its labels are decoded once per version."""
        labels = entry.labels
        if labels is UNSET:
            object_type = self.layout.object_type
            labels = entry.labels = object_type.label_sets.shared(object_type.labels(entry.body))
        return labels

    def labelled(self, selector: LabelSelector, most: int | None = None) -> list[Entry] | None:
        """Return the entries whose labels match a selector; None if they have to be judged one by one instead.

        They are looked up in the thread that writes.

        Args:
            selector: What the labels have to match.
            most: Steps that this may take in all; None if it does not matter.
        """
        if get_ident() != self.writer:
            return None
        partitions = self._current[1].values()
        if most is not None:
            counts = (len(each.objects) if each.postings is None else each.postings.steps for each in partitions)
            if sum(counts) > most:
                return None
        found: list[Entry] = []
        for partition in partitions:
            if partition.postings is None:
                partition.postings = Postings(partition.objects)
            found += partition.postings.find(selector, self.label_set)
        return found

    def entries(self) -> list[Entry]:
        """Return a snapshot of all entries."""
        found: list[Entry] = []
        for partition in self.partitions.values():
            found += partition.objects.values()
        return found

    def all_keys(self) -> list[str]:
        """Return a snapshot of all keys."""
        found: list[str] = []
        for partition in self.partitions.values():
            found += partition.objects
        return found

    def count(self, name: str, value: str) -> int:
        """Return how many objects are filed under a value of an index.

        Raises:
            UnknownIndexError: If there is no such index, or it is being built.
        """
        position, partitions = self._located(name)
        return sum(len(partition.indexes[position].get(value, ())) for partition in partitions)

    def keys_by_index(self, name: str, value: str) -> list[str]:
        """Return the keys of the objects that have a value of an index.

        Raises:
            UnknownIndexError: If there is no such index, or it is being built.
        """
        position, partitions = self._located(name)
        found: list[str] = []
        for partition in partitions:
            if bucket := partition.indexes[position].get(value):
                find = partition.objects.get
                found += [
                    key
                    for key in list(bucket)
                    if (entry := find(key)) is not None
                    and ((held := entry.index[position]) == value or (type(held) is tuple and value in held))
                ]
        return found

    def by_index(self, name: str, value: str) -> list[Entry]:
        """Return the entries of the objects that have a value of an index.

        Raises:
            UnknownIndexError: If there is no such index, or it is being built.
        """
        position, partitions = self._located(name)
        found: list[Entry] = []
        if get_ident() == self.writer:  # all that is filed has the value
            for partition in partitions:
                found += filter(None, map(partition.objects.get, partition.indexes[position].get(value, ())))
            return found
        for partition in partitions:
            if bucket := partition.indexes[position].get(value):
                found += [
                    entry
                    for entry in map(partition.objects.get, list(bucket))
                    if entry is not None
                    and ((held := entry.index[position]) == value or (type(held) is tuple and value in held))
                ]
        return found

    def index_values(self, name: str) -> list[str]:
        """Return the distinct values of an index that file at least one object.

        Raises:
            UnknownIndexError: If there is no such index, or it is being built.
        """
        position, partitions = self._located(name)
        values = (list(partition.indexes[position]) for partition in partitions)
        return list(dict.fromkeys(value for some in values for value in some))

    def _located(self, name: str) -> tuple[int, list[Partition]]:
        """Return the place of an index, and the partitions in which it has that place."""
        is_building = name in self.building  # before the next: what is done by then is whole
        layout, partitions = self._current
        if is_building:
            raise UnknownIndexError(name, layout.names, building=True)
        try:
            return layout.names.index(name), list(partitions.values())
        except ValueError:
            raise UnknownIndexError(name, layout.names) from None

    def united(self, scopes: Iterable[Scope], into: Scope) -> Iterator[None]:
        """Make one partition of several, and install it at the end.

        A generator, so that its caller may let the loop run between steps; nobody else may write meanwhile.

        Args:
            scopes: Scopes that are shown.
            into: The scope that they become.
        """
        parts = [self.partitions[scope] for scope in scopes]
        new = Partition(len(self.layout.names))
        new.is_synced = all(part.is_synced for part in parts)
        for part in parts:
            new.rejected |= part.rejected
            for key, entry in part.objects.items():
                new.put(key, entry)
                yield
        rest = {scope: partition for scope, partition in self.partitions.items() if scope not in scopes}
        self.partitions = {**rest, into: new}

    def follow(self, layout: Layout[T]) -> None:
        """Follow another layout that has the same indexes."""
        self._current = layout, self.partitions

    def rebuilt(self, layout: Layout[T], staged: dict[Scope, Partition]) -> Iterator[None]:
        """Build all indexes anew for another layout, a step per object, and install them at the end.

        A generator, so that its caller may let the loop run between steps; nobody else may write meanwhile.

        Args:
            layout: The layout to follow from now on.
            staged: Partitions beside the store that follow its layout too; replaced in place.
        """
        rebuilt: list[dict[Scope, Partition]] = []
        for partitions in (self.partitions, staged, self.hidden):
            fresh: dict[Scope, Partition] = {}
            for scope, old in partitions.items():
                new = fresh[scope] = Partition(len(layout.names))
                new.version, new.is_synced, new.rejected = old.version, old.is_synced, old.rejected
                new.is_stale = old.is_stale
                for key, entry in old.objects.items():
                    new.put(key, layout.reindexed(key, entry, self.layout))
                    yield
            rebuilt.append(fresh)
        self._current = layout, rebuilt[0]
        staged.update(rebuilt[1])
        self.hidden = rebuilt[2]
