"""Lets a new leader wait until its caches hold all that had been written before it began (G19).

A cache may be seconds behind the server, and a predecessor wrote until the end. So the server is asked, consistently,
for the version at which a list would be now. The cache has reached that once its own watch says so; a quiet kind's says
nothing for a minute. A short *probe watch* from the cache's version tells what is missing meanwhile: the server ends it
with a bookmark, and what came before that is all that has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import msgspec

from aioinformers.errors import ApiStatusError, ConnectionFailedError, ResponseError
from aioinformers.loops import Deadline
from aioinformers.transport.source import Body, Source
from aioinformers.types import version_order

__all__ = ["Followed", "pass_barrier"]

_PATIENCE: Final = 0.2
"""Seconds that a cache's own watch gets, before a probe is sent."""
_PROBE_SECONDS: Final = 3
"""What a probe asks for; a bookmark comes two seconds before its end."""
_RETRY: Final = 1.0
"""Seconds until the next attempt, at first."""
_LONGEST_DELAY: Final = 15.0
"""Seconds until the next attempt, at last."""

FAILURES: Final = (ApiStatusError, ConnectionFailedError, ResponseError)
"""What a request may end with."""


class Followed(Protocol):
    """One list that an informer follows, such as that of one namespace, as the barrier sees it."""

    @property
    def name(self) -> str:
        """What it is, for errors."""
        ...

    @property
    def source(self) -> Source:
        """Makes its requests."""
        ...

    @property
    def path(self) -> str:
        """The URL path that it lists."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """Its selectors, as query parameters."""
        ...

    @property
    def version(self) -> str:
        """The resourceVersion that the cache has reached; empty before the first sync."""
        ...

    def hurry(self) -> None:
        """Connect now, if that waits: the server has just answered."""
        ...

    async def wait_for_version(self, version: str) -> None:
        """Wait until the cache has reached a resourceVersion."""
        ...


async def pass_barrier(
    followed: Iterable[Followed],
    *,
    timeout: float | None = None,
    every: float | None = None,
    tell: Callable[[str], None] = lambda _behind: None,
) -> None:
    """Wait until caches hold everything that was written before this call.

    Cancellation closes what is open. Failed requests are made again.

    Args:
        followed: What the caches follow; at the same time for all.
        timeout: Seconds; None waits without limit.
        every: Seconds between two calls of ``tell``.
        tell: Told which are behind, and why, while it waits.

    Raises:
        TimeoutError: If that takes too long; it names those that are behind, and why.
        Exception: Whatever ``wait_for_version`` raises, as that of an informer that has ended.
    """
    passages = [_Passage(one) for one in followed]
    tasks = [asyncio.create_task(each.run(), name=f"barrier of {each.name}") for each in passages]

    def behind() -> str:
        return "; ".join(sorted(str(each) for each in passages if not each.is_passed))

    async with Deadline(timeout, lambda: f"not as new as the server within {timeout:g} s: {behind()}"):
        try:
            while waiting := [task for task in tasks if not task.done()]:
                done, _ = await asyncio.wait(waiting, timeout=every, return_when=asyncio.FIRST_EXCEPTION)
                if not done:
                    tell(behind())
                for task in tasks:
                    if task.done():
                        task.result()  # to raise what it raises
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Passage:
    """The way of one list through the barrier.

    Args:
        one: The list.

    Attributes:
        name: What it is.
        is_passed: Whether the cache holds all of it.
    """

    def __init__(self, one: Followed) -> None:
        self.name = one.name
        self.is_passed = False
        self._one = one
        self._problem = ""
        self._failures = 0

    def __str__(self) -> str:
        return f"{self.name} ({self._problem})" if self._problem else self.name

    async def run(self) -> None:
        """Wait until the cache has reached what the server has now."""
        one, wanted = self._one, await self._version_now()
        one.hurry()
        reached = asyncio.create_task(one.wait_for_version(wanted), name=f"version {wanted} of {one.name}")
        try:
            await asyncio.wait((reached,), timeout=_PATIENCE)
            while not reached.done():
                needed = await self._probe(wanted)
                if needed is not None:
                    await one.wait_for_version(needed)
                    break
                await asyncio.wait((reached,), timeout=self._delay())
            else:
                await reached
            self.is_passed = True
        finally:
            reached.cancel()
            await asyncio.gather(reached, return_exceptions=True)

    def _delay(self, problem: str = "") -> float:
        """Return the seconds until the next attempt."""
        self._problem = problem or self._problem
        self._failures += 1
        return min(_LONGEST_DELAY, _RETRY * 2.0 ** min(self._failures - 1, 10))

    async def _version_now(self) -> str:
        """Return the version at which the server would list now."""
        one = self._one
        while True:
            try:
                body = await one.source.read_json(one.path, {**one.query, "limit": "1"}, is_proof=True)
                version = _decode_list(body).metadata.resourceVersion
            except FAILURES as error:
                await asyncio.sleep(self._delay(str(error)))
            except _UNREADABLE:
                await asyncio.sleep(self._delay("the answer is no list"))
            else:
                self._failures, self._problem = 0, ""
                return version

    async def _probe(self, wanted: str) -> str | None:
        """Return the version that the cache needs in order to hold all up to another; None if that is not known."""
        one, begin = self._one, self._one.version
        if not begin:
            return None
        query = {
            **one.query,
            "watch": "true",
            "resourceVersion": begin,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_PROBE_SECONDS),
        }
        silence = one.source.settings.header_timeout
        try:
            async with (
                asyncio.timeout(_PROBE_SECONDS + silence),
                one.source.open(one.path, query, header_timeout=silence) as body,
            ):
                return await _needed(body, begin, wanted)
        except FAILURES as error:
            self._problem = str(error)
        except _UNREADABLE:
            self._problem = "a line of its watch is no event"
        except TimeoutError:
            self._problem = "its watch does not end"
        return None


async def _needed(body: Body, begin: str, wanted: str) -> str | None:
    """Return the last version in a watch that is not beyond another; None if it ends before that is certain."""
    last, rest = begin, b""
    while data := await body.read():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            event = _decode_event(line)
            version = event.object.metadata.resourceVersion
            if event.type == "ERROR":
                return None
            if version_order(version) > version_order(wanted):
                return last
            if event.type != "BOOKMARK":
                last = version
            elif version == wanted:
                return last
    return None


class _Metadata(msgspec.Struct, gc=False):
    resourceVersion: str = ""  # noqa: N815


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata


class _Event(msgspec.Struct, gc=False):
    type: str
    object: _Object


_decode_list: Final = msgspec.json.Decoder(_Object).decode
_decode_event: Final = msgspec.json.Decoder(_Event).decode
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
