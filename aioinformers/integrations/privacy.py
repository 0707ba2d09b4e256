"""A snapshot without the names of objects. Pure.

What a program does is shown to whoever debugs it; which objects there are is another matter, as their names may be
those of customers. Errors that user code has raised may hold names, too: what kind of error it was remains.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aioinformers.integrations.snapshot import ControllerView, InformerView, Snapshot
from aioinformers.statistics import InformerStatistics
from aioinformers.types import ObjectKey

__all__ = ["HIDDEN", "without_hosts", "without_keys"]

HIDDEN: Final = ObjectKey("", "(hidden)")
"""Stands for any object."""
SOMEWHERE: Final = "(hidden)"
"""Stands for any API server."""


def without_keys(seen: Snapshot) -> Snapshot:
    """Return a snapshot that names no object."""
    crashes = {each.health.reason for each in seen.informers if each.health.has_crashed}

    def plain(text: str) -> str:
        for crash in crashes:
            text = text.replace(crash, _kind_of(crash))
        return text

    return replace(
        seen,
        reason=plain(seen.reason),
        problems=tuple(replace(each, what=plain(each.what)) for each in seen.problems),
        factories=tuple(
            replace(factory, informers=tuple(map(_informer, factory.informers))) for factory in seen.factories
        ),
        controllers=tuple(map(_controller, seen.controllers)),
        shows_keys=False,
    )


def without_hosts(seen: Snapshot) -> Snapshot:
    """Return a snapshot that does not say which API server was asked."""
    return replace(seen, requests=tuple(replace(each, host=SOMEWHERE) for each in seen.requests))


def _kind_of(crash: str) -> str:
    """Return what kind of error has ended an informer: ``crashed: KeyError``."""
    return crash.partition("(")[0]


def _informer(informer: InformerView) -> InformerView:
    if informer.health.has_crashed:
        scopes = tuple(replace(each, reason=_kind_of(each.reason)) for each in informer.health.scopes)
        health = replace(informer.health, reason=_kind_of(informer.health.reason), scopes=scopes)
        informer = replace(informer, health=health)
    statistics = informer.statistics
    if not statistics.rejected and not any(each.busy_keys for each in statistics.consumers.values()):
        return informer
    return replace(informer, statistics=_statistics(statistics))


def _statistics(statistics: InformerStatistics) -> InformerStatistics:
    rejected = {f"{HIDDEN} {number}": why for number, why in enumerate(statistics.rejected.values(), 1)}
    consumers = {
        name: replace(each, busy_keys=tuple(replace(key, key=HIDDEN) for key in each.busy_keys))
        for name, each in statistics.consumers.items()
    }
    return replace(statistics, rejected=rejected, consumers=consumers)


def _controller(controller: ControllerView) -> ControllerView:
    statistics = controller.statistics
    if statistics is not None:
        statistics = replace(statistics, busy=tuple(replace(run, key=HIDDEN) for run in statistics.busy))
    failing = tuple(replace(each, key=HIDDEN, error=each.error.partition(":")[0]) for each in controller.failing)
    return replace(controller, statistics=statistics, failing=failing)
