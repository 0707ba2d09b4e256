"""The JSON that is stored of an object: after built-in transforms, before users' functions. Pure.

Most informers keep just that. Of those that keep something else, decoded objects or what a user's function made, the
bytes are a *fact* of each object that has arrived, until they have been stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from aioinformers.listwatch.wire import ObjectDecoder
from aioinformers.objects.deltas import UPSERT, Delta
from aioinformers.objects.documents import steady
from aioinformers.objects.facts import FactReader
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.paths import Path
from aioinformers.objects.transforms import BytesTransform
from aioinformers.transport.status import UNREADABLE

__all__ = ["STORED", "StoredBytes", "StoredDecoder", "bytes_of", "is_kept", "storing", "stripped"]


class StoredBytes:
    """The fact that is an object's JSON."""

    paths: tuple[Path, ...] = ()
    needed: tuple[Path, ...] = ()

    def reader(self, before: BytesTransform, *, has_spec: bool) -> FactReader:
        """Return what gives an object's JSON after the built-in transforms that come first."""
        return _Reader(before)


class _Reader:
    wanted: tuple[Path, ...] = ()

    def __init__(self, before: BytesTransform) -> None:
        self._apply: Callable[[bytes], bytes] = before.apply

    def __call__(self, raw: bytes, values: Sequence[Any] | None = None) -> bytes:
        try:
            return self._apply(raw)
        except RecursionError:
            return steady(self._apply, raw)


STORED: Final = StoredBytes()


def is_kept(layout: Layout[Any]) -> bool:
    """Tell whether what the store keeps is what is stored."""
    is_built_in = all(isinstance(transform, BytesTransform) for transform in layout.transforms)
    return is_built_in and layout.object_type.keeps_bytes


def storing(layout: Layout[Any]) -> Layout[Any]:
    """Return a layout whose objects can be stored."""
    return layout if is_kept(layout) else layout.with_fact(STORED)


def bytes_of(layout: Layout[Any], entry: Entry) -> bytes | None:
    """Return what is to be stored of an object; None if that is not known any more. Any thread may ask."""
    if STORED not in layout.facts:
        return layout.object_type.raw(entry.body)
    facts = entry.facts
    for at in range(0, len(facts), 2):
        if facts[at] is STORED:
            found: bytes = facts[at + 1]
            return found
    return None


def stripped(entry: Entry) -> None:
    """Drop the bytes of an object that has been stored."""
    facts = entry.facts
    for at in range(0, len(facts), 2):
        if facts[at] is STORED:
            entry.facts = facts[:at] + facts[at + 2 :]
            return


class StoredDecoder(ObjectDecoder):
    """Makes what was stored into objects of an informer, in the way in which they arrive from a server.

    Args:
        layout: How objects become entries.
    """

    def __init__(self, layout: Layout[Any]) -> None:
        super().__init__(layout)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(layout.reader.projection).decode
        self._is_kept = STORED not in layout.facts

    def restored(self, key: str, uid: str, version: str, raw: bytes) -> Delta | None:
        """Return an object; None if the bytes are not those of an object of this key."""
        try:
            reading = self.layout.reader.read(self._decode(raw))
        except (ValueError, *UNREADABLE):
            tolerant = self.tolerant_reading(raw)
            if tolerant is None:
                return None
            reading = tolerant
        if reading[0] != key:
            return None
        delta = self.delta(UPSERT, raw, (key, uid, version, reading[3]))  # a transform may drop the last two
        if not self._is_kept and delta[0] == UPSERT:
            stripped(delta[2])
        return delta
