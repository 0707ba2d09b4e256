"""HTML out of templates: whatever is put into one is escaped, unless it is HTML already. Pure.

What is on the page hundreds of times is made so; htpy, which makes the rest, takes ten times as long. No step of the
event loop may be that long (G12).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from markupsafe import Markup, escape

__all__ = ["NOTHING_AT_ALL", "fill", "joined"]

NOTHING_AT_ALL = Markup()
"""No HTML."""


def fill(template: LiteralString, *values: object) -> Markup:
    """Return a template with a value in the place of each ``%s``.

    Args:
        template: HTML, written in the code and nowhere else.
        values: Text, which is escaped, or HTML that this module or htpy has made.
    """
    return Markup(template % tuple(map(escape, values)))


def joined(parts: Iterable[Markup], between: LiteralString = "") -> Markup:
    """Return pieces of HTML, one behind the other."""
    return Markup(between.join(parts))
