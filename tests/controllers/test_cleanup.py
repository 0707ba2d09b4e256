"""An object has its finalizer before it is reconciled, and until it has been cleaned up."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers.controllers import Controller, Request, Requeue
from aioinformers.testing import FakeAPIServer, RequestInfo
from tests.controllers.worlds import Document, now, world
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time

FINALIZER = "example.com/cleanup"


async def test_an_object_gets_the_finalizer_before_the_first_run_and_goes_once_it_is_cleaned_up() -> None:
    async with world("a") as (server, factory, configmaps):
        controller, calls = Controller(configmaps, finalizer=FINALIZER), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            assert FINALIZER in request.object["metadata"]["finalizers"]
            calls.append("reconcile")

        @controller.cleanup
        async def cleanup(request: Request[Document]) -> Requeue | None:
            assert request.object["metadata"]["deletionTimestamp"]
            calls.append("cleanup")
            return Requeue(5) if calls.count("cleanup") < 3 else None

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            assert calls == ["reconcile"]
            server.delete("configmaps", "a", namespace="default")
            await asyncio.sleep(8)
            assert calls == ["reconcile", "cleanup", "cleanup"]
            assert len(server.list("configmaps")) == 1
            await asyncio.sleep(8)
            assert calls == ["reconcile"] + ["cleanup"] * 3
            assert server.list("configmaps") == []
            assert controller.failing() == {}


async def test_finalizers_of_others_stay_and_what_is_not_ours_is_left_alone() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        ours = configmap("ours")
        ours["metadata"]["finalizers"] = ["a.io/first"]
        server.create("configmaps", ours)
        theirs = configmap("theirs")
        theirs["metadata"]["finalizers"] = ["a.io/first"]
        server.create("configmaps", theirs)
        server.delete("configmaps", "theirs", namespace="default")  # being deleted when we come
        configmaps = factory.for_resource("configmaps.v1.")
        controller, calls = Controller(configmaps, finalizer=FINALIZER), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            calls.append(f"reconcile {request.key.name}")

        @controller.cleanup
        async def cleanup(request: Request[Document]) -> None:
            calls.append(f"cleanup {request.key.name}")

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            found = server.get("configmaps", "ours", namespace="default")["metadata"]["finalizers"]
            assert found == ["a.io/first", FINALIZER]
            server.delete("configmaps", "ours", namespace="default")
            await asyncio.sleep(1)
            assert server.get("configmaps", "ours", namespace="default")["metadata"]["finalizers"] == ["a.io/first"]
            assert calls == ["reconcile ours", "cleanup ours"]


async def test_a_finalizer_that_somebody_else_got_in_the_way_of_is_tried_again() -> None:
    async with world("a") as (server, factory, configmaps):
        controller, runs = Controller(configmaps, finalizer=FINALIZER), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs.append(now())

        @controller.cleanup
        async def cleanup(request: Request[Document]) -> None: ...

        server.fail("patch configmaps", 422, times=2)
        await factory.start()
        async with controller.running():
            await asyncio.sleep(5)
        assert len(runs) == 1
        assert 0.9 <= runs[0] <= 1.2
        assert FINALIZER in server.get("configmaps", "a", namespace="default")["metadata"]["finalizers"]


async def test_what_has_been_cleaned_up_is_not_so_again_while_its_finalizer_cannot_be_removed() -> None:
    async with world("a") as (server, factory, configmaps):
        controller, calls = Controller(configmaps, finalizer=FINALIZER), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        @controller.cleanup
        async def cleanup(request: Request[Document]) -> None:
            calls.append(request.uid)

        await factory.start()
        async with controller.running():
            for _ in range(2):
                await asyncio.sleep(1)
                server.fail("patch configmaps", 422, times=3)
                server.delete("configmaps", "a", namespace="default")
                await asyncio.sleep(5)
                assert server.list("configmaps") == []
                server.create("configmaps", configmap("a"))
        assert len(calls) == len(set(calls)) == 2, "once for each of the two"


@pytest.mark.parametrize("others", [(), ("a.io/first",)])
async def test_g20_what_has_been_cleaned_up_is_not_so_again_before_the_cache_shows_it(others: tuple[str, ...]) -> None:
    """The answer to the removal of the last finalizer bears the version that the cache holds already."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        obj = configmap("a")
        obj["metadata"]["finalizers"] = list(others)
        server.create("configmaps", obj)
        controller, calls = Controller(factory.for_resource("configmaps.v1."), finalizer=FINALIZER), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        @controller.cleanup
        async def cleanup(request: Request[Document]) -> None:
            calls.append(now())
            server.fail("watch configmaps", 503, times=2)  # nothing is heard for a while
            server.close_watches()
            controller.trigger(request.key)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            server.delete("configmaps", "a", namespace="default")
            await asyncio.sleep(20)
        assert len(calls) == 1
        left = [each["metadata"]["finalizers"] for each in server.list("configmaps")]
        assert left == ([list(others)] if others else [])
        assert controller.statistics().stale == 0


async def test_g18_a_deletion_is_cleaned_up_whatever_changes_matter() -> None:
    """It is a change of the metadata at first: what has a finalizer stays."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.add_resource("sites.v1.example.com", "Site", status=True)
        server.create("sites", {"metadata": {"name": "a"}, "spec": {"v": 1}})
        sites = factory.for_resource("sites.v1.example.com")
        controller, calls = Controller(sites, finalizer=FINALIZER, only=("spec",)), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            calls.append("reconcile")

        @controller.cleanup
        async def cleanup(request: Request[Document]) -> None:
            calls.append("cleanup")

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            server.patch("sites", "a", {"metadata": {"labels": {"a": "b"}}})
            await asyncio.sleep(1)
            assert calls == ["reconcile"]
            server.delete("sites", "a")
            await asyncio.sleep(1)
        assert calls == ["reconcile", "cleanup"]
        assert server.list("sites") == []
        for hiding in ("metadata", "metadata.deletionTimestamp"):
            with pytest.raises(ValueError, match="would hide that an object is being deleted"):
                Controller(sites, finalizer=FINALIZER, ignore=(hiding,))


async def test_an_object_that_is_gone_before_the_cache_shows_it_is_not_patched_all_the_time() -> None:
    async with world("a") as (server, factory, configmaps):
        controller, patches = Controller(configmaps, finalizer=FINALIZER), list[float]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        @controller.cleanup
        async def cleanup(request: Request[Document]) -> None: ...

        def count(asked: RequestInfo) -> None:
            if asked.verb == "patch":
                patches.append(now())

        server.intercept(count)
        await factory.start()
        await factory.wait_for_cache_sync()
        configmaps._pipeline.dispatcher.offer = lambda item: True  # type: ignore[method-assign]  # nothing is applied
        server.delete("configmaps", "a", namespace="default")
        async with controller.running():
            while len(patches) < 100 and now() < 10:
                await asyncio.sleep(0.1)
        assert 10 <= len(patches) <= 25
