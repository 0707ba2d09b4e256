"""Three replicas of an operator, faults that fall on whoever leads, and what etcd says afterwards (G21)."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from aioinformers.testing import ChaosProxy
from tests.chaos.operator.cluster import Operator, create_site, remembering_server, sites
from tests.chaos.operator.history import Late, changes, late
from tests.chaos.operator.replica import WORK
from tests.conformance.rest import Rest
from tests.kit.realserver import RealAPIServer

FAULTS = {"SIGTERM": 10, "SIGKILL": 8, "SIGSTOP": 2, "cut": 3, "API server": 3}
"""How often each kind falls."""
REPLICAS = 3
SETTLED = 60.0
"""Seconds after the last fault within which every object has to be reconciled."""
GRACEFUL = 1.5
"""Seconds from a SIGTERM to the next term, at most."""
AFTER_LEASE = 2.0
"""Seconds from the end of a lost leader's lease to the next term, and from there to its first write."""


@dataclass
class Failover:
    """A change of leaders.

    Attributes:
        fault: Why.
        seconds: From the fault to the next term.
        leader: Whose that is.
        since: Wall time of its beginning.
        first: Seconds from there to its first write.
    """

    fault: str
    seconds: float
    leader: str
    since: float
    first: float = 0.0


@dataclass
class Report:
    """What came of it.

    Attributes:
        lease: Seconds for which a Lease is left alone that is not renewed.
        faults: How many have fallen.
        terms: Terms of leadership.
        writes: Writes of the replicas.
        late: Those that came after the successor's.
        unreconciled: Objects that were not what they should be in the end.
        settled: Seconds from the last fault until all objects were.
        failovers: Changes of leaders.
    """

    lease: float
    faults: int = 0
    terms: int = 0
    writes: int = 0
    late: list[Late] = field(default_factory=list)
    unreconciled: list[str] = field(default_factory=list)
    settled: float = 0.0
    failovers: list[Failover] = field(default_factory=list)

    def by_fault(self) -> Iterator[tuple[str, list[float], list[float]]]:
        """Give, for each kind of fault, the seconds to the next terms, and from there to their first writes."""
        for fault in dict.fromkeys(one.fault for one in self.failovers):
            found = [one for one in self.failovers if one.fault == fault]
            yield fault, [one.seconds for one in found], [one.first for one in found]

    def __str__(self) -> str:
        some = f"all objects but {len(self.unreconciled)}" if self.unreconciled else "all objects"
        lines = [
            f"{self.faults} faults, {self.terms} terms, {self.writes} writes: {len(self.late)} late",
            f"  {some} reconciled {self.settled:.1f} s after the last fault",
        ]
        lines += [
            f"  {one.write.key}: {one.write.replica} at {one.write.revision}, {one.successor} since {one.since}"
            for one in self.late[:10]
        ]
        for fault, seconds, first in self.by_fault():
            lines.append(
                f"  {fault}, {len(seconds)} times: next term {_spread(seconds)}; its first write {_spread(first)}"
            )
        return "\n".join(lines)

    @property
    def broken(self) -> list[str]:
        """What was promised and is not so."""
        found = []
        if self.late:
            found.append(f"{len(self.late)} late writes")
        if self.unreconciled or self.settled > SETTLED:
            found.append(f"not reconciled within {SETTLED:g} s: {self.unreconciled or 'some'}")
        for fault, seconds, first in self.by_fault():
            limit = GRACEFUL if fault == "SIGTERM" else self.lease + AFTER_LEASE
            if (slowest := _p99(seconds)) > limit:
                found.append(f"{fault} to the next term: {slowest:.1f} s, more than {limit:g} s")
            if (slowest := _p99(first)) > AFTER_LEASE + WORK:
                found.append(f"{fault}, the next term to its first write: {slowest:.1f} s, more than {AFTER_LEASE:g} s")
        return found


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[math.ceil(len(seconds) * 0.99) - 1]


def _spread(seconds: Sequence[float]) -> str:
    return f"after {statistics.median(seconds):.2f} s (p99 {_p99(seconds):.2f}, max {max(seconds):.2f})"


