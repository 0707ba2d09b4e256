"""The user's API client, whichever of the two it is: its session, its headers and credentials, its requests."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from aioinformers.checks import is_coroutine_function
from aioinformers.errors import ConnectionFailedError, InformerError
from aioinformers.transport.failures import credentials_failure
from aioinformers.transport.pool import limit_of
from aioinformers.version import __version__
from aioinformers.words import brief

if TYPE_CHECKING:
    import aiohttp

__all__ = ["ClientAdapter", "Prepared"]

READ_BUFFER: Final = 128 * 1024
"""Bytes that aiohttp buffers; a smaller buffer pauses the socket too often, a larger one exceeds the CPU cache."""

_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")  # in the value of a header; RFC 9110, 5.5


class Prepared(NamedTuple):
    """A request with the client's headers and credentials.

    Attributes:
        url: Complete URL with the query.
        headers: All headers; they may contain credentials.
        generation: Which of the hook's credentials it has; 0 where the hook does not count them.
        redirected_to: The address that a redirect has sent it to; empty without one.
        is_elsewhere: That is another origin, so that it has no credentials.
    """

    url: str
    headers: dict[str, str]
    generation: int = 0
    redirected_to: str = ""
    is_elsewhere: bool = False


class _BrokenError(Exception):
    """Carries what broke a request past aiohttp, which would make the request again."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__()


def _what_it_is(given: Any, *, is_client: bool) -> str:
    """Say what was given in the place of a client, and what to do."""
    name = f"{given.__module__}.{given.__name__}" if isinstance(given, type) else type(given).__qualname__
    if isinstance(given, type):
        return f"{name} is a class: make an object of it"
    if is_client:
        return f"that of {type(given).__module__.partition('.')[0]} is synchronous: none of its requests can be awaited"
    if hasattr(given, "api_client"):
        return f"{name} has one: give its api_client"
    if hasattr(given, "get_api_key_with_prefix"):
        return f"{name} is what one is made of: ApiClient(configuration)"
    return f"{name} is something else"


class ClientAdapter:
    """Hides the differences between the asyncio clients kubernetes_asyncio and ``kubernetes.aio`` (37 or newer).

    Args:
        api_client: An ``ApiClient`` of either; the caller closes it.

    Raises:
        TypeError: If it is another object.
    """

    def __init__(self, api_client: Any) -> None:
        is_client = hasattr(api_client, "rest_client") and hasattr(api_client, "update_params_for_auth")
        if (
            not is_client
            or isinstance(api_client, type)
            or not is_coroutine_function(api_client.update_params_for_auth)
        ):
            raise TypeError(
                f"api_client must be an ApiClient of kubernetes_asyncio.client or of kubernetes.aio.client; "
                f"{_what_it_is(api_client, is_client=is_client)}"
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

    async def prepare(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], method: str = "GET"
    ) -> Prepared:
        """Add the client's headers and credentials to a request; the client's hook refreshes the credentials.

        Args:
            path: The URL path below the host of the client's configuration.
            query: Query parameters.
            headers: Headers that override the client's defaults.
            method: What the request does.

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
        request = (path, method, None) if self._is_aio else ()
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

    async def send(
        self, method: str, request: Prepared, body: bytes | None, connect_timeout: float
    ) -> aiohttp.ClientResponse:
        """Make a request that may change something, once, and return its response, which the caller closes.

        aiohttp by itself would send a PUT or DELETE again where a connection that had served before breaks: the first
        may have been carried out. Raises whatever aiohttp raises.

        Args:
            method: What it does, such as ``PUT``.
            request: The request.
            body: Its body; None for none.
            connect_timeout: Seconds that a connection may take.
        """
        import aiohttp

        async def once(sent: aiohttp.ClientRequest, pass_on: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            try:
                return await pass_on(sent)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                raise _BrokenError(error) from None

        session, timeout = self.session, aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        try:
            return await session.request(
                method, request.url, data=body, headers=request.headers, timeout=timeout, allow_redirects=False,
                middlewares=(once, *getattr(session, "_middlewares", ())), **self.request_options,
            )  # fmt: skip
        except _BrokenError as broken:
            error = broken.error
        raise error

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
