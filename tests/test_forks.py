"""A forked child has a copy of the cache that nobody keeps fresh, and says so. In processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

HEAD = """
import asyncio, os, sys, threading
from aioinformers import InformerClosedError, SharedInformerFactory
from aioinformers.testing import FakeAPIServer

def refused(read, *words):
    try:
        answer = read()
    except InformerClosedError as error:
        assert "was forked: its tasks run in the parent process; make a new factory in the child" in str(error), error
    else:
        raise AssertionError(f"{read} answered {answer!r}")

async def refused_later(coroutine):
    try:
        await coroutine
    except InformerClosedError as error:
        assert "was forked" in str(error), error
    else:
        raise AssertionError("it did not raise")

def check_child(factory, pods):
    lister, indexer = pods.lister, pods.indexer
    for read in (
        lister.list, lambda: list(lister), lambda: len(lister), lambda: lister.get("a", namespace="default"),
        lambda: indexer["default/a"], lambda: "default/a" in indexer, lambda: indexer.by_index("namespace", "default"),
        lambda: list(indexer), lambda: list(indexer.items()), lambda: lister.namespace("default").list(),
    ):
        refused(read)
    health = pods.health()
    assert "was forked" in health.reason and not (health.has_synced or health.is_watching or health.has_crashed), health
    assert all("was forked" in each.reason and not each.has_synced for each in health.scopes), health
    assert not (pods.has_synced or pods.is_watching or pods.is_running or pods.is_live(1e9))
    whole = factory.health()
    assert not whole.is_ready and "was forked" in whole.reason, whole
    async def handle(event): ...
    refused(lambda: pods.add_event_handler(handle))
    refused(lambda: pods.add_indexers({"node": "spec.nodeName"}))
    repr((factory, pods, lister, indexer)), pods.statistics()

async def check_waits(pods):
    await refused_later(pods.wait_for("default/a", lambda pod: True))
    await refused_later(pods.wait_synced())
    await refused_later(pods.wait_for_resource_version("1"))
    await asyncio.wait_for(pods.wait_closed(), 40)

async def fork(child):
    pid = os.fork()
    if not pid:
        try:
            child()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    while not (done := os.waitpid(pid, os.WNOHANG))[0]:
        await asyncio.sleep(0.02)
    assert done[1] == 0, "the child failed"
"""


TAIL = """
async def whole():
    async with FakeAPIServer() as server, server.api_client() as api:
        await asyncio.wait_for(main(server, api), 90)

asyncio.run(whole())
"""


def run(main: str) -> None:
    """Run a program whose ``main(server, api)`` forks."""
    command = [sys.executable, "-c", HEAD + main + TAIL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr


def test_g9_a_forked_child_does_not_pass_off_its_copy_as_the_cluster() -> None:
    """Reads, health and waits say what has happened; the parent goes on, and a new factory in the child works."""
    run("""
async def main(server, api):
    async with SharedInformerFactory(api) as factory:
        pods = factory.core.v1.pods()
        await factory.wait_for_cache_sync(timeout=40)
        server.create("pods", {"metadata": {"name": "a"}})
        await pods.wait_for("default/a", lambda pod: pod is not None, timeout=40)

        async def again():
            await check_waits(pods)
            async with server.api_client() as own, SharedInformerFactory(own) as fresh:
                mine = fresh.core.v1.pods()
                await fresh.wait_for_cache_sync(timeout=40)
                assert len(mine.lister) == 1 and mine.is_watching

        def child():
            check_child(factory, pods)
            asyncio.run(again())
            check_child(factory, pods)

        await fork(child)
        server.create("pods", {"metadata": {"name": "b"}})
        await pods.wait_for("default/b", lambda pod: pod is not None, timeout=40)
        assert len(pods.lister) == 2 and pods.is_live(60) and factory.health().is_ready
""")


def test_a_child_that_another_thread_forks_says_so_too() -> None:
    """As ``multiprocessing`` does from a worker; its loop does not even run there."""
    run("""
async def main(server, api):
    async with SharedInformerFactory(api, namespace=["one", "two"]) as factory:
        pods = factory.core.v1.pods()
        await factory.wait_for_cache_sync(timeout=40)
        await asyncio.to_thread(lambda: asyncio.run(fork(lambda: check_child(factory, pods))))
        assert pods.lister.list() == [] and pods.is_watching
""")


def test_what_a_fork_finds_before_its_start_or_after_its_end_is_left_as_it_is() -> None:
    """What has no tasks has left none behind."""
    run("""
async def main(server, api):
    async with SharedInformerFactory(api) as factory:
        ended = factory.core.v1.nodes()
    early = SharedInformerFactory(api)
    pods = early.core.v1.pods()

    def child():
        assert ended.health().reason == "closed" and pods.health().reason == "not started"
        assert "forked" not in factory.health().reason + early.health().reason
        pods.add_indexers({"node": "spec.nodeName"})

    await fork(child)
    async with early:
        await early.wait_for_cache_sync(timeout=40)
        assert pods.lister.list() == [] and pods.is_watching
""")
