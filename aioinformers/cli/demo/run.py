"""Runs ``aioinformers demo``: an embedded server, a busy cluster in it, informers that follow it, and a view."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import Iterator

from rich.console import Console

from aioinformers.cli.demo.board import Board, Verdict, View, compare
from aioinformers.cli.demo.cluster import CONFIGMAPS, DEPLOYMENTS, NODES, PODS, REPLICASETS, WIDGETS, BusyCluster
from aioinformers.cli.demo.live import LiveView
from aioinformers.cli.demo.plain import PlainView
from aioinformers.cli.problems import CommandError, explained
from aioinformers.factory import SharedInformerFactory
from aioinformers.testing import FakeAPIServer

__all__ = ["run_demo"]

_TICK = 0.1
_SYNC_TIMEOUT = 30.0
_MISHAP_PERIOD = 6.0
_MISHAP_MARGIN = 3.0
_CONVERGENCE_TIMEOUT = 10.0
_CANARIES = "track=canary"


async def run_demo(*, seconds: float | None, is_plain: bool, seed: int | None) -> int:
    """Run the demonstration; cancellation shuts the informers and the server down.

    Args:
        seconds: Seconds after which it ends; None for until Ctrl-C.
        is_plain: Whether to print lines even in a terminal.
        seed: Seed of the random changes; None for different changes each time.

    Returns:
        The exit code.

    Raises:
        CommandError: If a cache does not sync, or differs from the server in the end.
        BrokenPipeError: If the reader of stdout has gone.
    """
    view: View = PlainView() if is_plain or not sys.stdout.isatty() else LiveView(Console(), seconds)
    stop = asyncio.Event()
    async with FakeAPIServer(rng=random.Random(seed)) as server, server.api_client() as api_client:
        cluster = BusyCluster(server, random.Random(seed))
        cluster.build()
        board = Board()
        with explained(server.url), _stopped_by_signals(stop):
            async with SharedInformerFactory(api_client, name="demo") as factory:
                with view:
                    for resource in (PODS, REPLICASETS, DEPLOYMENTS, NODES, CONFIGMAPS, WIDGETS):
                        board.follow(factory.for_resource(resource))
                    board.follow(factory.for_resource(PODS, label_selector=_CANARIES), _CANARIES)
                    view.begin(server.url, board)
                    await _sync(factory, view, board)
                    await _live(server, cluster, view, board, stop, seconds)
                verdicts = await _converge(server, board)
        # The counts are complete only now: at the shutdown, handlers received the remaining events.
        view.summarize(board, verdicts)
    if different := [name for name, verdict in verdicts.items() if verdict.differences]:
        raise CommandError(f"caches that do not equal the server: {', '.join(different)}")
    return 0


async def _sync(factory: SharedInformerFactory, view: View, board: Board) -> None:
    wait = asyncio.create_task(factory.wait_for_cache_sync(timeout=_SYNC_TIMEOUT), name="demo: first sync")
    try:
        while not wait.done():
            view.syncing(board)
            await asyncio.wait((wait,), timeout=_TICK / 2)
        await wait
    finally:
        wait.cancel()
    view.syncing(board)


async def _live(
    server: FakeAPIServer, cluster: BusyCluster, view: View, board: Board, stop: asyncio.Event, seconds: float | None
) -> None:
    """Change the cluster and refresh the view until the time is up or ``stop`` is set."""
    now = asyncio.get_running_loop().time
    end = now() + (float("inf") if seconds is None else seconds)
    mishap, mishaps = now() + _MISHAP_PERIOD, 0
    while not stop.is_set() and now() < end:
        cluster.step()
        if mishap <= now() < end - _MISHAP_MARGIN:
            mishap, mishaps = now() + _MISHAP_PERIOD, mishaps + 1
            _break_connections(server, board, forget=mishaps % 2 == 0)
        view.refresh(board)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_TICK, max(end - now(), 0.0))):
                await stop.wait()
    view.refresh(board)


def _break_connections(server: FakeAPIServer, board: Board, *, forget: bool) -> None:
    """Reset all connections, and let the server forget its history if ``forget`` is true."""
    count = server.reset_connections()
    if forget:
        server.expire()
        board.note(f"the server resets {count} connections and forgets its history: informers must list again")
    else:
        board.note(f"the server resets {count} connections: informers go on from where they were")


async def _converge(server: FakeAPIServer, board: Board) -> dict[str, Verdict]:
    """Compare caches with the server, which no longer changes, until they are equal or the time is up."""
    deadline = asyncio.get_running_loop().time() + _CONVERGENCE_TIMEOUT
    while True:
        verdicts = {tally.name: compare(server, tally) for tally in board.tallies}
        is_equal = not any(verdict.differences for verdict in verdicts.values())
        if is_equal or asyncio.get_running_loop().time() >= deadline:
            return verdicts
        await asyncio.sleep(_TICK / 2)


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM set an event; a second one ends the process as usual."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def on_signal() -> None:
        stop.set()
        remove()

    def remove() -> None:
        for number in signals:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)

    for number in signals:
        # Not possible on Windows and outside the main thread: there Ctrl-C ends the demonstration without a summary.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        remove()
