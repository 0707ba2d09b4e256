"""The embedded API server.

``status``, ``resources``, ``documents``, ``fields``, ``table``, ``storage``, ``selection``, ``refusals``, ``listing``,
``watching``, ``routing``, ``matching`` and ``discovery`` use neither a loop nor a socket; ``exchange``, ``handlers``
and ``server`` serve them over HTTP.
"""

from __future__ import annotations

__all__: list[str] = []
