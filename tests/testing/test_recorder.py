"""The recorder of events, as users' tests have it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioinformers import Added, Deleted, Event, ObjectKey
from aioinformers.testing import EventRecorder, FakeAPIServer
from tests.kit import factory_on

pytestmark = pytest.mark.virtual_time


def key(name: str) -> ObjectKey:
    return ObjectKey("default", name)


async def test_it_keeps_what_an_informer_tells_by_kind_and_in_order() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        recorder = EventRecorder[Any]()
        factory.core.v1.configmaps().add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)

        server.create("cm", {"metadata": {"name": "a"}})
        assert await recorder.wait_for(lambda events: [event.key.name for event in events], timeout=5) == ["a"]
        server.patch("cm", "a", {"data": {"k": "v"}})
        server.delete("cm", "a")
        await recorder.wait_for(lambda _: recorder.deleted, timeout=5)

        assert [type(event).__name__ for event in recorder.events] == ["Added", "Updated", "Deleted"]
        assert [event.key for event in recorder.added] == [key("a")]
        assert [event.object.data for event in recorder.updated] == [{"k": "v"}]
        assert [event.key for event in recorder.deleted] == [key("a")]
        recorder.clear()
        assert [recorder.events, recorder.added, recorder.updated, recorder.deleted] == [[], [], [], []]
        server.create("cm", {"metadata": {"name": "b"}})
        (event,) = await recorder.wait_for(lambda events: events)
        assert event.key == key("b")


async def test_several_may_wait_and_each_is_asked_after_every_event() -> None:
    recorder = EventRecorder[int]()
    asked: list[int] = []

    def three(events: Any) -> bool:
        asked.append(len(events))
        return len(events) == 3

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(recorder.wait_for(three))
        other = group.create_task(recorder.wait_for(len))
        for number in range(3):
            await asyncio.sleep(1)
            await recorder(Added(number))
    assert (waiting.result(), other.result()) == (True, 1)
    assert asked == [0, 1, 2, 3]


async def test_late_conditions_say_what_was_recorded_instead() -> None:
    recorder = EventRecorder[int]()
    await recorder(Added(1, key=key("a")))

    def is_gone(events: Any) -> bool:
        return any(isinstance(event, Deleted) for event in events)

    words = r"is_gone did not hold within 3 s: <EventRecorder: 1 event: Added default/a>"
    with pytest.raises(TimeoutError, match=words):
        await recorder.wait_for(is_gone, timeout=3)
    assert asyncio.get_running_loop().time() == 3
    with pytest.raises(TimeoutError, match="within 10 s"):
        await recorder.wait_for(is_gone)
    with pytest.raises(TimeoutError, match="within 0 s"):
        await recorder.wait_for(is_gone, timeout=0)


async def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    recorder = EventRecorder[int]()
    waiting = asyncio.create_task(recorder.wait_for(lambda events: events, timeout=None))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await recorder(Added(1))
    assert await recorder.wait_for(len, timeout=0) == 1


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([], "<EventRecorder: 0 events>"),
        (
            [Added(1, key=key("a")), Deleted(1, key=ObjectKey("", "n"))],
            "<EventRecorder: 2 events: Added default/a, Deleted n>",
        ),
        ([Added(1, key=key(f"p{n}")) for n in range(12)], "<EventRecorder: 12 events: …, Added default/p2, "),
    ],
)  # fmt: skip
async def test_it_shows_the_latest_events(events: list[Event[int]], text: str) -> None:
    recorder = EventRecorder[int]()
    for event in events:
        await recorder(event)
    assert repr(recorder).startswith(text)


async def never(events: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("condition", "timeout", "error", "words"),
    [
        (never, 1, TypeError, "the condition is called without await"),
        (lambda: True, 1, TypeError, "the condition is called with the list of events"),
        (2, 1, TypeError, "the condition must be a function, not 2"),
        (len, "1", TypeError, "timeout must be a number, not '1'"),
        (len, -1, ValueError, "timeout is so many seconds, or None for no limit, not -1"),
    ],
)
async def test_arguments_are_checked(condition: Any, timeout: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await EventRecorder[int]().wait_for(condition, timeout=timeout)
