"""What server-side apply does with objects: fields, differences, merges and removals, by the schema. Pure.

These are the operations of the library ``structured-merge-diff`` of kube-apiserver, with its rules: an object or a list
consists of its parts, unless both sides are empty; a leaf, among them every atomic list and map, is one field.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from aioinformers.testing.apiserver.documents import encode
from aioinformers.testing.apiserver.fieldsets import (
    FieldSet,
    Path,
    field_element,
    key_element,
    path_text,
    value_element,
)
from aioinformers.testing.apiserver.schemas import Form, Shape

__all__ = ["Comparison", "check", "compare", "fields_in", "merge", "named", "nulls_in", "remove"]


class _Absent(enum.Enum):
    ABSENT = enum.auto()


_ABSENT: Final = _Absent.ABSENT

_OBJECTS = (Form.STRUCT, Form.MAP)
_LISTS = (Form.LIST, Form.SET)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How an object differs from an earlier one.

    Attributes:
        added: The fields that are new.
        modified: The fields with another value.
        removed: The fields that are gone.
    """

    added: FieldSet = field(default_factory=FieldSet)
    modified: FieldSet = field(default_factory=FieldSet)
    removed: FieldSet = field(default_factory=FieldSet)


class _NoElementError(Exception):
    """An item of a list cannot be told apart from others."""


def _is_object(shape: Shape, value: Any) -> bool:
    return shape.form in _OBJECTS and isinstance(value, dict)


def _is_list(shape: Shape, value: Any) -> bool:
    return shape.form in _LISTS and isinstance(value, list)


def _element(shape: Shape, item: Any) -> str:
    """Return what tells an item of a list apart.

    Raises:
        _NoElementError: If nothing does.
    """
    if shape.form is Form.SET:
        if isinstance(item, dict):
            raise _NoElementError("associative list without keys has an element that's a map type")
        if isinstance(item, list):
            raise _NoElementError("not supported: associative list with lists as elements")
        if item is None:
            raise _NoElementError("associative list without keys has an element that's an explicit null")
        return value_element(item)
    if not isinstance(item, dict):
        what = "a null element" if item is None else "non-map elements"
        raise _NoElementError(f"associative list with keys may not have {what}")
    known = {**shape.defaults, **item}
    keys = {key: known[key] for key in shape.keys if key in known}
    if not keys:
        listed = " ".join(f'"{key}"' for key in shape.keys)
        problem = f"associative list with keys has an element that omits all key fields [{listed}]"
        raise _NoElementError(f"{problem} (and doesn't have default values for any key fields)")
    return key_element(keys)


