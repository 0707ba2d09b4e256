"""Where a redirected request goes, and what of it: never the credentials to somebody else. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

from aioinformers.errors import ResponseError
from aioinformers.transport.adapter import Prepared
from aioinformers.words import address_of, brief

__all__ = ["MOST_REDIRECTS", "REDIRECTS", "redirected"]

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS: Final = 5
"""Redirects that one request may follow."""

_ANYBODYS: Final = frozenset({"accept", "accept-encoding", "user-agent"})
_PORTS: Final = {"http": 80, "https": 443}


def redirected(request: Prepared, location: str | None) -> Prepared:
    """Return the request that follows a redirect.

    To another origin (scheme, host or port) it goes without credentials: of its headers only those are left that tell
    nothing of anybody, RFC 9110 section 15.4.

    Args:
        request: What was redirected.
        location: The ``Location`` header of the answer.

    Raises:
        ResponseError: If that is no address, or leads from https to http.
    """
    here = address_of(request.url)
    try:
        url = urljoin(request.url, location or "")
        before, after = _origin(request.url), _origin(url)
    except ValueError:
        url, before, after = "", ("", "", None), ("", "", None)
    there = _address(after) if location else ""
    if not there or after[0] not in _PORTS:
        raise ResponseError(f"{here} redirects the request, and does not say where to")
    if url == request.url:
        raise ResponseError(f"{here} redirects the request to itself")
    if (before[0], after[0]) == ("https", "http"):
        raise ResponseError(f"{here} redirects the request to {there} without TLS: it is not followed")
    if before == after:
        return request._replace(url=url, redirected_to=there)
    headers = {name: value for name, value in request.headers.items() if name.lower() in _ANYBODYS}
    return request._replace(url=url, headers=headers, redirected_to=there, is_elsewhere=True)


def _address(origin: tuple[str, str, int | None]) -> str:
    """Return host and port of an origin; empty if it has none."""
    _, host, port = origin
    return "" if not host or port is None else brief(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", 300)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
