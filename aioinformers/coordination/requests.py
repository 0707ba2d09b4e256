"""Reads, writes and watches one Lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import quote

import msgspec

from aioinformers.coordination.lease import Lease, LeaseRecord, new_lease
from aioinformers.errors import ConnectionFailedError, ForbiddenError, ResourceNotFoundError, ResponseError
from aioinformers.transport.source import Body, Source
from aioinformers.transport.status import status_error

__all__ = ["LeaseChanges", "LeaseRequests"]

_LONGEST_LINE: Final = 4 * 1024 * 1024
"""Bytes of one line of a watch; a Lease is no longer than an object may be, twice."""
_WATCH_SECONDS: Final = (300.0, 600.0)


class _Event(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class LeaseRequests:
    """The requests that an election makes.

    Cancellation closes the connection of any of them; what a write has sent may then be carried out or not.

    Args:
        source: Makes them.
        namespace: Namespace of the Lease.
        name: Its name.
    """

    def __init__(self, source: Source, namespace: str, name: str) -> None:
        self._source = source
        self._namespace = namespace
        self._name = name
        self._all = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"
        self._one = f"{self._all}/{quote(name, safe='')}"

    async def get(self, timeout: float) -> Lease | None:
        """Return the Lease as the server has it now, which no cache answers; None if there is none.

        Args:
            timeout: Seconds for all of it.

        Raises:
            ApiStatusError: If the server refuses.
            ConnectionFailedError: If it cannot be reached, or not in time.
            ResponseError: If its answer is no Lease.
        """
        failure = ConnectionFailedError(f"GET {self._one} was not answered within {timeout:.3g} s")
        try:
            async with asyncio.timeout(timeout):
                with self._hints():
                    return Lease.parse(await self._source.read_json(self._one, is_proof=True))
        except ResourceNotFoundError as error:
            if error.reason != "NotFound":  # a path that is not served, or a proxy: no word of the Lease
                raise
            return None
        except TimeoutError:
            pass
        raise failure

    async def create(self, record: LeaseRecord, timeout: float) -> Lease:
        """Make the Lease; arguments and errors as for :meth:`update`.

        Raises:
            ConflictError: If there is one already.
        """
        body = new_lease(self._namespace, self._name, record)
        with self._hints():
            return Lease.parse(await self._source.send("POST", self._all, body, timeout=timeout))

    async def update(self, lease: Lease, record: LeaseRecord, timeout: float) -> Lease:
        """Change who holds the Lease, if nothing has been changed since it was seen.

        Args:
            lease: The Lease as it was seen.
            record: Who holds it from now on.
            timeout: Seconds for all of it.

        Returns:
            The Lease as it is now.

        Raises:
            ApiStatusError: If the server refuses; a ``ConflictError`` if it has been changed.
            ConnectionFailedError: If it cannot be reached, or not in time.
            ResponseError: If its answer is no Lease.
        """
        body = lease.replaced(record)
        with self._hints():
            return Lease.parse(await self._source.send("PUT", self._one, body, timeout=timeout))

    @asynccontextmanager
    async def watch(self, lease: Lease) -> AsyncIterator[LeaseChanges]:
        """Follow the Lease from the moment at which it was seen; every exit closes the connection.

        Args:
            lease: The Lease as it was seen.

        Raises:
            ApiStatusError: If the server refuses.
            ConnectionFailedError: If it cannot be reached.
        """
        source = self._source
        query = {
            "fieldSelector": f"metadata.name={self._name}",
            "resourceVersion": lease.version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(source.random.uniform(*_WATCH_SECONDS))),
            "watch": "true",
        }
        with self._hints():
            async with source.open(self._all, query, header_timeout=source.settings.header_timeout) as body:
                yield LeaseChanges(body)

    @contextmanager
    def _hints(self) -> Iterator[None]:
        """Say what is probably missing, where the server refuses."""
        try:
            yield
        except ForbiddenError as error:
            error.hint = f"the client needs the verbs get, create, update and watch on leases in {self._namespace}"
            raise
        except ResourceNotFoundError as error:
            error.hint = f"is there a namespace {self._namespace}?"
            raise


class LeaseChanges:
    """What a watch of a Lease tells.

    Args:
        body: The open response.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._rest = b""

    async def next(self) -> Lease | None:
        """Wait for the next change, and return the Lease as it is then; None if it has been deleted.

        Cancellation loses nothing: the next call returns it.

        Raises:
            ApiStatusError: If the server ends the watch with a failure.
            ConnectionFailedError: If the connection breaks, or the watch has ended.
            ResponseError: If a line is no event.
        """
        while True:
            line, separator, rest = self._rest.partition(b"\n")
            if separator:
                self._rest = rest
                event = _parse(line)
                if event.type in ("ADDED", "MODIFIED"):
                    return Lease.parse(event.object)
                if event.type == "DELETED":
                    return None
                if event.type == "ERROR":
                    raise status_error(bytes(event.object))
                continue
            if len(self._rest) > _LONGEST_LINE:
                raise ResponseError("a line of the watch of a Lease does not end")
            if not (data := await self._body.read()):
                raise ConnectionFailedError("the watch of the Lease has ended")
            self._rest += data


def _parse(line: bytes) -> _Event:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ResponseError("a line of the watch of a Lease is no event") from None


_decode: Final = msgspec.json.Decoder(_Event).decode
