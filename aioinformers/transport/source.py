"""The only door to the Kubernetes client and to aiohttp: requests, credentials, error translation.

Requests go through the client's own aiohttp session and use its connection pool, TLS, proxy, headers and credentials
unchanged; nothing loosens its security settings (G16). Bodies are returned as bytes. Whatever foreign code raises on
the way is a failed request, which the caller tries again (G9).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode

from aioinformers.errors import ApiStatusError, ConnectionFailedError, InformerError, ResponseError, UnauthorizedError
from aioinformers.settings import Settings
from aioinformers.transport.door import asked, failure_of
from aioinformers.transport.failures import credentials_failure, preparation_failure, read_failure, request_failure
from aioinformers.transport.pool import Reservation, limit_of
from aioinformers.transport.status import status_error
from aioinformers.transport.tap import Tap
from aioinformers.transport.turns import Turns
from aioinformers.version import __version__
from aioinformers.words import brief

if TYPE_CHECKING:
    import aiohttp

    from aioinformers.transport.chunks import Block

__all__ = ["Body", "Source", "load_model", "retry_after"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.source")

READ_BUFFER: Final = 128 * 1024
"""Bytes that aiohttp buffers; a smaller buffer pauses the socket too often, a larger one exceeds the CPU cache."""
MAX_STATUS: Final = 1024 * 1024
"""Bytes that are read of a body that says what went wrong."""
STATUS_TIMEOUT: Final = 5.0
"""Seconds that such a body may take."""

_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")  # in the value of a header; RFC 9110, 5.5


class Body:
    """The body of an open response, read as it arrives.

    Args:
        response: The open response; whoever opened it closes it.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._tap: Tap | None = None
        self._is_tapped = False

    async def read(self) -> bytes:
        """Return the bytes that have arrived, or wait for some; ``b""`` at the end of the body.

        Cancellation loses no data: the next call returns it.

        Raises:
            ConnectionFailedError: If the connection broke, or whatever else aiohttp raises.
        """
        try:
            while not (data := await self._response.content.readany()):
                if self._response.content.at_eof():
                    break
            return data
        except BaseException as error:
            failure = failure_of(error, read_failure)
        raise failure

    async def read_lines(self) -> bytes | list[Block]:
        """Return what has arrived of a watch as whole lines where they can be cut cheaply, otherwise as :meth:`read`.

        Cancellation loses no data: the next call returns it.

        Returns:
            Blocks of whole lines, or bytes that may begin and end within a line; ``b""`` at the end of the body.

        Raises:
            ConnectionFailedError: If the connection broke, or whatever else aiohttp or the connection raises.
        """
        try:
            if not self._is_tapped:
                self._is_tapped, self._tap = True, Tap.of(self._response)
            tap = self._tap
            while tap is not None:
                if (received := tap.take()) is not None:
                    return received
                if not tap.is_open:
                    break
                await tap.wait()
        except BaseException as error:
            failure = failure_of(error, read_failure)
        else:
            return await self.read()
        raise failure

    @property
    def arrived(self) -> float | None:
        """Loop time at which bytes came that no read could return, as their line is not complete; None if none did."""
        return None if self._tap is None else self._tap.arrived


