"""Stores what changes in the caches of one informer: which objects is noted as it happens, the rest in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from aioinformers.cache.indexer import Store
from aioinformers.delivery.mailbox import Record
from aioinformers.errors import InformerError
from aioinformers.objects.layout import Entry, Layout
from aioinformers.types import Scope
from aioinformers.warm.bytes import STORED, bytes_of, stripped
from aioinformers.warm.directory import Directory
from aioinformers.warm.frames import Commit, Header, Item, Scan, WarmFile

__all__ = ["Journal", "Volume"]

logger: logging.Logger = logging.getLogger("aioinformers.warm")

PERIOD: Final = 5.0
"""Seconds between two transactions."""
CROWDED: Final = 10_000
"""Changed objects that are not waited with."""
SLICE: Final = 512
"""Objects that are gone through at once."""


class Volume:
    """What is stored of one scope.

    Args:
        name: The informer and the scope, for the log.
        file_name: The file's name.
        identity: Whose state it holds.

    Attributes:
        dirty: Keys of the objects that have changed since the last transaction.
        is_whole: Everything is to be written, to a new file.
        is_ready: There is something to go on with: a file, or a first list.
        is_fresh: There is no file to go on with: the next list makes one.
        path: The file, while nobody else can take it.
        version: The resourceVersion of the last transaction.
        problem: Why nothing more is stored; empty if that is not so.
    """

    def __init__(self, name: str, file_name: str, identity: dict[str, Any]) -> None:
        self.name = name
        self.file_name = file_name
        self.identity = identity
        self.path: Path | None = None
        self.dirty: set[str] = set()
        self.is_whole: bool = False
        self.is_ready: bool = False
        self.is_fresh: bool = True
        self.version: str = ""
        self.problem: str = ""
        self._file: WarmFile | None = None

    def begin(self, version: str) -> None:
        """Store what changes from now on, as what is there already has been stored at some resourceVersion."""
        self.version, self.is_ready, self.is_fresh = version, True, False

    # -- in the thread ----------------------------------------------------------------------------------------

    def resume(self, found: Scan) -> None:
        """Go on behind what is stored.

        Raises:
            OSError: If the file cannot be written.
        """
        assert self.path is not None, "it has been claimed"
        self.close()
        self._file = WarmFile(self.path, found.header, found)

    def write(self, layout: Layout[Any], header: Header, found: _Taken, *, is_new: bool) -> None:
        """Store a transaction; what goes wrong is the end of storing, and the file stays as it was. Never raises."""
        assert self.path is not None, "it has been claimed"
        try:
            if is_new:
                self.close()
                self._file = WarmFile(self.path, header)
            assert self._file is not None, "it is new, or has been resumed"
            self._file.write(found.items(layout), found.commit, layout.stored_paths)
        except Exception as error:  # whatever it is, the informer is not concerned
            self.problem = f"{type(error).__name__}: {error}"
            logger.warning("%s: its state is not stored any more: %s", self.name, self.problem)
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def delete(self) -> None:
        """Delete the file; the next list makes another one."""
        self.close()
        self.is_ready, self.is_fresh = False, True
        if self.path is not None:
            self.path.unlink(missing_ok=True)


class _Taken:
    """Some objects as they were at one moment, and what was true then."""

    def __init__(self, keys: Sequence[str], entries: Sequence[Entry | None], commit: Commit) -> None:
        self.keys: Sequence[str] = keys
        self.entries: Sequence[Entry | None] = entries
        self.commit: Commit = commit

    def items(self, layout: Layout[Any]) -> Iterator[Item]:
        count = 0 if STORED in layout.facts else 1 + len(layout.stored_paths)
        for key, entry in zip(self.keys, self.entries, strict=True):
            if entry is None:
                yield key, "", "", None, None
                continue
            raw = bytes_of(layout, entry)
            if raw is None:
                raise LookupError("the JSON of an object is not known any more")
            yield key, entry.uid, entry.version, raw, entry.index[:count] if count else None


class Journal:
    """Stores the scopes of one informer.

    Args:
        store: The informer's store.
        directory: Where to.
        cluster: Says which cluster it is; raises InformerError if that cannot be told yet.

    Attributes:
        volumes: What is stored of each scope.
    """

    def __init__(
        self, store: Store[Any], directory: Directory, cluster: Callable[[], Awaitable[dict[str, str]]]
    ) -> None:
        self.volumes: dict[Scope, Volume] = {}
        self._store = store
        self._directory = directory
        self._cluster = cluster
        self._crowded = asyncio.Event()

    def note(self, scope: Scope, records: Sequence[Record]) -> None:
        """Note some changes."""
        volume = self.volumes.get(scope)
        if volume is None or volume.problem or volume.is_whole:
            return
        volume.dirty.update([record.key for record in records])
        if len(volume.dirty) >= CROWDED:
            self._crowded.set()

    def note_list(self, scope: Scope, segments: Sequence[Sequence[Record]], *, is_first: bool) -> None:
        """Note a list's changes; after a first list everything is stored."""
        volume = self.volumes.get(scope)
        if volume is None or volume.problem:
            return
        if is_first or volume.is_fresh:
            volume.is_whole = volume.is_ready = True
            volume.dirty.clear()
        else:
            for segment in segments:
                self.note(scope, segment)

    async def run(self) -> None:
        """Store what has changed, every few seconds, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._crowded.wait()
            self._crowded.clear()
            await self.flush()

    async def flush(self, *, is_last: bool = False) -> None:
        """Store what has changed.

        Cancellation: what has been begun is written nevertheless.

        Args:
            is_last: Store the time, too, where nothing has changed.
        """
        for scope, volume in list(self.volumes.items()):
            partition = self._store.partitions.get(scope)
            if partition is None or volume.problem or not volume.is_ready or not partition.version.isdecimal():
                continue
            if volume.dirty or volume.is_whole or volume.version != partition.version or is_last:
                await self._flush(scope, volume)

    async def _flush(self, scope: Scope, volume: Volume) -> None:
        try:
            header = Header(volume.identity, await self._cluster())
        except InformerError:
            return  # there is another time
        if scope not in self._store.partitions:
            return  # it has gone meanwhile
        is_new = volume.is_whole
        layout, taken = self._store.layout, self._take(scope, volume)
        await self._directory.run(lambda: volume.write(layout, header, taken, is_new=is_new))
        if STORED in layout.facts:
            await self._strip(scope, taken)

    def _take(self, scope: Scope, volume: Volume) -> _Taken:
        """Take what has changed together with the version that it makes. Plain ``def``: of one moment."""
        partition, object_type = self._store.partitions[scope], self._store.layout.object_type.inner
        objects = partition.objects
        keys = list(objects) if volume.is_whole else list(volume.dirty)
        entries = list(objects.values()) if volume.is_whole else list(map(objects.get, keys))
        commit = Commit(
            partition.version, time.time(), len(objects), len(partition.rejected),
            object_type.kind, object_type.api_version,
        )  # fmt: skip
        volume.dirty, volume.is_whole, volume.is_fresh, volume.version = set(), False, False, partition.version
        return _Taken(keys, entries, commit)

    async def _strip(self, scope: Scope, taken: _Taken) -> None:
        """Let go of the bytes of what has been stored, be it in the same entries or in ones that were indexed anew."""
        for at in range(0, len(taken.keys), SLICE):
            partition = self._store.partitions.get(scope)
            for key, entry in zip(taken.keys[at : at + SLICE], taken.entries[at : at + SLICE], strict=True):
                if entry is None:
                    continue
                stripped(entry)
                now = None if partition is None else partition.objects.get(key)
                if now is not None and now is not entry and now.is_same_version(entry):
                    stripped(now)
            await asyncio.sleep(0)

    async def close(self, *, has_time: bool) -> None:
        """Store what is left, and give the files back.

        Cancellation: they are given back nevertheless.

        Args:
            has_time: Whether there is time to store anything.
        """
        try:
            if has_time:
                await self.flush(is_last=True)
        finally:
            await self._directory.run(self._give_back)

    def _give_back(self) -> None:
        for volume in self.volumes.values():
            volume.close()
            if volume.path is not None:
                volume.path = None
                self._directory.release(volume.file_name)
