"""One shard of several in an informer: what its cache holds, whoever keeps the others away, on the embedded server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from typing import Any, cast

import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers import (
    ALL_NAMESPACES,
    Cause,
    Deleted,
    ListOptions,
    Metadata,
    NotFoundError,
    ObjectKey,
    Settings,
    SharedInformerFactory,
    new_informer,
)
from aioinformers.errors import NotOwnedError
from aioinformers.objects.ranges import Field
from aioinformers.sharding import Shard
from aioinformers.testing import FakeAPIServer, Fault, RequestInfo
from tests.kit import LISTS, QUICK, Recorder, cached, configmap, factory_on, stored, synced

pytestmark = pytest.mark.virtual_time

THREE = [Shard(index, of=3) for index in range(3)]
BY_NAMESPACE = [Shard(index, of=3, by="namespace") for index in range(3)]
GATES = pytest.mark.parametrize("gate", [True, False], ids=["gate on", "gate off"])
PAGES = Settings(backoff_jitter=0.0, page_size=5)

Frozen = msgspec.defstruct("Frozen", [("metadata", dict[str, Any])], frozen=True)
Small = msgspec.defstruct("Small", [("data", dict[str, str] | None, None)], frozen=True)
"""Is decoded on arrival, in one pass, unless something has to be looked at before."""


def server_with(*, gate: bool, **options: Any) -> FakeAPIServer:
    return FakeAPIServer(shard_selector=gate, rng=random.Random(7), **options)


def owned(server: FakeAPIServer, shard: Shard | None, resource: str = "configmaps") -> dict[str, tuple[str, str]]:
    """Return what belongs to a shard of what the server has."""
    found = stored(server, resource)
    if shard is None:
        return found
    if shard.by == "uid":
        return {key: version for key, version in found.items() if shard.contains(version[0])}
    return {key: version for key, version in found.items() if shard.contains(key.rpartition("/")[0])}


def fill(server: FakeAPIServer, names: Sequence[str], namespace: str = "default") -> None:
    if namespace not in (obj["metadata"]["name"] for obj in server.list("namespaces")):
        server.create("namespaces", {"metadata": {"name": namespace}})
    for name in names:
        server.create("configmaps", configmap(name, namespace))


def change(server: FakeAPIServer) -> None:
    """Create, change and delete about a third of what there is."""
    known = server.list("configmaps")
    for number, obj in enumerate(known):
        name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        if number % 3 == 0:
            server.patch("configmaps", name, {"data": {"k": str(number)}}, namespace=namespace)
        elif number % 3 == 1:
            server.delete("configmaps", name, namespace=namespace)
            server.create("configmaps", configmap(f"{name}x", namespace))


def requests_of(server: FakeAPIServer, verb: str) -> list[RequestInfo]:
    return [each for each in server.requests if each.verb == verb and each.resource == "configmaps"]


class Blind:
    """Lets some requests arrive without their selector of shards, as if another server took them.

    Args:
        server: The server.
        is_blind: Tells of a request's verb whether that is one of them.
    """

    def __init__(self, server: FakeAPIServer, is_blind: Callable[[str], bool]) -> None:
        self.is_blind = is_blind
        server.intercept(self._look)

    def _look(self, request: RequestInfo) -> Fault | None:
        if self.is_blind(request.verb):
            cast("MutableMapping[str, str]", request.query).pop("shardSelector", None)
        return None


@contextlib.asynccontextmanager
async def three_factories(
    server: FakeAPIServer, shards: Sequence[Shard], **options: Any
) -> AsyncIterator[list[SharedInformerFactory]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(factory_on(server, shard=shard, **options)) for shard in shards]


# -- each shard, and all of them together -------------------------------------------------------------------------


@GATES
@pytest.mark.parametrize("shards", [THREE, BY_NAMESPACE], ids=["uid", "namespace"])
async def test_three_shards_have_each_object_once_and_follow_it(gate: bool, shards: list[Shard]) -> None:
    async with server_with(gate=gate) as server, three_factories(server, shards) as factories:
        for namespace in ("default", "a", "kube-system", "zz", "x1"):
            fill(server, [f"c{number:02}" for number in range(12)], namespace)
        recorders = [Recorder() for _ in shards]
        informers = [factory.for_resource("configmaps.v1.") for factory in factories]
        for factory, informer, recorder in zip(factories, informers, recorders, strict=True):
            informer.add_event_handler(recorder)
            await factory.start()
            await factory.wait_for_cache_sync(timeout=30)
        for _ in range(4):
            for shard, informer in zip(shards, informers, strict=True):
                assert cached(informer) == owned(server, shard)
                assert {*informer.resource_versions.values()} <= {server.resource_version}
                unfiltered = "namespace" if shard.by == "namespace" else "client"
                assert informer.health().shard_mode == ("server" if gate else unfiltered)
                assert informer.health().shard == str(shard)
            assert sum(len(informer.lister) for informer in informers) == len(server.list("configmaps"))
            change(server)
            server.create("configmaps", configmap(f"last{_}"))
            await asyncio.sleep(61)  # where all is filtered, a bookmark tells of the version
        for informer, recorder in zip(informers, recorders, strict=True):
            assert recorder.state == cached(informer)
            assert not recorder.problems
            assert informer.statistics().failures == 0


@GATES
@pytest.mark.parametrize("object_type", [dict, Metadata, client.V1ConfigMap, Frozen, Small])
@pytest.mark.parametrize("transform", [None, lambda obj: obj], ids=["plain", "transformed"])
async def test_what_is_kept_of_objects_makes_no_difference(gate: bool, object_type: Any, transform: Any) -> None:
    seen: list[Any] = []

    def note(obj: Any) -> Any:
        seen.append(obj)
        return obj

    async with server_with(gate=gate) as server, factory_on(server, shard=THREE[1]) as factory:
        fill(server, [f"c{number:02}" for number in range(30)])
        informer = await synced(factory, object_type=object_type, transform=None if transform is None else note)
        await asyncio.sleep(2)
        change(server)
        await asyncio.sleep(1)
        mine = owned(server, THREE[1])
        assert {str(key) for key in informer.indexer} == set(mine)
        assert {str(key): informer.indexer.resource_version(key) for key in informer.indexer} == {
            key: version for key, (_, version) in mine.items()
        }
        assert bool(seen) is (transform is not None)
        assert len(seen) < 30  # nothing is made of what others have


@GATES
async def test_pages_may_be_empty(gate: bool) -> None:
    """Of a page whose objects all belong to others nothing is left, which is not the end of the list."""
    async with server_with(gate=gate, watch_cache=False) as server:
        fill(server, [f"c{number:03}" for number in range(200)])
        for shard in [Shard(index, of=97) for index in (0, 40, 96)]:
            async with factory_on(server, shard=shard, settings=PAGES) as factory:
                informer = await synced(factory)
                assert cached(informer) == owned(server, shard)
        pages = [each for each in requests_of(server, "list") if "continue" in each.query]
        assert bool(pages) is (not gate)


@GATES
async def test_it_narrows_together_with_selectors_and_namespaces(gate: bool) -> None:
    async with server_with(gate=gate) as server, factory_on(server, shard=THREE[0]) as factory:
        for namespace in ("a", "b", "c"):
            fill(server, [f"c{number:02}" for number in range(20)], namespace)
            for number in range(0, 20, 2):
                server.patch("configmaps", f"c{number:02}", {"metadata": {"labels": {"app": "x"}}}, namespace=namespace)
        informer = await synced(factory, namespace=["a", "b"], label_selector="app=x")
        mine = {key for key in owned(server, THREE[0]) if key[0] in "ab" and int(key[-2:]) % 2 == 0}
        assert set(cached(informer)) == mine
        assert [(scope.namespace, scope.ranges) for scope in informer.resource_versions] == [
            ("a", (THREE[0].range,)),
            ("b", (THREE[0].range,)),
        ]
        assert {each.shard_mode for each in informer.health().scopes} == {"server" if gate else "client"}
        assert informer.lister.namespace("a").is_partial


# -- what is asked for --------------------------------------------------------------------------------------------


async def test_a_shard_is_listed_and_never_streamed() -> None:
    """A watch does not say by what it is filtered."""
    async with server_with(gate=True) as server, factory_on(server, shard=THREE[0]) as factory:
        await synced(factory)
        whole = factory.for_resource("configmaps.v1.", shard=None)
        await whole.wait_synced()
        await asyncio.sleep(1)
        sharded = [each for each in server.requests if each.query.get("shardSelector")]
        assert {each.verb for each in sharded} == {"list", "watch"}
        assert not any("sendInitialEvents" in each.query for each in sharded)
        assert {each.query["shardSelector"] for each in sharded} == {THREE[0].selector}
        others = [each for each in requests_of(server, "watch") if each not in sharded]
        assert any("sendInitialEvents" in each.query for each in others)


async def test_one_informer_may_have_all_objects_beside_a_factorys_shard() -> None:
    async with server_with(gate=True) as server, factory_on(server, shard=THREE[0]) as factory:
        fill(server, [f"c{number}" for number in range(20)])
        mine = await synced(factory)
        whole = factory.for_resource("configmaps.v1.", shard=None)
        other = factory.for_resource("configmaps.v1.", shard=THREE[1])
        by_namespace = factory.for_resource("configmaps.v1.", shard=BY_NAMESPACE[0])
        assert factory.for_resource("configmaps.v1.", shard=Shard(0, of=3)) is mine
        assert len({mine, whole, other, by_namespace}) == len(factory) == 4
        assert [each.name for each in (mine, whole, other, by_namespace)] == [
            "configmaps.v1 [shard 0 of 0 to 2 by uid, as dict]",
            "configmaps.v1 [as dict]",
            "configmaps.v1 [shard 1 of 0 to 2 by uid, as dict]",
            "configmaps.v1 [shard 0 of 0 to 2 by namespace, as dict]",
        ]
        await factory.wait_for_cache_sync(timeout=30)
        assert cached(whole) == stored(server, "configmaps")
        assert (mine.lister.is_partial, whole.lister.is_partial, whole.indexer.is_partial) == (True, False, False)
        assert (whole.health().shard, whole.health().shard_mode) == ("", None)


@pytest.mark.parametrize("shard", ["2/8", (2, 8), Shard, 3, {"index": 2}])
async def test_what_is_no_shard_is_refused_with_advice(shard: Any) -> None:
    async with server_with(gate=True) as server, server.api_client() as api:
        factory = SharedInformerFactory(api)
        for ask in (
            lambda: SharedInformerFactory(api, shard=shard),
            lambda: factory.core.v1.pods(shard=shard),
            lambda: new_informer(api, client.V1Pod, shard=shard),
        ):
            with pytest.raises(
                TypeError, match=r"shard= is a Shard of aioinformers.sharding, such as Shard\(2, of=8\)"
            ):
                ask()


async def test_an_informer_without_a_factory_may_have_a_shard() -> None:
    async with server_with(gate=True) as server, server.api_client() as api:
        fill(server, [f"c{number}" for number in range(20)])
        informer = new_informer(api, "configmaps.v1.", shard=THREE[2], settings=QUICK)
        async with informer:
            await informer.wait_synced()
            assert cached(informer) == owned(server, THREE[2])


async def test_tweaks_see_the_selector_and_must_leave_it() -> None:
    seen: list[str | None] = []

    def look(options: ListOptions) -> None:
        seen.append(options.shard_selector)

    def spoil(options: ListOptions) -> None:
        options.shard_selector = THREE[1].selector

    async with server_with(gate=True) as server, server.api_client() as api:
        _ = SharedInformerFactory(api, shard=THREE[0], tweak_list_options=look).core.v1.pods()
        assert seen == [THREE[0].selector]
        with pytest.raises(ValueError, match="change shard= instead"):
            SharedInformerFactory(api, shard=THREE[0], tweak_list_options=spoil).core.v1.pods()


async def test_a_selector_of_the_users_own_is_passed_through_unverified() -> None:
    def narrow(options: ListOptions) -> None:
        options.shard_selector = THREE[1].selector

    async with server_with(gate=False) as server, factory_on(server, tweak_list_options=narrow) as factory:
        fill(server, [f"c{number}" for number in range(20)])
        informer = await synced(factory)
        assert cached(informer) == stored(server, "configmaps")
        assert {each.query.get("shardSelector") for each in requests_of(server, "watch")} == {THREE[1].selector}
        assert informer.health().shard_mode is None


# -- who is believed ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Give what is said of shards."""
    told: list[str] = []
    with caplog.at_level(logging.INFO, "aioinformers.pipeline"):
        yield told
    told += [each.getMessage() for each in caplog.records if "shard" in each.getMessage().partition("]: ")[2]]


