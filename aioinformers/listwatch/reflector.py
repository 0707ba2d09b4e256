"""Follows one scope of one resource on the server: lists, watches and relists, for ever.

A reflector is a named state machine (``State`` in :mod:`aioinformers.listwatch.recovery`): it carries out the current
plan, turns whatever happens into an outcome and lets ``recovery`` decide what comes next. It alone reads the socket,
and it never waits for a handler: only for room in the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from aioinformers.errors import (
    ConnectionFailedError,
    ForbiddenError,
    InformerError,
    ResourceNotFoundError,
    ResponseError,
)
from aioinformers.listwatch.absences import Absences
from aioinformers.listwatch.attempt import Attempt, OpenWatch, Target, behind, watch_query
from aioinformers.listwatch.early import EarlyEvents
from aioinformers.listwatch.failures import Failures
from aioinformers.listwatch.history import History
from aioinformers.listwatch.kinds import KindCheck
from aioinformers.listwatch.listing import ListHead
from aioinformers.listwatch.liveness import Liveness
from aioinformers.listwatch.ownership import Decoders, Ownership, screen_of
from aioinformers.listwatch.paging import EMPTY_PAGES, Paging, page_query
from aioinformers.listwatch.portions import Portions
from aioinformers.listwatch.recovery import TRANSITIONS, Outcome, Plan, State, advance, first_plan, resumed_plan
from aioinformers.listwatch.replays import Replays
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import Batch
from aioinformers.objects.layout import Layout
from aioinformers.queue import Disown, QueueItem, ReplaceAbort, ReplaceBatch, ReplaceBegin, ReplaceEnd, WatchBatch
from aioinformers.transport.door import is_made_up
from aioinformers.transport.notices import MOST_AT_ONCE
from aioinformers.transport.source import Body, Source
from aioinformers.transport.turns import Turn
from aioinformers.types import Absence, WatchFailure

__all__ = ["Reflector"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.reflector")


async def _nothing_is_gone() -> Absence:
    return Absence(is_gone=False, reason="nobody has been asked")


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
        takes_offers: Tells whether it could now, and would until somebody else has run.
        find_absence: Asks the server whether what it refuses to list is gone; raises InformerError if it does not say.
        on_state: Told of each change of what it is doing.

    Attributes:
        state: What it is doing.
        version: The last resourceVersion that it has put into the queue.
        notices: What the server said beside its answers, such as that the version is deprecated.
        history: What it has done.
        hurry: Ends the present delay when it is done; None before the first.
        ownership: What of the target is owned, if that is a shard.
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
        takes_offers: Callable[[], bool] = lambda: False,
        find_absence: Callable[[], Awaitable[Absence]] = _nothing_is_gone,
        on_state: Callable[[], None] = lambda: None,
    ) -> None:
        self.target = target
        self.state: State = State.WAITING
        self.version: str = ""
        self.notices: dict[str, None] = {}
        self.history: History = History()
        self.hurry: asyncio.Future[None] | None = None
        self.ownership: Ownership | None = None if target.shard is None else Ownership(target.shard, target.scope)
        self._source = source
        # What comes before a watch's own events does not say of which shard it is.
        self._settings = source.settings if target.shard is None else replace(source.settings, watch_list=False)
        self._queue = queue
        self._layout = layout
        self._failed = Failures(target, on_failure)
        self._is_stored = is_stored
        self._offer = offer
        self._takes_offers = takes_offers
        self._find_absence = find_absence
        self._on_state = on_state
        self._decoders = self.ownership or Decoders()
        self._screen = screen_of(self.ownership, target.scope.namespace)
        self._liveness = Liveness(lambda: source.is_closed, source.settings.time_slice)
        self._portions = Portions()
        self._plan: Plan | None = None
        self._due = 0.0  # loop time until which the plan waits
        self._attempt = Attempt()
        self._is_attempting = False
        self._has_listed = False  # a list has been put into the queue, and was not let go of
        self._absences = Absences(source.settings.gone_after)

    @property
    def last_error(self) -> Exception | None:
        """The error of the last attempt, until an attempt is healthy again."""
        return self._failed.last_error

    @property
    def needs_list(self) -> bool:
        """Whether what the dispatcher has cannot be gone on from by a watch: a list is under way, or due."""
        is_betrayed = self.ownership is not None and self.ownership.is_betrayed
        return is_betrayed or (self._plan is not None and self._plan.state in (State.LISTING, State.STREAMING))

    @property
    def last_activity(self) -> float | None:
        """Loop time of the last byte from the server; None before the first."""
        return self._liveness.last_activity

    def activity(self, now: float) -> str:
        """Say what it is doing, and what it waits for; other threads may ask.

        Args:
            now: The loop's time.
        """
        state, since, remark = self.state, self._liveness.waiting_since, self._absences.remark
        doing: str = state.value
        match state:
            case State.QUEUED:
                return f"{doing}{behind(self._source.lists.holders)}"
            case State.LISTING | State.STREAMING if since is not None and now - since >= 1.0:
                return f"{doing}, nothing from the server for {now - since:.0f} s"
            case State.WAITING | State.ABSENT if remark:
                return f"{doing} ({remark})"
        return doing

    def resume_from(self, version: str, goal: str, replays: Replays | None = None) -> None:
        """Begin, when it is run, with a watch from what the dispatcher has already.

        Args:
            version: The resourceVersion of that; empty if it does not fit, so that a list has to replace it.
            goal: The one that the server has had since; empty if nothing depends on its being reached soon.
            replays: What that watch tells again; None if it is nothing.
        """
        if version:
            self._plan = resumed_plan(version, goal, self._source.streams_again_at)
        self.version, self._has_listed = version, True
        if replays is not None:
            self._screen = replays.before(self._screen, self._forget_replays)

    def _forget_replays(self) -> None:
        self._screen = screen_of(self.ownership, self.target.scope.namespace)

    async def run(self) -> None:
        """Follow the target until cancelled; then the connection is closed and nothing half-done is left.

        Run again, it goes on from what it had reached, as after a broken connection: a watch is resumed, a list begins
        anew. An attempt that was cut off counts as a failed one.
        """
        now = asyncio.get_running_loop().time()
        if self._plan is None:
            self._plan, self._due = first_plan(self._settings, self._source.streams_again_at, now), now
        if self._is_attempting:
            self._attempt.is_interrupted = True
            error = ConnectionFailedError("something else than the informer has cancelled the request")
            self._conclude(self._plan, self._attempt.outcome(error, self.version, now))
        if self.state is State.STOPPED:
            self._enter(self._plan.waits_in)
        try:
            while True:  # an informer never gives up by itself (G9)
                plan = self._plan
                await self._wait_until_due(plan)
                self._is_attempting = True
                self._enter(plan.begins_in)
                outcome = await self._carry_out(plan)
                following = self._conclude(plan, outcome)
                await self._look_for_absence(plan, following, outcome.error)
        finally:
            self._enter(State.STOPPED)

    async def _wait_until_due(self, plan: Plan) -> None:
        loop = asyncio.get_running_loop()
        if (delay := self._due - loop.time()) > 0:
            if self.state is not plan.waits_in:
                self._enter(plan.waits_in)
            self.hurry = loop.create_future()
            await asyncio.wait((self.hurry,), timeout=delay)

    def _enter(self, state: State) -> None:
        """Change the state, in one of the ways that ``recovery`` knows."""
        before = self.state
        if state not in TRANSITIONS[before]:
            raise AssertionError(f"{self.target}: a reflector cannot go from {before} to {state}")
        self.state = state
        self.history.enter(asyncio.get_running_loop().time(), state, self.last_error)
        logger.debug("%s: %s, after %s", self.target, state.value, before.value)
        self._on_state()

    async def _carry_out(self, plan: Plan) -> Outcome:
        """Carry out one plan; every failure that a server or a network can cause becomes part of the outcome."""
        self._attempt = attempt = Attempt()
        error: InformerError | None = None
        try:
            await self._not_ended_by_others(self._begin_attempt(plan))
        except InformerError as failure:
            error = failure
        if (ownership := self.ownership) is not None and ownership.is_betrayed:
            await self._queue.put(Disown(self.target.scope, ownership.owns))
            ownership.is_betrayed = False
        return attempt.outcome(error, self.version, asyncio.get_running_loop().time())

    def _begin_attempt(self, plan: Plan) -> Coroutine[Any, Any, None]:
        match plan.state:
            case State.LISTING:
                return self._list(plan)
            case State.STREAMING:
                return self._stream(plan)
            case State.WATCHING:
                return self._watch(plan)
            case State.CHECKING:
                return self._check(plan.version)
            case _:
                raise AssertionError(f"{plan.state} is not something to attempt")

    async def _not_ended_by_others(self, attempt: Awaitable[T]) -> T:
        """Return what an attempt returns. What looks like the end of this task, and is none, is a failure of it.

        Cancellation passes through.

        Raises:
            ConnectionFailedError: For a ``CancelledError`` although nobody has cancelled this task: a hook of the
                client, or whatever else it runs, has let it out. So for other exceptions that are no ``Exception``.
        """
        try:
            return await attempt
        except BaseException as error:
            if not is_made_up(error):
                raise
            name = type(error).__name__
        self._attempt.is_interrupted = True
        raise ConnectionFailedError(f"the request was ended by {name}, which something else than the informer raised")

    def _conclude(self, plan: Plan, outcome: Outcome) -> Plan:
        """Turn an outcome into the next plan, and tell users if it was a failure."""
        now = asyncio.get_running_loop().time()
        self._plan = following = advance(plan, outcome, self._settings, now, self._source.random.random())
        self._due = now + following.delay
        self._is_attempting = False
        self.history.conclude(plan, outcome, following)
        self._source.streams_again_at = max(self._source.streams_again_at, following.streams_again_at)
        self._failed.note(following, outcome)
        return following

    # -- what may be gone -------------------------------------------------------------------------------------

    async def _look_for_absence(self, plan: Plan, following: Plan, error: Exception | None) -> None:
        """Let go of all objects if the server refuses to list them, and has twice said for certain that they are gone.

        Cancellation: leaves the objects and what is known so far; the next failure asks again.

        Args:
            plan: What was attempted.
            following: What is attempted next.
            error: How the attempt ended.
        """
        if not isinstance(error, ForbiddenError | ResourceNotFoundError):
            self._absences.forget(keeps_remark=following.is_gone)
            return
        if plan.state is not State.LISTING or not self._has_listed:
            return
        self._enter(following.waits_in)
        time = asyncio.get_running_loop().time
        asked = time()
        try:
            absence = await self._not_ended_by_others(self._find_absence())
        except InformerError as problem:
            absence = Absence(is_gone=False, reason=f"whether they are gone cannot be told: {problem}")
        if self._absences.is_certain(absence, asked, time()):
            await self._let_go(following, absence)

    async def _let_go(self, following: Plan, absence: Absence) -> None:
        """Hand an empty list to the dispatcher, at the version that is known."""
        await self._begin()
        await self._queue.put(ReplaceEnd(self.target.scope, self.version))
        self._has_listed = False
        self._absences.let_go(absence)
        self._plan = replace(following, is_gone=absence.is_of_kind)
        logger.warning("%s: its objects are gone: %s", self.target, absence.reason)

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
        self._forget_replays()
        begun = asyncio.get_running_loop().create_future()
        await self._queue.put(ReplaceBegin(self.target.scope, begun))
        await begun

    async def _commit(self, version: str, head: ListHead | None = None) -> None:
        kind = head.kind.removesuffix("List") if head else ""
        end = ReplaceEnd(self.target.scope, version, kind, head.api_version if head else "")
        await self._queue.put(end)
        self._attempt.has_list = self._has_listed = True
        self._absences.forget()
        self.version = version
        self._failed.last_error = None

    def _turn(self) -> Turn:
        return Turn(self._source.lists, self.target.resource.group, str(self.target), lambda: self._liveness.waits_for)

    async def _take_again(self, turn: Turn) -> None:
        """Wait for the turn that others were given while the server did not answer. Cancellation takes none."""
        state = self.state
        self._enter(State.QUEUED)
        await turn.take()
        self._enter(state)

    @contextlib.asynccontextmanager
    async def _open(
        self, query: Mapping[str, str], header_timeout: float, accept: str, *, compression: bool = False
    ) -> AsyncIterator[Body]:
        """Ask for the collection, and give the body of the answer."""
        with self._liveness.expecting():
            async with self._source.open(
                self.target.path, query, header_timeout=header_timeout, compression=compression, accept=accept
            ) as body:
                self._liveness.touch()
                if len(self.notices) < MOST_AT_ONCE:
                    self.notices |= dict.fromkeys(body.notices)
                yield body

    # -- LIST -------------------------------------------------------------------------------------------------

    async def _list(self, plan: Plan) -> None:
        async with self._turn() as turn:
            self._enter(State.LISTING)
            async with self._replacement("the list was not done"):
                head = await self._list_pages(plan, turn)
            await self._commit(head.metadata.resourceVersion, head)

    async def _list_pages(self, plan: Plan, turn: Turn) -> ListHead:
        """Read all pages and return the last one's head.

        An expired page token, or pages that bring nothing, mean one list without pages.
        """
        version, token, paging = plan.list_version, "", Paging()
        # With a version that is neither "0" nor "", a limit would make it an exact read past the watch cache.
        limit = self._settings.page_size if version in ("", "0") or plan.is_paged else 0
        while True:
            try:
                head = await self._list_page(page_query(self.target.query, version, token, limit), paging, turn)
            except InformerError as error:
                if not token or getattr(error, "status", 0) != 410:
                    raise
                is_whole_wanted = True
            else:
                token = head.metadata.next
                paging.end_page(token)
                if not token:
                    self._attempt.is_paged = paging.pages > 1 and (version == "0" or plan.is_paged)
                    return head
                if paging.empty_pages and not limit:
                    raise ResponseError("the list is empty, and there is said to be more of it")
                is_whole_wanted = paging.empty_pages >= EMPTY_PAGES
            if is_whole_wanted:
                await self._begin()
                token, limit, paging = "", 0, Paging()

    async def _list_page(self, query: Mapping[str, str], paging: Paging, turn: Turn) -> ListHead:
        settings, liveness, layout = self._settings, self._liveness, self._layout()
        decoder = self._decoders.list_decoder(layout, settings.max_object_bytes, is_first=not paging.pages)
        decoder.is_stored = self._is_stored
        decoder.check_head = self._refuse_foreign
        accept = layout.object_type.list_accept
        async with (
            self._open(query, settings.header_timeout, accept, compression=settings.compression) as body,
            liveness.limit_silence(lambda: settings.list_silence_timeout, "the list"),
        ):
            while data := await liveness.read(body.read):
                if not turn.is_held:
                    await self._take_again(turn)
                await self._put_objects(decoder.feed(data), paging)
            await self._put_objects(decoder.flush(), paging)
        head = decoder.finish()
        self._refuse_foreign(head)  # again: its kind may stand after its items
        return head

    def _refuse_foreign(self, head: ListHead) -> None:
        self.target.refuse_list(head.kind, head.api_version, self._layout().object_type.list_accept)

    def _refuse_object(self, kind: str, api_version: str) -> None:
        self.target.refuse_object(kind, api_version, self._layout().object_type.list_accept)

    async def _put_objects(self, batches: Iterable[Batch], paging: Paging) -> None:
        for batch in batches:
            await self._liveness.pause()
            paging.note(batch)
            if self._screen is not None:
                self._screen(batch)
            await self._queue.put(ReplaceBatch(self.target.scope, batch))

    # -- WATCH with initial objects ---------------------------------------------------------------------------

    async def _stream(self, plan: Plan) -> None:
        """Watch with initial objects; once their end is marked, go on as an ordinary watch."""
        query = self._watch_query() | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        if plan.version and not plan.is_consistent:
            query["resourceVersion"] = plan.version
        header_timeout = min(self._settings.header_timeout, self._settings.watch_list_silence_timeout)
        async with self._turn() as turn:
            self._enter(State.STREAMING)
            async with self._open_watch(query, header_timeout) as watch:
                async with self._replacement("the end of the initial objects was not marked"):
                    version, together = await self._read_initial(watch, turn)
                await self._commit(version)
                turn.give_back()
                self._enter(State.WATCHING)
                await self._put_events(together)
                await self._follow(watch)

    async def _read_initial(self, watch: OpenWatch, turn: Turn) -> tuple[str, Iterable[Batch]]:
        """Read up to the mark; return its version, and the events that came together with it."""
        body, decoder, kinds = watch.body, watch.decoder, watch.kinds
        settings, scope, time = self._settings, self.target.scope, asyncio.get_running_loop().time
        silence = settings.watch_list_silence_timeout
        last_object = time()
        decoder.is_stored = self._is_stored
        async with self._liveness.limit_silence(lambda: silence, "the stream of initial objects", lambda: body.arrived):
            while data := await self._liveness.read(body.read_lines):
                if not turn.is_held:
                    arrived = time()
                    await self._take_again(turn)
                    last_object += time() - arrived  # the wait for a turn is not the server's
                if kinds.is_open:
                    kinds.look(data)
                batches = decoder.feed(data)
                for batch in batches:
                    self._refuse_lost(batch)
                    if self._screen is not None:
                        self._screen(batch)
                    await self._liveness.pause()
                    await self._queue.put(ReplaceBatch(scope, batch))
                    # Once objects have come, only the mark may be missing: older servers send it late.
                    silence = settings.watch_list_timeout
                    if batch.deltas:
                        last_object = time()
                    if batch.ends_initial:
                        decoder.is_stored = None  # from here on a version that is known is still an event's
                        return batch.version, batches
                    if time() - last_object >= settings.watch_list_timeout:
                        raise ResponseError("bookmarks come, but none marks the end of the initial objects")
        raise ResponseError("the stream of initial objects closed before its end was marked")

    # -- WATCH ------------------------------------------------------------------------------------------------

    async def _watch(self, plan: Plan) -> None:
        # Without a version all objects come first, in any order: a watch that begins at the version of one of them
        # would miss others.
        self._attempt.is_versioned = bool(plan.version)
        query = self._watch_query(plan.watch_seconds) | {"resourceVersion": plan.version}
        async with self._open_watch(query, self._settings.header_timeout) as watch:
            await self._follow(watch)

    async def _check(self, version: str) -> None:
        """Ask for one object, not older than a version: a server that does not reach the version refuses."""
        query = {"limit": "1", "resourceVersion": version, "resourceVersionMatch": "NotOlderThan"}
        accept = self._layout().object_type.list_accept
        await self._source.read_json(self.target.path, {**self.target.query, **query}, accept=accept)
        self._liveness.touch()

    def _watch_query(self, seconds: float | None = None) -> dict[str, str]:
        return watch_query(self.target.query, self._settings, self._source.random.random(), seconds)

    @contextlib.asynccontextmanager
    async def _open_watch(self, query: Mapping[str, str], header_timeout: float) -> AsyncIterator[OpenWatch]:
        """Give a watch that the server has answered."""
        decoder = self._decoders.watch_decoder(self._layout(), self._settings.max_object_bytes)
        async with self._open(query, header_timeout, decoder.layout.object_type.watch_accept) as body:
            self._attempt.opened = asyncio.get_running_loop().time()
            if self.state is State.OPENING:
                self._failed.last_error = None  # connected again; a new problem will show by itself
                self._enter(State.WATCHING)
            yield OpenWatch(body, decoder, KindCheck(self._refuse_object), float(query["timeoutSeconds"]))

    async def _follow(self, watch: OpenWatch) -> None:
        """Hand on events until the server closes the stream."""
        settings, attempt, liveness = self._settings, self._attempt, self._liveness
        body, decoder, kinds = watch.body, watch.decoder, watch.kinds
        attempt.bookmarks = 0  # without those that came together with the mark of a stream

        def silence() -> float:
            # Servers promise no bookmarks; but a server that has sent one goes on sending them.
            return settings.watch_silence_timeout if attempt.bookmarks else watch.timeout + settings.watch_timeout_slack

        def can_be_early() -> bool:
            is_plain = not kinds.is_open and decoder.layout is self._layout() and self._portions.is_quick
            return is_plain and self._takes_offers()

        early = EarlyEvents(can_be_early, lambda blocks: decoder.feed(blocks), self._put_early)
        body.early = early.take
        async with liveness.limit_silence(silence, "the watch", lambda: body.arrived):
            while data := await liveness.read(body.read_lines):
                early.check()
                if kinds.is_open:
                    kinds.look(data)
                decoder = self._current(decoder)
                await self._put_events(decoder.feed(data))

    async def _put_events(self, batches: Iterable[Batch]) -> None:
        portions, time, arrived = self._portions, asyncio.get_running_loop().time, self.last_activity or 0.0
        for batch in batches:
            if self._screen is not None:
                self._screen(batch)
            for portion in portions.of(batch):
                await self._liveness.pause()
                item, began = WatchBatch(self.target.scope, portion, arrived), time()
                if self._offer(item):
                    portions.note(len(portion.deltas), time() - began)
                else:
                    await self._queue.put(item)
                self._note_put(portion)
            self._refuse_lost(batch)

    def _put_early(self, batch: Batch) -> None:
        """Put events where they are taken at once."""
        if self._screen is not None:
            self._screen(batch)
        time = asyncio.get_running_loop().time
        began, events = time(), len(batch.deltas)
        if not self._offer(WatchBatch(self.target.scope, batch, began)):
            raise AssertionError("nobody has run since the dispatcher was asked")
        self._portions.note(events, time() - began)
        self._note_put(batch)
        self._refuse_lost(batch)

    def _note_put(self, batch: Batch) -> None:
        if self._attempt.is_versioned:
            self.version = batch.version or self.version
        self._attempt.note(batch)

    @staticmethod
    def _refuse_lost(batch: Batch) -> None:
        if batch.lost:
            raise ResponseError("an event could not be read: only a list can tell what it was about")

    def _current(self, decoder: WatchDecoder) -> WatchDecoder:
        """Return a decoder for the current layout: indexes may have been added or removed."""
        layout = self._layout()
        return decoder if decoder.layout is layout or decoder.has_rest else decoder.for_layout(layout)
