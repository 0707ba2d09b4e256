"""The work queue on the event loop: who is woken, what a cancellation leaves, and how it ends."""

from __future__ import annotations

import asyncio
import datetime
import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aioinformers.controllers import Item, Priority, WorkQueue
from aioinformers.errors import QueueClosedError

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


async def take(queue: WorkQueue[Any]) -> Any:
    async with queue.item() as item:
        return item.key


async def test_whoever_waits_is_given_the_next_key() -> None:
    queue = WorkQueue[str]()
    takers = [asyncio.create_task(take(queue)) for _ in range(3)]
    await asyncio.sleep(1)
    for key in "abc":
        queue.add(key)
    assert sorted(await asyncio.gather(*takers)) == ["a", "b", "c"]
    assert len(queue) == 0


async def test_a_key_that_is_due_later_wakes_who_waits() -> None:
    queue = WorkQueue[str]()
    taker = asyncio.create_task(take(queue))
    queue.add("late", after=10)
    queue.add("soon", after=5)
    assert await taker == "soon"
    assert now() == 5
    assert await take(queue) == "late"
    assert now() == 10


async def test_g17_a_key_runs_once_at_a_time_and_once_more_for_all_that_came_meanwhile() -> None:
    queue, running, runs = WorkQueue[str](), set[str](), list[str]()

    async def work(item: Item[str]) -> None:
        assert item.key not in running
        running.add(item.key)
        runs.append(item.key)
        await asyncio.sleep(1)
        running.discard(item.key)

    working = asyncio.create_task(queue.run(work, concurrency=8))
    for _ in range(3):
        queue.add("a")
        queue.add("b")
        await asyncio.sleep(0.1)
    assert await queue.aclose() == 0
    await working
    assert sorted(runs) == ["a", "a", "b", "b"]


async def test_what_fails_is_told_and_repeated_until_it_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    queue, times = WorkQueue[str]("sites", backoff=lambda failures: 10.0 * failures), list[float]()

    async def work(item: Item[str]) -> None:
        times.append(now())
        assert item.attempt == len(times) - 1
        if len(times) < 6:
            raise ValueError("not yet")

    working = asyncio.create_task(queue.run(work))
    queue.add("a")
    await asyncio.sleep(200)
    assert times == [0, 10, 30, 60, 100, 150]
    assert (queue.statistics().failed, queue.statistics().done, len(queue)) == (5, 1, 0)
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in told] == [
        "sites: 'a' failed",
        "sites: 'a' failed (2 times by now; told of again at 4)",
        "sites: 'a' failed (4 times by now; told of again at 8)",
    ]
    assert all(record.exc_info and record.exc_info[0] is ValueError for record in told)
    await queue.aclose()
    await working


async def test_an_exception_leaves_the_block_and_the_key_is_repeated() -> None:
    queue = WorkQueue[str](backoff=lambda failures: 7.0)
    queue.add("a")
    with pytest.raises(ZeroDivisionError):
        async with queue.item():
            raise ZeroDivisionError
    assert await take(queue) == "a"
    assert now() == 7


async def test_a_block_may_say_that_it_failed_or_wants_to_run_again() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    async with queue.item() as item:
        item.retry(after=3)
    async with queue.item() as item:
        assert (now(), item.attempt) == (3, 1)
        item.requeue(5)
    async with queue.item() as item:
        assert (now(), item.attempt) == (8, 0)
    assert len(queue) == 0


async def test_the_backoff_is_random_between_nothing_and_what_it_has_doubled_to() -> None:
    queue, delays = WorkQueue[int](), list[float]()
    for key in range(50):
        queue.add(key)
        async with queue.item() as item:
            item.retry()
        begun = now()
        async with queue.item() as item:
            assert item.key == key
        delays.append(now() - begun)
    assert 0 <= min(delays) < 0.02
    assert 0.08 < max(delays) <= 0.1


