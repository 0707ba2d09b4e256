"""The page about faults is the table that the tests run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.table import CASES

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
def test_page_is_rendered_from_the_table() -> None:
    command = [sys.executable, str(ROOT / "tools" / "render_faults.py"), "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"run `python tools/render_faults.py`: docs/faults.md is not current\n{checked}"


def test_every_fault_has_its_own_title() -> None:
    titles = [case.title for case in CASES]
    assert len(titles) == len(set(titles)) >= 60
    assert not [title for title in titles if "|" in title]


def test_every_fault_is_promised_something() -> None:
    for case in CASES:
        assert case.expectation, case.title
