"""Objects that are kept decoded, read from a watch in one pass instead of two. Pure.

For an informer whose user's Struct is decoded on arrival, a pass over the bytes for the identity and the paths and
another one for the Struct would be one too many. Here an object is decoded as a Struct that has the user's fields and
the identity, of which the user's object is then made; the values of paths are read from that. Whatever does not fit is
left to the general way, so that both give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, eq
from typing import Any, NamedTuple, TypeAlias, get_args

import msgspec

from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.paths import EACH, Path

__all__ = ["ArrivalReader", "arrival_reader"]

ValuesReader: TypeAlias = Callable[[Any], tuple[str | None, ...] | None]

_IDENTITY = ("name", "namespace", "uid", "resourceVersion")
_OWN = {"metadata", *_IDENTITY}


class ArrivalReader:
    """Reads an object as an entry that holds it decoded.

    Args:
        mirror: What to decode an object as.
        values: Gives the index values of a user's object, or None where only its JSON can tell them.
    """

    def __init__(self, mirror: _Mirror, values: ValuesReader) -> None:
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(mirror.type, strict=False).decode
        self._make, self._values = mirror.make, values

    def read(self, raw: memoryview, is_stored: Callable[[str, str, str], bool] | None) -> tuple[str, Entry] | None:
        """Return the key and entry of an object; None if it is to be read the general way.

        Args:
            raw: Its JSON, all ASCII.
            is_stored: Tells whether a version is in the store already; then its entry has no body.
        """
        try:
            found = self._decode(raw)
            metadata = found.metadata
            namespace, key, uid, version = metadata.namespace, metadata.name, metadata.uid, metadata.resourceVersion
            if not key:
                return None
            if namespace:
                key = f"{namespace}/{key}"  # join_key, without a call per event
            if is_stored is not None and is_stored(key, uid, version):
                return key, Entry(None, uid, version, ())
            body = self._make(found)
            values = self._values(body)
        except Exception:  # what is wrong, and what follows from it, is for the general way to say
            return None
        return None if values is None else (key, Entry(body, uid, version, (namespace, *values)))


def arrival_reader(layout: Layout[Any]) -> ArrivalReader | None:
    """Return the reader for a layout, or None if its objects need the general way."""
    struct = layout.arrives_as
    if struct is None:
        return None
    values, mirror = _values_reader(struct, layout.reader.paths), _mirror(struct)
    return None if values is None or mirror is None else ArrivalReader(mirror, values)


class _Mirror(NamedTuple):
    """What to decode an object as.

    Attributes:
        type: A Struct that has the user's fields, and ``metadata`` with the identity.
        make: Makes the user's object of an instance.
    """

    type: type[msgspec.Struct]
    make: Callable[[Any], Any]


def _mirror(struct: type[msgspec.Struct]) -> _Mirror | None:
    """Return the mirror of a class; None if decoding it is more than decoding its fields, or its metadata is odd."""
    types = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    inner = _only_type(types.get("metadata", msgspec.Struct))
    if not (_is_its_fields(struct) and _is_its_fields(inner)):
        return None
    texts = {field.encode_name: field.type for field in msgspec.structs.fields(inner)}
    if any(texts.get(name, str) is not str for name in _IDENTITY):
        return None
    metadata, identity = _like(inner, {name: (str, "") for name in _IDENTITY if name not in texts})
    whole, names = _like(struct, {"metadata": (metadata,)})
    get, construct = _getter([names[name] for name in types]), _constructor(struct)
    if "metadata" not in types:
        return _Mirror(whole, lambda found: construct(get(found)))
    at = list(types).index("metadata")
    get_inner, construct_inner = _getter([identity[name] for name in texts]), _constructor(inner)

    def make(found: Any) -> Any:
        values = list(get(found))
        values[at] = construct_inner(get_inner(values[at]))
        return construct(values)

    return _Mirror(whole, make)


def _only_type(hint: Any) -> Any:
    """Return the type of a hint that allows nothing else but None."""
    options = [option for option in get_args(hint) or (hint,) if option is not type(None)]
    return options[0] if len(options) == 1 else None


def _is_its_fields(struct: Any) -> bool:
    """Tell whether an instance is what its fields are, and nothing is said of others."""
    if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
        return False
    config = struct.__struct_config__
    return not config.array_like and not config.forbid_unknown_fields and config.tag is None


def _like(struct: type[msgspec.Struct], others: Mapping[str, tuple[Any, ...]]) -> tuple[type, dict[str, str]]:
    """Return a Struct with the fields of another one and further ones, which win; its attributes by name in JSON.

    Args:
        struct: The other one.
        others: Type, and default if there is one, by name in JSON.
    """
    fields: dict[str, tuple[Any, ...]] = {
        field.encode_name: (field.type, *_default(field)) for field in msgspec.structs.fields(struct)
    }
    fields.update(others)
    attributes = {name: name if name in _OWN else f"f{index}" for index, name in enumerate(fields)}
    definitions = [(attributes[name], *definition) for name, definition in fields.items()]
    rename = {attribute: name for name, attribute in attributes.items()}
    return msgspec.defstruct("Mirror", definitions, rename=rename, kw_only=True, gc=False), attributes


def _default(field: msgspec.structs.FieldInfo) -> list[Any]:
    if field.default_factory is not msgspec.NODEFAULT:
        return [msgspec.field(default_factory=field.default_factory)]
    return [] if field.default is msgspec.NODEFAULT else [msgspec.field(default=field.default)]


def _getter(attributes: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives the values of attributes, dotted or not, as a tuple."""
    if len(attributes) > 1:
        return attrgetter(*attributes)
    if not attributes:
        return lambda found: ()
    get = attrgetter(*attributes)
    return lambda found: (get(found),)


