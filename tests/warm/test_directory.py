"""One process at a time has the folder; what nobody needs is deleted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aioinformers.warm import directory
from aioinformers.warm.directory import Directory, TakenError


def test_one_has_it_and_gives_it_back(tmp_path: Path) -> None:
    first, second = Directory(tmp_path, 10), Directory(tmp_path, 10)
    assert first.claim("a") == tmp_path / "aioinformers/a.warm"
    with pytest.raises(TakenError, match="another process"):
        second.claim("a")
    with pytest.raises(TakenError, match="another informer of this process"):
        first.claim("a")
    first.claim("b")
    first.release("a")
    with pytest.raises(TakenError):
        second.claim("a")
    first.release("b")
    second.claim("a")
    second.release("a")


def test_a_process_that_ends_somehow_gives_it_back(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from aioinformers.warm.directory import Directory;"
        "Directory(Path(sys.argv[1]), 10).claim('a'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    Directory(tmp_path, 10).claim("a")


def test_what_is_old_or_unfinished_is_deleted(tmp_path: Path) -> None:
    there = Directory(tmp_path, 1000)
    there.claim("a")
    there.release("a")
    for name, age in (("old.warm", 2000), ("new.warm", 500), ("a.warm.new", 1), ("other", 9000)):
        path = there.path / name
        path.touch()
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    there.claim("a")
    assert {path.name for path in there.path.iterdir()} == {"lock", "new.warm", "other"}
    assert there.has_others("ne")
    assert not there.has_others("old")


def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "aioinformers").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="no folder of this user's own"):
        Directory(tmp_path, 10).claim("a")


def test_a_folder_on_a_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "network_file_system", lambda _path: "nfs4")
    with pytest.raises(OSError, match="network file system"):
        Directory(tmp_path, 10).claim("a")


def test_a_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "aioinformers").mkdir(mode=0o755)
    Directory(tmp_path, 10).claim("a")
    assert (tmp_path / "aioinformers").stat().st_mode & 0o777 == 0o700


def test_a_forked_child_has_nothing(tmp_path: Path) -> None:
    there = Directory(tmp_path, 10)
    there.claim("a")
    there.forget()  # as in the child: here it gives the lock up, too
    Directory(tmp_path, 10).claim("a")


async def test_what_nobody_waits_for_any_more_runs_nevertheless(tmp_path: Path) -> None:
    """G24: it may be a transaction, whose keys are noted as stored, and others may be before it."""
    there = Directory(tmp_path, 10)
    gate, ran = threading.Event(), []
    before = asyncio.create_task(there.run(gate.wait))
    waiting = asyncio.create_task(there.run(lambda: ran.append("awaited")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    there.run_unawaited(lambda: ran.append("unawaited"))
    gate.set()
    await before
    await there.run(lambda: None)
    assert ran == ["awaited", "unawaited"]
