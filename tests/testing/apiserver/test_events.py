"""Events have two names, and are the same objects."""

from __future__ import annotations

import pytest
from kubernetes_asyncio import client

from aioinformers.testing import FakeAPIServer
from aioinformers.testing.apiserver.events import CORE_EVENTS, NEW_EVENTS, as_event_of, other_events
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resources
from aioinformers.testing.apiserver.storage import Storage
from aioinformers.types import GroupVersionResource
from tests.testing.apiserver.contents import decoded, events, watch

RESOURCES = Resources(DEFAULT_RESOURCES)
NEW = {
    "kind": "Event",
    "apiVersion": "events.k8s.io/v1",
    "metadata": {"name": "e", "namespace": "default"},
    "eventTime": "2026-01-02T03:04:05.000006Z",
    "regarding": {"kind": "Pod", "name": "p"},
    "note": "ready",
    "deprecatedSource": {"component": "me"},
    "deprecatedCount": 2,
    "reportingController": "me",
    "type": "Normal",
}
CORE = {
    "kind": "Event",
    "apiVersion": "v1",
    "metadata": {"name": "e", "namespace": "default"},
    "eventTime": "2026-01-02T03:04:05.000006Z",
    "involvedObject": {"kind": "Pod", "name": "p"},
    "message": "ready",
    "source": {"component": "me"},
    "count": 2,
    "reportingComponent": "me",
    "type": "Normal",
}


def test_fields_have_other_names() -> None:
    core, new = (next(each for each in RESOURCES if each.gvr == gvr) for gvr in (CORE_EVENTS, NEW_EVENTS))

    assert as_event_of(core, NEW) == CORE
    assert as_event_of(new, CORE) == NEW
    assert (other_events(CORE_EVENTS), other_events(NEW_EVENTS)) == (NEW_EVENTS, CORE_EVENTS)
    assert other_events(GroupVersionResource("", "v1", "pods")) is None


def test_a_write_to_one_is_a_write_to_both(storage: Storage) -> None:
    """In the same resourceVersion, for watches as well."""
    core, new = storage.resources.resolve(CORE_EVENTS), storage.resources.resolve(NEW_EVENTS)
    streams = [watch(storage, each, resourceVersion="1") for each in (core, new)]
    made = storage.create(new, NEW)
    changed = storage.patch(core, "e", {"message": "gone"}, namespace="default")
    assert decoded(storage.get(new, "default", "e"))["note"] == "gone"
    assert storage.get(core, "default", "e").uid == made.uid
    storage.delete(new, "e", namespace="default")

    seen = [events(stream) for stream in streams]
    versions = [str(made.version), str(changed.version), str(changed.version + 1)]
    assert seen[0] == seen[1]
    assert [(kind, version) for kind, _, version in seen[0]] == [
        *zip(["ADDED", "MODIFIED", "DELETED"], versions, strict=True)
    ]
    assert storage.table(core).items == {}


def test_each_has_its_field_selectors(storage: Storage) -> None:
    core, new = storage.resources.resolve(CORE_EVENTS), storage.resources.resolve(NEW_EVENTS)
    storage.create(core, CORE)

    assert storage.get(core, "default", "e").fields["involvedObject.name"] == "p"
    assert storage.get(new, "default", "e").fields["regarding.name"] == "p"


def test_a_server_may_serve_one_alone() -> None:
    storage = Storage([each for each in DEFAULT_RESOURCES if each.gvr == NEW_EVENTS])
    storage.create(storage.resources.resolve("events"), NEW)
    assert storage.resources.resolve("events.events.k8s.io").gvr == NEW_EVENTS


async def test_they_are_called_events(fake_server: FakeAPIServer) -> None:
    """As in kubectl, those of the core group are meant; requests for both are."""
    fake_server.create("events", CORE)
    assert fake_server.get("ev", "e")["message"] == fake_server.get("events.events.k8s.io", "e")["note"] == "ready"
    assert fake_server.get(client.EventsV1Event, "e")["kind"] == "Event"
    fake_server.fail("list events", times=None)
    async with fake_server.api_client() as api:
        for call in (client.CoreV1Api(api), client.EventsV1Api(api)):
            with pytest.raises(client.ApiException, match="503"):
                await call.list_namespaced_event("default")
