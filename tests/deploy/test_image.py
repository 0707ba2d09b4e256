"""The image is made of what there is, and ends when it is told to."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from pathlib import Path
from types import FunctionType

import pytest
from fastapi import FastAPI
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.manifests import FILES, ROOT, container_of, documents_of

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
PINNED = ROOT / "requirements" / "deploy.txt"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def test_what_is_copied_is_there_and_is_not_left_out() -> None:
    sources = [words[0] for copy in instructions("COPY") if not (words := copy.split())[0].startswith("--from")]
    assert sorted(sources) == ["aioinformers", "examples", "requirements/deploy.txt"]
    kept = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert sorted(line[1:] for line in kept if line.startswith("!")) == sorted(sources)
    assert all((ROOT / source).exists() for source in sources)


def test_signals_arrive_and_nobody_is_root() -> None:
    (command,) = instructions("CMD")
    assert json.loads(command)[0] == "python", "a list, so that no shell stands between"
    assert not instructions("ENTRYPOINT")
    assert instructions("USER") == ["65534:65534"]
    assert "PYTHONUNBUFFERED=1" in DOCKERFILE


def is_program(words: str, *, is_made: bool) -> bool:
    """Tell whether a module can be run, or has the application, or what makes it."""
    module, _, name = words.partition(":")
    found = importlib.import_module(module)
    if not name:
        return callable(found.main)
    return isinstance(getattr(found, name, None), FunctionType if is_made else FastAPI)


def test_what_is_run_by_itself_is_in_it() -> None:
    words = json.loads(instructions("CMD")[0])
    (program,) = [word for word in words if word.startswith("examples.")]
    assert is_program(program, is_made="--factory" in words)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_the_manifests_run_is_in_it(path: Path) -> None:
    container = container_of(documents_of(path))
    words = [*container["command"], *container.get("args", ())]
    (program,) = [word for word in words if word.startswith("examples.")]
    assert is_program(program, is_made="--factory" in words)
    ports = {port for line in instructions("EXPOSE") for port in line.split()}
    assert {str(port["containerPort"]) for port in container["ports"]} <= ports


def test_its_packages_are_pinned_with_hashes_and_are_all_that_is_needed() -> None:
    text = PINNED.read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9.-]+)==([^ ]+)(?: ; [^\\]+)? \\\n    --hash=sha256:", text, re.MULTILINE))
    assert len(pinned) == text.count("==")
    project, extras = PYPROJECT["project"], PYPROJECT["project"]["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["fastapi"], "uvicorn"]
    for requirement in map(Requirement, wanted):
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
