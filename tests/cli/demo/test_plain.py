"""The demonstration as lines of text."""

from __future__ import annotations

import asyncio

import pytest

from aioinformers.cli.demo.board import Board, Line, Verdict
from aioinformers.cli.demo.plain import PlainView
from aioinformers.testing import FakeAPIServer
from tests.kit import configmap, factory_on

pytestmark = pytest.mark.virtual_time


async def test_each_sync_and_each_event_is_a_line_and_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a"))
        board = Board()
        board.follow(factory.for_resource("configmaps.v1."))
        with PlainView() as view:
            view.begin("http://there", board)
            view.syncing(board)
            assert capsys.readouterr().out.splitlines() == [
                "an embedded API server with a small busy cluster: http://there",
                "1 informers follow it",
            ]
            await factory.start()
            await factory.wait_for_cache_sync(timeout=5)
            view.syncing(board)
            view.syncing(board)
            assert capsys.readouterr().out == "synced 1/1: configmaps, 1 objects\n"
            await asyncio.sleep(2)
            board.note("a mishap")
            view.refresh(board)
            view.refresh(board)
        assert capsys.readouterr().out.splitlines() == [
            "   0.00s  ADDED     configmaps  default/a  0 keys",
            "   2.00s  -- a mishap",
        ]


@pytest.mark.parametrize(("differences", "words"), [(0, "yes"), (2, "no: 2 differ")])
async def test_the_summary_says_of_each_cache_whether_it_equals_the_server(
    capsys: pytest.CaptureFixture[str], differences: int, words: str
) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        board = Board()
        board.follow(factory.for_resource("pods.v1."))
        board.tallies[0].added = 3
        PlainView().summarize(board, {"pods": Verdict(1, differences)})
    _, titles, row, last = capsys.readouterr().out.splitlines()
    assert titles.split("   ")[0] == "INFORMER"
    assert row.split(maxsplit=5) == ["pods", "1", "3", "0", "0", words]
    assert last.startswith("cache == server")


async def test_g16_words_of_objects_are_shown_in_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\x9b\u202e\n"
    board = Board()
    board.lines.append(Line(0.0, "MODIFIED", hostile, hostile, hostile))
    board.lines.append(Line(0.0, "NOTE", text=hostile))
    view = PlainView()
    view.refresh(board)
    view.summarize(board, {})
    out = capsys.readouterr().out.split("\n")
    assert all(line.isprintable() for line in out)
    assert sum(line.count(r"\x1b[2J\x9b\u202e") for line in out) == 4
