"""One informer's machinery: owns its reflectors, queue, dispatcher and consumers, and their orderly end."""

from __future__ import annotations

import asyncio
import enum
import functools
import logging
import os
import weakref
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Partition, Store
from aioinformers.checks import truth_of
from aioinformers.delivery.events import EventFactory
from aioinformers.delivery.roster import Roster
from aioinformers.discovery import Discovery
from aioinformers.errors import (
    ApiStatusError,
    CacheNotSyncedError,
    InformerClosedError,
    InformerCrashedError,
    InformerError,
)
from aioinformers.indexing import Indexing
from aioinformers.listwatch.attempt import Target
from aioinformers.listwatch.recovery import State
from aioinformers.listwatch.reflector import Reflector
from aioinformers.loops import Deadline, Grace, require_loop
from aioinformers.objects.compact import Packer
from aioinformers.objects.layout import Layout
from aioinformers.queue import PackingQueue, QueueItem, Reindex, WatchBatch
from aioinformers.statistics import InformerStatistics, ScopeHealth, reason_of
from aioinformers.supervisor import Supervisor
from aioinformers.tally import Tally, place_of, so_often
from aioinformers.transport.pool import Reservation
from aioinformers.transport.source import Source
from aioinformers.types import END_OF_PROCESS, EVERYTHING, GroupVersionResource, Scope, WatchFailure
from aioinformers.words import printable

