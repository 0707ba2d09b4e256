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
from aioinformers.listwatch.brackets import Brackets, Stop
from aioinformers.listwatch.salvage import salvage_object
from aioinformers.listwatch.wire import ObjectDecoder, damage
from aioinformers.objects.deltas import BATCH_BYTES, BATCH_EVENTS, UPSERT, Batch
from aioinformers.objects.documents import steady
from aioinformers.objects.layout import Layout, describe
from aioinformers.transport.status import UNREADABLE

__all__ = ["ListDecoder", "ListHead", "ListMeta"]


class ListMeta(NamedTuple):
    """The metadata of a list.

    Attributes:
        resourceVersion: The version of the whole list; empty if it has none.
        next: The token of the next page; empty after the last one.
        shard: The selector of shards by which the server has filtered; empty if it does not say that it has.
    """

    resourceVersion: str  # noqa: N815
    next: str
    shard: str = ""


class ListHead(NamedTuple):
    """A list without its items.

    Attributes:
        kind: Its kind; empty if it does not say.
        api_version: Its apiVersion; empty likewise.
        metadata: Its metadata.
    """

    kind: str
    api_version: str
    metadata: ListMeta


class _Meta(msgspec.Struct, rename={"next": "continue"}, gc=False):
    resourceVersion: str | None = None  # noqa: N815
    next: str | None = None
    shardInfo: Any = None  # noqa: N815  where it is none, it says nothing


class _Head(msgspec.Struct, rename={"api_version": "apiVersion"}, gc=False):
    kind: str | None = None
    api_version: str | None = None
    metadata: _Meta | None = None
    items: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def is_list(self) -> bool:
        """Whether it is a list at all: a custom resource may name the kind of its list as it likes."""
        kind = self.kind or ""
        return kind.endswith("List") or (bool(kind) and self.items is not msgspec.UNSET)

    def shown(self) -> ListHead:
        """Return it with empty texts for what is null or absent."""
        meta = self.metadata or _Meta()
        shard = meta.shardInfo.get("selector") if isinstance(meta.shardInfo, dict) else None
        shown = ListMeta(meta.resourceVersion or "", meta.next or "", shard if isinstance(shard, str) else "")
        return ListHead(self.kind or "", self.api_version or "", shown)


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode

_SPACE = re.compile(rb"[ \t\r\n]*+")
_SEPARATOR = re.compile(rb"[ \t\r\n]*+([],])[ \t\r\n]*+")

