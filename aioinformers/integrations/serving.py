"""Probes, metrics and the status of a program that has no web framework, served over aiohttp."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from aioinformers.checks import require_number, shown
from aioinformers.controllers.controller import Controller, started_controllers
from aioinformers.coordination.election import LeaderElection, started_elections
from aioinformers.factory import SharedInformerFactory, started_factories
from aioinformers.integrations.access import Allow, Peer, is_local
from aioinformers.integrations.answers import Answers, require_answering
from aioinformers.integrations.observation import Observers
from aioinformers.integrations.page.viewing import Viewing
from aioinformers.integrations.snapshot import Snapshot, snapshot

__all__ = ["serve_status"]

logger: logging.Logger = logging.getLogger("aioinformers.status")

END: Final = 0.5
"""Seconds for answers under way at the end: each is made at once."""


@asynccontextmanager
async def serve_status(
    factory: SharedInformerFactory | Iterable[SharedInformerFactory] | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    controllers: Iterable[Controller[Any]] | None = None,
    elections: Iterable[LeaderElection] | None = None,
    max_stale: float | None = None,
    allow: Allow = is_local,
    show_keys: bool = False,
) -> AsyncIterator[str]:
    """Answer what Kubernetes and people ask about a program, inside an ``async with`` block, which gets the URL.

    What is answered is said at :func:`~aioinformers.integrations.asgi.status_app`. Cancellation ends it.

    Args:
        factory: Whose informers; or several. None for all that are started in this process, whenever that is asked.
        host: Address to listen on; probes of Kubernetes reach a Pod at ``0.0.0.0`` or ``::`` only.
        port: Port; 0 takes a free one.
        controllers: Controllers of the program; None for all that are started.
        elections: Candidates for leadership; None for all that are started.
        max_stale: Seconds since an API server was last heard of, after which ``/readyz`` fails; by default never.
        allow: Tells who may see the status, reasons and hosts; by default whoever is on this machine.
        show_keys: Show them names of objects, too.

    Raises:
        OSError: If the address cannot be used, as another program listens there.
        ValueError: If the port is none.
    """
    _require_place(host, port)
    require_answering(max_stale, allow, show_keys)
    program = _Program(factory, controllers, elections)
    observers = Observers()
    answers = Answers(
        program.look, max_stale=max_stale, allow=allow, show_keys=show_keys,
        observe=lambda: observers.look(program.factories()), viewing=Viewing(program.factories),
    )  # fmt: skip
    server = web.Server(_handler(answers), access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=END)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise OSError(error.errno, f"the status cannot be served at {host}:{port}: {error.strerror}") from None
        if "KUBERNETES_SERVICE_HOST" in os.environ and host in ("127.0.0.1", "localhost", "::1"):
            logger.warning("the status is served at %s, where Kubernetes' probes cannot reach it: 0.0.0.0 is", host)
        bound = runner.addresses[0]
        url = f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}"
        logger.info("status at %s: /livez /readyz /startupz /metrics /statusz, for a browser /", url)
        yield url
    finally:
        observers.close()
        answers.close()
        await runner.cleanup()


def _require_place(host: str, port: int) -> None:
    require_number("port", port, whole=True)
    if not 0 <= port < 65536:
        raise ValueError(f"port must be from 0 to 65535, not {port}")
    if not isinstance(host, str):
        raise TypeError(f"host is an address such as '0.0.0.0', not {shown(host)}")


class _Program:
    """What is looked at: what was given, or else all that is started in this process whenever somebody looks."""

    def __init__(
        self,
        factory: SharedInformerFactory | Iterable[SharedInformerFactory] | None,
        controllers: Iterable[Controller[Any]] | None,
        elections: Iterable[LeaderElection] | None,
    ) -> None:
        one = (factory,) if isinstance(factory, SharedInformerFactory) else factory
        self._factories = None if one is None else _factories_in(one)
        self._controllers = None if controllers is None else tuple(controllers)
        self._elections = None if elections is None else tuple(elections)

    def factories(self) -> Iterable[SharedInformerFactory]:
        return started_factories() if self._factories is None else self._factories

    def look(self) -> Snapshot:
        return snapshot(
            self.factories(),
            started_controllers() if self._controllers is None else self._controllers,
            started_elections() if self._elections is None else self._elections,
        )


def _factories_in(given: Any) -> tuple[SharedInformerFactory, ...]:
    """Return the factories that were given.

    Raises:
        TypeError: If something else was.
    """
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    for each in found:
        if not isinstance(each, SharedInformerFactory):
            raise TypeError(f"serve_status() takes a SharedInformerFactory, or several, not {shown(each)}")
    return found


def _handler(answers: Answers) -> Any:
    async def handle(request: web.BaseRequest) -> web.Response:
        peer = Peer(request.remote or "", {name.lower(): value for name, value in request.headers.items()})
        answer = answers.answer(request.method, request.path, request.query_string, peer)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **answer.headers}
        return web.Response(
            status=answer.status, body=answer.body, headers={**headers, "Content-Type": answer.content_type}
        )

    return handle
