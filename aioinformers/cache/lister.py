"""Reads: the lister by name and selector, the indexer by key and index. Never an API call."""

from __future__ import annotations

import asyncio
import builtins
import functools
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import compress
from time import monotonic
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import UNSET

from aioinformers.cache.indexer import Store
from aioinformers.checks import shown
from aioinformers.errors import NotFoundError, NotOwnedError
from aioinformers.objects.layout import NAMESPACE_INDEX, Entry
from aioinformers.objects.paths import join_key
from aioinformers.objects.selectors import (
    FieldRequirement,
    LabelSelector,
    Operator,
    parse_field_selector,
    parse_label_selector,
)
from aioinformers.objects.shard import Shard, share_of
from aioinformers.types import GroupVersionResource, ObjectKey

__all__ = ["Indexer", "Lister", "NamespaceLister", "ShardReader", "StoreReader"]

T = TypeVar("T")


class StoreReader(Generic[T]):
    """What every read shares: the check that the cache may answer, and the decoding of objects.

    Args:
        store: The informer's store.
        name: The informer's name.
        resource: Its resource.
        require_readable: Raises while reads could only be wrong; called with the namespace that is read, or None for
            reads of all scopes.
    """

    def __init__(
        self, store: Store[T], name: str, resource: GroupVersionResource, require_readable: Callable[[str | None], None]
    ) -> None:
        self._store = store
        self._object_type = store.layout.object_type  # no layout of an informer has another one
        self.name = name
        self.resource = resource
        self._require_readable = require_readable

    @property
    def is_partial(self) -> bool:
        """Whether the cache holds the objects of one shard alone."""
        return False

    def require_owned(self, namespace: str, key: str = "") -> None:
        """Refuse to say of another shard's objects that they are not there; see :class:`ShardReader`."""

    @property
    def index_names(self) -> tuple[str, ...]:
        """The indexes, whether or not the cache may be read."""
        return self._store.layout.names

    def count(self) -> str:
        """Return how many objects are cached, in words, whether or not the cache may be read."""
        return f"{len(self._store)} objects"

    def store(self, namespace: str | None = None) -> Store[T]:
        """Return the store.

        Args:
            namespace: The only namespace that is going to be read; None for all scopes.

        Raises:
            CacheNotSyncedError: Before the first sync of what is going to be read.
            InformerClosedError: After the end.
        """
        if not self._store.is_open:
            self._require_readable(namespace)
        return self._store

    def indexed(self, name: str, value: str) -> Store[T]:
        """Return the store to read what is filed under a value of an index; raises as :meth:`store` does."""
        return self.store(value if name == NAMESPACE_INDEX else None)

    def objects(self, entries: Iterable[Entry]) -> list[T]:
        """Return the users' objects of entries."""
        return self._object_type.show_all(entries)

    def get(self, key: str, namespace: str) -> T | None:
        """Return the object of an internal key in a namespace; a fresh one unless it is immutable."""
        entry = self.store(namespace).get(key)
        return None if entry is None else self._object_type.show(entry)

    def find(self, namespace: str, name: str, how: str = "give namespace=") -> T:
        """Return the object of a name, or raise ``NotFoundError``, which says how to ask for one in a namespace."""
        store = self._store
        if namespace and name.__class__ is str and store.is_open:  # what follows says the same, and says more
            entry = store.get(f"{namespace}/{name}")
            if entry is not None:
                return self._object_type.show(entry)
        if not isinstance(name, str):
            raise TypeError(f"a name is a text, not {shown(name)}: an ObjectKey is for the indexer")
        key = join_key(namespace, name)
        obj = None if "/" in name and not namespace else self.get(key, namespace)  # it could be taken for a key
        if obj is None:
            raise self.not_found(key, self._advice(namespace, name, how))
        return obj

    def not_found(self, key: str, advice: str = "") -> NotFoundError:
        """Return the error for an object that the cache does not hold."""
        return NotFoundError(str(self.resource), key, advice)

    def _advice(self, namespace: str, name: str, how: str) -> str:
        """Return how to ask for an object that was asked for without its namespace."""
        if namespace:
            return ""
        within, slash, rest = name.partition("/")
        if slash:
            return f"a name has no slash: did you mean {rest!r} with namespace={within!r}?"
        found = [entry.key.partition("/")[0] for entry in self._store.named(name, None)]
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return f"one is in namespace {', '.join(map(repr, sorted(found)[:3]))}{more}: {how}" if found else ""

    def each(self, namespace: str | None = None) -> Iterator[T]:
        """Return all objects of now, or those of a namespace, each decoded when its turn comes."""
        store = self.store(namespace)
        entries = store.entries() if namespace is None else store.by_index(NAMESPACE_INDEX, namespace)
        return map(self._object_type.show, entries)

    def items(self) -> Iterator[tuple[ObjectKey, T]]:
        """Return all keys and objects of now, each decoded when its turn comes."""
        store = self.store()
        show = self._object_type.show
        copies = [partition.objects.copy() for partition in store.partitions.values()]
        return ((ObjectKey.parse(key), show(entry)) for copy in copies for key, entry in copy.items())

    def select(self, namespace: str | None, label_selector: str | None, field_selector: str | None) -> list[T]:
        """Return the objects that match everything given."""
        entries, match = self._selection(namespace, label_selector, field_selector)
        return self.objects(match(entries))

    async def collect(self, namespace: str | None, label_selector: str | None, field_selector: str | None) -> list[T]:
        """Return the objects of now that match everything given, and let the loop run meanwhile."""
        entries, match = self._selection(namespace, label_selector, field_selector, most=_SLICE)
        found: list[T] = []
        begun = monotonic()
        for at in range(0, len(entries), _SLICE):
            found += self.objects(match(entries[at : at + _SLICE]))
            if monotonic() - begun > _STEP:
                await asyncio.sleep(0)
                begun = monotonic()
        return found

    def _selection(
        self, namespace: str | None, label_selector: str | None, field_selector: str | None, most: int | None = None
    ) -> tuple[list[Entry], _Match]:
        """Return the entries among which those that match are, and the function that finds these.

        What has to be equal is looked up, and so are labels, unless that took more than ``most`` steps; the rest is to
        be judged.
        """
        if namespace is not None:
            _require_namespace(namespace)
        labels = parse_label_selector(label_selector) if label_selector else None
        fields = parse_field_selector(field_selector).require_cacheable().requirements if field_selector else ()
        equal = {path: value for path, operator, value in fields if operator is Operator.EQUALS}
        if namespace is None:
            namespace = equal.get(_NAMESPACE)
        store = self.store(namespace)
        if (name := equal.get(_NAME)) is not None:
            entries = store.named(name, namespace)
        elif namespace is not None:
            entries = store.by_index(NAMESPACE_INDEX, namespace)
        else:
            entries = store.entries()
        known = {_NAME: name, _NAMESPACE: namespace}
        judged = [each for each in fields if each.operator is not Operator.EQUALS or known[each.path] != each.value]
        if labels is None or labels.is_empty:
            return entries, functools.partial(_with_fields, judged)
        object_type = self._object_type
        if not object_type.shows_labels:
            raise TypeError(
                f"{self.resource}: objects of {object_type.python_type.__name__} have no "
                f"metadata.labels: declare them in the class, or send the selector to the server"
            )
        is_large = namespace is None or len(entries) > _SLICE  # few are judged sooner than others are looked up
        if name is None and is_large and (found := store.labelled(labels, most)) is not None:
            if namespace is not None:
                found = [entry for entry in found if entry.index[0] == namespace]
            return found, functools.partial(_with_fields, judged)
        return entries, lambda some: _labelled(store, _with_fields(judged, some), labels)


