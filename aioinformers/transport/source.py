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
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aioinformers.checks import truth_of
from aioinformers.errors import (
    ApiStatusError,
    ConnectionFailedError,
    InformerError,
    ResponseError,
    UnauthorizedError,
)
from aioinformers.settings import Settings
from aioinformers.transport.adapter import ClientAdapter, Prepared
from aioinformers.transport.door import asked, failure_of
from aioinformers.transport.failures import preparation_failure, read_failure, request_failure
from aioinformers.transport.notices import notices_of
from aioinformers.transport.pool import Reservation, limit_of
from aioinformers.transport.redirects import MOST_REDIRECTS, REDIRECTS, redirected
from aioinformers.transport.requests import RequestLog, log_of
from aioinformers.transport.status import status_error
from aioinformers.transport.tap import Early, Tap
from aioinformers.transport.turns import Turns
from aioinformers.types import END_OF_PROCESS

if TYPE_CHECKING:
    import aiohttp

    from aioinformers.transport.chunks import Block

__all__ = ["Body", "Source", "load_model", "retry_after"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.source")

MAX_STATUS: Final = 1024 * 1024
"""Bytes that are read of a body that says what went wrong."""
STATUS_TIMEOUT: Final = 5.0
"""Seconds that such a body may take."""
MOST_NOTICES: Final = 256
"""Texts of warnings that are told of, once each."""


class Body:
    """The body of an open response, read as it arrives.

    Args:
        response: The open response; whoever opened it closes it.
        notices: What the server says beside it.
        elsewhere: The address of another server that has answered, after a redirect; empty without one.

    Attributes:
        notices: The same.
        elsewhere: The same.
        early: May take lines as they arrive, while :meth:`read_lines` waits, which does not return them then.
    """

    def __init__(self, response: aiohttp.ClientResponse, notices: Sequence[str] = (), elsewhere: str = "") -> None:
        self._response = response
        self.notices = notices
        self.elsewhere = elsewhere
        self.early: Early | None = None
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
                tap.early = self.early
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
        """Loop time at which bytes came that no read returns: an incomplete line, or one taken early; or None."""
        return None if self._tap is None else self._tap.arrived


class Source:
    """Makes requests with a user's API client.

    Args:
        api_client: An ``ApiClient`` of kubernetes_asyncio or ``kubernetes.aio``, or one that is adapted already; the
            caller closes it.
        settings: Timeouts, and the limit of concurrent lists.
        on_warning: Told of each text of a ``Warning`` header, once; called synchronously.

    Attributes:
        client: The adapted client.
        settings: The settings given.
        lists: The turns of lists, of which few are read at the same time.
        streams_again_at: Loop time from which the server may be asked to stream initial objects again; shared by all
            informers.
        random: Source of jitter, shared by all informers.
        requests: Counts the requests of all who use this client.

    Raises:
        TypeError: If the client is not one of the two.
    """

    def __init__(self, api_client: Any, settings: Settings, on_warning: Callable[[str], None] | None = None) -> None:
        is_adapted = isinstance(api_client, ClientAdapter)
        self.client: ClientAdapter = api_client if is_adapted else ClientAdapter(api_client)
        self.settings = settings
        self.lists: Turns = Turns(settings.max_concurrent_lists)
        self.streams_again_at: float = 0.0
        self.random: random.Random = random.Random()
        self.requests: RequestLog = log_of(self.client.api_client)
        self._on_warning = on_warning
        self._told: set[str] = set()

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
            if response.status == 401 and not request.is_elsewhere:
                _close(response)
                self.requests.note_retry("GET", 401)
                self.client.invalidate(request)
                request, response = await self._request(path, query, headers, header_timeout)
            if response.status >= 400:
                raise await self._failure(response, request)
            if response.status != 200:
                raise ResponseError(f"unexpected answer {response.status} to GET {path}{_by(request)}")
            _keep_alive(response)
            notices = notices_of(response.headers.getall("Warning", ()))
            self._tell(notices)
            yield Body(response, notices, request.redirected_to if request.is_elsewhere else "")
        finally:
            _close(response)

    def _tell(self, notices: Iterable[str]) -> None:
        """Tell of what the server has not said before."""
        for notice in notices:
            if notice in self._told or len(self._told) >= MOST_NOTICES:
                continue
            self._told.add(notice)
            logger.warning("the server says: %s", notice)
            if self._on_warning is None:
                continue
            try:
                truth_of(self._on_warning(notice), "on_warning")
            except END_OF_PROCESS:
                raise
            except BaseException:  # a CancelledError here is none of the loop's: nothing is awaited
                logger.exception("on_warning raised")

    async def read_json(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        is_proof: bool = False,
    ) -> bytes:
        """Return the whole body of a small GET request; cancellation closes the response.

        Args:
            path: The URL path below the host of the client's configuration.
            query: Query parameters.
            accept: Value of the ``Accept`` header.
            is_proof: Only the client's own server may answer, and none that it redirects to.

        Raises:
            ApiStatusError: If the server answers with a failure.
            ConnectionFailedError: If the server cannot be reached, or the body has gaps longer than
                ``Settings.header_timeout``, or takes longer than ``Settings.list_timeout``.
            ResponseError: If the status is neither 200 nor a failure, or the body is longer than
                ``Settings.max_object_bytes``.
        """
        silence = self.settings.header_timeout
        whole = asyncio.timeout(self.settings.list_timeout)
        try:
            async with (
                whole,
                self.open(path, query or {}, header_timeout=silence, accept=accept) as body,
                asyncio.timeout(silence) as deadline,
            ):
                if is_proof and body.elsewhere:
                    raise ResponseError(f"GET {path} was redirected to {body.elsewhere}: what that says proves nothing")

                def go_on() -> None:
                    deadline.reschedule(asyncio.get_running_loop().time() + silence)  # what comes slowly comes

                return await self._whole(body, f"GET {path}", go_on)
        except TimeoutError:
            seconds = self.settings.list_timeout if whole.expired() else silence
            failure = ConnectionFailedError(f"GET {path} was not answered within {seconds:g} s")
        raise failure

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        timeout: float,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """Make a request that may change something, and return the whole answer.

        It is sent once; only a 401, which changes nothing, is tried again with fresh credentials. A redirect is not
        followed. Where no answer comes, the change may have been made all the same, or may be made later still: send it
        with a resourceVersion. Cancellation closes the connection, with the same effect.

        Args:
            method: ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
            path: The URL path below the host of the client's configuration.
            body: What to send; None for nothing.
            timeout: Seconds for all of it, from the credentials to the end of the answer.
            content_type: What the body is.
            query: Query parameters.

        Raises:
            ApiStatusError: If the server answers with a failure.
            ConnectionFailedError: If the server cannot be reached, or the answer does not come whole and in time. Where
                its ``is_refused`` is true, nothing has been changed.
            ResponseError: If the answer is a redirect, or neither a success nor a failure, or is longer than
                ``Settings.max_object_bytes``.
        """
        what, end = f"{method} {path}", asyncio.get_running_loop().time() + timeout
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = content_type
        request, response = await self._write(method, path, body, query or {}, headers, end)
        try:
            if response.status == 401:
                _close(response)
                self.requests.note_retry(method, 401)
                self.client.invalidate(request)
                request, response = await self._write(method, path, body, query or {}, headers, end)
            if response.status in REDIRECTS:
                raise ResponseError(f"{what} is answered with a redirect ({response.status}): no change is sent on")
            if response.status >= 400:
                raise await self._failure(response, request, _left(end))
            if not 200 <= response.status < 300:
                raise ResponseError(f"unexpected answer {response.status} to {what}")
            self._tell(notices_of(response.headers.getall("Warning", ())))
            return await _within(
                _left(end),
                self._whole(Body(response), what),
                lambda: ConnectionFailedError(f"the answer to {what} did not come whole within {timeout:.3g} s"),
            )
        finally:
            _close(response)

    async def _write(
        self, method: str, path: str, body: bytes | None, query: Mapping[str, str], headers: Mapping[str, str],
        end: float,
    ) -> tuple[Prepared, aiohttp.ClientResponse]:  # fmt: skip
        """Make a request that may change something, and return it with its answer; until some loop time."""
        client, seconds, what = self.client, _left(end), f"{method} {path}"
        request = await self._prepare(path, query, headers, seconds, method)
        sending = client.send(method, request, body, self.settings.connect_timeout)
        response = await self._answer(
            method, _left(end), asked(sending, what, self._explain(), undo=_close),
            lambda: client.timeout_error(round(seconds, 2)),
        )  # fmt: skip
        return request, response

    async def _whole(self, body: Body, what: str, go_on: Callable[[], None] = lambda: None) -> bytes:
        """Return all of a body that is not too long.

        Args:
            body: The body.
            what: The request, as an error names it.
            go_on: Called whenever some of it has come.
        """
        chunks, size, limit = [], 0, self.settings.max_object_bytes
        while chunk := await body.read():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise ResponseError(f"the answer to {what} is larger than max_object_bytes={limit}")
            go_on()
        return b"".join(chunks)

    async def _request(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], header_timeout: float
    ) -> tuple[Prepared, aiohttp.ClientResponse]:
        """Make a request, follow its redirects, and return the last one with its answer."""
        request = await self._prepare(path, query, headers, header_timeout)
        response = await self._get(request, path, header_timeout)
        for _ in range(MOST_REDIRECTS):
            if response.status not in REDIRECTS:
                break
            location = response.headers.get("Location")
            _close(response)
            request = redirected(request, location)
            response = await self._get(request, path, header_timeout)
        return request, response

    async def _prepare(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], seconds: float, method: str = "GET"
    ) -> Prepared:
        """Return a request with the client's credentials, which may take some seconds."""
        prepared = self.client.prepare(path, query, headers, method)
        return await _within(
            seconds,
            asked(prepared, f"credentials for {method} {path}", preparation_failure),
            lambda: ConnectionFailedError(
                f"the client's credentials were not refreshed within {seconds:g} s", is_refused=True
            ),
        )

    async def _get(self, request: Prepared, path: str, header_timeout: float) -> aiohttp.ClientResponse:
        client, explain = self.client, self._explain(request.url if request.redirected_to else None)
        return await self._answer(
            "GET", header_timeout,
            asked(client.get(request, self.settings.connect_timeout), f"GET {path}", explain, undo=_close),
            lambda: client.timeout_error(header_timeout),
        )  # fmt: skip

    async def _answer(
        self,
        method: str,
        seconds: float,
        response: Awaitable[aiohttp.ClientResponse],
        late: Callable[[], ConnectionFailedError],
    ) -> aiohttp.ClientResponse:
        """Await the beginning of an answer within some seconds, and count it; what the caller cancels is not."""
        time = asyncio.get_running_loop().time
        begin = time()
        try:
            answer = await _within(seconds, response, late)
        except InformerError:
            self.requests.note(method, None, time() - begin)
            raise
        self.requests.note(method, answer.status, time() - begin)
        return answer

    def _explain(self, url: str | None = None) -> Callable[[BaseException], ConnectionFailedError]:
        """Return what makes a failure of whatever a request raises.

        Args:
            url: Where it went; None for the client's own server.
        """
        client, connect_timeout = self.client, self.settings.connect_timeout

        def explain(error: BaseException) -> ConnectionFailedError:
            where = url or getattr(client.api_client.configuration, "host", None)
            return request_failure(error, where, is_closed=client.is_closed, connect_timeout=connect_timeout)

        return explain

    async def _failure(
        self, response: aiohttp.ClientResponse, request: Prepared, seconds: float = STATUS_TIMEOUT
    ) -> ApiStatusError:
        """Return the error that the server's answer tells; without a whole body, what its status tells."""
        body, chunks, size = Body(response), [], 0
        with contextlib.suppress(ConnectionFailedError, TimeoutError):
            async with asyncio.timeout(min(seconds, STATUS_TIMEOUT)):
                while size < MAX_STATUS and (chunk := await body.read()):
                    chunks.append(chunk)
                    size += len(chunk)
        error = status_error(b"".join(chunks), response.status, retry_after(response.headers))
        if isinstance(error, UnauthorizedError):
            error.hint = self.client.hint
        if request.is_elsewhere:  # of no certain meaning: nothing is gone because somebody else does not have it
            error = ApiStatusError(error.status, error.reason, error.message, error.retry_after)
            error.hint = f"said by {request.redirected_to}, where the request was redirected, without its credentials"
        return error


def _by(request: Prepared) -> str:
    """Say who answered, if that is not who was asked."""
    return f" by {request.redirected_to}, where it was redirected" if request.redirected_to else ""


def _left(end: float) -> float:
    """Return the seconds until some loop time."""
    return max(0.0, end - asyncio.get_running_loop().time())


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
