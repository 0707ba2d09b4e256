"""Applies JSON patches (RFC 6902) in the way of kube-apiserver, whose library takes some liberties with it. Pure.

Its liberties: a field that is missing and one that is null are the same; ``replace`` adds a field of an object that is
not there yet; indices below zero count from the end; what stands before the first slash of a path is ignored.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from aioinformers.testing.apiserver.documents import decode
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["Operations", "apply_json_patch", "is_same", "read_json_patch"]

Operations: TypeAlias = list[Mapping[str, Any]]
"""The steps of a JSON patch."""

_MOST_OPERATIONS = 10_000
_INDEX = re.compile(r"[+-]?[0-9]+")
_TYPES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


class _DoesNotApplyError(Exception):
    """A step cannot be done; kube-apiserver does not say which."""


def read_json_patch(body: bytes) -> Operations:
    """Return the steps that a body describes.

    Raises:
        StatusError: 400 if it is no list of steps, 413 if there are too many.
    """
    try:
        operations = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StatusError.bad_request("invalid JSON patch") from None
    if not isinstance(operations, list):
        raise _undecoded(operations, "value", "[]handlers.jsonPatchOp")
    for operation in operations:
        if not isinstance(operation, dict):
            raise _undecoded(operation, "value", "handlers.jsonPatchOp")
        for name in ("op", "path", "from"):
            if not isinstance(operation.get(name, ""), str):
                raise _undecoded(operation[name], f"struct field jsonPatchOp.{name}", "string")
    if len(operations) > _MOST_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {_MOST_OPERATIONS}, got {len(operations)}"
        raise StatusError(413, "RequestEntityTooLarge", f"Request entity is too large: {message}")
    return operations


def _undecoded(value: Any, where: str, wanted: str) -> StatusError:
    kind = _TYPES.get(type(value), "null")
    return StatusError.bad_request(
        f"error decoding patch: json: cannot unmarshal {kind} into Go {where} of type {wanted}"
    )


def apply_json_patch(document: Any, operations: Operations) -> Any:
    """Apply a patch to a document, which it may change in doing so, and return the result.

    Raises:
        StatusError: 422, without saying why, if a step cannot be done or a ``test`` fails.
    """
    try:
        for operation in operations:
            document = _apply(document, operation)
    except _DoesNotApplyError:
        raise StatusError.unprocessable() from None
    return document


def _apply(document: Any, operation: Mapping[str, Any]) -> Any:
    path, value = operation.get("path"), operation.get("value")
    if path is None:
        raise _DoesNotApplyError
    match operation.get("op"):
        case "add":
            _add(document, path, value)
        case "remove":
            _remove(*_find(document, path))
        case "replace" if not path:
            if not isinstance(value, dict | list):
                raise _DoesNotApplyError
            return value
        case "replace":
            container, key = _find(document, path)
            _get(container, key)
            container[_index(container, key) if isinstance(container, list) else key] = value
        case "move":
            container, key = _find(document, operation.get("from"))
            moved = _get(container, key)
            _remove(container, key)
            _add(document, path, moved)
        case "copy":
            _add(document, path, copy.deepcopy(_get(*_find(document, operation.get("from")))))
        case "test":
            there = _get(*_find(document, path)) if path else document
            if not is_same(there, value) or ("value" not in operation and there is not None):
                raise _DoesNotApplyError
        case _:
            raise _DoesNotApplyError
    return document


def _find(document: Any, path: str | None) -> tuple[Any, str]:
    """Return the object or list that a path leads into, and the last name of the path."""
    _, *names = (path or "").split("/")
    if not names:
        raise _DoesNotApplyError
    container = document
    for name in names[:-1]:
        container = _get(container, _unescaped(name))
    if not isinstance(container, dict | list):
        raise _DoesNotApplyError
    return container, _unescaped(names[-1])


def _unescaped(name: str) -> str:
    return re.sub("~[01]", lambda found: "/" if found[0] == "~1" else "~", name)


def _index(container: list[Any], key: str, *, further: int = 0) -> int:
    """Return the index of an item; with ``further`` also of the place after the last one."""
    if not _INDEX.fullmatch(key):
        raise _DoesNotApplyError
    length = len(container) + further
    index = int(key)
    if not -length <= index < length:
        raise _DoesNotApplyError
    return index + length if index < 0 else index


def _get(container: Any, key: str) -> Any:
    if isinstance(container, dict):
        return container.get(key)
    if isinstance(container, list):
        return container[_index(container, key)]
    raise _DoesNotApplyError


def _add(document: Any, path: str, value: Any) -> None:
    container, key = _find(document, path)
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    else:
        container.insert(_index(container, key, further=1), value)


def _remove(container: Any, key: str) -> None:
    if isinstance(container, list):
        del container[_index(container, key)]
    elif key in container:
        del container[key]
    else:
        raise _DoesNotApplyError


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two documents are the same; unlike in Python, 1 and 1.0 and true are not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(each, other[name]) for name, each in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)
