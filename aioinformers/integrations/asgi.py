"""Probes, metrics and the status of a program as an ASGI application, to be mounted anywhere."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

from aioinformers.checks import shown
from aioinformers.controllers.controller import Controller, started_controllers
from aioinformers.coordination.election import LeaderElection, started_elections
from aioinformers.factory import SharedInformerFactory
from aioinformers.integrations.access import Allow, Peer, is_local
from aioinformers.integrations.answers import Answer, Answers, require_answering
from aioinformers.integrations.lifecycle import state_of
from aioinformers.integrations.observation import Observers
from aioinformers.integrations.page.viewing import Viewing
from aioinformers.integrations.snapshot import Snapshot, snapshot

__all__ = ["Application", "status_app"]

_Message: TypeAlias = MutableMapping[str, Any]
Application: TypeAlias = Callable[
    [_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]
]
"""An ASGI application."""

NO_FACTORY: Final = Answer(
    500,
    b"status_app() has no factory: give it one, or mount it in an app with FastAPI(lifespan=informers(build)), "
    b"whose factory it shows\n",
)
STOPPED: Final = Answer(503, b"the server was told to stop before it had begun\n")


def status_app(
    factory: SharedInformerFactory | None = None,
    *,
    controllers: Iterable[Controller[Any]] | None = None,
    elections: Iterable[LeaderElection] | None = None,
    max_stale: float | None = None,
    allow: Allow = is_local,
    show_keys: bool = False,
) -> Application:
    """Return an ASGI application that answers what Kubernetes and people ask about a program.

    ``/startupz``, ``/readyz``, ``/livez`` for probes (``?verbose`` names all checks, ``Accept: application/json`` gives
    JSON), ``/metrics`` for Prometheus, ``/`` for a person with a browser, ``/statusz`` for one with a shell,
    ``/status.json`` for programs. Every answer is made when it is asked for, at once: none is streamed, and none delays
    a shutdown (G25).

    Args:
        factory: Whose informers; None for those of the app that this is mounted in, which has
            ``FastAPI(lifespan=informers(build))``.
        controllers: Controllers of the program; by default all that are started in it, whenever that is asked.
        elections: Candidates for leadership; by default all that are started.
        max_stale: Seconds since an API server was last heard of, after which ``/readyz`` fails; by default never: all
            replicas of a service would be unready as soon as the API server is away.
        allow: Tells who may see the status, reasons and hosts; by default whoever is on this machine. Probes and
            metrics answer everybody.
        show_keys: Show them names of objects, too.
    """
    require_answering(max_stale, allow, show_keys)
    if factory is not None and not isinstance(factory, SharedInformerFactory):
        raise TypeError(f"status_app() takes a SharedInformerFactory, not {shown(factory)}")
    status = _Status(
        factory,
        None if controllers is None else tuple(controllers),
        None if elections is None else tuple(elections),
        max_stale,
        allow,
        show_keys=show_keys,
    )

    async def app(
        scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            try:
                await _live(receive, send)
            finally:
                status.close()
            return
        if scope["type"] != "http":
            raise RuntimeError(f"this answers HTTP requests, and no {scope['type']}")
        answer = status.answer(scope)
        if not _path_in(scope):  # the page's paths are relative to where it is mounted, which needs a slash at its end
            answer = Answer(307, b"", headers={"Location": f"{scope['path'].rpartition('/')[2]}/"})
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers_of(answer)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    return app


class _Status:
    """Answers requests about the factory that was given, or about that of the app which a request belongs to."""

    def __init__(
        self,
        factory: SharedInformerFactory | None,
        controllers: tuple[Controller[Any], ...] | None,
        elections: tuple[LeaderElection, ...] | None,
        max_stale: float | None,
        allow: Allow,
        *,
        show_keys: bool,
    ) -> None:
        self._factory = factory
        self._controllers = controllers
        self._elections = elections
        self._max_stale = max_stale
        self._allow = allow
        self._show_keys = show_keys
        self._observers = Observers()
        # One for each factory, as it remembers whether that has been ready: an app may be served again, or twice.
        self._answers: weakref.WeakKeyDictionary[SharedInformerFactory, Answers] = weakref.WeakKeyDictionary()

    def answer(self, scope: _Message) -> Answer:
        """Return the answer to a request."""
        factory = self._factory
        if factory is None:
            state = state_of(scope)
            if state is None:
                return NO_FACTORY
            if state.factory is None:
                return STOPPED
            factory = state.factory
        if factory not in self._answers:
            self._answers[factory] = self._answers_about(weakref.ref(factory))
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        peer = Peer((scope.get("client") or ("",))[0], headers)
        query = scope.get("query_string", b"").decode("latin-1")
        return self._answers[factory].answer(scope["method"], _path_in(scope), query, peer)

    def _answers_about(self, factory: weakref.ref[SharedInformerFactory]) -> Answers:
        def factories() -> Iterable[SharedInformerFactory]:
            found = factory()
            return () if found is None else (found,)

        def look() -> Snapshot:
            return snapshot(
                factories(),
                started_controllers() if self._controllers is None else self._controllers,
                started_elections() if self._elections is None else self._elections,
            )

        return Answers(
            look, max_stale=self._max_stale, allow=self._allow, show_keys=self._show_keys,
            observe=lambda: self._observers.look(factories()), viewing=Viewing(factories),
        )  # fmt: skip

    def close(self) -> None:
        """Measure nothing any more."""
        self._observers.close()
        for answers in list(self._answers.values()):
            answers.close()


def _headers_of(answer: Answer) -> list[tuple[bytes, bytes]]:
    sent = {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        **answer.headers,
    }
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()]


def _path_in(scope: _Message) -> str:
    """Return the path of a request below the place where this is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _live(receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]) -> None:
    """Say that there is nothing to begin and nothing to end."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
