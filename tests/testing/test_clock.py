"""Virtual time: exact, fast, and patient with sockets and threads."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from aioinformers.testing import VirtualTimeLoop, run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


def test_ten_idle_minutes_take_no_time() -> None:
    """A sleep costs nothing but its callbacks."""

    async def main() -> float:
        await asyncio.sleep(600)
        return now()

    took = []
    for _ in range(5):  # the best of several, as the machine may be busy
        started = time.perf_counter()
        assert run_virtual(main()) == 600.0
        took.append(time.perf_counter() - started)
    assert min(took) < 0.5


def test_instants_are_exact() -> None:
    """Sums of decimal fractions do not drift, and ten seconds are ten seconds."""

    async def main() -> list[float]:
        instants = []
        for _ in range(1000):
            await asyncio.sleep(0.1)
        instants.append(now())
        await asyncio.sleep(10)
        instants.append(now())
        await asyncio.sleep(1e-6)
        instants.append(now())
        return instants

    assert run_virtual(main()) == [100.0, 110.0, 110.000001]


def test_order_is_by_time() -> None:
    """Timers fire in order, each at its own instant; those of one instant in the order they were set."""

    async def main() -> list[tuple[str, float]]:
        fired: list[tuple[str, float]] = []

        async def wait(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append((name, now()))

        async with asyncio.TaskGroup() as group:
            for name, seconds in (("c", 3.0), ("a", 1.0), ("d", 86400.0 * 30), ("b", 1.0)):
                group.create_task(wait(name, seconds))
        return fired

    assert run_virtual(main()) == [("a", 1.0), ("b", 1.0), ("c", 3.0), ("d", 86400.0 * 30)]


def test_time_stands_still_while_work_is_ready() -> None:
    """Only idleness lets time pass."""

    async def main() -> float:
        asyncio.get_running_loop().call_later(1.0, lambda: None)
        for _ in range(1000):
            await asyncio.sleep(0)
        return now()

    assert run_virtual(main()) == 0.0


def test_timeouts() -> None:
    """asyncio.timeout is exact, and a cancelled timer moves nothing."""

    async def main() -> float:
        async with asyncio.timeout(50):
            await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return now()

    assert run_virtual(main()) == 6.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def with_echo(body: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]) -> Any:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            return await body(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()


def test_sockets_need_no_time() -> None:
    """Bytes to a peer in the same loop arrive in the instant they were sent, however near the next timer."""

    async def body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
        for number in range(200):
            async with asyncio.timeout(1e-6):
                writer.write(b"%d\n" % number)
                assert await reader.readline() == b"%d\n" % number
        await asyncio.sleep(1)
        return now()

    assert run_virtual(with_echo(body)) == 1.0


def test_sockets_that_are_ready_together_take_turns_by_number() -> None:
    """Whichever was first: that depends on real time."""

    async def main() -> tuple[list[int], list[int]]:
        loop, order = asyncio.get_running_loop(), list[int]()
        with contextlib.ExitStack() as stack:
            pairs = [[stack.enter_context(end) for end in socket.socketpair()] for _ in range(5)]
            numbers = [reader.fileno() for reader, _ in pairs]
            for reader, _ in pairs:
                loop.add_reader(reader, order.append, reader.fileno())
            for _, writer in reversed(pairs):
                writer.send(b"x")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for number in numbers:
                loop.remove_reader(number)
        return order[:5], numbers

    order, numbers = run_virtual(main())
    assert order == sorted(numbers)


def test_a_megabyte_needs_no_time() -> None:
    """Also where it takes many turns of the loop."""

    async def body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
        async with asyncio.timeout(0.001), asyncio.TaskGroup() as group:
            group.create_task(reader.readexactly(20 << 20))
            writer.write(bytes(20 << 20))
            await writer.drain()
        return now()

    assert run_virtual(with_echo(body)) == 0.0


def test_threads_need_no_time() -> None:
    """Time stands still while a function runs in an executor, name resolution included."""

    def work() -> str:
        time.sleep(0.05)
        return "done"

    async def main() -> tuple[str, float]:
        async with asyncio.timeout(1):
            word = await asyncio.to_thread(work)
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        assert now() == 0.0
        await asyncio.sleep(3)
        return word, now()

    assert run_virtual(main()) == ("done", 3.0)


def test_the_world_outside_can_wake_an_idle_loop() -> None:
    """With no timer at all the loop waits as any other does."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        timer = threading.Timer(0.02, loop.call_soon_threadsafe, (done.set,))
        timer.start()
        await done.wait()
        timer.join()
        return now()

    assert run_virtual(main()) == 0.0


class Impatient(VirtualTimeLoop):
    patience = 0.05


def run_impatiently(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=Impatient) as runner:
        return runner.run(main)


def test_a_deadlock_is_an_error_that_names_who_waits() -> None:
    """Instead of a test that hangs; also while sockets are open that nobody writes to."""
    ended: list[str] = []

    async def waits_for_nobody() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0):
            try:
                await asyncio.sleep(100)
                await asyncio.Event().wait()
            finally:
                ended.append("the task")

    async def main() -> None:
        await asyncio.create_task(waits_for_nobody(), name="the test")

    words = r"virtual time cannot go on: there is no timer.* the test at .*test_clock\.py:\d+ in .*waits_for_nobody"
    with pytest.raises(RuntimeError, match=words):
        run_impatiently(main())
    assert ended == ["the task"]


def test_a_timer_that_never_fires_is_none() -> None:
    with pytest.raises(RuntimeError, match="virtual time cannot go on"):
        run_impatiently(asyncio.sleep(math.inf))


def test_timeouts_end_what_would_be_a_deadlock() -> None:
    """A wait with a limit costs nothing."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)
        return now()

    assert run_impatiently(main()) == 3600.0


def test_threads_are_waited_for_however_long_they_take() -> None:
    async def main() -> None:
        await asyncio.to_thread(time.sleep, 0.15)

    run_impatiently(main())


def test_patience_may_be_without_limit() -> None:
    class Patient(VirtualTimeLoop):
        patience = None

    async def main() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        timer = threading.Timer(0.02, loop.call_soon_threadsafe, (done.set,))
        timer.start()
        await done.wait()
        timer.join()

    with asyncio.Runner(loop_factory=Patient) as runner:
        runner.run(main())


def test_debug_mode() -> None:
    """Debug mode works and sees no slow callbacks, because none takes virtual time."""

    async def main() -> bool:
        await asyncio.sleep(5)
        return asyncio.get_running_loop().get_debug()

    assert run_virtual(main(), debug=True)


def test_eager_tasks() -> None:
    """An eager task factory (Python 3.12) changes nothing about time."""

    async def main() -> float:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", None))
        await asyncio.gather(*(asyncio.create_task(asyncio.sleep(seconds)) for seconds in (1, 2, 3)))
        return now()

    assert run_virtual(main()) == 3.0


def test_the_loop_is_its_own_factory() -> None:
    """asyncio.Runner and pytest-asyncio take the class itself."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(asyncio.sleep(7))
        assert runner.get_loop().time() == 7.0