async def test_a_gate_that_is_flipped_is_noticed_and_told_once_for_each_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with logged(caplog) as told:
        async with server_with(gate=True) as server, factory_on(server, shard=THREE[1]) as factory:
            fill(server, [f"c{number:02}" for number in range(30)])
            recorder = Recorder()
            informer = await synced(factory, namespace=ALL_NAMESPACES)
            informer.add_event_handler(recorder)
            for gate in (False, True, False, True):
                await asyncio.sleep(200)
                await server.stop()
                server.upgrade(shard_selector=gate)
                change(server)
                server.expire()  # a server that has been started anew knows no older version
                await server.start()
                await asyncio.sleep(5)
                change(server)
                await asyncio.sleep(100)
                assert informer.health().shard_mode == ("server" if gate else "client")
                assert cached(informer) == owned(server, THREE[1]) == recorder.state
            assert not recorder.problems
    assert ["feature gate ShardedListAndWatch" in each for each in told] == [True, False] * 2


async def test_a_watch_that_is_not_filtered_although_the_list_was_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """What has come by then is removed at once; who was told of it is told that it has left for another shard."""
    async with server_with(gate=True) as server, factory_on(server, shard=THREE[1], settings=LISTS) as factory:
        fill(server, [f"c{number:02}" for number in range(10)])
        blind = Blind(server, lambda _: False)
        recorder = Recorder()
        informer = await synced(factory)
        informer.add_event_handler(recorder)
        await asyncio.sleep(100)
        # The connection that comes now is one to another server, which a look at one event in many finds out.
        blind.is_blind = lambda verb: verb == "watch"
        server.upgrade(shard_selector=True)
        await asyncio.sleep(10)
        fill(server, [f"d{number:02}" for number in range(10)])
        await asyncio.sleep(0.1)
        assert "the watch tells of objects of other shards" in str(informer.last_error)
        assert set(cached(informer)) <= set(owned(server, THREE[1]))
        lists = len(requests_of(server, "list"))
        await asyncio.sleep(60)
        assert len(requests_of(server, "list")) == lists + 1
        assert cached(informer) == owned(server, THREE[1]) == recorder.state
        assert not recorder.problems
        assert informer.health().shard_mode == "server"


