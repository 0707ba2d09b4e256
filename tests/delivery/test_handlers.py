"""Handlers in every form that is accepted, and those that are not, compiled and called without an informer."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import pytest

from aioinformers.delivery.events import Added, Deleted, Event, Updated
from aioinformers.delivery.handlers import (
    AddHandler,
    DeleteHandler,
    HandlerSet,
    UpdateHandler,
    handler_set,
    require_coroutine_function,
)
from aioinformers.delivery.mailbox import ADDED, DELETED, UPDATED

EVENTS: dict[int, Event[str]] = {ADDED: Added("new"), UPDATED: Updated("old", "new"), DELETED: Deleted("gone")}
ALL = [("new",), ("old", "new"), ("gone",)]


class Called:
    """Records calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def receive(self, event: Event[str]) -> None:
        match event:
            case Updated(old=old, object=obj):
                self.calls.append((old, obj))
            case Added(object=obj) | Deleted(object=obj):
                self.calls.append((obj,))

    async def with_more(self, prefix: str, event: Event[str]) -> None:
        self.calls.append((prefix,))
        await self.receive(event)


class Adds(Called):
    async def on_add(self, obj: str) -> None:
        self.calls.append((obj,))


class Deletes(Called):
    async def on_delete(self, obj: str) -> None:
        self.calls.append((obj,))


class Everything(Adds, Deletes):
    async def on_update(self, old: str, new: str) -> None:
        self.calls.append((old, new))


class Callable_(Called):  # noqa: N801  the name that is wanted is taken
    async def __call__(self, event: Event[str]) -> None:
        await self.receive(event)


class Static:
    calls: list[tuple[Any, ...]] = []  # noqa: RUF012  shared on purpose

    @staticmethod
    async def on_static(event: Event[str]) -> None:
        Static.calls.append((event.object,))

    @classmethod
    async def on_class(cls, event: Event[str]) -> None:
        cls.calls.append((event.object,))


def run(coroutine: Awaitable[Any]) -> None:
    """Run a coroutine that waits for nothing."""
    assert isinstance(coroutine, Coroutine)
    with pytest.raises(StopIteration):
        coroutine.send(None)


def call_all(handlers: HandlerSet[Any]) -> None:
    for kind, event in EVENTS.items():
        function = handlers.by_type[kind]
        if function is not None:
            run(function(event))


@pytest.mark.parametrize(
    "form",
    [
        lambda called: called.receive,
        lambda called: functools.partial(called.receive),
        lambda called: functools.partial(functools.partial(Called.receive, called)),
        lambda called: Callable_.__call__.__get__(called),
    ],
    ids=["bound method", "partial", "partial of partial", "bound by hand"],
)
def test_one_coroutine_function_gets_every_event(form: Callable[[Called], Any]) -> None:
    called = Called()
    call_all(handler_set(form(called)))
    assert called.calls == ALL


def test_an_object_with_async_call_gets_every_event() -> None:
    called = Callable_()
    call_all(handler_set(called))
    call_all(handler_set(functools.partial(called)))
    assert called.calls == ALL * 2


def test_plain_static_and_class_methods_get_every_event() -> None:
    async def plain(event: Event[str]) -> None:
        Static.calls.append((event.object,))

    Static.calls.clear()
    for handler in (plain, Static.on_static, Static.on_class, Static().on_static):
        call_all(handler_set(handler))
    assert Static.calls == [("new",), ("new",), ("gone",)] * 4


def test_arguments_of_a_partial_come_first() -> None:
    called = Called()
    call_all(handler_set(functools.partial(called.with_more, "x")))
    assert called.calls == [("x",), ("new",), ("x",), ("old", "new"), ("x",), ("gone",)]


