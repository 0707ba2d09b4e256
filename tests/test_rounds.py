"""Rounds of list and watch, request by request: what is asked after which end, and what a stream leaves behind."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from aioinformers import CacheNotSyncedError, Deleted, Metadata, Settings, WatchFailure
from aioinformers.testing import Ending, FakeAPIServer, Fault, drop_bookmarks
from aioinformers.types import EVERYTHING
from tests.faults.scene import kind_of
from tests.faults.streams import error, line, saying
from tests.kit import LISTS, QUICK, Recorder, cached, configmap, factory_on, started, stored

pytestmark = pytest.mark.virtual_time


def asked(server: FakeAPIServer, *names: str) -> list[tuple[str, ...]]:
    """Return what informers asked of configmaps: list, check, stream or watch, each with some of its parameters."""
    requests = [request for request in server.requests if request.resource == "configmaps"]
    kinds = ["check" if request.query.get("limit") == "1" else kind_of(request) for request in requests]
    return [
        (kind, *(request.query.get(name, "-") for name in names)) for kind, request in zip(kinds, requests, strict=True)
    ]


def times(server: FakeAPIServer) -> list[float]:
    """Return when it was asked."""
    return [request.time for request in server.requests if request.resource == "configmaps"]


def first(server: FakeAPIServer, kind: str, *faults: Fault) -> None:
    """Let the first requests of a kind (list, stream or watch) have a fault each."""
    left = list(faults)
    server.intercept(lambda request: left.pop(0) if left and kind_of(request) == kind else None)


def unmarked(data: bytes) -> bytes:
    """Take the annotations away from bookmarks."""
    return re.sub(rb',"annotations":\{"k8s.io/initial-events-end":"true"\}', b"", data)


def marked_false(data: bytes) -> bytes:
    """Let the mark of bookmarks say false."""
    return data.replace(b'initial-events-end":"true"', b'initial-events-end":"false"')


# -- lists and watches --------------------------------------------------------------------------------------------


async def test_relist_takes_no_older_state_and_asks_for_no_pages() -> None:
    """A limit beside a version would read past the server's watch cache, whatever page size is set."""
    settings = dataclasses.replace(LISTS, page_size=4)
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        for i in range(10):
            server.create("configmaps", configmap(f"c{i}"))
        listed = server.resource_version
        configmaps = await started(factory)
        server.create("configmaps", configmap("late"))
        await asyncio.sleep(1)
        server.fail("watch configmaps", 403)
        server.close_watches()
        await asyncio.sleep(5)
        last = server.resource_version
        assert asked(server, "resourceVersion", "limit", "sendInitialEvents") == [
            ("list", "0", "4", "-"),
            ("watch", listed, "-", "-"),
            ("watch", last, "-", "-"),
            ("list", last, "-", "-"),
            ("watch", last, "-", "-"),
        ]
        assert cached(configmaps) == stored(server, "configmaps")


async def test_every_event_moves_the_version_to_resume_from() -> None:
    """An addition, a change, a deletion (by its own version), and a bookmark."""

    def touch() -> None:
        server.patch("configmaps", "c", {"data": {"v": "1"}}, namespace="default")

    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        configmaps = factory.for_resource("configmaps.v1.", label_selector="app=web")
        assert configmaps.resource_versions == {EVERYTHING: ""}
        await started(factory, label_selector="app=web")
        steps: list[tuple[Callable[[], Any], float]] = [
            (lambda: server.create("configmaps", configmap("c", labels={"app": "web"})), 2),
            (touch, 2),
            (lambda: server.delete("configmaps", "c", namespace="default"), 2),
            (lambda: server.create("configmaps", configmap("unselected")), 62),
        ]
        for step, seconds in steps:
            step()
            await asyncio.sleep(seconds)
            assert configmaps.resource_versions == {EVERYTHING: server.resource_version}
            server.close_watches()
            await asyncio.sleep(0.1)
            assert asked(server, "resourceVersion")[-1] == ("watch", server.resource_version)
        assert configmaps.statistics().lists == 1
        assert len(configmaps.lister) == 0


