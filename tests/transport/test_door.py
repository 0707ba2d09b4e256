"""Foreign code behind a door: whatever it does to its task, the caller gets an answer, a failure or its own end."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioinformers.errors import ConnectionFailedError, UnauthorizedError
from aioinformers.transport.door import PATIENCE, asked, failure_of

pytestmark = pytest.mark.virtual_time


class OddError(BaseException):
    """Such as some libraries have."""


def explain(error: BaseException) -> ConnectionFailedError:
    return ConnectionFailedError(f"said: {type(error).__name__}")


def ask(foreign: Callable[[], Awaitable[Any]], **more: Any) -> Any:
    async def run() -> Any:
        return await foreign()

    return asked(run(), "foreign code", explain, **more)


def raising(error: BaseException) -> Callable[[], Awaitable[Any]]:
    async def foreign() -> None:
        await asyncio.sleep(1)
        raise error

    return foreign


async def test_what_foreign_code_returns_is_returned() -> None:
    async def foreign() -> str:
        await asyncio.sleep(1)
        return "answer"

    assert await ask(foreign) == "answer"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("SECRET"), UnicodeError("SECRET"), TimeoutError("SECRET"), asyncio.CancelledError("SECRET"),
        OddError("SECRET"), GeneratorExit("SECRET"), StopAsyncIteration("SECRET"),
        BaseExceptionGroup("SECRET", [OddError("SECRET")]),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
async def test_g9_whatever_foreign_code_raises_is_a_failure_that_chains_nothing(error: BaseException) -> None:
    with pytest.raises(ConnectionFailedError, match=f"^said: {type(error).__name__}$") as caught:
        await ask(raising(error))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_an_error_of_ours_passes_as_it_is() -> None:
    error = UnauthorizedError(401)
    with pytest.raises(UnauthorizedError) as caught:
        await ask(raising(error))
    assert caught.value is error


async def test_g9_foreign_code_that_cancels_its_task_cancels_nobody_else() -> None:
    """Old libraries for timeouts do it, and leave the count of cancellations as it is."""

    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    async def swallows() -> str:
        try:
            await cancels()
        except asyncio.CancelledError:
            return "went on"
        return ""

    with pytest.raises(ConnectionFailedError, match="said: CancelledError"):
        await ask(cancels)
    assert await ask(swallows) == "went on"
    await asyncio.sleep(1)


@pytest.mark.parametrize("made_of_it", ["nothing", "another error", "an answer"])
async def test_g10_a_cancellation_passes_through_whatever_foreign_code_makes_of_it(made_of_it: str) -> None:
    given_back: list[str] = []

    async def foreign() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            if made_of_it == "nothing":
                raise
            if made_of_it == "another error":
                raise ValueError from None
        return "answer"

    task = asyncio.ensure_future(ask(foreign, undo=given_back.append))
    await asyncio.sleep(1)
    begin = asyncio.get_running_loop().time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() == begin
    assert given_back == (["answer"] if made_of_it == "an answer" else [])


async def test_g9_a_deadline_around_it_stays_a_deadline() -> None:
    """Although foreign code turns the cancellation, by which it comes, into something else."""

    async def foreign() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise ValueError from None

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await ask(foreign)


async def test_g10_foreign_code_that_refuses_to_end_is_named_and_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    given_back: list[str] = []

    async def foreign() -> str:
        for _ in range(10):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                continue
        return "too late"

    task = asyncio.ensure_future(ask(foreign, undo=given_back.append))
    await asyncio.sleep(1)
    begin = asyncio.get_running_loop().time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() - begin == PATIENCE
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("foreign code: the API client's code does not end")
    await asyncio.sleep(200)
    assert given_back == ["too late"]


async def test_g16_what_comes_too_late_is_not_logged_by_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody asks for would be, with all that it says."""

    async def foreign() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(10)
            raise ValueError("SECRET") from None

    task = asyncio.ensure_future(ask(foreign))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(60)
    gc.collect()
    assert "SECRET" not in caplog.text


async def test_g10_a_second_cancellation_does_not_wait_for_foreign_code() -> None:
    async def foreign() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)

    task = asyncio.ensure_future(ask(foreign))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(0.1)
    task.cancel()
    begin = asyncio.get_running_loop().time()
    await asyncio.wait([task])
    assert task.cancelled()
    assert asyncio.get_running_loop().time() == begin
    await asyncio.sleep(1)


# -- foreign code in a task of ours -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit(), UnauthorizedError(401)])
async def test_the_end_of_the_program_and_errors_of_ours_stay_what_they_are(error: BaseException) -> None:
    assert failure_of(error, explain) is error


async def test_g9_a_cancelled_error_is_believed_only_if_somebody_has_cancelled_the_task() -> None:
    async def judge() -> BaseException:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError as error:
            return failure_of(error, explain)
        return AssertionError()

    made_up = asyncio.CancelledError()
    assert isinstance(failure_of(made_up, explain), ConnectionFailedError)
    task = asyncio.create_task(judge())
    await asyncio.sleep(1)
    task.cancel()
    assert isinstance(await task, asyncio.CancelledError)
