"""Objects that are kept decoded, read from a watch in one pass instead of two. Pure.

For an informer whose user's Struct is decoded on arrival, a pass over the bytes for the identity and the paths and
another one for the Struct would be one too many. Here the identity is taken from the front of the line, where servers
write it for built-in kinds, and the values of paths from the decoded object. Whatever does not fit is left to the
general way, so that both give the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, eq
from typing import Any, TypeAlias, get_args

import msgspec

from aioinformers.objects import Entry, Layout
from aioinformers.paths import EACH, Path, join_key

__all__ = ["ArrivalReader", "arrival_reader"]

ValuesReader: TypeAlias = Callable[[Any], tuple[str | None, ...] | None]

_TEXT = rb'"([^"\\]*)"'
_IDENTITY = re.compile(
    rb'\{"type":"([A-Z]+)","object":\{"kind":"[^"\\]*","apiVersion":"[^"\\]*","metadata":\{"name":"([^"\\]+)",'
    rb'(?:"generateName":"[^"\\]*",)?(?:"namespace":' + _TEXT + rb",)?"
    rb'"uid":' + _TEXT + rb',"resourceVersion":' + _TEXT + rb"[,}]"
)


class ArrivalReader:
    """Reads one line of a watch as an entry that holds the decoded object.

    Args:
        struct: The user's class.
        values: Gives the index values of an instance, or None where only its JSON can tell them.
        operations: What to do for each type of event.
    """

    def __init__(self, struct: type[msgspec.Struct], values: ValuesReader, operations: Mapping[str, int]) -> None:
        self._operations = {kind.encode(): operation for kind, operation in operations.items()}
        line = msgspec.defstruct("Line", [("type", str), ("object", struct)], forbid_unknown_fields=True, gc=False)
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(line, strict=False).decode
        self._values = values

    def read(
        self, line: memoryview, is_stored: Callable[[str, str, str], bool] | None
    ) -> tuple[int, str, Entry] | None:
        """Return the operation, key and entry of a line of ASCII; None if it is to be read the general way.

        Args:
            line: The line.
            is_stored: Tells whether a version is in the store already; then it is not decoded, its entry has no body.
        """
        found = _IDENTITY.match(line)
        if found is None:
            return None
        kind, *texts = found.groups(b"")
        operation = self._operations.get(kind)
        if operation is None:
            return None
        name, namespace, uid, version = [text.decode() for text in texts]
        key = join_key(namespace, name)
        if is_stored is not None and kind != b"DELETED" and is_stored(key, uid, version):
            return operation, key, Entry(None, uid, version, ())
        try:
            body = self._decode(line).object
        except Exception:  # what is wrong, and what follows from it, is for the general way to say
            return None
        values = self._values(body)
        return None if values is None else (operation, key, Entry(body, uid, version, (namespace, *values)))


def arrival_reader(layout: Layout[Any], operations: Mapping[str, int]) -> ArrivalReader | None:
    """Return the reader for a layout, or None if its objects need the general way."""
    struct = layout.arrives_as
    if struct is None:
        return None
    values = _values_reader(struct, layout.reader.paths)
    return None if values is None else ArrivalReader(struct, values, operations)


def _values_reader(struct: type[msgspec.Struct], paths: Sequence[Path]) -> ValuesReader | None:
    """Return what reads paths from an instance, or None if one of them leads where the class does not."""
    if not paths:
        return lambda _: ()
    located = [_locate(struct, path) for path in paths]
    names = [found[0] for found in located if found is not None]
    if len(names) < len(paths):
        return None
    defaults = [found[1] for found in located if found is not None]
    get = attrgetter(*names, names[0])  # one more, so that it gives a tuple even of a single one

    def read(instance: Any) -> tuple[str | None, ...] | None:
        try:
            values = get(instance)[:-1]
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
        options = [option for option in get_args(field.type) or (field.type,) if option is not type(None)]
        if len(options) != 1 or not isinstance(options[0], type):
            return None
        if position == len(path.steps) - 1:
            hidden = {_follow(default, names[depth:]) for depth, default in defaults} - {None}
            if options[0] is not str or len(hidden) > 1:
                return None
            return ".".join(names), hidden.pop() if hidden else _NEVER
        if not issubclass(options[0], msgspec.Struct):
            return None
        struct = options[0]
    return None


def _follow(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = getattr(value, name, None)
    return value
