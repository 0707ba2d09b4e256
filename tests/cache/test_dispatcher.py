"""Who may run while the dispatcher waits: each of its pauses, and what others do in them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioinformers import InformerClosedError
from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.delivery.mailbox import ADDED, DELETED, Mailbox
from aioinformers.errors import IndexConflictError
from aioinformers.objects.deltas import DELETE, REJECT, UPSERT, Batch, Delta
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.queue import (
    Disown,
    QueueItem,
    Reindex,
    ReplaceAbort,
    ReplaceBatch,
    ReplaceBegin,
    ReplaceEnd,
    WatchBatch,
)
from aioinformers.testing import FakeAPIServer
from aioinformers.types import Cause, Scope
from tests.kit import factory_on

pytestmark = pytest.mark.virtual_time


class Line:
    """A dispatcher without a server; each look at the clock ends its time slice."""

    def __init__(self, scopes: Iterable[str] = ("a", "b")) -> None:
        self.layout: Layout[Any] = Layout(object_type_of(dict))
        self.store: Store[Any] = Store(self.layout, map(Scope, scopes))
        self.queue: asyncio.Queue[QueueItem] = asyncio.Queue()
        self.dispatcher: Dispatcher[Any] = Dispatcher(self.store, self.queue, -1.0, lambda: None)

    def upserts(self, scope: str, names: Iterable[object], version: str = "1") -> Batch:
        """Return a batch of objects, as one reflector decodes them."""
        deltas: list[Delta] = [
            (UPSERT, f"{scope}/{name}", Entry(b"{}", f"u{scope}{name}", version, (scope,))) for name in names
        ]
        return Batch(deltas, version, self.layout)

    def watch(self, scope: str, names: Iterable[object], version: str = "1") -> WatchBatch:
        """Return events of a watch."""
        return WatchBatch(Scope(scope), self.upserts(scope, names, version))

    def begin(self, scope: str) -> asyncio.Future[None]:
        """Begin a list."""
        begun = asyncio.get_running_loop().create_future()
        self.queue.put_nowait(ReplaceBegin(Scope(scope), begun))
        return begun

    def relist(self, scope: str, names: Iterable[object], version: str = "1") -> None:
        """Put a whole list into the queue."""
        _ = self.begin(scope)
        self.queue.put_nowait(ReplaceBatch(Scope(scope), self.upserts(scope, names, version)))
        self.queue.put_nowait(ReplaceEnd(Scope(scope), version))

    async def index(self, mine: Callable[[Any], list[str]]) -> None:
        """Add an index."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait(Reindex(lambda layout: Layout(layout.object_type, (), {"mine": mine}), done))
        await done
        await self.settle()

    async def until(self, is_met: Callable[[], bool]) -> None:
        """Let others run until something is so."""
        for _ in range(100_000):
            if is_met():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came to that")

    async def settle(self) -> None:
        """Let everything be applied."""
        await self.queue.join()
        await self.until(lambda: self.dispatcher.offer(WatchBatch(Scope("a"), Batch([], "", self.layout))))


@asynccontextmanager
async def running(line: Line) -> AsyncIterator[Line]:
    """Run a dispatcher; if it crashes, so does the test."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(line.dispatcher.run())
        yield line
        task.cancel()


def replay(mailbox: Mailbox) -> dict[str, str]:
    """Take and settle all that is in a mailbox; return the state that it tells of, by key."""
    state: dict[str, str] = {}
    while (records := mailbox.take()) is not None:
        for record in records:
            assert (record.key in state) is (record.type != ADDED), record
            if record.type == DELETED:
                del state[record.key]
            else:
                state[record.key] = record.entry.version
            mailbox.settle(record)
    assert (mailbox.pending, mailbox.initial_pending) == (0, 0)
    return state


def versions(line: Line) -> dict[str, str]:
    """Return what the store holds."""
    return {entry.key: entry.version for entry in line.store.entries()}


# -- offers -------------------------------------------------------------------------------------------------------


async def test_an_offer_is_taken_only_while_the_dispatcher_waits_at_an_empty_queue() -> None:
    line = Line()
    assert not line.dispatcher.takes_offers
    assert not line.dispatcher.offer(line.watch("a", [1]))  # it does not run yet
    async with running(line):
        assert not line.dispatcher.offer(line.watch("a", [1]))
        line.relist("a", [])
        await line.settle()
        line.queue.put_nowait(line.watch("a", ["first"], "2"))
        assert not line.dispatcher.offer(line.watch("a", ["first"], "3"))  # it would overtake what is queued
        assert not line.dispatcher.takes_offers
        await line.settle()
        assert line.dispatcher.takes_offers
        assert line.dispatcher.offer(line.watch("a", ["first"], "3"))
        assert line.dispatcher.takes_offers, "nobody else has run"
        assert versions(line) == {"a/first": "3"}
    assert not line.dispatcher.offer(line.watch("a", ["first"], "4"))  # it has ended


async def test_no_offer_is_taken_while_a_list_is_compared_committed_and_let_go() -> None:
    """Another scope's reflector goes on meanwhile; what it has is queued behind the list."""
    line = Line()
    mailbox = Mailbox(10)
    async with running(line):
        line.relist("a", range(300))
        line.relist("b", [0])
        await line.settle()
        line.dispatcher.join(mailbox)
        line.relist("a", range(150, 450), "2")
        refused = 0
        while line.queue.qsize() or line.queue._unfinished_tasks:  # type: ignore[attr-defined]
            refused += 1
            assert not line.dispatcher.offer(line.watch("b", [0], str(1000 + refused)))
            await asyncio.sleep(0)
        assert refused > 10
        assert versions(line)["b/0"] == "1"
        await line.settle()
        assert line.dispatcher.offer(line.watch("b", [0], "3"))
    assert replay(mailbox) == versions(line)
    assert versions(line)["b/0"] == "3"


