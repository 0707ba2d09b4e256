"""Requests to the API server and its answers: the only door to the Kubernetes client and to aiohttp.

``source`` makes requests with the user's client; ``tap`` and ``chunks`` read the lines of a watch from the connection;
``status`` translates failures into exceptions.
"""

from __future__ import annotations

__all__: list[str] = []
