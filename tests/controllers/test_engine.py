"""Finalizers, leadership and server-side apply: what a controller does beside calling its functions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kubernetes.aio import client as aio
from kubernetes_asyncio import client

from aioinformers import SharedInformer, SharedInformerFactory
from aioinformers.controllers import Controller, ControllerState, Request, Requeue
from aioinformers.coordination import LeaderElection
from aioinformers.errors import NotLeadingError
from aioinformers.testing import FakeAPIServer
from tests.controllers.worlds import Document, now, world
from tests.kit import configmap, factory_on
from tests.kit.clients import CLIENTS, client_of

pytestmark = pytest.mark.virtual_time

FINALIZER = "example.com/cleanup"


# -- server-side apply --------------------------------------------------------------------------------------------


async def test_children_are_applied_with_their_owner_and_nothing_changes_the_second_time() -> None:
    async with world("a") as (server, factory, configmaps):
        secrets = factory.for_resource("secrets.v1.")
        controller, versions = Controller(configmaps, name="example.com").owns(secrets), list[str]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            made = await request.apply(
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "child"}, "stringData": {"v": "1"}}
            )
            versions.append(made["metadata"]["resourceVersion"])

        await factory.start()
        async with controller.running():
            await asyncio.sleep(1)
            server.patch("configmaps", "a", {"data": {"v": "2"}}, namespace="default")
            await asyncio.sleep(1)
        child = server.get("secrets", "child", namespace="default")
        (reference,) = child["metadata"]["ownerReferences"]
        assert (reference["kind"], reference["name"], reference["controller"]) == ("ConfigMap", "a", True)
        assert {one["manager"] for one in child["metadata"]["managedFields"]} == {"example.com"}
        assert len(set(versions)) == 1


# -- leadership ---------------------------------------------------------------------------------------------------


def election(api: Any, identity: str) -> LeaderElection:
    return LeaderElection(api, "operator", namespace="default", identity=identity)


@pytest.mark.parametrize("which", CLIENTS)
async def test_g20_what_typed_apis_write_is_waited_for_like_other_writes(which: str) -> None:
    """Each run adds one to what the cache shows, while watches come late: no number is written twice."""
    module: Any = client if which == "kubernetes_asyncio" else aio
    async with FakeAPIServer() as server, client_of(server, which) as api, SharedInformerFactory(api) as factory:
        server.create("configmaps", configmap("a", n="0"))
        controller, written = Controller(factory.for_resource("configmaps.v1.")), list[int]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue:
            number = int(request.object["data"]["n"]) + 1
            core = module.CoreV1Api(request.client)
            await core.patch_namespaced_config_map("a", "default", {"data": {"n": str(number)}})
            written.append(number)
            if number % 3 == 0:
                server.close_watches()
                server.fail("watch configmaps", 503, times=2)
            return Requeue(after=0.01)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(20)
        assert len(written) > 5
        assert written == list(range(1, len(written) + 1))
        assert controller.statistics().stale == 0


async def test_g20_writes_of_what_is_only_watched_are_waited_for_too() -> None:
    """Without an owner, as a child in another namespace: it is found by the cache, so the cache must show it."""
    async with world("a") as (server, factory, configmaps):
        secrets = factory.for_resource("secrets.v1.")
        controller, created = Controller(configmaps), list[str]()
        controller.watches(secrets, to=lambda secret: ["default/a"] if "for" in secret["metadata"]["labels"] else [])

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> Requeue:
            if not len(secrets.indexer):
                server.close_watches()
                server.fail("watch secrets", 503, times=2)  # it is heard of late
                metadata = {"generateName": "child-", "namespace": "other", "labels": {"for": "a"}}
                made = await request.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
                created.append(made["metadata"]["name"])
            return Requeue(after=0.1)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(20)
        assert len(created) == 1
        assert controller.statistics().stale == 0


async def test_g17_what_a_call_has_left_behind_writes_nothing_any_more() -> None:
    """Another call may be about the same object by then."""
    async with world("a") as (server, factory, configmaps):
        controller, left = Controller(configmaps), list[asyncio.Task[None]]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            async def later(write: Callable[[], Awaitable[Any]]) -> None:
                await asyncio.sleep(1)
                await write()

            core: Any = client.CoreV1Api(request.client)
            left.append(asyncio.create_task(later(lambda: request.patch({"data": {"late": "1"}}))))
            left.append(asyncio.create_task(later(lambda: core.delete_namespaced_config_map("a", "default"))))

        await factory.start()
        async with controller.running():
            await asyncio.sleep(5)
        for error in await asyncio.gather(*left, return_exceptions=True):
            assert isinstance(error, RuntimeError)
            assert "configmaps: default/a: the call that this request was made for has ended" in str(error)
        assert "late" not in server.get("configmaps", "a", namespace="default")["data"]


async def test_g21_of_two_replicas_one_reconciles_and_the_other_takes_over_when_it_leaves() -> None:
    async with world("a", "b") as (server, factory, configmaps), factory_on(server) as other_factory:
        others = other_factory.for_resource("configmaps.v1.")
        runs: list[tuple[str, str]] = []

        def controller(name: str, informer: SharedInformer[Document]) -> Controller[Document]:
            made = Controller(informer, name=name)

            @made.reconcile
            async def reconcile(request: Request[Document]) -> None:
                runs.append((name, request.key.name))

            return made

        await factory.start()
        await other_factory.start()
        async with server.api_client() as api:
            second = controller("second", others)
            async with controller("first", configmaps).running(election=election(api, "one")):
                await asyncio.sleep(10)
                assert sorted(runs) == [("first", "a"), ("first", "b")]
                running = second.running(election=election(api, "two"))
                await running.__aenter__()
                await asyncio.sleep(60)
                assert len(runs) == 2
                assert not second.statistics().has_begun
                assert second.statistics().state is ControllerState.FOLLOWING
                left = now()
            await asyncio.sleep(6)
            assert sorted(runs[2:]) == [("second", "a"), ("second", "b")]
            assert now() - left < 10
            assert second.statistics().state is ControllerState.RECONCILING
            await running.__aexit__(None, None, None)
            assert second.statistics().state is ControllerState.ENDED


async def test_g21_nothing_is_written_after_leadership_is_lost_and_all_begins_again_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world("a") as (server, factory, configmaps), server.api_client() as api:
        controller, runs, errors = Controller(configmaps), list[float](), list[BaseException]()

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None:
            runs.append(now())
            try:
                if len(runs) == 1:
                    await asyncio.sleep(1000)
            except asyncio.CancelledError as error:
                errors.append(error)
                try:
                    await request.patch({"data": {"v": "late"}})
                except NotLeadingError as refused:
                    errors.append(refused)
                raise

        await factory.start()
        async with controller.running(election=election(api, "one")):
            await asyncio.sleep(20)
            remove = server.fail("* leases", 503, times=1000)
            await asyncio.sleep(20)
            assert [type(error).__name__ for error in errors] == ["CancelledError", "NotLeadingError"]
            assert len(runs) == 1
            remove()
            await asyncio.sleep(60)
            assert len(runs) == 2
        assert "nothing is reconciled here until it leads again" in caplog.text
        assert "v" not in server.get("configmaps", "a", namespace="default").get("data", {})


async def test_who_ends_while_its_caches_catch_up_gives_the_lease_back_at_once() -> None:
    """Nothing is under way then that could be waited for."""
    async with world("a") as (server, factory, configmaps), server.api_client() as api:
        controller: Controller[Document] = Controller(configmaps, reconcile=unreachable)
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        server.fail("watch configmaps", 503, times=1000)
        server.close_watches()
        server.create("configmaps", configmap("b"))
        leading = election(api, "one")
        async with controller.running(election=leading):
            await asyncio.sleep(5)
            assert (leading.is_leading, controller.statistics().has_begun) == (True, False)
            left = now()
        assert now() - left < 1
        assert server.get("leases", "operator", namespace="default")["spec"]["holderIdentity"] == ""


async def unreachable(request: Request[Document]) -> None:
    raise AssertionError(f"{request} although the cache is behind")
