"""What users of an informer see, and how it comes from JSON bytes. Pure.

=====================================  ==========================  =====================================
the user's type                        the store keeps             a reader gets
=====================================  ==========================  =====================================
``dict``                               the bytes                   a dict, decoded when read
a kubernetes_asyncio model             the bytes                   a model that decodes itself when touched
a Struct, dataclass or pydantic model  the bytes, validated        an object, decoded when read
a Struct or dataclass, deeply          the object                  the one object
immutable
:class:`Metadata`                      the bytes of the metadata,  an object, decoded when read
                                       validated
any, with ``shared_objects=True``      the object                  the one object, read-only by contract
any that keeps bytes, ``compact=True`` the bytes, packed           as without it
=====================================  ==========================  =====================================
"""

from __future__ import annotations

import dataclasses
import operator
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from aioinformers.objects.compact import Packer
from aioinformers.objects.declarations import declared_fields, place_of_labels
from aioinformers.objects.documents import Document, decode_document, steady
from aioinformers.objects.immutability import is_deeply_immutable, is_pydantic
from aioinformers.objects.labels import LabelSets, labels_of, texts_of
from aioinformers.objects.levels import Levels, Scanned
from aioinformers.objects.metadata import Metadata
from aioinformers.objects.models import ModelViewer, making, model_decoder
from aioinformers.objects.paths import Path

__all__ = [
    "ArrivalType",
    "CompactType",
    "MetadataType",
    "ObjectType",
    "StructType",
    "compacted",
    "object_type_of",
]

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_body_of = operator.attrgetter("body")


class ObjectType(Generic[T]):
    """How objects of one Python type are kept and shown.

    Attributes:
        keeps_bytes: The store keeps JSON bytes; every reader gets an object of its own (G13).
        keeps_levels: What :meth:`show` has decoded for one reader serves later ones.
        is_plain: The store keeps the bytes as they came: nothing is to be done on arrival.
        shows_labels: A label selector can be judged on what the store keeps.
        transforms_objects: A user's transform gets an object of the type; a JSON document otherwise.
        list_accept: The representations that a LIST asks for.
        watch_accept: The representations that a WATCH asks for.
        kind: Filled in where a server leaves it out, as it does in the items of a LIST, once it is known.
        api_version: Filled in likewise.
        levels: What has been decoded of versions that somebody has read, for types that share it.
        label_sets: The label sets of all stored objects whose labels have been asked for.
        arrives_as: The Struct that objects are decoded to on arrival, in a single pass.
        packer: Packs what the store keeps, a little later; None if it keeps objects as they are.
    """

    packer: Packer | None = None
    arrives_as: type[msgspec.Struct] | None = None
    keeps_bytes = True
    keeps_levels = False
    shows_labels = True
    transforms_objects = False
    is_plain = True
    list_accept: str = "application/json"
    watch_accept: str = "application/json"

    def __init__(self, python_type: type[T], decode: Callable[[bytes], T]) -> None:
        self.python_type = python_type
        self._decode = decode
        self.label_sets: LabelSets = LabelSets()
        self.levels: Levels = Levels()
        self.kind: str = ""
        self.api_version: str = ""

    def learn_kind(self, kind: str, api_version: str) -> None:
        """Remember what a list says its items are."""
        self.api_version = api_version  # first: readers in other threads look whether there is a kind
        self.kind = kind

    @property
    def inner(self) -> ObjectType[T]:
        """The type that decodes: this one, or the one that it wraps."""
        return self

    def reduce(self, raw: bytes) -> bytes:
        """Return the part of an arriving object that this type is about."""
        return raw

    def shows(self, path: Path) -> bool:
        """Tell whether what a path leads to is in the part that this type is about; else the path reads as absent."""
        return True

    def body(self, raw: bytes) -> Any:
        """Return what the store keeps of an arriving object; raises if the bytes cannot become one."""
        return raw

    def raw(self, body: Any) -> bytes:
        """Return the JSON bytes of a stored body, where bytes are kept."""
        return cast("bytes", body)

    def labels(self, body: Any) -> Mapping[str, str] | None:
        """Return the labels of a stored body; of an object kept as bytes nothing else is decoded."""
        return labels_of(body)

    def encode(self, obj: Any) -> bytes:
        """Return the JSON bytes of what a transform returned."""
        try:
            return _encode(obj)
        except RecursionError:
            return steady(_encode, obj)

    def document(self, raw: Any) -> Document:
        """Return the object as a plain dict, its kind filled in if that is absent and known.

        Args:
            raw: Its JSON bytes; or what the store keeps of it. Where that is an object, fields that it does not show
                are absent.
        """
        document = decode_document(raw)
        if self.kind and (document.get("kind") is None or document.get("apiVersion") is None):
            known = {"apiVersion": self.api_version, "kind": self.kind}
            return known | {name: value for name, value in document.items() if value is not None or name not in known}
        return document

    def decode(self, body: Any) -> T:
        """Return the user's object of a stored body: a fresh one, unless it is immutable."""
        return self._decode(body)

    def show(self, entry: Any) -> T:
        """Return the user's object of a stored entry, as :meth:`decode`; what is decoded may serve later readers."""
        return self.decode(entry.body)

    def show_scanned(self, scanned: Scanned) -> T:
        """Return the user's object of bytes beside which its levels are kept, for types that share them."""
        return self.decode(scanned.raw)

    def show_all(self, entries: Iterable[Any]) -> list[T]:
        """Return the users' objects of stored entries, as :meth:`show` of each."""
        return [*map(self.show, entries)]


