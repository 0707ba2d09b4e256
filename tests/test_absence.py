"""G5, G9: a kind, or a namespace, that can no longer be listed. A cache is never emptied on a guess.

What the server says for certain, twice and half a minute apart, is told as deletions; whatever may be an outage leaves
the objects where they are, and the informer says why.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioinformers import Deleted, SharedInformer, SharedInformerFactory
from aioinformers.testing import FakeAPIServer, Fault, RequestInfo
from tests.kit import QUICK, Recorder, cached, configmap, factory_on, started, stored

pytestmark = pytest.mark.virtual_time

HOUR = 3600.0
CERTAIN = 51.0
"""Seconds after which the second answer has come: tries are 0.8, 1.6, 3.2 … 25.6 s apart, and the answers 30 s."""
GADGETS, GIZMOS = "gadgets.v1.example.com", "gizmos.v1.example.com"


def definition(plural: str, kind: str, *, scope: str = "Namespaced", group: str = "example.com") -> dict[str, Any]:
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [{"name": "v1", "served": True, "storage": True}],
        },
    }


@dataclasses.dataclass
class Scene:
    """An informer of gadgets that has synced, and what it tells."""

    server: FakeAPIServer
    factory: SharedInformerFactory
    gadgets: SharedInformer[Any]
    recorder: Recorder

    @property
    def reason(self) -> str:
        return self.gadgets.health().reason

    @property
    def names(self) -> list[str]:
        return [str(key) for key in self.gadgets.indexer]

    def told(self) -> list[str]:
        """Return what was told besides the first objects."""
        assert self.recorder.problems == []
        return self.recorder.kinds()[2:]

    async def away(self, change: Callable[[], object]) -> None:
        """Change something while the server cannot be reached."""
        await self.server.stop()
        change()
        await self.server.start()


@asynccontextmanager
async def scene(*, namespace: Any = None, is_defined: bool = True, **options: Any) -> AsyncIterator[Scene]:
    """Give an informer of two gadgets; their kind has a definition that can be seen, or none."""
    async with FakeAPIServer(**options) as server, factory_on(server) as factory:
        if is_defined:
            server.create("crd", definition("gadgets", "Gadget"))
        else:
            server.add_resource(GADGETS, "Gadget")
        for name in ("a", "b"):
            server.create(GADGETS, {"metadata": {"name": name, "namespace": "default"}})
        gadgets = factory.for_resource(GADGETS, namespace=namespace)
        recorder = Recorder()
        gadgets.add_event_handler(recorder)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(2)
        yield Scene(server, factory, gadgets, recorder)


def without_group(body: bytes) -> bytes:
    """Take the group out of the document of all groups, of either form."""
    document = json.loads(body)
    for field in {"items", "groups"} & document.keys():
        names = [each["name"] if "name" in each else each["metadata"].get("name") for each in document[field]]
        document[field] = [each for each, name in zip(document[field], names, strict=True) if name != "example.com"]
    return json.dumps(document).encode()


def stale(body: bytes) -> bytes:
    return body.replace(b'"freshness":"Current"', b'"freshness":"Stale"')


NOT_FOUND = Fault(status=404, body="404 page not found\n", headers={"Content-Type": "text/plain"})


def paths(**faults: Fault) -> Callable[[RequestInfo], Fault | None]:
    """Answer by path: the group's (``list``, ``own``) and the document of all groups (``root``)."""

    def interceptor(request: RequestInfo) -> Fault | None:
        if request.path == "/apis":
            return faults.get("root")
        if request.path == "/apis/example.com/v1":
            return faults.get("own", NOT_FOUND)
        return faults.get("list", NOT_FOUND) if request.path.startswith("/apis/example.com/") else None

    return interceptor


def says(document: object) -> Fault:
    return Fault(status=200, body=json.dumps(document), headers={"Content-Type": "application/json"})


