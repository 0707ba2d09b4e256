"""What a reflector asks the server for, and when: lists, pages, watches, resumes, relists."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import GroupVersionResource, Metadata, ObjectKey, Settings, WatchFailure
from aioinformers.cache.dispatcher import Dispatcher
from aioinformers.cache.indexer import Store
from aioinformers.errors import ResponseError
from aioinformers.listwatch.attempt import Target
from aioinformers.listwatch.liveness import Liveness
from aioinformers.listwatch.recovery import State
from aioinformers.listwatch.reflector import Reflector
from aioinformers.objects.deltas import Batch
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.queue import QueueItem, ReplaceBatch, ReplaceBegin, WatchBatch
from aioinformers.testing import ChaosProxy, Ending, FakeAPIServer, Fault, VirtualTimeLoop
from aioinformers.transport.source import Source
from aioinformers.types import EVERYTHING, Scope
from tests.kit import LISTS, QUICK, Recorder, cached, configmap, factory_on, started, stored

pytestmark = pytest.mark.virtual_time


def asked(server: FakeAPIServer, *names: str) -> list[tuple[str, ...]]:
    """Return what the requests for configmaps asked, without those made by tests."""
    found = []
    for request in server.requests:
        if request.path.endswith("configmaps") and request.method == "GET":
            verb = "watch" if request.query.get("watch") == "true" else "list"
            verb = "check" if request.query.get("limit") == "1" else verb
            found.append((verb, *(request.query.get(name, "-") for name in names)))
    return found


async def test_first_list_asks_for_any_state_in_pages_and_the_watch_goes_on_from_it() -> None:
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        server.create("configmaps", configmap("c"))
        await started(factory)
        assert asked(server, "resourceVersion", "limit") == [
            ("list", "0", "500"),
            ("watch", server.resource_version, "-"),
        ]
        (watch,) = (request for request in server.requests if request.query.get("watch"))
        assert watch.query["allowWatchBookmarks"] == "true"
        assert 300 <= int(watch.query["timeoutSeconds"]) <= 600


async def test_pages_carry_the_token_and_no_version() -> None:
    settings = dataclasses.replace(LISTS, page_size=4)
    async with FakeAPIServer(watch_cache=False) as server, factory_on(server, settings=settings) as factory:
        for i in range(10):
            server.create("configmaps", configmap(f"c{i}"))
        configmaps = await started(factory)
        assert len(configmaps.lister) == 10
        assert configmaps.statistics().lists == 1
        pages = [request.query for request in server.requests if "watch" not in request.query]
        assert [page.get("resourceVersion") for page in pages] == ["0", None, None]
        assert [("continue" in page, page["limit"]) for page in pages] == [(False, "4"), (True, "4"), (True, "4")]


async def test_server_that_pages_lists_of_any_state_is_asked_for_pages_again() -> None:
    settings = dataclasses.replace(LISTS, page_size=4)
    async with FakeAPIServer(watch_cache=False) as server, factory_on(server, settings=settings) as factory:
        for i in range(6):
            server.create("configmaps", configmap(f"c{i}"))
        await started(factory)
        server.close_watches()
        server.create("nodes", {"metadata": {"name": "n"}})
        server.create("configmaps", configmap("late"))
        server.expire()
        await asyncio.sleep(30)
        lists = [r.query for r in server.requests if "watch" not in r.query and r.query.get("limit") != "1"]
        assert lists[2].get("limit") == "4"
        assert "resourceVersion" in lists[2]


async def test_expired_page_token_means_one_whole_list_at_the_original_version() -> None:
    settings = dataclasses.replace(LISTS, page_size=4)
    async with FakeAPIServer(watch_cache=False) as server, factory_on(server, settings=settings) as factory:
        for i in range(10):
            server.create("configmaps", configmap(f"c{i}"))
        server.fail(lambda request: "continue" in request.query, 410, body=_status(410, "Expired"))
        configmaps = await started(factory)
        assert asked(server, "resourceVersion", "limit")[:3] == [
            ("list", "0", "4"),
            ("list", "-", "4"),
            ("list", "0", "-"),
        ]
        assert cached(configmaps) == stored(server, "configmaps")


async def test_list_whose_version_is_refused_is_repeated_at_once_for_the_most_recent_state() -> None:
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        server.create("configmaps", configmap("c"))
        await started(factory)
        server.create("configmaps", configmap("d"))  # or the watch would be checked before it is resumed
        await asyncio.sleep(1)
        version = server.resource_version
        server.fail("watch configmaps", 410, body=_status(410, "Expired"))
        server.fail("list configmaps", 410, body=_status(410, "Expired"))
        server.close_watches()
        await asyncio.sleep(30)
        sequence = asked(server, "resourceVersion")
        assert sequence[2:6] == [("watch", version), ("list", version), ("list", "-"), ("watch", version)]
        times = [r.time for r in server.requests if r.path.endswith("configmaps")]
        assert times[2:6] == [3.0] * 4, "what is known to be refused need not be waited for"


@pytest.mark.parametrize(
    "body",
    [
        {"code": 504, "reason": "Timeout", "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}},
        {"code": 504, "reason": "Timeout", "details": {"causes": [{"message": "Too large resource version"}]}},
        {"code": 504, "reason": "Timeout", "message": "Too large resource version"},
    ],
)
async def test_too_large_version_is_answered_at_once_in_each_of_its_forms(body: dict[str, Any]) -> None:
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        server.create("configmaps", configmap("c"))
        await started(factory)
        status = {"kind": "Status", "status": "Failure", **body}
        server.fail("watch configmaps", 403, body=_status(403, "Forbidden"))
        server.create("configmaps", configmap("d"))
        await asyncio.sleep(1)
        server.fail("list configmaps", 504, body=status, headers={"Retry-After": "30"})
        server.close_watches()
        await asyncio.sleep(5)
        assert [version for verb, version in asked(server, "resourceVersion") if verb == "list"][1:] == [
            server.resource_version,
            "-",
        ]


async def test_watch_that_ends_is_resumed_at_once_from_the_last_version() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = await started(factory)
        for i in range(3):
            server.create("configmaps", configmap(f"c{i}"))
            await asyncio.sleep(2)
            server.close_watches()
            await asyncio.sleep(0.1)
        assert [v for verb, v in asked(server, "resourceVersion")][1:] == [
            obj["metadata"]["resourceVersion"] for obj in server.list("configmaps")
        ]
        assert configmaps.statistics().lists == 1


async def test_watching_is_between_the_headers_of_an_answer_and_its_end() -> None:
    """Not while the server has only been asked, and no longer once the stream has ended."""
    settings = dataclasses.replace(LISTS, watch_timeout_min=100, watch_timeout_max=100)
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        server.intercept(lambda request: Fault(delay=20) if request.verb == "watch" else None)
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)
        await asyncio.sleep(0.5)
        seen: list[tuple[int, bool, str]] = []
        for second in range(1, 190):
            health = configmaps.health()
            if not seen or seen[-1][1:] != (health.is_watching, health.reason):
                seen.append((second, health.is_watching, health.reason))
            if second % 7 == 0:
                server.create("configmaps", configmap(f"c{second}"))
            await asyncio.sleep(1)
        opening = "opening the watch"
        # 20 s until the first answer, 100 s of watching, 20 s until the next answer.
        assert seen == [(1, False, opening), (21, True, ""), (121, False, opening), (141, True, "")]


async def test_stream_is_a_watch_once_its_initial_objects_are_there() -> None:
    """And no longer when it breaks off."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = await started(factory)
        assert configmaps.is_watching
        server.intercept(lambda request: Fault(ending=Ending.STALL, after=None))
        server.reset_connections()
        await asyncio.sleep(0.1)
        assert (configmaps.is_watching, configmaps.health().reason[:7]) == (False, "waiting")
        await asyncio.sleep(1)
        assert (configmaps.is_watching, configmaps.health().reason[:8]) == (False, "checking")


