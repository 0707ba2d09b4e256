"""Runs unit and embedded-server tests, not the slow ones, on the newest Python that can be had here.

That is one on PATH or among pyenv's versions, or one where a command leads: the executable that ``NEWER_PYTHON``
names, by default ``../shared/tools/newer-python`` beside this checkout, runs ``COMMAND [ARGUMENT …]`` in the current
folder, on a system with newer interpreters. Without any of these the tests are left out, which is said.

What the tests need is installed once per interpreter and ``requirements/dev.txt``, into a folder of the user's cache
(``AIOINFORMERS_CACHE``); the checkout itself goes into an environment of its own beside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

from matrix import ROOT, interpreter

VERSIONS = ("3.15", "3.14")
"""Versions to look for, the newest first."""

UNUSED_DAYS = 14
"""An environment in the cache that no run has used for so long is removed."""

HERE = "--here"
"""Argument that makes this program test on the interpreter that runs it."""


def elsewhere() -> list[str]:
    """Return the command that runs others where newer interpreters are, or nothing."""
    named = os.environ.get("NEWER_PYTHON")
    command = shutil.which(named or str(ROOT.parent / "shared" / "tools" / "newer-python"))
    if named and command is None:
        raise SystemExit(f"NEWER_PYTHON={named} is no executable")
    return [command] if command else []


def has(prefix: list[str], version: str) -> bool:
    """Tell whether a command leads to an interpreter of a version that runs, in this folder."""
    program = "import os, sys; print('%d.%d' % sys.version_info[:2], os.path.exists('tools/newest.py'))"
    command = [*prefix, f"python{version}", "-c", program]
    answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    found, _, sees_folder = answer.stdout.strip().partition(" ")
    if found == version and sees_folder != "True":
        raise SystemExit(f"{prefix[0]} runs Python {version}, but not in {ROOT}: it must share that folder")
    return found == version


def find() -> tuple[str, list[str]] | None:
    """Return the newest version that is there, and the beginning of the command that runs it."""
    prefix = elsewhere()
    for version in VERSIONS:
        if python := interpreter(version):
            return version, [python]
        if prefix and has(prefix, version):
            return version, [*prefix, f"python{version}"]
    return None


# -- on the interpreter that tests ------------------------------------------------------------------------------------


def cache_folder() -> pathlib.Path:
    """Return the folder of environments."""
    caches = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(os.environ.get("AIOINFORMERS_CACHE") or pathlib.Path(caches) / "aioinformers") / "newest"


def prepared() -> pathlib.Path:
    """Return an environment with what the tests need, made now if no earlier run has done it."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    requirements = ROOT / "requirements" / "dev.txt"
    key = hashlib.sha256(f"{sys.version} {sys.executable}".encode() + requirements.read_bytes()).hexdigest()[:16]
    venv = folder / f"{sys.version_info[0]}.{sys.version_info[1]}-{key}"
    used = venv / ".used"
    with open(folder / "lock", "w") as lock:  # two checkouts may be tested at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        for other in folder.glob("*/.used"):
            if time.time() - other.stat().st_mtime > UNUSED_DAYS * 86400:
                shutil.rmtree(other.parent)
        if not used.exists():
            print(f"installing what the tests need into {venv}", flush=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
            pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "-r", str(requirements)], check=True)
        used.touch()
    return venv


def test_here() -> int:
    """Run the tests on this interpreter, and return pytest's exit code."""
    shared = prepared()
    own = ROOT / ".venv-newest"
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(own)], check=True)
    library = pathlib.Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    (own / library / "requirements.pth").write_text(f"{shared / library}\n")
    pip = [str(shared / "bin" / "python"), "-m", "pip", "--python", str(own / "bin" / "python"), "install", "--quiet"]
    editable = ["--disable-pip-version-check", "--no-deps", "--editable", str(ROOT)]
    subprocess.run([*pip, *editable], check=True)
    tests = ["-q", "-n", "auto", "--dist", "worksteal", "-m", "not realserver and not slow and not once"]
    return subprocess.run([str(own / "bin" / "python"), "-m", "pytest", *tests], cwd=ROOT, check=False).returncode


def main() -> int:
    """Find the interpreter and run this program on it; exit code 0 if there is none."""
    if sys.argv[1:] == [HERE]:
        return test_here()
    found = find()
    if found is None:
        print(f"neither Python {' nor '.join(VERSIONS)} is installed here, left out", flush=True)
        return 0
    version, command = found
    print(f"Python {version}: {' '.join(command)}", flush=True)
    return subprocess.run([*command, "tools/newest.py", HERE], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
