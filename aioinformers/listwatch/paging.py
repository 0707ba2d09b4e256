"""Whether the pages of a list lead anywhere. Pure."""

from __future__ import annotations

from typing import Final

from aioinformers.errors import ResponseError
from aioinformers.objects.deltas import Batch

__all__ = ["EMPTY_PAGES", "Paging"]

EMPTY_PAGES: Final = 10
"""Pages in a row that may be empty: kube-apiserver fills each page, other servers may select after they have cut."""


class Paging:
    """What one list has brought so far: each object stands in one page, and each token leads to a page of its own.

    Attributes:
        pages: Pages that are complete.
    """

    def __init__(self) -> None:
        self.pages: int = 0
        self._tokens: set[str] = set()
        self._first_keys: set[str] = set()
        self._first_key: str | None = None
        self._items = 0
        self._empty_pages = 0

    def note(self, batch: Batch) -> None:
        """Note some of the page's objects."""
        self._items += len(batch.deltas) + batch.unreadable
        if self._first_key is None and batch.deltas:
            self._first_key = batch.deltas[0][1]

    def end_page(self, token: str) -> None:
        """Note the end of a page.

        Args:
            token: What leads to the next page; empty after the last one.

        Raises:
            ResponseError: If the pages lead nowhere: their tokens go round in circles, or their objects do, or they
                are empty.
        """
        self.pages += 1
        if token in self._tokens:
            raise ResponseError("the list goes round in circles: a page gave a token that an earlier one had given")
        if self._first_key in self._first_keys:
            raise ResponseError("the list goes round in circles: a page began with the same object as an earlier one")
        self._empty_pages = 0 if self._items else self._empty_pages + 1
        if token and self._empty_pages >= EMPTY_PAGES:
            raise ResponseError(f"{EMPTY_PAGES} pages of the list in a row were empty, and there are said to be more")
        if token:
            self._tokens.add(token)
        if self._first_key is not None:
            self._first_keys.add(self._first_key)
        self._first_key, self._items = None, 0
