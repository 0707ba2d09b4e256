"""The small pictures and words of the status page. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import htpy as h
from markupsafe import Markup

from aioinformers.integrations.page.markup import fill
from aioinformers.integrations.snapshot import Strain, Verdict

__all__ = ["TONES", "badge", "bar", "identifier", "label", "number", "rate_text", "sparkline", "tag", "tone_of"]

TONES: Final[dict[Verdict, str]] = {
    Verdict.LIVE: "good",
    Verdict.SYNCING: "busy",
    Verdict.STALE: "odd",
    Verdict.DEGRADED: "bad",
    Verdict.FAILED: "bad",
    Verdict.NOT_STARTED: "idle",
    Verdict.STOPPING: "idle",
}
"""How each verdict is coloured."""

_STRAINS: Final[dict[Strain, str]] = {
    Strain.NONE: "good", Strain.SLOW: "odd", Strain.BEHIND: "odd", Strain.STUCK: "bad", Strain.FULL: "bad",
}  # fmt: skip

_WIDTH: Final = 240
_HEIGHT: Final = 36


def tone_of(strain: Strain) -> str:
    """Return how a strain is coloured."""
    return _STRAINS[strain]


def identifier(*names: str) -> str:
    """Return an id of an element that names stand for: they may hold anything."""
    return "x" + hashlib.blake2s("\0".join(names).encode(errors="backslashreplace"), digest_size=6).hexdigest()


def badge(verdict: Verdict, remark: str = "", *, is_calm: bool = True) -> Markup:
    """Return a verdict as a coloured word; red if nothing is to look calm that is not."""
    return label(TONES[verdict] if is_calm else "bad", f"{verdict.value} {remark}".strip())


def label(tone: str, word: str) -> Markup:
    """Return a word in a colour."""
    return fill('<span class="badge %s">%s</span>', tone, word)


def tag(words: str, tone: str = "plain") -> Markup:
    """Return a remark beside a name."""
    return fill('<span class="tag %s">%s</span>', tone, words)


def number(count: int) -> str:
    """Return a count with its thousands apart."""
    return f"{count:,}"


def rate_text(rate: float | None) -> str:
    """Return how many a second: ``0``, ``0.4``, ``12``, ``1,200``; a dash if nobody knows."""
    if rate is None:
        return "–"
    return "0" if rate == 0 else f"{rate:.1f}" if rate < 10 else f"{rate:,.0f}"


def bar(share: float, tone: str) -> Markup:
    """Return how full something is, as a bar; the figures beside it say the same in words.

    Args:
        share: From 0 to 1; what is more is shown as 1.
        tone: How it is coloured.
    """
    width = round(100 * min(max(share, 0.0), 1.0), 1)
    return fill(
        '<svg class="bar %s" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rail" width="100" height="6"></rect><rect class="fill" width="%s" height="6"></rect></svg>',
        tone, f"{width:g}",
    )  # fmt: skip


def sparkline(values: Sequence[float], length: int) -> h.Element:
    """Return a curve of what came second by second; the figure beside it says the last of it.

    Args:
        values: The values, the latest last.
        length: How many values the whole width has room for: a short curve grows from the right.
    """
    most = 1.25 * max([*values, 0.8])
    step = _WIDTH / (length - 1)
    first = _WIDTH - step * (len(values) - 1)
    points = [(first + step * place, _HEIGHT - 2 - (_HEIGHT - 4) * value / most) for place, value in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    area = f"{points[0][0]:.1f},{_HEIGHT} {line} {_WIDTH},{_HEIGHT}" if points else ""
    return h.svg(".spark", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", preserveAspectRatio="none", aria_hidden="true")[
        [h.polygon(points=area), h.polyline(points=line)] if points else None
    ]
