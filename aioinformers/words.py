"""Words of servers and objects, made safe to log and to print. Pure.

Whoever may write to a cluster chooses names, labels and messages: a terminal must not obey them, a log must not get
lines that nobody logged, and no error may be as long as a server likes.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

__all__ = ["LONGEST", "address_of", "brief", "printable"]

LONGEST: Final = 1024
"""Characters of a server's message that are kept."""


def printable(text: str) -> str:
    r"""Return a text in one line that a terminal shows as it is.

    Line breaks and odd blanks become blanks. Control characters, those that turn the direction of writing around, those
    that cannot be seen and lone surrogates become their escapes, such as ``\x1b``.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _shown(each) for each in text)


def _shown(character: str) -> str:
    return " " if character.isspace() else character.encode("unicode_escape").decode("ascii")


def brief(text: str, longest: int = LONGEST) -> str:
    """Return a text as :func:`printable` does, cut to a number of characters."""
    shown = printable(text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def address_of(url: object) -> str:
    """Return host and port of a URL, such as ``10.0.0.1:6443``, without the user and password that may stand there.

    Args:
        url: The URL; anything else is allowed and has no address.

    Returns:
        The address; empty if there is none.
    """
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:  # brackets without an IPv6 address, a port that is no number
        return ""
    # An @ behind the address: what looks like the host may be the beginning of a password with a # or / in it.
    if not parts.hostname or port is None or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return brief(f"{host}:{port}", 300)