class ShardReader(StoreReader[T]):
    """The reads of a cache that holds one shard's objects.

    Args:
        store: As of any reader.
        name: The same.
        resource: The same.
        require_readable: The same.
        shard: The shard.
    """

    def __init__(
        self,
        store: Store[T],
        name: str,
        resource: GroupVersionResource,
        require_readable: Callable[[str | None], None],
        shard: Shard,
    ) -> None:
        super().__init__(store, name, resource, require_readable)
        self._shard = shard
        self._owns_namespace = functools.lru_cache(maxsize=1024)(share_of(shard).owns_namespace)

    @property
    def is_partial(self) -> bool:
        """Whether it holds the objects of one shard alone: it does."""
        return True

    def require_owned(self, namespace: str, key: str = "") -> None:
        """Refuse to say of another shard's objects that they are not there.

        Raises:
            NotOwnedError: If the shard's objects are those of some namespaces, and this is none of them.
        """
        if not self._owns_namespace(namespace):
            raise NotOwnedError(self.name, namespace, key)

    def store(self, namespace: str | None = None) -> Store[T]:
        """Return the store; raises, beside what :meth:`StoreReader.store` does, :class:`NotOwnedError`."""
        if namespace is not None:
            self.require_owned(namespace)
        return super().store(namespace)

    def not_found(self, key: str, advice: str = "") -> NotFoundError:
        """Return the error for an object that the cache does not hold, but another shard may."""
        partial = (
            f"the cache is partial ({self._shard}), and another shard may have it" if self._shard.by == "uid" else ""
        )
        return super().not_found(key, "; ".join(filter(None, (advice, partial))))


