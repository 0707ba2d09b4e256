"""Controllers know what they reconcile, and what they are given."""

from __future__ import annotations

from typing import Any, assert_type

import msgspec
from kubernetes_asyncio import client

from aioinformers import ObjectKey, SharedInformer, SharedInformerFactory
from aioinformers.controllers import Controller, FailingKey, Item, Priority, Request, Requeue, WorkQueue
from aioinformers.coordination import LeaderElection


class Website(msgspec.Struct, frozen=True):
    """An object of the user's."""

    spec: dict[str, str]


async def what_a_controller_gives(factory: SharedInformerFactory, election: LeaderElection) -> None:
    """The type of its objects, through everything that is said of them."""
    websites = factory.for_resource("websites.v1.example.com", object_type=Website)
    controller = Controller(websites, finalizer="example.com/website")
    assert_type(controller, Controller[Website])
    deployments = factory.apps.v1.deployments()
    assert_type(controller.owns(deployments), Controller[Website])
    secrets = factory.core.v1.secrets(indexers={"site": "metadata.labels.site"})

    def sites_of(secret: client.V1Secret) -> list[ObjectKey]:
        return [ObjectKey("default", secret.metadata.name)]

    def sites_of_pod(pod: client.V1Pod) -> list[str]:
        return []

    assert_type(controller.watches(secrets, to=sites_of), Controller[Website])
    controller.watches(secrets, to="site")
    controller.watches(secrets, to=sites_of_pod)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    @controller.reconcile
    async def reconcile(request: Request[Website]) -> Requeue | None:
        assert_type(request.object, Website)
        assert_type(request.key, ObjectKey)
        assert_type(await request.apply({"kind": "ConfigMap"}), dict[str, Any])
        assert_type(await request.patch_status({"phase": "Ready"}), dict[str, Any] | None)
        return Requeue(after=30)

    @controller.cleanup
    async def cleanup(request: Request[Website]) -> None: ...

    @controller.gone
    async def gone(key: ObjectKey) -> None: ...

    async with factory, controller.running(election=election) as same:
        assert_type(same, Controller[Website])
        controller.trigger("default/a")
        assert_type(controller.failing(), dict[ObjectKey, FailingKey])


def what_it_refuses(pods: SharedInformer[client.V1Pod], nodes: SharedInformer[client.V1Node]) -> None:
    """Functions for other objects, and functions that are not awaited."""
    controller = Controller(pods)

    async def of_nodes(request: Request[client.V1Node]) -> None: ...

    def plain(request: Request[client.V1Pod]) -> None: ...

    controller.reconcile(of_nodes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    controller.reconcile(plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    controller.owns(nodes, "x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Controller(pods, concurency=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def what_a_queue_gives() -> None:
    """The type of its keys."""
    queue = WorkQueue[int]("numbers")
    queue.add(1, priority=Priority.URGENT, after=0.5)
    queue.add("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with queue.item() as item:
        assert_type(item.key, int)

    async def work(item: Item[int]) -> None: ...

    await queue.run(work, concurrency=2)
