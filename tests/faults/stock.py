"""What kubernetes_asyncio's ``Watch`` does under the same faults, run in virtual time: no opinion, an observation."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from kubernetes_asyncio import client, watch

from aioinformers.testing import Fault, RequestInfo
from tests.faults.scene import Case, Scene, do, staged
from tests.kit import stored

__all__ = ["observe"]

STORM = 300
"""Requests within one virtual second that are called a storm."""


class Follower:
    """Keeps a cache the way the documentation of ``Watch`` suggests: a loop over its events."""

    def __init__(self, url: str) -> None:
        self.cache: dict[str, tuple[str, str]] = {}
        self.text = 0
        self.events = 0
        self._url = url

    async def run(self) -> None:
        """Follow until something is raised."""
        configuration = client.Configuration(host=self._url)
        async with client.ApiClient(configuration) as api, watch.Watch() as stream:
            async for event in stream.stream(client.CoreV1Api(api).list_config_map_for_all_namespaces):
                self.take(event)

    def take(self, event: Any) -> None:
        """Apply an event."""
        if not isinstance(event, dict):
            self.text += 1
            return
        self.events += 1
        meta = event["object"].metadata
        key = f"{meta.namespace}/{meta.name}"
        if event["type"] == "DELETED":
            self.cache.pop(key, None)
        elif event["type"] in ("ADDED", "MODIFIED"):
            self.cache[key] = (meta.uid, meta.resource_version)


class Alarm:
    """Ends a task that asks without pause: virtual time would stand still for ever."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.has_rung = False
        self._task = task
        self._times: list[float] = []

    def __call__(self, request: RequestInfo) -> Fault | None:
        self._times = [*(time for time in self._times if time > request.time - 1), request.time]
        if len(self._times) > STORM and not self.has_rung:
            self.has_rung = True
            self._task.cancel()
        return None


async def observe(case: Case) -> str:
    """Return in words what ``Watch`` does under a fault."""
    if not case.concerns_stock:
        return "–"
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    async with staged(case) as (scene, url):
        follower = Follower(url)
        if case.at_start:
            await do(case.inject, scene)
        task = asyncio.create_task(follower.run())
        alarm = Alarm(task)
        scene.server.faults.insert(0, alarm)
        if not case.at_start:
            await asyncio.sleep(2)
            await do(case.inject, scene)
        await last(case, scene, task)
        during = follower.events
        was_wrong = not task.done() and follower.cache != stored(scene.server, scene.plural)
        await scene.heal()
        scene.server.faults.insert(0, alarm)
        scene.write()
        await asyncio.wait([task], timeout=case.within)
        scene.write()
        await asyncio.wait([task], timeout=2)
        try:
            said = verdict(scene, follower, task, alarm, is_deaf=follower.events == during)
            is_silent = was_wrong and said.startswith(("ends", "recovers"))
            return f"wrong meanwhile and says nothing; then {said}" if is_silent else said
        finally:
            task.cancel()
            await asyncio.wait([task])


async def last(case: Case, scene: Scene, task: asyncio.Task[None]) -> None:
    for second in range(int(case.lasts)):
        if second in (1, int(case.lasts) // 2) and not case.is_quiet:
            scene.write()
        await asyncio.wait([task], timeout=1)
        if task.done():
            return


def verdict(scene: Scene, follower: Follower, task: asyncio.Task[None], alarm: Alarm, *, is_deaf: bool) -> str:
    """Put what was seen into words."""
    text = f", hands out {min(follower.text, 999)} lines of text as events" if follower.text else ""
    if alarm.has_rung:
        return f"asks without pause: {STORM} requests in less than a second{text}"
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        status = f"({error.status})" if isinstance(error, client.ApiException) else ""
        return f"ends: `{type(error).__name__}{status}`{text}"
    if task.done():
        return f"ends without a word{text}"
    if scene.is_armed and not scene.hits:
        return "–"
    if follower.cache == stored(scene.server, scene.plural):
        return f"recovers{text}"
    return f"deaf{text}" if is_deaf else f"goes on with a wrong cache{text}"
