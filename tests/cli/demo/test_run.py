"""The demonstration from its begin to its end."""

from __future__ import annotations

import asyncio
import signal

import pytest

from aioinformers.cli.demo.run import run_demo
from aioinformers.testing import run_virtual
from tests.cli.shell import complete_rows, process, stderr_of


@pytest.mark.slow
async def test_demo_ends_by_itself_with_a_summary() -> None:
    async with process("demo", "--seconds", "5") as child:
        out, err = await child.communicate()

    assert (child.returncode, err) == (0, b"")
    summary = out.decode().partition("INFORMER")[2]
    assert len(complete_rows(summary)) >= 4
    assert summary.splitlines()[-1].startswith("cache == server: the 7 caches hold the server's ")


def test_demo_survives_its_own_outages(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_virtual(run_demo(seconds=30, is_plain=True, seed=7))

    out = capsys.readouterr().out
    assert code == 0
    assert "informers go on from where they were" in out
    assert "informers must list again" in out
    assert "CACHE == SERVER" in out
    assert len(complete_rows(out.partition("INFORMER")[2])) == 7


async def test_ctrl_c_ends_demo_with_the_summary() -> None:
    async with process("demo", "--plain") as child:
        assert child.stdout is not None
        while b"MODIFIED" not in (line := await child.stdout.readline()):
            assert line, await stderr_of(child)
        child.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            out = await child.stdout.read()
            assert await child.wait() == 0

    assert b"cache == server: the 7 caches" in out