async def test_last_event_decides_even_if_versions_fall() -> None:
    """As after a restore of etcd: versions are compared for equality only."""

    def at(name: str, version: str) -> bytes:
        obj = configmap(name)
        obj["metadata"] |= {"uid": name, "resourceVersion": version}
        return line("ADDED", obj)

    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        first(server, "watch", saying(at("a", "54"), at("high", "55")), saying(at("b", "31"), at("low", "32")))
        configmaps = await started(factory)
        assert [version for _, version in asked(server, "resourceVersion")[2:]] == ["55", "32"]
        assert configmaps.resource_versions == {EVERYTHING: "32"}
        assert [obj["metadata"]["name"] for obj in configmaps.lister.list()] == ["a", "high", "b", "low"]


async def test_watch_without_a_version_is_followed_by_a_list() -> None:
    """The objects that such a watch begins with come in no order: none of their versions is one to resume from."""
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        versions = re.compile(rb'"metadata":\{"resourceVersion":"\d+"\}')
        rewrite = Fault(rewrite=lambda body: versions.sub(b'"metadata":{}', body))
        server.intercept(lambda request: rewrite if request.verb == "list" else None)
        server.create("configmaps", configmap("c"))
        configmaps = await started(factory)
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        server.create("configmaps", configmap("d"))
        await asyncio.sleep(1)
        server.close_watches()
        await asyncio.sleep(1)
        assert asked(server, "resourceVersion") == [("list", "0"), ("watch", ""), ("list", "0"), ("watch", "")]
        assert recorder.kinds() == ["Added c", "Added d"]


@pytest.mark.parametrize(
    ("said", "then"),
    [
        (error(410, reason="Expired"), "list"),
        (error(429, reason="TooManyRequests"), "watch"),
        (error(503, reason="ServiceUnavailable"), "watch"),
        (error(500, reason="InternalError"), "list"),
        (error(403, reason="Forbidden"), "list"),
    ],
    ids=["410", "429", "503", "500", "403"],
)
async def test_error_event_ends_its_connection_and_what_follows_goes_on_from_the_last_event(
    said: bytes, then: str
) -> None:
    """Also where the server leaves the stream open after it. A list asks for the last version, never for any."""
    failures: list[WatchFailure] = []
    async with (
        FakeAPIServer() as server,
        factory_on(server, settings=LISTS, on_watch_error=failures.append) as factory,
    ):
        first(server, "watch", Fault(rewrite=lambda data: data + said if b'"last"' in data else data))
        configmaps = await started(factory)
        server.create("configmaps", configmap("last"))
        await asyncio.sleep(0.1)
        assert server.connections == 0
        assert asked(server) == [("list",), ("watch",)]
        await asyncio.sleep(0.6)
        server.create("configmaps", configmap("later"))
        await asyncio.sleep(2)
        last = server.get("configmaps", "last", namespace="default")["metadata"]["resourceVersion"]
        assert asked(server, "resourceVersion")[2] == (then, last)
        assert times(server)[2] == pytest.approx(2 + 0.8, abs=0.05)
        assert [failure.next_delay for failure in failures] == [0.8]
        assert cached(configmaps) == stored(server, "configmaps")


async def test_g9_own_backoff_is_kept_to_the_instant() -> None:
    """10 ms, doubled up to 100 ms: five failures take a quarter of a second."""
    settings = dataclasses.replace(LISTS, backoff_initial=0.01, backoff_max=0.1)
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        server.fail("list configmaps", 500, times=5)
        await started(factory)
        begin = times(server)[0]
        assert [time - begin for time in times(server)[:6]] == pytest.approx(
            [0, 0.01, 0.03, 0.07, 0.15, 0.25], abs=1e-3
        )
        assert [kind for (kind,) in asked(server)] == ["list"] * 6 + ["watch"]


@pytest.mark.parametrize(
    ("has_event", "then", "delay"), [(True, "watch", 0.0), (False, "list", 0.8)], ids=["an event", "nothing"]
)
async def test_watch_that_is_closed_within_a_second(has_event: bool, then: str, delay: float) -> None:
    """One that has brought something goes on at once; one that has not may have been refused without a word."""
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        configmaps = await started(factory, settle=0.4)
        if has_event:
            server.create("configmaps", configmap("c"))
            await asyncio.sleep(0.1)
        closed = asyncio.get_running_loop().time()
        server.close_watches()
        await asyncio.sleep(5)
        assert asked(server)[2] == (then,)
        assert times(server)[2] == pytest.approx(closed + delay, abs=0.05)
        assert configmaps.is_watching


