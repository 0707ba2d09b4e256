"""An informer's events as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pydantic
import pytest
from fastapi import FastAPI
from kubernetes_asyncio import client

from aioinformers import Added, Deleted, Event, SharedInformer
from aioinformers.integrations.fastapi import events as module
from aioinformers.integrations.fastapi import informers
from aioinformers.integrations.fastapi.dependencies import informer_of
from aioinformers.integrations.fastapi.events import EventStream, document_of, events_of
from aioinformers.integrations.lifecycle import KEY
from aioinformers.testing import FakeAPIServer
from tests.integrations.apps import Served, build_on, served, streamed
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time

Followed = Annotated[SharedInformer[client.V1ConfigMap], informer_of(client.V1ConfigMap)]


class Shown(pydantic.BaseModel):
    """What somebody sends of an event."""

    name: str


def shown(event: Event[client.V1ConfigMap]) -> Shown | None:
    return None if event.key.name == "quiet" else Shown(name=f"{event.key.name}\n")


def whole(event: Event[client.V1ConfigMap]) -> Any:
    return {"it": [event.object]} if event.key.name == "bad" else event.key.name


@asynccontextmanager
async def app_on(server: FakeAPIServer) -> AsyncIterator[Served]:
    app = FastAPI(lifespan=informers(build_on(server), sync_timeout=1))

    @app.get("/events")
    async def events(configmaps: Followed) -> EventStream:
        return events_of(configmaps)

    @app.get("/shown")
    async def shown_events(configmaps: Followed) -> EventStream:
        return events_of(configmaps, shown, heartbeat=3, filter=lambda each: each.metadata.namespace == "shop")

    @app.get("/data")
    async def changes_of_data(configmaps: Followed) -> EventStream:
        return events_of(configmaps, lambda event: type(event).__name__, only="data")

    @app.get("/whole")
    async def whole_objects(configmaps: Followed) -> EventStream:
        return events_of(configmaps, whole)

    async with served(app) as running:
        yield running


async def test_a_client_is_sent_what_there_is_and_what_happens() -> None:
    async with FakeAPIServer() as server:
        annotated = configmap("a", "shop", {"app": "web"})
        annotated["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "a secret"}
        made = server.create("configmaps", annotated)["metadata"]
        async with app_on(server) as app, streamed(app, "/events") as answer:
            first = await answer.event()
            assert first == {
                "type": "added",
                "key": "shop/a",
                "initial": True,
                "metadata": {
                    "name": "a",
                    "namespace": "shop",
                    "uid": made["uid"],
                    "resourceVersion": made["resourceVersion"],
                    "creationTimestamp": made["creationTimestamp"],
                    "labels": {"app": "web"},
                },
            }
            assert answer.status == 200
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-accel-buffering"] == "no"
            assert "content-length" not in answer.headers
            server.patch("configmaps", "a", {"data": {"k": "v"}}, namespace="shop")
            server.create("configmaps", configmap("b", "shop"))
            server.delete("configmaps", "a", namespace="shop")
            happened = [await answer.event() for _ in range(3)]
            assert [(each["type"], each["key"]) for each in happened] == [
                ("updated", "shop/a"),
                ("added", "shop/b"),
                ("deleted", "shop/a"),
            ]
            assert not any("initial" in each for each in happened)


async def test_a_function_says_what_is_sent_and_options_which_events() -> None:
    async with FakeAPIServer() as server, app_on(server) as app:
        for name, namespace in (("a", "shop"), ("b", "other"), ("quiet", "shop"), ("c", "shop")):
            server.create("configmaps", configmap(name, namespace))
        async with streamed(app, "/shown") as answer, streamed(app, "/data") as changes:
            assert [await answer.event() for _ in range(2)] == [{"name": "a\n"}, {"name": "c\n"}]
            assert [await changes.event() for _ in range(4)] == ["Added"] * 4
            server.patch("configmaps", "a", {"metadata": {"labels": {"x": "y"}}}, namespace="shop")
            server.patch("configmaps", "a", {"data": {"k": "v"}}, namespace="shop")
            server.delete("configmaps", "a", namespace="shop")
            assert [await changes.event() for _ in range(2)] == ["Updated", "Deleted"]


async def test_heartbeats_keep_the_connection() -> None:
    async with FakeAPIServer() as server, app_on(server) as app, streamed(app, "/shown") as answer:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        assert await answer.until("\n\n") == ":\n\n", "at once"
        assert loop.time() - begin < 1
        for _ in range(4):
            assert await answer.until("\n\n") == ":\n\n"
        assert loop.time() - begin == pytest.approx(12, abs=1)
        server.create("configmaps", configmap("a", "shop"))
        assert await answer.event() == {"name": "a\n"}


async def test_before_the_sync_there_are_heartbeats() -> None:
    async with FakeAPIServer() as server:
        server.create("configmaps", configmap("a", "shop"))
        heal = server.fail("* configmaps", 503, times=None)
        async with app_on(server) as app, streamed(app, "/shown") as answer:
            for _ in range(3):
                assert await answer.until("\n\n") == ":\n\n"
            heal()
            assert await answer.event() == {"name": "a\n"}


async def test_it_ends_when_the_server_is_to_stop_and_is_refused_then() -> None:
    async with FakeAPIServer() as server, app_on(server) as app:
        server.create("configmaps", configmap("a", "shop"))
        async with streamed(app, "/events") as answer, streamed(app, "/events") as other:
            await answer.event()
            app.state[KEY].stop()
            assert await answer.rest() == ""
            assert (await other.rest()).startswith(":\n\n")
        late = await app.get("/events")
        assert (late.status_code, late.json()) == (503, {"detail": "the server is stopping"})
        assert late.headers["Retry-After"] == "1"


async def test_it_ends_with_its_informer() -> None:
    async with FakeAPIServer() as server, app_on(server) as app:
        factory = app.state[KEY].factory
        async with streamed(app, "/events") as answer:
            await answer.until("\n\n")
            await factory.shutdown()
            assert await answer.rest() == ""
        late = await app.get("/events")
        assert (late.status_code, late.json()) == (503, {"detail": "the cache is closed"})


async def test_a_client_that_leaves_leaves_nothing_behind() -> None:
    async with FakeAPIServer() as server, app_on(server) as app:
        server.create("configmaps", configmap("a", "shop"))
        (configmaps,) = app.state[KEY].factory
        async with streamed(app, "/events") as answer:
            await answer.event()
            assert configmaps.is_in_use
            assert [*configmaps.statistics().consumers] == ["server-sent events"]
        assert not configmaps.is_in_use


async def test_a_server_that_raises_because_the_client_has_left_ends_it() -> None:
    async with FakeAPIServer() as server, app_on(server) as app, streamed(app, "/events") as answer:
        await answer.until("\n\n")
        (configmaps,) = app.state[KEY].factory
        assert configmaps.is_in_use
        answer.error = OSError("broken pipe")
        server.create("configmaps", configmap("a", "shop"))
        await asyncio.sleep(1)
        assert not configmaps.is_in_use


async def test_who_reads_nothing_holds_a_bounded_number_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", 1000)
    async with FakeAPIServer() as server, app_on(server) as app:
        (configmaps,) = app.state[KEY].factory
        async with streamed(app, "/events") as slow, streamed(app, "/events") as quick:
            await slow.until("\n\n")
            slow.room.clear()
            for number in range(3000):
                if number % 1000 == 0:
                    server.create("configmaps", configmap(f"a{number}", "shop"))
                server.patch("configmaps", f"a{number // 1000 * 1000}", {"data": {"n": str(number)}}, namespace="shop")
                if number % 100 == 0:
                    await asyncio.sleep(0)
            await configmaps.wait_for("shop/a2000", lambda each: each is not None and each.data == {"n": "2999"})
            await asyncio.sleep(1)
            queued = [each.queued for each in configmaps.statistics().consumers.values()]
            assert max(queued) <= 1100
            assert min(queued) == 0, "the other one is not slowed down"
            newest = configmaps.indexer["shop/a2000"].metadata.resource_version
            slow.room.set()
            for answer in (slow, quick):
                async with asyncio.timeout(5):
                    while (event := await answer.event())["metadata"]["resourceVersion"] != newest:
                        pass
                assert event["key"] == "shop/a2000"


@pytest.mark.parametrize("held", [10, 100_000], ids=["events wait for room", "there is room"])
async def test_who_reads_nothing_does_not_delay_the_end(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", held)
    async with FakeAPIServer() as server, app_on(server) as app, streamed(app, "/events") as slow:
        await slow.until("\n\n")
        slow.room.clear()
        for name in "abc":
            server.create("configmaps", configmap(name, "shop"))
        await asyncio.sleep(1)
        begin = asyncio.get_running_loop().time()
        app.state[KEY].stop()
        (configmaps,) = app.state[KEY].factory
        assert slow.running is not None
        await slow.running
        assert asyncio.get_running_loop().time() - begin == pytest.approx(module.END, abs=0.1)
        assert not configmaps.is_in_use


async def test_a_function_that_fails_costs_its_event_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, app_on(server) as app:
        server.create("configmaps", configmap("bad", "shop"))
        async with streamed(app, "/whole") as answer:
            server.patch("configmaps", "bad", {"data": {"k": "v"}}, namespace="shop")
            server.create("configmaps", configmap("good", "shop"))
            assert await answer.event() == "good"
        told = [record for record in caplog.records if "data of events_of() failed" in record.message]
        assert len(told) == 1
        assert "data returns a whole V1ConfigMap: return the fields that clients need" in caplog.text


async def test_without_the_lifespan_it_would_keep_servers_from_stopping() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        app = FastAPI()

        @app.get("/events")
        async def events() -> EventStream:
            return events_of(factory.core.v1.configmaps())

        with pytest.raises(
            RuntimeError, match=r"events_of\(\) needs an app with FastAPI\(lifespan=informers\(build\)\)"
        ):
            async with streamed(app, "/events"):
                await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"heartbeat": 0}, ValueError, "heartbeat is a number of seconds above 0, not 0"),
        ({"heartbeat": "1"}, TypeError, "heartbeat"),
        ({"limit": None}, TypeError, "has no option 'limit'"),
        ({"data": 7}, TypeError, "data"),
        ({"data": asyncio.sleep}, TypeError, "data"),
        ({"ignore": "a b"}, ValueError, "bad path"),
    ],
)
async def test_what_cannot_be_is_refused(options: Any, error: type[Exception], words: str) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.core.v1.configmaps()
        with pytest.raises(error, match=words):
            events_of(configmaps, **options)
        with pytest.raises(TypeError, match=r"takes an informer, such as informer_of\(\) gives, not "):
            events_of(configmaps.lister)  # type: ignore[arg-type]


def test_events_of_any_type_of_object_are_shown() -> None:
    assert document_of(Added({"metadata": {"name": "a", "labels": {}}}))["metadata"] == {"name": "a"}
    assert document_of(Added({}))["metadata"] == {}
    assert document_of(Added(7))["metadata"] == {}
    assert document_of(Deleted({}, final_state_known=False))["finalStateKnown"] is False
