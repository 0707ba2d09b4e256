"""One informer's machinery: owns its reflectors, queue, dispatcher and consumers, and their orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import functools
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Partition, Store
from aioinformers.delivery.events import EventFactory
from aioinformers.delivery.roster import Roster
from aioinformers.discovery import Discovery
from aioinformers.errors import CacheNotSyncedError, InformerClosedError, InformerCrashedError, InformerError
from aioinformers.listwatch.recovery import State
from aioinformers.listwatch.reflector import Reflector, Target
from aioinformers.loops import Deadline, require_loop
from aioinformers.objects.compact import Packer
from aioinformers.objects.layout import Layout
from aioinformers.queue import PackingQueue, QueueItem, Reindex, WatchBatch
from aioinformers.statistics import InformerStatistics
from aioinformers.transport.source import Source
from aioinformers.types import EVERYTHING, GroupVersionResource, Scope, WatchFailure

__all__ = ["InformerSpec", "Phase", "Pipeline"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.pipeline")


class Phase(enum.Enum):
    """Where an informer stands in its life; nothing is ever started twice."""

    NEW = "new"
    RUNNING = "running"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class InformerSpec:
    """What one informer follows.

    Attributes:
        name: Shown in logs, errors and task names.
        resource: The resource.
        scopes: What each of its reflectors follows.
        query: Selectors and further query parameters.
        must_ask_namespaced: The kind is unknown: whether it has namespaces is asked before the first request.
        is_inherited: The namespaces are a default, which cluster-scoped kinds ignore.
        is_foreign: Tells whether a list is of another kind, by its kind and apiVersion.
    """

    name: str
    resource: GroupVersionResource
    scopes: tuple[Scope, ...] = (EVERYTHING,)
    query: Mapping[str, str] = field(default_factory=dict)
    must_ask_namespaced: bool = False
    is_inherited: bool = False
    is_foreign: Callable[[str, str], bool] = lambda kind, api_version: False


class _RefusedError(Exception):
    """What the user asked for cannot be, which only the server could tell: the end of the informer, not a bug."""


class _StageError(Exception):
    """A bug of a stage that showed in another stage's task; its cause is the bug.

    Args:
        stage: The stage that has the bug.
    """

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


class Pipeline(Generic[T]):
    """Runs one informer: the owner of its stages, its consumers and all their tasks.

    Args:
        spec: What to follow.
        layout: How objects are kept and indexed.
        source: Makes the requests.
        discovery: Knows what the server serves.
        on_watch_error: Observes failed attempts; called synchronously.

    Attributes:
        phase: Where it stands in its life.
        loop: The event loop it is bound to, once it runs.
        crash: The bug that ended it, if one did.
        owner: The factory that runs it, by name; empty for a standalone informer.
        is_optional: Its factory's readiness does not wait for it.
        resync_period: Seconds; what handlers are given that do not say otherwise.
        layout: The layout once all changes of indexes that are under way are done.
        failures: Failed attempts to list or watch since the start.
    """

    def __init__(
        self,
        spec: InformerSpec,
        layout: Layout[T],
        source: Source,
        discovery: Discovery,
        on_watch_error: Callable[[WatchFailure], None] | None = None,
    ) -> None:
        settings = source.settings
        self.spec = spec
        self.phase: Phase = Phase.NEW
        self.loop: asyncio.AbstractEventLoop | None = None
        self.crash: BaseException | None = None
        self.owner: str = ""
        self.is_optional: bool = False
        self.resync_period: float = 0.0
        self.layout: Layout[T] = layout
        self.store: Store[T] = Store(layout, spec.scopes)
        self.reflectors: dict[Scope, Reflector] = {}
        self.failures: int = 0
        self._source = source
        self._discovery = discovery
        self._on_watch_error = on_watch_error
        self._namespaced_error: Exception | None = None
        self._queue: asyncio.Queue[QueueItem] = (
            asyncio.Queue(settings.queue_size) if self.packer is None else PackingQueue(1)
        )
        self.dispatcher: Dispatcher[T] = Dispatcher(self.store, self._queue, settings.time_slice, self._on_synced)
        events = EventFactory(spec.resource, layout.object_type)
        self.roster: Roster[T] = Roster(spec.name, events, self.dispatcher, self, settings.time_slice)
        self._stages: set[asyncio.Task[None]] = set()
        self._dispatching: asyncio.Task[None] | None = None
        self._synced = asyncio.Event()
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._grace: float | None = 0.0

    @property
    def name(self) -> str:
        """The informer's name."""
        return self.spec.name

    @property
    def packer(self) -> Packer | None:
        """What packs the stored objects; None if they stay as they are."""
        return self.layout.object_type.packer

    # -- life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until :meth:`stop` or cancellation, then tear down in order.

        Cancellation: the teardown happens without any grace.

        Raises:
            InformerClosedError: If it has run before.
            InformerCrashedError: If a stage ended by a bug.
        """
        if self.phase is not Phase.NEW:
            raise InformerClosedError(f"{self.name} has been started before: make a new informer")
        self.loop = asyncio.get_running_loop()
        self.phase = Phase.RUNNING
        try:
            self._start_stages()
            await self._stop.wait()
        finally:
            await self._finish(self.loop.create_task(self._tear_down(), name=f"teardown of {self.name}"))
        if self.crash is not None:
            raise self._end_error() from self.crash

    @staticmethod
    async def _finish(teardown: asyncio.Task[None]) -> None:
        """Wait for the teardown whatever happens: a second cancellation must not leave half of it undone."""
        cancelled: asyncio.CancelledError | None = None
        while not teardown.done():
            try:
                await asyncio.shield(teardown)
            except asyncio.CancelledError as error:
                cancelled = error
        teardown.result()
        if cancelled is not None:
            raise cancelled

    def stop(self, grace: float | None) -> None:
        """Ask :meth:`run` to end; consumers get ``grace`` seconds for what is queued. Never blocks.

        What never ran has ended at once, so that no wait outlives it.
        """
        self._grace = grace
        self._stop.set()
        if self.phase is Phase.NEW:
            self.roster.close()
            self._conclude()
            self.roster.end_waits()

    async def wait_closed(self) -> None:
        """Wait until the informer is closed.

        Raises:
            InformerCrashedError: If a stage ended by a bug.
        """
        await self._ended.wait()
        if self.crash is not None:
            raise self._end_error() from self.crash

    def _start_stages(self) -> None:
        self.roster.join_decorated(self.resync_period)
        self._dispatching = self.start_task(self.dispatcher.run(), "dispatcher")
        self._start_stage(self._follow(), "reflectors")
        self._start_stage(self.roster.watch(self._source.settings.slow_handler_warning), "watchdog")
        self.roster.start()

    def _start_stage(self, coroutine: Coroutine[Any, Any, None], role: str) -> None:
        """Start a task that ends before the dispatcher does."""
        task = self.start_task(coroutine, role)
        self._stages.add(task)
        task.add_done_callback(self._stages.discard)

    def start_task(
        self, coroutine: Coroutine[Any, Any, None], name: str, context: contextvars.Context | None = None
    ) -> asyncio.Task[None]:
        """Start a task that belongs to this informer; an exception that it lets out ends the informer, loudly."""
        assert self.loop is not None, "tasks are started while it runs"
        task = self.loop.create_task(coroutine, name=f"{name} of {self.name}", context=context)
        task.add_done_callback(functools.partial(self._on_task_done, name))
        return task

    def _on_task_done(self, stage: str, task: asyncio.Task[None]) -> None:
        """A task of ours that raises is a bug: loud, and the end of this informer alone."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, _StageError):
            assert error.__cause__ is not None, "it is raised from the bug"
            stage, error = error.stage, error.__cause__
        if isinstance(error, _RefusedError):
            logger.error("%s: %s; the informer ends", self.name, error)
        else:
            logger.critical("%s: its %s crashed; the informer ends", self.name, stage, exc_info=error)
        if self.crash is None:
            self.crash = error
        self._stop.set()

    # -- reflectors -------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Run one reflector per scope, once it is known what the scopes are."""
        if self.spec.must_ask_namespaced and self.spec.scopes != (EVERYTHING,):
            await self._ask_namespaced()
        for scope in self.store.partitions:
            self._start_reflector(scope)

    def _start_reflector(self, scope: Scope) -> None:
        reflector = Reflector(
            Target(self.spec.resource, scope, self.spec.query, self.spec.is_foreign),
            self._source,
            self._queue,
            lambda: self.store.layout,
            self._on_failure,
            functools.partial(self.store.has_version, scope),
            self._offer,
        )
        self.reflectors[scope] = reflector
        self._start_stage(reflector.run(), f"reflector{scope.place}")

    def _offer(self, item: WatchBatch) -> bool:
        """Hand a batch to the dispatcher; what is wrong there is the dispatcher's, whoever's task it happens in."""
        try:
            return self.dispatcher.offer(item)
        except Exception as error:
            raise _StageError("dispatcher") from error

    async def _ask_namespaced(self) -> None:
        """Ask the server whether an unknown kind has namespaces, until it answers."""
        settings, random = self._source.settings, self._source.random
        delay = settings.backoff_initial
        has_namespaces: bool | None = None
        while has_namespaces is None:
            try:
                has_namespaces = await self._discovery.is_namespaced(self.spec.resource)
            except InformerError as error:
                self._namespaced_error = error
                logger.warning(
                    "%s: cannot find out whether it has namespaces: %s; next try in %.1f s", self.name, error, delay
                )
                self._on_failure(WatchFailure(self.spec.resource, EVERYTHING, error, self.failures + 1, delay))
                await asyncio.sleep(delay * (1 + settings.backoff_jitter * random.random()))
                delay = min(delay * settings.backoff_factor, settings.backoff_max)
        self._namespaced_error = None
        if has_namespaces:
            return
        if not self.spec.is_inherited:
            raise _RefusedError(f"{self.spec.resource} is cluster-scoped: it cannot be limited to namespaces")
        self.store.partitions = {EVERYTHING: Partition(len(self.store.layout.names))}

    def _on_failure(self, failure: WatchFailure) -> None:
        self.failures += 1
        if self._on_watch_error is None:
            return
        try:
            self._on_watch_error(failure)
        except Exception:
            logger.exception("%s: on_watch_error raised", self.name)

    def _on_synced(self) -> None:
        self._synced.set()
        logger.info("%s: synced, %d objects", self.name, len(self.store))
        self.roster.check_synced()

    # -- teardown ---------------------------------------------------------------------------------------------

    async def _tear_down(self) -> None:
        """End everything in the one right order: producers strictly before consumers."""
        loop = asyncio.get_running_loop()
        deadline = None if self._grace is None else loop.time() + self._grace
        self.phase = Phase.CLOSING
        self.roster.close()
        await _cancel(self._stages)
        if self._dispatching is not None:
            if self.crash is None and self._grace != 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await self._queue.join()
            await _cancel([self._dispatching])
        self.dispatcher.close(self._end_error())
        await self.roster.end(deadline)
        self._conclude()

    def _conclude(self) -> None:
        self.phase = Phase.FAILED if self.crash is not None else Phase.CLOSED
        self.dispatcher.close(self._end_error())
        self._ended.set()
        self._synced.set()

    def _end_error(self) -> Exception:
        if isinstance(self.crash, _RefusedError):
            return InformerClosedError(f"{self.name} cannot run: {self.crash}")
        if self.crash is not None:
            return InformerCrashedError(f"{self.name} ended by a bug: {self.crash!r}")
        return InformerClosedError(f"{self.name} is closed")

    # -- indexes ----------------------------------------------------------------------------------------------

    def reindex_empty(self, layout: Layout[T]) -> None:
        """Change the indexes before the start, when nothing is stored."""
        self.layout = layout
        for _ in self.store.rebuilt(layout, {}):
            raise AssertionError("nothing can be stored before the start")

    def reindex(self, change: Callable[[Layout[T]], Layout[T]], names: set[str]) -> asyncio.Future[None]:
        """Change the indexes of a running informer; readers are not blocked, reads of these indexes raise until then.

        Args:
            change: Makes the new layout of the one that holds when its turn comes.
            names: The indexes that are not to be read before it is done.

        Returns:
            Done once the change is; fails with the informer's end.
        """
        assert self.loop is not None, "before the start indexes are changed in place"
        self.layout = change(self.layout)
        self.store.building |= names
        done: asyncio.Future[None] = self.loop.create_future()

        def settle(done: asyncio.Future[None]) -> None:
            self.store.building -= names
            if not done.cancelled():
                done.exception()  # whoever does not await the change is not interested in its failure

        done.add_done_callback(settle)
        self._start_stage(self._put_reindex(Reindex(change, done)), "change of indexes")
        return done

    async def _put_reindex(self, item: Reindex) -> None:
        """Queue a change of indexes. Cancellation, at the informer's end, is the end of the change as well."""
        try:
            await self._queue.put(item)
        except asyncio.CancelledError:
            if not item.done.done():
                item.done.set_exception(self._end_error())
            raise

    # -- state ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the time of the informer's loop, from whatever thread."""
        return 0.0 if self.loop is None else self.loop.time()

    def require_readable(self) -> None:
        """Refuse reads that could only be wrong.

        Raises:
            CacheNotSyncedError: Before the first sync.
            InformerClosedError: After the end.
        """
        if self.phase is Phase.RUNNING and self.store.is_synced:
            return
        if self.phase in (Phase.CLOSED, Phase.FAILED):
            raise self._end_error()
        if not self.store.is_synced:
            raise CacheNotSyncedError(self.name, self.reason())

    def require_loop(self) -> None:
        """Refuse use from another event loop or thread than the one it runs in.

        Raises:
            RuntimeError: If the running loop is another one.
        """
        require_loop(self.loop, self.name, advice="only reads are allowed from elsewhere")

    async def wait_synced(self, timeout: float | None) -> None:
        """Wait for the first sync of all scopes; see ``SharedInformer.wait_synced``."""
        self.require_loop()
        async with Deadline(
            timeout, lambda: f"{self.name} has not synced within {timeout:g} s: {self.reason() or 'starting'}"
        ):
            await self._synced.wait()
        if not self.store.is_synced:
            raise self._end_error()

    def reason(self) -> str:
        """Say what the informer waits for and why; empty if nothing is wrong."""
        if self.phase is Phase.NEW:
            return "not started"
        if self.crash is not None:
            return f"crashed: {self.crash!r}"
        if self.phase is Phase.CLOSED:
            return "closed"
        if self._namespaced_error is not None:
            return f"finding out whether it has namespaces: {self._namespaced_error}"
        waits = []
        for scope, reflector in self.reflectors.items():
            if reflector.last_error is None and reflector.state is State.WATCHING:
                continue
            why = f": {reflector.last_error}" if reflector.last_error else ""
            waits.append(f"{reflector.state.value}{scope.place}{why}")
        return "; ".join(waits) or ("" if self.store.is_synced else "starting")

    @property
    def is_watching(self) -> bool:
        """Whether every scope follows the change stream right now."""
        states = [reflector.state for reflector in self.reflectors.values()]
        return self.phase is Phase.RUNNING and bool(states) and all(state is State.WATCHING for state in states)

    @property
    def last_activity(self) -> float | None:
        """Loop time at which the most silent scope was last heard of; None if one never was."""
        times = [reflector.last_activity for reflector in self.reflectors.values()]
        known = [time for time in times if time is not None]
        return min(known) if known and len(known) == len(times) else None

    @property
    def last_error(self) -> Exception | None:
        """The error of the last attempt to list or watch, until one is healthy again."""
        errors = (reflector.last_error for reflector in self.reflectors.values())
        return self._namespaced_error or next((error for error in errors if error is not None), None)

    def delivers_in(self, task: asyncio.Task[Any] | None) -> bool:
        """Tell whether a task delivers events of this informer: it must never wait for its own end."""
        return self.roster.delivers_in(task)

    def statistics(self) -> InformerStatistics:
        """Return a snapshot."""
        counts = self.dispatcher.counts
        return InformerStatistics(
            objects=len(self.store),
            added=counts.added,
            updated=counts.updated,
            deleted=counts.deleted,
            lists=counts.lists,
            failures=self.failures,
            rejected=dict(self.dispatcher.rejected),
            unreadable=counts.unreadable,
            queued_batches=self._queue.qsize(),
            consumers=self.roster.statistics(),
            compact=None if self.packer is None else self.packer.statistics(),
        )


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    pending = list(tasks)
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)