WIDGETS_ONLY = {"name": "widgets", "kind": "Widget", "namespaced": True, "verbs": ["list", "watch"]}
OUTAGES: dict[str, tuple[Callable[[RequestInfo], Fault | None], str]] = {
    "its group is not served": (paths(root=Fault(rewrite=without_group)), "may be an outage of its server"),
    "its group is not up to date": (paths(root=Fault(rewrite=stale)), "not up to date"),
    "its version is said to be served": (paths(), "is said to be served, and is not"),
    "its group cannot be read": (paths(own=Fault(status=403)), "cannot be told: 403"),
    "its server is away": (paths(own=Fault(status=503)), "cannot be told: 503"),
    "its server fails": (paths(own=Fault(status=500)), "cannot be told: 500"),
    "its server hangs": (paths(own=Fault(delay=1e6)), "cannot be told: "),
    "its group is empty": (
        paths(own=says({"kind": "APIResourceList", "groupVersion": "example.com/v1", "resources": []})),
        "does not say what example.com/v1 has",
    ),
    "its group is another": (
        paths(own=says({"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [WIDGETS_ONLY]})),
        "does not say what example.com/v1 has",
    ),
    "a proxy answers": (paths(own=Fault(status=200, body="<html>")), "is not a discovery document"),
    "all groups are forbidden": (paths(root=Fault(status=403)), "cannot be told: 403"),
    "all groups are not there": (paths(root=NOT_FOUND), "cannot be told: 404"),
    "there are no groups": (paths(root=says({"kind": "APIGroupList", "groups": []})), "does not say which groups"),
    "all groups are HTML": (paths(root=Fault(status=200, body="<html>")), "is not a discovery document"),
    "the kind is served": (paths(own=Fault()), "still names gadgets"),
    "only lists are forbidden": (paths(list=Fault(status=403), own=Fault()), "still names gadgets"),
}
"""Answers to everything about the group, and what the informer says of them."""


@pytest.mark.parametrize("aggregated", [True, False])
@pytest.mark.parametrize("outage", OUTAGES)
async def test_g5_what_may_be_an_outage_leaves_the_objects(outage: str, aggregated: bool) -> None:
    """Although not one list succeeds, and with fewer than ten requests a minute of any kind."""
    answer, words = OUTAGES[outage]
    if "up to date" in outage and not aggregated:
        pytest.skip("only the aggregated document says so")
    async with scene(is_defined=False, aggregated_discovery=aggregated) as here:
        heal = here.server.intercept(answer)
        here.server.reset_connections()
        await asyncio.sleep(2 * CERTAIN)
        asked = len(here.server.requests)
        await asyncio.sleep(HOUR)
        minutes = Counter((request.path, request.time // 60) for request in here.server.requests[asked:])
        assert max(minutes.values()) < 10
        assert here.names == ["default/a", "default/b"]
        assert here.told() == []
        assert "its objects are kept" in here.reason
        assert words in here.reason
        assert not here.gadgets.is_watching
        heal()
        here.server.create(GADGETS, {"metadata": {"name": "c", "namespace": "default"}})
        await asyncio.sleep(31 + 30)
        assert here.reason == ""
        assert here.told() == ["Added c"]


@pytest.mark.slow
async def test_g5_a_group_that_is_away_for_a_day_leaves_the_objects() -> None:
    """However often the server says so."""
    async with scene(is_defined=False) as here:
        here.server.intercept(paths(root=Fault(rewrite=without_group)))
        here.server.reset_connections()
        await asyncio.sleep(24 * HOUR)
        assert here.names == ["default/a", "default/b"]
        assert here.told() == []


async def test_g5_an_aggregated_group_that_vanishes_for_25_seconds_loses_nothing() -> None:
    """Again and again, also when it is gone for longer."""
    async with scene(is_defined=False) as here:
        for seconds in (25, 25, 29, 60, 300):
            heal = here.server.intercept(paths(root=Fault(rewrite=without_group)))
            here.server.reset_connections()
            await asyncio.sleep(seconds)
            heal()
            await asyncio.sleep(35)
            assert here.reason == ""
        assert here.told() == []
        assert cached(here.gadgets) == stored(here.server, GADGETS)


# -- kinds that are gone ------------------------------------------------------------------------------------------


def remove(server: FakeAPIServer, resource: str) -> Callable[[], None]:
    return lambda: server.storage.remove_resource(server.storage.resources.resolve(resource))


async def is_gone(here: Scene, words: str) -> None:
    """Assert that the objects are told as deleted once that is certain, and not before."""
    await asyncio.sleep(29)
    assert here.names == ["default/a", "default/b"]
    assert here.told() == []
    await asyncio.sleep(CERTAIN - 29 + 0.1)
    assert here.names == []
    assert here.told() == ["Deleted a", "Deleted b"]
    assert all(isinstance(event, Deleted) and not event.final_state_known for event in here.recorder.events[2:])
    assert here.reason.startswith("waiting for the kind to be served (")
    assert words in here.reason
    asked = len(here.server.requests)
    await asyncio.sleep(HOUR)
    assert here.told() == ["Deleted a", "Deleted b"]
    assert here.gadgets.has_synced
    assert here.gadgets.lister.list() == []
    paths = Counter((request.path, request.time // 60) for request in here.server.requests[asked:])
    assert max(paths.values()) < 10


async def heals(here: Scene, resource: str = GADGETS) -> None:
    """Assert that a kind that is served again is followed again."""
    here.server.create(resource, {"metadata": {"name": "new"}})
    await asyncio.sleep(31)
    assert here.reason == ""
    assert here.told()[2:] == ["Added new"]
    assert cached(here.gadgets) == stored(here.server, resource)


async def test_g5_a_definition_that_went_while_the_server_was_away_leaves_no_ghost() -> None:
    """It was the only one of its group: nobody serves the group, and the definition, which had been seen, is gone."""
    async with scene() as here:
        await here.away(lambda: here.server.delete("crd", "gadgets.example.com"))
        await is_gone(here, "the definition of the kind is not there any more")
        here.server.create("crd", definition("gadgets", "Gadget"))
        await heals(here)


async def test_g5_a_definition_that_went_out_of_a_group_leaves_no_ghost() -> None:
    """What serves the others says so, whether or not definitions may be seen."""
    async with scene(is_defined=False) as here:
        here.server.add_resource(GIZMOS, "Gizmo")
        await here.away(remove(here.server, GADGETS))
        await is_gone(here, "/apis/example.com/v1 does not name gadgets any more")
        here.server.add_resource(GADGETS, "Gadget")
        await heals(here)


@pytest.mark.parametrize("aggregated", [True, False])
async def test_g5_a_version_that_is_not_served_any_more_leaves_no_ghost(aggregated: bool) -> None:
    async with scene(is_defined=False, aggregated_discovery=aggregated) as here:
        here.server.add_resource("gadgets.v2.example.com", "Gadget")
        await here.away(remove(here.server, GADGETS))
        await is_gone(here, "example.com/v1 is not served any more, only v2")
        here.server.add_resource(GADGETS, "Gadget")
        await heals(here)


async def test_g5_a_kind_that_became_cluster_scoped_has_nothing_in_namespaces() -> None:
    """One that is followed in a namespace waits; one that is followed everywhere just shows what there is."""
    async with scene(namespace="default") as here:
        everywhere = here.factory.for_resource(GADGETS)
        await everywhere.wait_synced()
        await asyncio.sleep(2)

        def change() -> None:
            here.server.delete("crd", "gadgets.example.com")
            here.server.create("crd", definition("gadgets", "Gadget", scope="Cluster"))
            here.server.create("gadgets", {"metadata": {"name": "new"}})

        await here.away(change)
        await is_gone(here, "gadgets.v1.example.com is cluster-scoped now")
        assert [str(key) for key in everywhere.indexer] == ["new"]
        assert everywhere.health().reason == ""
        here.server.delete("crd", "gadgets.example.com")
        here.server.create("crd", definition("gadgets", "Gadget"))
        await heals(here)


@pytest.mark.parametrize("status", [403, 404])
async def test_g5_a_definition_that_may_not_be_seen_proves_nothing(status: int) -> None:
    """Neither before nor afterwards: of a group that is not served at all the objects stay."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("crd", definition("gadgets", "Gadget"))
        server.create(GADGETS, {"metadata": {"name": "a", "namespace": "default"}})
        hide = server.intercept(
            lambda request: Fault(status=status) if "customresourcedefinitions/" in request.path else None
        )
        gadgets = factory.for_resource(GADGETS)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(2)
        await server.stop()
        server.delete("crd", "gadgets.example.com")
        await server.start()
        hide()
        await asyncio.sleep(HOUR)
        assert len(gadgets.lister) == 1
        assert "the API group example.com is not served, which may be an outage" in gadgets.health().reason


async def test_g5_a_definition_is_found_although_the_server_does_not_answer_at_first() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("crd", definition("gadgets", "Gadget"))
        server.create(GADGETS, {"metadata": {"name": "a", "namespace": "default"}})
        busy = server.intercept(
            lambda request: Fault(status=503) if "customresourcedefinitions/" in request.path else None
        )
        gadgets = factory.for_resource(GADGETS)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(50)
        busy()
        await asyncio.sleep(70)
        await server.stop()
        server.delete("crd", "gadgets.example.com")
        await server.start()
        await asyncio.sleep(CERTAIN + 1)
        assert len(gadgets.lister) == 0
        lookups = [r.time for r in server.requests if "customresourcedefinitions/" in r.path and r.time < 120]
        assert lookups == pytest.approx([0, 60], abs=0.1), "it is asked for until there is an answer"


async def test_g5_answers_that_are_not_certain_begin_the_half_minute_anew() -> None:
    """An error in between, or a list that succeeds."""
    async with scene(is_defined=False) as here:
        here.server.add_resource(GIZMOS, "Gizmo")
        resource = here.server.storage.resources.resolve(GADGETS)
        missing = says({"kind": "APIResourceList", "groupVersion": "example.com/v1", "resources": [WIDGETS_ONLY]})
        for interruption in (Fault(status=503), Fault()):
            gone = here.server.intercept(paths(own=missing))
            here.server.reset_connections()
            await asyncio.sleep(25)
            gone()
            pause = here.server.intercept(paths(own=interruption, list=interruption))
            await asyncio.sleep(30)
            pause()
            gone = here.server.intercept(paths(own=missing))
            here.server.reset_connections()
            await asyncio.sleep(27)
            assert here.names == ["default/a", "default/b"]
            gone()
            await asyncio.sleep(70)
            assert here.reason == ""
        assert here.told() == []
        assert resource.kind == "Gadget"


async def test_g5_a_kind_that_never_was_there_is_waited_for() -> None:
    """A cache that has never synced is not taken for an empty one."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.add_resource(GIZMOS, "Gizmo")
        gadgets = factory.for_resource(GADGETS, optional=True)
        await factory.start()
        await asyncio.sleep(HOUR)
        assert not gadgets.has_synced
        assert "404" in gadgets.health().reason
        assert {request.path for request in server.requests} == {"/apis/example.com/v1/gadgets"}


async def test_g9_waiting_for_a_kind_survives_an_outage() -> None:
    """It is still gone, says why nothing can be asked, and heals."""
    async with scene() as here:
        await here.away(lambda: here.server.delete("crd", "gadgets.example.com"))
        await is_gone(here, "not there any more")
        await here.server.stop()
        await asyncio.sleep(300)
        assert here.reason.startswith("waiting for the kind to be served (")
        assert "cannot connect" in here.reason
        here.server.create("crd", definition("gadgets", "Gadget"))
        await here.server.start()
        await heals(here)


# -- namespaces ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def two_namespaces() -> AsyncIterator[tuple[FakeAPIServer, SharedInformer[Any], Recorder]]:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for namespace in ("keep", "doomed"):
            server.create("namespaces", {"metadata": {"name": namespace}})
            server.create("configmaps", configmap("c", namespace))
        configmaps = await started(factory, namespace=["keep", "doomed"])
        recorder = Recorder()
        configmaps.add_event_handler(recorder)
        yield server, configmaps, recorder


def forbid(server: FakeAPIServer) -> Callable[[], None]:
    """Take the permissions away that were given in a namespace, as its end does."""
    return server.intercept(lambda request: Fault(status=403) if "/doomed/" in request.path else None)


@pytest.mark.parametrize("answer", [None, Fault(status=403), Fault(status=503), NOT_FOUND, Fault(status=404)])
async def test_g5_a_namespace_that_may_not_be_read_keeps_its_objects(answer: Fault | None) -> None:
    """It is there, or nobody says for certain that it is not; only its scope waits."""
    async with two_namespaces() as (server, configmaps, recorder):
        forbid(server)
        server.intercept(lambda request: answer if request.path == "/api/v1/namespaces/doomed" else None)
        server.reset_connections()
        await asyncio.sleep(HOUR)
        server.create("configmaps", configmap("later", "keep"))
        await asyncio.sleep(1)
        assert recorder.kinds() == ["Added c", "Added c", "Added later"]
        states = {each.scope.namespace: each for each in configmaps.health().scopes}
        assert states["keep"].reason == ""
        assert "403" in states["doomed"].reason
        assert "its objects are kept" in states["doomed"].reason


async def test_g5_a_namespace_that_is_gone_lets_go_of_its_objects() -> None:
    """With the rights in it, so that it cannot be listed. It may come back."""
    async with two_namespaces() as (server, configmaps, recorder):
        heal = forbid(server)
        server.reset_connections()
        await asyncio.sleep(0.1)
        server.delete("configmaps", "c", namespace="doomed")
        server.delete("namespaces", "doomed")
        await asyncio.sleep(29)
        assert recorder.kinds() == ["Added c", "Added c"]
        await asyncio.sleep(CERTAIN)
        assert recorder.kinds() == ["Added c", "Added c", "Deleted c"]
        assert [str(key) for key in configmaps.indexer] == ["keep/c"]
        assert "there is no namespace doomed any more" in configmaps.health().reason
        await asyncio.sleep(300)
        heal()
        server.create("namespaces", {"metadata": {"name": "doomed"}})
        server.create("configmaps", configmap("again", "doomed"))
        await asyncio.sleep(31)
        assert configmaps.health().reason == ""
        assert recorder.kinds()[3:] == ["Added again"]


async def test_g5_a_namespace_that_can_be_listed_is_emptied_by_the_list() -> None:
    """A list of a namespace that is not there is empty, and nothing else is asked."""
    async with two_namespaces() as (server, configmaps, recorder):
        await server.stop()
        server.delete("configmaps", "c", namespace="doomed")
        server.delete("namespaces", "doomed")
        server.expire()
        await server.start()
        await asyncio.sleep(5)
        assert recorder.kinds() == ["Added c", "Added c", "Deleted c"]
        assert configmaps.health().reason == ""
        assert not [request for request in server.requests if request.path.startswith("/api/v1/namespaces/doomed") and
                    request.verb == "get"]  # fmt: skip


# -- the half minute can be set -----------------------------------------------------------------------------------


async def test_how_long_that_must_have_been_said_can_be_set() -> None:
    settings = dataclasses.replace(QUICK, gone_after=300.0)
    async with FakeAPIServer() as server, factory_on(server, settings=settings) as factory:
        server.create("crd", definition("gadgets", "Gadget"))
        server.create(GADGETS, {"metadata": {"name": "a", "namespace": "default"}})
        gadgets = factory.for_resource(GADGETS)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(2)
        await server.stop()
        server.delete("crd", "gadgets.example.com")
        await server.start()
        await asyncio.sleep(299)
        assert len(gadgets.lister) == 1
        assert "its objects are kept for now: " in gadgets.health().reason
        await asyncio.sleep(62)
        assert len(gadgets.lister) == 0
