"""What handlers are told, and readers see, when a list meets what has happened before it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioinformers import Added, Cause, Deleted, Event, SharedInformer, Updated
from aioinformers.testing import FakeAPIServer
from tests.kit import Recorder, cached, configmap, factory_on, stored, version_of
from tests.machine.world import TickingLoop

pytestmark = pytest.mark.virtual_time


class Gate:
    """A handler that hangs until it is opened, so that what comes meanwhile waits in its mailbox."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.opened = asyncio.Event()

    async def __call__(self, event: Event[Any]) -> None:
        await self.opened.wait()
        await self.recorder(event)


async def relist(server: FakeAPIServer, change: Callable[[], object] = lambda: None) -> None:
    """Change something that no watch will tell, and wait until everything has been listed anew."""
    server.close_watches()
    change()
    server.create("nodes", {"metadata": {"name": f"n{server.resource_version}"}})
    server.expire()
    await asyncio.sleep(60)


async def followed(factory: Any, handler: Callable[[Event[Any]], Awaitable[None]]) -> SharedInformer[Any]:
    """Return a running informer with a handler."""
    configmaps: SharedInformer[Any] = factory.for_resource("configmaps.v1.")
    configmaps.add_event_handler(handler)
    await factory.start()
    await factory.wait_for_cache_sync(timeout=5)
    return configmaps


def touch(server: FakeAPIServer, name: str) -> None:
    """Change an object."""
    server.patch("configmaps", name, {"data": {"v": server.resource_version}}, namespace="default")


def remove(server: FakeAPIServer, name: str) -> None:
    """Delete an object."""
    server.delete("configmaps", name, namespace="default")


def told(recorder: Recorder) -> list[tuple[str, Cause]]:
    """Return the events in short, with their causes."""
    return list(zip(recorder.kinds(), recorder.causes(), strict=True))


# -- in the order of the server -----------------------------------------------------------------------------------


async def test_g3_every_event_comes_in_the_servers_order_across_objects() -> None:
    """None is merged with another, and no deletion overtakes what was before it."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        recorder = Recorder()
        await followed(factory, recorder)
        await asyncio.sleep(1)
        for name in ("foo", "bar"):
            server.create("configmaps", configmap(name))
        touch(server, "foo")
        touch(server, "foo")
        server.create("configmaps", configmap("zab"))
        touch(server, "foo")
        remove(server, "bar")
        server.create("configmaps", configmap("brief"))
        touch(server, "brief")
        remove(server, "brief")
        await asyncio.sleep(1)

        assert recorder.kinds() == [
            "Added foo", "Added bar", "Updated foo", "Updated foo", "Added zab", "Updated foo", "Deleted bar",
            "Added brief", "Updated brief", "Deleted brief",
        ]  # fmt: skip
        versions = [int(version_of(event.object)[1]) for event in recorder.events]
        assert versions == sorted(versions)
        assert recorder.problems == []


# -- a list and what is queued ------------------------------------------------------------------------------------


async def test_g5_object_that_is_still_queued_and_has_gone_unseen_is_deleted_once() -> None:
    """With the state that was queued; further lists say nothing more."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("first"))
        gate = Gate()
        configmaps = await followed(factory, gate)
        queued = server.create("configmaps", configmap("queued"))
        await asyncio.sleep(1)

        def lose() -> None:
            remove(server, "first")
            remove(server, "queued")

        await relist(server, lose)
        await relist(server)
        gate.opened.set()
        await asyncio.sleep(1)

        assert configmaps.statistics().lists == 3
        assert gate.recorder.kinds() == ["Added first", "Added queued", "Deleted first", "Deleted queued"]
        deleted = [event for event in gate.recorder.events if isinstance(event, Deleted)]
        assert [event.final_state_known for event in deleted] == [False, False]
        assert version_of(deleted[1].object) == version_of(queued)


async def test_g5_object_that_was_seen_to_go_is_not_deleted_again_by_a_list() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a"))
        gate = Gate()
        configmaps = await followed(factory, gate)
        remove(server, "a")
        await asyncio.sleep(1)
        await relist(server)
        gate.opened.set()
        await asyncio.sleep(1)
        await relist(server)

        assert configmaps.statistics().lists == 3
        assert told(gate.recorder) == [("Added a", Cause.LIST), ("Deleted a", Cause.WATCH)]


