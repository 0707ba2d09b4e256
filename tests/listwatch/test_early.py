"""Lone events are taken where they arrive, or not at all; what fails there is raised in the reflector's task."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator

import pytest

from aioinformers.listwatch.early import EarlyEvents
from aioinformers.objects.deltas import Batch
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.transport.chunks import Block

BLOCKS = [Block(b"{}\n", [(0, 2)])]
LAYOUT: Layout[object] = Layout(object_type_of(dict))


def batches(*versions: str) -> Iterator[Batch]:
    for version in versions:
        yield Batch([], version, LAYOUT)


def test_all_batches_are_put_in_their_order() -> None:
    put: list[str] = []
    early = EarlyEvents(lambda: True, lambda blocks: batches("1", "2"), lambda batch: put.append(batch.version))
    assert early.take(BLOCKS)
    assert put == ["1", "2"]
    early.check()


def test_nothing_is_decoded_that_cannot_be_put() -> None:
    """Transforms are called once for each version."""
    fed: list[object] = []

    def feed(blocks: list[Block]) -> Iterator[Batch]:
        fed.append(blocks)
        yield from batches("1")

    early = EarlyEvents(lambda: False, feed, lambda batch: None)
    assert not early.take(BLOCKS)
    assert fed == []


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt(), SystemExit(3)])
def test_what_fails_is_raised_later_and_once(error: BaseException) -> None:
    put: list[str] = []

    def fail_at_the_second(batch: Batch) -> None:
        put.append(batch.version)
        if batch.version == "2":
            raise error

    early = EarlyEvents(lambda: True, lambda blocks: batches("1", "2", "3"), fail_at_the_second)
    assert not early.take(BLOCKS)
    assert not early.take(BLOCKS), "the reflector has not had its turn yet"
    assert put == ["1", "2"]
    with pytest.raises(type(error)) as raised:
        early.check()
    assert raised.value is error
    early.check()


def test_users_functions_see_the_context_of_the_reflector() -> None:
    """And not that of whatever had the connection before."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")
    seen: list[str] = []

    def feed(blocks: list[Block]) -> Iterator[Batch]:
        seen.append(variable.get())
        yield from batches("1")

    variable.set("the reflector's")
    early = EarlyEvents(lambda: True, feed, lambda batch: seen.append(variable.get()))
    assert contextvars.Context().run(early.take, BLOCKS)
    assert early.take(BLOCKS)
    assert seen == ["the reflector's"] * 4
