"""How an object is kept and shown: entries, object types, transforms and index values. Pure.

The store keeps an object's own JSON bytes (or, where the user's type is deeply immutable, the decoded
object) plus the few facts that the machinery needs. A :class:`Layout` says how one informer turns
bytes into an :class:`Entry` and an entry into what its user sees.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, cast

import msgspec

from aioinformers.errors import IndexConflictError
from aioinformers.models import model_decoder
from aioinformers.paths import IndexValue, PathReader, parse_path

__all__ = ["NAMESPACE_INDEX", "Entry", "Indexer", "Layout", "ObjectType", "RejectedError", "object_type_of"]

T = TypeVar("T")

Document: TypeAlias = dict[str, Any]
IndexFunction: TypeAlias = Callable[[Any], Iterable[str]]
Indexer: TypeAlias = str | IndexFunction
Transform: TypeAlias = Callable[[Any], Any]

NAMESPACE_INDEX = "namespace"
"""The index that every informer has."""

_decode_document: Callable[[bytes], Document] = msgspec.json.Decoder(Document).decode
_encode_document = msgspec.json.Encoder().encode


class RejectedError(Exception):
    """One object cannot be read as the informer's type; its neighbours go on (G11)."""


class Entry(msgspec.Struct, gc=False):
    """One stored version of one object; not seen by the garbage collector.

    Attributes:
        body: The object's own JSON bytes, or the decoded object where it is deeply immutable.
        uid: The object's uid.
        version: The object's resourceVersion.
        index: One value per index of the layout, the namespace first.
    """

    body: Any
    uid: str
    version: str
    index: tuple[IndexValue, ...]

    def is_same_version(self, other: Entry) -> bool:
        """Tell whether both are one version of one object; without any version the content decides."""
        if self.uid != other.uid or self.version != other.version:
            return False
        return bool(self.version) or self.body == other.body


class ObjectType(Generic[T]):
    """What users of an informer see, and how it comes from JSON bytes.

    Attributes:
        keeps_bytes: The store keeps JSON bytes; every reader gets an object of its own (G13).
        shows_labels: A label selector can be judged on what the store keeps.
        kind: Filled in where a server leaves it out (items of a LIST do), once it is known.
    """

    keeps_bytes = True
    shows_labels = True

    def __init__(self, python_type: type[T], decode: Callable[[bytes], T]) -> None:
        self.python_type = python_type
        self._decode = decode
        self.kind = ""
        self.api_version = ""

    def learn_kind(self, kind: str, api_version: str) -> None:
        """Remember what a list says its items are."""
        self.kind = kind
        self.api_version = api_version

    def check(self, raw: bytes) -> None:
        """Raise if the bytes cannot become an object; types that decode later accept any JSON object."""

    def document(self, raw: bytes) -> Document:
        """Return the object as a plain dict, its kind filled in if that is absent and known."""
        document = _decode_document(raw)
        if self.kind and "kind" not in document:
            return {"apiVersion": self.api_version, "kind": self.kind, **document}
        return document

    def decode(self, body: Any) -> T:
        """Return the user's object of a stored body: a fresh one, unless it is immutable."""
        return self._decode(body)


class DictType(ObjectType[Document]):
    """Plain dicts, decoded on touch."""

    def __init__(self) -> None:
        super().__init__(cast("type[Document]", dict), _decode_document)

    def decode(self, body: Any) -> Document:
        return self.document(body)


class ModelType(ObjectType[T]):
    """Models of kubernetes_asyncio, decoded on touch by a decoder compiled from the model's own tables."""

    def __init__(self, python_type: type[T]) -> None:
        super().__init__(python_type, model_decoder(python_type))

    def learn_kind(self, kind: str, api_version: str) -> None:
        super().learn_kind(kind, api_version)
        self._decode = model_decoder(self.python_type, kind=kind, api_version=api_version)


class StructType(ObjectType[T]):
    """A msgspec Struct or dataclass of the user's: validated on arrival, decoded for each reader."""

    def __init__(self, python_type: type[T]) -> None:
        super().__init__(python_type, msgspec.json.Decoder(python_type, strict=False).decode)

    def check(self, raw: bytes) -> None:
        self._decode(raw)


class ArrivalType(ObjectType[T]):
    """Decoded once on arrival, one object per stored version for all readers, the bytes dropped.

    For deeply immutable types, and for any other where the user promises not to change objects.
    """

    keeps_bytes = False

    def __init__(self, inner: ObjectType[T]) -> None:
        super().__init__(inner.python_type, inner.decode)
        self.inner = inner
        self.shows_labels = not isinstance(inner, StructType) or _has_labels(inner.python_type)

    def learn_kind(self, kind: str, api_version: str) -> None:
        self.inner.learn_kind(kind, api_version)

    def check(self, raw: bytes) -> None:
        self.inner.check(raw)

    def decode(self, body: Any) -> T:
        return cast("T", body)