@pytest.mark.parametrize("turns", range(6))
async def test_no_key_is_lost_when_who_waits_for_it_is_cancelled(turns: int) -> None:
    queue = WorkQueue[str]()
    takers = [asyncio.create_task(take(queue)) for _ in range(2)]
    await asyncio.sleep(1)
    queue.add("a")
    for _ in range(turns):
        await asyncio.sleep(0)
    takers[0].cancel()
    await asyncio.sleep(1)
    assert [taker.done() for taker in takers] == [True, turns == 0 or takers[0].cancelled()]
    finished = [taker for taker in takers if taker.done() and not taker.cancelled()]
    assert [taker.result() for taker in finished] == ["a"]
    takers[1].cancel()
    await asyncio.wait(takers)
    queue.add("b")
    assert await take(queue) == "b"


async def test_what_is_cancelled_gives_its_key_back() -> None:
    queue = WorkQueue[str]()

    async def hang() -> None:
        async with queue.item():
            await asyncio.sleep(100)

    queue.add("a")
    task = asyncio.create_task(hang())
    await asyncio.sleep(1)
    queue.add("b")
    task.cancel()
    await asyncio.wait([task])
    assert (queue.statistics().failed, queue.statistics().running) == (0, 0)
    assert [await take(queue), await take(queue)] == ["b", "a"]


async def test_a_cancellation_that_a_call_lets_out_is_a_failure_of_its_key() -> None:
    """Nobody has asked for the end of the worker; and it must not be repeated without a pause."""
    queue, runs = WorkQueue[str](backoff=lambda failures: 10.0), list[float]()

    async def work(item: Item[str]) -> None:
        runs.append(now())
        if len(runs) < 3:
            raise asyncio.CancelledError

    working = asyncio.create_task(queue.run(work))
    queue.add("a")
    await asyncio.sleep(50)
    assert runs == [0, 10, 20]
    await queue.aclose()
    await working


async def test_g18_a_call_that_cancels_its_own_task_takes_no_worker_with_it(caplog: pytest.LogCaptureFixture) -> None:
    queue, calls = WorkQueue[int]("test"), Counter[int]()

    async def work(item: Item[int]) -> None:
        calls[item.key] += 1
        if item.key < 3 and calls[item.key] == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if item.key:
                await asyncio.sleep(0)

    running = asyncio.create_task(queue.run(work, concurrency=2))
    for key in range(6):
        queue.add(key)
    await asyncio.sleep(5)
    assert set(calls) == set(range(6))
    assert not running.done()
    assert "test: a call or a stranger has cancelled its task; another goes on" in caplog.text
    await queue.aclose()
    await running


async def test_an_end_that_drops_does_not_repeat_what_still_runs() -> None:
    queue, calls = WorkQueue[int]("test"), list[int]()

    async def work(item: Item[int]) -> None:
        calls.append(item.key)
        await asyncio.sleep(1)
        item.requeue(0.0)

    running = asyncio.create_task(queue.run(work))
    queue.add(1)
    await asyncio.sleep(0.5)
    assert await queue.aclose(grace=30, drop=True) == 0
    await running
    assert calls == [1]
    assert now() == pytest.approx(1.0)


async def test_whoever_runs_it_may_be_cancelled() -> None:
    queue = WorkQueue[str]()

    async def work(item: Item[str]) -> None:
        await asyncio.sleep(100)

    working = asyncio.create_task(queue.run(work, concurrency=3))
    queue.add("a")
    await asyncio.sleep(1)
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled()
    assert await take(queue) == "a"


async def test_urgent_keys_come_first_and_their_causes_are_told() -> None:
    queue = WorkQueue[str]()
    queue.add("a", priority=Priority.BACKGROUND, cause="list")
    queue.add("b", cause="change")
    queue.add("a", priority=Priority.URGENT, cause="asked")
    async with queue.item() as item:
        assert (item.key, item.priority, item.causes) == ("a", Priority.URGENT, ["list", "asked"])
    assert queue.statistics().queued == {"background": 0, "normal": 1, "urgent": 0}
    assert list(queue) == ["b"]
    assert "b" in queue
    assert "a" not in queue


