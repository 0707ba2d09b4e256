"""What is left of an object's JSON without some of its members, found by their values and not by decoding. Pure.

The pass that reads the identity of an object meets the members to leave out, and gives their raw values. Where these
stand is searched for, and a place counts only if it is proven: had a member been cut out elsewhere, two objects could
look the same although they are not. Where nothing can be proven, the caller has to decode.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from aioinformers.objects.paths import EACH, Path

__all__ = ["Cuts", "outermost"]

_KIND = re.compile(rb'\{(?:"(?:kind|apiVersion)":"[^"\\]*",)*')
_METADATA = b'"metadata":{'
_BEFORE = b"{,"
_COMMA = ord(",")

_Member: TypeAlias = tuple[bytes, int, bytes, bool]
"""The name as it is written, with its colon, and its length; of the object's own the name after a comma, else nothing;
and whether it is one of the metadata."""


def outermost(paths: Iterable[Path]) -> tuple[Path, ...] | None:
    """Return the paths that are within no other; None if one leads to elements of a list, which cannot be cut out."""
    chosen: list[Path] = []
    for path in sorted(set(paths), key=lambda path: (len(path.steps), str(path))):
        if EACH in path.steps:
            return None
        if not any(path.steps[: len(outer.steps)] == outer.steps for outer in chosen):
            chosen.append(path)
    return tuple(chosen)


class Cuts:
    """Cuts members out of JSON, each with the comma that parts it from its neighbour.

    What identifies a kind is left out, too, where the object begins with it: some lists tell it, and others do not.

    Args:
        paths: The members, none of them within another.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        names = [msgspec.json.encode(path.steps[-1]) + b":" for path in paths]
        self._members: list[_Member] = [
            (name, len(name), b"," + name if len(path.steps) == 1 else b"", path.steps[:-1] == ("metadata",))
            for name, path in zip(names, paths, strict=True)
        ]
        self._head = _METADATA  # what the object before began with

    def remainder(self, raw: bytes, values: Sequence[Any]) -> bytes | None:
        """Return what is left of an object, or None where the place of a member is uncertain.

        Args:
            raw: JSON that has been accepted.
            values: The raw value of each member, empty where there is none; of the resourceVersion, its text.
        """
        head = self._head
        if not raw.startswith(head):
            kind: bytes = _KIND.match(raw)[0]  # type: ignore[index]  # an object, therefore there is a brace
            head = self._head = kind + _METADATA
        begin, stop = len(head) - len(_METADATA), len(raw)
        # What stands in the metadata before any other brace is a member of them.
        flat = raw.find(b"{", len(head)) if raw.startswith(head) else 0
        spans: list[tuple[int, int]] = []
        for (name, size, last, is_metadata), value in zip(self._members, values, strict=True):
            if not value:
                continue
            text = bytes(value) if value.__class__ is Raw else b'"%b"' % value.encode()
            length = size + len(text)
            if last and raw.endswith(text, 0, stop - 1) and raw.startswith(last, stop - 2 - length):
                # It is complete, and the closing brace alone follows; and a quote after a comma is inside no text.
                stop -= length + 1
                spans.append((stop, length))
                continue
            at = raw.find(name, begin, stop)
            if at < 0 or not raw.startswith(text, at + size):
                return None
            if (at > flat or not is_metadata or raw[at - 1] not in _BEFORE) and raw.find(name, at + length, stop) >= 0:
                return None  # it is not the only one of its name
            spans.append((at, length))
        parts = []
        for at, length in sorted(spans):
            if at > begin and raw[at - 1] == _COMMA:
                parts.append(raw[begin : at - 1])
                begin = at + length
            else:  # the first member, or the first that is left
                parts.append(raw[begin:at])
                begin = at + length + (raw[at + length] == _COMMA)
        parts.append(raw[begin:])
        return b"".join(parts)
