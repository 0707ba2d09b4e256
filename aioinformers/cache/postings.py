"""Keys by label set, so that a label selector that finds few of many objects need not look at all of them. Pure.

A partition has none until somebody selects by labels. From then on the writer notes which keys have changed, and
nothing else; they are filed when the next selection comes. It belongs to the thread that writes: others look at all
objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aioinformers.objects.labels import LabelSet
from aioinformers.objects.layout import Entry
from aioinformers.objects.selectors import LabelSelector

__all__ = ["Postings"]

SPARE: Final = 1024
"""Changed keys beyond the number of objects after which it is not worth to remember them: nobody asks any more."""


class Postings:
    """The label sets of a partition's objects, and the keys of each.

    Args:
        objects: The partition's entries by key.

    Attributes:
        changed: The label set under which a key that has changed since the last selection was filed, if it was.
    """

    __slots__ = ("_buckets", "_objects", "changed")

    def __init__(self, objects: Mapping[str, Entry]) -> None:
        self._objects = objects
        self._buckets: dict[LabelSet, dict[str, None]] = {}
        self.changed: dict[str, Any] = dict.fromkeys(objects)

    @property
    def is_forgotten(self) -> bool:
        """Whether so much has changed since the last selection that it is not worth to go on noting it."""
        return len(self.changed) > len(self._objects) + SPARE

    @property
    def steps(self) -> int:
        """What a selection would have to file and to judge, each a fraction of a microsecond or two."""
        return len(self.changed) + len(self._buckets)

    def find(self, selector: LabelSelector, label_set: Callable[[Entry], LabelSet]) -> list[Entry]:
        """Return the entries whose labels match; each distinct set is judged once, however many objects have it.

        Args:
            selector: What the labels have to match.
            label_set: Gives the label set of an entry.
        """
        self._file(label_set)
        found: list[Entry] = []
        for labels, keys in self._buckets.items():
            if selector.matches(labels.labels):
                found += map(self._objects.__getitem__, keys)
        return found

    def _file(self, label_set: Callable[[Entry], LabelSet]) -> None:
        """File what has changed."""
        buckets, objects = self._buckets, self._objects
        for key, before in self.changed.items():
            if before.__class__ is LabelSet and (bucket := buckets.get(before)) is not None:
                bucket.pop(key, None)
                if not bucket:
                    del buckets[before]
            entry = objects.get(key)
            if entry is not None:
                labels = label_set(entry)
                bucket = buckets.get(labels)
                if bucket is None:
                    bucket = buckets[labels] = {}
                bucket[key] = None
        self.changed.clear()
