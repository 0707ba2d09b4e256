"""One of n: every hash in exactly one, and never a guess about which one a process has."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioinformers.objects.ranges import HASHES, Field, hash_field, parse_shard_selector
from aioinformers.objects.shard import Shard
from tests.objects import vectors
from tests.objects.vectors import ShardVector

COUNTS = st.integers(1, 4096)


# -- ranges -------------------------------------------------------------------------------------------------------


@given(COUNTS)
@example(1)
@example(3)
@example(4095)
@example(4096)
def test_shards_tile_the_hashes(of: int) -> None:
    """The first begins at 0, each ends where the next begins, the last ends after the last hash."""
    ranges = [Shard(index, of=of).range for index in range(of)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == HASHES
    assert [end for _, end in ranges[:-1]] == [begin for begin, _ in ranges[1:]]
    sizes = {end - begin for begin, end in ranges}
    assert max(sizes) - min(sizes) <= 1
    assert all(type(end) is int for pair in ranges for end in pair)


@given(COUNTS, st.integers(0, HASHES - 1))
def test_every_hash_is_in_one_shard(of: int, value: int) -> None:
    """Also at the ends of ranges, where a float would round."""
    index = value * of // HASHES
    near = [Shard(each, of=of) for each in range(max(0, index - 1), min(of, index + 2))]
    assert sum(begin <= value < end for begin, end in (shard.range for shard in near)) == 1


@given(st.integers(1, 64), st.text(max_size=40))
def test_every_object_is_in_one_shard(of: int, uid: str) -> None:
    assert [Shard(index, of=of).contains(uid) for index in range(of)].count(True) == 1


def test_a_shard_is_a_range_of_hashes() -> None:
    assert Shard(2, of=8).range == (2 << 61, 3 << 61)
    assert Shard(0, of=1).range == (0, HASHES)
    assert Shard(1, of=3).range == (HASHES // 3, 2 * HASHES // 3)


@pytest.mark.parametrize("vector", vectors.SHARDS, ids=lambda each: f"{each.index} of {each.of} by {each.by}")
def test_shards_are_those_of_apimachinery(vector: ShardVector) -> None:
    shard = Shard(vector.index, of=vector.of, by=vector.by)
    assert shard.selector == vector.selector
    assert parse_shard_selector(vector.selector) == (vector.by, (shard.range,))
    if vector.matches is not None:
        rivals = [each.matches for each in vectors.SHARDS if (each.of, each.by) == (vector.of, vector.by)]
        held = frozenset[str]().union(*(each for each in rivals if each is not None))
        assert len(held) > 50
        assert {text for text in held if shard.contains(text)} == vector.matches


def test_a_shard_by_namespace_holds_namespaces() -> None:
    shard = Shard(hash_field("team-a") * 8 // HASHES, of=8, by="namespace")
    assert all(shard.contains(f"team-{letter}") for letter in "abcxyz")
    assert "object.metadata.namespace" in shard.selector


# -- values -------------------------------------------------------------------------------------------------------


def test_a_shard_is_a_value() -> None:
    shard = Shard(2, of=8)
    assert shard == Shard(2, of=8, by="uid")
    assert len({shard, Shard(2, of=8), Shard(2, of=8, by="namespace"), Shard(2, of=9), Shard(3, of=8)}) == 4
    assert pickle.loads(pickle.dumps(shard)) == shard
    assert pickle.loads(pickle.dumps(shard)).range == shard.range
    assert dataclasses.replace(shard, index=3).range == Shard(3, of=8).range
    with pytest.raises(dataclasses.FrozenInstanceError):
        shard.index = 3  # type: ignore[misc]


def test_a_shard_says_which_it_is() -> None:
    assert repr(Shard(2, of=8)) == "Shard(index=2, of=8, by='uid')"
    assert str(Shard(2, of=8)) == "shard 2 of 0 to 7, by uid"
    assert str(Shard(0, of=1, by="namespace")) == "shard 0 of 0, by namespace"


@pytest.mark.parametrize(
    ("index", "of", "problem"),
    [
        (8, 8, "shards are counted from 0: of 8 there are 0 to 7, but no 8"),
        (1, 1, "shards are counted from 0: of 1 there are 0, but no 1"),
        (-1, 8, "but no -1"),
        (0, 0, "1 or more, not 0"),
        (0, -3, "1 or more, not -3"),
        (0, HASHES + 1, "1 or more"),
    ],
)
def test_shards_that_are_not_there(index: int, of: int, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Shard(index, of=of)


@pytest.mark.parametrize(("index", "of"), [("2", 8), (2, "8"), (2.0, 8), (True, 8), (0, True), (None, 8)])
def test_numbers_are_whole_numbers(index: Any, of: Any) -> None:
    with pytest.raises(TypeError, match="must be a whole number, not "):
        Shard(index, of=of)


def test_fields_are_two() -> None:
    with pytest.raises(ValueError, match="not by 'namespaces': did you mean 'namespace'"):
        Shard(2, of=8, by="namespaces")  # type: ignore[arg-type]


def test_how_many_there_are_is_named() -> None:
    """``Shard(2, 8)`` could be read in either order."""
    with pytest.raises(TypeError):
        Shard(2, 8)  # type: ignore[call-arg]


# -- of the environment -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "index"),
    [
        ({"POD_INDEX": "3"}, 3),
        ({"POD_INDEX": "0", "POD_NAME": "web-5", "HOSTNAME": "web-6"}, 0),
        ({"POD_NAME": "web-5", "HOSTNAME": "node-1"}, 5),
        ({"HOSTNAME": "web-0"}, 0),
        ({"HOSTNAME": "a-b-7"}, 7),
    ],
)
@pytest.mark.parametrize("by", ["uid", "namespace"])
def test_the_ordinal_of_a_pod(variables: dict[str, str], index: int, by: Field) -> None:
    shard = Shard.from_environment(by=by, environment={"AIOINFORMERS_SHARDS": "8", **variables})
    assert shard == Shard(index, of=8, by=by)


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_INDEX", raising=False)
    monkeypatch.setenv("AIOINFORMERS_SHARDS", "12")
    monkeypatch.setenv("POD_NAME", "exporter-11")
    assert Shard.from_environment() == Shard(11, of=12)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, "AIOINFORMERS_SHARDS is not set"),
        ({"POD_INDEX": "1"}, "AIOINFORMERS_SHARDS is not set"),
        *(({"AIOINFORMERS_SHARDS": text, "POD_INDEX": "0"}, "1 or more, not ") for text in (
            "", "0", "-1", "eight", "8.0", " 8", "8\n", "08", "+8", "8_0", "٣", "9" * 5000,
        )),
        ({"AIOINFORMERS_SHARDS": "8"}, "none of POD_INDEX, POD_NAME, HOSTNAME is set"),
        *(({"AIOINFORMERS_SHARDS": "8", "POD_INDEX": text, "POD_NAME": "web-1"}, "POD_INDEX is the ordinal")
          for text in ("", "-1", "one", "1.0", " 1", "01", "٣", "web-1")),
        *(({"AIOINFORMERS_SHARDS": "8", "POD_NAME": name, "HOSTNAME": "web-1"}, "^POD_NAME=.*does not end in '-' and")
          for name in ("", "web", "7", "web-", "web-x2x9q", "web-7d4b9c5f6-x2", "web-01", "web-1 ", "web_1", "web-٣")),
        ({"AIOINFORMERS_SHARDS": "8", "HOSTNAME": "laptop"}, "^HOSTNAME='laptop' does not end in '-' and"),
        ({"AIOINFORMERS_SHARDS": "8", "POD_INDEX": "8"}, "POD_INDEX=8 says ordinal 8, .* shards 0 to 7 only"),
        ({"AIOINFORMERS_SHARDS": "8", "POD_NAME": "web-8"}, "POD_NAME=web-8 says ordinal 8, .* shards 0 to 7 only"),
        ({"AIOINFORMERS_SHARDS": "1", "HOSTNAME": "web-1"}, "HOSTNAME=web-1 says ordinal 1, .* shards 0 only"),
        ({"AIOINFORMERS_SHARDS": "8", "HOSTNAME": "web-6f5d8-24567"}, "says ordinal 24567"),
    ],
)  # fmt: skip
def test_what_is_missing_or_cannot_be_is_never_guessed(variables: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Shard.from_environment(environment=variables)


def test_the_field_is_checked_here_too() -> None:
    variables = {"AIOINFORMERS_SHARDS": "8", "POD_INDEX": "1"}
    with pytest.raises(ValueError, match="divided by their uid or by their namespace"):
        Shard.from_environment(by="name", environment=variables)  # type: ignore[arg-type]
