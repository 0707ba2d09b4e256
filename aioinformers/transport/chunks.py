"""Cuts a watch into its lines along the chunks of HTTP, without a copy. Pure.

A Kubernetes API server sends every event of a watch as one line in one chunk of HTTP/1.1 (RFC 9112, 7.1). To undo
that costs an HTTP library several calls and two copies per chunk, more than the cache needs for an event. Here chunks
of that one form are recognised where they lie; everything else is the library's to judge.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["MAX_CHUNK", "Block", "ChunkCutter"]

MAX_CHUNK: Final = 1024 * 1024
"""Larger ones are not waited for: what has come of them must be handed on before it fills the memory."""

_SIZE = re.compile(rb"([1-9a-fA-F][0-9a-fA-F]{0,5})\r\n")
_CUT_SIZE = re.compile(rb"(?:[1-9a-fA-F][0-9a-fA-F]{0,5}\r?)?")


class Block(NamedTuple):
    """Lines of a watch where they lie.

    Attributes:
        data: What holds them.
        spans: Where each begins, and where its newline is.
    """

    data: bytes
    spans: list[tuple[int, int]]


class ChunkCutter:
    """Cuts a body that begins with a chunk, as long as every chunk is one line.

    Attributes:
        odd: What has come from the first chunk on that is no line; empty as long as all are. Nothing may be fed then.
    """

    def __init__(self) -> None:
        self.odd: bytes = b""
        self._rest: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> list[Block]:
        """Take what has arrived and return the lines that it completes, in one or two blocks."""
        blocks: list[Block] = []
        if self._rest:
            missing = self._missing or len(data)
            self._rest.append(data[:missing])
            if len(data) < self._missing:
                self._missing -= len(data)
                return blocks
            # Only the first chunk is joined: copying everything would cost more than cutting it.
            first, data = b"".join(self._rest), data[missing:]
            self._rest.clear()
            self._cut(first, blocks)
            if self.odd:
                self.odd += data
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
                self.odd = rest
            else:
                self._rest, self._missing = [rest], missing

    @staticmethod
    def _missing_of(rest: bytes) -> int | None:
        """Return how many bytes a chunk lacks, 0 if that cannot be told yet; None if it is no line."""
        size = _SIZE.match(rest)
        if size is None:
            return 0 if _CUT_SIZE.fullmatch(rest) else None
        length = int(size[1], 16)
        end = size.end() + length - 1
        if length > MAX_CHUNK or not b"\n\r\n".startswith(rest[end:]):
            return None
        return end + 3 - len(rest)
