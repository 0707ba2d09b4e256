"""Follows one scope of one resource on the server: lists, watches and relists, for ever.

A reflector is a named state machine (``State`` in :mod:`aioinformers.listwatch.recovery`): it carries out the current
plan, turns whatever happens into an outcome and lets ``recovery`` decide what comes next. It alone reads the socket,
and it never waits for a handler: only for room in the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from aioinformers.errors import ConnectionFailedError, InformerError, ResponseError
from aioinformers.listwatch.listing import ListDecoder, ListHead
from aioinformers.listwatch.liveness import Liveness
from aioinformers.listwatch.recovery import TRANSITIONS, Outcome, Plan, State, advance, first_plan
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import Batch
from aioinformers.objects.layout import Layout
from aioinformers.queue import QueueItem, ReplaceAbort, ReplaceBatch, ReplaceBegin, ReplaceEnd, WatchBatch
from aioinformers.transport.source import Body, Source
from aioinformers.types import GroupVersionResource, Scope, WatchFailure

__all__ = ["Reflector", "Target", "Turn"]

logger: logging.Logger = logging.getLogger("aioinformers.reflector")

_METADATA_LIST: Final = "PartialObjectMetadataList"


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

    def __str__(self) -> str:
        return f"{self.resource}{self.scope.place}"


@dataclass(slots=True)
class _Attempt:
    """How far the attempt under way has got, so that an error in its middle does not hide it.

    Attributes:
        has_list: A whole list has been handed to the dispatcher.
        is_paged: The list came in pages although it was asked from the watch cache.
        delivered: Events and bookmarks of the watch, without initial objects.
        opened: Loop time at which the server answered the watch; None before that.
        is_versioned: A later watch may begin at the version of each event.
        bookmarks: Bookmarks of the watch, after its initial objects.
    """

    has_list: bool = False
    is_paged: bool = False
    delivered: int = 0
    opened: float | None = None
    is_versioned: bool = True
    bookmarks: int = 0

    def outcome(self, error: InformerError | None, version: str, now: float) -> Outcome:
        """Return how the attempt ended, given its error, the last version and the loop's time."""
        lived = 0.0 if self.opened is None else now - self.opened
        return Outcome(error, version, self.has_list, self.is_paged, self.delivered, lived)


