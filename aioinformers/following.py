"""What follows the scopes of one informer: a reflector each, and how each of them does."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Partition, Store
from aioinformers.checks import truth_of
from aioinformers.discovery import Discovery
from aioinformers.errors import ApiStatusError, InformerError
from aioinformers.listwatch.attempt import Target
from aioinformers.listwatch.ownership import skew
from aioinformers.listwatch.recovery import State
from aioinformers.listwatch.reflector import Reflector
from aioinformers.objects.shard import Shard
from aioinformers.queue import WatchBatch
from aioinformers.statistics import ScopeHealth, ShardMode
from aioinformers.tally import Tally, place_of, so_often
from aioinformers.transport.source import Source
from aioinformers.types import END_OF_PROCESS, EVERYTHING, GroupVersionResource, Scope, WatchFailure

__all__ = ["Followed", "Following", "RefusedError", "StageError"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.pipeline")

METHOD_NOT_ALLOWED = 405

NOT_FILTERED = (
    "the API server does not say that it has filtered {resource} by shard, so all objects come here, and those of "
    "other shards are dropped: network and CPU are those of the whole. Switch on its feature gate ShardedListAndWatch, "
    "of Kubernetes 1.36 or newer; of custom resources and of metadata alone, 1.37 filters but does not say so"
)
"""What an informer is told of that has to do the server's work."""


class RefusedError(Exception):
    """What the user asked for cannot be, which only the server could tell: the end of the informer, not a bug."""


class StageError(Exception):
    """A bug of a stage that showed in another stage's task; its cause is the bug.

    Args:
        stage: The stage that has the bug.
    """

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