async def test_starts_are_spread_by_the_rate() -> None:
    queue, starts = WorkQueue[int](rate=2), list[float]()

    async def work(item: Item[int]) -> None:
        starts.append(now())

    working = asyncio.create_task(queue.run(work, concurrency=4))
    for key in range(6):
        queue.add(key)
    await asyncio.sleep(10)
    assert starts == [0, 0, 1, 1, 2, 2]
    await queue.aclose()
    await working


async def test_a_backoff_that_fails_loses_no_key_and_the_usual_one_holds(caplog: pytest.LogCaptureFixture) -> None:
    """So does one that grows beyond what a number can be."""
    given: list[Any] = [1 / 3, "3", None, -1, float("nan"), float("inf"), OverflowError("too large")]

    def backoff(failures: int) -> float:
        value = given[failures - 1] if failures <= len(given) else 0.0
        if isinstance(value, Exception):
            raise value
        seconds: float = value
        return seconds

    queue, runs = WorkQueue[str]("sites", backoff=backoff), list[float]()

    async def work(item: Item[str]) -> None:
        runs.append(now())
        if len(runs) <= len(given):
            raise ValueError("not yet")

    working = asyncio.create_task(queue.run(work))
    queue.add("a")
    await asyncio.sleep(100)
    assert len(runs) == len(given) + 1
    assert caplog.text.count("the usual one holds") == 2  # after two failures, and after four
    await queue.aclose()
    await working


async def test_causes_that_cannot_be_compared_and_lists_are_causes_as_any() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

    queue, odd, several = WorkQueue[str](), Odd(), ["a", "b"]
    for cause in (odd, Odd(), several, odd):
        queue.add("k", cause=cause)
    async with queue.item() as item:
        assert len(item.causes) == 3
        assert item.causes[0] is odd
        assert item.causes[2] is several


async def test_g12_others_have_their_turn_however_many_keys_there_are() -> None:
    queue, turns = WorkQueue[int](), 0

    async def work(item: Item[int]) -> None:
        asyncio.get_running_loop()._now += 0.0005  # type: ignore[attr-defined]  # what a run takes

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    for key in range(1000):
        queue.add(key)
    counting = asyncio.create_task(count())
    working = asyncio.create_task(queue.run(work, concurrency=8))
    await queue.aclose(grace=None)
    await working
    counting.cancel()
    assert turns >= 150


@pytest.mark.parametrize("answer", ["swallows", "raises"])
async def test_whoever_cancels_a_run_is_heard_whatever_the_function_makes_of_it(answer: str) -> None:
    queue = WorkQueue[str]()

    async def work(item: Item[str]) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if answer == "raises":
                raise OSError("cleaning up failed") from None

    working = asyncio.create_task(queue.run(work, concurrency=2))
    queue.add("a")
    await asyncio.sleep(1)
    working.cancel()
    done, _ = await asyncio.wait([working], timeout=5)
    assert done
    assert now() < 2


async def test_what_a_run_adds_for_later_is_no_news_now() -> None:
    """A key that fails each time, and asks for its next run each time, waits longer and longer."""
    queue, times = WorkQueue[str](backoff=lambda failures: 10.0 * failures), list[float]()

    async def work(item: Item[str]) -> None:
        times.append(now())
        queue.add(item.key, after=100)
        raise ValueError("boom")

    working = asyncio.create_task(queue.run(work))
    queue.add("a")
    await asyncio.sleep(151)
    assert times == [0, 10, 30, 60, 100, 150]
    await queue.aclose(grace=0)
    await working


async def test_news_during_a_run_count_even_if_it_says_when_it_is_to_be_repeated_or_is_cut_off() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    for _ in range(2):
        async with queue.item() as item:
            item.retry(after=0)
    async with queue.item() as item:
        assert item.attempt == 2
        queue.add("a")
        item.retry(after=0)
    async with queue.item() as item:
        assert item.attempt == 0


