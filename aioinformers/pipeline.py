"""One informer's machinery: owns its reflectors, queue, dispatcher and consumers, and their orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import functools
import itertools
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Partition, Store
from aioinformers.delivery.consumer import Consumer, ConsumerOptions, Pace, Registration
from aioinformers.delivery.events import EventFactory
from aioinformers.delivery.stream import Stream
from aioinformers.discovery import is_namespaced
from aioinformers.errors import CacheNotSyncedError, InformerClosedError, InformerCrashedError, InformerError
from aioinformers.listwatch.recovery import State
from aioinformers.listwatch.reflector import Reflector, Target
from aioinformers.objects.compact import Packer
from aioinformers.objects.layout import Entry, Layout
from aioinformers.queue import PackingQueue, QueueItem, Reindex
from aioinformers.settings import Settings
from aioinformers.statistics import InformerStatistics
from aioinformers.transport.source import Source
from aioinformers.types import EVERYTHING, GroupVersionResource, Scope, WatchFailure

__all__ = ["InformerSpec", "Phase", "Pipeline"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.pipeline")

CHUNK = 512
"""Objects per chunk of a resync."""


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
        scopes: Namespaces, or ``("",)`` for all of them.
        query: Selectors and further query parameters.
        must_check_scope: The kind is unknown: whether it has namespaces is asked before the first request.
        is_inherited: The namespaces are a default, which cluster-scoped kinds ignore.
        is_foreign: Tells whether a list is of another kind, by its kind and apiVersion.
    """

    name: str
    resource: GroupVersionResource
    scopes: tuple[Scope, ...] = (EVERYTHING,)
    query: Mapping[str, str] = field(default_factory=dict)
    must_check_scope: bool = False
    is_inherited: bool = False
    is_foreign: Callable[[str, str], bool] = lambda kind, api_version: False


class _RefusedError(Exception):
    """What the user asked for cannot be, which only the server could tell: the end of the informer, not a bug."""