async def test_foreign_objects_that_were_stored_are_told_to_have_left() -> None:
    """Those that came between two looks."""
    shard = Shard(0, of=2)
    async with server_with(gate=True) as server, factory_on(server, shard=shard, settings=LISTS) as factory:
        fill(server, [f"c{number:03}" for number in range(200)])
        mine = sorted(owned(server, shard))
        recorder = Recorder()
        informer = await synced(factory)
        informer.add_event_handler(recorder)
        blind = Blind(server, lambda verb: verb == "watch")
        server.upgrade(shard_selector=True)
        await asyncio.sleep(2)
        for key in mine[:33]:  # so many are looked at
            server.patch("configmaps", key.partition("/")[2], {"data": {"k": "v"}})
            await asyncio.sleep(0.01)
        foreign: list[str] = []
        while len(foreign) < 5:
            made = server.create("configmaps", configmap(f"d{server.resource_version}"))
            if shard.contains(made["metadata"]["uid"]):
                server.delete("configmaps", made["metadata"]["name"])
            else:
                foreign.append(f"default/{made['metadata']['name']}")
            await asyncio.sleep(0.01)
        assert set(foreign) <= set(cached(informer))
        for number in range(70):
            server.create("configmaps", configmap(f"e{number:02}"))
            await asyncio.sleep(0.01)
        blind.is_blind = lambda _: False
        await asyncio.sleep(0.1)
        left = [each for each in recorder.events if each.cause is Cause.SHARD]
        assert {str(each.key) for each in left} >= set(foreign)
        assert all(isinstance(each, Deleted) and not each.final_state_known for each in left)
        await asyncio.sleep(30)
        assert cached(informer) == owned(server, shard) == recorder.state
        assert not recorder.problems


