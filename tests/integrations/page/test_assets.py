"""The files of the page."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import pytest

from aioinformers.integrations.page import assets
from aioinformers.integrations.page.assets import asset_at, asset_path

FOLDER = Path(assets.__file__).with_name("static")


@pytest.mark.parametrize("name", ["page.css", "page.js", "idiomorph.min.js", "icon.svg"])
def test_a_files_name_changes_with_its_content(name: str) -> None:
    path = asset_path(name)
    asset = asset_at(path)
    assert asset is not None
    assert asset.body == (FOLDER / name).read_bytes()
    assert hashlib.blake2s(asset.body, digest_size=6).hexdigest() in path
    assert path.startswith("static/")


@pytest.mark.parametrize(
    "path", ["static/page.css", "static/", "static/../page.py", "static/page.000000000000.css", ""]
)
def test_nothing_else_is_there(path: str) -> None:
    assert asset_at(path) is None


def test_what_is_not_ours_says_so() -> None:
    """The licence of idiomorph asks for nothing; whoever looks shall find it all the same."""
    assert (
        (FOLDER / "idiomorph.min.js").read_text(encoding="utf-8").startswith("/*! idiomorph 0.8.0, https://github.com/")
    )
    assert "Zero-Clause BSD" in (FOLDER / "LICENSE-idiomorph.txt").read_text(encoding="utf-8")


def test_nothing_is_fetched_from_elsewhere_and_no_text_is_run() -> None:
    """A strict Content-Security-Policy would refuse it."""
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\beval\(|new Function|@import|url\(", text), path.name
    styles = (FOLDER / "page.css").read_text(encoding="utf-8")
    assert "://" not in styles
    assert (FOLDER / "page.js").read_text(encoding="utf-8").count("://") == 0


def test_all_of_them_are_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes())) for path in FOLDER.iterdir()) < 12_000