def _require_namespace(namespace: Any) -> None:
    if not isinstance(namespace, str):
        raise TypeError(f"a namespace is a text, not {shown(namespace)}")


_NAME, _NAMESPACE = "metadata.name", "metadata.namespace"
_SLICE = 256
"""Objects that are judged and shown before the clock is looked at."""
_STEP = 0.002
"""Seconds after which others have their turn."""

_Match: TypeAlias = Callable[[list[Entry]], list[Entry]]


def _with_fields(requirements: Iterable[FieldRequirement], entries: list[Entry]) -> list[Entry]:
    """Return the entries whose keys match."""
    for path, operator, value in requirements:
        part, is_equal = 2 if path == _NAME else 0, operator is Operator.EQUALS
        entries = [entry for entry in entries if (entry.key.rpartition("/")[part] == value) is is_equal]
    return entries


def _labelled(store: Store[T], entries: list[Entry], selector: LabelSelector) -> list[Entry]:
    """Return the entries whose labels match: each distinct label set is judged once, however many objects have it."""
    label_sets = [entry.labels for entry in entries]
    if UNSET in (distinct := set(label_sets)):
        label_sets = [store.label_set(entry) for entry in entries]
        distinct = set(label_sets)
    matching = {one for one in distinct if one is not UNSET and selector.matches(one.labels)}
    return list(compress(entries, map(matching.__contains__, label_sets)))


class NamespaceLister(Generic[T]):
    """A lister bound to one namespace. It answers once what follows this namespace has synced."""

    def __init__(self, reader: StoreReader[T], namespace: str) -> None:
        self._reader = reader
        self.namespace = namespace

    def __repr__(self) -> str:
        return f"<NamespaceLister of {self._reader.name}, namespace {self.namespace}>"

    @property
    def is_partial(self) -> bool:
        """Whether it holds the objects of one shard alone: what is not here may be in another process.

        Then nothing may be concluded from an object's absence, nor from a count.
        """
        return self._reader.is_partial

    def get(self, name: str) -> T:
        """Return the object of a name.

        Raises:
            NotFoundError: If the cache holds none.
            NotOwnedError: If another shard has the namespace.
            CacheNotSyncedError: Before the first sync of the namespace.
            InformerClosedError: After the end.
        """
        return self._reader.find(self.namespace, name)

    def list(self, label_selector: str | None = None, *, field_selector: str | None = None) -> list[T]:
        """Return the objects that match; see :meth:`Lister.list`."""
        return self._reader.select(self.namespace, label_selector, field_selector)

    async def collect(
        self, label_selector: str | None = None, *, field_selector: str | None = None
    ) -> builtins.list[T]:
        """Return the objects that match, and let others run meanwhile; see :meth:`Lister.collect`."""
        return await self._reader.collect(self.namespace, label_selector, field_selector)

    def __len__(self) -> int:
        return self._reader.store(self.namespace).count(NAMESPACE_INDEX, self.namespace)

    def __iter__(self) -> Iterator[T]:
        """Go through the objects of now, each decoded when its turn comes."""
        return self._reader.each(self.namespace)