async def test_failed_relist_is_told_and_leaves_the_cache_as_it_was() -> None:
    failures: list[WatchFailure] = []
    async with (
        FakeAPIServer() as server,
        factory_on(server, settings=LISTS, on_watch_error=failures.append) as factory,
    ):
        for name in ("a", "b"):
            server.create("configmaps", configmap(name))
        configmaps = await started(factory)
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        server.create("configmaps", configmap("c"))  # a watch that has shown something is resumed unchecked
        await asyncio.sleep(1)
        before = cached(configmaps)
        server.fail("watch configmaps", 403)
        server.fail("list configmaps", 500, times=3)
        server.fail("list configmaps", 200, times=1, body=b'{"kind":"ConfigMapList","items":[{"metadata":{"name":"x"')
        server.reset_connections()
        server.delete("configmaps", "a", namespace="default")
        for _ in range(50):
            await asyncio.sleep(1)
            assert cached(configmaps) == before
        assert [str(failure.error)[:3] for failure in failures] == ["the", "403", "500", "500", "500", "the"]
        await asyncio.sleep(1)
        assert cached(configmaps) == stored(server, "configmaps")
        assert recorder.kinds() == ["Added a", "Added b", "Added c", "Deleted a"]


async def test_object_that_the_server_cannot_read_goes_with_the_next_list() -> None:
    """Deleting it unread ends every watch with an error instead of an event."""
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        for name in ("corrupt", "good"):
            server.create("configmaps", configmap(name))
        broken = error(500, reason="StoreReadError", message="data from the storage is not transformable")
        first(server, "watch", Fault(rewrite=lambda data: broken if b'"DELETED"' in data else data))
        configmaps = await started(factory)
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        server.delete("configmaps", "corrupt", namespace="default")
        await asyncio.sleep(5)
        assert recorder.kinds() == ["Added corrupt", "Added good", "Deleted corrupt"]
        gone = recorder.events[-1]
        assert isinstance(gone, Deleted)
        assert not gone.final_state_known
        assert configmaps.resource_versions == {EVERYTHING: server.resource_version}


@pytest.mark.parametrize("status", [429, 503])
async def test_list_comes_back_when_the_server_said(status: int) -> None:
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        server.fail("list configmaps", status, headers={"Retry-After": "7"})
        await started(factory)
        assert [kind for (kind,) in asked(server)] == ["list", "list", "watch"]
        assert times(server)[1] - times(server)[0] == pytest.approx(7, abs=0.05)


def of_kind(kind: str, api_version: str = "v1", name: str = "stranger") -> bytes:
    """Return an event of an object that is in no cluster."""
    metadata = {"name": name, "namespace": "default", "uid": "u", "resourceVersion": "2"}
    return line("ADDED", {"kind": kind, "apiVersion": api_version, "metadata": metadata})


