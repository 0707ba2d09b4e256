"""Cutting a watch along its chunks: lines come whole, and what is no line comes back as it was."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioinformers.transport import chunks
from aioinformers.transport.chunks import ChunkCutter

LINES = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"?") + b"\n")
REGULAR = LINES.map(lambda line: b"%x\r\n%s\r\n" % (len(line), line))
ODD = st.sampled_from([
    b"0\r\n\r\n",  # the end
    b"3;name=value\r\n{}\n\r\n",
    b"2\r\n{}\r\n",  # no newline at its end
    b"003\r\n{}\n\r\n",
    b"0x3\r\n{}\n\r\n",
    b" 3\r\n{}\n\r\n",
    b"3\n{}\n\n",
    b"4\r\n{}\n\r\n",  # too long
    b"2\r\n{}\n\r\n",  # too short
    b"-3\r\n{}\n\r\n",
    b"1000000\r\n",  # larger than anything that is waited for
    b"\r\n",
    b"\n",
    b"g",
])  # fmt: skip


def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Split a stream at some places."""
    bounds = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[begin:end] for begin, end in itertools.pairwise(bounds)]


def fed(stream: bytes, cuts: Iterable[int]) -> tuple[list[bytes], bytes]:
    """Feed a stream in pieces; return the lines and everything that is none, odd or not complete."""
    cutter = ChunkCutter()
    lines: list[bytes] = []
    odd = b""
    for piece in pieces(stream, cuts):
        if odd:
            odd += piece
            continue
        for data, spans in cutter.feed(piece):
            lines += [data[begin : end + 1] for begin, end in spans]
        odd = cutter.unparsed
    return lines, odd or b"".join(cutter._rest)


CUTS = st.lists(st.integers(0, 1 << 16), max_size=12)


@given(st.lists(REGULAR), CUTS)
def test_every_regular_chunk_is_a_line_in_any_split(stream: list[bytes], cuts: list[int]) -> None:
    lines, odd = fed(b"".join(stream), cuts)
    assert lines == [chunk[chunk.index(b"\r\n") + 2 : -2] for chunk in stream]
    assert odd == b""


@given(st.lists(REGULAR), ODD, st.lists(REGULAR | ODD | st.binary()), CUTS)
@example([], b"3\n{}\n\n", [], [1])
def test_what_is_no_line_comes_back_as_it_was(
    regular: list[bytes], odd: bytes, after: list[bytes], cuts: list[int]
) -> None:
    """Nothing is lost or told twice: the lines that were cut, then everything else."""
    stream = b"".join([*regular, odd, *after])
    lines, left = fed(stream, cuts)
    assert len(lines) == len(regular)
    assert stream == b"".join([*regular, left])


@pytest.mark.parametrize("size", [chunks.MAX_CHUNK - 1, chunks.MAX_CHUNK])
def test_a_chunk_may_be_as_large_as_the_limit(size: int) -> None:
    line = b"x" * size + b"\n"
    stream = b"%x\r\n%s\r\n" % (len(line), line)
    lines, odd = fed(stream, range(0, len(stream), 100_000))
    assert (lines, odd) == (([line], b"") if len(line) <= chunks.MAX_CHUNK else ([], stream))


def test_lines_are_not_copied() -> None:
    data = b"3\r\n{}\n\r\n" * 5
    [block] = ChunkCutter().feed(data)
    assert block.data is data
    assert block.spans == [(3 + 8 * i, 5 + 8 * i) for i in range(5)]


def test_what_has_come_of_a_chunk_is_kept_once() -> None:
    """Not joined anew with every piece: a large object in small pieces would cost the square of its size."""
    line = b"x" * 500_000 + b"\n"
    stream = b"%x\r\n%s\r\n" % (len(line), line)
    cutter = ChunkCutter()
    for piece in pieces(stream, range(0, len(stream), 1000))[:-1]:
        assert cutter.feed(piece) == []
    assert len(cutter._rest) > 400
