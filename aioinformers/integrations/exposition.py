"""Metrics as text, in the format that Prometheus scrapes (0.0.4). Pure.

prometheus_client renders the same; it takes five times as long, for which the loop of the program would have to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from aioinformers.integrations.families import Family
from aioinformers.statistics import Durations

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(made: Iterable[Family]) -> bytes:
    """Return metrics as Prometheus reads them."""
    lines: list[str] = []
    add = lines.append
    rendered: dict[tuple[str, ...], dict[tuple[str, ...], str]] = {}  # what one informer is called by comes in many
    for family in made:
        name = family.name
        add(f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n")
        known = rendered.setdefault(family.labels, {})
        for values, value in family.samples.items():
            if (labels := known.get(values)) is None:
                labels = known[values] = _labels(family.labels, values)
            if isinstance(value, Durations):
                _add_histogram(add, name, labels, value)
            else:
                add(f"{name}{{{labels}}} {value + 0!r}\n")  # True is 1
    return "".join(lines).encode(errors="backslashreplace")


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Return labels as they are written."""
    return ",".join([f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)])


def _escaped(value: str) -> str:
    """Return a label's value as it is written, which is nearly always as it is."""
    return value if '"' not in value and "\\" not in value and "\n" not in value else value.translate(_ESCAPES)


def _add_histogram(add: Callable[[str], None], name: str, labels: str, value: Durations) -> None:
    count = 0
    for bound, more in zip((*value.bounds, "+Inf"), value.counts, strict=True):
        count += more
        add(f'{name}_bucket{{{labels},le="{bound}"}} {count}\n')
    add(f"{name}_sum{{{labels}}} {value.total!r}\n{name}_count{{{labels}}} {count}\n")
