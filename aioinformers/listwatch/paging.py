"""Whether the pages of a list lead anywhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aioinformers.errors import ResponseError
from aioinformers.objects.deltas import Batch

__all__ = ["EMPTY_PAGES", "Paging", "page_query"]

EMPTY_PAGES: Final = 2
"""Empty pages in a row after which pages are no longer asked for: a server may select after it has cut them."""


class Paging:
    """What one list has brought so far: each object stands in one page, and each token leads to a page of its own.

    Attributes:
        pages: Pages that are complete.
        empty_pages: How many of the last ones brought nothing at all.
    """

    def __init__(self) -> None:
        self.pages: int = 0
        self.empty_pages: int = 0
        self._tokens: set[str] = set()
        self._first_keys: set[str] = set()
        self._first_key: str | None = None
        self._items = 0

    def note(self, batch: Batch) -> None:
        """Note some of the page's objects."""
        self._items += len(batch.deltas) + batch.unreadable + batch.foreign
        if self._first_key is None and batch.deltas:
            self._first_key = batch.deltas[0][1]

    def end_page(self, token: str) -> None:
        """Note the end of a page.

        Args:
            token: What leads to the next page; empty after the last one.

        Raises:
            ResponseError: If the pages lead nowhere: their tokens go round in circles, or their objects do.
        """
        self.pages += 1
        if token in self._tokens:
            raise ResponseError("the list goes round in circles: a page gave a token that an earlier one had given")
        if self._first_key in self._first_keys:
            raise ResponseError("the list goes round in circles: a page began with the same object as an earlier one")
        self.empty_pages = 0 if self._items else self.empty_pages + 1
        if token:
            self._tokens.add(token)
        if self._first_key is not None:
            self._first_keys.add(self._first_key)
        self._first_key, self._items = None, 0


def page_query(selectors: Mapping[str, str], version: str, token: str, limit: int) -> dict[str, str]:
    """Return the query of one page.

    Args:
        selectors: What every request has.
        version: The resourceVersion that is asked for; empty for the most recent state.
        token: What the page before has given; empty for the first page.
        limit: How many objects the page may have; 0 for all.
    """
    query = dict(selectors)
    if token:
        return query | {"continue": token, "limit": str(limit)}
    query |= {"limit": str(limit)} if limit else {}
    query |= {"resourceVersion": version} if version else {}
    return query
