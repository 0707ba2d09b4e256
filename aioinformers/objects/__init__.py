"""The cargo: what one object is, from its JSON bytes to what a user sees. Pure: no loop, no socket, no client.

``layout`` makes entries out of bytes, ``deltas`` are what decoders hand on, ``object_types`` say what users see;
``models``, ``lazy``, ``structs`` and ``metadata`` decode it, ``paths`` and ``labels`` read parts of it, ``transforms``
and ``compact`` change how it is kept, ``selectors`` judge it.
"""

from __future__ import annotations

__all__: list[str] = []
