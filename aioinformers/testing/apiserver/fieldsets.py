"""Sets of fields, as ``managedFields`` describe them: what somebody owns, or what has changed. Pure.

A field is reached by a path of elements, each a text as in ``FieldsV1``: ``f:name`` is a field of an object,
``k:{"name":"x"}`` the item of a list with these keys, ``v:"x"`` this value in a list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from aioinformers.testing.apiserver.documents import encode

__all__ = ["FieldSet", "Path", "field_element", "key_element", "path_text", "value_element"]

Path: TypeAlias = tuple[str, ...]
"""The elements that lead to a field."""

_SELF = "."


def field_element(name: str) -> str:
    """Return the element of an object's field."""
    return f"f:{name}"


def key_element(keys: Mapping[str, Any]) -> str:
    """Return the element of a list's item with these keys."""
    return "k:" + encode(dict(sorted(keys.items()))).decode()


def value_element(value: Any) -> str:
    """Return the element of a value in a list."""
    return "v:" + encode(value).decode()


def path_text(path: Path) -> str:
    """Return a path as kube-apiserver writes it in messages: ``.spec.containers[name="x"].image``."""
    return "".join(map(_element_text, path))


def _element_text(element: str) -> str:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "v":
        return f"[={rest}]"
    keys = json.loads(rest)
    return f"[{','.join(f'{name}={encode(value).decode()}' for name, value in keys.items())}]"


class FieldSet:
    """A set of fields; operations return others, and only :meth:`add` changes one.

    Sets share what is below their elements: only one that has just been made may be added to.
    A field that is in the set does not stand for those below it.

    Args:
        members: The elements of the fields on this level.
        children: The sets below elements of this level; none of them is empty.
    """

    __slots__ = ("children", "members")

    def __init__(self, members: set[str] | None = None, children: dict[str, FieldSet] | None = None) -> None:
        self.members: set[str] = members or set()
        self.children: dict[str, FieldSet] = children or {}

    @classmethod
    def of(cls, *paths: Path) -> FieldSet:
        """Return the set of some fields."""
        made = cls()
        for path in paths:
            made.add(path)
        return made

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> FieldSet:
        """Read ``fieldsV1``; elements of unknown kinds are left out."""
        made = cls()
        for element, below in document.items():
            if element[:2] not in ("f:", "k:", "v:") or not isinstance(below, dict):
                continue
            child = cls.from_json(below)
            if child:
                made.children[element] = child
            if not child or _SELF in below:
                made.members.add(element)
        return made

    def to_json(self) -> dict[str, Any]:
        """Return ``fieldsV1``."""
        document: dict[str, Any] = {}
        for element in sorted(self.members | self.children.keys()):
            child = self.children.get(element)
            own: dict[str, Any] = {_SELF: {}} if child and element in self.members else {}
            document[element] = own | (child.to_json() if child else {})
        return document

    def add(self, path: Path, below: FieldSet | None = None) -> None:
        """Add a field, and those below it; the object as a whole, whose path is empty, is none."""
        node = self
        for element in path[:-1]:
            node = node.children.setdefault(element, FieldSet())
        node.members.update(path[-1:])
        if below:
            node.children[path[-1]] = below

    def below(self, element: str) -> FieldSet:
        """Return the set below an element."""
        return self.children.get(element) or FieldSet()

    def paths(self, prefix: Path = ()) -> Iterator[Path]:
        """Yield the path of each field."""
        for element in sorted(self.members):
            yield (*prefix, element)
        for element in sorted(self.children):
            yield from self.children[element].paths((*prefix, element))

    def without(self, other: FieldSet) -> FieldSet:
        """Return the set without the fields of another one, and everything below these."""
        if not other:
            return self
        children = {
            element: rest
            for element, child in self.children.items()
            if element not in other.members and (rest := child.without(other.below(element)))
        }
        return FieldSet(self.members - other.members, children)

    def only(self, element: str) -> FieldSet:
        """Return what is in the set of one element, and below it."""
        child = self.children.get(element)
        return FieldSet(self.members & {element}, {element: child} if child else {})

    def __bool__(self) -> bool:
        return bool(self.members or self.children)

    def __contains__(self, path: Path) -> bool:
        node: FieldSet | None = self
        for element in path[:-1]:
            node = node.children.get(element) if node else None
        return node is not None and path[-1] in node.members

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSet) and (self.members, self.children) == (other.members, other.children)

    def __or__(self, other: FieldSet) -> FieldSet:
        if not self or not other:
            return self or other
        children = self.children | other.children
        for element in self.children.keys() & other.children.keys():
            children[element] = self.children[element] | other.children[element]
        return FieldSet(self.members | other.members, children)

    def __and__(self, other: FieldSet) -> FieldSet:
        if not self or not other:
            return FieldSet()
        shared = self.children.keys() & other.children.keys()
        children = {element: both for element in shared if (both := self.children[element] & other.children[element])}
        return FieldSet(self.members & other.members, children)

    def __sub__(self, other: FieldSet) -> FieldSet:
        if not self or not other:
            return self
        children = {element: rest for element, child in self.children.items() if (rest := child - other.below(element))}
        return FieldSet(self.members - other.members, children)

    def __repr__(self) -> str:
        return f"<FieldSet {' '.join(map(path_text, self.paths()))}>"
