"""What comes is what was asked for: the kind of a watch, whatever its framing, and the namespace of each object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioinformers.errors import ResponseError
from aioinformers.listwatch.kinds import KindCheck, refuse_strangers
from aioinformers.objects.deltas import DELETE, REJECT, UPSERT, Batch
from aioinformers.objects.layout import Entry, Layout
from aioinformers.objects.object_types import object_type_of
from aioinformers.transport.chunks import Block


class Refusal:
    """Notes the kinds that a check has seen, and refuses Secrets."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, kind: str, api_version: str) -> None:
        self.seen.append((kind, api_version))
        if kind == "Secret":
            raise ResponseError("expected a watch of configmaps.v1, got Secret")


def line(event: str, kind: Any, api_version: Any = "v1", **more: Any) -> bytes:
    obj = {"metadata": {"name": "a"}, "kind": kind, "apiVersion": api_version, **more}
    return json.dumps({"type": event, "object": obj}).encode() + b"\n"


def block(*lines: bytes) -> list[Block]:
    """Return lines as the transport cuts them."""
    spans, start = [], 0
    for each in lines:
        spans.append((start, start + len(each) - 1))
        start += len(each)
    return [Block(b"".join(lines), spans)]


BOOKMARK, OBJECT = line("BOOKMARK", "ConfigMap"), line("ADDED", "ConfigMap", text="ümlaut\\n" * 10)
STRANGER = line("MODIFIED", "Secret")


@pytest.mark.parametrize("event", ["ADDED", "MODIFIED", "DELETED", "PAUSED"])
def test_the_first_object_decides(event: str) -> None:
    """Whatever happened to it; what comes after it is not looked at."""
    for data in (block(line(event, "ConfigMap"), STRANGER), line(event, "ConfigMap") + STRANGER):
        refusal = Refusal()
        check = KindCheck(refusal)
        check.look(data)
        assert not check.is_open
        assert refusal.seen == [("ConfigMap", "v1")]


@pytest.mark.parametrize("data", [block(STRANGER), STRANGER, BOOKMARK + STRANGER, block(BOOKMARK, STRANGER)])
def test_g11_another_kind_is_refused(data: bytes | list[Block]) -> None:
    with pytest.raises(ResponseError, match="got Secret"):
        KindCheck(Refusal()).look(data)


def test_bookmarks_have_a_kind_too() -> None:
    """But they prove nothing about what follows."""
    refusal = Refusal()
    check = KindCheck(refusal)
    check.look(BOOKMARK)
    check.look(block(BOOKMARK))
    assert check.is_open
    with pytest.raises(ResponseError, match="got Secret"):
        check.look(line("BOOKMARK", "Secret"))


@pytest.mark.parametrize("size", [1, 2, 7, 50, 1000])
def test_g14_any_split_shows_the_same(size: int) -> None:
    data = BOOKMARK + OBJECT + STRANGER
    refusal = Refusal()
    check = KindCheck(refusal)
    for at in range(0, len(data), size):
        if check.is_open:
            check.look(data[at : at + size])
    assert refusal.seen == [("ConfigMap", "v1")] * 2
    assert not check.is_open


@pytest.mark.parametrize(
    "odd",
    [
        b"\n",
        b" \r\n",
        b"no JSON\n",
        b'{"type":"ADDED"\n',
        b'{"kind":"Status","code":410}\n',
        b"[]\n",
        b"\xff\xfe\n",
        line("ADDED", ["Secret"]),
        line("ERROR", "Secret"),
        line("ADDED", "\ud800"),
        b'{"type":"ADDED","object":' + b"[" * 100_000 + b"\n",
    ],
)
def test_what_cannot_be_read_is_left_to_others(odd: bytes) -> None:
    """And the next line is looked at."""
    for data in (odd + STRANGER, block(odd, STRANGER)):
        with pytest.raises(ResponseError, match="got Secret"):
            KindCheck(Refusal()).look(data)


@pytest.mark.parametrize("kind", ["", None])
def test_what_has_no_kind_is_believed(kind: str | None) -> None:
    """Items of lists have none, and a proxy may make events of them."""
    refusal = Refusal()
    check = KindCheck(refusal)
    check.look(line("ADDED", kind, None))
    assert refusal.seen == []
    assert not check.is_open


# -- namespaces ---------------------------------------------------------------------------------------------------


def test_g11_objects_of_other_namespaces_are_rejected_by_name() -> None:
    """Also those whose namespace only begins alike, and those that have none; what is deleted may pass."""
    layout: Layout[Any] = Layout(object_type_of(dict))
    entry = Entry(b"{}", "u", "1", ("shop",))
    keys = ["shop/a", "shopping/a", "shop/b", "a", "other/shop"]
    batch = Batch([*((UPSERT, key, entry) for key in keys), (DELETE, "other/b", entry)], "1", layout)
    refuse_strangers(batch, "shop/")
    asked = "although those of 'shop' were asked for"
    assert batch.deltas == [
        (UPSERT, "shop/a", entry),
        (REJECT, "shopping/a", f"is in namespace 'shopping', {asked}"),
        (UPSERT, "shop/b", entry),
        (REJECT, "a", f"is in no namespace, {asked}"),
        (REJECT, "other/shop", f"is in namespace 'other', {asked}"),
        (DELETE, "other/b", entry),
    ]
    before = list(batch.deltas[:1])
    batch = Batch(list(before), "1", layout)
    refuse_strangers(batch, "shop/")
    assert batch.deltas == before
