"""What an object is about is found in bytes that no decoder reads."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.listwatch.salvage import Salvaged, salvage_event, salvage_object

T = TypeVar("T")
META = b'"metadata":{"namespace":"prod","name":"web","resourceVersion":"7","labels":{"name":"no"}}'
BAD = [
    rb'"x":"\q"',
    rb'"x":"\ud800"',
    b'"x":"\x00"',
    b'"x":NaN',
    b'"x":01',
    b'"x":1.',
    b'"x":,',
    b'"x" 1',
    b"1",
    b"[}{]",
]


def run(steps: Generator[None, None, T]) -> tuple[T, int]:
    """Return what steps lead to, and how many they are."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: T = done.value
            return found, count
        count += 1


def found_in(data: bytes) -> Salvaged | None:
    return run(salvage_object(data, 0))[0]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("write", [b'{"kind":"Pod",%s,%s}', b'{ "kind" : "Pod" ,\n%s\n, %s }'])
def test_g11_an_object_is_known_whatever_else_is_wrong_with_it(bad: bytes, write: bytes) -> None:
    raw = write % (META, bad)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(raw)
    assert found_in(raw) == Salvaged("prod/web", "7")


@pytest.mark.parametrize("bad", [rb'{"x":"\q"}', rb'"\ud800"', b'["\x00"]', b"[" * 99 + b"]" * 99])
def test_g11_also_behind_what_is_wrong_and_beside_it(bad: bytes) -> None:
    assert found_in(b'{"before":%s,%s}' % (bad, META)) == Salvaged("prod/web", "7")
    inside = b'{"metadata":{"annotations":%s,"name":"web","managedFields":%s}}' % (bad, bad)
    assert found_in(inside) == Salvaged("web", "")


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"5", b"[]", b"{}", b'{"metadata":5}', b'{"metadata":null,"x":\\}', b'{"metadata":{"namespace":"prod"}}',
        b'{"metadata":{"name":""}}', b'{"metadata":{"name":5}}', b'{"metadata":{"name":null}}',
        b'{"metadata":{"name":"cut', rb'{"metadata":{"name":"\q"}}', rb'{"metadata":{"name":"web","namespace":"\q"}}',
        b'{"spec":{"metadata":{"name":"x"}}}',
        b'{"spec":{"x":1}"metadata":{"name":"x"}}',
    ],
)  # fmt: skip
def test_an_object_without_a_certain_key_is_not_known(raw: bytes) -> None:
    """A wrong one would be worse."""
    assert found_in(raw) is None


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (b'"name":"web","namespace":null,"resourceVersion":5', Salvaged("web", "")),
        (rb'"name":"\u0077eb","resourceVersion":"\q"', Salvaged("web", "")),
        (b'"name":"w\xff","namespace":""', Salvaged("w�", "")),
    ],
)
def test_fields_are_read_as_the_tolerant_reader_reads_them(metadata: bytes, expected: Salvaged) -> None:
    assert found_in(b'{"metadata":{%s},"x":\\}' % metadata) == expected


@pytest.mark.parametrize("bad", BAD)
def test_an_event_is_known_by_its_type_and_object(bad: bytes) -> None:
    for line in (b'{"type":"ADDED","object":{%s,%s}}\n', b' { "object" : {%s,%s} , "type" : "ADDED" } \r\n'):
        assert run(salvage_event(line % (META, bad), is_deep=False))[0] == Salvaged("prod/web", "7", "ADDED")


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ADDED","object":{%s,"x":"cut' % META,
        b'{"type":"ADDED","object":{%s}}}' % META,
        b'{"type":"ADDED","object":{%s}} {}' % META,
        b'{"object":{%s}}' % META,
        b'{"type":5,"object":{%s}}' % META,
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":5}',
        b"<html>",
        b"\n",
    ],
)
def test_a_line_that_is_not_whole_tells_nothing(line: bytes) -> None:
    """What has been lost of it may have been anything."""
    assert run(salvage_event(line, is_deep=False))[0] is None


def test_g12_what_is_deep_is_not_followed_once_the_name_is_known() -> None:
    deep = b"[" * 1_000_000 + b"]" * 1_000_000
    line = b'{"type":"ADDED","object":{%s,"x":%s}}\n'
    assert run(salvage_event(line % (META, deep), is_deep=True)) == (Salvaged("prod/web", "7", "ADDED"), 0)
    found, pauses = run(salvage_event(b'{"type":"ADDED","object":{"x":%s,%s}}' % (deep, META), is_deep=True))
    assert found == Salvaged("prod/web", "7", "ADDED")
    assert pauses > 100
    assert run(salvage_event(b'{"type":"ADDED","object":{%s,"x":%s' % (META, deep), is_deep=True))[0] is None


def test_g12_many_members_are_passed_over_in_steps() -> None:
    found, pauses = run(salvage_object(b'{%s"x":\\,%s}' % (b'"x":1,' * 10_000, META), 0))
    assert found == Salvaged("prod/web", "7")
    assert pauses > 50


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_looked_at_without_an_error(data: bytes, is_deep: bool) -> None:
    run(salvage_object(data, 0))
    run(salvage_event(data, is_deep=is_deep))
    run(salvage_object(b'{"metadata":{"name":%s}}' % data, 0))
