"""What the demonstration's informers tell."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers.cli.demo.board import Board, Verdict, changes, compare, conclusion
from aioinformers.testing import FakeAPIServer
from tests.kit import configmap, factory_on


def test_changes_are_told_by_path() -> None:
    old = {"metadata": {"resourceVersion": "1", "labels": {"a": "1"}}, "spec": {"ports": [{"port": 1}], "args": []}}
    new = {"metadata": {"resourceVersion": "2", "labels": None}, "spec": {"ports": [{"port": 2}], "args": ["x"]}}

    assert list(changes(old, new)) == [
        "metadata.labels some → none",
        "spec.ports[0].port 1 → 2",
        "spec.args 0 items → 1 items",
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"metadata": {"generation": 1}}, {"metadata": {"generation": 2}}, []),
        ({}, {"status": {"phase": "Running"}}, ["status.phase none → Running"]),
        ({"a": {"b": 1}}, {}, ["a some → none"]),
        ({"a": [1]}, {"a": None}, ["a 1 items → none"]),
        ({"a": {"b": 1}}, {"a": "text"}, ["a some → text"]),
    ],
)
def test_only_what_is_news_is_told(old: object, new: object, told: list[str]) -> None:
    assert list(changes(old, new)) == told


@pytest.mark.virtual_time
async def test_a_board_counts_and_words_what_its_informers_tell() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a", level="info"))
        board = Board()
        board.follow(factory.for_resource("configmaps.v1."))
        board.follow(factory.for_resource("configmaps.v1.", label_selector="canary"), "canary")
        (tally, canaries) = board.tallies
        assert tally.state == "syncing"
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        await asyncio.sleep(1)
        server.patch("configmaps", "a", {"data": {"level": "debug"}}, namespace="default")
        await asyncio.sleep(1)
        board.note("so far")
        server.delete("configmaps", "a", namespace="default")
        await asyncio.sleep(1)
        assert [(line.verb, line.resource, line.key, line.text) for line in board.lines] == [
            ("ADDED", "configmaps", "default/a", "1 key"),
            ("MODIFIED", "configmaps", "default/a", "data.level info → debug"),
            ("NOTE", "", "", "so far"),
            ("DELETED", "configmaps", "default/a", ""),
        ]
        assert (tally.added, tally.updated, tally.deleted, tally.objects, tally.state) == (1, 1, 1, 0, "watching")
        assert (canaries.name, canaries.added, canaries.last_event) == ("configmaps canary", 0, None)


@pytest.mark.virtual_time
async def test_a_cache_is_compared_with_the_server_object_by_object() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for name in ("same", "changed", "gone"):
            server.create("configmaps", configmap(name))
        board = Board()
        board.follow(factory.for_resource("configmaps.v1."))
        await factory.start()
        await factory.wait_for_cache_sync(timeout=5)
        assert compare(server, board.tallies[0]) == Verdict(objects=3, differences=0)
        server.patch("configmaps", "changed", {"data": {"a": "b"}}, namespace="default")
        server.delete("configmaps", "gone", namespace="default")
        assert compare(server, board.tallies[0]) == Verdict(objects=3, differences=3), (
            "two versions, and one that is gone"
        )


def test_the_conclusion_counts_what_is_equal_and_claims_nothing_else() -> None:
    assert "the 2 caches hold the server's 5 objects" in conclusion({"a": Verdict(2, 0), "b": Verdict(3, 0)})
    assert conclusion({"a": Verdict(2, 0), "b": Verdict(3, 1)}) == "cache == server does not hold"
