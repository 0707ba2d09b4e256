"""From bytes to deltas: what lists and watches have in common, and the lines of a watch. Pure, the hottest code.

A watch stream is one JSON line per event; ``listing``, beside this, reads the bodies of lists. Both decoders take
the bytes as they come, in any split (G14), and give small batches. The shape is deliberate: one ``find`` and one
slice per line, one typed pass that reads identity and all index paths and at the same time proves the JSON, no
object made that nobody reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from aioinformers.errors import ResponseError
from aioinformers.objects.deltas import BATCH_BYTES, BATCH_EVENTS, DELETE, REJECT, UPSERT, Batch, Delta
from aioinformers.objects.layout import Entry, Layout, RejectedError
from aioinformers.objects.paths import Reading
from aioinformers.objects.structs import arrival_reader
from aioinformers.transport.chunks import Block
from aioinformers.transport.status import UNREADABLE, status_error

__all__ = [
    "ObjectDecoder", "WatchDecoder", "decode_cut",
]  # fmt: skip

T = TypeVar("T")

_OPERATIONS = {"ADDED": UPSERT, "MODIFIED": UPSERT, "DELETED": DELETE}
_PREFIXES = {name: f'{{"type":"{name}","object":'.encode() for name in _OPERATIONS}
_ENVELOPES = [(_OPERATIONS[name], prefix + b"{", len(prefix)) for name, prefix in _PREFIXES.items()]
"""How servers begin a line: the operation, the bytes up to the object's brace, and where that is."""
_NO_ENVELOPE = UPSERT, b"\n", 0  # no line begins so


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


_BRACKETS = re.compile(rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{}]')
_MAX_DEPTH = 256
_CUT = b'"nested too deeply: \xff"'
"""Stands for what is nested too deeply. It is no UTF-8, so that its object is refused and no other one."""


def decode_cut(decode: Callable[[bytes], T], data: bytes) -> T:
    """Decode, where no decoder gets to the bottom without what is nested that deeply."""
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
    """What both decoders share: one object's bytes to one delta, the slow and tolerant way.

    Attributes:
        layout: How objects become entries.
        is_stored: Tells whether a version of an object is in the store already; then it is neither transformed nor
            decoded again, and its entry has no body. None where nothing can be.
    """

    def __init__(self, layout: Layout[Any]) -> None:
        self.layout = layout
        self.is_stored: Callable[[str, str, str], bool] | None = None

    def tolerant_delta(self, operation: int, raw: bytes) -> tuple[Delta, str] | None:
        """Return the delta and resourceVersion of an object that the typed pass refused; None if unreadable."""
        try:
            # Replaced: the key of an object is wanted even if a text of it is no UTF-8; `entry` will refuse it.
            read = self.layout.reader.read_document(_decode_document(raw.decode(errors="replace")))
        except (ValueError, *UNREADABLE):
            return None
        return self.delta(operation, raw, read), read[2]

    def delta(self, operation: int, raw: bytes, read: Reading) -> Delta:
        """Return the delta of an object of which the reader has read ``read``."""
        key, uid, version, _ = read
        if self.is_stored is not None and operation == UPSERT and self.is_stored(key, uid, version):
            return UPSERT, key, Entry(None, uid, version, ())
        try:
            return operation, key, self.layout.entry(raw, read)
        except RejectedError as error:
            # A deletion is true whether or not its last object can be read.
            if operation == DELETE:
                return DELETE, key, None
            return REJECT, key, "nested too deeply" if _CUT in raw else str(error)


