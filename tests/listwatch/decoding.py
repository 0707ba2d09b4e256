"""What both decoders are given to read, and what they tell of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import strategies as st

from aioinformers.listwatch.listing import ListDecoder
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import Batch, Delta
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of

__all__ = [
    "BROKEN",
    "INDEX_PATH_COUNTS",
    "LIMIT",
    "PATHS",
    "TOO_DEEP",
    "Pod",
    "PodSpec",
    "Seen",
    "broken_objects",
    "cut",
    "dump",
    "expected_delta",
    "kept",
    "layout_of",
    "objects",
    "pod",
    "splits",
    "values",
    "written",
]

PATHS = {"node": "spec.nodeName", "images": "spec.containers[].image"}
INDEX_PATH_COUNTS = [{}, {"node": "spec.nodeName"}, PATHS]
LIMIT = 1 << 20
TOO_DEEP = 40_000
"""Levels that can perhaps be skipped, but that no decoder goes down."""


BROKEN = {
    "half a surrogate pair": (rb'"data":"\ud83d"', "JSON is malformed: "),
    "the other half": (rb'"data":"\udc00 and more"', "JSON is malformed: "),
    "half a pair in a name": (rb'"\ud83d and more":1', "JSON is malformed: "),
    "a bad escape": (rb'"data":"\q"', "JSON is malformed: invalid escaped character"),
    "half an escape": (rb'"data":"\u00"', "JSON is malformed: "),
    "a control character": (b'"data":"a\x00b"', "JSON is malformed: invalid character"),
    "a tab": (b'"data":"a\tb"', "JSON is malformed: invalid character"),
    "no number": (b'"data":NaN', "JSON is malformed: invalid character"),
    "a number with a zero": (b'"data":007', "JSON is malformed: invalid number"),
    "no value": (b'"data":', "JSON is malformed: "),
    "no colon": (b'"data" 1', "JSON is malformed: "),
    "another bracket": (b'"data":[}{]', "JSON is malformed: "),
}
"""Members that are no JSON, and what is said of them."""


class Pod(msgspec.Struct, frozen=True):
    """What a user who reads one field declares."""

    spec: PodSpec


class PodSpec(msgspec.Struct, frozen=True):
    nodeName: str  # noqa: N815


def layout_of(python_type: Any = dict, **indexers: Any) -> Layout[Any]:
    return Layout(object_type_of(python_type), (), indexers)


def pod(name: str = "web", version: str = "7", *, node: Any = "n1", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "prod", "uid": f"uid-{name}", "resourceVersion": version}
    return {"metadata": metadata, "spec": {"nodeName": node, "containers": [{"image": "a:1"}]}, **more}


def dump(document: object) -> bytes:
    """Write JSON as API servers do."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def cut(data: bytes, *, at: Iterable[int]) -> Iterator[bytes]:
    """Split bytes at some offsets."""
    edges = [0, *sorted({offset % (len(data) + 1) for offset in at}), len(data)]
    for start, end in itertools.pairwise(edges):
        yield data[start:end]


@dataclass
class Seen:
    """What batches tell, whatever the batches were."""

    deltas: list[tuple[int, str, Any]] = field(default_factory=list)
    version: str = ""
    unreadable: int = 0
    lost: int = 0
    bookmarks: int = 0
    ends: list[tuple[int, str]] = field(default_factory=list)

    def feed(self, decoder: WatchDecoder | ListDecoder, chunks: Iterable[bytes]) -> Seen:
        for chunk in chunks:
            self.take(decoder.feed(chunk))
        return self

    def take(self, batches: Iterable[Batch]) -> Seen:
        for batch in batches:
            self.deltas += map(content, batch.deltas)
            self.version = batch.version or self.version
            self.unreadable += batch.unreadable
            self.lost += batch.lost
            self.bookmarks += batch.bookmarks
            if batch.ends_initial:
                self.ends.append((len(self.deltas), batch.version))
        return self


def content(delta: Delta) -> tuple[int, str, Any]:
    operation, key, entry = delta
    if isinstance(entry, Entry):
        assert type(entry.body) in (bytes, Pod)  # and no view that keeps a whole chunk alive
        return operation, key, (entry.body, entry.uid, entry.version, entry.index)
    return delta


def kept(raw: bytes, node: str | None = "n1") -> tuple[bytes, str, str, tuple[Any, ...]]:
    """Return what ``content`` gives for an object of ``pod`` under ``PATHS``."""
    metadata = json.loads(raw)["metadata"]
    return raw, metadata["uid"], metadata["resourceVersion"], ("prod", node, ("a:1",))


def expected_index(document: Any, layout: Layout[Any]) -> tuple[Any, ...]:
    return layout.reader.read_document(document)[3]


def expected_delta(operation: int, raw: bytes, document: Any, layout: Layout[Any]) -> tuple[int, str, Any] | None:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or not metadata.get("name"):
        return None
    namespace, name = metadata.get("namespace") or "", metadata["name"]
    uid, version = (metadata.get(key) or "" for key in ("uid", "resourceVersion"))
    key = f"{namespace}/{name}" if namespace else name
    return operation, key, (raw, uid, version, expected_index(document, layout))


LOOK_ALIKES = ['"},{"metadata":{"name":"x"}}', '\n{"type":"ADDED","object":', "}}\n", '"items":[', "é✓💥", "\\", "\x7f"]
texts = st.text(max_size=6) | st.sampled_from(LOOK_ALIKES)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=4)
metadata_fields = {
    "namespace": st.sampled_from(["", "prod", "ü"]) | st.none(),
    "uid": st.sampled_from(["u1", "u2"]) | st.none(),
    "resourceVersion": st.integers(1, 999).map(str),
    "labels": st.dictionaries(texts, texts, max_size=2) | st.none(),
    "annotations": st.dictionaries(texts, texts, max_size=2),
}
containers = st.fixed_dictionaries({}, optional={"image": texts})
manifests = st.fixed_dictionaries({"metadata": st.just({"name": "inner"}), "x": values})
specs = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "nodeName": st.none() | texts | st.integers(0, 9),
        "containers": st.none() | st.lists(st.none() | containers, max_size=2),
        "manifests": st.lists(manifests, max_size=3),
        "more": values,
    },
)
objects = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"name": names}, optional=metadata_fields)},
    optional={"kind": st.just("Pod"), "apiVersion": st.just("v1"), "spec": specs, "status": values, "data": values},
)
broken_objects: st.SearchStrategy[Any] = st.sampled_from(
    [{}, {"metadata": None}, {"metadata": {}}, {"metadata": {"name": ""}}, {"metadata": {"name": None}}, [], 5, None]
)


@st.composite
def written(draw: st.DrawFn, documents: st.SearchStrategy[Any]) -> bytes:
    """Write a JSON value in one of the ways that servers have, on one line."""
    document = draw(documents)
    if isinstance(document, dict) and draw(st.booleans()):
        document = dict(draw(st.permutations(list(document.items()))))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    is_ascii, is_sorted = draw(st.booleans()), draw(st.booleans())
    return json.dumps(document, separators=separators, ensure_ascii=is_ascii, sort_keys=is_sorted).encode()


splits = st.lists(st.integers(0, 1 << 16), max_size=8)
