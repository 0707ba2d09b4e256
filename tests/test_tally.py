"""What happens again and again is told of the first time and at each doubling."""

from __future__ import annotations

from aioinformers.tally import MOST, Tally, so_often


def test_a_cause_is_told_of_at_each_doubling() -> None:
    tally = Tally()
    told = [number for number in range(1, 2001) if tally.note("filter")]
    assert told == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    assert tally.note("index") == 1, "another cause is counted by itself"


def test_g8_causes_without_end_are_counted_as_one() -> None:
    tally = Tally()
    told = sum(bool(tally.note(number)) for number in range(100_000))
    assert told < MOST + 20


def test_how_often_it_was_is_said_from_the_second_time_on() -> None:
    assert so_often(1) == ""
    assert so_often(1024) == " (1,024 times by now; told of again at 2,048)"
