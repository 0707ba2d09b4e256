"""Objects kept packed: zstd with a dictionary made of the informer's own objects. Pure.

Objects of one kind are alike, so each is packed on its own, at its own price, against a *dictionary* of a few others:
earlier objects joined, nothing is trained. When it has grown old, a younger one takes over; what was packed before
keeps the dictionary it was packed with. A :class:`Packed` is all that the store needs to hold of an object.
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
"""Of zstd: below it saves little time, above it little memory."""

SMALL_TABLES = {"hash_log": 15, "chain_log": 14}
"""What finds repetitions takes 200 KB then instead of 500 to 800, and finds as many."""

FIRST = 16
"""Objects that stay as they are, to make the first dictionary of."""

SECOND = 512
"""Objects until a second dictionary is tried: the first may be of neighbours in a list, all of one namespace."""

INTERVAL = 4096
"""Objects, at least, between further tries: one costs about as much as packing a hundred objects or two."""

SAMPLE = 32
"""Objects to make a dictionary of and to judge it by, spread evenly over those since the last try."""

SAMPLE_BYTES = 8 * 1024
"""Of one large object no more than its beginning is taken."""

DICTIONARY_BYTES = 128 * 1024

BETTER = 0.9
"""A younger dictionary takes over if it makes objects that it has not seen smaller than this times what they were."""

WORTHWHILE = 0.9
"""What does not get smaller than this times its size stays as it is."""

GENERATIONS = 4
"""Dictionaries in use, the youngest included; what was packed with an older one is packed anew."""

Convert: TypeAlias = Callable[[bytes], bytes]


class Zstd(Protocol):
    """What is needed of a zstd library."""

    def converters(self, content: bytes) -> tuple[Convert, Convert]:
        """Return what compresses with a dictionary, in one thread at a time, and what decompresses, in any thread."""


class Zstandard:
    """The package ``zstandard``."""

    def __init__(self, module: Any) -> None:
        self._zstd = module

    def converters(self, content: bytes) -> tuple[Convert, Convert]:
        """Return what compresses with a dictionary, in one thread at a time, and what decompresses, in any thread."""
        dictionary = self._zstd.ZstdCompressionDict(content, dict_type=self._zstd.DICT_TYPE_RAWCONTENT)
        parameters = self._zstd.ZstdCompressionParameters.from_level(
            LEVEL, source_size=SAMPLE_BYTES, dict_size=len(content), **SMALL_TABLES
        )
        dictionary.precompute_compress(compression_params=parameters)
        mine = threading.local()  # a decompressor is for one thread at a time, and reads are safe from all

        def decompress(data: bytes) -> bytes:
            try:
                found: Convert = mine.decompress
            except AttributeError:
                found = mine.decompress = self._zstd.ZstdDecompressor(dict_data=dictionary).decompress
            return found(data)

        return self._zstd.ZstdCompressor(compression_params=parameters, dict_data=dictionary).compress, decompress


class StandardZstd:
    """The standard library's ``compression.zstd``, new in Python 3.14."""

    def __init__(self, module: Any) -> None:
        self._zstd = module

    def converters(self, content: bytes) -> tuple[Convert, Convert]:
        """Return what compresses with a dictionary, in one thread at a time, and what decompresses, in any thread."""
        dictionary = self._zstd.ZstdDict(content, is_raw=True)
        compressor = self._zstd.ZstdCompressor(level=LEVEL, zstd_dict=dictionary.as_digested_dict)
        compress, whole, decompress = compressor.compress, compressor.FLUSH_FRAME, self._zstd.decompress
        return lambda data: compress(data, whole), lambda data: decompress(data, dictionary)


def find_zstd() -> Zstd:
    """Return the zstd that this Python has; first choice the package, which unpacks in a fraction of the time.

    Raises:
        ImportError: If it has none.
    """
    with contextlib.suppress(ModuleNotFoundError):
        return Zstandard(importlib.import_module("zstandard"))
    try:
        return StandardZstd(importlib.import_module("compression.zstd"))
    except ModuleNotFoundError as error:
        raise ImportError(
            "compact=True needs zstd, which this Python has not: pip install 'aioinformers[compact]'", name="zstandard"
        ) from error


