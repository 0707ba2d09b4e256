"""What users say of warm starts."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from aioinformers.checks import require_number, shown
from aioinformers.types import GroupVersionResource
from aioinformers.warm.directory import Directory
from aioinformers.warm.mounts import network_file_system

__all__ = ["WarmCache", "directory_of", "refuse_secrets"]


class WarmCache:
    """A folder in which informers keep their state, so that the next process need not list all objects again.

    Give it to a factory or to ``new_informer()`` as ``warm``. An informer then starts with the objects that an earlier
    process had, tells handlers of them as ``Added(initial=True, cause=Cause.WARM)``, and goes on from where that had
    been. What does not fit, or is damaged, is not used: the informer lists as it does without.

    Only one process uses a folder at a time; another one that comes meanwhile starts cold.

    Args:
        path: The folder, on a disk of this host; made if it is absent. What is in it can be read by this user alone.
        max_age: Seconds; older state is not used, and deleted.
        serve_stale: Let listers answer from the stored state before it is known to be current.
        allow_secrets: Write Secrets to the disk, too; otherwise their informers are refused.

    Attributes:
        path: The folder.
        max_age: Seconds.
        serve_stale: Whether listers answer early.
        allow_secrets: Whether Secrets are stored.

    Raises:
        TypeError: If an argument cannot be.
        ValueError: If ``max_age`` is not positive, or the folder is on a network file system.
        ImportError: On systems without file locks of the POSIX kind.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_age: float = 86400.0,
        serve_stale: bool = False,
        allow_secrets: bool = False,
    ) -> None:
        given: Any = path
        if not isinstance(given, str | os.PathLike) or not os.fspath(given):
            raise TypeError(f"WarmCache is given the path of a folder, such as '/var/cache/app', not {shown(path)}")
        require_number("max_age", max_age)
        if max_age <= 0:
            raise ValueError(f"max_age must be positive, not {max_age!r}")
        for name, value in (("serve_stale", serve_stale), ("allow_secrets", allow_secrets)):
            if not isinstance(value, bool):
                raise TypeError(f"{name} is True or False, not {shown(value)}")
        if importlib.util.find_spec("fcntl") is None:
            raise ImportError("WarmCache needs file locks as Linux and macOS have them (fcntl)", name="fcntl")
        self.path: Path = Path(os.path.abspath(path))
        if kind := network_file_system(self.path):
            raise ValueError(
                f"WarmCache({str(path)!r}) is on a network file system ({kind}), where another host could write, too: "
                f"take a folder on a disk of this host, such as an emptyDir"
            )
        self.max_age: float = float(max_age)
        self.serve_stale: bool = serve_stale
        self.allow_secrets: bool = allow_secrets
        self._directory = Directory(self.path, self.max_age)

    def __repr__(self) -> str:
        return f"WarmCache({str(self.path)!r})"


def directory_of(warm: WarmCache) -> Directory:
    """Return the machinery behind it: for informers."""
    return warm._directory


def refuse_secrets(warm: WarmCache, resource: GroupVersionResource) -> None:
    """Refuse to write Secrets to the disk where that has not been allowed.

    Raises:
        ValueError: If it has not.
    """
    if resource.group == "" and resource.resource == "secrets" and not warm.allow_secrets:
        raise ValueError(
            f"{resource} would be written to {warm.path}: say warm=None for this informer, or "
            f"WarmCache(..., allow_secrets=True)"
        )
