"""Handlers in every accepted form, compiled to one coroutine function per type of event. Pure."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from aioinformers.delivery.events import Event
from aioinformers.delivery.mailbox import ADDED, DELETED, UPDATED

__all__ = [
    "AddHandler", "DeleteHandler", "EventHandler", "Handler", "HandlerSet", "UpdateHandler", "handler_name",
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


Handler: TypeAlias = EventHandler[T] | AddHandler[T] | UpdateHandler[T] | DeleteHandler[T]
"""Whatever ``add_event_handler`` accepts."""

_METHODS = {"on_add": ADDED, "on_update": UPDATED, "on_delete": DELETED}


class HandlerSet(Generic[T]):
    """What to call for each type of event; several functions of one type are awaited in order."""

    def __init__(self) -> None:
        self.by_type: list[EventHandler[T] | None] = [None, None, None]

    def add(self, event_type: int, function: EventHandler[T]) -> None:
        """Call a function for a type of event, after those that are there."""
        before = self.by_type[event_type]
        self.by_type[event_type] = function if before is None else _both(before, function)

    def add_method(self, method: str, function: Callable[..., Awaitable[Any]]) -> None:
        """Call ``on_add(obj)``, ``on_update(old, new)`` or ``on_delete(obj)``.

        Raises:
            TypeError: If the function is not a coroutine function.
        """
        require_coroutine_function(function, method)
        self.add(_METHODS[method], _on_update(function) if method == "on_update" else _on_object(function))


def _both(first: EventHandler[T], second: EventHandler[T]) -> EventHandler[T]:
    async def both(event: Event[T]) -> None:
        await first(event)
        await second(event)

    return both


def _on_object(function: Callable[..., Awaitable[Any]]) -> EventHandler[Any]:
    return lambda event: function(event.object)


def _on_update(function: Callable[..., Awaitable[Any]]) -> EventHandler[Any]:
    return lambda event: function(event.old, event.object)  # type: ignore[union-attr]  # called for Updated only


def handler_set(handler: Any) -> HandlerSet[Any]:
    """Compile a handler.

    Raises:
        TypeError: If it is neither a coroutine function of one event nor an object with ``on_add``, ``on_update`` or
            ``on_delete`` coroutine methods, or if it is both.
    """
    handlers: HandlerSet[Any] = HandlerSet()
    methods = {name: getattr(handler, name) for name in _METHODS if callable(getattr(handler, name, None))}
    if methods and not inspect.isclass(handler):
        if _is_coroutine_function(handler):
            raise TypeError(
                f"{handler_name(handler)} is both a coroutine function and an object with {', '.join(methods)}: "
                f"register one form"
            )
        for name, method in methods.items():
            handlers.add_method(name, method)
        return handlers
    require_coroutine_function(handler, "the handler")
    for event_type in (ADDED, UPDATED, DELETED):
        handlers.add(event_type, handler)
    return handlers


def require_coroutine_function(function: Any, role: str) -> None:
    """Refuse what cannot be awaited, when it is registered and not when the first event comes.

    Raises:
        TypeError: If it is not a coroutine function, a partial or method of one, or an object with async ``__call__``.
    """
    if _is_coroutine_function(function):
        return
    hint = "instantiate the class" if inspect.isclass(function) else "declare it with `async def`"
    raise TypeError(
        f"{role} must be a coroutine function or an object with async on_add, on_update or on_delete; "
        f"{handler_name(function)} is not: {hint}"
    )


def _is_coroutine_function(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return False
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def handler_name(handler: Any) -> str:
    """Return a name that a reader of a log can find in the code."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    name = getattr(handler, "__qualname__", None)
    return name if isinstance(name, str) else type(handler).__qualname__
