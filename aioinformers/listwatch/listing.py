"""The bodies of lists, read while they arrive, whatever their layout. Pure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterator
from typing import Any

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
"""What begins the items, any other string, a bracket, or nothing after much of what is none of these.

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
"""Items of a batch that were not guessed."""


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


class ListDecoder(ObjectDecoder):
    """Decodes one page of a LIST while its body arrives, whatever its layout.

    Items are not separated by anything that could not also stand inside one, so a boundary is guessed (how one item
    ended and the next began before) and believed only if what is before it decodes as one whole object: an object
    is self-delimiting. Where guessing fails, the brackets of one item are counted. What stands around the items is
    kept and decoded at the end, to prove that the body is whole.
    """

    def __init__(self, layout: Layout[Any], max_item: int) -> None:
        super().__init__(layout)
        self._max_item = max_item
        self._decode_item: Callable[[Any], Any] = msgspec.json.Decoder(layout.reader.projection).decode
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._wanted_bytes = 0
        self._envelope: list[bytes] = []
        self._envelope_bytes = 0
        self._depth = 0  # outside the items
        self._has_items = self._is_inside = False
        self._batch = Batch([], "", layout)
        self._boundary = b""  # learnt anew from each item whose end was not guessed
        self._step = 2  # from a boundary to the item after it
        self._patience = min(_PATIENCE, max_item)
        self._brackets: _Brackets | None = None
        self.check_head: Callable[[ListHead], None] | None = None
        """Raises for a list that is not the one that was asked for, before its first item is read."""

    def feed(self, data: bytes) -> Iterator[Batch]:
        """Take the next chunk of the body and yield the batches that it completes.

        An empty batch is a pause: no step between two batches takes long.

        Raises:
            ResponseError: If an item is too large, or the body no list.
        """
        self._rest.append(data)
        self._rest_bytes += len(data)
        if self._rest_bytes >= self._wanted_bytes:
            yield from self._read(is_whole=False)

    def flush(self) -> Iterator[Batch]:
        """Yield the last batches: the body has ended.

        Raises:
            ResponseError: If an item is too large, or the body no list.
        """
        yield from self._read(is_whole=True)

    def finish(self) -> ListHead:
        """Return the list without its items, which have been flushed.

        Raises:
            ResponseError: If the body is cut, no JSON, or no list.
        """
        try:
            head = decode_cut(_decode_list, b"".join(self._envelope))
        except UNREADABLE as error:
            raise ResponseError(f"the body of the list is cut or no list: {describe(error)}") from error
        if not head.is_list:
            raise ResponseError(f"expected a list, got {head.kind or 'an object without kind'}")
        # Of the items that have been read the envelope holds the brackets alone.
        has_unread = head.items != [] if self._has_items else bool(head.items)
        if has_unread:
            raise ResponseError("the list has items twice, or under a name that is written with escapes")
        head.items = None
        return head

    def _read(self, *, is_whole: bool) -> Iterator[Batch]:
        data, start = b"".join(self._rest), 0
        self._rest.clear()
        if not self._is_inside:
            start = self._read_envelope(data, start, is_whole=is_whole)
        if self._is_inside:
            start = yield from self._read_items(data, start, is_whole=is_whole)
            if not self._is_inside:
                start = self._read_envelope(data, start, is_whole=is_whole)
        self._rest.append(data[start:])
        self._rest_bytes = size = len(data) - start
        # What is large is not joined anew with each chunk: that would be quadratic.
        self._wanted_bytes = size + size // 4 if size > _PATIENCE else 0
        if self._brackets is not None:
            self._brackets.at -= start

    def _read_envelope(self, data: bytes, start: int, *, is_whole: bool) -> int:
        """Keep what stands around the items; return where they begin, or a token that is cut."""
        rest = len(data)
        for token in _TOKENS.finditer(data, start):
            begin, end = token.span(1)
            character = data[end - 1] if end > begin else 0
            if character in b"{[":
                self._depth += 1
                if token[2] and self._depth == 2:
                    self._envelope.append(data[start:end])
                    self._begin_items()
                    return end
            elif character in b"}]":
                self._depth -= 1
            elif character and not is_whole and (end - begin == 1 or _CUT_ITEMS.match(data, begin)):
                rest = begin
                break
        self._envelope.append(data[start:rest])
        self._envelope_bytes += rest - start
        if self._envelope_bytes + len(data) - rest > self._max_item:
            raise ResponseError(f"what is around the list's items is larger than max_object_bytes={self._max_item}")
        return rest

    def _begin_items(self) -> None:
        if self._has_items:
            raise ResponseError("the list has items twice")
        self._has_items = self._is_inside = True
        with contextlib.suppress(*UNREADABLE):  # `finish` will raise it
            head = _decode_list(b"".join([*self._envelope, b"]}"]))
            if self.check_head is not None:
                self.check_head(head)
            if head.kind.endswith("List"):
                # Let objects know their kind before the first of them is shown to anything of the user's.
                self.layout.object_type.learn_kind(head.kind.removesuffix("List"), head.api_version)

    def _read_items(self, data: bytes, start: int, *, is_whole: bool) -> Generator[Batch, None, int]:
        """Yield the items; return where one begins that is not whole, or where their array ends."""
        if not self._boundary:
            start = _SPACE.match(data, start).end()  # type: ignore[union-attr]  # it matches anything
            if len(data) - start < _MARKER and not is_whole:
                return start
            self._boundary = b"}," + data[start : start + _MARKER]
            self._is_inside = not data.startswith(b"]", start)
        failed = -1  # up to here guesses are wrong
        while self._is_inside and start < len(data):
            if self._brackets is None and start > failed:
                start, failed = yield from self._guess(data, start)
                if failed < 0 and len(data) - start <= self._patience and not is_whole:
                    break
            before, start = start, self._read_odd(data, start, failed, is_whole=is_whole)
            if self._brackets is not None and not self._brackets.is_paused:
                break
            if self._brackets is not None or start - before >= _COUNTED or len(self._batch.deltas) >= _ODD_ITEMS:
                yield self._take_batch()
        if self._batch.deltas or self._batch.unreadable:
            yield self._take_batch()
        return start

    def _guess(self, data: bytes, start: int) -> Generator[Batch, None, tuple[int, int]]:
        """Yield items as long as their ends can be guessed.

        Returns:
            Where the item begins whose end could not, and where it was guessed wrongly, or -1 without a guess.
        """
        view, deltas = memoryview(data), self._batch.deltas
        decode, read, delta = self._decode_item, self.layout.reader.read, self.delta
        boundary, step, patience = self._boundary, self._step, self._patience
        limit = start + BATCH_BYTES
        while (at := data.find(boundary, start, start + patience)) >= 0:
            try:
                item = decode(view[start : at + 1])
            except UNREADABLE:
                break
            self._refuse_large(at + 1 - start)
            deltas.append(delta(UPSERT, data[start : at + 1], read(item)))
            start = at + step
            if len(deltas) >= BATCH_EVENTS or start >= limit:
                yield self._take_batch()
                deltas = self._batch.deltas
                limit = start + BATCH_BYTES
        return start, at

    def _read_odd(self, data: bytes, start: int, failed: int, *, is_whole: bool) -> int:
        """Read what guessing does not find: the whole items before a wrong guess, or one item by its brackets.

        Returns:
            Where the next item begins; ``_brackets`` are left while the end of this one has not been found.
        """
        if self._brackets is None:
            if failed > start and (found := _whole_items(data[start : failed + 1])):
                for raw in found:
                    self._add(raw)
                return failed + self._step
            self._brackets = _Brackets(start)
        end = self._brackets.find_end(data)
        separator = _SEPARATOR.match(data, end) if end >= 0 else None
        is_last = separator is not None and separator[1] == b"]"
        if separator is None or (len(data) - separator.end() < _MARKER and not (is_last or is_whole)):
            self._expect_more(data, start, end, is_whole=is_whole)
            return start
        self._add(data[start:end])
        self._brackets = None
        self._is_inside = not is_last
        if is_last:
            return separator.start(1)
        after = separator.end()
        self._boundary, self._step = data[end - 1 : after + _MARKER], after - end + 1
        self._patience = min(max(self._patience, 2 * (end - start)), self._max_item)
        return after

    def _expect_more(self, data: bytes, start: int, end: int, *, is_whole: bool) -> None:
        """Refuse what cannot become an item and a separator, however the data go on."""
        assert self._brackets is not None
        if end < 0:
            if not self._brackets.is_paused:
                self._refuse_large(len(data) - start)
        elif is_whole or not (_SEPARATOR.match(data, end) or _SPACE.fullmatch(data, end)):
            raise ResponseError("the body of the list is cut or no list: between two items is no comma")
        else:
            self._refuse_large(len(data) - end)

    def _take_batch(self) -> Batch:
        batch, self._batch = self._batch, Batch([], "", self.layout)
        return batch

    def _refuse_large(self, length: int) -> None:
        if length > self._max_item:
            raise ResponseError(f"one item of the list is larger than max_object_bytes={self._max_item}")

    def _add(self, raw: bytes) -> None:
        """Add one item that may be anything; only what is no JSON ends the list."""
        self._refuse_large(len(raw))
        try:
            read = self.layout.reader.read(self._decode_item(raw))
        except UNREADABLE:
            try:
                raw = bytes(decode_cut(_decode_raw, raw))
            except UNREADABLE as error:
                raise ResponseError(f"the body of the list is cut or no list: {describe(error)}") from error
            found = self.tolerant_delta(UPSERT, raw)
            if found is None:
                self._batch.unreadable += 1
            else:
                self._batch.deltas.append(found[0])
        else:
            self._batch.deltas.append(self.delta(UPSERT, raw, read))


def _whole_items(data: bytes) -> list[bytes]:
    """Return the items in a part of a list's body; none if it ends inside one."""
    try:
        return [bytes(item) for item in decode_cut(_decode_raws, b"[" + data + b"]")]
    except UNREADABLE:
        return []
