"""Objects that are kept decoded, read from a watch in one pass instead of two. Pure.

For an informer whose user's Struct is decoded on arrival, a pass over the bytes for the identity and the paths and
another one for the Struct would be one too many. Here an object is decoded as its *mirror*, a Struct that has the
user's fields and the identity, and the user's object is made of that; the values of paths are read from the user's
object. Whatever does not fit is left to the general way, so that both give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, eq
from typing import Any, NamedTuple, TypeAlias, Union, get_args

import msgspec

from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.models import making
from aioinformers.objects.paths import EACH, Path

__all__ = ["ArrivalReader", "arrival_reader"]

StructClass: TypeAlias = type[msgspec.Struct]

ValuesReader: TypeAlias = Callable[[Any], tuple[str | None, ...] | None]

_IDENTITY = ("name", "namespace", "uid", "resourceVersion")
_KIND_NAMES = ("kind", "apiVersion")
_KEPT_NAMES = {"metadata", *_IDENTITY}
"""Fields whose attributes in a mirror have the names that they have in JSON: ``ArrivalReader.read`` reads them."""


class ArrivalReader:
    """Reads an object as an entry that holds it decoded.

    Args:
        mirror: What to decode an object as.
        values: Gives the index values of a user's object, or None where only its JSON can tell them.
    """

    def __init__(self, mirror: _Mirror, values: ValuesReader) -> None:
        with making:
            self._decode: Callable[[Any], Any] = msgspec.json.Decoder(mirror.type, strict=False).decode
        self._make, self._values, self._unsaid = mirror.make, values, mirror.unsaid

    def read(self, raw: memoryview, is_stored: Callable[[str, str, str], bool] | None) -> tuple[str, Entry] | None:
        """Return the key and entry of an object; None if it is to be read the general way.

        Args:
            raw: Its JSON, all ASCII.
            is_stored: Tells whether a version is in the store already; then its entry has no body.
        """
        try:
            mirror = self._decode(raw)
            metadata = mirror.metadata
            namespace, key, uid, version = metadata.namespace, metadata.name, metadata.uid, metadata.resourceVersion
            if not key:
                return None
            if namespace:
                key = f"{namespace}/{key}"  # join_key, without a call per event
            if is_stored is not None and is_stored(key, uid, version):
                return key, Entry(None, uid, version, ())
            if self._unsaid is not None and msgspec.UNSET in self._unsaid(mirror):
                return None
            body = self._make(mirror)
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


# -- mirrors --------------------------------------------------------------------------------------------------


class _Mirror(NamedTuple):
    """What to decode an object as.

    Attributes:
        type: A Struct that has the user's fields, and ``metadata`` with the identity.
        make: Makes the user's object of an instance.
        unsaid: Gives what the class declares of the object's kind, ``UNSET`` where the object does not say it: then it
            is filled in, if it is known. None if the class declares no such field that may be absent.
    """

    type: StructClass
    make: Callable[[Any], Any]
    unsaid: Callable[[Any], tuple[Any, ...]] | None


def _mirror(struct: StructClass) -> _Mirror | None:
    """Return the mirror of a class; None if decoding it is more than decoding its fields, or its metadata is odd."""
    types = _types(struct)
    # A class that does not declare the metadata gets nothing of them but the identity.
    metadata = _only_type(types.get("metadata", msgspec.Struct))
    if not (_is_its_fields(struct) and _is_its_fields(metadata) and _leaves_identity_alone(metadata)):
        return None
    identity = {name: _TwinField(str, msgspec.field(default="")) for name in _IDENTITY if name not in _types(metadata)}
    twin_metadata = _twin(metadata, identity)
    kinds = {field.encode_name: field for field in msgspec.structs.fields(struct) if field.encode_name in _KIND_NAMES}
    absent = {
        name: _TwinField(Union[field.type, msgspec.UnsetType], msgspec.field(default=msgspec.UNSET))  # noqa: UP007
        for name, field in kinds.items()
        if not field.required
    }
    twin = _twin(struct, {"metadata": _TwinField(twin_metadata.type), **absent})
    unsaid = _getter([twin.attributes[name] for name in absent]) if absent else None
    if "metadata" in types:
        return _Mirror(twin.type, _maker_with_metadata(struct, twin, metadata, twin_metadata), unsaid)
    return _Mirror(twin.type, _maker(struct, twin), unsaid)


def _types(struct: StructClass) -> dict[str, Any]:
    """Return the types of a class's fields by their names in JSON."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(struct)}


