"""Requests to the API server and its answers: the only door to the Kubernetes client and to aiohttp.

``source`` makes requests with the user's client, reads and changes; ``tap`` and ``chunks`` read the lines of a watch
from the connection; ``status`` translates failures into exceptions. ``apart`` is the same client over connections that
no watch of an informer takes.

``connecting`` gives such a client: ``kubeconfig`` finds the cluster, ``credentials`` keeps tokens and certificates good
(``plugins`` runs exec plug-ins, ``renewal`` says when), ``client`` puts them into every request and connection.
"""

from __future__ import annotations

__all__: list[str] = []