_MARKER = 12
"""Bytes at the beginning of an item that tell where one like it may begin."""
_PATIENCE = 64 * 1024
"""Bytes within which the end of an item is first guessed; beyond, its brackets are counted, at many times the cost."""
_LEAST_PATIENCE = 512
_MOST_PATIENCE = 4 * 1024 * 1024
_SEVERAL = 256 * 1024
"""Bytes up to a wrong guess that are tried as several items."""
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
        self._brackets: Brackets | None = None
        self._is_closed = False

    def read(self, data: bytes, start: int, *, is_whole: bool) -> tuple[int, Stop]:
        """Keep what is around the items.

        Returns:
            Where reading stopped, and why: ``ITEMS`` begin there, it is the end of the data (``END``), the beginning
            of something that is cut (``MORE``), or a ``PAUSE``.

        Raises:
            ResponseError: If the envelope is too large, or if items begin for the second time.
        """
        end, stop = len(data), Stop.END
        if not self._is_closed:
            end, stop = self._follow(data, start, is_whole=is_whole)
        self._parts.append(data[start:end])
        self._size += end - start
        if stop is Stop.ITEMS and self.has_items:
            raise ResponseError("the list has items twice")
        self.has_items |= stop is Stop.ITEMS
        rest = len(data) - end if stop is Stop.MORE else 0
        if self._size + rest > self._max_bytes:
            raise ResponseError(f"what is around the list's items is larger than max_object_bytes={self._max_bytes}")
        return end, stop

    def _follow(self, data: bytes, start: int, *, is_whole: bool) -> tuple[int, Stop]:
        brackets = self._brackets
        if brackets is None:
            begin = _SPACE.match(data, start).end()  # type: ignore[union-attr]  # it matches anything
            if begin == len(data):
                return begin, Stop.MORE
            brackets = self._brackets = Brackets(begin)
        else:
            brackets.at = start
        stop = brackets.go_on(data, items=True, is_whole=is_whole)
        if stop is Stop.END:  # what follows is nothing, or proves that the body is no list
            self._is_closed = True
            return len(data), stop
        return brackets.at, stop

    def head_so_far(self) -> ListHead | None:
        """Return what stands before the items, which have just begun; None if that is not JSON."""
        try:
            return _decode_head(b"".join([*self._parts, b"]}"])).shown()
        except UNREADABLE:
            return None

    def head(self) -> ListHead:
        """Return the list without its items.

        Raises:
            ResponseError: If the body is cut, or is not a list in JSON, or has items that have not been read.
        """
        try:
            head = steady(_decode_head, b"".join(self._parts))
        except UNREADABLE as error:
            raise ResponseError(f"the body of the list is cut or no list: {describe(error)}") from error
        if not head.is_list:
            raise ResponseError(f"expected a list, got {head.kind or 'an object without kind'}")
        # Of the items that have been read, only the brackets are in the envelope.
        has_unread = head.items != [] if self.has_items else bool(head.items)
        if has_unread:
            raise ResponseError("the list has items twice, or under a name that is written with escapes")
        return head.shown()


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

    Looking for the end of an item in vain costs as much as its patience, so patience halves with each time, and grows
    with what has been read: all vain looks together cost no more than a multiple of that.

    Attributes:
        boundary: How the last item whose end is certain ended and how the next one began: a guess at the next boundary.
        step: Bytes from the beginning of a boundary to the item after it.
        patience: Bytes within which the boundary is looked for. An item that is found there is never too large.
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
        self._brackets: Brackets | None = None
        self._stop: Stop = Stop.MORE

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

    def encourage(self, size: int) -> None:
        """Take note of bytes that have been read."""
        self.patience = min(self.patience + 4 * size, _MOST_PATIENCE, self._max_item)

    def discourage(self) -> None:
        """Take note of a look in vain."""
        self.patience = min(max(self.patience // 2, _LEAST_PATIENCE), self._max_item)

    @property
    def is_counting(self) -> bool:
        """Whether the brackets of an item are being counted, which has begun and not ended yet."""
        return self._brackets is not None

    @property
    def is_paused(self) -> bool:
        """Whether counting has stopped for a pause, not for want of data."""
        return self._brackets is not None and self._stop is Stop.PAUSE

    def count(self, data: bytes, start: int, *, is_whole: bool) -> _Item | None:
        """Count the brackets of an item, and learn from it what the next boundary may be.

        Returns:
            The item; None as long as its end, or what follows it, has not been reached.

        Raises:
            ResponseError: If the item is too large, or something else than a comma follows it.
        """
        if self._brackets is None:
            self._brackets, self._stop = Brackets(start), Stop.MORE
        brackets = self._brackets
        if self._stop is not Stop.END:
            self._stop = brackets.go_on(data)
        end = brackets.at if self._stop is Stop.END else -1
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
        self.encourage(end - start)
        return _Item(end, after)

    def forget(self, size: int) -> None:
        """Take note that the data will be given without their first bytes from now on."""
        if self._brackets is not None:
            self._brackets.forget(size)

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
            start = yield from self._read_envelope(data, start, is_whole=is_whole)
        if self._cutter is not None:
            start = yield from self._read_items(self._cutter, data, start, is_whole=is_whole)
            if self._cutter.is_done:
                self._cutter = None
                start = yield from self._read_envelope(data, start, is_whole=is_whole)
            else:
                self._cutter.forget(start)
        self._rest.give_back(data[start:])

    def _read_envelope(self, data: bytes, start: int, *, is_whole: bool) -> Generator[Batch, None, int]:
        """Read what stands around the items; return where they begin, or something that is cut."""
        stop = Stop.PAUSE
        while stop is Stop.PAUSE:
            start, stop = self._envelope.read(data, start, is_whole=is_whole)
            if stop is Stop.PAUSE:
                yield self._take_batch()
        if stop is Stop.ITEMS:
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
                before = start
                if start < wrong:
                    start = yield from self._read_several(data, start, wrong, cutter.step)
                if start > before:
                    continue
                if cutter.patience >= _SEVERAL:
                    yield self._take_batch()
                cutter.discourage()
            before, start = start, (yield from self._read_certain(cutter, data, start, is_whole=is_whole))
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
        view, deltas, begin = memoryview(data), self._batch.deltas, start
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
        cutter.encourage(start - begin)
        return start, guess

    def _read_several(self, data: bytes, start: int, wrong: int, step: int) -> Generator[Batch, None, int]:
        """Read what is up to a wrong guess if it is several items; return where the next one begins.

        Items that begin otherwise than the boundary says have been taken for one with the item after them.
        """
        several = _whole_items(data[start : wrong + 1]) if wrong - start < _SEVERAL else []
        for raw in several:
            yield from self._add(raw)
            if len(self._batch.deltas) >= BATCH_EVENTS:
                yield self._take_batch()
        return wrong + step if several else start

    def _read_certain(
        self, cutter: _ItemCutter, data: bytes, start: int, *, is_whole: bool
    ) -> Generator[Batch, None, int]:
        """Read one item by its brackets.

        Returns:
            Where the next item begins; the same one, if it has not been counted to its end.
        """
        item = cutter.count(data, start, is_whole=is_whole)
        if item is None:
            return start
        yield from self._add(data[start : item.end])
        return item.after

    def _add(self, raw: bytes) -> Iterator[Batch]:
        """Add one item that may be anything."""
        try:
            reading = self.layout.reader.read(self._decode_item(raw))
        except UNREADABLE:
            yield from self._add_unread(raw)
        else:
            self._batch.deltas.append(self.delta(UPSERT, raw, reading))

    def _add_unread(self, raw: bytes) -> Iterator[Batch]:
        """Add an item that the typed pass refused."""
        is_deep = False
        try:
            try:
                _decode_raw(raw)
            except RecursionError:
                is_deep = True
                steady(_decode_raw, raw)
        except UNREADABLE as error:
            yield from self._add_broken(raw, error)
            return
        reading = self.tolerant_reading(raw)
        if reading is None:
            self._batch.unreadable += 1
        else:
            self._batch.deltas.append(self.tolerant_delta(UPSERT, raw, reading, is_deep=is_deep))

    def _add_broken(self, raw: bytes, error: Exception) -> Iterator[Batch]:
        """Add an item that is no JSON, or nested too deeply.

        Raises:
            ResponseError: If it is no JSON and nobody knows what it is about: what is not in a list counts as deleted.
        """
        found = yield from self._with_pauses(salvage_object(raw, 0))
        if found is not None:
            self._batch.deltas.append(self.refusal(UPSERT, found.key, damage(error)))
        elif isinstance(error, RecursionError):
            self._batch.unreadable += 1
        else:
            raise ResponseError(f"the body of the list is cut or no list: {describe(error)}") from error


def _whole_items(data: bytes) -> list[bytes]:
    """Return the items in a part of a list's body, or an empty list if it ends inside one."""
    try:
        return [bytes(item) for item in _decode_raws(b"[" + data + b"]")]
    except UNREADABLE:
        return []
