"""The parts that an object ends with, found without a scan of all that comes before them. Pure.

Kubernetes writes ``spec`` and ``status`` last. What stands behind the last ``,"status":{`` up to the closing brace is
the object's own status if it is one complete value, as the JSON has been accepted: a quote after a comma is inside no
text, and one brace is left. What stands behind a ``,"spec":{`` is the spec likewise if it is one complete value up to
there. Without the proof of the status there is none of the spec: another one could follow. Both are decoded anyway, so
the proof costs nothing but the search; where it fails, the whole object is scanned, as if nobody had tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from aioinformers.objects.levels import Scanned

__all__ = ["Spans"]

SPEC: Final = "_spec"
STATUS: Final = "_status"

_SPEC, _STATUS = b',"spec":{', b',"status":{'
_TO_SPEC, _TO_STATUS = len(_SPEC) - 1, len(_STATUS) - 1
_MISSES, _SELDOM = 8, 256
"""Objects of one kind in a row whose status is not found: this server writes them otherwise, and it is looked for
seldom from then on, in one of so many."""

Decode = Callable[[Any], Any]


class Spans:
    """Finds the levels of an object's status and spec.

    Args:
        decoders: Returns, per slot, what makes the level of a part, when it is first wanted.
    """

    def __init__(self, decoders: Mapping[str, Callable[[], Decode]]) -> None:
        self._decoders = decoders if STATUS in decoders else {}
        self._decode: dict[str, Decode] = {}
        self._misses = 0
        self._find = bytes.rfind  # a spec may have others inside, and be the first or the last of them

    def level(self, scanned: Scanned, slot: str) -> Any:
        """Return the level of a part, and keep it; None if it is not found.

        Args:
            scanned: An object of which no part has been found otherwise.
            slot: The part's slot.
        """
        if slot not in self._decoders:
            return None
        if self._misses >= _MISSES and self._misses % _SELDOM:
            self._misses += 1
            return None
        if not self._decode:
            self._decode = {slot: decoder() for slot, decoder in self._decoders.items()}
        raw = scanned.raw
        status = scanned.part(STATUS)
        if status is None:
            status = self._between(STATUS, raw, raw.rfind(_STATUS) + _TO_STATUS, len(raw) - 1)
            if status is None:
                self._misses += 1
                return None
            self._misses = 0
            scanned.keep(STATUS, status)
        if slot == STATUS:
            return status
        end = len(raw) - 1 - _TO_STATUS - len(status.raw)
        spec = self._between(SPEC, raw, self._find(raw, _SPEC, 0, end) + _TO_SPEC, end)
        if spec is None:
            self._find = bytes.find if self._find is bytes.rfind else bytes.rfind
            spec = self._between(SPEC, raw, self._find(raw, _SPEC, 0, end) + _TO_SPEC, end)
        if spec is not None:
            scanned.keep(SPEC, spec)
        return spec

    def _between(self, slot: str, raw: bytes, begin: int, end: int) -> Any:
        """Return the level of a part between two places; None if there is not exactly one value."""
        if begin < _TO_STATUS:  # nothing has been found, or nothing could stand before it
            return None
        json = memoryview(raw)[begin:end]
        try:
            level = self._decode[slot](json)
        except (msgspec.DecodeError, RecursionError):
            return None
        level.raw = json
        return level
