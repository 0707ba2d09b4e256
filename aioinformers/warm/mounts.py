"""Which file system a folder is on. Pure, but for the table of mounts that it reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["network_file_system"]

_NETWORK: Final = frozenset({
    "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "wekafs",
})  # fmt: skip
_LOCAL_FUSE: Final = frozenset({"fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.bindfs", "fuse.gocryptfs", "fuse.encfs"})
"""Any other file system in user space may well be on a network."""


def network_file_system(path: Path, table: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the network file system that a path is on, or would be; empty if it is on none.

    Where there is no table of mounts, as on other systems than Linux, nothing is known.

    Args:
        path: The path; it need not exist.
        table: Where the kernel tells the mounts.
    """
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    wanted = os.path.realpath(path)
    best, found = -1, ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        parts = fields.split(" ")
        if len(parts) < 5 or not rest:
            continue
        point = _unescaped(parts[4])
        is_inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        if is_inside and len(point) >= best:  # of several at one place the last one is on top
            best, found = len(point), rest.split(" ")[0]
    return found if _is_network(found) else ""


def _is_network(kind: str) -> bool:
    return kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)


def _unescaped(text: str) -> str:
    r"""Return a path as it is: the table writes blanks as ``\040``."""
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text
