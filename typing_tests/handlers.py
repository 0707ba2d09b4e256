"""Handlers, events and streams carry the informer's type."""

from __future__ import annotations

from typing import Any, assert_type

from kubernetes_asyncio import client

from aioinformers import (
    Added,
    Cause,
    Deleted,
    Event,
    GroupVersionResource,
    ObjectKey,
    Registration,
    SharedInformer,
    SharedInformerFactory,
    Updated,
)


class Additions:
    """A handler of one kind of event."""

    async def on_add(self, obj: client.V1Pod) -> None:
        """Take an addition."""


class Everything:
    """A handler of all of them, whatever the objects are."""

    async def on_add(self, obj: Any) -> None:
        """Take an addition."""

    async def on_update(self, old: Any, new: Any) -> None:
        """Take an update."""

    async def on_delete(self, obj: Any) -> None:
        """Take a deletion."""


class OfNodes:
    """A handler of other objects than Pods."""

    async def on_add(self, obj: client.V1Node) -> None:
        """Take an addition."""


async def on_event(event: Event[client.V1Pod]) -> None:
    """Every kind of event has the object and where it comes from."""
    assert_type(event, Added[client.V1Pod] | Updated[client.V1Pod] | Deleted[client.V1Pod])
    assert_type(event.object, client.V1Pod)
    assert_type(event.key, ObjectKey)
    assert_type(event.resource, GroupVersionResource)
    assert_type(event.cause, Cause)


async def on_node_event(event: Event[client.V1Node]) -> None:
    """Handle events of other objects than Pods."""


def registrations(pods: SharedInformer[client.V1Pod]) -> None:
    """A handler must fit the informer's objects."""
    assert_type(pods.add_event_handler(on_event), Registration[client.V1Pod])
    assert_type(pods.add_event_handler(Additions(), concurrency=4), Registration[client.V1Pod])
    assert_type(pods.add_event_handler(Everything()), Registration[client.V1Pod])
    pods.add_event_handler(on_event, filter=lambda pod: pod.spec.node_name == "n1")
    pods.add_event_handler(on_event, limit=None, handler_timeout=5, on_error=lambda error, event: None, name="mine")
    pods.add_event_handler(on_event, concurency=4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    pods.add_event_handler(on_event, concurrency="4")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pods.add_event_handler(lambda event: None)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    pods.add_event_handler(Additions)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pods.add_event_handler(on_event, filter=lambda pod: pod.spec.nodename == "n1")  # type: ignore[attr-defined]
    pods.add_event_handler(on_node_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pods.add_event_handler(OfNodes())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(pods.default_registration, Registration[client.V1Pod] | None)


def on_the_factory(factory: SharedInformerFactory) -> None:
    """A factory takes handlers by model class."""
    assert_type(factory.add_event_handler(client.V1Pod, on_event), Registration[Any])
    factory.add_event_handler(client.V1Pod, on_event, concurency=4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    factory.add_event_handler(client.V1Pod, lambda event: None)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]

    @factory.on_add(client.V1Pod)
    async def added(pod: client.V1Pod) -> int:
        return 1

    async def use() -> None:
        assert_type(await added(client.V1Pod()), int)


def decorators_leave_functions_as_they_are(pods: SharedInformer[client.V1Pod]) -> None:
    """A decorated function can still be called as before."""

    @pods.on_update
    async def changed(old: client.V1Pod, new: client.V1Pod) -> bool:
        return old.spec == new.spec

    async def use() -> None:
        assert_type(await changed(client.V1Pod(), client.V1Pod()), bool)


async def streams(pods: SharedInformer[client.V1Pod]) -> None:
    """A stream gives events that ``match`` can take apart."""
    pods.stream(concurrency=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    async with pods.stream(limit=10) as events:
        assert_type(events.has_synced, bool)
        async for event in events:
            assert_type(event, Added[client.V1Pod] | Updated[client.V1Pod] | Deleted[client.V1Pod])
            match event:
                case Added(object=pod, initial=initial):
                    assert_type(pod, client.V1Pod)
                    assert_type(initial, bool)
                case Updated(old=before, object=pod):
                    assert_type(before, client.V1Pod)
                    assert_type(pod, client.V1Pod)
                case Deleted(object=pod, final_state_known=known):
                    assert_type(pod, client.V1Pod)
                    assert_type(known, bool)