async def test_unlike_servers_behind_one_address_are_not_listed_for_ever() -> None:
    """Lists are filtered, watches never: after the first that was found out, each event is looked at."""
    async with server_with(gate=True) as server, factory_on(server, shard=THREE[1]) as factory:
        fill(server, [f"c{number:02}" for number in range(10)])
        Blind(server, lambda verb: verb == "watch")
        recorder = Recorder()
        informer = await synced(factory)
        informer.add_event_handler(recorder)
        for number in range(120):
            await asyncio.sleep(10)
            fill(server, [f"d{number:03}-{each}" for each in range(3)])
            await asyncio.sleep(1)
            if number:
                assert cached(informer) == owned(server, THREE[1]) == recorder.state
        assert len(requests_of(server, "list")) == 2
        assert not recorder.problems
        assert informer.health().shard_mode == "server"


async def test_trust_comes_back_after_a_watch_that_was_true() -> None:
    async with server_with(gate=True) as server, factory_on(server, shard=THREE[1]) as factory:
        blind = Blind(server, lambda verb: verb == "watch")
        informer = await synced(factory)
        await asyncio.sleep(2)
        fill(server, [f"c{number:02}" for number in range(10)])
        await asyncio.sleep(30)
        blind.is_blind = lambda _: False
        for number in range(4):
            server.upgrade(shard_selector=True)
            await asyncio.sleep(5)
            fill(server, [f"d{number}{each:02}" for each in range(10)])
            await asyncio.sleep(5)
        lists = len(requests_of(server, "list"))
        blind.is_blind = lambda verb: verb == "watch"
        server.upgrade(shard_selector=True)
        await asyncio.sleep(5)
        fill(server, [f"e{each:02}" for each in range(10)])
        await asyncio.sleep(30)
        assert len(requests_of(server, "list")) == lists + 1  # it was trusted, or nothing would have been found out
        assert cached(informer) == owned(server, THREE[1])


