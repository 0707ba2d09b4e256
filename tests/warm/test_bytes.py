"""What is stored of an object is what arrived, after built-in transforms; read again, it is the same entry."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aioinformers import Metadata, drop_fields, keep_fields
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.warm.bytes import STORED, StoredDecoder, bytes_of, is_kept, storing, stripped
from tests.kit import configmap
from tests.machine.kinds import Small

RAW = msgspec.json.encode(
    configmap("c1", v="1", w="2")
    | {"metadata": {"name": "c1", "namespace": "d", "uid": "u", "resourceVersion": "7", "labels": {}}}
)


def mark(obj: dict[str, Any]) -> dict[str, Any]:
    obj["data"] = {"seen": "yes"}
    return obj


def arrived(layout: Layout[Any]) -> Entry:
    key, entry = "d/c1", layout.entry(RAW, layout.reader.read_raw(RAW))
    entry.key = key
    return entry


@pytest.mark.parametrize(
    ("kind", "shared", "transforms", "is_by_fact", "data"),
    [
        (dict, False, (), False, {"v": "1", "w": "2"}),
        (dict, False, (drop_fields("data.v"),), False, {"w": "2"}),
        (dict, False, (keep_fields("data.v"),), False, {"v": "1"}),
        (dict, True, (drop_fields("data.v"),), True, {"w": "2"}),
        (dict, False, (drop_fields("data.v"), mark, drop_fields("kind")), True, {"w": "2"}),
        (dict, False, (mark,), True, {"v": "1", "w": "2"}),
        (Small, False, (), False, {"v": "1", "w": "2"}),
        (Small, True, (), True, {"v": "1", "w": "2"}),
        (Metadata, False, (), False, None),
    ],
)
def test_it_comes_back(kind: Any, shared: bool, transforms: Any, is_by_fact: bool, data: Any) -> None:
    layout = storing(Layout(object_type_of(kind, shared=shared), transforms, {"name": "metadata.name"}))
    assert is_kept(layout) is not is_by_fact
    entry = arrived(layout)
    raw = bytes_of(layout, entry)
    assert raw is not None
    assert msgspec.json.decode(raw).get("data") == data
    delta = StoredDecoder(layout).restored("d/c1", "u", "7", raw)
    assert delta is not None
    again = delta[2]
    shown = layout.object_type.decode
    assert (again.uid, again.version, again.index) == (entry.uid, entry.version, entry.index)
    assert shown(again.body) == shown(entry.body)


def test_bytes_are_let_go_of_once_they_are_stored() -> None:
    layout = storing(Layout(object_type_of(dict, shared=True)))
    entry = arrived(layout)
    assert bytes_of(layout, entry) == RAW
    stripped(entry)
    assert entry.facts == ()
    assert bytes_of(layout, entry) is None
    restored = StoredDecoder(layout).restored("d/c1", "u", "7", RAW)
    assert restored is not None
    assert restored[2].facts == ()


def test_other_facts_stay() -> None:
    entry = Entry(None, "", "", (), facts=("a", 1, STORED, b"{}", "b", 2))
    stripped(entry)
    assert entry.facts == ("a", 1, "b", 2)


@pytest.mark.parametrize("raw", [b"{}", b"[", RAW.replace(b"c1", b"c2")])
def test_bytes_of_another_object_are_refused(raw: bytes) -> None:
    assert StoredDecoder(Layout(object_type_of(dict))).restored("d/c1", "u", "7", raw) is None