class Turn:
    """A turn among the lists that may run at once, waited for by ``async with``.

    It is given back exactly once: by :meth:`give_back`, or else at the end of the block, whatever ends it. Cancellation
    while waiting for it takes no turn.

    Args:
        lists: Caps the lists that run at once.
    """

    def __init__(self, lists: asyncio.Semaphore) -> None:
        self._lists = lists
        self._is_held = False

    async def __aenter__(self) -> Self:
        await self._lists.acquire()
        self._is_held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Let the next list run, unless this turn has been given back already."""
        if self._is_held:
            self._is_held = False
            self._lists.release()


class Reflector:
    """Keeps a dispatcher fed with the state of one target.

    Args:
        target: What to follow.
        source: Makes the requests.
        queue: Takes the batches; while it is full, nothing is read.
        layout: Gives the layout that objects are decoded for.
        on_failure: Told about each failed attempt, before its delay.
        is_stored: Tells whether the store has a version of an object, by its key, uid and resourceVersion.
        offer: Applies a batch of a watch at once if it can; a batch that it refuses is queued.

    Attributes:
        state: What it is doing.
        version: The last resourceVersion that it has put into the queue.
        last_error: The error of the last attempt, until an attempt is healthy again.
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
        self._source = source
        self._settings = source.settings
        self._queue = queue
        self._layout = layout
        self._on_failure = on_failure
        self._is_stored = is_stored
        self._offer = offer
        self._liveness = Liveness(lambda: source.is_closed, source.settings.time_slice)
        self._attempt = _Attempt()
        self._failures = 0  # in a row, as users count them: those of a plan only measure its delay

    @property
    def last_activity(self) -> float | None:
        """Loop time of the last byte from the server; None before the first."""
        return self._liveness.last_activity

    async def run(self) -> None:
        """Follow the target until cancelled; then the connection is closed and nothing half-done is left."""
        loop = asyncio.get_running_loop()
        plan = first_plan(self._settings, self._source.streams_again_at, loop.time())
        try:
            while True:  # an informer never gives up by itself (G9)
                if plan.delay:
                    self._enter(State.WAITING)
                    await asyncio.sleep(plan.delay)
                self._enter(plan.begins_in)
                outcome = await self._carry_out(plan)
                plan = advance(plan, outcome, self._settings, loop.time(), self._source.random.random())
                self._source.streams_again_at = max(self._source.streams_again_at, plan.streams_again_at)
                self._report(plan, outcome)
        finally:
            self._enter(State.STOPPED)

    def _enter(self, state: State) -> None:
        """Change the state, in one of the ways that ``recovery`` knows."""
        before = self.state
        if state not in TRANSITIONS[before]:
            raise AssertionError(f"{self.target}: a reflector cannot go from {before} to {state}")
        self.state = state
        logger.debug("%s: %s, after %s", self.target, state.value, before.value)

    async def _carry_out(self, plan: Plan) -> Outcome:
        """Carry out one plan; every failure that a server or a network can cause becomes part of the outcome."""
        self._attempt = attempt = _Attempt()
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
        return attempt.outcome(error, self.version, asyncio.get_running_loop().time())

    def _report(self, plan: Plan, outcome: Outcome) -> None:
        """Tell users about a failure, given the plan that follows its outcome."""
        if not plan.failures or (outcome.has_list and plan.unwatched <= 1) or outcome.delivered:
            self._failures = 0
        error = outcome.error
        if error is None and plan.delay:  # a clean end, but the watch did no good
            error = ConnectionFailedError(f"the server closed the watch after {outcome.lived:.1f} s without an event")
        if error is None:
            if not plan.failures:
                self.last_error = None
            return
        self.last_error = error
        self._failures += 1
        failure = WatchFailure(self.target.resource, self.target.scope, error, self._failures, plan.delay)
        # The first failures and then each doubling: a long outage must not fill the log.
        level = logging.WARNING if self._failures & (self._failures - 1) == 0 else logging.DEBUG
        logger.log(level, "%s: %s; next try in %.1f s (failure %d)", self.target, error, plan.delay, self._failures)
        self._on_failure(failure)

    # -- replacing all objects --------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _replacement(self, problem: str) -> AsyncIterator[None]:
        """Begin a list, and abort it if the block fails or does not end in time.

        Cancellation leaves the list without an end, so that it is never applied.

        Args:
            problem: What is wrong if the block does not end in time, for the error.

        Raises:
            ConnectionFailedError: If the block takes longer than ``Settings.list_timeout``.
        """
        timeout, abort = self._settings.list_timeout, ReplaceAbort(self.target.scope)
        await self._begin()
        try:
            async with asyncio.timeout(timeout):
                yield
        except TimeoutError as error:
            await self._queue.put(abort)
            raise ConnectionFailedError(f"{problem} within {timeout:g} s") from error
        except InformerError:
            await self._queue.put(abort)
            raise

    async def _begin(self) -> None:
        """Begin a list once what was queued before has been applied: ``is_stored`` must not judge by an old store."""
        begun = asyncio.get_running_loop().create_future()
        await self._queue.put(ReplaceBegin(self.target.scope, begun))
        await begun

    async def _commit(self, version: str, head: ListHead | None = None) -> None:
        kind = head.kind.removesuffix("List") if head else ""
        end = ReplaceEnd(self.target.scope, version, kind, head.api_version if head else "")
        await self._queue.put(end)
        self._attempt.has_list = True
        self.version = version
        self.last_error = None

    # -- LIST -------------------------------------------------------------------------------------------------

    async def _list(self, plan: Plan) -> None:
        async with self._source.lists:
            async with self._replacement("the list was not done"):
                head = await self._list_pages(plan)
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
                self._attempt.is_paged = pages > 1 and (version == "0" or plan.is_paged)
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
        settings, liveness = self._settings, self._liveness
        async with (
            self._source.open(
                self.target.path,
                query,
                header_timeout=settings.header_timeout,
                compression=settings.compression,
                accept=decoder.layout.object_type.list_accept,
            ) as body,
            liveness.limit_silence(lambda: settings.list_silence_timeout, "the list"),
        ):
            while data := await liveness.read(body.read):
                await self._put_objects(decoder.feed(data))
            await self._put_objects(decoder.flush())
        head = decoder.finish()
        self._refuse_foreign(head)  # again: its kind may stand after its items
        return head

    def _refuse_foreign(self, head: ListHead) -> None:
        """Refuse a list of another kind, such as a confused proxy may answer; every list may call itself a List."""
        if head.kind in ("", "List"):
            return
        if head.kind == _METADATA_LIST:
            is_foreign = _METADATA_LIST not in self._layout().object_type.list_accept
        else:
            is_foreign = self.target.is_foreign(head.kind, head.api_version)
        if is_foreign:
            of = f" of {head.api_version}" if head.api_version else ""
            raise ResponseError(f"expected a list of {self.target.resource}, got {head.kind}{of}")

    async def _put_objects(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            await self._liveness.pause()
            await self._queue.put(ReplaceBatch(self.target.scope, batch))

    # -- WATCH with initial objects ---------------------------------------------------------------------------

    async def _stream(self, plan: Plan) -> None:
        """Watch with initial objects; once their end is marked, go on as an ordinary watch."""
        query = self._watch_query() | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        if plan.version and not plan.is_consistent:
            query["resourceVersion"] = plan.version
        header_timeout = min(self._settings.header_timeout, self._settings.watch_list_silence_timeout)
        async with (
            Turn(self._source.lists) as turn,
            self._open_watch(query, header_timeout) as (body, decoder, timeout),
        ):
            async with self._replacement("the end of the initial objects was not marked"):
                decoder.is_stored = self._is_stored
                await self._read_initial(body, decoder)
            turn.give_back()
            self._enter(State.WATCHING)
            await self._follow(body, decoder, timeout)

    async def _read_initial(self, body: Body, decoder: WatchDecoder) -> None:
        settings, scope, time = self._settings, self.target.scope, asyncio.get_running_loop().time
        silence = settings.watch_list_silence_timeout
        last_object = time()
        async with self._liveness.limit_silence(lambda: silence, "the stream of initial objects"):
            while data := await self._liveness.read(body.read_lines):
                batches = decoder.feed(data)
                for batch in batches:
                    self._refuse_lost(batch)
                    await self._liveness.pause()
                    await self._queue.put(ReplaceBatch(scope, batch))
                    # Once objects have come, only the mark may be missing: older servers send it late.
                    silence = settings.watch_list_timeout
                    if batch.deltas:
                        last_object = time()
                    if batch.ends_initial:
                        decoder.is_stored = None  # from here on a version that is known is still an event's
                        await self._commit(batch.version)
                        await self._put_events(batches)  # those that came together with the mark
                        return
                    if time() - last_object >= settings.watch_list_timeout:
                        raise ResponseError("bookmarks come, but none marks the end of the initial objects")
        raise ResponseError("the stream of initial objects closed before its end was marked")

    # -- WATCH ------------------------------------------------------------------------------------------------

    async def _watch(self, version: str) -> None:
        # Without a version all objects come first, in any order: a watch that begins at the version of one of them
        # would miss others.
        self._attempt.is_versioned = bool(version)
        query = self._watch_query() | {"resourceVersion": version}
        async with self._open_watch(query, self._settings.header_timeout) as (body, decoder, timeout):
            await self._follow(body, decoder, timeout)

    async def _check(self, version: str) -> None:
        """Ask for one object, not older than a version: a server that does not reach the version refuses."""
        query = {"limit": "1", "resourceVersion": version, "resourceVersionMatch": "NotOlderThan"}
        accept = self._layout().object_type.list_accept
        await self._source.read_json(self.target.path, {**self.target.query, **query}, accept=accept)
        self._liveness.touch()

    def _watch_query(self) -> dict[str, str]:
        settings = self._settings
        spread = settings.watch_timeout_max - settings.watch_timeout_min
        timeout = settings.watch_timeout_min + self._source.random.random() * spread
        return {
            **self.target.query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": f"{timeout:.0f}"
        }  # fmt: skip

    @contextlib.asynccontextmanager
    async def _open_watch(
        self, query: dict[str, str], header_timeout: float
    ) -> AsyncIterator[tuple[Body, WatchDecoder, float]]:
        """Give a watch's body, the decoder of its lines, and the seconds after which the server is to close it."""
        timeout = float(query["timeoutSeconds"])
        decoder = WatchDecoder(self._layout(), self._settings.max_object_bytes)
        async with self._source.open(
            self.target.path,
            query,
            header_timeout=header_timeout,
            accept=decoder.layout.object_type.watch_accept,
        ) as body:
            self._attempt.opened = asyncio.get_running_loop().time()
            if self.state is State.OPENING:
                self._enter(State.WATCHING)
                self.last_error = None  # connected again; a new problem will show by itself
            self._liveness.touch()
            yield body, decoder, timeout

    async def _follow(self, body: Body, decoder: WatchDecoder, timeout: float) -> None:
        """Hand on events until the server closes the stream."""
        settings, attempt, liveness = self._settings, self._attempt, self._liveness
        attempt.bookmarks = 0  # without those that came together with the mark of a stream

        def silence() -> float:
            # Servers promise no bookmarks; but a server that has sent one goes on sending them.
            return settings.watch_silence_timeout if attempt.bookmarks else timeout + settings.watch_timeout_slack

        async with liveness.limit_silence(silence, "the watch"):
            while data := await liveness.read(body.read_lines):
                decoder = self._current(decoder)
                await self._put_events(decoder.feed(data))

    async def _put_events(self, batches: Iterable[Batch]) -> None:
        attempt = self._attempt
        for batch in batches:
            await self._liveness.pause()
            item = WatchBatch(self.target.scope, batch)
            if not self._offer(item):
                await self._queue.put(item)
            if attempt.is_versioned:
                self.version = batch.version or self.version
            attempt.delivered += len(batch.deltas) + batch.bookmarks
            attempt.bookmarks += batch.bookmarks
            self._refuse_lost(batch)

    @staticmethod
    def _refuse_lost(batch: Batch) -> None:
        if batch.lost:
            raise ResponseError("an event could not be read: only a list can tell what it was about")

    def _current(self, decoder: WatchDecoder) -> WatchDecoder:
        """Return a decoder for the current layout: indexes may have been added or removed."""
        layout = self._layout()
        if decoder.layout is layout or decoder.has_rest:
            return decoder
        return WatchDecoder(layout, self._settings.max_object_bytes)