class Trial:
    """Faults, and somebody who edits objects all the time.

    Args:
        server: The server.
        operator: The replicas.
        proxies: The way of each to the server.
        lease: Seconds for which a Lease is left alone that is not renewed.
        frozen: Seconds for which a process is stopped.
        objects: How many there are.

    Attributes:
        report: What came of it so far.
        names: The objects.
        operator: The replicas.
    """

    def __init__(
        self, server: RealAPIServer, operator: Operator, proxies: Sequence[ChaosProxy], *, lease: float, frozen: float,
        objects: int,
    ) -> None:  # fmt: skip
        self.report = Report(lease)
        self.names = [f"site-{number:03}" for number in range(objects)]
        self.operator, self._server, self._proxies = operator, server, proxies
        self._rest = operator.rest
        self._lease, self._frozen = lease, frozen

    async def edit(self) -> None:
        """Edit objects at random, whatever becomes of the requests."""
        chance, number = random.Random(1), 0
        while True:
            number += 1
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._rest.patch(sites(self._rest, chance.choice(self.names)), {"spec": {"n": number}})
            await asyncio.sleep(0.02)

    async def fall(self, fault: str) -> None:
        """Let a fault fall on the leader, see that another one leads, and mend it.

        The others could lead when it falls: what is measured is how long it takes to find out, and to begin.
        """
        await self.operator.warm()
        self.report.faults += 1
        leader = await self.operator.leader()
        name, began, proxy = leader.name, time.monotonic(), self._proxies[leader.number]
        match fault:
            case "SIGTERM" | "SIGKILL":
                leader.send(signal.Signals[fault])
                await self._succeeded(fault, name, began)
                await leader.ended(30)
                await leader.start()
            case "SIGSTOP":
                leader.send(signal.SIGSTOP)
                await self._succeeded(fault, name, began)
                await asyncio.sleep(max(0.0, began + self._frozen - time.monotonic()))
                leader.send(signal.SIGCONT)
            case "cut":
                proxy.refuse = True
                proxy.cut()
                await self._succeeded(fault, name, began)
                await asyncio.sleep(max(0.0, began + 2 * self._lease + 2 - time.monotonic()))
                proxy.refuse = False
            case _:
                self._server.kill_apiserver()
                await asyncio.sleep(self._lease + 1)
                self._server.start_apiserver()
                await asyncio.to_thread(self._server.wait_ready)
                await self.operator.leader()

    async def _succeeded(self, fault: str, name: str, began: float) -> None:
        successor = await self.operator.leader(other_than=name)
        self.report.failovers.append(Failover(fault, time.monotonic() - began, successor.name, time.time()))

    async def settle(self) -> None:
        """Wait until each object says that its last edit was seen."""
        began = time.monotonic()
        while self.report.settled < 2 * SETTLED:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                found = (await self._rest.get(sites(self._rest))).json["items"]
                self.report.unreconciled = [
                    site["metadata"]["name"] for site in found if site["spec"]["n"] != site.get("status", {}).get("n")
                ]
                self.report.settled = time.monotonic() - began
                if not self.report.unreconciled:
                    return
            for replica in self.operator.replicas:
                await replica.revive()
            await asyncio.sleep(0.1)

    async def judge(self) -> None:
        """Read etcd's history."""
        changed = await changes(self._server.etcd_url)
        terms, written = self.operator.terms(changed), self.operator.writes(changed)
        report = self.report
        report.terms, report.writes, report.late = len(terms), len(written), late(terms, written)
        for failover in report.failovers:
            seconds = (one.at - failover.since for one in written if one.replica == failover.leader)
            failover.first = next((one for one in seconds if one > 0), math.inf)


@asynccontextmanager
async def trial(objects: int, options: Sequence[str], *, lease: float, frozen: float) -> AsyncIterator[Trial]:
    """Give a server with objects and replicas, of which one leads."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(remembering_server())
        rest = await stack.enter_async_context(Rest.connect(server))
        proxies = [await stack.enter_async_context(ChaosProxy(server.url)) for _ in range(REPLICAS)]
        operator = Operator(rest, [server.kubeconfig(proxy.url) for proxy in proxies], options)
        made = Trial(server, operator, proxies, lease=lease, frozen=frozen, objects=objects)
        for name in made.names:
            await create_site(rest, name)
        await stack.enter_async_context(operator)
        await operator.leader()
        yield made


async def run(
    faults: Sequence[str], objects: int, options: Sequence[str] = (), *, lease: float = 3.0, frozen: float = 30.0
) -> Report:
    """Let faults fall, one after the other, while objects are edited; return what came of it.

    Args:
        faults: Their names.
        objects: How many objects there are.
        options: Options of the replicas.
        lease: Seconds for which a Lease is left alone that is not renewed.
        frozen: Seconds for which a process is stopped.
    """
    async with trial(objects, options, lease=lease, frozen=frozen) as made:
        editing = asyncio.create_task(made.edit(), name="editor")
        await asyncio.sleep(3)
        for number, fault in enumerate(faults, 1):
            sys.stderr.write(f"{time.strftime('%X')} {number} of {len(faults)}: {fault}\n")
            await made.fall(fault)
            if number < len(faults):
                await asyncio.sleep(2)
        editing.cancel()
        await asyncio.wait([editing])
        await made.settle()
        await made.judge()
        if made.report.broken:
            sys.stderr.write(made.operator.last_words())
    return made.report
