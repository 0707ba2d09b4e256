"""What routes ask for: listers, indexers and informers of the app that serves them."""

# Without `from __future__ import annotations`: FastAPI reads those of `Dependency.__call__`, which is no function.

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final, TypeAlias, Unpack

from fastapi import HTTPException, WebSocketException, params
from fastapi.requests import HTTPConnection, Request
from fastapi.responses import JSONResponse, Response

from aioinformers.building import Defaults, request_of
from aioinformers.errors import InformerError
from aioinformers.factory import SharedInformerFactory
from aioinformers.informer import SharedInformer
from aioinformers.integrations.fastapi.refusals import REFUSED, refusal_of
from aioinformers.integrations.fastapi.served import ServedInformer
from aioinformers.integrations.lifecycle import AppState, ServerStoppingError, state_of
from aioinformers.naming import resource_of
from aioinformers.options import InformerOptions, check_options
from aioinformers.types import GroupVersionResource

__all__ = ["EXCEPTION_HANDLERS", "Dependency", "Factory", "Stopping", "indexer_of", "informer_of", "lister_of"]

What: TypeAlias = type[Any] | GroupVersionResource | str

TRY_AGAIN_LATER: Final = 1013
"""The code with which a WebSocket is closed that cannot be answered now."""

NO_LIFESPAN: Final = (
    "this app runs no informers: give it FastAPI(lifespan=informers(build)). Only the lifespan of the outermost app is "
    "run; tests run it with `with TestClient(app)`, and httpx.ASGITransport does not"
)


class Dependency(params.Depends):
    """What a route depends on: a part of an informer of the app that serves it.

    Two that ask for the same are equal: the informer is one, and so is the key of ``app.dependency_overrides``.

    Args:
        name: Name of the function that makes it.
        what: What it was given.
        options: The informer's options.
        object_type: What users see.
        part: Returns what the route is given; raises while it cannot be.
    """

    def __init__(
        self,
        name: str,
        what: Any,
        options: InformerOptions,
        object_type: Any,
        part: Callable[[SharedInformer[Any], AppState], Any],
    ) -> None:
        check_options(InformerOptions, options, f"{name}()", ("object_type",))
        self._resource = resource_of(what)
        self._object_type = object_type or (what if isinstance(what, type) else dict)
        self._options = options
        self._part = part
        self._name = name
        # What cannot be is refused here, where it stands in the program, and not in a request.
        request = request_of(self._resource, self._object_type, options, Defaults())
        by_factory = options.get("namespace") is None, options.get("transform") is None
        rest = request.is_compact, request.is_optional, request.resync_period, frozenset(request.indexers.items())
        self._identity: Hashable = (name, request.identity, by_factory, rest)
        super().__init__(dependency=self)

    def __repr__(self) -> str:
        return f"{self._name}({str(self._resource)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dependency) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def informer(self, state: AppState) -> SharedInformer[Any]:
        """Return the informer, which is made if there is none.

        Raises:
            InformerClosedError: If the factory has been shut down.
            ServerStoppingError: If there never was one.
            ValueError: If the factory has the same informer with other options.
        """
        found = state.informers.get(self)
        if found is None or not found.has_synced:  # or it has been released: then another one is made
            if state.factory is None:
                raise ServerStoppingError
            found = state.factory.for_resource(self._resource, object_type=self._object_type, **self._options)
            state.informers[self] = found
        return found

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[Any]:
        """Give it to a request, and answer what that raises meanwhile."""
        state = _state_of(connection)
        with _refusing(connection, state):
            yield self._part(self.informer(state), state)


def _lister(informer: SharedInformer[Any], _: AppState) -> Any:
    len(informer.lister)  # raises unless it may be read
    return informer.lister


def _indexer(informer: SharedInformer[Any], _: AppState) -> Any:
    len(informer.indexer)
    return informer.indexer


def _informer(informer: SharedInformer[Any], state: AppState) -> Any:
    return ServedInformer(informer, state.stopping)


