"""Follows brackets and strings through bytes, whatever is wrong with them, in steps and pieces of any size. Pure.

Decoders of JSON read what is whole and right. Where a value ends that has not come to its end, or that no decoder
reads, its brackets tell.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Generator
from typing import Final

__all__ = ["Brackets", "Stop", "end_of_value"]

STEP: Final = 8 * 1024
"""Bytes that are looked at one by one before there is a pause."""

PLAIN: Final = 1024 * 1024
"""Bytes of a string without escapes before there is a pause: they are passed over at the speed of memory."""

_TOKENS = re.compile(
    rb'(?s)[^][{}"]{0,4096}+'
    rb'(("items"[ \t\r\n]*+:[ \t\r\n]*+\[)|"[^"\\]{0,2048}+(?:\\.[^"\\]{0,128}+){0,16}+"|[][{}"]|)'
)
"""What begins an array of items, a short string, a bracket, the quote of any other string, or nothing after a stretch
of anything else.
"""
_CUT_ITEMS = re.compile(rb'"items"[ \t\r\n:]*+\Z')
_TEXT = re.compile(rb'(?s)(?:[^"\\]++|\\.)*+')
_SCALAR = re.compile(rb'[^][{}", \t\r\n]{0,4096}+')


class Stop(enum.Enum):
    """Why :meth:`Brackets.go_on` has come back."""

    END = enum.auto()
    """The value ends here."""

    ITEMS = enum.auto()
    """The array of items has just begun."""

    MORE = enum.auto()
    """Only what comes next can tell."""

    PAUSE = enum.auto()
    """Others may want to run: there is more to look at."""


class Brackets:
    """Finds the end of one value, whose bytes come in pieces.

    Attributes:
        at: Where it goes on; at the end, where the value ends.
        depth: How many brackets are open.

    Args:
        at: Where the value begins, without blanks before it.
    """

    __slots__ = ("_is_in_string", "at", "depth")

    def __init__(self, at: int) -> None:
        self.at: int = at
        self.depth: int = 0
        self._is_in_string = False

    def go_on(self, data: bytes, *, items: bool = False, is_whole: bool = False) -> Stop:
        """Look at more of the data.

        Args:
            data: The bytes, as they were before but for more at the end.
            items: Whether to stop where the array of items of a list begins.
            is_whole: Whether nothing more will come.
        """
        limit = self.at + STEP
        if not self.depth and not self._is_in_string and data[self.at : self.at + 1] not in (b"{", b"[", b'"'):
            return self._pass_scalar(data, limit)
        while True:
            if self._is_in_string and not self._leave_string(data, limit):
                return Stop.MORE if limit >= len(data) else Stop.PAUSE
            if self._is_in_string:
                self._is_in_string = False
                if not self.depth:
                    return Stop.END
            stop = self._pass_tokens(data, limit, items=items, is_whole=is_whole)
            if stop is not None:
                return stop

    def _pass_tokens(self, data: bytes, limit: int, *, items: bool, is_whole: bool) -> Stop | None:
        """Go on up to a string that is not short, for which it returns None, or to a stop."""
        for token in _TOKENS.finditer(data, self.at):
            begin, end = token.span(1)
            character = data[end - 1] if end > begin else 0
            if character in b"{[":
                self.depth += 1
                if items and token[2] and self.depth == 2:
                    self.at = end
                    return Stop.ITEMS
            elif character in b"}]":
                self.depth -= 1
                if self.depth <= 0:
                    self.at = end
                    return Stop.END
            elif character:
                if items and not is_whole and (len(data) - begin < 8 or _CUT_ITEMS.match(data, begin)):
                    self.at = begin
                    return Stop.MORE
                if end - begin == 1:
                    self.at, self._is_in_string = end, True
                    return None
                if not self.depth:
                    self.at = end
                    return Stop.END
            self.at = end
            if end > limit:
                return Stop.PAUSE
        return Stop.MORE

    def _leave_string(self, data: bytes, limit: int) -> bool:
        """Go on to behind the string's last quote; tell whether it has been found."""
        far = self.at + PLAIN
        quote = data.find(b'"', self.at, far)
        if data.find(b"\\", self.at, far if quote < 0 else quote) < 0:
            self.at = min(far, len(data)) if quote < 0 else quote + 1
            return quote >= 0
        text = _TEXT.match(data, self.at, max(limit, self.at + 2))  # at least one character with its backslash
        assert text is not None, "it matches anything"
        is_found = data[text.end() : text.end() + 1] == b'"'
        self.at = text.end() + is_found
        return is_found

    def _pass_scalar(self, data: bytes, limit: int) -> Stop:
        while (scalar := _SCALAR.match(data, self.at)) and scalar[0]:
            self.at = scalar.end()
            if self.at > limit:
                return Stop.PAUSE
        return Stop.MORE if self.at >= len(data) else Stop.END

    def forget(self, size: int) -> None:
        """Take note that the data will be given without their first bytes from now on."""
        self.at -= size


def end_of_value(data: bytes, at: int) -> Generator[None, None, int]:
    """Find where a value ends, yielding at every pause; -1 if it does not end in the data."""
    brackets = Brackets(at)
    while (stop := brackets.go_on(data, is_whole=True)) is Stop.PAUSE:
        yield
    return brackets.at if stop is Stop.END else -1
