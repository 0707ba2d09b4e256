"""What an earlier process has left of its caches, and what is left for the next one: warm starts (G24).

A file per followed scope: it is appended to while the cache changes, and read when an informer starts. ``frames`` is
the file, ``directory`` where the files are, ``cache`` what users say of it; ``journal`` writes; ``start`` reads, and
asks the server; ``warming`` is both, for one informer.
"""

from __future__ import annotations

__all__: list[str] = []
