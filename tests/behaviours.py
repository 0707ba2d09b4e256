"""The behaviours that are asked of an informer, and what verifies each of them: ``behaviours.toml``, read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["COUNT", "SECTIONS", "Behaviour"]

COUNT = 119
"""How many there are; they are numbered from 1."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One behaviour.

    Attributes:
        number: What it is referred to by.
        says: The behaviour.
        tests: What verifies it, or shows what is done instead: pytest node ids without parameters.
        faults: Titles of cases of ``tests/faults/`` that verify it.
        differs: What is done otherwise, and why.
        absent: Why there is nothing like it here.
    """

    number: int
    says: str
    tests: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    differs: str = ""
    absent: str = ""


def _read(document: dict[str, Any]) -> dict[str, list[Behaviour]]:
    titles: dict[str, str] = document.pop("titles")
    assert titles.keys() == document.keys(), "each section has a title"
    return {
        title: [
            msgspec.convert({"number": int(number), **fields}, Behaviour)
            for number, fields in document[section].items()
        ]
        for section, title in titles.items()
    }


SECTIONS: dict[str, list[Behaviour]] = _read(
    tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
)
"""The behaviours by the title of their section, in the order of the page."""
