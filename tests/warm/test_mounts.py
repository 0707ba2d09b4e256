"""Network file systems are told from the table of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioinformers.warm.mounts import network_file_system

TABLE = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 21 0:50 / /mnt/share rw - nfs4 server:/export rw
41 21 0:51 / /mnt/share/local rw - xfs /dev/sdb rw
42 21 0:52 / /mnt/with\040blank rw - cifs //server/share rw
43 21 0:53 / /mnt/bucket rw master:1 - fuse.gcsfuse bucket rw
44 21 0:54 / /mnt/overlay rw - fuse.fuse-overlayfs overlay rw
45 21 0:55 / /mnt/twice rw - nfs server:/a rw
46 21 0:56 / /mnt/twice rw - tmpfs tmpfs rw
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/cache/app", ""), ("/mnt/share", "nfs4"), ("/mnt/share/a/b", "nfs4"), ("/mnt/share/local/a", ""),
        ("/mnt/shared", ""), ("/mnt/with blank/a", "cifs"), ("/mnt/bucket/a", "fuse.gcsfuse"), ("/mnt/overlay/a", ""),
        ("/mnt/twice/a", ""),
    ],
)  # fmt: skip
def test_the_innermost_mount_decides(tmp_path: Path, path: str, kind: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert network_file_system(Path(path), table) == kind


def test_without_a_table_nothing_is_known(tmp_path: Path) -> None:
    assert network_file_system(Path("/mnt"), tmp_path / "absent") == ""
    assert network_file_system(tmp_path) == ""
