"""Ranges that are followed by a watch each, and then by one: nothing is listed again, told twice, or missed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioinformers import SharedInformer, new_informer
from aioinformers.informer import pipeline_of
from aioinformers.objects.ranges import HASHES
from aioinformers.sharding import Shard
from aioinformers.testing import FakeAPIServer, Fault, RequestInfo, run_virtual
from aioinformers.types import Scope
from tests.kit import QUICK, Recorder, cached, configmap, stored

pytestmark = pytest.mark.virtual_time

CONFIGMAPS = "configmaps.v1."
HALF = HASHES // 2
LOW, HIGH = Scope("", ((0, HALF),)), Scope("", ((HALF, HASHES),))
WHOLE = Scope("", ((0, HALF), (HALF, HASHES)))


@dataclasses.dataclass
class Scene:
    """An informer that follows two ranges by a watch each."""

    server: FakeAPIServer
    informer: SharedInformer[Any]
    recorder: Recorder

    def requests(self, verb: str) -> list[RequestInfo]:
        """Return the requests of a verb; a list of one object only asks whether a version has been reached."""
        return [each for each in self.server.requests if each.verb == verb and each.query.get("limit") != "1"]

    async def unite(self) -> None:
        """Follow both by one watch."""
        await pipeline_of(self.informer).following.unite()

    def hold_back(self, scope: Scope) -> None:
        """Break the watches, and let that of one range stay away for some seconds."""
        begin = f"'0x{scope.ranges[0][0]:016x}', "

        def is_meant(request: RequestInfo) -> bool:
            selector = request.query.get("shardSelector", "")
            return request.verb == "watch" and begin in selector and "||" not in selector

        self.server.fail(is_meant, times=3)
        self.server.reset_connections()


@asynccontextmanager
async def scene(*, gate: bool = True) -> AsyncIterator[Scene]:
    async with FakeAPIServer(shard_selector=gate) as server, server.api_client() as api:
        for name in "abc":
            server.create("configmaps", configmap(name))
        informer = new_informer(api, CONFIGMAPS, shard=Shard(0, of=1), settings=QUICK)
        pipeline_of(informer).following.change_unstarted((LOW, HIGH))
        recorder = Recorder()
        informer.add_event_handler(recorder)
        async with informer:
            await informer.wait_synced(timeout=30)
            await asyncio.sleep(2)
            yield Scene(server, informer, recorder)
            assert recorder.problems == []
            assert recorder.state == cached(informer)


async def test_nothing_is_listed_again_and_what_was_known_is_not_told_again() -> None:
    async with scene() as here:
        assert list(here.informer.resource_versions) == [LOW, HIGH]
        assert len(here.requests("list")) == 2
        await here.unite()
        await asyncio.sleep(1)
        assert list(here.informer.resource_versions) == [WHOLE]
        assert len(here.requests("list")) == 2
        assert here.informer.health().shard_mode == "server"
        assert sorted(here.recorder.kinds()) == ["Added a", "Added b", "Added c"]
        here.server.create("configmaps", configmap("d"))
        here.server.delete("configmaps", "a")
        await asyncio.sleep(1)
        assert here.recorder.kinds()[3:] == ["Added d", "Deleted a"]
        last = here.requests("watch")[-1].query["shardSelector"]
        assert last.count("shardRange") == 2


@pytest.mark.parametrize("late", [LOW, HIGH], ids=["the lower one is late", "the upper one is late"])
async def test_what_the_further_range_has_told_is_not_told_again(late: Scope) -> None:
    async with scene() as here:
        here.hold_back(late)
        await asyncio.sleep(1.5)
        for number in range(20):
            here.server.create("configmaps", configmap(f"n-{number}"))
        for number in range(0, 20, 2):
            here.server.delete("configmaps", f"n-{number}")
        for number in range(0, 20, 4):
            here.server.create("configmaps", configmap(f"n-{number}"))
        await asyncio.sleep(0.3)
        versions = here.informer.resource_versions
        assert int(versions[late]) < max(map(int, versions.values()))
        await here.unite()
        await asyncio.sleep(1)
        assert cached(here.informer) == stored(here.server, "configmaps")
        assert len(here.requests("list")) == 2, "one LIST for each range, and none more"
        assert here.informer.health().reason == ""


async def test_a_version_that_is_gone_means_one_list_of_all_ranges() -> None:
    async with scene() as here:
        here.hold_back(LOW)
        await asyncio.sleep(1.5)
        for number in range(10):
            here.server.create("configmaps", configmap(f"n-{number}"))
        here.server.expire()
        await here.unite()
        await asyncio.sleep(5)
        assert cached(here.informer) == stored(here.server, "configmaps")
        assert len(here.requests("list")) == 3, [each.query for each in here.requests("list")]


@pytest.mark.parametrize("turns", [1, 2, 4, 7])
async def test_strangers_who_cancel_tasks_change_nothing(turns: int) -> None:
    """G9."""
    async with scene() as here:
        uniting = asyncio.ensure_future(pipeline_of(here.informer).following.unite())
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks():
            if any(role in task.get_name() for role in ("reflector", "change of scopes", "dispatcher")):
                task.cancel()
        await uniting
        here.server.create("configmaps", configmap("d"))
        await asyncio.sleep(5)
        assert list(here.informer.resource_versions) == [WHOLE]
        assert cached(here.informer) == stored(here.server, "configmaps")


async def test_one_range_is_not_united_with_anything() -> None:
    async with FakeAPIServer(shard_selector=True) as server, server.api_client() as api:
        informer = new_informer(api, CONFIGMAPS, shard=Shard(0, of=2), settings=QUICK)
        async with informer:
            await informer.wait_synced(timeout=30)
            before = list(informer.resource_versions)
            await pipeline_of(informer).following.unite()
            assert list(informer.resource_versions) == before


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["put", "delete", "replace"]), st.sampled_from("abcdef")),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 1.0])),
        st.tuples(st.just("hold back"), st.sampled_from([LOW, HIGH])),
        st.tuples(st.just("unite"), st.none()),
        st.tuples(st.just("break"), st.none()),
    ),
    min_size=5,
    max_size=40,
)


@pytest.mark.parametrize("gate", [True, False], ids=["gate on", "gate off"])
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_any_history_equals_the_unsplit_one(gate: bool, steps: list[tuple[str, Any]]) -> None:
    """SHARDS §2: deletions, recreations, ranges that lag, watches that break before, while and after."""
    run_virtual(_follow(gate, [*steps, ("unite", None), ("put", "a")]))


async def _follow(gate: bool, steps: list[tuple[str, Any]]) -> None:
    async with scene(gate=gate) as here:
        for step, argument in steps:
            is_there = f"default/{argument}" in stored(here.server, "configmaps")
            if step in ("delete", "replace") and is_there:
                here.server.delete("configmaps", argument)
                is_there = False
            if step in ("put", "replace"):
                put = here.server.update if is_there else here.server.create
                put("configmaps", configmap(argument, at=str(len(here.server.requests))))
            elif step == "wait":
                await asyncio.sleep(argument)
            elif step == "hold back":
                here.hold_back(argument)
            elif step == "unite":
                await here.unite()
            elif step == "break":
                here.server.reset_connections()
        await asyncio.sleep(120)
        assert cached(here.informer) == stored(here.server, "configmaps")
        assert list(here.informer.resource_versions) == [WHOLE]
        assert here.informer.health().reason == ""


async def test_a_range_that_is_coming_is_left_out() -> None:
    async with FakeAPIServer(shard_selector=True) as server, server.api_client() as api:
        informer = new_informer(api, CONFIGMAPS, shard=Shard(0, of=1), settings=QUICK)
        following = pipeline_of(informer).following
        following.change_unstarted((LOW,))
        async with informer:
            await informer.wait_synced(timeout=30)
            coming = following.change((LOW, HIGH))
            await following.unite()
            await coming
            await asyncio.sleep(2)
            assert list(informer.resource_versions) == [LOW, HIGH]
            await following.unite()
            assert list(informer.resource_versions) == [WHOLE]


async def test_ranges_of_several_namespaces_stay_apart() -> None:
    async with FakeAPIServer(shard_selector=True) as server, server.api_client() as api:
        informer = new_informer(api, CONFIGMAPS, namespace=["a", "b"], shard=Shard(0, of=1), settings=QUICK)
        following = pipeline_of(informer).following
        following.change_unstarted((LOW._replace(namespace="a"), HIGH._replace(namespace="b")))
        async with informer:
            await informer.wait_synced(timeout=30)
            with pytest.raises(ValueError, match="of several namespaces cannot be followed by one watch"):
                _ = following.unite()


@pytest.mark.parametrize("is_begun_again", [False, True])
async def test_a_range_that_has_to_be_listed_lets_their_union_begin_with_a_list(is_begun_again: bool) -> None:
    """G1: what could not be read of its watch, only a list can tell."""

    async with scene() as here:

        def harm(request: RequestInfo) -> Fault | None:
            if request.verb == "list":
                return Fault(status=503)
            return Fault(rewrite=lambda data: data.replace(b'"name":"lost"', b'"nome":"lost"'))

        heal = here.server.intercept(harm)
        here.server.reset_connections()
        await asyncio.sleep(3)
        here.server.create("configmaps", configmap("lost"))
        here.server.create("configmaps", configmap("d"))
        await asyncio.sleep(1)
        done = pipeline_of(here.informer).following.unite()
        if is_begun_again:
            await asyncio.sleep(0)
            (task,) = [each for each in asyncio.all_tasks() if each.get_name().startswith("change of scopes")]
            task.cancel()
        await done
        heal()
        await asyncio.sleep(60)
        assert list(here.informer.resource_versions) == [WHOLE]
        assert cached(here.informer) == stored(here.server, "configmaps")
        assert here.informer.health().shard_mode == "server"


@pytest.mark.parametrize("turns", range(6))
async def test_a_stranger_who_cancels_a_union_changes_no_mode(turns: int) -> None:
    async with scene() as here:
        done = pipeline_of(here.informer).following.unite()
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks():
            if task.get_name().startswith("change of scopes"):
                task.cancel()
        await done
        await asyncio.sleep(1)
        assert here.informer.health().shard_mode == "server"
        assert len(here.requests("list")) == 2
