"""Factories and informers that run, and programs beside them."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import signal
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from aioinformers import Settings, SharedInformer, SharedInformerFactory

__all__ = ["LISTS", "QUICK", "child_process", "collected_warnings", "factory_on", "started", "synced", "until"]

QUICK = Settings(backoff_jitter=0.0)
"""Delays without jitter, so that tests can name instants."""
LISTS = dataclasses.replace(QUICK, watch_list=False)
"""The same with lists instead of streams of initial objects."""


@asynccontextmanager
async def factory_on(server: Any, **options: Any) -> AsyncIterator[SharedInformerFactory]:
    """Give a factory on a server that is shut down, and its client closed, at the end."""
    options.setdefault("settings", QUICK)
    async with server.api_client() as api:
        factory = SharedInformerFactory(api, **options)
        try:
            yield factory
        finally:
            await factory.shutdown(grace=0)


async def synced(factory: Any, *, timeout: float = 300, **options: Any) -> SharedInformer[Any]:
    """Start a factory with an informer of ConfigMaps, and return it once it has synced."""
    configmaps: SharedInformer[Any] = factory.for_resource("configmaps.v1.", **options)
    await factory.start()
    await factory.wait_for_cache_sync(timeout=timeout)
    return configmaps


async def started(factory: Any, *, settle: float = 2.0, **options: Any) -> SharedInformer[Any]:
    """Do the same, and let some seconds pass: a watch that is closed within its first one is suspicious."""
    configmaps = await synced(factory, **options)
    await asyncio.sleep(settle)
    return configmaps


async def until(is_met: Callable[[], bool]) -> None:
    """Wait in real time, as one has to for other processes and threads."""
    async with asyncio.timeout(60):
        while not is_met():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def child_process(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program that has ended when the block does."""
    child = await asyncio.create_subprocess_exec(*command, preexec_fn=_heed_interrupts, **options)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


def _heed_interrupts() -> None:
    """Run in a child before it starts: a shell that runs the tests in the background has SIGINT ignored for all."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def collect() -> None:
    """Let go of everything that nobody holds: newer Pythons need several rounds."""
    for _ in range(4):
        gc.collect()


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Give the texts of the ResourceWarnings of what the block lets go of."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        yield texts
        gc.collect()
    assert all(each.category is ResourceWarning for each in given), given
    texts += [str(each.message) for each in given]
