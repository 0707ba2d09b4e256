"""The judge of what etcd remembers, on histories that are written here."""

from __future__ import annotations

import json

import pytest

from tests.chaos.operator.history import Change, Late, Write, acquisitions, late, stale, writes


def lease(revision: int, holder: str) -> Change:
    return Change(revision, "/registry/leases/x/op", b"k8s\x00" + holder.encode() + b"\x10" if holder else b"k8s\x00")


def site(revision: int, key: str, n: int, by: str, wanted: int = 0) -> Change:
    return Change(revision, key, json.dumps({"spec": {"n": wanted}, "status": {"n": n, "by": by}}).encode())


def test_a_term_begins_when_the_holder_changes() -> None:
    changed = [lease(1, "a"), lease(2, "a"), lease(3, ""), lease(4, "a"), lease(5, "b"), lease(9, "a")]
    assert acquisitions(changed, ["a", "b"]) == [(1, "a"), (4, "a"), (5, "b"), (9, "a")]


def test_of_two_names_of_which_one_is_the_beginning_of_the_other_the_right_one_holds() -> None:
    changed = [lease(1, "a-1"), lease(2, "a-10"), lease(3, "a-1")]
    assert acquisitions(changed, ["a-1", "a-10"]) == [(1, "a-1"), (2, "a-10"), (3, "a-1")]


def test_a_write_is_what_changes_a_status() -> None:
    """An edit of somebody else carries the last one along."""
    created = Change(1, "x", b'{"spec": {"n": 0}}')
    changed = [created, site(2, "x", 0, "a"), site(3, "x", 0, "a", wanted=1), site(4, "x", 1, "b", wanted=1)]
    assert writes([*changed, Change(5, "x", b"")]) == [Write(2, "x", "a"), Write(4, "x", "b")]


TERMS = [(10, "a"), (20, "b"), (30, "a")]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ([(11, "x", "a"), (21, "x", "b"), (31, "x", "a")], []),
        ([(11, "x", "a"), (21, "y", "b"), (22, "x", "a"), (23, "x", "b")], []),  # nobody had written x since
        ([(21, "x", "b"), (22, "x", "a")], [(22, "b", 21)]),
        ([(21, "x", "b"), (31, "x", "a"), (32, "x", "b")], [(32, "a", 31)]),
        ([(21, "x", "b"), (31, "y", "a"), (32, "x", "b")], []),
    ],
)
def test_late_is_who_writes_after_the_successor(
    written: list[tuple[int, str, str]], found: list[tuple[int, str, int]]
) -> None:
    told = late(TERMS, [Write(*one) for one in written])
    assert [(one.write.revision, one.successor, one.since) for one in told] == found
    assert all(isinstance(one, Late) for one in told)


def test_stale_is_who_counts_no_further_than_the_one_before() -> None:
    written = [("x", "a", 1), ("x", "a", 2), ("y", "b", 1), ("x", "b", 2), ("x", "b", 3), ("y", "b", 2)]
    told = stale([Write(revision, key, by, count) for revision, (key, by, count) in enumerate(written)])
    assert [(one.revision, one.replica) for one in told] == [(3, "b")]