def _only_type(hint: Any) -> Any:
    """Return the type of a hint that allows nothing else but None; None for any other hint."""
    options = [option for option in get_args(hint) or (hint,) if option is not type(None)]
    return options[0] if len(options) == 1 else None


def _is_its_fields(struct: Any) -> bool:
    """Tell whether an instance is decoded from its own fields alone, whatever others the JSON has."""
    if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
        return False
    config = struct.__struct_config__
    return not config.array_like and not config.forbid_unknown_fields and config.tag is None


def _leaves_identity_alone(metadata: StructClass) -> bool:
    """Tell whether what a class declares of the identity is any text, and nothing else where the JSON has none."""
    declared = [field for field in msgspec.structs.fields(metadata) if field.encode_name in _IDENTITY]
    return all(field.type is str and (field.required or field.default == "") for field in declared)


class _TwinField(NamedTuple):
    """What a field of a twin may be.

    Attributes:
        type: The type of its values.
        default: What ``msgspec.field`` gives for its default; None if the field is required.
    """

    type: Any
    default: Any = None


class _Twin(NamedTuple):
    """A Struct with the fields of another one, and more.

    Attributes:
        type: The Struct.
        attributes: Its attributes by the names of fields in JSON.
    """

    type: StructClass
    attributes: Mapping[str, str]


def _twin(struct: StructClass, more: Mapping[str, _TwinField]) -> _Twin:
    """Make the twin of a class.

    Args:
        struct: The class.
        more: Further fields by their names in JSON; they win over fields of the class.
    """
    fields = {field.encode_name: _TwinField(field.type, _default(field)) for field in msgspec.structs.fields(struct)}
    fields.update(more)
    attributes = {name: name if name in _KEPT_NAMES else f"f{index}" for index, name in enumerate(fields)}
    definitions: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (attributes[name], field.type) if field.default is None else (attributes[name], field.type, field.default)
        for name, field in fields.items()
    ]
    rename = {attribute: name for name, attribute in attributes.items()}
    return _Twin(msgspec.defstruct("Mirror", definitions, rename=rename, kw_only=True, gc=False), attributes)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    """Return a definition's default like that of another field; None if that is required."""
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return None if field.required else msgspec.field(default=field.default)


def _maker(struct: StructClass, twin: _Twin) -> Callable[[Any], Any]:
    """Return the function that makes an instance of a class of an instance of its twin."""
    get, construct = _twin_getter(struct, twin), _constructor(struct)
    return lambda instance: construct(get(instance))


def _maker_with_metadata(
    struct: StructClass, twin: _Twin, metadata: StructClass, twin_metadata: _Twin
) -> Callable[[Any], Any]:
    """Do as ``_maker`` does, for a class whose metadata have a twin, too."""
    get, construct = _twin_getter(struct, twin), _constructor(struct)
    get_metadata, construct_metadata = _twin_getter(metadata, twin_metadata), _constructor(metadata)
    position = list(_types(struct)).index("metadata")

    def make(instance: Any) -> Any:
        values = list(get(instance))
        values[position] = construct_metadata(get_metadata(values[position]))
        return construct(values)

    return make


def _twin_getter(struct: StructClass, twin: _Twin) -> Callable[[Any], tuple[Any, ...]]:
    """Return the function that gives the values of a class's fields from an instance of its twin."""
    return _getter([twin.attributes[name] for name in _types(struct)])


