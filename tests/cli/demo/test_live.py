"""The demonstration in a terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import termios
from contextlib import suppress

import pytest

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
