"""What was written is waited for until the cache shows it, and not one moment longer."""

from __future__ import annotations

import pytest

from aioinformers import ObjectKey
from aioinformers.controllers import memory as module
from aioinformers.controllers.memory import Seen, Write, WriteMemory

KEY = ObjectKey("default", "a")


def write(version: str = "5", *, uid: str = "u", existed: bool = True, is_end: bool = False) -> Write:
    return Write("configmaps.v1", KEY, uid, version, 0.0, existed, is_end)


@pytest.mark.parametrize(
    ("wanted", "seen", "is_shown"),
    [
        (write("10"), Seen("u", "9", False), False),
        (write("10"), Seen("u", "10", False), True),
        (write("10"), Seen("u", "11", False), True),
        (write("10"), None, True),  # deleted since
        (write("10", existed=False), None, False),  # not there yet
        (write("odd"), Seen("u", "9", False), True),  # cannot be compared
        # a deletion
        (write(""), Seen("u", "9", False), False),
        (write(""), Seen("u", "12", True), True),
        (write(""), Seen("another", "12", False), True),
        (write(""), None, True),
        # the last finalizer removed: the object is gone, and the answer bears the version that it had
        (write("9", is_end=True), Seen("u", "9", True), False),
        (write("9", is_end=True), Seen("another", "12", False), True),
        (write("9", is_end=True), None, True),
    ],
)
def test_g20_a_write_is_shown_by_what_comes_after_it(wanted: Write, seen: Seen | None, is_shown: bool) -> None:
    assert wanted.is_shown_by(seen) is is_shown


def test_of_two_writes_of_one_object_the_later_one_counts() -> None:
    memory = WriteMemory[str]()
    memory.note("k", write("5"))
    memory.note("k", write("7"))
    assert [each.version for each in memory.pending("k", 0, lambda _: Seen("u", "6", False))] == ["7"]
    assert memory.pending("k", 0, lambda _: Seen("u", "7", False)) == []
    assert memory.pending("k", 0, lambda _: None) == []
    assert memory.pending("another", 0, lambda _: None) == []


def test_what_is_not_waited_for_any_more_is_forgotten() -> None:
    memory = WriteMemory[str]()
    memory.note("k", write("5"))
    pending = memory.pending("k", 0, lambda _: Seen("u", "4", False))
    memory.forget("k", pending)
    assert memory.pending("k", 0, lambda _: Seen("u", "4", False)) == []
    memory.forget("k", pending)


def test_own_versions_are_known_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OWN", 3)
    memory = WriteMemory[str]()
    for version in range(5):
        memory.note("k", write(str(version)))
    own = [version for version in range(6) if memory.is_own("configmaps.v1", KEY, str(version))]
    assert own == [2, 3, 4]
    assert not memory.is_own("secrets.v1", KEY, "4")
