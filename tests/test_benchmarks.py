"""The benchmarks: what they show is what was measured, and the path of an event keeps what can be counted exactly."""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import gc
import sys
import tomllib
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import Event, Metadata, Settings, SharedInformerFactory, Updated
from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.delivery.consumer import Consumer
from aioinformers.delivery.events import EventFactory
from aioinformers.delivery.handlers import handler_set
from aioinformers.delivery.listener import ConsumerOptions, Pace
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.queue import WatchBatch
from aioinformers.types import EVERYTHING, GroupVersionResource, ObjectKey
from benchmarks import __main__ as command
from benchmarks import controllers, looks, queues, report, tables
from benchmarks.contenders import CONTENDERS, CONTROLLERS
from benchmarks.figures import (
    Row,
    judge,
    load_budget,
    of_ignoring,
    of_measuring,
    per_handler,
    per_listed,
    per_reader,
    per_turn,
    ratios,
    spread,
)
from benchmarks.pods import encoded, pod
from benchmarks.server import Replay, prepare
from benchmarks.workloads import shortened

ROOT = Path(__file__).resolve().parent.parent
OBJECTS, UPDATES = 7, 20


# -- what is counted, and the same on every machine ---------------------------------------------------------------

CALLS_PER_EVENT = 1
"""Calls of our own Python functions for each event with one handler, from bytes to handler: ``Partition.put``.

A call costs about 50 ns, and what it does costs more. Before this number is raised, print the code objects that
``profile`` below sees to find the new calls, and let `python -m benchmarks quick` say that the budget bears them.
"""

CALLS_PER_HANDLER = 0
"""… and for each further handler, besides the handler itself."""

TRACKED_PER_OBJECT = 0
"""Objects that Python's garbage collector has to visit for each stored object: a full store must not slow it down."""


class Host:
    """What a consumer needs of a pipeline, without one; its time slice never ends."""

    name = "pods"

    def __init__(self, layout: Layout[Any]) -> None:
        self.pace = Pace(1e9)
        self._layout = layout
        self.tasks: list[asyncio.Task[None]] = []

    def now(self) -> float:
        return 0.0

    @property
    def events(self) -> EventFactory[Any]:
        return EventFactory(GroupVersionResource("", "v1", "pods"), self._layout.object_type)

    def is_synced(self) -> bool:
        return True

    def reason(self) -> str:
        return ""

    def slices(self) -> Iterator[list[tuple[str, Entry]]]:
        return iter(())

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, None],
        name: str,
        again: Callable[[], None],
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine, name=name, context=context)
        self.tasks.append(task)
        return task

    def dismiss(self, task: asyncio.Task[None]) -> None:
        task.cancel()

    def let_go(self, rest: list[Any]) -> None:
        pass

    def fact_of(self, fact: Any, entry: Any) -> Any: ...

    def forget(self, consumer: Any) -> None:
        pass


class Line:
    """The path of an event from bytes to handlers, on one turn of the loop at a time."""

    def __init__(self, handlers: int) -> None:
        self.layout: Layout[Any] = Layout(object_type_of(client.V1Pod), (), {"node": "spec.nodeName"})
        self.store: Store[Any] = Store(self.layout, (EVERYTHING,))
        self.decoder = WatchDecoder(self.layout, 1 << 20)
        self.dispatcher: Dispatcher[Any] = Dispatcher(self.store, asyncio.Queue(), 1e9, lambda: None)
        self.host = Host(self.layout)
        self.handled = 0
        for _ in range(handlers):
            options: ConsumerOptions[Any] = ConsumerOptions()
            consumer = Consumer(self.host, handler_set(self.handle), options, "handle")
            self.dispatcher.join(consumer.mailbox)
            consumer.start()

    async def handle(self, event: Event[Any]) -> None:
        self.handled += 1

    async def take(self, data: bytes, events: int) -> None:
        """Take events all the way."""
        expected = self.handled + events * len(self.host.tasks)
        for batch in self.decoder.feed(data):
            self.dispatcher.apply(WatchBatch(EVERYTHING, batch))
        while self.handled < expected:
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        for task in self.host.tasks:
            task.cancel()
        await asyncio.wait(self.host.tasks)


