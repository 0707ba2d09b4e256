"""Operators on a real kube-apiserver: faults, late watches, and the judge of the outcome, in short.

``make chaos-controllers`` and ``make chaos-stale`` are the long forms; they are strict about time, too, of which there
may be little while tests run side by side.
"""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from aioinformers.controllers.memory import WriteMemory
from aioinformers.coordination.watchdog import EXIT_STATUS
from tests.chaos.operator import duplicates, faults, stale
from tests.chaos.operator.cluster import Operator, create_site, remembering_server, sites
from tests.chaos.operator.history import changes, late
from tests.conformance.rest import Rest
from tests.kit.fixtures import real_server_with
from tests.kit.realserver import RealAPIServer

pytestmark = [pytest.mark.realserver, pytest.mark.slow]


@pytest.fixture(autouse=True)
def there_is_a_real_server() -> None:
    """Skip where there is none."""
    real_server_with().stop()


async def test_g21_no_replica_writes_after_its_successor_whatever_happens_to_it() -> None:
    """And all is done in the end."""
    report = await faults.run(["SIGSTOP", "SIGTERM", "cut", "SIGKILL"], objects=50, frozen=8)
    assert (report.late, report.unreconciled) == ([], []), str(report)
    assert report.terms >= 5
    assert report.writes >= 100
    assert report.settled <= faults.SETTLED
    for fault, seconds, first in report.by_fault():
        assert max(seconds) <= (15 if fault == "SIGTERM" else 30), str(report)
        assert max(first) < math.inf, str(report)


# -- late watches -------------------------------------------------------------------------------------------------


async def test_g20_no_child_is_created_twice_while_watches_are_late(real_server: RealAPIServer, tmp_path: Path) -> None:
    report = await duplicates.run(real_server, tmp_path, 50)
    assert (report.creates, report.duplicates) == (50, 0), str(report)
    assert report.runs >= 100


async def test_children_are_created_twice_by_who_remembers_no_writes(
    real_server: RealAPIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above has something to find."""
    monkeypatch.setattr(WriteMemory, "pending", lambda *_: [])
    report = await duplicates.run(real_server, tmp_path, 10)
    assert report.duplicates > 0


async def test_g19_who_succeeds_a_killed_leader_decides_on_what_that_wrote_last(tmp_path: Path) -> None:
    """Its own cache does not show that yet, as watches are late."""
    report = await stale.run(10, 1, tmp_path)
    assert report.stale == []
    assert report.decisions >= report.kills == 10


# -- blocked loops ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fence", ["soft", "hard"])
async def test_g21_a_handler_that_blocks_its_loop_writes_nothing_once_its_term_is_over(fence: str) -> None:
    """Another replica leads; the log names the line; with a hard fence the process ends, and without it goes on."""
    seconds = 8.0 if fence == "soft" else 1e9
    async with remembering_server() as server, Rest.connect(server) as rest:
        for name in ("a", "b"):
            await create_site(rest, name)
        async with Operator(rest, [server.kubeconfig()] * 2, ["--soft"] if fence == "soft" else []) as operator:
            await operator.warm()
            leader = await operator.leader()
            blocked = leader.name
            await rest.patch(sites(rest, "a"), {"spec": {"n": 1, "blocks": blocked, "seconds": seconds}})
            await leader.says("the event loop is blocked")
            assert "in block\n" in leader.log.read_text()
            if fence == "hard":
                assert await leader.ended(60) == EXIT_STATUS
            successor = await operator.leader(other_than=blocked)
            await rest.patch(sites(rest, "b"), {"spec": {"n": 2}})
            await reconciled(rest, "a", "b")
            if fence == "soft":
                await leader.says("nothing is reconciled here until it leads again")
                assert leader.process is not None
                assert leader.process.returncode is None
            changed = await changes(server.etcd_url)
            terms, written = operator.terms(changed), operator.writes(changed)
    until = next(revision for revision, holder in terms if holder == successor.name)
    assert late(terms, written) == []
    assert [write for write in written if write.replica == blocked and write.revision > until] == []
    assert {write.key.rpartition("/")[2] for write in written if write.replica == successor.name} == {"a", "b"}


async def reconciled(rest: Rest, *names: str) -> None:
    """Wait until objects say that their last edit was seen."""
    async with asyncio.timeout(60):
        for name in names:
            while (site := (await rest.get(sites(rest, name))).json)["spec"]["n"] != site.get("status", {}).get("n"):
                await asyncio.sleep(0.1)
