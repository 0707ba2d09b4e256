"""What users hand over, checked when they do: names that exist, functions that can be called as they will be. Pure."""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

from aioinformers.words import brief

__all__ = [
    "gives_awaitable", "is_coroutine_function", "name_of", "near", "require_arguments", "require_callable",
    "require_number", "require_plain", "require_seconds", "shown", "suggestion", "truth_of",
]  # fmt: skip

SHOWN = 80
"""Characters of a value that an error shows."""


def near(name: str, names: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the one of some names that was probably meant; None if none comes near.

    Args:
        name: What was written.
        names: What there is.
        likeness: How much of both must be the same, from 0 to 1.
    """
    by_letters = {"".join(filter(str.isalnum, each)).lower(): each for each in names}
    letters = "".join(filter(str.isalnum, name)).lower()
    found = difflib.get_close_matches(letters, by_letters, n=1, cutoff=likeness)
    return by_letters[found[0]] if found else None


def suggestion(name: str, names: Collection[str]) -> str:
    """Return the question or list that an error ends with: the name that comes near, or all that there are."""
    found = near(name, names)
    return f"did you mean {found!r}?" if found else f"there are {', '.join(names)}"


def name_of(function: Any) -> str:
    """Return a name that a reader of a log can find in the code."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def shown(value: object) -> str:
    """Return a value as an error shows it: its ``repr``, not longer than a line."""
    try:
        text = repr(value)
    except Exception:  # it is the user's
        text = ""
    return brief(text, SHOWN) if text and "\n" not in text else f"an object of {type(value).__qualname__}"


def is_coroutine_function(function: Any) -> bool:
    """Tell whether a call gives something to await: partials, methods and objects with async ``__call__`` included."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return False
    call = type(function).__call__ if callable(function) else None  # an attribute of the object would not be called
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def gives_awaitable(function: Any) -> bool:
    """Tell whether a call may well give something to await, as that of what wraps a coroutine function."""
    while isinstance(function, functools.partial):
        function = function.func
    if is_coroutine_function(function):
        return True
    # What unittest.mock and asyncio itself mark; mocks answer to every name, but not with a bare object.
    if type(getattr(function, "_is_coroutine", None)) is object:
        return True
    return inspect.isroutine(function) and is_coroutine_function(inspect.unwrap(function))


def require_plain(function: Any, role: str, *arguments: str) -> None:
    """Refuse what cannot be called without ``await``: the coroutine that an async function gives counts as true.

    Args:
        function: What was given.
        role: What it is for, as an error names it.
        arguments: What it is going to be called with, in words.

    Raises:
        TypeError: If it cannot be called, is a coroutine function, or does not take the arguments.
    """
    require_callable(function, role)
    if is_coroutine_function(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{role} is called without await, so that an async function gives it a coroutine and no answer: "
            f"declare {name_of(function)} with a plain `def`"
        )
    require_arguments(function, role, *arguments)


def require_callable(function: Any, role: str) -> None:
    """Refuse what cannot be called.

    Raises:
        TypeError: If it cannot be called.
    """
    if not callable(function):
        raise TypeError(f"{role} must be a function, not {shown(function)}")


def require_arguments(function: Callable[..., Any], role: str, *arguments: str) -> None:
    """Refuse a function that does not take what it is going to be called with.

    Args:
        function: The function; one that does not tell its signature passes.
        role: What it is for, as an error names it.
        arguments: What it is going to be called with, in words.

    Raises:
        TypeError: If it takes fewer arguments, or needs more.
    """
    try:
        signature = _signature(function)
    except Exception:  # of a builtin, or with annotations that cannot be read
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        given = " and ".join(arguments) or "nothing"
        parameters = ", ".join(signature.parameters)
        raise TypeError(
            f"{role} is called with {given}; {name_of(function)}({parameters}) does not take that"
        ) from None


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        import annotationlib  # annotations need not name what exists at run time

        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    else:  # noqa: RET505  type checkers look at one of them
        return inspect.signature(function)


def require_number(name: str, value: Any, *, whole: bool = False) -> None:
    """Refuse what is no number, such as the text of one.

    Args:
        name: The option, as an error names it.
        value: What was given.
        whole: Whether it must be a whole number.

    Raises:
        TypeError: If it is something else; True and False are no numbers.
        ValueError: If it is not a number: NaN compares with nothing.
    """
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise TypeError(f"{name} must be a {'whole number' if whole else 'number'}, not {shown(value)}")
    try:
        is_number = float(value) == value or whole
    except OverflowError:
        is_number = whole
    if not is_number:
        raise ValueError(f"{name} must be a number that a float can hold, not {shown(value)}")


def require_seconds(name: str, value: Any, *, is_wanted: bool = False) -> None:
    """Refuse what is no time that may be given for something: a number of seconds, or None for no limit.

    Args:
        name: The argument, as an error names it.
        value: What was given.
        is_wanted: Whether None is refused, too.

    Raises:
        TypeError: If it is something else, such as a text or a ``timedelta``.
        ValueError: If it is NaN, which no time ever reaches.
    """
    if (value is None and not is_wanted) or (value.__class__ is float and value == value):
        return
    total = getattr(value, "total_seconds", None)
    if total is not None:
        raise TypeError(f"{name} must be a number of seconds, not {shown(value)}: give its total_seconds()")
    require_number(name, value)


def truth_of(answer: Any, role: str) -> bool:
    """Return whether an answer is true.

    Raises:
        TypeError: If it has to be awaited: it would always be true.
    """
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"{role} gave something to await, which would always count as true: it must answer at once")
    return bool(answer)
