"""Ports on which nobody listens, for programs that have to be told theirs."""

from __future__ import annotations

import contextlib
import random
import socket

__all__ = ["free_port", "free_ports"]

BEYOND_REACH = range(20_000, 32_768)
"""Systems take none of these for somebody who names no port, as all other tests do at the same time."""


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free, and that nobody gets by chance until they are used."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            port = random.SystemRandom().choice(BEYOND_REACH)
            candidate = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                candidate.bind(("127.0.0.1", port))
                found.append(port)
        return found


def free_port() -> int:
    """Return one."""
    return free_ports(1)[0]
