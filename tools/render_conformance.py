"""Write ``docs/conformance.md``: what is asked of an informer, and the tests that verify it.

``python tools/render_conformance.py`` writes the page from ``tests/behaviours.toml``; ``--check`` only compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.behaviours import SECTIONS, Behaviour  # noqa: E402

PAGE = ROOT / "docs" / "conformance.md"

INTRODUCTION = """# Conformance

What a faithful informer does, as the tests of client-go, controller-runtime and the API server ask it of theirs, and
the tests that ask it of these. {count} behaviours: {verified} are verified as they are; {differing} are decided
otherwise here, the reason is given, and the tests show what is done instead; for {absent} there is nothing to test.
Work queues, leader election and controllers are [not part of this package](differences-from-client-go.md).

Nearly all of it is tested over real HTTP, against an API server in the test's own event loop, in virtual time.
`tests/conformance/` runs against that server and a real kube-apiserver alike, `tests/chaos/` against a real one that
crashes. A *fault* is a line of [what happens when something goes wrong](faults.md). Any test can be run by its name:
`.venv/bin/pytest tests/test_rounds.py::test_changes_before_the_mark_are_part_of_the_initial_state`.
"""


def lines_of(behaviour: Behaviour) -> Iterator[str]:
    """Yield the lines of an item of a numbered list."""
    number = f"{behaviour.number}. "
    indent = " " * len(number)
    yield f"{number}{behaviour.says}"
    if behaviour.differs:
        yield f"{indent}- *Different here:* {behaviour.differs}"
    if behaviour.absent:
        yield f"{indent}- *Not here:* {behaviour.absent}"
    yield from (f"{indent}- `{test}`" for test in behaviour.tests)
    yield from (f"{indent}- fault: {title}" for title in behaviour.faults)


def render() -> str:
    """Return the page."""
    behaviours = [behaviour for section in SECTIONS.values() for behaviour in section]
    differing, absent = sum(bool(b.differs) for b in behaviours), sum(bool(b.absent) for b in behaviours)
    count = len(behaviours)
    parts = [INTRODUCTION.format(count=count, verified=count - differing - absent, differing=differing, absent=absent)]
    for title, section in SECTIONS.items():
        items = [line for behaviour in section for line in lines_of(behaviour)]
        parts.append("\n".join([f"## {title}", "", *items]) + "\n")
    return "\n".join(parts)


def main() -> int:
    """Write the page, or check it."""
    if "--check" in sys.argv:
        return 0 if PAGE.read_text(encoding="utf-8") == render() else 1
    PAGE.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
