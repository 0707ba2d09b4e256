"""Where values end, whatever is wrong inside them, in pieces and steps of any size."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.listwatch import brackets
from aioinformers.listwatch.brackets import Brackets, Stop, end_of_value
from tests.listwatch.decoding import values, written

steps = st.sampled_from([(1, 1), (7, 3), (50, 100), (8 * 1024, 1 << 20)])


def find_end(data: bytes, at: int, pieces: list[int]) -> tuple[int, int]:
    """Return where a value ends, given the data up to each piece, and the number of pauses."""
    found, pauses = Brackets(at), 0
    for size in [*sorted({at + piece % (len(data) - at) + 1 for piece in pieces}), len(data)]:
        while (stop := found.go_on(data[:size])) is Stop.PAUSE:
            pauses += 1
        if stop is Stop.END:
            return found.at, pauses
    return -1, pauses


@given(written(values), st.lists(st.integers(0, 1 << 16), max_size=20), steps)
def test_g14_a_value_ends_where_json_says(raw: bytes, pieces: list[int], step: tuple[int, int]) -> None:
    """In any pieces, and whatever stands before and behind."""
    data = b'}"[' + raw + b', "\\" ]}'
    with mock.patch.multiple(brackets, STEP=step[0], PLAIN=step[1]):
        assert find_end(data, 3, pieces)[0] == 3 + len(raw)
        assert find_end(data, 3, list(range(len(data))))[0] == 3 + len(raw)


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"x":"\ud800 \q \u12 \"}{\\"}', b'{"x":"\x00\x01\n"}', b"{nonsense: [1e, +]}", b'{"x" "y" {}}', b"[1,,2]",
        b'"\xff\xfe"', b"[" * 5000 + b"]" * 5000, b'["' + rb"\\" * 5000 + b'"]', b"+1e.", b"[}",
        b'{"' + b"x" * 9999 + b'"}',
    ],
)  # fmt: skip
def test_g11_the_end_is_found_of_what_is_no_json(raw: bytes) -> None:
    assert find_end(raw + b",", 0, [])[0] == len(raw)
    assert find_end(raw + b",", 0, list(range(0, len(raw), 1 + len(raw) // 50)))[0] == len(raw)


@pytest.mark.parametrize("raw", [b"{", b'{"x":"}', b'["\\"]', b"[[]", b'"', b"123", b""])
def test_what_has_no_end_needs_more(raw: bytes) -> None:
    assert Brackets(0).go_on(raw) is Stop.MORE
    with pytest.raises(StopIteration) as done:
        next(end_of_value(raw, 0))
    assert done.value.value == -1


@pytest.mark.parametrize(
    "inner",
    [b"[]," * 100_000, b'"x",' * 100_000, b"1," * 200_000, b'"' + b"x" * 5_000_000 + b'",',
     b'"' + rb"\n" * 300_000 + b'",', b'"' + (b"x" * 5000 + rb"\"") * 100 + b'",', b"9" * 300_000 + b","],
)  # fmt: skip
def test_g12_every_step_is_short(inner: bytes) -> None:
    """A megabyte of text is passed over at once; of anything else some kilobytes."""
    data = b"[" + inner + b"1]"
    found = Brackets(0)
    while True:
        before = found.at
        stop = found.go_on(data)
        # What may be long is a stretch without anything to look at, for which it does not stop.
        assert found.at - before <= brackets.STEP + brackets.PLAIN + 8192
        assert data.count(b"[", before, found.at) + data.count(b"\\", before, found.at) <= brackets.STEP + 8192
        if stop is Stop.END:
            break
        assert stop is Stop.PAUSE
        assert found.at > before
    assert found.at == len(data)


@pytest.mark.parametrize("blank", [b"", b" \n"])
def test_the_items_of_a_list_are_found_by_their_name(blank: bytes) -> None:
    """On the list's own level, in any pieces."""
    head = b'{"kind":"items","x":{"items":[1]},"y":"\\"items\\":[","items"' + blank + b":" + blank + b"["
    for size in (1, 5, len(head)):
        found, stop = Brackets(0), Stop.MORE
        for end in range(size, len(head) + size, size):
            while (stop := found.go_on(head[:end], items=True)) is Stop.PAUSE:
                pass
            if stop is Stop.ITEMS:
                break
        assert (stop, found.at) == (Stop.ITEMS, len(head))


def test_forgotten_data_are_no_longer_given() -> None:
    data = b'  {"x":["y",1]} '
    found = Brackets(2)
    assert found.go_on(data[:10]) is Stop.MORE
    found.forget(2)
    assert found.go_on(data[2:]) is Stop.END
    assert found.at == len(data) - 3


def test_json_agrees_that_these_are_values() -> None:
    """The oracle of the first test is worth something."""
    document: Any = json.loads(rb'{"x":"\\\"]}","y":[{}]}')
    assert document == {"x": '\\"]}', "y": [{}]}