class Dictionary:
    """What some objects were packed with; lives as long as one of them does.

    Attributes:
        number: Dictionaries of one packer are numbered from 1 on.
        unpack: Returns the bytes that were packed with it.
    """

    __slots__ = ("__weakref__", "number", "unpack")

    def __init__(self, number: int, unpack: Convert) -> None:
        self.number: int = number
        self.unpack: Convert = unpack


class Packed(msgspec.Struct, gc=False, eq=False):
    """The JSON bytes of one object, packed; equal to the bytes, and to whatever else holds the same ones.

    Attributes:
        data: What the dictionary unpacks.
        dictionary: What it was packed with.
    """

    data: bytes
    dictionary: Dictionary

    def unpack(self) -> bytes:
        """Return the JSON bytes."""
        return self.dictionary.unpack(self.data)

    def __eq__(self, other: object) -> bool:
        return self.unpack() == (other.unpack() if isinstance(other, Packed) else other)


class Packer:
    """Packs the objects of one informer, in the thread of its loop.

    Attributes:
        population: How many objects there are at present: once that many have been packed, the store may have turned
            over, and its dictionary is due for a comparison with a younger one.
        is_crowded: There are more dictionaries in use than should be: pack anew what :meth:`is_outdated`.
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
        """Return JSON bytes packed, or as they are if that is no larger."""
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
        # A copy of the exact size. The compressor has shrunk a large block in place: what that leaves free of it
        # fits no other large block, and nothing would be saved.
        return Packed(bytes(memoryview(packed)), current)

    def is_outdated(self, body: Packed | bytes) -> bool:
        """Tell whether something was packed with a dictionary that should go."""
        current = self._current
        return (
            current is not None and isinstance(body, Packed) and body.dictionary.number <= current.number - GENERATIONS
        )

    def repack(self, body: Packed) -> Packed | bytes:
        """Return the same, packed with the youngest dictionary."""
        return self.pack(body.unpack())

    def _take(self, body: Packed | bytes) -> None:
        """Add an object to the sample, which thins itself out as it fills; try a younger dictionary if it is time."""
        self._sample.append(body)
        if len(self._sample) == SAMPLE:
            del self._sample[1::2]
            self._stride *= 2
        self._next = self._seen + self._stride
        if self._seen >= self._due:
            self._renew()

    def _renew(self) -> None:
        """Make a dictionary of the sample; it takes over if it is clearly better for objects that it has not seen."""
        sample = [(body.unpack() if isinstance(body, Packed) else body)[:SAMPLE_BYTES] for body in self._sample]
        self._sample = []
        self._seen, self._stride, self._next = 0, 1, 1
        if self._compress is None:
            self._due = SECOND
            self._adopt(*self._zstd.converters(b"".join(sample)[:DICTIONARY_BYTES]))
            return
        self._due = max(INTERVAL, self.population)
        judges, before = sample[::4], self._compress
        del sample[::4]
        compress, decompress = self._zstd.converters(b"".join(sample)[:DICTIONARY_BYTES])
        if sum(len(compress(raw)) for raw in judges) < BETTER * sum(len(before(raw)) for raw in judges):
            self._adopt(compress, decompress)

    def _adopt(self, compress: Convert, decompress: Convert) -> None:
        number = 1 if self._current is None else self._current.number + 1
        self._compress = compress
        self._current = Dictionary(number, decompress)
        self._in_use.add(self._current)
        self.is_crowded = len(self._in_use) > GENERATIONS

    def statistics(self) -> CompactStatistics:
        """Return a snapshot."""
        return CompactStatistics(self._objects, self._raw_bytes, self._packed_bytes, len(self._in_use))