class DictType(ObjectType[Document]):
    """Plain dicts, decoded on touch."""

    def __init__(self) -> None:
        super().__init__(cast("type[Document]", dict), decode_document)

    def decode(self, body: Any) -> Document:
        return self.document(body)


class ModelType(ObjectType[T]):
    """Models of kubernetes_asyncio, decoded on touch by a decoder compiled from the model's own tables."""

    keeps_levels = True

    def __init__(self, python_type: type[T]) -> None:
        super().__init__(python_type, model_decoder(python_type))
        self._view_as()

    def learn_kind(self, kind: str, api_version: str) -> None:
        super().learn_kind(kind, api_version)
        self._decode = model_decoder(self.python_type, kind=kind, api_version=api_version)
        self._view_as(kind, api_version)

    def _view_as(self, kind: str = "", api_version: str = "") -> None:
        # The parts that each read needs are here, too: a look-up less.
        self._view: ModelViewer[T] = ModelViewer(self.python_type, self.levels, kind=kind, api_version=api_version)
        self._shell: Callable[..., T] = self._view.shell
        self._home = self._view.view

    def raw(self, body: Any) -> bytes:
        return cast("bytes", body.raw if body.__class__ is Scanned else body)

    def labels(self, body: Any) -> Mapping[str, str] | None:
        return labels_of(self.raw(body))

    def decode(self, body: Any) -> T:
        return self._decode(self.raw(body))

    def show(self, entry: Any) -> T:
        return self._shell(entry, self._home)

    def show_scanned(self, scanned: Scanned) -> T:
        return self._shell(None, self._home, scanned)

    def show_all(self, entries: Iterable[Any]) -> list[T]:
        return self._view.show_all(entries)


class StructType(ObjectType[T]):
    """A msgspec Struct or dataclass of the user's: validated on arrival, decoded for each reader."""

    is_plain = False
    transforms_objects = True

    def __init__(self, python_type: type[T], decode: Callable[[bytes], T] | None = None) -> None:
        with making:
            decode = decode or msgspec.json.Decoder(python_type, strict=False).decode
        super().__init__(python_type, decode)
        self._declares_kind = not declared_fields(python_type).keys().isdisjoint(("kind", "apiVersion"))
        self._known = b""

    def learn_kind(self, kind: str, api_version: str) -> None:
        super().learn_kind(kind, api_version)
        if self._declares_kind and kind:
            self._known = _encode({"apiVersion": api_version, "kind": kind})[:-1] + b","

    def body(self, raw: bytes) -> Any:
        self.decode(raw)
        return raw

    def decode(self, body: Any) -> T:
        if self._known:
            try:
                # What the object says of its kind stands behind what is known of it, and so counts.
                return steady(self._decode, self._known + body[1:])
            except Exception:
                pass  # the class may want another kind; if something else is wrong, it is told below
        try:
            return self._decode(body)
        except RecursionError:
            return steady(self._decode, body)


