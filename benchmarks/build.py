"""Builds the programs that aioinformers is measured beside, each once, into a cache folder outside the repository.

A folder is named after the hash of the sources it was built from, so a changed source is built anew. A toolchain that
is not installed raises :class:`PeerMissingError`, whose message says what is missing, for the table of results.
``python -m benchmarks.build`` builds all and prints where they are.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

PEERS = Path(__file__).parent / "peers"

Build = Callable[[Path], None]
"""Makes what a folder is to hold; the folder is there and empty."""


class PeerMissingError(Exception):
    """A program is not there and cannot be built; the message says why."""


def go() -> Path:
    """Return the program on client-go and controller-runtime."""
    sources = PEERS / "go"

    def build(folder: Path) -> None:
        command = [toolchain("go"), "build", "-trimpath", "-mod=readonly", "-o", str(folder / "peer"), "."]
        run(command, sources, CGO_ENABLED="0")

    return built("go", digest(sources), build) / "peer"


def rust() -> Path:
    """Return the program on kube-rs."""
    tool, sources = toolchain("cargo"), PEERS / "rust"

    def build(folder: Path) -> None:
        target = folder / "target"
        run([tool, "build", "--release", "--locked", "--target-dir", str(target)], sources)
        (target / "release" / "kube-rs-peer").rename(folder / "peer")
        shutil.rmtree(target)  # what the dependencies were compiled to

    key = digest(*(sources / name for name in ("Cargo.toml", "Cargo.lock", "build.rs", "src")))
    return built("rust", key, build) / "peer"


def java() -> list[str]:
    """Return the command that runs the program on fabric8's client."""
    virtual_machine, maven, sources = toolchain("java"), toolchain("mvn"), PEERS / "java"

    def build(folder: Path) -> None:
        run([maven, "--batch-mode", "--quiet", f"-DbuildDirectory={folder}", "package"], sources)

    folder = built("java", digest(sources / "pom.xml", sources / "src"), build)
    return [virtual_machine, "-cp", f"{folder / 'classes'}:{folder / 'dependency'}/*", "Peer"]


PROGRAMS: dict[str, Callable[[], Path | list[str]]] = {"go": go, "rust": rust, "java": java}


def protobuf_feed(objects: int, events: int) -> Path:
    """Return the Pods and updates of :mod:`benchmarks.pods` as protobuf, as the replay server takes them."""
    encoder = go()
    pods = [sys.executable, "-m", "benchmarks.pods", str(objects), str(events)]

    def build(folder: Path) -> None:
        with (folder / "pods").open("wb") as file, subprocess.Popen(pods, stdout=subprocess.PIPE) as source:
            subprocess.run([encoder, "feed"], stdin=source.stdout, stdout=file, check=True)
        if source.returncode:
            raise subprocess.CalledProcessError(source.returncode, pods)

    key = digest(Path(__file__).with_name("pods.py"), PEERS / "go" / "feed.go", PEERS / "go" / "go.mod")
    return built(f"feed-{objects}-{events}", key, build) / "pods"


def toolchain(name: str) -> str:
    """Return the path of a compiler or build tool.

    Raises:
        PeerMissingError: If it is not installed.
    """
    if path := shutil.which(name):
        return path
    raise PeerMissingError(f"{name} is not installed")


def digest(*sources: Path) -> str:
    """Return a hash of files, and of all files in folders."""
    found = hashlib.sha256()
    for source in sources:
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file():
                content = path.read_bytes()
                found.update(f"{path.relative_to(source.parent)} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]


def built(name: str, key: str, build: Build) -> Path:
    """Return the cache folder of a name and a hash, made first if need be (once, also when called in parallel)."""
    root = cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"{name}-{key}"
    with locked(root / f"{name}.lock"):
        if not folder.is_dir():
            partial = root / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            build(partial)
            partial.rename(folder)
    return folder


def cache_folder() -> Path:
    """Return where everything that is built is kept: beside the real API server of the tests."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = os.environ.get("AIOINFORMERS_CACHE") or Path(caches) / "aioinformers"
    return Path(root) / "benchmarks"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among processes."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command: list[str], folder: Path, **environment: str) -> None:
    """Run one step of a build.

    Raises:
        PeerMissingError: If it fails; with the end of what it printed.
    """
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        raise PeerMissingError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-2000:]}")


def main() -> None:
    """Build every program and print its path, or why there is none."""
    for name, program in PROGRAMS.items():
        try:
            print(name, program())
        except PeerMissingError as error:
            print(name, error)


if __name__ == "__main__":
    main()