@pytest.mark.parametrize(
    ("resource", "options", "kind", "api_version", "is_accepted"),
    [
        ("configmaps.v1.", {}, "ConfigMap", "v1", True),
        ("configmaps.v1.", {}, "Secret", "v1", False),
        ("configmaps.v1.", {}, "Widget", "example.com/v1", False),
        ("configmaps.v1.", {}, "Table", "meta.k8s.io/v1", False),
        ("configmaps.v1.", {}, "PartialObjectMetadata", "meta.k8s.io/v1", False),
        ("configmaps.v1.", {"object_type": Metadata}, "PartialObjectMetadata", "meta.k8s.io/v1", True),
        ("configmaps.v1.", {"object_type": Metadata}, "Secret", "v1", False),
        ("widgets.v1.example.com", {}, "Widget", "example.com/v1", True),
        ("widgets.v1.example.com", {}, "Secret", "example.com/v1", True),
        ("widgets.v1.example.com", {}, "Secret", "v1", False),
        ("widgets.v1.example.com", {}, "Deployment", "apps/v1", False),
    ],
)
@pytest.mark.parametrize("request_kind", ["watch", "stream"])
async def test_g11_watch_of_another_kind_is_refused(
    request_kind: str, resource: str, options: dict[str, Any], kind: str, api_version: str, is_accepted: bool
) -> None:
    """As a list is, where that is certain: nothing of it reaches the cache, and the informer says what came."""
    settings, failures = QUICK if request_kind == "stream" else LISTS, list[WatchFailure]()
    async with (
        FakeAPIServer() as server,
        factory_on(server, settings=settings, on_watch_error=failures.append) as factory,
    ):
        server.add_resource("widgets.v1.example.com", "Widget")
        server.create(resource, {"metadata": {"name": "a"}})
        mark = {"resourceVersion": "3", "annotations": {"k8s.io/initial-events-end": "true"}}
        end = [line("BOOKMARK", {"kind": kind, "apiVersion": api_version, "metadata": mark})]
        said = saying(of_kind(kind, api_version), *(end if request_kind == "stream" else []))
        heal = server.intercept(lambda request: said if kind_of(request) == request_kind else None)
        informer = factory.for_resource(resource, **options)
        recorder = Recorder()
        informer.add_event_handler(recorder)
        await factory.start()
        await asyncio.sleep(1)
        assert ("Added stranger" in recorder.kinds()) is is_accepted
        if is_accepted:
            return
        refused = f"expected a watch of {informer.resource}, got {kind} of {api_version}"
        assert refused in [str(failure.error) for failure in failures]
        heal()
        await asyncio.sleep(61)
        assert cached(informer) == stored(server, resource)
        assert recorder.kinds() == ["Added a"]


async def test_g11_bookmark_of_another_kind_is_refused() -> None:
    """It would move the version to that of another resource."""
    stranger = line("BOOKMARK", {"kind": "Secret", "apiVersion": "v1", "metadata": {"resourceVersion": "999999"}})
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        server.create("configmaps", configmap("a"))
        first(server, "watch", saying(stranger))
        configmaps = await started(factory, settle=0.1)
        assert "expected a watch of configmaps.v1, got Secret of v1" in configmaps.health().reason
        assert configmaps.resource_versions == {EVERYTHING: server.resource_version}


