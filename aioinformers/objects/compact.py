"""Compresses stored objects with zstd and a dictionary made of the informer's own objects. Pure.

Objects of one kind are alike, so each object is packed by itself against a *dictionary* of a few others: earlier
objects, joined without training. As objects change over time, newer dictionaries replace older ones; objects packed
before keep their dictionary. The store holds a :class:`Packed` instead of the object's bytes.
"""

from __future__ import annotations

import importlib
import sys
import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from aioinformers.statistics import CompactStatistics

__all__ = ["Dictionary", "Packed", "Packer", "converters", "find_zstd"]

LEVEL = 3
"""Compression level of zstd: lower levels save little time, higher ones little memory."""

FIRST = 16
"""Objects that stay unpacked, to make the first dictionary of."""

SECOND = 512
"""Objects before a second dictionary is tried: the first may be of neighbours in a list, all of one namespace."""

INTERVAL = 4096
"""Objects, at least, between further attempts: an attempt takes as long as packing one or two hundred objects."""

SAMPLE = 32
"""Objects for making a dictionary and judging it, spread evenly over those since the last attempt."""

SAMPLE_BYTES = 8 * 1024
"""Largest part of one object, from its beginning on, that a sample takes."""

DICTIONARY_BYTES = 128 * 1024
"""Largest size of a dictionary."""

SMALLEST = 8
"""Size below which zstd takes no dictionary: a smaller one is filled up with spaces."""

BETTER = 0.9
"""A new dictionary is adopted if it packs objects outside it to less than this fraction of their present size."""

WORTHWHILE = 0.9
"""An object is kept packed if its size becomes this fraction of the original or less."""

GENERATIONS = 4
"""Dictionaries that may be in use, the current one included; objects of older ones are packed again."""

Convert: TypeAlias = Callable[[bytes], bytes]


def find_zstd() -> Any:
    """Return the module that compresses: the standard library's from Python 3.14 on, or its backport.

    Raises:
        ImportError: If it is not installed.
    """
    is_standard = sys.version_info >= (3, 14)
    name = "compression.zstd" if is_standard else "backports.zstd"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        remedy = "this Python was built without" if is_standard else "pip install 'aioinformers[compact]'"
        raise ImportError(f"compact=True needs {name}, which is not installed: {remedy}", name=name) from error


def converters(zstd: Any, content: bytes) -> tuple[Convert, Convert]:
    """Return a compressor and a decompressor that use a dictionary.

    Args:
        zstd: The module that :func:`find_zstd` returns.
        content: The dictionary's bytes.

    Returns:
        A function that compresses, for one thread at a time, and one that decompresses, for any threads.
    """
    dictionary = zstd.ZstdDict(content.ljust(SMALLEST), is_raw=True)
    compressor = zstd.ZstdCompressor(level=LEVEL, zstd_dict=dictionary.as_digested_dict)
    compress, whole, decompressor = compressor.compress, compressor.FLUSH_FRAME, zstd.ZstdDecompressor
    # A decompressor serves one frame. To make one takes longer than to unpack a small object, but there is no way to
    # use it again; the module's own `decompress` makes one, too, and looks for further frames.
    return lambda data: compress(data, whole), lambda data: decompressor(dictionary).decompress(data)


class Dictionary:
    """The dictionary of some packed objects, which keep it alive.

    Args:
        number: Its number.
        unpack: Its decompressor.

    Attributes:
        number: Number among the dictionaries of one packer, from 1 on.
        unpack: Decompresses bytes that were packed with it.
    """

    __slots__ = ("__weakref__", "number", "unpack")

    def __init__(self, number: int, unpack: Convert) -> None:
        self.number: int = number
        self.unpack: Convert = unpack


class Packed(msgspec.Struct, gc=False, eq=False):
    """The packed JSON bytes of one object; equal to the same bytes, packed or not.

    Attributes:
        data: The compressed bytes.
        dictionary: The dictionary that they were packed with.
    """

    data: bytes
    dictionary: Dictionary

    def unpack(self) -> bytes:
        """Return the unpacked JSON bytes."""
        return self.dictionary.unpack(self.data)

    def __eq__(self, other: object) -> bool:
        return self.unpack() == (other.unpack() if isinstance(other, Packed) else other)


