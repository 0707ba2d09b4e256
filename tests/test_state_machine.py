"""Random histories of the server, random faults and random consumers: whatever happens, the guarantees hold.

Hypothesis makes up the script and shrinks it when something breaks. Server, proxy, informers and consumers share one
loop in virtual time, so that a step costs milliseconds and every run of a script is the same. ``make soak`` goes on
making up scripts for as long as it is asked to.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
    run_state_machine_as_test,
)  # fmt: skip
from kubernetes_asyncio import client

from aioinformers import (
    Added,
    CacheNotSyncedError,
    Cause,
    Deleted,
    Event,
    Metadata,
    Settings,
    SharedInformer,
    SharedInformerFactory,
    Updated,
)  # fmt: skip
from aioinformers.consumer import Registration
from aioinformers.testing import ChaosProxy, Ending, FakeAPIServer, Fault, RequestInfo, StatusError, VirtualTimeLoop

T = TypeVar("T")

NAMESPACES = ("a", "b", "c")
NAMES = ("p", "q", "r", "s")
DIGITS = "012345"
RECOVERY = 600.0
"""Virtual seconds after the last fault within which everything must be as the server has it."""
QUICK = Settings(page_size=3, watch_timeout_min=60, watch_timeout_max=90, queue_size=2)
STEPS = itertools.count()


# -- what is followed -----------------------------------------------------------------------------------------


class SmallMeta(msgspec.Struct, frozen=True):
    """The metadata that a user's own type declares."""

    name: str
    uid: str
    resourceVersion: str  # noqa: N815
    labels: dict[str, str] = {}
    namespace: str = ""


class Small(msgspec.Struct, frozen=True):
    """A type of the user's: decoded on arrival."""

    metadata: SmallMeta


class Facts(NamedTuple):
    """What the checks need to know of an object, whatever its type."""

    uid: str
    version: int
    app: str
    digit: str


def facts(obj: Any) -> Facts:
    """Return the facts of a dict, model or Struct."""
    if isinstance(obj, dict):
        meta = obj["metadata"]
        uid, version, labels = meta["uid"], meta["resourceVersion"], meta["labels"]
    else:
        meta = obj.metadata
        uid, labels = meta.uid, meta.labels
        version = meta.resourceVersion if isinstance(obj, Small) else meta.resource_version
    return Facts(uid, int(version), labels["app"], labels["v"])


class Kind(NamedTuple):
    """An informer that a script may ask for."""

    open: Callable[[SharedInformerFactory], SharedInformer[Any]]
    resource: str = "configmaps"
    namespaces: tuple[str | None, ...] = (None,)
    selector: str | None = None

    @property
    def keys(self) -> int:
        """How many objects there may be."""
        return len(NAMES) * (1 if self.resource == "nodes" else len(NAMESPACES) if None in self.namespaces else 2)

    def truth(self, server: FakeAPIServer) -> dict[str, Facts]:
        """Return what the server has of it."""
        found = [
            obj for where in self.namespaces
            for obj in server.list(self.resource, namespace=where, label_selector=self.selector)
        ]  # fmt: skip
        return {key_of(obj["metadata"]): facts(obj) for obj in found}


def key_of(meta: Mapping[str, str]) -> str:
    """Return namespace and name as one text."""
    return "/".join(filter(None, (meta.get("namespace"), meta["name"])))


KINDS: dict[str, Kind] = {
    "dicts everywhere": Kind(lambda f: f.for_resource("configmaps.v1.")),
    "models in two namespaces": Kind(lambda f: f.core.v1.configmaps(namespace=["a", "b"]), namespaces=("a", "b")),
    "dicts of app x": Kind(lambda f: f.for_resource("configmaps.v1.", label_selector="app=x"), selector="app=x"),
    "structs in a": Kind(lambda f: f.core.v1.configmaps(namespace="a", object_type=Small), namespaces=("a",)),
    "metadata in b": Kind(lambda f: f.core.v1.configmaps(namespace="b", object_type=Metadata), namespaces=("b",)),
    "nodes": Kind(lambda f: f.for_resource("nodes.v1."), "nodes"),
}


