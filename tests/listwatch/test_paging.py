"""Pages that lead nowhere are noticed, whatever they are made of."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.errors import ResponseError
from aioinformers.listwatch.paging import Paging
from aioinformers.objects.deltas import REJECT, UPSERT, Batch
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of

LAYOUT: Layout[Any] = Layout(object_type_of(dict))


def batch(*keys: str, unreadable: int = 0) -> Batch:
    return Batch([(UPSERT, key, Entry(b"", "u", "1", ())) for key in keys], "", LAYOUT, unreadable=unreadable)


def read(*pages: tuple[str, list[Batch]]) -> Paging:
    """Read pages: the token that each gives, and its objects."""
    paging = Paging()
    for token, batches in pages:
        for each in batches:
            paging.note(each)
        paging.end_page(token)
    return paging


def test_pages_that_bring_objects_are_counted() -> None:
    assert read(("", [])).pages == 1
    assert read(("t1", [batch("a"), batch("b")]), ("t2", [batch("c")]), ("", [])).pages == 3


@pytest.mark.parametrize("tokens", ["aa", "aba", "abca", "abcb"])
def test_g9_tokens_that_go_round_are_refused(tokens: str) -> None:
    """After however many others they come again."""
    pages = [(token, [batch(f"{at}")]) for at, token in enumerate(tokens)]
    read(*pages[:-1])
    with pytest.raises(ResponseError, match="round in circles: a page gave a token that an earlier one had given"):
        read(*pages)


@pytest.mark.parametrize("keys", ["aa", "aba", "abcb"])
def test_g9_objects_that_go_round_are_refused(keys: str) -> None:
    """Although each token is new."""
    pages = [(f"token-{at}", [batch(key), batch("same")]) for at, key in enumerate(keys)]
    read(*pages[:-1])
    with pytest.raises(ResponseError, match="round in circles: a page began with the same object"):
        read(*pages)


def test_empty_pages_are_counted_in_a_row() -> None:
    """What cannot be read is something, too."""
    rejected = Batch([(REJECT, "a", "no")], "", LAYOUT)
    assert read(("t", [])).empty_pages == 1
    assert read(("t1", []), ("t2", [batch()]), ("t3", [])).empty_pages == 3
    for something in (batch("a"), batch(unreadable=1), rejected):
        assert read(("t1", []), ("t2", [something])).empty_pages == 0
        assert read(("t1", []), ("t2", [batch(), something]), ("t3", [])).empty_pages == 1
