from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.conformance.rest import Rest
from tests.kit.fixtures import APIServer


@pytest.fixture
async def rest(api_server: APIServer) -> AsyncIterator[Rest]:
    """A raw client of either server, with a namespace of its own."""
    async with Rest.connect(api_server) as client:
        yield client
