"""One informer's machinery: owns its reflectors, queue, dispatcher and consumers, and their orderly end."""

from __future__ import annotations

import asyncio
import enum
import functools
import logging
import os
import weakref
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.delivery.events import EventFactory
from aioinformers.delivery.roster import Roster
from aioinformers.discovery import Discovery
from aioinformers.errors import (
    CacheNotSyncedError,
    InformerClosedError,
    InformerCrashedError,
    InformerError,
)
from aioinformers.following import Following
from aioinformers.indexing import Indexing
from aioinformers.listwatch.attempt import Target
from aioinformers.loops import Deadline, Grace, require_loop
from aioinformers.objects.compact import Packer
from aioinformers.objects.layout import Layout
from aioinformers.objects.ranges import Share
from aioinformers.objects.shard import Shard
from aioinformers.options import Namespaces, scopes_of
from aioinformers.queue import PackingQueue, QueueItem, Reindex
from aioinformers.statistics import InformerStatistics, ScopeHealth, reason_of
from aioinformers.supervisor import RefusedError, StageError, Supervisor
from aioinformers.tally import Tally, so_often
from aioinformers.transport.source import Source
from aioinformers.types import EVERYTHING, GroupVersionResource, Scope, WatchFailure
from aioinformers.warm.bytes import storing
from aioinformers.warm.cache import WarmCache
from aioinformers.warm.warming import Warming
from aioinformers.words import printable

