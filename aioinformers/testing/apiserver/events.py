"""Events, which have two names: the same objects are served by the core group and by ``events.k8s.io``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aioinformers.testing.apiserver.resources import Resource
from aioinformers.types import GroupVersionResource

__all__ = ["CORE_EVENTS", "NEW_EVENTS", "as_event_of", "other_events"]

CORE_EVENTS = GroupVersionResource("", "v1", "events")
NEW_EVENTS = GroupVersionResource("events.k8s.io", "v1", "events")

_TO_NEW = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_TO_CORE = {new: core for core, new in _TO_NEW.items()}


def other_events(gvr: GroupVersionResource) -> GroupVersionResource | None:
    """Return the resource that serves the same objects; None for all other resources."""
    return {CORE_EVENTS: NEW_EVENTS, NEW_EVENTS: CORE_EVENTS}.get(gvr)


def as_event_of(resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return an Event of the other group as one of this resource."""
    names = _TO_NEW if resource.gvr == NEW_EVENTS else _TO_CORE
    fields = {names.get(name, name): value for name, value in obj.items() if name != "apiVersion"}
    return {"apiVersion": resource.gvr.api_version, **fields, "metadata": dict(obj["metadata"])}
