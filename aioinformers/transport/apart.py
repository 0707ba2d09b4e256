"""A user's client over connections of its own, so that a pool full of watches holds up none of its requests.

Leases are renewed over it. Who talks to whom, and with which credentials, stays the user's: configuration, TLS, proxy,
headers and hooks are the client's.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from aioinformers.transport.adapter import ClientAdapter, Prepared

if TYPE_CHECKING:
    import aiohttp

__all__ = ["ApartClient"]

logger: logging.Logger = logging.getLogger("aioinformers.source")


class ApartClient(ClientAdapter):
    """An API client's requests over other connections than its own.

    They are made with the first request, like the client's own: with the very same TLS settings, headers and tracing.
    They are made anew when the client has made its own anew, as one does whose certificates have changed. A client that
    connects in a way of its user's (a Unix socket) shares its own connections, which is said once.

    Args:
        api_client: An ``ApiClient`` of either kind; the caller closes it, at last.
        connections: How many there may be at a time.

    Raises:
        TypeError: If it is another object.
    """

    def __init__(self, api_client: Any, connections: int = 1) -> None:
        super().__init__(api_client)
        self._connections = connections
        self._made_like: aiohttp.ClientSession | None = None
        self._own: aiohttp.ClientSession | None = None
        self._replaced: list[aiohttp.ClientSession] = []

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session apart; the client's own where there can be none."""
        if self.is_closed:
            raise RuntimeError("the client is closed")  # whoever asks says it in other words
        current = super().session
        if current is not self._made_like:
            self._made_like = current
            self._replaced += filter(None, (self._own,))
            self._own = self._make(current)
        return self._own or current

    async def aclose(self) -> None:
        """Close the connections apart. Cancellation may leave some of them open."""
        closing, self._own = [*self._replaced, *filter(None, (self._own,))], None
        self._replaced.clear()
        for session in closing:
            with contextlib.suppress(Exception):
                await session.close()

    async def get(self, request: Prepared, connect_timeout: float) -> aiohttp.ClientResponse:
        """Make a request and return its response, which the caller closes; raises whatever aiohttp raises.

        Args:
            request: The request.
            connect_timeout: Seconds that a connection may take.
        """
        await self._close_replaced()
        return await super().get(request, connect_timeout)

    async def send(
        self, method: str, request: Prepared, body: bytes | None, connect_timeout: float
    ) -> aiohttp.ClientResponse:
        """Make a request that may change something, once; otherwise as :meth:`get`.

        Args:
            method: What it does, such as ``PUT``.
            request: The request.
            body: Its body; None for none.
            connect_timeout: Seconds that a connection may take.
        """
        await self._close_replaced()
        return await super().send(method, request, body, connect_timeout)

    async def _close_replaced(self) -> None:
        """Close the connections that others have replaced, as those with old certificates; what is open there ends."""
        while self._replaced:
            with contextlib.suppress(Exception):
                await self._replaced.pop().close()

    def _make(self, current: aiohttp.ClientSession) -> aiohttp.ClientSession | None:
        """Return a session like another one, with connections of its own; None if that cannot be."""
        import aiohttp

        connector = current.connector
        if type(connector) is not aiohttp.TCPConnector:
            logger.warning(
                "the API client connects by a %s: requests for Leases share its connections, as none can be made apart",
                type(connector).__name__,
            )
            return None
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=connector._ssl),
            headers=current.headers,
            cookie_jar=current.cookie_jar,
            trust_env=current.trust_env,
            trace_configs=current.trace_configs,
            middlewares=getattr(current, "_middlewares", ()),
        )