async def test_bookmarks_move_the_version_to_resume_from() -> None:
    async with FakeAPIServer() as server, factory_on(server, namespace="default") as factory:
        configmaps = await started(factory)
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        server.create("configmaps", configmap("c", "elsewhere"))
        await asyncio.sleep(70)
        server.close_watches()
        await asyncio.sleep(1)
        assert asked(server, "resourceVersion")[-1] == ("watch", server.resource_version)
        assert recorder.events == []


async def test_two_watches_draw_different_timeouts() -> None:
    settings = dataclasses.replace(LISTS, watch_timeout_min=60, watch_timeout_max=120)
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        await started(factory)
        await asyncio.sleep(1000)
        timeouts = {timeout for verb, timeout in asked(server, "timeoutSeconds") if verb == "watch"}
        assert len(timeouts) > 3
        assert all(60 <= int(timeout) <= 120 for timeout in timeouts)


async def test_initial_objects_are_streamed_and_the_same_stream_goes_on() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(300):
            server.create("configmaps", configmap(f"c{i}"))
        configmaps = await started(factory)
        server.create("configmaps", configmap("late"))
        await asyncio.sleep(1)
        assert cached(configmaps) == stored(server, "configmaps")
        assert asked(server, "sendInitialEvents", "resourceVersionMatch", "resourceVersion") == [
            ("watch", "true", "NotOlderThan", "-")
        ]


