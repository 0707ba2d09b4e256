"""The floor: what it costs to read the stream and do nothing with it. A contender like the others, without a cache.

Variants: ``lines`` reads as aioinformers does, which finds the lines in chunks of HTTP itself; ``aiohttp`` reads with
the HTTP library of its clients alone, and ``socket`` makes bare blocking reads, as no client can that checks what it
gets; both count events by their newlines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import socket
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from aioinformers.transport.adapter import READ_BUFFER
from aioinformers.transport.source import Body
from benchmarks.client import arguments
from benchmarks.measure import cpu, memory, peak_memory

PATH = "/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
BUFFER = 256 * 1024
PER_CHUNK = 3
"""Newlines of one event in the raw stream: after the chunk's size, at the end of the event, after the chunk."""


class Costs:
    """Sync, rest and flood, from what is counted while the stream is read."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._marks = iter([options.objects + 1, options.objects + 1 + options.events])  # a bookmark ends the sync
        self._next = next(self._marks)
        self._phase = "sync"
        self._begun = time.perf_counter(), cpu()
        self.found: dict[str, Any] = {"empty_rss": memory()}

    def is_done(self, events: int) -> bool:
        """Note that so many events were read in all; say whether that is everything."""
        if events < self._next:
            return False
        seconds, used = time.perf_counter() - self._begun[0], cpu() - self._begun[1]
        self.found |= {f"{self._phase}_seconds": seconds, f"{self._phase}_cpu": used}
        if self._phase == "event":
            return True
        self._phase, self._next = "event", next(self._marks)
        self.found |= {"rss": memory(), "rss_collected": memory(), "peak_rss": peak_memory()}
        self._begun = time.perf_counter(), cpu()
        with urllib.request.urlopen(f"{self._options.url}/flood") as answer:
            answer.read()
        return False


async def aiohttp_counts(url: str) -> AsyncIterator[int]:
    """Read with aiohttp; yield how many events there were so far."""
    events = 0
    async with aiohttp.ClientSession(read_bufsize=BUFFER) as session, session.get(url + PATH) as answer:
        while data := await answer.content.readany():
            events += data.count(b"\n")
            yield events


async def line_counts(url: str) -> AsyncIterator[int]:
    """Read lines as aioinformers does; yield how many there were so far."""
    events = 0
    async with aiohttp.ClientSession() as session, session.get(url + PATH, read_bufsize=READ_BUFFER) as answer:
        body = Body(answer)
        while received := await body.read_lines():
            if isinstance(received, bytes):
                events += received.count(b"\n")
            else:
                events += sum(len(block.spans) for block in received)
            yield events


def socket_counts(url: str) -> Iterator[int]:
    """Read from a socket; yield how many events there were so far."""
    server = urlsplit(url)
    with socket.create_connection((server.hostname, server.port)) as connection:
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {server.netloc}\r\n\r\n".encode())
        buffer = bytearray(BUFFER)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(BUFFER)
        newlines = head.partition(b"\r\n\r\n")[2].count(b"\n")
        while size := connection.recv_into(buffer):
            newlines += buffer.count(b"\n", 0, size)
            yield newlines // PER_CHUNK


async def read_with_aiohttp(options: argparse.Namespace, counts: Callable[[str], AsyncIterator[int]]) -> dict[str, Any]:
    costs = Costs(options)
    async for events in counts(options.url):
        if costs.is_done(events):
            break
    return costs.found | {"version": f"aiohttp {version('aiohttp')}, Python {platform.python_version()}"}


def read_with_socket(options: argparse.Namespace) -> dict[str, Any]:
    costs = Costs(options)
    for events in socket_counts(options.url):
        if costs.is_done(events):
            break
    return costs.found | {"version": f"Python {platform.python_version()}"}


VARIANTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "lines": lambda options: asyncio.run(read_with_aiohttp(options, line_counts)),
    "aiohttp": lambda options: asyncio.run(read_with_aiohttp(options, aiohttp_counts)),
    "socket": read_with_socket,
}


if __name__ == "__main__":
    chosen = arguments()
    print(json.dumps(VARIANTS[chosen.variant](chosen)))
