"""Reads HTML, for tests that look at pages."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

__all__ = ["Markup", "words"]

VOID = frozenset({"meta", "link", "input", "br", "hr", "img"})


class Markup(HTMLParser):
    """The elements of a document: their names and attributes, in order; fails if they are not well nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, name: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a name."""
        return [attributes for tag, attributes in self.elements if tag == name]

    def ids(self) -> list[str]:
        """Return all ids."""
        return [each for _, attributes in self.elements if (each := attributes.get("id"))]


def words(text: str) -> str:
    """Return the text that a page shows, with one space between its parts."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())
