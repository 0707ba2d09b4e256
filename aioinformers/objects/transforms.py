"""Built-in transforms, which drop fields of an object or keep only some, on its JSON bytes. Pure.

Give them to a factory or an informer, alone or among functions of your own::

    transform=[strip_managed_fields, drop_fields("status"), mark_owner]

They do not decode the fields that stay unchanged, and neighbours are merged into one pass. A *plan* describes what
remains of a value: all of it (true), nothing (false), or parts of it (a node). Each level of the object that a plan
changes is decoded to names and raw values and encoded again; deeper and neighbouring values are copied as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeAlias

import msgspec

from aioinformers.checks import name_of
from aioinformers.errors import InvalidPathError
from aioinformers.objects.documents import steady
from aioinformers.objects.paths import EACH, Each, Path, parse_path
from aioinformers.types import END_OF_PROCESS

__all__ = [
    "ALWAYS_KEPT", "FINGERPRINT", "BytesTransform", "TransformChain", "UserError", "drop_fields", "keep_fields",
    "strip_managed_fields",
]  # fmt: skip

Document: TypeAlias = dict[str, Any]
Steps: TypeAlias = tuple[str | Each, ...]
Plan: TypeAlias = "bool | _Node"

ALWAYS_KEPT: Final = (
    "apiVersion", "kind",
    "metadata.name", "metadata.namespace", "metadata.uid", "metadata.resourceVersion", "metadata.labels",
)  # fmt: skip
"""Fields that identify an object, and the labels, by which listers select."""

_NEVER_DROPPED = frozenset({"metadata", "metadata.name", "metadata.namespace"})

_encode = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_GONE: Final = object()
FINGERPRINT: Final = 16
"""Bytes of a digest."""
_BRACE, _BRACKET = b"{["


@dataclass(frozen=True, slots=True)
class _Node:
    """What remains of a value, part by part.

    Attributes:
        fields: The plans of an object's fields.
        others: Whether an object's other fields remain.
        elements: The plan of a list's elements.
        objects: Whether the value remains at all if it is an object.
        lists: Whether it remains if it is a list.
        scalars: Whether it remains if it is anything else.
    """

    fields: dict[str, Plan]
    others: bool
    elements: Plan
    objects: bool
    lists: bool
    scalars: bool

    def of(self, step: str | Each) -> Plan:
        """Return the plan of a field, or of each element."""
        return self.elements if step is EACH else self.fields.get(step, self.others)


def _plan(tails: Iterable[Steps], *, keeps: bool) -> Plan:
    """Make the plan that keeps, or drops, the values at the ends of paths.

    Values of types that no path fits remain if paths are dropped, and go if paths are kept.
    """
    following: dict[str | Each, list[Steps]] = {}
    for tail in tails:
        if not tail:
            return keeps
        following.setdefault(tail[0], []).append(tail[1:])
    plans = {step: _plan(rest, keeps=keeps) for step, rest in following.items()}
    fields = {step: plan for step, plan in plans.items() if step is not EACH}
    return _Node(
        fields=fields,
        others=not keeps,
        elements=plans.get(EACH, not keeps),
        objects=bool(fields) or not keeps,
        lists=EACH in plans or not keeps,
        scalars=not keeps,
    )


def _composed(first: Plan, then: Plan) -> Plan:
    """Return the plan with the effect of two plans, one after the other."""
    if isinstance(first, bool):
        return then if first else False
    if isinstance(then, bool):
        return first if then else False
    return _Node(
        fields={name: _composed(first.of(name), then.of(name)) for name in first.fields | then.fields},
        others=first.others and then.others,
        elements=_composed(first.elements, then.elements),
        objects=first.objects and then.objects,
        lists=first.lists and then.lists,
        scalars=first.scalars and then.scalars,
    )


def _reduce(value: Any, plan: Plan) -> Any:
    """Return what remains of a decoded value, or ``_GONE``, without changing the value itself."""
    if isinstance(plan, bool):
        return value if plan else _GONE
    if isinstance(value, dict):
        fields = ((name, _reduce(inner, plan.of(name))) for name, inner in value.items())
        return {name: inner for name, inner in fields if inner is not _GONE} if plan.objects else _GONE
    if isinstance(value, list):
        elements = (_reduce(inner, plan.elements) for inner in value)
        return [inner for inner in elements if inner is not _GONE] if plan.lists else _GONE
    return value if plan.scalars else _GONE


def _reduce_bytes(raw: Any, plan: Plan) -> Any:
    """Do what ``_reduce`` does, on JSON; return the same bytes (or Raw) if nothing changes, None if nothing remains."""
    if isinstance(plan, bool):
        return raw if plan else None
    first = memoryview(raw)[0]
    if first == _BRACE:
        return _reduce_object(raw, plan) if plan.objects else None
    if first == _BRACKET:
        return _reduce_list(raw, plan) if plan.lists else None
    return raw if plan.scalars else None


def _reduce_object(raw: Any, plan: _Node) -> Any:
    members: dict[str, msgspec.Raw | None] = dict(_decode_object(raw))
    before = len(members)
    changed = False
    for name in tuple(plan.fields if plan.others else members):
        if (old := members.get(name)) is None:
            continue
        new = _reduce_bytes(old, plan.of(name))
        if new is None:
            del members[name]
        else:
            members[name] = new
            changed = changed or new is not old
    return msgspec.Raw(_encode(members)) if changed or len(members) < before else raw


def _reduce_list(raw: Any, plan: _Node) -> Any:
    old = _decode_list(raw)
    new = [kept for element in old if (kept := _reduce_bytes(element, plan.elements)) is not None]
    is_same = len(new) == len(old) and all(a is b for a, b in zip(new, old, strict=True))
    return raw if is_same else msgspec.Raw(_encode(new))


def _collect(raw: Any, plan: Plan, names: list[str], parts: list[Any]) -> None:
    """Collect the raw values that remain of JSON, and their names: always in the same order for the same JSON."""
    if isinstance(plan, bool):
        if plan:
            parts.append(raw)
        return
    first = memoryview(raw)[0]
    if first == _BRACE:
        members = _decode_object(raw) if plan.objects else {}
        for name, inner in plan.fields.items():
            value = members.pop(name, None)
            if value is not None and inner is not False:
                names.append(name)
                parts.append(b"{")
                _collect(value, inner, names, parts)
                parts.append(b"}")
        if plan.others:
            names += members
            parts += members.values()
    elif first == _BRACKET:
        parts.append(b"(")
        for element in _decode_list(raw) if plan.lists else ():
            parts.append(b"[")
            _collect(element, plan.elements, names, parts)
            parts.append(b"]")
        parts.append(b")")
    elif plan.scalars:
        parts.append(raw)


def _type_of(plan: Plan) -> Any:
    """Return a type that decodes exactly what a plan keeps, in one pass; None if there is no such type."""
    if isinstance(plan, bool):
        return msgspec.Raw if plan else None
    if plan.objects == plan.lists:  # plans that drop something keep values of every type
        return None
    if plan.lists:
        element = _type_of(plan.elements)
        return None if element is None else list[element]  # type: ignore[valid-type]  # made at runtime
    types = {name: _type_of(inner) for name, inner in plan.fields.items() if inner is not False}
    if None in types.values():
        return None
    fields = [(f"f{at}", field | msgspec.UnsetType, msgspec.UNSET) for at, field in enumerate(types.values())]
    return msgspec.defstruct("Kept", fields, rename={f"f{at}": name for at, name in enumerate(types)}, gc=False)


class _Metadata(msgspec.Struct, frozen=True, rename="camel", gc=False):
    managed_fields: msgspec.Raw = msgspec.Raw()


class _Object(msgspec.Struct, frozen=True, gc=False):
    metadata: _Metadata = _Metadata()


class _Head(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, gc=False):
    metadata: dict[str, msgspec.Raw]
    kind: str = ""
    api_version: str = ""


_decode_metadata = msgspec.json.Decoder(_Object).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_MARK = b',"managedFields":['


def _cut_managed_fields(raw: bytes) -> bytes | None:
    """Return an object's bytes with ``metadata.managedFields`` cut out, or None if the position is uncertain.

    The position is guessed by a search, then verified in two steps. The bytes before it, closed by two braces, must be
    an object of only kind, apiVersion and metadata: then the guess follows a complete field of metadata itself, outside
    of texts and nested values. The bytes without the cut must be valid JSON again, without ``managedFields``: had the
    search found the bracket of another list, or one inside a text, brackets or quotes would not match.
    """
    try:
        start = raw.find(_MARK)
        if start < 0:
            return None if _decode_metadata(raw).metadata.managed_fields else raw
        _decode_head(raw[:start] + b"}}")
        cut = raw[:start] + raw[raw.find(b"]", start) + 1 :]
        return None if _decode_metadata(cut).metadata.managed_fields else cut
    except msgspec.DecodeError:
        return None


_MANAGED_FIELDS = _plan([("metadata", "managedFields")], keeps=False)


class BytesTransform:
    """Drops fields of an object without decoding the others; made by :func:`drop_fields` and :func:`keep_fields`.

    Transforms with the same operations are equal, so that a factory can share the informers that use them.

    Args:
        operations: Pairs of whether to keep (or else drop) fields and their paths, applied in this order.
    """

    def __init__(self, *operations: tuple[bool, tuple[Path, ...]]) -> None:
        self._operations = operations
        plans = (_plan((path.steps for path in paths), keeps=keeps) for keeps, paths in operations)
        self._plan: Plan = True
        for plan in plans:
            self._plan = _composed(self._plan, plan)
        self._is_cut = self._plan == _MANAGED_FIELDS
        kept = None if isinstance(self._plan, bool) else _type_of(self._plan)
        self._decode_kept = None if kept is None else msgspec.json.Decoder(kept).decode

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths that it names, those that are always kept left out."""
        named = (path for _, paths in self._operations for path in paths)
        return tuple(path for path in named if str(path) not in ALWAYS_KEPT)

    @property
    def dropped(self) -> tuple[Path, ...] | None:
        """The paths that it drops, if it does nothing else."""
        if any(keeps for keeps, _ in self._operations):
            return None
        return tuple(path for _, paths in self._operations for path in paths)

    def __repr__(self) -> str:
        words = (
            f"{'keep' if keeps else 'drop'}_fields({', '.join(repr(str(path)) for path in paths)})"
            for keeps, paths in self._operations
        )
        return ", ".join(words)

    def __eq__(self, other: object) -> bool:
        return self._operations == other._operations if isinstance(other, BytesTransform) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._operations)

    def __call__(self, document: Document) -> Document:
        """Return what remains of a decoded object, without changing the object itself."""
        kept: Document = _reduce(document, self._plan)
        return kept

    def apply(self, raw: bytes) -> bytes:
        """Return what remains of the bytes of one JSON object; the same bytes if nothing is dropped.

        Raises:
            msgspec.DecodeError: If the bytes are not a JSON object. Not every error is detected.
        """
        if self._is_cut and (cut := _cut_managed_fields(raw)) is not None:
            return cut
        if self._decode_kept is not None:
            try:
                return _encode(self._decode_kept(raw))
            except msgspec.ValidationError:
                pass  # a value does not have the type that a path implies; the slower code drops only that value
        kept = raw if isinstance(self._plan, bool) else _reduce_object(raw, self._plan)
        return raw if kept is raw else bytes(kept)

    def digest(self, raw: bytes) -> bytes:
        """Return 16 bytes that are the same for objects of which the same remains, without building what remains.

        Raises:
            msgspec.DecodeError: If the bytes are not a JSON object.
        """
        if self._decode_kept is not None:
            try:
                return sha256(_encode(self._decode_kept(raw))).digest()[:FINGERPRINT]
            except msgspec.ValidationError:
                pass  # as above
        names: list[str] = []
        parts: list[Any] = []
        _collect(raw, self._plan, names, parts)
        parts.append(_encode(names))
        return sha256(b"\0".join(parts)).digest()[:FINGERPRINT]  # no JSON value contains the separator

    def merge(self, later: BytesTransform) -> BytesTransform:
        """Return the transform with the effect of this one and then a later one, in one pass."""
        return BytesTransform(*self._operations, *later._operations)

    def drops(self, path: Path) -> bool:
        """Tell whether of a path's value nothing is ever left."""
        plan = self._plan
        for step in path.steps:
            if isinstance(plan, bool):
                break
            plan = plan.of(step)
        return plan is False

    def preserves(self, path: Path) -> bool:
        """Tell whether a path has the same value before and after, in every object."""
        plan = self._plan
        for step in path.steps:
            if isinstance(plan, bool):
                break
            plan = plan.of(step)
        return plan is True


