"""Reads: the lister by name and selector, the indexer by key and index. Never an API call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import compress
from typing import Generic, TypeVar

from msgspec import UNSET

from aioinformers.cache.indexer import Store
from aioinformers.errors import NotFoundError
from aioinformers.objects.layout import NAMESPACE_INDEX, Entry
from aioinformers.objects.paths import join_key
from aioinformers.objects.selectors import FieldSelector, LabelSelector, parse_field_selector, parse_label_selector
from aioinformers.types import GroupVersionResource, ObjectKey

__all__ = ["Indexer", "Lister", "NamespaceLister", "StoreReader"]

T = TypeVar("T")


class StoreReader(Generic[T]):
    """What every read shares: the check that the cache may answer, and the decoding of objects.

    Args:
        store: The informer's store.
        name: The informer's name.
        resource: Its resource.
        require_readable: Raises while reads could only be wrong.
    """

    def __init__(
        self, store: Store[T], name: str, resource: GroupVersionResource, require_readable: Callable[[], None]
    ) -> None:
        self._store = store
        self.name = name
        self.resource = resource
        self._require_readable = require_readable

    @property
    def index_names(self) -> tuple[str, ...]:
        """The indexes, whether or not the cache may be read."""
        return self._store.layout.names

    def count(self) -> str:
        """Return how many objects are cached, in words, whether or not the cache may be read."""
        return f"{len(self._store)} objects"

    def store(self) -> Store[T]:
        """Return the store.

        Raises:
            CacheNotSyncedError: Before the first sync.
            InformerClosedError: After the end.
        """
        self._require_readable()
        return self._store

    def objects(self, entries: Iterable[Entry]) -> list[T]:
        """Return the users' objects of entries."""
        decode = self._store.layout.object_type.decode
        return [decode(entry.body) for entry in entries]

    def get(self, key: str) -> T | None:
        """Return the object of an internal key; a fresh one unless it is immutable."""
        entry = self.store().get(key)
        return None if entry is None else self._store.layout.object_type.decode(entry.body)

    def select(self, namespace: str | None, label_selector: str | None, field_selector: str | None) -> list[T]:
        """Return the objects that match everything given."""
        labels = parse_label_selector(label_selector) if label_selector else None
        fields = parse_field_selector(field_selector).require_cacheable() if field_selector else None
        store = self.store()
        entries = _located(store, namespace, fields)
        if labels is not None and not labels.is_empty:
            if not store.layout.object_type.shows_labels:
                raise TypeError(
                    f"{self.resource}: objects of {store.layout.object_type.python_type.__name__} have no "
                    f"metadata.labels: declare them in the class, or send the selector to the server"
                )
            entries = _labelled(store, entries, labels)
        return self.objects(entries)


def _located(store: Store[T], namespace: str | None, fields: FieldSelector | None) -> list[Entry]:
    if namespace is None and fields is None:
        return store.entries()
    items = store.items() if namespace is None else store.by_index(NAMESPACE_INDEX, namespace)
    if fields is None:
        return [entry for _, entry in items]
    keys = ((ObjectKey.parse(key), entry) for key, entry in items)
    return [entry for key, entry in keys if fields.matches(key.namespace, key.name)]


def _labelled(store: Store[T], entries: list[Entry], selector: LabelSelector) -> list[Entry]:
    """Return the entries whose labels match: each distinct label set is judged once, however many objects have it."""
    label_sets = [entry.labels for entry in entries]
    if UNSET in (distinct := set(label_sets)):
        label_sets = [store.label_set(entry) for entry in entries]
        distinct = set(label_sets)
    matching = {one for one in distinct if one is not UNSET and selector.matches(one.labels)}
    return list(compress(entries, map(matching.__contains__, label_sets)))


class NamespaceLister(Generic[T]):
    """A lister bound to one namespace."""

    def __init__(self, reader: StoreReader[T], namespace: str) -> None:
        self._reader = reader
        self.namespace = namespace

    def __repr__(self) -> str:
        return f"<NamespaceLister of {self._reader.name}, namespace {self.namespace}>"

    def get(self, name: str) -> T:
        """Return the object of a name.

        Raises:
            NotFoundError: If the cache holds none.
            CacheNotSyncedError: Before the first sync.
            InformerClosedError: After the end.
        """
        obj = self._reader.get(join_key(self.namespace, name))
        if obj is None:
            raise NotFoundError(str(self._reader.resource), join_key(self.namespace, name))
        return obj

    def list(self, label_selector: str | None = None, *, field_selector: str | None = None) -> list[T]:
        """Return the objects that match; see :meth:`Lister.list`."""
        return self._reader.select(self.namespace, label_selector, field_selector)

    def __len__(self) -> int:
        return len(self._reader.store().keys_by_index(NAMESPACE_INDEX, self.namespace))

    def __iter__(self) -> Iterator[T]:
        return iter(self.list())