async def test_server_that_cannot_stream_is_listed_and_not_asked_again_for_a_while() -> None:
    async with FakeAPIServer(watch_list=False) as server, factory_on(server) as factory:
        await started(factory)
        assert [verb for verb, _ in asked(server, "x")] == ["watch", "list", "watch"]
        for _ in range(2):
            server.create("configmaps", configmap(f"c{server.resource_version}"))
            server.close_watches()
            server.expire()
            await asyncio.sleep(60)
        assert sum(r.query.get("sendInitialEvents") == "true" for r in server.requests) == 1
        factory.for_resource("pods.v1.")
        await asyncio.sleep(1)
        assert sum(r.query.get("sendInitialEvents") == "true" for r in server.requests) == 1, "remembered per server"


async def test_busy_server_is_asked_again_without_a_list() -> None:
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        configmaps = await started(factory)
        server.create("configmaps", configmap("c"))  # or the watch would be checked before it is resumed
        await asyncio.sleep(70)
        server.fail("watch configmaps", 429, times=4, body=_status(429, "TooManyRequests"))
        server.close_watches()
        await asyncio.sleep(30)
        assert [verb for (verb,) in asked(server)] == ["list"] + ["watch"] * 6
        assert configmaps.is_watching
        assert configmaps.last_error is None or "429" in str(configmaps.last_error)


async def test_refused_watch_is_relisted() -> None:
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        await started(factory)
        server.fail("watch configmaps", 500, body=_status(500, "InternalError"))
        server.close_watches()
        await asyncio.sleep(30)
        assert [verb for (verb,) in asked(server)] == ["list", "watch", "check", "watch", "list", "watch"]


async def test_retry_after_is_honoured_and_capped() -> None:
    failures: list[WatchFailure] = []
    async with FakeAPIServer() as server, factory_on(server, on_watch_error=failures.append) as factory:
        server.fail("watch configmaps", 429, headers={"Retry-After": "17"}, body=_status(429, "TooManyRequests"))
        server.fail("watch configmaps", 429, headers={"Retry-After": "3600"}, body=_status(429, "TooManyRequests"))
        await started(factory, timeout=100)
        assert sorted(failure.next_delay for failure in failures) == [17.0, 60.0]


@pytest.mark.parametrize(
    ("header", "date", "delay"),
    [
        ("Wed, 21 Oct 2037 07:28:17 GMT", "Wed, 21 Oct 2037 07:28:00 GMT", 17.0),
        ("Wednesday, 21-Oct-37 07:28:17 GMT", "Wed, 21 Oct 2037 07:28:00 GMT", 17.0),
        ("Wed, 21 Oct 2037 07:28:17 GMT", "Wed, 21 Oct 2037 07:28:17 GMT", 0.8),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2037 07:28:00 GMT", 0.8),
        ("Wed, 21 Oct 2037 08:28:00 GMT", "Wed, 21 Oct 2037 07:28:00 GMT", 60.0),
        ("in a while", "Wed, 21 Oct 2037 07:28:00 GMT", 0.8),
    ],
)
async def test_retry_after_may_be_a_date_on_the_clock_of_the_server(header: str, date: str, delay: float) -> None:
    failures: list[WatchFailure] = []
    async with FakeAPIServer() as server, factory_on(server, on_watch_error=failures.append) as factory:
        body, headers = _status(429, "TooManyRequests"), {"Retry-After": header, "Date": date}
        server.fail("watch configmaps", 429, headers=headers, body=body)
        await started(factory, timeout=100)
        assert [failure.next_delay for failure in failures] == [delay]


def renamed(kind: str, api_version: str = "v1") -> Fault:
    """Give every list another kind."""

    def rename(body: bytes) -> bytes:
        document = json.loads(body) | {"kind": kind, "apiVersion": api_version}
        return json.dumps(document, separators=(",", ":")).encode()

    return Fault(rewrite=rename)


