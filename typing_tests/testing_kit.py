"""What tests of users see of the test kit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from kubernetes_asyncio import client

from aioinformers import Added, Deleted, Event, GroupVersionResource, SharedInformer, Updated
from aioinformers.testing import EventRecorder, FakeAPIServer, Fault, RequestInfo, run_virtual


async def recorder(pods: SharedInformer[client.V1Pod]) -> None:
    """A recorder knows the objects of its informers, and gives the condition's answer."""
    recorder = EventRecorder[client.V1Pod]()
    pods.add_event_handler(recorder)
    assert_type(recorder.events, list[Event[client.V1Pod]])
    assert_type(recorder.added, list[Added[client.V1Pod]])
    assert_type(recorder.updated, list[Updated[client.V1Pod]])
    assert_type(recorder.deleted, list[Deleted[client.V1Pod]])
    assert_type(await recorder.wait_for(lambda events: len(events), timeout=5), int)
    assert_type(await recorder.wait_for(lambda events: [event.key.name for event in events]), list[str])


def server(server: FakeAPIServer) -> None:
    """Resources are named, and objects given, in any way."""
    assert_type(server.create("pods", {"metadata": {}}), dict[str, Any])
    assert_type(server.create(client.V1Pod, client.V1Pod(spec=None)), dict[str, Any])
    assert_type(server.list(GroupVersionResource("", "v1", "pods"), field_selector="a=b"), list[dict[str, Any]])
    assert_type(server.fail("watch pods", 503), Callable[[], None])
    assert_type(server.intercept(slow), Callable[[], None])
    server.create(1, {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Fault(status="503")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def slow(request: RequestInfo) -> Fault | None:
    """Delay lists."""
    return Fault(delay=1) if request.verb == "list" else None


async def answer() -> int:
    """Give a number."""
    return 42


assert_type(run_virtual(answer()), int)
