"""Events about reconciled objects, as ``kubectl describe`` shows them: what repeats itself is one Event with a series.

Of events.k8s.io/v1 (KEP-383). Pure but for the sending.
"""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aioinformers.types import GroupVersionResource

__all__ = ["EVENTS", "MOST_WORD", "Recorder", "Regarding"]

EVENTS: Final = GroupVersionResource("events.k8s.io", "v1", "events")
SERIES: Final = 360.0
"""Seconds in which the same again belongs to the same series."""
PERIOD: Final = 1.0
"""Seconds between two writes about one object: more often, nobody reads them."""
MOST_SERIES: Final = 1000
MOST_NOTE: Final = 1024
"""Bytes of a note that servers take."""
MOST_WORD: Final = 128
"""Bytes of a reason and of an action that servers take."""

QUALIFIED: Final = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""What servers take as the name of who reports."""


@dataclass(frozen=True, slots=True)
class Regarding:
    """What an Event is about.

    Attributes:
        api_version: Of the object.
        kind: The same.
        namespace: The same; empty where it lives in none.
        name: The same.
        uid: The same.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    def document(self) -> dict[str, str]:
        """Return the reference."""
        found = {"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid}
        return found | ({"namespace": self.namespace} if self.namespace else {})


@dataclass(slots=True)
class _Series:
    name: str
    namespace: str
    count: int
    last: float


class Recorder:
    """Tells what becomes an Event, and what is one more of a series.

    Args:
        controller: Who reports.
    """

    def __init__(self, controller: str) -> None:
        self._controller = reporter(controller)
        self._instance = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        self._series: dict[tuple[str, str, str, str], _Series] = {}
        self._written: dict[str, float] = {}

    def note(
        self, regarding: Regarding, type_: str, reason: str, note: str, action: str, now: float
    ) -> tuple[str, str, str, Mapping[str, Any]] | None:
        """Return what is to be sent: the method, the namespace, the name, and the body; None if that is too often.

        Args:
            regarding: What it is about.
            type_: ``Normal`` or ``Warning``.
            reason: A word for programs.
            note: A sentence for people.
            action: What was done.
            now: The time, on any clock.
        """
        place = regarding.uid, type_, reason, note
        series = self._series.pop(place, None)
        if series is not None and now - series.last > SERIES:
            series = None
        is_too_often = now - self._written.get(regarding.uid, float("-inf")) < PERIOD
        moment = datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
        if series is not None:
            series.count, series.last = series.count + 1, now
            self._series[place] = series
            if is_too_often:
                return None
            self._note_written(regarding.uid, now)
            body = {"series": {"count": series.count, "lastObservedTime": moment}}
            return "PATCH", series.namespace, series.name, body
        if is_too_often:
            return None
        namespace = regarding.namespace or "default"
        series = self._series[place] = _Series(f"{regarding.name[:200]}.{uuid.uuid4().hex[:16]}", namespace, 1, now)
        if len(self._series) > MOST_SERIES:
            del self._series[next(iter(self._series))]
        self._note_written(regarding.uid, now)
        return "POST", namespace, series.name, {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": series.name, "namespace": namespace},
            "eventTime": moment,
            "type": type_,
            "reason": reason,
            "note": note.encode(errors="replace")[:MOST_NOTE].decode(errors="ignore"),
            "action": action,
            "regarding": regarding.document(),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
        }  # fmt: skip

    def forget(self, name: str) -> None:
        """Begin a series anew whose Event is not there."""
        self._series = {place: series for place, series in self._series.items() if series.name != name}

    def _note_written(self, uid: str, now: float) -> None:
        self._written.pop(uid, None)
        self._written[uid] = now
        if len(self._written) > MOST_SERIES:
            del self._written[next(iter(self._written))]


def reporter(controller: str) -> str:
    """Return a controller's name as servers take it: of others, what they take of it."""
    if QUALIFIED.fullmatch(controller):
        return controller
    return re.sub(r"[^-A-Za-z0-9_.]", "-", controller)[:63].strip("-_.") or "controller"