class Prepared(NamedTuple):
    """A request with the client's headers and credentials.

    Attributes:
        url: Complete URL with the query.
        headers: All headers; they may contain credentials.
        generation: Which of the hook's credentials it has; 0 where the hook does not count them.
    """

    url: str
    headers: dict[str, str]
    generation: int = 0


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
    def is_closed(self) -> bool:
        """Whether the client has been closed."""
        try:
            pool = self.api_client.rest_client.pool_manager
            return pool is not None and bool(pool.closed)
        except Exception:  # it cannot tell: then its requests will
            return False

    @property
    def connector(self) -> aiohttp.BaseConnector | None:
        """What makes the client's connections; None if it is closed, or does not say."""
        try:
            return self.session.connector
        except Exception:
            return None

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
            ConnectionFailedError: If the hook raises, or there is a header that cannot be sent. The message omits the
                hook's text and the header's value, which may be secrets; the hook's exception is chained.
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
        except (InformerError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            raise credentials_failure(error) from error
        generation = 0
        with contextlib.suppress(Exception):  # the hook may be anybody's, and know nothing of generations
            generation = self._hook.generation
        url = f"{self.api_client.configuration.host}{path}"
        return Prepared(f"{url}?{urlencode(pairs)}" if pairs else url, _sendable(merged), generation)

    def invalidate(self, refused: Prepared) -> None:
        """Tell the client's hook, if it wants to know, that the server has refused the credentials of a request."""
        with contextlib.suppress(Exception):
            self._hook.invalidate(refused.generation)

    @property
    def hint(self) -> str:
        """What may be the cause of a 401."""
        if self._hook is None:
            return "nothing renews the client's credentials: use aioinformers.connect(), or set refresh_api_key_hook"
        hint = None
        with contextlib.suppress(Exception):
            hint = self._hook.hint
        return brief(hint) if isinstance(hint, str) else "what the client's refresh_api_key_hook gave was refused twice"

    @property
    def _hook(self) -> Any:
        return getattr(self.api_client.configuration, "refresh_api_key_hook", None)

    async def get(self, request: Prepared, connect_timeout: float) -> aiohttp.ClientResponse:
        """Make a request and return its response, which the caller closes; raises whatever aiohttp raises.

        Args:
            request: The request.
            connect_timeout: Seconds that a connection may take.
        """
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        return await self.session.get(
            request.url, headers=request.headers, timeout=timeout, read_bufsize=READ_BUFFER, allow_redirects=False,
            **self.request_options,
        )  # fmt: skip

    def timeout_error(self, seconds: float) -> ConnectionFailedError:
        """Return the error for a request without an answer: an exhausted connection pool, or a silent server.

        Args:
            seconds: How long the request has waited.
        """
        connector = self.connector
        limit = limit_of(connector)
        if 0 < limit <= len(getattr(connector, "_acquired", ())):
            return ConnectionFailedError(
                f"all {limit} connections of the API client are in use and every informer holds one: "
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
        lists: The turns of lists, of which few are read at the same time.
        streams_again_at: Loop time from which the server may be asked to stream initial objects again; shared by all
            informers.
        random: Source of jitter, shared by all informers.

    Raises:
        TypeError: If the client is not one of the two.
    """

    def __init__(self, api_client: Any, settings: Settings) -> None:
        self.client: ClientAdapter = ClientAdapter(api_client)
        self.settings = settings
        self.lists: Turns = Turns(settings.max_concurrent_lists)
        self.streams_again_at: float = 0.0
        self.random: random.Random = random.Random()

    @property
    def is_closed(self) -> bool:
        """Whether the client has been closed; reads that are under way get no notice of that."""
        return self.client.is_closed

    def reserve(self, name: str, scopes: int) -> Reservation:
        """Count the connections that an informer will hold, and warn if they leave too few of the client's.

        Needs a running loop: the client may make its connections' session now.

        Args:
            name: The informer.
            scopes: How many scopes it has; each holds a connection.

        Returns:
            What gives them back, by ``release()``.
        """
        return Reservation(self.client.api_client, limit_of(self.client.connector), name, scopes)

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
        request, response = await self._request(path, query, headers, header_timeout)
        try:
            if response.status == 401:
                _close(response)
                self.client.invalidate(request)
                _, response = await self._request(path, query, headers, header_timeout)
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
            ConnectionFailedError: If the server cannot be reached, or the body has gaps longer than
                ``Settings.header_timeout``, or takes longer than ``Settings.list_timeout``.
            ResponseError: If the status is neither 200 nor a failure, or the body is longer than
                ``Settings.max_object_bytes``.
        """
        silence, limit = self.settings.header_timeout, self.settings.max_object_bytes
        failure: InformerError
        chunks: list[bytes] = []
        size = 0
        whole = asyncio.timeout(self.settings.list_timeout)
        try:
            async with (
                whole,
                self.open(path, query or {}, header_timeout=silence, accept=accept) as body,
                asyncio.timeout(silence) as deadline,
            ):
                while size <= limit:
                    if not (chunk := await body.read()):
                        return b"".join(chunks)
                    chunks.append(chunk)
                    size += len(chunk)
                    deadline.reschedule(asyncio.get_running_loop().time() + silence)  # what comes slowly comes
            failure = ResponseError(f"the answer to GET {path} is larger than max_object_bytes={limit}")
        except TimeoutError:
            seconds = self.settings.list_timeout if whole.expired() else silence
            failure = ConnectionFailedError(f"GET {path} was not answered within {seconds:g} s")
        raise failure

    async def _request(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], header_timeout: float
    ) -> tuple[Prepared, aiohttp.ClientResponse]:
        client, connect_timeout = self.client, self.settings.connect_timeout

        def explain(error: BaseException) -> ConnectionFailedError:
            host = getattr(client.api_client.configuration, "host", None)
            return request_failure(error, host, is_closed=client.is_closed, connect_timeout=connect_timeout)

        request = await _within(
            header_timeout,
            asked(client.prepare(path, query, headers), f"credentials for GET {path}", preparation_failure),
            lambda: ConnectionFailedError(
                f"the client's credentials were not refreshed within {header_timeout:g} s", is_refused=True
            ),
        )
        response = await _within(
            header_timeout,
            asked(client.get(request, connect_timeout), f"GET {path}", explain, undo=_close),
            lambda: client.timeout_error(header_timeout),
        )
        return request, response

    async def _failure(self, response: aiohttp.ClientResponse) -> ApiStatusError:
        """Return the error that the server's answer tells; without a whole body, what its status tells."""
        body, chunks, size = Body(response), [], 0
        with contextlib.suppress(ConnectionFailedError, TimeoutError):
            async with asyncio.timeout(STATUS_TIMEOUT):
                while size < MAX_STATUS and (chunk := await body.read()):
                    chunks.append(chunk)
                    size += len(chunk)
        error = status_error(b"".join(chunks), response.status, retry_after(response.headers))
        if isinstance(error, UnauthorizedError):
            error.hint = self.client.hint
        return error


async def _within(seconds: float, awaitable: Awaitable[T], late: Callable[[], ConnectionFailedError]) -> T:
    """Await what raises no ``TimeoutError`` of its own. Cancellation passes through.

    Args:
        seconds: How long it may take.
        awaitable: What to await.
        late: Makes the error if it takes longer.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await awaitable
    raise late()


def _sendable(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Return headers without the blanks and line breaks around their values, such as end a token out of a file.

    Raises:
        ConnectionFailedError: If a value is no text, or cannot be sent.
    """
    sendable = {}
    for name, value in headers.items():
        what = "the client's token" if str(name).lower() == "authorization" else f"the header {brief(str(name), 80)}"
        if not isinstance(value, str):
            problem = f"{what} is {'None' if value is None else f'a {type(value).__name__}'} instead of a text"
            raise ConnectionFailedError(problem, is_refused=True)
        sendable[name] = value = value.strip(" \t\r\n")
        if found := _FORBIDDEN.search(value):
            problem = f"{what} cannot be sent: it contains the character U+{ord(found[0]):04X}"
            raise ConnectionFailedError(problem, is_refused=True)
    return sendable


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
    with contextlib.suppress(Exception):  # what cannot be closed is no reason to end either
        response.close()
    if transport is not None:
        with contextlib.suppress(Exception):
            transport.abort()


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """Turn on TCP keep-alive: HTTP/1.1 itself cannot detect a dead peer on an idle connection."""
    with contextlib.suppress(Exception):  # the peer may be gone already, which the next read tells
        transport = response.connection.transport if response.connection else None
        raw = transport.get_extra_info("socket") if transport else None
        if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
            return
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):  # Linux; other systems have other names and defaults
                raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def load_model(name: str) -> type[Any]:
    """Return the model class of kubernetes_asyncio with this name, such as ``V1Pod``; imports the client if needed."""
    from kubernetes_asyncio.client import models

    return getattr(models, name)  # type: ignore[no-any-return]
