"""Pairs of replicas whose watches are late, of which the leader is killed right after a write (G19).

Its successor's cache does not show that write when the Lease is free. What the successor decides first must rest on it
all the same: each write counts on from what its writer saw, so that one of a stale cache is a number that has been.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.operator.cluster import Operator, Replica, create_site, gate_before, remembering_server, sites
from tests.chaos.operator.history import Write, changes, stale
from tests.conformance.rest import Rest

DELAY = 4.0
"""Seconds by which watches of objects are late: longer than a Lease lasts, or the successor would know in time."""
SITE = "site"


@dataclass
class Report:
    """What came of it.

    Attributes:
        kills: Leaders that were killed.
        decisions: First writes of their successors.
        stale: Writes by those that had not seen the one before.
    """

    kills: int
    decisions: int
    stale: list[Write]

    def __str__(self) -> str:
        return (
            f"watch late by {DELAY:g} s: {self.kills} leaders killed right after a write, {self.decisions} first "
            f"decisions of successors, {len(self.stale)} stale"
        )


async def run(pairs: int, rounds: int, folder: Path, options: Sequence[str] = ()) -> Report:
    """Kill the leaders of so many pairs so often, side by side."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(remembering_server())
        gate = await stack.enter_async_context(gate_before(server, folder, DELAY, resources=("sites",)))
        kubeconfig = server.kubeconfig(gate.url, ca_file=str(gate.ca_file))
        operators: list[Operator] = []
        for _ in range(pairs):
            rest = await stack.enter_async_context(Rest.connect(server))
            await create_site(rest, SITE)
            operators.append(await stack.enter_async_context(Operator(rest, [kubeconfig] * 2, options)))
        async with asyncio.TaskGroup() as group:
            for operator in operators:
                group.create_task(_kill(operator, rounds))
        changed = await changes(server.etcd_url)
        written = [(operator, operator.writes(changed)) for operator in operators]
    decisions = sum(len({write.replica for write in writes}) - 1 for _, writes in written)
    return Report(pairs * rounds, decisions, [write for _, writes in written for write in stale(writes)])


async def _kill(operator: Operator, rounds: int) -> None:
    """Have leaders kill themselves after a write, one after the other."""
    path = sites(operator.rest, SITE)
    for number in range(1, rounds + 1):
        await operator.warm()
        killed = await _one_killed(operator, path, number)
        successor = await operator.leader(other_than=killed.name)
        async with asyncio.timeout(60):
            while (await operator.rest.get(path)).json["status"]["by"] != successor.name:
                await asyncio.sleep(0.1)
        sys.stderr.write(f"{operator.rest.namespace}: {number} of {rounds}\n")
        if number < rounds:
            await killed.start()


async def _one_killed(operator: Operator, path: str, number: int) -> Replica:
    """Ask the leader to kill itself, and whoever leads after it if it has lost the Lease meanwhile."""
    while True:
        leader = await operator.leader()
        edited = await operator.rest.patch(path, {"spec": {"n": number, "kills": leader.name}})
        assert edited.status == 200, edited.body
        with contextlib.suppress(TimeoutError):
            if await leader.ended(4 * DELAY) == -signal.SIGKILL:
                return leader
