"""What has been accepted as JSON is read, whatever it holds and however deep its reader stands."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.objects.documents import (
    TOO_DEEP,
    decode_document,
    decode_value,
    is_deep_inside,
    is_too_deep,
    steady,
)
from aioinformers.objects.layout import Layout, RejectedError
from aioinformers.objects.object_types import object_type_of

T = TypeVar("T")


def nested(depth: int, inner: bytes = b"1") -> bytes:
    return b'{"x":' + b"[" * (depth - 1) + inner + b"]" * (depth - 1) + b"}"


def below(calls: int, function: Callable[[], T]) -> T:
    """Call a function so many calls below."""
    return function() if not calls else below(calls - 1, function)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.booleans())
def test_ordinary_json_reads_as_anywhere(value: Any, is_ascii: bool) -> None:
    raw = json.dumps(value, ensure_ascii=is_ascii).encode()
    assert decode_value(raw) == decode_value(msgspec.Raw(raw)) == json.loads(raw)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (b"1e999", math.inf),
        (b"-1e999", -math.inf),
        (b"9" * 400 + b".5", math.inf),
        (b"9" * 5000, math.inf),
        (b"-" + b"9" * 5000, -math.inf),
        (b"9" * 400, int("9" * 400)),
        (b"1e-999", 0.0),
    ],
)
def test_g11_a_number_beyond_pythons_is_infinite(number: bytes, expected: float) -> None:
    """And spoils nothing beside it, not even the other large numbers."""
    found = decode_document(b'{"before":[1,1.5],"x":%s,"after":{"n":%s}}' % (number, b"9" * 30))
    assert found == {"before": [1, 1.5], "x": expected, "after": {"n": int("9" * 30)}}


@pytest.mark.parametrize("number", [b"1", b"1e999"])
@pytest.mark.parametrize("calls", [0, 100, 500, 800])
def test_g11_depth_is_no_question_of_the_readers_stack(number: bytes, calls: int) -> None:
    calls = min(calls, sys.getrecursionlimit() - 200)
    raw = nested(900, number)
    found = below(calls, lambda: decode_document(raw))["x"]
    for _ in range(899):
        (found,) = found
    assert found in (1, math.inf)


def test_what_is_not_too_deep_is_read_by_every_decoder() -> None:
    """Also the slowest of them, which is for numbers beyond Python's; how deep that is depends on Python."""
    least, most = 900, 100_000
    while least < most - 1:
        depth = (least + most) // 2
        least, most = (least, depth) if is_too_deep(nested(depth)) else (depth, most)
    assert is_too_deep(nested(most))
    assert below(100, lambda: is_too_deep(nested(least))) is False
    for number in (b"1", b"1e999"):
        assert "x" in below(100, lambda number=number: decode_document(nested(least, number)))  # type: ignore[misc]


@pytest.mark.parametrize("depth", [900, 9_000, 15_000, 22_000, 30_000, 100_000, 170_000])
@pytest.mark.parametrize("number", [b"1", b"1e999"])
def test_g11_what_is_accepted_when_it_is_skipped_can_be_read(depth: int, number: bytes) -> None:
    """Although it takes less of a stack to skip a level than to decode it, from Python 3.14 on."""
    raw = nested(depth, number)
    layout: Layout[Any] = Layout(object_type_of(dict))
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
        entry = layout.entry(raw, ("a", "", "", ("",)))
    except RecursionError:
        assert is_too_deep(raw) or depth < 1000
    except RejectedError as error:
        assert str(error) == TOO_DEEP
        assert depth > 10_000
    else:
        assert "x" in below(100, lambda: layout.object_type.decode(entry.body))


def test_many_brackets_beside_each_other_are_not_deep() -> None:
    raw = b'{"x":[' + b"[]," * 20_000 + b'{"y":"\xff"}]}'
    assert not is_deep_inside(raw)  # what else is wrong with it is for others to say
    assert not is_deep_inside(raw.replace(b"\xff", b"["))


def test_what_no_stack_is_deep_enough_for_is_an_error() -> None:
    with pytest.raises(RecursionError):
        decode_value(nested(200_000))
    with pytest.raises(RecursionError):
        decode_value(nested(200_000, b"1e999"))


@pytest.mark.parametrize("raw", [b"", b"{", b"nul", b'{"x":"\\q"}', b'{"x":"\\ud800"}'])
def test_what_is_no_json_is_an_error(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_value(raw)


def test_a_function_has_a_stack_of_its_own_only_if_it_needs_one() -> None:
    threads: list[threading.Thread] = []

    def note(fails: bool) -> str:
        threads.append(threading.current_thread())
        if fails and len(threads) == 1:
            raise RecursionError
        return "done"

    assert steady(note, False) == "done"
    assert threads == [threading.main_thread()]
    threads.clear()
    assert steady(note, True) == "done"
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()
    assert not threads[1].is_alive()

    def fail(_: None) -> None:
        raise RecursionError if threading.current_thread() is threading.main_thread() else KeyError("x")

    with pytest.raises(KeyError):
        steady(fail, None)


def test_without_another_thread_the_error_is_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the process ends."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RecursionError, match="no stack"):
        decode_value(nested(200_000))
