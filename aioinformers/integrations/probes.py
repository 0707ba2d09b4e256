"""What Kubernetes' probes ask of a program, answered from a snapshot. Pure.

A broken API server makes nobody unready, or every replica of a service would leave it at once; a program that has been
ready stays so until it stops. Nothing that a restart does not mend makes it dead.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from aioinformers.integrations.snapshot import InformerView, Snapshot

__all__ = ["Check", "Probe", "live", "ready", "ready_now", "startup"]

MOST_RESTARTS: Final = 5
"""Restarts of an informer's tasks in a minute by which it is taken to be beyond help."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a probe looks at.

    Attributes:
        name: What it is.
        is_ok: Whether it is as it should be.
        reason: What is wrong, or worth knowing; empty if nothing is.
    """

    name: str
    is_ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer to a probe.

    Attributes:
        name: ``startupz``, ``readyz`` or ``livez``.
        checks: What was looked at.
    """

    name: str
    checks: tuple[Check, ...]

    @property
    def is_ok(self) -> bool:
        """Whether all is as it should be."""
        return all(check.is_ok for check in self.checks)


def startup(seen: Snapshot) -> Probe:
    """Tell whether all informers that are not optional have got a whole state."""
    return Probe("startupz", (_started(seen), *_synced(seen)))


def ready(seen: Snapshot, *, have_been: Collection[int] = (), max_stale: float | None = None) -> Probe:
    """Tell whether requests may be sent to the program.

    Args:
        seen: What it does.
        have_been: Numbers of the factories that have been ready before, and stay so whatever the API server does: only
            a bug ends that, after which reads raise.
        max_stale: Seconds since a server was last heard of, after which it is not ready all the same; None for ever.
    """
    checks = [_started(seen)]
    checks += _synced(seen, have_been)
    if max_stale is not None:
        for informer in _required(seen):
            silence = informer.health.silent_for
            is_ok = silence is None or silence <= max_stale
            reason = "" if is_ok else f"not heard of for {silence:.0f} s: {informer.health.reason}"
            checks.append(Check(f"{informer.name} is fresh", is_ok, reason))
    return Probe("readyz", tuple(checks))


def live(seen: Snapshot) -> Probe:
    """Tell whether nothing is wrong that a restart would mend: the API server is never asked about."""
    checks = [Check("the event loop answers", True)]
    for informer in _required(seen):
        health = informer.health
        reason = f"{health.restarts} of its tasks were cancelled by others within a minute" if health.restarts else ""
        is_ok = not health.has_crashed and health.restarts < MOST_RESTARTS
        checks.append(Check(informer.name, is_ok, health.reason if health.has_crashed else reason))
    for controller in seen.controllers:
        bug = "" if controller.statistics is None else controller.statistics.bug
        checks.append(Check(f"controller {controller.name}", not bug, f"ended by a bug: {bug}" if bug else ""))
    return Probe("livez", tuple(checks))


def _required(seen: Snapshot) -> list[InformerView]:
    return [informer for informer in seen.informers if not informer.is_optional]


def _started(seen: Snapshot) -> Check:
    """Tell whether there is something to be ready for: a program without informers has forgotten them."""
    name = "informers are started"
    if any(factory.is_closed for factory in seen.factories):
        return Check(name, False, "shutting down")
    if not seen.informers:
        return Check(name, False, "there is no informer: declare what the program reads before it starts")
    waiting = [factory.name for factory in seen.factories if not factory.is_started]
    return Check(name, not waiting, f"{', '.join(waiting)}: not started" if waiting else "")


def ready_now(seen: Snapshot) -> frozenset[int]:
    """Return the numbers of the factories all of whose informers, but for optional ones, have got a whole state."""
    return frozenset(
        factory.number
        for factory in seen.factories
        if factory.is_started
        and factory.informers
        and all(each.is_optional or each.health.has_synced for each in factory.informers)
    )


def _synced(seen: Snapshot, have_been: Collection[int] = ()) -> list[Check]:
    checks = []
    for factory in seen.factories:
        for informer in factory.informers:
            health = informer.health
            is_old = factory.number in have_been and not health.has_crashed
            optional = " (optional)" if informer.is_optional and not health.has_synced else ""
            is_ok = informer.is_optional or health.has_synced or is_old
            checks.append(Check(informer.name, is_ok, f"{health.reason}{optional}"))
    return checks
