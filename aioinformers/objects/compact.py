"""Compresses stored objects with zstd and a dictionary made of the informer's own objects. Pure.

Objects of one kind are alike, so each object is packed by itself against a *dictionary* of a few others: earlier
objects, joined without training. As objects change over time, newer dictionaries replace older ones; objects packed
before keep their dictionary. The store holds a :class:`Packed` instead of the object's bytes.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import msgspec

from aioinformers.statistics import CompactStatistics

__all__ = ["Dictionary", "Packed", "Packer", "StandardZstd", "Zstandard", "Zstd", "find_zstd"]

LEVEL = 3
"""Compression level of zstd: lower levels save little time, higher ones little memory."""

SMALL_TABLES = {"hash_log": 15, "chain_log": 14}
"""Parameters that reduce the compressor's tables from 500–800 KB to 200 KB without worse results."""

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

BETTER = 0.9
"""A new dictionary is adopted if it packs objects outside it to less than this fraction of their present size."""

WORTHWHILE = 0.9
"""An object is kept packed if its size becomes this fraction of the original or less."""

GENERATIONS = 4
"""Dictionaries that may be in use, the current one included; objects of older ones are packed again."""

Convert: TypeAlias = Callable[[bytes], bytes]


class Zstd(Protocol):
    """The functions that a zstd library must provide."""

    def converters(self, content: bytes) -> tuple[Convert, Convert]:
        """Return a compressor and a decompressor that use a dictionary.

        Args:
            content: The dictionary's bytes.

        Returns:
            A function that compresses, for one thread at a time, and one that decompresses, for any threads.
        """


class Zstandard:
    """Adapts the package ``zstandard``.

    Args:
        module: The module ``zstandard``.
    """

    def __init__(self, module: Any) -> None:
        self._zstd = module

    def converters(self, content: bytes) -> tuple[Convert, Convert]:
        """Return a compressor and a decompressor, as :meth:`Zstd.converters` says."""
        dictionary = self._zstd.ZstdCompressionDict(content, dict_type=self._zstd.DICT_TYPE_RAWCONTENT)
        parameters = self._zstd.ZstdCompressionParameters.from_level(
            LEVEL, source_size=SAMPLE_BYTES, dict_size=len(content), **SMALL_TABLES
        )
        dictionary.precompute_compress(compression_params=parameters)
        local = threading.local()  # a decompressor serves one thread at a time, but any thread may read objects

        def decompress(data: bytes) -> bytes:
            try:
                function: Convert = local.decompress
            except AttributeError:
                function = local.decompress = self._zstd.ZstdDecompressor(dict_data=dictionary).decompress
            return function(data)

        return self._zstd.ZstdCompressor(compression_params=parameters, dict_data=dictionary).compress, decompress


class StandardZstd:
    """Adapts the standard library's ``compression.zstd``, new in Python 3.14.

    Args:
        module: The module ``compression.zstd``.
    """

    def __init__(self, module: Any) -> None:
        self._zstd = module

    def converters(self, content: bytes) -> tuple[Convert, Convert]:
        """Return a compressor and a decompressor, as :meth:`Zstd.converters` says."""
        dictionary = self._zstd.ZstdDict(content, is_raw=True)
        compressor = self._zstd.ZstdCompressor(level=LEVEL, zstd_dict=dictionary.as_digested_dict)
        compress, flush, decompress = compressor.compress, compressor.FLUSH_FRAME, self._zstd.decompress
        return lambda data: compress(data, flush), lambda data: decompress(data, dictionary)


def find_zstd() -> Zstd:
    """Return an installed zstd library, preferably ``zstandard``, which decompresses in a fraction of the time.

    Raises:
        ImportError: If neither ``zstandard`` nor ``compression.zstd`` is available.
    """
    with contextlib.suppress(ModuleNotFoundError):
        return Zstandard(importlib.import_module("zstandard"))
    try:
        return StandardZstd(importlib.import_module("compression.zstd"))
    except ModuleNotFoundError as error:
        raise ImportError(
            "compact=True needs zstd, which is not installed: pip install 'aioinformers[compact]'", name="zstandard"
        ) from error


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

    Args:
        zstd: The library to use; the installed one by default.

    Attributes:
        population: Number of objects in the store. After as many have been packed, most of the store may have changed,
            and a new dictionary is compared with the current one.
        is_crowded: Whether too many dictionaries are in use: objects that :meth:`is_outdated` should be packed again.

    Raises:
        ImportError: If no zstd library is installed.
    """

    def __init__(self, zstd: Zstd | None = None) -> None:
        self._zstd: Zstd = zstd or find_zstd()
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
            self._adopt(*self._zstd.converters(b"".join(sample)[:DICTIONARY_BYTES]))
            return
        self._due = max(INTERVAL, self.population)
        test_objects, before = sample[::4], self._compress
        del sample[::4]
        compress, decompress = self._zstd.converters(b"".join(sample)[:DICTIONARY_BYTES])
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