# -- the end ------------------------------------------------------------------------------------------------------


async def test_the_end_waits_for_what_is_queued_and_running() -> None:
    queue, done = WorkQueue[str](), list[str]()

    async def work(item: Item[str]) -> None:
        await asyncio.sleep(2)
        done.append(item.key)

    working = asyncio.create_task(queue.run(work))
    for key in "abc":
        queue.add(key)
    queue.add("soon", after=7)
    queue.add("never", after=100)
    assert await queue.aclose(grace=10) == 1
    assert (now(), done) == (9, ["a", "b", "c", "soon"])
    await working
    with pytest.raises(QueueClosedError, match="queue is closed: nothing can be added"):
        queue.add("d")
    with pytest.raises(QueueClosedError, match="nothing is left"):
        await take(queue)
    assert await queue.aclose() == 0


async def test_what_the_grace_does_not_suffice_for_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    queue = WorkQueue[str]("sites")

    async def work(item: Item[str]) -> None:
        await asyncio.sleep(8)

    working = asyncio.create_task(queue.run(work))
    for key in "abc":
        queue.add(key)
    assert await queue.aclose(grace=10) == 2
    assert now() == 10
    assert queue.statistics().lost == 2
    assert [record.getMessage() for record in caplog.records] == [
        "sites: closed, 1 runs to come are lost", "sites: closed, a run that was cut off is lost"
    ]  # fmt: skip
    await working
    assert (now(), queue.statistics().done) == (10, 1)


async def test_an_end_without_grace_is_at_once_and_one_without_limit_waits_for_delays() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    assert await queue.aclose(grace=0) == 1
    patient = WorkQueue[str]()
    patient.add("a", after=1000)

    async def work(item: Item[str]) -> None: ...

    working = asyncio.create_task(patient.run(work))
    assert await patient.aclose(grace=None) == 0
    assert now() == 1000
    await working


@pytest.mark.parametrize("grace", [2, None])
async def test_an_end_that_a_run_asks_for_does_not_wait_for_that_run(grace: float | None) -> None:
    queue, done = WorkQueue[str](), list[str]()

    async def work(item: Item[str]) -> None:
        if item.key == "a":
            assert await queue.aclose(grace=grace) == 0
        done.append(item.key)

    working = asyncio.create_task(queue.run(work, concurrency=2))
    queue.add("b")
    queue.add("a")
    await asyncio.wait([working], timeout=5)
    assert (sorted(done), now()) == (["a", "b"], 0)
    await working


async def test_a_cancelled_end_is_the_end_of_the_grace() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    ending = asyncio.create_task(queue.aclose(grace=None))
    await asyncio.sleep(1)
    ending.cancel()
    await asyncio.wait([ending])
    assert ending.cancelled()
    assert queue.statistics().lost == 1


async def test_who_waits_for_a_key_learns_of_the_end() -> None:
    queue = WorkQueue[str]()
    takers = [asyncio.create_task(take(queue)) for _ in range(3)]
    await asyncio.sleep(1)
    await queue.aclose()
    found = await asyncio.gather(*takers, return_exceptions=True)
    assert [type(each) for each in found] == [QueueClosedError] * 3


async def test_a_run_that_is_given_back_after_the_end_is_lost_and_counted() -> None:
    queue = WorkQueue[str]()

    async def hang() -> None:
        async with queue.item():
            await asyncio.sleep(100)

    queue.add("a")
    task = asyncio.create_task(hang())
    await asyncio.sleep(1)
    assert await queue.aclose(grace=1) == 0
    task.cancel()
    await asyncio.wait([task])
    assert (queue.statistics().lost, len(queue)) == (1, 0)


# -- what is wrong ------------------------------------------------------------------------------------------------


async def nothing() -> None: ...