__all__ = ["InformerSpec", "Phase", "Pipeline"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.pipeline")

LAST_STATE = 30.0
"""Seconds, at most, that storing what has changed since the last time may take at the end."""
GIVEN_BACK = 1.0
"""Seconds, at most, for giving the files back where there is no time to store anything."""
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
        is_namespaced: Its objects live in namespaces, as far as is known.
        is_foreign: Tells whether a list is of another kind, by its kind and apiVersion.
        shard: The shard whose objects it follows, which the ranges of its scopes are of; None for all objects.
    """

    name: str
    resource: GroupVersionResource
    scopes: tuple[Scope, ...] = (EVERYTHING,)
    query: Mapping[str, str] = field(default_factory=dict)
    must_ask_namespaced: bool = False
    is_inherited: bool = False
    is_namespaced: bool = True
    is_foreign: Callable[[str, str], bool] = lambda kind, api_version: False
    shard: Shard | None = None

    def target(self, scope: Scope) -> Target:
        """Return what a reflector of one scope follows."""
        query = self.query
        if (share := self.share(scope)) is not None:
            query = {**query, "shardSelector": share.selector}
        return Target(self.resource, scope, query, self.is_foreign, self.shard if scope.ranges else None)

    def share(self, scope: Scope) -> Share | None:
        """Return which objects of a scope are followed; None for all."""
        return None if self.shard is None or not scope.ranges else Share(self.shard.by, scope.ranges)


class Pipeline(Generic[T]):
    """Runs one informer: the owner of its stages, its consumers and all their tasks.

    Args:
        spec: What to follow.
        layout: How objects are kept and indexed.
        source: Makes the requests.
        discovery: Knows what the server serves.
        on_watch_error: Observes failed attempts; called synchronously.
        warm: Where the caches are stored for the next process; None for nowhere.

    Attributes:
        phase: Where it stands in its life.
        loop: The event loop it is bound to, once it runs.
        crash: The bug that ended it, if one did.
        closed_because: Why it is closed although nobody has closed it; empty otherwise.
        owner: The factory that runs it, by name; empty for a standalone informer.
        is_shared: Everybody who asks its factory for the same gets it.
        is_optional: Its factory's readiness does not wait for it.
        resync_period: Seconds; what handlers are given that do not say otherwise.
        tasks: Starts its tasks and starts them again.
        indexing: Changes what is read of each object.
        following: Runs its reflectors, and knows how they do.
        warm: Where the caches are stored.
        warming: Stores them, and lets reflectors start from what was stored; None if nothing is.
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
        warm: WarmCache | None = None,
    ) -> None:
        settings = source.settings
        layout = layout if warm is None else storing(layout)
        self.spec = spec
        self.phase: Phase = Phase.NEW
        self.loop: asyncio.AbstractEventLoop | None = None
        self.crash: BaseException | None = None
        self.closed_because: str = ""
        self.owner: str = ""
        self.is_shared: bool = False
        self.is_optional: bool = False
        self.resync_period: float = 0.0
        self.store: Store[T] = Store(layout, spec.scopes)
        self.source: Source = source
        self.discovery: Discovery = discovery
        self._queue: asyncio.Queue[QueueItem] = (
            asyncio.Queue(settings.queue_size) if self.packer is None else PackingQueue(1)
        )
        self.dispatcher: Dispatcher[T] = Dispatcher(
            self.store, self._queue, settings.time_slice, self._on_synced, self._on_rejected
        )
        self.warm: WarmCache | None = warm
        self.warming: Warming | None = None
        if warm is not None:
            self.warming = Warming(warm, spec.name, spec.resource, spec.query, self.store, self.dispatcher, source)
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
        self._grace = Grace()
        self.following: Following = Following(
            self, spec, source, discovery, self.store, self.dispatcher, on_watch_error, self.warming
        )

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
        _running.add(self)
        try:
            self.following.open()
            self._start_stages()
            await self.tasks.supervise()
        except asyncio.CancelledError as error:
            self._grace.cancelled = error
            self._grace.give(0, self.loop.time())
        except Exception as error:
            self._on_bug("supervisor", error)
        finally:
            await self._tear_down()
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
        _ = self.start_stage(self.following.run, "reflectors")
        if self.warming is not None:
            _ = self.start_stage(self.warming.journal.run, "journal")
        warn_after = self.source.settings.slow_handler_warning
        _ = self.start_stage(functools.partial(self.roster.watch, warn_after), "watchdog")
        self.roster.start()

    def _start_dispatcher(self) -> None:
        self._dispatching = self.tasks.start(self.dispatcher.run(), "dispatcher", self._start_dispatcher)

    def start_stage(self, run: Callable[[], Coroutine[Any, Any, None]], role: str) -> asyncio.Task[None]:
        """Start a task that ends before the dispatcher does; a stranger who cancels it has it started again."""

        def again() -> None:
            _ = self.start_stage(run, role)

        task = self.tasks.start(run(), role, again)
        self._stages.add(task)
        task.add_done_callback(self._stages.discard)
        return task

    def stop_stage(self, task: asyncio.Task[None]) -> None:
        """Cancel such a task for good."""
        self.tasks.dismiss(task)

    async def wait_first_sync(self) -> None:
        """Wait for the first sync, or the end."""
        await self._synced.wait()

    def _put_change(self, change: Reindex) -> None:
        _ = self.start_stage(functools.partial(self._queue.put, change), "change of indexes")

    def _on_bug(self, stage: str, error: BaseException) -> None:
        """A stage that raises has a bug: loud, and the end of this informer alone."""
        if isinstance(error, StageError):
            assert error.__cause__ is not None, "it is raised from the bug"
            stage, error = error.stage, error.__cause__
        if isinstance(error, RefusedError):
            logger.error("%s: %s; the informer ends", self.name, error)
        else:
            logger.critical("%s: its %s crashed; the informer ends", self.name, stage, exc_info=error)
        if self.crash is None:
            self.crash = error
        self.tasks.stop()

    def _on_rejected(self, key: str, reason: str) -> None:
        if count := self._tally.note(("rejected", reason)):
            logger.warning("%s: %s cannot be read: %s%s", self.name, printable(key), reason, so_often(count))

    def _on_synced(self) -> None:
        self._synced.set()
        self.following.look_again()
        logger.info("%s: synced, %d objects", self.name, len(self.store))
        self.roster.check_synced()

    async def set_namespaces(self, namespaces: Namespaces, timeout: float | None) -> None:
        """Follow other namespaces; see ``SharedInformer.set_namespaces``."""
        self.require_loop()
        scopes = self._scopes_of(namespaces)
        if self.phase is Phase.NEW:
            self.following.change_unstarted(scopes)
            return
        if self.phase is not Phase.RUNNING:
            raise self._end_error()
        async with Deadline(timeout, lambda: self._late(scopes, timeout)):
            await asyncio.shield(self.following.change(scopes))
            await self.following.wait_shown(scopes)

    def _scopes_of(self, namespaces: Namespaces) -> tuple[Scope, ...]:
        """Return the scopes of other namespaces; refuse what cannot be while the informer lives."""
        if self.is_shared:
            raise RuntimeError(
                f"{self.name} is shared by all who ask {self.owner} for it, so that its namespaces stay: make one of "
                f"your own with new_informer(), which factory.add() runs too"
            )
        if not self.spec.is_namespaced:
            raise ValueError(f"{self.spec.resource} is cluster-scoped: it cannot be limited to namespaces")
        wanted = scopes_of(namespaces, may_be_all=False)
        if wanted == (EVERYTHING,) or any(not scope.namespace for scope in self.spec.scopes):
            raise ValueError(
                f"{self.name}: an informer follows either all namespaces or those that are named, for all its life: "
                f"make another one"
            )
        ranges = self.spec.scopes[0].ranges
        return tuple(Scope(scope.namespace, ranges) for scope in wanted)

    def _late(self, scopes: Collection[Scope], timeout: float | None) -> str:
        missing = ", ".join(str(scope) for scope in scopes if scope not in self.store.partitions)
        return f"{self.name}: {missing} has not synced within {timeout:g} s: {self.reason() or 'starting'}"

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
        if self.warming is not None:
            await self._store_last_state(self.warming)
        self.dispatcher.close(self._end_error())
        self.indexing.close(self._end_error())
        await self.roster.end(self._grace)
        self._conclude()
        await self.tasks.end_letting_go(self._grace)

    async def _store_last_state(self, warming: Warming) -> None:
        """Store what has changed since the last time, if there is time, and give the files back."""
        has_time = not self._grace.is_none
        stored = self.tasks.start(warming.journal.close(has_time=has_time), "last state", lambda: None)
        if not await self._grace.wait([stored], at_most=LAST_STATE if has_time else GIVEN_BACK):
            logger.warning("%s: its last state is not stored: that takes too long", self.name)
            self.tasks.dismiss(stored)

    def _conclude(self) -> None:
        _running.discard(self)
        self.phase = Phase.FAILED if self.crash is not None else Phase.CLOSED
        self.dispatcher.close(self._end_error())
        self._ended.set()
        self._synced.set()
        self.following.close(self._end_error())

    def _end_error(self) -> InformerError:
        if self.closed_because:
            return InformerClosedError(f"{self.name} {self.closed_because}")
        if self.crash is None:
            return InformerClosedError(f"{self.name} is closed")
        error: InformerError
        if isinstance(self.crash, RefusedError):
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
        is_synced = store.is_readable() or (namespace is not None and store.is_readable(namespace))
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
        return self.following.is_live(self.scope_health())

    async def wait_live(self) -> None:
        """Wait until it is live; raises as :meth:`wait_closed` if it ends first. Cancellation leaves nothing behind."""
        self.require_loop()
        while not self.is_live:
            if self._ended.is_set():
                raise self._end_error()
            await self.following.wait_for_change()

    # Other threads may ask for all of this: what may change meanwhile is looked at once, and no dict that may grow is
    # gone through in Python (see `cache/indexer.py`).

    def reason(self) -> str:
        """Say what the informer waits for and why; empty if nothing is wrong."""
        return reason_of(self.scope_health())

    def scope_health(self) -> tuple[ScopeHealth, ...]:
        """Return what each scope does, and what it waits for."""
        phase = self.phase
        return self.following.health(
            self.now(), self._whole_reason(), is_running=phase is Phase.RUNNING, has_failed=phase is Phase.FAILED
        )

    def _whole_reason(self) -> str:
        """Say what is wrong with all scopes at once; empty if each has a reason of its own, or none."""
        phase, crash = self.phase, self.crash
        if self.closed_because:
            return self.closed_because
        if phase is Phase.NEW:
            return "not started"
        if crash is not None:
            return f"crashed: {crash!r}"
        if phase is Phase.CLOSED:
            return "closed"
        return ""

    @property
    def is_watching(self) -> bool:
        """Whether every scope follows the change stream right now."""
        return all(each.is_watching for each in self.scope_health())

    def is_calling(self) -> bool:
        """Tell whether this code runs inside a handler of this informer: it must never wait for the informer's end."""
        return self.roster.is_calling()

    def statistics(self) -> InformerStatistics:
        """Return a snapshot."""
        counts, now, applying = self.dispatcher.counts, self.now(), self.dispatcher.applying
        return InformerStatistics(
            objects=len(self.store),
            added=counts.added, updated=counts.updated, deleted=counts.deleted, lists=counts.lists,
            failures=self.following.failures,
            rejected=self.dispatcher.rejected, unreadable=counts.unreadable,
            queued_batches=self._queue.qsize(),
            consumers=self.roster.statistics(),
            compact=None if self.packer is None else self.packer.statistics(),
            scopes={
                scope: each.history.statistics(now, each.state, each.version)
                for scope, each in list(self.following.reflectors.items())
            },
            applying=None if applying is None else applying.durations(),
            released=counts.released,
        )  # fmt: skip


_running: weakref.WeakSet[Pipeline[Any]] = weakref.WeakSet()
"""Those that have tasks; a forked child has only copies of them that nobody runs."""


def _leave_to_parent() -> None:
    for pipeline in list(_running):
        pipeline.leave_to_parent()


if hasattr(os, "register_at_fork"):  # no read pays for it
    os.register_at_fork(after_in_child=_leave_to_parent)
