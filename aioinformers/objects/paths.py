"""JSON paths into Kubernetes objects, and compiled readers of many paths at once.

A path uses the names of the server's JSON: ``spec.nodeName``, ``metadata.labels['app.kubernetes.io/name']``,
``spec.containers[].image`` (``[]`` stands for every element). A ``PathReader`` merges the paths of one informer
with the metadata that the cache needs of every object, so that one typed pass over the bytes reads all of it:

- ``PathReader.projection`` is a msgspec Struct of the fields on the paths. The decoder skips all other fields without
  building Python objects.
- ``PathReader.read`` is a function generated for these paths. Its straight attribute access takes half the time of an
  ``operator.attrgetter`` over dotted names, which walks from the root for each of them.

A missing field reads as its default, an empty struct shared by all objects, so the common case has no branch. A
null on the path raises inside ``read``, which then falls back to a slower walk.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, NoReturn, Protocol, TypeAlias

import msgspec

from aioinformers.errors import InvalidPathError
from aioinformers.objects.documents import decode_value, steady

__all__ = [
    "EACH", "Each", "IndexValue", "KnownKind", "Path", "PathReader", "Reading", "join_key", "parse_path", "text_of",
]  # fmt: skip

IndexValue: TypeAlias = str | tuple[str, ...] | None
"""The value of a path: a text, the distinct texts of a list, or None for an absent field."""

Reading: TypeAlias = tuple[str, str, str, tuple[IndexValue, ...]]
"""Internal key, uid, resourceVersion, and a tuple of the namespace and one value per path."""


class Each(enum.Enum):
    """Type of :data:`EACH`."""

    EACH = "[]"


EACH = Each.EACH
"""The step to every element of a list."""


def join_key(namespace: str, name: str) -> str:
    """Return the internal key of an object, a str because that is the smallest and fastest dict key."""
    return f"{namespace}/{name}" if namespace else name


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path; ``str()`` gives its canonical text.

    Attributes:
        steps: Field names and ``EACH``, from the root of the object on.
    """

    steps: tuple[str | Each, ...]

    def __str__(self) -> str:
        return "".join(map(_step_text, self.steps)).removeprefix(".")


MAX_STEPS: Final = 64
"""Steps that a path may have."""

_NAME = re.compile(r"[\w$-]+")
_UNREADABLE = re.compile(r'[\\"\x00-\x1f\ud800-\udfff]')  # msgspec rejects such names for fields


def _step_text(step: str | Each) -> str:
    if step is EACH:
        return "[]"
    if _NAME.fullmatch(step):
        return f".{step}"
    return f'["{step}"]' if "'" in step else f"['{step}']"


