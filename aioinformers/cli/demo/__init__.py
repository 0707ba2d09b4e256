"""The command ``demo``: a small busy cluster in this process, and informers that follow it."""

from __future__ import annotations

__all__: list[str] = []
