"""Selectors of shards: what they match, and the words in which they are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.sharding import Field, Shard, hash_field, parse_shard_selector, shard_selector
from aioinformers.testing.apiserver.shards import ShardSelector
from aioinformers.testing.apiserver.status import StatusError

LOWER = "shardRange(object.metadata.uid, '0x0000000000000000', '0x8000000000000000')"
UPPER = "shardRange(object.metadata.uid, '0x8000000000000000', '0x10000000000000000')"


@given(st.integers(1, 16), st.sampled_from(["uid", "namespace"]), st.text(max_size=36), st.text(max_size=36))
def test_what_a_shard_contains_is_what_its_selector_matches(of: int, by: Field, uid: str, namespace: str) -> None:
    for index in range(of):
        shard = Shard(index, of=of, by=by)
        selector = ShardSelector.parse(shard.selector)
        assert (selector.by, selector.ranges) == (by, (shard.range,))
        assert selector.matches(uid, namespace) is shard.contains(uid if by == "uid" else namespace)
        assert str(selector) == shard.selector


def test_one_of_several_ranges_is_enough() -> None:
    value = hash_field("x")
    selector = ShardSelector.parse(shard_selector([(0, 1), (value, value + 1)]))
    assert selector.matches("x", "")
    assert not selector.matches("y", "x")


@pytest.mark.parametrize(
    ("written", "repeated"),
    [
        (f"\t{LOWER}\n", LOWER),
        (f"(({LOWER}))", LOWER),
        (f"{UPPER}||{LOWER}", f"{UPPER} || {LOWER}"),
        (f"{UPPER} || ({LOWER} || {LOWER})", f"{UPPER} || {LOWER} || {LOWER}"),
        (LOWER.replace("'", '"').replace(" ", ""), LOWER),
        (LOWER.replace(", ", " // a field\n , // 'a hash'\n"), LOWER),
    ],
)
def test_selectors_may_be_written_in_several_forms_and_are_repeated_in_one(written: str, repeated: str) -> None:
    assert str(ShardSelector.parse(written)) == repeated
    parse_shard_selector(repeated)


def test_many_ranges_are_no_deeper_than_one() -> None:
    """As many as a URL holds, and more."""
    many = " || ".join([LOWER] * 5000)
    assert str(ShardSelector.parse(many)) == many


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" \n", "empty shard selector is not allowed"),
        ("object", "unexpected expression kind 3"),
        (f"{LOWER} && {UPPER}", 'unsupported function "_&&_"'),
        ("has(object)", 'unsupported function "has"'),
        ("shardRange(a, b)", "requires exactly 3 arguments, got 2"),
        (LOWER.replace("object.", ""), 'unsupported field path "metadata.uid"'),
        (LOWER.replace("object.metadata.uid", "1"), "expected field path .* got expression kind 5"),
        (LOWER.replace("'0x0000000000000000'", "0"), "hexStart must be a string literal, got int64"),
        (LOWER.replace("'0x8000000000000000'", "x"), "hexEnd must be a string literal .* got expression kind 3"),
        (LOWER.replace("'0x0", "'0"), "hexStart must have '0x' prefix"),
        (LOWER.replace("0x8000000000000000", "0x"), "hexEnd: hex value is required"),
        (LOWER.replace("0x8000000000000000", f"0x{8:018}"), "hexEnd: hex value too long .18 chars"),
        (LOWER.replace("0x8000000000000000", f"0x{8:017}"), "hexEnd: 17-digit hex value must be"),
        (LOWER.replace("0x8000000000000000", "0x8"), "did you mean \"0x0000000000000008\"?"),
        (LOWER.replace("0x8000000000000000", "0xF000000000000000"), 'invalid hex character "F"'),
        (LOWER.replace("0x8000000000000000", "0x0000000000000000"), "must be less than end"),
        (f"{LOWER} || {UPPER.replace('uid', 'namespace')}", "all shard ranges must use the same field"),
    ],
)  # fmt: skip
def test_what_is_no_selector_is_an_error_of_the_server(text: str, problem: str) -> None:
    """So kube-apiserver 1.37 has it; the conformance tests compare the words."""
    with pytest.raises(StatusError, match=f"500 : invalid shard selector: .*{problem}") as caught:
        ShardSelector.parse(text)
    assert (caught.value.code, caught.value.reason) == (500, "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        (f"{LOWER} ||", "<EOF>"),
        (f"{LOWER} {UPPER}", "shardRange"),
        (f"{LOWER})", ")"),
        ("shardRange(a, b", "<EOF>"),
        ("shardRange(a,)", ")"),
        ("a.", "<EOF>"),
        ("a.'b'", "'b'"),
        (f"{LOWER} | {UPPER}", "|"),
        (f"{LOWER} ||| {UPPER}", "|"),
        ("'a", "'"),
        (r"'a\x30'", "'"),
        ("1u", "1"),
        ("0x10", "0"),
        ("é", "é"),
    ],
)
def test_what_is_no_expression_says_where(text: str, found: str | None) -> None:
    """Some of them are expressions of CEL, but none is a selector."""
    problem = "empty shard selector" if found is None else "CEL parse error: Syntax error: .* does not expect "
    with pytest.raises(StatusError, match=problem) as caught:
        ShardSelector.parse(text)
    assert f'"{found or ""}"' in caught.value.message or found is None


@given(st.text(alphabet="shardRange(object.metadata.uid, '0x08')|& \n", max_size=60))
def test_whatever_comes_is_parsed_or_refused(text: str) -> None:
    try:
        selector = ShardSelector.parse(text)
    except StatusError as error:
        assert error.code == 500
    else:
        assert ShardSelector.parse(str(selector)) == selector
