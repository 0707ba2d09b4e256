"""Runs unit and embedded-server tests on every supported Python here besides the default one.

Left out are those that are slow, or say little about a version of Python (`ONCE` in `conftest.py`).

``python tools/matrix.py [VERSION …]`` takes those versions only. Interpreters are found on PATH and among pyenv's
versions; one that is missing is named and left out.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
ROOT = pathlib.Path(__file__).resolve().parent.parent


def candidates(version: str) -> list[str]:
    """Return paths that may be an interpreter of a version."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    # a name that ends with a letter is that of another build, as the free-threaded 3.14.0t
    found = [str(path / "bin" / "python") for path in sorted(pyenv.glob(f"{version}.*[0-9]"), reverse=True)]
    on_path = shutil.which(f"python{version}")
    return [*found, on_path] if on_path else found


def interpreter(version: str) -> str | None:
    """Return an interpreter of a version that really runs: a shim on PATH may not."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    for path in candidates(version):
        answer = subprocess.run([path, "-c", program], capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:
            return path
    return None


def run_aloud(command: list[str]) -> list[str]:
    """Run tests, show what they print as it comes, and return the summary of those that failed."""
    said = bytearray()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        while some := os.read(running.stdout.fileno(), 65536):
            sys.stdout.buffer.write(some)
            sys.stdout.flush()
            said += some
    if running.returncode == 0:
        return []
    _, _, summary = said.decode(errors="replace").rpartition(" short test summary info ")
    failures = [line for line in summary.splitlines()[1:][-50:] if not line.startswith("SKIPPED")]
    return [*failures, f"exit code {running.returncode}"]


def test_on(version: str, python: str) -> list[str]:
    """Run the tests on one interpreter, in an environment of its own, and return what is wrong."""
    venv = ROOT / f".venv-{version}"
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not (venv / ".installed").exists():
        subprocess.run([python, "-m", "venv", str(venv)], check=True)
        subprocess.run([*pip, "-r", "requirements/dev.txt"], cwd=ROOT, check=True)
        subprocess.run([*pip, "--no-deps", "--editable", "."], cwd=ROOT, check=True)
        (venv / ".installed").touch()
    chosen = "not realserver and not slow and not once"
    command = [str(venv / "bin" / "python"), "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal", "-m", chosen]
    return run_aloud(command)


def main() -> int:
    """Run the matrix; exit code 1 if a version fails."""
    failed: dict[str, list[str]] = {}
    for version in sys.argv[1:] or VERSIONS:
        if version == "{}.{}".format(*sys.version_info):
            print(f"Python {version}: covered by `make test`", flush=True)
            continue
        python = interpreter(version)
        if python is None:
            print(f"Python {version}: not installed here, left out", flush=True)
            continue
        print(f"Python {version}: {python}", flush=True)
        if wrong := test_on(version, python):
            failed[version] = wrong
    for version, wrong in failed.items():  # once more: other versions have come in between
        print(f"failed on Python {version}:", *wrong, sep="\n", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