def lines(kind: str, objects: int, version: int) -> bytes:
    return b"".join(b'{"type":"%s","object":%s}\n' % (kind.encode(), encoded(i, version)) for i in range(objects))


async def calls(handlers: int, events: int) -> int:
    """Return how many of our functions are called while so many updates, of one batch, go all the way."""
    path = Line(handlers)
    await path.take(lines("ADDED", events, 1), events)
    data, found, package = lines("MODIFIED", events, 2), 0, f"{ROOT / 'aioinformers'}/"

    def profile(frame: types.FrameType, event: str, argument: object) -> None:
        nonlocal found
        found += event == "call" and frame.f_code.co_filename.startswith(package)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        await path.take(data, events)
    finally:
        sys.setprofile(before)
    await path.aclose()
    return found


async def calls_per_event(handlers: int) -> float:
    """Return the calls that a further event of a batch causes."""
    few, many = 20, 60  # both fit into one batch, so that what is done once per batch cancels out
    return (await calls(handlers, many) - await calls(handlers, few)) / (many - few)


async def test_an_event_takes_few_calls() -> None:
    assert await calls_per_event(1) <= CALLS_PER_EVENT


async def test_a_further_handler_takes_hardly_any_call() -> None:
    assert (await calls_per_event(11) - await calls_per_event(1)) / 10 <= CALLS_PER_HANDLER


async def tracked(objects: int) -> int:
    """Return how many objects the garbage collector has to visit for a store of so many Pods."""
    path = Line(1)
    gc.collect()
    before = len(gc.get_objects())
    for at in range(0, objects, 50):
        await path.take(b"".join(b'{"type":"ADDED","object":%s}\n' % encoded(i, i) for i in range(at, at + 50)), 50)
    gc.collect()
    found = len(gc.get_objects()) - before
    assert len(path.store) == objects
    await path.aclose()
    return found


async def test_a_stored_object_is_nothing_to_collect() -> None:
    few, many = 400, 1_200  # both have all nodes and namespaces, whose indexes are tracked
    await tracked(few)  # whatever is made once is made
    per_object = (await tracked(many) - await tracked(few)) / (many - few)
    assert round(per_object) <= TRACKED_PER_OBJECT  # the interpreter makes a few objects for itself meanwhile


# -- the replay server --------------------------------------------------------------------------------------------


