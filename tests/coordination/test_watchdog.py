"""G21: what goes on beyond a term is found by a thread: in real time, and in real processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import pytest

from aioinformers.coordination import watchdog as module
from aioinformers.coordination.fence import Token
from aioinformers.coordination.lease import Held, LeaseClock, Verdict
from aioinformers.coordination.tenure import Guard, Tenure
from aioinformers.coordination.watchdog import EXIT_STATUS, Watchdog
from aioinformers.testing import FakeAPIServer
from tests.coordination.candidates import candidate
from tests.kit import child_process, until

SYSTEM = LeaseClock.system()


class Observed(Tenure):
    """A term that counts how often somebody has looked at it."""

    looks = 0

    def look(self) -> Verdict:
        self.looks += 1
        return super().look()

    async def looked_at(self) -> None:
        """Wait until whoever looks now has done so, and has begun anew."""
        before = self.looks
        await until(lambda: self.looks >= before + 2)


def tenure(renew_deadline: float = 0.2, lease_duration: float = 0.5, *, clock: LeaseClock = SYSTEM) -> Observed:
    """Return a term that has just begun."""
    return Observed("ops/web", Token("u", 0), clock, Held(clock.now(), clock.wall(), renew_deadline, lease_duration))


def blocked_for(seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
    """Block the event loop, as a program does that computes in it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not is_over():
        pass


def ended_by(held: Tenure) -> None:
    held.end("its time is over")


def critical(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]


async def test_g21_a_blocked_loop_is_found_and_the_log_names_the_line(caplog: pytest.LogCaptureFixture) -> None:
    held, ended = tenure(), threading.Event()
    watchdog = Watchdog(held, 0.02, lambda: None, hard_fence=True, end=ended.set)
    watchdog.start_thread()
    begin = time.monotonic()
    blocked_for(10, lambda: ended.is_set() and bool(critical(caplog)))
    assert 0.35 <= time.monotonic() - begin < 9
    watchdog.stop()
    (said,) = critical(caplog)
    assert said.startswith(
        "election ops/web: the term is over, and the event loop is blocked: the process ends. It is here:\n"
    )
    assert "in blocked_for" in said
    assert Path(__file__).name in said


async def test_g21_without_a_fence_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    held = tenure()
    watchdog = Watchdog(held, 0.02, lambda: None, hard_fence=False, end=lambda: pytest.fail("it ends"))
    watchdog.start_thread()
    blocked_for(10, lambda: bool(caplog.records))
    blocked_for(0.3)
    watchdog.stop()
    (said,) = critical(caplog)
    assert "the event loop is blocked: somebody else may be the leader by now" in said


async def test_g21_a_block_that_refuses_to_end_is_named_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    held, ended, freed = tenure(), threading.Event(), asyncio.Event()

    async def refuse() -> None:
        async with Guard(held):
            while not freed.is_set():
                with suppress(asyncio.CancelledError):
                    await freed.wait()

    task = asyncio.create_task(refuse(), name="stubborn")
    await asyncio.sleep(0)
    watchdog = Watchdog(held, 0.02, lambda: ended_by(held), hard_fence=True, end=ended.set)
    watchdog.start_thread()
    await until(lambda: ended.is_set() and bool(critical(caplog)))
    watchdog.stop()
    (said,) = critical(caplog)
    assert "the term is over (its time is over), and what it guards refuses to end: the process ends: " in said
    assert "stubborn at " in said
    assert "test_watchdog.py" in said
    freed.set()
    await task


async def test_a_term_that_is_renewed_or_has_ended_is_let_be(caplog: pytest.LogCaptureFixture) -> None:
    clock, touched = [100.0], list[str]()
    held = tenure(1.0, 1.5, clock=LeaseClock(lambda: clock[0], lambda: clock[0]))
    watchdog = Watchdog(
        held, 0.02, lambda: touched.append("over"), hard_fence=True, end=lambda: touched.append("ended")
    )
    watchdog.start_thread()
    for _ in range(4):
        clock[0] += 0.9
        await held.looked_at()
        held.held = Held(clock[0], clock[0], 1.0, 1.5)
        await held.looked_at()
    held.end("it has been given back")
    await held.looked_at()
    clock[0] += 2.0
    await held.looked_at()
    watchdog.stop()
    assert not touched
    assert not critical(caplog)