def _constructor(struct: type[msgspec.Struct]) -> Callable[[Iterable[Any]], Any]:
    names = struct.__struct_fields__
    if names == struct.__match_args__:
        return lambda values: struct(*values)
    return lambda values: struct(**dict(zip(names, values, strict=True)))


def _values_reader(struct: type[msgspec.Struct], paths: Sequence[Path]) -> ValuesReader | None:
    """Return what reads paths from an instance, or None if one of them leads where the class does not."""
    if not paths:
        return lambda _: ()
    located = [_locate(struct, path) for path in paths]
    names = [found[0] for found in located if found is not None]
    if len(names) < len(paths):
        return None
    defaults = [found[1] for found in located if found is not None]
    get = _getter(names)

    def read(instance: Any) -> tuple[str | None, ...] | None:
        try:
            values = get(instance)
        except AttributeError:  # a null on the way
            return None
        # A default: the field is absent, or present with that very text.
        return None if any(map(eq, values, defaults)) else values

    return read


_NEVER = object()


def _locate(struct: type[msgspec.Struct], path: Path) -> tuple[str, Any] | None:
    """Return the dotted attribute that a path reads, and the default that hides whether the field was there.

    None if the class does not show the field as a text, or if several defaults may hide that it is absent.
    """
    names: list[str] = []
    defaults: list[tuple[int, Any]] = []  # of the fields on the way, and how many names lead to each
    for position, step in enumerate(path.steps):
        if step is EACH or struct.__struct_config__.array_like or hasattr(struct, "__post_init__"):
            return None
        field = next((one for one in msgspec.structs.fields(struct) if one.encode_name == step), None)
        if field is None:
            return None
        names.append(field.name)
        if field.default_factory is not msgspec.NODEFAULT:
            return None
        if not field.required and field.default is not None:
            defaults.append((len(names), field.default))
        kind = _only_type(field.type)
        if not isinstance(kind, type):
            return None
        if position == len(path.steps) - 1:
            hidden = {_follow(default, names[depth:]) for depth, default in defaults} - {None}
            if kind is not str or len(hidden) > 1:
                return None
            return ".".join(names), hidden.pop() if hidden else _NEVER
        if not issubclass(kind, msgspec.Struct):
            return None
        struct = kind
    return None


def _follow(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = getattr(value, name, None)
    return value