async def test_one_page_that_is_not_filtered_makes_a_list_unfiltered() -> None:
    async with server_with(gate=True, watch_cache=False) as server:
        fill(server, [f"c{number:02}" for number in range(40)])
        async with factory_on(server, shard=Shard(0, of=2), settings=PAGES) as factory:
            pages: list[str] = []

            def is_blind(verb: str) -> bool:
                pages.append(verb)
                return verb == "list" and pages.count("list") == 2

            Blind(server, is_blind)
            informer = await synced(factory)
            assert pages.count("list") > 2
            assert informer.health().shard_mode == "client"
            assert cached(informer) == owned(server, Shard(0, of=2))


async def test_custom_resources_are_filtered_but_their_lists_do_not_say_so() -> None:
    async with server_with(gate=True) as server, factory_on(server, shard=THREE[0]) as factory:
        server.add_resource("widgets.v1.example.com", "Widget")
        for number in range(30):
            server.create("widgets", {"metadata": {"name": f"w{number}"}})
        widgets = factory.for_resource("widgets.v1.example.com")
        await factory.start()
        await factory.wait_for_cache_sync(timeout=30)
        assert cached(widgets) == owned(server, THREE[0], "widgets")
        assert widgets.health().shard_mode == "client"


# -- reads --------------------------------------------------------------------------------------------------------