def lister_of(what: What, *, object_type: type[Any] | None = None, **options: Unpack[InformerOptions]) -> Dependency:
    """Return the dependency on a lister.

    It stands in an annotation, as ``Annotated[Lister[client.V1Pod], lister_of(client.V1Pod)]``.

    The informer is made before the app serves, if a route depends on it by then, and otherwise when a request does.
    Until its cache has synced requests are answered 503 with ``Retry-After``; a ``NotFoundError`` that a route raises
    is answered 404.

    Args:
        what: A model class, a :class:`GroupVersionResource` or its text.
        object_type: What users see; the model class given, or dict.
        options: See :class:`InformerOptions`.

    Raises:
        TypeError: If an option is unknown, or ``what`` is something else.
        ValueError: If it names no resource, or an option cannot be.
    """
    return Dependency("lister_of", what, options, object_type, _lister)


def indexer_of(what: What, *, object_type: type[Any] | None = None, **options: Unpack[InformerOptions]) -> Dependency:
    """Return the dependency on an indexer; indexes are given as ``indexers={"node": "spec.nodeName"}``.

    See :func:`lister_of`.
    """
    return Dependency("indexer_of", what, options, object_type, _indexer)


def informer_of(what: What, *, object_type: type[Any] | None = None, **options: Unpack[InformerOptions]) -> Dependency:
    """Return the dependency on an informer, to wait for something or for :func:`events_of`.

    It is given before its cache has synced, too. What is waited for through it ends when the server stops: with
    :class:`ServerStoppingError`, a ``TimeoutError``, which is answered 503. In all else see :func:`lister_of`.
    """
    return Dependency("informer_of", what, options, object_type, _informer)


async def _factory(connection: HTTPConnection) -> AsyncIterator[SharedInformerFactory]:
    state = _state_of(connection)
    with _refusing(connection, state):
        if state.factory is None:
            raise ServerStoppingError
        yield state.factory


async def _stopping(connection: HTTPConnection) -> asyncio.Event:
    return _state_of(connection).stopping


Factory: TypeAlias = Annotated[SharedInformerFactory, params.Depends(_factory)]
"""The app's factory, as a dependency; errors are answered as with :func:`lister_of`."""

Stopping: TypeAlias = Annotated[asyncio.Event, params.Depends(_stopping)]
"""Set when the server is to stop, as a dependency: ends what never ends by itself, such as WebSockets."""


def _state_of(connection: HTTPConnection) -> AppState:
    state = state_of(connection.scope)
    if state is None:
        raise RuntimeError(NO_LIFESPAN)
    return state


@contextmanager
def _refusing(connection: HTTPConnection, state: AppState) -> Iterator[None]:
    """Answer errors of a cache, unless the app has a handler of its own for them."""
    try:
        yield
    except REFUSED as error:
        handlers: Mapping[Any, Any] = getattr(connection.scope.get("app"), "exception_handlers", {})
        ours = [kind for kind in type(error).__mro__ if issubclass(kind, (InformerError, ServerStoppingError))]
        if any(kind in handlers for kind in ours):
            raise
        refusal = refusal_of(error, state.factory or (), is_stopping=state.stopping.is_set())
        if connection.scope["type"] == "websocket":
            raise WebSocketException(TRY_AGAIN_LATER, refusal.detail) from error
        raise HTTPException(refusal.status, refusal.detail, refusal.headers) from error


async def _answer(request: Request, error: Exception) -> Response:
    state = state_of(request.scope)
    is_stopping = state is not None and state.stopping.is_set()
    refusal = refusal_of(error, (state and state.factory) or (), is_stopping=is_stopping)
    return JSONResponse({"detail": refusal.detail}, refusal.status, refusal.headers)


_Handlers: TypeAlias = dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]]

EXCEPTION_HANDLERS: Final[_Handlers] = dict.fromkeys(REFUSED, _answer)
"""For routes without a dependency of this module, and tests that override them all: ``FastAPI(exception_handlers=…)``.

Routes with one answer these errors without it."""
