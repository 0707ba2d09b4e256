"""JSON that has been accepted is read, whatever it holds, wherever the reader stands. Pure.

On arrival an object is scanned once and proven to be JSON, but most of it is skipped. Two things can still refuse it
when it is decoded later:

- A number that no Python number can hold, such as ``1e999``. It reads as infinity, as ``json.loads`` reads it.
- Brackets nested deeper than what is left of the reader's stack. Then the decoder is given a stack of its own, which is
  deeper than the one on which the object was accepted: it need not depend on the caller what can be read.

Up to Python 3.13 a stack ends after so many levels, whoever goes down. From 3.14 on it ends after so many bytes, and to
decode a level takes ten times as many as to skip it. What has been skipped is not proven to be readable then: large
objects with very many brackets are decoded once when they arrive.

None of this costs anything where there is no such object.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

__all__ = [
    "LARGE", "TOO_DEEP", "Document", "decode_document", "decode_value", "is_deep_inside", "is_too_deep", "steady",
]  # fmt: skip

A = TypeVar("A")
T = TypeVar("T")

Document: TypeAlias = dict[str, Any]

TOO_DEEP = "nested too deeply"
"""Why an object is rejected that no stack is deep enough for."""

_IN_BYTES = sys.version_info >= (3, 14)
"""Whether stacks are measured in bytes."""

_SAFE = 10_000
"""Levels that any decoder goes down on a stack of 8 MB, with half of it to spare; kube-apiserver takes no more."""

LARGE = 2 * _SAFE if _IN_BYTES else sys.maxsize
"""Bytes that an object has at least if it could be skipped but may be too deep to be decoded."""

_decode: Callable[[Any], Any] = msgspec.json.Decoder().decode

_MARGIN = 100 if _IN_BYTES else 8
"""Levels that decoders of any kind need beyond those of the object."""


def decode_value(raw: bytes | msgspec.Raw) -> Any:
    """Return the value that JSON stands for, in plain Python objects.

    Raises:
        msgspec.DecodeError: If the bytes are not JSON.
        UnicodeDecodeError: If a text is not UTF-8.
        RecursionError: If it is nested deeper than any decoder goes.
    """
    try:
        return _decode(raw)
    except msgspec.ValidationError:  # of any JSON there may be, it refuses numbers alone
        return steady(_decode_numbers, raw)
    except RecursionError:
        return steady(_decode_somehow, raw)


def decode_document(raw: bytes) -> Document:
    """Return the plain dict of an object that has been accepted, whose JSON is therefore an object."""
    return cast("Document", decode_value(raw))


def _decode_somehow(raw: bytes | msgspec.Raw) -> Any:
    try:
        return _decode(raw)
    except msgspec.ValidationError:
        return _decode_numbers(raw)


def _decode_numbers(raw: bytes | msgspec.Raw) -> Any:
    return json.loads(bytes(raw), parse_int=_integer)


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts
        return float(digits)


def is_deep_inside(raw: bytes) -> bool:
    """Tell of JSON of ``LARGE`` bytes or more, which could be skipped, whether it could not be read later."""
    return raw.count(b"[") + raw.count(b"{") > _SAFE and is_too_deep(raw)


def is_too_deep(raw: bytes) -> bool:
    """Tell of JSON that has exceeded some stack whether it exceeds every one, so that it could not be read later."""
    try:
        _on_own_stack(_decode_somehow, b"[" * _MARGIN + raw + b"]" * _MARGIN)
    except RecursionError:
        return True
    except (msgspec.MsgspecError, UnicodeDecodeError):  # that is another reason to refuse it
        return False
    return False


def steady(function: Callable[[A], T], argument: A) -> T:
    """Call a function, and once more on a stack of its own if what is left of the caller's is not deep enough.

    Args:
        function: Decodes something, and nothing else: it may run in another thread, for which the caller waits.
        argument: Its argument.

    Raises:
        RecursionError: If no stack is deep enough.
    """
    try:
        return function(argument)
    except RecursionError:
        return _on_own_stack(function, argument)


def _on_own_stack(function: Callable[[A], T], argument: A) -> T:
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(function(argument))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="aioinformers: deep JSON", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the process ends, or may have no more threads
        raise RecursionError("there is no stack for JSON that is nested so deeply") from error
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