class Followed(Protocol):
    """What of an informer's specification says what is to be followed."""

    @property
    def name(self) -> str:
        """The informer's name."""

    @property
    def resource(self) -> GroupVersionResource:
        """The resource."""

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What each of its reflectors follows at first."""

    @property
    def must_ask_namespaced(self) -> bool:
        """Whether the server has to be asked if the kind has namespaces."""

    @property
    def is_inherited(self) -> bool:
        """Whether cluster-scoped kinds ignore the namespaces."""

    @property
    def shard(self) -> Shard | None:
        """The shard whose objects are followed; None for all."""

    def target(self, scope: Scope) -> Target:
        """Return what a reflector of one scope follows."""


class Following:
    """Runs one reflector per scope of an informer, and says how each of them does.

    Args:
        spec: What to follow.
        source: Makes the requests.
        discovery: Knows what the server serves.
        store: The informer's store.
        dispatcher: Its writer.
        start_stage: Starts a task that ends before the dispatcher does, and starts it again.
        wait_synced: Waits for the informer's first sync.
        on_watch_error: Observes failed attempts; called synchronously.

    Attributes:
        reflectors: The reflector of each scope.
        failures: Failed attempts to list or watch since the start.
    """

    def __init__(
        self,
        spec: Followed,
        source: Source,
        discovery: Discovery,
        store: Store[Any],
        dispatcher: Dispatcher[Any],
        start_stage: Callable[[Callable[[], Coroutine[Any, Any, None]], str], object],
        wait_synced: Callable[[], Coroutine[Any, Any, object]],
        on_watch_error: Callable[[WatchFailure], None] | None,
    ) -> None:
        self.reflectors: dict[Scope, Reflector] = {}
        self.failures: int = 0
        self._spec = spec
        self._source = source
        self._discovery = discovery
        self._store = store
        self._dispatcher = dispatcher
        self._start_stage = start_stage
        self._wait_synced = wait_synced
        self._on_watch_error = on_watch_error
        self._namespaced_error: Exception | None = None
        self._tally = Tally()
        self._shard_mode: ShardMode | None = None
        self._has_told_skew = False
        self._live_waits: list[asyncio.Future[None]] = []

    async def run(self) -> None:
        """Start one reflector per scope, once it is known what the scopes are."""
        spec = self._spec
        if spec.must_ask_namespaced and any(scope.namespace for scope in spec.scopes):
            await self._ask_namespaced()
        for scope in self._store.partitions:
            if scope not in self.reflectors:
                self._start_reflector(scope)
        if spec.must_ask_namespaced:
            await self._wait_synced()
            await self._discovery.note_definition(spec.resource)

    def _start_reflector(self, scope: Scope) -> None:
        reflector = Reflector(
            self._spec.target(scope),
            self._source,
            self._dispatcher.queue,
            lambda: self._store.layout,
            self._on_failure,
            functools.partial(self._store.has_version, scope),
            self._offer,
            lambda: self._dispatcher.takes_offers,
            functools.partial(self._discovery.find_absence, self._spec.resource, scope.namespace),
            self.look_again if self._spec.shard is None else self._look_at_shard,
        )
        self.reflectors[scope] = reflector
        self._start_stage(reflector.run, f"reflector{scope.place}")

    def _offer(self, item: WatchBatch) -> bool:
        """Hand a batch to the dispatcher; what is wrong there is the dispatcher's, whoever's task it happens in."""
        try:
            return self._dispatcher.offer(item)
        except Exception as error:
            raise StageError("dispatcher") from error

    async def _ask_namespaced(self) -> None:
        """Ask the server whether an unknown kind has namespaces, until it answers."""
        spec, settings, random = self._spec, self._source.settings, self._source.random
        delay = settings.backoff_initial
        has_namespaces: bool | None = None
        while has_namespaces is None:
            try:
                has_namespaces = await self._discovery.is_namespaced(spec.resource)
            except InformerError as error:
                self._namespaced_error = error
                logger.warning(
                    "%s: cannot find out whether it has namespaces: %s; next try in %.1f s", spec.name, error, delay
                )
                self._on_failure(WatchFailure(spec.resource, EVERYTHING, error, self.failures + 1, delay))
                await asyncio.sleep(delay * (1 + settings.backoff_jitter * random.random()))
                delay = min(delay * settings.backoff_factor, settings.backoff_max)
        self._namespaced_error = None
        if has_namespaces:
            return
        if not spec.is_inherited:
            raise RefusedError(f"{spec.resource} is cluster-scoped: it cannot be limited to namespaces")
        whole = EVERYTHING._replace(ranges=spec.scopes[0].ranges)
        self._store.partitions = {whole: Partition(len(self._store.layout.names))}

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
                logger.exception("%s: on_watch_error raised%s", self._spec.name, so_often(count))

    # -- shards -----------------------------------------------------------------------------------------------

    def _look_at_shard(self) -> None:
        """Tell of what the lists of a shard have shown, once it changes."""
        owned = [each.ownership for each in list(self.reflectors.values()) if each.ownership is not None]
        modes = {each.mode for each in owned}
        mode: ShardMode | None = "client" if "client" in modes else "server" if modes == {"server"} else None
        if mode is not None and mode != self._shard_mode:
            if mode == "client":
                logger.warning("%s: %s", self._spec.name, NOT_FILTERED.format(resource=self._spec.resource))
            elif self._shard_mode is not None:
                logger.info("%s: the API server keeps the objects of other shards away now", self._spec.name)
            self._shard_mode = mode
        if not self._has_told_skew and None not in modes:
            self._has_told_skew = True
            for each in owned:
                if self._spec.shard is not None and (words := skew(each.namespaces, self._spec.shard.of)):
                    logger.warning("%s: %s", self._spec.name, words)
                each.namespaces.clear()
        self.look_again()

    # -- how they do ------------------------------------------------------------------------------------------
    # Other threads may ask for all of this: what may change meanwhile is looked at once, and no dict that may grow is
    # gone through in Python (see `cache/indexer.py`).

    async def wait_for_change(self) -> None:
        """Wait until a reflector does something else. Cancellation leaves nothing behind."""
        future = asyncio.get_running_loop().create_future()
        self._live_waits.append(future)
        try:
            await future
        finally:
            if future in self._live_waits:
                self._live_waits.remove(future)

    def look_again(self) -> None:
        """Let those look again who wait for a change."""
        waits, self._live_waits = self._live_waits, []
        for future in waits:
            if not future.done():  # it is, if its task has just been cancelled
                future.set_result(None)

    def is_live(self, scopes: tuple[ScopeHealth, ...]) -> bool:
        """Tell whether every scope has synced and follows the change stream right now, where its kind has one."""
        of_kind = {scope for scope, each in list(self.reflectors.items()) if _is_of_kind(each.last_error)}
        return all(
            each.has_synced and not each.is_degraded and (each.is_watching or each.scope in of_kind) for each in scopes
        )

    def health(self, now: float, whole: str, *, is_running: bool, has_failed: bool) -> tuple[ScopeHealth, ...]:
        """Return what each scope does, and what it waits for.

        Args:
            now: The loop's time.
            whole: What is wrong with all scopes at once; empty if each has a reason of its own, or none.
            is_running: Whether the informer runs.
            has_failed: Whether a bug has ended it.
        """
        scopes = []
        if not whole and (error := self._namespaced_error) is not None:
            whole = f"finding out whether it has namespaces: {error}"
        for scope, partition in self._store.partitions.items():
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
            is_degraded = partition.is_synced and (has_failed or not (error is None or _is_of_kind(error)))
            mode = None if reflector is None or reflector.ownership is None else reflector.ownership.mode
            scopes.append(ScopeHealth(scope, is_synced, is_watching, silent_for, reason, is_degraded, mode))
        return tuple(scopes)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the server said beside its answers, each once."""
        said = [each for one in list(self.reflectors.values()) for each in list(one.notices)]
        return tuple(dict.fromkeys(said)) if said else ()

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


def _is_of_kind(error: Exception | None) -> bool:
    """Tell whether an error is that the kind cannot be watched, as componentstatuses: it is listed now and then."""
    return isinstance(error, ApiStatusError) and error.status == METHOD_NOT_ALLOWED