@pytest.mark.parametrize(
    ("resource", "options", "fault", "is_accepted"),
    [
        ("configmaps.v1.", {}, renamed("ConfigMapList"), True),
        ("configmaps.v1.", {}, renamed("List"), True),
        ("configmaps.v1.", {}, renamed("SecretList"), False),
        ("configmaps.v1.", {}, renamed("WidgetList", "example.com/v1"), False),
        ("configmaps.v1.", {}, renamed("PartialObjectMetadataList", "meta.k8s.io/v1"), False),
        ("configmaps.v1.", {"object_type": Metadata}, renamed("PartialObjectMetadataList", "meta.k8s.io/v1"), True),
        ("configmaps.v1.", {"object_type": Metadata}, renamed("SecretList"), False),
        ("configmaps.v1.", {}, Fault(rewrite=lambda body: body.rstrip()[:-1] + b',"kind":"SecretList"}'), False),
        ("widgets.v1.example.com", {}, renamed("WidgetList", "example.com/v1"), True),
        ("widgets.v1.example.com", {}, renamed("BoxOfWidgets", "example.com/v1"), True),
        ("widgets.v1.example.com", {}, renamed("SecretList", "example.com/v1"), True),
        ("widgets.v1.example.com", {}, renamed("WidgetList", "v1"), True),
        ("widgets.v1.example.com", {}, renamed("SecretList"), False),
        ("widgets.v1.example.com", {}, renamed("DeploymentList", "apps/v1"), False),
    ],
)
async def test_list_of_another_kind_is_refused(
    resource: str, options: dict[str, Any], fault: Fault, is_accepted: bool
) -> None:
    """Where it is certain: custom resources name the kind of their lists as they like, as do some aggregated APIs."""
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        server.add_resource("widgets.v1.example.com", "Widget")
        server.create(resource, {"metadata": {"name": "a"}})
        informer = factory.for_resource(resource, **options)
        heal = server.intercept(lambda request: fault if request.verb == "list" else None)
        await factory.start()
        await asyncio.sleep(5)
        assert informer.has_synced is is_accepted
        if not is_accepted:
            assert f"expected a list of {informer.resource}, got " in informer.health().reason
        heal()
        await factory.wait_for_cache_sync(timeout=31)
        assert list(informer.indexer.keys()) == [ObjectKey("default", "a")]


async def test_list_of_another_kind_changes_nothing() -> None:
    """Not even what kind the objects are said to be."""
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        server.create("configmaps", configmap("a"))
        configmaps = await started(factory)
        before = configmaps.lister.get("a", namespace="default")
        server.intercept(lambda request: renamed("SecretList") if request.verb == "list" else None)
        server.delete("configmaps", "a")
        server.expire()
        server.fail("watch configmaps", 500, times=None)
        server.close_watches()
        await asyncio.sleep(31)
        assert "got SecretList of v1" in configmaps.health().reason
        assert configmaps.lister.get("a", namespace="default")["kind"] == before["kind"] == "ConfigMap"


async def test_nothing_is_asked_before_the_start() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        factory.core.v1.pods()
        await asyncio.sleep(10)
        assert server.requests == [] or not list(server.requests)


async def test_connection_reset_resumes_from_the_last_version() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = await started(factory)
        server.create("configmaps", configmap("a"))
        await asyncio.sleep(1)
        server.reset_connections()
        server.create("configmaps", configmap("b"))
        await asyncio.sleep(10)
        assert cached(configmaps) == stored(server, "configmaps")
        assert configmaps.statistics().lists == 1


async def test_at_most_so_many_lists_run_at_once() -> None:
    settings = dataclasses.replace(LISTS, max_concurrent_lists=2)
    under_way: list[int] = []
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:

        async def slow(request: Any) -> None:
            if "watch" not in request.query:
                under_way.append(1)
                assert sum(under_way) <= 2
                await asyncio.sleep(0.5)
                under_way.append(-1)

        server.intercept(slow)
        for name in ("pods", "nodes", "configmaps", "services", "secrets"):
            factory.for_resource(f"{name}.v1.")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=10)


# -- a reflector alone --------------------------------------------------------------------------------------------


class Drain(asyncio.Queue[QueueItem]):
    """Stands for a queue whose dispatcher is never behind."""

    async def put(self, item: QueueItem) -> None:
        if isinstance(item, ReplaceBegin):
            item.begun.set_result(None)


def reflector_of(
    source: Source,
    namespace: str = "",
    on_failure: Callable[[WatchFailure], None] = lambda _: None,
    queue: asyncio.Queue[QueueItem] | None = None,
) -> Reflector:
    target = Target(GroupVersionResource("", "v1", "configmaps"), Scope(namespace), {}, lambda _kind, _version: False)
    layout: Layout[Any] = Layout(object_type_of(dict))
    return Reflector(target, source, queue or Drain(), lambda: layout, on_failure, lambda _key, _uid, _version: False)


async def run_for(reflector: Reflector, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reflector.run(), seconds)


async def test_changes_of_state_are_logged_for_those_who_debug(caplog: pytest.LogCaptureFixture) -> None:
    """With the resource, the scope and both states; nothing is said about single events."""
    caplog.set_level(logging.DEBUG, "aioinformers.reflector")
    async with FakeAPIServer() as server, server.api_client() as api:
        reflector = reflector_of(Source(api, LISTS), "default")
        asyncio.get_running_loop().call_later(5, server.create, "configmaps", configmap("c"))
        asyncio.get_running_loop().call_later(10, server.reset_connections)
        await run_for(reflector, 11)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG] == [
        "configmaps.v1 in default: waiting for its turn to list, after waiting",
        "configmaps.v1 in default: listing, after waiting for its turn to list",
        "configmaps.v1 in default: opening the watch, after listing",
        "configmaps.v1 in default: watching, after opening the watch",
        "configmaps.v1 in default: waiting, after watching",
        "configmaps.v1 in default: opening the watch, after waiting",
        "configmaps.v1 in default: watching, after opening the watch",
        "configmaps.v1 in default: stopped, after watching",
    ]