__all__ = ["InformerSpec", "Phase", "Pipeline"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.pipeline")

METHOD_NOT_ALLOWED = 405
FORKED = "was forked: its tasks run in the parent process; make a new factory in the child"


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
        closed_because: Why it is closed although nobody has closed it; empty otherwise.
        owner: The factory that runs it, by name; empty for a standalone informer.
        is_optional: Its factory's readiness does not wait for it.
        resync_period: Seconds; what handlers are given that do not say otherwise.
        tasks: Starts its tasks and starts them again.
        indexing: Changes what is read of each object.
        failures: Failed attempts to list or watch since the start.
        source: Makes its requests.
        discovery: Knows what the server serves.
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
        self.closed_because: str = ""
        self.owner: str = ""
        self.is_optional: bool = False
        self.resync_period: float = 0.0
        self.store: Store[T] = Store(layout, spec.scopes)
        self.reflectors: dict[Scope, Reflector] = {}
        self.failures: int = 0
        self.source: Source = source
        self.discovery: Discovery = discovery
        self._on_watch_error = on_watch_error
        self._namespaced_error: Exception | None = None
        self._queue: asyncio.Queue[QueueItem] = (
            asyncio.Queue(settings.queue_size) if self.packer is None else PackingQueue(1)
        )
        self.dispatcher: Dispatcher[T] = Dispatcher(
            self.store, self._queue, settings.time_slice, self._on_synced, self._on_rejected
        )
        events = EventFactory(spec.resource, layout.object_type)
        self.indexing: Indexing[T] = Indexing(
            spec.name, self.store, self._put_change, lambda: self.phase is Phase.RUNNING
        )
        self.tasks: Supervisor = Supervisor(spec.name, self._on_bug)
        self.roster: Roster[T] = Roster(
            spec.name, events, self.dispatcher, self, self.indexing, self.tasks, settings.time_slice
        )
        self._stages: set[asyncio.Task[None]] = set()
        self._dispatching: asyncio.Task[None] | None = None
        self._synced = asyncio.Event()
        self._ended = asyncio.Event()
        self._tally = Tally()
        self._live_waits: list[asyncio.Future[None]] = []
        self._grace = Grace()

    @property
    def name(self) -> str:
        """The informer's name."""
        return self.spec.name

    @property
    def packer(self) -> Packer | None:
        """What packs the stored objects; None if they stay as they are."""
        return self.store.layout.object_type.packer

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
        connections: Reservation | None = None
        _running.add(self)
        try:
            connections = self.source.reserve(self.name, len(self.spec.scopes))
            self._start_stages()
            await self.tasks.supervise()
        except asyncio.CancelledError as error:
            self._grace.cancelled = error
            self._grace.give(0, self.loop.time())
        except Exception as error:
            self._on_bug("supervisor", error)
        finally:
            await self._tear_down()
            if connections is not None:
                connections.release()
        if self._grace.cancelled is not None:
            raise self._grace.cancelled
        if self.crash is not None:
            raise self._end_error()

    def stop(self, grace: float | None) -> None:
        """Ask :meth:`run` to end; consumers get ``grace`` seconds for what is queued. Never blocks.

        Asked again, the shorter grace holds. What never ran has ended at once, so that no wait outlives it.
        """
        self._grace.give(grace, self.now())
        self.tasks.stop()
        if self.phase is Phase.NEW:
            self.roster.close()
            self._conclude()
            self.roster.end_waits()

    def leave_to_parent(self) -> None:
        """Close, in a forked child, what runs in the parent process alone: the cache would never change again."""
        self.closed_because, self.phase, self.store.is_open = FORKED, Phase.CLOSED, False
        self.roster.close()

    async def wait_closed(self) -> None:
        """Wait until the informer is closed.

        Raises:
            InformerCrashedError: If a stage ended by a bug.
        """
        if self.closed_because:
            return
        await self._ended.wait()
        if self.crash is not None:
            raise self._end_error()

    def _start_stages(self) -> None:
        self.roster.join_decorated(self.resync_period)
        self._start_dispatcher()
        self._start_stage(self._follow, "reflectors")
        warn_after = self.source.settings.slow_handler_warning
        self._start_stage(functools.partial(self.roster.watch, warn_after), "watchdog")
        self.roster.start()

    def _start_dispatcher(self) -> None:
        self._dispatching = self.tasks.start(self.dispatcher.run(), "dispatcher", self._start_dispatcher)

    def _start_stage(self, run: Callable[[], Coroutine[Any, Any, None]], role: str) -> None:
        """Start a task that ends before the dispatcher does."""
        task = self.tasks.start(run(), role, functools.partial(self._start_stage, run, role))
        self._stages.add(task)
        task.add_done_callback(self._stages.discard)

    def _put_change(self, change: Reindex) -> None:
        self._start_stage(functools.partial(self._queue.put, change), "change of indexes")

    def _on_bug(self, stage: str, error: BaseException) -> None:
        """A stage that raises has a bug: loud, and the end of this informer alone."""
        if isinstance(error, _StageError):
            assert error.__cause__ is not None, "it is raised from the bug"
            stage, error = error.stage, error.__cause__
        if isinstance(error, _RefusedError):
            logger.error("%s: %s; the informer ends", self.name, error)
        else:
            logger.critical("%s: its %s crashed; the informer ends", self.name, stage, exc_info=error)
        if self.crash is None:
            self.crash = error
        self.tasks.stop()

    # -- reflectors -------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Run one reflector per scope, once it is known what the scopes are."""
        if self.spec.must_ask_namespaced and self.spec.scopes != (EVERYTHING,):
            await self._ask_namespaced()
        for scope in self.store.partitions:
            if scope not in self.reflectors:
                self._start_reflector(scope)
        if self.spec.must_ask_namespaced:
            await self._synced.wait()
            await self.discovery.note_definition(self.spec.resource)

    def _start_reflector(self, scope: Scope) -> None:
        reflector = Reflector(
            Target(self.spec.resource, scope, self.spec.query, self.spec.is_foreign),
            self.source,
            self._queue,
            lambda: self.store.layout,
            self._on_failure,
            functools.partial(self.store.has_version, scope),
            self._offer,
            lambda: self.dispatcher.takes_offers,
            functools.partial(self.discovery.find_absence, self.spec.resource, scope.namespace),
            self._on_state,
        )
        self.reflectors[scope] = reflector
        self._start_stage(reflector.run, f"reflector{scope.place}")

    def _offer(self, item: WatchBatch) -> bool:
        """Hand a batch to the dispatcher; what is wrong there is the dispatcher's, whoever's task it happens in."""
        try:
            return self.dispatcher.offer(item)
        except Exception as error:
            raise _StageError("dispatcher") from error

    async def _ask_namespaced(self) -> None:
        """Ask the server whether an unknown kind has namespaces, until it answers."""
        settings, random = self.source.settings, self.source.random
        delay = settings.backoff_initial
        has_namespaces: bool | None = None
        while has_namespaces is None:
            try:
                has_namespaces = await self.discovery.is_namespaced(self.spec.resource)
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
            truth_of(self._on_watch_error(failure), "on_watch_error")
        except END_OF_PROCESS:
            raise
        except BaseException as error:  # a CancelledError here is none of the loop's: nothing is awaited
            if count := self._tally.note(("on_watch_error", place_of(error))):
                logger.exception("%s: on_watch_error raised%s", self.name, so_often(count))

    def _on_rejected(self, key: str, reason: str) -> None:
        if count := self._tally.note(("rejected", reason)):
            logger.warning("%s: %s cannot be read: %s%s", self.name, printable(key), reason, so_often(count))

    def _on_state(self) -> None:
        """Let those look again who wait for it to be live."""
        waits, self._live_waits = self._live_waits, []
        for future in waits:
            if not future.done():  # it is, if its task has just been cancelled
                future.set_result(None)

    def _on_synced(self) -> None:
        self._synced.set()
        self._on_state()
        logger.info("%s: synced, %d objects", self.name, len(self.store))
        self.roster.check_synced()

    # -- teardown ---------------------------------------------------------------------------------------------

    async def _tear_down(self) -> None:
        """End everything in the one right order: producers strictly before consumers. Never raises.

        Cancellation: is the end of the grace, and is raised once everything has ended.
        """
        if self.crash is not None:
            self._grace.give(0, self.now())
        self.phase = Phase.CLOSING
        self.roster.close()
        await self.tasks.end(self._stages, self._grace)
        if self._dispatching is not None:
            if not self._grace.is_none:
                applied = self.tasks.start(self._queue.join(), "last batches", lambda: None)
                await self._grace.wait([applied])
                self.tasks.dismiss(applied)
            await self.tasks.end({self._dispatching}, self._grace)
        self.dispatcher.close(self._end_error())
        self.indexing.close(self._end_error())
        await self.roster.end(self._grace)
        self._conclude()
        await self.tasks.end_letting_go(self._grace)

    def _conclude(self) -> None:
        _running.discard(self)
        self.phase = Phase.FAILED if self.crash is not None else Phase.CLOSED
        self.dispatcher.close(self._end_error())
        self._ended.set()
        self._synced.set()
        self._on_state()

    def _end_error(self) -> InformerError:
        if self.closed_because:
            return InformerClosedError(f"{self.name} {self.closed_because}")
        if self.crash is None:
            return InformerClosedError(f"{self.name} is closed")
        error: InformerError
        if isinstance(self.crash, _RefusedError):
            error = InformerClosedError(f"{self.name} cannot run: {self.crash}")
        else:
            error = InformerCrashedError(f"{self.name} ended by a bug: {self.crash!r}")
        error.__cause__ = self.crash  # whoever waits wants the bug's own traceback, too
        return error

    # -- state ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the time of the informer's loop, from whatever thread."""
        return 0.0 if self.loop is None else self.loop.time()

    def measure(self, *, is_on: bool) -> None:
        """Count from now on how long batches and events take, or do so no more."""
        self.dispatcher.measure(is_on=is_on)
        self.roster.measure(is_on=is_on)

    def require_readable(self, namespace: str | None = None) -> None:
        """Refuse reads that could only be wrong.

        Args:
            namespace: The only namespace that is read; None for all scopes.

        Raises:
            CacheNotSyncedError: Before the first sync of what is read.
            InformerClosedError: After the end.
        """
        store = self.store
        is_synced = store.is_synced or (namespace is not None and store.has_synced(namespace))
        if is_synced and self.phase is Phase.RUNNING:
            return
        if self.phase in (Phase.CLOSED, Phase.FAILED):
            raise self._end_error()
        if not is_synced:
            raise CacheNotSyncedError(self.name, self._unsynced(namespace))

    def _unsynced(self, namespace: str | None) -> str:
        """Say which scopes have not synced, and why."""
        scopes = self.scope_health()
        missing = [each for each in scopes if not each.has_synced]
        mine = [each for each in missing if each.scope.namespace in ("", namespace)]
        reason = reason_of(mine or missing)
        if namespace is None and len(missing) < len(scopes):
            reason += "; the other namespaces can be read one by one"
        return reason

    def require_loop(self) -> None:
        """Refuse use from another event loop or thread than the one it runs in.

        Raises:
            RuntimeError: If the running loop is another one.
            InformerClosedError: In a process that was forked from its own.
        """
        if self.closed_because:
            raise self._end_error()
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

    @property
    def is_live(self) -> bool:
        """Whether every scope has synced and follows the change stream right now, where its kind has one."""
        of_kind = {scope for scope, each in list(self.reflectors.items()) if _is_of_kind(each.last_error)}
        return all(
            each.has_synced and not each.is_degraded and (each.is_watching or each.scope in of_kind)
            for each in self.scope_health()
        )

    async def wait_live(self) -> None:
        """Wait until it is live; raises as :meth:`wait_closed` if it ends first. Cancellation leaves nothing behind."""
        self.require_loop()
        while not self.is_live:
            if self._ended.is_set():
                raise self._end_error()
            future = asyncio.get_running_loop().create_future()
            self._live_waits.append(future)
            try:
                await future
            finally:
                if future in self._live_waits:
                    self._live_waits.remove(future)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the server said beside its answers, each once."""
        said = [each for one in list(self.reflectors.values()) for each in list(one.notices)]
        return tuple(dict.fromkeys(said)) if said else ()

    # Other threads may ask for all of this: what may change meanwhile is looked at once, and no dict that may grow is
    # gone through in Python (see `cache/indexer.py`).

    def reason(self) -> str:
        """Say what the informer waits for and why; empty if nothing is wrong."""
        return reason_of(self.scope_health())

    def scope_health(self) -> tuple[ScopeHealth, ...]:
        """Return what each scope does, and what it waits for."""
        is_running, whole, now = self.phase is Phase.RUNNING, self._whole_reason(), self.now()
        scopes = []
        for scope, partition in self.store.partitions.items():
            reflector = self.reflectors.get(scope)
            state = None if reflector is None else reflector.state
            since = None if reflector is None else reflector.last_activity
            error = None if reflector is None else reflector.last_error
            is_synced = is_running and partition.is_synced
            reason = whole
            if not reason and (error is not None or state is not State.WATCHING or not is_synced):
                doing = "starting" if reflector is None else reflector.activity(now)
                doing = "applying the list" if state is State.WATCHING else doing
                reason = f"{doing}{scope.place}" + ("" if error is None else f": {error}")
            silent_for = None if since is None else max(now - since, 0.0)
            is_watching = is_running and state is State.WATCHING
            is_degraded = partition.is_synced and (
                self.phase is Phase.FAILED or not (error is None or _is_of_kind(error))
            )
            scopes.append(ScopeHealth(scope, is_synced, is_watching, silent_for, reason, is_degraded))
        return tuple(scopes)

    def _whole_reason(self) -> str:
        """Say what is wrong with all scopes at once; empty if each has a reason of its own, or none."""
        phase, crash, error = self.phase, self.crash, self._namespaced_error
        if self.closed_because:
            return self.closed_because
        if phase is Phase.NEW:
            return "not started"
        if crash is not None:
            return f"crashed: {crash!r}"
        if phase is Phase.CLOSED:
            return "closed"
        return "" if error is None else f"finding out whether it has namespaces: {error}"

    @property
    def is_watching(self) -> bool:
        """Whether every scope follows the change stream right now."""
        return all(each.is_watching for each in self.scope_health())

    @property
    def last_activity(self) -> float | None:
        """Loop time at which the most silent scope was last heard of; None if one never was."""
        times = [reflector.last_activity for reflector in list(self.reflectors.values())]
        known = [time for time in times if time is not None]
        return min(known) if known and len(known) == len(times) else None

    @property
    def last_error(self) -> Exception | None:
        """The error of the last attempt to list or watch, until one is healthy again."""
        errors = [self._namespaced_error, *(reflector.last_error for reflector in list(self.reflectors.values()))]
        return next((error for error in errors if error is not None), None)

    def is_calling(self) -> bool:
        """Tell whether this code runs inside a handler of this informer: it must never wait for the informer's end."""
        return self.roster.is_calling()

    def statistics(self) -> InformerStatistics:
        """Return a snapshot."""
        counts, now, applying = self.dispatcher.counts, self.now(), self.dispatcher.applying
        return InformerStatistics(
            objects=len(self.store),
            added=counts.added, updated=counts.updated, deleted=counts.deleted, lists=counts.lists,
            failures=self.failures,
            rejected=self.dispatcher.rejected, unreadable=counts.unreadable,
            queued_batches=self._queue.qsize(),
            consumers=self.roster.statistics(),
            compact=None if self.packer is None else self.packer.statistics(),
            scopes={
                scope: each.history.statistics(now, each.state, each.version)
                for scope, each in list(self.reflectors.items())
            },
            applying=None if applying is None else applying.durations(),
        )  # fmt: skip


def _is_of_kind(error: Exception | None) -> bool:
    """Tell whether an error is that the kind cannot be watched, as componentstatuses: it is listed now and then."""
    return isinstance(error, ApiStatusError) and error.status == METHOD_NOT_ALLOWED


_running: weakref.WeakSet[Pipeline[Any]] = weakref.WeakSet()
"""Those that have tasks; a forked child has only copies of them that nobody runs."""


def _leave_to_parent() -> None:
    for pipeline in list(_running):
        pipeline.leave_to_parent()


if hasattr(os, "register_at_fork"):  # no read pays for it
    os.register_at_fork(after_in_child=_leave_to_parent)
