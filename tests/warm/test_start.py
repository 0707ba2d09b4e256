"""What is stored is verified and checked before anybody is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aioinformers.warm import start
from aioinformers.warm.frames import Commit, Header, Item, WarmFile, scan
from tests.kit import cached, stored
from tests.warm.worlds import fill, running, world

pytestmark = pytest.mark.virtual_time


def rewrite(path: Path, change: Callable[[list[Item]], list[Item]], **commit: Any) -> None:
    """Write a file that is whole, and says something else."""
    (file,) = path.glob("*/*.warm")
    with open(file, "rb") as opened:
        found = scan(opened)
        items = [item for number in range(len(found.frames)) for item in found.read(opened, number)]
    items = change(items)
    values = {"version": found.commit.version, "time": found.commit.time, "objects": len(items)} | commit
    again = WarmFile(file, Header(commit.pop("identity", found.header.identity), found.header.cluster))
    values.pop("identity", None)
    again.write(items, Commit(**values))
    again.close()


@pytest.mark.parametrize(
    ("change", "commit", "reason"),
    [
        (list, {"version": "abc"}, "its resourceVersion is no number"),
        (list, {"rejected": 1}, "1 objects could not be read when it was stored"),
        (list, {"identity": {}}, "what is stored was of other selectors, scopes, transforms or types"),
        (lambda items: items[1:], {}, "what is stored is of another history of the server's than its present one"),
        (
            lambda items: [*items[:-1], ("default/other", *items[-1][1:])],
            {},
            "an object that is stored is another one than its key says",
        ),
    ],
)
async def test_what_does_not_fit_is_a_cold_start(
    tmp_path: Path, change: Callable[[list[Item]], list[Item]], commit: dict[str, Any], reason: str
) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        rewrite(tmp_path, change, **commit)
        async with running(server, tmp_path) as run:
            assert run.warm == f"cold: {reason}"
            assert run.lists() == 1
            assert cached(run.configmaps) == stored(server, "configmaps")
        async with running(server, tmp_path) as run:
            assert run.warm.startswith("warm: 3 objects")


async def test_what_the_server_refuses_is_a_cold_start(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        server.fail("list configmaps", status=403)
        async with running(server, tmp_path) as run:
            assert run.warm.startswith("cold: it cannot be checked: 403")
            assert cached(run.configmaps) == stored(server, "configmaps")


async def test_a_bug_is_a_cold_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass

        def broken(_file: object) -> None:
            raise KeyError("bug")

        monkeypatch.setattr(start, "scan", broken)
        async with running(server, tmp_path) as run:
            assert run.warm == "cold, and nothing is stored: a bug: KeyError('bug')"
            assert cached(run.configmaps) == stored(server, "configmaps")
    assert "a bug" in caplog.text


async def test_a_start_that_is_cancelled_from_outside_begins_again(tmp_path: Path) -> None:
    async with world() as server:
        fill(server, 3)
        async with running(server, tmp_path):
            pass
        heal = server.fail("* *", times=None)
        async with running(server, tmp_path, is_awaited=False) as run:
            await asyncio.sleep(1)
            (task,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("warm start")]
            task.cancel()
            await asyncio.sleep(1)
            heal()
            await run.configmaps.wait_synced(timeout=60)
            assert run.lists() == 0
            assert cached(run.configmaps) == stored(server, "configmaps")
