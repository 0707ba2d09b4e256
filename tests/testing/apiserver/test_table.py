"""One resource's objects and the bounded log of what happened to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.table import ADDED, DELETED, MODIFIED, Change, LaggedBehindError, Stored, Table
from tests.testing.apiserver.contents import WIDGETS


def stored(name: str, version: int) -> Stored:
    return Stored(f"ns/{name}", "ns", name, f"u-{name}", version, b"{}", {}, {})


def written(table: Table, names: str, *, first: int = 1) -> list[list[Stored]]:
    """Write objects by turns (a capital deletes one), and return the state after each."""
    states = [table.ordered()]
    for version, letter in enumerate(names, first):
        previous = table.items.get(f"ns/{letter.lower()}")
        kind = DELETED if letter.isupper() else ADDED if previous is None else MODIFIED
        table.apply(Change(kind, version, stored(letter.lower(), version), previous))
        states.append(table.ordered())
    return states


def versions(table: Table, position: int, limit: int = 99) -> list[int]:
    return [change.version for change in table.read(position, limit)]


histories = st.lists(st.sampled_from("abc"), max_size=12).map("".join)


def deletable(letters: str) -> str:
    """Let every third write of an object be its deletion."""
    seen: dict[str, int] = {}
    found = ""
    for letter in letters:
        seen[letter] = seen.get(letter, 0) + 1
        found += letter.upper() if seen[letter] % 3 == 0 else letter
    return found


@given(histories, st.integers(1, 12))
def test_the_past_is_what_it_was_as_far_as_the_log_reaches_back(letters: str, log_size: int) -> None:
    table = Table(WIDGETS, log_size=log_size, floor=0)
    states = written(table, deletable(letters))
    for version, state in enumerate(states):
        if version >= table.floor:
            assert table.at(version) == state
        else:
            with pytest.raises(StatusError, match="410 Expired"):
                table.at(version)
    assert table.floor == max(0, len(letters) - log_size)


def test_objects_are_ordered_by_key() -> None:
    table = Table(WIDGETS, log_size=9, floor=0)
    written(table, "cab")
    assert [item.name for item in table.ordered()] == ["a", "b", "c"]
    assert table.ordered() is table.ordered(), "and sorted once"


def test_a_watch_reads_on_from_its_position() -> None:
    table = Table(WIDGETS, log_size=9, floor=0)
    written(table, "abcA")
    position = table.position_after(1)
    assert versions(table, position, limit=2) == [2, 3]
    assert versions(table, position + 2) == [4]
    assert versions(table, table.end()) == []


def test_a_position_outlives_what_is_forgotten_before_it_and_nothing_else() -> None:
    table = Table(WIDGETS, log_size=3, floor=0)
    written(table, "abc")
    position = table.position_after(1)
    written(table, "d", first=4)
    assert versions(table, position) == [2, 3, 4]
    written(table, "e", first=5)
    with pytest.raises(LaggedBehindError):
        table.read(position, 9)
    with pytest.raises(StatusError, match=r"too old resource version: 1 \(3\)"):
        table.position_after(1)


def test_expiry_forgets_up_to_a_version_and_never_less_than_before() -> None:
    table = Table(WIDGETS, log_size=9, floor=0)
    written(table, "abc")
    table.expire(2)
    table.expire(1)
    assert table.floor == 2
    assert versions(table, table.position_after(2)) == [3]
    table.expire(7)  # of a version that only other resources know
    assert table.floor == 7
    assert [item.name for item in table.at(7)] == ["a", "b", "c"]


def test_a_table_knows_that_nothing_has_happened_up_to_a_version() -> None:
    table = Table(WIDGETS, log_size=9, floor=5)
    assert table.reached == 5
    table.reach(9)
    table.reach(8)
    assert table.reached == 9


def test_a_restored_table_has_other_objects_and_no_history() -> None:
    table = Table(WIDGETS, log_size=9, floor=0)
    written(table, "abc")
    position = table.position_after(1)
    table.reset({"ns/z": stored("z", 2)}, 2)
    assert [item.name for item in table.ordered()] == ["z"]
    assert (table.floor, table.reached) == (2, 2)
    with pytest.raises(LaggedBehindError):
        table.read(position, 9)
    assert versions(table, table.position_after(2)) == []


def test_who_listens_is_called_at_each_change_and_at_the_end_until_it_stops() -> None:
    table, calls = Table(WIDGETS, log_size=9, floor=0), list[int]()
    stop = table.listen(lambda: calls.append(table.reached))
    written(table, "ab")
    table.close()
    assert (calls, table.closed) == ([1, 2, 2], True)
    stop()
    stop()
    written(table, "c", first=3)
    assert calls == [1, 2, 2]
