"""The table of faults."""

from __future__ import annotations

from tests.faults import answers

__all__ = ["CASES", "SECTIONS"]

SECTIONS = {"Answers": answers.CASES}

CASES = [case for cases in SECTIONS.values() for case in cases]