async def test_custom_kind_of_the_name_table_is_followed() -> None:
    """Only the server's own Tables, which no informer has asked for, are no objects."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.add_resource("tables.v1.example.com", "Table")
        server.create("tables.v1.example.com", {"metadata": {"name": "round"}})
        tables = factory.for_resource("tables.v1.example.com")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.create("tables.v1.example.com", {"metadata": {"name": "square"}})
        await asyncio.sleep(1)
        assert [(obj["kind"], obj["metadata"]["name"]) for obj in tables.lister] == [
            ("Table", "round"),
            ("Table", "square"),
        ]


@pytest.mark.parametrize("compression", [False, True])
async def test_watches_are_never_compressed_and_lists_only_on_request(compression: bool) -> None:
    """What is compressed arrives when its block is full, not when something has happened."""
    settings = dataclasses.replace(LISTS, compression=compression)
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        for i in range(6):
            server.create("configmaps", configmap(f"c{i}", text="x" * 40_000))
        configmaps = await started(factory)
        assert [(kind_of(r), r.headers["accept-encoding"]) for r in server.requests] == [
            ("list", "gzip" if compression else "identity"),
            ("watch", "identity"),
        ]
        assert cached(configmaps) == stored(server, "configmaps")


# -- namespaces that something ignores ----------------------------------------------------------------------------


def everywhere(server: FakeAPIServer) -> Callable[[bytes], bytes]:
    """Answer lists and streams of a namespace with the ConfigMaps of all, as a proxy does that shortens paths."""

    def rewrite(body: bytes) -> bytes:
        objects = server.list("configmaps")
        if body.startswith(b'{"type"'):
            lines = body.splitlines(keepends=True)
            objects = [each for each in objects if json.dumps(each["metadata"]["uid"]).encode() not in body]
            return b"".join([*[line("ADDED", each) for each in objects], *lines])
        return json.dumps(json.loads(body) | {"items": objects}).encode()

    return rewrite


@pytest.mark.parametrize("settings", [QUICK, LISTS], ids=["streaming", "listing"])
async def test_g11_objects_of_other_namespaces_are_refused(settings: Settings) -> None:
    """Whatever drops the namespace from the path: nothing is doubled, and what came is named."""
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        for namespace in ("default", "other", "third"):
            for name in ("a", "b", "c"):
                server.create("configmaps", configmap(name, namespace))
        heal = server.intercept(lambda request: Fault(rewrite=everywhere(server)))
        configmaps = factory.for_resource("configmaps.v1.", namespace=["default", "other"])
        recorders = Recorder(), Recorder()
        configmaps.add_event_handler(recorders[0])
        configmaps.add_event_handler(recorders[1], limit=1)  # merges per object
        await started(factory)
        for number in range(9):
            for namespace in ("default", "third"):
                server.patch("configmaps", "a", {"data": {"n": str(number)}}, namespace=namespace)
            await asyncio.sleep(0.1)
        server.delete("configmaps", "b", namespace="other")
        await asyncio.sleep(1)
        wanted = stored(server, "configmaps", "default") | stored(server, "configmaps", "other")
        assert cached(configmaps) == wanted
        rejected = configmaps.statistics().rejected
        assert rejected["third/a"].startswith("is in namespace 'third', although those of '")
        assert configmaps.health().rejected > 0
        heal()
        server.reset_connections()
        server.create("configmaps", configmap("later", "third"))
        server.expire()  # so that both scopes are listed
        await asyncio.sleep(61)
        assert cached(configmaps) == wanted
        assert configmaps.statistics().rejected == {}
        for recorder in recorders:
            assert recorder.problems == []
            assert recorder.state == wanted


async def test_g11_objects_without_a_namespace_are_no_part_of_one() -> None:
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        metadata = {"name": "stranger", "uid": "u", "resourceVersion": "2"}
        first(server, "watch", saying(line("ADDED", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata})))
        configmaps = await started(factory, namespace="default")
        assert configmaps.statistics().rejected == {
            "stranger": "is in no namespace, although those of 'default' were asked for"
        }
        assert len(configmaps.lister) == 0


# -- pages that lead nowhere --------------------------------------------------------------------------------------


def leading(tokens: Iterator[str], *, is_empty: bool) -> Callable[[Any], Fault | None]:
    """Give every page one of some tokens for the next one, whatever token was asked for, and perhaps no object."""

    def rewrite(body: bytes) -> bytes:
        document = json.loads(body)
        document["metadata"]["continue"] = next(tokens)
        return json.dumps(document | ({"items": []} if is_empty else {})).encode()

    def interceptor(request: Any) -> Fault | None:
        if request.verb != "list":
            return None
        request.query.pop("continue", None)
        return Fault(rewrite=rewrite)

    return interceptor


@pytest.mark.parametrize("tokens", [["one", "two"], ["one"], map(str, range(10**6))], ids=["in turn", "one", "new"])
@pytest.mark.parametrize("is_empty", [True, False])
async def test_g9_pages_that_lead_nowhere_are_a_failed_attempt(tokens: Iterable[str], is_empty: bool) -> None:
    """With its delay, and three requests each time at most."""
    async with FakeAPIServer(watch_cache=False) as server, factory_on(server, settings=LISTS) as factory:
        server.create("configmaps", configmap("c"))
        heal = server.intercept(leading(itertools.cycle(tokens), is_empty=is_empty))
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        await asyncio.sleep(300)
        reason = configmaps.health().reason
        assert "round in circles" in reason or "there is said to be more of it" in reason
        assert len(server.requests) <= 3 * (7 + (300 - 51) // 30)
        heal()
        await asyncio.sleep(31)
        assert cached(configmaps) == stored(server, "configmaps")


async def test_server_that_selects_after_it_has_cut_pages_is_listed_without_pages() -> None:
    """Most of its pages are empty, and the selector is for few objects: that is no fault."""

    def select(request: Any) -> Fault | None:
        if request.verb == "list" and "limit" in request.query:
            number = int(request.query.pop("continue", "0"))
            asked.append(number)
            items = [server.get("configmaps", "first", namespace="default")] if number == 0 else []
            page = {"kind": "ConfigMapList", "apiVersion": "v1", "items": items}
            return Fault(status=200, body={**page, "metadata": {"resourceVersion": "9", "continue": str(number + 1)}})
        return None

    asked: list[int] = []
    async with FakeAPIServer() as server, factory_on(server, settings=LISTS) as factory:
        for name in ("first", "last"):
            server.create("configmaps", configmap(name))
        server.intercept(select)
        configmaps = await started(factory)
        assert asked == [0, 1, 2]
        assert cached(configmaps) == stored(server, "configmaps")
        assert configmaps.statistics().failures == 0


# -- the end of an informer ---------------------------------------------------------------------------------------


async def test_what_is_ended_before_its_start_asks_nothing() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        factory.core.v1.pods().add_event_handler(Recorder())
        await factory.shutdown()
        await asyncio.sleep(100)
        assert server.requests == []


STAGES: dict[str, tuple[str, Fault | None]] = {
    "watching": ("watch", None),
    "in the middle of a line": ("watch", Fault(ending=Ending.STALL, after=40)),
    "before a watch's headers": ("watch", Fault(ending=Ending.STALL, after=None)),
    "before a list's headers": ("list", Fault(delay=100)),
    "in the middle of a list": ("list", Fault(ending=Ending.STALL, after=300)),
    "before a stream's mark": ("stream", Fault(rewrite=drop_bookmarks)),
    "backing off": ("list", Fault(status=500)),
}


@pytest.mark.parametrize("stage", STAGES)
async def test_g10_informer_ends_at_once_and_closes_its_connection(stage: str) -> None:
    """Whatever it is doing, and although a handler hangs and its backlog is full."""
    loop = asyncio.get_running_loop()
    kind, fault = STAGES[stage]
    settings = QUICK if kind == "stream" else LISTS

    async def hang(event: Any) -> None:
        await asyncio.Event().wait()

    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        for i in range(50):
            server.create("configmaps", configmap(f"c{i}"))
        server.intercept(lambda request: fault if kind_of(request) == kind else None)
        configmaps = factory.for_resource("configmaps.v1.")
        configmaps.add_event_handler(hang, limit=1)
        await factory.start()
        await asyncio.sleep(2.9)
        server.create("configmaps", configmap("late"))
        await asyncio.sleep(0.1)
        assert asked(server)[-1] == (kind,)
        assert configmaps.has_synced == (kind == "watch")
        before, requests = loop.time(), len(server.requests)
        await factory.shutdown(grace=0)
        assert loop.time() - before < 0.1
        await asyncio.sleep(0.1)
        # An answer that was read to its end leaves an idle connection to the client, whose it is.
        assert server.connections == (1 if stage == "backing off" else 0)
        await asyncio.sleep(100)
        assert len(server.requests) == requests


async def test_g10_informer_ends_at_once_while_its_reflector_waits_for_room_in_the_queue() -> None:
    settings = dataclasses.replace(LISTS, queue_size=1)
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        for i in range(3000):
            server.create("configmaps", configmap(f"c{i}"))
        configmaps = factory.for_resource("configmaps.v1.")
        await factory.start()
        async with asyncio.timeout(5):
            while not configmaps.statistics().queued_batches:
                await asyncio.sleep(0)
        await factory.shutdown(grace=0)
        assert not configmaps.is_running
        await asyncio.sleep(0.1)
        assert server.connections == 0


# -- streams of initial objects -----------------------------------------------------------------------------------


async def test_stream_of_initial_objects_is_asked_once_and_resumed_as_a_plain_watch_from_its_mark() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(3):
            server.create("configmaps", configmap(f"c{i}"))
        server.create("nodes", {"metadata": {"name": "n"}})
        configmaps = await started(factory)
        (stream,) = server.requests
        timeout = int(stream.query["timeoutSeconds"])
        assert 300 <= timeout <= 600
        assert stream.query == {
            "watch": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout),
        }
        server.close_watches()
        await asyncio.sleep(5)
        mark = server.resource_version
        assert asked(server, "resourceVersion") == [("stream", "-"), ("check", mark), ("watch", mark)]
        assert configmaps.statistics().lists == 1


@pytest.mark.parametrize("rewrite", [drop_bookmarks, marked_false, unmarked])
async def test_nothing_of_a_stream_is_seen_before_its_mark(rewrite: Callable[[bytes], bytes]) -> None:
    """Without the mark a list has to bring the objects, all of them as initial ones."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for i in range(3):
            server.create("configmaps", configmap(f"c{i}"))
        first(server, "stream", Fault(rewrite=rewrite))
        configmaps = factory.for_resource("configmaps.v1.")
        recorder = Recorder()
        registration = configmaps.add_event_handler(recorder)
        await factory.start()
        await asyncio.sleep(50)
        assert not configmaps.has_synced
        assert not registration.has_synced
        with pytest.raises(CacheNotSyncedError, match="streaming"):
            configmaps.lister.list()
        assert recorder.events == []
        await asyncio.sleep(11)
        assert asked(server) == [("stream",), ("list",), ("watch",)]
        assert recorder.kinds() == ["Added c0", "Added c1", "Added c2"]
        assert registration.has_synced