def parity(obj: Any) -> list[str]:
    """Index by a callable of several values."""
    digit = facts(obj).digit
    return ["even" if int(digit) % 2 == 0 else "odd", "digit"]


def fragile(obj: Any) -> list[str]:
    """Index by a callable that fails for some objects: they are filed under nothing."""
    if facts(obj).digit == "3":
        raise ValueError("three")
    return [facts(obj).app]


INDEXES: dict[str, tuple[Any, Callable[[Facts], list[str]]]] = {
    "app": ("metadata.labels.app", lambda f: [f.app]),
    "v": ("metadata.labels['v']", lambda f: [f.digit]),
    "parity": (parity, lambda f: ["even" if int(f.digit) % 2 == 0 else "odd", "digit"]),
    "fragile": (fragile, lambda f: [] if f.digit == "3" else [f.app]),
}
"""Per name: its definition, and the values that it should file an object under."""


FAULTS: dict[str, Fault] = {
    **{f"status {status}": Fault(status=status) for status in (401, 403, 404, 410, 500, 503, 504)},
    "status 429 with Retry-After": Fault(status=429, headers={"Retry-After": "20"}),
    **{
        f"error event {code}": Fault(
            status=200, body={"type": "ERROR", "object": StatusError(code, "", "injected").body()}
        )
        for code in (410, 500, 504)
    },
    **{
        f"{ending.value} after {after} bytes": Fault(ending=ending, after=after)
        for ending in Ending
        for after in (0, 1, 150, 1000)
    },
    **{f"{delay:g} s late": Fault(delay=delay) for delay in (0.5, 20, 40)},
}
"""What may happen to a request."""


# -- what consumes it -----------------------------------------------------------------------------------------

BEHAVIOURS = ("quick", "slow", "uneven", "raising", "cancelling", "hanging", "spoiling")
"""Ways of handlers; those that hang are registered with a timeout."""
FILTERS: dict[str, Callable[[Facts], bool] | None] = {
    "all": None,
    "even": lambda f: int(f.digit) % 2 == 0,
    "app x": lambda f: f.app == "x",
}


