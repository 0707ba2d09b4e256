"""What runs behind a controller: its sources, its queue, its workers, and what they write."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Generic, TypeVar

from aioinformers.checks import shown
from aioinformers.controllers.barrier import FollowedScope, followed_by
from aioinformers.controllers.circles import Circles
from aioinformers.controllers.cleanup import CONFLICT_PAUSE, Cleanup
from aioinformers.controllers.deadlines import Run, Runs, place_of
from aioinformers.controllers.events import Recorder
from aioinformers.controllers.followers import Followers
from aioinformers.controllers.kinds import Kinds
from aioinformers.controllers.memory import LONGEST, Write, WriteMemory
from aioinformers.controllers.outcomes import Requeue, Terminal, Trigger, Why
from aioinformers.controllers.plan import Plan
from aioinformers.controllers.queue import Item, WorkQueue
from aioinformers.controllers.request import Request
from aioinformers.controllers.schedule import MAX_WAIT, Priority
from aioinformers.controllers.sources import Cache, ChildSource, MainSource, Origins, WatchedSource
from aioinformers.controllers.ties import Ties
from aioinformers.controllers.writes import Kind, Writer, document_of
from aioinformers.coordination.barrier import pass_barrier
from aioinformers.coordination.election import LeaderElection
from aioinformers.coordination.tenure import Term
from aioinformers.delivery.registration import Registration
from aioinformers.errors import NotLeadingError, QueueClosedError
from aioinformers.informer import SharedInformer
from aioinformers.objects.layout import Entry
from aioinformers.statistics import BusyRun, ControllerState, ControllerStatistics, FailingKey
from aioinformers.tally import so_often
from aioinformers.types import END_OF_PROCESS, ObjectKey

__all__ = ["Engine"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.controllers")

PROGRESS: Final = 10.0
"""Seconds between two lines that say what a controller waits for before it begins."""
FOREVER: Final = float("inf")
SLICE: Final = 256
"""Keys that are added in one turn of the loop."""
MOST_FAILING: Final = 1000
"""Keys whose last error is kept."""


class _Again(Exception):  # noqa: N818  it is an outcome
    """Raised where a run has ended because something was written that the next run has to see."""


class Engine(Generic[T]):
    """Runs one controller.

    Args:
        plan: What it is to do.

    Attributes:
        plan: The same.
        queue: The keys.
        writer: Sends what is written.
        recorder: Tells what becomes an Event.
        on_run: Told of each run, by the controller's name and the key.
    """

    def __init__(self, plan: Plan[T]) -> None:
        self.plan: Plan[T] = plan
        self.name: str = plan.name
        self._main = plan.main
        self.queue: WorkQueue[ObjectKey] = WorkQueue(plan.name, backoff=plan.backoff, max_wait=MAX_WAIT, rate=plan.rate)
        self.on_run: Callable[[str, ObjectKey], None] = lambda _name, _key: None
        self._kinds = Kinds([plan.main, *plan.owned])
        self.writer: Writer = Writer(self._kinds.source, plan.name)
        self.recorder: Recorder = Recorder(plan.name)
        watched = [Cache(informer, has_ties=False) for informer, _ in plan.watched]
        self._followers = Followers((*watched, *plan.owned, plan.main))
        self._memory: WriteMemory[ObjectKey] = WriteMemory()
        self._circles = Circles(plan.main, self._followers.by_resource, self._document)
        self._cleanup: Cleanup[T] | None = None
        if plan.finalizer is not None and plan.cleanup is not None:
            self._cleanup = Cleanup(plan.finalizer, plan.cleanup)
        self._origins = Origins(self._memory.is_own)
        self._runs = Runs(plan.name, plan.timeout, plan.slow_after)
        self._registrations: list[tuple[SharedInformer[Any], Registration[Any]]] = []
        self._parked: dict[ObjectKey, asyncio.Task[None]] = {}
        self._adding: set[asyncio.Task[None]] = set()
        self._reconciled: set[ObjectKey] = set()
        self._terminal: dict[ObjectKey, None] = {}
        self._news: set[ObjectKey] = set()  # has been changed, or asked for, since its last run began
        self._failing: dict[ObjectKey, FailingKey] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._has_begun = self._is_serving = self._is_ending = self._is_catching_up = False
        self._election: LeaderElection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fence: Term | None = None
        self._succeeded = self._failed = self._timed_out = self._stale = 0

    # -- life -------------------------------------------------------------------------------------------------

    async def run(self, election: LeaderElection | None = None) -> None:
        """Reconcile until :meth:`end` has ended what runs. Cancellation cancels the runs.

        Args:
            election: Only while this candidate leads; its caches are kept fresh all the same.
        """
        plan, add, self._loop = self.plan, self._add, asyncio.get_running_loop()
        self._register(self._main.informer, MainSource(self._main, add, self._origins), "", **plan.fields)
        for cache in plan.owned:
            self._register(cache.informer, ChildSource(cache, self._main, add, self._origins), " (children)")
        for informer, to in plan.watched:
            self._register(informer, WatchedSource(str(informer.resource), to, add), " (watched)")
        try:
            await self._wait_synced()
            await self._kinds.prepare()
            if election is None:
                await self._serve()
            else:
                self._election = election
                async with election:
                    await self._lead(election)
        finally:
            self._close()

    async def _lead(self, election: LeaderElection) -> None:
        """Reconcile in each term, once the caches hold what was written before it."""
        while not self._is_ending:
            try:
                async with election.leading() as term:
                    logger.info("%s: leads as %s", self.name, election.identity)
                    await self._catch_up()
                    self._fence = term
                    await self._serve()
            except NotLeadingError as error:
                if self._is_ending:
                    return
                logger.warning("%s: %s; nothing is reconciled here until it leads again", self.name, error)

    async def _catch_up(self) -> None:
        """Wait until the caches hold what was written before the term (G19), and say what they wait for."""
        self._is_catching_up = True
        try:
            await pass_barrier(
                self._followed(), every=PROGRESS, tell=lambda what: logger.warning("%s: waits for %s", self.name, what)
            )
        finally:
            self._is_catching_up = False

    def _followed(self) -> list[FollowedScope]:
        informers = dict.fromkeys(cache.informer for cache in (self._main, *self.plan.owned))
        informers |= dict.fromkeys(informer for informer, _ in self.plan.watched)
        return [one for informer in informers for one in followed_by(informer)]

    @property
    def is_waiting(self) -> bool:
        """Whether nothing has begun, or may be begun: caches are to sync or to catch up, or somebody else leads."""
        if self._fence is None or self._is_catching_up:
            return not self._is_serving
        return self._fence.is_over

    async def _serve(self) -> None:
        """Run the workers until they have ended."""
        plan = self.plan
        self._has_begun = self._is_serving = True
        try:
            async with asyncio.TaskGroup() as group:
                self._workers = [self._start_worker(group, number) for number in range(plan.concurrency)]
                every: asyncio.Task[None] | None = None
                while working := [worker for worker in self._workers if not worker.done()]:
                    if plan.every and (every is None or every.done()):  # or a stranger has cancelled it
                        every = group.create_task(self._repeat(), name=f"{self.name} every")
                    await asyncio.wait([*working, *filter(None, (every,))], return_when=asyncio.FIRST_COMPLETED)
                    self._replace_workers(group)
                if every is not None:
                    every.cancel()
        finally:
            self._is_serving = False

    def _start_worker(self, group: asyncio.TaskGroup, number: int) -> asyncio.Task[None]:
        return group.create_task(self._work(), name=f"{self.name} {number}")

    def _replace_workers(self, group: asyncio.TaskGroup) -> None:
        """Go on in place of workers that a function has cancelled, or a stranger: the others have their keys to do."""
        if self._is_ending or self._is_fenced:
            return
        for number, worker in enumerate(self._workers):
            if worker.done() and (worker.cancelled() or worker.exception() is None):
                logger.error("%s: a call or a stranger has cancelled its task; another goes on", self.name)
                self._workers[number] = self._start_worker(group, number)

    @property
    def _is_fenced(self) -> bool:
        """Whether nothing may be begun, as the term is over."""
        return self._fence is not None and self._fence.is_over

    def _add(self, key: ObjectKey, **options: Any) -> None:
        if not self._is_ending:
            if (trigger := options.get("cause")) is not None and trigger.kind in (Why.OBJECT, Why.REQUEST):
                self._news.add(key)  # the queue keeps eight causes
            self.queue.add(key, **options)

    def _register(self, informer: SharedInformer[Any], source: Any, what: str, **fields: tuple[str, ...]) -> None:
        name = f"{self.name}{what}"
        given: dict[str, Any] = {key: value for key, value in fields.items() if value}
        self._registrations.append((informer, informer.add_event_handler(source, name=name, **given)))

    async def _wait_synced(self) -> None:
        """Wait until every source's handler has handled what there is (G19)."""
        waits = {asyncio.ensure_future(each.wait_synced()): each for _, each in self._registrations}
        try:
            while True:
                done, pending = await asyncio.wait(waits, timeout=PROGRESS, return_when=asyncio.FIRST_EXCEPTION)
                for wait in done:
                    wait.result()
                if not pending:
                    return
                names = ", ".join(f"{waits[wait]!r}" for wait in pending)
                logger.info("%s: waits for %s", self.name, names)
                self._warn_of_idle()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _warn_of_idle(self) -> None:
        """Name informers that nobody has started: their caches would be waited for without end."""
        idle = dict.fromkeys(informer.name for informer, _ in self._registrations if not informer.is_running)
        if idle and not self._is_ending:
            logger.warning(
                "%s: nothing is reconciled, as %s has not been started: write `async with factory:` around it, or "
                "await factory.start()", self.name, ", ".join(idle),
            )  # fmt: skip

    async def _repeat(self) -> None:
        assert self.plan.every is not None
        while True:
            await asyncio.sleep(self.plan.every)
            await self._add_all(Why.PERIOD)

    def trigger(self, key: ObjectKey) -> None:
        """Let a key be reconciled before all others."""
        self._add(key, priority=Priority.URGENT, cause=Trigger(Why.REQUEST, key), resets=False)

    def trigger_all(self) -> None:
        """Let all keys be reconciled, when there is nothing else to do."""
        adding = asyncio.create_task(self._add_all(Why.REQUEST), name=f"{self.name} adds all keys")
        self._adding.add(adding)
        adding.add_done_callback(self._adding.discard)

    async def _add_all(self, why: Why) -> None:
        """Add all keys, some in each turn of the loop (G12)."""
        for number, text in enumerate(self._main.pipeline.store.all_keys(), start=1):
            key = ObjectKey.parse(text)
            self._add(key, priority=Priority.BACKGROUND, cause=Trigger(why, key), resets=False)
            if not number % SLICE:
                await asyncio.sleep(0)

    async def end(self, grace: float | None) -> None:
        """Begin no run any more, and wait until those under way have ended.

        Args:
            grace: Seconds for that; then they are cancelled. None waits without limit.

        Cancellation: leaves the rest to that of :meth:`run`.
        """
        if self._election is not None:
            with contextlib.suppress(RuntimeError):  # it has not begun, or has ended
                self._election.leave()
        self._leave_sources()
        if not self._is_serving:
            return
        await self.queue.aclose(grace=grace, drop=True)
        for worker in self._workers:
            worker.cancel()

    def _leave_sources(self) -> None:
        self._is_ending = True
        for informer, registration in self._registrations:
            if not registration.is_closed:
                informer.remove_event_handler(registration)

    def _close(self) -> None:
        self._leave_sources()
        self._runs.close()
        for task in (*self._parked.values(), *self._adding):
            task.cancel()
        for cache in (self._main, *self.plan.owned):
            cache.release()

    # -- one run ----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while not task.cancelling() and not self._is_fenced:  # whatever a function has made of it
            item = self.queue.item()
            try:
                async with item:
                    await self._take(item)
            except QueueClosedError:
                if item.is_taken:
                    raise
                return

    async def _take(self, item: Item[ObjectKey]) -> None:
        """Reconcile a key, or find out why not now."""
        if self._is_ending:
            return  # what runs at the end may end, but nothing is begun again
        if self._is_fenced:
            item.postpone(0.0)  # for the next term
            return
        key, now = item.key, asyncio.get_running_loop().time()
        triggers: list[Trigger] = item.causes
        is_stale = False
        if pending := self._memory.pending(key, now, self._followers.seen):
            left = max(write.at for write in pending) + LONGEST - now
            if left > 0:
                self._park(item, pending, left)
                return
            self._memory.forget(key, pending)
            self._stale += 1
            is_stale = True
            logger.warning("%s: %s: the cache does not show after %.0f s what was written", self.name, key, LONGEST)
        if key in self._terminal:
            if key not in self._news:
                return
            del self._terminal[key]
        if key not in self._news and (pause := self._circles.pause(key, now, triggers)):
            item.postpone(pause)
            return
        self._news.discard(key)
        if (found := self._circles.note(key, now, triggers)) is not None:
            logger.warning("%s: %s", self.name, found)
        run = self._runs.begin(key)
        self._origins.hold(key)
        request: Request[T] | None = None
        try:
            request, call = self._call_of(item, run, is_stale=is_stale)
            if call is not None:
                await self._carry_out(item, run, request, call)
        finally:
            if request is not None:
                request.close()
            self._origins.let_go(key)
            self._runs.end(run)

    def _call_of(
        self, item: Item[ObjectKey], run: Run, *, is_stale: bool
    ) -> tuple[Request[T] | None, Callable[[], Awaitable[Any]] | None]:
        """Return what is to be called for a key, and the request that it gets."""
        plan, key = self.plan, item.key
        entry, cleanup = self._main.entry(key), self._cleanup
        if entry is None:
            if cleanup is not None:
                cleanup.forget(key)
            if plan.gone is None or key not in self._reconciled or not self._main.follows(key):
                self._reconciled.discard(key)
                self._failing.pop(key, None)
                return None, None
            return None, functools.partial(self._forget, key)
        request, ties = self._request(item, run, entry, is_stale=is_stale), self._main.ties(entry)
        assert plan.reconcile is not None, "checked at the start"
        if cleanup is None:
            return request, functools.partial(plan.reconcile, request)
        has_ours = cleanup.finalizer in ties.finalizers
        if ties.is_ending:
            return request, functools.partial(cleanup.run, request, ties) if has_ours else None
        if has_ours:
            return request, functools.partial(plan.reconcile, request)
        return request, functools.partial(self._add_finalizer, request, ties)

    def _request(self, item: Item[ObjectKey], run: Run, entry: Entry, *, is_stale: bool) -> Request[T]:
        object_type = self._main.pipeline.store.layout.object_type
        return Request(
            self, object_type.show(entry), functools.partial(self._document, self._main, entry), item.key, entry.uid,
            attempt=item.attempt, priority=item.priority, triggers=item.causes, deadline=self._runs.deadline(run),
            is_stale=is_stale,
        )  # fmt: skip

    def _document(self, cache: Cache, entry: Entry) -> Mapping[str, Any]:
        """Return what a cache holds as JSON has it; where it keeps objects, with the fields that these show."""
        object_type = cache.pipeline.store.layout.object_type
        return object_type.document(entry.body) if object_type.keeps_bytes else document_of(entry.body, self.sanitize)

    async def _carry_out(
        self, item: Item[ObjectKey], run: Run, request: Request[T] | None, call: Callable[[], Awaitable[Any]]
    ) -> None:
        """Call what is to be called, and let its outcome decide what becomes of the key."""
        key = item.key
        self.on_run(self.name, key)
        logger.debug("%s: %s: attempt %d, because of %s", self.name, key, item.attempt, item.causes)
        try:
            outcome = await call()
            if outcome is not None and not isinstance(outcome, Requeue):
                raise TypeError(f"a reconcile function returns None or Requeue(after=…), not {shown(outcome)}")
        except _Again:
            self._park(
                item, self._memory.pending(key, asyncio.get_running_loop().time(), self._followers.seen), LONGEST
            )
            return
        except END_OF_PROCESS:
            raise
        except BaseException as error:
            is_wanted = self._is_ending or self._is_fenced
            if isinstance(error, asyncio.CancelledError) and run.task.cancelling() > run.is_late and is_wanted:
                raise
            self._note_failure(item, run, request, error)
            return
        self._succeeded += 1
        self._failing.pop(key, None)
        if self.plan.gone is not None and request is not None:
            self._reconciled.add(key)
        if outcome is not None and not self._is_ending:
            item.requeue(outcome.after)

    def _note_failure(self, item: Item[ObjectKey], run: Run, request: Request[T] | None, error: BaseException) -> None:
        """Let a key be repeated, or not, and say so."""
        key, count = item.key, item.attempt + 1
        self._failed += 1
        if isinstance(error, asyncio.CancelledError):
            if run.is_late:
                self._timed_out += 1
                error = TimeoutError(f"it was not done within {self.plan.timeout:g} s: {place_of(run.task)}")
            else:
                error = RuntimeError("a CancelledError was let out, although the controller has not cancelled the run")
        self._failing.pop(key, None)
        self._failing[key] = FailingKey(key, f"{type(error).__name__}: {error}", count)
        if len(self._failing) > MOST_FAILING:
            del self._failing[next(iter(self._failing))]
        if isinstance(error, Terminal):
            self._terminal[key] = None
            logger.warning("%s: %s: %s; it is not repeated until the object changes", self.name, key, error.reason)
            return
        after = None
        if self.plan.on_error is not None and request is not None and isinstance(error, Exception):
            try:
                outcome = self.plan.on_error(request, error)
                after = None if outcome is None else outcome.after
            except Exception:
                logger.exception("%s: %s: on_error raised", self.name, key)
        if not self._is_ending:
            item.retry(after)
        if count & (count - 1) == 0:  # the first time, and at each doubling
            logger.warning("%s: %s failed%s", self.name, key, so_often(count), exc_info=error)

    async def _add_finalizer(self, request: Request[T], ties: Ties) -> Requeue | None:
        assert self._cleanup is not None
        if await self._cleanup.add(request, ties):
            raise _Again
        return Requeue(CONFLICT_PAUSE)

    async def _forget(self, key: ObjectKey) -> None:
        assert self.plan.gone is not None
        await self.plan.gone(key)
        self._reconciled.discard(key)

    # -- own writes -------------------------------------------------------------------------------------------

    def _park(self, item: Item[ObjectKey], pending: list[Write], seconds: float) -> None:
        """Let a key wait until its writes are shown, without a worker."""
        item.postpone(seconds)
        key, priority = item.key, item.priority

        async def wait() -> None:
            for write in pending:
                await self._followers.wait_shown(write)
            self._add(key, priority=priority, resets=False)

        async def park() -> None:
            with contextlib.suppress(Exception):  # the informer has ended: the key runs when its time is over
                await wait()

        if (before := self._parked.pop(key, None)) is not None:
            before.cancel()
        task = self._parked[key] = asyncio.create_task(park(), name=f"{self.name}: {key} waits for its writes")
        task.add_done_callback(lambda done: self._parked.pop(key, None) if self._parked.get(key) is done else None)

    # -- what requests need -----------------------------------------------------------------------------------

    @property
    def main(self) -> Kind:
        """The kind of the reconciled objects."""
        return self._kinds.main

    @property
    def api_client(self) -> Any:
        """The main informer's API client."""
        return self._kinds.source.client.api_client

    async def kind_of(self, document: Mapping[str, Any]) -> Kind:
        """Return the kind of a document, by its apiVersion and kind."""
        return await self._kinds.of(document)

    def is_owned(self, kind: Kind) -> bool:
        """Tell whether objects of a kind belong to the reconciled ones."""
        return any(cache.informer.resource == kind.resource for cache in self.plan.owned)

    def sanitize(self, obj: object) -> Any:
        """Turn a model of the client into a document."""
        return self.api_client.sanitize_for_serialization(obj)

    def time_left(self, key: ObjectKey, uid: str) -> float:
        """Return the seconds for which may be written; raises ``NotLeadingError`` if nothing may."""
        return FOREVER if self._fence is None else self._fence.check()

    def note(self, key: ObjectKey, write: Write, labels: Mapping[str, str]) -> None:
        """Remember a write for each of the caches that is going to show it, or that an object has left."""
        for expected in self._followers.expect(write, labels):
            self._memory.note(key, expected)

    # -- figures ----------------------------------------------------------------------------------------------

    def statistics(self) -> ControllerStatistics:
        """Return figures of now."""
        now = 0.0 if self._loop is None else self._loop.time()  # any thread may ask
        busy = tuple(BusyRun(run.key, now - run.began, place_of(run.task)) for run in self._runs.under_way)
        return ControllerStatistics(
            name=self.name, has_begun=self._has_begun, succeeded=self._succeeded, failed=self._failed,
            timed_out=self._timed_out, stale=self._stale, waiting_for_writes=len(self._parked), busy=busy,
            queue=self.queue.statistics(), state=self._state(),
        )  # fmt: skip

    def _state(self) -> ControllerState:
        if self._is_serving:
            return ControllerState.RECONCILING
        if self._is_catching_up:
            return ControllerState.CATCHING_UP
        return ControllerState.SYNCING if self._election is None else ControllerState.FOLLOWING

    def failing(self) -> dict[ObjectKey, FailingKey]:
        """Return the last error of each key whose last run has failed."""
        found = self._failing.copy()
        return {key: replace(each, next_try=self.queue.due_in(key) or 0.0) for key, each in found.items()}
