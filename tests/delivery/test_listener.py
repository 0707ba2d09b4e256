"""Who is told of changes: the options it may have, the slice it shares, and when it has synced."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from aioinformers import InformerClosedError
from aioinformers.delivery.events import EventFactory
from aioinformers.delivery.listener import ConsumerOptions, Listener, Pace
from aioinformers.delivery.mailbox import ADDED, DELETED, UPDATED, InitialState, KeyedMailbox, Mailbox, Record
from aioinformers.objects.layout import Entry
from aioinformers.objects.object_types import object_type_of
from aioinformers.types import Cause, GroupVersionResource


class Host:
    """An informer, as far as a listener needs one; nothing of it runs."""

    name = "pods.v1"
    pace = Pace(0.002)

    def __init__(self) -> None:
        self.events: EventFactory[Any] = EventFactory(GroupVersionResource("", "v1", "pods"), object_type_of(dict))
        self.synced = True
        self.forgotten: list[Any] = []
        self.rest: list[Any] = []

    def now(self) -> float:
        return 100.0

    def is_synced(self) -> bool:
        return self.synced

    def reason(self) -> str:
        return "listing"

    def slices(self) -> Iterator[list[tuple[str, Entry]]]:
        return iter(())

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, None],
        name: str,
        again: Callable[[], None],
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[None]:
        raise AssertionError("nothing is started here")

    def dismiss(self, task: asyncio.Task[None]) -> None:
        raise AssertionError("nothing runs here")

    def let_go(self, rest: list[Any]) -> None:
        self.rest += rest

    def fact_of(self, fact: Any, entry: Any) -> Any: ...

    def forget(self, consumer: Any) -> None:
        self.forgotten.append(consumer)


class Silent(Listener[Any]):
    """A listener that takes nothing by itself."""

    def _wake(self) -> None:
        pass


def entry(digit: int) -> Entry:
    return Entry(b'{"digit":%d}' % digit, "u", str(digit), ("ns",))


def silent(**options: Any) -> Silent:
    return Silent(Host(), ConsumerOptions(**options), "silent")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"concurrency": 0}, "concurrency must be at least 1, not 0"),
        ({"limit": 0}, "limit must be at least 1, or None for no limit, not 0"),
        ({"resync_period": -1}, "resync_period must not be negative, not -1"),
        ({"handler_timeout": 0}, "handler_timeout must be positive, not 0"),
    ],
)
def test_options_out_of_range_are_refused(option: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        ConsumerOptions(**option)


def test_the_informers_resync_period_holds_where_none_was_asked_for() -> None:
    options: ConsumerOptions[Any] = ConsumerOptions()
    assert options.with_default_resync(60).resync_period == 60
    assert ConsumerOptions(resync_period=0).with_default_resync(60).resync_period == 0


def test_the_mailbox_fits_the_options() -> None:
    assert type(ConsumerOptions().mailbox()) is Mailbox
    assert type(ConsumerOptions(concurrency=2).mailbox()) is KeyedMailbox
    assert ConsumerOptions(limit=None).mailbox().limit > 10**9


def test_busy_workers_share_one_slice() -> None:
    pace = Pace(0.01)
    assert pace.until(1.0) == 1.01
    pace.busy = 5
    assert pace.until(1.0) == 1.002


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (Record(ADDED, "k", entry(2), None, Cause.WATCH), ADDED),
        (Record(ADDED, "k", entry(1), None, Cause.WATCH), None),
        (Record(UPDATED, "k", entry(4), entry(2), Cause.WATCH), UPDATED),
        (Record(UPDATED, "k", entry(2), entry(1), Cause.WATCH), ADDED),
        (Record(UPDATED, "k", entry(1), entry(2), Cause.WATCH), DELETED),
        (Record(UPDATED, "k", entry(3), entry(1), Cause.WATCH), None),
        (Record(DELETED, "k", entry(1), entry(2), Cause.WATCH), DELETED),
        (Record(DELETED, "k", entry(2), entry(1), Cause.WATCH), None),
    ],
)
def test_a_filter_judges_what_was_given_last_and_what_is_now(record: Record, expected: int | None) -> None:
    judged = silent(filter=lambda obj: obj["digit"] % 2 == 0)._judge(record)
    assert (None if judged is None else judged.type) == expected


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, GeneratorExit])
def test_g7_a_filter_that_raises_counts_as_false(error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    def raising(obj: object) -> bool:
        raise error

    assert silent(filter=raising)._judge(Record(ADDED, "k", entry(2), None, Cause.WATCH)) is None
    assert "the filter of silent raised; taken as false" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_no_answer_of_a_filter(error: type[BaseException]) -> None:
    def raising(obj: object) -> bool:
        raise error

    with pytest.raises(error):
        silent(filter=raising)._judge(Record(ADDED, "k", entry(2), None, Cause.WATCH))


async def test_the_initial_state_counts_as_handled_once_all_of_it_has_been_settled() -> None:
    listener = silent()
    listener.mailbox.put_list([InitialState(["a", "b"], [entry(1), entry(2)])], 2)
    listener.check_synced()
    assert not listener.has_synced
    with pytest.raises(TimeoutError, match=r"^silent of pods.v1 has not handled .* 0.01 s: 2 events are queued$"):
        await listener.wait_synced(0.01)
    for record in listener.mailbox.take() or ():
        listener.mailbox.settle(record)
    assert listener.has_synced
    await listener.wait_synced(0.01)


async def test_a_listener_that_is_stopped_or_ended_waits_for_nothing_any_more() -> None:
    stopped, ended = silent(), silent()
    for listener in (stopped, ended):
        listener.mailbox.put_list([InitialState(["a"], [entry(1)])], 1)
    stopped.stop()
    stopped.stop()
    ended.end()
    for listener, words in ((stopped, "silent was removed from pods.v1"), (ended, "pods.v1 is closed")):
        assert listener.is_closed
        with pytest.raises(InformerClosedError, match=words):
            await listener.wait_synced(None)
    assert stopped.statistics().undelivered == 1
    assert stopped.statistics().queued == 0
