"""``aioinformers.connect``: a client for the cluster that kubectl talks to, whose credentials renew themselves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernetes_asyncio import client

__all__ = ["connect"]


@asynccontextmanager
async def connect(
    kubeconfig: str | os.PathLike[str] | None = None, context: str | None = None
) -> AsyncIterator[client.ApiClient]:
    """Give a client of kubernetes_asyncio for the cluster that kubectl talks to; it is closed at the end.

    ::

        async with aioinformers.connect() as api, SharedInformerFactory(api) as factory:
            ...

    The cluster is that of ``kubeconfig``; else of the files in the environment variable ``KUBECONFIG``; else of
    ``~/.kube/config``; else the one whose Pod this is. No request is made to it yet; an exec plug-in is run.

    Credentials renew themselves for as long as the block lasts. Exec plug-ins are run again before their token or
    certificate expires, and once after a 401, whose request is then tried again at once. Files (tokens, certificates,
    the kubeconfig itself) are read anew when they change: new connections use the new certificates, open ones go on.

    The client may be used for calls of one's own, too. It has no limit of connections.

    Cancellation closes the client, and ends a plug-in that is running.

    Args:
        kubeconfig: Path of a kubeconfig.
        context: Name of a context in it; the current one by default.

    Raises:
        ConfigurationError: If no cluster is found, or its configuration cannot be used; the text says where was looked.
        CredentialsError: If an exec plug-in gives no credentials.
    """
    from aioinformers.transport.kubeconfig import find_cluster

    found = await asyncio.to_thread(find_cluster, kubeconfig, context)

    from aioinformers.transport.client import open_client

    async with open_client(found) as api_client:
        yield api_client
