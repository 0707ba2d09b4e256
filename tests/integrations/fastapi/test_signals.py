"""Signals are heard beside the server's own handlers, and nothing else changes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aioinformers.integrations.fastapi.signals import relayed

heard: list[str] = []


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    """The test runner has handlers of its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    heard.clear()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def theirs(number: int, _: Any) -> None:
    heard.append(f"theirs {number:d}")


def tell() -> None:
    heard.append("told")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_told_before_the_server_is(number: signal.Signals) -> None:
    signal.signal(number, theirs)
    with relayed(tell):
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert heard == ["told", f"theirs {number:d}"] * 2
    assert signal.getsignal(number) is theirs


def test_an_interrupt_is_still_one() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with relayed(tell), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert heard == ["told"]


@pytest.mark.parametrize("left_alone", [signal.SIG_DFL, signal.SIG_IGN])
def test_what_is_no_function_is_left_alone(left_alone: signal.Handlers) -> None:
    signal.signal(signal.SIGTERM, left_alone)
    with relayed(tell) as is_heard:
        assert not is_heard
        assert signal.getsignal(signal.SIGTERM) is left_alone
    assert signal.getsignal(signal.SIGTERM) is left_alone


def test_a_handler_that_came_later_stays() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, theirs)
    with relayed(tell):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_later_handler_may_go_on_calling_the_relay() -> None:
    signal.signal(signal.SIGTERM, theirs)
    with relayed(tell) as is_heard:
        assert is_heard
        relay: Any = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda number, frame: relay(number, frame))
    signal.raise_signal(signal.SIGTERM)
    assert heard == ["theirs 15"]


def test_two_apps_may_end_in_any_order() -> None:
    """The handler of the one that began first is not put back after its end."""
    signal.signal(signal.SIGTERM, theirs)
    first, second = relayed(tell), relayed(lambda: heard.append("told, too"))
    first.__enter__()
    second.__enter__()
    signal.raise_signal(signal.SIGTERM)
    assert heard == ["told, too", "told", "theirs 15"]
    first.__exit__(None, None, None)
    signal.raise_signal(signal.SIGTERM)
    assert heard[3:] == ["told, too", "theirs 15"]
    second.__exit__(None, None, None)
    assert signal.getsignal(signal.SIGTERM) is theirs


def test_another_thread_changes_nothing() -> None:
    """Python lets the main thread alone set handlers: a server in a thread has none either."""
    signal.signal(signal.SIGTERM, theirs)
    seen: list[Any] = []

    def run() -> None:
        with relayed(tell) as is_heard:
            seen.extend([signal.getsignal(signal.SIGTERM), is_heard])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [theirs, False]
