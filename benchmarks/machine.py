"""Describes the machine that measures, and the libraries that are measured with."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("aiohttp", "msgspec", "kubernetes_asyncio", "backports.zstd")


def describe() -> dict[str, str]:
    """Return what a reader has to know of this machine."""
    installed = [f"{name} {found}" for name in LIBRARIES if (found := installed_version(name))]
    return {
        "CPU": first_of(Path("/proc/cpuinfo"), r"model name\s*:\s*(.+)") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}",
        "libraries": ", ".join(installed),
    }


def first_of(path: Path, pattern: str) -> str:
    """Return what a pattern finds in a file, or nothing."""
    found = re.search(pattern, path.read_text()) if path.exists() else None
    return found[1] if found else ""


def installed_version(name: str) -> str:
    """Return a library's version, or nothing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