def _elements(shape: Shape, items: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the items of a stored list; one that cannot be told apart, which no apply has written, is left out."""
    for item in items:
        try:
            yield _element(shape, item), item
        except _NoElementError:
            continue


def check(shape: Shape, value: Any, path: Path = ()) -> list[str]:
    """Return what is wrong with what is applied: items that are there twice, or cannot be told apart."""
    if value is None or shape.form is Form.LEAF:
        return []
    if shape.form in _OBJECTS:
        if not isinstance(value, dict):
            return [] if shape.item() is shape else [f"{path_text(path)}: expected map, got &{{{_shown(value)}}}"]
        return [
            problem
            for name, each in value.items()
            for problem in check(shape.at(name), each, (*path, field_element(name)))
        ]
    if not isinstance(value, list):
        return [f"{path_text(path)}: expected list, got &{{{_shown(value)}}}"]
    problems: list[str] = []
    seen: set[str] = set()
    for number, item in enumerate(value):
        try:
            element = _element(shape, item)
        except _NoElementError as error:
            return [*problems, f"{path_text(path)}: element {number}: {error}"]
        if element in seen:
            problems.append(f"{path_text(path)}: duplicate entries for key {path_text((element,))}")
        seen.add(element)
        if shape.form is Form.LIST:
            problems += check(shape.item(), item, (*path, element))
    return problems


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else encode(value).decode()


# -- fields ----------------------------------------------------------------------------------------


def fields_in(shape: Shape, value: Any) -> FieldSet:
    """Return the fields of an object."""
    found = FieldSet()
    if _is_object(shape, value):
        for name, each in value.items():
            element, part = field_element(name), shape.at(name)
            _collect(part, each, element, found)
            if each in (None, {}) or not shape.names(name):
                found.members.add(element)
    elif _is_list(shape, value):
        groups = _grouped(shape, value)
        for element, items in groups.items():
            found.members.add(element)
            if len(items) == 1 and shape.form is Form.LIST:
                _collect(shape.item(), items[0], element, found)
    return found


def _collect(shape: Shape, value: Any, element: str, into: FieldSet) -> None:
    if not _is_object(shape, value) and not _is_list(shape, value):
        into.members.add(element)
    elif below := fields_in(shape, value):
        into.children[element] = below


def _grouped(shape: Shape, items: list[Any]) -> dict[str, list[Any]]:
    """Return the items of a list by what tells them apart, which stored lists may have more than once."""
    groups: dict[str, list[Any]] = {}
    for element, item in _elements(shape, items):
        groups.setdefault(element, []).append(item)
    return groups


def named(shape: Shape, fields: FieldSet) -> FieldSet:
    """Return a set with those fields of types that lead to its fields, too."""
    members, children = set(fields.members), {}
    for element, child in fields.children.items():
        kind, _, name = element.partition(":")
        if kind == "f" and shape.form in _OBJECTS:
            if shape.names(name):
                members.add(element)
            part = shape.at(name)
        else:
            part = shape.item()
        children[element] = named(part, child)
    return FieldSet(members, children)


# -- differences -----------------------------------------------------------------------------------


def compare(shape: Shape, old: Any, new: Any) -> Comparison:
    """Return how an object differs from an earlier one."""
    found = Comparison()
    _compare(shape, old, new, (), found)
    return found


def _compare(shape: Shape, old: Any, new: Any, path: Path, found: Comparison) -> None:
    if old == new and type(old) is type(new):  # most of an object, most of the time
        return
    if old is _ABSENT:
        found.added.add(path, _everything(shape, new))
        return
    if new is _ABSENT:
        found.removed.add(path, _everything(shape, old))
        return
    parts = [each for each in (old, new) if _is_object(shape, each) or _is_list(shape, each)]
    if not any(parts):
        found.modified.add(path)
        return
    if shape.form in _OBJECTS:
        before, after = (each if isinstance(each, dict) else {} for each in (old, new))
        for name in {**before, **after}:
            values = before.get(name, _ABSENT), after.get(name, _ABSENT)
            _compare(shape.at(name), *values, (*path, field_element(name)), found)
    else:
        groups = [_grouped(shape, each if isinstance(each, list) else []) for each in (old, new)]
        for element in {**groups[0], **groups[1]}:
            _compare_items(shape, groups[0].get(element, []), groups[1].get(element, []), (*path, element), found)
    if any(each is not None and not isinstance(each, type(parts[0])) for each in (old, new)):
        found.modified.add(path)  # a leaf has become an object, or the other way round


def _everything(shape: Shape, value: Any) -> FieldSet:
    """Return the fields of a part that has come or gone, with the objects and lists that they are in."""
    found = FieldSet()
    if _is_object(shape, value):
        parts = [(field_element(name), shape.at(name), each) for name, each in value.items()]
    elif _is_list(shape, value):
        groups = _grouped(shape, value)
        parts = [(element, shape.item(), each[0] if len(each) == 1 else None) for element, each in groups.items()]
    else:
        return found
    for element, part, each in parts:
        found.members.add(element)
        if each and (below := _everything(part, each)):
            found.children[element] = below
    return found


def _compare_items(shape: Shape, old: list[Any], new: list[Any], path: Path, found: Comparison) -> None:
    """Compare the items of lists with the same keys; more than one are compared as a whole."""
    if len(old) > 1 and len(new) > 1:
        if old != new:
            found.modified.add(path)
        return
    if len(old) > 1:
        found.removed.add(path)
    if len(new) > 1:
        found.added.add(path)
    before, after = (each[0] if len(each) == 1 else _ABSENT for each in (old, new))
    if before is not _ABSENT or after is not _ABSENT:
        _compare(shape.item(), before, after, path, found)


# -- merges ----------------------------------------------------------------------------------------


def merge(shape: Shape, old: Any, new: Any) -> Any:
    """Return an object with what another one sets; nothing is removed.

    Lists have the order of the new one where it changes something, and otherwise that of the old one.
    """
    merged = _merge(shape, old, new)
    return {} if merged is _ABSENT else merged


def _merge(shape: Shape, old: Any, new: Any) -> Any:
    if shape.form in _OBJECTS and (isinstance(new, dict) or (isinstance(old, dict) and new in (_ABSENT, None))):
        before, after = (each if isinstance(each, dict) else {} for each in (old, new))
        if before or after:
            merged = {
                name: _merge(shape.at(name), before.get(name, _ABSENT), after.get(name, _ABSENT))
                for name in {**before, **after}
            }
            return {name: each for name, each in merged.items() if each is not _ABSENT} or _ABSENT
    if shape.form in _LISTS and (isinstance(new, list) or (isinstance(old, list) and new in (_ABSENT, None))):
        theirs, ours = ([*_elements(shape, each)] if isinstance(each, list) else [] for each in (old, new))
        if theirs or ours:
            return _merge_lists(shape, theirs, ours) or _ABSENT
    return old if new is _ABSENT else new


def _merge_lists(shape: Shape, old: list[tuple[str, Any]], new: list[tuple[str, Any]]) -> list[Any]:
    """Merge items; those of both lists stand in the order of the new one, the others near where they were."""
    theirs, ours = {element for element, _ in old}, dict(new)
    counts = [element for element, _ in old]
    before = {element: item if counts.count(element) == 1 else _ABSENT for element, item in old}
    shared = iter([element for element, _ in new if element in theirs])
    following, taken, merged = next(shared, None), set(), []

    def take(element: str) -> None:
        taken.add(element)
        item = ours[element]
        merged.append(_merge(shape.item(), before.get(element, _ABSENT), item) if shape.form is Form.LIST else item)

    left, right = 0, 0
    while left < len(old) or right < len(new):
        if left < len(old) and right < len(new):
            element = old[left][0]
            if element == new[right][0]:
                take(element)
                left, right = left + 1, right + 1
                following = next(shared, None)
                continue
            if element in ours and following is not None and following != element:
                left += 1  # it comes later
                continue
        if left < len(old):
            element, item = old[left]
            if element not in ours:
                merged.append(item)
                left += 1
                continue
            if element in taken:
                left += 1
        if right < len(new):
            element = new[right][0]
            take(element)
            right += 1
            if following == element:
                following = next(shared, None)
    return merged


# -- removals --------------------------------------------------------------------------------------


def remove(shape: Shape, value: Any, fields: FieldSet) -> Any:
    """Return an object without some fields; what is left of a part without any is null."""
    if _is_object(shape, value):
        kept = {}
        for name, each in value.items():
            element = field_element(name)
            if element not in fields.members:
                below = fields.children.get(element)
                kept[name] = remove(shape.at(name), each, below) if below else each
        return kept or None
    if _is_list(shape, value):
        items = []
        for item in value:
            element = _element(shape, item)
            if element not in fields.members:
                below = fields.children.get(element)
                items.append(remove(shape.item(), item, below) if below else item)
        return items or None
    return value


def nulls_in(shape: Shape, value: Any, path: str = "") -> list[tuple[str, str]]:
    """Return where an object is null although its schema demands an object or a list, and which of them it is."""
    if value is None:
        return [(path, shape.typed)] if shape.typed else []
    if _is_object(shape, value) and shape.item() is not shape:
        parts = [(shape.at(name), each, f"{path}.{name}".lstrip(".")) for name, each in value.items()]
    elif _is_list(shape, value):
        parts = [(shape.item(), each, f"{path}[{number}]") for number, each in enumerate(value)]
    else:
        return []
    return [found for part, each, place in parts for found in nulls_in(part, each, place)]