async def test_a_transition_that_cannot_happen_is_a_bug() -> None:
    """It is not carried out in silence."""
    async with FakeAPIServer() as server, server.api_client() as api:
        reflector = reflector_of(Source(api, LISTS))
        reflector.state = State.CHECKING
        with pytest.raises(AssertionError, match=r"^configmaps\.v1: a reflector cannot go from State\.CHECKING to "):
            reflector._enter(State.LISTING)


@pytest.mark.parametrize("settings", [QUICK, LISTS], ids=["stream", "list"])
async def test_a_reflector_that_is_cancelled_keeps_no_turn(settings: Settings) -> None:
    """Neither while it waits for its turn, nor while it has it, nor after it has given it back."""
    settings = dataclasses.replace(settings, max_concurrent_lists=1)
    async with FakeAPIServer() as server, server.api_client() as api:
        source = Source(api, settings)
        slow = server.intercept(lambda _: Fault(delay=10))
        holder, waiter = (asyncio.create_task(reflector_of(source).run()) for _ in range(2))
        await asyncio.sleep(0.5)
        for task in (waiter, holder):
            assert source.lists.holders == ["configmaps.v1"]
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        assert source.lists.holders == []
        slow()
        following = asyncio.create_task(reflector_of(source).run())
        await asyncio.sleep(5)
        assert source.lists.holders == [], "it watches"
        following.cancel()
        await asyncio.wait([following])


# -- strangers that cancel ----------------------------------------------------------------------------------------


class NotingDispatcher(Dispatcher[Any]):
    """Notes what watches have told, in order: key and version."""

    told: list[tuple[str, str]]

    def apply(self, item: WatchBatch) -> None:
        self.told += [(key, entry.version) for _, key, entry in item.batch.deltas]
        super().apply(item)


