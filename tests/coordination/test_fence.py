"""What an election and a group of shards have in common: numbers of terms."""

from __future__ import annotations

from aioinformers.coordination.fence import Token


def test_of_two_numbers_of_one_lease_the_later_term_has_the_greater() -> None:
    assert Token("u", 3) < Token("u", 4)
    assert Token("u", 3) != Token("v", 3)
    assert str(Token("u", 3)) == "u/3"