# -- who joins and leaves meanwhile -------------------------------------------------------------------------------


async def test_g4_who_joins_at_any_moment_of_a_list_is_told_the_state_once() -> None:
    """Before its batches, between them, while it is compared, while others' backlogs are merged, after it."""
    line = Line()
    full = Mailbox(10)
    joined: list[Mailbox] = []
    async with running(line):
        line.relist("a", range(400))
        await line.settle()
        line.dispatcher.join(full)
        line.relist("a", range(200, 600), "2")
        line.relist("b", range(100), "2")
        while line.queue._unfinished_tasks:  # type: ignore[attr-defined]
            joined.append(Mailbox(10))
            line.dispatcher.join(joined[-1])
            await asyncio.sleep(0)
        await line.settle()
    assert len(joined) > 10
    for mailbox in (full, *joined):
        assert replay(mailbox) == versions(line)


async def test_g8_the_first_list_of_a_further_scope_is_merged_where_there_is_no_room() -> None:
    """Else all that comes after it waits behind it, one by one, without a bound."""
    line = Line()
    mailbox = Mailbox(10)
    line.dispatcher.join(mailbox)
    async with running(line):
        line.relist("a", range(50))
        await line.settle()
        line.relist("b", range(50))
        await line.settle()
        assert (mailbox.pending, mailbox.initial_pending) == (100, 100)
        for version in range(2, 1000):
            assert line.dispatcher.offer(line.watch("b", [0], str(version)))
        assert mailbox.pending == 100
        assert mailbox.coalesced == 998
    assert replay(mailbox) == versions(line)


async def test_a_consumer_that_leaves_while_its_list_waits_holds_nothing_up() -> None:
    line = Line()
    mailboxes = [Mailbox(10) for _ in range(3)]
    async with running(line):
        line.relist("a", range(5000))
        await line.settle()
        for mailbox in mailboxes:
            line.dispatcher.join(mailbox)
        line.relist("a", range(5000), "2")
        await line.until(lambda: line.store.partitions[Scope("a")].version == "2")
        gone = mailboxes.pop(1)
        line.dispatcher.leave(gone)
        assert gone.pending == 10_000
        gone.clear()
        await line.settle()
        assert gone.pending == 0
        assert [mailbox.pending for mailbox in mailboxes] == [10_000, 10_000]
        assert line.dispatcher.offer(line.watch("a", [0], "3"))
        assert [mailbox.pending for mailbox in mailboxes] == [10_000, 10_000]
    assert [replay(mailbox) for mailbox in mailboxes] == [versions(line)] * 2


async def test_a_cancelled_dispatcher_leaves_backlogs_that_can_be_worked_off() -> None:
    """A list that is only half merged then still tells everything, in order."""
    line = Line()
    mailbox = Mailbox(10)
    async with running(line):
        line.relist("a", range(5000))
        await line.settle()
        line.dispatcher.join(mailbox)
        assert line.dispatcher.offer(line.watch("a", range(20), "2"))
        line.relist("a", range(2500, 7500), "3")
        await line.until(lambda: line.store.partitions[Scope("a")].version == "3")
    assert mailbox.coalesced == 20
    assert len(mailbox._unmerged) > 1
    assert replay(mailbox) == versions(line)


