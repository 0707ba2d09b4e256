"""From bytes to deltas: the lines of a watch, and what lists and watches have in common. Pure, the hottest code.

A watch stream is one JSON line per event; ``listing``, beside this, reads the bodies of lists. Both decoders take
the bytes as they come, in any split (G14), and give small batches. The shape is deliberate: one ``find`` and one
slice per line, one typed pass that reads identity and all index paths and at the same time proves the JSON, and no
object that nobody reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from aioinformers.errors import ApiStatusError, ResponseError
from aioinformers.objects.deltas import BATCH_BYTES, BATCH_EVENTS, DELETE, REJECT, UPSERT, Batch, Delta
from aioinformers.objects.layout import Entry, Layout, RejectedError
from aioinformers.objects.paths import Reading
from aioinformers.objects.structs import ArrivalReader, arrival_reader
from aioinformers.transport.chunks import Block
from aioinformers.transport.status import UNREADABLE, status_error

__all__ = [
    "ObjectDecoder", "WatchDecoder", "decode_cut",
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
    resourceVersion: str = ""  # noqa: N815
    annotations: dict[str, Any] | None = None


class _Bookmark(msgspec.Struct, gc=False):
    metadata: _Meta


class _LooseEvent(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw = msgspec.Raw(b"null")


_decode_loose = msgspec.json.Decoder(_LooseEvent).decode
_decode_bookmark = msgspec.json.Decoder(_Bookmark).decode
_decode_document = msgspec.json.Decoder(dict[str, Any]).decode

_REFUSED = (ValueError, *UNREADABLE)
"""What the typed pass raises for an object that it cannot read."""

_BRACKETS = re.compile(rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{}]')
_MAX_DEPTH = 256
_CUT = b'"nested too deeply: \xff"'
"""Replaces what is nested too deeply. As it is not UTF-8, its object is refused; the objects around it are not."""


def decode_cut(decode: Callable[[bytes], T], data: bytes) -> T:
    """Decode, if need be without the values that are nested deeper than any decoder recurses."""
    try:
        return decode(data)
    except RecursionError:
        return decode(_cut_depths(data))


def _cut_depths(data: bytes) -> bytes:
    parts: list[bytes] = []
    start = depth = 0
    for token in _BRACKETS.finditer(data):
        character = data[token.start()]
        if character in b"[{":
            depth += 1
            if depth == _MAX_DEPTH:
                parts += data[start : token.start()], _CUT
        elif character in b"]}":
            if depth == _MAX_DEPTH:
                start = token.end()
            depth -= 1
    return b"".join([*parts, data[start:]])


class ObjectDecoder:
    """What both decoders share: from one object's bytes to one delta, the slow and tolerant way.

    Attributes:
        layout: How objects become entries.
        is_stored: Tells whether the store has this version of an object already. Such an object is neither
            transformed nor decoded again, and its entry has no body. None where the store may have no version.
    """

    def __init__(self, layout: Layout[Any]) -> None:
        self.layout = layout
        self.is_stored: Callable[[str, str, str], bool] | None = None

    def tolerant_delta(self, operation: int, raw: bytes) -> tuple[Delta, str] | None:
        """Return the delta and resourceVersion of an object that the typed pass refused; None if unreadable."""
        try:
            # The key is wanted even if some text is not UTF-8, hence "replace"; `entry` will refuse the object.
            reading = self.layout.reader.read_document(_decode_document(raw.decode(errors="replace")))
        except _REFUSED:
            return None
        return self.delta(operation, raw, reading), reading[2]

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
            # A deletion is true whether or not its last object can be read.
            if operation == DELETE:
                return DELETE, key, None
            return REJECT, key, "nested too deeply" if _CUT in raw else str(error)


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
        self._batch = Batch([], "", layout)

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
        decode, read, is_plain = self._decode, self.layout.reader.read, self.layout.is_plain
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
                if is_plain and raw.isascii():
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

    def _take_batch(self) -> Batch:
        batch, self._batch = self._batch, Batch([], "", self.layout)
        return batch

    # -- whatever else a line may be --------------------------------------------------------------------------

    def _read_odd(self, line: bytes) -> Iterator[Batch]:
        """Read a line, with its newline, that is not a plain event; yield what must not wait for the lines after it."""
        spans = _spans(line)
        if len(spans) > 1:  # one chunk of HTTP with several lines, which the transport took for one
            yield from self._read_block(Block(line, spans))
            return
        try:
            self._add_odd(line)
        except ApiStatusError:
            yield self._take_batch()
            raise
        if self._batch.ends_initial:
            yield self._take_batch()

    def _add_odd(self, line: bytes) -> None:
        """Add what a line means to the batch.

        Raises:
            ApiStatusError: If the line is an ERROR event.
        """
        if not line.strip():
            return
        batch = self._batch
        try:
            event = decode_cut(_decode_loose, line)
            if event.type == "BOOKMARK":
                self._add_bookmark(event.object)
                return
            if event.type == "ERROR":
                raise status_error(bytes(event.object)) from None
            readable = self.tolerant_delta(_OPERATIONS.get(event.type, UPSERT), bytes(event.object))
        except UNREADABLE:
            batch.unreadable += 1
            batch.lost += 1
            return
        is_known = event.type in _OPERATIONS  # of an event that does not exist yet, only the version is believed
        if readable is not None:
            delta, version = readable
            batch.version = version or batch.version
            if is_known:
                batch.deltas.append(delta)
                return
        batch.unreadable += 1
        batch.lost += is_known

    def _add_bookmark(self, raw: msgspec.Raw) -> None:
        meta = _decode_bookmark(raw).metadata
        batch = self._batch
        batch.version = meta.resourceVersion or batch.version
        batch.bookmarks += 1
        batch.ends_initial = (meta.annotations or {}).get("k8s.io/initial-events-end") == "true"
