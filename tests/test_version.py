"""The version: one, and in the form that installers order by."""

from __future__ import annotations

import tomllib
from pathlib import Path

import packaging.version

import aioinformers
from aioinformers.version import __version__

ROOT = Path(__file__).resolve().parent.parent


def test_the_version_is_in_normal_form() -> None:
    assert str(packaging.version.Version(__version__)) == __version__


def test_there_is_one_version_for_the_package_and_its_distribution() -> None:
    assert aioinformers.__version__ is __version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert ROOT / project["tool"]["hatch"]["version"]["path"] == Path(aioinformers.version.__file__)