class Lister(Generic[T]):
    """Finds cached objects by name or selector. Every object is the caller's own (G13)."""

    def __init__(self, reader: StoreReader[T]) -> None:
        self._reader = reader

    def __repr__(self) -> str:
        return f"<Lister of {self._reader.name}, {self._reader.count()}>"

    def get(self, name: str, *, namespace: str | None = None) -> T:
        """Return one object.

        Args:
            name: Its name.
            namespace: Its namespace; none for cluster-scoped objects.

        Raises:
            NotFoundError: If the cache holds no such object; the server is never asked.
            CacheNotSyncedError: Before the first sync.
            InformerClosedError: After the end.
        """
        return NamespaceLister(self._reader, namespace or "").get(name)

    def list(
        self,
        label_selector: str | None = None,
        *,
        namespace: str | None = None,
        field_selector: str | None = None,
    ) -> list[T]:
        """Return the objects that match everything given, all objects without arguments.

        Args:
            label_selector: In Kubernetes' full grammar: ``tier in (a,b),!canary``.
            namespace: Only this namespace.
            field_selector: On ``metadata.name`` and ``metadata.namespace``; other fields want an index.

        Raises:
            InvalidSelectorError: If a selector cannot be parsed or is not possible on the cache.
            CacheNotSyncedError: Before the first sync.
            InformerClosedError: After the end.
        """
        return self._reader.select(namespace, label_selector, field_selector)

    def namespace(self, namespace: str) -> NamespaceLister[T]:
        """Return the lister of one namespace."""
        return NamespaceLister(self._reader, namespace)

    def __len__(self) -> int:
        return len(self._reader.store())

    def __iter__(self) -> Iterator[T]:
        return iter(self.list())


class Indexer(Mapping[ObjectKey, T]):
    """The cache as a mapping of keys to objects, with indexes. Every object is the caller's own (G13)."""

    def __init__(self, reader: StoreReader[T]) -> None:
        self._reader = reader

    def __repr__(self) -> str:
        return f"<Indexer of {self._reader.name}, {self._reader.count()} by {', '.join(self._reader.index_names)}>"

    def __getitem__(self, key: ObjectKey | tuple[str, str] | str) -> T:
        text = key if isinstance(key, str) else join_key(*key)
        obj = self._reader.get(text)
        if obj is None:
            raise NotFoundKeyError(str(self._reader.resource), text)
        return obj

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            if not (isinstance(key, tuple) and len(key) == 2):
                return False
            key = join_key(*key)
        return self._reader.store().get(key) is not None

    def __len__(self) -> int:
        return len(self._reader.store())

    def __iter__(self) -> Iterator[ObjectKey]:
        return iter([ObjectKey.parse(key) for key in self._reader.store().all_keys()])

    def by_index(self, name: str, value: str) -> list[T]:
        """Return the objects filed under a value of an index.

        Raises:
            UnknownIndexError: If there is no such index.
            CacheNotSyncedError: Before the first sync.
            InformerClosedError: After the end.
        """
        return self._reader.objects(entry for _, entry in self._reader.store().by_index(name, value))

    def index_keys(self, name: str, value: str) -> list[ObjectKey]:
        """Return the keys filed under a value of an index, without decoding their objects.

        Raises:
            UnknownIndexError: If there is no such index.
            CacheNotSyncedError: Before the first sync.
            InformerClosedError: After the end.
        """
        return [ObjectKey.parse(key) for key in self._reader.store().keys_by_index(name, value)]

    def index_values(self, name: str) -> list[str]:
        """Return the distinct values of an index.

        Raises:
            UnknownIndexError: If there is no such index.
            CacheNotSyncedError: Before the first sync.
            InformerClosedError: After the end.
        """
        return self._reader.store().index_values(name)

    def resource_version(self, key: ObjectKey) -> str:
        """Return the resourceVersion of a cached object without decoding it.

        Raises:
            NotFoundError: If the cache holds no such object.
        """
        entry = self._reader.store().get(join_key(*key))
        if entry is None:
            raise NotFoundKeyError(str(self._reader.resource), str(key))
        return entry.version


class NotFoundKeyError(NotFoundError, KeyError):
    """A :class:`NotFoundError` that mappings may raise."""