def drop_fields(*paths: str) -> BytesTransform:
    """Make a transform that drops fields, such as ``"status"`` or ``"spec.containers[].env"``.

    A path that an object does not have, or whose values have other types, changes nothing. Without
    ``metadata.labels``, listers cannot select by labels.

    Args:
        paths: JSON paths as in indexes: ``"metadata.annotations['example.com/note']"``; ``[]`` is every element.

    Raises:
        InvalidPathError: If a text is not a path, or names the metadata, the name or the namespace.
        ValueError: If there are none.
    """
    if not paths:
        raise ValueError("drop_fields() needs paths: drop_fields('status')")
    parsed = tuple(map(parse_path, paths))
    for text, path in zip(paths, parsed, strict=True):
        if str(path) in _NEVER_DROPPED:
            raise InvalidPathError(text, 0, "an object cannot be known without its name and namespace")
    return BytesTransform((False, parsed))


def keep_fields(*paths: str) -> BytesTransform:
    """Make a transform that keeps only these fields, and always those that identify an object, and its labels.

    These are apiVersion, kind, and name, namespace, uid, resourceVersion and labels of the metadata. Every element of a
    list on a path remains, reduced to the fields on paths; values of other types than the paths imply are dropped.

    Args:
        paths: JSON paths, as for :func:`drop_fields`.

    Raises:
        InvalidPathError: If a text is not a path.
    """
    return BytesTransform((True, tuple(map(parse_path, (*ALWAYS_KEPT, *paths)))))


