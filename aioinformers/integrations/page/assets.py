"""The files of the status page: they never change while a program runs, and have their content in their names."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

__all__ = ["PLACE", "Asset", "asset_at", "asset_path"]

PLACE: Final = "static"
"""Where they are, below the page and in the package."""

_TYPES: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "idiomorph.min.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page.

    Attributes:
        path: Its path below the page; another one whenever its content is.
        body: Its content.
        content_type: What it is.
    """

    path: str
    body: bytes
    content_type: str


@functools.cache
def _assets() -> dict[str, Asset]:
    """Read all of them, once, when the page is first asked for."""
    folder, found = files(__package__).joinpath(PLACE), {}
    for name, content_type in _TYPES.items():
        body = folder.joinpath(name).read_bytes()
        stem, _, suffix = name.rpartition(".")
        digest = hashlib.blake2s(body, digest_size=6).hexdigest()
        found[name] = Asset(f"{PLACE}/{stem}.{digest}.{suffix}", body, content_type)
    return found


def asset_path(name: str) -> str:
    """Return the path of a file below the page, by its name in the package."""
    return _assets()[name].path


def asset_at(path: str) -> Asset | None:
    """Return the file at a path below the page; None if there is none."""
    return next((asset for asset in _assets().values() if asset.path == path), None)
