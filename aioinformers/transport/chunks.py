"""Cuts the chunked body of a watch into lines without copying it. Pure.

A Kubernetes API server sends every event of a watch as one line in one chunk of HTTP/1.1 (RFC 9112, 7.1). An HTTP
library needs several calls and two copies per chunk to decode that, more than the cache needs for an event. This module
recognises chunks of exactly that form in the received bytes and leaves everything else to the library.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["MAX_CHUNK", "Block", "ChunkCutter"]

MAX_CHUNK: Final = 1024 * 1024
"""Largest chunk in bytes that is collected here; the bytes of a larger one are passed on as they arrive."""

_SIZE = re.compile(rb"([1-9a-fA-F][0-9a-fA-F]{0,5})\r\n")
_CUT_SIZE = re.compile(rb"(?:[1-9a-fA-F][0-9a-fA-F]{0,5}\r?)?")


class Block(NamedTuple):
    """Lines of a watch, as positions in the bytes that contain them.

    Attributes:
        data: Received bytes.
        spans: Offset of each line's first byte and of its newline.
    """

    data: bytes
    spans: list[tuple[int, int]]


class ChunkCutter:
    """Cuts a body at the borders of its chunks, as long as every chunk is one line.

    Attributes:
        unparsed: Received bytes from the first chunk on that is not one line; empty while every chunk is. Once it is
            set, :meth:`feed` must not be called again.
    """

    def __init__(self) -> None:
        self.unparsed: bytes = b""
        self._rest: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> list[Block]:
        """Return the lines that received bytes complete, in one or two blocks.

        Args:
            data: The next bytes of the connection; the very first must begin with a chunk's size.
        """
        blocks: list[Block] = []
        if self._rest:
            missing = self._missing or len(data)
            self._rest.append(data[:missing])
            if len(data) < self._missing:
                self._missing -= len(data)
                return blocks
            # Joins the first chunk only: copying all the data would cost more than cutting it.
            first, data = b"".join(self._rest), data[missing:]
            self._rest.clear()
            self._cut(first, blocks)
            if self.unparsed:
                self.unparsed += data
                return blocks
        if data:
            self._cut(data, blocks)
        return blocks

    def _cut(self, data: bytes, blocks: list[Block]) -> None:
        spans: list[tuple[int, int]] = []
        start = 0
        while size := _SIZE.match(data, start):
            begin = size.end()
            end = begin + int(size[1], 16) - 1
            if not data.startswith(b"\n\r\n", end):
                break
            spans.append((begin, end))
            start = end + 3
        if spans:
            blocks.append(Block(data, spans))
        if start < len(data):
            rest = data[start:]
            missing = self._missing_of(rest)
            if missing is None:
                self.unparsed = rest
            else:
                self._rest, self._missing = [rest], missing

    @staticmethod
    def _missing_of(rest: bytes) -> int | None:
        """Return how many bytes a chunk lacks: 0 if its size is incomplete, None if it cannot be one line."""
        size = _SIZE.match(rest)
        if size is None:
            return 0 if _CUT_SIZE.fullmatch(rest) else None
        length = int(size[1], 16)
        end = size.end() + length - 1
        if length > MAX_CHUNK or not b"\n\r\n".startswith(rest[end:]):
            return None
        return end + 3 - len(rest)
