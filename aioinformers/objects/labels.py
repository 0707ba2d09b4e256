"""Labels of stored objects: read from their bytes, and one shared set per distinct labels. Pure."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

import msgspec

__all__ = ["LabelSet", "LabelSets", "labels_of"]


class _Labels(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct, gc=False):
    metadata: _Labels


_decode_labels = msgspec.json.Decoder(_Labelled).decode


def labels_of(raw: bytes) -> Mapping[str, str] | None:
    """Return the labels of an object's JSON bytes; nothing else of it is decoded."""
    return _decode_labels(raw).metadata.labels


class LabelSet:
    """One distinct set of labels, the same object for all objects that have it; equal to itself alone.

    It belongs to the cache: what users get never leads to it (G13).

    Attributes:
        labels: The labels.
    """

    __slots__ = ("__weakref__", "labels")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels: Mapping[str, str] = labels


class LabelSets:
    """The distinct label sets of one informer's objects, each for as long as anybody holds it."""

    def __init__(self) -> None:
        self._known: weakref.WeakValueDictionary[tuple[str, ...], LabelSet] = weakref.WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def shared(self, labels: Mapping[str, str] | None) -> LabelSet:
        """Return the one set of these labels; None is no labels.

        Readers in several threads may come to make two of one set: both are right, and do no harm.
        """
        labels = labels or {}
        key = (*labels, *labels.values())  # pairs would take a tuple each
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = LabelSet(dict(labels))  # a copy: shared objects are in the hands of users
        return found
