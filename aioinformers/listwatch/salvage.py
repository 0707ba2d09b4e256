"""What an object is about, in bytes that no decoder reads: bad escapes, control characters, endless brackets. Pure.

One bad object is one bad object (G11): if its name can be found, it is rejected by name. Members are found by their
brackets, so that all else in the object may be wrong. It takes long, so it is done in steps.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import NamedTuple

import msgspec

from aioinformers.listwatch.brackets import end_of_value
from aioinformers.objects.paths import join_key

__all__ = ["Salvaged", "salvage_event", "salvage_object"]

_OPENING = re.compile(rb"[ \t\r\n]*+\{[ \t\r\n]*+")
_MEMBER = re.compile(rb'(?s)("[^"\\]{0,1024}+(?:\\.[^"\\]{0,64}+){0,16}+")[ \t\r\n]*+:[ \t\r\n]*+')
_COMMA = re.compile(rb"[ \t\r\n]*+,[ \t\r\n]*+")
_SPACE = re.compile(rb"[ \t\r\n]*+")

_MEMBERS = 128
"""Members that are passed over without a pause."""

_decode_text = msgspec.json.Decoder(str).decode


class Salvaged(NamedTuple):
    """What has been found of an object.

    Attributes:
        key: Its internal key.
        version: Its resourceVersion, or an empty text.
        event: The type of the event that told of it, or an empty text.
    """

    key: str
    version: str
    event: str = ""


def salvage_event(line: bytes, *, is_deep: bool) -> Generator[None, None, Salvaged | None]:
    """Find what a line of a watch is about, yielding at every pause.

    Args:
        line: The line.
        is_deep: Whether a decoder has found nothing wrong with it but its depth. Then it need not be followed to its
            end, and it is no matter how large it is.

    Returns:
        What has been found; None if the line is not whole, or names no object.
    """
    at = _after(_SPACE, line, 0)
    if is_deep:
        is_whole = line.rstrip().endswith(b"}")
    else:
        end = yield from end_of_value(line, at)
        is_whole = end >= 0 and not line[end:].strip()
    if not is_whole:
        return None
    event = yield from _text(line, at, b'"type"')
    inside = yield from _find_member(line, at, b'"object"')
    if not event or inside < 0:
        return None
    found = yield from salvage_object(line, inside)
    return Salvaged(found.key, found.version, event) if found else None


def salvage_object(data: bytes, at: int) -> Generator[None, None, Salvaged | None]:
    """Find what an object is about, yielding at every pause; None if it has no name that can be read.

    Args:
        data: The bytes that it is in.
        at: Where it begins.
    """
    metadata = yield from _find_member(data, at, b'"metadata"')
    if metadata < 0:
        return None
    name = yield from _text(data, metadata, b'"name"')
    namespace = yield from _text(data, metadata, b'"namespace"')
    version = yield from _text(data, metadata, b'"resourceVersion"')
    if not name or namespace is None:
        return None
    return Salvaged(join_key(namespace, name), version or "")


def _text(data: bytes, at: int, name: bytes) -> Generator[None, None, str | None]:
    """Return the text of a member; an empty one if it has none, None if that cannot be read."""
    begin = yield from _find_member(data, at, name)
    if begin < 0 or data[begin : begin + 1] != b'"':
        return ""
    end = yield from end_of_value(data, begin)
    try:
        return _decode_text(data[begin:end].decode(errors="replace")) if end >= 0 else None
    except msgspec.DecodeError:
        return None


def _find_member(data: bytes, at: int, name: bytes) -> Generator[None, None, int]:
    """Find where the value of an object's member begins; -1 if it has no such member.

    Args:
        data: The bytes that it is in.
        at: Where the object begins.
        name: The member's name, in quotes.
    """
    at = _after(_OPENING, data, at)
    passed = 0
    while at >= 0 and (member := _MEMBER.match(data, at)):
        if member[1] == name:
            return member.end()
        end = yield from end_of_value(data, member.end())
        at = _after(_COMMA, data, end) if end >= 0 else -1
        passed += 1
        if not passed % _MEMBERS:
            yield
    return -1


def _after(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    match = pattern.match(data, at)
    return -1 if match is None else match.end()
