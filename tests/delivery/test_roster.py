"""Everybody who is told of one informer's changes, without an informer: who joins, who is slow, how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioinformers.delivery.events import Event, EventFactory
from aioinformers.delivery.listener import ConsumerOptions
from aioinformers.delivery.mailbox import ADDED, Mailbox, Record
from aioinformers.delivery.roster import Roster
from aioinformers.errors import InformerClosedError
from aioinformers.loops import Grace
from aioinformers.objects.facts import Fact
from aioinformers.objects.layout import Entry
from aioinformers.objects.object_types import object_type_of
from aioinformers.supervisor import Supervisor
from aioinformers.types import Cause, GroupVersionResource

pytestmark = pytest.mark.virtual_time

PODS = GroupVersionResource("", "v1", "pods")


class Cache:
    """An empty cache that has synced, as far as consumers need one."""

    def __init__(self) -> None:
        self.mailboxes: list[Mailbox] = []

    def put(self, *names: str) -> None:
        """Tell everybody of new objects."""
        for mailbox in self.mailboxes:
            records = [Record(ADDED, f"ns/{n}", Entry(b"{}", n, "1", ("ns",)), None, Cause.WATCH) for n in names]
            mailbox.put(records)

    def join(self, mailbox: Mailbox) -> None:
        self.mailboxes.append(mailbox)

    def leave(self, mailbox: Mailbox) -> None:
        if mailbox in self.mailboxes:
            self.mailboxes.remove(mailbox)

    def is_synced(self) -> bool:
        return True

    def slices(self) -> Iterator[list[tuple[str, Entry]]]:
        return iter(())

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def reason(self) -> str:
        return ""

    def add_fact(self, fact: Fact) -> Fact:
        return fact

    def drop_fact(self, fact: Fact) -> None: ...

    def fact_of(self, fact: Fact, entry: Entry) -> Any: ...


@asynccontextmanager
async def roster_on(cache: Cache) -> AsyncIterator[Roster[Any]]:
    """Give a roster, and end it."""
    events: EventFactory[Any] = EventFactory(PODS, object_type_of(dict))
    bugs: list[BaseException] = []
    tasks = Supervisor("pods.v1", lambda name, error: bugs.append(error))
    roster: Roster[Any] = Roster("pods.v1", events, cache, cache, cache, tasks, 0.002)
    try:
        yield roster
    finally:
        roster.close()
        await roster.end(Grace())
        await tasks.end_letting_go(Grace())
        assert bugs == []


def named(name: str | None = None) -> ConsumerOptions[Any]:
    return ConsumerOptions(name=name, resync_period=0.0)


class Taker:
    """A handler that takes its time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.taken: list[str] = []

    async def __call__(self, event: Event[Any]) -> None:
        await asyncio.sleep(self.seconds)
        self.taken.append(event.key.name)


async def test_who_comes_before_the_start_joins_at_the_start_and_who_comes_later_at_once() -> None:
    cache = Cache()
    async with roster_on(cache) as roster:
        early, late = Taker(), Taker()
        roster.register(early, named())
        assert (len(roster), cache.mailboxes) == (1, [])
        roster.start()
        cache.put("a")
        roster.register(late, named())
        cache.put("b")
        await asyncio.sleep(1)
        assert (early.taken, late.taken) == (["a", "b"], ["b"])


async def test_names_are_made_unique_in_the_order_in_which_they_came() -> None:
    async with roster_on(Cache()) as roster:
        names = [roster.register(Taker(), named("mine")).name for _ in range(3)]
        assert names == ["mine", "mine (2)", "mine (3)"]
        assert list(roster.statistics()) == names


async def test_who_has_left_is_told_nothing_more_and_its_name_is_free_again() -> None:
    cache = Cache()
    async with roster_on(cache) as roster:
        roster.start()
        leaver, stays = Taker(), Taker()
        registration = roster.register(leaver, named("mine"))
        roster.register(stays, named())
        roster.remove(registration)
        roster.remove(registration)
        cache.put("a")
        await asyncio.sleep(1)
        assert (leaver.taken, stays.taken) == ([], ["a"])
        assert roster.register(Taker(), named("mine")).name == "mine"


