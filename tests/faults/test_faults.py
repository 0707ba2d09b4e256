"""Every fault of the table: the informer recovers, or says why not, and is right afterwards."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from kubernetes_asyncio import client

from aioinformers import Settings, SharedInformerFactory
from tests.faults.scene import Case, Scene, do, staged
from tests.faults.table import CASES
from tests.kit import cached

pytestmark = pytest.mark.virtual_time

BACKED_OFF = 60.0
"""Seconds after which delays have grown to their bound."""
REQUESTS_PER_TRY = 3
"""A watch that is refused, its list that is refused too, and the list of the most recent state; 401 asks twice."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
async def test_g1_g5_g9_g10_fault(case: Case) -> None:
    async with staged(case) as (scene, url):
        async with client.ApiClient(client.Configuration(host=url)) as api:
            scene.api = api
            factory = SharedInformerFactory(api, settings=case.settings, on_watch_error=scene.failures.append)
            scene.follow(factory)
            try:
                await play(case, scene, factory)
            finally:
                await factory.shutdown(grace=1)
        await asyncio.sleep(2)
        assert scene.server.connections == 0, "a socket was left open (G10)"


async def play(case: Case, scene: Scene, factory: SharedInformerFactory) -> None:
    loop = asyncio.get_running_loop()
    if case.at_start:
        await do(case.inject, scene)
        await factory.start()
    else:
        await factory.start()
        await factory.wait_for_cache_sync(timeout=30)
        await asyncio.sleep(2)
        await do(case.inject, scene)
    begin = loop.time()
    said = scene.said()
    for second in range(int(case.lasts)):
        if second in (1, int(case.lasts) // 2) and not case.is_quiet:
            scene.write()
        await asyncio.sleep(1)
        said |= scene.said()
    if not (scene.is_right() or case.is_silent):
        assert any(informer.health().reason for informer in scene.informers), "wrong, and says nothing of it"
    assert case.says in " | ".join(sorted(said)), f"never said {case.says!r}, but {sorted(said)}"
    assert scene.hits or not scene.is_armed, "no request has met the fault"
    check_rate(scene, begin, begin + case.lasts)
    check_schedule(scene, begin, begin + case.lasts)
    check_handlers(scene, is_right=False)
    if case.within is None:
        return
    await scene.heal()
    scene.write()
    await recovered(scene, case.within)
    scene.write()
    await asyncio.sleep(1)
    assert scene.differences() == [], "deaf after its recovery"
    check_handlers(scene, is_right=True)


async def recovered(scene: Scene, within: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not scene.is_well():
        health = [informer.health() for informer in scene.informers]
        assert loop.time() < end, f"not recovered after {within:g} s: {scene.differences()}, {health}"
        await asyncio.sleep(min(1.0, end - loop.time()))


def requests_of(scene: Scene, begin: float, end: float) -> dict[str, list[float]]:
    """Return the times of requests by path, which is one per scope."""
    times: dict[str, list[float]] = defaultdict(list)
    for request in scene.server.requests:
        if begin <= request.time <= end:
            times[request.path].append(request.time)
    return times


def check_rate(scene: Scene, begin: float, end: float) -> None:
    """Fewer than ten requests a minute and scope, once backed off (G9)."""
    for path, moments in requests_of(scene, begin + BACKED_OFF, end).items():
        busiest = max(sum(first <= time < first + 60 for time in moments) for first in moments)
        assert busiest < 10, f"{busiest} requests a minute of {path}"


def check_schedule(scene: Scene, begin: float, end: float) -> None:
    """From the first second of a fault on: no more tries than the growing delays allow by then (G9)."""
    for path, moments in requests_of(scene, begin, end).items():
        for number, moment in enumerate(moments, 1):
            allowed = REQUESTS_PER_TRY * (tries(scene.case.settings, moment - begin) + 1)
            assert number <= allowed, f"{number} requests of {path} within {moment - begin:g} s, not {allowed}"


def tries(settings: Settings, seconds: float) -> int:
    """Return how many tries the delays without jitter allow in a time, with one at its begin."""
    count, delay = 1, settings.backoff_initial
    while (seconds := seconds - delay) > -1e-6:
        count, delay = count + 1, min(delay * settings.backoff_factor, settings.backoff_max)
    return count


def check_handlers(scene: Scene, *, is_right: bool) -> None:
    """What handlers were told ends where the cache does, and nothing impossible was among it (G5, G8)."""
    for recorder, informer in zip(scene.recorders, scene.informers, strict=True):
        assert recorder.problems == []
        if is_right:
            assert recorder.state == cached(informer)