async def test_g21_a_loop_that_slept_with_the_machine_is_told_at_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its timers know nothing of that; and it is not found guilty of what it could not do."""
    monkeypatch.setattr(module, "_AGAIN", 2.0)  # it has longer to go on, as the machine may be busy
    shift, told = [0.0], asyncio.Event()
    clock = LeaseClock(lambda: SYSTEM.now() + shift[0], lambda: SYSTEM.wall() + shift[0])
    held = tenure(10, 15, clock=clock)
    watchdog = Watchdog(held, 0.02, told.set, hard_fence=False)
    watchdog.start_thread()
    shift[0] = 30.0
    async with asyncio.timeout(30):
        await told.wait()
    held.end("its time is over")
    await held.looked_at()
    watchdog.stop()
    assert not critical(caplog)


async def test_a_process_that_has_no_further_thread_is_ended_without_a_word(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, ended = tenure(), threading.Event()
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("last words"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    watchdog = Watchdog(held, 0.02, lambda: None, hard_fence=True, end=ended.set)
    watchdog.start_thread()
    await until(ended.is_set)
    watchdog.stop()
    assert not critical(caplog)


def test_a_loop_that_is_closed_has_nothing_to_end() -> None:
    """Whoever has left its election behind ends no process."""
    ended, before = threading.Event(), threading.active_count()

    async def begin() -> None:
        Watchdog(tenure(), 0.02, lambda: None, hard_fence=True, end=ended.set).start_thread()

    asyncio.run(begin())
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() == before
    assert not ended.is_set()


async def test_a_log_that_is_stuck_does_not_keep_the_process_alive() -> None:
    """The thread that is blocked may hold the very lock that the log needs."""
    held, ended, stuck = tenure(), threading.Event(), threading.Event()

    class Stuck(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stuck.wait(20)

    handler = Stuck()
    logger = logging.getLogger("aioinformers.election")
    logger.addHandler(handler)
    try:
        watchdog = Watchdog(held, 0.02, lambda: None, hard_fence=True, end=ended.set)
        watchdog.start_thread()
        await until(ended.is_set)
        watchdog.stop()
    finally:
        stuck.set()
        logger.removeHandler(handler)


@pytest.mark.virtual_time
async def test_in_virtual_time_a_timer_looks() -> None:
    loop = asyncio.get_running_loop()
    held = tenure(10, 15, clock=LeaseClock(loop.time, loop.time))
    over: list[float] = []
    ends: list[float] = []
    watchdog = Watchdog(
        held, 0.5, lambda: over.append(loop.time()), hard_fence=True, end=lambda: ends.append(loop.time())
    )
    watchdog.start_timer()
    await asyncio.sleep(12.6)
    watchdog.stop()
    await asyncio.sleep(10)
    assert over == [10.0, 10.5, 11.0, 11.5, 12.0, 12.5]
    assert ends == [12.0, 12.5]


# -- real processes -----------------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, logging, sys, time
from kubernetes_asyncio import client
from aioinformers.coordination import LeaderElection
from aioinformers.errors import NotLeadingError

logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")

async def main(url, what, hard_fence, lease, renew, retry):
    async with client.ApiClient(client.Configuration(host=url)) as api:
        election = LeaderElection(
            api, "op", namespace="default", identity="child", lease_duration=float(lease), renew_deadline=float(renew),
            retry_period=float(retry), hard_fence=hard_fence == "hard",
        )
        async with election:
            try:
                async with election.leading() as term:
                    print("leading", flush=True)
                    if what == "blocked":
                        while True:  # this very line
                            pass
                    if what == "stopped":
                        while True:
                            left = term.check()
                            print("write", time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
                            await asyncio.sleep(0.02)
            except NotLeadingError as error:
                print("lost", error, flush=True)
            again = await election.wait_leading()
            print("again", again.token.number, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


ROOT = Path(__file__).resolve().parents[2]
TIMES: dict[str, Any] = {"lease_duration": 1.5, "renew_deadline": 1.0, "retry_period": 0.2}


def running(
    folder: Path, *given: str, times: dict[str, Any] = TIMES
) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """Run the program above."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe, arguments = asyncio.subprocess.PIPE, (*given, *map(str, times.values()))
    return child_process(sys.executable, str(program), *arguments, stdout=pipe, stderr=pipe, env=environment)


@pytest.mark.slow
async def test_g21_a_process_whose_loop_is_blocked_ends_before_others_lead(tmp_path: Path) -> None:
    times: dict[str, Any] = {"lease_duration": 5.0, "renew_deadline": 3.0, "retry_period": 0.5}
    async with FakeAPIServer() as server, running(tmp_path, server.url, "blocked", "hard", times=times) as child:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"leading\n"
        async with candidate(server, "b", **times) as b:
            assert await child.wait() == EXIT_STATUS
            assert not b.is_leading
            await b.wait_leading(timeout=60)
        assert child.stderr is not None
        said = (await child.stderr.read()).decode()
        assert "CRITICAL election default/op: the term is over, and the event loop is blocked: the process" in said
        assert "program.py" in said
        assert "while True:  # this very line" in said or "\n    pass\n" in said


async def test_g21_a_process_whose_loop_is_blocked_is_named_where_it_may_not_be_ended(tmp_path: Path) -> None:
    async with FakeAPIServer() as server, running(tmp_path, server.url, "blocked", "soft") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert await child.stdout.readline() == b"leading\n"
        async with asyncio.timeout(60):
            while b"the event loop is blocked: somebody else may be" not in await child.stderr.readline():
                pass
        assert child.returncode is None


@pytest.mark.parametrize("fence", ["soft", "hard"])
async def test_g21_a_process_that_was_stopped_writes_nothing_after_its_term(fence: str, tmp_path: Path) -> None:
    """Its clock counts the time for which it was stopped."""
    async with FakeAPIServer() as server, running(tmp_path, server.url, "stopped", fence) as child:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"leading\n"
        async with candidate(server, "b", **TIMES) as b:
            child.send_signal(signal.SIGSTOP)
            await b.wait_leading(timeout=60)
            gained = SYSTEM.now()
            child.send_signal(signal.SIGCONT)
            lines: list[bytes] = []
            async with asyncio.timeout(60):
                while (line := await child.stdout.readline()) and not line.startswith(b"lost"):
                    lines.append(line)
        writes = [float(line.split()[1]) for line in lines if line.startswith(b"write")]
        assert all(moment < gained for moment in writes), (gained, writes[-1])
        if fence == "soft":
            assert line.startswith(b"lost not the leader of default/op")
            assert await child.stdout.readline() == b"again 2\n"
            assert await child.wait() == 0
        else:  # whoever comes first, the thread or the loop
            assert await child.wait() in (0, EXIT_STATUS)
