"""Handlers in every accepted form, compiled to one coroutine function per type of event. Pure."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from aioinformers.checks import gives_awaitable, is_coroutine_function, name_of, near, require_arguments
from aioinformers.delivery.events import Event, another
from aioinformers.delivery.mailbox import ADDED, DELETED, RELEASED, UPDATED

__all__ = [
    "AddHandler", "DeleteHandler", "EventHandler", "Handler", "HandlerSet", "ReleaseHandler", "UpdateHandler",
    "handler_set", "require_coroutine_function",
]  # fmt: skip

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

EventHandler: TypeAlias = Callable[[Event[T]], Awaitable[Any]]
"""A coroutine function that takes one event."""


@runtime_checkable
class AddHandler(Protocol[T_contra]):
    """An object that wants additions."""

    async def on_add(self, obj: T_contra, /) -> None:
        """Take note of an object that is there."""


@runtime_checkable
class UpdateHandler(Protocol[T_contra]):
    """An object that wants updates."""

    async def on_update(self, old: T_contra, new: T_contra, /) -> None:
        """Take note of a change; ``old`` is what was given last."""


@runtime_checkable
class DeleteHandler(Protocol[T_contra]):
    """An object that wants deletions."""

    async def on_delete(self, obj: T_contra, /) -> None:
        """Take note that an object is gone; this is its last known state."""


@runtime_checkable
class ReleaseHandler(Protocol[T_contra]):
    """An object that wants to know what its informer follows no more."""

    async def on_released(self, obj: T_contra, /) -> None:
        """Take note that nothing more will be told of an object, which may go on to live."""


Handler: TypeAlias = EventHandler[T] | AddHandler[T] | UpdateHandler[T] | DeleteHandler[T] | ReleaseHandler[T]
"""Whatever ``add_event_handler`` accepts."""


class _Method(NamedTuple):
    event_type: int
    arguments: tuple[str, ...]


_METHODS = {
    "on_add": _Method(ADDED, ("the object",)),
    "on_update": _Method(UPDATED, ("the old object", "the new one")),
    "on_delete": _Method(DELETED, ("the object",)),
    "on_released": _Method(RELEASED, ("the object",)),
}


class HandlerSet(Generic[T]):
    """What to call for each type of event; several functions of one type are awaited in turn, each with own objects."""

    def __init__(self) -> None:
        self.by_type: list[EventHandler[T] | None] = [None, None, None, None]
        self._functions: list[Any] = []

    def add(self, event_type: int, function: EventHandler[T]) -> None:
        """Call a function for a type of event, after those that are there."""
        before = self.by_type[event_type]
        self.by_type[event_type] = function if before is None else _both(before, function)

    def add_method(self, method: str, function: Callable[..., Awaitable[Any]]) -> None:
        """Call ``on_add(obj)``, ``on_update(old, new)``, ``on_delete(obj)`` or ``on_released(obj)``.

        Raises:
            TypeError: If the function is not a coroutine function.
        """
        require_coroutine_function(function, method)
        require_arguments(function, method, *_METHODS[method].arguments)
        self._functions.append(function)
        self.add(_METHODS[method].event_type, _on_update(function) if method == "on_update" else _on_object(function))

    def has(self, function: Any) -> bool:
        """Tell whether a function is one of those that were added by :meth:`add_method`."""
        return function in self._functions


def _both(first: EventHandler[T], second: EventHandler[T]) -> EventHandler[T]:
    async def both(event: Event[T]) -> None:
        await first(event)
        await second(another(event))

    return both


def _on_object(function: Callable[..., Awaitable[Any]]) -> EventHandler[Any]:
    return lambda event: function(event.object)


def _on_update(function: Callable[..., Awaitable[Any]]) -> EventHandler[Any]:
    return lambda event: function(event.old, event.object)  # type: ignore[union-attr]  # called for Updated only


def handler_set(handler: Any) -> HandlerSet[Any]:
    """Compile a handler.

    Raises:
        TypeError: If it is neither a coroutine function of one event nor an object with ``on_add``, ``on_update``,
            ``on_delete`` or ``on_released`` coroutine methods, or if it is both; if it has further ``on_...`` methods,
            or one does not take what it is called with.
    """
    handlers: HandlerSet[Any] = HandlerSet()
    methods = {} if inspect.isclass(handler) else _methods_of(handler)
    if not methods:
        require_coroutine_function(handler, "the handler")
        require_arguments(handler, "a handler", "one event")
        for event_type in (ADDED, UPDATED, DELETED):
            handlers.add(event_type, handler)
        return handlers
    if callable(handler) and inspect.iscoroutinefunction(type(handler).__call__):  # of mocks that is a plain one
        raise TypeError(
            f"{name_of(handler)} is both a coroutine function and an object with {', '.join(methods)}: "
            f"register one form"
        )
    for name, method in methods.items():
        handlers.add_method(name, method)
    return handlers


def _methods_of(handler: Any) -> dict[str, Any]:
    """Return an object's methods for events; none of what it only makes up when it is asked for, as mocks do.

    Raises:
        TypeError: If it has others that are called so: nobody would call them.
    """
    is_function = is_coroutine_function(handler)
    if inspect.isroutine(handler) or isinstance(handler, functools.partial):
        return {}
    names = [name for name in dir(handler) if name.startswith("on_")]
    names = [name for name in names if not isinstance(inspect.getattr_static(handler, name, None), property)]
    found = {name: getattr(handler, name, None) for name in names}
    methods = {name: method for name, method in found.items() if callable(method)}
    if is_function and not methods.keys() & _METHODS.keys():
        return {}
    for name in methods:
        if name not in _METHODS:
            raise TypeError(
                f"{name_of(handler)}.{name} would never be called: {_suggestion(name)}; a handler has on_add(obj), "
                f"on_update(old, new), on_delete(obj) and on_released(obj), any of them, and no other method named "
                f"on_..."
            )
    return methods


_OTHER_NAMES = {"create": "on_add", "new": "on_add", "modif": "on_update", "change": "on_update", "remove": "on_delete"}
"""What the methods are called elsewhere, by how that begins."""


def _suggestion(name: str) -> str:
    meant = (method for word, method in _OTHER_NAMES.items() if name.startswith(f"on_{word}"))
    found = next(meant, None) or near(name, _METHODS, 0.75)
    return f"did you mean {found}?" if found else "there is no such event"


def require_coroutine_function(function: Any, role: str) -> None:
    """Refuse what cannot be awaited, when it is registered and not when the first event comes.

    Raises:
        TypeError: If it is not a coroutine function, a partial or method of one, or an object with async ``__call__``.
    """
    if gives_awaitable(function):
        return
    hint = "declare it with `async def`"
    if inspect.isclass(function):
        hint = "instantiate the class"
    elif type(function).__module__ == "unittest.mock":
        hint = "take an AsyncMock"
    raise TypeError(
        f"{role} must be a coroutine function or an object with async on_add, on_update or on_delete; "
        f"{name_of(function)} is not: {hint}"
    )
