"""A program ends as its signals say, in every phase of its life: tried in real processes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from aioinformers.controllers import run
from tests.kit import free_port

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import asyncio, sys, time
from aioinformers.controllers import run
from aioinformers.coordination.watchdog import hard_fence_by_default

sys.modules[run.__module__].SAME = {same}

async def main():
    assert hard_fence_by_default.get()
    print("begun", flush=True)
    try:
        {body}
    finally:
        print("ending", flush=True)
        await asyncio.sleep({ending})
        print("ended", flush=True)

run(main, grace={grace})
"""


def started(body: str, *, ending: float = 0.0, grace: float = 50.0, same: float = 0.2) -> subprocess.Popen[bytes]:
    program = PROGRAM.format(body=body, ending=ending, grace=grace, same=same)
    command = [sys.executable, "-c", program]
    # Unbuffered: what has been read ahead, communicate() would not return.
    process = subprocess.Popen(command, cwd=ROOT, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


def told_by(process: subprocess.Popen[bytes]) -> tuple[str, str]:
    out, err = process.communicate(timeout=40)
    return out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_ends_it_in_order(number: signal.Signals) -> None:
    process = started("await asyncio.Event().wait()", ending=0.3)
    process.send_signal(number)
    out, err = told_by(process)
    assert (out, process.returncode) == ("ending\nended\n", 0)
    assert f"{number.name}: the program ends" in err
    assert "Traceback" not in err


def test_one_that_is_sent_twice_is_one() -> None:
    """As ``timeout`` sends it: to the process, and to the group that the process is in."""
    process = started("while True:\n            await asyncio.sleep(0)", ending=0.3, same=60)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _ = told_by(process)
    assert (out, process.returncode) == ("ending\nended\n", 0)


@pytest.mark.parametrize("body", ["await asyncio.Event().wait()", "time.sleep(100)\n        while True: pass"])
def test_the_second_one_ends_it_at_once_even_if_the_loop_is_blocked(body: str) -> None:
    process = started(body, ending=100)
    time.sleep(0.3)  # a signal just before a call that blocks is seen by Python only with the next one
    process.send_signal(signal.SIGTERM)
    time.sleep(1.0)  # by then it is another one, however busy the machine is
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    assert process.returncode == 128 + signal.SIGINT
    assert time.monotonic() - begun < 20


def test_so_does_the_end_of_the_grace() -> None:
    process = started("while True: pass", grace=0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=40)
    assert process.returncode == 128 + signal.SIGTERM


def test_an_exception_is_told_and_the_status_says_so() -> None:
    process = started("raise ValueError('no cluster')")
    out, err = told_by(process)
    assert (out, process.returncode) == ("ending\nended\n", 1)
    assert "main has failed: no cluster" in err
    assert "Traceback" in err


def test_the_end_of_main_is_the_end() -> None:
    process = started("pass")
    process.communicate(timeout=40)
    assert process.returncode == 0


def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    process = started("raise asyncio.CancelledError")
    _, err = told_by(process)
    assert process.returncode == 1
    assert "main was cancelled, although nobody has asked for the end" in err


async def with_argument(argument: int) -> None: ...


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (lambda: None, "main is awaited: declare .* with `async def`, and give the function, not its call"),
        (with_argument, "main is called with nothing"),
        (None, "main must be a function, not None"),
    ],
)
def test_what_is_no_main_is_refused(main: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        run(main)


def test_nothing_of_a_program_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers of signals are what they were."""
    before = signal.getsignal(signal.SIGTERM)

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    with pytest.raises(SystemExit) as ended:
        run(main, logging=False, grace=None)
    assert ended.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before


WITH_STATUS = """
import asyncio
from aioinformers import SharedInformerFactory
from aioinformers.controllers import run
from aioinformers.testing import FakeAPIServer

async def main():
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        factory.core.v1.pods()
        await factory.wait_for_cache_sync(timeout=40)
        print("begun", flush=True)
        await asyncio.Event().wait()

run(main, status="127.0.0.1:{port}")
"""


def test_a_program_can_be_seen_while_it_runs() -> None:
    port = free_port()
    command = [sys.executable, "-c", WITH_STATUS.format(port=port)]
    process = subprocess.Popen(command, cwd=ROOT, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/statusz", timeout=40) as answer:
        said = answer.read()
    process.send_signal(signal.SIGTERM)
    out, err = told_by(process)
    assert (out, process.returncode) == ("", 0), err
    assert re.search(rb"pods\.v1: .*, 0 objects", said)


def test_a_place_that_is_taken_ends_the_program_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", WITH_STATUS.format(port=port)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=40, check=False)
    assert ended.returncode == 1
    assert f"the status cannot be served at 127.0.0.1:{port}" in ended.stderr


@pytest.mark.parametrize("status", ["8080", "localhost", "localhost:", "localhost:http", "::1:80000", "::1:80", 8080])
def test_what_is_no_place_is_refused(status: Any) -> None:
    async def main() -> None: ...

    with pytest.raises(ValueError, match="status is host:port, such as"):
        run(main, status=status)
