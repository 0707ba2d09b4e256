"""What users hand over, told from what they meant to hand over."""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from aioinformers.checks import (
    is_coroutine_function,
    name_of,
    near,
    require_arguments,
    require_callable,
    require_number,
    require_plain,
    shown,
    suggestion,
    truth_of,
)


def plain(obj: object) -> bool:
    return True


async def waits(obj: object) -> bool:
    return True


async def yields(obj: object) -> AsyncIterator[bool]:
    yield True


class Plain:
    def method(self, obj: object) -> bool:
        return True

    def __call__(self, obj: object) -> bool:
        return True


class Waits:
    async def method(self, obj: object) -> bool:
        return True

    async def __call__(self, obj: object) -> bool:
        return True


PLAIN = [
    plain, lambda obj: True, Plain().method, Plain(), functools.partial(plain), bool, str, operator.attrgetter("a"),
    MagicMock(), lambda *arguments, **options: True, lambda obj, more=1: True,
]  # fmt: skip
ASYNC = [waits, Waits().method, Waits(), functools.partial(waits), functools.partial(Waits()), AsyncMock(), yields]


@pytest.mark.parametrize("function", PLAIN)
def test_a_plain_function_passes(function: Any) -> None:
    require_plain(function, "filter", "the object")
    assert not is_coroutine_function(function)


@pytest.mark.parametrize("function", ASYNC)
def test_what_an_async_function_answers_would_always_be_true(function: Any) -> None:
    with pytest.raises(TypeError) as caught:
        require_plain(function, "filter", "the object")
    assert str(caught.value) == (
        f"filter is called without await, so that an async function gives it a coroutine and no answer: "
        f"declare {name_of(function)} with a plain `def`"
    )


@pytest.mark.parametrize("odd", [None, 5, "status.phase", [plain]])
def test_what_cannot_be_called_is_no_function(odd: Any) -> None:
    for require in (require_callable, require_plain):
        with pytest.raises(TypeError, match="filter must be a function, not "):
            require(odd, "filter")


def of_none() -> bool:
    return True


def of_two(old: object, new: object) -> bool:
    return True


def of_names(*, obj: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (of_none, "condition is called with the object; of_none() does not take that"),
        (of_two, "condition is called with the object; of_two(old, new) does not take that"),
        (of_names, "condition is called with the object; of_names(obj) does not take that"),
        (functools.partial(plain, 1), "condition is called with the object; plain() does not take that"),
    ],
)
def test_a_function_that_takes_something_else_is_refused(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(TypeError) as caught:
        require_plain(function, "condition", "the object")
    assert str(caught.value) == words


def test_a_function_that_does_not_tell_what_it_takes_passes() -> None:
    class Silent:
        __signature__ = "odd"

        def __call__(self, obj: object) -> bool:
            return True

    for function in (Silent(), max):
        require_arguments(function, "condition", "the object")


def test_annotations_need_not_exist() -> None:
    def later(obj: Undefined) -> bool:  # type: ignore[name-defined]  # noqa: F821
        return True

    require_arguments(later, "condition", "the object")
    with pytest.raises(TypeError, match="is called with nothing; "):
        require_arguments(later, "condition")


@pytest.mark.parametrize("answer", [True, 1, "x", [0], object()])
def test_an_answer_is_true_or_not(answer: object) -> None:
    assert truth_of(answer, "filter")
    assert not truth_of(None, "filter")


async def test_an_answer_that_has_to_be_awaited_is_none() -> None:
    future = asyncio.get_running_loop().create_future()
    for answer in (waits(1), future, AsyncMock()()):
        with pytest.raises(TypeError, match="filter gave something to await, which would always count as true"):
            truth_of(answer, "filter")
    future.cancel()


@pytest.mark.parametrize(("value", "whole"), [(1, True), (0, True), (1, False), (0.5, False), (float("inf"), False)])
def test_a_number_is_a_number(value: float, *, whole: bool) -> None:
    require_number("limit", value, whole=whole)


@pytest.mark.parametrize(
    ("value", "whole", "error", "words"),
    [
        ("5", True, TypeError, "limit must be a whole number, not '5'"),
        ("5", False, TypeError, "limit must be a number, not '5'"),
        (True, True, TypeError, "limit must be a whole number, not True"),
        (5.0, True, TypeError, r"limit must be a whole number, not 5\.0"),
        (None, False, TypeError, "limit must be a number, not None"),
        (float("nan"), False, ValueError, "limit must be a number that a float can hold, not nan"),
    ],
)
def test_the_text_of_a_number_is_none(value: Any, *, whole: bool, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"^{words}$"):
        require_number("limit", value, whole=whole)


@pytest.mark.parametrize(
    ("name", "found"),
    [("nodename", "nodeName"), ("node_name", "nodeName"), ("nodName", "nodeName"), ("image", None), ("", None)],
)
def test_a_name_comes_near_another_whatever_its_style(name: str, found: str | None) -> None:
    assert near(name, ["nodeName", "hostname"]) == found


def test_without_a_near_name_all_are_listed() -> None:
    assert suggestion("lable", ["label", "field"]) == "did you mean 'label'?"
    assert suggestion("odd", ["label", "field"]) == "there are label, field"


def test_a_value_is_shown_in_one_short_line() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 10_000)) == 80
    assert shown(Broken()).startswith("an object of ")


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (plain, "plain"),
        (Plain().method, "Plain.method"),
        (functools.partial(functools.partial(plain), 1), "plain"),
        (Plain(), "Plain"),
        (Plain, "Plain"),
        (None, "NoneType"),
    ],
)
def test_a_name_can_be_found_in_the_code(function: object, name: str) -> None:
    assert name_of(function) == name