class Follower:
    """A consumer that replays what it is told and notes whatever cannot be.

    Attributes:
        state: What it believes the server has, of what passes its filter.
        problems: What it was told against the guarantees.
    """

    def __init__(
        self, kind: str, informer: SharedInformer[Any], behaviour: str, accepts: str, *, resyncs: bool = False
    ) -> None:
        self.kind = kind
        self.informer = informer
        self.behaviour = behaviour
        self.accepts = accepts
        self.resyncs = resyncs
        self.state: dict[str, Facts] = {}
        self.problems: list[str] = []
        self.calls = 0
        self.has_left = False
        self.registration: Registration[Any] | None = None
        self.reader: asyncio.Task[None] | None = None
        self._inside: set[str] = set()

    async def __call__(self, event: Event[Any]) -> None:
        """Take one event, then behave."""
        key = str(event.key)
        self.calls += 1
        if self.has_left:
            self.problems.append(f"was given {event!r} after it had left")
        if key in self._inside:
            self.problems.append(f"was given {key} twice at once (G3)")
        self._inside.add(key)
        try:
            self._replay(key, event)
            await self._behave(facts(event.object).digit, event)
        finally:
            self._inside.discard(key)

    def _replay(self, key: str, event: Event[Any]) -> None:
        now, was = facts(event.object), self.state.get(key)
        match event:
            case Added():
                if was is not None:
                    self.problems.append(f"{key} was added twice (G4)")
                self.state[key] = now
            case Updated(old=old, cause=cause):
                if was != facts(old):
                    self.problems.append(f"{key} was updated from {facts(old)} but is {was} (G5)")
                if was is not None and was.uid != now.uid:
                    self.problems.append(f"{key} became another object by an update (G5)")
                if cause is Cause.RESYNC and not (self.resyncs and event.old is event.object):
                    self.problems.append(f"{key} was resynced unasked, or changed by it (G6)")
                if cause is not Cause.RESYNC and facts(old).version >= now.version:
                    self.problems.append(f"{key} went from {facts(old).version} to {now.version} (G3, G6)")
                self.state[key] = now
            case Deleted():
                if was is None or was.uid != now.uid:
                    self.problems.append(f"{key} was deleted as {now} but is {was} (G5)")
                self.state.pop(key, None)
        self._look_into_store(key, now, event)

    def _look_into_store(self, key: str, now: Facts, event: Event[Any]) -> None:
        if not self.informer.has_synced:  # of several namespaces one may still be on its way
            return
        obj = self.informer.indexer.get(event.key)
        stored = None if obj is None else facts(obj)
        if isinstance(event, Deleted):
            # One of the filter's own has left what it accepts, not the store.
            behind = stored is not None and stored.version <= now.version
        else:
            behind = stored is not None and stored.version < now.version
        if behind:
            self.problems.append(f"the store has {stored} of {key}, {event!r} is ahead of it (G2)")

    async def _behave(self, digit: str, event: Event[Any]) -> None:
        match self.behaviour:
            case "slow":
                await asyncio.sleep(0.5)
            case "uneven":
                await asyncio.sleep(int(digit) * 0.3)
            case "raising" if digit in "135":
                raise ValueError("odd")
            case "cancelling" if digit in "02":
                raise asyncio.CancelledError
            case "hanging" if digit == "4":
                await asyncio.sleep(1e9)
            case "spoiling" if isinstance(event.object, dict):
                event.object["metadata"]["labels"] = {"app": "spoilt", "v": "9"}
            case _:
                await asyncio.sleep(0)

    def accepted(self, truth: Mapping[str, Facts]) -> dict[str, Facts]:
        """Return what of the truth passes the filter."""
        matches = FILTERS[self.accepts]
        return {key: found for key, found in truth.items() if matches is None or matches(found)}


# -- the world ------------------------------------------------------------------------------------------------


class TickingLoop(VirtualTimeLoop):
    """Virtual time that also passes while something happens: time slices end, workers let others run."""

    tick = 0.0

    def time(self) -> float:
        """Return the time, a little later each time it is asked for."""
        self._now += self.tick
        return self._now


class World:
    """An embedded server, a proxy before it, a factory, and who follows it; all on one loop."""

    def __init__(self, loop: TickingLoop) -> None:
        self.loop = loop
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
        self.api = client.ApiClient(client.Configuration(host=self.proxy.url))
        self.factory = SharedInformerFactory(self.api, settings=replace(QUICK, watch_list=asks))
        self.factory._source.random = random.Random(2)
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
                    with suppress(ValueError, TimeoutError, asyncio.CancelledError):  # as it behaves
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
            await follower.registration.aclose(drain=how == "when done")
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
        numbers, options = registration.statistics(), registration.options
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


# -- the script -----------------------------------------------------------------------------------------------

names = st.sampled_from(NAMES)
namespaces = st.sampled_from(NAMESPACES)
apps = st.sampled_from(("x", "y"))
digits = st.sampled_from(DIGITS)
kinds = st.sampled_from((*sorted(KINDS), "dicts everywhere", "models in two namespaces"))

seeds = st.integers(0, 99)