strip_managed_fields: Final = drop_fields("metadata.managedFields")
"""Drops ``metadata.managedFields``, the bookkeeping of server-side apply, often a third of an object."""


class UserError(Exception):
    """A user's transform has raised; its cause is what.

    Args:
        name: The transform's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _called(transform: Callable[[Any], Any], obj: Any) -> Any:
    try:
        return transform(obj)
    except END_OF_PROCESS:
        raise
    except BaseException as error:
        raise UserError(name_of(transform).rpartition(".")[2]) from error


class TransformChain:
    """An informer's transforms in the user's order; adjacent built-in transforms are merged.

    Args:
        transforms: Built-in transforms, and plain functions from an object to an object or None.

    Attributes:
        stages: The merged transforms, applied in this order.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        stages: list[Callable[[Any], Any]] = []
        for transform in transforms:
            if isinstance(transform, BytesTransform) and stages and isinstance(stages[-1], BytesTransform):
                stages[-1] = stages[-1].merge(transform)
            else:
                stages.append(transform)
        self.stages: tuple[Callable[[Any], Any], ...] = tuple(stages)

    def apply(
        self, raw: bytes, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes] = _encode
    ) -> bytes | None:
        """Transform one object's bytes; return None if a user's function returned None.

        Args:
            raw: The object's JSON.
            decode: Decodes JSON to the object that users' functions take.
            encode: Encodes the object that they return.

        Raises:
            UserError: If a user's function raises.
        """
        obj: Any = _GONE  # while the current state is in `raw`
        for stage in self.stages:
            if not isinstance(stage, BytesTransform):
                obj = _called(stage, decode(raw) if obj is _GONE else obj)
                if obj is None:
                    return None
            elif isinstance(obj, dict):
                obj = stage(obj)
            else:
                before, obj = raw if obj is _GONE else encode(obj), _GONE
                try:
                    raw = stage.apply(before)
                except RecursionError:
                    raw = steady(stage.apply, before)
        return raw if obj is _GONE else encode(obj)

    def preserves(self, paths: Iterable[Path]) -> bool:
        """Tell whether name, namespace and these paths are certain to have the same values before and after."""
        wanted = tuple(paths)
        return all(isinstance(stage, BytesTransform) and all(map(stage.preserves, wanted)) for stage in self.stages)