# -- lists that do not reach their end ----------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True], ids=["aborted", "begun anew"])
async def test_g12_a_list_that_failed_is_let_go_of_in_slices(again: bool) -> None:
    line = Line()
    async with running(line):
        line.relist("a", ["kept"])
        _ = line.begin("a")
        line.queue.put_nowait(ReplaceBatch(Scope("a"), line.upserts("a", range(5000), "2")))
        await line.settle()
        if again:
            line.relist("a", ["kept", "new"], "3")
        else:
            line.queue.put_nowait(ReplaceAbort(Scope("a")))
            line.queue.put_nowait(ReplaceAbort(Scope("a")))  # of a list that has ended already: nothing
        turns = 0
        while line.queue._unfinished_tasks:  # type: ignore[attr-defined]
            turns += 1
            await asyncio.sleep(0)
        assert turns > 5000 / 64
        await line.settle()
    assert versions(line) == ({"a/kept": "3", "a/new": "3"} if again else {"a/kept": "1"})


async def test_who_has_given_up_waiting_for_the_turn_of_its_list_breaks_nothing() -> None:
    line = Line()
    line.begin("a").cancel()
    line.queue.put_nowait(ReplaceAbort(Scope("a")))
    async with running(line):
        line.relist("a", [1])
        await line.settle()
    assert versions(line) == {"a/1": "1"}


# -- objects that cannot be read ----------------------------------------------------------------------------------


async def test_g11_a_list_tells_anew_which_objects_cannot_be_read() -> None:
    """Also of those of which no version was ever readable: they are good by now, or gone. Of its scope alone."""
    line = Line()
    async with running(line):
        line.relist("a", ["known"])
        line.relist("b", [])
        await line.settle()
        for scope in ("a", "b"):
            bad: list[Delta] = [(REJECT, f"{scope}/{name}", "bad") for name in ("known", "mended", "gone", "still")]
            assert line.dispatcher.offer(WatchBatch(Scope(scope), Batch(bad, "2", line.layout)))
        assert line.dispatcher.rejected == {
            f"{scope}/{name}": "bad" for scope in "ab" for name in ("known", "mended", "gone", "still")
        }
        _ = line.begin("a")
        line.queue.put_nowait(ReplaceBatch(Scope("a"), line.upserts("a", ["known", "mended"], "3")))
        line.queue.put_nowait(ReplaceBatch(Scope("a"), Batch([(REJECT, "a/still", "worse")], "3", line.layout)))
        line.queue.put_nowait(ReplaceEnd(Scope("a"), "3"))
        await line.settle()
        assert line.dispatcher.rejected == {"a/still": "worse"} | {
            f"b/{name}": "bad" for name in ("known", "mended", "gone", "still")
        }
        await line.index(lambda _: [])
        assert line.dispatcher.offer(WatchBatch(Scope("b"), Batch([(DELETE, "b/gone", None)], "4", line.layout)))
        assert set(line.dispatcher.rejected) == {"a/still", "b/known", "b/mended", "b/still"}


# -- indexes ------------------------------------------------------------------------------------------------------


async def test_a_list_that_is_on_its_way_while_the_indexes_change_has_the_new_ones() -> None:
    """And so have batches that were decoded for the old ones and are applied after it."""
    line = Line()
    async with running(line):
        line.relist("a", range(100))
        _ = line.begin("a")
        line.queue.put_nowait(ReplaceBatch(Scope("a"), line.upserts("a", range(50, 80), "2")))
        await line.index(lambda _: ["yes"])
        assert len(line.store.keys_by_index("mine", "yes")) == 100
        line.queue.put_nowait(ReplaceBatch(Scope("a"), line.upserts("a", range(80, 90), "2")))
        line.queue.put_nowait(ReplaceEnd(Scope("a"), "2"))
        await line.settle()
        assert line.dispatcher.offer(line.watch("a", ["late"], "3"))
    assert sorted(line.store.keys_by_index("mine", "yes")) == sorted([*(f"a/{i}" for i in range(50, 90)), "a/late"])


@pytest.mark.parametrize("fails", [False, True])
async def test_who_has_stopped_waiting_for_an_index_while_it_is_built_breaks_nothing(fails: bool) -> None:
    line = Line()
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class GivenUp(Layout[Any]):
        def reindexed(self, key: str, entry: Entry, known: Layout[Any]) -> Entry:
            done.cancel()
            if fails and key == "a/99":
                raise ValueError(key)
            return super().reindexed(key, entry, known)

    async with running(line):
        line.relist("a", range(100))
        line.queue.put_nowait(Reindex(lambda layout: GivenUp(layout.object_type), done))
        line.relist("a", range(50), "2")
        await line.settle()
    assert (type(line.store.layout) is GivenUp) is not fails
    assert len(line.store) == 50