class PydanticType(StructType[T]):
    """A pydantic model, the user's or one of ``kubernetes.aio``."""

    def __init__(self, python_type: Any) -> None:
        super().__init__(python_type, python_type.model_validate_json)

    def encode(self, obj: Any) -> bytes:
        text: str = obj.model_dump_json(by_alias=True, exclude_none=True)
        return text.encode()


class _Whole(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    metadata: dict[str, msgspec.Raw]
    kind: str | None = None
    api_version: str | None = None


_ENVELOPES: Final = {"PartialObjectMetadata", "PartialObjectMetadataList"}
"""Kinds of what metadata come in, which are nothing that an object is."""


class MetadataType(StructType[Metadata]):
    """Metadata alone, as the server sends it or cut out of whole objects.

    Servers that send metadata alone leave the object's kind out, and name what they come in instead.
    """

    transforms_objects = False
    list_accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
    watch_accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

    def __init__(self) -> None:
        super().__init__(Metadata)
        self._declares_kind = False  # a kind that is absent is filled in below, for less
        self._decode_whole = msgspec.json.Decoder(_Whole).decode

    def learn_kind(self, kind: str, api_version: str) -> None:
        if kind not in _ENVELOPES:
            super().learn_kind(kind, api_version)

    def reduce(self, raw: bytes) -> bytes:
        whole = steady(self._decode_whole, raw)
        whole.metadata.pop("managedFields", None)
        if b"null" in raw:  # seldom, and then one of these mostly has it
            for name in [name for name, value in whole.metadata.items() if bytes(value) == b"null"]:
                del whole.metadata[name]
        if whole.kind in _ENVELOPES:
            whole.kind = whole.api_version = None
        return _encode(whole)

    def shows(self, path: Path) -> bool:
        return path.steps[0] == "metadata" and path.steps[1:2] != ("managedFields",)

    def decode(self, body: Any) -> Metadata:
        try:
            obj = self._decode(body)
        except RecursionError:
            obj = steady(self._decode, body)
        if self.kind and not obj.kind:
            obj.kind, obj.api_version = self.kind, self.api_version
        return obj


class WrappingType(ObjectType[T]):
    """Another type, which decodes; a subclass decides what the store keeps of it.

    Args:
        inner: The other type.
    """

    def __init__(self, inner: ObjectType[T]) -> None:
        super().__init__(inner.python_type, inner.decode)
        self._inner = inner
        self.list_accept: str = inner.list_accept
        self.watch_accept: str = inner.watch_accept

    @property
    def inner(self) -> ObjectType[T]:
        return self._inner

    def learn_kind(self, kind: str, api_version: str) -> None:
        self._inner.learn_kind(kind, api_version)

    def reduce(self, raw: bytes) -> bytes:
        return self._inner.reduce(raw)

    def shows(self, path: Path) -> bool:
        return self._inner.shows(path)


class ArrivalType(WrappingType[T]):
    """Decoded once on arrival, one object per stored version for all readers, the bytes dropped.

    For deeply immutable types, and for any other where the user promises not to change objects.
    """

    keeps_bytes = False
    is_plain = False

    def __init__(self, inner: ObjectType[T]) -> None:
        super().__init__(inner)
        self._place = place_of_labels(inner.python_type) if isinstance(inner, StructType) else ("metadata", "labels")
        self.shows_labels: bool = self._place is not None
        if type(inner) is StructType and issubclass(inner.python_type, msgspec.Struct):
            self.arrives_as: type[msgspec.Struct] | None = inner.python_type

    def body(self, raw: bytes) -> Any:
        return self._inner.decode(raw)

    def labels(self, body: Any) -> Mapping[str, str] | None:
        for name in self._place or ():
            body = body.get(name) if isinstance(body, dict) else getattr(body, name, None)
        return texts_of(body)

    def decode(self, body: Any) -> T:
        return cast("T", body)

    def document(self, raw: Any) -> Document:
        return self._inner.document(raw if isinstance(raw, bytes) else self._inner.encode(raw))

    def show(self, entry: Any) -> T:
        return cast("T", entry.body)

    def show_all(self, entries: Iterable[Any]) -> list[T]:
        return [*map(_body_of, entries)]


class CompactType(WrappingType[T]):
    """Another type whose bytes the store keeps packed.

    Bytes come in as for the other type, and what has just arrived is shown without unpacking; the dispatcher packs
    it a moment later.
    """

    def __init__(self, inner: ObjectType[T]) -> None:
        super().__init__(inner)
        self.packer: Packer = Packer()
        self.is_plain: bool = inner.is_plain
        self.transforms_objects: bool = inner.transforms_objects
        self.keeps_levels: bool = inner.keeps_levels

    def body(self, raw: bytes) -> Any:
        return self._inner.body(raw)

    def raw(self, body: Any) -> bytes:
        return cast("bytes", body if type(body) is bytes else body.unpack())

    def document(self, raw: Any) -> Document:
        return self._inner.document(self.raw(raw))

    def labels(self, body: Any) -> Mapping[str, str] | None:
        return self._inner.labels(self.raw(body))

    def decode(self, body: Any) -> T:
        return self._inner.decode(self.raw(body))

    def show(self, entry: Any) -> T:
        if not self.keeps_levels:
            return self.decode(entry.body)
        return self._inner.show_scanned(self.levels.unpacked(entry, self.raw))


def compacted(object_type: ObjectType[T]) -> ObjectType[T]:
    """Return a type that shows the same, whose bytes the store keeps packed.

    Raises:
        ValueError: If there are no bytes to pack.
        ImportError: If this Python has no zstd.
    """
    if not object_type.keeps_bytes:
        raise ValueError(
            f"compact=True packs the JSON that a cache keeps, but of {object_type.python_type.__name__} it keeps "
            f"decoded objects and no JSON: leave compact or shared_objects out, or take a type that can be changed"
        )
    return CompactType(object_type)


def object_type_of(python_type: Any, *, shared: bool = False) -> ObjectType[Any]:
    """Return how objects of a Python type are kept and shown.

    Args:
        python_type: The type that users see.
        shared: Keep one decoded object per stored version for all, read-only by contract.

    Raises:
        TypeError: If it is something else than dict, Metadata, a kubernetes_asyncio model, a msgspec Struct, a
            dataclass or a pydantic model.
    """
    object_type: ObjectType[Any] | None = None
    if python_type is dict or typing.get_origin(python_type) is dict:
        object_type = DictType()
    elif isinstance(python_type, type):
        if python_type is Metadata:
            object_type = MetadataType()
        elif is_pydantic(python_type):  # before the next: models of kubernetes.aio look like both
            object_type = PydanticType(python_type)
            shared = shared or is_deeply_immutable(python_type)
        elif hasattr(python_type, "openapi_types") and hasattr(python_type, "attribute_map"):
            object_type = ModelType(python_type)
        elif issubclass(python_type, msgspec.Struct) or dataclasses.is_dataclass(python_type):
            object_type = StructType(python_type)
            shared = shared or is_deeply_immutable(python_type)
    if object_type is not None:
        return ArrivalType(object_type) if shared else object_type
    raise TypeError(
        f"object_type={python_type!r} is not supported: give dict, Metadata, a kubernetes_asyncio model class, "
        f"a msgspec.Struct class, a dataclass or a pydantic model class"
    )
