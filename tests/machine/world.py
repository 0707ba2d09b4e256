"""The world of a script: a server, a proxy before it, a factory and its followers, and the checks of all of it."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar, TypeVarTuple

import pytest
from kubernetes_asyncio import client

from aioinformers import CacheNotSyncedError, Settings, SharedInformer, SharedInformerFactory
from aioinformers.delivery.registration import Registration
from aioinformers.testing import ChaosProxy, FakeAPIServer, Fault, RequestInfo, VirtualTimeLoop
from tests.machine.follower import FILTERS, Failed, Follower
from tests.machine.kinds import INDEXES, KINDS, facts

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

RECOVERY = 600.0
"""Virtual seconds after the last fault within which everything must be as the server has it."""
QUICK = Settings(page_size=3, watch_timeout_min=60, watch_timeout_max=90, queue_size=2)


class TickingLoop(VirtualTimeLoop):
    """Virtual time that also passes while something happens: time slices end, workers let others run.

    Every run of a script is the same, as nothing runs in a thread, which would end whenever it likes.
    """

    tick = 0.0

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Call the function at once; aiohttp asks for proxies in this way."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def time(self) -> float:
        """Return the time, a little later each time it is asked for."""
        self._now += self.tick
        return self._now


class HalfWay(random.Random):
    """Jitter that does not depend on who asks first."""

    def random(self) -> float:
        """Return the middle."""
        return 0.5


class World:
    """An embedded server, a proxy before it, a factory, and who follows it; all on one loop."""

    HOOKS = ("credentials", "watcher")
    """What of the user's may raise: what refreshes the token, and ``on_watch_error``."""

    def __init__(self, loop: TickingLoop) -> None:
        self.loop = loop
        self._misdeeds: dict[str, Iterator[type[BaseException]]] = dict.fromkeys(self.HOOKS, iter(()))
        self.problems: list[str] = []
        self.informers: dict[str, SharedInformer[Any]] = {}
        self.indexes: dict[str, set[str]] = {}
        self.followers: list[Follower] = []
        self.left: list[Follower] = []
        self.is_down = False
        loop.set_exception_handler(lambda _, context: self.problems.append(f"the loop was told: {context}"))

    async def open(self, *, streams: bool, asks: bool, log_size: int) -> None:
        """Start everything; the server streams initial objects or not, and is asked for it or not."""
        rng = random.Random(1)
        started = datetime(2030, 1, 1, tzinfo=UTC)
        self.server = FakeAPIServer(watch_list=streams, log_size=log_size, rng=rng, now=lambda: started)
        await self.server.start()
        self.proxy = await ChaosProxy(self.server.url, rng=rng).__aenter__()
        configuration = client.Configuration(host=self.proxy.url, api_key={"BearerToken": "token"})
        configuration.refresh_api_key_hook = self._refresh_token
        self.api = client.ApiClient(configuration)
        self.factory = SharedInformerFactory(
            self.api,
            settings=replace(QUICK, watch_list=asks),
            on_watch_error=lambda failure: self._misbehave("watcher"),
        )
        self.factory._source.random = HalfWay()
        await self.factory.start()

    async def close(self, grace: float) -> None:
        """End everything; nothing may be left (G10)."""
        before = self.loop.time()
        await self.factory.shutdown(grace=grace)
        self.informers.clear()
        if self.loop.time() > before + grace + 1.1:
            self.problems.append(f"shutdown(grace={grace:g}) took {self.loop.time() - before:.1f} s (G10)")
        for follower in (*self.followers, *self.left):
            if follower.reader is not None and not follower.has_left:
                await follower.reader  # a stream ends by itself when its informer does
        await self.api.close()
        await self.proxy.__aexit__(None, None, None)
        await self.server.stop()
        await asyncio.sleep(0.1)
        self.problems += [f"left behind: {task!r} (G10)" for task in asyncio.all_tasks() - {asyncio.current_task()}]

    # -- informers and consumers ------------------------------------------------------------------------------

    def ask(self, kind: str) -> SharedInformer[Any]:
        """Return an informer; one asked for late starts by itself."""
        informer = self.informers[kind] = KINDS[kind].open(self.factory)
        self.indexes.setdefault(kind, set())
        return informer

    async def release(self, kind: str) -> None:
        """End an informer, whoever uses it."""
        informer = self.informers.pop(kind, None)
        if informer is None:
            return
        del self.indexes[kind]
        await self.factory.release(informer, force=True)
        for follower in [each for each in self.followers if each.informer is informer]:
            self._drop(follower)

    def _drop(self, follower: Follower) -> None:
        follower.has_left = follower.reader is None  # who reads a stream still holds the event it was given
        self.followers.remove(follower)
        self.left.append(follower)

    def join(self, follower: Follower, **options: Any) -> None:
        """Register a handler."""
        matches = FILTERS[follower.accepts]
        if matches is not None:
            options["filter"] = lambda obj: matches(facts(obj))
        if follower.behaviour == "hanging":
            options["handler_timeout"] = 2.0
        follower.registration = follower.informer.add_event_handler(follower, **options)
        self.followers.append(follower)

    def read(self, follower: Follower, limit: int) -> None:
        """Open a stream, read by a task."""
        matches = FILTERS[follower.accepts]
        judge = None if matches is None else lambda obj: matches(facts(obj))

        async def reading() -> None:
            async with follower.informer.stream(limit=limit, filter=judge) as events:
                async for event in events:
                    with suppress(ValueError, TimeoutError, asyncio.CancelledError, Failed):  # as it behaves
                        async with asyncio.timeout(2):
                            await follower(event)
                    if follower.has_left:
                        return

        follower.reader = asyncio.create_task(reading(), name="reader")
        self.followers.append(follower)

    async def leave(self, follower: Follower, how: str) -> None:
        """Let a consumer go, in one of the ways there are."""
        if follower not in self.followers:
            return  # its informer has been released
        if follower.registration is None:
            assert follower.reader is not None
            self._drop(follower)
            follower.has_left = True
            follower.reader.cancel()
            await asyncio.wait([follower.reader])
            return
        if how == "at once":
            follower.informer.remove_event_handler(follower.registration)
        else:
            await follower.registration.aclose(grace=None if how == "when done" else 0)
        self._drop(follower)

    async def index(self, kind: str, name: str) -> None:
        """Add an index to a running informer, or remove the one it has."""
        informer = self.informers.get(kind)
        definition = INDEXES[name][0]
        if informer is None or (kind == "structs in a" and isinstance(definition, str)):
            return
        if name in self.indexes[kind]:
            await informer.remove_indexer(name)
        else:
            await informer.add_indexers({name: definition})
        self.indexes[kind] ^= {name}

    # -- faults -----------------------------------------------------------------------------------------------

    def cancel_any(self, chance: random.Random) -> None:
        """Cancel one of the informers' own tasks: stages, workers, resyncs; not those that end them."""
        names = tuple(f" of {informer.name}" for informer in self.informers.values())
        tasks = [
            task
            for task in asyncio.all_tasks()
            if task.get_name().endswith(names) and not task.get_name().startswith("last batches")
        ]
        if tasks:
            chance.choice(sorted(tasks, key=lambda task: task.get_name())).cancel()

    async def _refresh_token(self, configuration: client.Configuration) -> None:
        self._misbehave("credentials")

    def _misbehave(self, hook: str) -> None:
        error = next(self._misdeeds[hook], None)
        if error is not None:
            raise error

    def spoil(self, hook: str, error: type[BaseException], times: int) -> None:
        """Let the next few calls of a hook raise."""
        self._misdeeds[hook] = itertools.repeat(error, times)

    def sabotage(self, fault: Fault, verb: str, times: int) -> None:
        """Let the next few requests of a verb fail."""
        left = itertools.repeat(fault, times)

        def interceptor(request: RequestInfo) -> Fault | None:
            return next(left, None) if verb in ("*", request.verb) else None

        self.server.intercept(interceptor)

    async def restart(self, gap: float) -> None:
        """Stop the server, and start it again after a while; infinite is for later."""
        if not self.is_down:
            self.is_down = True
            await self.server.stop()
        await asyncio.sleep(min(gap, 1e3))
        if gap < 1e3:
            await self.heal()

    async def heal(self) -> None:
        """Take every fault away."""
        self.server.faults.clear()
        self._misdeeds = dict.fromkeys(self.HOOKS, iter(()))
        self.proxy.refuse, self.proxy.split, self.proxy.delay, self.proxy.rate = False, None, 0.0, None
        self.proxy.thaw()
        if self.is_down:
            self.is_down = False
            await self.server.start()

    # -- checks -----------------------------------------------------------------------------------------------

    def check_always(self) -> None:
        """Check what holds at every moment."""
        for follower in (*self.followers, *self.left):
            name = f"{follower.behaviour} consumer of {follower.accepts} of {follower.kind!r}"
            self.problems += [f"{name} {problem}" for problem in follower.problems]
        for kind, informer in self.informers.items():
            if not informer.is_running:
                self.problems.append(f"{kind} has ended: {informer.health()}")
                continue
            self._check_reads(kind, informer)
            numbers = informer.statistics()
            if numbers.added - numbers.deleted != numbers.objects:
                self.problems.append(f"{kind}: {numbers} do not add up")
            if numbers.queued_batches > QUICK.queue_size or numbers.rejected or numbers.unreadable:
                self.problems.append(f"{kind}: {numbers}")
        for follower in self.followers:
            if follower.registration is not None:
                self._check_backlog(follower, follower.registration)
        assert not self.problems, "\n".join(self.problems)

    def _check_reads(self, kind: str, informer: SharedInformer[Any]) -> None:
        """Readers never raise, and what they see is of one piece."""
        if not informer.has_synced:
            with pytest.raises(CacheNotSyncedError):
                informer.lister.list()
            return
        found = {str(key): facts(obj) for key, obj in informer.indexer.items()}
        if len(informer.lister) != len(found) or len(informer.lister.list("app=x")) != sum(
            each.app == "x" for each in found.values()
        ):
            self.problems.append(f"{kind}: its reads contradict each other")
        for name in self.indexes[kind]:
            filed = {
                (value, str(key))
                for value in informer.indexer.index_values(name)
                for key in informer.indexer.index_keys(name, value)
            }
            wanted = {(value, key) for key, each in found.items() for value in INDEXES[name][1](each)}
            if filed != wanted:
                self.problems.append(f"{kind}: index {name} differs by {filed ^ wanted}")

    def _check_backlog(self, follower: Follower, registration: Registration[Any]) -> None:
        """A backlog is bounded by its limit, one list, and two records per object that are merged (G8)."""
        numbers, options = registration.statistics(), registration._consumer.options
        assert options.limit is not None
        bound = options.limit + 4 * KINDS[follower.kind].keys + 2 * options.concurrency
        if numbers.high_water > bound or len(numbers.busy_keys) > options.concurrency:
            self.problems.append(f"{follower.kind}: backlog beyond {bound}: {numbers}")

    def differences(self) -> list[str]:
        """Return where informers and consumers differ from the server; empty once all is quiet."""
        found: list[str] = []
        for kind, informer in self.informers.items():
            truth = KINDS[kind].truth(self.server)
            if not informer.has_synced:
                found.append(f"{kind} has not synced: {informer.health().reason}")
                continue
            cached = {str(key): facts(obj) for key, obj in informer.indexer.items()}
            if cached != truth:
                found.append(f"{kind}: cached {cached}, on the server {truth} (G1); {informer.health()}")
            for follower in [each for each in self.followers if each.informer is informer]:
                if follower.state != follower.accepted(truth):
                    wanted = follower.accepted(truth)
                    found.append(f"{follower.behaviour} consumer of {kind}: {follower.state}, should be {wanted} (G8)")
                if follower.registration is not None:
                    found += self._unfinished(follower, follower.registration)
        return found

    def _unfinished(self, follower: Follower, registration: Registration[Any]) -> Iterator[str]:
        numbers = registration.statistics()
        if numbers.queued or numbers.busy_keys or numbers.handled + numbers.failed != follower.calls:
            yield f"{follower.behaviour} consumer of {follower.kind}: {numbers}, called {follower.calls} times"
        if not registration.has_synced:
            yield f"{follower.behaviour} consumer of {follower.kind} has not synced (G7)"

    async def settle(self) -> None:
        """Take every fault away, give it time, and compare everything with the server."""
        await self.heal()
        deadline = self.loop.time() + RECOVERY
        while found := self.differences():
            assert self.loop.time() < deadline, "\n".join(found)
            await asyncio.sleep(5)
