"""A copy of an API client whose writes are allowed one by one, and told of: for the typed APIs of either client."""

from __future__ import annotations

import asyncio
import copy
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from aioinformers.errors import ConnectionFailedError

__all__ = ["Sent", "guarded"]

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Sent(NamedTuple):
    """A write that the server has carried out.

    Attributes:
        method: What it did, such as ``PUT``.
        path: The URL path below the host of the client's configuration.
        is_dry_run: Whether nothing has been changed by it.
        answer: The whole answer.
    """

    method: str
    path: str
    is_dry_run: bool
    answer: bytes


def guarded(api_client: Any, allow: Callable[[], float], tell: Callable[[Sent], None]) -> Any:
    """Return a copy of an API client that shares its connections, its credentials and its configuration.

    Reads pass through it as they are. So do connections that are upgraded, such as those of ``exec``.

    Args:
        api_client: An ``ApiClient`` of kubernetes_asyncio or ``kubernetes.aio``; the caller closes it. To close the
            copy does nothing.
        allow: Called before each write; returns the seconds that it may take, and raises if it may not be made.
        tell: Called after each write that has succeeded.
    """
    made = copy.copy(api_client)
    made.__class__ = _client_class(type(api_client))  # type: ignore[arg-type]  # a class is hashable
    made._guard = _Guard(api_client, allow, tell)
    return made


class _Guard(NamedTuple):
    api_client: Any
    allow: Callable[[], float]
    tell: Callable[[Sent], None]

    async def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        """Make a request as the client would."""
        rest = self.api_client.rest_client
        if method.upper() not in WRITES:
            return await rest.request(method, url, *args, **options)
        path, queries = _parts(url, self.api_client.configuration.host, options.get("query_params"))
        body = options.get("body")  # of a deletion it may have the options, which count instead of the query's then
        is_dry_run = "dryRun" in queries or (method.upper() == "DELETE" and _is_dry(body))
        seconds = self.allow()
        failure = ConnectionFailedError(
            f"{method} {path} was not answered within the {seconds:.3g} s that were left; it may be carried out yet"
        )
        deadline = asyncio.timeout(seconds if seconds < math.inf else None)
        try:
            async with deadline:
                response = await rest.request(method, url, *args, **options)
                if 200 <= response.status < 300:
                    # What has been read is kept by the response, for whoever reads it next.
                    answer = response.data if getattr(response, "data", None) is not None else await response.read()
                    self.tell(Sent(method.upper(), path, is_dry_run, answer))
                return response
        except TimeoutError:
            if not deadline.expired():
                raise
        raise failure


def _is_dry(options: Any) -> bool:
    """Tell whether the options of a deletion say that nothing is to be changed."""
    return isinstance(options, Mapping) and bool(options.get("dryRun"))


def _parts(url: str, host: str, given: Any) -> tuple[str, set[str]]:
    """Return the path of a URL below the host, and the names of the query's parameters."""
    split = urlsplit(url)
    queries = {name for name, _ in parse_qsl(split.query)} | {name for name, _ in given or ()}
    return split.path.removeprefix(urlsplit(host).path.rstrip("/")), queries


@functools.cache
def _client_class(base: type) -> type:
    return type(f"Guarded{base.__name__}", (_GuardedClient, base), {"__doc__": _GuardedClient.__doc__})


@functools.cache
def _rest_class(base: type) -> type:
    return type(f"Guarded{base.__name__}", (_GuardedRest, base), {"__doc__": _GuardedRest.__doc__})


class _GuardedClient:
    """What differs in the copy of an API client; connections and credentials are those of the original at any time."""

    _guard: _Guard

    @property
    def rest_client(self) -> Any:
        """The original's, guarded; it may have been made anew since."""
        rest = copy.copy(self._guard.api_client.rest_client)
        rest.__class__ = _rest_class(type(rest))  # type: ignore[arg-type]  # a class is hashable
        rest._guard = self._guard
        return rest

    async def update_params_for_auth(self, *args: Any, **options: Any) -> None:
        """Let the original add its credentials, as it may make its connections anew then."""
        await self._guard.api_client.update_params_for_auth(*args, **options)

    async def close(self) -> None:
        """Do nothing: the original is its owner's to close."""


class _GuardedRest:
    """What differs in the copy of what makes an API client's requests."""

    _guard: _Guard

    async def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        """Make a request, if it is allowed."""
        return await self._guard.request(method, url, *args, **options)

    async def close(self) -> None:
        """Do nothing."""