class Pipeline(Generic[T]):
    """Runs one informer; the host of its consumers.

    Args:
        spec: What to follow.
        layout: How objects are kept and indexed.
        settings: Sizes and deadlines.
        on_watch_error: Observes failed attempts; called synchronously.

    Attributes:
        phase: Where it stands in its life.
        loop: The event loop it is bound to, once it runs.
        crash: The bug that ended it, if one did.
    """

    def __init__(
        self,
        spec: InformerSpec,
        layout: Layout[T],
        settings: Settings,
        on_watch_error: Callable[[WatchFailure], None] | None = None,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.phase: Phase = Phase.NEW
        self.loop: asyncio.AbstractEventLoop | None = None
        self.crash: BaseException | None = None
        self.pace: Pace = Pace(settings.time_slice)
        self.store: Store[T] = Store(layout, spec.scopes)
        self.reflectors: list[Reflector] = []
        self.failures: int = 0
        self.scope_error: Exception | None = None
        self._queue: asyncio.Queue[QueueItem] = (
            asyncio.Queue(settings.queue_size) if self.packer is None else PackingQueue(1)
        )
        self.dispatcher: Dispatcher[T] = Dispatcher(self.store, self._queue, settings.time_slice, self._on_synced)
        self._on_watch_error = on_watch_error
        self._consumers: dict[Consumer[T], None] = {}
        self._stages: set[asyncio.Task[None]] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._synced = asyncio.Event()
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._grace = 0.0

    @property
    def name(self) -> str:
        """The informer's name."""
        return self.spec.name

    # -- life -------------------------------------------------------------------------------------------------

    async def run(self, source: Source) -> None:
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
            self._start_stages(source)
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

    def stop(self, grace: float) -> None:
        """Ask :meth:`run` to end; consumers get ``grace`` seconds for what is queued. Never blocks.

        What never ran has ended at once, so that no wait outlives it.
        """
        self._grace = grace
        self._stop.set()
        if self.phase is Phase.NEW:
            self._conclude()
            for consumer in list(self._consumers):
                consumer.end()

    async def ended(self) -> None:
        """Wait until the informer has ended.

        Raises:
            InformerCrashedError: If a stage ended by a bug.
        """
        await self._ended.wait()
        if self.crash is not None:
            raise self._end_error() from self.crash

    def _start_stages(self, source: Source) -> None:
        self._start_stage(self.dispatcher.run(), "dispatcher")
        self._start_stage(self._follow(source), "reflectors")
        self._start_stage(self._watch_handlers(), "watchdog")
        for consumer in list(self._consumers):
            self._admit(consumer)

    def _start_stage(self, coroutine: Coroutine[Any, Any, None], role: str) -> None:
        assert self.loop is not None
        task = self.loop.create_task(coroutine, name=f"{role} {self.name}")
        self._stages.add(task)
        task.add_done_callback(self._on_task_done)

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], name: str, context: contextvars.Context | None
    ) -> asyncio.Task[None]:
        """Start a worker task of a consumer."""
        assert self.loop is not None
        task = self.loop.create_task(coroutine, name=f"{name} of {self.name}", context=context)
        self._workers.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        """A task of ours that raises is a bug: loud, and the end of this informer alone."""
        self._stages.discard(task)
        self._workers.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, _RefusedError):
            logger.error("%s: %s; the informer ends", self.name, error)
        else:
            logger.critical("%s: task %s crashed; the informer ends", self.name, task.get_name(), exc_info=error)
        if self.crash is None:
            self.crash = error
        self._stop.set()

    async def _follow(self, source: Source) -> None:
        """Run one reflector per scope, once it is known what the scopes are."""
        if self.spec.must_check_scope and self.spec.scopes != (EVERYTHING,):
            await self._check_scope(source)
        for scope in self.store.partitions:
            target = Target(self.spec.resource, scope, self.spec.query, self.spec.is_foreign)
            is_stored = functools.partial(self.store.has_version, scope)
            reflector = Reflector(
                target, source, self._queue, lambda: self.store.layout, self._on_failure, is_stored,
                self.dispatcher.offer,
            )  # fmt: skip
            self.reflectors.append(reflector)
            self._start_stage(reflector.run(), f"reflector{scope.place} of")

    async def _check_scope(self, source: Source) -> None:
        """Ask the server whether an unknown kind has namespaces, until it answers."""
        delay = self.settings.backoff_initial
        namespaced: bool | None = None
        while namespaced is None:
            try:
                namespaced = await is_namespaced(source, self.spec.resource)
            except InformerError as error:
                self.scope_error = error
                logger.warning("%s: cannot look up its scope: %s; next try in %.1f s", self.name, error, delay)
                self._on_failure(WatchFailure(self.spec.resource, EVERYTHING, error, self.failures + 1, delay))
                await asyncio.sleep(delay * (1 + self.settings.backoff_jitter * source.random.random()))
                delay = min(delay * self.settings.backoff_factor, self.settings.backoff_max)
        self.scope_error = None
        if namespaced:
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
        for consumer in self._consumers:
            consumer.check_synced()

    # -- teardown ---------------------------------------------------------------------------------------------

    async def _tear_down(self) -> None:
        """End everything in the one right order: producers strictly before consumers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._grace
        self.phase = Phase.CLOSING  # from here on no consumer may join
        dispatcher = [task for task in self._stages if task.get_name().startswith("dispatcher")]
        await self._cancel(self._stages.difference(dispatcher))
        if dispatcher and self.crash is None and self._grace:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._queue.join()
        await self._cancel(dispatcher)
        self.dispatcher.close(self._end_error())
        for consumer in self._consumers:
            self.dispatcher.leave(consumer.mailbox)
        await self._end_consumers(deadline)
        self._conclude()

    def _conclude(self) -> None:
        self.phase = Phase.FAILED if self.crash is not None else Phase.CLOSED
        self.dispatcher.close(self._end_error())
        self._ended.set()
        self._synced.set()

    async def _end_consumers(self, deadline: float) -> None:
        registrations = [consumer for consumer in self._consumers if isinstance(consumer, Registration)]
        try:
            async with asyncio.timeout_at(deadline):
                for registration in registrations:
                    await registration.drain()
        except TimeoutError:
            pass
        await asyncio.gather(*(registration.cancel() for registration in registrations))
        for registration in registrations:
            if lost := registration.statistics().undelivered:
                logger.warning("%s: %d events were not delivered to %s", self.name, lost, registration.name)
        for consumer in list(self._consumers):
            consumer.end()

    @staticmethod
    async def _cancel(tasks: Any) -> None:
        pending = list(tasks)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)

    def _end_error(self) -> Exception:
        if isinstance(self.crash, _RefusedError):
            return InformerClosedError(f"{self.name} cannot run: {self.crash}")
        if self.crash is not None:
            return InformerCrashedError(f"{self.name} ended by a bug: {self.crash!r}")
        return InformerClosedError(f"{self.name} has ended")

    # -- consumers --------------------------------------------------------------------------------------------

    def register(self, handler: Any, options: ConsumerOptions[T]) -> Registration[T]:
        """Add a handler; see ``SharedInformer.add_event_handler``."""
        registration = Registration(self, handler, options)
        self._join(registration)
        return registration

    def open_stream(self, options: ConsumerOptions[T]) -> Stream[T]:
        """Add a stream; see ``SharedInformer.stream``."""
        stream = Stream(self, options)
        self._join(stream)
        return stream

    def _join(self, consumer: Consumer[T]) -> None:
        if self.phase not in (Phase.NEW, Phase.RUNNING):
            raise InformerClosedError(f"{self.name} has ended: {consumer.name} was not added")
        consumer.name = self._unique(consumer.name)
        self._consumers[consumer] = None
        if self.phase is Phase.RUNNING:
            self._admit(consumer)

    def _unique(self, name: str) -> str:
        taken = {consumer.name for consumer in self._consumers}
        numbers = itertools.count(2)
        found = name
        while found in taken:
            found = f"{name} ({next(numbers)})"
        return found

    def now(self) -> float:
        """Return the time of the informer's loop, from whatever thread."""
        return 0.0 if self.loop is None else self.loop.time()

    def _admit(self, consumer: Consumer[T]) -> None:
        self.dispatcher.join(consumer.mailbox)
        consumer.start()
        consumer.check_synced()

    def forget(self, consumer: Consumer[T]) -> None:
        """Put nothing more into a consumer's mailbox."""
        self._consumers.pop(consumer, None)
        self.dispatcher.leave(consumer.mailbox)

    @property
    def consumers(self) -> list[Consumer[T]]:
        """The consumers that are registered."""
        return list(self._consumers)

    def events(self) -> EventFactory[T]:
        """Return what makes events of records."""
        return EventFactory(self.spec.resource, self.store.layout.object_type)

    @property
    def packer(self) -> Packer | None:
        """What packs the stored objects; None if they stay as they are."""
        return self.store.layout.object_type.packer

    def is_synced(self) -> bool:
        """Tell whether every scope's first list has been committed."""
        return self.store.is_synced

    def chunks(self) -> Iterator[list[tuple[str, Entry]]]:
        """Yield the stored objects in chunks, each current when it is yielded."""
        keys = self.store.all_keys()
        for at in range(0, len(keys), CHUNK):
            found = ((key, self.store.get(key)) for key in keys[at : at + CHUNK])
            yield [(key, entry) for key, entry in found if entry is not None]

    async def _watch_handlers(self) -> None:
        """Name handlers that hold a key for too long, once per call."""
        limit = self.settings.slow_handler_warning
        warned: set[tuple[Any, ...]] = set()
        while True:
            await asyncio.sleep(limit / 2)
            seen = {
                (consumer, busy.key, round(self.now() - busy.seconds, 3)): busy.seconds
                for consumer in self._consumers
                for busy in consumer.statistics().busy_keys
                if busy.seconds >= limit and isinstance(consumer, Registration)
            }
            for consumer, key, since in seen.keys() - warned:
                logger.warning(
                    "%s: handler %s has been busy with %s for %.0f s", self.name, consumer.name, key,
                    seen[consumer, key, since],
                )  # fmt: skip
            warned = set(seen)

    # -- state ------------------------------------------------------------------------------------------------

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
        if self.loop is None:
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not self.loop:
            raise RuntimeError(
                f"{self.name} is bound to the event loop that started it: only reads are allowed from elsewhere"
            )

    async def wait_synced(self) -> None:
        """Wait for the first sync of all scopes. Cancellation changes nothing.

        Raises:
            InformerClosedError: If the informer ends first.
            InformerCrashedError: If a bug ends it first.
        """
        self.require_loop()
        await self._synced.wait()
        if not self.store.is_synced:
            raise self._end_error()

    def reason(self) -> str:
        """Say what the informer waits for and why; empty if nothing is wrong."""
        if self.phase is Phase.NEW:
            return "not started"
        if self.crash is not None:
            return f"crashed: {self.crash!r}"
        if self.scope_error is not None:
            return f"looking up its scope: {self.scope_error}"
        waits = []
        for reflector in self.reflectors:
            if reflector.last_error is None and reflector.state is State.WATCHING:
                continue
            why = f": {reflector.last_error}" if reflector.last_error else ""
            waits.append(f"{reflector.state.value}{reflector.target.scope.place}{why}")
        return "; ".join(waits) or ("" if self.store.is_synced else "starting")

    @property
    def is_watching(self) -> bool:
        """Whether every scope follows the change stream right now."""
        watching = [reflector.state is State.WATCHING for reflector in self.reflectors]
        return self.phase is Phase.RUNNING and bool(watching) and all(watching)

    @property
    def last_activity(self) -> float | None:
        """Loop time at which the most silent scope was last heard of; None if one never was."""
        times = [reflector.last_activity for reflector in self.reflectors]
        known = [time for time in times if time is not None]
        return min(known) if known and len(known) == len(times) else None

    async def reindex(self, change: Callable[[Layout[T]], Layout[T]], names: set[str]) -> None:
        """Change the indexes of a running informer; readers are not blocked, reads of these indexes raise until then.

        Cancellation: the indexes are changed nevertheless, or not at all.
        """
        assert self.loop is not None
        self.store.building |= names
        done: asyncio.Future[None] = self.loop.create_future()
        put = self.loop.create_task(self._queue.put(Reindex(change, done)), name=f"reindex {self.name}")
        ended = self.loop.create_task(self._ended.wait(), name=f"end of reindex {self.name}")
        try:
            waits: list[asyncio.Future[Any]] = [done, ended]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise self._end_error()
            done.result()
        finally:
            self.store.building -= names
            done.cancel()  # nobody is left to be told of an error
            put.cancel()
            ended.cancel()

    def is_own_task(self, task: asyncio.Task[Any] | None) -> bool:
        """Tell whether a task delivers events of this informer: it must never wait for its own end."""
        return task in self._workers

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
            consumers={consumer.name: consumer.statistics() for consumer in self._consumers},
            compact=None if self.packer is None else self.packer.statistics(),
        )
