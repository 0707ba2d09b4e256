"""The embedded API server.

``status``, ``resources``, ``documents``, ``table``, ``storage``, ``selection``, ``listing``, ``watching``, ``routing``
and ``discovery`` are pure; ``exchange``, ``handlers`` and ``server``, its face, put them on a socket.
"""

from __future__ import annotations

__all__: list[str] = []
