"""Whether what comes is what was asked for: the kind of a watch, the namespace of an object. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from aioinformers.objects.deltas import DELETE, REJECT, Batch
from aioinformers.transport.chunks import Block
from aioinformers.transport.status import UNREADABLE

__all__ = ["KindCheck", "refuse_strangers"]


class _Typed(msgspec.Struct, rename={"api_version": "apiVersion"}, gc=False):
    kind: str | None = None
    api_version: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    object: _Typed | None = None


_decode = msgspec.json.Decoder(_Event).decode

_SHOWS_NO_KIND = ("BOOKMARK", "ERROR", None)
"""Types of events after which the next line is looked at, too."""


class KindCheck:
    """Looks at the beginning of one watch: its first object, and each bookmark before it.

    Every answer comes from one server, so that what begins right goes on so.

    Args:
        refuse: Given the kind and the apiVersion of what the watch tells; raises if it is not to be believed.

    Attributes:
        is_open: Whether no object has been seen yet.
    """

    def __init__(self, refuse: Callable[[str, str], None]) -> None:
        self.is_open: bool = True
        self._refuse = refuse
        self._rest: list[bytes] = []

    def look(self, data: bytes | list[Block]) -> None:
        """Look at what came next of the watch, before anything of it is believed.

        What cannot be read, and what has no kind, is left to others to judge.

        Args:
            data: The next bytes, split anywhere; or blocks of lines.
        """
        for line in self._lines(data) if isinstance(data, bytes) else _lines_of(data):
            try:
                event = _decode(line)
            except UNREADABLE:
                continue
            if event.type != "ERROR" and event.object is not None and event.object.kind:
                self._refuse(event.object.kind, event.object.api_version or "")
            if event.type not in _SHOWS_NO_KIND:
                self.is_open = False
                self._rest.clear()
                return

    def _lines(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that some bytes complete; keep what is left of them."""
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            first, *others = whole.split(b"\n")
            line = b"".join([*self._rest, first])
            self._rest = [rest]
            yield line
            yield from others
        else:
            self._rest.append(data)


def _lines_of(blocks: list[Block]) -> Iterator[bytes]:
    for block in blocks:
        for start, end in block.spans:
            yield block.data[start:end]


def refuse_strangers(batch: Batch, prefix: str) -> None:
    """Reject the objects of other namespaces: something may drop the namespace from the path.

    Another scope has them, or nobody wants them. A deletion may pass: nothing is deleted by it.

    Args:
        batch: The objects; changed in place.
        prefix: How the keys of the right namespace begin.
    """
    if all(key.startswith(prefix) for _, key, _ in batch.deltas):
        return
    for at, (operation, key, _) in enumerate(batch.deltas):
        if operation != DELETE and not key.startswith(prefix):
            where = key.rpartition("/")[0]
            why = f"is in namespace {where[:63]!r}" if where else "is in no namespace"
            batch.deltas[at] = REJECT, key, f"{why}, although those of {prefix[:-1]!r} were asked for"
