"""What ``kubernetes.informer.SharedInformer`` does under the same faults: with threads, so in real time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import kubernetes.client
from kubernetes.informer import SharedInformer

from aioinformers.testing import Fault, RequestInfo
from tests.faults.scene import Case, Scene, do, staged
from tests.kit import stored

__all__ = ["GRACE", "observe_all"]

LASTS = 8
"""Real seconds that a fault lasts here."""
GRACE = 25.0
"""Real seconds after its end within which all should be well."""
STORM = 100
"""Requests within two seconds that are called a storm: a dozen such informers share one processor here."""
AT_ONCE = 12


class Follower:
    """An informer and what is seen of it."""

    def __init__(self, url: str) -> None:
        configuration = kubernetes.client.Configuration()
        configuration.host = url
        api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
        make: Any = SharedInformer  # it is not typed
        self.informer = make(api.list_config_map_for_all_namespaces)
        for kind in ("ADDED", "MODIFIED", "DELETED"):
            self.informer.add_event_handler(kind, self._note)
        self.informer.add_event_handler("ERROR", self._note_error)
        self.events = 0
        self.errors = 0
        self.has_stormed = False
        self._times: list[float] = []

    def _note(self, obj: Any) -> None:
        self.events += 1

    def _note_error(self, error: Any) -> None:
        self.errors += 1

    def is_right(self, scene: Scene) -> bool:
        """Tell whether its cache is what the server has."""
        found = {}
        for obj in self.informer.cache.list():
            meta = getattr(obj, "metadata", None)  # it keeps whatever it is given
            if meta is None:
                return False
            found[f"{meta.namespace}/{meta.name}"] = (meta.uid, meta.resource_version)
        return found == stored(scene.server, scene.plural)

    def alarm(self, request: RequestInfo) -> Fault | None:
        """Stop it if it asks without pause."""
        self._times = [*(time for time in self._times if time > request.time - 2), request.time]
        if len(self._times) > STORM:
            self.has_stormed = True
            self.informer._stop_event.set()
        return None


async def observe(case: Case) -> str:
    """Return in words what it does under a fault."""
    if not case.concerns_stock:
        return "–"
    async with staged(case) as (scene, url):
        follower = Follower(url)
        scene.server.faults.insert(0, follower.alarm)
        if case.at_start:
            await do(case.inject, scene)
        follower.informer.start()
        if not case.at_start:
            await asyncio.sleep(2)
            await do(case.inject, scene)
        try:
            return await watched(case, scene, follower)
        finally:
            follower.informer._stop_event.set()


async def watched(case: Case, scene: Scene, follower: Follower) -> str:
    for second in range(LASTS):
        if second in (1, LASTS // 2) and not case.is_quiet:
            scene.write()
        await asyncio.sleep(1)
    during, was_silent = follower.events, not (follower.is_right(scene) or follower.errors)
    if follower.has_stormed:
        return f"asks without pause: {STORM} requests in less than two seconds"
    await scene.heal()
    scene.server.faults.insert(0, follower.alarm)
    scene.write()
    end = asyncio.get_running_loop().time() + GRACE
    while asyncio.get_running_loop().time() < end and not (follower.is_right(scene) or follower.has_stormed):
        await asyncio.sleep(0.5)
    if follower.has_stormed:
        return f"asks without pause: {STORM} requests in less than two seconds"
    if scene.is_armed and not scene.hits:
        return "–"
    scene.write()
    await asyncio.sleep(2)
    if follower.is_right(scene):
        return "wrong meanwhile and says nothing; then recovers" if was_silent else "recovers"
    return "deaf" if follower.events == during else "goes on with a wrong cache"


async def observe_all(cases: list[Case]) -> dict[str, str]:
    """Return what it does under each fault, by title."""
    logging.disable(logging.CRITICAL)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> str:
        async with room:
            try:
                async with asyncio.timeout(180):
                    return await observe(case)
            except TimeoutError:
                return "could not be observed"

    found = await asyncio.gather(*(one(case) for case in cases))
    return {case.title: said for case, said in zip(cases, found, strict=True)}