class Follower:
    """A reflector with a store, whose task is started again when a stranger has cancelled it, as pipelines do."""

    def __init__(self, source: Source, *, has_offers: bool, failures: list[WatchFailure]) -> None:
        self.store: Store[Any] = Store(Layout(object_type_of(dict)), (EVERYTHING,))
        queue: asyncio.Queue[QueueItem] = asyncio.Queue(1)
        self.dispatcher = NotingDispatcher(self.store, queue, 0.0, lambda: None)
        self.dispatcher.told = []
        self.source = source
        self.failures = failures
        self._due = 0.0
        self.reflector = Reflector(
            Target(GroupVersionResource("", "v1", "configmaps"), EVERYTHING, {}, lambda _kind, _version: False),
            source,
            queue,
            lambda: self.store.layout,
            self._note,
            functools.partial(self.store.has_version, EVERYTHING),
            self.dispatcher.offer if has_offers else lambda _: False,
            lambda: has_offers and self.dispatcher.takes_offers,
        )
        self.task = asyncio.create_task(self.reflector.run())
        self._dispatching = asyncio.create_task(self.dispatcher.run())

    @property
    def cached(self) -> dict[str, tuple[str, str]]:
        return {key: (entry.uid, entry.version) for key, entry in self.store.partitions[EVERYTHING].objects.items()}

    def _note(self, failure: WatchFailure) -> None:
        self.failures.append(failure)
        self._due = asyncio.get_running_loop().time() + failure.next_delay

    async def next_attempt(self) -> None:
        """Wait until the delay is over that follows the next failure: an attempt begins in the same turn."""
        async with asyncio.timeout(1):
            while not self.failures:
                await asyncio.sleep(0.01)
        await asyncio.sleep(self._due - asyncio.get_running_loop().time())

    async def cancelled_by_a_stranger(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        assert self.task.cancelled(), "it swallowed its cancellation"
        assert self.reflector.state is State.STOPPED
        assert self.source.lists.holders == [], "it kept its turn"
        await asyncio.sleep(0)
        self.task = asyncio.create_task(self.reflector.run())
        await asyncio.sleep(0)
        assert self.reflector.state.name == "WAITING", "it begins again without a delay"

    async def ended(self) -> None:
        for task in (self.task, self._dispatching):
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def following(
    settings: Settings, *, has_offers: bool = True
) -> AsyncIterator[tuple[FakeAPIServer, Follower, list[WatchFailure]]]:
    failures: list[WatchFailure] = []
    async with FakeAPIServer() as server, server.api_client() as api:
        for number in range(9):
            server.create("configmaps", configmap(f"first-{number}"))
        follower = Follower(Source(api, settings), has_offers=has_offers, failures=failures)
        try:
            yield server, follower, failures
        finally:
            await follower.ended()
        await asyncio.sleep(0.1)
        assert server.connections <= 1, "it kept a response"  # one idle connection is the client's


async def converged(server: FakeAPIServer, follower: Follower) -> None:
    async with asyncio.timeout(61):
        while follower.cached != stored(server, "configmaps") or follower.reflector.state is not State.WATCHING:
            await asyncio.sleep(0.1)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


PAGES = dataclasses.replace(LISTS, page_size=2)
TURNS = 50
"""More than a list, or a watch and its event, takes on the embedded server."""


@pytest.mark.parametrize("settings", [QUICK, LISTS], ids=["stream", "list"])
@pytest.mark.parametrize("has_offers", [True, False], ids=["applied at once", "queued"])
async def test_g1_a_first_list_that_a_stranger_cancels_begins_anew(settings: Settings, has_offers: bool) -> None:
    """At any turn of the loop."""
    for turn in range(TURNS):
        async with following(settings, has_offers=has_offers) as (server, follower, failures):
            await turns(turn + 1)
            await follower.cancelled_by_a_stranger()
            await converged(server, follower)
            assert follower.dispatcher.counts.added == 9, "nothing came twice"
            said = {str(failure.error) for failure in failures}
            assert said <= {"something else than the informer has cancelled the request"}


@pytest.mark.parametrize("has_offers", [True, False], ids=["applied at once", "queued"])
async def test_g1_a_watch_that_a_stranger_cancels_is_resumed_without_a_gap_and_without_a_double(
    has_offers: bool,
) -> None:
    """Wherever it is: opening, reading, waiting for room, pausing."""
    async with following(LISTS, has_offers=has_offers) as (server, follower, _):
        await converged(server, follower)
        written = list[tuple[str, str]]()

        def write(name: str) -> None:
            made = server.create("configmaps", configmap(name))
            written.append((f"default/{name}", made["metadata"]["resourceVersion"]))

        for turn in range(TURNS):
            for number in range(5):
                write(f"c-{turn}-{number}")
            await turns(turn)
            write(f"c-{turn}-late")
            await follower.cancelled_by_a_stranger()
            write(f"c-{turn}-away")
            await converged(server, follower)
        assert follower.dispatcher.told == written
        assert follower.dispatcher.counts.lists == 1


@pytest.mark.parametrize("settings", [QUICK, LISTS, PAGES], ids=["stream", "list", "pages"])
async def test_g5_a_relist_that_a_stranger_cancels_begins_anew(settings: Settings) -> None:
    """What it had put half into the queue is dropped."""
    async with following(settings) as (server, follower, failures):
        await converged(server, follower)
        for turn in range(TURNS):
            failures.clear()
            server.create("configmaps", configmap(f"c-{turn}"))
            server.delete("configmaps", f"c-{turn - 1}" if turn else "first-0")
            await asyncio.sleep(0.1)
            server.create("configmaps", configmap(f"d-{turn}"))
            server.delete("configmaps", f"c-{turn}")
            server.create("configmaps", configmap(f"c-{turn}"))
            server.expire()
            server.reset_connections()
            await follower.next_attempt()
            await turns(turn)
            await follower.cancelled_by_a_stranger()
            await converged(server, follower)


async def test_g9_a_check_that_a_stranger_cancels_is_made_again() -> None:
    async with following(LISTS) as (server, follower, failures):
        await converged(server, follower)
        checking = 0
        for turn in range(12):
            await asyncio.sleep(70)
            failures.clear()
            server.reset_connections()  # nothing was shown
            await follower.next_attempt()
            await turns(turn)
            checking += follower.reflector.state is State.CHECKING
            await follower.cancelled_by_a_stranger()
            asked = len(server.requests)
            await converged(server, follower)
            assert [request.query.get("limit") for request in server.requests[asked:]][:1] == ["1"]
        assert checking > 3
        assert follower.dispatcher.counts.lists == 1


async def test_g9_a_delay_that_a_stranger_cancels_is_not_begun_anew() -> None:
    """Or nothing would ever be attempted by one whom somebody cancels every second."""
    loop = asyncio.get_running_loop()
    async with following(LISTS) as (server, follower, failures):
        await converged(server, follower)
        await server.stop()
        await asyncio.sleep(200)
        while len(failures) < 12:
            await asyncio.sleep(0.1)
        due = loop.time() + failures[-1].next_delay
        attempts = len(failures)
        while len(failures) == attempts:
            assert follower.reflector.state is State.WAITING
            await asyncio.sleep(1)
            await follower.cancelled_by_a_stranger()
        assert loop.time() <= due + 1.1
        await server.start()
        await converged(server, follower)


class Stray(BaseException):
    """What other libraries raise past every ``except Exception``."""


@pytest.mark.parametrize("error", [asyncio.CancelledError, Stray], ids=["CancelledError", "another one"])
@pytest.mark.parametrize("kind", ["stream", "list", "watch", "check"])
async def test_g9_what_looks_like_the_end_and_is_none_is_a_failed_attempt(
    error: type[BaseException], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has cancelled the task: something that it runs has made that up. It says nothing about the server."""
    left = [3]
    plain = Source.open

    def opened(self: Source, path: str, query: Mapping[str, str], **options: Any) -> Any:
        is_list = "watch" not in query
        found = "check" if query.get("limit") == "1" else "list" if is_list else "watch"
        found = "stream" if "sendInitialEvents" in query else found
        if found == kind and left[0]:
            left[0] -= 1
            raise error
        return plain(self, path, query, **options)

    async with following(QUICK if kind == "stream" else LISTS) as (server, follower, failures):
        monkeypatch.setattr(Source, "open", opened)
        if kind == "check":
            await converged(server, follower)
            server.reset_connections()
            await asyncio.sleep(1)
        await converged(server, follower)
        assert left == [0]
        said = [failure for failure in failures if f"was ended by {error.__name__}" in str(failure.error)]
        assert [failure.next_delay for failure in said] in ([0.8, 1.6, 3.2], [1.6, 3.2, 6.4])
        assert not follower.task.done()
        assert [r.query.get("sendInitialEvents") for r in server.requests].count("true") == (kind == "stream")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_g10_the_end_of_the_process_passes_through(error: type[BaseException]) -> None:
    async with FakeAPIServer() as server, server.api_client() as api:

        def raising(_: WatchFailure) -> None:
            raise error

        server.fail("list configmaps", 500)
        reflector = reflector_of(Source(api, LISTS), on_failure=raising)
        with pytest.raises(error):
            await reflector.run()
        assert reflector.state is State.STOPPED
        await run_for(reflector, 5)


# -- turns of lists -----------------------------------------------------------------------------------------------


class SlowDrain(Drain):
    """Takes its time for the objects of a list, and notes who had a turn meanwhile."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.seen: list[tuple[str, list[str]]] = []

    async def put(self, item: QueueItem) -> None:
        await super().put(item)
        if isinstance(item, ReplaceBatch):
            self.seen.append((f"configmaps.v1 in {item.scope}", self.source.lists.holders))
            await asyncio.sleep(0.3)


@pytest.mark.parametrize("seconds", [0.0, 0.5], ids=["before the headers", "in the middle"])
@pytest.mark.parametrize("settings", [QUICK, LISTS], ids=["stream", "list"])
async def test_g8_who_let_others_go_first_reads_nothing_before_it_has_its_turn_again(
    settings: Settings, seconds: float
) -> None:
    """However many answers come at last in one moment: not all lists are decoded at once."""
    settings = dataclasses.replace(settings, max_concurrent_lists=3)
    async with FakeAPIServer() as server, ChaosProxy(server.url) as proxy:
        for namespace in "abcdef":
            for number in range(99):
                server.create("configmaps", configmap(f"c{number}", namespace, text="x" * 100))
        async with client.ApiClient(client.Configuration(host=proxy.url)) as api:
            source = Source(api, settings)
            drain = SlowDrain(source)
            proxy.rate, proxy.split = 20_000.0, 2000
            tasks = [asyncio.create_task(reflector_of(source, each, queue=drain).run()) for each in "abcdef"]
            await asyncio.sleep(seconds)
            proxy.freeze()
            began = len(drain.seen)
            assert bool(began) is bool(seconds)
            await asyncio.sleep(8)
            assert source.lists.holders == [], "each of them has asked, and waits"
            proxy.rate = proxy.split = None
            proxy.thaw()
            await asyncio.sleep(12)
            assert len({name for name, _ in drain.seen[began:]}) == 6
            for name, holders in drain.seen:
                assert name in holders
                assert len(holders) <= 2
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def test_g12_events_that_take_long_to_apply_are_applied_in_small_portions() -> None:
    """As with a thousand handlers that are all behind. Nothing is lost or told twice, also if that is interrupted."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    steps: list[int] = []
    async with following(LISTS) as (server, follower, _):
        await converged(server, follower)
        applied = follower.reflector._offer

        def slow(item: WatchBatch) -> bool:
            steps.append(len(item.batch.deltas))
            loop._now += 0.001 * len(item.batch.deltas)
            return applied(item)

        follower.reflector._offer = slow
        for turn in range(10):
            for number in range(100):
                server.create("configmaps", configmap(f"c-{turn}-{number}"))
            await turns(5 * turn)
            await follower.cancelled_by_a_stranger()
            await converged(server, follower)
        assert max(steps[5:]) <= 5
        names = [key for key, _ in follower.dispatcher.told]
        assert names == [f"default/c-{turn}-{number}" for turn in range(10) for number in range(100)]


@pytest.mark.parametrize("has_offers", [True, False])
async def test_a_lone_event_does_not_wait_for_the_reflectors_turn(
    has_offers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the dispatcher takes it at once; then the reflector sleeps on, and knows its version nevertheless."""
    reads: list[Any] = []
    read = Liveness.read

    async def noting(self: Liveness, given: Callable[[], Any]) -> Any:
        found = await read(self, given)
        reads.append(found)
        return found

    monkeypatch.setattr(Liveness, "read", noting)
    async with following(LISTS, has_offers=has_offers) as (server, follower, failures):
        await converged(server, follower)
        for number in range(3):  # the first ones show the way past aiohttp
            server.create("configmaps", configmap(f"soon-{number}"))
            await asyncio.sleep(1)
        reads.clear()
        for number in range(10):
            server.create("configmaps", configmap(f"c-{number}"))
            await asyncio.sleep(1)
            assert follower.reflector.version == server.resource_version
            assert follower.cached == stored(server, "configmaps")
        assert len(reads) == (0 if has_offers else 10)
        assert follower.reflector.last_activity is not None
        assert asyncio.get_running_loop().time() - follower.reflector.last_activity <= 1
        server.close_watches()
        server.create("configmaps", configmap("after"))
        await asyncio.sleep(30)
        assert follower.cached == stored(server, "configmaps")
        assert failures == []
        assert [verb for verb, *_ in asked(server)] == ["list", "watch", "watch"], "it was resumed, not listed again"


@pytest.mark.parametrize("error", [ResponseError("odd"), ZeroDivisionError("a bug")])
async def test_what_fails_in_a_lone_event_fails_in_the_reflectors_task(error: Exception) -> None:
    """Nothing of it is applied twice, and the transport notices nothing."""
    async with following(LISTS) as (server, follower, failures):
        await converged(server, follower)
        for number in range(3):
            server.create("configmaps", configmap(f"soon-{number}"))
            await asyncio.sleep(1)

        def refuse(batch: Batch) -> None:
            assert asyncio.current_task() is None, "it is the transport that runs"
            del follower.reflector._refuse_lost
            raise error

        follower.reflector._refuse_lost = refuse  # type: ignore[method-assign]
        server.create("configmaps", configmap("odd"))
        server.create("configmaps", configmap("behind"))
        await asyncio.sleep(30)
        if isinstance(error, ResponseError):
            assert [failure.error for failure in failures] == [error]
            assert follower.cached == stored(server, "configmaps")
            keys = [key for key, _ in follower.dispatcher.told]
            assert sorted(set(keys)) == sorted(keys), "each was told once"
        else:
            assert follower.task.exception() is error


class NotingDrain(Drain):
    """Notes the kinds of items."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[str] = []

    async def put(self, item: QueueItem) -> None:
        await super().put(item)
        self.kinds.append(type(item).__name__)


async def test_what_comes_together_with_the_mark_is_no_part_of_the_list() -> None:
    """An error there does not take the list back, nor is it under the list's deadline."""
    mark = {"resourceVersion": "3", "annotations": {"k8s.io/initial-events-end": "true"}}
    said = [
        {"type": "BOOKMARK", "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": mark}},
        {"type": "ADDED", "object": configmap("c") | {"metadata": {"name": "c", "resourceVersion": "4"}}},
        {"type": "ERROR", "object": _status(500, "InternalError")},
    ]
    body = b"".join(json.dumps(each).encode() + b"\n" for each in said)
    async with FakeAPIServer() as server, server.api_client() as api:
        server.fail("watch configmaps", 200, body=body, times=1)
        drain, failures = NotingDrain(), list[WatchFailure]()
        reflector = reflector_of(Source(api, QUICK), on_failure=failures.append, queue=drain)
        await run_for(reflector, 0.5)
        assert drain.kinds == ["ReplaceBegin", "ReplaceBatch", "ReplaceEnd", "WatchBatch"]
        assert reflector.version == "4"
        assert [str(failure.error)[:3] for failure in failures] == ["500"]


async def test_lagging_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="watch_timeout_max"):
        Settings(watch_timeout_min=10, watch_timeout_max=5)


def _status(code: int, reason: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
