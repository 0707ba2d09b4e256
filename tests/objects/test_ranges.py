"""Hashes and selectors are those of apimachinery."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.objects.ranges import FIELDS, HASHES, Field, Range, hash_field, parse_shard_selector, shard_selector
from tests.objects import vectors

LOWER = "shardRange(object.metadata.uid, '0x0000000000000000', '0x8000000000000000')"
UPPER = "shardRange(object.metadata.uid, '0x8000000000000000', '0x10000000000000000')"

RANGES = st.tuples(st.integers(0, HASHES), st.integers(0, HASHES)).filter(lambda ends: ends[0] < ends[1])


def test_hashes_are_those_of_apimachinery() -> None:
    assert len(vectors.HASHES) > 250
    assert {text: hash_field(text) for text in vectors.HASHES} == vectors.HASHES


def test_the_vectors_hold_what_is_hashed_and_what_might_be() -> None:
    assert {"", "kube-system", *(f"team-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")} <= vectors.HASHES.keys()
    assert any(not text.isascii() for text in vectors.HASHES)
    assert any(len(text) == 36 for text in vectors.HASHES)


def test_names_alike_have_hashes_close_to_each_other() -> None:
    """Documented, as it decides about ``by="namespace"``."""
    hashes = [hash_field(f"team-{letter}") for letter in "abcdefghijklmnopqrstuvwxyz"]
    assert len({value * 8192 // HASHES for value in hashes}) == 1


@pytest.mark.parametrize("value", [None, b"a", 1, ("n", "p")])
def test_only_texts_are_hashed(value: Any) -> None:
    with pytest.raises(TypeError, match="a uid or the name of a namespace, a text, not "):
        hash_field(value)


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        hash_field("\ud800")


def test_selectors_are_written_as_the_server_repeats_them() -> None:
    assert shard_selector([(0, 1 << 63)]) == LOWER
    assert shard_selector([(1 << 63, HASHES)]) == UPPER
    assert shard_selector([(1 << 63, HASHES), (0, 1 << 63)]) == f"{UPPER} || {LOWER}"
    assert shard_selector([(0xAA, 0xFF)], by="namespace") == (
        "shardRange(object.metadata.namespace, '0x00000000000000aa', '0x00000000000000ff')"
    )


@given(st.lists(RANGES, min_size=1, max_size=5), st.sampled_from(FIELDS))
def test_what_is_written_can_be_read(ranges: list[Range], by: Field) -> None:
    assert parse_shard_selector(shard_selector(ranges, by=by)) == (by, tuple(ranges))


@pytest.mark.parametrize("ranges", [[(5, 5)], [(6, 5)], [(-1, 5)], [(0, HASHES + 1)], [(0, 5), (7, 6)]])
def test_ranges_have_a_hash_and_are_within_the_hashes(ranges: list[Range]) -> None:
    with pytest.raises(ValueError, match="a range of hashes begins at 0 or later and ends after that"):
        shard_selector(ranges)


def test_a_selector_has_a_range() -> None:
    with pytest.raises(ValueError, match="needs a range"):
        shard_selector([])


@pytest.mark.parametrize(
    ("by", "problem"),
    [("uuid", "not by 'uuid': did you mean 'uid'"), ("labels", "there are uid, namespace"), (None, "not by None")],
)
def test_fields_are_two(by: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        shard_selector([(0, 1)], by=by)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        LOWER.upper(),
        f" {LOWER}",
        f"{LOWER} ",
        f"{LOWER}\n",
        f"({LOWER})",
        f"{LOWER}||{UPPER}",
        f"{LOWER} || ",
        LOWER.replace("'", '"'),
        LOWER.replace(", ", ","),
        LOWER.replace("uid", "name"),
        LOWER.replace("'0x0000000000000000'", "'0x0'"),
        LOWER.replace("'0x0000000000000000'", "'0x00000000000000000'"),
        LOWER.replace("0x8000000000000000", "0x0000000000000000"),
        UPPER.replace("0x10000000000000000", "0x10000000000000001"),
        UPPER.replace("0x10000000000000000", "0xFFFFFFFFFFFFFFFF"),
        f"{LOWER} || {UPPER.replace('uid', 'namespace')}",
    ],
)
def test_what_no_server_repeats_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"as an API server writes it|all ranges of a selector are of one field"):
        parse_shard_selector(text)


@given(st.text(alphabet="shardRange(object.metadata.uid, '0x08')|", max_size=120))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    try:
        by, ranges = parse_shard_selector(text)
    except ValueError:
        return
    assert shard_selector(ranges, by=by) == text
