"""A server's clients of either kind."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from kubernetes.aio import client as aio

from tests.kit.fixtures import APIServer

__all__ = ["CLIENTS", "client_of"]

CLIENTS: Final = ("kubernetes_asyncio", "kubernetes.aio")


def client_of(server: APIServer, which: str) -> AbstractAsyncContextManager[Any]:
    """Return a new client of a kind, one of :data:`CLIENTS`, with the settings of the server's own."""
    if which == "kubernetes_asyncio":
        return server.api_client()
    known = server.configuration()
    configuration = aio.Configuration(host=known.host)
    configuration.ssl_ca_cert = known.ssl_ca_cert
    configuration.api_key = dict(known.api_key)
    configuration.api_key_prefix = dict(known.api_key_prefix)
    return aio.ApiClient(configuration)