def _has_labels(python_type: Any) -> bool:
    metadata = typing.get_type_hints(python_type).get("metadata")
    options = typing.get_args(metadata) or (metadata,)
    return any("labels" in typing.get_type_hints(option) for option in options if isinstance(option, type))


def object_type_of(python_type: Any, *, shared: bool = False) -> ObjectType[Any]:
    """Return how objects of a Python type are kept and shown.

    Args:
        python_type: The type that users see.
        shared: Keep one decoded object per stored version for all, read-only by contract.

    Raises:
        TypeError: If it is none of: dict, a kubernetes_asyncio model, a msgspec Struct, a dataclass.
    """
    found: ObjectType[Any] | None = None
    if python_type is dict or typing.get_origin(python_type) is dict:
        found = DictType()
    elif isinstance(python_type, type):
        if hasattr(python_type, "openapi_types") and hasattr(python_type, "attribute_map"):
            found = ModelType(python_type)
        elif issubclass(python_type, msgspec.Struct) or dataclasses.is_dataclass(python_type):
            found = StructType(python_type)
            shared = shared or is_deeply_immutable(python_type)
    if found is not None:
        return ArrivalType(found) if shared else found
    raise TypeError(
        f"object_type={python_type!r} is not supported: give dict, a kubernetes_asyncio model class, "
        f"a msgspec.Struct class or a dataclass"
    )


_IMMUTABLE: frozenset[Any] = frozenset({
    str, int, float, bool, bytes, type(None), datetime.datetime, datetime.date, datetime.time,
    datetime.timedelta, decimal.Decimal, uuid.UUID, msgspec.UnsetType,
})  # fmt: skip


