"""The folder of the files of one :class:`WarmCache`: its lock, its thread, and who writes which file.

One process has it at a time, as a lock on a file in it says, which ends with the process however it ends. All that
touches the disk runs in one thread, in order.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from aioinformers.warm.mounts import network_file_system

__all__ = ["SUFFIX", "Directory", "TakenError"]

T = TypeVar("T")

SUFFIX: Final = ".warm"
_FOLDER: Final = "aioinformers"
"""Made in the folder that users name: that one may be a mount point, which belongs to somebody else."""
_LOCK: Final = "lock"


class TakenError(OSError):
    """Somebody else has the folder, or the file."""


class Directory:
    """Where the files are.

    Args:
        path: The folder that the user has named.
        max_age: Seconds after which what nobody has written to is deleted.

    Attributes:
        path: Where the files themselves are.
    """

    def __init__(self, path: Path, max_age: float) -> None:
        self._base = path
        self._max_age = max_age
        self.path: Path = path / _FOLDER
        self._start_anew()
        _directories.add(self)

    def _start_anew(self) -> None:
        self._lock: int | None = None
        self._users = 0
        self._claimed: set[str] = set()
        self._executor: ThreadPoolExecutor | None = None

    def forget(self) -> None:
        """Let go, in a forked child, of what the parent process has: its lock goes with the parent."""
        if self._lock is not None:
            os.close(self._lock)
        self._start_anew()

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function in the thread, after those before it.

        Cancellation: the function runs nevertheless.
        """
        run = asyncio.get_running_loop().run_in_executor(self._thread(), function)
        return await asyncio.shield(run)  # or what has not begun yet would never run

    def run_unawaited(self, function: Callable[[], None]) -> None:
        """Have a function that never raises run in the thread, after those before it."""
        _ = self._thread().submit(function)

    def _thread(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "aioinformers-warm")
        return self._executor

    # -- in the thread ----------------------------------------------------------------------------------------

    def claim(self, name: str) -> Path:
        """Take a file for the only one who reads and writes it; the first one takes the whole folder.

        Args:
            name: Whose state it holds.

        Returns:
            The file, which need not exist.

        Raises:
            TakenError: If another process has the folder, or somebody in this one the file.
            OSError: If the folder cannot be used.
        """
        if self._lock is None:
            self._lock = self._open()
        if name in self._claimed:
            raise TakenError("another informer of this process, for the same objects, keeps its state there")
        self._claimed.add(name)
        return self.path / f"{name}{SUFFIX}"

    def release(self, name: str) -> None:
        """Give a file back; the last one gives the folder back."""
        self._claimed.discard(name)
        if not self._claimed and self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def has_others(self, prefix: str) -> bool:
        """Tell whether there are files whose names begin in some way."""
        return any(self.path.glob(f"{prefix}*{SUFFIX}"))

    def _open(self) -> int:
        import fcntl  # not on every system

        if kind := network_file_system(self._base):
            raise OSError(f"{self._base} is on a network file system ({kind}): another host could write there, too")
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(f"{self.path} is no folder of this user's own")
        if stat.S_IMODE(found.st_mode) != 0o700:
            self.path.chmod(0o700)
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sweep()
        except BlockingIOError:
            os.close(lock)
            raise TakenError(f"another process, or another WarmCache of this one, uses {self._base}") from None
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _sweep(self) -> None:
        """Delete what was never finished, and what nobody has written to for too long."""
        oldest = time.time() - self._max_age
        for path in self.path.iterdir():
            is_unfinished = path.name.endswith(f"{SUFFIX}.new")
            if is_unfinished or (path.name.endswith(SUFFIX) and path.stat().st_mtime < oldest):
                path.unlink(missing_ok=True)


_directories: weakref.WeakSet[Directory] = weakref.WeakSet()


def _forget_all() -> None:
    for directory in list(_directories):
        directory.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
