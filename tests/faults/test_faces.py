"""Every fault that lasts is named by every face, and each of them names the same true cause."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory
from aioinformers.integrations.page.document import document
from aioinformers.integrations.probes import ready
from aioinformers.integrations.snapshot import Snapshot, Verdict, snapshot
from aioinformers.integrations.text import probe_text, statusz
from tests.faults.momentary import MOMENTARY
from tests.faults.scene import Case, Scene, do, staged
from tests.faults.table import CASES


def status_json(seen: Snapshot) -> str:
    return str(json.loads(msgspec.json.encode(seen, enc_hook=str))["reason"])


def page(seen: Snapshot) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", document(seen)))


ALL: Final = range(10**9)
"""Numbers of factories: all of them have been ready."""

FACES: Final[dict[str, Callable[[Snapshot], str]]] = {
    "snapshot": lambda seen: seen.reason,
    "statusz": statusz,
    "status.json": status_json,
    "page": page,
    "readyz?verbose": lambda seen: probe_text(ready(seen, have_been=ALL), is_verbose=True, has_reasons=True),
}
"""What a person is shown of a snapshot."""

WORDS: Final = {
    "lists claim to be gzip and are not": "cannot be decompressed",
    "watches claim to be gzip and are not": "cannot be decompressed",
    "lists come in an encoding that was not asked for": "compressed in a way that was not asked for",
    "watches come in an encoding that was not asked for": "compressed in a way that was not asked for",
    "all connections are reset every five seconds": "connection broke",
}
"""The causes that the table leaves open."""

SAID: Final = [title for titles in MOMENTARY.values() for title in titles]
LASTING: Final = [case for case in CASES if case.title not in SAID]
PASSING: Final = [case for case in CASES if case.title in SAID]

HELD: Final = 5
"""Seconds for which a lasting fault is named without a break."""


def test_no_fault_is_forgotten() -> None:
    """Each one is named below, by a word of the table or of this file, or is momentary, with the reason."""
    assert sorted(SAID) == sorted({case.title for case in PASSING})
    assert [case.title for case in LASTING if not word_of(case)] == []
    assert WORDS.keys() <= {case.title for case in LASTING if not case.says}
    assert len(LASTING) > 100


def word_of(case: Case) -> str:
    return case.says or WORDS.get(case.title, "")


@asynccontextmanager
async def suffering(case: Case) -> AsyncIterator[tuple[Scene, SharedInformerFactory]]:
    """Give a program in which a fault has just begun."""
    async with staged(case) as (scene, url), client.ApiClient(client.Configuration(host=url)) as api:
        scene.api = api
        factory = SharedInformerFactory(api, settings=case.settings, on_watch_error=scene.failures.append)
        scene.follow(factory)
        try:
            if case.at_start:
                await do(case.inject, scene)
            await factory.start()
            if not case.at_start:
                await factory.wait_for_cache_sync(timeout=30)
                await asyncio.sleep(2)
                await do(case.inject, scene)
            yield scene, factory
        finally:
            await scene.heal()
            await factory.shutdown(grace=0)


async def pass_second(scene: Scene, number: int) -> None:
    """Let a second of the fault pass, the second one with a change of the cluster."""
    if number == 1 and not scene.case.is_quiet:
        scene.write()
    await asyncio.sleep(1)


@pytest.mark.virtual_time
@pytest.mark.parametrize("case", LASTING, ids=lambda case: case.title)
async def test_every_face_names_the_cause_of_a_fault_that_lasts(case: Case) -> None:
    word, held = word_of(case), 0
    async with suffering(case) as (scene, factory):
        for second in range(int(case.lasts)):
            await pass_second(scene, second)
            healths = [informer.health() for informer in scene.informers]
            held = held + 1 if any(word in health.reason for health in healths) else 0
            if held:
                seen = snapshot(factory)
                assert seen.verdict in (Verdict.DEGRADED, Verdict.SYNCING)
                assert word in factory.health().reason
                shown = {name: face(seen) for name, face in FACES.items()}
                assert {name for name, text in shown.items() if word not in text} == set()
                for health in healths:  # in the same words, of each informer
                    assert {name for name, text in shown.items() if health.reason not in text} == set()
            if held == HELD:
                return
    pytest.fail(f"never said {word!r} for {HELD} s")


@pytest.mark.virtual_time
@pytest.mark.parametrize("case", PASSING, ids=lambda case: case.title)
async def test_a_fault_that_is_said_to_be_momentary_is_one(case: Case) -> None:
    """It has been met, it goes on, and nothing need be said of it any more."""
    said: set[str] = set()
    async with suffering(case) as (scene, factory):
        for second in range(int(case.lasts)):
            await pass_second(scene, second)
            said |= scene.said()
            has_come = second >= 2 and case.says in " | ".join(said) and (scene.hits or not scene.is_armed)
            if has_come and snapshot(factory).verdict is Verdict.LIVE:
                return
    pytest.fail(f"said {snapshot(factory)}")
