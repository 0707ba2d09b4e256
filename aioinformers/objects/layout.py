"""How an object is kept: entries, transforms and index values. Pure.

The store keeps an object's own JSON bytes (or, where the user's type is deeply immutable, the decoded
object) plus the few facts that the machinery needs. A :class:`Layout` says how one informer turns
bytes into an :class:`Entry` and an entry into what its user sees.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from aioinformers.checks import require_plain, shown
from aioinformers.errors import IndexConflictError, InvalidPathError
from aioinformers.objects.documents import LARGE, TOO_DEEP, decode_document, is_deep_inside
from aioinformers.objects.facts import Fact, leading_bytes_transform
from aioinformers.objects.labels import LabelSet
from aioinformers.objects.levels import Scanned
from aioinformers.objects.object_types import MetadataType, ObjectType
from aioinformers.objects.paths import IndexValue, Path, PathReader, Reading, parse_path
from aioinformers.objects.schemas import Schema
from aioinformers.objects.transforms import BytesTransform, TransformChain, UserError
from aioinformers.types import END_OF_PROCESS

__all__ = ["NAMESPACE_INDEX", "Entry", "IndexDefinition", "Layout", "RejectedError", "describe"]

T = TypeVar("T")

IndexFunction: TypeAlias = Callable[[Any], Iterable[str]]
IndexDefinition: TypeAlias = str | IndexFunction
Transform: TypeAlias = Callable[[Any], Any]

NAMESPACE_INDEX = "namespace"
"""The index that every informer has."""

_ABSENT = Path(("metadata",))
"""A path that never has a value."""


class RejectedError(Exception):
    """One object cannot be read as the informer's type; its neighbours go on (G11)."""


class Entry(msgspec.Struct, gc=False):
    """One stored version of one object; not seen by the garbage collector.

    Attributes:
        body: The object's own JSON bytes, perhaps packed, or the decoded object where it is deeply immutable.
        uid: The object's uid.
        version: The object's resourceVersion.
        index: One value per index of the layout, the namespace first.
        labels: The label set, shared with all objects that have the same one; not set before a label query.
        facts: Each fact of the layout, and behind it its value; fewer where they were asked for later.
        key: Its internal key, once it has been stored.
    """

    body: Any
    uid: str
    version: str
    index: tuple[IndexValue, ...]
    labels: LabelSet | msgspec.UnsetType = msgspec.UNSET
    facts: tuple[Any, ...] = ()
    key: str = ""

    def is_same_version(self, other: Entry) -> bool:
        """Tell whether both are one version of one object; without any version the content decides."""
        if self.uid != other.uid or self.version != other.version:
            return False
        return bool(self.version) or self.body == other.body