def is_deeply_immutable(hint: Any, _seen: frozenset[Any] = frozenset()) -> bool:
    """Tell whether no value of this type can be changed, however deep one reaches in."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return True
    if origin is typing.Annotated:  # it may not be hashable
        return is_deeply_immutable(arguments[0], _seen)
    if hint in _IMMUTABLE or hint in _seen:
        return True
    if origin in (tuple, frozenset, typing.Union, types.UnionType):
        return all(a is Ellipsis or is_deeply_immutable(a, _seen) for a in arguments)
    if not isinstance(hint, type):
        return False
    if issubclass(hint, enum.Enum):
        return True
    if issubclass(hint, msgspec.Struct):
        frozen, names = hint.__struct_config__.frozen, hint.__struct_fields__
    elif dataclasses.is_dataclass(hint):
        parameters = getattr(hint, "__dataclass_params__", None)
        frozen, names = bool(parameters and parameters.frozen), tuple(f.name for f in dataclasses.fields(hint))
    else:
        return False
    hints = typing.get_type_hints(hint, include_extras=True)
    return frozen and all(is_deeply_immutable(hints[name], _seen | {hint}) for name in names)


class Layout(Generic[T]):
    """How one informer turns bytes into entries: object type, transform and indexes. Immutable.

    Changing the indexes makes a new layout; batches name the one they were decoded with, so that the
    dispatcher can tell an entry whose index values are out of date.

    Attributes:
        names: The indexes, in the order of ``Entry.index``.
        reader: Reads identity and all path indexes of an object in one pass.
        is_plain: Bytes are kept as they came and all indexes are paths: nothing to do per object.
    """

    def __init__(
        self,
        object_type: ObjectType[T],
        transforms: Sequence[Transform] = (),
        indexers: Mapping[str, Indexer] | None = None,
        on_index_error: Callable[[str, str, Exception], None] = lambda _name, _key, _error: None,
    ) -> None:
        self.object_type = object_type
        self.transforms = tuple(transforms)
        self.indexers = dict(indexers or {})
        self.on_index_error = on_index_error
        self._paths = {n: i for n, i in self.indexers.items() if isinstance(i, str)}
        self._functions = {n: i for n, i in self.indexers.items() if not isinstance(i, str)}
        self.names = (NAMESPACE_INDEX, *self._paths, *self._functions)
        self.reader = PathReader([parse_path(path) for path in self._paths.values()])
        self.is_plain = type(object_type).check is ObjectType.check and not (self.transforms or self._functions)

    def with_indexers(self, added: Mapping[str, Indexer]) -> Layout[T]:
        """Return a layout with more indexes; the same name and definition again changes nothing.

        Raises:
            IndexConflictError: If a name is taken by another definition.
            InvalidPathError: If a path cannot be parsed.
            TypeError: If a definition is neither a path nor callable.
        """
        for name, definition in added.items():
            if name == NAMESPACE_INDEX or self.indexers.get(name, definition) != definition:
                raise IndexConflictError(name)
            if isinstance(definition, str):
                parse_path(definition)
            elif not callable(definition):
                raise TypeError(f"index {name!r} must be a path or a callable, not {definition!r}")
        if added.keys() <= self.indexers.keys():
            return self
        return Layout(self.object_type, self.transforms, self.indexers | dict(added), self.on_index_error)

    def without_index(self, name: str) -> Layout[T]:
        """Return a layout without one index."""
        kept = {n: i for n, i in self.indexers.items() if n != name}
        return Layout(self.object_type, self.transforms, kept, self.on_index_error)

    def entry(self, raw: bytes, key: str, read: tuple[Any, ...]) -> Entry:
        """Make the entry of one object that has just arrived.

        Args:
            raw: The object's own JSON bytes.
            key: Its internal key.
            read: What the reader gave: namespace, name, uid, resourceVersion and the path values.

        Raises:
            RejectedError: If the bytes are no UTF-8, or cannot be read as the informer's type, or the transform
                raised, returned None or changed the object's name.
        """
        namespace, _, uid, version, *values = read
        try:
            if not raw.isascii():
                raw.decode()  # msgspec does not check the strings that it skips
            if self.is_plain:
                return Entry(raw, uid, version, (namespace, *values))
            body, index = self._admit(raw, key, (namespace, *values))
        except RejectedError:
            raise
        except Exception as error:
            raise RejectedError(describe(error)) from error
        return Entry(body, uid, version, index)

    def _admit(self, raw: bytes, key: str, index: tuple[IndexValue, ...]) -> tuple[Any, tuple[IndexValue, ...]]:
        kind = self.object_type
        if self.transforms:
            raw = self._transform(raw)
            index = self._read_transformed(raw, key, index[0])
        if isinstance(kind, ArrivalType):
            body: Any = kind.inner.decode(raw)
        else:
            kind.check(raw)
            body = raw
        return body, (*index, *self._call_functions(self._functions, body, key)) if self._functions else index

    def _read_transformed(self, raw: bytes, key: str, namespace: IndexValue) -> tuple[IndexValue, ...]:
        document = _decode_document(raw)
        if isinstance(_inner(self.object_type), StructType):
            # The user's class need not declare what identifies an object.
            identity = {"namespace": namespace, "name": key.rpartition("/")[2]}
            document["metadata"] = identity | (document.get("metadata") or {})
        now, name, _, _, *values = self.reader.read_document(document)
        if join_key(now, name) != key:
            raise RejectedError("the transform changed the object's namespace or name")
        return now, *values

    def _transform(self, raw: bytes) -> bytes:
        """Transform a JSON document, or an object of the user's own class, and return it as bytes again."""
        kind = _inner(self.object_type)
        obj: Any = kind.decode(raw) if isinstance(kind, StructType) else kind.document(raw)
        for transform in self.transforms:
            obj = transform(obj)
            if obj is None:
                raise RejectedError("the transform returned None")
        return _encode_document(obj)

    def _call_functions(self, functions: Mapping[str, IndexFunction], body: Any, key: str) -> list[IndexValue]:
        values: list[IndexValue] = []
        for name, function in functions.items():
            try:
                given = function(self.object_type.decode(body))
                if isinstance(given, str):
                    raise TypeError(f"index {name!r} must give several strings, such as a list of one")
                # str.__str__: members of an enum of strings are to be plain strings
                found = tuple(dict.fromkeys(map(str.__str__, given)))
            except Exception as error:
                self.on_index_error(name, key, error)
                found = ()
            values.append(found or None)
        return values

    def reindexed(self, key: str, entry: Entry, known: Layout[T]) -> Entry:
        """Return the entry with index values for this layout, taking over those that ``known`` has.

        The entry itself is left alone: readers and events may hold it.
        """
        values = {
            name: value
            for name, value in zip(known.names, entry.index, strict=True)
            if known.indexers.get(name) == self.indexers.get(name)  # or it has been replaced by another definition
        }
        if any(name not in values for name in self._paths):
            namespace, _, _, _, *read = self.reader.read_document(_decode_document(entry.body))
            values |= zip((NAMESPACE_INDEX, *self._paths), (namespace, *read), strict=True)
        missing = {name: f for name, f in self._functions.items() if name not in values}
        if missing:
            values |= zip(missing, self._call_functions(missing, entry.body, key), strict=True)
        return Entry(entry.body, entry.uid, entry.version, tuple(values[name] for name in self.names))


def _inner(object_type: ObjectType[Any]) -> ObjectType[Any]:
    return object_type.inner if isinstance(object_type, ArrivalType) else object_type


def join_key(namespace: str, name: str) -> str:
    """Return the internal key: a str is the smallest and fastest dict key there is."""
    return f"{namespace}/{name}" if namespace else name


def describe(error: BaseException) -> str:
    """Return what is wrong with an object without quoting it: errors' words may hold secrets (G16)."""
    text = str(error)
    quotes_nothing = text.startswith(("Expected `", "Object missing required field `"))
    return text if quotes_nothing and isinstance(error, msgspec.MsgspecError) else type(error).__name__
