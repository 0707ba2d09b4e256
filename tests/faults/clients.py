"""Faults on the client's side: credentials, sessions, pools, and handlers that misbehave while the server does too."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aioinformers.testing import Ending, Fault, RequestInfo
from aioinformers.transport.credentials import Credentials
from aioinformers.transport.kubeconfig import find_cluster
from tests.faults.answers import status_of
from tests.faults.scene import LISTS, Case, Scene
from tests.kit import QUICK, Recorder
from tests.transport.kubeconfigs import kubeconfig, replace

__all__ = ["CASES"]


def hook(scene: Scene, function: Any) -> None:
    scene.api.configuration.api_key = {"BearerToken": "old"}
    scene.api.configuration.refresh_api_key_hook = function
    scene.server.close_watches()


def hook_fails(scene: Scene) -> None:
    async def refuse(configuration: Any) -> None:
        raise OSError("the token file has gone")

    hook(scene, refuse)


def hook_hangs(scene: Scene) -> None:
    async def hang(configuration: Any) -> None:
        await asyncio.sleep(10_000)

    hook(scene, hang)


def hook_cancels(scene: Scene) -> None:
    async def cancel(configuration: Any) -> None:
        raise asyncio.CancelledError

    hook(scene, cancel)


def hook_cannot_be_cancelled(scene: Scene) -> None:
    async def refuse(configuration: Any) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10_000)

    hook(scene, refuse)


def token_becomes(token: Any) -> Callable[[Scene], None]:
    """Return the step after which the client has another token."""

    def change(scene: Scene) -> None:
        scene.api.configuration.api_key = {"BearerToken": token}
        scene.server.close_watches()

    return change


def host_is_lost(scene: Scene) -> None:
    scene.notes["host"], scene.api.configuration.host = scene.api.configuration.host, "http://"
    scene.server.close_watches()


def host_is_found(scene: Scene) -> None:
    scene.api.configuration.host = scene.notes["host"]


def hook_is_well(scene: Scene) -> None:
    async def give(configuration: Any) -> None:
        configuration.api_key = {"BearerToken": "fresh"}
        configuration.api_key_prefix = {"BearerToken": "Bearer"}

    scene.api.configuration.api_key = {"BearerToken": "old"}
    scene.api.configuration.refresh_api_key_hook = give


def refuse_others(scene: Scene) -> None:
    """Refuse all tokens but ``fresh`` from now on."""

    def unauthorized(request: RequestInfo) -> Fault | None:
        if request.headers.get("authorization") == "Bearer fresh":
            return None
        return Fault(status=401, body=status_of(401, reason="Unauthorized"))

    scene.on("list watch stream", unauthorized)
    scene.server.close_watches()


def token_expires(scene: Scene) -> None:
    """The token in use is refused; the hook has the next one."""
    hook_is_well(scene)
    refuse_others(scene)


async def token_file_is_replaced(scene: Scene) -> None:
    """The hook of ``connect()`` finds the next token in a file that changes a minute after the old one is refused."""
    folder = scene.notes["folder"] = tempfile.TemporaryDirectory()
    token = Path(folder.name) / "token"
    token.write_text("old")
    path = kubeconfig(Path(folder.name) / "config", scene.server.url, {"tokenFile": "token"})
    credentials = Credentials(find_cluster(path))
    await credentials.load()
    hook(scene, credentials)
    refuse_others(scene)
    asyncio.get_running_loop().call_later(60, replace, token, "fresh\n")


def token_file_is_gone(scene: Scene) -> None:
    scene.notes["folder"].cleanup()


async def session_closed(scene: Scene) -> None:
    await scene.api.close()


def pool_is_full(scene: Scene) -> None:
    """Another part of the program has taken all connections of the client."""
    connector = scene.api.rest_client.pool_manager.connector
    scene.notes["limit"] = connector._limit
    connector._limit = 1
    scene.server.reset_connections()


async def session_closed_before_the_pool_has_room(scene: Scene) -> None:
    pool_is_full(scene)
    await asyncio.sleep(5)
    await scene.api.close()


def pool_has_room(scene: Scene) -> None:
    connector = scene.api.rest_client.pool_manager.connector
    connector._limit = scene.notes["limit"]
    scene.server.reset_connections()


class Slow(Recorder):
    """Takes seconds for each event."""

    async def __call__(self, event: Any) -> None:
        await asyncio.sleep(3)
        await super().__call__(event)


async def raising(event: Any) -> None:
    raise ValueError("a bug of the user's")


async def cancelling(event: Any) -> None:
    raise asyncio.CancelledError


async def hanging(event: Any) -> None:
    await asyncio.sleep(100_000)


def trouble(scene: Scene) -> None:
    """Watches break and lists fail for a while."""
    scene.on("watch", Fault(ending=Ending.RESET, after=60))
    scene.on("list stream", Fault(status=503), times=3)
    scene.server.reset_connections()


def with_slow_handlers(scene: Scene) -> None:
    for _ in range(3):
        scene.informers[0].add_event_handler(Slow(), limit=4)
    trouble(scene)


def with_bad_handlers(scene: Scene) -> None:
    for handler in (raising, cancelling, hanging):
        scene.informers[0].add_event_handler(handler)
    trouble(scene)


def with_leaving_handlers(scene: Scene) -> None:
    loop = asyncio.get_running_loop()
    informer = scene.informers[0]
    for second in range(40):
        registration = informer.add_event_handler(Slow())
        loop.call_later(second, informer.remove_event_handler, registration)
    trouble(scene)


CASES = [
    Case(
        title="the client's credentials cannot be refreshed for a while",
        inject=hook_fails,
        undo=hook_is_well,
        is_crowded=True,
        says="credentials could not be refreshed (OSError)",
        concerns_stock=False,
    ),
    Case(
        title="the hook that refreshes credentials hangs",
        inject=hook_hangs,
        undo=hook_is_well,
        says="credentials were not refreshed within 30 s",
        within=61,
        concerns_stock=False,
    ),
    Case(
        title="the hook that refreshes credentials lets a CancelledError escape",
        inject=hook_cancels,
        undo=hook_is_well,
        is_crowded=True,
        says="credentials could not be refreshed (CancelledError)",
        concerns_stock=False,
    ),
    Case(
        title="the hook that refreshes credentials hangs and cannot be cancelled",
        inject=hook_cannot_be_cancelled,
        undo=hook_is_well,
        says="credentials were not refreshed within 30 s",
        within=61,
        concerns_stock=False,
    ),
    Case(
        title="the token becomes None",
        inject=token_becomes(None),
        undo=token_becomes("fresh"),
        is_crowded=True,
        says="token is None",
        concerns_stock=False,
    ),
    Case(
        title="the token has a line break in its middle",
        inject=token_becomes("half\nof it"),
        undo=token_becomes("fresh"),
        says="token cannot be sent",
        concerns_stock=False,
    ),
    Case(
        title="the host of the client's configuration becomes something that is none",
        inject=host_is_lost,
        undo=host_is_found,
        is_crowded=True,
        says="is not the URL of a server",
        concerns_stock=False,
    ),
    Case(
        title="the token expires and the hook has a new one",
        inject=token_expires,
        concerns_stock=False,
    ),
    Case(
        title="a token is refused, and a minute later the file of `connect()` has another one",
        inject=token_file_is_replaced,
        undo=token_file_is_gone,
        says="401 Unauthorized",
        is_crowded=True,
        concerns_stock=False,
    ),
    Case(
        title="somebody closes the API client",
        inject=session_closed,
        within=None,
        says="the API client has been closed",
        concerns_stock=False,
    ),
    Case(
        title="somebody closes the API client while requests wait for a connection",
        inject=session_closed_before_the_pool_has_room,
        is_crowded=True,
        within=None,
        says="the API client has been closed",
        concerns_stock=False,
    ),
    Case(
        title="all connections of the client's pool are taken",
        inject=pool_is_full,
        undo=pool_has_room,
        is_crowded=True,
        says="connections of the API client are in use",
        within=61,
        concerns_stock=False,
    ),
    Case(
        title="the connection breaks while handlers are slow",
        inject=with_slow_handlers,
        server=LISTS,
        settings=dataclasses.replace(QUICK, queue_size=1),
        says="connection broke",
        concerns_stock=False,
    ),
    Case(
        title="the connection breaks while handlers raise, hang and cancel themselves",
        inject=with_bad_handlers,
        says="connection broke",
        concerns_stock=False,
    ),
    Case(
        title="the connection breaks while handlers come and go",
        inject=with_leaving_handlers,
        server=LISTS,
        says="connection broke",
        concerns_stock=False,
    ),
]