async def test_a_stream_joins_when_it_is_entered_and_leaves_at_the_end_of_its_block() -> None:
    cache = Cache()
    async with roster_on(cache) as roster:
        roster.start()
        stream = roster.stream(named())
        assert len(roster) == 0
        async with stream as events:
            assert len(roster) == 1
            cache.put("a")
            assert (await anext(events)).key.name == "a"
        assert (len(roster), cache.mailboxes) == (0, [])


async def test_decorated_functions_feed_one_registration_once_they_have_joined() -> None:
    cache, seen = Cache(), list[str]()

    async def first(_: Any) -> None:
        seen.append("first")

    async def second(_: Any) -> None:
        seen.append("second")

    async with roster_on(cache) as roster:
        roster.start()
        roster.join_decorated(0.0)
        assert roster.default is None, "there is nothing to join"
        assert roster.decorate("on_add", first)
        assert not roster.decorate("on_add", second)
        roster.join_decorated(0.0)
        joined = roster.default
        roster.join_decorated(0.0)
        assert joined is roster.default is not None
        assert len(roster) == 1
        cache.put("a")
        await asyncio.sleep(1)
        assert seen == ["first", "second"]
        with pytest.raises(RuntimeError, match="joined already"):
            roster.decorate("on_add", first)


async def test_a_closed_roster_refuses_newcomers() -> None:
    async with roster_on(Cache()) as roster:
        roster.close()
        for join in (lambda: roster.register(Taker(), named()), lambda: roster.decorate("on_add", Taker().__call__)):
            with pytest.raises(InformerClosedError, match=r"pods\.v1"):
                join()
        with pytest.raises(InformerClosedError, match="was not added"):
            async with roster.stream(named()):
                pass


async def test_handlers_work_off_what_is_queued_until_the_deadline_and_what_is_lost_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = Cache()
    async with roster_on(cache) as roster:
        roster.start()
        quick, slow = Taker(1), Taker(10)
        roster.register(quick, named("quick"))
        roster.register(slow, named("slow"))
        cache.put("a", "b", "c")
        roster.close()
        begin = cache.now()
        grace = Grace()
        grace.give(15, begin)
        await roster.end(grace)
        assert cache.now() - begin == 15
        assert (quick.taken, slow.taken) == (["a", "b", "c"], ["a"])
        assert cache.mailboxes == []
        assert "events were not delivered to slow" in caplog.text
        assert "quick" not in caplog.text


async def test_a_slow_handler_is_named_once_per_call(caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache()
    async with roster_on(cache) as roster:
        roster.start()
        roster.register(Taker(100), named("slow"))
        roster.register(Taker(10), named("fine"))
        watch = asyncio.create_task(roster.watch(30))
        cache.put("a", "b")
        await asyncio.sleep(199)
        watch.cancel()
        await asyncio.wait([watch])
        assert [record.getMessage().rpartition(" for ")[0] for record in caplog.records] == [
            "pods.v1: handler slow has been busy with ns/a",
            "pods.v1: handler slow has been busy with ns/b",
        ]


async def test_a_handler_and_what_it_starts_know_that_they_are_inside() -> None:
    """So that nobody waits for the end of what waits for him."""
    cache, known, later = Cache(), list[bool](), list[bool]()
    tasks: list[asyncio.Task[None]] = []

    async with roster_on(cache) as roster:

        async def handler(event: Event[Any]) -> None:
            known.append(roster.is_calling())
            await asyncio.create_task(ask(known))
            tasks.append(asyncio.create_task(ask_later()))

        async def ask(answers: list[bool]) -> None:
            answers.append(roster.is_calling())

        async def ask_later() -> None:
            await asyncio.sleep(0.5)
            later.append(roster.is_calling())

        roster.start()
        roster.register(handler, named())
        cache.put("a")
        await asyncio.sleep(1)
        assert known == [True, True]
        assert later == [False], "the handler that started it has returned"
        assert not roster.is_calling()
