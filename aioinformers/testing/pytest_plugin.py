"""pytest fixtures: an embedded API server, and a factory that uses it.

pytest loads this module in every project with aioinformers installed, so it imports neither the Kubernetes client nor
aiohttp until a test requests a fixture.

``aioinformers_server`` is a running :class:`~aioinformers.testing.FakeAPIServer`. ``aioinformers_factory`` is a
:class:`~aioinformers.SharedInformerFactory` for it, to be started by the test; the fixture shuts it down::

    async def test_scaling(aioinformers_server, aioinformers_factory):
        aioinformers_server.create("deployments", {"metadata": {"name": "web"}, "spec": {"replicas": 1}})
        deployments = aioinformers_factory.apps.v1.deployments()
        await aioinformers_factory.start()
        await aioinformers_factory.wait_for_cache_sync(timeout=5)
        assert len(deployments.lister) == 1

The fixtures need pytest-asyncio, in either of its modes: ``pip install 'aioinformers[testing]'``.
"""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from aioinformers import SharedInformerFactory
    from aioinformers.testing.apiserver.server import FakeAPIServer

__all__ = ["pytest_configure"]


async def _server() -> AsyncIterator[FakeAPIServer]:
    """A running embedded API server without objects."""
    from aioinformers.testing.apiserver.server import FakeAPIServer

    async with FakeAPIServer() as server:
        yield server


async def _factory(aioinformers_server: FakeAPIServer) -> AsyncIterator[SharedInformerFactory]:
    """An informer factory on ``aioinformers_server``, to be started by the test; shut down after the test."""
    from aioinformers import Settings, SharedInformerFactory

    async with aioinformers_server.api_client() as api:
        # Delays without jitter, so that tests can check exact times.
        factory = SharedInformerFactory(api, settings=Settings(backoff_jitter=0.0))
        try:
            yield factory
        finally:
            await factory.shutdown(grace=0)


def _missing(name: str) -> Any:
    """Return a fixture that fails and says that pytest-asyncio is missing."""

    def fixture() -> NoReturn:
        pytest.fail(
            f"the fixture {name} needs pytest-asyncio, which is not installed or switched off "
            "(-p no:asyncio): pip install 'aioinformers[testing]'",
            pytrace=False,
        )

    return pytest.fixture(name=name)(fixture)


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures, after all plugins are loaded, so that pytest-asyncio can be detected."""
    make = _maker(config)
    fixtures = types.ModuleType("aioinformers_fixtures", "The fixtures of aioinformers.")
    vars(fixtures).update(
        aioinformers_server=make("aioinformers_server", _server),
        aioinformers_factory=make("aioinformers_factory", _factory),
    )
    config.pluginmanager.register(fixtures, fixtures.__name__)


def _maker(config: pytest.Config) -> Callable[[str, Callable[..., Any]], Any]:
    if not any(config.pluginmanager.hasplugin(name) for name in ("asyncio", "pytest_asyncio", "pytest_asyncio.plugin")):
        return lambda name, _: _missing(name)
    import pytest_asyncio

    return lambda name, function: pytest_asyncio.fixture(function, name=name)