def parse_path(text: str) -> Path:
    """Parse a path such as ``spec.containers[].image`` or ``metadata.labels['app.kubernetes.io/name']``.

    Raises:
        InvalidPathError: If the text is not a path.
        TypeError: If the argument is not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"a path is a text such as 'spec.nodeName', not {type(text).__name__}")
    if not text:
        _fail(text, 0, "it is empty: write one such as 'spec.nodeName'")
    steps: list[str | Each] = []
    position = 0
    while position < len(text):
        if text[position] == "[":
            step, position = _bracket(text, position)
        else:
            step, position = _field(text, position, first=not steps)
        steps.append(step)
        if len(steps) > MAX_STEPS:
            _fail(text, position, f"it has more than {MAX_STEPS} steps: no object is nested that deep")
    if steps[0] is EACH:
        _fail(text, 0, "'[]' stands for the elements of a list: a path begins with a field of the object")
    if len(steps) > 3 and steps[0] == "metadata" and steps[1] in ("labels", "annotations"):
        key = ".".join(step for step in steps[2:] if step is not EACH)
        problem = f"{steps[1]} are texts without parts: write metadata.{steps[1]}['{key}']"
        _fail(text, len(f"metadata.{steps[1]}"), problem)
    return Path(tuple(steps))


def _field(text: str, position: int, *, first: bool) -> tuple[str, int]:
    start = position
    if text[position] == ".":
        if first:
            _fail(text, position, f"a path has no leading dot: write {text.lstrip('.')!r}")
        start += 1
    elif not first:
        _fail(text, position, f"unexpected {text[position]!r}, expected '.', '[' or the end{_hint(text[position])}")
    match = _NAME.match(text, start)
    if match is None:
        unexpected = repr(text[start]) if start < len(text) else "the end"
        _fail(text, start, f"found {unexpected}, expected the name of a field{_hint(text[start : start + 1])}")
    return match[0], match.end()


def _hint(character: str) -> str:
    if character in ("", ".", "[", "]"):
        return ""
    return ": a name with other characters than letters, digits, '_', '-' and '$' is written in ['…']"


def _bracket(text: str, position: int) -> tuple[str | Each, int]:
    start = position + 1
    quote = text[start : start + 1]
    if quote == "]":
        return EACH, start + 1
    if quote not in ("'", '"'):
        unexpected = repr(quote) if quote else "the end"
        if quote == "*" or quote.isdigit() or quote == "-":
            _fail(text, start, "elements cannot be chosen: use [] for every element")
        _fail(text, start, f"found {unexpected} after '[', expected ']' or a quoted name, as in ['app']")
    end = text.find(quote, start + 1)
    if end < 0:
        _fail(text, start, f"the quoted name is not closed: {quote} is missing")
    if text[end + 1 : end + 2] != "]":
        _fail(text, end + 1, "expected ']' after the quoted name")
    name = text[start + 1 : end]
    if not name:
        _fail(text, start, "the quoted name is empty")
    if bad := _UNREADABLE.search(name):
        _fail(text, start + 1 + bad.start(), "a name cannot contain a double quote, backslash or control character")
    return name, end + 2


def _fail(text: str, position: int, problem: str) -> NoReturn:
    raise InvalidPathError(text, position, problem)


class KnownKind(Protocol):
    """What is known of the kind of all objects; servers leave it out in the items of a list.

    Attributes:
        kind: The kind; empty if it is not known.
        api_version: Its group and version.
    """

    kind: str
    api_version: str


class _UnknownKind:
    kind = api_version = ""


_KIND_FIELDS: dict[tuple[str | Each, ...], str] = {("kind",): "kind", ("apiVersion",): "api_version"}
"""Attributes of a known kind that stand for absent values of paths."""


class PathReader:
    """Reads the identity of an object and the values of paths in one pass.

    The typed pass is stricter than :meth:`read_raw`: if fields have other types than the paths imply (a text where a
    path continues), decoding raises ``msgspec.ValidationError``, and the caller goes to ``read_raw``. Where several
    ways succeed, they return the same.

    Args:
        paths: The paths to read.
        known: Tells the kind of objects that do not say it themselves.
        parts: Members whose raw values are wanted, too, of objects as they usually are.

    Attributes:
        paths: The paths, in the order of their values.
        parts: The members whose raw values ``read`` gives behind these, empty where there is none; of the
            resourceVersion its text. None at all if a path leads into one of them, and from a slower way of reading.
        projection: The type to decode an object into.
        read: Returns the reading of an instance of ``projection``.
    """

    projection: type[msgspec.Struct]
    read: Callable[[Any], Reading]

    def __init__(self, paths: Sequence[Path], known: KnownKind | None = None, parts: Sequence[Path] = ()) -> None:
        self.paths: tuple[Path, ...] = tuple(paths)
        self.parts: tuple[Path, ...] = () if _overlap(self.paths, parts) else tuple(parts)
        self._known = known or _UnknownKind()
        compiler = _Compiler(self.paths, self._known, self.parts)
        self.projection = compiler.projection
        self.read = compiler.reader(slow=self._read_slowly)
        self._parts = _Node()
        for steps in (*_IDENTITY_STEPS, *(path.steps for path in self.paths if not _in_identity(path.steps))):
            self._parts.add(steps)

    def read_raw(self, raw: bytes) -> Reading:
        """Return the reading of an object's JSON, whatever types its fields have; decodes only what is on the paths.

        A field that is null, or of another type than a path implies, counts as absent.

        Raises:
            ValueError: If the object has no name, which includes any JSON that is not an object.
            msgspec.DecodeError: If the bytes are not JSON.
        """
        return self.read_document(_parts_of(raw, self._parts))

    def read_document(self, document: object) -> Reading:
        """Return the reading of an object decoded to plain dicts and lists.

        A field that is null, or of another type than a path implies, counts as absent.

        Raises:
            ValueError: If the object has no name.
        """
        metadata = document.get("metadata") if isinstance(document, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
            raise ValueError("object without metadata.name")
        namespace, uid, version = (
            value if isinstance(value := metadata.get(field), str) else "" for field in _IDENTITY[1:]
        )
        values = [self._value(document, path.steps) for path in self.paths]
        return join_key(namespace, name), uid, version, (namespace, *values)

    def _value(self, document: object, steps: tuple[str | Each, ...]) -> IndexValue:
        value = _value(document, steps)
        if value is None and steps in _KIND_FIELDS:
            return getattr(self._known, _KIND_FIELDS[steps]) or None
        return value

    def _read_slowly(self, projected: msgspec.Struct) -> Reading:
        return self.read_document(msgspec.to_builtins(projected, enc_hook=lambda _part: None))


_IDENTITY = ("name", "namespace", "uid", "resourceVersion")
_IDENTITY_STEPS = [("metadata", field) for field in _IDENTITY]
_VERSION = ("metadata", "resourceVersion")


def _value(document: object, steps: tuple[str | Each, ...]) -> IndexValue:
    value = _normal(_walk(document, steps))
    if steps[0] == "metadata" and len(steps) == 2 and steps[1] in _IDENTITY:
        return value or None  # the generated reader sees "" where these are absent
    return value


def _walk(value: Any, steps: tuple[str | Each, ...]) -> Any:
    for index, step in enumerate(steps):
        if step is EACH:
            if not isinstance(value, list | tuple):
                return None
            return [_walk(item, steps[index + 1 :]) for item in value]
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _normal(value: Any) -> IndexValue:
    """Turn any JSON value into an index value: flatten lists, and leave out nulls and objects."""
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(_texts(value))) or None
    return text_of(value)


def _texts(values: Sequence[Any]) -> Iterator[str]:
    """Yield the texts of a list and of those inside it, which may be nested deeper than Python calls functions."""
    open_lists = [iter(values)]
    while open_lists:
        for value in open_lists[-1]:
            if isinstance(value, list | tuple):
                open_lists.append(iter(value))
                break
            if (text := text_of(value)) is not None:
                yield text
        else:
            del open_lists[-1]


def text_of(value: Any) -> str | None:
    """Return the text of a JSON value; None for nulls, objects and lists."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else None


