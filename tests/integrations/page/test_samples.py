"""What is measured for the page."""

from __future__ import annotations

from aioinformers.integrations.page.samples import NOTHING, Change


def test_nothing_is_known_before_anything_is_measured() -> None:
    assert (NOTHING.history, NOTHING.rate, NOTHING.rates, NOTHING.memory, NOTHING.tail) == (
        (), None, {}, None, (),
    )  # fmt: skip


def test_changes_are_values() -> None:
    assert Change(1.0, "pods.v1", "+", "a", "watch") == Change(1.0, "pods.v1", "+", "a", "watch")
