"""G25: nothing unobserved costs anything."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


async def run(what: str) -> dict[str, Any]:
    """Run the program in a process of its own, and return what it took."""
    command = [sys.executable, "-m", "tests.unobserved", what]
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    assert child.returncode == 0
    found: dict[str, Any] = json.loads(output)
    return found


@pytest.mark.slow
async def test_g25_faces_at_which_nobody_looks_take_no_task_and_no_memory() -> None:
    """20,000 events; what they cost in time is the row ``unobserved`` of the benchmarks."""
    ratios: list[float] = []
    while len(ratios) < 5 and min(ratios, default=2.0) > 1.01:  # it depends on what waits at the same time
        plain, faces = await asyncio.gather(run("plain"), run("faces"))
        assert (plain["faces"], faces["faces"]) == (0, 2)
        assert faces["tasks"] == plain["tasks"]
        ratios.append(faces["peak"] / plain["peak"])
    assert min(ratios) <= 1.01
