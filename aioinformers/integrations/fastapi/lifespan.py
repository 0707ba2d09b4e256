"""A lifespan that runs informers while an app is served."""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, Literal, TypeAlias, get_args

from aioinformers.checks import near, require_seconds, shown
from aioinformers.errors import CacheSyncError
from aioinformers.factory import SharedInformerFactory
from aioinformers.integrations.fastapi.dependencies import Dependency
from aioinformers.integrations.fastapi.routes import dependencies_of
from aioinformers.integrations.fastapi.signals import relayed
from aioinformers.integrations.lifecycle import KEY, AppState
from aioinformers.loops import finishes_before

__all__ = ["InformersLifespan", "informers"]

Build: TypeAlias = Callable[[], AsyncIterator[SharedInformerFactory]]
Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
OnTimeout: TypeAlias = Literal["serve", "fail"]

EXAMPLE: Final = (
    "async def build(): async with aioinformers.connect() as api, SharedInformerFactory(api) as factory: yield factory"
)

DEAF: Final = (
    "this worker process hears no SIGTERM, as its server handles that in another process: open event streams and waits "
    "may keep it from ending; hypercorn hears it with --workers 0"
)

logger: logging.Logger = logging.getLogger("aioinformers.fastapi")


def informers(
    build: Build,
    *,
    lifespan: Lifespan | None = None,
    sync_timeout: float | None = 30.0,
    on_timeout: OnTimeout = "serve",
    signals: bool = True,
) -> InformersLifespan:
    """Return a lifespan that runs informers while an app is served: ``FastAPI(lifespan=informers(build))``.

    At the start it runs ``build`` up to its ``yield``, in the loop that serves; makes the informers that the app's
    routes depend on, those of mounted apps included; and waits until all have synced. The factory is in the state of
    the lifespan: for :func:`lister_of` and its like, and for ``status_app()`` without an argument, mounted anywhere.

    When SIGTERM or SIGINT comes it says at once that the app stops, before the server does what it does: event streams
    and waits end then, for which most servers wait without limit otherwise. ``build`` goes on behind its ``yield``
    once the server has ended its requests. A signal that comes during the start ends the start.

    Args:
        build: An async generator function without arguments, which yields one started factory.
        lifespan: A lifespan of your own. It is entered before ``build`` and left after it, so that handlers may use
            what it has made; its state is kept.
        sync_timeout: Seconds to wait for the caches before the app serves; 0 does not wait, None waits without limit.
        on_timeout: What to do if they are late: ``serve``, with requests that need them answered 503 until they have
            synced; or ``fail``, which ends the server.
        signals: Whether to hear of SIGTERM and SIGINT. That is possible in the main thread alone, where the server has
            set a handler of its own before the lifespan begins: uvicorn, granian and ``hypercorn --workers 0`` do.
            Elsewhere call :meth:`InformersLifespan.stop`.

    Raises:
        TypeError: If ``build`` is no async generator function, or ``lifespan`` has no ``asynccontextmanager``.
        ValueError: If ``on_timeout`` is something else, or ``sync_timeout`` cannot be.
    """
    _require_generator_function(build)
    given: Any = lifespan
    if given is not None and (not callable(given) or inspect.isasyncgenfunction(given)):
        raise TypeError("lifespan is a function of the app with @contextlib.asynccontextmanager, as FastAPI takes it")
    require_seconds("sync_timeout", sync_timeout)
    if on_timeout not in get_args(OnTimeout):
        meant = near(str(on_timeout), get_args(OnTimeout))
        raise ValueError(f"on_timeout is 'serve' or 'fail', not {on_timeout!r}" + (f": {meant!r}?" if meant else ""))
    return InformersLifespan(build, lifespan, sync_timeout, on_timeout, signals=signals)


class InformersLifespan:
    """A lifespan that runs informers; made by :func:`informers`. Several apps may have one, each with its factory."""

    def __init__(
        self,
        build: Build,
        lifespan: Lifespan | None,
        sync_timeout: float | None,
        on_timeout: OnTimeout,
        *,
        signals: bool,
    ) -> None:
        self._build = asynccontextmanager(build)
        self._lifespan = lifespan
        self._sync_timeout = sync_timeout
        self._on_timeout = on_timeout
        self._hears_signals = signals
        self._states: weakref.WeakSet[AppState] = weakref.WeakSet()

    def __call__(self, app: Any) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Return the block in which an app is served."""
        return self._served(app)

    def stop(self) -> None:
        """Say that the apps with this lifespan stop: their event streams and waits end. Idempotent, from any thread.

        For servers that are not ended by a signal: call it before you tell the server to end.
        """
        for state in list(self._states):
            state.stop_soon()

    @asynccontextmanager
    async def _served(self, app: Any) -> AsyncIterator[dict[str, Any]]:
        state = AppState()
        self._states.add(state)
        async with AsyncExitStack() as stack:
            if self._hears_signals:
                is_heard = stack.enter_context(relayed(state.stop_soon))
                if not is_heard and multiprocessing.parent_process() is not None:
                    logger.warning(DEAF)
            own: Mapping[str, Any] | None = None
            if self._lifespan is not None:
                own = await stack.enter_async_context(self._lifespan(app))
            stack.callback(self._states.discard, state)
            await self._start(app, state, stack)
            stack.callback(state.stop)  # first of all at the end, if no signal has said so
            yield {**(own or {}), KEY: state}

    async def _start(self, app: Any, state: AppState, stack: AsyncExitStack) -> None:
        """Make the factory and its informers, and wait for their caches; the end of the app ends it early."""
        factory: Any = await state.unless_stopping(self._enter(stack))
        if factory is None:
            logger.info("the app was told to stop before its factory was made")
            return
        state.factory = factory
        for dependency in dependencies_of(app):
            if isinstance(dependency, Dependency):
                dependency.informer(state)
        if self._sync_timeout == 0:
            return
        try:
            await finishes_before(factory.wait_for_cache_sync(self._sync_timeout), state.stopping.wait())
        except CacheSyncError as error:
            if self._on_timeout == "fail":
                raise
            logger.warning("the app serves nevertheless, and answers 503 where a cache is needed: %s", error)

    async def _enter(self, stack: AsyncExitStack) -> SharedInformerFactory:
        try:
            factory: Any = await stack.enter_async_context(self._build())
        except RuntimeError as error:
            if str(error) == "generator didn't yield":
                raise TypeError(f"build() has to yield a factory, and ended without: {EXAMPLE}") from None
            raise
        if not isinstance(factory, SharedInformerFactory):
            raise TypeError(f"build() has to yield a SharedInformerFactory, not {shown(factory)}: {EXAMPLE}")
        if not factory.is_started:
            state = "has been shut down" if factory.is_closed else "is not started"
            raise TypeError(f"the factory that build() yields {state}: {EXAMPLE}")
        return factory


def _require_generator_function(build: Any) -> None:
    if inspect.isasyncgenfunction(build) or (callable(build) and inspect.isasyncgenfunction(type(build).__call__)):
        return
    advice = ""
    if inspect.isasyncgenfunction(getattr(build, "__wrapped__", None)):
        advice = "leave out @asynccontextmanager"
    elif inspect.isasyncgen(build):
        advice = "give the function itself, without calling it"
    elif inspect.iscoroutinefunction(build):
        advice = "it has to yield the factory, and not to return it"
    elif isinstance(build, SharedInformerFactory):
        advice = "a factory belongs to the loop that serves, which makes it by calling build()"
    raise TypeError(f"build is an async generator function, not {shown(build)}: {advice or EXAMPLE}")