@asynccontextmanager
async def replaying() -> AsyncIterator[str]:
    """Serve a few Pods; yield the URL."""
    replay = Replay(prepare(OBJECTS, UPDATES, None), OBJECTS)
    server = await asyncio.start_server(replay.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


SETTINGS = {
    "streamed": Settings(),
    "listed": Settings(watch_list=False),
    "paged": Settings(watch_list=False, page_size=3),
}


@pytest.mark.parametrize("way", SETTINGS)
@pytest.mark.parametrize("object_type", [None, Metadata])
async def test_an_informer_follows_the_replay_server(way: str, object_type: type[Metadata] | None) -> None:
    """List, pages, streamed list, flood and trickle."""
    async with (
        replaying() as url,
        client.ApiClient(client.Configuration(host=url)) as api,
        SharedInformerFactory(api, settings=SETTINGS[way]) as factory,
    ):
        pods: Any = factory.core.v1.pods(object_type=object_type) if object_type else factory.core.v1.pods()
        seen: list[str] = []
        done = asyncio.Event()

        async def count(event: Event[Any]) -> None:
            if isinstance(event, Updated):
                seen.append(event.object.metadata.resource_version)
                if len(seen) in (UPDATES, UPDATES + 5):
                    done.set()

        pods.add_event_handler(count)
        await factory.wait_for_cache_sync(timeout=10)
        names = {f"{found['namespace']}/{found['name']}" for i in range(OBJECTS) for found in [pod(i, 1)["metadata"]]}
        assert {str(key) for key in pods.indexer} == names
        while not pods.is_watching:  # after a list the watch is a request of its own
            await asyncio.sleep(0.001)

        for path in ("/flood", "/trickle?rate=1000&count=5"):
            done.clear()
            async with api.rest_client.pool_manager.get(url + path) as answer:
                assert await answer.read() == b"1"
            await asyncio.wait_for(done.wait(), 10)
        assert seen == [str(OBJECTS + i + 1) for i in range(UPDATES + 5)]


@pytest.mark.parametrize("variant", ["idle", "fields"])
async def test_a_controller_reconciles_what_the_replay_server_sends(variant: str) -> None:
    async with replaying() as url:
        options = argparse.Namespace(url=url, ca=None, variant=variant, objects=OBJECTS, events=UPDATES)
        found = await controllers.measure(options)
    assert found["sync_runs"] == OBJECTS
    assert OBJECTS <= found["event_runs"] <= UPDATES


# -- figures ------------------------------------------------------------------------------------------------------


def run(turn: int, event_us: float, *, objects: int = 1_000, events: int = 2_000) -> dict[str, Any]:
    """Return one run, in which a sync costs twice an event and an object 2 KiB."""
    return {
        "turn": turn, "version": "9", "event_cpu": event_us * events / 1e6, "sync_cpu": 2 * event_us * objects / 1e6,
        "empty_rss": 1 << 20, "rss": 3 << 20, "rss_collected": (1 << 20) + objects * 2048, "peak_rss": 6 << 20,
        "sync_seconds": 1.0, "event_seconds": 2.0, "server_cpu": 0.6,
    }  # fmt: skip


def work(**costs: list[float]) -> dict[str, Any]:
    """Return a workload of the costs of each case's turns."""
    runs = {name.replace("_", "-"): [run(i, cost) for i, cost in enumerate(found)] for name, found in costs.items()}
    return {
        "objects": 1_000,
        "events": 2_000,
        "runs": runs,
        "left_out": {},
        "seconds": 60.0,
        "date": "2026-01-01 00:00",
    }


ROW = Row(
    id="event", what="an event", workload="base", metric="event_us", ours="model", peer="go-protobuf", at={"1000": 0.5}
)
ROW_OF_10000 = replace(ROW, at={"10000": 0.5})
WITHOUT_PEER = replace(ROW_OF_10000, id="event-dict", peer="go-dynamic")


def test_figures_are_those_of_a_run() -> None:
    found = {metric: per_turn(work(model=[10.0]), "model", metric)[0] for metric in ("event_us", "sync_us", "kib")}
    assert found == pytest.approx({"event_us": 10.0, "sync_us": 20.0, "kib": 2.0})
    assert per_turn(work(model=[10.0]), "model", "peak") == {0: 2.0}
    assert per_turn(work(model=[10.0]), "model", "server_share") == pytest.approx({0: 0.2})


def test_ratios_are_of_the_same_turn() -> None:
    """A turn that only one of both has does not count; a slow machine is slow for both."""
    assert ratios({0: 1.0, 1: 30.0, 2: 9.0}, {0: 4.0, 1: 60.0}) == [0.25, 0.5]


def test_spread_is_the_median_and_the_range() -> None:
    found = spread([3.0, 1.0, 2.0, 10.0, 4.0])
    assert (found.median, found.low, found.high, found.lower_quartile, found.count) == (3.0, 1.0, 10.0, 2.0, 5)
    assert spread([5.0]).lower_quartile == 5.0


@pytest.mark.parametrize(
    ("ours", "is_kept", "is_exceeded"),
    [
        ([4.0, 4.0, 4.0, 9.0, 9.0], True, False),  # two turns were disturbed
        ([4.0, 4.0, 6.0, 6.0, 6.0], False, False),  # the median is above, but the turns do not agree
        ([4.0, 6.0, 6.0, 6.0, 6.0], False, True),
        ([5.1, 5.1, 5.1, 5.1, 5.1], False, True),
        ([], False, False),
    ],
)
def test_a_budget_is_exceeded_if_that_is_more_than_noise(ours: list[float], is_kept: bool, is_exceeded: bool) -> None:
    measured = {"base-1000": work(model=ours, go_protobuf=[10.0] * 5)}
    (verdict,) = judge([ROW], measured)
    assert (verdict.is_kept, verdict.is_exceeded) == (is_kept, is_exceeded)


def test_a_row_without_its_peer_is_not_measured() -> None:
    (verdict,) = judge([ROW], {"base-1000": work(model=[1.0])})
    assert verdict.found is None
    assert verdict.word == "not measured"


def test_a_further_handler_costs_the_slope() -> None:
    measured = {
        "objects": 1, "events": 2_000,
        "runs": {"model handlers=1": [run(0, 10.0), run(1, 20.0)], "model handlers=100": [run(0, 29.8), run(1, 29.9)]},
    }  # fmt: skip
    assert per_handler(measured, "model") == pytest.approx({0: 0.2, 1: 0.1})


def test_ignoring_costs_what_it_adds_to_an_event() -> None:
    measured = {
        "objects": 1, "events": 2_000,
        "runs": {"model ignore=0": [run(0, 10.0), run(1, 20.0)], "model ignore=1": [run(0, 18.0), run(1, 29.0)]},
    }  # fmt: skip
    assert of_ignoring(measured, "model") == pytest.approx({0: 8.0, 1: 9.0})
    row = next(row for row in load_budget() if row.id == "ignore")
    assert row.values({"ignore-10000": measured}, "10000") == pytest.approx([8.0, 9.0])


def test_measuring_costs_what_it_adds_to_an_event() -> None:
    measured = {
        "objects": 1, "events": 2_000,
        "runs": {"model faces=0": [run(0, 10.0), run(1, 20.0)], "model faces=2": [run(0, 10.2), run(1, 20.3)]},
    }  # fmt: skip
    assert of_measuring(measured, "model") == pytest.approx({0: 0.2, 1: 0.3})
    row = next(row for row in load_budget() if row.id == "observed")
    assert row.values({"faces-10000": measured}, "10000") == pytest.approx([0.2, 0.3])


def test_a_further_reader_costs_the_slope() -> None:
    measured = {
        "objects": 1, "events": 2_000,
        "runs": {"model-fields reading=1": [run(0, 10.0)], "model-fields reading=9": [run(0, 18.0)]},
    }  # fmt: skip
    assert per_reader(measured, "model-fields") == pytest.approx({0: 1.0})


def test_a_further_handler_costs_the_slope_of_the_first_list() -> None:
    measured = {
        "objects": 1_000, "events": 1,
        "runs": {"model handlers=1": [run(0, 10.0, events=1)], "model handlers=1000": [run(0, 509.5, events=1)]},
    }  # fmt: skip
    assert per_listed(measured, "model") == pytest.approx({0: 1.0})


def read_run(turn: int, per_second: float) -> dict[str, Any]:
    return run(turn, 1.0) | {
        "reads": {"get, field read": {"per_second": per_second, "found": 1}},
        "looks": {"first_us": 7.0, "again_us": 0.7, "rss_before": 3 << 20, "rss_after": 4 << 20},
    }


def test_reads_are_held_against_a_floor() -> None:
    """More is better there: the other quartile counts."""
    runs = {"reads": [read_run(i, rate) for i, rate in enumerate([8.0, 9.0, 12.0])], "go-reads": []}
    runs["go-reads"] = [read_run(i, 10.0) for i in range(3)]
    measured = {"reads-10": {"objects": 10, "events": 1, "runs": runs}}
    row = Row(
        id="r", what="", workload="reads", metric="get, field read", ours="reads", peer="go-reads", at={"10": 1.0},
        is_floor=True,
    )  # fmt: skip
    assert row.bound(1.0) == "≥ 1 ×"
    verdicts = [judge([replace(row, at={"10": limit})], measured)[0] for limit in (0.85, 1.0, 1.1)]
    assert [verdict.word for verdict in verdicts] == ["pass", "**fail**, within the noise", "**FAIL**"]


def test_looks_are_told_in_microseconds_and_what_they_keep_in_parts_of_before() -> None:
    measured = {"reads-10": {"objects": 10, "events": 1, "runs": {"reads": [read_run(0, 1.0)]}}}
    row = Row(id="r", what="", workload="reads", metric="first_us", ours="reads", unit="µs", at={"10": 7.5})
    assert judge([row], measured)[0].found == spread([7.0])
    assert judge([replace(row, metric="levels")], measured)[0].found == spread([1.5])


def test_what_is_the_same_in_all_cases_is_left_out_of_their_names() -> None:
    found: dict[str, Any] = {
        "runs": {"model tls=1 trickle=300": [], "model tls=1 trickle=300 uvloop=1": []},
        "left_out": {},
    }
    assert list(shortened(found, "tls=1", "trickle=300")["runs"]) == ["model", "model uvloop=1"]


def test_times_of_a_service_are_those_of_the_steady_load() -> None:
    full = {"per_second": 900.0, "p50_ms": 8.0, "p99_ms": 20.0, "max_ms": 30.0}
    steady = {"per_second": 300.0, "p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0}
    served = {"informer": {"idle": {"full": [full], "steady": [steady]}, "flood": {"full": [full]}}}
    shown = tables.served_table({"served": served})
    assert "| idle | 900 (900–900) | 1.00 (1.00–1.00) | 2.00 (2.00–2.00) | 3.00 (3.00–3.00) |" in shown
    assert "| flood | 900 (900–900) | – | – | – |" in shown


def test_steps_are_the_worse_of_both_ways_to_list() -> None:
    turns = {
        "LIST": [[{"phase": "first sync", "max_ms": 4.0}]],
        "WatchList": [[{"phase": "first sync", "max_ms": 6.0}]],
    }
    row = Row(id="step", what="", workload="steps", metric="max_ms", ours="first sync", at={"10": 5.0})
    (verdict,) = judge([row], {"steps-10": {"turns": turns}})
    assert verdict.is_exceeded
    assert verdict.found == spread([6.0])


def test_latency_has_its_own_ratios() -> None:
    rates = {"100": {"ratios": {"p99": [0.5, 0.9]}}}
    row = Row(id="l", what="", workload="latency", metric="p99", ours="", peer="x", size="writes/s", at={"100": 1.0})
    (verdict,) = judge([row], {"latency": {"rates": rates}})
    assert verdict.found == spread([0.5, 0.9])


def test_controllers_are_told_per_run_beside_those_that_do_the_same() -> None:
    measured = work(controller=[4.0], go_controller=[8.0], controller_fields=[6.0], go_controller_fields=[4.0])
    for runs in measured["runs"].values():
        runs[0] |= {"sync_runs": 1_000, "event_runs": 1_000}
    shown = tables.controller_table(measured).splitlines()
    assert "| 8.00 (8.00–8.00) | 0.500 (0.500–0.500) | 8.00 (8.00–8.00) |" in shown[2]
    assert [line.split(" | ")[2] for line in shown[2:]] == ["0.500 (0.500–0.500)", "1", "1.50 (1.50–1.50)", "1"]


async def test_looks_are_told_by_informer() -> None:
    found = await looks.look(2) | {"viewer_percent": 0.5}
    rows = [row for row in load_budget() if row.workload == "looks"]
    verdicts = judge(rows, {"looks": {"objects": 60, "runs": {"looks": [found | {"turn": 0}]}}})
    assert [verdict.row.id for verdict in verdicts if verdict.found is not None] == ["snapshot", "scrape", "viewer"]
    assert 0 < found["snapshot_ms"] < found["scrape_ms"]


async def test_a_queue_is_told_by_key() -> None:
    found = await queues.measure([ObjectKey("shop", f"web-{number}") for number in range(100)])
    row = Row(id="q", what="", workload="queue", metric="cycle_us", ours="queue", size="keys", at={"100": 1e9})
    (verdict,) = judge([row], {"queue": {"objects": 100, "runs": {"queue": [found | {"turn": 0}]}}})
    assert verdict.is_kept


def test_what_another_machine_has_measured_is_said() -> None:
    here = {"CPU": "fast", "cores": "2"}
    data = {"machine": here, "workloads": {"base-1000": work(), "queue": work() | {"machine": here | {"CPU": "slow"}}}}
    assert report.machine(data).endswith("- on another machine, `queue`: slow")


def test_every_row_of_the_budget_can_be_measured() -> None:
    rows = load_budget()
    assert len({row.id for row in rows}) == len(rows)
    notes = tomllib.loads((ROOT / "benchmarks" / "notes.toml").read_text(encoding="utf-8"))
    assert notes.keys() <= {row.id for row in rows}
    for row in rows:
        known = CONTROLLERS if row.workload == "controllers" else CONTENDERS
        assert row.workload not in {"base", "trickle", "controllers"} or {row.ours, row.peer} - {""} <= known.keys()


def test_a_failing_row_without_an_explanation_is_loud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notes = tmp_path / "notes.toml"
    notes.write_text("", encoding="utf-8")
    monkeypatch.setattr(report, "NOTES", notes)
    monkeypatch.setattr(report, "load_budget", lambda: [ROW])
    measured = {"base-1000": work(model=[9.0], go_protobuf=[10.0])}
    assert "NOBODY HAS EXPLAINED" in report.budget(measured)
    notes.write_text('[event]\ntext = "Because."', encoding="utf-8")
    assert "Because." in report.budget(measured)


@pytest.mark.parametrize(("ours", "status", "word"), [(1.0, 0, "No budget is exceeded"), (9.0, 1, "Exceeded: event")])
def test_the_quick_check_fails_if_a_budget_is_exceeded(
    ours: float, status: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {"base-10000": work(model=[ours] * 3, struct=[1.0] * 3, go_protobuf=[10.0] * 3)}
    measured["base-10000"]["left_out"] = {"go-dynamic": "go is not installed"}
    monkeypatch.setattr(command, "run_all", lambda chosen, rounds, done: measured)
    monkeypatch.setattr(command, "load_budget", lambda: [ROW_OF_10000, WITHOUT_PEER])
    assert command.run_quick(argparse.Namespace(rounds=None)) == status
    printed = capsys.readouterr().out
    assert word in printed
    assert "go-dynamic is left out: go is not installed" in printed
    assert "Not measured: event-dict." in printed


def test_the_table_shows_medians_and_ratios() -> None:
    shown = tables.base_table(work(model=[4.0, 5.0, 6.0], go_protobuf=[10.0, 10.0, 10.0]))
    row = next(line for line in shown.splitlines() if "aioinformers" in line)
    assert "| 5.00 (4.00–6.00) | 0.500 (0.400–0.600) |" in row


# -- pages --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return report.load()


def test_pages_show_what_was_measured(data: dict[str, Any]) -> None:
    """If this fails: ``python -m benchmarks report``."""
    for path, text in report.pages(data).items():
        assert path.read_text(encoding="utf-8") == text, path


def test_the_report_has_every_row_of_the_budget(data: dict[str, Any]) -> None:
    shown = report.report(data)
    for row in load_budget():
        assert row.what in shown


def test_the_table_of_the_readme_is_short(data: dict[str, Any]) -> None:
    assert len(report.readme_table(data).splitlines()) <= 12


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="performance"):
        report.replaced("nothing", "performance", "table")
