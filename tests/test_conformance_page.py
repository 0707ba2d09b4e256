"""The page about conformance is the table of behaviours, and each of them is verified by tests that exist."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.behaviours import COUNT, SECTIONS, Behaviour
from tests.faults.table import CASES

ROOT = Path(__file__).resolve().parent.parent
BEHAVIOURS = [behaviour for section in SECTIONS.values() for behaviour in section]


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Return the tests that a module defines, as node ids without its path, read from its source."""
    found: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                collect(node.body, f"{prefix}{node.name}::")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(prefix + node.name)

    collect(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return frozenset(found)


def test_page_is_rendered_from_the_table() -> None:
    command = [sys.executable, str(ROOT / "tools" / "render_conformance.py"), "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, (
        f"run `python tools/render_conformance.py`: docs/conformance.md is not current\n{checked}"
    )


def test_every_behaviour_is_there_once_and_in_order() -> None:
    assert [behaviour.number for behaviour in BEHAVIOURS] == list(range(1, COUNT + 1))
    sentences = [behaviour.says for behaviour in BEHAVIOURS]
    assert len(set(sentences)) == COUNT
    assert all(sentence.endswith(".") for sentence in sentences)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: str(behaviour.number))
def test_behaviour_is_verified(behaviour: Behaviour) -> None:
    """By tests and faults that exist; or it says, in one way only, why it is not."""
    assert bool(behaviour.tests) != bool(behaviour.absent), "either tests, or why there is nothing to test"
    assert not (behaviour.absent and (behaviour.faults or behaviour.differs))
    for test in behaviour.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), test
        assert name in names_in(ROOT / path), test
    titles = {case.title for case in CASES}
    assert titles.issuperset(behaviour.faults)
    for named in (behaviour.tests, behaviour.faults):
        assert len(named) == len(set(named))
