"""Applies strategic merge patches, which merge lists by the keys of the kind's schema. Pure.

The order of a merged list is that of ``$setElementOrder``, then that of the patch, then that of the object. What
kube-apiserver does not foresee in a patch, it answers with 500.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aioinformers.testing.apiserver.jsonpatch import is_same
from aioinformers.testing.apiserver.schemas import Form, Shape, Strategy
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["strategic_merge"]

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList"
_ORDER = "$setElementOrder"


def strategic_merge(original: Mapping[str, Any], patch: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Return what a patch makes of an object; neither is changed.

    Args:
        original: The object.
        patch: The patch.
        shape: What the object is.

    Raises:
        StatusError: 400, 422 or 500 if the patch cannot be applied.
    """
    if _PATCH in patch:
        match patch[_PATCH]:
            case "replace":
                return {name: value for name, value in patch.items() if name != _PATCH}
            case "delete":
                return {}
            case directive:
                raise _failure(f"unknown patch type: {_go(directive)} in map: {_go(patch)}")
    merged, rest = _retain(original, patch)
    rest = _merge_ordered(merged, rest, shape)
    for key, value in rest.items():
        name = _listed(key, _DELETE)
        if name is not None:
            if isinstance(merged.get(name), list) and isinstance(value, list):
                merged[name] = [each for each in merged[name] if not _contains(value, each)]
                if not merged[name]:  # Go leaves out empty lists
                    del merged[name]
        elif value is None:
            merged.pop(key, None)
        else:
            _merge_field(merged, key, value, shape.at(key))
    return merged


def _merge_field(merged: dict[str, Any], key: str, value: Any, shape: Shape) -> None:
    there = merged.get(key)
    if isinstance(there, dict) and isinstance(value, dict):
        merged[key] = value if shape.strategy is Strategy.REPLACE else strategic_merge(there, value, shape)
        if not merged[key] and shape.form is not Form.STRUCT and _is_flat(there):  # Go leaves out empty maps
            del merged[key]
    elif isinstance(there, list) and isinstance(value, list):
        merged[key] = _merge_list(there, value, shape)
    else:
        kept, cleaned = _clean(value if key in merged and type(there) is type(value) else _without_nulls(value))
        merged.pop(key, None)
        if kept and (cleaned != {} or not value or shape.form is Form.STRUCT):  # nothing but nulls is an empty map
            merged[key] = cleaned


def _is_flat(there: Mapping[str, Any]) -> bool:
    """Tell whether an object is a map of texts, as far as one can see without a schema."""
    return bool(there) and not any(isinstance(value, dict | list) for value in there.values())


