"""Fixtures: a storage without a server, and a client of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest

from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource
from aioinformers.testing.apiserver.storage import Storage
from tests.testing.apiserver.contents import WIDGETS
from tests.testing.apiserver.requests import session


@pytest.fixture
def storage() -> Storage:
    return Storage((*DEFAULT_RESOURCES, WIDGETS), now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


@pytest.fixture
def pods(storage: Storage) -> Resource:
    return storage.resources.resolve("pods")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with session() as client:
        yield client
