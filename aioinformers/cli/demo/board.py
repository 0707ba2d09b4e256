"""Collects what the demonstration's informers report: counts, the latest events, and comparisons with the server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from aioinformers.cli.columns import status_of
from aioinformers.delivery.events import Added, Event, Updated
from aioinformers.informer import SharedInformer
from aioinformers.testing import FakeAPIServer

__all__ = ["Board", "Line", "Tally", "Verdict", "View", "changes", "compare", "conclusion"]

Informer = SharedInformer[dict[str, Any]]

_KEPT_LINES = 2_000
_IGNORED_PATHS = frozenset({"metadata.resourceVersion", "metadata.generation", "status.observedGeneration"})


@dataclass(frozen=True, slots=True)
class Line:
    """An event of an informer, or a note about the demonstration itself.

    Attributes:
        at: The loop's time in seconds.
        verb: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``NOTE``.
        resource: The name of the informer; empty for a note.
        key: The key of the object; empty for a note.
        text: The changes, or the text of the note.
    """

    at: float
    verb: str
    resource: str = ""
    key: str = ""
    text: str = ""


@dataclass(slots=True)
class Tally:
    """One informer, and counts of the events that its handler has received.

    Attributes:
        name: The name shown: the plural of the resource, and the selector if there is one.
        informer: The informer.
        label_selector: The informer's label selector; None for all objects.
        lines: The board's lines, to which each event is appended.
        added: Number of additions.
        updated: Number of updates.
        deleted: Number of deletions.
        last_event: The loop's time of the latest event; None before the first.
    """

    name: str
    informer: Informer
    label_selector: str | None
    lines: deque[Line]
    added: int = 0
    updated: int = 0
    deleted: int = 0
    last_event: float | None = None

    async def on_event(self, event: Event[dict[str, Any]]) -> None:
        """Count an event and append a line about it; the demonstration registers this as a handler."""
        if isinstance(event, Added):
            self.added += 1
            verb, text = "ADDED", status_of(event.object)
        elif isinstance(event, Updated):
            self.updated += 1
            verb, text = "MODIFIED", ", ".join(changes(event.old, event.object))
        else:
            self.deleted += 1
            verb, text = "DELETED", "" if event.final_state_known else "while nobody was watching"
        self.last_event = asyncio.get_running_loop().time()
        self.lines.append(Line(self.last_event, verb, self.name, str(event.key), text))

    @property
    def objects(self) -> int:
        """The number of objects in the cache."""
        return self.informer.statistics().objects

    @property
    def state(self) -> str:
        """``syncing``, ``watching``, or the reason why the informer does not watch."""
        health = self.informer.health()
        if not health.has_synced:
            return "syncing"
        return "watching" if health.is_watching else health.reason


@dataclass(slots=True)
class Board:
    """The state that a view shows.

    Attributes:
        tallies: One per informer.
        lines: The latest events, oldest first.
    """

    tallies: list[Tally] = field(default_factory=list)
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def follow(self, informer: Informer, label_selector: str | None = None) -> None:
        """Register a handler that counts an informer's events."""
        name = " ".join(filter(None, (informer.resource.resource, label_selector)))
        tally = Tally(name, informer, label_selector, self.lines)
        informer.add_event_handler(tally.on_event, name="demo")
        self.tallies.append(tally)

    def note(self, text: str) -> None:
        """Append a note to the lines."""
        self.lines.append(Line(asyncio.get_running_loop().time(), "NOTE", text=text))

    @property
    def objects(self) -> int:
        """The number of objects in all caches."""
        return sum(tally.objects for tally in self.tallies)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison of one cache with the server.

    Attributes:
        objects: Number of objects in the cache.
        differences: Number of versions of objects that only one side has.
    """

    objects: int
    differences: int


class View(Protocol):
    """Shows a board: in a terminal, or as lines of text."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def begin(self, url: str, board: Board) -> None:
        """Show the server's URL, before the informers make any request."""

    def syncing(self, board: Board) -> None:
        """Show which caches have synced; called several times until all have, and once after."""

    def refresh(self, board: Board) -> None:
        """Show the latest events; called several times a second."""

    def summarize(self, board: Board, verdicts: Mapping[str, Verdict]) -> None:
        """Show the counts and comparisons after the shutdown."""


def compare(server: FakeAPIServer, tally: Tally) -> Verdict:
    """Compare a cache with the server: namespace, name, uid and resourceVersion of every object."""
    cached = set(map(_identity, tally.informer.lister.list()))
    stored = set(map(_identity, server.list(tally.informer.resource, label_selector=tally.label_selector)))
    return Verdict(len(cached), len(cached ^ stored))


def _identity(obj: Mapping[str, Any]) -> tuple[str, ...]:
    metadata = obj["metadata"]
    return (metadata.get("namespace", ""), metadata["name"], metadata["uid"], metadata["resourceVersion"])


def changes(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield a text for each difference between two JSON values, such as ``status.phase Pending → Running``."""
    if old == new or path in _IGNORED_PATHS:
        return
    if isinstance(new, Mapping) and isinstance(old, Mapping | None):
        before = old or {}
        for name in (*before, *(name for name in new if name not in before)):
            yield from changes(before.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for at, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from changes(one, other, f"{path}[{at}]")
    else:
        yield f"{path} {_brief(old)} → {_brief(new)}"


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} items"
    return "none" if value is None else "some" if isinstance(value, Mapping) else str(value)


def conclusion(verdicts: Mapping[str, Verdict]) -> str:
    """Return the result of all comparisons in one line."""
    if any(verdict.differences for verdict in verdicts.values()):
        return "cache == server does not hold"
    count = sum(verdict.objects for verdict in verdicts.values())
    return (
        f"cache == server: the {len(verdicts)} caches hold the server's {count} objects, "
        f"with the same uids and resourceVersions"
    )
