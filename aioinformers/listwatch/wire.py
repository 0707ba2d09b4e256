"""From bytes to deltas: the lines of a watch, and what lists and watches have in common. Pure, the hottest code.

A watch stream is one JSON line per event; ``listing``, beside this, reads the bodies of lists. Both decoders take
the bytes as they come, in any split (G14), and give small batches. The shape is deliberate: one ``find`` and one
slice per line, one typed pass that reads identity and all index paths and at the same time proves the JSON, and no
object that nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from aioinformers.errors import ResponseError
from aioinformers.listwatch.salvage import salvage_event
from aioinformers.objects.deltas import BATCH_BYTES, BATCH_EVENTS, DELETE, REJECT, UPSERT, Batch, Delta
from aioinformers.objects.documents import LARGE, TOO_DEEP, is_too_deep, steady
from aioinformers.objects.layout import Entry, Layout, RejectedError, describe
from aioinformers.objects.paths import Reading
from aioinformers.objects.structs import ArrivalReader, arrival_reader
from aioinformers.transport.chunks import Block
from aioinformers.transport.status import UNREADABLE, status_error

__all__ = [
    "ObjectDecoder", "WatchDecoder", "damage",
]  # fmt: skip

T = TypeVar("T")

_OPERATIONS = {"ADDED": UPSERT, "MODIFIED": UPSERT, "DELETED": DELETE}


class _Prefix(NamedTuple):
    """How a line begins.

    Attributes:
        operation: What the event asks of the store.
        text: The bytes up to the object's brace, which is the last of them.
        size: How many come before that brace.
    """

    operation: int
    text: bytes
    size: int


def _prefix(name: str) -> _Prefix:
    envelope = f'{{"type":"{name}","object":'.encode()
    return _Prefix(_OPERATIONS[name], envelope + b"{", len(envelope))


_PREFIXES = [_prefix(name) for name in _OPERATIONS]
"""How API servers write the beginning of a line."""
_NO_PREFIX = _Prefix(UPSERT, b"\n", 0)  # no line begins like that


class _Meta(msgspec.Struct, gc=False):
    resourceVersion: str | None = None  # noqa: N815
    annotations: dict[str, Any] | None = None


class _Bookmark(msgspec.Struct, gc=False):
    metadata: _Meta


class _LooseEvent(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw = msgspec.Raw(b"null")


_decode_loose = msgspec.json.Decoder(_LooseEvent).decode
_decode_bookmark = msgspec.json.Decoder(_Bookmark).decode
_REFUSED = (ValueError, *UNREADABLE)
"""What the typed pass raises for an object that it cannot read."""


def damage(error: Exception) -> str:
    """Return why a decoder has refused an object that is whole, without quoting it (G16)."""
    if isinstance(error, RecursionError):
        return TOO_DEEP
    reason = describe(error)
    # It looks for the other half beyond the end of what it was given.
    return "JSON is malformed: half of a surrogate pair" if reason == "Input data was truncated" else reason


class ObjectDecoder:
    """What both decoders share: from one object's bytes to one delta, the slow and tolerant way, and the batch.

    Attributes:
        layout: How objects become entries.
        is_stored: Tells whether the store has this version of an object already. Such an object is neither
            transformed nor decoded again, and its entry has no body. None where the store may have no version.
    """

    def __init__(self, layout: Layout[Any]) -> None:
        self.layout = layout
        self.is_stored: Callable[[str, str, str], bool] | None = None
        self._batch = Batch([], "", layout)
        self._is_plain = layout.is_plain

    def _take_batch(self) -> Batch:
        batch, self._batch = self._batch, Batch([], "", self.layout)
        return batch

    def _with_pauses(self, steps: Generator[None, None, T]) -> Generator[Batch, None, T]:
        """Take the steps of something that takes long; every pause is a batch, which may be empty."""
        while True:
            try:
                next(steps)
            except StopIteration as done:
                result: T = done.value
                return result
            yield self._take_batch()

    def tolerant_reading(self, raw: bytes) -> Reading | None:
        """Return the reading of an object that the typed pass refused; None if there is no name in it."""
        try:
            # The key is wanted even if some text is not UTF-8, hence "replace"; `entry` will refuse the object.
            return self.layout.reader.read_raw(raw if raw.isascii() else raw.decode(errors="replace").encode())
        except _REFUSED:
            return None

    def tolerant_delta(self, operation: int, raw: bytes, reading: Reading, *, is_deep: bool) -> Delta:
        """Return the delta of an object that the typed pass refused, but which is JSON.

        Args:
            operation: What the server did with the object.
            raw: The object's own JSON bytes.
            reading: What ``tolerant_reading`` read of it.
            is_deep: Whether it was too deep for the stack on which it was decoded. It depends on the object, not on
                that stack, whether it can be read later.
        """
        if is_deep and is_too_deep(raw):
            return self.refusal(operation, reading[0], TOO_DEEP)
        return self.delta(operation, raw, reading)

    def refusal(self, operation: int, key: str, reason: str) -> Delta:
        """Return the delta of an object that cannot be read."""
        # A deletion is true whether or not its last object can be read.
        return (DELETE, key, None) if operation == DELETE else (REJECT, key, reason)

    def delta(self, operation: int, raw: bytes, reading: Reading) -> Delta:
        """Return the delta of an object.

        Args:
            operation: What the server did with the object.
            raw: The object's own JSON bytes.
            reading: What the layout's reader read of it.
        """
        key, uid, version, _ = reading
        if self.is_stored is not None and operation == UPSERT and self.is_stored(key, uid, version):
            return UPSERT, key, Entry(None, uid, version, ())
        try:
            return operation, key, self.layout.entry(raw, reading)
        except RejectedError as error:
            return self.refusal(operation, key, str(error))


_Span: TypeAlias = tuple[int, int]
"""Where a line begins, and where its newline is."""


def _spans(data: bytes, start: int = 0) -> list[_Span]:
    """Return the complete lines of some bytes."""
    spans: list[_Span] = []
    while (newline := data.find(b"\n", start)) >= 0:
        spans.append((start, newline))
        start = newline + 1
    return spans


def _prefix_at(data: bytes, start: int) -> _Prefix:
    return next((prefix for prefix in _PREFIXES if data.startswith(prefix.text, start)), _NO_PREFIX)


class WatchDecoder(ObjectDecoder):
    """Decodes the lines of a watch stream.

    Nearly all lines are *plain*: an event of an object, written as API servers write it. One of two loops reads them,
    and which one depends on the layout: ``_keep_bytes``, or ``_make_structs`` for objects that are kept decoded. Both
    leave every other line to ``_read_odd``. They fill ``_batch``, and yield it when it is full.

    Args:
        layout: How objects become entries.
        max_line: A line beyond this many bytes is refused.
    """

    def __init__(self, layout: Layout[Any], max_line: int) -> None:
        super().__init__(layout)
        self._max_line = max_line
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(layout.reader.projection).decode
        self._arrival: ArrivalReader | None = arrival_reader(layout)

    def for_layout(self, layout: Layout[Any]) -> WatchDecoder:
        """Return a decoder for another layout, which goes on where this one ends."""
        return WatchDecoder(layout, self._max_line)

    @property
    def has_rest(self) -> bool:
        """Whether the bytes so far end inside a line."""
        return self._rest_bytes > 0

    def feed(self, data: bytes | list[Block]) -> Iterator[Batch]:
        """Take what came next of the stream and yield the batches that it completes.

        Args:
            data: The next bytes, split anywhere; or blocks of lines, unless there is a rest.

        Raises:
            ApiStatusError: For an ERROR event; what came before it has been yielded.
            ResponseError: If a line is too long; what came before it has been yielded.
        """
        for block in self._blocks(data) if isinstance(data, bytes) else data:
            yield from self._read_block(block)
        batch = self._batch
        if batch.deltas or batch.version or batch.unreadable or batch.bookmarks:
            yield self._take_batch()
        self._refuse_long(self._rest_bytes)

    def _blocks(self, data: bytes) -> Iterator[Block]:
        """Yield the lines that some bytes complete; keep what is left of them."""
        start = 0
        if self._rest:
            end = data.find(b"\n")
            self._rest.append(data if end < 0 else data[: end + 1])
            self._rest_bytes += len(self._rest[-1])
            if end < 0:
                return
            # Only the first line is joined: copying everything would cost more than decoding it.
            first = b"".join(self._rest)
            self._rest.clear()
            self._rest_bytes = 0
            yield Block(first, [(0, len(first) - 1)])
            start = end + 1
        block = Block(data, _spans(data, start))
        yield block
        rest = block.spans[-1][1] + 1 if block.spans else start
        if rest < len(data):
            self._rest.append(data[rest:])
            self._rest_bytes = len(data) - rest

    def _read_block(self, block: Block) -> Iterator[Batch]:
        data, spans = block
        # With ASCII alone the one-pass reader need not check for UTF-8 what it skips.
        is_for_structs = self._arrival is not None and data.isascii()
        read_lines = self._make_structs if is_for_structs else self._keep_bytes
        if len(data) <= self._max_line:
            return read_lines(data, spans)
        return self._read_up_to_long(read_lines, data, spans)

    def _read_up_to_long(
        self, read_lines: Callable[[bytes, list[_Span]], Iterator[Batch]], data: bytes, spans: list[_Span]
    ) -> Iterator[Batch]:
        """Read lines, and raise ResponseError for the first one that is too long."""
        lengths = [end - start for start, end in spans]
        too_long = next((number for number, length in enumerate(lengths) if length > self._max_line), None)
        yield from read_lines(data, spans[:too_long])
        if too_long is not None:
            yield self._take_batch()
            self._refuse_long(lengths[too_long])

    def _refuse_long(self, length: int) -> None:
        if length > self._max_line:
            raise ResponseError(f"one event is larger than max_object_bytes={self._max_line}")

    # -- the two loops: every instruction counts ----------------------------------------------------------------

    def _keep_bytes(self, data: bytes, spans: list[_Span]) -> Iterator[Batch]:
        """Read lines of objects whose bytes are kept, or whose bytes must be read twice."""
        decode, read, is_plain = self._decode, self.layout.reader.read, self._is_plain
        operation, prefix, size = _NO_PREFIX
        batch, limit = self._batch, BATCH_BYTES
        for start, end in spans:
            if not data.startswith(prefix, start):  # most lines begin like the one before
                operation, prefix, size = _prefix_at(data, start)
            # What is between prefix and last brace is the object, if it decodes as one; no bytes at all never do.
            raw = data[start + size : end - 1] if size and data.endswith(b"}}", start, end) else b""
            try:
                reading = key, uid, version, index = read(decode(raw))
            except _REFUSED:
                yield from self._read_odd(data[start : end + 1])
                batch = self._batch
            else:
                if is_plain and raw.isascii() and len(raw) < LARGE:
                    batch.deltas.append((operation, key, Entry(raw, uid, version, index)))
                else:
                    batch.deltas.append(self.delta(operation, raw, reading))
                if version:
                    batch.version = version
            if len(batch.deltas) >= BATCH_EVENTS or end >= limit:
                yield self._take_batch()
                batch, limit = self._batch, end + BATCH_BYTES

    def _make_structs(self, data: bytes, spans: list[_Span]) -> Iterator[Batch]:
        """Read lines of objects that are kept decoded, in one pass; those that it does not suit, in two."""
        assert self._arrival is not None
        read_entry, view = self._arrival.read, memoryview(data)
        operation, prefix, size = _NO_PREFIX
        batch, limit = self._batch, BATCH_BYTES
        for start, end in spans:
            if not data.startswith(prefix, start):  # most lines begin like the one before
                operation, prefix, size = _prefix_at(data, start)
            raw = view[start + size : end - 1] if size and data.endswith(b"}}", start, end) else view[:0]
            keyed = read_entry(raw, self.is_stored if operation == UPSERT else None)
            if keyed is not None:
                batch.deltas.append((operation, *keyed))
                if keyed[1].version:
                    batch.version = keyed[1].version
            else:
                try:
                    self._add_in_two_passes(operation, bytes(raw))
                except _REFUSED:
                    yield from self._read_odd(data[start : end + 1])
                    batch = self._batch
            if len(batch.deltas) >= BATCH_EVENTS or end >= limit:
                yield self._take_batch()
                batch, limit = self._batch, end + BATCH_BYTES

    def _add_in_two_passes(self, operation: int, raw: bytes) -> None:
        reading = self.layout.reader.read(self._decode(raw))
        self._batch.deltas.append(self.delta(operation, raw, reading))
        self._batch.version = reading[2] or self._batch.version

    # -- whatever else a line may be --------------------------------------------------------------------------

    def _read_odd(self, line: bytes) -> Iterator[Batch]:
        """Read a line, with its newline, that is not a plain event; yield what must not wait for the lines after it."""
        spans = _spans(line)
        if len(spans) > 1:  # one chunk of HTTP with several lines, which the transport took for one
            yield from self._read_block(Block(line, spans))
            return
        if not line.strip():
            return
        is_deep = False
        try:
            try:
                event = _decode_loose(line)
            except RecursionError:
                is_deep, event = True, steady(_decode_loose, line)
        except msgspec.ValidationError:
            self._count_lost()
        except UNREADABLE as error:
            yield from self._read_broken(line, error)
        else:
            if event.type == "ERROR":
                yield self._take_batch()
                raise status_error(bytes(event.object)) from None
            self._add_odd(event.type, bytes(event.object), is_deep=is_deep)
        if self._batch.ends_initial:
            yield self._take_batch()

    def _read_broken(self, line: bytes, error: Exception) -> Iterator[Batch]:
        """Read a line that is no JSON, or nested too deeply: the object that it is about may be known nevertheless."""
        steps = salvage_event(line, is_deep=isinstance(error, RecursionError))
        found = yield from self._with_pauses(steps)
        operation = _OPERATIONS.get(found.event) if found else None
        if found is None or operation is None:
            self._count_lost()
            return
        self._batch.deltas.append(self.refusal(operation, found.key, damage(error)))
        self._batch.version = found.version or self._batch.version
        yield self._take_batch()  # even a short line takes so long that many of them must not follow each other

    def _count_lost(self) -> None:
        self._batch.unreadable += 1
        self._batch.lost += 1

    def _add_odd(self, event: str, raw: bytes, *, is_deep: bool) -> None:
        """Add what an event of any type means to the batch."""
        if event == "BOOKMARK":
            self._add_bookmark(raw)
            return
        operation = _OPERATIONS.get(event)
        if operation is not None:
            try:
                self._add_in_two_passes(operation, raw)
            except _REFUSED:
                pass
            else:
                return
        reading = self.tolerant_reading(raw)
        if reading is not None:
            self._batch.version = reading[2] or self._batch.version
            if operation is not None:
                self._batch.deltas.append(self.tolerant_delta(operation, raw, reading, is_deep=is_deep))
                return
        self._batch.unreadable += 1  # of an event that does not exist yet, only the version is believed
        self._batch.lost += operation is not None

    def _add_bookmark(self, raw: bytes) -> None:
        try:
            meta = _decode_bookmark(raw).metadata
        except UNREADABLE:
            self._count_lost()
            return
        batch = self._batch
        batch.version = meta.resourceVersion or batch.version
        batch.bookmarks += 1
        batch.ends_initial = (meta.annotations or {}).get("k8s.io/initial-events-end") == "true"
