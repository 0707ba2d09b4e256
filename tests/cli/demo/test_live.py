"""The demonstration in a terminal."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import termios
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from aioinformers.cli.demo.board import Board, Line, Tally, Verdict
from aioinformers.cli.demo.live import LiveView
from tests.cli.shell import process, stderr_of


@pytest.mark.slow
async def test_demo_draws_in_a_terminal() -> None:
    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    termios.tcsetwinsize(terminal, (40, 80))
    drawn = bytearray()

    async def read() -> None:
        with suppress(OSError):  # the terminal is gone
            while True:
                with suppress(BlockingIOError):
                    drawn.extend(os.read(screen, 65536))
                await asyncio.sleep(0.01)

    reader = asyncio.create_task(read())
    try:
        async with process("demo", "--seconds", "2", stdout=terminal) as child:
            os.close(terminal)
            async with asyncio.timeout(30):
                assert await child.wait() == 0
            assert await stderr_of(child) == ""
            await reader
    finally:
        reader.cancel()
        os.close(screen)

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    for words in ("7/7 caches", "watching", "events", "Ctrl-C ends it", "What the handlers were given"):
        assert words in text
    assert drawn.count(b"\x1b[?25l") == drawn.count(b"\x1b[?25h") > 0  # the cursor is visible again


@pytest.mark.virtual_time
async def test_g16_words_of_objects_are_drawn_and_give_no_orders() -> None:
    """Neither to the terminal nor to rich, whose markup is in brackets."""
    hostile = "\x1b]0;owned\x07\x9b2J\u202e[blink]"
    health = SimpleNamespace(has_synced=True, is_watching=False, reason=hostile)
    informer: Any = SimpleNamespace(
        has_synced=True,
        health=lambda: health,
        statistics=lambda: SimpleNamespace(objects=1),
        last_sync_resource_version=hostile,
    )
    board = Board()
    board.tallies.append(Tally(hostile, informer, None, board.lines))
    board.lines.append(Line(0.0, "MODIFIED", hostile, hostile, hostile))
    board.lines.append(Line(0.0, "NOTE", text=hostile))
    written = io.StringIO()
    with LiveView(Console(file=written, force_terminal=True, width=400, height=40), 1.0) as view:
        view.begin("http://there", board)
        view.syncing(board)
        view.refresh(board)
        view.summarize(board, {hostile: Verdict(1, 0)})
    drawn = written.getvalue()
    for order in ("\x1b]", "\x07", "\x9b", "\u202e", "\x1b[5m", "\x1b[2J"):
        assert order not in drawn
    assert drawn.count(r"\x1b]0;owned\x07\x9b2J\u202e[blink]") >= 7
