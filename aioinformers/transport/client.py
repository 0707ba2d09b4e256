"""An API client whose credentials and certificates renew themselves, for informers and for calls of one's own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

from kubernetes_asyncio import client
from kubernetes_asyncio.client import rest

from aioinformers.errors import ConfigurationError
from aioinformers.transport.credentials import Credentials
from aioinformers.transport.kubeconfig import FoundCluster, User

__all__ = ["RenewingClient", "open_client"]

logger: logging.Logger = logging.getLogger("aioinformers.source")

IDLE: Final = 60.0
"""Seconds for which connections with old certificates are kept at least: requests may be on their way to them."""


class RenewingClient(client.ApiClient):
    """An ``ApiClient`` that asks for credentials before each request, and once more after a 401.

    Where certificates have changed, new connections are made with the new ones. Open ones keep the old ones until
    their responses end.

    Args:
        configuration: Of the cluster.
        credentials: Of the user.

    Raises:
        OSError: If the certificates cannot be used; an ``ssl.SSLError`` is one.
    """

    def __init__(self, configuration: client.Configuration, credentials: Credentials) -> None:
        super().__init__(configuration)
        self._credentials = credentials
        self._tls_generation = credentials.tls_generation
        self._replaced: list[tuple[float, rest.RESTClientObject]] = []
        self._problem = ""

    async def update_params_for_auth(
        self, headers: dict[str, Any], queries: list[tuple[str, str]], auth_settings: Any, request_auth: Any = None
    ) -> None:
        """Add credentials to a request; connections are renewed if certificates have changed.

        Cancellation ends the wait for credentials.

        Raises:
            CredentialsError: If there are none.
        """
        await self._close_replaced()
        if not request_auth:
            await self._credentials(self.configuration)  # the client itself asks its hook only where there is a token
        await super().update_params_for_auth(headers, queries, auth_settings, request_auth)
        self._renew_connections()  # at last, so that the request is sent over what fits its credentials

    async def request(
        self,
        method: str,
        url: str,
        query_params: Any = None,
        headers: dict[str, Any] | None = None,
        post_params: Any = None,
        body: Any = None,
        _preload_content: bool = True,
        _request_timeout: Any = None,
    ) -> Any:
        """Make a request; after a 401 once more, if there are other credentials by then.

        That holds for requests with the client's own credentials, not for those that bring some of their own.
        Cancellation closes the connection.

        Raises:
            ApiException: If the server answers with a failure.
            CredentialsError: If it answers with 401, and an exec plug-in gives no other credentials.
        """
        options = (post_params, body, _preload_content, _request_timeout)
        credentials, sent_with = self._credentials, self._credentials.generation
        is_ours = (headers or {}).get("authorization", "") == credentials.authorization
        renewed = dict(headers or {})  # the client changes what it is given
        response, refusal = None, None
        try:
            response = await super().request(method, url, query_params, headers, *options)
            if response.status != 401 or not is_ours:  # without _preload_content it is no exception
                return response
        except client.ApiException as error:
            if error.status != 401 or not is_ours:
                raise
            refusal = error
        credentials.invalidate(sent_with)
        await self.update_params_for_auth(renewed, [], ["BearerToken"])
        if credentials.generation == sent_with:
            if refusal is not None:
                raise refusal
            return response
        if response is not None:
            response.close()
        return await super().request(method, url, query_params, renewed, *options)

    async def close(self) -> None:
        """Close all connections. Cancellation may leave some of them open."""
        await super().close()
        for _, replaced in self._replaced:
            await replaced.close()

    async def _close_replaced(self) -> None:
        """Close connections with old certificates once no response is open there."""
        if not self._replaced:
            return
        before = asyncio.get_running_loop().time() - IDLE
        for entry in [each for each in self._replaced if each[0] < before and not _is_used(each[1])]:
            self._replaced.remove(entry)
            await entry[1].close()

    def _renew_connections(self) -> None:
        """Have the next connections made with other certificates if they have changed."""
        if self._tls_generation == self._credentials.tls_generation or self.rest_client.pool_manager.closed:
            return
        try:
            self._credentials.configure(self.configuration)
            renewed = rest.RESTClientObject(self.configuration)
        except (OSError, ValueError) as error:  # they may be about to be written; ssl.SSLError is an OSError
            if str(error) != self._problem:
                self._problem = str(error)
                logger.warning("changed certificates cannot be used, the old ones are: %s", error)
            return
        self._problem = ""
        self._tls_generation = self._credentials.tls_generation
        self._replaced.append((asyncio.get_running_loop().time(), self.rest_client))
        self.rest_client = renewed


def _is_used(connections: rest.RESTClientObject) -> bool:
    """Tell whether a response is open, or a connection for one is being made."""
    return bool(getattr(connections.pool_manager.connector, "_acquired", ()))


@contextlib.asynccontextmanager
async def open_client(found: FoundCluster) -> AsyncIterator[RenewingClient]:
    """Give a client for a cluster, and close it at the end; no request is made, but an exec plug-in is run.

    Cancellation ends the plug-in.

    Args:
        found: The cluster.

    Raises:
        ConfigurationError: If its files cannot be used.
        CredentialsError: If an exec plug-in gives no credentials.
    """
    credentials = Credentials(found)
    try:
        await credentials.load()
        configuration = client.Configuration()
        configuration.refresh_api_key_hook = credentials
        configuration.connection_pool_maxsize = 0  # each informer holds a connection: a limit would starve the last
        try:
            credentials.configure(configuration)
            await credentials(configuration)
            api_client = RenewingClient(configuration, credentials)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigurationError(f"{found.origin} cannot be used: its certificates: {error}") from error
        for name, value in _impersonation(found.user):
            api_client.set_default_header(name, value)
        async with api_client:
            yield api_client
    finally:
        await credentials.aclose()


def _impersonation(user: User) -> list[tuple[str, str]]:
    """Return the headers with which a user acts as somebody else, as the kubeconfig says."""
    headers = [("Impersonate-User", user.impersonated_user), ("Impersonate-Uid", user.impersonated_uid)]
    headers += [("Impersonate-Group", group) for group in user.impersonated_groups or ()]
    for key, values in (user.impersonated_extra or {}).items():
        headers += [(f"Impersonate-Extra-{quote(key, safe='')}", value) for value in values]
    return [(name, value) for name, value in headers if value]