@pytest.mark.parametrize(
    ("handler", "expected"),
    [(Everything(), ALL), (Adds(), [("new",)]), (Deletes(), [("gone",)])],
    ids=["all", "on_add", "on_delete"],
)
def test_an_object_gets_the_events_that_it_has_methods_for(handler: Called, expected: list[tuple[Any, ...]]) -> None:
    handlers = handler_set(handler)
    call_all(handlers)
    assert handler.calls == expected
    assert [function is not None for function in handlers.by_type] == [
        hasattr(handler, name) for name in ("on_add", "on_update", "on_delete", "on_released")
    ]


def test_methods_may_be_coroutine_functions_of_any_form() -> None:
    """Attributes of an instance, and partials, too."""
    called = Called()

    class Handler:
        on_add: Any
        on_update: Any

    async def on_update(old: str, new: str) -> None:
        called.calls.append((old, new))

    handler = Handler()
    handler.on_add = functools.partial(on_update, "x")
    handler.on_update = on_update
    call_all(handler_set(handler))
    assert called.calls == [("x", "new"), ("old", "new")]


def test_protocols_are_what_handlers_have() -> None:
    """They can be asked at run time."""
    assert isinstance(Everything(), AddHandler)
    assert isinstance(Everything(), UpdateHandler)
    assert isinstance(Everything(), DeleteHandler)
    assert not isinstance(Adds(), UpdateHandler)


def plain_function(event: object) -> None: ...


async def generator(event: object) -> AsyncIterator[object]:
    yield event


class SyncMethod:
    def on_add(self, obj: object) -> None: ...


class OneSyncMethod:
    async def on_add(self, obj: object) -> None: ...
    def on_delete(self, obj: object) -> None: ...


class SyncCall:
    def __call__(self, event: object) -> None: ...


class Attributes:
    on_add = "not callable"
    on_update = None


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (
            plain_function,
            "the handler must be a coroutine function .*plain_function is not: declare it with `async def`",
        ),
        (lambda event: None, "<lambda> is not: declare it"),
        (generator, "generator is not"),
        (print, "print is not"),
        (functools.partial(plain_function), "plain_function is not"),
        (SyncMethod(), "on_add must be a coroutine function .*SyncMethod.on_add is not"),
        (OneSyncMethod(), "on_delete must be a coroutine function .*OneSyncMethod.on_delete is not"),
        (SyncCall(), "SyncCall is not"),
        (Attributes(), "Attributes is not"),
        (Everything, "Everything is not: instantiate the class"),
        (Callable_, "Callable_ is not: instantiate the class"),
        (functools.partial(Callable_), "Callable_ is not"),
        (None, "NoneType is not"),
        ("on_add", "str is not"),
        (object(), "object is not"),
    ],
)
def test_anything_else_is_refused_when_it_is_registered(handler: Any, problem: str) -> None:
    """And not when the first event comes; the error names the handler and says what to do."""
    with pytest.raises(TypeError, match=problem):
        handler_set(handler)


def test_both_forms_at_once_are_refused() -> None:
    """Which of them was meant cannot be known."""

    class Both(Adds, Callable_):
        pass

    with pytest.raises(TypeError, match=r"Both is both a coroutine function and an object with on_add: register one"):
        handler_set(Both())


def test_several_functions_of_one_kind_are_awaited_in_order() -> None:
    """As decorators collect them; one that raises keeps the later ones from being called."""
    calls: list[str] = []

    def noting(name: str) -> Callable[..., Awaitable[None]]:
        async def handler(*_: object) -> None:
            calls.append(name)
            if name == "raises":
                raise ValueError(name)

        return handler

    handlers: HandlerSet[Any] = HandlerSet()
    for name in ("first", "second", "third"):
        handlers.add_method("on_add", noting(name))
    handlers.add_method("on_update", noting("update"))
    call_all(handlers)
    assert calls == ["first", "second", "third", "update"]
    handlers.add_method("on_delete", noting("raises"))
    handlers.add_method("on_delete", noting("never"))
    calls.clear()
    with pytest.raises(ValueError, match="raises"):
        run(handlers.by_type[DELETED](EVENTS[DELETED]))  # type: ignore[misc]
    assert calls == ["raises"]


