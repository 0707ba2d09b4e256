"""Says what a controller writes again and again that lets its own runs follow each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aioinformers.controllers.detector import PAUSE, Detector, changed_fields
from aioinformers.controllers.outcomes import Trigger, Why
from aioinformers.controllers.sources import Cache
from aioinformers.objects.layout import Entry
from aioinformers.types import ObjectKey

__all__ = ["Circles"]

MOST_FIELDS: Final = 5
"""Fields of one object that are named."""


class Circles:
    """Slows down what runs in circles, and names what is written.

    Args:
        main: The cache of the reconciled objects.
        caches: All caches of what the controller writes, by their resources.
        document: Returns what a cache holds as JSON has it.
    """

    def __init__(
        self, main: Cache, caches: Mapping[str, Cache], document: Callable[[Cache, Entry], Mapping[str, Any]]
    ) -> None:
        self._main, self._caches, self._document = main, caches, document
        self._detector: Detector[ObjectKey, dict[Trigger, Entry | None]] = Detector()

    def pause(self, key: ObjectKey, now: float, triggers: Sequence[Trigger]) -> float:
        """Return the seconds that a run has to wait, as its key runs in circles."""
        return self._detector.pause(key, now) if _are_own(triggers) else 0.0

    def note(self, key: ObjectKey, now: float, triggers: Sequence[Trigger]) -> str | None:
        """Note the beginning of a run; return what is to be said if its key has just been found to run in circles."""
        if not _are_own(triggers):
            self._detector.note(key, now, None)
            return None
        before = self._detector.note(key, now, lambda: self._held(triggers))
        if before is None:
            return None
        return (
            f"{key} runs in circles: each run writes {self._differing(before)}, which lets it run again; from now on "
            f"it runs once in {PAUSE:.0f} s. Write only what differs, or ignore= the object's own fields that are "
            f"written"
        )

    def _held(self, triggers: Sequence[Trigger]) -> dict[Trigger, Entry | None]:
        """Return what the caches hold of the objects of some triggers."""
        return {each: self._caches[each.resource].entry(each.key) for each in triggers if each.resource in self._caches}

    def _differing(self, before: dict[Trigger, Entry | None]) -> str:
        """Name what differs by now from what the caches held of some objects."""
        names = []
        for trigger, entry in before.items():
            cache = self._caches[trigger.resource]
            held = (entry, cache.entry(trigger.key))
            old, new = ({} if each is None else self._document(cache, each) for each in held)
            if fields := list(changed_fields(old, new)):
                more = f" and {len(fields) - MOST_FIELDS} more" if len(fields) > MOST_FIELDS else ""
                where = "" if cache is self._main else f" of {trigger.resource} {trigger.key}"
                names.append(f"{', '.join(fields[:MOST_FIELDS])}{more}{where}")
        return "; ".join(names) or "something"


def _are_own(triggers: Sequence[Trigger]) -> bool:
    """Tell whether nothing but the controller's own writes has caused a run."""
    return bool(triggers) and all(each.kind is Why.OWN_WRITE for each in triggers)
