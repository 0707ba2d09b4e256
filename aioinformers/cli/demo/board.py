"""What the demonstration's informers tell: counts, the latest events, and whether caches equal the server."""

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
_NO_NEWS = frozenset({"metadata.resourceVersion", "metadata.generation", "status.observedGeneration"})


@dataclass(frozen=True, slots=True)
class Line:
    """An event, or a note of the demonstration itself, in words.

    Attributes:
        at: The loop's time.
        verb: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``NOTE``.
        resource: Whose event; empty for a note.
        key: Of the object.
        text: What changed.
    """

    at: float
    verb: str
    resource: str = ""
    key: str = ""
    text: str = ""


@dataclass(slots=True)
class Tally:
    """One informer, and the events that its handler has been given.

    Attributes:
        name: What spectators know it by.
        informer: The informer.
        label_selector: What limits it.
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
        """Count an event and put it into words: the handler that the demonstration registers."""
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
        """How many objects the cache holds."""
        return self.informer.statistics().objects

    @property
    def state(self) -> str:
        """What the informer does, and why it does nothing better."""
        health = self.informer.health()
        if not health.has_synced:
            return "syncing"
        return "watching" if health.is_watching else health.reason


@dataclass(slots=True)
class Board:
    """Everything there is to show.

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
        """Say something between the events."""
        self.lines.append(Line(asyncio.get_running_loop().time(), "NOTE", text=text))

    @property
    def objects(self) -> int:
        """How many objects all caches hold."""
        return sum(tally.objects for tally in self.tallies)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison of one cache with the server.

    Attributes:
        objects: How many objects the cache holds.
        differences: How many objects only one side has, or each in another version.
    """

    objects: int
    differences: int


class View(Protocol):
    """How a board is shown."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def begin(self, url: str, board: Board) -> None:
        """The server runs; nothing has been asked from it."""

    def syncing(self, board: Board) -> None:
        """Caches sync; called until they have, and once after."""

    def refresh(self, board: Board) -> None:
        """Events come; called several times a second."""

    def summarize(self, board: Board, verdicts: Mapping[str, Verdict]) -> None:
        """Everything has ended."""


def compare(server: FakeAPIServer, tally: Tally) -> Verdict:
    """Compare a cache with the server: namespace, name, uid and resourceVersion of every object."""
    cached = set(map(_identity, tally.informer.lister.list()))
    stored = set(map(_identity, server.list(tally.informer.resource, label_selector=tally.label_selector)))
    return Verdict(len(cached), len(cached ^ stored))


def _identity(obj: Mapping[str, Any]) -> tuple[str, ...]:
    metadata = obj["metadata"]
    return (metadata.get("namespace", ""), metadata["name"], metadata["uid"], metadata["resourceVersion"])


def changes(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield what differs between two JSON values, in words: ``status.phase Pending → Running``."""
    if old == new or path in _NO_NEWS:
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
    """Return the result of all comparisons in a line."""
    if any(verdict.differences for verdict in verdicts.values()):
        return "cache == server does not hold"
    count = sum(verdict.objects for verdict in verdicts.values())
    return (
        f"cache == server: the {len(verdicts)} caches hold the server's {count} objects, "
        f"with the same uids and resourceVersions"
    )
