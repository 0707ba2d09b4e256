"""The embedded API server.

``status``, ``resources``, ``documents``, ``fields``, ``events``, ``table`` and ``storage`` hold objects; ``metadata``,
``options``, ``dependents`` and ``garbage`` are about their life, ``schemas``, ``jsonpatch``, ``strategic``, ``patches``
and ``scaling`` about their changes, ``fieldsets``, ``merging`` and ``ownership`` about who owns what in them.
``selection``, ``shards``, ``refusals``, ``listing``, ``watching``, ``writing``, ``routing``, ``matching`` and
``discovery`` answer requests. None of them uses a loop or a socket: ``exchange``, ``handlers`` and ``server`` serve
them over HTTP.
"""

from __future__ import annotations

__all__: list[str] = []