class Lister(Generic[T]):
    """Finds cached objects by name or selector. Every object is the caller's own (G13).

    A read of one namespace answers once what follows this namespace has synced; other reads wait for all scopes.
    """

    def __init__(self, reader: StoreReader[T]) -> None:
        self._reader = reader

    def __repr__(self) -> str:
        return f"<Lister of {self._reader.name}, {self._reader.count()}>"

    @property
    def is_partial(self) -> bool:
        """Whether it holds the objects of one shard alone: what is not here may be in another process.

        Then nothing may be concluded from an object's absence, nor from a count.
        """
        return self._reader.is_partial

    def get(self, name: str, *, namespace: str | None = None) -> T:
        """Return one object.

        Args:
            name: Its name.
            namespace: Its namespace; none for cluster-scoped objects.

        Raises:
            NotFoundError: If the cache holds no such object; the server is never asked.
            NotOwnedError: If another shard has its namespace.
            CacheNotSyncedError: Before the first sync of the namespace.
            InformerClosedError: After the end.
        """
        return self._reader.find(namespace or "", name)

    def list(
        self,
        label_selector: str | None = None,
        *,
        namespace: str | None = None,
        field_selector: str | None = None,
    ) -> list[T]:
        """Return the objects that match everything given, all objects without arguments, in no particular order.

        One step: nothing else runs on the loop meanwhile. That is about 1 µs for each object that is returned, 0.1 s
        for 100,000; the first label selector adds 2 µs for each cached object, later ones some tenths of a microsecond
        for each distinct set of labels and each object that has changed since. To go through many objects, iterate over
        the lister; to have them all, await :meth:`collect`.

        Args:
            label_selector: In Kubernetes' full grammar: ``tier in (a,b),!canary``.
            namespace: Only this namespace.
            field_selector: On ``metadata.name`` and ``metadata.namespace``; other fields want an index. What has to be
                equal is looked up.

        Raises:
            InvalidSelectorError: If a selector cannot be parsed or is not possible on the cache.
            NotOwnedError: If another shard has the namespace.
            CacheNotSyncedError: Before the first sync, of the namespace if one is given.
            InformerClosedError: After the end.
        """
        return self._reader.select(namespace, label_selector, field_selector)

    async def collect(
        self,
        label_selector: str | None = None,
        *,
        namespace: str | None = None,
        field_selector: str | None = None,
    ) -> builtins.list[T]:
        """Return what :meth:`list` returns, in steps of about 2 ms, between which others run on the loop.

        All objects are those of one moment, whatever arrives meanwhile. What is asked for, and what
        it raises, is as of :meth:`list`. Cancelled, it leaves nothing behind.
        """
        return await self._reader.collect(namespace, label_selector, field_selector)

    def namespace(self, namespace: str) -> NamespaceLister[T]:
        """Return the lister of one namespace.

        Raises:
            TypeError: If it is no text.
        """
        _require_namespace(namespace)
        return NamespaceLister(self._reader, namespace)

    def __len__(self) -> int:
        return len(self._reader.store())

    def __iter__(self) -> Iterator[T]:
        """Go through the objects of now, each decoded when its turn comes."""
        return self._reader.each()


