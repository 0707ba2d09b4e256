"""Connects to the user's cluster, and tells in one line why that cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aioinformers.cli.problems import explained, usage_error
from aioinformers.errors import ConfigurationError
from aioinformers.transport.kubeconfig import find_cluster

if TYPE_CHECKING:
    from kubernetes_asyncio import client

__all__ = ["Cluster", "connect"]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster with a client for it.

    Attributes:
        api_client: The client, open within :func:`connect`.
        server: The server's URL.
        namespace: The default namespace of the context or Pod.
    """

    api_client: client.ApiClient
    server: str
    namespace: str


@asynccontextmanager
async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
    """Give a client for the user's cluster, as ``aioinformers.connect`` does, and close the client at the end.

    No request is made; an exec plug-in is run. Cancellation ends the plug-in.

    Args:
        kubeconfig: Path of the configuration file, or None.
        context: Name of a context in it; None for the current context.

    Raises:
        CommandError: If there is no valid configuration, or an exec plug-in gives no credentials.
    """
    try:
        found = await asyncio.to_thread(find_cluster, kubeconfig, context)
    except ConfigurationError as error:
        how = " with --kubeconfig or in KUBECONFIG" if str(error).endswith(": name a kubeconfig") else ""
        raise usage_error(f"{error}{how}") from error
    from aioinformers.transport.client import open_client

    with explained(found.cluster.server):
        async with open_client(found) as api_client:
            yield Cluster(api_client, found.cluster.server, found.namespace)