_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_BRACE = 0x7B


def _parts_of(raw: bytes | msgspec.Raw, node: _Node) -> Any:
    """Return what is on the paths of a JSON value, in plain Python objects."""
    if node.is_opaque:
        return decode_value(raw)
    if node.ends:
        return _end_of(raw)
    try:
        if EACH in node.children:
            return [_parts_of(each, node.children[EACH]) for each in steady(_decode_elements, raw)]
        members = steady(_decode_members, raw)
    except msgspec.ValidationError:
        return None
    return {
        step: _parts_of(members[step], child)
        for step, child in node.children.items()
        if isinstance(step, str) and step in members
    }


def _end_of(raw: bytes | msgspec.Raw) -> Any:
    """Return the value at the end of a path; an object is no value."""
    try:
        return steady(_decode_usual, raw)
    except msgspec.ValidationError:
        return decode_value(raw) if len(raw) <= _LARGEST and memoryview(raw)[0] != _BRACE else None


def _many(values: list[Any]) -> IndexValue:
    """Do the same as ``_normal``, faster for a list of texts only."""
    for value in values:
        if value.__class__ is not str:
            return _normal(values)
    if len(values) == 1:
        return (values[0],)
    return tuple(dict.fromkeys(values)) or None


_Scalar: TypeAlias = str | int | float | bool | None
_Value: TypeAlias = _Scalar | tuple[_Scalar, ...]
"""What is usual at the end of a path; whatever else there is, no object may take long for it."""

