"""The only door to the Kubernetes client and to aiohttp: requests, credentials, error translation.

Requests go through the client's own aiohttp session: its connection pool, TLS, proxy, headers and credentials
are used as they are, never loosened (G16). Bodies are handed on as bytes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from aioinformers.errors import ApiStatusError, ConnectionFailedError, ResponseError
from aioinformers.settings import Settings
from aioinformers.transport.status import status_error
from aioinformers.transport.tap import Tap
from aioinformers.version import __version__

if TYPE_CHECKING:
    import aiohttp

    from aioinformers.transport.chunks import Block

__all__ = ["Body", "Source", "load_model", "retry_after"]

logger: logging.Logger = logging.getLogger("aioinformers.source")

READ_BUFFER: Final = 128 * 1024
"""Measured: smaller ones pause the socket too often, larger ones fall out of the processor's cache."""


class Body:
    """An open response, read in chunks of whatever size has arrived."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self) -> bytes:
        """Return what has arrived, waiting for it if needed; ``b""`` at the end of the body.

        Cancellation loses nothing that has not been returned.

        Raises:
            ConnectionFailedError: If the connection broke.
        """
        import aiohttp

        try:
            while not (data := await self._response.content.readany()):
                if self._response.content.at_eof():
                    return b""
        except (aiohttp.ClientError, ConnectionError, ValueError, RuntimeError) as error:  # RuntimeError: it is closed
            raise ConnectionFailedError(f"the connection broke while reading: {_words(error)}") from error
        return data

    async def read_lines(self) -> bytes | list[Block]:
        """Return what has arrived of a watch, as :meth:`read` does: lines, or bytes of which nothing is known.

        Cancellation loses nothing that has not been returned.

        Raises:
            ConnectionFailedError: If the connection broke.
        """
        tap = self._tap
        while tap is not None:
            if (received := tap.take()) is not None:
                return received
            if not tap.is_open:
                break
            await tap.wait()
        return await self.read()

    @cached_property
    def _tap(self) -> Tap | None:
        return Tap.of(self._response)


class Prepared(NamedTuple):
    """A request with the client's headers and credentials."""

    url: str
    headers: dict[str, str]


