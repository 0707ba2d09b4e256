"""What a stored version was decoded to serves everybody: levels shared per version, in a bounded number. Pure.

The first read of a model scans the JSON of its level into plain values and raw parts, which nobody changes afterwards.
So every reader of that version can use it, and only what can be changed (models, lists, dicts) is made for each. The
levels stand beside the bytes, in the place of the entry's body, and die with that version. Too many are dropped again,
those first that nobody has read since they were looked at last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

__all__ = ["LIMIT", "Levels", "Scanned"]

LIMIT: Final = 8192
"""Versions of an informer whose levels are kept."""
FEW: Final = 512
"""The same where bytes are kept packed: with the levels of a version, its unpacked bytes are kept."""
UNPACKED_BYTES: Final = 8 * 1024 * 1024
"""Bytes of those that are kept unpacked, at most, unless it is a single one."""
STEPS: Final = 8
"""Versions that one read looks at, at most, to find one to drop."""


_OWN: Final = frozenset({"_metadata", "_spec", "_status"})
"""Slots of the parts that nearly all objects have."""


class Scanned(msgspec.Struct, gc=False, eq=False):
    """The bytes of a version that somebody has read, and what they were decoded to; equal to the same bytes.

    Attributes:
        raw: The bytes.
        level: The level of the whole object; None if only parts of it have been wanted so far.
        is_used: Somebody has read it since it was looked at last.
        others: The levels of other parts than those that nearly all objects have, by slot.
    """

    raw: bytes
    level: Any = None
    is_used: bool = True
    _metadata: Any = None
    _spec: Any = None
    _status: Any = None
    others: dict[str, Any] | None = None

    def part(self, slot: str) -> Any:
        """Return the level of a part; None if nobody has wanted it so far."""
        return getattr(self, slot) if slot in _OWN else (self.others or {}).get(slot)

    def keep(self, slot: str, level: Any) -> None:
        """Keep the level of a part."""
        if slot in _OWN:
            setattr(self, slot, level)
        else:
            self.others = (self.others or {}) | {slot: level}

    def __eq__(self, other: object) -> bool:
        return self.raw == (other.raw if isinstance(other, Scanned) else other)

    def __hash__(self) -> int:
        return hash(self.raw)


class Levels:
    """The versions of one informer that have levels, at most so many; other threads may read, too.

    Args:
        limit: How many.
        few: How many of those whose bytes are kept packed.

    Attributes:
        find: Returns the entry that is stored under a key now, or None.
    """

    def __init__(self, limit: int = LIMIT, few: int = FEW) -> None:
        self.find: Callable[[str], Any] = lambda _: None
        self._limit, self._few = limit, few
        self._keys: deque[str] = deque()
        self._unpacked: dict[str, tuple[Any, Scanned]] = {}  # beside the entries, whose bodies are the packed bytes
        self._unpacked_bytes = 0

    def share(self, entry: Any, raw: bytes) -> Scanned:
        """Return where the levels of an entry's bytes are kept, and drop those of another one that nobody reads."""
        known = entry.body
        if known.__class__ is Scanned:  # somebody else has been as quick
            return known
        scanned = entry.body = Scanned(raw)
        keys = self._keys
        keys.append(entry.key)
        if len(keys) > self._limit:
            self._drop_one()
        return scanned

    def unpacked(self, entry: Any, unpack: Callable[[Any], bytes]) -> Scanned:
        """Return where the levels of an entry are kept whose body is packed, and drop those of another one."""
        key, unpacked = entry.key, self._unpacked
        known = unpacked.get(key)
        if known is not None and known[0] is entry:
            return known[1]
        scanned = Scanned(unpack(entry.body))
        self._forget(key)  # to the end
        unpacked[key] = entry, scanned
        self._unpacked_bytes += len(scanned.raw)
        if len(unpacked) > self._few:
            self._drop_unpacked()
        while self._unpacked_bytes > UNPACKED_BYTES and len(unpacked) > 1:
            self._drop_unpacked()
        return scanned

    def _forget(self, key: str) -> tuple[Any, Scanned] | None:
        known = self._unpacked.pop(key, None)
        if known is not None:
            self._unpacked_bytes -= len(known[1].raw)
        return known

    def _drop_unpacked(self) -> None:
        unpacked = self._unpacked
        for step in range(1, STEPS + 1):
            try:
                key = next(iter(unpacked))
            except (StopIteration, RuntimeError):  # another thread was quicker
                return
            if (known := self._forget(key)) is None:
                return
            if not known[1].is_used or step == STEPS or self.find(key) is not known[0]:
                return
            known[1].is_used = False
            unpacked[key] = known
            self._unpacked_bytes += len(known[1].raw)

    def _drop_one(self) -> None:
        keys = self._keys
        for step in range(1, STEPS + 1):
            try:
                key = keys.popleft()
            except IndexError:  # another thread was quicker
                return
            entry = self.find(key)
            body = None if entry is None else entry.body
            if body.__class__ is not Scanned:
                return  # that version is gone
            if not body.is_used or step == STEPS:
                entry.body = body.raw
                return
            body.is_used = False
            keys.append(key)

    def __len__(self) -> int:
        return len(self._keys) + len(self._unpacked)

    def clear(self) -> None:
        """Drop all: an object that somebody keeps must not keep the store."""
        self._keys.clear()
        self._unpacked.clear()
        self._unpacked_bytes = 0
        self.find = lambda _: None