def changes(seed: int, count: int) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield random changes, as many of one object as of all others."""
    chance = random.Random(seed)
    for _ in range(count):
        what = chance.choice(("upsert", "upsert", "delete", "recreate"))
        where, name = chance.choice((("a", "p"), (chance.choice((*NAMESPACES, "")), chance.choice(NAMES))))
        yield what, where, name, chance.choice("xy"), chance.choice(DIGITS)


class ClusterMachine(RuleBasedStateMachine):
    """What may happen; every rule is a line of the script that hypothesis prints."""

    consumers: Bundle[Follower] = Bundle("consumers")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=TickingLoop)
        loop = self.runner.get_loop()
        assert isinstance(loop, TickingLoop)
        self.world = World(loop)
        self.grace = 0.0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop, which stands still between the steps, and look at everything."""
        next(STEPS)

        async def limited() -> T:
            async with asyncio.timeout(10 * RECOVERY):
                return await work

        result = self.runner.run(limited())
        self.world.check_always()
        return result

    @initialize(
        streams=st.booleans(), asks=st.booleans(), log_size=st.sampled_from((5, 1000)),
        tick=st.sampled_from((0.0, 1e-4)), grace=st.sampled_from((0.0, 10.0)), objects=st.integers(0, 4),
    )  # fmt: skip
    def open(self, streams: bool, asks: bool, log_size: int, tick: float, grace: float, objects: int) -> None:
        self.grace = grace
        self.world.loop.tick = tick
        self.run(self.world.open(streams=streams, asks=asks, log_size=log_size))
        for name in NAMES[:objects]:
            self.write("upsert", "a", name, "x", "0")
        self.ask("dicts everywhere")

    # -- the server -------------------------------------------------------------------------------------------

    def write(self, what: str, namespace: str, name: str, app: str, digit: str) -> None:
        """Change one object, whether it is there or not."""
        resource, where = ("nodes", None) if namespace == "" else ("configmaps", namespace)
        server = self.world.server
        try:
            server.get(resource, name, namespace=where)
        except StatusError:
            exists = False
        else:
            exists = True
        body = {"metadata": {"name": name, "labels": {"app": app, "v": digit}}}
        if exists and what in ("delete", "recreate"):
            server.delete(resource, name, namespace=where)
        if what == "recreate" or (what == "upsert" and not exists):
            server.create(resource, body, namespace=where)
        elif what == "upsert":
            server.patch(resource, name, body, namespace=where)

    @rule(namespace=st.sampled_from(("a", "a", "b", "c", "")), name=names, app=apps, digit=digits)
    def upsert(self, namespace: str, name: str, app: str, digit: str) -> None:
        self.run(self._write("upsert", namespace, name, app, digit))

    @rule(namespace=st.sampled_from(("a", "a", "b", "c", "")), name=names)
    def delete(self, namespace: str, name: str) -> None:
        self.run(self._write("delete", namespace, name, "x", "0"))

    @rule(namespace=namespaces, name=names, digit=digits)
    def recreate(self, namespace: str, name: str, digit: str) -> None:
        self.run(self._write("recreate", namespace, name, "x", digit))

    @rule(seed=seeds, count=st.sampled_from((10, 40, 100)), pause=st.sampled_from((0.0, 0.0, 0.05)))
    def burst(self, seed: int, count: int, pause: float) -> None:
        """Many changes, with a turn of the loop or a moment between them."""

        async def burst() -> None:
            for change in changes(seed, count):
                self.write(*change)
                await asyncio.sleep(pause)

        self.run(burst())

    @rule(seed=seeds, seconds=st.sampled_from((2, 20)))
    def busy_time(self, seed: int, seconds: float) -> None:
        """Changes all the while, faster than slow handlers are."""

        async def busy() -> None:
            for change in changes(seed, 40):
                self.write(*change)
                await asyncio.sleep(seconds / 40)

        self.run(busy())

    async def _write(self, *change: str) -> None:
        self.write(*change)

    # -- informers and consumers ------------------------------------------------------------------------------

    @rule(kind=kinds)
    def ask(self, kind: str) -> None:
        self.run(self._call(lambda: self.world.ask(kind)))

    @rule(kind=kinds)
    def release(self, kind: str) -> None:
        self.run(self.world.release(kind))

    @rule(
        target=consumers, kind=kinds, behaviour=st.sampled_from(BEHAVIOURS), accepts=st.sampled_from(sorted(FILTERS)),
        concurrency=st.integers(1, 4), limit=st.sampled_from((1, 2, 5, 1024)), resync=st.sampled_from((0, 0, 7)),
    )  # fmt: skip
    def join(self, kind: str, behaviour: str, accepts: str, concurrency: int, limit: int, resync: float) -> Follower:
        async def join() -> Follower:
            follower = Follower(kind, self.world.ask(kind), behaviour, accepts, resyncs=resync > 0)
            self.world.join(follower, concurrency=concurrency, limit=limit, resync_period=resync)
            return follower

        return self.run(join())

    @rule(
        target=consumers, kind=kinds, behaviour=st.sampled_from(BEHAVIOURS), accepts=st.sampled_from(sorted(FILTERS)),
        limit=st.sampled_from((1, 5, 1024)),
    )  # fmt: skip
    def stream(self, kind: str, behaviour: str, accepts: str, limit: int) -> Follower:
        async def stream() -> Follower:
            follower = Follower(kind, self.world.ask(kind), behaviour, accepts)
            self.world.read(follower, limit)
            return follower

        return self.run(stream())

    @rule(consumer=consumes(consumers), how=st.sampled_from(("at once", "when done", "now")))
    def leave(self, consumer: Follower, how: str) -> None:
        self.run(self.world.leave(consumer, how))

    @rule(kind=kinds, name=st.sampled_from(sorted(INDEXES)))
    def index(self, kind: str, name: str) -> None:
        self.run(self.world.index(kind, name))

    async def _call(self, function: Callable[[], T]) -> T:
        return function()

    # -- faults -----------------------------------------------------------------------------------------------

    @rule(how=st.sampled_from(("close", "reset", "cut", "cut cleanly")))
    def end_connections(self, how: str) -> None:
        world = self.world
        match how:
            case "close":
                self.run(self._call(world.server.close_watches))
            case "reset":
                self.run(self._call(world.server.reset_connections))
            case _:
                self.run(self._call(lambda: world.proxy.cut(clean=how == "cut cleanly")))

    @rule()
    def expire(self) -> None:
        self.run(self._call(self.world.server.expire))

    @rule(fault=st.sampled_from(sorted(FAULTS)), verb=st.sampled_from(("list", "watch", "*")), times=st.integers(1, 3))
    def sabotage(self, fault: str, verb: str, times: int) -> None:
        self.world.sabotage(FAULTS[fault], verb, times)

    @rule(seed=seeds, count=st.sampled_from((3, 20)))
    def lose_history(self, seed: int, count: int) -> None:
        """Changes that no watch can tell: connections end, things happen, the history is forgotten."""

        async def lose() -> None:
            self.world.server.reset_connections()
            for change in changes(seed, count):
                self.write(*change)
            self.world.server.expire()

        self.run(lose())

    @rule(what=st.sampled_from(("freeze", "thaw", "refuse", "accept", "split", "slow")))
    def harm_connections(self, what: str) -> None:
        proxy = self.world.proxy
        match what:
            case "freeze":
                proxy.freeze()
            case "thaw":
                proxy.thaw()
            case "split":
                proxy.split = 7
            case "slow":
                proxy.delay = 0.5
            case _:
                proxy.refuse = what == "refuse"

    @rule(gap=st.sampled_from((0.0, 3.0, 50.0)))
    def restart(self, gap: float) -> None:
        self.run(self.world.restart(gap))

    # -- time -------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.001, 0.3, 2, 20, 100)))
    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule()
    def settle(self) -> None:
        self.run(self.world.settle())

    def teardown(self) -> None:
        with self.runner:
            try:
                if not self.world.problems:
                    self.run(self.world.settle())
            finally:
                self.run(self.world.close(self.grace))
        self.world.check_always()


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing of what handlers do wrong on purpose."""
    logger = logging.getLogger("aioinformers")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def profile(examples: int, **options: Any) -> settings:
    """Return the settings of a run of so many scripts."""
    return settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=set(Phase) - {Phase.explain},
        **options,
    )


@pytest.mark.timeout(300)
def test_g1_to_g8_hold_whatever_happens() -> None:
    before = next(STEPS)
    with quiet():
        run_state_machine_as_test(ClusterMachine, settings=profile(50, derandomize=True, database=None))
    assert next(STEPS) - before >= 2000
