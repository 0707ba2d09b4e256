"""Labels of stored objects: read from their bytes, and shared between objects with equal labels. Pure.

Labels are texts; the Kubernetes API knows no others. Where a server sends something else nevertheless, a number or a
boolean counts as its text and anything else as absent, as with the paths of indexes: one odd object must not make
selectors fail.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping

import msgspec

from aioinformers.objects.documents import decode_document, steady
from aioinformers.objects.paths import text_of

__all__ = ["LabelSet", "LabelSets", "labels_of", "texts_of"]


class _Labels(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct, gc=False):
    metadata: _Labels


_decode_labels = msgspec.json.Decoder(_Labelled).decode


def labels_of(raw: bytes) -> Mapping[str, str] | None:
    """Return the labels of an object's JSON bytes, which have been accepted as an object; None if it has none."""
    try:
        return steady(_decode_labels, raw).metadata.labels
    except msgspec.ValidationError:
        return texts_of((decode_document(raw).get("metadata") or {}).get("labels"))


def texts_of(labels: object) -> Mapping[str, str] | None:
    """Return what of any value are labels; None if it is no mapping."""
    if not isinstance(labels, Mapping):
        return None
    texts = ((str(key), text_of(value)) for key, value in labels.items())
    return {key: text for key, text in texts if text is not None}


class LabelSet:
    """One set of labels, shared by all objects with these labels; compared by identity.

    It belongs to the cache: users never get a reference to it (G13).

    Args:
        labels: The labels; nobody else may change them.

    Attributes:
        labels: The labels.
    """

    __slots__ = ("__weakref__", "labels")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels: Mapping[str, str] = labels


class LabelSets:
    """The distinct label sets of one informer's objects, each kept while something refers to it."""

    def __init__(self) -> None:
        self._sets: weakref.WeakValueDictionary[tuple[str, ...], LabelSet] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sets)

    def shared(self, labels: Mapping[str, str] | None) -> LabelSet:
        """Return the shared set of these labels: one as long as somebody refers to it, whichever thread asks.

        Args:
            labels: The labels of an object; None for an object without labels.
        """
        labels = {key: labels[key] for key in sorted(labels)} if labels else {}  # a copy: users can change theirs
        key = (*labels, *labels.values())  # pairs would need a tuple each
        with self._lock:
            label_set = self._sets.get(key)
            if label_set is None:
                label_set = self._sets[key] = LabelSet(labels)
        return label_set
