"""``events.k8s.io``: Events, in their newer form.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import EventsV1Event

__all__ = [
    "Events",
    "EventsV1",
    "EventsV1beta1",
]


class EventsV1(Version, group="events.k8s.io", version="v1"):
    """``events.k8s.io/v1``."""

    events: Accessor[EventsV1Event]


class EventsV1beta1(Version, group="events.k8s.io", version="v1beta1", untyped={"events": "Event"}):
    """``events.k8s.io/v1beta1``."""

    events: Accessor[dict[str, Any]]


class Events(Group, versions=(EventsV1, EventsV1beta1)):
    """The versions of ``events.k8s.io``."""

    v1: EventsV1
    v1beta1: EventsV1beta1
