"""Namespaces that come and go while an informer runs: G1, G4, G5 and G9 hold for what is followed, at any time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers import ALL_NAMESPACES, Cause, Event, SharedInformer, SharedInformerFactory, new_informer
from aioinformers.controllers import Controller, Request
from aioinformers.errors import CacheSyncError, InformerClosedError
from aioinformers.informer import pipeline_of
from aioinformers.testing import FakeAPIServer, run_virtual
from aioinformers.types import Scope
from tests.kit import QUICK, Recorder, cached, configmap, factory_on, stored

pytestmark = pytest.mark.virtual_time

CONFIGMAPS = "configmaps.v1."


class Listening:
    """A handler that hears of everything, and replays it."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.released: list[str] = []

    async def on_add(self, obj: Any) -> None:
        key = f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
        assert key not in self.recorder.state, f"{key} was added twice"
        self.recorder.state[key] = (obj["metadata"]["uid"], obj["metadata"]["resourceVersion"])

    async def on_update(self, old: Any, new: Any) -> None:
        key = f"{new['metadata']['namespace']}/{new['metadata']['name']}"
        assert self.recorder.state[key] == (old["metadata"]["uid"], old["metadata"]["resourceVersion"])
        self.recorder.state[key] = (new["metadata"]["uid"], new["metadata"]["resourceVersion"])

    async def on_delete(self, obj: Any) -> None:
        del self.recorder.state[f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"]

    async def on_released(self, obj: Any) -> None:
        key = f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
        del self.recorder.state[key]
        self.released.append(key)


@dataclasses.dataclass
class Scene:
    """An informer of its user's own, in a factory, that follows namespace a."""

    server: FakeAPIServer
    factory: SharedInformerFactory
    configmaps: SharedInformer[Any]
    listening: Listening
    recorder: Recorder

    def lists_of(self, namespace: str) -> int:
        """Return how often a namespace was listed, or streamed from its beginning."""
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        return sum(
            "sendInitialEvents" in each.query or "watch" not in each.query
            for each in self.server.requests
            if each.path == path
        )


@asynccontextmanager
async def scene(namespace: Any = "a", **options: Any) -> AsyncIterator[Scene]:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for each in "abc":
            server.create("configmaps", configmap("first", each))
        informer = new_informer(factory.api_client, CONFIGMAPS, namespace=namespace, settings=QUICK, **options)
        factory.add(informer)
        listening, recorder = Listening(), Recorder()
        informer.add_event_handler(listening, on_error=_raise)
        informer.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(2)
        yield Scene(server, factory, informer, listening, recorder)
        if informer.is_running:
            assert listening.recorder.state == cached(informer)


def _raise(error: Exception, event: Event[Any]) -> None:
    pytest.fail(f"{event!r}: {error!r}")


async def test_a_namespace_comes_whole_and_leaves_the_others_untouched() -> None:
    async with scene() as here:
        await here.configmaps.set_namespaces(["a", "b"], timeout=5)
        assert sorted(cached(here.configmaps)) == ["a/first", "b/first"]
        await asyncio.sleep(1)
        assert [(event.cause, event.initial) for event in here.recorder.events] == [(Cause.LIST, True)] * 2  # type: ignore[union-attr]
        assert here.lists_of("a") == 1
        here.server.create("configmaps", configmap("second", "b"))
        await asyncio.sleep(1)
        assert here.recorder.kinds()[2:] == ["Added second"]
        assert [str(each.scope) for each in here.configmaps.health().scopes] == ["a", "b"]


async def test_what_leaves_is_told_apart() -> None:
    async with scene(["a", "b"]) as here:
        async with here.configmaps.stream() as events:
            await here.configmaps.set_namespaces("b")
            assert sorted(cached(here.configmaps)) == ["b/first"]
            await asyncio.sleep(1)
            assert here.listening.released == ["a/first"]
            assert here.configmaps.statistics().released == 1
            assert here.recorder.kinds() == ["Added first", "Added first"], "a function of events hears nothing"
            assert (await anext(events)).key.name == "first"
            assert (await anext(events)).key.name == "first"
            here.server.create("configmaps", configmap("second", "b"))
            here.server.create("configmaps", configmap("second", "a"))
            assert str((await anext(events)).key) == "b/second", "and so does a stream"
        watches = [each for each in here.server.requests if each.path.startswith("/api/v1/namespaces/a/")]
        assert len(watches) <= 2
        assert here.configmaps.resource_versions.keys() == {Scope("b")}


async def test_what_comes_back_is_added_again() -> None:
    async with scene() as here:
        for namespaces in ("b", "a", "b"):
            await here.configmaps.set_namespaces(namespaces, timeout=5)
        await asyncio.sleep(1)
        assert here.listening.released == ["a/first", "b/first", "a/first"]
        assert here.lists_of("b") == 2


async def test_a_namespace_that_cannot_be_listed_hides_nothing_else() -> None:
    async with scene() as here:
        permit = here.server.fail(lambda request: "/namespaces/b/" in request.path, status=403, times=None)
        with pytest.raises(TimeoutError, match=r"configmaps.*: b has not synced within 20 s: .*in b: .*403"):
            await here.configmaps.set_namespaces(["a", "b"], timeout=20)
        health = here.configmaps.health()
        assert here.configmaps.has_synced
        assert health.has_synced
        assert [each.is_coming for each in health.scopes] == [False, True]
        assert "in b" in health.reason
        assert sorted(cached(here.configmaps)) == ["a/first"]
        await here.factory.wait_live(timeout=5)
        permit()
        await asyncio.sleep(60)
        assert sorted(cached(here.configmaps)) == ["a/first", "b/first"]


async def test_a_namespace_that_never_synced_may_leave_and_the_rest_has_synced_then() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.fail(lambda request: "/namespaces/b/" in request.path, status=403, times=None)
        informer = factory.add(new_informer(factory.api_client, CONFIGMAPS, namespace=["a", "b"], settings=QUICK))
        await factory.start()
        with pytest.raises(CacheSyncError):
            await factory.wait_for_cache_sync(timeout=10)
        await informer.set_namespaces("a", timeout=5)
        await factory.wait_for_cache_sync(timeout=5)


async def test_several_calls_are_carried_out_one_after_the_other() -> None:
    async with scene() as here:
        calls = [here.configmaps.set_namespaces(each, timeout=30) for each in (["a", "b"], "c", ["b", "c"])]
        await asyncio.gather(*calls)
        assert sorted(cached(here.configmaps)) == ["b/first", "c/first"]


async def test_a_cancelled_wait_changes_the_namespaces_nevertheless() -> None:
    async with scene() as here:
        call = asyncio.create_task(here.configmaps.set_namespaces(["b"]))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.sleep(5)
        assert sorted(cached(here.configmaps)) == ["b/first"]


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8])
async def test_strangers_who_cancel_tasks_change_nothing(turns: int) -> None:
    """G9."""
    async with scene() as here:
        call = asyncio.create_task(here.configmaps.set_namespaces(["b", "c"], timeout=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks():
            if "reflector" in task.get_name() or "change of scopes" in task.get_name():
                task.cancel()
        await call
        await here.factory.wait_live(timeout=60)
        assert sorted(cached(here.configmaps)) == ["b/first", "c/first"]
        here.server.create("configmaps", configmap("second", "c"))
        await asyncio.sleep(1)
        assert len(cached(here.configmaps)) == 3
        roles = [task.get_name() for task in asyncio.all_tasks() if "reflector in" in task.get_name()]
        assert len(roles) == 2, roles


async def test_indexes_that_are_added_meanwhile_hold_what_comes() -> None:
    async with scene() as here:
        here.server.patch("configmaps", "first", {"data": {"color": "red"}}, namespace="b")
        call = asyncio.create_task(here.configmaps.set_namespaces(["a", "b"], timeout=5))
        await asyncio.sleep(0)
        await here.configmaps.add_indexers({"color": "data.color"})
        await call
        assert [str(key) for key in here.configmaps.indexer.index_keys("color", "red")] == ["b/first"]


@pytest.mark.parametrize("is_compact", [False, True])
async def test_many_objects_come_and_go(is_compact: bool) -> None:
    async with scene(compact=is_compact) as here:
        for number in range(3000):
            here.server.create("configmaps", configmap(f"m-{number}", "b"))
        await here.configmaps.set_namespaces(["a", "b"], timeout=30)
        assert len(here.configmaps.lister) == 3002
        await here.configmaps.set_namespaces(["a"], timeout=30)
        await asyncio.sleep(5)
        assert len(here.listening.released) == 3001
        assert here.configmaps.indexer.index_values("namespace") == ["a"]


# -- who may, and what may be -------------------------------------------------------------------------------------


async def test_a_shared_informer_keeps_its_namespaces() -> None:
    async with FakeAPIServer() as server, factory_on(server, namespace="a") as factory:
        with pytest.raises(RuntimeError, match=r"is shared by all who ask .* new_informer\(\), which factory.add"):
            await factory.core.v1.configmaps().set_namespaces("b")


async def test_before_the_start_other_namespaces_are_followed_from_the_start_on() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        for each in "ab":
            server.create("configmaps", configmap("first", each))
        informer = new_informer(api, CONFIGMAPS, namespace="a", settings=QUICK)
        await informer.set_namespaces("b")
        async with informer:
            await informer.wait_synced(timeout=5)
            assert sorted(cached(informer)) == ["b/first"]
        with pytest.raises(InformerClosedError):
            await informer.set_namespaces("a")


async def test_what_cannot_be_is_refused() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        nodes = new_informer(api, "nodes.v1.")
        with pytest.raises(ValueError, match="cluster-scoped"):
            await nodes.set_namespaces("a")
        everywhere = new_informer(api, CONFIGMAPS)
        with pytest.raises(ValueError, match="follows either all namespaces or those that are named"):
            await everywhere.set_namespaces("a")
        informer = new_informer(api, CONFIGMAPS, namespace="a")
        with pytest.raises(ValueError, match="follows either all namespaces"):
            await informer.set_namespaces(ALL_NAMESPACES)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"selects nothing: give names$"):
            await informer.set_namespaces([])
        with pytest.raises(ValueError, match=r"cannot be a namespace$"):
            await informer.set_namespaces(["A b"])
        with pytest.raises(TypeError, match=r"not 3$"):
            await informer.set_namespaces(3)  # type: ignore[arg-type]


async def test_waits_for_what_leaves_end_and_say_so() -> None:
    async with scene(["a", "b"]) as here:
        waits = [
            asyncio.create_task(here.configmaps.wait_for("a/first", lambda obj: obj is None)),
            asyncio.create_task(here.configmaps.wait_for_resource_version("99999999", namespace="a")),
        ]
        await asyncio.sleep(1)
        await here.configmaps.set_namespaces("b")
        for wait in waits:
            with pytest.raises(ValueError, match="does not follow namespace 'a' any more"):
                await wait


async def test_the_end_of_the_informer_ends_the_wait() -> None:
    async with scene() as here:
        here.server.fail(lambda request: "/namespaces/b/" in request.path, status=403, times=None)
        call = asyncio.create_task(here.configmaps.set_namespaces(["a", "b"]))
        await asyncio.sleep(1)
        await here.factory.shutdown(grace=0)
        with pytest.raises(InformerClosedError):
            await call


async def test_a_controller_does_not_take_what_leaves_for_deleted() -> None:
    async with scene(["a", "b"]) as here:
        reconciled: list[str] = []
        gone: list[str] = []

        async def reconcile(request: Request[Any]) -> None:
            reconciled.append(str(request.key))

        controller = Controller(here.configmaps, reconcile=reconcile, name="web")

        @controller.gone
        async def forget(key: Any) -> None:
            gone.append(str(key))

        async with controller.running():
            await asyncio.sleep(2)
            await here.configmaps.set_namespaces("b")
            controller.trigger("a/first")
            here.server.delete("configmaps", "first", namespace="b")
            await asyncio.sleep(2)
        assert sorted(reconciled) == ["a/first", "b/first"]
        assert gone == ["b/first"]


# -- any history --------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("follow"), st.sets(st.sampled_from("abc"), min_size=1)),
        st.tuples(st.sampled_from(["put", "delete"]), st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.001, 0.1, 3.0])),
        st.tuples(st.just("compact the history"), st.none()),
        st.tuples(st.just("break"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_comes_and_goes_the_cache_holds_what_is_followed(steps: list[tuple[str, Any]]) -> None:
    """G1, G4, G5: also while watches break and versions are forgotten."""
    run_virtual(_follow(steps))


async def _follow(steps: list[tuple[str, Any]]) -> None:
    async with scene() as here:
        calls: list[asyncio.Task[None]] = []
        wanted = {"a"}
        for step, argument in steps:
            if step == "follow":
                wanted = argument
                calls.append(asyncio.create_task(here.configmaps.set_namespaces(sorted(argument), timeout=600)))
            elif step == "put":
                put = (
                    here.server.update if f"{argument[0]}/{argument[1]}" in stored(here.server, "configmaps") else None
                )
                (put or here.server.create)("configmaps", configmap(argument[1], argument[0], n=str(len(calls))))
            elif step == "delete":
                if "/".join(argument) in stored(here.server, "configmaps"):
                    here.server.delete("configmaps", argument[1], namespace=argument[0])
            elif step == "wait":
                await asyncio.sleep(argument)
            elif step == "break":
                here.server.reset_connections()
            else:
                here.server.expire()
        await asyncio.gather(*calls)
        await here.factory.wait_live(timeout=600)
        await asyncio.sleep(120)
        expected = {key: version for key, version in stored(here.server, "configmaps").items() if key[0] in wanted}
        assert cached(here.configmaps) == expected
        assert pipeline_of(here.configmaps).following.reflectors.keys() == {Scope(each) for each in wanted}
