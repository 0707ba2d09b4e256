"""What a reconcile function returns and raises, and why it is called, in words."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers import Cause, ObjectKey
from aioinformers.controllers import Requeue, Terminal, Trigger, Why


@pytest.mark.parametrize(
    ("after", "error", "words"),
    [
        ("30", TypeError, r"Requeue\(after=\) must be a number, not '30'"),
        (True, TypeError, r"Requeue\(after=\) must be a number, not True"),
        (-1, ValueError, r"Requeue\(after=\) must not be negative, not -1"),
        (float("inf"), ValueError, r"must be finite: return None to wait for the next change"),
        (float("nan"), ValueError, r"Requeue\(after=\) must be a number that a float can hold"),
    ],
)
def test_a_requeue_says_after_how_many_seconds(after: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Requeue(after)


def test_a_terminal_error_has_a_reason() -> None:
    assert (str(Terminal("no such region")), Terminal("no such region").reason) == ("no such region",) * 2


def test_triggers_are_told_in_words() -> None:
    key = ObjectKey("shop", "web")
    assert str(Trigger(Why.OBJECT, key, Cause.WATCH, "pods.v1")) == "object pods.v1 shop/web"
    assert str(Trigger(Why.CHILD, key, Cause.LIST, "pods.v1")) == "child pods.v1 shop/web (list)"
    assert str(Trigger(Why.REQUEST, key)) == "request shop/web"