async def test_what_another_shard_has_is_not_said_to_be_absent() -> None:
    shard = BY_NAMESPACE[0]
    mine, other = [
        next(name for n in range(99) if shard.contains(name := f"{n * 7919:08x}") is wanted) for wanted in (True, False)
    ]
    async with server_with(gate=True) as server, factory_on(server, shard=shard) as factory:
        fill(server, ["c"], mine)
        fill(server, ["c"], other)
        informer = await synced(factory)
        lister, indexer = informer.lister, informer.indexer
        assert lister.get("c", namespace=mine)["metadata"]["name"] == "c"
        assert ObjectKey(other, "c") not in dict(indexer.items())
        key = f"{other}/c"
        reads: list[Callable[[], Any]] = [
            lambda: lister.get("c", namespace=other),
            lambda: lister.list(namespace=other),
            lambda: lister.list(field_selector=f"metadata.namespace={other}"),
            lambda: lister.namespace(other).get("c"),
            lambda: lister.namespace(other).list(),
            lambda: len(lister.namespace(other)),
            lambda: list(lister.namespace(other)),
            lambda: indexer[key],
            lambda: indexer.get(ObjectKey(other, "c")),
            lambda: ObjectKey(other, "c") in indexer,
            lambda: indexer.resource_version(key),
            lambda: indexer.by_index("namespace", other),
        ]
        for read in reads:
            with pytest.raises(NotOwnedError) as caught:
                read()
            assert not isinstance(caught.value, KeyError)
            assert caught.value.namespace == other
        with pytest.raises(NotOwnedError, match=rf"whether there is '{key}' cannot be told"):
            await informer.wait_for(key, lambda obj: obj is None)
        absent: list[Callable[[], Any]] = [
            lambda: lister.get("d", namespace=mine),
            lambda: indexer.resource_version(f"{mine}/d"),
        ]
        for read in absent:
            with pytest.raises(NotFoundError) as missing:
                read()
            assert "partial" not in str(missing.value)
        assert ObjectKey(mine, "d") not in indexer


async def test_by_uid_what_is_not_found_may_be_in_another_shard() -> None:
    async with server_with(gate=True) as server, factory_on(server, shard=THREE[0]) as factory:
        informer = await synced(factory)
        reads: list[Callable[[], Any]] = [
            lambda: informer.lister.get("d", namespace="x"),
            lambda: informer.indexer["x/d"],
            lambda: informer.indexer.resource_version("x/d"),
        ]
        for read in reads:
            with pytest.raises(NotFoundError, match=r"partial \(shard 0 of 0 to 2, by uid\), and another shard may"):
                read()
        assert ObjectKey("x", "d") not in informer.indexer
        assert informer.lister.list(namespace="x") == []
        assert await informer.wait_for("x/d", lambda obj: obj is None) is None


async def test_versions_are_reached_by_what_belongs_to_others() -> None:
    """Also without the gate: what is dropped moves the version."""
    for gate in (True, False):
        async with server_with(gate=gate) as server, factory_on(server, shard=THREE[0]) as factory:
            informer = await synced(factory)
            await asyncio.sleep(1)
            fill(server, [f"c{number}" for number in range(10)])
            server.delete("configmaps", "c3")
            await informer.wait_for_resource_version(server.resource_version, timeout=65)
            assert cached(informer) == owned(server, THREE[0])


# -- skew ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "is_told"),
    [([f"team-{letter}" for letter in "abcdefghij"], True), ([f"{n * 7919:08x}-{n}" for n in range(40)], False)],
)
@pytest.mark.parametrize("by", ["namespace", "uid"])
@pytest.mark.parametrize("may_see_namespaces", [True, False])
async def test_namespaces_that_fall_into_one_shard_are_told_of(
    names: list[str], is_told: bool, by: Field, may_see_namespaces: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        server_with(gate=False) as server,
        factory_on(server, shard=Shard(1, of=4, by=by)) as factory,
    ):
        if not may_see_namespaces:
            server.fail("* namespaces", status=403, times=None)
        for name in names:
            fill(server, [f"c{number}" for number in range(12)], name)
        await synced(factory)
        await asyncio.sleep(100)
        server.expire()
        server.upgrade()
        await asyncio.sleep(100)
    told = [each.getMessage() for each in caplog.records if "hashes close to each other" in each.getMessage()]
    assert len(told) == (is_told and by == "namespace")
    if told:
        assert (
            "10 of 10 namespaces" if may_see_namespaces else "has 120 of 120 objects, where each would have 30"
        ) in told[0]
        assert 'Divide by="uid"' in told[0]
