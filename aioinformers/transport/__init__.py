"""The door: requests to the API server, and what comes back. Nothing else knows the Kubernetes client or aiohttp.

``source`` makes requests with the user's client; ``tap`` and ``chunks`` take a watch's lines off the connection;
``status`` says what a failure is.
"""

from __future__ import annotations

__all__: list[str] = []
