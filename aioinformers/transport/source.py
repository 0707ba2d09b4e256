"""The only door to the Kubernetes client and to aiohttp: requests, credentials, error translation.

Requests go through the client's own aiohttp session and use its connection pool, TLS, proxy, headers and credentials
unchanged; nothing loosens its security settings (G16). Bodies are returned as bytes.
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
"""Bytes that aiohttp buffers; a smaller buffer pauses the socket too often, a larger one exceeds the CPU cache."""


class Body:
    """The body of an open response, read as it arrives.

    Args:
        response: The open response; whoever opened it closes it.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self) -> bytes:
        """Return the bytes that have arrived, or wait for some; ``b""`` at the end of the body.

        Cancellation loses no data: the next call returns it.

        Raises:
            ConnectionFailedError: If the connection broke.
        """
        import aiohttp

        try:
            while not (data := await self._response.content.readany()):
                if self._response.content.at_eof():
                    return b""
        except (aiohttp.ClientError, ConnectionError, ValueError, RuntimeError) as error:  # RuntimeError: it is closed
            raise ConnectionFailedError(f"the connection broke while reading: {_described(error)}") from error
        return data

    async def read_lines(self) -> bytes | list[Block]:
        """Return what has arrived of a watch as whole lines where they can be cut cheaply, otherwise as :meth:`read`.

        Cancellation loses no data: the next call returns it.

        Returns:
            Blocks of whole lines, or bytes that may begin and end within a line; ``b""`` at the end of the body.

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
    """A request with the client's headers and credentials.

    Attributes:
        url: Complete URL with the query.
        headers: All headers; they may contain credentials.
    """

    url: str
    headers: dict[str, str]


class ClientAdapter:
    """Hides the differences between the asyncio clients kubernetes_asyncio and ``kubernetes.aio`` (37 or newer).

    Args:
        api_client: An ``ApiClient`` of either; the caller closes it.

    Raises:
        TypeError: If it is another object.
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
        """The client's own session, with its connections, TLS and proxies."""
        rest = self.api_client.rest_client
        if rest.pool_manager is None:  # kubernetes.aio creates it for the first request
            rest.pool_manager = rest._create_pool_manager()
        return rest.pool_manager  # type: ignore[no-any-return]

    @property
    def request_options(self) -> dict[str, Any]:
        """The keyword arguments that the client passes to the session with every request."""
        rest, configuration = self.api_client.rest_client, self.api_client.configuration
        options = {
            "proxy": rest.proxy,
            "proxy_headers": rest.proxy_headers,
            "server_hostname": configuration.tls_server_name,
        }
        return {name: value for name, value in options.items() if value}

    async def prepare(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Prepared:
        """Add the client's headers and credentials to a GET request; the client's hook refreshes the credentials.

        Args:
            path: The URL path below the host of the client's configuration.
            query: Query parameters.
            headers: Headers that override the client's defaults.

        Raises:
            ConnectionFailedError: If the hook raises. The message omits the hook's text, which may contain secrets;
                the hook's exception is chained.
        """
        merged = {**self.api_client.default_headers, **headers}
        if merged.get("User-Agent", "").startswith("OpenAPI-Generator"):  # the generator's default, not a choice
            merged["User-Agent"] = self._user_agent
        if self.api_client.cookie:
            merged["Cookie"] = self.api_client.cookie
        pairs = list(query.items())
        request = (path, "GET", None) if self._is_aio else ()
        try:
            await self.api_client.update_params_for_auth(merged, pairs, ["BearerToken"], *request)
        except Exception as error:
            problem = f"the client's credentials could not be refreshed ({type(error).__name__})"
            raise ConnectionFailedError(problem, is_refused=True) from error
        url = f"{self.api_client.configuration.host}{path}"
        return Prepared(f"{url}?{urlencode(pairs)}" if pairs else url, merged)

    def timeout_error(self, seconds: float) -> ConnectionFailedError:
        """Return the error for a request without an answer: an exhausted connection pool, or a silent server.

        Args:
            seconds: How long the request has waited.
        """
        connector = self.session.connector
        in_use = len(getattr(connector, "_acquired", ()))
        if connector is not None and 0 < connector.limit <= in_use:
            return ConnectionFailedError(
                f"all {connector.limit} connections of the API client are in use and every informer holds one: "
                f"raise configuration.connection_pool_maxsize",
                is_refused=True,
            )
        return ConnectionFailedError(f"no answer within {seconds:g} s")


class Source:
    """Makes GET requests with a user's API client.

    Args:
        api_client: An ``ApiClient`` of kubernetes_asyncio or ``kubernetes.aio``; the caller closes it.
        settings: Timeouts, and the limit of concurrent lists.

    Attributes:
        client: The adapted client.
        settings: The settings given.
        lists: Limits the lists that run at the same time.
        streams_again_at: Loop time from which the server may be asked to stream initial objects again; shared by all
            informers.
        random: Source of jitter, shared by all informers.

    Raises:
        TypeError: If the client is not one of the two.
    """

    def __init__(self, api_client: Any, settings: Settings) -> None:
        self.client: ClientAdapter = ClientAdapter(api_client)
        self.settings = settings
        self.lists: asyncio.Semaphore = asyncio.Semaphore(settings.max_concurrent_lists)
        self.streams_again_at: float = 0.0
        self.random: random.Random = random.Random()

    @property
    def is_closed(self) -> bool:
        """Whether the client has been closed; reads that are under way get no notice of that."""
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
        """Open a GET request and yield its body; every exit closes the response, cancellation included.

        Args:
            path: The URL path below the host of the client's configuration.
            query: Query parameters.
            header_timeout: Seconds to wait for the response's headers.
            compression: Whether the server may compress the body with gzip.
            accept: Value of the ``Accept`` header.

        Raises:
            ApiStatusError: If the server answers with a failure; a 401 is tried again once, with fresh credentials.
            ConnectionFailedError: If the server cannot be reached or does not answer in time.
            ResponseError: If the status is neither 200 nor a failure.
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
        """Return the whole body of a small GET request; cancellation closes the response.

        Args:
            path: The URL path below the host of the client's configuration.
            query: Query parameters.
            accept: Value of the ``Accept`` header.

        Raises:
            ApiStatusError: If the server answers with a failure.
            ConnectionFailedError: If the server cannot be reached, or the body is not complete within
                ``Settings.header_timeout``.
            ResponseError: If the status is neither 200 nor a failure.
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
                    allow_redirects=False, **client.request_options,
                )  # fmt: skip
        except aiohttp.ClientConnectorError as error:
            raise ConnectionFailedError(f"cannot connect: {_described(error)}", is_refused=True) from error
        except aiohttp.ConnectionTimeoutError as error:
            seconds = f"{self.settings.connect_timeout:g} s"
            raise ConnectionFailedError(f"cannot connect within {seconds}", is_refused=True) from error
        except TimeoutError as error:
            raise client.timeout_error(header_timeout) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ConnectionFailedError(f"the request failed: {_described(error)}") from error
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
        except (aiohttp.ClientError, OSError, ValueError):  # the status alone is enough for an error
            body = b""
        return status_error(body, response.status, retry_after(response.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait; None without a valid header.

    The header holds seconds or a date (RFC 9110). A date is compared with the response's ``Date`` header, because this
    machine's clock may be wrong; only without one, that clock is used.

    Args:
        headers: The headers of the response.
    """
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    retry_at = _parse_date(value)
    if retry_at is None:
        return None
    return max(0.0, (retry_at - (_parse_date(headers.get("Date", "")) or datetime.now(UTC))).total_seconds())


def _parse_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _close(response: aiohttp.ClientResponse) -> None:
    """Close a response. After its whole body has been read, the connection is back in the client's pool already.

    Any other connection is aborted: an orderly end of TLS needs more turns of the loop, which may end first (G10).
    """
    transport = response.connection.transport if response.connection else None
    response.close()
    if transport is not None:
        transport.abort()


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """Turn on TCP keep-alive: HTTP/1.1 itself cannot detect a dead peer on an idle connection."""
    transport = response.connection.transport if response.connection else None
    raw = transport.get_extra_info("socket") if transport else None
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # Linux; other systems have other names and defaults
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _described(error: BaseException) -> str:
    return str(error) or type(error).__name__


def load_model(name: str) -> type[Any]:
    """Return the model class of kubernetes_asyncio with this name, such as ``V1Pod``; imports the client if needed."""
    from kubernetes_asyncio.client import models

    return getattr(models, name)  # type: ignore[no-any-return]
