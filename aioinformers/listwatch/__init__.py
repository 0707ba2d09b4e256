"""Lists, watches, relists: from bytes to batches of deltas, one reflector per scope.

``wire`` and ``listing`` decode, ``reflector`` carries out what ``recovery``, a pure function, decides; ``liveness``
notices silence.
"""

from __future__ import annotations

__all__: list[str] = []