class ClientAdapter:
    """What differs between the two asyncio clients: kubernetes_asyncio, and ``kubernetes.aio`` from version 37 on.

    Args:
        api_client: An ``ApiClient`` of either; it stays the caller's to close.

    Raises:
        TypeError: If it is neither.
    """

    def __init__(self, api_client: Any) -> None:
        if not (hasattr(api_client, "rest_client") and hasattr(api_client, "update_params_for_auth")):
            raise TypeError(
                f"api_client must be an ApiClient of kubernetes_asyncio or of kubernetes.aio, "
                f"not {type(api_client).__name__}"
            )
        self.api_client = api_client
        self._is_aio = hasattr(api_client, "param_serialize")
        self._user_agent = f"aioinformers/{__version__}"

    @property
    def session(self) -> aiohttp.ClientSession:
        """The client's own session: its connections, TLS and proxies are used as they are."""
        rest = self.api_client.rest_client
        if rest.pool_manager is None:  # kubernetes.aio makes it at the first request
            rest.pool_manager = rest._create_pool_manager()
        return rest.pool_manager  # type: ignore[no-any-return]

    @property
    def options(self) -> dict[str, Any]:
        """What the client gives the session with every request."""
        rest, configuration = self.api_client.rest_client, self.api_client.configuration
        options = {
            "proxy": rest.proxy,
            "proxy_headers": rest.proxy_headers,
            "server_hostname": configuration.tls_server_name,
        }
        return {name: value for name, value in options.items() if value}

    async def prepare(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Prepared:
        """Add the client's headers and credentials to a GET request; refreshes them by the client's own hook.

        Raises:
            ConnectionFailedError: If the hook raises; what it said stays in the log's traceback.
        """
        merged = {**self.api_client.default_headers, **headers}
        if merged.get("User-Agent", "").startswith("OpenAPI-Generator"):  # nobody chose that
            merged["User-Agent"] = self._user_agent
        if self.api_client.cookie:
            merged["Cookie"] = self.api_client.cookie
        pairs = list(query.items())
        request = (path, "GET", None) if self._is_aio else ()
        try:
            await self.api_client.update_params_for_auth(merged, pairs, ["BearerToken"], *request)
        except Exception as error:
            kind = type(error).__name__
            problem = f"the client's credentials could not be refreshed ({kind})"
            raise ConnectionFailedError(problem, is_refused=True) from error
        url = f"{self.api_client.configuration.host}{path}"
        return Prepared(f"{url}?{urlencode(pairs)}" if pairs else url, merged)

    def silence(self, seconds: float) -> ConnectionFailedError:
        """Return the error that says why no answer came in time."""
        connector = self.session.connector
        held = len(getattr(connector, "_acquired", ()))
        if connector is not None and 0 < connector.limit <= held:
            return ConnectionFailedError(
                f"all {connector.limit} connections of the API client are in use and every informer holds one: "
                f"raise configuration.connection_pool_maxsize",
                is_refused=True,
            )
        return ConnectionFailedError(f"no answer within {seconds:g} s")


class Source:
    """Makes GET requests with a user's API client.

    Args:
        api_client: An ``ApiClient`` of kubernetes_asyncio or ``kubernetes.aio``; it stays the caller's to close.
        settings: Deadlines.

    Attributes:
        client: The client.
        lists: Caps the lists that run at once.
        streams_again_at: When the server may be asked to stream initial objects again; shared by all informers.
    """

    def __init__(self, api_client: Any, settings: Settings) -> None:
        self.client: ClientAdapter = ClientAdapter(api_client)
        self.settings = settings
        self.lists: asyncio.Semaphore = asyncio.Semaphore(settings.max_concurrent_lists)
        self.streams_again_at: float = 0.0
        self.random: random.Random = random.Random()

    @property
    def is_closed(self) -> bool:
        """Whether the client has been closed; nothing tells those who read from it."""
        return self.client.session.closed

    @asynccontextmanager
    async def open(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        header_timeout: float,
        compression: bool = False,
        accept: str = "application/json",
    ) -> AsyncIterator[Body]:
        """Open a GET request and give its body; the response is closed on exit, however that happens.

        Args:
            path: The URL path, below the host of the client's configuration.
            query: Query parameters.
            header_timeout: Seconds within which the response's headers must be there.
            compression: Whether the body may come compressed.
            accept: The representations asked for.

        Raises:
            ApiStatusError: If the server answers with a failure; on 401 credentials are refreshed and tried once more.
            ConnectionFailedError: If it cannot be reached or stays silent.
        """
        headers = {"Accept": accept, "Accept-Encoding": "gzip" if compression else "identity"}
        response = await self._request(path, query, headers, header_timeout)
        try:
            if response.status == 401:
                _close(response)
                response = await self._request(path, query, headers, header_timeout)
            if response.status >= 400:
                raise await self._failure(response)
            if response.status != 200:
                raise ResponseError(f"unexpected answer {response.status} to GET {path}")
            _keep_alive(response)
            yield Body(response)
        finally:
            _close(response)

    async def read_json(
        self, path: str, query: Mapping[str, str] | None = None, *, accept: str = "application/json"
    ) -> bytes:
        """Return the whole body of a small GET request.

        Args:
            path: The URL path, below the host of the client's configuration.
            query: Query parameters.
            accept: The representations asked for.

        Raises:
            ApiStatusError: If the server answers with a failure.
            ConnectionFailedError: If it cannot be reached or stays silent.
        """
        timeout = self.settings.header_timeout
        try:
            async with (
                self.open(path, query or {}, header_timeout=timeout, accept=accept) as body,
                asyncio.timeout(timeout),
            ):
                chunks = []
                while chunk := await body.read():
                    chunks.append(chunk)
                return b"".join(chunks)
        except TimeoutError as error:
            raise ConnectionFailedError(f"GET {path} was not answered within {timeout:g} s") from error

    async def _request(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], header_timeout: float
    ) -> aiohttp.ClientResponse:
        import aiohttp

        client = self.client
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.settings.connect_timeout)
        try:
            async with asyncio.timeout(header_timeout):
                prepared = await client.prepare(path, query, headers)
        except TimeoutError as error:
            problem = f"the client's credentials were not refreshed within {header_timeout:g} s"
            raise ConnectionFailedError(problem, is_refused=True) from error
        try:
            async with asyncio.timeout(header_timeout):
                return await client.session.get(
                    prepared.url, headers=prepared.headers, timeout=timeout, read_bufsize=READ_BUFFER,
                    allow_redirects=False, **client.options,
                )  # fmt: skip
        except aiohttp.ClientConnectorError as error:
            raise ConnectionFailedError(f"cannot connect: {_words(error)}", is_refused=True) from error
        except aiohttp.ConnectionTimeoutError as error:
            seconds = f"{self.settings.connect_timeout:g} s"
            raise ConnectionFailedError(f"cannot connect within {seconds}", is_refused=True) from error
        except TimeoutError as error:
            raise client.silence(header_timeout) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ConnectionFailedError(f"the request failed: {_words(error)}") from error
        except RuntimeError as error:
            if not client.session.closed:
                raise
            problem = "the API client has been closed: keep it open while informers run"
            raise ConnectionFailedError(problem, is_refused=True) from error

    @staticmethod
    async def _failure(response: aiohttp.ClientResponse) -> ApiStatusError:
        import aiohttp

        try:
            async with asyncio.timeout(5):
                body = await response.content.read(64 * 1024)
        except (aiohttp.ClientError, OSError, ValueError):  # the status says enough
            body = b""
        return status_error(body, response.status, retry_after(response.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks to wait, given as such or as a date (RFC 9110); None if unsaid.

    A date is compared with the server's own clock, its ``Date`` header: that of this machine may be wrong, and is read
    only where there is none. No clock of the loop has a part in it.
    """
    said = headers.get("Retry-After", "")
    if said.isdecimal():
        return float(said)
    then = _date(said)
    if then is None:
        return None
    return max(0.0, (then - (_date(headers.get("Date", "")) or datetime.now(UTC))).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _close(response: aiohttp.ClientResponse) -> None:
    """Close a response; a connection whose body has been read to its end is back in the client's pool already.

    Any other one is aborted: the orderly end of TLS would need more turns of a loop that may end first (G10).
    """
    transport = response.connection.transport if response.connection else None
    response.close()
    if transport is not None:
        transport.abort()


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """Let the kernel probe an idle connection: nothing in HTTP/1.1 would find a dead peer."""
    transport = response.connection.transport if response.connection else None
    raw = transport.get_extra_info("socket") if transport else None
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # Linux; others have their own names and defaults
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def load_model(name: str) -> type[Any]:
    """Return a model class of kubernetes_asyncio by its name; the client is imported at the first call, not before."""
    from kubernetes_asyncio.client import models

    return getattr(models, name)  # type: ignore[no-any-return]