async def not_plain(failures: int) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: WorkQueue[str](backoff=not_plain), TypeError, "backoff is called without await"),  # type: ignore[arg-type]
        (lambda: WorkQueue[str](backoff=lambda: 1.0), TypeError, "backoff is called with the number of failures"),  # type: ignore[misc, arg-type]
        (lambda: WorkQueue[str](rate=0), ValueError, "rate must be positive and finite, not 0"),
        (lambda: WorkQueue[str](rate=float("inf")), ValueError, "rate must be positive and finite, not inf"),
        (lambda: WorkQueue[str](max_wait=None), TypeError, "max_wait must be a number, not None"),  # type: ignore[arg-type]
        (lambda: WorkQueue[str](3), TypeError, "a queue's name is a text, not 3"),  # type: ignore[arg-type]
        (lambda: WorkQueue[str](max_wait="60"), TypeError, "max_wait must be a number, not '60'"),  # type: ignore[arg-type]
    ],
)
async def test_options_that_cannot_be_are_refused(make: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"^{words}"):
        make()


async def test_what_cannot_be_worked_on_is_refused_where_it_is_given() -> None:
    queue = WorkQueue[Any]("sites")
    wrong: Any = datetime.timedelta(seconds=3)
    text: Any = "no"
    with pytest.raises(TypeError, match="give its total_seconds"):
        queue.add("a", after=wrong)
    with pytest.raises(TypeError, match=r"priority must be a Priority, such as Priority.NORMAL, not 1"):
        queue.add("a", priority=wrong.days + 1)
    with pytest.raises(TypeError, match="unhashable"):
        queue.add([])
    item = queue.item()
    with pytest.raises(RuntimeError, match=r"write `async with queue.item\(\) as item:`"):
        item.key  # noqa: B018
    queue.add("a")
    async with item:
        assert repr(item) == "<Item 'a' of sites>"
    with pytest.raises(RuntimeError, match="has been taken before"):
        await item.__aenter__()
    for function, words in (
        (lambda: None, "is awaited: declare .* with `async def`"),
        (nothing, "is called with the item"),
    ):
        with pytest.raises(TypeError, match=f"a queue's function {words}"):
            await queue.run(function)  # type: ignore[arg-type]
    for seconds in (-1, float("inf")):
        with pytest.raises(ValueError, match="after must be a finite number of seconds from now on"):
            queue.add("a", after=seconds)
    with pytest.raises(TypeError, match="resets must be True or False, not 'no'"):
        queue.add("a", resets=text)
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        await queue.run(take, concurrency=0)  # type: ignore[arg-type]
    assert repr(queue) == "<WorkQueue sites: 0 queued, 0 running>"


async def test_another_thread_is_told_how_to_add() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    errors: list[BaseException] = []

    def add() -> None:
        try:
            queue.add("b")
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    assert "loop.call_soon_threadsafe(queue.add, key)" in str(errors[0])


async def test_a_queue_tells_who_waits_how_long_and_until_when() -> None:
    queue = WorkQueue[str]()
    assert queue.due_in("late") is None
    queue.add("old")
    queue.add("urgent", priority=Priority.URGENT)
    queue.add("late", after=10)
    await asyncio.sleep(3)
    assert queue.statistics().oldest == {"normal": 3.0, "urgent": 3.0}
    assert (queue.due_in("late"), queue.due_in("old"), queue.due_in("new")) == (7.0, 0.0, None)
    queue.add("old", priority=Priority.URGENT)  # its place among the others is stale
    queue.add("new")
    await asyncio.sleep(1)
    assert queue.statistics().oldest == {"normal": 1.0, "urgent": 4.0}
    async with queue.item() as item:
        assert item.key == "urgent"
        assert queue.due_in("urgent") == 0.0
        await asyncio.sleep(2)
    found = queue.statistics()
    assert (sum(found.waits.counts), found.waits.total) == (1, 4.0)
    assert (sum(found.runs.counts), found.runs.total) == (1, 2.0)