async def test_changes_before_the_mark_are_part_of_the_initial_state() -> None:
    def at(kind: str, name: str, version: int, value: str = "") -> bytes:
        obj = configmap(name, v=value)
        obj["metadata"] |= {"uid": name, "resourceVersion": str(version)}
        return line(kind, obj)

    mark = {"resourceVersion": "9", "annotations": {"k8s.io/initial-events-end": "true"}}
    said = saying(
        at("ADDED", "a", 1, "old"),
        at("ADDED", "b", 2),
        at("MODIFIED", "a", 7, "new"),
        at("DELETED", "b", 8),
        line("BOOKMARK", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": mark}),
    )
    async with FakeAPIServer() as server, factory_on(server) as factory:
        first(server, "stream", said)
        configmaps = factory.for_resource("configmaps.v1.")
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        await factory.start()
        await configmaps.wait_synced()
        assert configmaps.resource_versions == {EVERYTHING: "9"}
        await asyncio.sleep(0.1)
        assert recorder.kinds() == ["Added a"]
        assert recorder.events[0].object["data"] == {"v": "new"}


async def test_stream_that_ends_before_its_mark_leaves_nothing_and_is_replaced_by_a_list_at_once() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("real"))
        first(server, "stream", saying(line("ADDED", configmap("ghost"))))
        configmaps = factory.for_resource("configmaps.v1.")
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        await started(factory)
        assert asked(server, "resourceVersion")[:2] == [("stream", "-"), ("list", "0")]
        assert times(server)[1] - times(server)[0] < 0.1
        assert recorder.kinds() == ["Added real"]


