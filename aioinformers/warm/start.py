"""How one scope starts from what is stored: it is read, checked against the server, and handed to the dispatcher."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, NamedTuple, TypeVar

import msgspec

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.errors import InformerError
from aioinformers.objects.deltas import BATCH_EVENTS, Batch, Delta
from aioinformers.objects.paths import join_key
from aioinformers.queue import ReplaceAbort, ReplaceBatch, ReplaceBegin, ReplaceEnd
from aioinformers.transport.source import Source
from aioinformers.types import GroupVersionResource, Scope, WatchFailure, version_order
from aioinformers.warm.bytes import StoredDecoder
from aioinformers.warm.cache import WarmCache
from aioinformers.warm.directory import Directory
from aioinformers.warm.frames import Item, Scan, UnfitError, scan
from aioinformers.warm.identity import cluster_of, file_prefix, is_passing, is_same_cluster, server_of
from aioinformers.warm.journal import Volume

__all__ = ["Parts", "Resumption", "Start"]

T = TypeVar("T")

AT_ONCE: Final = 16
"""Frames that are read at once."""


class Resumption(NamedTuple):
    """Where a reflector goes on.

    Attributes:
        version: The resourceVersion of what was stored; empty to list, and compare the list with it.
        goal: The one that the server has now.
    """

    version: str
    goal: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """What an informer's starts have in common.

    Attributes:
        warm: What the user says of it.
        directory: Where the files are.
        resource: The informer's resource.
        query: Selectors and further query parameters.
        store: Its store.
        dispatcher: The store's writer.
        source: Makes its requests.
        on_failure: Told of each attempt to reach the server that failed, before its delay.
    """

    warm: WarmCache
    directory: Directory
    resource: GroupVersionResource
    query: Mapping[str, str]
    store: Store[Any]
    dispatcher: Dispatcher[Any]
    source: Source
    on_failure: Callable[[WatchFailure], None]


class _Metadata(msgspec.Struct, gc=False):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata


class _List(msgspec.Struct, gc=False):
    metadata: _Metadata
    items: list[_Object] | None = None


_decode_list: Final = msgspec.json.Decoder(_List).decode
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Start:
    """The start of one scope.

    Args:
        parts: What the informer's starts have in common.
        scope: The scope.
        path: The URL path of its collection.
        volume: What is stored of it, if anything is.

    Attributes:
        doing: What it waits for; empty once the reflector runs.
        remark: What has become of it, in words; empty before that.
        is_warm: Whether what was stored is used.
        was_told: Whether the dispatcher has got the objects.
        stored_at: When these were stored, as seconds since 1970.
        count: How many there are.
        age: How many seconds ago that was.
    """

    def __init__(self, parts: Parts, scope: Scope, path: str, volume: Volume) -> None:
        self.doing: str = "reading what was stored"
        self.remark: str = ""
        self.is_warm: bool = False
        self.was_told: bool = False
        self.stored_at: float = 0.0
        self.count: int = 0
        self.age: float = 0.0
        self._parts = parts
        self._scope = scope
        self._path = path
        self._volume = volume
        self._failures = 0
        self._file: BinaryIO | None = None

    async def run(self) -> Resumption:
        """Hand what is stored to the dispatcher, if it fits. Cancellation: another start may be made.

        It waits for the server, for ever, if there is something to check.

        Raises:
            UnfitError: If it does not fit.
            OSError: If nothing can be read or written there.
        """
        parts, run = self._parts, self._parts.directory.run
        try:
            found, file = await run(self._open)
            early = parts.warm.serve_stale and is_same_server(found, parts.source)
            if early:
                await self._tell(found, file)
            goal = await self._check(found, file)
            await run(lambda: self._volume.resume(found))
            if not early:
                await self._tell(found, file)
        finally:  # in the thread, which may not have come to open it yet, or read it now
            parts.directory.run_unawaited(self._close)
        version = found.commit.version
        parts.dispatcher.aim(self._scope, goal)
        self._volume.begin(version)
        self.count, self.age = len(found.last), self._age(found)
        self.is_warm, self.remark = True, f"warm: {self.count} objects, {self.age:.0f} s old"
        return Resumption(version, goal)

    # -- what is stored ---------------------------------------------------------------------------------------

    def _open(self) -> tuple[Scan, BinaryIO]:
        """Verify the file. In the thread."""
        parts, volume = self._parts, self._volume
        if volume.path is None:
            volume.path = parts.directory.claim(volume.file_name)
        try:
            file = open(volume.path, "rb")  # noqa: SIM115  it is closed at the end of the start
        except FileNotFoundError:
            if parts.directory.has_others(file_prefix(parts.resource)):
                reason = "what is stored was of other selectors, scopes, transforms or types"
            else:
                reason = "nothing is stored yet"
            raise UnfitError(reason) from None
        self._file = file
        found = scan(file)
        self._judge(found)
        return found, file

    def _close(self) -> None:
        """Close the file, if it has been opened. In the thread."""
        if self._file is not None:
            self._file.close()

    def _judge(self, found: Scan) -> None:
        commit, age = found.commit, self._age(found)
        if found.header.identity != self._volume.identity:
            raise UnfitError("what is stored was of other selectors, scopes, transforms or types")
        if age > self._parts.warm.max_age:
            raise UnfitError(f"what is stored is {age:.0f} s old")
        if commit.rejected:
            raise UnfitError(f"{commit.rejected} objects could not be read when it was stored")
        if not commit.version.isdecimal():
            raise UnfitError("its resourceVersion is no number")

    def _age(self, found: Scan) -> float:
        self.stored_at = found.commit.time
        return max(time.time() - found.commit.time, 0.0)

    # -- the dispatcher ---------------------------------------------------------------------------------------

    async def _tell(self, found: Scan, file: BinaryIO) -> None:
        """Hand all objects to the dispatcher, as a list that is not the server's."""
        parts, scope = self._parts, self._scope
        self.doing = "taking over what was stored"
        put = parts.dispatcher.queue.put
        begun = asyncio.get_running_loop().create_future()
        await put(ReplaceBegin(scope, begun))
        await begun
        try:
            async for paths, items in self._read(found, file):
                layout = parts.store.layout
                for deltas in _portions(StoredDecoder(layout, paths), items):
                    await put(ReplaceBatch(scope, Batch(deltas, "", layout)))
                    await asyncio.sleep(0)
        except UnfitError:
            await put(ReplaceAbort(scope))
            raise
        commit = found.commit
        await put(ReplaceEnd(scope, commit.version, commit.kind, commit.api_version, is_stored=True))
        self.was_told = True

    async def _read(self, found: Scan, file: BinaryIO) -> AsyncIterator[tuple[tuple[str, ...], list[Item]]]:
        """Yield what is in each frame; the next one is read meanwhile."""

        def read(begin: int) -> asyncio.Future[list[tuple[tuple[str, ...], list[Item]]]]:
            numbers = range(begin, min(begin + AT_ONCE, len(found.frames)))
            return asyncio.ensure_future(
                self._parts.directory.run(lambda: [found.read(file, number) for number in numbers])
            )

        following: asyncio.Future[list[tuple[tuple[str, ...], list[Item]]]] | None = read(0)
        try:
            for begin in range(AT_ONCE, len(found.frames) + AT_ONCE, AT_ONCE):
                assert following is not None, "there are more"
                frames = await following
                following = read(begin) if begin < len(found.frames) else None
                for frame in frames:
                    yield frame
        finally:
            if following is not None:
                await asyncio.wait([following])  # the file is about to be closed
                following.exception()

    # -- the server -------------------------------------------------------------------------------------------

    async def _check(self, found: Scan, file: BinaryIO) -> str:
        """Return the resourceVersion that the server has now, if what is stored is of this server's past.

        Raises:
            UnfitError: If it is not.
        """
        self.doing = "checking what was stored"
        cluster = await self._asked(cluster_of(self._parts.source))
        if not is_same_cluster(found.header.cluster, cluster):
            raise UnfitError("what is stored is of another cluster")
        first = await self._asked(self._list_one)
        stored, goal = found.commit.version, first.metadata.resourceVersion
        if not goal.isdecimal():
            raise UnfitError("the server's resourceVersion is no number")
        if version_order(goal) < version_order(stored):
            raise UnfitError(
                "what is stored is newer than the server's state, which was restored from a backup, or made anew"
            )
        for item in first.items or ():
            await self._compare(found, file, item.metadata)
        return goal

    async def _compare(self, found: Scan, file: BinaryIO, metadata: _Metadata) -> None:
        """Refuse what is stored if an object that is older than that is not in it: it is of another history."""
        if self._scope.ranges or not metadata.resourceVersion.isdecimal():
            return  # of a shard that is filtered here, the server's first object may be another's
        if version_order(metadata.resourceVersion) > version_order(found.commit.version):
            return
        key = join_key(metadata.namespace, metadata.name)
        item = await self._parts.directory.run(lambda: found.find(file, key))
        if item is None or item[1:3] != (metadata.uid, metadata.resourceVersion):
            raise UnfitError("what is stored is of another history of the server's than its present one")

    async def _list_one(self) -> _List:
        """Ask, consistently, for the first object and the present version."""
        parts = self._parts
        accept = parts.store.layout.object_type.list_accept
        body = await parts.source.read_json(self._path, {**parts.query, "limit": "1"}, accept=accept, is_proof=True)
        try:
            return _decode_list(body)
        except _UNREADABLE as error:
            raise UnfitError("the server's answer is no list") from error

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the server until it answers; what it refuses is a reason to start cold."""
        parts, settings = self._parts, self._parts.source.settings
        delay = settings.backoff_initial
        while True:
            try:
                return await ask()
            except InformerError as error:
                if not is_passing(error):
                    raise UnfitError(f"it cannot be checked: {error}") from error
                self._failures += 1
                self.doing = f"checking what was stored: {error}"
                parts.on_failure(WatchFailure(parts.resource, self._scope, error, self._failures, delay))
            await asyncio.sleep(delay * (1 + settings.backoff_jitter * parts.source.random.random()))
            delay = min(delay * settings.backoff_factor, settings.backoff_max)


def is_same_server(found: Scan, source: Source) -> bool:
    """Tell whether what is stored came from the server of a client, as far as its configuration says."""
    return is_same_cluster({**found.header.cluster, "uid": ""}, server_of(source))


def _portions(decoder: StoredDecoder, items: Iterable[Item]) -> Iterator[list[Delta]]:
    """Yield stored objects as the dispatcher takes them."""
    deltas: list[Delta] = []
    for item in items:
        delta = decoder.restored(item)
        if delta is None:
            raise UnfitError("an object that is stored is another one than its key says")
        deltas.append(delta)
        if len(deltas) >= BATCH_EVENTS:
            yield deltas
            deltas = []
    if deltas:
        yield deltas
