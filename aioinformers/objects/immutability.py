"""Detects types whose values are immutable at every level, so that all readers can share one object. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import typing
import uuid
from typing import Any

import msgspec

__all__ = ["is_deeply_immutable", "is_pydantic"]

_IMMUTABLE: frozenset[Any] = frozenset({
    str, int, float, bool, bytes, type(None), datetime.datetime, datetime.date, datetime.time,
    datetime.timedelta, decimal.Decimal, uuid.UUID, msgspec.UnsetType,
})  # fmt: skip


def is_deeply_immutable(hint: Any, _seen: frozenset[Any] = frozenset()) -> bool:
    """Tell whether values of a type are immutable at every level.

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
    if issubclass(hint, msgspec.Struct):
        frozen, names = hint.__struct_config__.frozen, hint.__struct_fields__
    elif is_pydantic(hint):
        model: Any = hint
        frozen, names = bool(model.model_config.get("frozen")), tuple(model.model_fields)
    elif dataclasses.is_dataclass(hint):
        parameters = getattr(hint, "__dataclass_params__", None)
        frozen, names = bool(parameters and parameters.frozen), tuple(f.name for f in dataclasses.fields(hint))
    else:
        return False
    try:
        hints = typing.get_type_hints(hint, include_extras=True)
    except NameError:  # a class defined inside a function: the types of its fields cannot be resolved
        return False
    return frozen and all(is_deeply_immutable(hints[name], _seen | {hint}) for name in names)


def is_pydantic(python_type: Any) -> bool:
    """Tell whether a type is a pydantic model, without importing pydantic."""
    return hasattr(python_type, "model_validate_json") and hasattr(python_type, "model_fields")
