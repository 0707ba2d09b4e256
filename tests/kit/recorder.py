"""A handler that checks what it is told."""

from __future__ import annotations

from typing import Any

from aioinformers import Added, Cause, Deleted, Event, Updated
from tests.kit.objects import version_of

__all__ = ["Recorder"]


class Recorder:
    """A handler that keeps every event, replays them, and fails on any that cannot follow what it was told (G4, G5)."""

    def __init__(self) -> None:
        self.events: list[Event[Any]] = []
        self.state: dict[str, tuple[str, str]] = {}
        self.problems: list[str] = []

    async def __call__(self, event: Event[Any]) -> None:
        """Take one event."""
        self.events.append(event)
        key = str(event.key)
        match event:
            case Added(object=obj):
                if key in self.state:
                    self.problems.append(f"{key} was added twice")
                self.state[key] = version_of(obj)
            case Updated(old=old, object=obj):
                if self.state.get(key) != version_of(old):
                    self.problems.append(f"{key} was updated from {version_of(old)}, was told {self.state.get(key)}")
                self.state[key] = version_of(obj)
            case Deleted():
                if self.state.pop(key, None) is None:
                    self.problems.append(f"{key} was deleted without having been added")

    def kinds(self) -> list[str]:
        """Return the events in short."""
        return [f"{type(event).__name__} {event.key.name}" for event in self.events]

    def causes(self) -> list[Cause]:
        """Return the causes of the events."""
        return [event.cause for event in self.events]
