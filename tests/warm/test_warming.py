"""Warm starts: the cache, and what handlers are told, are as after a cold start (G24)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aioinformers import Added, Cause
from tests.kit import cached, configmap, stored
from tests.warm.worlds import fill, running, world

pytestmark = pytest.mark.virtual_time


def told(run: Any) -> list[tuple[str, Cause]]:
    return list(zip(run.recorder.kinds(), run.recorder.causes(), strict=True))


async def test_g24_the_next_process_lists_nothing(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path) as first:
            assert first.warm == "cold: nothing is stored yet"
            assert first.lists() == 1
            server.create("configmaps", configmap("late"))
            await asyncio.sleep(1)
        async with running(server, tmp_path) as second:
            assert second.lists() == 0
            assert second.warm.startswith("warm: 4 objects, ")
            assert told(second) == [(f"Added {name}", Cause.WARM) for name in ("c0", "c1", "c2", "late")]
            assert all(isinstance(event, Added) and event.initial for event in second.recorder.events)
            assert cached(second.configmaps) == stored(server, "configmaps")
            server.create("configmaps", configmap("new"))
            await asyncio.sleep(1)
            assert second.recorder.kinds()[-1] == "Added new"


async def test_g24_what_happened_meanwhile_is_told_once(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        server.delete("configmaps", "c0", namespace="default")
        server.patch("configmaps", "c1", {"data": {"v": "x"}}, namespace="default")
        server.create("configmaps", configmap("new"))
        async with running(server, tmp_path) as second:
            await asyncio.sleep(5)
            assert second.lists() == 0
            assert second.recorder.kinds() == [
                "Added c0", "Added c1", "Added c2", "Deleted c0", "Updated c1", "Added new",
            ]  # fmt: skip
            assert cached(second.configmaps) == stored(server, "configmaps")
