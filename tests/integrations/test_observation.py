"""What is measured only while somebody looks."""

from __future__ import annotations

import asyncio
import time

import pytest

from aioinformers import SharedInformerFactory
from aioinformers.integrations.observation import PERIOD, Observation, Observers, lag_of
from aioinformers.testing import FakeAPIServer
from tests.kit import collect, factory_on


async def test_the_lag_of_the_loop_is_known_while_somebody_looks() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        factory.core.v1.configmaps()
        observation = Observation(factory)
        await factory.start()
        assert lag_of(factory) is None
        observation.look()
        await asyncio.sleep(0.1)
        time.sleep(PERIOD + 0.3)  # noqa: ASYNC251  # the fault that is to be seen, whenever the looks at it are due
        await asyncio.sleep(0.1)
        lag = lag_of(factory)
        assert lag is not None
        assert lag > 0.15
        observation.close()
        assert lag_of(factory) is None


@pytest.mark.virtual_time
async def test_nothing_is_left_when_nobody_looks_any_more() -> None:
    """Neither a timer nor measured handlers: after a close, after the observer is gone, and after the factory's end."""
    async with FakeAPIServer() as server, factory_on(server) as factory:
        configmaps = factory.core.v1.configmaps()
        await factory.start()
        for end in ("close", "gone"):
            observation: Observation | None = Observation(factory)
            assert observation is not None
            await asyncio.sleep(5)
            assert lag_of(factory) == pytest.approx(0.0, abs=0.1)
            assert factory._measurements == 1
            if end == "close":
                observation.close()
                observation.close()
            observation = None
            collect()
            assert factory._measurements == 0
            assert lag_of(factory) is None
        observation = Observation(factory)
        await asyncio.sleep(2)
        await factory.shutdown(grace=0)
        assert lag_of(factory) is None
        assert configmaps.statistics().applying is not None


@pytest.mark.virtual_time
async def test_each_factory_is_observed_from_the_first_look_on_and_kept_alive_by_nobody() -> None:
    observers = Observers()
    async with FakeAPIServer() as server, server.api_client() as api:
        factory = SharedInformerFactory(api)
        observers.look([factory])
        observers.look([factory])
        assert factory._measurements == 1
        observers.close()
        assert factory._measurements == 0
        observers.look([factory])
        del factory
        collect()
        assert len(observers._looking) == 0
