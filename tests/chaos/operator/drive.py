"""What controllers and elections promise, tried on a real API server for minutes; the status says whether it is so.

``python -m tests.chaos.operator.drive faults`` lets faults fall on three replicas (with ``--kubernetes-asyncio``, on
that client's elector, to show that the judge finds what it is to find); ``duplicates`` counts the children that a
controller creates while watches are late; ``stale`` kills leaders whose successors' caches are late
(``--without-barrier`` shows what the judge finds then).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.operator import duplicates, faults, stale
from tests.kit.realserver import RealAPIServer, find_binaries


def main() -> None:
    parser = argparse.ArgumentParser(description="controllers and elections on a real API server")
    scenarios = parser.add_subparsers(dest="scenario", required=True)
    falling = scenarios.add_parser("faults", help="faults fall on whoever leads")
    falling.add_argument("--objects", type=int, default=200)
    falling.add_argument("--lease", help="lease duration, renew deadline, retry period, such as 15/10/2")
    falling.add_argument("--each", type=int, help="how often each kind of fault falls")
    falling.add_argument("--frozen", type=float, default=30.0, help="seconds of a SIGSTOP")
    falling.add_argument("--kubernetes-asyncio", action="store_true", help="elect with kubernetes_asyncio's own means")
    creating = scenarios.add_parser("duplicates", help="children are created while watches are late")
    creating.add_argument("--objects", type=int, default=1000)
    killing = scenarios.add_parser("stale", help="leaders are killed right after a write while watches are late")
    killing.add_argument("--pairs", type=int, default=10)
    killing.add_argument("--rounds", type=int, default=10)
    killing.add_argument("--without-barrier", action="store_true", help="the successors do not wait for their caches")
    arguments = parser.parse_args()
    carry_out = {"faults": try_faults, "duplicates": try_duplicates, "stale": try_stale}[arguments.scenario]
    if broken := carry_out(arguments):
        sys.exit("not as promised: " + "; ".join(broken))


def try_faults(arguments: argparse.Namespace) -> list[str]:
    """Let faults fall; return what is not as promised."""
    is_foreign: bool = arguments.kubernetes_asyncio
    lease = arguments.lease or ("4/3/1" if is_foreign else "3/2/0.4")
    options = ["--lease", lease, *(["--kubernetes-asyncio"] if is_foreign else [])]
    falling = [fault for fault, often in faults.FAULTS.items() for _ in range(arguments.each or often)]
    random.Random(os.getpid()).shuffle(falling)
    duration = float(lease.split("/")[0])
    report = asyncio.run(faults.run(falling, arguments.objects, options, lease=duration, frozen=arguments.frozen))
    sys.stdout.write(f"{report}\n")
    return [] if is_foreign else report.broken


def try_duplicates(arguments: argparse.Namespace) -> list[str]:
    """Let children be created; return what is not as promised."""

    async def run() -> duplicates.Report:
        async with RealAPIServer(find_binaries()) as server:
            with tempfile.TemporaryDirectory() as folder:
                return await duplicates.run(server, Path(folder), arguments.objects)

    report = asyncio.run(run())
    sys.stdout.write(f"{report}\n")
    return [f"{report.duplicates} duplicates"] if report.duplicates else []


def try_stale(arguments: argparse.Namespace) -> list[str]:
    """Kill leaders; return what is not as promised."""
    options = ["--without-barrier"] if arguments.without_barrier else []
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(stale.run(arguments.pairs, arguments.rounds, Path(folder), options))
    sys.stdout.write(f"{report}\n")
    return [f"{len(report.stale)} stale decisions"] if report.stale else []


if __name__ == "__main__":
    main()
