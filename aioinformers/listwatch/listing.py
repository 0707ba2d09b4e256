"""The bodies of lists, read while they arrive, whatever their layout. Pure.

What separates items may also stand inside one, so where an item ends is guessed (by how the one before ended and the
next one began), and a guess is believed only if what is before it decodes as one whole object: an object is
self-delimiting. Where guessing fails, the brackets of one item are counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

import msgspec

from aioinformers.errors import ResponseError
from aioinformers.listwatch.wire import ObjectDecoder, decode_cut
from aioinformers.objects.deltas import BATCH_BYTES, BATCH_EVENTS, UPSERT, Batch
from aioinformers.objects.layout import Layout, describe
from aioinformers.transport.status import UNREADABLE

__all__ = ["ListDecoder", "ListHead"]


class _ListMeta(msgspec.Struct, rename={"next": "continue"}, gc=False):
    resourceVersion: str = ""  # noqa: N815
    next: str = ""


class ListHead(msgspec.Struct, rename={"api_version": "apiVersion"}, gc=False):
    """A list without its items."""

    kind: str = ""
    api_version: str = ""
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    items: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def is_list(self) -> bool:
        """Whether it is a list at all: a custom resource may name the kind of its list as it likes."""
        return self.kind.endswith("List") or (bool(self.kind) and self.items is not msgspec.UNSET)


_decode_list = msgspec.json.Decoder(ListHead).decode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode

_TOKENS = re.compile(rb'(?s)[^][{}"]{0,4096}+(("items"[ \t\r\n]*+:[ \t\r\n]*+\[)|"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{}"]|)')
"""What begins the items, any other string, a bracket, or nothing after a stretch of anything else.

