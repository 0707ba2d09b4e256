"""Detects types whose values are immutable at every level, so that all readers can share one object. Pure.

A type counts as immutable only if that is certain: where it is not, everybody gets an object of their own, which is
slower and never wrong. Users who know better say ``shared_objects=True``.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

__all__ = ["is_deeply_immutable", "is_pydantic"]

_IMMUTABLE: frozenset[Any] = frozenset({
    str, int, float, bool, bytes, type(None), datetime.datetime, datetime.date, datetime.time,
    datetime.timedelta, decimal.Decimal, uuid.UUID, msgspec.UnsetType,
})  # fmt: skip


def is_deeply_immutable(hint: Any, _seen: frozenset[Any] = frozenset()) -> bool:
    """Tell whether values of a type are certain to be immutable at every level.

    No class is whose instances have a dict of their own: ``vars(obj)`` can always be changed, cached properties and
    private attributes are kept in it, and so are the fields of every pydantic model. What goes around being frozen on
    purpose, as ``object.__setattr__`` does, is not looked for.

    Args:
        hint: A type or type hint.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return True
    if origin is typing.Annotated:  # not always hashable, so it is unwrapped before the lookups below
        return is_deeply_immutable(arguments[0], _seen)
    if hint in _IMMUTABLE or hint in _seen:
        return True
    if origin in (tuple, frozenset, typing.Union, types.UnionType):
        return all(a is Ellipsis or is_deeply_immutable(a, _seen) for a in arguments)
    if not isinstance(hint, type):
        return False
    if issubclass(hint, enum.Enum):
        return True
    return _is_immutable_class(hint, _seen)


def _is_immutable_class(cls: type, seen: frozenset[Any]) -> bool:
    if not _is_frozen(cls) or cls.__dictoffset__ or hasattr(cls, "__post_init__"):  # which may put in what it likes
        return False
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError:  # a class defined inside a function: the types of its fields cannot be resolved
        return False
    fields = list(_fields(cls))
    return all(is_deeply_immutable(hints[name], seen | {cls}) for name, _ in fields) and all(
        _makes_immutable(default) for _, default in fields if default is not None
    )


def _is_frozen(cls: type) -> bool:
    if issubclass(cls, msgspec.Struct):
        return cls.__struct_config__.frozen
    parameters = getattr(cls, "__dataclass_params__", None)
    return bool(parameters and parameters.frozen)


def _fields(cls: Any) -> Iterator[tuple[str, Callable[[], Any] | None]]:
    """Yield the names of a class's fields, and what makes the value of each that is absent."""
    if issubclass(cls, msgspec.Struct):
        for field in msgspec.structs.fields(cls):
            yield field.name, _maker(field.default, field.default_factory, msgspec.NODEFAULT)
    else:
        for each in dataclasses.fields(cls):
            yield each.name, _maker(each.default, each.default_factory, dataclasses.MISSING)


def _maker(default: Any, factory: Any, missing: Any) -> Callable[[], Any] | None:
    if factory is not missing:
        made: Callable[[], Any] = factory
        return made
    return None if default is missing else lambda: default


def _makes_immutable(default: Callable[[], Any]) -> bool:
    """Tell whether a default is immutable: nobody has compared it with the type of its field."""
    try:
        return _is_immutable_value(default())
    except Exception:  # whatever a user's factory raises here, it raises for each object, too
        return False


def _is_immutable_value(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return type(value) in (tuple, frozenset) and all(map(_is_immutable_value, value))
    return is_deeply_immutable(type(value))


def is_pydantic(python_type: Any) -> bool:
    """Tell whether a type is a pydantic model, without importing pydantic."""
    return hasattr(python_type, "model_validate_json") and hasattr(python_type, "model_fields")