def _retain(original: Mapping[str, Any], patch: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an object without the fields that a patch does not retain, and the rest of the patch."""
    rest = {name: value for name, value in patch.items() if name != _RETAIN}
    if _RETAIN not in patch:
        return dict(original), rest
    retained = patch[_RETAIN]
    named = (name for name, value in rest.items() if value is not None and not name.startswith((_DELETE, _ORDER)))
    if not isinstance(retained, list) or any(name not in retained for name in named):
        raise StatusError.bad_request("invalid patch format of retainKeys")
    return {name: value for name, value in original.items() if name in retained}, rest


def _listed(key: str, directive: str) -> str | None:
    """Return the list that a directive is about; None if the key is none."""
    if not key.startswith(directive):
        return None
    prefix, slash, name = key.partition("/")
    if not slash or prefix != directive:
        what = "primitive list" if directive == _DELETE else "setElementOrder list"
        raise StatusError.bad_request(f"invalid patch format of {what}")
    return name


# -- lists -----------------------------------------------------------------------------------------


def _merge_ordered(merged: dict[str, Any], patch: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Merge the lists whose order a patch sets, and return the rest of the patch."""
    rest = {key: value for key, value in patch.items() if not key.startswith(_ORDER)}
    for key, order in patch.items():
        name = _listed(key, _ORDER)
        if name is None:
            continue
        given, field = rest.pop(name, None), shape.at(name)
        there = merged.get(name)
        for each in (order, [] if given is None else given, [] if there is None else there):
            if not isinstance(each, list):
                raise _failure(f"expected a []interface {{}}, but received a {_go_type(each)}")
        _check_order(given or [], order, field.merge_key)
        if given is None and there is None:
            continue
        if given is None:
            items: list[Any] = there or []
        elif there is None:
            items = _clean(given)[1]
        else:
            items = _merge_list(there, given, field)
        _check_elements(there or [], given or [])
        merged[name] = _arrange(items, order, there or [], field.merge_key)
    return rest


def _check_order(given: list[Any], order: list[Any], key: str) -> None:
    """Check that the items of a patch are in the order that it sets."""
    if not given or not order:
        return
    kept = [each for each in given if not (key and isinstance(each, dict) and each.get(_PATCH) == "delete")]
    number = place = 0
    while number < len(kept) and place < len(order):
        item = kept[number]
        if isinstance(item, dict) and _PATCH in item:
            number += 1
            continue
        if _key(item, key) == _key(order[place], key):
            number += 1
        place += 1
    if number < len(kept):  # also where nothing is left but a directive
        raise _failure(f"The order in patch list:\n{_go(given)}\n doesn't match {_ORDER} list:\n{_go(order)}\n")


def _merge_list(there: list[Any], given: list[Any], shape: Shape) -> list[Any]:
    if shape.strategy is not Strategy.MERGE:
        return given
    if not there and not given:
        return there
    key = shape.merge_key
    if not _check_elements(there, given):
        return _arrange([*there, *(each for each in given if not _contains(there, each))], given, there, "")
    if not key:
        raise _failure("cannot merge lists without merge key")
    there, given = _without_deleted(there, given, key)
    items = list(there)
    for item in given:
        place = _find(items, _key(item, key), key)
        if place is None:
            items.append(item)
        else:
            items[place] = strategic_merge(items[place], item, shape.item())
    return _arrange(items, given, there, key)


def _without_deleted(there: list[Any], given: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Return the items that a patch does not delete, and its items that are no directives."""
    plain, replaces = [], False
    for item in given:
        match item.get(_PATCH):
            case None:
                plain.append(item)
            case "delete":
                there = [each for each in there if each.get(key) != _key(item, key)]
            case "replace":
                replaces = True
            case "merge":
                raise _failure("merging lists cannot yet be specified in the patch")
            case directive:
                raise _failure(f"unknown patch type: {_go(directive)} in map: {_go(item)}")
    return (plain, []) if replaces else (there, plain)


def _arrange(items: list[Any], order: list[Any], there: list[Any], key: str) -> list[Any]:
    """Return items in the order of a patch, the others before the first of those that they were before."""
    wanted, had = ([_key(each, key) for each in known] for known in (order, there))

    def place(known: list[Any], item: Any) -> int:
        value = _key(item, key)
        return next((number for number, each in enumerate(known) if is_same(each, value)), -1)

    ours = sorted((each for each in items if place(wanted, each) >= 0), key=lambda each: place(wanted, each))
    others = sorted((each for each in items if place(wanted, each) < 0), key=lambda each: place(had, each))
    arranged = []
    for item in ours:
        while others and 0 <= place(had, others[0]) < place(had, item):
            arranged.append(others.pop(0))
        arranged.append(item)
    return arranged + others


def _check_elements(*lists: list[Any]) -> bool:
    """Check that all items are of one kind, and tell whether they are objects."""
    kinds = {type(each) for items in lists for each in items}
    if not kinds:
        raise _failure("no elements in any of the given slices")
    if kinds == {list}:
        raise StatusError.unprocessable()  # lists of lists
    if len(kinds) > 1:
        raise _failure(f"list element types are not identical: {_go(list(lists))}")
    return kinds == {dict}


def _key(item: Any, key: str) -> Any:
    """Return what an item is told apart by."""
    if not key:
        return item
    if not isinstance(item, Mapping):
        raise _failure(f"expected a map[string]interface {{}}, but received a {_go_type(item)}")
    if key not in item:
        raise _failure(f"map: {_go(item)} does not contain declared merge key: {key}")
    return item[key]


def _find(items: list[Any], value: Any, key: str) -> int | None:
    return next((place for place, each in enumerate(items) if is_same(each.get(key), value)), None)


def _contains(items: list[Any], value: Any) -> bool:
    return any(is_same(each, value) for each in items)


# -- values ----------------------------------------------------------------------------------------


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _clean(value: Any) -> tuple[bool, Any]:
    """Return whether a new value is to be kept, and what is left of it without directives."""
    if isinstance(value, dict):
        if _PATCH in value:
            return False, None
        fields = ((name, _clean(each)) for name, each in value.items())
        return True, {name: each for name, (kept, each) in fields if kept}
    if isinstance(value, list):
        return True, [each for kept, each in map(_clean, value) if kept]
    return True, value


def _failure(message: str) -> StatusError:
    return StatusError(500, "", message)


def _go(value: Any) -> str:
    """Return a value as Go prints it."""
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{name}:{_go(each)}' for name, each in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_go, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "<nil>" if value is None else str(value)


def _go_type(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}"}
    return names.get(type(value), "map[string]interface {}" if isinstance(value, Mapping) else "%!s(<nil>)")
