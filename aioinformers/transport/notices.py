"""What a server says beside its answers: ``Warning: 299`` headers, which tell of deprecated versions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

from aioinformers.words import brief

__all__ = ["MOST_AT_ONCE", "notices_of"]

MOST_AT_ONCE: Final = 16
"""Warnings of one answer that are read."""

LONGEST: Final = 4096
"""Characters of a header that are looked at."""

_WARNING = re.compile(r'299\s+\S+\s+"((?:[^"\\]|\\.)*)"')  # RFC 7234, 5.5; others tell of caches
_ESCAPED = re.compile(r"\\(.)")


def notices_of(headers: Iterable[str]) -> list[str]:
    """Return the texts of the ``Warning`` headers that a Kubernetes API server writes, printable and not too long."""
    short = (header[:LONGEST] for header in islice(headers, MOST_AT_ONCE))
    texts = (_ESCAPED.sub(r"\1", text) for header in short for text in _WARNING.findall(header))
    return [brief(text, 300) for text in islice(filter(str.strip, texts), MOST_AT_ONCE)]
