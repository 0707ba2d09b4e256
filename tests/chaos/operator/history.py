"""What etcd remembers of an election and of the objects that the elected have written, and the judge of it.

etcd's revisions are the order in which things became true, whatever clocks, networks and processes did meanwhile.
"""

from __future__ import annotations

import base64
import bisect
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

END = "/registry~"
"""A key behind all of the API server's, whose writing is the end of what is read."""


@dataclass(frozen=True)
class Change:
    """One change of a key.

    Attributes:
        revision: When, in etcd's order.
        key: Of what.
        value: What it has become; empty if it is gone.
    """

    revision: int
    key: str
    value: bytes


@dataclass(frozen=True)
class Write:
    """A write of a replica.

    Attributes:
        revision: When.
        key: The object.
        replica: Who says to have written it.
        count: One more than its writer saw before.
        at: Wall time of its writer, just before.
    """

    revision: int
    key: str
    replica: str
    count: int = 0
    at: float = 0.0


@dataclass(frozen=True)
class Late:
    """A write that came too late.

    Attributes:
        write: The write.
        successor: Who had written before, in a later term.
        since: When that was, for the first time.
    """

    write: Write
    successor: str
    since: int


async def changes(etcd: str) -> list[Change]:
    """Return all changes of the API server's keys up to now."""
    watch = {"create_request": {"key": _encoded("/registry/"), "range_end": _encoded(END + "~"), "start_revision": "1"}}
    found: list[Change] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=30), read_bufsize=2**24) as session:
        async with session.post(f"{etcd}/v3/kv/put", json={"key": _encoded(END)}) as response:
            end = int((await response.json(content_type=None))["header"]["revision"])
        async with session.post(f"{etcd}/v3/watch", json=watch) as response:
            response.raise_for_status()
            while not found or found[-1].revision < end:
                result = json.loads(await response.content.readline())["result"]
                assert "compact_revision" not in result, "etcd has forgotten: start it with a compaction interval of 0"
                for event in result.get("events", ()):
                    pair = event["kv"]
                    key, value = base64.b64decode(pair["key"]).decode(), base64.b64decode(pair.get("value", ""))
                    found.append(Change(int(pair["mod_revision"]), key, value))
            response.close()
    return [change for change in found if change.revision < end]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def acquisitions(changed: Iterable[Change], replicas: Iterable[str]) -> list[tuple[int, str]]:
    """Return the beginnings of all terms in order, as revisions and holders.

    Leases are stored in a binary form, in which the holder's name stands as it is. One name may be the beginning of
    another.
    """
    names, terms, holder = sorted(replicas, key=len, reverse=True), list[tuple[int, str]](), ""
    for change in changed:
        now = next((name for name in names if name.encode() in change.value), "")
        if now and now != holder:
            terms.append((change.revision, now))
        holder = now
    return terms


def writes(changed: Iterable[Change]) -> list[Write]:
    """Return the writes of replicas, each of which leaves its name in the object's status."""
    found: list[Write] = []
    before: dict[str, Any] = {}
    for change in changed:
        status = (json.loads(change.value) if change.value else {}).get("status")
        if status and status != before.get(change.key):
            count, at = status.get("count", 0), status.get("at", 0.0)
            found.append(Write(change.revision, change.key, status["by"], count, at))
        before[change.key] = status
    return found


def late(terms: Sequence[tuple[int, str]], written: Iterable[Write]) -> list[Late]:
    """Return the writes of replicas for a key after their successor's first one for it.

    Args:
        terms: The beginnings of all terms, in order.
        written: All writes, in order.
    """
    found: list[Late] = []
    by_key: dict[str, list[tuple[int, Write]]] = defaultdict(list)
    began = [revision for revision, _ in terms]
    for write in written:
        # A write belongs to its replica's last term that had begun.
        last = bisect.bisect_right(began, write.revision) - 1
        term = next((number for number in range(last, -1, -1) if terms[number][1] == write.replica), -1)
        if other := next((other for number, other in by_key[write.key] if number > term), None):
            found.append(Late(write, other.replica, other.revision))
        by_key[write.key].append((term, write))
    return found


def stale(written: Iterable[Write]) -> list[Write]:
    """Return the writes, in order, of those that had not seen the write before theirs: they count no further."""
    found: list[Write] = []
    before: dict[str, int] = defaultdict(int)
    for write in written:
        if write.count <= before[write.key]:
            found.append(write)
        before[write.key] = max(before[write.key], write.count)
    return found
