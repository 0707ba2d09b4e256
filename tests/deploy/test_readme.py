"""What stands in ``deploy/`` is listed, in its own page and in that of the documentation."""

from __future__ import annotations

import re

from tests.deploy.manifests import ROOT

FOLDER = ROOT / "deploy"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_links_lead_somewhere_and_leave_nothing_out() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert all((FOLDER / target).is_file() for target in targets)
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert files - set(targets) == {"README.md", "Dockerfile.dockerignore"}


def test_the_page_lists_the_same() -> None:
    page = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    assert listed == set(re.findall(r"\]\(([^).][^)]*)\)", README))
