"""One replica of an operator, as a program: it says in each object's status what it has seen, and who it is.

``python -m tests.chaos.operator.replica KUBECONFIG IDENTITY NAMESPACE`` elects with aioinformers; with
``--kubernetes-asyncio``, the same controller stands behind the elector of kubernetes_asyncio, as its documentation
shows it. What else the options change is for a judge to find.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any
from unittest.mock import patch

import aioinformers
from aioinformers import SharedInformerFactory
from aioinformers.controllers import Controller, Request, run
from aioinformers.coordination import LeaderElection

RESOURCE = "sites.v1.chaos.example.com"
LEASE = "op"
WORK = 0.15
"""Seconds that a call takes, in the middle of which faults are to fall."""
WARM = "its cache is warm"
"""What it says once it could lead."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="a replica of an operator that does what its objects ask for")
    parser.add_argument("kubeconfig")
    parser.add_argument("identity")
    parser.add_argument("namespace")
    parser.add_argument("--lease", default="3/2/0.4", help="lease duration, renew deadline, retry period")
    parser.add_argument("--soft", action="store_true", help="do not end a process that cannot be stopped otherwise")
    parser.add_argument("--kubernetes-asyncio", action="store_true", help="elect with kubernetes_asyncio's own means")
    parser.add_argument("--without-barrier", action="store_true", help="lead at once, whatever the cache holds")
    return parser.parse_args()


def block(seconds: float) -> None:
    """Let nothing else run."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


async def main() -> None:
    given = arguments()
    async with aioinformers.connect(given.kubeconfig) as api:
        factory = SharedInformerFactory(api, namespace=given.namespace)

        async def reconcile(request: Request[dict[str, Any]]) -> None:
            spec, before = request.object["spec"], request.object.get("status", {})
            await asyncio.sleep(WORK)
            if spec.get("blocks") == given.identity:
                block(spec["seconds"])
            count = before.get("count", 0) + 1
            await request.patch_status({"n": spec["n"], "count": count, "by": given.identity, "at": time.time()})
            if spec.get("kills") == given.identity:
                os.kill(os.getpid(), signal.SIGKILL)

        controller = Controller(factory.for_resource(RESOURCE), reconcile=reconcile)
        if given.kubernetes_asyncio:
            async with factory:
                await say_when_warm(factory)
                await elect_with_kubernetes_asyncio(api, given, controller)
            return
        if given.without_barrier:
            patch("aioinformers.controllers.engine.pass_barrier", pass_no_barrier).start()
        duration, deadline, period = map(float, given.lease.split("/"))
        election = LeaderElection(
            api, LEASE, namespace=given.namespace, identity=given.identity,
            lease_duration=duration, renew_deadline=deadline, retry_period=period,
            hard_fence=False if given.soft else None,
        )  # fmt: skip
        async with factory, controller.running(election=election):
            await say_when_warm(factory)
            await controller.wait_closed()


async def say_when_warm(factory: SharedInformerFactory) -> None:
    """Tell whoever lets faults fall that there is somebody to succeed."""
    await factory.wait_for_cache_sync()
    sys.stderr.write(f"{WARM}\n")


async def pass_no_barrier(followed: Iterable[object]) -> None:
    """Be no barrier."""


async def elect_with_kubernetes_asyncio(api: Any, given: argparse.Namespace, controller: Controller[Any]) -> None:
    """Run a controller as long as the client's own elector says."""
    from kubernetes_asyncio.leaderelection.electionconfig import Config
    from kubernetes_asyncio.leaderelection.leaderelection import LeaderElection as Elector
    from kubernetes_asyncio.leaderelection.resourcelock.leaselock import LeaseLock

    async def started() -> None:
        async with controller.running():
            await controller.wait_closed()

    async def stopped() -> None:
        sys.exit("not the leader any more")

    duration, deadline, period = map(int, given.lease.split("/"))
    config = Config(
        LeaseLock(LEASE, given.namespace, given.identity, api), lease_duration=duration, renew_deadline=deadline,
        retry_period=period, onstarted_leading=started, onstopped_leading=stopped,
    )  # fmt: skip
    await Elector(config).run()


if __name__ == "__main__":
    run(main)
