"""Follows one scope of one resource on the server: lists, watches and relists, for ever.

A reflector is a named state machine (``State`` in :mod:`aioinformers.listwatch.recovery`): it carries out the current
plan, turns whatever happens into an outcome and lets ``recovery`` decide what comes next. It alone reads the socket,
and it never waits for a handler: only for room in the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aioinformers.errors import ConnectionFailedError, InformerError, ResponseError
from aioinformers.listwatch.listing import ListDecoder, ListHead
from aioinformers.listwatch.recovery import Outcome, Plan, State, advance, first_plan
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import Batch
from aioinformers.objects.layout import Layout
from aioinformers.queue import QueueItem, ReplaceAbort, ReplaceBatch, ReplaceBegin, ReplaceEnd, WatchBatch
from aioinformers.transport.source import Body, Source
from aioinformers.types import GroupVersionResource, Scope, WatchFailure

__all__ = ["Reflector", "Target"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.reflector")

CHECK_PERIOD = 15.0
"""Seconds after which a silent stream is looked at, whatever its limit: its client may have been closed."""
_METADATA_LIST = "PartialObjectMetadataList"


@dataclass(frozen=True, slots=True)
class Target:
    """What one reflector follows.

    Attributes:
        resource: The resource.
        scope: What of it to follow.
        query: Selectors and further query parameters of every request.
        is_foreign: Tells whether a list is of another kind, by its kind and apiVersion.
    """

    resource: GroupVersionResource
    scope: Scope
    query: Mapping[str, str]
    is_foreign: Callable[[str, str], bool]

    @property
    def path(self) -> str:
        """The URL path of the collection."""
        namespace = self.scope.namespace
        middle = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.resource.path}{middle}/{self.resource.resource}"


class Reflector:
    """Keeps a dispatcher fed with the state of one target.

    Args:
        target: What to follow.
        source: Makes the requests.
        queue: Takes the batches; a full queue holds the socket up.
        layout: Gives the layout that objects are decoded for.
        on_failure: Told about each failed attempt, before its delay.
        is_stored: Tells whether the store has a version of an object, by its key, uid and resourceVersion.
        offer: Applies a batch of a watch at once if it can; what it does not take is queued.

    Attributes:
        state: What it is doing.
        version: The last resourceVersion that it has put into the queue.
        last_error: The error of the last attempt, until an attempt is healthy again.
        last_activity: Loop time of the last byte from the server.
    """

    def __init__(
        self,
        target: Target,
        source: Source,
        queue: asyncio.Queue[QueueItem],
        layout: Callable[[], Layout[Any]],
        on_failure: Callable[[WatchFailure], None],
        is_stored: Callable[[str, str, str], bool],
        offer: Callable[[WatchBatch], bool] = lambda _: False,
    ) -> None:
        self.target = target
        self.state: State = State.WAITING
        self.version: str = ""
        self.last_error: Exception | None = None
        self.last_activity: float | None = None
        self._source = source
        self._settings = source.settings
        self._queue = queue
        self._layout = layout
        self._on_failure = on_failure
        self._is_stored = is_stored
        self._offer = offer
        # Progress of the attempt under way, so that an error in its middle can still tell what was reached.
        self._has_list = False
        self._is_paged = False
        self._delivered = 0
        self._opened: float | None = None
        self._is_versioned = True
        self._bookmarks = 0
        self._is_reading = False
        self._failed = 0
        self._slice_end = 0.0

    async def run(self) -> None:
        """Follow the target until cancelled; then the connection is closed and nothing half-done is left."""
        loop = asyncio.get_running_loop()
        plan = first_plan(self._settings, self._source.streams_again_at, loop.time())
        try:
            while True:  # an informer never gives up by itself (G9)
                if plan.delay:
                    self.state = State.WAITING
                    await asyncio.sleep(plan.delay)
                # WATCHING is reached inside an attempt, once the server has answered.
                self.state = State.OPENING if plan.state is State.WATCHING else plan.state
                outcome = await self._attempt(plan)
                plan = advance(plan, outcome, self._settings, loop.time(), self._source.random.random())
                self._source.streams_again_at = max(self._source.streams_again_at, plan.streams_again_at)
                self._report(plan, outcome)
        finally:
            self.state = State.STOPPED

    async def _attempt(self, plan: Plan) -> Outcome:
        """Carry out one plan; every failure that a server or a network can cause becomes an outcome."""
        self._has_list = self._is_paged = False
        self._delivered, self._opened, self._is_versioned = 0, None, True
        error: InformerError | None = None
        try:
            match plan.state:
                case State.LISTING:
                    await self._list(plan)
                case State.STREAMING:
                    await self._stream(plan)
                case State.WATCHING:
                    await self._watch(plan.version)
                case State.CHECKING:
                    await self._check(plan.version)
                case _:
                    raise AssertionError(f"{plan.state} is not something to attempt")
        except InformerError as failure:
            error = failure
        return Outcome(error, self.version, self._has_list, self._is_paged, self._delivered, self._lived())

    def _lived(self) -> float:
        return 0.0 if self._opened is None else asyncio.get_running_loop().time() - self._opened

    def _report(self, plan: Plan, outcome: Outcome) -> None:
        if not plan.failures or (outcome.has_list and plan.unwatched <= 1) or outcome.delivered:
            self._failed = 0
        error = outcome.error
        if error is None and plan.delay:  # no error, but no good either
            error = ConnectionFailedError(f"the server closed the watch after {outcome.lived:.1f} s without an event")
        if error is None:
            if not plan.failures:
                self.last_error = None
            return
        self.last_error = error
        self._failed += 1
        failure = WatchFailure(self.target.resource, self.target.scope, error, self._failed, plan.delay)
        # The first failures and then each doubling: a long outage must not fill the log.
        level = logging.WARNING if self._failed & (self._failed - 1) == 0 else logging.DEBUG
        logger.log(
            level, "%s%s: %s; next try in %.1f s (failure %d)",
            self.target.resource, self.target.scope.place, error, plan.delay, self._failed,
        )  # fmt: skip
        self._on_failure(failure)

    # -- LIST -------------------------------------------------------------------------------------------------

    async def _list(self, plan: Plan) -> None:
        timeout = self._settings.list_timeout
        scope = self.target.scope
        async with self._source.lists:
            await self._begin()
            try:
                async with asyncio.timeout(timeout):
                    head = await self._list_pages(plan)
            except TimeoutError as error:
                await self._queue.put(ReplaceAbort(scope))
                raise ConnectionFailedError(f"the list was not done within {timeout:g} s") from error
            except InformerError:
                await self._queue.put(ReplaceAbort(scope))
                raise
            await self._commit(head.metadata.resourceVersion, head)

    async def _list_pages(self, plan: Plan) -> ListHead:
        """Read all pages and return the last one's head. An expired page token means one list without pages."""
        version, token, pages = plan.list_version, "", 0
        # With a version that is neither "0" nor "", a limit would make it an exact read past the watch cache.
        limit = self._settings.page_size if version in ("", "0") or plan.is_paged else 0
        while True:
            try:
                head = await self._list_page(version, token, limit)
            except InformerError as error:
                if not token or getattr(error, "status", 0) != 410:
                    raise
                await self._begin()
                token, limit = "", 0
                continue
            pages += 1
            if token and token == head.metadata.next:
                raise ResponseError("the list goes round in circles: a page gave its own token for the next one")
            token = head.metadata.next
            if not token:
                self._is_paged = pages > 1 and (version == "0" or plan.is_paged)
                return head

    async def _list_page(self, version: str, token: str, limit: int) -> ListHead:
        query = dict(self.target.query)
        if token:
            query |= {"continue": token, "limit": str(limit)}
        else:
            query |= {"limit": str(limit)} if limit else {}
            query |= {"resourceVersion": version} if version else {}
        decoder = ListDecoder(self._layout(), self._settings.max_object_bytes)
        decoder.is_stored = self._is_stored
        decoder.check_head = self._refuse_foreign
        settings = self._settings
        async with (
            self._source.open(
                self.target.path,
                query,
                header_timeout=settings.header_timeout,
                compression=settings.compression,
                accept=decoder.layout.object_type.list_accept,
            ) as body,
            self._silence(lambda: settings.list_silence_timeout, "the list"),
        ):
            while data := await self._read(body.read):
                await self._put_batches(decoder.feed(data))
            await self._put_batches(decoder.flush())
        head = decoder.finish()
        self._refuse_foreign(head)  # again: its kind may stand after its items
        return head

    def _refuse_foreign(self, head: ListHead) -> None:
        """Refuse the list of another kind, as a confused proxy may answer it; any may call itself a List."""
        if head.kind in ("", "List"):
            return
        if head.kind == _METADATA_LIST:
            is_foreign = _METADATA_LIST not in self._layout().object_type.list_accept
        else:
            is_foreign = self.target.is_foreign(head.kind, head.api_version)
        if is_foreign:
            of = f" of {head.api_version}" if head.api_version else ""
            raise ResponseError(f"expected a list of {self.target.resource}, got {head.kind}{of}")

    async def _begin(self) -> None:
        """Begin a list once what was queued before has been applied: ``is_stored`` must not judge by an old store."""
        begun = asyncio.get_running_loop().create_future()
        await self._queue.put(ReplaceBegin(self.target.scope, begun))
        await begun

    async def _put_batches(self, batches: Iterable[Any]) -> None:
        for batch in batches:
            await self._pause()
            await self._queue.put(ReplaceBatch(self.target.scope, batch))

    async def _commit(self, version: str, head: ListHead | None = None) -> None:
        kind = head.kind.removesuffix("List") if head else ""
        end = ReplaceEnd(self.target.scope, version, kind, head.api_version if head else "")
        await self._queue.put(end)
        self._has_list = True
        self.version = version
        self.last_error = None

    # -- WATCH ------------------------------------------------------------------------------------------------

    async def _watch(self, version: str) -> None:
        # Without a version all objects come first, in no order of their versions: none of them is one to resume from.
        self._is_versioned = bool(version)
        query = self._watch_query() | {"resourceVersion": version}
        async with self._open_watch(query, self._settings.header_timeout) as (body, decoder, timeout):
            await self._follow(body, decoder, timeout)

    async def _check(self, version: str) -> None:
        """Ask for one object, not older than a version: a server that does not reach it refuses."""
        query = {"limit": "1", "resourceVersion": version, "resourceVersionMatch": "NotOlderThan"}
        accept = self._layout().object_type.list_accept
        await self._source.read_json(self.target.path, {**self.target.query, **query}, accept=accept)
        self._touch()

    async def _stream(self, plan: Plan) -> None:
        """Watch with initial objects; once their end is marked, go on as an ordinary watch."""
        query = self._watch_query() | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        if plan.version and not plan.is_consistent:
            query["resourceVersion"] = plan.version
        scope, settings = self.target.scope, self._settings
        header_timeout = min(settings.header_timeout, settings.watch_list_silence_timeout)
        await self._source.lists.acquire()
        is_holding = True
        try:
            async with self._open_watch(query, header_timeout) as (body, decoder, timeout):
                await self._begin()
                decoder.is_stored = self._is_stored
                try:
                    async with asyncio.timeout(settings.list_timeout):
                        await self._read_initial(body, decoder)
                except TimeoutError as error:
                    await self._queue.put(ReplaceAbort(scope))
                    raise ConnectionFailedError(
                        f"the end of the initial objects was not marked within {settings.list_timeout:g} s"
                    ) from error
                except InformerError:
                    await self._queue.put(ReplaceAbort(scope))
                    raise
                self._source.lists.release()
                is_holding = False
                self.state = State.WATCHING
                await self._follow(body, decoder, timeout)
        finally:
            if is_holding:
                self._source.lists.release()

    async def _read_initial(self, body: Body, decoder: WatchDecoder) -> None:
        settings, scope = self._settings, self.target.scope
        limits = {"silence": settings.watch_list_silence_timeout}
        last_object = asyncio.get_running_loop().time()

        async with self._silence(lambda: limits["silence"], "the stream of initial objects"):
            while data := await self._read(body.read_lines):
                batches = decoder.feed(data)
                for batch in batches:
                    self._refuse_lost(batch)
                    await self._pause()
                    await self._queue.put(ReplaceBatch(scope, batch))
                    # Once objects have come, only the mark may be missing: older servers send it late.
                    limits["silence"] = settings.watch_list_timeout
                    if batch.deltas:
                        last_object = asyncio.get_running_loop().time()
                    if batch.ends_initial:
                        decoder.is_stored = None  # from here on a version that is known is still an event's
                        await self._commit(batch.version)
                        break
                    if asyncio.get_running_loop().time() - last_object >= settings.watch_list_timeout:
                        raise ResponseError("bookmarks come, but none marks the end of the initial objects")
                if self._has_list:
                    await self._put_events(batches)  # they may hold what came after the mark
                    return
        raise ResponseError("the stream of initial objects closed before its end was marked")

    @contextlib.asynccontextmanager
    async def _open_watch(
        self, query: dict[str, str], header_timeout: float
    ) -> AsyncIterator[tuple[Body, WatchDecoder, float]]:
        timeout = float(query["timeoutSeconds"])
        decoder = WatchDecoder(self._layout(), self._settings.max_object_bytes)
        async with self._source.open(
            self.target.path,
            query,
            header_timeout=header_timeout,
            accept=decoder.layout.object_type.watch_accept,
        ) as body:
            self._opened = asyncio.get_running_loop().time()
            if self.state is State.OPENING:
                self.state = State.WATCHING
                self.last_error = None  # connected again; what is wrong now will show
            self._touch()
            yield body, decoder, timeout

    def _watch_query(self) -> dict[str, str]:
        settings = self._settings
        spread = settings.watch_timeout_max - settings.watch_timeout_min
        timeout = settings.watch_timeout_min + self._source.random.random() * spread
        return {
            **self.target.query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": f"{timeout:.0f}"
        }  # fmt: skip

    async def _follow(self, body: Body, decoder: WatchDecoder, timeout: float) -> None:
        """Hand on events until the server closes the stream."""
        settings = self._settings
        self._bookmarks = 0

        def silence() -> float:
            # Servers promise no bookmarks; but one that has sent them goes on sending them.
            return settings.watch_silence_timeout if self._bookmarks else timeout + settings.watch_timeout_slack

        async with self._silence(silence, "the watch"):
            while data := await self._read(body.read_lines):
                decoder = self._current(decoder)
                await self._put_events(decoder.feed(data))

    async def _put_events(self, batches: Iterable[Any]) -> None:
        for batch in batches:
            await self._pause()
            item = WatchBatch(self.target.scope, batch)
            if not self._offer(item):
                await self._queue.put(item)
            if self._is_versioned:
                self.version = batch.version or self.version
            self._delivered += len(batch.deltas) + batch.bookmarks
            self._bookmarks += batch.bookmarks
            self._refuse_lost(batch)

    @staticmethod
    def _refuse_lost(batch: Batch) -> None:
        if batch.lost:
            raise ResponseError("an event could not be read: only a list can tell what it was about")

    def _current(self, decoder: WatchDecoder) -> WatchDecoder:
        """Return a decoder for the current layout, which may have got other indexes since."""
        layout = self._layout()
        if decoder.layout is layout or decoder.has_rest:
            return decoder
        return WatchDecoder(layout, self._settings.max_object_bytes)

    # -- liveness ---------------------------------------------------------------------------------------------

    async def _read(self, read: Callable[[], Awaitable[T]]) -> T:
        self._is_reading = True
        try:
            data = await read()
        finally:
            self._is_reading = False
        self._touch()
        self._slice_end = asyncio.get_running_loop().time() + self._settings.time_slice
        return data

    async def _pause(self) -> None:
        """Let others run once decoding has used up its time slice: neither a read nor a put need wait."""
        time = asyncio.get_running_loop().time
        if time() > self._slice_end:
            await asyncio.sleep(0)
            self._slice_end = time() + self._settings.time_slice

    def _touch(self) -> None:
        self.last_activity = asyncio.get_running_loop().time()

    @contextlib.asynccontextmanager
    async def _silence(self, limit: Callable[[], float], what: str) -> AsyncIterator[None]:
        """Fail when the server has been silent for too long. Costs a timer per limit, nothing per read.

        Raises:
            ConnectionFailedError: If nothing has arrived for ``limit()`` seconds.
        """
        loop = asyncio.get_running_loop()
        self._touch()

        timers: list[asyncio.TimerHandle] = []

        def check() -> None:
            # Waiting for room in the queue is our own silence, not the server's.
            last = self.last_activity
            since = last if self._is_reading and last is not None else loop.time()
            deadline = since + limit()
            if loop.time() >= deadline or self._source.is_closed:
                scope.reschedule(loop.time())
            else:
                timers[:] = [loop.call_at(min(deadline, loop.time() + CHECK_PERIOD), check)]

        timers.append(loop.call_later(min(limit(), CHECK_PERIOD), check))
        try:
            async with asyncio.timeout(None) as scope:
                yield
        except TimeoutError as error:
            if self._source.is_closed:
                raise ConnectionFailedError(
                    "the API client has been closed: keep it open while informers run"
                ) from error
            raise ConnectionFailedError(f"{what} was silent for {limit():g} s") from error
        finally:
            timers[0].cancel()
