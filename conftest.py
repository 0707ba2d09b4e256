"""Shared by all tests: servers, virtual time, and the check that no test leaves a task behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
from hypothesis import HealthCheck, settings

from aioinformers.testing import VirtualTimeLoop
from tests.kit import free_port

pytest_plugins = ["tests.kit.fixtures"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ONCE = (
    "tests/browser",
    "tests/chaos/test_real_shards.py",
    "tests/chaos/test_real_union.py",
    "tests/cli",
    "tests/conformance",
    "tests/deploy",
    "tests/test_absence.py",
    "tests/test_benchmarks.py",
    "tests/test_big_lists.py",
    "tests/test_conformance_page.py",
    "tests/test_docs.py",
    "tests/test_examples.py",
    "tests/test_house.py",
    "tests/test_namespaces.py",
    "tests/test_set_namespaces.py",
    "tests/test_shards.py",
    "tests/test_types.py",
    "tests/test_union.py",
    "tests/test_warm.py",
)
"""Folders and files whose tests are long, or about texts, and say little about a version of Python: marked ``once``."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is not run on each version of Python."""
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        if any(path == each or path.startswith(f"{each}/") for each in ONCE):
            item.add_marker("once")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests that are marked so in virtual time."""
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual": VirtualTimeLoop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def unused_tcp_port() -> int:
    """That of pytest-asyncio may be another test's, by the time it is tried."""
    return free_port()


@pytest.fixture(autouse=True)
async def no_task_is_left(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test that leaves a task behind (G10)."""
    before = asyncio.all_tasks()
    yield
    for _ in range(3):  # tasks that have been cancelled may need a turn to end
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks left behind: {sorted(task.get_name() for task in left if task)}"
