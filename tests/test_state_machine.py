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
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import hypothesis.strategies as st
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

from aioinformers import Event
from aioinformers.testing import FakeAPIServer, StatusError
from tests.kit import Recorder, configmap, factory_on
from tests.machine.follower import BEHAVIOURS, FILTERS, Follower
from tests.machine.kinds import DIGITS, FAULTS, INDEXES, KINDS, MISDEEDS, NAMES, NAMESPACES
from tests.machine.world import RECOVERY, TickingLoop, World

T = TypeVar("T")

STEPS = itertools.count()
"""Counts the steps of all scripts."""

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
        tick=st.sampled_from((0.0, 1e-4, 1e-3)), grace=st.sampled_from((0.0, 10.0)), objects=st.integers(0, 4),
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
        concurrency=st.integers(1, 4), limit=st.sampled_from((1, 2, 5, 1024)), resync=st.sampled_from((0, 0, 41)),
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

    @rule(
        consumer=consumes(consumers), how=st.sampled_from(("at once", "when done", "now")),
        seed=seeds, count=st.sampled_from((0, 30)), turns=st.integers(0, 30),
    )  # fmt: skip
    def leave(self, consumer: Follower, how: str, seed: int, count: int, turns: int) -> None:
        """Let a consumer go, in the middle of changes or not."""

        async def leave() -> None:
            for change in changes(seed, count):
                self.write(*change)
            for _ in range(turns):
                await asyncio.sleep(0)
            await self.world.leave(consumer, how)

        self.run(leave())

    @rule(kind=kinds, concurrency=st.integers(1, 3), turns=st.integers(0, 30))
    def visit(self, kind: str, concurrency: int, turns: int) -> None:
        """Join and leave again, at any turn of the loop of the delivery of what is there."""

        async def visit() -> None:
            follower = Follower(kind, self.world.ask(kind), "instant", "all")
            self.world.join(follower, concurrency=concurrency)
            for _ in range(turns):
                await asyncio.sleep(0)
            await self.world.leave(follower, "at once")
            await asyncio.sleep(0.01)

        self.run(visit())

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

    @rule(seed=seeds, times=st.integers(1, 8), turns=st.integers(0, 12), count=st.sampled_from((0, 20)))
    def stranger(self, seed: int, times: int, turns: int, count: int) -> None:
        """Somebody cancels tasks that are none of his, in the middle of changes or not."""

        async def interfere() -> None:
            chance = random.Random(seed)
            for change in changes(seed, count):
                self.write(*change)
            for _ in range(times):
                for _ in range(turns):
                    await asyncio.sleep(0)
                self.world.cancel_any(chance)

        self.run(interfere())

    @rule(hook=st.sampled_from(sorted(World.HOOKS)), error=st.sampled_from(sorted(MISDEEDS)), times=st.integers(1, 4))
    def spoil_hook(self, hook: str, error: str, times: int) -> None:
        """The next few calls of a hook of the user's go wrong, and connections end, so that it is called."""
        self.world.spoil(hook, MISDEEDS[error], times)
        self.run(self._call(self.world.server.close_watches))

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


@pytest.mark.slow
def test_g1_to_g8_hold_whatever_happens() -> None:
    before = next(STEPS)
    with quiet():
        run_state_machine_as_test(ClusterMachine, settings=profile(50, derandomize=True, database=None))
    assert next(STEPS) - before >= 2000


# -- what it has found ----------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_g4_a_handler_that_is_drained_is_no_longer_resynced() -> None:
    """A resync would tell it of changes that it was not given, and the drain would never end."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(5):
            server.create("configmaps", configmap(f"c{i}"))
        configmaps = factory.for_resource("configmaps.v1.")
        recorder = Recorder()

        async def slow(event: Event[Any]) -> None:
            await recorder(event)
            await asyncio.sleep(3)

        registration = configmaps.add_event_handler(slow, resync_period=2)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)
        closing = asyncio.create_task(registration.aclose(grace=None))
        await asyncio.sleep(0)
        server.create("configmaps", configmap("new"))
        server.patch("configmaps", "c4", {"data": {"v": "1"}}, namespace="default")
        await asyncio.wait_for(closing, 20)

        assert recorder.kinds() == [f"Added c{i}" for i in range(5)]
        assert recorder.problems == []


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("turns", range(0, 40, 3))
def test_g4_a_handler_that_is_removed_is_not_called_again_at_whatever_turn(concurrency: int, turns: int) -> None:
    """Also when its worker is letting others run at that moment."""

    async def remove() -> None:
        async with FakeAPIServer() as server, factory_on(server) as factory:
            for i in range(30):
                server.create("configmaps", configmap(f"c{i}"))
            configmaps = factory.for_resource("configmaps.v1.")
            await factory.start()
            await factory.wait_for_cache_sync(timeout=5)
            recorder = Recorder()
            registration = configmaps.add_event_handler(recorder, concurrency=concurrency)
            for _ in range(turns):
                await asyncio.sleep(0)
            configmaps.remove_event_handler(registration)
            given = len(recorder.events)
            await asyncio.sleep(1)
            assert len(recorder.events) == given

    with asyncio.Runner(loop_factory=TickingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, TickingLoop)
        loop.tick = 1e-3
        runner.run(remove())