A lone quote begins a string that goes on behind the data.
"""
_CUT_ITEMS = re.compile(rb'"items"[ \t\r\n:]*+\Z')
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SEPARATOR = re.compile(rb"[ \t\r\n]*+([],])[ \t\r\n]*+")
_SCALAR = re.compile(rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^][{}", \t\r\n]++')

_MARKER = 12
"""Bytes at the beginning of an item that tell where one like it may begin."""
_PATIENCE = 64 * 1024
"""Bytes within which the end of an item is guessed; beyond, its brackets are counted, at many times the cost."""
_COUNTED = 32 * 1024
"""Bytes whose brackets are counted without a pause."""
_ODD_ITEMS = 8
"""Items of a batch whose ends were not guessed."""


class _Rest:
    """The bytes that have come and have not been read yet."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = 0

    def add(self, data: bytes) -> bool:
        """Add what came next; tell whether there is enough to go on reading."""
        self._parts.append(data)
        self._size += len(data)
        return self._size >= self._wanted

    def take(self) -> bytes:
        """Return all of it; what is not read is to be given back."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data

    def give_back(self, data: bytes) -> None:
        """Keep what cannot be read before more has come."""
        self._parts.append(data)
        self._size = size = len(data)
        # A large rest waits for a quarter more: joining it anew with every few bytes would be quadratic.
        self._wanted = size + size // 4 if size > _PATIENCE else 0


class _Envelope:
    """What stands around the items, kept in order to prove at the end that the body is whole.

    Attributes:
        has_items: Whether the array of items has begun, or even ended.

    Args:
        max_bytes: A larger one is refused.
    """

    def __init__(self, max_bytes: int) -> None:
        self.has_items = False
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._depth = 0

    def read(self, data: bytes, start: int, *, is_whole: bool) -> tuple[int, bool]:
        """Keep what is around the items.

        Returns:
            Where reading stopped, and whether the items begin there. Otherwise it is the end of the data, or the
            beginning of a token that is cut.

        Raises:
            ResponseError: If the envelope is too large, or if items begin for the second time.
        """
        rest = len(data)
        for token in _TOKENS.finditer(data, start):
            begin, end = token.span(1)
            character = data[end - 1] if end > begin else 0
            if character in b"{[":
                self._depth += 1
                if token[2] and self._depth == 2:
                    self._begin_items(data[start:end])
                    return end, True
            elif character in b"}]":
                self._depth -= 1
            elif character and not is_whole and (end - begin == 1 or _CUT_ITEMS.match(data, begin)):
                rest = begin
                break
        self._parts.append(data[start:rest])
        self._size += rest - start
        if self._size + len(data) - rest > self._max_bytes:
            raise ResponseError(f"what is around the list's items is larger than max_object_bytes={self._max_bytes}")
        return rest, False

    def _begin_items(self, last_part: bytes) -> None:
        self._parts.append(last_part)
        if self.has_items:
            raise ResponseError("the list has items twice")
        self.has_items = True

    def head_so_far(self) -> ListHead | None:
        """Return what stands before the items, which have just begun; None if that is not JSON."""
        try:
            return _decode_list(b"".join([*self._parts, b"]}"]))
        except UNREADABLE:
            return None

    def head(self) -> ListHead:
        """Return the list without its items.

        Raises:
            ResponseError: If the body is cut, or is not a list in JSON, or has items that have not been read.
        """
        try:
            head = decode_cut(_decode_list, b"".join(self._parts))
        except UNREADABLE as error:
            raise ResponseError(f"the body of the list is cut or no list: {describe(error)}") from error
        if not head.is_list:
            raise ResponseError(f"expected a list, got {head.kind or 'an object without kind'}")
        # Of the items that have been read, only the brackets are in the envelope.
        has_unread = head.items != [] if self.has_items else bool(head.items)
        if has_unread:
            raise ResponseError("the list has items twice, or under a name that is written with escapes")
        head.items = None
        return head


class _Brackets:
    """Finds the end of one item, whose bytes come in pieces, by the depth of its brackets.

    Attributes:
        at: Where counting goes on.
        is_paused: Whether the data hold more to count.
    """

    __slots__ = ("_depth", "_is_done", "at", "is_paused")

    def __init__(self, start: int) -> None:
        self.at = start
        self.is_paused = False
        self._depth = 0
        self._is_done = False

    def find_end(self, data: bytes) -> int:
        """Count on; return where the item ends, or -1 if that has not been reached."""
        self.is_paused = False
        if self._is_done:
            return self.at
        if not self._depth and data[self.at] not in b"{[":
            scalar = _SCALAR.match(data, self.at)
            return scalar.end() if scalar else -1
        limit = self.at + _COUNTED
        for token in _TOKENS.finditer(data, self.at):
            begin, end = token.span(1)
            character = data[end - 1] if end > begin else 0
            if character in b"{[":
                self._depth += 1
            elif character in b"}]":
                self._depth -= 1
                if not self._depth:
                    self.at, self._is_done = end, True
                    return end
            elif character and end - begin == 1:
                break
            self.at = end
            if end > limit:
                self.is_paused = True
                break
        return -1


class _Item(NamedTuple):
    """An item whose end is certain.

    Attributes:
        end: Where it ends.
        after: Where the next one begins, or where the bracket is that closes the array.
    """

    end: int
    after: int


class _ItemCutter:
    """Knows where the items of a list may end, and finds out where one does.

    Attributes:
        boundary: How the last item whose end is certain ended and how the next one began: a guess at the next boundary.
        step: Bytes from the beginning of a boundary to the item after it.
        patience: Bytes within which the boundary is looked for. An item that is found there is never too large.
        is_counting: Whether the brackets of an item are being counted, which has begun and not ended yet.
        is_done: Whether the array of items has ended.

    Args:
        max_item: An item beyond this many bytes is refused.
    """

    def __init__(self, max_item: int) -> None:
        self.boundary: bytes = b""
        self.step: int = 2
        self.patience: int = min(_PATIENCE, max_item)
        self.is_done: bool = False
        self._max_item = max_item
        self._brackets: _Brackets | None = None

    def begin(self, data: bytes, start: int, *, is_whole: bool) -> int:
        """Look at how the first item begins: there is no boundary as long as too little of it has come.

        Returns:
            Where it begins, or where the array ends.
        """
        start = _SPACE.match(data, start).end()  # type: ignore[union-attr]  # it matches anything
        if len(data) - start >= _MARKER or is_whole:
            self.boundary = b"}," + data[start : start + _MARKER]
            self.is_done = data.startswith(b"]", start)
        return start

    @property
    def is_counting(self) -> bool:
        return self._brackets is not None

    @property
    def is_paused(self) -> bool:
        """Whether counting has stopped for a pause, not for want of data."""
        return self._brackets is not None and self._brackets.is_paused

    def count(self, data: bytes, start: int, *, is_whole: bool) -> _Item | None:
        """Count the brackets of an item, and learn from it what the next boundary may be.

        Returns:
            The item; None as long as its end, or what follows it, has not been reached.

        Raises:
            ResponseError: If the item is too large, or something else than a comma follows it.
        """
        if self._brackets is None:
            self._brackets = _Brackets(start)
        end = self._brackets.find_end(data)
        separator = _SEPARATOR.match(data, end) if end >= 0 else None
        is_last = separator is not None and separator[1] == b"]"
        if separator is None or (len(data) - separator.end() < _MARKER and not (is_last or is_whole)):
            self._refuse_hopeless(data, start, end, is_whole=is_whole)
            return None
        self._refuse_large(end - start)
        self._brackets = None
        if is_last:
            self.is_done = True
            return _Item(end, separator.start(1))
        after = separator.end()
        self.boundary, self.step = data[end - 1 : after + _MARKER], after - end + 1
        self.patience = min(max(self.patience, 2 * (end - start)), self._max_item)
        return _Item(end, after)

    def forget(self, size: int) -> None:
        """Take note that the data will be given without their first bytes from now on."""
        if self._brackets is not None:
            self._brackets.at -= size

    def _refuse_hopeless(self, data: bytes, start: int, end: int, *, is_whole: bool) -> None:
        """Refuse what cannot become an item and a separator, however the data go on."""
        if end < 0:
            if not self.is_paused:
                self._refuse_large(len(data) - start)
        elif is_whole or not (_SEPARATOR.match(data, end) or _SPACE.fullmatch(data, end)):
            raise ResponseError("the body of the list is cut or no list: between two items is no comma")
        else:
            self._refuse_large(len(data) - end)

    def _refuse_large(self, length: int) -> None:
        if length > self._max_item:
            raise ResponseError(f"one item of the list is larger than max_object_bytes={self._max_item}")


class ListDecoder(ObjectDecoder):
    """Decodes one page of a LIST while its body arrives, whatever its layout.

    The bytes go to the envelope until the items begin, to the items until their array ends, and to the envelope again.

    Attributes:
        check_head: Raises for a list that is not the one that was asked for, before its first item is read.

    Args:
        layout: How objects become entries.
        max_item: An item beyond this many bytes is refused.
    """

    def __init__(self, layout: Layout[Any], max_item: int) -> None:
        super().__init__(layout)
        self.check_head: Callable[[ListHead], None] | None = None
        self._max_item = max_item
        self._decode_item: Callable[[Any], Any] = msgspec.json.Decoder(layout.reader.projection).decode
        self._rest = _Rest()
        self._envelope = _Envelope(max_item)
        self._cutter: _ItemCutter | None = None  # while the items are being read
        self._batch = Batch([], "", layout)

    def feed(self, data: bytes) -> Iterator[Batch]:
        """Take what came next of the body and yield the batches that it completes.

        An empty batch is a pause: no step between two batches takes long.

        Raises:
            ResponseError: If an item is too large, or the body is not a list.
        """
        if self._rest.add(data):
            yield from self._read(is_whole=False)

    def flush(self) -> Iterator[Batch]:
        """Yield the last batches: the body has ended.

        Raises:
            ResponseError: If an item is too large, or the body is not a list.
        """
        yield from self._read(is_whole=True)

    def finish(self) -> ListHead:
        """Return the list without its items, which have been flushed.

        Raises:
            ResponseError: If the body is cut, or is not a list in JSON.
        """
        return self._envelope.head()

    def _read(self, *, is_whole: bool) -> Iterator[Batch]:
        data, start = self._rest.take(), 0
        if self._cutter is None:
            start = self._read_envelope(data, start, is_whole=is_whole)
        if self._cutter is not None:
            start = yield from self._read_items(self._cutter, data, start, is_whole=is_whole)
            if self._cutter.is_done:
                self._cutter = None
                start = self._read_envelope(data, start, is_whole=is_whole)
            else:
                self._cutter.forget(start)
        self._rest.give_back(data[start:])

    def _read_envelope(self, data: bytes, start: int, *, is_whole: bool) -> int:
        """Read what stands around the items; return where they begin, or a token that is cut."""
        start, has_begun = self._envelope.read(data, start, is_whole=is_whole)
        if has_begun:
            self._cutter = _ItemCutter(self._max_item)
            head = self._envelope.head_so_far()
            if head is not None:  # else `finish` will refuse the list
                self._believe(head)
        return start

    def _believe(self, head: ListHead) -> None:
        if self.check_head is not None:
            self.check_head(head)
        if head.kind.endswith("List"):
            # Let objects know their kind before the user's code sees the first of them.
            self.layout.object_type.learn_kind(head.kind.removesuffix("List"), head.api_version)

    def _read_items(
        self, cutter: _ItemCutter, data: bytes, start: int, *, is_whole: bool
    ) -> Generator[Batch, None, int]:
        """Yield the items; return where one begins that is not whole, or where their array ends."""
        if not cutter.boundary:
            start = cutter.begin(data, start, is_whole=is_whole)
            if not cutter.boundary:
                return start
        wrong = -1  # up to here, guesses are wrong
        while start < len(data) and not cutter.is_done:
            if start > wrong and not cutter.is_counting:
                start, wrong = yield from self._read_guessed(cutter, data, start)
                if wrong < 0 and len(data) - start <= cutter.patience and not is_whole:
                    break  # the boundary may be in what comes next
            before, start = start, self._read_certain(cutter, data, start, wrong, is_whole=is_whole)
            if cutter.is_counting and not cutter.is_paused:
                break  # the end of the item is in what comes next
            if cutter.is_paused or start - before >= _COUNTED or len(self._batch.deltas) >= _ODD_ITEMS:
                yield self._take_batch()
        if self._batch.deltas or self._batch.unreadable:
            yield self._take_batch()
        return start

    def _read_guessed(self, cutter: _ItemCutter, data: bytes, start: int) -> Generator[Batch, None, tuple[int, int]]:
        """Yield items as long as their ends can be guessed: nearly all of them, so that every instruction counts.

        Returns:
            Where the item begins whose end could not; and where that was guessed wrongly, or -1 without a guess.
        """
        view, deltas = memoryview(data), self._batch.deltas
        decode, read, delta = self._decode_item, self.layout.reader.read, self.delta
        boundary, step, patience = cutter.boundary, cutter.step, cutter.patience
        limit = start + BATCH_BYTES
        while (guess := data.find(boundary, start, start + patience)) >= 0:
            try:
                item = decode(view[start : guess + 1])
            except UNREADABLE:
                break
            deltas.append(delta(UPSERT, data[start : guess + 1], read(item)))
            start = guess + step
            if len(deltas) >= BATCH_EVENTS or start >= limit:
                yield self._take_batch()
                deltas = self._batch.deltas
                limit = start + BATCH_BYTES
        return start, guess

    def _read_certain(self, cutter: _ItemCutter, data: bytes, start: int, wrong: int, *, is_whole: bool) -> int:
        """Read what guessing does not find: all items up to a wrong guess, or one item by its brackets.

        Returns:
            Where the next item begins; the same one, if it has not been counted to its end.
        """
        if wrong > start and not cutter.is_counting:
            # Items that begin otherwise than the boundary says have been taken for one with the item after them.
            several = _whole_items(data[start : wrong + 1])
            if several:
                for raw in several:
                    self._add(raw)
                return wrong + cutter.step
        item = cutter.count(data, start, is_whole=is_whole)
        if item is None:
            return start
        self._add(data[start : item.end])
        return item.after

    def _take_batch(self) -> Batch:
        batch, self._batch = self._batch, Batch([], "", self.layout)
        return batch

    def _add(self, raw: bytes) -> None:
        """Add one item that may be anything; only what is not JSON ends the list."""
        try:
            reading = self.layout.reader.read(self._decode_item(raw))
        except UNREADABLE:
            self._add_unread(raw)
        else:
            self._batch.deltas.append(self.delta(UPSERT, raw, reading))

    def _add_unread(self, raw: bytes) -> None:
        """Add an item that the typed pass refused."""
        try:
            raw = bytes(decode_cut(_decode_raw, raw))
        except UNREADABLE as error:
            raise ResponseError(f"the body of the list is cut or no list: {describe(error)}") from error
        readable = self.tolerant_delta(UPSERT, raw)
        if readable is None:
            self._batch.unreadable += 1
        else:
            self._batch.deltas.append(readable[0])


def _whole_items(data: bytes) -> list[bytes]:
    """Return the items in a part of a list's body, or an empty list if it ends inside one."""
    try:
        return [bytes(item) for item in decode_cut(_decode_raws, b"[" + data + b"]")]
    except UNREADABLE:
        return []