async def test_g5_object_that_came_again_and_has_gone_unseen_ends_twice() -> None:
    """The second time with the newest state that was known."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        old = server.create("configmaps", configmap("a"))
        gate = Gate()
        await followed(factory, gate)
        remove(server, "a")
        new = server.create("configmaps", configmap("a"))
        await asyncio.sleep(1)
        await relist(server, lambda: remove(server, "a"))
        gate.opened.set()
        await asyncio.sleep(1)

        events = gate.recorder.events
        assert gate.recorder.kinds() == ["Added a", "Deleted a", "Added a", "Deleted a"]
        assert [event.object["metadata"]["uid"] for event in events] == [
            made["metadata"]["uid"] for made in (old, old, new, new)
        ]
        assert [event.final_state_known for event in events if isinstance(event, Deleted)] == [True, False]


async def test_g5_object_whose_deletion_is_queued_is_added_again_by_a_list() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a"))
        gate = Gate()
        await followed(factory, gate)
        remove(server, "a")
        await asyncio.sleep(1)
        await relist(server, lambda: server.create("configmaps", configmap("a")))
        gate.opened.set()
        await asyncio.sleep(1)

        assert told(gate.recorder) == [
            ("Added a", Cause.LIST),
            ("Deleted a", Cause.WATCH),
            ("Added a", Cause.RELIST),
        ]
        assert gate.recorder.state == stored(server, "configmaps")


# -- a list and the cache -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("watch_list", [True, False], ids=["stream", "list"])
async def test_g2_relist_tells_what_has_gone_first_and_each_change_once(watch_list: bool) -> None:
    """The cache has it already, no addition is an initial one, and what has not changed is not mentioned."""
    async with FakeAPIServer(watch_list=watch_list) as server, factory_on(server) as factory:
        for name in ("changed", "gone", "kept", "zombie"):
            server.create("configmaps", configmap(name))
        recorder, seen = Recorder(), list[Any]()
        configmaps = factory.for_resource("configmaps.v1.")

        async def handler(event: Event[Any]) -> None:
            await recorder(event)
            now = configmaps.indexer.get(event.key)
            seen.append(None if now is None else version_of(now))

        await followed(factory, handler)
        await asyncio.sleep(2)
        first = len(recorder.events)

        def change() -> None:
            server.create("configmaps", configmap("added"))
            for name in ("changed", "added", "changed"):
                touch(server, name)
            remove(server, "gone")
            remove(server, "zombie")

        await relist(server, change)

        assert first == 4
        assert told(recorder)[first:] == [
            ("Deleted gone", Cause.RELIST),
            ("Deleted zombie", Cause.RELIST),
            ("Added added", Cause.RELIST),
            ("Updated changed", Cause.RELIST),
        ]
        after = recorder.events[first:]
        assert seen[first:] == [None, None, *(version_of(event.object) for event in after[2:])]
        assert [event.initial for event in recorder.events if isinstance(event, Added)] == [True] * 4 + [False]
        assert cached(configmaps) == stored(server, "configmaps")


def test_readers_see_the_state_before_a_list_or_the_one_after_it_and_never_a_mixture() -> None:
    """On a loop whose time passes while something happens, so that a list is committed in many slices."""

    async def read() -> None:
        async with FakeAPIServer() as server, factory_on(server) as factory:
            for i in range(400):
                server.create("configmaps", configmap(f"c{i}", generation="1"))
            configmaps = factory.for_resource("configmaps.v1.", indexers={"generation": "data.generation"})
            await factory.start()
            await factory.wait_for_cache_sync(timeout=60)
            server.close_watches()
            for i in range(300):
                server.patch("configmaps", f"c{i}", {"data": {"generation": "2"}}, namespace="default")
            for i in range(300, 400):
                remove(server, f"c{i}")
            server.expire()
            turns = 0
            states: list[dict[str, int]] = []
            while configmaps.statistics().lists == 1:
                turns += 1
                indexer = configmaps.indexer
                states.append({v: len(indexer.index_keys("generation", v)) for v in indexer.index_values("generation")})
                states.append({"all": len(indexer)})
                await asyncio.sleep(0)
            assert turns > 50
            assert {str(state) for state in states} == {"{'1': 400}", "{'all': 400}"}
            assert configmaps.indexer.index_values("generation") == ["2"]
            assert len(configmaps.indexer) == 300

    with asyncio.Runner(loop_factory=TickingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, TickingLoop)
        loop.tick = 1e-3
        runner.run(read())


# -- resyncs ------------------------------------------------------------------------------------------------------


async def test_g6_resync_of_an_empty_cache_is_nothing() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        recorder = Recorder()
        factory.for_resource("configmaps.v1.").add_event_handler(recorder, resync_period=1)
        await factory.start()
        await asyncio.sleep(30)
        assert recorder.events == []


async def test_g6_object_of_which_something_is_still_to_be_told_is_not_resynced() -> None:
    """Neither while its handler runs nor while a change is queued: the old state would come after the new one."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a"))
        gate = Gate()
        configmaps = factory.for_resource("configmaps.v1.")
        configmaps.add_event_handler(gate, resync_period=2)
        await factory.start()
        await asyncio.sleep(9)
        touch(server, "a")
        await asyncio.sleep(10.5)
        gate.opened.set()
        await asyncio.sleep(0.1)
        assert gate.recorder.causes() == [Cause.LIST, Cause.WATCH]
        await asyncio.sleep(2)
        assert gate.recorder.causes() == [Cause.LIST, Cause.WATCH, Cause.RESYNC]
        last = gate.recorder.events[-1]
        assert isinstance(last, Updated)
        assert version_of(last.object) == cached(configmaps)["default/a"]


async def test_g6_lists_neither_stand_in_for_a_resync_nor_put_it_off() -> None:
    """Who asked for none is told of changes only; who did is told of everything at its times, and of changes."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for name in ("changed", "same"):
            server.create("configmaps", configmap(name))
        quiet, due = Recorder(), Recorder()
        configmaps = await followed(factory, quiet)
        configmaps.add_event_handler(due, resync_period=70)

        def change() -> None:
            touch(server, "changed")
            server.create("configmaps", configmap("new"))

        await asyncio.sleep(5)
        await relist(server, change)  # at 5 s
        await relist(server)  # at 65 s
        await asyncio.sleep(20)  # until 145 s

        initial = [("Added changed", Cause.LIST), ("Added same", Cause.LIST)]
        changes = [("Updated changed", Cause.RELIST), ("Added new", Cause.RELIST)]
        resync = [(f"Updated {name}", Cause.RESYNC) for name in ("changed", "new", "same")]
        assert configmaps.statistics().lists == 3
        assert told(quiet) == initial + changes
        assert told(due)[:4] == initial + changes
        assert sorted(told(due)[4:]) == sorted(resync * 2)