def _spans(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """Return where the lines of a part begin and end."""
    spans: list[tuple[int, int]] = []
    while (newline := data.find(b"\n", start, end)) >= 0:
        spans.append((start, newline))
        start = newline + 1
    return spans


def _envelope(data: bytes, start: int) -> tuple[int, bytes, int]:
    return next((one for one in _ENVELOPES if data.startswith(one[1], start)), _NO_ENVELOPE)


class WatchDecoder(ObjectDecoder):
    """Decodes the lines of a watch stream.

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
        self._arrival = arrival_reader(layout)

    @property
    def has_rest(self) -> bool:
        """Whether the last chunk ended inside a line."""
        return self._rest_bytes > 0

    def feed(self, data: bytes | list[Block]) -> Iterator[Batch]:
        """Take what came next of the stream and yield the batches that it completes.

        Args:
            data: The next bytes, split anywhere; or blocks of lines, unless there is a rest.

        Raises:
            ApiStatusError: For an ERROR event; what came before it has been yielded.
            ResponseError: If a line is too long.
        """
        yield from self._parse(self._blocks(data) if isinstance(data, bytes) else data)
        self._refuse_long(self._rest_bytes)

    def _blocks(self, data: bytes) -> Iterator[Block]:
        start = 0
        if self._rest:
            end = data.find(b"\n")
            self._rest.append(data if end < 0 else data[: end + 1])
            self._rest_bytes += len(self._rest[-1])
            if end < 0:
                return
            # Only the first line is joined: copying the whole chunk would cost more than decoding it.
            first = b"".join(self._rest)
            self._rest.clear()
            self._rest_bytes = 0
            yield Block(first, [(0, len(first) - 1)])
            start = end + 1
        block = Block(data, _spans(data, start, len(data)))
        yield block
        cut = block.spans[-1][1] + 1 if block.spans else start
        if cut < len(data):
            self._rest.append(data[cut:])
            self._rest_bytes = len(data) - cut

    def _refuse_long(self, length: int) -> None:
        if length > self._max_line:
            raise ResponseError(f"one event is larger than max_object_bytes={self._max_line}")

    def _parse(self, blocks: Iterable[Block]) -> Iterator[Batch]:
        decode, layout, max_line = self._decode, self.layout, self._max_line
        read, is_plain = layout.reader.read, layout.is_plain
        (batch, deltas), room = self._new_batch(), BATCH_BYTES
        operation, prefix, size = _NO_ENVELOPE
        for data, spans in blocks:
            view = memoryview(data)
            arrival = self._arrival if self._arrival is not None and data.isascii() else None
            may_be_long, is_large = len(data) > max_line, len(data) > BATCH_BYTES
            for start, end in spans:
                if may_be_long and end - start > max_line:
                    yield batch
                    self._refuse_long(end - start)
                if not data.startswith(prefix, start):  # most are of the type of the one before
                    operation, prefix, size = _envelope(data, start)
                is_enveloped = size and data.endswith(b"}}", start, end)
                arrived = None
                if arrival is not None and is_enveloped:
                    known = self.is_stored if operation == UPSERT else None
                    arrived = arrival.read(view[start + size : end - 1], known)
                if arrived is not None:
                    deltas.append((operation, *arrived))
                    version = arrived[1].version
                else:
                    try:
                        if not is_enveloped:
                            raise ValueError
                        # What is between the envelope's ends is the object, if as a whole it is one.
                        raw = data[start + size : end - 1]
                        key, uid, version, index = found = read(decode(raw))
                    except (ValueError, *UNREADABLE):
                        version = ""
                        if data.find(b"\n", start, end) < 0:
                            yield from self._odd(batch, data[start:end])
                        else:  # a chunk of several lines
                            yield batch
                            batch, deltas = self._new_batch()
                            yield from self._parse([Block(data, _spans(data, start, end + 1))])
                    else:
                        if is_plain and raw.isascii():
                            deltas.append((operation, key, Entry(raw, uid, version, index)))
                        else:
                            deltas.append(self.delta(operation, raw, found))
                if version:
                    batch.version = version
                if is_large:
                    room -= end - start
                if len(deltas) >= BATCH_EVENTS or room <= 0 or batch.ends_initial:
                    yield batch
                    (batch, deltas), room = self._new_batch(), BATCH_BYTES
            if not is_large:
                room -= len(data)
        if deltas or batch.version or batch.unreadable or batch.bookmarks:
            yield batch

    def _new_batch(self) -> tuple[Batch, list[Delta]]:
        deltas: list[Delta] = []
        return Batch(deltas, "", self.layout), deltas

    def _odd(self, batch: Batch, line: bytes) -> Iterator[Batch]:
        """Handle a line that is no plain event of a plain object; yields what must not wait for an error."""
        if not line.strip():
            return
        try:
            event = decode_cut(_decode_loose, line)
            if event.type == "BOOKMARK":
                self._bookmark(batch, event.object)
                return
            if event.type == "ERROR":
                yield batch
                raise status_error(bytes(event.object)) from None
            found = self.tolerant_delta(_OPERATIONS.get(event.type, UPSERT), bytes(event.object))
        except UNREADABLE:
            batch.unreadable += 1
            batch.lost += 1
            return
        if found is not None:
            batch.version = found[1] or batch.version
        if found is not None and event.type in _OPERATIONS:
            batch.deltas.append(found[0])
        else:
            batch.unreadable += 1  # of a type of event that does not exist yet only the version is believed
            batch.lost += event.type in _OPERATIONS

    @staticmethod
    def _bookmark(batch: Batch, raw: msgspec.Raw) -> None:
        meta = _decode_bookmark(raw).metadata
        batch.version = meta.resourceVersion or batch.version
        batch.bookmarks += 1
        batch.ends_initial = (meta.annotations or {}).get("k8s.io/initial-events-end") == "true"
