"""What follows the scopes of one informer: a reflector each, how each of them does, and how scopes come and go."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from typing import Any, NamedTuple, Protocol

from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Partition, Store
from aioinformers.checks import truth_of
from aioinformers.condition import Circumstances, condition_of, is_of_kind
from aioinformers.discovery import Discovery
from aioinformers.errors import InformerError
from aioinformers.listwatch.attempt import Target
from aioinformers.listwatch.ownership import skew
from aioinformers.listwatch.reflector import Reflector
from aioinformers.listwatch.replays import Replays
from aioinformers.namespaces import MOST, OwnedNamespaces, is_passing, says_filtered
from aioinformers.objects.shard import Shard, share_of
from aioinformers.queue import Rescope, Unite, WatchBatch
from aioinformers.statistics import ScopeHealth, ShardMode
from aioinformers.supervisor import RefusedError, StageError
from aioinformers.tally import Tally, place_of, so_often
from aioinformers.transport.pool import Reservation
from aioinformers.transport.source import Source
from aioinformers.types import END_OF_PROCESS, EVERYTHING, GroupVersionResource, Scope, WatchFailure, lowest_version
from aioinformers.warm.start import Resumption
from aioinformers.warm.warming import Warming

__all__ = ["Followed", "Following", "Host"]

logger: logging.Logger = logging.getLogger("aioinformers.pipeline")

FEW = 8
"""Namespaces from which on it matters whether they are evenly divided."""

LOOK_AGAIN = 30.0
"""Seconds after which a namespace that is gone is looked at again, if the cache still has objects of it."""

STOP_WAIT = 0.9
"""Seconds that the reflector of a scope that goes gets to end."""

NOT_FILTERED = (
    "the API server does not say that it has filtered {resource} by shard, so all objects come here, and those of "
    "other shards are dropped: network and CPU are those of the whole. Switch on its feature gate ShardedListAndWatch, "
    "of Kubernetes 1.36 or newer; of custom resources and of metadata alone, 1.37 filters but does not say so"
)
"""What an informer is told of that has to do the server's work."""


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
    def is_namespaced(self) -> bool:
        """Whether its objects live in namespaces, as far as is known."""

    @property
    def is_inherited(self) -> bool:
        """Whether cluster-scoped kinds ignore the namespaces."""

    @property
    def shard(self) -> Shard | None:
        """The shard whose objects are followed; None for all."""

    def target(self, scope: Scope) -> Target:
        """Return what a reflector of one scope follows."""


class Host(Protocol):
    """What it needs of the informer's pipeline."""

    def start_stage(self, run: Callable[[], Coroutine[Any, Any, None]], role: str) -> asyncio.Task[None]:
        """Start a task that ends before the dispatcher does; a stranger who cancels it has it started again."""

    def stop_stage(self, task: asyncio.Task[None]) -> None:
        """Cancel such a task for good."""

    async def wait_first_sync(self) -> None:
        """Wait for the first sync, or the end."""