class Indexer(Mapping[ObjectKey, T]):
    """The cache as a mapping of keys to objects, with indexes. Every object is the caller's own (G13).

    Who goes through it, or through its ``items()`` or ``values()``, goes through the objects of that moment, whatever
    changes meanwhile; each is decoded when its turn comes. ``dict(indexer)`` asks for one key after the other instead:
    in another thread than the loop's, write ``dict(indexer.items())``.
    """

    def __init__(self, reader: StoreReader[T]) -> None:
        self._reader = reader

    def __repr__(self) -> str:
        return f"<Indexer of {self._reader.name}, {self._reader.count()} by {', '.join(self._reader.index_names)}>"

    @property
    def is_partial(self) -> bool:
        """Whether it holds the objects of one shard alone: what is not here may be in another process.

        Then nothing may be concluded from an object's absence, nor from a count.
        """
        return self._reader.is_partial

    def __getitem__(self, key: ObjectKey | tuple[str, str] | str) -> T:
        return self._reader.find(*_parts_of(key), "a key is 'namespace/name'")

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            if not (isinstance(key, tuple) and len(key) == 2):
                return False
            key = join_key(*key)
        return self._reader.store(key.rpartition("/")[0]).get(key) is not None

    def __len__(self) -> int:
        return len(self._reader.store())

    def __iter__(self) -> Iterator[ObjectKey]:
        return map(ObjectKey.parse, self._reader.store().all_keys())

    def items(self) -> ItemsView[ObjectKey, T]:
        """Return the keys and objects."""
        return _Items(self, self._reader.items)

    def values(self) -> ValuesView[T]:
        """Return the objects."""
        return _Values(self, self._reader.each)

    def by_index(self, name: str, value: str) -> list[T]:
        """Return the objects filed under a value of an index, in one step as :meth:`Lister.list`.

        Raises:
            UnknownIndexError: If there is no such index.
            CacheNotSyncedError: Before the first sync; of the index ``namespace``, of that namespace.
            InformerClosedError: After the end.
        """
        if not isinstance(value, str):
            raise TypeError(f"the values of an index are texts, not {shown(value)}")
        return self._reader.objects(self._reader.indexed(name, value).by_index(name, value))

    def index_keys(self, name: str, value: str) -> list[ObjectKey]:
        """Return the keys filed under a value of an index, without decoding their objects.

        One step, about 0.6 µs for each key.

        Raises:
            UnknownIndexError: If there is no such index.
            CacheNotSyncedError: Before the first sync; of the index ``namespace``, of that namespace.
            InformerClosedError: After the end.
        """
        return [ObjectKey.parse(key) for key in self._reader.indexed(name, value).keys_by_index(name, value)]

    def index_values(self, name: str) -> list[str]:
        """Return the distinct values of an index, in one step of about 0.1 µs for each.

        Raises:
            UnknownIndexError: If there is no such index.
            CacheNotSyncedError: Before the first sync.
            InformerClosedError: After the end.
        """
        return self._reader.store().index_values(name)

    def resource_version(self, key: ObjectKey | tuple[str, str] | str) -> str:
        """Return the resourceVersion of a cached object without decoding it.

        Raises:
            NotFoundError: If the cache holds no such object.
            NotOwnedError: If another shard has its namespace.
            CacheNotSyncedError: Before the first sync of its namespace.
            InformerClosedError: After the end.
        """
        namespace, name = _parts_of(key)
        text = join_key(namespace, name)
        entry = self._reader.store(namespace).get(text)
        if entry is None:
            raise self._reader.not_found(text)
        return entry.version


def _parts_of(key: Any) -> tuple[str, str]:
    """Return namespace and name of a key as users give it."""
    if isinstance(key, str):
        namespace, _, name = key.rpartition("/")
        return namespace, name
    try:
        namespace, name = key
    except (TypeError, ValueError):
        raise TypeError(f"a key is an ObjectKey, (namespace, name) or 'namespace/name', not {shown(key)}") from None
    return namespace, name


class _Items(ItemsView[ObjectKey, T]):
    """Keys and objects, taken out of the store at once: asked for one by one, some could be gone by then."""

    def __init__(self, indexer: Indexer[T], items: Callable[[], Iterator[tuple[ObjectKey, T]]]) -> None:
        super().__init__(indexer)
        self._items = items

    def __iter__(self) -> Iterator[tuple[ObjectKey, T]]:
        return self._items()


class _Values(ValuesView[T]):
    """Objects, taken out of the store at once."""

    def __init__(self, indexer: Indexer[T], values: Callable[[], Iterator[T]]) -> None:
        super().__init__(indexer)
        self._values = values

    def __iter__(self) -> Iterator[T]:
        return self._values()

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)