@pytest.mark.parametrize("method", ["on_add", "on_update", "on_delete"])
def test_a_decorator_refuses_what_is_no_coroutine_function(method: str) -> None:
    with pytest.raises(TypeError, match=f"{method} must be a coroutine function"):
        HandlerSet[Any]().add_method(method, plain_function)  # type: ignore[arg-type]
    require_coroutine_function(generator_free, method)


async def generator_free(event: object) -> None: ...


def test_a_mock_is_a_handler() -> None:
    """Of the methods that it makes up none is taken for one of a handler; those of its specification are."""
    handler = AsyncMock()
    call_all(handler_set(handler))
    assert [call.args for call in handler.await_args_list] == [(EVENTS[each],) for each in (ADDED, UPDATED, DELETED)]
    specified = AsyncMock(spec=Everything)
    call_all(handler_set(specified))
    specified.on_add.assert_awaited_once_with("new")
    specified.on_update.assert_awaited_once_with("old", "new")
    specified.assert_not_awaited()
    with pytest.raises(TypeError, match="MagicMock is not: take an AsyncMock"):
        handler_set(MagicMock())


def with_method(name: str) -> Any:
    async def method(self: object, *arguments: object) -> None: ...

    return type("Mine", (Adds,), {name: method})()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("on_added", "did you mean on_add?"),
        ("on_create", "did you mean on_add?"),
        ("on_modified", "did you mean on_update?"),
        ("on_change", "did you mean on_update?"),
        ("on_updated", "did you mean on_update?"),
        ("on_remove", "did you mean on_delete?"),
        ("on_deleted", "did you mean on_delete?"),
        ("on_click", "there is no such event"),
    ],
)
def test_a_method_that_nobody_would_call_is_refused(name: str, advice: str) -> None:
    with pytest.raises(TypeError) as caught:
        handler_set(with_method(name))
    assert str(caught.value).startswith(f"Mine.{name} would never be called: {advice}; a handler has on_add(obj)")
    assert "on_add" in handler_set_names(with_method("when_clicked"))


def handler_set_names(handler: object) -> list[str]:
    by_type = zip(("on_add", "on_update", "on_delete", "on_released"), handler_set(handler).by_type, strict=True)
    return [name for name, call in by_type if call is not None]


async def nothing() -> None: ...


async def two(old: object, new: object) -> None: ...


class Wrong:
    async def on_update(self, new: object) -> None: ...


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (nothing, "a handler is called with one event; nothing() does not take that"),
        (two, "a handler is called with one event; two(old, new) does not take that"),
        (Wrong(), "on_update is called with the old object and the new one; Wrong.on_update(new) does not take that"),
    ],
)
def test_a_handler_that_takes_something_else_is_refused(handler: object, words: str) -> None:
    with pytest.raises(TypeError) as caught:
        handler_set(handler)
    assert str(caught.value) == words


@functools.singledispatch
async def dispatched(event: object) -> None: ...


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(event: object) -> Any:
        return function(event)

    return wrapper


class Odd:
    """Its property is not a method, and is not looked at."""

    @property
    def on_click(self) -> Any:
        raise ValueError("never")

    on_stop = "a text"

    async def on_add(self, obj: object) -> None: ...


class Answering:
    """Answers to every name, and cannot be called."""

    def __getattr__(self, name: str) -> Any:
        return one_object


async def test_what_gives_something_to_await_is_a_handler() -> None:
    for handler in (dispatched, wrapped(one_object), create_autospec(one_object), Odd()):
        handler_set(handler)
    with pytest.raises(TypeError, match="Answering is not: declare it with `async def`"):
        handler_set(Answering())


def test_a_set_knows_its_functions() -> None:
    handlers: HandlerSet[Any] = HandlerSet()
    handlers.add_method("on_add", one_object)
    assert handlers.has(one_object)
    assert not handlers.has(two)


async def one_object(obj: object) -> None: ...