class Following:
    """Runs one reflector per scope of an informer, and says how each of them does.

    A scope that comes while the informer runs is hidden until its first list is whole, so that reads of all scopes
    never have to wait for it.

    Args:
        host: The informer's pipeline.
        spec: What to follow.
        source: Makes the requests.
        discovery: Knows what the server serves.
        store: The informer's store.
        dispatcher: Its writer.
        on_watch_error: Observes failed attempts; called synchronously.
        warming: Lets scopes start from what was stored; None if nothing is.

    Attributes:
        reflectors: The reflector of each scope.
        wanted: The scopes that are followed, or will be once what comes and goes has been dealt with.
        failures: Failed attempts to list or watch since the start.
    """

    def __init__(
        self,
        host: Host,
        spec: Followed,
        source: Source,
        discovery: Discovery,
        store: Store[Any],
        dispatcher: Dispatcher[Any],
        on_watch_error: Callable[[WatchFailure], None] | None,
        warming: Warming | None = None,
    ) -> None:
        self.reflectors: dict[Scope, Reflector] = {}
        self.wanted: tuple[Scope, ...] = spec.scopes
        self.failures: int = 0
        self._host = host
        self._spec = spec
        self._source = source
        self._discovery = discovery
        self._store = store
        self._dispatcher = dispatcher
        self._on_watch_error = on_watch_error
        self._warming = warming
        if warming is not None:
            warming.on_failure = self._on_failure
        self._namespaced_error: Exception | None = None
        self._tally = Tally()
        self._shard_mode: ShardMode | None = None
        self._has_told_skew = False
        self._live_waits: list[asyncio.Future[None]] = []
        self._tasks: dict[Scope, asyncio.Task[None]] = {}
        self._changes: list[_Change] = []
        self._parted: dict[Scope, tuple[list[ShardMode | None], bool]] = {}  # how the parts of a union did
        self._owned: OwnedNamespaces | None = None
        self._is_divided = False  # each of a shard's namespaces is followed by itself
        self._next_look: asyncio.TimerHandle | None = None
        self._is_known = False  # what the scopes are: the server may have had to be asked
        self._connections: Reservation | None = None
        self._warm_starts: dict[Scope, asyncio.Task[None] | None] = {}  # until the reflector is started

    def open(self) -> None:
        """Count the connections that it will hold. Needs a running loop."""
        self._connections = self._source.reserve(self._spec.name, len(self.wanted))

    def close(self, error: Exception) -> None:
        """Give the connections back, and end the waits for scopes that come and go, with an error."""
        if self._connections is not None:
            self._connections.release()
        self._is_divided = False
        if self._next_look is not None:
            self._next_look.cancel()
        for change in self._changes:
            if not change.done.done():
                change.done.set_exception(error)
                change.done.exception()  # perhaps nobody waits any more
        self._changes.clear()
        self.look_again()

    async def run(self) -> None:
        """Start one reflector per scope, once it is known what the scopes are."""
        spec = self._spec
        if not self._is_known:  # else a stranger has cancelled what is below
            if spec.must_ask_namespaced and any(scope.namespace for scope in self.wanted):
                await self._ask_namespaced()
            await self._divide()
            self._is_known = True
            for scope in self._store.partitions:
                self._start_scope(scope)
            if self._changes:
                _ = self._host.start_stage(self._carry_out, "change of scopes")
        if spec.must_ask_namespaced:
            await self._host.wait_first_sync()
            await self._discovery.note_definition(spec.resource)

    def _start_scope(self, scope: Scope) -> None:
        if self._warming is None:
            self._start_reflector(scope)
        else:
            self._warm_starts[scope] = None
            _ = self._host.start_stage(
                functools.partial(self._start_warm, self._warming, scope), f"warm start{scope.place}"
            )

    async def _start_warm(self, warming: Warming, scope: Scope) -> None:
        """Start a reflector once what was stored of its scope has been taken over, or found not to fit."""
        if scope not in self._warm_starts:
            return  # it has gone, and was started again for somebody had cancelled it just before
        self._warm_starts[scope] = asyncio.current_task()
        target = self._spec.target(scope)
        resumption = await warming.begin(scope, target.path, target.query)
        del self._warm_starts[scope]
        self._start_reflector(scope, resumption)

    def _start_reflector(
        self, scope: Scope, resumption: Resumption | None = None, replays: Replays | None = None
    ) -> None:
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
        if resumption is not None:
            reflector.resume_from(*resumption, replays)
        self.reflectors[scope] = reflector
        self._tasks[scope] = self._host.start_stage(
            functools.partial(self._run_reflector, scope, reflector), f"reflector{scope.place}"
        )

    async def _run_reflector(self, scope: Scope, reflector: Reflector) -> None:
        if self.reflectors.get(scope) is not reflector:
            return  # it has gone, and was started again for somebody had cancelled it just before
        task = asyncio.current_task()
        assert task is not None, "reflectors run in tasks"
        self._tasks[scope] = task
        await reflector.run()

    def _offer(self, item: WatchBatch) -> bool:
        """Hand a batch to the dispatcher; what is wrong there is the dispatcher's, whoever's task it happens in."""
        try:
            return self._dispatcher.offer(item)
        except Exception as error:
            raise StageError("dispatcher") from error

    async def _ask_namespaced(self) -> None:
        """Ask the server whether an unknown kind has namespaces, until it answers."""
        spec = self._spec
        if await self._until_answered(lambda: self._discovery.is_namespaced(spec.resource), lambda _: True):
            return
        if not spec.is_inherited:
            raise RefusedError(f"{spec.resource} is cluster-scoped: it cannot be limited to namespaces")
        whole = EVERYTHING._replace(ranges=self.wanted[0].ranges)
        self.wanted = (whole,)
        self._store.partitions = {whole: Partition(len(self._store.layout.names))}

    async def _until_answered(
        self, ask: Callable[[], Awaitable[bool]], is_passing: Callable[[InformerError], bool]
    ) -> bool:
        """Ask the server about namespaces until it answers.

        Args:
            ask: Asks once.
            is_passing: Tells of an error whether another try may help; others are raised.
        """
        spec, settings, random = self._spec, self._source.settings, self._source.random
        delay = settings.backoff_initial
        while True:
            try:
                answer = await ask()
            except InformerError as error:
                if not is_passing(error):
                    self._namespaced_error = None
                    raise
                self._namespaced_error = error
                logger.warning(
                    "%s: cannot find out whether it has namespaces: %s; next try in %.1f s", spec.name, error, delay
                )
                self._on_failure(WatchFailure(spec.resource, EVERYTHING, error, self.failures + 1, delay))
                await asyncio.sleep(delay * (1 + settings.backoff_jitter * random.random()))
                delay = min(delay * settings.backoff_factor, settings.backoff_max)
            else:
                self._namespaced_error = None
                return answer

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

    # -- scopes that come and go ------------------------------------------------------------------------------

    def change(self, scopes: tuple[Scope, ...], muted: frozenset[Scope] = frozenset()) -> asyncio.Future[None]:
        """Follow other scopes from now on.

        Returns:
            What is done once those that go have gone and those that come are asked for; wait for it with a shield.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.wanted = scopes
        self._changes.append(_Change(scopes, muted, done))
        if self._is_known and len(self._changes) == 1:
            _ = self._host.start_stage(self._carry_out, "change of scopes")
        return done

    def change_unstarted(self, scopes: tuple[Scope, ...]) -> None:
        """Follow other scopes from the start on."""
        self.wanted = scopes
        self._store.partitions = {scope: Partition(len(self._store.layout.names)) for scope in scopes}

    def unite(self) -> asyncio.Future[None]:
        """Follow all ranges, of which each has a watch of its own, by one watch from now on; none is listed again.

        Ranges that are not shown yet are left out.

        Returns:
            What is done once that watch has been asked for; wait for it with a shield.

        Raises:
            ValueError: If it follows ranges of several namespaces: there is a watch for each namespace.
        """
        shown = self._store.partitions
        parts = tuple(each for each in self.wanted if each.ranges and each in shown and shown[each].is_synced)
        if len({each.namespace for each in parts}) > 1:
            raise ValueError(f"{self._spec.name}: ranges of several namespaces cannot be followed by one watch")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(parts) < 2:
            done.set_result(None)
            return done
        into = Scope(parts[0].namespace, tuple(sorted(each for scope in parts for each in scope.ranges)))
        self.wanted = (*(scope for scope in self.wanted if scope not in parts), into)
        self._changes.append(_Change(parts, frozenset(), done, into))
        if len(self._changes) == 1:
            _ = self._host.start_stage(self._carry_out, "change of scopes")
        return done

    async def wait_shown(self, scopes: Collection[Scope]) -> None:
        """Wait until scopes are shown, or are not wanted any more; raises what the informer ends with."""
        await self._dispatcher.wait_for_version(
            lambda versions: all(scope in versions or scope not in self.wanted for scope in scopes)
        )

    async def _carry_out(self) -> None:
        """Let scopes come and go, one change after the other. Begun again, it does what is left to do."""
        while self._changes:
            change = self._changes[0]
            await (self._replace(change) if change.into is None else self._unite(change.scopes, change.into))
            if self._connections is not None:
                self._connections.resize(len(self.reflectors))
            self._changes.remove(change)
            if not change.done.done():
                change.done.set_result(None)

    async def _replace(self, change: _Change) -> None:
        followed = {*self._store.partitions, *self._store.hidden}
        gone, come = followed.difference(change.scopes), frozenset(change.scopes) - followed
        await self._stop(gone)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._dispatcher.queue.put(Rescope(come, frozenset(gone), done, muted=change.muted & come))
        await done
        for scope in change.scopes:
            if scope not in self.reflectors and scope not in self._warm_starts:
                self._start_reflector(scope)

    async def _unite(self, parts: tuple[Scope, ...], into: Scope) -> None:
        if into not in self._parted:  # else it is begun again, and they have been stopped
            ending = [reflector for part in parts if (reflector := self.reflectors.get(part)) is not None]
            modes = [each.ownership.mode for each in ending if each.ownership is not None]
            self._parted[into] = modes, any(each.needs_list for each in ending)
        await self._stop(parts)
        done: asyncio.Future[dict[Scope, str]] = asyncio.get_running_loop().create_future()
        await self._dispatcher.queue.put(Unite(parts, into, done))
        reached = await done
        modes, needs_list = self._parted.pop(into)
        version, shard = "" if needs_list else lowest_version(reached.values()), self._spec.shard
        assert shard is not None, "scopes with ranges are those of a shard"
        ranges = {each: reached[scope] for scope in reached for each in scope.ranges}
        replays = Replays(shard.by, ranges, self._stored_version) if version else None
        self._start_reflector(into, Resumption(version), replays)
        if (ownership := self.reflectors[into].ownership) is not None and modes:
            ownership.mode = "client" if "client" in modes else modes[0]

    def _stored_version(self, key: str) -> str:
        entry = self._store.get(key)
        return "" if entry is None else entry.version

    async def _stop(self, scopes: Iterable[Scope]) -> None:
        """End the reflectors of scopes; what they have put into the queue stays there."""
        ending = []
        for scope in scopes:
            if (start := self._warm_starts.pop(scope, None)) is not None:
                ending.append(start)
                self._host.stop_stage(start)
            if (reflector := self.reflectors.pop(scope, None)) is not None:
                task = self._tasks.pop(scope)
                ending.append(task)
                logger.debug("%s: %s is not followed any more, after %s", self._spec.name, scope, reflector.state)
                self._host.stop_stage(task)
        if ending:
            await asyncio.wait(ending, timeout=STOP_WAIT)  # a hook may refuse to end: what it puts then is dropped

    # -- shards -----------------------------------------------------------------------------------------------

    async def _divide(self) -> None:
        """Follow each namespace of a shard by itself, if the server does not filter, and there are few of them."""
        spec, shard = self._spec, self._spec.shard
        if shard is None or shard.by != "namespace" or any(scope.namespace for scope in self.wanted):
            return
        target = spec.target(self.wanted[0])
        accept, selector = self._store.layout.object_type.list_accept, shard.selector
        try:
            has_namespaces = spec.is_namespaced and (
                not spec.must_ask_namespaced
                or await self._until_answered(lambda: self._discovery.is_namespaced(spec.resource), is_passing)
            )
            if not has_namespaces or await self._until_answered(
                lambda: says_filtered(self._source, target, accept, selector), is_passing
            ):
                return
        except InformerError:
            return  # the list will meet with the same, and say so
        if self._owned is None:
            self._owned = OwnedNamespaces(
                share_of(shard), self._source, self._host, self._look_at_namespaces, self._on_failure
            )
        refusal, names = await self._owned.start(), self._owned.names
        if refusal is not None or len(names) > MOST:
            why = refusal or f"{len(names)} are the shard's own, more than {MOST}"
            logger.info("%s: its namespaces are not followed one by one: %s", spec.name, why)
            self._owned.stop()
            self._owned = None
            return
        if words := skew(Counter(self._owned.all_names), shard.of, "namespaces", FEW):
            logger.warning("%s: %s", spec.name, words)
        self._is_divided = True
        self.change_unstarted(tuple(map(Scope, names)))
        if not names:
            self._dispatcher.look_at_sync()

    def _look_at_namespaces(self) -> None:
        """Let namespaces come and go, as they do on the server: those that go once their objects have gone."""
        if not self._is_divided or self._owned is None:
            return
        names = set(self._owned.names)
        gone = [scope for scope in self.wanted if scope.namespace not in names]
        kept = [scope for scope in self.wanted if scope not in gone or self._has_objects(scope)]
        come = names.difference(scope.namespace for scope in kept)
        if len(kept) != len(self.wanted) or come:
            _ = self.change((*kept, *map(Scope, sorted(come))))
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        if any(scope in gone for scope in kept):
            self._next_look = asyncio.get_running_loop().call_later(LOOK_AGAIN, self._look_at_namespaces)

    def _has_objects(self, scope: Scope) -> bool:
        partition = self._store.partition(scope)
        return partition is not None and bool(partition.objects)

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
        of_kind = {scope for scope, each in list(self.reflectors.items()) if is_of_kind(each.last_error)}
        return all(
            each.has_synced and not each.is_degraded and (each.is_watching or each.scope in of_kind)
            for each in scopes
            if not each.is_coming
        )

    def health(self, now: float, whole: str, *, is_running: bool, has_failed: bool) -> tuple[ScopeHealth, ...]:
        """Return what each scope does, and what it waits for.

        Args:
            now: The loop's time.
            whole: What is wrong with all scopes at once; empty if each has a reason of its own, or none.
            is_running: Whether the informer runs.
            has_failed: Whether a bug has ended it.
        """
        if not whole and (error := self._namespaced_error) is not None:
            whole = f"finding out whether it has namespaces: {error}"
        division_error = self._division_error
        beside = "" if division_error is None else f"following the namespaces that there are: {division_error}"
        mode: ShardMode | None = "namespace" if self._is_divided else None
        around = Circumstances(now, is_running, has_failed, whole, beside, mode)
        shown, scopes = self._store.partitions, []
        for scope, partition in {**shown, **self._store.hidden}.items():
            before = "" if self._warming is None else self._warming.doing(scope)
            reflector, is_coming = self.reflectors.get(scope), scope not in shown
            scopes.append(condition_of(scope, partition, reflector, before, around, is_coming=is_coming))
        return tuple(scopes)

    @property
    def _division_error(self) -> Exception | None:
        """Why a namespace that comes may not be seen, if each of a shard's namespaces is followed by itself."""
        owned = self._owned
        return None if owned is None or not self._is_divided else owned.last_error

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
        errors = [
            self._namespaced_error,
            self._division_error,
            *(reflector.last_error for reflector in list(self.reflectors.values())),
        ]
        return next((error for error in errors if error is not None), None)


class _Change(NamedTuple):
    """Scopes that are to be followed, some of them muted, and what is resolved when they are; or that become one."""

    scopes: tuple[Scope, ...]
    muted: frozenset[Scope]
    done: asyncio.Future[None]
    into: Scope | None = None
