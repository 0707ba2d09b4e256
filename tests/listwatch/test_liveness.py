"""Silence of a server, and turns for others: without a server."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

import pytest

from aioinformers.errors import ConnectionFailedError
from aioinformers.listwatch.liveness import CHECK_PERIOD, Liveness

pytestmark = pytest.mark.virtual_time


def liveness_of(*, is_closed: bool = False, time_slice: float = 0.0) -> Liveness:
    return Liveness(lambda: is_closed, time_slice)


async def after(seconds: float) -> bytes:
    """Stand in for a read of what arrives after so many seconds."""
    await asyncio.sleep(seconds)
    return b"data"


async def read_all(
    liveness: Liveness, limit: Callable[[], float], *seconds: float, error: BaseException | None = None
) -> None:
    """Read what arrives after so many seconds each, then end, with an error if one is given."""
    async with liveness.limit_silence(limit, "the watch"):
        for delay in seconds:
            await liveness.read(functools.partial(after, delay))
        if error is not None:
            raise error


def now() -> float:
    return asyncio.get_running_loop().time()


# -- silence ------------------------------------------------------------------------------------------------------


async def test_activity_is_the_time_of_the_last_read() -> None:
    """Of one that returned: a read that fails changes nothing."""
    liveness = liveness_of()
    assert liveness.last_activity is None
    assert await liveness.read(lambda: after(7)) == b"data"
    seen = now()
    assert liveness.last_activity == seen
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await liveness.read(lambda: after(100))
    assert liveness.last_activity == seen
    liveness.touch()
    assert liveness.last_activity == seen + 5


@pytest.mark.parametrize("limit", [1.0, CHECK_PERIOD, 40.0, 100.0])
async def test_a_read_beyond_the_limit_fails_when_the_limit_is_reached(limit: float) -> None:
    """Whether or not it is a multiple of the seconds between two looks."""
    liveness, begin = liveness_of(), now()
    with pytest.raises(ConnectionFailedError, match=rf"^the watch was silent for {limit:g} s$"):
        await read_all(liveness, lambda: limit, 1000)
    assert now() - begin == pytest.approx(limit)


async def test_each_read_begins_the_silence_anew() -> None:
    liveness, begin = liveness_of(), now()
    with pytest.raises(ConnectionFailedError):
        await read_all(liveness, lambda: 20.0, 19, 19, 19, 21)
    assert now() - begin == pytest.approx(3 * 19 + 20)


async def test_waiting_for_room_in_the_queue_is_not_silence_of_the_server() -> None:
    """Nothing is read then, so that nothing can arrive."""
    liveness = liveness_of()
    async with liveness.limit_silence(lambda: 20.0, "the watch"):
        await liveness.read(lambda: after(1))
        await asyncio.sleep(1000)
        await liveness.read(lambda: after(1))


async def test_g9_a_read_after_a_long_wait_for_room_has_the_whole_limit() -> None:
    """Whenever it is looked at: what was waited for before was not the server."""
    liveness = liveness_of()
    async with liveness.limit_silence(lambda: 20.0, "the watch"):
        for _ in range(9):
            await liveness.read(lambda: after(1))
            await asyncio.sleep(29)
            await liveness.read(lambda: after(19))


async def test_waiting_for_the_server_is_measured() -> None:
    """For an answer, and for each read; not what is done in between."""
    liveness = liveness_of()
    assert liveness.waits_for == 0.0
    with liveness.expecting():
        await asyncio.sleep(3)
        assert (liveness.waits_for, liveness.waiting_since) == (3.0, now() - 3)
        liveness.touch()
        await asyncio.sleep(3)
        assert liveness.waits_for == 0.0
        reading = asyncio.create_task(liveness.read(lambda: after(5)))
        await asyncio.sleep(2)
        assert liveness.waits_for == 2.0
        await reading
        assert (liveness.waits_for, liveness.waiting_since) == (0.0, None)
    with pytest.raises(ValueError, match="no answer"), liveness.expecting():
        raise ValueError("no answer")
    assert liveness.waiting_since is None


async def test_a_limit_may_change_meanwhile() -> None:
    """As it does once a watch has shown a bookmark."""
    liveness, begin = liveness_of(), now()
    with pytest.raises(ConnectionFailedError, match="silent for 30 s"):
        await read_all(liveness, lambda: 1000.0 if now() < begin + 10 else 30.0, 10, 1000)
    assert now() - begin == pytest.approx(40, abs=CHECK_PERIOD)


async def test_a_closed_client_is_noticed_whatever_the_limit() -> None:
    """Nothing tells those who read from it."""
    liveness, begin = liveness_of(is_closed=True), now()
    with pytest.raises(ConnectionFailedError, match="the API client has been closed"):
        await read_all(liveness, lambda: 1000.0, 10_000)
    assert now() - begin == CHECK_PERIOD


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, TimeoutError])
async def test_no_timer_outlives_its_block(error: type[BaseException]) -> None:
    """However the block ends; its own errors are not taken for silence, unless they say that time is up."""
    liveness, looks = liveness_of(), 0

    def limit() -> float:
        nonlocal looks
        looks += 1
        return 20.0

    expected = ConnectionFailedError if error is TimeoutError else error
    with pytest.raises(expected):
        await read_all(liveness, limit, 16, error=error())
    before = looks
    await asyncio.sleep(1000)
    assert looks == before


async def test_a_deadline_from_outside_passes_through() -> None:
    """It is not silence, and the error is the caller's."""
    liveness = liveness_of()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await read_all(liveness, lambda: 20.0, 1000)


async def test_g9_bytes_that_no_read_has_returned_yet_are_no_silence() -> None:
    """They are part of a line that comes slowly; when no more of it comes, the silence begins."""
    liveness, begin = liveness_of(), now()

    def arrived() -> float | None:
        """Tell of bytes every 10 seconds, for 100 seconds."""
        return begin + min((now() - begin) // 10 * 10, 100.0) if now() >= begin + 10 else None

    async def look() -> None:
        await asyncio.sleep(55)
        assert liveness.last_activity == begin + 50
        await asyncio.sleep(60)
        assert liveness.last_activity == begin + 100

    looking = asyncio.create_task(look())
    with pytest.raises(ConnectionFailedError, match="the watch was silent for 20 s"):
        async with liveness.limit_silence(lambda: 20.0, "the watch", arrived):
            await liveness.read(lambda: after(1000))
    assert now() - begin == pytest.approx(120)
    await looking
    assert liveness.last_activity == begin + 100, "it is remembered, but no longer asked for"


# -- turns for others ---------------------------------------------------------------------------------------------


async def turns_of_others(liveness: Liveness, pauses: int) -> int:
    """Return how often another task ran during so many pauses."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    turns = 0
    for _ in range(pauses):
        await liveness.pause()
    task.cancel()
    return turns


async def test_a_pause_lets_others_run_once_the_time_slice_is_used_up() -> None:
    """And begins another one."""
    liveness = liveness_of(time_slice=2.0)
    await liveness.read(lambda: after(0))
    assert await turns_of_others(liveness, 5) == 0
    await asyncio.sleep(3)
    assert await turns_of_others(liveness, 5) == 1


async def test_a_read_begins_a_time_slice() -> None:
    """Others could run while it waited."""
    liveness = liveness_of(time_slice=2.0)
    await liveness.read(lambda: after(3))
    assert await turns_of_others(liveness, 1) == 0
