"""What is measured while somebody looks, and what there is of it while nobody does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from aioinformers import SharedInformerFactory
from aioinformers.delivery.mailbox import ADDED, DELETED, InitialState, Observer, Record
from aioinformers.informer import pipeline_of
from aioinformers.integrations.observation import lag_of
from aioinformers.integrations.page.viewing import ENDURANCE, MOST_CHANGES, Tail, Viewing
from aioinformers.objects.layout import Entry
from aioinformers.testing import FakeAPIServer
from aioinformers.types import Cause
from tests.kit import configmap

pytestmark = pytest.mark.virtual_time

ENTRY = Entry(b"{}", "uid", "1", ("",))


@asynccontextmanager
async def program() -> AsyncIterator[tuple[FakeAPIServer, SharedInformerFactory, Viewing]]:
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        server.create("configmaps", configmap("a"))
        factory.core.v1.configmaps()
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        yield server, factory, Viewing(lambda: (factory,))


def timers() -> int:
    """Return how many timers there are in the loop that call a viewing."""
    return sum("Viewing._tick" in repr(each) for each in asyncio.get_running_loop()._scheduled if not each.cancelled())  # type: ignore[attr-defined]


def observers(factory: SharedInformerFactory) -> int:
    mailboxes = [each for informer in factory for each in pipeline_of(informer).dispatcher._mailboxes]
    return sum(isinstance(each, Observer) for each in mailboxes)


async def test_g25_nothing_is_measured_while_nobody_looks() -> None:
    async with program() as (_, factory, viewing):
        assert (viewing.is_on, timers(), observers(factory)) == (False, 0, 0)
        tasks = len(asyncio.all_tasks())
        viewing.look()
        assert (viewing.is_on, timers(), observers(factory)) == (True, 1, 1)
        await asyncio.sleep(ENDURANCE - 1)
        assert viewing.is_on
        viewing.look()
        await asyncio.sleep(ENDURANCE - 1)
        assert viewing.is_on, "somebody has looked again"
        assert len(asyncio.all_tasks()) == tasks
        await asyncio.sleep(3)
        assert (viewing.is_on, timers(), observers(factory)) == (False, 0, 0)
        assert viewing.look().history == (), "it begins anew"
        viewing.close()


async def test_g25_it_ends_with_the_last_factory() -> None:
    async with program() as (_, factory, viewing):
        viewing.look()
    await asyncio.sleep(1)
    assert (factory.is_closed, viewing.is_on, timers()) == (True, False, 0)


async def test_what_has_been_shut_down_is_let_go_of_while_the_page_stays_open() -> None:
    async with program() as (_, stays, _):
        ends = SharedInformerFactory(stays.api_client, name="ends")
        viewing = Viewing(lambda: (stays, ends))
        async with ends:
            ends.core.v1.configmaps()
            await ends.wait_for_cache_sync(timeout=5)
            viewing.look()
            assert len(viewing._observers) == 2
        await asyncio.sleep(1)
        assert list(viewing._observers) == list(stays)
        assert (viewing.is_on, observers(stays), observers(ends)) == (True, 1, 0)
        assert set(viewing.look().rates) == {("factory", "configmaps.v1")}
        viewing.close()


async def test_nothing_is_kept_alive_by_what_was_looked_at_in_a_loop_that_has_ended() -> None:
    """So it is with each test of an app with a test client: nothing ticks any more that could let go of it."""
    kept: list[weakref.ref[object]] = []

    def shown() -> Sequence[SharedInformerFactory]:
        found = kept[0]() if kept else None
        return (found,) if isinstance(found, SharedInformerFactory) else ()

    viewing = Viewing(shown)

    async def serve() -> None:
        async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
            informer = factory.core.v1.configmaps()
            await factory.wait_for_cache_sync(timeout=5)
            kept.extend([weakref.ref(factory), weakref.ref(informer), weakref.ref(pipeline_of(informer).store)])
            viewing.look()

    def run() -> None:
        asyncio.run(serve())

    await asyncio.to_thread(run)
    gc.collect()
    assert [each() for each in kept] == [None] * 3
    viewing.close()


async def test_it_can_be_ended_at_once() -> None:
    async with program() as (_, factory, viewing):
        viewing.look()
        viewing.close()
        assert (viewing.is_on, timers(), observers(factory)) == (False, 0, 0)
        viewing.close()


async def test_changes_a_second_are_measured_in_all_and_by_informer() -> None:
    async with program() as (server, _, viewing):
        assert viewing.look().rate is None
        for number in range(20):
            server.create("configmaps", configmap(f"b-{number}"))
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.9)
        seen = viewing.look()
        assert seen.rate == pytest.approx(10, rel=0.4)
        assert seen.rates == {("factory", "configmaps.v1"): seen.rate}
        assert seen.history == pytest.approx((10, 10), abs=2)
        await asyncio.sleep(10)
        assert viewing.look().rate == 0
        assert seen.memory is None or seen.memory > 10 * 2**20
        viewing.close()


async def test_the_lag_of_the_loop_is_known_meanwhile() -> None:
    async with program() as (_, factory, viewing):
        viewing.look()
        await asyncio.sleep(1.5)
        assert lag_of(factory) == 0
        viewing.close()
        assert lag_of(factory) is None


async def test_handlers_are_measured_meanwhile() -> None:
    async with program() as (server, factory, viewing):
        (configmaps,) = factory

        async def handle(event: object) -> None:
            await asyncio.sleep(0.2)

        configmaps.add_event_handler(handle, name="slow")
        viewing.look()
        await asyncio.sleep(0.5)  # it is given what there is, which has not arrived now and is not measured
        server.create("configmaps", configmap("b"))
        await asyncio.sleep(1)
        latencies = configmaps.statistics().consumers["slow"].latencies
        assert latencies is not None
        assert sum(latencies.counts) == 1
        viewing.close()
        server.create("configmaps", configmap("c"))
        await asyncio.sleep(1)
        assert configmaps.statistics().consumers["slow"].latencies == latencies


async def test_the_tail_has_what_has_changed_since_somebody_looked() -> None:
    async with program() as (server, _, viewing):
        assert viewing.look().tail == ()
        server.create("configmaps", configmap("b"))
        server.delete("configmaps", "b", namespace="default")
        await asyncio.sleep(0.5)
        tail = viewing.look().tail
        assert [(each.informer, each.sign, each.key, each.cause) for each in tail] == [
            ("configmaps.v1", "-", "default/b", "watch"),
            ("configmaps.v1", "+", "default/b", "watch"),
        ]
        assert {each.key for each in viewing.look(show_keys=False).tail} == {"(hidden)"}
        viewing.close()


async def test_informers_that_come_and_go_are_followed() -> None:
    async with program() as (server, factory, viewing):
        viewing.look()
        server.create("nodes", {"metadata": {"name": "n"}})
        nodes = factory.core.v1.nodes()
        await asyncio.sleep(1.5)
        server.create("nodes", {"metadata": {"name": "m"}})
        await asyncio.sleep(1.5)
        seen = viewing.look()
        assert [(each.informer, each.key) for each in seen.tail if each.sign] == [("nodes.v1", "m")]
        assert ("factory", "nodes.v1") in seen.rates
        await factory.release(nodes)
        await asyncio.sleep(1.5)
        assert ("factory", "nodes.v1") not in viewing.look().rates
        viewing.close()


async def test_another_loop_may_serve_the_page() -> None:
    """The tail's observers are attached in the informers' own loop."""
    async with program() as (server, factory, viewing):

        async def elsewhere(event: asyncio.Event | None = None) -> int:
            viewing.look()
            await asyncio.sleep(0.05)
            return len(viewing.look().tail)

        def serve() -> int:
            with contextlib.closing(asyncio.new_event_loop()) as loop:
                return loop.run_until_complete(elsewhere())

        assert await asyncio.to_thread(serve) == 0
        await asyncio.sleep(0)
        assert observers(factory) == 1
        server.create("configmaps", configmap("b"))
        await asyncio.sleep(0.5)
        assert len(viewing.look().tail) == 0, "this loop is another one again: it begins anew"
        assert observers(factory) == 1
        viewing.close()
        assert observers(factory) == 0


def records(count: int, cause: Cause = Cause.WATCH, kind: int = ADDED) -> Sequence[Record]:
    return [Record(kind, f"shop/a-{number}", ENTRY, None, cause) for number in range(count)]


def test_the_tail_keeps_few_batches_alive() -> None:
    tail = Tail()
    tap = tail.tap("pods.v1")
    for _ in range(1000):
        tap(records(128))
    tap([])
    assert sum(len(batch.records) for batch in tail._batches) <= MOST_CHANGES + 128
    assert len(tail.changes(show_keys=True)) == MOST_CHANGES
    tap(records(1, kind=DELETED))
    assert tail.changes(show_keys=True)[0].sign == "-"


def test_a_list_is_a_line_whatever_its_size() -> None:
    tail = Tail()
    tap = tail.tap("pods.v1")
    initial = InitialState(["shop/a"] * 1024, [ENTRY] * 1024)
    initial.takers = 1
    tap(initial)
    tap(records(1024, Cause.LIST))
    (change,) = tail.changes(show_keys=True)
    assert (change.sign, change.key, change.cause) == ("", "2,048 objects", "list")
    assert initial.takers == 1, "nobody has looked into it"
    assert all(not batch.records for batch in tail._batches)
    tap(records(1, Cause.LIST))
    tail.tap("nodes.v1")(records(1, Cause.LIST))
    assert [each.key for each in tail.changes(show_keys=True)] == ["1 object", "2,049 objects"]


def test_what_a_further_list_has_changed_is_named_unless_it_is_much() -> None:
    tail = Tail()
    tap = tail.tap("pods.v1")
    tap(records(2, Cause.RELIST))
    tap(records(100, Cause.RELIST))
    assert [each.key for each in tail.changes(show_keys=True)] == ["100 objects", "shop/a-1", "shop/a-0"]
    tail.clear()
    assert tail.changes(show_keys=True) == ()
