"""The copy of the cluster: applied by ``dispatcher`` alone, kept by ``indexer``, read through ``lister``.

``staging`` holds a list on its way in, ``packing`` what a compact informer has yet to pack, ``waits`` who waits.
"""

from __future__ import annotations

__all__: list[str] = []