@pytest.mark.parametrize("status", [400, 403, 404, 422, 500])
async def test_stream_that_is_refused_is_replaced_by_a_first_list_at_once(status: int) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("c"))
        first(server, "stream", Fault(status=status))
        configmaps = await started(factory)
        assert asked(server, "resourceVersion", "limit") == [
            ("stream", "-", "-"),
            ("list", "0", "500"),
            ("watch", server.resource_version, "-"),
        ]
        assert times(server)[2] - times(server)[0] < 0.1
        assert len(configmaps.lister) == 1


async def test_stream_from_a_busy_server_is_asked_again_and_no_list_made() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.fail("watch configmaps", 429, times=3)
        await started(factory)
        assert [kind for (kind,) in asked(server)] == ["stream"] * 4
        begin = times(server)[0]
        assert [time - begin for time in times(server)] == pytest.approx([0, 0.8, 2.4, 5.6], abs=0.05)


async def test_version_that_has_gone_is_streamed_anew_first_as_of_it_and_then_without_it() -> None:
    """What has vanished meanwhile is told as deleted, once, with its last known state."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for name in ("gone", "kept"):
            server.create("configmaps", configmap(name))
        version = server.resource_version
        configmaps = await started(factory)
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        server.fail("watch configmaps", 410, times=2)
        server.reset_connections()
        server.delete("configmaps", "gone", namespace="default")
        await asyncio.sleep(10)
        # What has shown nothing is checked before it is resumed.
        assert asked(server, "resourceVersion") == [
            ("stream", "-"),
            ("check", version),
            ("watch", version),
            ("stream", version),
            ("stream", "-"),
        ]
        assert times(server)[4] - times(server)[3] < 0.1 < times(server)[3] - times(server)[2]
        assert recorder.kinds() == ["Added gone", "Added kept", "Deleted gone"]
        assert cached(configmaps) == stored(server, "configmaps")
