"""The file that holds one scope of one informer: a chain of checksummed frames, appended one transaction at a time.

A *transaction* is some frames of objects and then a commit, which tells the resourceVersion that the cache had with
them. Each frame's checksum includes the one before it, so that a frame can neither change nor move, come from another
file nor be left out. What follows the last whole commit was being written when the process ended: it does not count.

.. code-block:: text

    file      = MAGIC, 8 random bytes, header frame, {object frames, commit frame}
    frame     = length of the payload (u32), kind (u8), checksum (u32), payload
    objects   = length of the table (u32), table, bodies, maybe packed
    table     = paths, [(key, uid, version, size of the body or -1, values of the paths or nothing)]

No memory of the file is mapped and no library reads it, so that no damage can be more than a wrong checksum. All of
this blocks, and is for a thread.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias
from zlib import crc32

import msgspec

from aioinformers.objects.compact import find_zstd

__all__ = ["Commit", "Header", "Item", "Scan", "UnfitError", "Values", "WarmFile", "scan"]

MAGIC: Final = b"aioinformers warm 1\n"
SALT: Final = 8
"""Random bytes that no other file has."""

FRAME_BYTES: Final = 112 * 1024
"""Size of the bodies from which a frame is full: of larger pieces of memory each would be asked for from the system."""
FRAME_OBJECTS: Final = 4096
"""Objects of which a frame is full."""
LARGEST: Final = 1024 * 1024 * 1024
"""No frame is larger: one object is not, by default, beyond 64 MiB."""
LEVEL: Final = 1
"""Of zstd: as quick as writing what it saves."""
FEW: Final = 1024
"""Records of the past that are no reason yet to write a file anew."""

HEADER, OBJECTS, PACKED, COMMIT = 1, 2, 3, 4
_HEAD: Final = struct.Struct("<IBI")
_LENGTH: Final = struct.Struct("<I")

Values: TypeAlias = tuple[str | tuple[str, ...] | None, ...]
Item: TypeAlias = tuple[str, str, str, bytes | None, Values | None]
"""Key, uid, version and JSON of an object; None instead of the JSON if it is gone. And its index values, if known."""
Row: TypeAlias = tuple[str, str, str, int, Values | None]


class UnfitError(Exception):
    """What is stored cannot be used; the text says why."""


class Header(msgspec.Struct, frozen=True):
    """What a file is about.

    Attributes:
        identity: Whose state it is: resource, scope, selectors, type and transforms.
        cluster: Which cluster it is of.
    """

    identity: dict[str, Any]
    cluster: dict[str, str]


class Commit(msgspec.Struct, frozen=True):
    """The end of a transaction.

    Attributes:
        version: The resourceVersion of the state.
        time: When it was written, as seconds since 1970.
        objects: How many there are.
        rejected: How many more there are, which could not be read.
        kind: What the objects are, where the server has said so.
        api_version: The same.
    """

    version: str
    time: float
    objects: int
    rejected: int = 0
    kind: str = ""
    api_version: str = ""


class _Place(NamedTuple):
    """Where a frame is.

    Attributes:
        at: The offset of its payload.
        size: The payload's size.
        kind: OBJECTS or PACKED.
        before: The checksum before it.
        checksum: Its own.
    """

    at: int
    size: int
    kind: int
    before: int
    checksum: int


@dataclass(slots=True)
class Scan:
    """What a file holds, all of it verified, without the objects' JSON.

    Attributes:
        header: What it is about.
        commit: The last commit.
        last: The frame, by number, that has the last version of each object that exists.
        frames: The frames of objects.
        end: Where the last commit ends.
        checksum: The checksum there.
        records: Objects, deletions and commits up to there.
    """

    header: Header
    commit: Commit
    last: dict[str, int] = field(default_factory=dict)
    frames: list[_Place] = field(default_factory=list)
    end: int = 0
    checksum: int = 0
    records: int = 0

    def read(self, file: BinaryIO, number: int) -> tuple[tuple[str, ...], list[Item]]:
        """Return the objects whose last version is in a frame, and the paths that their index values are of.

        Raises:
            UnfitError: If the frame is not what it was when the file was scanned.
        """
        place = self.frames[number]
        file.seek(place.at)
        payload = file.read(place.size)
        if _checksum(place.kind, payload, place.before) != place.checksum:
            raise UnfitError("the file has changed while it was read")
        try:
            paths, rows, begin = _table(payload)
            items = _items(rows, payload[begin:], is_packed=place.kind == PACKED)
            return paths, [item for item in items if self.last.get(item[0]) == number]
        except Exception as error:  # what zstd raises has no common name in its two modules
            raise UnfitError(f"objects cannot be unpacked: {type(error).__name__}") from error

    def find(self, file: BinaryIO, key: str) -> Item | None:
        """Return one object; None if there is none of that key. Raises as :meth:`read` does."""
        number = self.last.get(key)
        if number is None:
            return None
        return next(item for item in self.read(file, number)[1] if item[0] == key)


_decode_header: Final = msgspec.msgpack.Decoder(Header).decode
_decode_commit: Final = msgspec.msgpack.Decoder(Commit).decode
_decode_table: Final = msgspec.msgpack.Decoder(tuple[tuple[str, ...], list[Row]]).decode
_encode: Final = msgspec.msgpack.Encoder().encode
_UNREADABLE: Final = (msgspec.MsgspecError, struct.error, UnicodeDecodeError)


def _checksum(kind: int, payload: bytes, before: int) -> int:
    return crc32(payload, crc32(_HEAD.pack(len(payload), kind, before), before))


def _table(payload: bytes) -> tuple[tuple[str, ...], list[Row], int]:
    """Return the table of a frame of objects, and where their bodies begin."""
    end = _LENGTH.size + _LENGTH.unpack_from(payload)[0]
    return *_decode_table(payload[_LENGTH.size : end]), end


def _items(rows: list[Row], bodies: bytes, *, is_packed: bool) -> Iterator[Item]:
    if is_packed:
        bodies = find_zstd().decompress(bodies)
    begin = 0
    for key, uid, version, size, values in rows:
        end = begin + max(size, 0)
        yield key, uid, version, None if size < 0 else bodies[begin:end], values
        begin = end
    if begin != len(bodies):
        raise ValueError("the sizes do not add up")


def scan(file: BinaryIO) -> Scan:
    """Verify a file from its beginning, and find what is where.

    Raises:
        UnfitError: If it is none of this format, if anything in it is damaged, or if it holds no whole state.
    """
    size = os.fstat(file.fileno()).st_size
    begin = file.read(len(MAGIC) + SALT)
    if not begin.startswith(MAGIC):
        raise UnfitError("the file is of another format")
    try:
        return _scan_frames(file, size, crc32(begin))
    except _UNREADABLE as error:  # the checksum was right
        raise UnfitError(f"the file is of another format: {type(error).__name__}") from error


def _scan_frames(file: BinaryIO, size: int, checksum: int) -> Scan:
    found: Scan | None = None
    header: Header | None = None
    last: dict[str, int] = {}
    frames: list[_Place] = []
    pending: list[tuple[int, list[Row]]] = []
    records = 0
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        length, kind, told = _HEAD.unpack(head)
        at = file.tell()
        if length > size - at:
            break  # it was being written
        payload = file.read(length)
        before, checksum = checksum, _checksum(kind, payload, checksum)
        if len(payload) != length or checksum != told:
            raise UnfitError(f"a checksum is wrong, at byte {at}")
        if header is None or kind == HEADER:
            if header is not None or kind != HEADER:
                raise UnfitError("the file is of another format: its header is not where it belongs")
            header = _decode_header(payload)
        elif kind in {OBJECTS, PACKED}:
            _require_zstd(kind)
            pending.append((len(frames), _table(payload)[1]))
            frames.append(_Place(at, length, kind, before, checksum))
        elif kind == COMMIT:
            commit = _decode_commit(payload)
            for number, index in pending:
                records += len(index)
                for key, _, _, body, _ in index:
                    if body < 0:
                        last.pop(key, None)
                    else:
                        last[key] = number
            pending, records = [], records + 1
            if len(last) != commit.objects:
                raise UnfitError(f"it holds {len(last)} objects instead of {commit.objects}")
            found = Scan(header, commit, last, frames, file.tell(), checksum, records)
        else:
            raise UnfitError("the file is of another format: a frame is of an unknown kind")
    if found is None:
        raise UnfitError("the file holds no whole state")
    return found


class WarmFile:
    """A file that is written.

    Args:
        path: Where it is, or will be once the first transaction is whole.
        header: What it is about.
        found: What it holds, to go on behind that; None to write a new one.

    Attributes:
        path: Where it is.
        header: What it is about.
        is_closed: Nothing more can be written.

    Raises:
        OSError: If it cannot be opened or written.
    """

    def __init__(self, path: Path, header: Header, found: Scan | None = None) -> None:
        self.path = path
        self.header = header
        self.is_closed: bool = False
        self._pack = _packer()
        if found is None:
            self._begin()
        else:
            self._is_new = False
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._end, self._checksum, self._records = found.end, found.checksum, found.records
            self._drop_rest()

    def _begin(self) -> None:
        new = _new(self.path)
        new.unlink(missing_ok=True)
        self._is_new = True
        self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        begin = MAGIC + os.urandom(SALT)
        _write_all(self._file, begin)
        self._end, self._checksum, self._records = len(begin), crc32(begin), 0
        self._put(HEADER, _encode(self.header))

    def write(self, items: Iterable[Item], commit: Commit, paths: tuple[str, ...] = ()) -> None:
        """Append a transaction, whole or not at all; write the file anew where more of it is past than present.

        Args:
            items: The objects that have changed, each key once.
            commit: What is true with them.
            paths: What their index values are of.

        Raises:
            OSError: If it cannot be written; the file holds what it held before.
        """
        before = self._end, self._checksum, self._records
        try:
            self._put_objects(items, paths)
            self._put_commit(commit)
        except BaseException:
            self._end, self._checksum, self._records = before
            self._drop_rest()
            raise
        if self._is_new:
            _new(self.path).replace(self.path)
            self._is_new = False
        if self._records > 2 * commit.objects + FEW:
            try:
                self._compact(commit)
            except OSError:  # there may be no room for two files: another time
                self._records = commit.objects

    def _put_commit(self, commit: Commit) -> None:
        self._put(COMMIT, _encode(commit))
        self._records += 1

    def _put_objects(self, items: Iterable[Item], paths: tuple[str, ...]) -> None:
        rows: list[Row] = []
        bodies: list[bytes] = []
        size = 0
        for key, uid, version, body, values in items:
            rows.append((key, uid, version, -1 if body is None else len(body), values))
            if body is not None:
                bodies.append(body)
                size += len(body)
            if size >= FRAME_BYTES or len(rows) >= FRAME_OBJECTS:
                self._put_frame(rows, bodies, paths)
                rows, bodies, size = [], [], 0
        if rows:
            self._put_frame(rows, bodies, paths)

    def _put_frame(self, rows: list[Row], bodies: list[bytes], paths: tuple[str, ...]) -> None:
        table, joined, kind = _encode((paths, rows)), b"".join(bodies), OBJECTS
        if self._pack is not None and joined:
            joined, kind = self._pack(joined), PACKED
        self._put(kind, b"".join((_LENGTH.pack(len(table)), table, joined)))
        self._records += len(rows)

    def _put(self, kind: int, payload: bytes) -> None:
        if len(payload) > LARGEST:
            raise OSError(f"an object of {len(payload)} bytes is too large to be stored")
        self._checksum = _checksum(kind, payload, self._checksum)
        _write_all(self._file, _HEAD.pack(len(payload), kind, self._checksum) + payload)
        self._end += _HEAD.size + len(payload)

    def _drop_rest(self) -> None:
        """Drop what stands behind the last whole transaction."""
        os.ftruncate(self._file, self._end)
        os.lseek(self._file, self._end, os.SEEK_SET)

    def _compact(self, commit: Commit) -> None:
        """Write the file anew without what is past. Objects are read from the file: the store may not have their JSON.

        Raises:
            OSError: If it cannot be written; the old file stays as it is, and in use.
        """
        with open(self.path, "rb") as old:
            found = scan_whole(old)
            fresh = WarmFile(self.path, self.header)
            try:
                for number in range(len(found.frames)):
                    paths, items = found.read(old, number)
                    fresh._put_objects(items, paths)
                fresh.write((), commit)
            except BaseException:
                fresh.close()
                _new(self.path).unlink(missing_ok=True)
                raise
        os.close(self._file)
        self._file, self._end, self._checksum = fresh._file, fresh._end, fresh._checksum
        self._records = fresh._records

    def close(self) -> None:
        """Close it; what has been written stays."""
        if not self.is_closed:
            self.is_closed = True
            os.close(self._file)
            if self._is_new:
                _new(self.path).unlink(missing_ok=True)


def scan_whole(file: BinaryIO) -> Scan:
    """Scan a file that this process has written itself.

    Raises:
        OSError: If it has been damaged meanwhile.
    """
    try:
        return scan(file)
    except UnfitError as error:
        raise OSError(f"what was written cannot be read any more: {error}") from error


def _require_zstd(kind: int) -> None:
    if kind == PACKED:
        try:
            find_zstd()
        except ImportError as error:
            raise UnfitError(
                "the file is packed, and zstd is not installed: pip install 'aioinformers[warm]'"
            ) from error


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _packer() -> Callable[[bytes], bytes] | None:
    """Return what packs bodies; None if no zstd is installed."""
    try:
        zstd = find_zstd()
    except ImportError:
        return None
    compressor = zstd.ZstdCompressor(level=LEVEL)
    return lambda data: compressor.compress(data, compressor.FLUSH_FRAME)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