class Packer:
    """Packs the objects of one informer, in the thread of its loop.

    Attributes:
        population: Number of objects in the store. After as many have been packed, most of the store may have changed,
            and a new dictionary is compared with the current one.
        is_crowded: Whether too many dictionaries are in use: objects that :meth:`is_outdated` should be packed again.

    Raises:
        ImportError: If no zstd library is installed.
    """

    def __init__(self) -> None:
        self._zstd = find_zstd()
        self._compress: Convert | None = None
        self._current: Dictionary | None = None
        self._in_use: weakref.WeakSet[Dictionary] = weakref.WeakSet()
        self._sample: list[Packed | bytes] = []
        self._stride = 1
        self._next = 1
        self._due = FIRST
        self._seen = 0
        self._objects = self._raw_bytes = self._packed_bytes = 0
        self.population: int = 0
        self.is_crowded: bool = False

    def pack(self, raw: bytes) -> Packed | bytes:
        """Return JSON bytes packed, or unchanged if packing saves too little."""
        body = self._packed(raw)
        self._seen += 1
        if self._seen >= self._next:
            self._take(body)
        return body

    def _packed(self, raw: bytes) -> Packed | bytes:
        compress, current = self._compress, self._current
        if compress is None or current is None:
            return raw
        packed = compress(raw)
        size = len(packed)
        self._objects += 1
        self._raw_bytes += len(raw)
        self._packed_bytes += size
        if size > WORTHWHILE * len(raw):
            return raw
        # A copy of the exact size: the compressor shrinks a large block in place, and the rest of that block is too
        # small for the next one, so the memory would not be saved.
        return Packed(bytes(memoryview(packed)), current)

    def is_outdated(self, body: Packed | bytes) -> bool:
        """Tell whether a body was packed with a dictionary that is too old."""
        current = self._current
        return (
            current is not None and isinstance(body, Packed) and body.dictionary.number <= current.number - GENERATIONS
        )

    def repack(self, body: Packed) -> Packed | bytes:
        """Return a body packed with the current dictionary."""
        return self.pack(body.unpack())

    def _take(self, body: Packed | bytes) -> None:
        """Add an object to the sample, and halve a full sample; try a new dictionary if one is due."""
        self._sample.append(body)
        if len(self._sample) == SAMPLE:
            del self._sample[1::2]
            self._stride *= 2
        self._next = self._seen + self._stride
        if self._seen >= self._due:
            self._renew()

    def _renew(self) -> None:
        """Make a dictionary of the sample, and adopt it if it packs objects outside it clearly better."""
        sample = [(body.unpack() if isinstance(body, Packed) else body)[:SAMPLE_BYTES] for body in self._sample]
        self._sample = []
        self._seen, self._stride, self._next = 0, 1, 1
        if self._compress is None:
            self._due = SECOND
            self._adopt(*converters(self._zstd, b"".join(sample)[:DICTIONARY_BYTES]))
            return
        self._due = max(INTERVAL, self.population)
        test_objects, before = sample[::4], self._compress
        del sample[::4]
        compress, decompress = converters(self._zstd, b"".join(sample)[:DICTIONARY_BYTES])
        if sum(len(compress(raw)) for raw in test_objects) < BETTER * sum(len(before(raw)) for raw in test_objects):
            self._adopt(compress, decompress)

    def _adopt(self, compress: Convert, decompress: Convert) -> None:
        number = 1 if self._current is None else self._current.number + 1
        self._compress = compress
        self._current = Dictionary(number, decompress)
        self._in_use.add(self._current)
        self.is_crowded = len(self._in_use) > GENERATIONS

    def statistics(self) -> CompactStatistics:
        """Return a snapshot of the counters."""
        return CompactStatistics(self._objects, self._raw_bytes, self._packed_bytes, len(self._in_use))
