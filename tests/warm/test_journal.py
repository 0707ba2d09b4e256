"""What changes is stored, some seconds later, together with the version that it makes."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from aioinformers import Metadata, WarmCache, new_informer
from aioinformers.informer import pipeline_of
from aioinformers.testing import Fault
from aioinformers.warm import journal
from aioinformers.warm.frames import scan
from tests.kit import QUICK, configmap
from tests.machine.kinds import Small
from tests.warm.worlds import fill, running, world

pytestmark = pytest.mark.virtual_time


def file_in(path: Path) -> Path:
    """Return the file of the only state."""
    (file,) = path.glob("*/*.warm")
    return file


def held(path: Path) -> tuple[str, int]:
    """Return the version and the number of the objects that are stored."""
    with open(file_in(path), "rb") as opened:
        commit = scan(opened).commit
    return commit.version, commit.objects


async def test_it_stores_every_few_seconds(tmp_path: Path) -> None:
    async with world() as server, running(server, tmp_path) as run:
        await asyncio.sleep(6)
        assert held(tmp_path) == (run.configmaps.resource_versions.popitem()[1], 0)
        server.create("configmaps", configmap("a"))
        await asyncio.sleep(6)
        assert held(tmp_path) == (server.resource_version, 1)


async def test_many_changes_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "CROWDED", 5)
    async with world() as server, running(server, tmp_path):
        await asyncio.sleep(6)
        fill(server, 6)
        await asyncio.sleep(0.5)
        assert held(tmp_path) == (server.resource_version, 6)


async def test_a_bookmark_alone_is_stored(tmp_path: Path) -> None:
    async with world(bookmark_interval=10) as server, running(server, tmp_path, label_selector="app=x"):
        fill(server, 1)  # another one's
        await asyncio.sleep(30)
        assert held(tmp_path) == (server.resource_version, 0)


async def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    async with world() as server, running(server, tmp_path):
        await asyncio.sleep(6)
        file = file_in(tmp_path)
        size = file.stat().st_size
        await asyncio.sleep(300)
        assert file.stat().st_size == size


@pytest.mark.parametrize("kind", [dict, Metadata, Small])
async def test_bytes_are_kept_no_longer_than_needed(tmp_path: Path, kind: Any) -> None:
    async with world() as server:
        for name in "abc":
            server.create("configmaps", configmap(name, labels={"app": "x", "v": "0"}))
        for count in (3, 4):
            async with running(server, tmp_path, object_type=kind, shared_objects=True) as run:
                await asyncio.sleep(6)
                entries = pipeline_of(run.configmaps).store.entries()
                assert [entry.facts for entry in entries] == [()] * count
                server.create("configmaps", configmap(f"late{count}", labels={"app": "x", "v": "0"}))
                await asyncio.sleep(6)
                assert [entry.facts for entry in pipeline_of(run.configmaps).store.entries()] == [()] * (count + 1)
                assert run.warm.startswith("warm: 4 objects" if count == 4 else "cold")


async def test_a_full_disk_is_said_once_and_the_informer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as server:
        fill(server, 2)
        async with running(server, tmp_path) as run:
            await asyncio.sleep(6)

            def full(_file: int, _data: object) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            with monkeypatch.context() as patch:
                patch.setattr(os, "write", full)
                server.create("configmaps", configmap("a"))
                await asyncio.sleep(20)
            server.create("configmaps", configmap("b"))
            await asyncio.sleep(20)
            assert len(run.configmaps.indexer) == 4
        said = [each.message for each in caplog.records if "not stored any more" in each.message]
        assert said == [
            "configmaps.v1 [as dict]: its state is not stored any more: OSError: [Errno 28] No space left on device"
        ]
        async with running(server, tmp_path) as run:
            assert run.warm.startswith("warm: 2 objects")
            await asyncio.sleep(5)
            assert len(run.configmaps.indexer) == 4


async def test_a_namespace_that_leaves_while_it_is_to_be_stored_is_not(tmp_path: Path) -> None:
    async with world() as server, server.api_client() as api:
        _ = server.intercept(lambda request: Fault(delay=3) if request.path.endswith("/kube-system") else None)
        warm = WarmCache(tmp_path)
        informer = new_informer(api, "configmaps.v1.", namespace=["a", "b"], settings=QUICK, warm=warm)
        async with informer:
            await informer.wait_synced(timeout=5)
            await asyncio.sleep(6)
            await informer.set_namespaces("b", timeout=5)
            await asyncio.sleep(20)
            assert informer.is_running
            assert informer.has_synced
        assert held(tmp_path) == (server.resource_version, 0)