@pytest.mark.parametrize("turns", range(1, 6))
async def test_no_error_is_left_behind_for_who_has_stopped_waiting_for_an_index(turns: int) -> None:
    """And one of another definition is refused as soon as it is asked for, whether or not the first has been built."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        first = configmaps.add_indexers({"mine": "data.a"})
        with pytest.raises(IndexConflictError):  # at once, and not when its turn comes
            _ = configmaps.add_indexers({"mine": "data.b"})
        waiting = asyncio.ensure_future(first)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.sleep(1)
        assert configmaps.indexer.index_keys("mine", "x") == []
    del first, waiting
    gc.collect()
    assert complaints == []


# -- the end ------------------------------------------------------------------------------------------------------


async def test_the_end_answers_waits_and_changes_of_indexes_that_are_still_queued() -> None:
    line = Line()
    loop = asyncio.get_running_loop()
    waits = [
        asyncio.create_task(line.dispatcher.wait_for("a/1", lambda: False)),
        asyncio.create_task(line.dispatcher.wait_for_version(lambda versions: versions[Scope("a")] == "9")),
    ]
    done, given_up = loop.create_future(), loop.create_future()
    given_up.cancel()
    await asyncio.sleep(0)
    for future in (done, given_up):
        line.queue.put_nowait(Reindex(lambda layout: layout, future))
    line.relist("a", [1])
    line.dispatcher.close(InformerClosedError("pods has ended"))
    line.dispatcher.close(InformerClosedError("once more"))
    for wait in (*waits, done):
        with pytest.raises(InformerClosedError, match="pods has ended"):
            await wait
    assert line.queue.empty()
    assert versions(line) == {}


# -- what turns out to be another shard's -------------------------------------------------------------------------


def is_even(key: str, _uid: str | None) -> bool:
    return int(key.rpartition("/")[2]) % 2 == 0


async def test_what_is_not_owned_is_removed_in_slices_and_told_where_it_had_been_told() -> None:
    line = Line(["a", "b"])
    mailboxes = [Mailbox(1000)]
    async with running(line):
        line.relist("a", range(300))
        line.relist("b", range(5))
        await line.settle()
        line.dispatcher.join(mailboxes[0])
        told = replay(mailboxes[0])
        assert len(told) == 305
        line.queue.put_nowait(Disown(Scope("a"), is_even))
        await line.until(lambda: len(line.store) < 305)
        assert len(line.store) > 155, "others have their turn in between"
        mailboxes.append(Mailbox(1000))
        line.dispatcher.join(mailboxes[1])
        await line.settle()
        assert set(versions(line)) == {f"a/{n}" for n in range(0, 300, 2)} | {f"b/{n}" for n in range(5)}
        assert replay(mailboxes[1]) == versions(line)
        records = [record for taken in iter(mailboxes[0].take, None) for record in taken]
        assert {record.key for record in records} == set(told) - set(versions(line))
        assert {(each.type, each.cause, each.known) for each in records} == {(DELETED, Cause.SHARD, False)}
        assert line.dispatcher.counts.deleted == 150


async def test_who_was_told_nothing_of_it_is_told_nothing() -> None:
    line = Line(["a"])
    mailbox = Mailbox(1000)
    async with running(line):
        line.relist("a", [])
        await line.settle()
        line.dispatcher.join(mailbox)
        line.queue.put_nowait(line.watch("a", range(4)))
        line.queue.put_nowait(Disown(Scope("a"), is_even))
        await line.settle()
        assert replay(mailbox) == versions(line)
        assert set(versions(line)) == {"a/0", "a/2"}


async def test_a_dispatcher_that_is_cancelled_meanwhile_goes_on_with_it() -> None:
    line = Line(["a"])
    mailbox = Mailbox(1000)
    async with running(line):
        line.relist("a", range(300))
        await line.settle()
        line.dispatcher.join(mailbox)
        line.queue.put_nowait(Disown(Scope("a"), is_even))
        await line.until(lambda: len(line.store) < 300)
    assert len(line.store) > 150
    async with running(line):
        await line.queue.join()
        assert set(versions(line)) == {f"a/{n}" for n in range(0, 300, 2)}
        assert replay(mailbox) == versions(line)


async def test_who_waits_for_an_object_sees_that_it_has_left() -> None:
    line = Line(["a"])
    async with running(line):
        line.relist("a", range(3))
        await line.settle()
        gone = asyncio.create_task(line.dispatcher.wait_for("a/1", lambda: line.store.get("a/1") is None))
        await asyncio.sleep(0)
        line.queue.put_nowait(Disown(Scope("a"), is_even))
        await gone
