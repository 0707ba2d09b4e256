"""pytest fixtures and a mark: an embedded API server, a factory that uses it, and virtual time.

pytest loads this module in every project with aioinformers installed, so it imports neither the Kubernetes client nor
aiohttp until a test requests a fixture, and changes no test that asks for nothing of it.

``aioinformers_server`` is a running :class:`~aioinformers.testing.FakeAPIServer`. ``aioinformers_factory`` is a
:class:`~aioinformers.SharedInformerFactory` for it, to be started by the test; the fixture shuts it down::

    @pytest.mark.aioinformers_virtual_time
    async def test_scaling(aioinformers_server, aioinformers_factory):
        aioinformers_server.create("deployments", {"metadata": {"name": "web"}, "spec": {"replicas": 1}})
        deployments = aioinformers_factory.apps.v1.deployments()
        await aioinformers_factory.start()
        await aioinformers_factory.wait_for_cache_sync(timeout=5)
        assert len(deployments.lister) == 1

The mark ``aioinformers_virtual_time``, on a test, class or module, runs tests in a
:class:`~aioinformers.testing.VirtualTimeLoop`. Both need pytest-asyncio, in either of its modes: ``pip install
'aioinformers[testing]'``.
"""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from aioinformers import SharedInformerFactory
    from aioinformers.testing.apiserver.server import FakeAPIServer

__all__ = ["pytest_configure", "pytest_generate_tests", "pytest_pycollect_makeitem", "pytest_runtest_setup"]

MARK = "aioinformers_virtual_time"
_INSTALL = "pip install 'aioinformers[testing]'"
_VIRTUAL = pytest.StashKey[set[Any]]()
"""The test functions whose loop has been chosen."""


async def _server(request: pytest.FixtureRequest) -> AsyncIterator[FakeAPIServer]:
    """A running embedded API server without objects."""
    if problem := _problem_of_loops(request):
        pytest.fail(f"the fixture aioinformers_server {problem}", pytrace=False)
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


def _problem_of_loops(request: pytest.FixtureRequest) -> str:
    """Return why the test would wait for a server in a loop that does not run; empty if it shares the fixture's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "needs asyncio, and anyio runs this test on something else: let anyio_backend return 'asyncio'"
    import pytest_asyncio

    if not pytest_asyncio.is_async_test(request.node):
        return ""
    if "anyio_backend" in request.fixturenames:
        return (
            "runs in anyio's loop, and the test in that of pytest-asyncio's auto mode: remove its mark anyio, or set "
            "asyncio_mode = strict"
        )
    marker, config = request.node.get_closest_marker("asyncio"), request.config
    given = marker.kwargs if marker is not None else {}
    of_test = given.get("loop_scope") or given.get("scope") or config.getini("asyncio_default_test_loop_scope")
    of_fixture = config.getini("asyncio_default_fixture_loop_scope") or "function"
    if of_fixture in (of_test, "fixture-scope" if of_test == "function" else of_test):
        return ""
    return (
        f"runs in the event loop of its {of_fixture}, and the test in that of its {of_test}, so that the server could "
        f"not answer: set asyncio_default_fixture_loop_scope = {of_test}"
    )


def _missing(name: str) -> Any:
    """Return a fixture that fails and says that pytest-asyncio is missing."""

    def fixture() -> NoReturn:
        pytest.fail(
            f"the fixture {name} needs pytest-asyncio, which is not installed or switched off "
            f"(-p no:asyncio): {_INSTALL}",
            pytrace=False,
        )

    return pytest.fixture(name=name)(fixture)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark and the fixtures, after all plugins are loaded, so that pytest-asyncio can be detected."""
    config.addinivalue_line("markers", f"{MARK}: run the test in a loop whose clock jumps instead of waiting.")
    config.stash[_VIRTUAL] = set()
    make = _maker(config)
    fixtures = types.ModuleType("aioinformers_fixtures", "The fixtures of aioinformers.")
    vars(fixtures).update(
        aioinformers_server=make("aioinformers_server", _server),
        aioinformers_factory=make("aioinformers_factory", _factory),
    )
    config.pluginmanager.register(fixtures, fixtures.__name__)


def _has_pytest_asyncio(config: pytest.Config) -> bool:
    return any(config.pluginmanager.hasplugin(name) for name in ("asyncio", "pytest_asyncio", "pytest_asyncio.plugin"))


def _maker(config: pytest.Config) -> Callable[[str, Callable[..., Any]], Any]:
    if not _has_pytest_asyncio(config):
        return lambda name, _: _missing(name)
    import pytest_asyncio

    return lambda name, function: pytest_asyncio.fixture(function, name=name)


# -- virtual time -------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: Any) -> None:
    """Let the mark alone be enough in pytest-asyncio's strict mode."""
    if not (collector.istestfunction(obj, name) and _is_async(obj)):
        return
    marks = {mark.name for mark in getattr(obj, "pytestmark", ())} | {mark.name for mark in collector.iter_markers()}
    if MARK in marks and not marks & {"asyncio", "anyio"} and _has_pytest_asyncio(collector.config):
        pytest.mark.asyncio(obj)


def _is_async(function: Any) -> bool:
    """Tell whether a test is a coroutine function, or hypothesis calls one."""
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inspect.iscoroutinefunction(inner)


class _VirtualLoops:
    """A plug-in of pytest-asyncio, registered while a marked test is collected: others keep their loops."""

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_asyncio_loop_factories(self) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
        from aioinformers.testing.clock import VirtualTimeLoop

        return {"virtual": VirtualTimeLoop}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, None, None]:
    """Choose the loop of a marked test."""
    definition = metafunc.definition
    if definition.get_closest_marker(MARK) is None or definition.get_closest_marker("anyio") is not None:
        return (yield)
    manager = metafunc.config.pluginmanager
    if not hasattr(manager.hook, "pytest_asyncio_loop_factories"):
        return (yield)
    metafunc.config.stash[_VIRTUAL].add(metafunc.function)
    loops = _VirtualLoops()
    manager.register(loops)
    try:
        return (yield)
    finally:
        manager.unregister(loops)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a marked test that would not run in virtual time."""
    if item.get_closest_marker(MARK) is not None and (problem := _problem(item)):
        pytest.fail(f"the mark {MARK} {problem}", pytrace=False)


def _problem(item: pytest.Item) -> str:
    """Return why a marked test does not run in virtual time; empty if it does."""
    function = getattr(item, "function", None)
    if not _is_async(function):  # among the tests of a class or module it may be
        own = any(mark.name == MARK for mark in getattr(function, "pytestmark", ()))
        return "is for async tests: in a plain one call run_virtual()" if own else ""
    if not _has_pytest_asyncio(item.config):
        return f"needs pytest-asyncio, which is not installed or switched off (-p no:asyncio): {_INSTALL}"
    if item.get_closest_marker("anyio") is not None:
        return (
            "is for tests that pytest-asyncio runs, and this one is marked anyio: return "
            "('asyncio', {'loop_factory': VirtualTimeLoop}) from its fixture anyio_backend instead"
        )
    if not hasattr(item.config.hook, "pytest_asyncio_loop_factories"):
        return f"needs pytest-asyncio 1.5 or newer: {_INSTALL}"
    if function not in item.config.stash[_VIRTUAL]:
        return "belongs on a test, a class or a module: on a parameter, or added later, it comes too late"
    return ""