_decode_usual: Callable[[Any], Any] = msgspec.json.Decoder(_Value).decode

_LARGEST = 16 * 1024
"""Bytes of an unusual value at the end of a path: a larger one counts as absent."""


class _Node:
    """A field in the trie of paths; ``ends`` is true if a path ends at it."""

    def __init__(self) -> None:
        self.children: dict[str | Each, _Node] = {}
        self.ends = False
        self.is_part = False  # its raw value is wanted
        self.attribute = ""  # name in the parent's struct
        self.local = ""  # the reader's local variable for it, if there is one

    def add(self, steps: tuple[str | Each, ...]) -> _Node:
        """Add a path, and return the node at its end."""
        node = self
        for step in steps:
            node = node.children.setdefault(step, _Node())
        node.ends = True
        return node

    @property
    def is_opaque(self) -> bool:
        """Whether its paths need different types at once: a value and a struct, or a list and a struct."""
        return bool(self.children) and (self.ends or (EACH in self.children and len(self.children) > 1))

    @property
    def is_struct(self) -> bool:
        """Whether it is decoded as an object with fields, not as a leaf, a list or an untyped value."""
        return bool(self.children) and EACH not in self.children and not self.is_opaque


class _Compiler:
    """Merges paths into a trie and generates the projection and the reader from it."""

    def __init__(self, paths: Sequence[Path], known: KnownKind, parts: Sequence[Path]) -> None:
        self._paths, self._parts = paths, parts
        self._root = _Node()
        self._metadata = self._root.children["metadata"] = _Node()
        for path in (*paths, *parts):
            if not _in_identity(path.steps):
                node = self._root.add(path.steps)
                node.is_part = node.is_part or path in parts
        self._lines: list[str] = []
        self._globals: dict[str, Any] = {"walk": _walk, "normal": _normal, "many": _many, "known": known}
        self.projection = self._struct(self._root)

    def _struct(self, node: _Node) -> type[msgspec.Struct]:
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        if node is self._metadata:
            fields += [("name", Annotated[str, msgspec.Meta(min_length=1)]), ("namespace", str | None, "")]
            fields += [("uid", str, ""), ("resourceVersion", str, "")]
        names: dict[str, str] = {}
        for step, child in node.children.items():
            assert step is not EACH, "a node with elements is a list, not a struct"
            child.attribute = f"f{len(names)}"
            names[child.attribute] = step
            if child is self._metadata:
                fields.insert(0, (child.attribute, self._struct(child)))  # required fields come first
            else:
                fields.append((child.attribute, *self._type(child)))
        # frozen: msgspec does not accept mutable defaults, and all objects share the defaults
        return msgspec.defstruct("Projection", fields, rename=names, frozen=True, gc=False)

    def _type(self, node: _Node) -> tuple[Any, Any]:
        """Return the type of a node and its default for an absent field."""
        if node.is_part:
            return msgspec.Raw, msgspec.Raw()
        if node.is_struct:
            struct = self._struct(node)
            return struct | None, struct()
        if EACH in node.children and not node.is_opaque:
            return tuple[self._type(node.children[EACH])[0], ...] | None, ()  # type: ignore[misc]  # made at runtime
        return (Any if node.is_opaque else _Value), None

    def reader(self, slow: Callable[[Any], Reading]) -> Callable[[Any], Reading]:
        """Generate the function that returns the reading of an instance of the projection."""
        self._assign(self._root, "projected")
        values = [f"v{index}" for index in range(len(self._paths))]
        for value, path in zip(values, self._paths, strict=True):
            self._lines += self._statements(value, path.steps)
        m = self._metadata.local
        for index, part in enumerate(self._parts):
            values.append(f"p{index}")
            self._lines.append(f"p{index} = {self._member(part.steps)}")
        source = [
            "def read(projected):",
            "    try:",
            *(f"        {line}" for line in self._lines),
            "    except (AttributeError, TypeError):  # a null on a path",
            "        return slow(projected)",
            f'    namespace, key = {m}.namespace or "", {m}.name',
            "    if namespace:",
            '        key = f"{namespace}/{key}"',  # join_key, without a call per event
            f"    return key, {m}.uid, {m}.resourceVersion, ({', '.join(['namespace', *values])},)",
        ]
        self._globals["slow"] = slow
        exec("\n".join(source), self._globals)  # safe: the source contains generated names only, no text of a path
        read: Callable[[Any], Reading] = self._globals["read"]
        return read

    def _assign(self, node: _Node, local: str) -> None:
        """Assign a local variable to each struct that is not an element of a list."""
        node.local = local
        for child in node.children.values():
            if child.is_struct or child is self._metadata:
                self._lines.append(f"n{len(self._lines)} = {local}.{child.attribute}")
                self._assign(child, f"n{len(self._lines) - 1}")

    def _member(self, steps: tuple[str | Each, ...]) -> str:
        """Return the expression of a member's raw value."""
        if _in_identity(steps):
            return f"{self._metadata.local}.{steps[1]}"
        node = self._root
        for step in steps[:-1]:
            node = node.children[step]
        return f"{node.local}.{node.children[steps[-1]].attribute}"

    def _statements(self, value: str, steps: tuple[str | Each, ...]) -> Iterator[str]:
        if _in_identity(steps):
            is_field = len(steps) == 2 and steps[1] in _IDENTITY
            yield f"{value} = {self._metadata.local}.{steps[1]} or None" if is_field else f"{value} = None"
            return
        node, expression, loops = self._root, "projected", ""
        for index, step in enumerate(steps):
            if node.is_opaque:
                self._globals[f"{value}_steps"] = steps[index:]
                expression = f"walk({expression}, {value}_steps)"
                break
            node = node.children[step]
            if step is EACH:
                loops += f" for e{index} in {expression}"
                expression = f"e{index}"
            else:
                expression = node.local or f"{expression}.{node.attribute}"
        if loops:
            yield f"{value} = many([{expression}{loops}])"
        else:
            yield f"{value} = {expression}"
            yield f"if {value}.__class__ is not str and {value} is not None: {value} = normal({value})"
        if steps in _KIND_FIELDS:
            yield f"if {value} is None: {value} = known.{_KIND_FIELDS[steps]} or None"


def _overlap(paths: Sequence[Path], parts: Sequence[Path]) -> bool:
    """Tell whether a path leads into a part, or a part into another one, or anywhere else than to a member."""
    return any(
        EACH in part.steps
        or (_in_identity(part.steps) and part.steps != _VERSION)
        or any(other is not part and _share(part.steps, other.steps) for other in (*paths, *parts))
        for part in parts
    )


def _share(steps: tuple[str | Each, ...], others: tuple[str | Each, ...]) -> bool:
    """Tell whether one path leads to the other's value or into it."""
    length = min(len(steps), len(others))
    return steps[:length] == others[:length]


def _in_identity(steps: tuple[str | Each, ...]) -> bool:
    """Tell whether a path leads to the identity, which is read of every object anyway, or below it (always absent)."""
    return steps[0] == "metadata" and (len(steps) == 1 or steps[1] is EACH or steps[1] in _IDENTITY)