class Layout(Generic[T]):
    """How one informer turns bytes into entries: object type, transform and indexes. Immutable.

    Changing the indexes makes a new layout; batches name the one they were decoded with, so that the
    dispatcher can tell an entry whose index values are out of date.

    Attributes:
        names: The indexes, in the order of ``Entry.index``.
        facts: What else is read of each object.
        reader: Reads identity and all path indexes of an object in one pass.
        schema: Checks the paths of indexes; None takes any.
        is_plain: Bytes are kept as they came and all indexes are paths: nothing to do per object.
        arrives_as: The Struct that objects are decoded to on arrival, if nothing else is done to them.
    """

    def __init__(
        self,
        object_type: ObjectType[T],
        transforms: Sequence[Transform] = (),
        indexers: Mapping[str, IndexDefinition] | None = None,
        on_user_error: Callable[[str, str, BaseException], None] = lambda _name, _key, _error: None,
        schema: Schema | None = None,
        facts: Sequence[Fact] = (),
    ) -> None:
        self.object_type = object_type
        self.transforms: tuple[Transform, ...] = tuple(transforms)
        self.indexers: dict[str, IndexDefinition] = dict(indexers or {})
        self.on_user_error = on_user_error
        self.schema = schema
        self._paths = {n: i for n, i in self.indexers.items() if isinstance(i, str)}
        self._functions = {n: i for n, i in self.indexers.items() if not isinstance(i, str)}
        self.names: tuple[str, ...] = (NAMESPACE_INDEX, *self._paths, *self._functions)
        paths = [parse_path(path) for path in self._paths.values()]
        shown = [path if object_type.shows(path) else _ABSENT for path in paths]
        self._chain = TransformChain(self.transforms)
        self._keeps_index = self._chain.preserves(shown)
        self.facts: tuple[Fact, ...] = tuple(facts)
        self._leading = leading_bytes_transform(self._chain.stages)
        has_spec = not isinstance(object_type.inner, MetadataType)
        self._read_facts = [(fact, fact.reader(self._leading, has_spec=has_spec)) for fact in self.facts]
        wanted = tuple(dict.fromkeys(part for _, read in self._read_facts for part in read.wanted))
        self.reader: PathReader = PathReader(shown, object_type.inner, wanted)
        self._count = 1 + len(paths)
        self._parts = [
            operator.itemgetter(*[self._count + wanted.index(part) for part in read.wanted], 0)
            for _, read in self._read_facts
        ]
        is_simple = not (self.transforms or self._functions or self.facts)
        self.is_plain: bool = object_type.is_plain and is_simple
        self._is_kept = object_type.is_plain and not (self.transforms or self._functions)
        self.arrives_as: type[msgspec.Struct] | None = object_type.arrives_as if is_simple else None

    @property
    def stored_paths(self) -> tuple[str, ...]:
        """The paths whose values stand in ``Entry.index`` behind the namespace."""
        return tuple(self._paths.values())

    def with_indexers(self, added: Mapping[str, IndexDefinition]) -> Layout[T]:
        """Return a layout with more indexes; the same name and definition again changes nothing.

        Raises:
            IndexConflictError: If a name is taken by another definition.
            InvalidPathError: If a path cannot be parsed.
            TypeError: If a definition is neither a path nor callable.
        """
        if not isinstance(added, Mapping):
            raise TypeError(f"indexers are given by name, as {{'node': 'spec.nodeName'}}, not as {shown(added)}")
        for name, definition in added.items():
            if name.__class__ is not str or not name:
                raise TypeError(f"an index is named by a text, not by {shown(name)}")
            if name == NAMESPACE_INDEX or self.indexers.get(name, definition) != definition:
                raise IndexConflictError(name)
            if isinstance(definition, str):
                self._check_path(definition, parse_path(definition))
            elif not callable(definition):
                raise TypeError(f"index {name!r} must be a path or a callable, not {shown(definition)}")
            else:
                require_plain(definition, f"index {name!r}", "the object")
        if added.keys() <= self.indexers.keys():
            return self
        return self._with(self.indexers | dict(added))

    def without_index(self, name: str) -> Layout[T]:
        """Return a layout without one index."""
        kept = {n: i for n, i in self.indexers.items() if n != name}
        return self._with(kept)

    def _with(self, indexers: Mapping[str, IndexDefinition]) -> Layout[T]:
        return Layout(self.object_type, self.transforms, indexers, self.on_user_error, self.schema, self.facts)

    def with_fact(self, fact: Fact) -> Layout[T]:
        """Return a layout with one more fact; the same again changes nothing.

        Raises:
            InvalidPathError: If no object has the fields that it names.
        """
        if fact in self.facts:
            return self
        for path in fact.needed:
            if not self.object_type.shows(path):
                raise InvalidPathError(str(path), 0, "Metadata has the metadata alone, without managedFields")
            if self._leading.drops(path):
                raise InvalidPathError(str(path), 0, "the informer's transform drops it")
        if self.schema is not None:
            for path in fact.paths:
                self.schema.check(str(path), path, is_value=False)
        return self._with_facts((*self.facts, fact))

    def without_fact(self, fact: Fact) -> Layout[T]:
        """Return a layout without one fact."""
        return self._with_facts([each for each in self.facts if each is not fact])

    def _with_facts(self, facts: Sequence[Fact]) -> Layout[T]:
        return Layout(self.object_type, self.transforms, self.indexers, self.on_user_error, self.schema, facts)

    def _check_path(self, text: str, path: Path) -> None:
        if not self.object_type.shows(path):
            known = "Metadata has the metadata alone, without managedFields"
            raise InvalidPathError(text, 0, f"{known}: take another object_type to index other fields")
        if self.schema is not None:
            self.schema.check(text, path, is_value=True)

    def entry(self, raw: bytes, read: Reading) -> Entry:
        """Make the entry of one object that has just arrived.

        Args:
            raw: The object's own JSON bytes.
            read: What the reader gave.

        Raises:
            RejectedError: If the bytes are no UTF-8, or nested too deeply, or cannot be read as the informer's type, or
                the transform raised, returned None or changed the object's name.
        """
        key, uid, version, index = read
        try:
            if not raw.isascii():
                raw.decode()  # msgspec does not check the strings that it skips
            if len(raw) >= LARGE and is_deep_inside(raw):
                raise RejectedError(TOO_DEEP)
            if self.is_plain:
                return Entry(raw, uid, version, index)
            if self._is_kept:
                return Entry(raw, uid, version, index[: self._count], msgspec.UNSET, self._facts_of(raw, index))
            body, index, facts = self._admit(raw, key, index)
        except (RejectedError, *END_OF_PROCESS):
            raise
        except UserError as error:
            assert error.__cause__ is not None, "it is raised from what the user's function raised"
            self.on_user_error(f"the transform {error.name}", key, error.__cause__)
            raise RejectedError(f"the transform {error.name} raised {type(error.__cause__).__name__}") from error
        except BaseException as error:
            raise RejectedError(describe(error)) from error
        return Entry(body, uid, version, index, msgspec.UNSET, facts)

    def _admit(
        self, raw: bytes, key: str, index: tuple[IndexValue, ...]
    ) -> tuple[Any, tuple[IndexValue, ...], tuple[Any, ...]]:
        whole, raw = raw, self.object_type.reduce(raw)
        facts: tuple[Any, ...] = ()
        if self._read_facts:
            facts = self._facts_of(raw, index if whole is raw else ())
            index = index[: self._count]
        if self.transforms:
            made = self._transform(raw)
            if not self._keeps_index:
                index = self._read_transformed(made, key, index[0], before=raw)
            raw = made
        body = self.object_type.body(raw)
        if self._functions:
            index = (*index, *self._call_functions(self._functions, body, key))
        return body, index, facts

    def _facts_of(self, raw: bytes, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return each fact and its value; ``given`` has the parts that are wanted behind the values of all paths."""
        has_parts = len(given) > self._count
        if len(self._read_facts) == 1:  # as nearly always; then the parts are all its own
            ((fact, read),) = self._read_facts
            return fact, read(raw, given[self._count :] if has_parts else None)
        facts: tuple[Any, ...] = ()
        for (fact, read), parts in zip(self._read_facts, self._parts, strict=True):
            facts += fact, read(raw, parts(given)[:-1] if has_parts else None)
        return facts

    def _read_transformed(self, made: bytes, key: str, namespace: IndexValue, before: bytes) -> tuple[IndexValue, ...]:
        try:
            now, index = self._read_made(made, key, namespace)
        except ValueError as error:
            raise RejectedError("the transform returned something without a name") from error
        if now != key:
            inner = self.object_type.inner
            # The user's class may itself show another name or namespace, such as a default, than the object has.
            shown = inner.encode(inner.decode(before)) if inner.transforms_objects else before
            if now != self._read_made(shown, key, namespace)[0]:
                raise RejectedError("the transform changed the object's namespace or name")
        return index

    def _read_made(self, made: bytes, key: str, namespace: IndexValue) -> tuple[str, tuple[IndexValue, ...]]:
        """Return the key that an object shows after the transforms, if there are any, and its index values."""
        if not (self.transforms and self.object_type.inner.transforms_objects):
            read = self.reader.read_raw(made)
        else:
            # The user's class need not declare what identifies an object.
            document = decode_document(made)
            identity = {"namespace": namespace, "name": key.rpartition("/")[2]}
            document["metadata"] = identity | (document.get("metadata") or {})
            read = self.reader.read_document(document)
        return read[0], (namespace, *read[3][1:])

    def _transform(self, raw: bytes) -> bytes:
        """Transform a JSON document, or an object of the user's own class, and return it as bytes again."""
        inner = self.object_type.inner
        decode = inner.decode if inner.transforms_objects else inner.document
        made = self._chain.apply(raw, decode, inner.encode)
        if made is None:
            raise RejectedError("the transform returned None")
        return made

    def _call_functions(self, functions: Mapping[str, IndexFunction], body: Any, key: str) -> list[IndexValue]:
        values: list[IndexValue] = []
        show = self._shown_to(functions, body)
        for name, function in functions.items():
            try:
                given = function(show())
                if isinstance(given, str):
                    raise TypeError(f"index {name!r} must give several strings, such as a list of one")
                # str.__str__: members of an enum of strings are to be plain strings
                texts = tuple(dict.fromkeys(map(str.__str__, given)))
            except END_OF_PROCESS:
                raise
            except BaseException as error:
                self.on_user_error(f"index {name}, filed under nothing,", key, error)
                texts = ()
            values.append(texts or None)
        return values

    def _shown_to(self, functions: Mapping[str, IndexFunction], body: Any) -> Callable[[], Any]:
        """Return what gives each function an object of its own; several share what it has been decoded to."""
        object_type = self.object_type
        if len(functions) == 1 or not object_type.keeps_levels:
            return lambda: object_type.decode(body)
        scanned = Scanned(object_type.raw(body))
        return lambda: object_type.inner.show_scanned(scanned)

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
            _, read = self._read_made(self.object_type.raw(entry.body), key, entry.index[0])
            values |= zip((NAMESPACE_INDEX, *self._paths), read, strict=True)
        missing = {name: f for name, f in self._functions.items() if name not in values}
        if missing:
            values |= zip(missing, self._call_functions(missing, entry.body, key), strict=True)
        index = tuple(values[name] for name in self.names)
        return Entry(entry.body, entry.uid, entry.version, index, entry.labels, entry.facts)

    def fact_of(self, fact: Fact, entry: Entry) -> Any:
        """Return the value of a fact of a stored entry; None if it cannot be told any more.

        Where the entry arrived before anybody asked, it is that of the bytes that are kept, and is kept with them. Of
        what a user's function has changed nothing can be said: the object counts as changed once.
        """
        facts = entry.facts
        for at in range(0, len(facts), 2):
            if facts[at] is fact:
                return facts[at + 1]
        read = next((read for known, read in self._read_facts if known is fact), None)
        is_as_it_came = all(isinstance(stage, BytesTransform) for stage in self._chain.stages)
        if read is None or not is_as_it_came or not self.object_type.keeps_bytes:
            return None
        value = read(self.object_type.raw(entry.body))
        entry.facts = (*entry.facts, fact, value)
        return value


_QUOTING_NOTHING = (
    "Expected `", "Object missing required field `",
    "JSON is malformed: ", "Input data was truncated", "Invalid UTF-8 ",
)  # fmt: skip


def describe(error: BaseException) -> str:
    """Return what is wrong with an object without quoting it: errors' words may hold secrets (G16)."""
    text = str(error)
    quotes_nothing = text.startswith(_QUOTING_NOTHING)
    return text if quotes_nothing and isinstance(error, msgspec.MsgspecError) else type(error).__name__
