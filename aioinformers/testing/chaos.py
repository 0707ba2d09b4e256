"""A proxy that disturbs connections between a client and any server, with or without TLS."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from aioinformers.checks import require_number, shown, suggestion

__all__ = ["ChaosProxy"]

_READ_SIZE = 64 * 1024
_ATTRIBUTES = ("delay", "rate", "split", "refuse", "accepted")


class ChaosProxy:
    """Forwards TCP connections on a loopback port to one server, and simulates faults of the network.

    It does not interpret the bytes, so it works with and without TLS::

        async with ChaosProxy(server.url) as proxy:
            configuration.host = proxy.url
            ...
            proxy.freeze()      # half-open: connections stay open, but nothing arrives any more
            proxy.cut()         # reset every connection
            proxy.refuse = True # and refuse new ones

    The attributes may be changed at any time, and also apply to open connections; values that cannot be are refused.

    Args:
        upstream: URL of the server, such as ``https://127.0.0.1:6443``.
        rng: Source of the sizes of pieces; a seeded one makes runs repeatable.

    Attributes:
        delay: Seconds by which each piece of data is delayed, in both directions.
        rate: Bytes per second and direction; None for no limit.
        split: Largest size in bytes of the pieces, of random size, that data is forwarded in; None for no splitting.
        refuse: Whether new connections are reset at once.
        accepted: Number of connections accepted so far.

    Raises:
        TypeError: If an argument, or what an attribute is set to, is of another type.
        ValueError: If ``upstream`` is not a URL with a host, or a number cannot be.
        AttributeError: If an attribute is set that there is not.
    """

    def __init__(self, upstream: str, *, rng: random.Random | None = None) -> None:
        if not isinstance(upstream, str):
            raise TypeError(f"upstream is the URL of a server, such as server.url, not {shown(upstream)}")
        parts = urlsplit(upstream)
        if parts.hostname is None:
            raise ValueError(f"{upstream!r} is not the URL of a server")
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._rng = rng or random.Random()
        self.delay: float = 0.0
        self.rate: float | None = None
        self.split: int | None = None
        self.refuse = False
        self.accepted: int = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name.startswith("_") or name in _ATTRIBUTES):
            raise AttributeError(f"a ChaosProxy has no attribute {name!r}: {suggestion(name, _ATTRIBUTES)}")
        _check(name, value)
        super().__setattr__(name, value)

    async def __aenter__(self) -> Self:
        """Start listening on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the port and every connection."""
        assert self._server is not None
        self._server.close()
        links = list(self._links)
        self.cut()
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The URL that clients connect to."""
        assert self._server is not None, "the proxy has not been started"
        return f"{self._scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._links)

    def freeze(self) -> None:
        """Stop forwarding without closing connections, like a dead peer that leaves them half-open."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Continue forwarding, beginning with the data that was held back."""
        self._flowing.set()

    def cut(self, *, clean: bool = False) -> int:
        """End every open connection and return their number.

        Args:
            clean: Whether to close them in an orderly way (FIN) instead of resetting them (RST).
        """
        for writers in self._links.values():
            for writer in writers:
                if clean:
                    writer.close()
                else:
                    _reset(writer)
        return len(self._links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refuse:
            _reset(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._links[task] = [writer]
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(self._host, self._port)
            self._links[task].append(upstream_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, upstream_writer))
                group.create_task(self._forward(upstream_reader, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # one side has closed, so the other is closed too
        finally:
            for side in self._links.pop(task):
                side.close()
                with contextlib.suppress(OSError):
                    await side.wait_closed()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ_SIZE):
            while data:
                size = len(data) if self.split is None else self._rng.randint(1, self.split)
                piece, data = data[:size], data[size:]
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.rate:
                    await asyncio.sleep(len(piece) / self.rate)
                await self._flowing.wait()
                writer.write(piece)
                await writer.drain()
                if self.split is not None:
                    await asyncio.sleep(0)  # otherwise the pieces would be joined again in one system call
        raise ConnectionResetError("one side has closed")


def _check(name: str, value: Any) -> None:
    """Refuse what an attribute cannot be: connections would end by it, far from where it was set."""
    if name == "refuse" and not isinstance(value, bool):
        raise TypeError(f"refuse must be True or False, not {shown(value)}")
    if name == "delay" or (name in ("rate", "split") and value is not None):
        require_number(name, value, whole=name == "split")
        if value < 0 or (value == 0 and name != "delay"):
            limit = "0 or more" if name == "delay" else "more than 0, or None"
            raise ValueError(f"{name} must be {limit}, not {value}")


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