def _getter(attributes: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return the function that gives the values of attributes, dotted or not, as a tuple."""
    if len(attributes) > 1:
        return attrgetter(*attributes)
    if not attributes:
        return lambda instance: ()
    get = attrgetter(*attributes)
    return lambda instance: (get(instance),)


def _constructor(struct: StructClass) -> Callable[[Iterable[Any]], Any]:
    """Return the function that makes an instance of the values of all fields, in the order of the class."""
    names = struct.__struct_fields__
    if names == struct.__match_args__:
        return lambda values: struct(*values)
    return lambda values: struct(**dict(zip(names, values, strict=True)))  # some are keyword-only


# -- values of paths ------------------------------------------------------------------------------------------


_NEVER = object()
"""A value that no field has."""


class _Location(NamedTuple):
    """Where an instance has the value of a path.

    Attributes:
        attribute: The attribute, dotted.
        ambiguous: The value that does not tell what the path reads in the JSON: mostly the default of the field, or of
            one on the way, for the field may be there or not.
    """

    attribute: str
    ambiguous: Any


def _values_reader(struct: StructClass, paths: Sequence[Path]) -> ValuesReader | None:
    """Return the function that reads paths from an instance; None if one of them leads where the class does not."""
    if not paths:
        return lambda _: ()
    locations = [location for path in paths if (location := _locate(struct, path)) is not None]
    if len(locations) < len(paths):
        return None
    get = _getter([location.attribute for location in locations])
    ambiguous = [location.ambiguous for location in locations]

    def read(instance: Any) -> tuple[str | None, ...] | None:
        try:
            values = get(instance)
        except AttributeError:  # a null on the way
            return None
        return None if any(map(eq, values, ambiguous)) else values

    return read


def _locate(struct: StructClass, path: Path) -> _Location | None:
    """Find a path's value in a class.

    Returns:
        Where it is; None if the class does not show it as a text, or if several values are ambiguous.
    """
    fields = _fields_on(struct, path)
    if fields is None or _only_type(fields[-1].type) is not str:
        return None
    names = [field.name for field in fields]
    ambiguous: set[Any] = set()
    if len(path.steps) == 2 and path.steps[0] == "metadata" and path.steps[1] in _IDENTITY:
        ambiguous.add("")  # what paths read there is never empty, but absent
    for depth, field in enumerate(fields, 1):
        if not field.required and field.default is not None:
            # Where this field is absent, its default stands there, and the path goes on inside of that.
            ambiguous.add(_follow(field.default, names[depth:]))
    ambiguous.discard(None)
    if len(ambiguous) > 1:
        return None
    return _Location(".".join(names), ambiguous.pop() if ambiguous else _NEVER)


def _fields_on(struct: StructClass, path: Path) -> list[msgspec.structs.FieldInfo] | None:
    """Return the fields that a path leads through, one per step; None if the class does not have them all."""
    fields: list[msgspec.structs.FieldInfo] = []
    inner: Any = struct
    for step in path.steps:
        if not (isinstance(inner, type) and issubclass(inner, msgspec.Struct)):
            return None
        field = _shown_field(inner, step)
        if field is None:
            return None
        fields.append(field)
        inner = _only_type(field.type)
    return fields


def _shown_field(struct: StructClass, step: object) -> msgspec.structs.FieldInfo | None:
    """Return the field that a step leads to; None if its value is not always what the JSON says, or one fixed default.

    A class may change values in ``__post_init__``, and a default factory may give another value each time.
    """
    if step is EACH or struct.__struct_config__.array_like or hasattr(struct, "__post_init__"):
        return None
    field = next((field for field in msgspec.structs.fields(struct) if field.encode_name == step), None)
    return field if field is not None and field.default_factory is msgspec.NODEFAULT else None


def _follow(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = getattr(value, name, None)
    return value
